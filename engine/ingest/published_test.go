package ingest_test

import (
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
	"landfall/engine/stream"
)

// ada is a gateway that keeps its records, its landing log, and what is known of
// the lake.
type ada struct {
	t        *testing.T
	memory   *landingtest.Memory
	registry *published.Registry
	ingest   *ingest.Handler
	keeps    bool
	now      record.Micros
	chain    *landingtest.Chain
	blocks   [][]byte // of chain, from its first
	requests byte
}

var adaTask = stream.TaskID{Landing: "mem"}

func newAda(t *testing.T) *ada {
	a := &ada{t: t, keeps: true, now: 1, registry: published.New(published.Config{Landing: "mem", Partitions: 1, AgainIn: 5 * time.Minute})}
	a.open(record.LogID{1})
	a.landing(landingtest.NewMemory("mem", 1), nil)
	return a
}

// landing puts an ingest before a landing log, as it appears to it; nil: as it is.
func (a *ada) landing(m *landingtest.Memory, seen landing.Log) {
	if a.memory = m; seen == nil {
		seen = m
	}
	a.ingest = newIngest(a.t, ingest.Config{Log: seen, Published: a.registry, Now: func() record.Micros { return a.now }})
}

// twoIngests opens two ingests on one landing log: each remembers its own appends only.
// The second one answers.
func (a *ada) twoIngests() (one, two *ingest.Handler) {
	m := landingtest.NewMemory("mem", 1)
	a.landing(m, m.View())
	one = a.ingest
	a.landing(m, m.View())
	return one, a.ingest
}

// open begins a log.
func (a *ada) open(log record.LogID) {
	a.chain, a.blocks = &landingtest.Chain{Gateway: "mv-ada", Log: log}, nil
}

// capture makes blocks of ten records each.
func (a *ada) capture(n int) {
	for range n {
		a.blocks = append(a.blocks, a.chain.Block(10, 20).Block)
	}
}

// TestAnswersNameTheLake: as soon as it is known which one it is, also where it is not
// known what is published.
func TestAnswersNameTheLake(t *testing.T) {
	a := newAda(t)
	a.capture(1)
	if got := a.ask(0); got.Lake != "" {
		t.Errorf("not known yet: %+v", got)
	}
	a.registry.Feeds("0123456789abcdef0123456789abcdef")
	if got := a.ask(0); got.Lake != "0123456789abcdef" || got.PublishedKnown {
		t.Errorf("before the task has told: %+v", got)
	}
	a.published(0, 1)
	if got := a.send(0, 10); got.Lake != "0123456789abcdef" || !got.PublishedKnown {
		t.Errorf("with what is published: %+v", got)
	}
}

func (a *ada) head(offset record.Offset) wire.RequestHeader {
	a.requests++
	return wire.RequestHeader{Gateway: "mv-ada", Log: a.chain.Log, Offset: offset, Request: wire.RequestID{a.requests}, Keeps: a.keeps}
}

// ask asks about the log, of which so much is known to have landed.
func (a *ada) ask(landed record.Offset) wire.Answer {
	a.t.Helper()
	return post(a.t, a.ingest, a.head(landed), nil)
}

// send sends the blocks that begin at an offset, up to another.
func (a *ada) send(from, to record.Offset) wire.Answer {
	a.t.Helper()
	return post(a.t, a.ingest, a.head(from), encode(a.t, a.blocks[from/10:to/10]...))
}

// published tells that the log is in the lake up to an offset.
func (a *ada) published(next record.Offset, number uint64) {
	l := ledger.Log{Gateway: "mv-ada", Log: a.chain.Log.String(), Next: next}
	if next > 0 {
		l.Chain = record.HashBlock(a.blocks[next/10-1]).String()
	}
	a.registry.Claimed(adaTask, []ledger.Log{l}, &ledger.Tip{Name: "x", Number: number, SHA256: strings.Repeat("ab", 32)})
}

// expect checks an answer: acknowledged up to an offset, -1: not known; and
// published likewise.
func (a *ada) expect(what string, got wire.Answer, code wire.Code, acked, published int) {
	a.t.Helper()
	known := -1
	if got.Known {
		known = int(got.Acked)
	}
	told := -1
	if got.PublishedKnown {
		told = int(got.Published.Next)
	}
	if got.Code != code || known != acked || told != published || !got.Publishes || got.AgainIn != 5*time.Minute {
		a.t.Errorf("%s: %+v, want %q, acknowledged %d, published %d", what, got, code, acked, published)
	}
}

