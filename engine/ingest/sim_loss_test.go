package ingest_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/ledger"
	"landfall/engine/published"
)

// The simulation of a landing log that loses what it was given: blocks out of its
// middle, its end, everything. A gateway that keeps its records, two ingests, a
// task that asks for what it lacks, and late copies of old requests. Where the landing
// log is shared each ingest hears from the task some time later, and not at the same
// time as the other. The model is what the gateway captured: in the end all of it is
// published, each block taken once and in order, and no answer ever says less than
// what was published, but one that names an older entry of the ledger.

// keeper is the gateway: logs that it sends one after the other.
type keeper struct {
	id        record.LogID
	previous  record.LogID
	blocks    [][]byte
	ends      []record.Offset
	chain     landingtest.Chain
	landed    record.Offset
	published record.Offset
	number    uint64 // of the ledger's entry with which that was told
}

// taken is the task's: where it stands, now and at its last checkpoint.
type taken struct {
	at    int // in the landing log
	next  map[record.LogID]record.Offset
	holes map[record.LogID]record.Offset // the end of what was skipped of a log
}

func (k *taken) clone() taken {
	c := taken{at: k.at, next: map[record.LogID]record.Offset{}, holes: map[record.LogID]record.Offset{}}
	for id, n := range k.next {
		c.next[id] = n
	}
	for id, n := range k.holes {
		c.holes[id] = n
	}
	return c
}

// ear is one ingest's: what it knows of the lake, and what it has still to hear.
type ear struct {
	registry *published.Registry
	told     []news
}

type news struct {
	at   record.Micros
	tell func(*published.Registry)
}

// longestLag is after how long each ingest has heard what was told.
const longestLag = 5 * time.Minute

type lossSim struct {
	t       *testing.T
	rnd     *rand.Rand
	shared  bool
	memory  *landingtest.Memory
	views   [2]landing.Log
	ingests [2]*ingest.Handler
	heard   [2]ear // what each ingest heard from the task
	number  uint64 // of the newest entry of the task's ledger
	now     record.Micros

	gateway  func(chaos bool) // one exchange of the gateway's; exchange, or a real one's
	logs     []*keeper
	late     []simRequest
	requests uint32
	gone     map[int]bool // blocks that cannot be read back
	task     taken
	saved    taken
	lost     int
}

func newLossSim(t *testing.T, seed uint64, shared bool) *lossSim {
	s := &lossSim{t: t, rnd: rand.New(rand.NewPCG(seed, 2)), shared: shared, now: 1}
	for i := range s.heard {
		s.heard[i].registry = published.New(published.Config{Landing: "mem", Partitions: 1})
		s.heard[i].registry.Claimed(adaTask, nil, nil) // by a program that passes over what follows a hole
	}
	s.task = taken{next: map[record.LogID]record.Offset{}, holes: map[record.LogID]record.Offset{}}
	s.saved = s.task.clone()
	s.gateway = s.exchange
	s.empty()
	s.open()
	return s
}

// empty begins a landing log that holds nothing; the task reads it from its
// beginning.
func (s *lossSim) empty() {
	s.memory, s.gone = landingtest.NewMemory("mem", 1), map[int]bool{}
	s.views = [2]landing.Log{s.memory, s.memory}
	if s.shared {
		s.views = [2]landing.Log{s.memory.View(), s.memory.View()}
	}
	s.restart(0)
	s.restart(1)
	s.task, s.saved.at = s.saved.clone(), 0
	s.task.at = 0
	s.tell(func(r *published.Registry) { r.Lost(adaTask) })
}

// tell tells the ingests something: the one that knows all at once, others later.
func (s *lossSim) tell(what func(*published.Registry)) {
	for i := range s.heard {
		s.heard[i].told = append(s.heard[i].told, news{s.now, what})
	}
	if !s.shared {
		s.listen(0, 0)
	}
}

// listen has an ingest hear what was told so long ago.
func (s *lossSim) listen(i int, lag time.Duration) {
	e := &s.heard[i]
	for len(e.told) > 0 && s.now-e.told[0].at >= record.Micros(lag.Microseconds()) {
		e.told[0].tell(e.registry)
		e.told = e.told[1:]
	}
}

// restart is one ingest's: it remembers nothing.
func (s *lossSim) restart(i int) {
	if s.shared {
		s.views[i] = s.memory.View()
	}
	s.ingests[i] = newIngest(s.t, ingest.Config{Log: s.views[i], Published: s.heard[i].registry, Now: func() record.Micros { return s.now }})
}

