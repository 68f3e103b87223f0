package ingest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
)

// The simulation: the pure core of a gateway, two ingests on one landing log,
// and between them a network that cuts requests anywhere, loses answers, repeats
// them, and delivers late copies of requests long after, at either ingest. The
// model is what the gateway has and what it was told.

// simCloud is the landing log of a simulation: partition 0 of it.
type simCloud interface {
	ingest(i int) landing.Log
	landed() []landing.Landed
	forget() // what the ingests remember
	calm()   // no more faults
}

// memoryCloud is a landing log in memory whose appends fail by chance; shared:
// each ingest knows its own appends only.
type memoryCloud struct {
	*landingtest.Memory
	views []*landingtest.View
}

func newMemoryCloud(_ *testing.T, rnd *rand.Rand, shared bool) simCloud {
	c := &memoryCloud{Memory: landingtest.NewMemory("mem", 1)}
	if shared {
		c.views = []*landingtest.View{c.View(), c.View()}
	}
	c.FailWith(func(landing.Landed) (bool, error) {
		switch rnd.IntN(25) {
		case 0:
			return true, errors.New("failed and stored")
		case 1:
			return false, landing.ErrFull
		}
		return false, nil
	})
	return c
}

func (c *memoryCloud) ingest(i int) landing.Log {
	if c.views == nil {
		return c.Memory
	}
	return c.views[i]
}

func (c *memoryCloud) landed() []landing.Landed { return c.Landed(0) }

func (c *memoryCloud) forget() {
	c.Forget()
	for _, v := range c.views {
		v.Forget()
	}
}

func (c *memoryCloud) calm() { c.FailWith(nil) }

type simLog struct {
	forward.Log
	blocks [][]byte
	chain  landingtest.Chain
}

type simRequest struct {
	head wire.RequestHeader
	body []byte
}

type sim struct {
	t       *testing.T
	rnd     *rand.Rand
	cloud   simCloud
	ingests []*ingest.Handler
	now     time.Time

	logs  []*simLog
	core  *forward.Core
	saved map[record.LogID]forward.Mark // what the state file holds
	late  []simRequest
	n     byte // requests so far, for identities
	told  map[record.LogID]record.Offset
}

func newSim(t *testing.T, seed uint64, cloud func(*testing.T, *rand.Rand) simCloud) *sim {
	s := &sim{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0),
		saved: map[record.LogID]forward.Mark{}, told: map[record.LogID]record.Offset{},
	}
	s.cloud = cloud(t, s.rnd)
	for i := range 2 {
		s.ingests = append(s.ingests, newIngest(t, ingest.Config{Log: s.cloud.ingest(i)}))
	}
	s.restart()
	return s
}

// restart begins a new process: a new log at its first record, the core from
// the state file.
func (s *sim) restart() {
	for _, l := range s.logs {
		l.Closed = true
	}
	id := record.LogID{byte(len(s.logs) + 1)}
	s.logs = append(s.logs, &simLog{Log: forward.Log{ID: id}, chain: landingtest.Chain{Gateway: "mv-ada", Log: id}})
	s.core = forward.NewCore(forward.Tuning{Linger: -1, MinRequestBytes: 200, MaxRequestBytes: 2000, RedRetry: time.Second}, s.saved)
}

func (s *sim) capture() {
	l := s.logs[len(s.logs)-1]
	l.blocks = append(l.blocks, l.chain.Block(1+s.rnd.IntN(4), 10+s.rnd.IntN(60)).Block)
	l.End = l.chain.Next
}

func (s *sim) facts() []forward.Log {
	var out []forward.Log
	for _, l := range s.logs {
		if l.End > 0 {
			out = append(out, l.Log)
		}
	}
	return out
}

// step lets the core do one thing over the network of chance.
func (s *sim) step(chaos bool) (idle bool) {
	s.now = s.now.Add(time.Duration(s.rnd.IntN(100)) * time.Millisecond)
	act := s.core.Next(s.now, s.facts())
	if act.Kind == forward.ActWait {
		if act.Until.IsZero() {
			return true
		}
		s.now = act.Until
		return false
	}
	if told := s.told[act.Log]; act.Offset < told {
		s.t.Fatalf("log %s: request from %d after %d was acknowledged", act.Log, act.Offset, told)
	}
	s.n++
	req := simRequest{head: wire.RequestHeader{Gateway: "mv-ada", Log: act.Log, Offset: act.Offset, Request: wire.RequestID{s.n}}}
	sent, records := int64(0), int64(0)
	if act.Kind == forward.ActSend {
		req.body, sent, records = s.encode(act)
	}
	if !chaos {
		s.deliver(act, req, sent, records, true)
		return false
	}
	switch s.rnd.IntN(8) {
	case 0: // lost before it arrived; a copy may come later
		s.late = append(s.late, req)
		s.core.Failed(s.now, act, s.rnd.Float64())
	case 1: // cut inside
		cut := req
		if len(cut.body) > 0 {
			cut.body = cut.body[:1+s.rnd.IntN(len(cut.body))]
		}
		s.send(cut)
		s.late = append(s.late, req)
		s.core.Failed(s.now, act, s.rnd.Float64())
	case 2: // the answer is lost
		s.send(req)
		s.core.Failed(s.now, act, s.rnd.Float64())
	case 3: // arrives twice
		s.send(req)
		s.deliver(act, req, sent, records, true)
	case 4: // the state file is not written before the end of the process
		s.deliver(act, req, sent, records, false)
		s.restart()
	case 5:
		s.late = append(s.late, req)
		fallthrough
	default:
		s.deliver(act, req, sent, records, true)
	}
	return false
}

