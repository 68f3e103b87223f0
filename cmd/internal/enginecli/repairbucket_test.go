package enginecli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/repair"
)

// TestRepairInABucket: a typed file that is gone is made again, one with
// another bit is set aside and made again, and the audit is exact.
func TestRepairInABucket(t *testing.T) {
	s, lake := inBucket(t)
	file := write(t, filepath.Join(t.TempDir(), "a.nmea"), traffic(t, 8_000))
	on := func(args ...string) (int, string, string) { return engine(t, append(args, "--s3-endpoint", s.URL)...) }
	if code, out, errs := on("replay", file, "--lake", lake, "--epoch-records", "3000"); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	s.Remove(t, s.Object(t, "/ais_static/"))
	s.Change(t, s.Object(t, "/ais_position/"), func(data []byte) []byte {
		data[len(data)/2] ^= 1
		return data
	})
	if code, out, errs := on("repair", "--lake", lake, "--dry-run"); code != cli.ExitData || !strings.Contains(out, "would be done") {
		t.Errorf("dry run: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := on("repair", "--lake", lake, "--json")
	var r repairReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || len(r.Left) > 0 || !r.Audit.Exact {
		t.Fatalf("repair: exit %d, %v\n%s%s", code, err, out, errs)
	}
	kinds := map[repair.Kind]int{}
	for _, a := range r.Actions {
		kinds[a.Kind]++
		if a.Kind == repair.Aside && !strings.Contains(s.Object(t, "/_quarantine/"), "-aside-") {
			t.Errorf("set aside: %+v", a)
		}
	}
	if kinds[repair.Aside] != 1 || kinds[repair.Restored]+kinds[repair.Replaced] != 2 {
		t.Errorf("%v: %+v", kinds, r.Actions)
	}
	if code, out, errs := on("repair", "--lake", lake); code != 0 || !strings.Contains(out, "nothing to repair") {
		t.Errorf("again: exit %d\n%s%s", code, out, errs)
	}
}
