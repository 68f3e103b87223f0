package capture

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"landfall/edge/care"
	"landfall/edge/clock"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/edge/source"
)

// group gathers what becomes one block: records, the positions after them, and
// who wants to know when they are durable. It decides; Live carries out.
type group struct {
	clock     clock.Clock
	timing    *timekeeper
	capturer  *Capturer
	guards    []*care.Guard // of sources, by number
	marks     *clock.Watermarks
	builder   *record.Builder
	groupSize int

	names   []string          // of sources, by number
	numbers map[string]uint32 // their inverse
	used    []bool            // sources with records in builder, by number
	perSrc  []Counts          // by number; Lines are those fed
	at      map[string][]byte // positions not yet in a block, by mark
	waiters []func()          // to be told after C1
	urgent  bool              // somebody waits for them
	kept    bool              // the log's last WaitingMark has entries
	keeping bool              // the builder's has
	err     error             // a record or annotation did not fit: cannot happen within the bounds
}

// newGroup restores what waited for partners when the process ended.
func newGroup(l *Live) (*group, error) {
	keeper, err := newTimekeeper(l)
	if err != nil {
		return nil, err
	}
	g := &group{
		clock: l.cfg.Clock, timing: keeper, marks: clock.NewWatermarks(l.cfg.Watermarks), builder: &record.Builder{},
		groupSize: l.cfg.GroupBytes, guards: l.guards, numbers: map[string]uint32{}, at: map[string][]byte{},
	}
	g.builder.Reset()
	resends := make([]bool, len(l.cfg.Sources))
	for i, s := range l.cfg.Sources {
		resends[i] = s.Resend()
	}
	g.kept = len(l.marks[WaitingMark]) > 0
	g.capturer = New(Config{
		Assembler: l.cfg.Assembler, Emit: g.add, StallMicros: max(2*l.cfg.GroupInterval, 100*time.Millisecond).Microseconds(),
		Resends: func(i uint32) bool { return int(i) < len(resends) && resends[i] }, Clock: keeper.estimator,
		OnPanic: func(i uint32, line []byte, what any) {
			l.cfg.Logger.Error("a line made a decoder panic; it is captured as it came", "source", g.names[i], "line", string(line[:min(len(line), 200)]),
				"panic", fmt.Sprint(what), "stack", string(debug.Stack()))
		},
	})
	_, now := g.clock.Now()
	for _, s := range l.cfg.Sources {
		g.know(s.Name(), now)
		keeper.estimator.AddObserver(s.Name(), !s.Resend())
	}
	err = g.capturer.Restore(l.marks[WaitingMark], g.clock.Boot(), now, func(name string) uint32 {
		if i, ok := g.numbers[name]; ok {
			return i
		}
		i := g.know(name, now) // a source that is configured no more
		g.marks.Finish(int(i))
		return i
	})
	if errors.Is(err, record.ErrVersion) {
		return nil, err
	}
	if err != nil {
		l.cfg.Logger.Error("waiting fragments of the last run are damaged", "error", err)
	}
	return g, nil
}

// know gives a source its number.
func (g *group) know(name string, now int64) uint32 {
	i := uint32(g.marks.Add(name, now))
	g.names, g.used, g.perSrc = append(g.names, name), append(g.used, false), append(g.perSrc, Counts{})
	g.numbers[name] = i
	return i
}

// take makes records of a batch.
func (g *group) take(i uint32, b *source.Batch) {
	g.judgeClock(b.ReceivedAt, b.Monotonic)
	g.marks.Wake(int(i), b.Monotonic)
	g.marks.Advance(b.Monotonic)
	s := g.capturer.Stream(i, b.Stream)
	s.From(b.Client)
	at := Receipt{At: b.ReceivedAt, Monotonic: b.Monotonic}
	for j := range b.Lines {
		if l := &b.Lines[j]; l.Reading {
			g.capturer.Reading(s, l, at)
		} else {
			g.feed(s, l, at)
		}
	}
	g.perSrc[i].Lines += uint64(len(b.Lines))
	if b.Mark != "" {
		g.at[b.Mark] = b.Position
	}
	if b.Durable != nil {
		g.waiters = append(g.waiters, b.Durable)
	}
	g.urgent = g.urgent || b.Sync
}