// open begins a new log of the gateway.
func (s *lossSim) open() {
	k := &keeper{id: record.LogID{byte(len(s.logs) + 1)}}
	k.chain = landingtest.Chain{Gateway: "mv-ada", Log: k.id}
	if n := len(s.logs); n > 0 {
		if s.logs[n-1].end() == 0 {
			return
		}
		k.previous = s.logs[n-1].id
	}
	s.logs = append(s.logs, k)
}

func (k *keeper) end() record.Offset { return k.chain.Next }

func (s *lossSim) capture() {
	k := s.logs[len(s.logs)-1]
	k.blocks = append(k.blocks, k.chain.Block(1+s.rnd.IntN(4), 10).Block)
	k.ends = append(k.ends, k.end())
}

// exchange sends what comes next, or asks.
func (s *lossSim) exchange(chaos bool) {
	var k *keeper
	for _, l := range s.logs {
		if l.landed < l.end() {
			k = l
			break
		}
	}
	req := simRequest{}
	if k == nil || s.rnd.IntN(8) == 0 {
		if k = s.logs[s.rnd.IntN(len(s.logs))]; k.end() == 0 {
			return
		}
	} else {
		first, _ := slices.BinarySearch(k.ends, k.landed+1)
		req.body = encode(s.t, k.blocks[first:min(len(k.blocks), first+1+s.rnd.IntN(6))]...)
	}
	s.requests++
	req.head = wire.RequestHeader{
		Gateway: "mv-ada", Log: k.id, Offset: k.landed, Keeps: true,
		Request: wire.RequestID{byte(s.requests), byte(s.requests >> 8), byte(s.requests >> 16)},
	}
	a := s.deliver(req)
	if chaos && s.rnd.IntN(6) == 0 {
		s.late = append(s.late, req)
		return // the answer is lost
	}
	if number := a.Published.Ledger.Number; a.PublishedKnown {
		switch {
		case a.Published.Next >= k.published:
			k.published, k.number = a.Published.Next, max(k.number, number)
		case number >= k.number:
			s.t.Fatalf("log %s: %d is published after %d, entry %d after %d", k.id, a.Published.Next, k.published, number, k.number)
		case a.Acked < k.published:
			a.Known = false
		}
	}
	if a.Known {
		if a.Acked < k.published {
			s.t.Fatalf("log %s: %d acknowledged, %d published", k.id, a.Acked, k.published)
		}
		k.landed = a.Acked
	}
	if a.Code == wire.CodeConflict {
		s.t.Fatalf("log %s: %s", k.id, a.Detail)
	}
}

