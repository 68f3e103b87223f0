package forward

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// script drives a Core with lines of text and compares what it decides.
//
//	logs A=0:100! B=0:5     facts: log=first:end, ! closed
//	+10s                    time passes
//	next                    gives: ask A 0 | send A 0 | wait | wait 1s
//	answer A 50 [code]      to the last action; - for unknown
//	contradict A 50         the same, where the gateway has another block
//	forged A 50 pub=40      the same, at what is published
//	fail                    the last action ended without an answer
//	settled A               gives the offset
//
// An answer may say more: pub=40 published (pub=- not known now), ph=1 the hash
// there, n=7 the number of the ledger's entry, again=300 seconds, at=24h of the cloud's clock.
//
// Each of next, answer, contradict and forged is followed by what it must give:
// acked, published or back with the new offset, red, or nothing.
type script struct {
	t    *testing.T
	c    *Core
	now  time.Time
	logs []Log
	last Action
}

var zeroTime = time.Unix(1e9, 0)

func newScript(t *testing.T, marks map[record.LogID]Mark) *script {
	return &script{t: t, c: NewCore(Tuning{}, marks), now: zeroTime}
}

func logID(name string) record.LogID { return record.LogID{name[0]} }

func (s *script) run(text string) {
	s.t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		line, want, _ := strings.Cut(strings.TrimSpace(line), " -> ")
		if got := s.do(strings.Fields(line)); got != want {
			s.t.Fatalf("line %d, %q: %q, want %q", i+1, line, got, want)
		}
	}
}

func (s *script) do(words []string) string {
	switch cmd := words[0]; {
	case cmd == "logs":
		s.logs = nil
		for _, w := range words[1:] {
			var l Log
			name, bounds, _ := strings.Cut(w, "=")
			if _, err := fmt.Sscanf(bounds, "%d:%d", &l.First, &l.End); err != nil {
				s.t.Fatal(err)
			}
			l.ID, l.Closed = logID(name), strings.HasSuffix(w, "!")
			s.logs = append(s.logs, l)
		}
	case cmd[0] == '+':
		d, err := time.ParseDuration(cmd[1:])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case cmd == "next":
		s.last = s.c.Next(s.now, s.logs)
		return s.describe(s.last)
	case cmd == "fail":
		s.c.Failed(s.now, s.last, 0)
	case cmd == "answer", cmd == "contradict", cmd == "forged":
		return s.answer(words)
	case cmd == "look":
		s.c.LookAgain()
	case cmd == "settled":
		return s.c.Settled(logID(words[1])).String()
	}
	return ""
}

func (s *script) describe(a Action) string {
	switch {
	case a.Kind == ActAsk:
		return fmt.Sprintf("ask %c %d", a.Log[0], a.Offset)
	case a.Kind == ActSend:
		return fmt.Sprintf("send %c %d", a.Log[0], a.Offset)
	case a.Until.IsZero():
		return "wait"
	}
	return "wait " + a.Until.Sub(s.now).String()
}

func (s *script) answer(words []string) string {
	e := Exchange{Action: s.last, Contradicts: words[0] == "contradict", Forged: words[0] == "forged", Took: 10 * time.Millisecond, Whole: true, Sent: 100}
	e.Answer.Log = logID(words[1])
	if words[2] != "-" {
		e.Answer.Known = true
		s.scan(words[2], &e.Answer.Acked)
	}
	for _, w := range words[3:] {
		s.say(&e.Answer, w)
	}
	was := s.c.Acked(e.Answer.Log)
	p, ok := s.c.Answered(s.now, e, s.logs, 0)
	switch {
	case ok && p.Back:
		return fmt.Sprintf("back %c %d", p.Log[0], p.Mark.Next)
	case ok && p.Mark.Next != was.Next:
		return fmt.Sprintf("acked %c %d", p.Log[0], p.Mark.Next)
	case ok:
		return fmt.Sprintf("published %c %d", p.Log[0], p.Mark.Published)
	case len(s.c.red) > 0:
		return "red"
	}
	return "nothing"
}

func (s *script) scan(text string, to any) {
	s.t.Helper()
	if _, err := fmt.Sscan(text, to); err != nil {
		s.t.Fatal(text, err)
	}
}