// feed has a line read, unless the gateway died of it: then it is a record as it is.
func (g *group) feed(s *Stream, l *source.Line, at Receipt) {
	guard := g.guards[s.source]
	if !guard.Active() {
		failpoint.Content(l.Data)
		g.capturer.Feed(s, l.Data, l.Truncated, at)
		return
	}
	if !guard.ReadNow("", l.Data, func() {
		failpoint.Content(l.Data)
		g.capturer.Feed(s, l.Data, l.Truncated, at)
	}) {
		g.capturer.Keep(s, l.Data, l.Truncated, at)
	}
}

// add takes a record from the capturer.
func (g *group) add(r *record.Record) {
	if err := g.builder.Add(r); err != nil && g.err == nil {
		g.err = err
	}
	g.used[r.Source] = true
	g.perSrc[r.Source].add(r.Kind, r.Flags)
	if r.TimeQuality == record.QualityUnsynchronised {
		g.timing.untimed.Add(1)
		return // an hour or ten years wrong: what it moved could never be taken back
	}
	g.marks.Observe(int(r.Source), r.EventTime, ownTime(r.TimeSource), g.timing.bound(r.ReceivedAt, r.Monotonic))
}

// ownTime says that the source itself gave the time.
func ownTime(s record.TimeSource) bool {
	return s == record.TimeTag || s == record.TimeEnvelope || s == record.TimePayload
}

// judgeClock lets the timekeeper look at its evidence, and keeps what it learned
// of this boot with the records. A watermark that what is believed now shows to lie in
// the future is withdrawn: nothing would move it until then.
func (g *group) judgeClock(wall record.Micros, mono int64) {
	before := g.timing.forgot
	if g.timing.judge(wall, mono) {
		g.at[ClockMark] = g.timing.mark()
	}
	if g.timing.forgot && !before {
		g.marks.Forget()
	}
	if latest, ok := g.timing.latest(mono); ok {
		g.marks.Withdraw(latest)
	}
}

// ended says that a source will give nothing more.
func (g *group) ended(i uint32) { g.marks.Finish(int(i)) }

// quiet is called when nothing waits to be taken.
func (g *group) quiet() {
	wall, now := g.clock.Now()
	g.judgeClock(wall, now)
	g.capturer.Expire(now)
	g.marks.Advance(now)
}

// due tells whether to commit before the group's time is over; idle: nothing
// waits to be taken.
func (g *group) due(idle bool) bool {
	return g.err != nil || g.builder.Size() >= g.groupSize || g.urgent && idle
}

// annotate puts into the block what else it says. It is called once a group.
func (g *group) annotate() error {
	if g.err != nil {
		return fmt.Errorf("add a record: %w", g.err)
	}
	var all []record.Annotation
	if boot := g.clock.Boot(); boot != (clock.BootID{}) {
		all = append(all, record.Annotation{Type: record.AnnBoot, Body: boot[:]})
	}
	for i, used := range g.used {
		if used {
			all = append(all, record.SourceName{Source: uint32(i), Name: g.names[i]}.Annotation())
		}
		all = append(all, g.marks.Source(i).Annotation())
	}
	all = append(all, g.marks.Gateway().Annotation())
	for name, position := range g.at {
		all = append(all, record.Mark{Name: name, Value: position}.Annotation())
	}
	// What waits grows older with every line, so each block says it anew.
	if g.keeping = g.capturer.Remembers(); g.keeping || g.kept {
		waiting := g.capturer.Snapshot(g.clock.Boot(), func(i uint32) string { return g.names[i] })
		all = append(all, record.Mark{Name: WaitingMark, Value: waiting}.Annotation())
	}
	for _, a := range all {
		if err := g.builder.Annotate(a); err != nil {
			return fmt.Errorf("annotate a group of %d records: %w", g.builder.Count(), err)
		}
	}
	return nil
}

// committed tells everybody and starts the next group.
func (g *group) committed() {
	g.kept = g.keeping
	clear(g.at)
	clear(g.used)
	g.builder.Reset()
	g.settle()
}

// settleEmpty tells those whose lines made no record and are not among waiting
// fragments either: there is nothing of theirs to lose. Their positions ride in
// the next block.
func (g *group) settleEmpty() {
	g.urgent = false
	if g.capturer.Waiting() == 0 {
		g.settle()
	}
}

func (g *group) settle() {
	g.urgent = false
	for _, durable := range g.waiters {
		durable()
	}
	g.waiters = g.waiters[:0]
}
