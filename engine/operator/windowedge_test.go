package operator

import (
	"fmt"
	"testing"
	"time"

	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/record"
	"landfall/engine/state"
	"landfall/engine/table"
)

// windowStart is the start of a window of a minute.
const windowStart = 1_790_000_040 * second

// windowed is a Window with its state.
type windowed struct {
	*Window
	state *state.State
}

func newWindowed(t *testing.T, cfg WindowConfig, objects ...[]byte) windowed {
	t.Helper()
	s := state.New()
	w, err := NewWindow(s, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Restore(func(yield func([]byte, error) bool) {
		for _, p := range objects {
			if !yield(p, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Restored()
	return windowed{w, s}
}

func reading(gateway string, at record.Micros, value float64) table.ReadingRow {
	return table.ReadingRow{
		Lineage: table.Lineage{Gateway: gateway, Offset: record.Offset(at)}, Times: table.Times{EventTime: at, TimeQuality: record.QualityAsserted},
		Source: "bus", Sensor: "s", Metric: "m", Value: ais.Some(value), Quality: sensor.QualityGood,
	}
}

// give lets a reading come under a watermark, and tells whether it was late.
func (w windowed) give(watermark record.Micros, r table.ReadingRow) bool {
	var out table.Batch
	w.take(&Context{Gateway: r.Gateway, Watermark: watermark, LandedAt: windowStart + 3600*second}, &r, &out)
	return len(out.Lates) > 0
}

// closing gives what closes at a watermark, as start+size: count.
func (w windowed) closing(gateway string, watermark record.Micros) string {
	var out table.Batch
	w.Advance(gateway, watermark, &out)
	text := ""
	for _, row := range out.Windows {
		text += fmt.Sprintf("%d+%d: %d;", (row.WindowStart-windowStart)/second, (row.WindowEnd-row.WindowStart)/second, row.Count)
	}
	return text
}

// TestWindowEdges: a window has its begin and not its end, and closes when the
// watermark is at its end and lateness, not before.
func TestWindowEdges(t *testing.T) {
	w := newWindowed(t, WindowConfig{Size: time.Minute, AllowedLateness: 10 * time.Second})
	for _, at := range []record.Micros{windowStart - 1, windowStart, windowStart + 60*second - 1, windowStart + 60*second} {
		w.give(record.NoTime, reading("g", at, 1))
	}
	if got := w.closing("g", windowStart+10*second-1); got != "" {
		t.Errorf("too early: %s", got)
	}
	if got := w.closing("other", windowStart+3600*second); got != "" {
		t.Errorf("another gateway's watermark closes %s", got)
	}
	if got := w.closing("g", windowStart+70*second); got != "-60+60: 1;0+60: 2;" {
		t.Errorf("closed %s", got)
	}
	if got := w.closing("g", windowStart+70*second); got != "" {
		t.Errorf("closed twice: %s", got)
	}
	if w.give(windowStart+130*second-1, reading("g", windowStart+60*second, 1)) {
		t.Error("late although its window stands open")
	}
	if !w.give(windowStart+130*second, reading("g", windowStart+60*second, 1)) {
		t.Error("taken although its window has closed")
	}
}

// TestNoWindow: what has no number, no usable quality, no confirmed time, or one
// after it landed, is in no window and not late.
func TestNoWindow(t *testing.T) {
	w := newWindowed(t, WindowConfig{Size: time.Minute})
	for name, change := range map[string]func(*table.ReadingRow){
		"text":           func(r *table.ReadingRow) { r.Value = ais.Opt[float64]{} },
		"bad":            func(r *table.ReadingRow) { r.Quality = sensor.QualityBadTimeout },
		"unsynchronised": func(r *table.ReadingRow) { r.TimeQuality = record.QualityUnsynchronised },
		"without time":   func(r *table.ReadingRow) { r.EventTime = record.NoTime },
		"of 2038":        func(r *table.ReadingRow) { r.EventTime = 2_147_483_647 * second },
	} {
		for _, mark := range []record.Micros{record.NoTime, windowStart + 3600*second} {
			r := reading("g", windowStart, 1)
			change(&r)
			if w.give(mark, r) || w.sums.Len() > 0 {
				t.Errorf("%s: late, or in a window", name)
			}
		}
	}
	off := newWindowed(t, WindowConfig{})
	if off.give(record.NoTime, reading("g", windowStart, 1)) || off.sums.Len() > 0 {
		t.Error("there are windows although they are off")
	}
}

// TestWindowsOfAnotherConfiguration: what is open closes as it was begun, and
// what has closed never closes a second time, whatever lateness is then.
func TestWindowsOfAnotherConfiguration(t *testing.T) {
	w := newWindowed(t, WindowConfig{Size: time.Minute})
	for _, at := range []record.Micros{windowStart, windowStart + 60*second, windowStart + 61*second} {
		w.give(record.NoTime, reading("g", at, 1))
	}
	if got := w.closing("g", windowStart+60*second); got != "0+60: 1;" {
		t.Fatalf("closed %s", got)
	}
	object, _ := w.state.Snapshot()
	w = newWindowed(t, WindowConfig{Size: time.Minute, AllowedLateness: time.Hour}, object)
	if !w.give(windowStart+60*second, reading("g", windowStart, 1)) {
		t.Error("a window that had closed is open again")
	}
	w = newWindowed(t, WindowConfig{Size: 30 * time.Second}, object)
	w.give(windowStart+60*second, reading("g", windowStart+62*second, 1))
	if got := w.closing("g", windowStart+120*second); got != "60+30: 1;60+60: 2;" {
		t.Errorf("closed %s", got)
	}
	if w.sums.Len() > 0 || len(w.open) > 0 {
		t.Error("something is left open")
	}
}
