package task

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// promises are what the landing log said to hold of each gateway at some moment. A
// task that has read everything that was there at that moment has it, or it is lost:
// so a hole at the end of a log is found, which no later block shows, and a log of
// which nothing can be read.
//
// What was asked for because of that stands in no state: the landing log is asked
// again by the next claim.
type promises struct {
	at    time.Time               // when they were taken last
	tails map[string]landing.Tail // nil: nothing to be compared
	end   stream.Position         // of a shared log: read up to here, all of it was read
	asked map[record.LogID]lacking
}

// lacking is what was asked for of one log.
type lacking struct {
	gateway     string
	from, until record.Offset
	at          time.Time // when it was asked for first
}

// poll compares what was promised with what was read, once all of that was read. It
// returns a block that it came upon.
//
// Of a log that nobody shares, all was read when Next has nothing without waiting. A
// shared one may be slow: there the position tells, and it is asked once a claim, for
// a Reader notices itself what such a log loses.
func (l *loop) poll(ctx context.Context) (landed landing.Landed, after stream.Position, ok bool, err error) {
	p, shared := &l.promises, l.cfg.Log.Shared()
	if now := time.Now(); p.tails == nil && (p.at.IsZero() || !shared && now.Sub(p.at) >= l.cfg.HeadInterval) {
		p.at, p.tails = now, l.cfg.Log.Tails(l.cfg.Partition)
		if shared && len(p.tails) > 0 {
			if _, p.end, err = l.cfg.Log.Bounds(ctx, l.cfg.Partition); err != nil {
				p.at, p.tails = time.Time{}, nil
				return landed, after, false, nil // whoever reads hears of it
			}
		}
	}
	switch {
	case p.tails == nil, shared && len(p.tails) == 0:
		p.tails = nil
	case shared && l.position.Offset >= p.end.Offset:
		l.compare()
	case !shared && ctx.Err() == nil:
		now, cancel := context.WithCancel(ctx)
		cancel()
		if landed, after, err = l.reader.Next(now); !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return landed, after, err == nil, err
		}
		l.compare()
	}
	return landing.Landed{}, stream.Position{}, false, nil
}

// compare asks for what was promised and did not come. Where all of it has come, and
// nothing else is missing either, whatever could not be read before was made up for. Of a
// shared log that is not known: of what other ingests promised, nothing is.
func (l *loop) compare() {
	p := &l.promises
	tails := p.tails
	p.tails = nil
	for _, gateway := range slices.Sorted(maps.Keys(tails)) {
		t := tails[gateway]
		st, _ := l.processor.logs.Get(t.Log)
		if st.Next >= t.Next || st.Hole.isOpen() {
			continue
		}
		a, again := p.asked[t.Log]
		if again && a.from == st.Next {
			continue
		}
		if !again {
			a.at = time.Now()
		}
		if p.asked == nil {
			p.asked = make(map[record.LogID]lacking)
		}
		p.asked[t.Log] = lacking{gateway: gateway, from: st.Next, until: t.Next, at: a.at}
		l.want(gateway, t.Log, st.Next)
	}
	unreadable, recovered := l.cfg.Unreadable(), &l.cfg.Counters.Recovered
	if unreadable > recovered.Load() && !l.cfg.Log.Shared() && len(p.asked) == 0 && l.processor.isWhole() {
		recovered.Store(unreadable)
	}
}

// isWhole says that nothing is known to be missing of any log: none has a hole, and each
// has come as far as the opening of the next one says.
func (p *processor) isWhole() bool {
	if len(p.open) > 0 {
		return false
	}
	for _, st := range p.logs.All() {
		if old, _ := p.logs.Get(st.Previous); old.Next < st.PreviousEnd {
			return false
		}
	}
	return true
}

// kept tells of what was asked for and has come since. A hole that was found in a log
// meanwhile stands for itself.
func (l *loop) kept() {
	for id, a := range l.promises.asked {
		st, _ := l.processor.logs.Get(id)
		if !st.Hole.isOpen() && st.Next < a.until {
			continue
		}
		delete(l.promises.asked, id)
		if !st.Hole.isOpen() {
			l.processor.found = append(l.processor.found, finding{Gateway: a.gateway, Log: id, Filled: true})
		}
	}
}