// say adds to an answer what one word says.
func (s *script) say(a *wire.Answer, word string) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "pub":
		a.Publishes = true
		if a.PublishedKnown = value != "-"; a.PublishedKnown {
			s.scan(value, &a.Published.Next)
		}
	case "ph":
		s.scan(value, &a.Published.Hash[0])
	case "n":
		a.Published.Ledger = wire.LedgerTip{Task: "t"}
		s.scan(value, &a.Published.Ledger.Number)
	case "task":
		a.Published.Ledger.Task = value
	case "again":
		s.scan(value, &a.AgainIn)
		a.AgainIn *= time.Duration(time.Second)
	case "at":
		d, err := time.ParseDuration(value)
		if err != nil {
			s.t.Fatal(err)
		}
		a.LandedAt = record.Micros(zeroTime.Add(d).UnixMicro())
	default:
		a.Code = wire.Code(word)
		a.Conflict = a.Code == wire.CodeConflict
	}
}

func TestCore(t *testing.T) {
	for name, c := range map[string]struct {
		marks map[record.LogID]Mark
		text  string
	}{
		"a log, asked about, sent, finished; then the next": {nil, `
			next -> wait
			logs A=0:100! B=0:5
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 60 -> acked A 60
			next -> send A 60
			answer A 100 -> acked A 100
			next -> ask B 0
			answer B - -> nothing
			+1s
			next -> send B 0
			answer B 5 -> acked B 5
			next -> wait`},
		"after an ambiguous end it asks before it sends": {nil, `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			fail
			next -> wait 250ms
			+250ms
			next -> ask A 0
			answer A 40 -> acked A 40
			next -> send A 40
			fail
			next -> wait 250ms
			+250ms
			next -> ask A 40
			fail
			next -> wait 500ms
			+500ms
			next -> ask A 40
			fail
			next -> wait 1s`},
		"409 with the expected offset resynchronises": {nil, `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 30 out_of_order -> acked A 30
			next -> send A 30
			answer A 30 out_of_order -> nothing
			next -> wait 250ms`},
		"an answer below AckedOffset sends nothing again": {map[record.LogID]Mark{logID("A"): {Next: 50}}, `
			logs A=0:100! B=0:9!
			next -> ask A 50
			answer A 20 -> red
			next -> ask B 0
			answer B - -> red
			next -> send B 0
			answer B 9 -> acked B 9
			next -> wait 10s
			+5m
			next -> ask A 50
			answer A 50 -> nothing
			next -> send A 50
			answer A 100 -> acked A 100
			next -> wait`},
		"a contradiction makes the log red and holds up no other": {nil, `
			logs A=0:100! B=0:9!
			next -> ask A 0
			contradict A 50 -> red
			next -> ask B 0
			answer B - conflict -> red
			next -> wait 10s`},
		"a red log is asked about at longer and longer intervals, and when somebody says so": {nil, `
			logs A=0:100! B=0:9!
			next -> ask A 0
			contradict A 50 -> red
			next -> ask B 0
			contradict B 5 -> red
			next -> wait 10s
			+10s
			next -> ask A 0
			contradict A 50 -> red
			next -> ask B 0
			contradict B 5 -> red
			next -> wait 20s
			+5m
			next -> ask A 0
			contradict A 50 -> red
			next -> ask B 0
			contradict B 5 -> red
			next -> wait 40s
			+5m
			next -> ask A 0
			contradict A 50 -> red
			next -> ask B 0
			answer B - -> red
			next -> send B 0
			answer B 9 -> acked B 9
			next -> wait 1m20s
			+5m
			next -> ask A 0
			contradict A 50 -> red
			next -> wait 2m40s
			+5m
			next -> ask A 0
			contradict A 50 -> red
			next -> wait 5m0s
			look
			next -> ask A 0
			contradict A 50 -> red
			next -> wait 10s
			+10s
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			contradict A 50 -> red
			next -> wait 10s`},
		"after a failure somebody may have the link tried at once": {nil, `
			logs A=0:100!
			next -> ask A 0
			fail
			next -> wait 250ms
			look
			next -> ask A 0`},
		"more than the active log has is no acknowledgement": {nil, `
			logs A=0:100
			next -> ask A 0
			answer A 101 -> red
			next -> wait 10s`},
		"more than a closed log has finishes it": {nil, `
			logs A=0:100! B=0:9!
			next -> ask A 0
			answer A 130 -> acked A 100
			next -> ask B 0`},
		"what was released was acknowledged": {nil, `
			logs A=70:100!
			next -> ask A 70
			answer A - -> nothing
			next -> send A 70`},
		"a refusal keeps what landed and comes back slowly": {nil, `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 10 forbidden -> acked A 10
			next -> wait 30s
			+30s
			next -> ask A 10`},
		"a full cloud is asked again": {nil, `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 10 full -> acked A 10
			next -> wait 250ms
			+250ms
			next -> ask A 10`},
		"200 without progress does not spin": {nil, `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 0 -> nothing
			next -> wait 250ms`},
		"a small backlog lingers": {nil, `
			logs A=0:3
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 3 -> acked A 3
			next -> wait
			logs A=0:5
			+300ms
			next -> wait 700ms
			+700ms
			next -> send A 3`},
		"a log the store gave up changes nothing": {nil, `
			logs A=0:100! B=0:5!
			next -> ask A 0
			logs B=0:5!
			answer A 50 -> nothing
			next -> ask B 0`},
	} {
		t.Run(name, func(t *testing.T) {
			newScript(t, c.marks).run(c.text)
		})
	}
}