func TestAnswersTellWhatIsPublished(t *testing.T) {
	a := newAda(t)
	a.capture(8)
	a.expect("before the claim", a.send(0, 40), wire.CodeNone, 40, -1)
	a.published(0, 0)
	a.expect("nothing yet", a.ask(40), wire.CodeNone, 40, 0)
	a.published(20, 7)
	got := a.send(40, 60)
	a.expect("published", got, wire.CodeNone, 60, 20)
	if want := (wire.Published{Next: 20, Hash: record.HashBlock(a.blocks[1]), Ledger: wire.LedgerTip{Task: "mem-0000", Number: 7, SHA256: strings.Repeat("ab", 32)}}); got.Published != want {
		t.Errorf("%+v, want %+v", got.Published, want)
	}
	a.published(80, 8)
	a.expect("further than this landing log", a.ask(60), wire.CodeNone, 80, 80)
	a.expect("what is published lands no more", a.send(60, 80), wire.CodeOutOfOrder, 80, 80)
	if n := len(a.memory.Landed(0)); n != 6 {
		t.Errorf("%d blocks landed", n)
	}
	a.registry.Lost(adaTask)
	a.expect("not this engine's", a.ask(60), wire.CodeNone, 60, -1)
}

func TestNothingIsToldWithoutALakeOrToAStranger(t *testing.T) {
	a := newAda(t)
	a.capture(1)
	a.published(0, 1)
	a.ingest = newIngest(t, ingest.Config{Log: a.memory})
	got := a.send(0, 10)
	if got.Publishes || got.PublishedKnown || got.AgainIn != 0 || !got.Known || got.Acked != 10 {
		t.Errorf("without a lake: %+v", got)
	}
	if a.memory.Landed(0)[0].Keeps {
		t.Error("a block landed as kept, though its gateway is never told what is published")
	}
	a.ingest = newIngest(t, ingest.Config{Log: a.memory, Published: a.registry, Identity: ingest.Identity{ClientCertificate: true}})
	if got := a.ask(10); got.Code != wire.CodeForbidden || got.Publishes || got.Known {
		t.Errorf("a stranger: %+v", got)
	}
}

func TestWhatTheGatewayKeepsIsSaidWithItsBlocks(t *testing.T) {
	a := newAda(t)
	a.capture(3)
	a.send(0, 10)
	a.keeps = false
	a.send(10, 20)
	fork := &landingtest.Chain{Gateway: "mv-ada", Log: a.chain.Log, Next: 20, Prev: record.Hash{7}}
	a.keeps = true
	if got := post(t, a.ingest, a.head(20), encode(t, fork.Block(2, 5).Block)); got.Code != wire.CodeConflict {
		t.Errorf("%+v", got)
	}
	for i, want := range []bool{true, false, true} {
		if l := a.memory.Landed(0)[i]; l.Keeps != want || l.Conflict != (i == 2) {
			t.Errorf("block %d: keeps %v, conflict %v", i, l.Keeps, l.Conflict)
		}
	}
}

// TestWhatIsKeptIsSaidToWhoReadsIt: on a shared landing log a block says that it is
// kept only when its task is known to read that.
func TestWhatIsKeptIsSaidToWhoReadsIt(t *testing.T) {
	a := newAda(t)
	a.capture(3)
	m := landingtest.NewMemory("mem", 1)
	a.landing(m, m.View())
	a.send(0, 10)
	a.published(0, 1)
	a.send(10, 20)
	for i, want := range []bool{false, true} {
		if l := m.Landed(0)[i]; l.Keeps != want {
			t.Errorf("block %d: keeps %v", i, l.Keeps)
		}
	}
}

// TestNothingIsTakenForATaskThatNobodyHasHeardOf: what goes on in the middle of a log,
// on a shared landing log that may lack what came before, waits until its task has told
// how far it is; what follows a hole comes with the mark that it is kept.
func TestNothingIsTakenForATaskThatNobodyHasHeardOf(t *testing.T) {
	a := newAda(t)
	a.capture(3)
	m := landingtest.NewMemory("mem", 1)
	a.landing(m, m.View())
	a.expect("in the middle", a.send(10, 20), wire.CodeUnavailable, -1, -1)
	if n := len(m.Landed(0)); n != 0 {
		t.Errorf("%d blocks were taken", n)
	}
	a.keeps = false
	if a.send(20, 30); len(m.Landed(0)) != 1 {
		t.Error("who keeps nothing has to wait")
	}
	a.keeps = true
	a.landing(m, m.View())
	a.published(0, 1)
	a.send(10, 20)
	if l := m.Landed(0); len(l) != 2 || !l[1].Keeps {
		t.Errorf("behind the hole: %+v", l)
	}
}

