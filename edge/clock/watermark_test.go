package clock

import (
	"math/rand/v2"
	"testing"
	"time"

	"landfall/edge/record"
)

const second = int64(time.Second / time.Microsecond)

// model is the slow obvious watermark: it keeps every call and looks at all of
// them each time.
type model struct {
	calls   []call
	names   int
	gateway record.Micros
}

type call struct {
	source int
	kind   byte // a: add, w: wake, o: observe, f: finish
	mono   int64
	event  record.Micros
	own    bool
	wall   record.Micros
}

func (m *model) source(i int, now int64) (at record.Micros, idle bool) {
	at = record.NoTime
	heard, own, hasOwn := int64(0), int64(0), false
	finished := false
	for _, c := range m.calls {
		if c.source != i {
			continue
		}
		switch c.kind {
		case 'a', 'w':
			heard, finished = max(heard, c.mono), false
		case 'f':
			finished = true
		case 'o':
			if c.event == record.NoTime || c.wall != record.NoTime && c.event > c.wall+record.Micros(10*second) {
				continue
			}
			if c.own {
				own, hasOwn = heard, true
			} else if hasOwn && heard-own < 60*second {
				continue
			}
			if w := c.event - record.Micros(30*second); w > at {
				at = w
			}
		}
	}
	return at, finished || now-heard >= 60*second
}

func (m *model) gatewayAt(now int64) (record.Micros, bool) {
	var active []record.Micros
	for i := range m.names {
		if at, idle := m.source(i, now); !idle {
			active = append(active, at)
		}
	}
	if len(active) == 0 {
		return m.gateway, true
	}
	low := active[0]
	for _, at := range active {
		low = min(low, at)
	}
	m.gateway = max(m.gateway, low)
	return m.gateway, false
}

func TestWatermarksAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w, m := NewWatermarks(WatermarkConfig{}), &model{gateway: record.NoTime}
		mono, wall := int64(0), record.Micros(1_700_000_000*second)
		last := record.NoTime
		for range 120 {
			mono += rng.Int64N(25 * second)
			if rng.IntN(30) == 0 {
				wall += record.Micros((rng.Int64N(20) - 10) * 365 * 86400 * second) // the clock steps by years
			}
			wall += record.Micros(rng.Int64N(25 * second))
			if m.names == 0 || m.names < 4 && rng.IntN(20) == 0 {
				m.calls = append(m.calls, call{source: w.Add("s", mono), kind: 'a', mono: mono})
				m.names++
				continue
			}
			i := rng.IntN(m.names)
			if rng.IntN(40) == 0 {
				w.Finish(i)
				m.calls = append(m.calls, call{source: i, kind: 'f'})
			} else {
				w.Wake(i, mono)
				m.calls = append(m.calls, call{source: i, kind: 'w', mono: mono})
				for range rng.IntN(4) {
					event := wall - record.Micros(rng.Int64N(100*second)) + record.Micros(rng.Int64N(40*second))
					if rng.IntN(20) == 0 {
						event = []record.Micros{record.NoTime, 4_000_000_000_000_000}[rng.IntN(2)]
					}
					own := rng.IntN(2) == 0
					w.Observe(i, event, own, wall)
					m.calls = append(m.calls, call{source: i, kind: 'o', event: event, own: own, wall: wall})
				}
			}
			w.Advance(mono)
			for j := range m.names {
				at, idle := m.source(j, mono)
				if got := w.Source(j); got.At != at || got.Idle != idle {
					t.Fatalf("seed %d source %d: got %+v, want %v %v", seed, j, got, at, idle)
				}
			}
			at, idle := m.gatewayAt(mono)
			got := w.Gateway()
			if got.At != at || got.Idle != idle {
				t.Fatalf("seed %d: gateway %+v, want %v %v", seed, got, at, idle)
			}
			if got.At < last {
				t.Fatalf("seed %d: gateway regressed", seed)
			}
			last = got.At
		}
	}
}

// TestStalledSourceRejoins: a source that was silent holds the gateway back
// from the moment it speaks, while its backlog is read.
func TestStalledSourceRejoins(t *testing.T) {
	w := NewWatermarks(WatermarkConfig{Disorder: time.Second})
	a, b := w.Add("a", 0), w.Add("b", 0)
	say := func(i int, at int64) {
		w.Wake(i, at)
		w.Advance(at)
		w.Observe(i, record.Micros(at), true, record.NoTime)
	}
	say(a, 10*second)
	say(b, 10*second)
	say(a, 100*second) // b is idle by now
	if got := w.Gateway(); got.At != record.Micros(99*second) {
		t.Fatalf("gateway at %d", got.At)
	}
	w.Wake(b, 101*second)
	w.Observe(b, record.Micros(50*second), true, record.NoTime)
	w.Wake(a, 102*second)
	w.Observe(a, record.Micros(102*second), true, record.NoTime)
	w.Advance(102 * second)
	if got := w.Gateway(); got.At != record.Micros(99*second) || got.Idle {
		t.Fatalf("gateway went on to %d while the backlog is read", got.At)
	}
}

