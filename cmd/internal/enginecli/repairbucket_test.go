package enginecli

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/repair"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/parquet"
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
	script := &s3test.Script{}
	url := s.Proxy(t, script)
	script.OnlyChanges()
	if code, out, errs := engine(t, "repair", "--lake", lake, "--dry-run", "--s3-endpoint", url); code != cli.ExitData || !strings.Contains(out, "would be done") {
		t.Errorf("dry run: exit %d\n%s%s", code, out, errs)
	}
	if changes := script.Requests(); len(changes) > 0 {
		t.Errorf("a dry run wrote: %v", changes)
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

// haltedSink ends a repair when it is about to publish.
type haltedSink struct {
	stream.Sink
	end func()
}

func (s haltedSink) Publish(ctx context.Context, _ []stream.Staged) error {
	s.end()
	return ctx.Err()
}

// TestRepairInABucketGoesOn: what an earlier repair committed and did not come to
// publish is published, not made again.
func TestRepairInABucketGoesOn(t *testing.T) {
	s, lake := inBucket(t)
	file := write(t, filepath.Join(t.TempDir(), "a.nmea"), traffic(t, 4_000))
	if code, out, errs := engine(t, "replay", file, "--lake", lake, "--s3-endpoint", s.URL); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	gone := s.Object(t, "/ais_static/")
	s.Remove(t, gone)
	where := place{lake: lake, checkpoints: server.Checkpoints(lake), s3: server.S3Config{Endpoint: s.URL}}
	files, err := where.openFiles(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	store, err := where.openStore(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, sink stream.Sink) (*repair.Result, error) {
		made, err := newScratch(lake, false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = made.remove() }()
		return repair.Run(ctx, repair.Config{Lake: bucketLake{filesLake{files}, files.(holder)}, Store: store, Sink: sink, Scratch: made})
	}
	ctx, cancel := context.WithCancel(t.Context())
	if r, err := run(ctx, haltedSink{sink, cancel}); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v: %+v", err, r)
	}
	r, err := run(t.Context(), sink)
	if err != nil || len(r.Left) > 0 || len(r.Actions) != 1 || r.Actions[0].Kind != repair.Restored || r.Actions[0].Detail != "an earlier repair had committed it" {
		t.Errorf("%v: %+v", err, r)
	}
	if s.Object(t, "/ais_static/") != gone {
		t.Errorf("%s is not there", gone)
	}
}