// TestAClosedLogIsAnsweredToo: the landing log knows the newest log alone; a
// question about one before it is answered with what is published, and is no sign
// of a second machine.
func TestAClosedLogIsAnsweredToo(t *testing.T) {
	a := newAda(t)
	a.capture(4)
	a.send(0, 40)
	a.published(20, 1)
	old := *a
	a.open(record.LogID{2})
	a.capture(1)
	a.expect("a newer log", a.send(0, 10), wire.CodeNone, 10, 0)
	old.ingest = a.ingest
	old.expect("landed, not published", old.ask(40), wire.CodeNone, -1, 20)
	old.published(40, 2)
	old.expect("published whole", old.ask(40), wire.CodeNone, 40, 40)
	a.expect("and on", a.ask(10), wire.CodeNone, 10, 0)
	if n := a.ingest.Stats().Alternations; n != 0 {
		t.Errorf("%d alternations", n)
	}
}

// closed tells that the log is in the lake up to an offset, and that a newer one
// names it.
func (a *ada) closed(next record.Offset) {
	a.registry.Claimed(adaTask, []ledger.Log{
		{Gateway: "mv-ada", Log: a.chain.Log.String(), Next: next},
		{Gateway: "mv-ada", Log: record.LogID{2}.String(), Next: 10, Previous: a.chain.Log.String(), PreviousEnd: 40},
	}, nil)
}

// TestTheEndOfAClosedLogWasLost: a newer log that names it is published, so
// whatever had landed of it would be, too.
func TestTheEndOfAClosedLogWasLost(t *testing.T) {
	a := newAda(t)
	a.capture(4)
	a.landing(landingtest.NewMemory("mem", 1), nil)
	newer := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{2}}
	if err := a.memory.Append(t.Context(), newer.Block(10, 20)); err != nil {
		t.Fatal(err)
	}
	a.closed(20)
	a.expect("asked", a.ask(40), wire.CodeNone, 20, 20)
	a.expect("sent again", a.send(20, 30), wire.CodeNone, 30, 20)
	if err := a.memory.Append(t.Context(), newer.Block(10, 20)); err != nil {
		t.Fatal(err)
	}
	a.expect("the newer one went on meanwhile", a.send(30, 40), wire.CodeNone, 40, 20)
	a.expect("asked again", a.ask(40), wire.CodeNone, 40, 20)
	a.closed(40)
	a.expect("published", a.ask(40), wire.CodeNone, 40, 40)
	if st := a.ingest.Stats(); st.Alternations != 0 || st.Resends != 1 {
		t.Errorf("%d alternations, %d resends", st.Alternations, st.Resends)
	}
	a.keeps = false
	a.closed(20)
	if got := a.ask(40); got.Known && got.Acked < 40 {
		t.Errorf("a gateway that keeps nothing is sent back: %+v", got)
	}
}

// TestALandingLogThatLostSomething: a new one, or an older copy, goes on at what is
// published; nothing is taken before that is known.
func TestALandingLogThatLostSomething(t *testing.T) {
	for name, holds := range map[string]record.Offset{"all": 0, "its end": 20} {
		t.Run(name, func(t *testing.T) {
			a := newAda(t)
			a.capture(8)
			lost := func() {
				a.landing(landingtest.NewMemory("mem", 1), nil)
				if holds > 0 {
					a.registry.Lost(adaTask)
					a.send(0, holds)
				}
			}
			lost()
			a.expect("asked too early", a.ask(60), wire.CodeNone, -1, -1)
			a.expect("sent too early", a.send(60, 80), wire.CodeUnavailable, -1, -1)
			a.published(10, 1)
			want := max(holds, 10)
			a.expect("asked", a.ask(60), wire.CodeNone, int(want), 10)
			a.expect("sent on", a.send(60, 80), wire.CodeOutOfOrder, int(want), 10)
			a.published(30, 2)
			a.expect("published goes on", a.ask(60), wire.CodeNone, 30, 30)
			a.expect("sent again", a.send(30, 80), wire.CodeNone, 80, 30)
			lost()
			a.keeps = false
			a.published(30, 3)
			if got := a.send(60, 80); holds == 0 && got.Code != wire.CodeNone {
				t.Errorf("a gateway that keeps nothing goes on where it is: %+v", got)
			}
		})
	}
}

