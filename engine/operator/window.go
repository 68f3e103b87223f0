package operator

import (
	"cmp"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/state"
	"landfall/engine/table"
)

// WindowConfig says how readings are summed up.
type WindowConfig struct {
	// Size is the length of a window; windows begin at multiples of it since
	// 1970-01-01 UTC. 0: there are none.
	Size time.Duration
	// AllowedLateness is how long after a window's end, in event time, the
	// gateway's watermark lets it stand open. A reading that comes later goes to
	// the table late too.
	AllowedLateness time.Duration
}

// windowKey is one window of one series. Size is in it, so that windows that
// were open when the configuration changed close as they were begun.
type windowKey struct {
	Gateway, Source, Sensor, Metric string
	Start, Size                     int64 // microseconds since 1970; microseconds
}

// windowSum is what a window holds so far.
type windowSum struct {
	Count               uint64
	Sum, Min, Max, Last float64
	LastAt              record.Micros // event time of Last
	// Where Last came from, and its unit.
	Log    record.LogID
	Offset record.Offset
	Row    int32
	Unit   string
}

// Window sums up the readings of each gateway, source, sensor and metric in
// windows of event time (tumbling: each reading is in one), and gives one row a
// window when the gateway's watermark has passed its end by AllowedLateness.
//
// Each gateway is judged by its own watermark: one that comes back after days
// finds its windows open, and holds up nobody's. A reading without a number, of
// bad quality or without a confirmed time is in none.
//
// A gateway has at most MaxOpenWindows open, and when all gateways of the task together
// have MaxAllWindows no more than an equal share of these: a reading that would begin
// another one is in late, so that devices with ever new names fill nobody's memory.
//
// A window gives its row once, also when a configuration with another
// AllowedLateness would have it open again: how far a gateway's windows have
// closed is state.
type Window struct {
	cfg    WindowConfig
	sums   *state.Table[windowKey, windowSum]
	closed *state.Table[string, int64] // by gateway: the latest end of those that closed
	open   map[string]*openWindows     // by gateway; an index over sums
	logs   logNames
	n      int // windows in open
	names  int // bytes of names in them
	over   func(gateway string, readings int)
}

// Bounds of open windows, windowMemory each beside their names.
const (
	// MaxOpenWindows is how many windows of a gateway are open at once, of all its series
	// together.
	MaxOpenWindows = 1 << 16
	// MaxAllWindows is how many windows of a task are open before each gateway has to do
	// with an equal share of them: MaxAllWindows divided by the gateways that have any
	// open. Those that have more keep what they have. Once there are twice as many, each
	// gateway may have leastWindows.
	MaxAllWindows = 1 << 17
	// MaxWindowNames bounds the bytes of names in a gateway's open windows: of source,
	// sensor, metric and unit, each counted in each window.
	MaxWindowNames = 16 << 20
	// MaxAllWindowNames is of a task what MaxAllWindows is, for MaxWindowNames.
	MaxAllWindowNames = 32 << 20
	// leastWindows, with leastWindowNames bytes of names, are open to a gateway whatever
	// others have.
	leastWindows     = 64
	leastWindowNames = 16 << 10
)

// What the state of a task takes at its bounds, bytes. Windows, and their names, may be
// twice as many as are open before each gateway has to do with its share.
const (
	windowMemory    = 640
	receptionMemory = 272
	shipMemory      = 400
	// StateMemory is what the state of all operators of a task takes at most, with what
	// it takes to write it into a checkpoint.
	StateMemory = stateMemory + stateMemory/2
	stateMemory = 2*(MaxAllWindows*windowMemory+MaxAllWindowNames) + MaxAllReceptions*receptionMemory + MaxAllShips*shipMemory
)

// openWindows are a gateway's windows by when they close.
type openWindows struct {
	closing map[int64][]windowKey // by start + size
	times   []int64               // the keys of closing, ascending
	n       int                   // of all
	names   int                   // bytes of names in all
}

// NewWindow registers the operator's state. Call it before the state is
// restored, and Restored after. over is told of each reading that is in late because too
// many windows were open; nil: nobody is.
func NewWindow(s *state.State, cfg WindowConfig, over func(gateway string, readings int)) (*Window, error) {
	if over == nil {
		over = func(string, int) {}
	}
	sums, err := state.Register(s, "window", windowCodec{})
	if err != nil {
		return nil, err
	}
	closed, err := state.Register(s, "window-closed", closedCodec{})
	if err != nil {
		return nil, err
	}
	return &Window{cfg: cfg, sums: sums, closed: closed, open: map[string]*openWindows{}, logs: logNames{}, over: over}, nil
}