// TestOneWrongYear: one record dated 2038 among many moves nothing.
func TestOneWrongYear(t *testing.T) {
	w := NewWatermarks(WatermarkConfig{})
	i := w.Add("a", 0)
	now := record.Micros(1_700_000_000 * second)
	w.Wake(i, 0)
	w.Observe(i, now, true, now)
	before := w.Source(i)
	w.Observe(i, 2_147_483_647_000_000, true, now)
	if w.Source(i) != before {
		t.Fatalf("moved to %+v", w.Source(i))
	}
}

// TestWatermarksExhaustively tries every sequence of a small alphabet, over two
// sources, against the model: what wakes, speaks, speaks of the far future,
// finishes, and how time passes.
func TestWatermarksExhaustively(t *testing.T) {
	const start = record.Micros(1_700_000_000 * second)
	ops := []func(w *Watermarks, m *model, mono *int64){
		func(_ *Watermarks, _ *model, mono *int64) { *mono += 20 * second },
		func(_ *Watermarks, _ *model, mono *int64) { *mono += 61 * second },
	}
	for i := range 2 {
		say := func(event func(int64) record.Micros, own bool) func(*Watermarks, *model, *int64) {
			return func(w *Watermarks, m *model, mono *int64) {
				at, wall := event(*mono), start+record.Micros(*mono)
				w.Wake(i, *mono)
				w.Observe(i, at, own, wall)
				m.calls = append(m.calls, call{source: i, kind: 'w', mono: *mono}, call{source: i, kind: 'o', event: at, own: own, wall: wall})
			}
		}
		ops = append(ops,
			say(func(mono int64) record.Micros { return start + record.Micros(mono) }, true),
			say(func(mono int64) record.Micros { return start + record.Micros(mono-300*second) }, false),
			say(func(int64) record.Micros { return 4_000_000_000_000_000 }, true),
			func(w *Watermarks, m *model, _ *int64) {
				w.Finish(i)
				m.calls = append(m.calls, call{source: i, kind: 'f'})
			})
	}
	const length = 5
	total := 1
	for range length {
		total *= len(ops)
	}
	for n := range total {
		w, m, mono, last := NewWatermarks(WatermarkConfig{}), &model{gateway: record.NoTime, names: 2}, int64(0), record.NoTime
		for range 2 {
			m.calls = append(m.calls, call{source: w.Add("s", 0), kind: 'a'})
		}
		for step, rest := 0, n; step < length; step, rest = step+1, rest/len(ops) {
			ops[rest%len(ops)](w, m, &mono)
			w.Advance(mono)
			at, idle := m.gatewayAt(mono)
			if got := w.Gateway(); got.At != at || got.Idle != idle || got.At < last {
				t.Fatalf("sequence %d, step %d: gateway %+v, want %v %v, last %v", n, step, got, at, idle, last)
			}
			last = at
		}
	}
}

// TestWatermarksAreForgotten with the clock that bounded them: then nothing is complete
// through anything, until the next event.
func TestWatermarksAreForgotten(t *testing.T) {
	w := NewWatermarks(WatermarkConfig{})
	i := w.Add("a", 0)
	w.Observe(i, 5_000_000_000, true, record.NoTime)
	if w.Gateway().At == record.NoTime {
		t.Fatal("there is no watermark")
	}
	w.Forget()
	if w.Gateway().At != record.NoTime || w.Source(i).At != record.NoTime {
		t.Errorf("%+v, %+v", w.Gateway(), w.Source(i))
	}
	w.Observe(i, 1_000_000_000, false, record.NoTime)
	if want := record.Micros(970_000_000); w.Gateway().At != want {
		t.Errorf("%v, want %v", w.Gateway().At, want)
	}
}

// TestWatermarksOfTheFutureAreWithdrawn: only those that lie beyond a time that is not
// past yet begin again, and what is heard then counts.
func TestWatermarksOfTheFutureAreWithdrawn(t *testing.T) {
	w := NewWatermarks(WatermarkConfig{Disorder: time.Second, Tolerance: 10 * time.Second})
	a, b := w.Add("a", 0), w.Add("b", 0)
	const now = record.Micros(1_790_000_000_000_000)
	w.Observe(a, now+864_000_000_000, true, record.NoTime)
	w.Observe(b, now+9_000_000, false, record.NoTime)
	w.Finish(b)
	if got := w.Gateway().At; got != now+863_999_000_000 {
		t.Fatalf("the gateway's watermark is %d", got)
	}
	w.Wake(b, 1)
	w.Withdraw(now)
	if got := w.Source(b).At; got != now+8_000_000 {
		t.Errorf("what may be right is %d", got)
	}
	if x, y := w.Source(a).At, w.Gateway().At; x != record.NoTime || y != record.NoTime {
		t.Errorf("watermarks of the future stay: %d, %d", x, y)
	}
	w.Observe(a, now, false, now)
	if x, y := w.Source(a).At, w.Gateway().At; x != now-1_000_000 || y != now-1_000_000 {
		t.Errorf("afterwards: %d, %d", x, y)
	}
}
