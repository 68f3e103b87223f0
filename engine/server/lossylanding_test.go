package server

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"landfall/engine/stream"
)

// TestADamagedLandingLogIsFilledAgain: records have landed and none is published; in
// the landing log a block is damaged, in its middle or at its end. The gateway sends
// again what is missing: everything is published, each record is taken once, and
// nothing is in conflict.
func TestADamagedLandingLogIsFilledAgain(t *testing.T) {
	for _, part := range []string{"in the middle", "at the end"} {
		t.Run(part, func(t *testing.T) { damagedLanding(t, part == "at the end") })
	}
}

func damagedLanding(t *testing.T, atEnd bool) {
	p := newShip(t)
	dir := t.TempDir()
	lake := lakeIn(t, dir)
	first, stop := p.start(dir, func() ([]stream.Sink, error) { return nil, errors.New("the lake's disk is away") })
	for range 20 {
		p.capture(1)
		until(t, "it has landed", func() bool {
			g := first.Status().Gateways
			return len(g) == 1 && g[0].Acked == uint64(p.end)
		})
	}
	stop()
	flip(t, filepath.Join(dir, "landing", "p0000"), atEnd)

	second, stop := p.start(dir, lake)
	defer stop()
	log0 := p.log.Logs()[0].ID
	p.capture(1)
	if !atEnd { // there the landing log itself says where it ends now
		until(t, "the task lacks something", func() bool { _, ok := second.published.Wanted("mv-ada", log0); return ok })
		p.capture(1) // a gateway with nothing to send asks later
	}
	p.untilPublished(second)
	st := second.Status()
	if task := st.Tasks[0]; task.Conflicts != 0 || task.Records != uint64(p.end) || (st.Ingest.Resends == 0) != atEnd || st.Store.DamagedOffsets == 0 {
		t.Errorf("%+v\n%+v\n%+v", task, st.Ingest, st.Store)
	}
	until(t, "the engine is healthy", func() bool { return second.Status().Healthy })
}

// flip changes one byte in a landing log's only segment.
func flip(t *testing.T, dir string, atEnd bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v: %v", names, err)
	}
	data, err := os.ReadFile(names[len(names)-1])
	if err != nil {
		t.Fatal(err)
	}
	used := len(data)
	for used > 0 && data[used-1] == 0 {
		used--
	}
	at := used / 2
	if atEnd {
		at = used - 40
	}
	data[at] ^= 1
	if err := os.WriteFile(names[len(names)-1], data, 0o600); err != nil {
		t.Fatal(err)
	}
}
