//go:build linux

package lifetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// engineStatus is what these tests read of an engine's status.
type engineStatus struct {
	Reasons []string `json:"reasons"`
	Ingest  struct {
		Records uint64 `json:"records"`
	} `json:"ingest"`
	Tasks []struct {
		State   string `json:"state"`
		Behind  int64  `json:"behind"`  // -1: nothing was committed by this life
		Records uint64 `json:"records"` // read by this life
	} `json:"tasks"`
	Store struct {
		Damaged  uint64 `json:"damaged_offsets"`
		BadMarks uint64 `json:"bad_marks"`
	} `json:"landing_stats"`
}

func (d *daemon) engine() (s engineStatus) {
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

// TestAStopLeavesNothingToRecover: SIGTERM while lines come in. The gateway
// delivers what it has captured and the engine publishes what it has landed,
// long before either would by itself; then every byte of the gateway's log is
// in the lake, nothing is staged, and the next lives have nothing to mend, to
// send or to do again.
func TestAStopLeavesNothingToRecover(t *testing.T) {
	work, listen := t.TempDir(), freePort(t)
	put(t, work+"/in.nmea", "")
	engineText := fmt.Sprintf("listen: %[1]s\nstatus: STATUS\nidentity: {unauthenticated: true}\nlanding: {dir: %[2]s/landing, reserve: 0B}\nlake: {dir: %[2]s/lake}\nepoch: {interval: 1h}\n", listen, work)
	edgeText := fmt.Sprintf("gateway: ada\ndata_dir: %[1]s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: %[1]s/in.nmea, follow: true, poll_interval: 20ms}}\nforward: {url: \"http://%[2]s/\", linger: 1h}\n", work, listen)
	engine, edge := run(t, "landfall-engine", engineText), run(t, "landfall-edge", edgeText)
	until(t, "the first are delivered", func() bool { appendLine(t, work+"/in.nmea"); return edge.edge().Forward.Acked > 0 })
	until(t, "others linger", func() bool { appendLine(t, work+"/in.nmea"); return edge.edge().Forward.Pending > 0 })
	if code := edge.stop(); code != 0 {
		t.Errorf("the gateway ended with %d", code)
	}
	landed := engine.engine().Ingest.Records
	if code := engine.stop(); code != 0 {
		t.Errorf("the engine ended with %d", code)
	}
	out, err := tool(t, "landfall-engine", "audit", "--lake", work+"/lake", "--edge-log", work+"/edge/log")
	if err != nil || landed == 0 || !strings.Contains(out, "EXACT") {
		t.Errorf("%d records landed; audit: %v\n%s", landed, err, out)
	}
	t.Logf("%d records\n%s", landed, out)
	if staged := files(t, work+"/lake/_staging"); len(staged) > 0 {
		t.Errorf("staged and not published: %v", staged)
	}
	lake := files(t, work+"/lake/record")
	engine, edge = run(t, "landfall-engine", engineText), run(t, "landfall-edge", edgeText)
	until(t, "the task has claimed its partition", func() bool { s := engine.engine(); return len(s.Tasks) == 1 && s.Tasks[0].Behind >= 0 })
	if s := engine.engine(); s.Tasks[0].Records != 0 || s.Tasks[0].Behind > 0 || s.Store.Damaged+s.Store.BadMarks != 0 || len(s.Reasons) > 0 {
		t.Errorf("the engine had something to recover: %+v", s)
	}
	if s := edge.edge(); s.Forward.Pending != 0 || s.Log != (mended{}) {
		t.Errorf("the gateway had something to recover: %+v", s)
	}
	if now := files(t, work+"/lake/record"); len(now) != len(lake) {
		t.Errorf("files that a start made: %v, before %v", now, lake)
	}
	// What they take is what is new.
	until(t, "a new line is captured", func() bool { appendLine(t, work+"/in.nmea"); return edge.edge().Forward.Pending > 0 })
	if code := edge.stop(); code != 0 {
		t.Errorf("the gateway ended with %d", code)
	}
	until(t, "it is read by the task", func() bool {
		s := engine.engine()
		return s.Ingest.Records > 0 && s.Tasks[0].Records >= s.Ingest.Records
	})
	if s := engine.engine(); s.Tasks[0].Records != s.Ingest.Records {
		t.Errorf("%d records came, the task read %d", s.Ingest.Records, s.Tasks[0].Records)
	}
	if code := engine.stop(); code != 0 {
		t.Errorf("the engine ended with %d", code)
	}
	out, err = tool(t, "landfall-engine", "audit", "--lake", work+"/lake", "--edge-log", work+"/edge/log")
	if err != nil || !strings.Contains(out, "closed") || !strings.Contains(out, "EXACT") {
		t.Errorf("audit: %v\n%s", err, out)
	}
}

// files lists the files below a directory, which may be absent.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return all
}
