package ingest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/wire"
)

// coreSim is the simulation of a lossy landing log with the gateway's real core:
// it restarts with what was durable, lets go of what is settled, and now and then
// is not told what is published.
type coreSim struct {
	*lossSim
	core *forward.Core
	// What the state file holds, and what the store has let go of each log.
	marks   map[record.LogID]forward.Mark
	telling forward.Telling
	first   map[record.LogID]record.Offset
	quiet   bool // nothing is told of what is published
	back    int  // times that a log was sent again
}

func newCoreSim(t *testing.T, seed uint64, shared bool) *coreSim {
	s := &coreSim{lossSim: newLossSim(t, seed, shared), first: map[record.LogID]record.Offset{}}
	s.gateway = s.step
	s.begin()
	return s
}

// begin starts the gateway with what was durable.
func (s *coreSim) begin() {
	s.core = forward.NewCore(forward.Tuning{Linger: -1, MinRequestBytes: 200, MaxRequestBytes: 2000, RedRetry: time.Second}, s.marks)
	s.core.Resume(forward.ReleasePublished, forward.ReleasePublished, s.telling, s.facts())
}

func (s *coreSim) clock() time.Time { return time.UnixMicro(int64(s.now)) }

func (s *coreSim) facts() []forward.Log {
	var out []forward.Log
	for i, k := range s.logs {
		if k.end() > 0 {
			out = append(out, forward.Log{ID: k.id, First: s.first[k.id], End: k.end(), Closed: i < len(s.logs)-1})
		}
	}
	return out
}

func (s *coreSim) of(id record.LogID) *keeper {
	return s.logs[slices.IndexFunc(s.logs, func(k *keeper) bool { return k.id == id })]
}

// hashAt returns the hash of the gateway's block that ends at an offset; false:
// none does.
func (k *keeper) hashAt(at record.Offset) (record.Hash, bool) {
	i := slices.Index(k.ends, at)
	if i < 0 {
		return record.Hash{}, at == 0
	}
	return record.HashBlock(k.blocks[i]), true
}

// contradicts is what a session finds of an offset that an answer states.
func (k *keeper) contradicts(known bool, at record.Offset, hash record.Hash) bool {
	have, ok := k.hashAt(at)
	return known && at <= k.end() && (!ok || at > 0 && hash != record.Hash{} && hash != have)
}

// step lets the core do one thing.
func (s *coreSim) step(chaos bool) {
	if chaos && s.rnd.IntN(40) == 0 { // the gateway starts again, with a new log
		s.open()
		s.begin()
	}
	act := s.core.Next(s.clock(), s.facts())
	if act.Kind == forward.ActWait {
		return
	}
	k := s.of(act.Log)
	if act.Offset < s.first[act.Log] {
		s.t.Fatalf("log %s: a request from %d, and what lies below %d is gone", act.Log, act.Offset, s.first[act.Log])
	}
	s.requests++
	req := simRequest{head: wire.RequestHeader{
		Gateway: "mv-ada", Log: act.Log, Offset: act.Offset, Keeps: true,
		Request: wire.RequestID{byte(s.requests), byte(s.requests >> 8), byte(s.requests >> 16)},
	}}
	sent := int64(0)
	if act.Kind == forward.ActSend {
		first, _ := slices.BinarySearch(k.ends, act.Offset+1)
		to := first
		for ; to < len(k.blocks) && sent < act.Bytes; to++ {
			sent += int64(len(k.blocks[to]))
		}
		req.body = encode(s.t, k.blocks[first:to]...)
	}
	a := s.deliver(req)
	if s.quiet = chaos && (s.quiet || s.rnd.IntN(30) == 0) && s.rnd.IntN(10) > 0; s.quiet {
		a.Publishes, a.PublishedKnown, a.Published, a.AgainIn = false, false, wire.Published{}, 0
	}
	if chaos && s.rnd.IntN(6) == 0 {
		s.late = append(s.late, req)
		s.core.Failed(s.clock(), act, s.rnd.Float64())
		return
	}
	e := forward.Exchange{Action: act, Answer: a, Sent: sent, Records: sent / 20, Whole: true, Took: time.Millisecond}
	e.Contradicts = k.contradicts(a.Known, a.Acked, a.Hash)
	e.Forged = k.contradicts(a.PublishedKnown, a.Published.Next, a.Published.Hash)
	p, moved := s.core.Answered(s.clock(), e, s.facts(), s.rnd.Float64())
	if reds := s.core.Reds(); len(reds) > 0 {
		s.t.Fatalf("red: %+v after %+v", reds, a)
	}
	if moved {
		k.landed, k.published = p.Mark.Next, p.Mark.Published
		if p.Back {
			s.back++
		}
	}
	s.settle(chaos)
}

// settle lets go of what is settled, after that is durable; a gateway may end
// before it does either.
func (s *coreSim) settle(chaos bool) {
	if chaos && s.rnd.IntN(4) == 0 {
		return
	}
	s.marks = map[record.LogID]forward.Mark{}
	for _, k := range s.logs {
		s.marks[k.id] = s.core.Acked(k.id)
	}
	s.telling = s.core.Telling()
	if chaos && s.rnd.IntN(4) == 0 {
		return
	}
	for _, k := range s.logs {
		settled := s.core.Settled(k.id)
		if settled > s.saved.next[k.id] {
			s.t.Fatalf("log %s: settled below %d, published below %d", k.id, settled, s.saved.next[k.id])
		}
		s.first[k.id] = max(s.first[k.id], settled)
	}
}

// TestSimulationOfAGatewayThatKeeps: with the gateway's real core, which lets go of
// what it is told to be published and of nothing else, all is published in the end,
// nothing is red, and nothing is asked for that is gone.
func TestSimulationOfAGatewayThatKeeps(t *testing.T) {
	for name, shared := range map[string]bool{"OneKnowsAll": false, "Shared": true} {
		t.Run(name, func(t *testing.T) {
			lost, back := 0, 0
			for seed := range seeded(8) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					s := newCoreSim(t, seed, shared)
					s.run(600)
					s.finish()
					lost, back = lost+s.lost, back+s.back
					for id, at := range s.first {
						if end := s.of(id).end(); at > end {
							t.Errorf("log %s let go below %d of %d", id, at, end)
						}
					}
				})
			}
			if lost == 0 || back == 0 {
				t.Errorf("%d losses, %d logs sent again", lost, back)
			}
			t.Logf("%d losses, %d times a log was sent again", lost, back)
		})
	}
}