// Restored builds the index over the restored state.
func (w *Window) Restored() {
	for k, v := range w.sums.All() {
		w.opened(k)
		w.named(k.Gateway, k.names()+len(v.Unit))
	}
}

// HandOver passes each window, and how far each gateway's have closed, to the
// operator that of returns for the gateway's name; see Dedupe.HandOver.
func (w *Window) HandOver(of func(gateway string) *Window) {
	for k, v := range w.sums.All() {
		of(k.Gateway).sums.Put(k, v)
	}
	for gateway, end := range w.closed.All() {
		of(gateway).closed.Put(gateway, end)
	}
}

func (w *Window) opened(k windowKey) {
	g := w.open[k.Gateway]
	if g == nil {
		g = &openWindows{closing: map[int64][]windowKey{}}
		w.open[k.Gateway] = g
	}
	end := k.Start + k.Size
	if len(g.closing[end]) == 0 {
		at, _ := slices.BinarySearch(g.times, end)
		g.times = slices.Insert(g.times, at, end)
	}
	g.closing[end] = append(g.closing[end], k)
	g.n++
	w.n++
}

// names is how many bytes the names in a key have.
func (k *windowKey) names() int { return len(k.Source) + len(k.Sensor) + len(k.Metric) }

// named notes that the names in a gateway's windows have so many bytes more.
func (w *Window) named(gateway string, bytes int) {
	w.open[gateway].names += bytes
	w.names += bytes
}

// mayOpen tells whether a gateway may have so many windows more open, with so many bytes
// of names.
func (w *Window) mayOpen(gateway string, windows, names int) bool {
	n, bytes, gateways := windows, names, len(w.open)+1
	if g := w.open[gateway]; g != nil {
		n, bytes, gateways = n+g.n, bytes+g.names, gateways-1
	}
	return n <= MaxOpenWindows && fits(n, w.n+windows, gateways, MaxAllWindows, leastWindows) &&
		bytes <= MaxWindowNames && fits(bytes, w.names+names, gateways, MaxAllWindowNames, leastWindowNames)
}

// fits tells whether a gateway may have so much where all have so much together: whatever
// it likes up to most of all, an equal share of these up to twice as much, and the least
// beyond. Shares alone would be no bound: of gateways that come one after the other the
// n-th has an n-th, and these sum up to any number.
func fits(own, all, gateways, most, least int) bool {
	share := most / gateways
	switch {
	case all <= most:
		return true
	case all <= 2*most:
		return own <= share
	}
	return own <= min(share, least)
}

// Held returns how many windows of a gateway are open, and the bytes of names in them.
func (w *Window) Held(gateway string) (windows, names int) {
	if g := w.open[gateway]; g != nil {
		return g.n, g.names
	}
	return 0, 0
}

// take puts a reading into its window, or a copy of it into late when that has
// closed or there are too many. lateness is judged by the watermark before the reading's block.
func (w *Window) take(c *Context, r *table.ReadingRow, out *table.Batch) {
	if !w.sumsUp(c, r) {
		return
	}
	size := w.cfg.Size.Microseconds()
	start := floor(int64(r.EventTime), size)
	closed, ok := w.closed.Get(r.Gateway)
	late := ok && start+size <= closed || c.Watermark != record.NoTime && start+size+w.cfg.AllowedLateness.Microseconds() <= int64(c.Watermark)
	if late || !w.add(c, r, start, size) {
		out.Lates = append(out.Lates, table.LateRow{ReadingRow: *r, Watermark: c.Watermark, WindowStart: record.Micros(start)})
	}
}

// sumsUp tells whether a reading is one that windows are made of.
func (w *Window) sumsUp(c *Context, r *table.ReadingRow) bool {
	if w.cfg.Size <= 0 || !r.Value.Valid || !r.Quality.Usable() || r.TimeQuality == record.QualityUnsynchronised ||
		r.EventTime == record.NoTime {
		return false
	}
	// Nothing is measured after it landed: it would stand open for ever.
	return c.LandedAt == record.NoTime || r.EventTime <= c.LandedAt+maxAhead
}