// TestRequestFollowsTheLink: requests grow until a transfer lasts many round
// trips, shrink after cuts, and stay within bounds.
func TestRequestFollowsTheLink(t *testing.T) {
	tuning := Tuning{MinRequestBytes: 10_000, MaxRequestBytes: 100_000_000}
	transfer := func(rate float64, trip time.Duration) (*Core, int64) {
		c := NewCore(tuning, nil)
		logs := []Log{{ID: logID("A"), End: 1 << 40, Closed: true}}
		now, size := zeroTime, int64(0)
		for range 60 {
			a := c.Next(now, logs)
			e := Exchange{Action: a, Whole: true, Took: trip, Answer: wire.Answer{Known: true, Acked: a.Offset}}
			if a.Kind == ActSend {
				size = a.Bytes
				e.Sent, e.Records = size, size/100
				e.Took += time.Duration(float64(size) / rate * float64(time.Second))
				e.Answer.Acked += record.Offset(e.Records)
			}
			now = now.Add(e.Took)
			c.Answered(now, e, logs, 0)
		}
		return c, size
	}
	for _, c := range []struct {
		rate     float64
		trip     time.Duration
		min, max int64
	}{
		{1e3, 600 * time.Millisecond, 10_000, 20_000},          // thin and far
		{1e6, 600 * time.Millisecond, 5_000_000, 24_000_000},   // fat and far
		{1e6, 10 * time.Millisecond, 1_000_000, 4_000_000},     // near
		{1e9, 10 * time.Millisecond, 100_000_000, 100_000_000}, // as much as allowed
	} {
		core, size := transfer(c.rate, c.trip)
		if size < c.min || size > c.max {
			t.Errorf("%.0f B/s, %s: requests of %d bytes, want %d to %d", c.rate, c.trip, size, c.min, c.max)
		}
		busy := float64(size) / c.rate / (float64(size)/c.rate + c.trip.Seconds())
		if busy < 0.85 {
			t.Errorf("%.0f B/s, %s: the link is busy for %.0f %%", c.rate, c.trip, 100*busy)
		}
		before := core.limit
		core.Failed(zeroTime, Action{Kind: ActSend}, 0)
		if core.limit > max(before/2, tuning.MinRequestBytes) {
			t.Errorf("a cut left the limit at %d of %d", core.limit, before)
		}
	}
}

func TestBackoff(t *testing.T) {
	tuning := Tuning{}.withDefaults()
	for _, c := range []struct {
		attempt  int
		rnd      float64
		min, max time.Duration
	}{
		{0, 0, 250 * time.Millisecond, 250 * time.Millisecond},
		{0, 0.999, 499 * time.Millisecond, 500 * time.Millisecond},
		{3, 0, 2 * time.Second, 2 * time.Second},
		{maxAttempt, 0, 30 * time.Second, 30 * time.Second},
		{maxAttempt, 0.999, 59 * time.Second, time.Minute},
	} {
		if d := tuning.Backoff(c.attempt, c.rnd); d < c.min || d > c.max {
			t.Errorf("attempt %d, %v: %s", c.attempt, c.rnd, d)
		}
	}
}
