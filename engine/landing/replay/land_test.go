package replay

import (
	"bytes"
	"errors"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// TestLandKeepsTheOrder: whatever appends fail, stored or not, what lands is the
// file's log in order, each block behind all that it follows, the same block
// again until it is kept; begun anew at any block it appends the rest; and it
// ends with the error when it is not to go on.
func TestLandKeepsTheOrder(t *testing.T) {
	l := open(t, file(t, "a.nmea", traffic(t, 30_000)), Options{Gateway: "g"})
	want, at := read(t, l, stream.Position{})
	if len(want) < 4 {
		t.Fatalf("%d blocks", len(want))
	}
	broken := errors.New("broken")
	land := func(from stream.Position, to landing.Log, again func(error) bool) (record.Offset, uint32, error) {
		r, err := l.Reader(0, from)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		records := uint32(0)
		end, err := Land(t.Context(), r.(*Reader), to, again, func(n uint32) { records += n })
		return end, records, err
	}
	to := landingtest.NewMemory("memory", 1)
	n := 0
	to.FailWith(func(landing.Landed) (bool, error) {
		if n++; n%3 == 0 {
			return true, nil
		}
		return n%3 == 1, broken
	})
	last := at[len(at)-1].Offset
	end, records, err := land(stream.Position{}, to, func(err error) bool { return errors.Is(err, broken) })
	if err != nil || int64(end) != last || int64(records) != last {
		t.Fatalf("ended at %d after %d records of %d, %v", end, records, last, err)
	}
	next := 0
	for _, b := range to.Landed(0) {
		switch {
		case next < len(want) && bytes.Equal(b.Block, want[next]):
			next++
		case next == 0 || !bytes.Equal(b.Block, want[next-1]):
			t.Fatalf("another block follows block %d", next-1)
		}
	}
	if next != len(want) {
		t.Fatalf("%d of %d blocks", next, len(want))
	}
	to.FailWith(nil)
	before := len(to.Landed(0))
	if end, _, err := land(at[1], to, nil); err != nil || int64(end) != last || len(to.Landed(0)) != before+len(want)-2 {
		t.Errorf("from block 2: ended at %d, %d appended, %v", end, len(to.Landed(0))-before, err)
	}
	if end, n, err := land(at[len(at)-1], to, nil); err != nil || int64(end) != last || n != 0 {
		t.Errorf("from the end: ended at %d, %d records, %v", end, n, err)
	}
	to.FailWith(func(landing.Landed) (bool, error) { return false, broken })
	if end, _, err := land(at[0], to, func(error) bool { return false }); !errors.Is(err, broken) || int64(end) != at[0].Offset {
		t.Errorf("given up: at %d, %v", end, err)
	}
}