// add puts a reading into its window, which it opens; false: too many are.
func (w *Window) add(c *Context, r *table.ReadingRow, start, size int64) bool {
	k := windowKey{r.Gateway, r.Source, r.Sensor, r.Metric, start, size}
	s, ok := w.sums.Get(k)
	windows, names := 0, len(r.Unit)-len(s.Unit)
	if !ok {
		windows, names = 1, k.names()+len(r.Unit)
	}
	if windows+max(0, names) > 0 && !w.mayOpen(k.Gateway, windows, names) {
		w.over(k.Gateway, 1)
		return false
	}
	if !ok {
		w.opened(k)
		s = windowSum{Min: r.Value.Value, Max: r.Value.Value, LastAt: record.NoTime}
	}
	before := len(s.Unit)
	s.add(c, r)
	if !ok {
		before = -k.names()
	}
	w.named(k.Gateway, len(s.Unit)-before)
	w.sums.Put(k, s)
	return true
}

// ClosedUpTo notes, in a state that is made again, how far a gateway's windows have
// closed: the latest end in its rows. Readings that follow are passed to Recall.
func (w *Window) ClosedUpTo(gateway string, end int64) {
	if closed, ok := w.closed.Get(gateway); !ok || end > closed {
		w.closed.Put(gateway, end)
	}
}

// Recall takes a reading that is known not to have come too late into its window
// again, unless that has closed. Calls are in the order in which the readings
// landed.
func (w *Window) Recall(c *Context, r *table.ReadingRow) {
	if !w.sumsUp(c, r) {
		return
	}
	size := w.cfg.Size.Microseconds()
	start := floor(int64(r.EventTime), size)
	if closed, ok := w.closed.Get(r.Gateway); ok && start+size <= closed {
		return
	}
	w.add(c, r, start, size)
}

func (s *windowSum) add(c *Context, r *table.ReadingRow) {
	v := r.Value.Value
	s.Count++
	s.Sum += v
	s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	if r.EventTime >= s.LastAt { // of equal times the one that landed last
		s.Last, s.LastAt, s.Log, s.Offset, s.Row, s.Unit = v, r.EventTime, c.Log, r.Offset, r.Row, r.Unit
	}
}

// floor gives the multiple of size at or before t.
func floor(t, size int64) int64 {
	into := t % size
	if into < 0 {
		into += size
	}
	return t - into
}

// Advance closes the gateway's windows that its watermark has passed, in order
// of their end, then source, sensor and metric.
func (w *Window) Advance(gateway string, watermark record.Micros, out *table.Batch) {
	g := w.open[gateway]
	if g == nil {
		return
	}
	n := 0
	for n < len(g.times) && g.times[n]+w.cfg.AllowedLateness.Microseconds() <= int64(watermark) {
		w.close(gateway, g, g.times[n], out)
		n++
	}
	g.times = slices.Delete(g.times, 0, n)
	if len(g.times) == 0 {
		delete(w.open, gateway)
	}
}

// Finish closes all windows: nothing more will come.
func (w *Window) Finish(out *table.Batch) {
	var gateways []string
	for name := range w.open {
		gateways = append(gateways, name)
	}
	slices.Sort(gateways)
	for _, name := range gateways {
		g := w.open[name]
		for _, end := range g.times {
			w.close(name, g, end, out)
		}
		delete(w.open, name)
	}
}

func (w *Window) close(gateway string, g *openWindows, end int64, out *table.Batch) {
	w.ClosedUpTo(gateway, end)
	keys := g.closing[end]
	delete(g.closing, end)
	g.n -= len(keys)
	w.n -= len(keys)
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Sensor, b.Sensor), cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Start, b.Start))
	})
	for _, k := range keys {
		s, ok := w.sums.Get(k)
		if !ok {
			continue
		}
		out.Windows = append(out.Windows, table.WindowRow{
			Gateway: k.Gateway, Log: w.logs.of(s.Log), Offset: s.Offset, Row: s.Row,
			Source: k.Source, Sensor: k.Sensor, Metric: k.Metric, Unit: s.Unit,
			WindowStart: record.Micros(k.Start), WindowEnd: record.Micros(end), Count: s.Count,
			Min: s.Min, Max: s.Max, Mean: s.mean(), Last: s.Last, LastAt: s.LastAt,
		})
		g.names -= k.names() + len(s.Unit)
		w.names -= k.names() + len(s.Unit)
		w.sums.Delete(k)
	}
}

// mean keeps within what was measured: sums of large numbers round, or overflow.
func (s *windowSum) mean() float64 {
	return min(max(s.Sum/float64(s.Count), s.Min), s.Max)
}