// TestALogGoesBackToWhatItsTaskLacks: once, and from there everything lands again,
// until the landing log's own tail is reached; published goes before it.
func TestALogGoesBackToWhatItsTaskLacks(t *testing.T) {
	a := newAda(t)
	a.capture(12)
	a.send(0, 60)
	a.published(10, 1)
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
	a.keeps = false
	a.expect("a gateway that keeps nothing", a.ask(60), wire.CodeNone, 60, 10)
	a.keeps = true
	a.expect("asked", a.ask(60), wire.CodeNone, 20, 10)
	a.expect("sent on", a.send(60, 70), wire.CodeOutOfOrder, 20, 10)
	a.expect("sent again", a.send(20, 40), wire.CodeNone, 40, 10)
	a.expect("a late copy", a.send(60, 70), wire.CodeOutOfOrder, 40, 10)
	a.expect("asked on the way", a.ask(40), wire.CodeNone, 40, 10)
	a.registry.Filled(adaTask, "mv-ada", a.chain.Log)
	a.expect("filled before all is there", a.send(40, 50), wire.CodeNone, 50, 10)
	a.expect("over the old end", a.send(50, 80), wire.CodeNone, 80, 10)
	a.expect("and on", a.send(80, 90), wire.CodeNone, 90, 10)
	if n := len(a.memory.Landed(0)); n != 6+7 {
		t.Errorf("%d blocks landed", n)
	}
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
	a.expect("the same hole", a.ask(90), wire.CodeNone, 90, 10)
	a.now += record.Micros(10 * time.Minute / time.Microsecond)
	a.expect("it is there still", a.ask(90), wire.CodeNone, 20, 10)
	a.expect("and sent again", a.send(20, 90), wire.CodeNone, 90, 10)
	a.now += record.Micros(10 * time.Minute / time.Microsecond)
	a.expect("each time it takes longer", a.ask(90), wire.CodeNone, 90, 10)
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 50)
	a.expect("another hole", a.ask(90), wire.CodeNone, 50, 10)
	a.published(60, 2)
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
	a.expect("below what is published nothing is lacking", a.send(60, 70), wire.CodeNone, 70, 60)
	if st := a.ingest.Stats(); st.Alternations != 0 || st.Resends != 3 || st.Conflicts != 0 {
		t.Errorf("%+v", st)
	}
}

// TestAHoleThatIsStillThereIsAskedForAgain: what was sent again was lost once more,
// while the gateway goes on sending what is new.
func TestAHoleThatIsStillThereIsAskedForAgain(t *testing.T) {
	for name, shared := range map[string]bool{"one ingest": false, "two by turns": true} {
		t.Run(name, func(t *testing.T) {
			a := newAda(t)
			a.capture(20)
			m := landingtest.NewMemory("mem", 1)
			views := []landing.Log{m}
			if shared {
				views = []landing.Log{m.View(), m.View()}
			}
			var ingests []*ingest.Handler
			for _, v := range views {
				a.landing(m, v)
				ingests = append(ingests, a.ingest)
			}
			a.ingest = ingests[0]
			a.send(0, 60)
			a.published(10, 1)
			a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
			for i := range ingests {
				to := record.Offset(60 - 20*(len(ingests)-1-i))
				a.ingest = ingests[i]
				a.expect("asked", a.ask(60), wire.CodeNone, 20, 10)
				a.expect("sent again", a.send(20, to), wire.CodeNone, int(to), 10)
			}
			for at := record.Offset(60); at < 120; at += 10 { // each two minutes something new
				a.now += record.Micros(2 * time.Minute / time.Microsecond)
				a.ingest = ingests[int(at/10)%len(ingests)]
				if got := a.send(at, at+10); got.Code == wire.CodeOutOfOrder && got.Acked == 20 {
					return
				}
			}
			t.Error("it is not asked for again")
		})
	}
}

// TestACopyThatEndsWhereNoHashIsKnown is compared with nothing.
func TestACopyThatEndsWhereNoHashIsKnown(t *testing.T) {
	a := newAda(t)
	a.capture(6)
	a.send(0, 60)
	a.published(10, 1)
	a.landing(a.memory, nil) // which remembers nothing
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
	a.expect("asked", a.ask(60), wire.CodeNone, 20, 10)
	a.expect("a late copy", a.send(10, 20), wire.CodeOutOfOrder, 20, 10)
}