// encode gives the body of a Send, as the session would.
func (s *sim) encode(act forward.Action) (body []byte, sent, records int64) {
	var blocks [][]byte
	for _, b := range s.find(act.Log).blocks {
		h, err := record.ParseHeader(b)
		if err != nil {
			s.t.Fatal(err)
		}
		if h.First < act.Offset {
			continue
		}
		if sent >= act.Bytes {
			break
		}
		blocks, sent, records = append(blocks, b), sent+int64(len(b)), records+int64(h.Count)
	}
	return encode(s.t, blocks...), sent, records
}

func (s *sim) find(id record.LogID) *simLog {
	for _, l := range s.logs {
		if l.ID == id {
			return l
		}
	}
	s.t.Fatalf("no log %s", id)
	return nil
}

// send delivers a request to either ingest and gives the answer.
func (s *sim) send(req simRequest) wire.Answer {
	r := httptest.NewRequest(http.MethodPost, wire.Path, io.NopCloser(bytes.NewReader(req.body)))
	if r.ContentLength = -1; len(req.body) == 0 {
		r.ContentLength = 0
	}
	req.head.Write(r.Header, len(req.body) > 0)
	w := httptest.NewRecorder()
	s.ingests[s.rnd.IntN(2)].ServeHTTP(w, r)
	a, err := wire.DecodeAnswer(w.Code, w.Header().Get("Content-Type"), w.Body.Bytes(), req.head)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *sim) deliver(act forward.Action, req simRequest, sent, records int64, save bool) {
	a := s.send(req)
	e := forward.Exchange{Action: act, Answer: a, Sent: sent, Records: records, Whole: true, Took: 10 * time.Millisecond}
	p, ok := s.core.Answered(s.now, e, s.facts(), s.rnd.Float64())
	if !ok || !save {
		return
	}
	held := judge(s.t, s.cloud.landed()).next[p.Log]
	if p.Mark.Next > held {
		s.t.Fatalf("log %s: %d acknowledged, %d landed", p.Log, p.Mark.Next, held)
	}
	s.saved[p.Log], s.told[p.Log] = p.Mark, p.Mark.Next
}

func (s *sim) run(steps int) {
	for range steps {
		switch s.rnd.IntN(12) {
		case 0, 1, 2, 3:
			s.capture()
		case 4:
			if len(s.late) > 0 { // a copy out of the past
				i := s.rnd.IntN(len(s.late))
				s.send(s.late[i])
			}
		case 5:
			if s.rnd.IntN(10) == 0 {
				s.restart()
			}
			if s.rnd.IntN(10) == 0 {
				s.cloud.forget() // ingest restarts without its cache
			}
		default:
			s.step(true)
		}
	}
	s.cloud.calm()
	for i := 0; !s.step(false); i++ {
		if i > 10000 {
			s.t.Fatalf("never done; red: %+v", s.core.Reds())
		}
	}
}

func TestSimulation(t *testing.T) {
	for name, shared := range map[string]bool{"OneKnowsAll": false, "Shared": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 15, func(t *testing.T, rnd *rand.Rand) simCloud { return newMemoryCloud(t, rnd, shared) })
		})
	}
}

// seeded returns how many seeds a simulation runs, more with LANDFALL_SOAK.
func seeded(seeds uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("LANDFALL_SOAK"), 10, 32); err == nil {
		seeds *= 100 * n
	}
	return seeds
}

// simulate runs a simulation a seed, more with LANDFALL_SOAK.
func simulate(t *testing.T, seeds uint64, cloud func(*testing.T, *rand.Rand) simCloud) {
	duplicates, requests := 0, 0
	for seed := range seeded(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed, cloud)
			s.run(400)
			a := judge(t, s.cloud.landed())
			for _, l := range s.logs {
				if a.next[l.ID] != l.End {
					t.Errorf("log %s landed to %d of %d", l.ID, a.next[l.ID], l.End)
				}
			}
			if a.conflicts != 0 || a.lost != 0 || len(s.core.Reds()) != 0 {
				t.Errorf("%+v, red %+v", a, s.core.Reds())
			}
			duplicates += a.duplicates
			for _, h := range s.ingests {
				requests += int(h.Stats().Requests)
			}
		})
	}
	if duplicates == 0 {
		t.Error("nothing ever landed twice: the network is too good")
	}
	t.Logf("%d requests, %d blocks landed again", requests, duplicates)
}