func (s *lossSim) deliver(req simRequest) wire.Answer {
	r := httptest.NewRequest(http.MethodPost, wire.Path, io.NopCloser(bytes.NewReader(req.body)))
	if r.ContentLength = -1; len(req.body) == 0 {
		r.ContentLength = 0
	}
	req.head.Write(r.Header, len(req.body) > 0)
	w := httptest.NewRecorder()
	s.ingests[s.rnd.IntN(2)*map[bool]int{true: 1}[s.shared]].ServeHTTP(w, r)
	a, err := wire.DecodeAnswer(w.Code, w.Header().Get("Content-Type"), w.Body.Bytes(), req.head)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// read lets the task take what has landed, as engine/task does.
func (s *lossSim) read() {
	all := s.memory.Landed(0)
	for ; s.task.at < len(all); s.task.at++ {
		if s.gone[s.task.at] {
			continue
		}
		l := all[s.task.at]
		b, err := record.Parse(l.Block)
		if err != nil || l.Conflict || !l.Keeps {
			s.t.Fatalf("landed block %d: %v, %+v", s.task.at, err, l)
		}
		next := s.task.next[b.Log]
		switch {
		case b.First == next:
			s.task.next[b.Log] = b.End()
			if hole, ok := s.task.holes[b.Log]; ok && b.End() >= hole {
				delete(s.task.holes, b.Log)
				s.tell(func(r *published.Registry) { r.Filled(adaTask, "mv-ada", b.Log) })
			}
		case b.First > next:
			s.task.holes[b.Log] = max(s.task.holes[b.Log], b.End())
			s.tell(func(r *published.Registry) { r.Want(adaTask, "mv-ada", b.Log, next) })
		}
	}
}

// logsAt tells how far each log is.
func (s *lossSim) logsAt(k *taken) []ledger.Log {
	var logs []ledger.Log
	for _, l := range s.logs {
		if next := k.next[l.id]; next > 0 {
			entry := ledger.Log{Gateway: "mv-ada", Log: l.id.String(), Next: next}
			if !l.previous.IsZero() {
				entry.Previous = l.previous.String()
			}
			if i := slices.Index(l.ends, next); i >= 0 {
				entry.Chain = record.HashBlock(l.blocks[i]).String()
			}
			logs = append(logs, entry)
		}
	}
	return logs
}

// publish ends an epoch.
func (s *lossSim) publish() {
	s.read()
	s.saved = s.task.clone()
	s.number++
	logs, tip := s.logsAt(&s.saved), s.tip()
	s.tell(func(r *published.Registry) { r.Published(adaTask, logs, tip) })
}

func (s *lossSim) tip() ledger.Tip {
	return ledger.Tip{Name: "x", Number: s.number, SHA256: strings.Repeat("ab", 32)}
}

// claim starts the task from its checkpoint.
func (s *lossSim) claim() {
	s.task = s.saved.clone()
	logs, tip, saved := s.logsAt(&s.saved), s.tip(), s.saved.clone()
	s.tell(func(r *published.Registry) {
		r.Claimed(adaTask, logs, &tip)
		for id := range saved.holes {
			r.Want(adaTask, "mv-ada", id, saved.next[id])
		}
	})
}

func (s *lossSim) run(steps int) {
	for range steps {
		s.now += record.Micros(time.Minute / time.Microsecond)
		for i := range s.heard {
			lag := longestLag
			if s.rnd.IntN(3) == 0 {
				lag = 0
			}
			s.listen(i, lag)
		}
		switch s.rnd.IntN(24) {
		case 0, 1, 2, 3, 4, 5:
			s.capture()
		case 6:
			if len(s.late) > 0 {
				s.deliver(s.late[s.rnd.IntN(len(s.late))])
			}
		case 7:
			if s.rnd.IntN(6) == 0 {
				s.open()
			}
		case 8:
			if n := len(s.memory.Landed(0)); n > s.task.at { // damage before it was read
				s.gone[s.task.at+s.rnd.IntN(n-s.task.at)] = true
				s.lost++
			}
		case 9:
			if s.rnd.IntN(10) == 0 {
				s.empty()
				s.lost++
			}
		case 10:
			s.restart(s.rnd.IntN(2))
		case 11:
			s.claim()
		case 12:
			s.publish()
		case 13, 14, 15:
			s.read()
		default:
			s.gateway(true)
		}
	}
}

// finish has no more faults: all must be published within a bound.
func (s *lossSim) finish() {
	s.claim()
	for n := 0; ; n++ {
		s.now += record.Micros(time.Minute / time.Microsecond)
		if n < 50 { // what was lost at the very end shows with what comes after it
			s.capture()
		}
		s.gateway(false)
		s.publish()
		s.listen(0, 0)
		s.listen(1, longestLag)
		if !slices.ContainsFunc(s.logs, func(k *keeper) bool { return k.published < k.end() }) {
			return
		}
		if n > 5000 {
			for _, k := range s.logs {
				s.t.Errorf("log %s: captured %d, landed %d, published %d", k.id, k.end(), k.landed, k.published)
			}
			s.t.Fatal("never done")
		}
	}
}

// TestSimulationOfALossyLandingLog: whatever the landing log loses is sent again,
// because the gateway keeps it.
func TestSimulationOfALossyLandingLog(t *testing.T) {
	for name, shared := range map[string]bool{"OneKnowsAll": false, "Shared": true} {
		t.Run(name, func(t *testing.T) {
			lost, resends := 0, uint64(0)
			for seed := range seeded(8) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					s := newLossSim(t, seed, shared)
					s.run(600)
					s.finish()
					lost += s.lost
					for _, h := range s.ingests {
						resends += h.Stats().Resends
						if st := h.Stats(); st.Conflicts != 0 {
							t.Errorf("%d conflicts", st.Conflicts)
						}
					}
				})
			}
			if lost == 0 || resends == 0 {
				t.Error("nothing was lost")
			}
			t.Logf("%d losses", lost)
		})
	}
}