// TestAHoleIsSentAgainThroughAnyIngest: of two on one landing log, each knows its
// own appends only.
func TestAHoleIsSentAgainThroughAnyIngest(t *testing.T) {
	a := newAda(t)
	a.capture(12)
	one, two := a.twoIngests()
	a.send(0, 60)
	a.published(10, 1)
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 20)
	a.ingest = one
	a.expect("asked at one", a.ask(60), wire.CodeNone, 20, 10)
	a.ingest = two
	a.expect("sent to the other", a.send(20, 40), wire.CodeNone, 40, 10)
	a.ingest = one
	a.expect("which the first has not heard", a.send(40, 60), wire.CodeOutOfOrder, 20, 10)
	a.expect("so it is sent once more", a.send(20, 40), wire.CodeNone, 40, 10)
	a.ingest = two
	a.expect("and on", a.send(40, 70), wire.CodeNone, 70, 10)
	a.ingest = one
	a.expect("from anywhere", a.send(70, 90), wire.CodeNone, 90, 10)
	a.expect("to the end", a.send(90, 120), wire.CodeNone, 120, 10)
}

// TestAHoleThatIsFilledHalfway: the gateway is cut while it sends, what has come is
// published, and it goes on at another ingest, which landed what follows the hole: the
// rest is asked for. At the first one nothing is begun again because of that.
func TestAHoleThatIsFilledHalfway(t *testing.T) {
	a := newAda(t)
	a.capture(12)
	one, two := a.twoIngests()
	a.send(0, 100)
	a.published(10, 1)
	a.registry.Want(adaTask, "mv-ada", a.chain.Log, 10)
	a.ingest = one
	a.expect("asked at one", a.ask(100), wire.CodeNone, 10, 10)
	a.expect("half of it is sent", a.send(10, 50), wire.CodeNone, 50, 10)
	a.registry.Published(adaTask, []ledger.Log{{Gateway: "mv-ada", Log: a.chain.Log.String(), Next: 40, Chain: record.HashBlock(a.blocks[3]).String()}},
		ledger.Tip{Name: "x", Number: 2, SHA256: strings.Repeat("ab", 32)})
	a.expect("the same hole, a part of which is published", a.ask(50), wire.CodeNone, 50, 40)
	a.ingest = two
	a.expect("asked for the rest", a.ask(100), wire.CodeNone, 40, 40)
	a.expect("which is sent", a.send(40, 100), wire.CodeNone, 100, 40)
	a.registry.Filled(adaTask, "mv-ada", a.chain.Log)
	a.expect("and on", a.send(100, 120), wire.CodeNone, 120, 40)
}

// TestWhatIsPublishedWhileARequestRuns is acknowledged at its end: no answer says
// that more is published than it acknowledges.
func TestWhatIsPublishedWhileARequestRuns(t *testing.T) {
	a := newAda(t)
	a.capture(8)
	a.published(0, 1)
	a.memory.FailWith(func(landing.Landed) (bool, error) { // another ingest was further, and its task too
		a.published(60, 2)
		return true, nil
	})
	a.expect("published meanwhile", a.send(0, 20), wire.CodeNone, 60, 60)
}

// TestAQuestionHearsOfTheNewestLog: of the landing log, or of the lake where that has
// nothing of the gateway; only in an answer to a question, and only about a log of which
// nothing is held.
func TestAQuestionHearsOfTheNewestLog(t *testing.T) {
	a := newAda(t)
	a.capture(2)
	if got := a.ask(0); !got.Newest.IsZero() {
		t.Errorf("the first log: %+v", got.Newest)
	}
	a.send(0, 20)
	if got := a.ask(20); !got.Newest.IsZero() {
		t.Errorf("a log that is held: %+v", got.Newest)
	}
	first := a.chain.Log
	a.open(record.LogID{8})
	a.capture(2)
	if got := a.ask(0); got.Newest != (wire.HeldLog{Log: first, Next: 20}) {
		t.Errorf("a new log: %+v", got.Newest)
	}
	if got := a.send(0, 10); !got.Newest.IsZero() {
		t.Errorf("with blocks: %+v", got.Newest)
	}
	if got := a.ask(10); !got.Newest.IsZero() {
		t.Errorf("it is held now: %+v", got.Newest)
	}
	a.published(10, 1)
	second := a.chain.Log
	a.landing(landingtest.NewMemory("new", 1), nil)
	if got := a.ask(10); !got.Newest.IsZero() {
		t.Errorf("a log that is published: %+v", got.Newest)
	}
	a.open(record.LogID{9})
	if got := a.ask(0); got.Newest != (wire.HeldLog{Log: second, Next: 10}) {
		t.Errorf("a landing log that knows nothing: %+v", got.Newest)
	}
}
