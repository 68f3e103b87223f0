package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// memLog is a log in memory.
type memLog struct {
	refuse atomic.Pointer[error] // of Append

	mu     sync.Mutex // guards what follows
	blocks []record.Block
	at     []time.Time // of each block
	marks  map[string][]byte
	next   record.Offset
}

func (m *memLog) all() []record.Block {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.blocks)
}

func (m *memLog) times() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.at)
}

func (m *memLog) refuseWith(err error) { m.refuse.Store(&err) }

func (m *memLog) Append(b *record.Builder) (record.Offset, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuse.Load(); err != nil && *err != nil {
		return 0, *err
	}
	if b.Count() == 0 {
		return 0, errors.New("empty group")
	}
	block, err := record.Parse(append([]byte(nil), b.Seal(record.LogID{1}, m.next, record.Hash{})...))
	if err != nil {
		return 0, err
	}
	m.blocks, m.at = append(m.blocks, block), append(m.at, time.Now())
	m.next = block.End()
	for a := range block.Annotations {
		if a.Type == record.AnnMark {
			mark, err := a.Mark()
			if err != nil {
				return 0, err
			}
			m.marks[mark.Name] = append([]byte(nil), mark.Value...)
		}
	}
	return block.First, nil
}

func (m *memLog) Marks() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.marks)
}

// lines is the multiset of lines in the blocks' records.
func (m *memLog) lines(t *testing.T) map[string]int {
	t.Helper()
	var all []kept
	for _, b := range m.all() {
		all = append(all, decode(t, &b)...)
	}
	return recorded(all)
}

func decode(t *testing.T, b *record.Block) (all []kept) {
	t.Helper()
	for _, p := range b.Payloads {
		var r record.Record
		if err := b.DecodeRecord(p, &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind != record.KindLogOpen {
			keep(&all)(&r)
		}
	}
	return all
}

// pass lets a bubble's time go by and everything that is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// bubbleClock follows synctest's time.
type bubbleClock struct{}

func (bubbleClock) Now() (record.Micros, int64) {
	now := time.Now().UnixMicro()
	return record.Micros(now), now
}

func (bubbleClock) Boot() clock.BootID { return clock.BootID{7} }

// scripted is a source whose Run is a function.
type scripted struct {
	name string
	run  func(ctx context.Context, sink source.Sink) error
}

func (s scripted) Name() string          { return s.name }
func (s scripted) Resend() bool          { return false }
func (s scripted) Status() source.Status { return source.Status{Name: s.name} }
func (s scripted) Run(ctx context.Context, sink source.Sink) error {
	return s.run(ctx, sink)
}

func batch(lines ...string) *source.Batch {
	wall, mono := bubbleClock{}.Now()
	b := &source.Batch{Stream: "s", ReceivedAt: wall, Monotonic: mono}
	for _, l := range lines {
		b.Lines = append(b.Lines, source.Line{Data: []byte(l)})
	}
	return b
}

// live runs a Live over sources in a bubble until the returned function.
func live(t *testing.T, log Log, sources ...Source) (*Live, func() error) {
	t.Helper()
	l, err := NewLive(LiveConfig{Log: log, Clock: bubbleClock{}, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, func() error { cancel(); return <-done }
}

// feeder gives a source that delivers what comes through the channel.
func feeder(name string, in chan *source.Batch) scripted {
	return scripted{name, func(ctx context.Context, sink source.Sink) error {
		for {
			select {
			case b := <-in:
				if err := sink.Deliver(b); err != nil {
					return nil
				}
			case <-ctx.Done():
				return nil
			}
		}
	}}
}

// TestASourceThatFailedIsTold: when every source has ended by itself, an error of one
// is Run's, with what was taken before durable; when the gateway was stopped, it is not.
func TestASourceThatFailedIsTold(t *testing.T) {
	errBad := errors.New("cannot be read")
	one := func(name string, then error) scripted {
		return scripted{name, func(_ context.Context, sink source.Sink) error { return errors.Join(sink.Deliver(batch("one")), then) }}
	}
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			what    string
			sources []Source
			stopped bool
			want    error
		}{
			{"a source that failed", []Source{one("a", errBad)}, false, errBad},
			{"beside one that finished", []Source{one("a", nil), one("b", errBad)}, false, errBad},
			{"sources that finished", []Source{one("a", nil), one("b", nil)}, false, nil},
			{"a stop beside one that failed", []Source{one("a", errBad), feeder("b", make(chan *source.Batch))}, true, nil},
		} {
			log := &memLog{marks: map[string][]byte{}}
			l, err := NewLive(LiveConfig{Log: log, Clock: bubbleClock{}, Sources: c.sources})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if c.stopped {
				time.AfterFunc(time.Second, cancel)
			}
			err = l.Run(ctx)
			cancel()
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || l.Status().Captured.Records == 0 {
				t.Errorf("%s: %v, want %v; status %+v", c.what, err, c.want, l.Status().Captured)
			}
		}
	})
}

func TestGroupCommitsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in))
		pass(90 * time.Millisecond)
		begin := time.Now()
		in <- batch("one")
		pass(100 * time.Millisecond)
		in <- batch("two")
		pass(time.Second)
		if len(log.all()) != 1 || log.all()[0].Count != 2 || log.times()[0].Sub(begin) != 250*time.Millisecond {
			t.Errorf("%d blocks, at %v", len(log.all()), log.times())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncCommitsAtOnceAndTellsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in))
		told := -1
		b := batch("one")
		b.Mark, b.Position, b.Sync = "a/x", []byte("p1"), true
		b.Durable = func() { told = len(log.all()) }
		in <- b
		synctest.Wait()
		if told != 1 || string(log.Marks()["a/x"]) != "p1" {
			t.Errorf("told with %d blocks, marks %q", told, log.Marks())
		}
		// Only an empty batch: nothing to lose, told without a block.
		told = -1
		e := batch()
		e.Mark, e.Position, e.Sync, e.Durable = "a/x", []byte("p2"), true, b.Durable
		in <- e
		synctest.Wait()
		if told != 1 {
			t.Errorf("told with %d blocks", told)
		}
		// A fragment alone is told only with the block that keeps it.
		told = -1
		w := batch(sentence("AIVDM,2,1,1,A,55,0"))
		w.Sync, w.Durable = true, b.Durable
		in <- w
		synctest.Wait()
		if told != -1 {
			t.Error("told of a fragment that is nowhere durable")
		}
		in <- batch("other")
		pass(time.Second)
		if told != 2 || string(log.Marks()["a/x"]) != "p2" || len(log.Marks()[WaitingMark]) < 30 {
			t.Errorf("told with %d blocks, marks %q", told, log.Marks())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestBlockedLogWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		log.refuseWith(errors.New("full"))
		l, stop := live(t, log, feeder("a", in))
		sent, told := 0, 0
		feed := func() {
			b := batch(fmt.Sprintf("line %d", sent))
			b.Durable = func() { told++ }
			select {
			case in <- b:
				sent++
			case <-time.After(time.Minute):
			}
		}
		for range 3 * queueBatches {
			feed()
			pass(10 * time.Millisecond)
		}
		if sent > queueBatches+50 || told != 0 {
			t.Errorf("took %d batches (told %d) while the log takes nothing", sent, told)
		}
		s := l.Status()
		if s.BlockedSince == record.NoTime || s.BlockedBy != "full" || s.AppendErrors < 10 {
			t.Errorf("status %+v", s)
		}
		if s.Captured.Records != 0 || s.Captured.Lines == 0 || s.Sources[0].Captured.Records != 0 || s.Sources[0].Captured.Lines == 0 {
			t.Errorf("counted although nothing is durable: %+v", s.Captured)
		}
		log.refuseWith(nil)
		pass(10 * time.Second)
		if n := len(log.lines(t)); n != sent || told != sent {
			t.Errorf("%d lines of %d, told %d", n, sent, told)
		}
		if s := l.Status(); s.BlockedSince != record.NoTime || s.Captured.Records != uint64(sent) {
			t.Errorf("status %+v", s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestQueueIsBoundedInBytes: while the log takes nothing, large batches are not read
// ahead as many as small ones are; a batch larger than the queue is taken all the same.
func TestQueueIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		log.refuseWith(errors.New("full"))
		_, stop := live(t, log, feeder("a", in))
		const size = 1 << 19
		large := batch(string(make([]byte, size)))
		large.Lines[0].Reading = true
		sent := 0
		for range queueBatches {
			select {
			case in <- large:
				sent++
			case <-time.After(time.Minute):
			}
		}
		if sent < 4 || sent > queueBytes/size+3 { // and what is being committed, and what waits
			t.Errorf("took %d batches of %d bytes while the log takes nothing", sent, size)
		}
		log.refuseWith(nil)
		pass(time.Minute)
		short := batch(slices.Repeat([]string{"x"}, queueBytes/64+1000)...)
		in <- short
		pass(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		records := 0
		for _, b := range log.all() {
			records += len(decode(t, &b))
		}
		if records != sent+len(short.Lines) {
			t.Errorf("%d records of %d", records, sent+len(short.Lines))
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in))
		in <- batch("one", sentence("AIVDM,2,1,1,A,55,0"))
		if err := stop(); err != nil {
			t.Error(err)
		}
		// Its partner, should it come after a restart, might be another message's.
		if all := decode(t, &log.all()[0]); len(all) != 2 || all[1].Kind != record.KindFragment {
			t.Errorf("records %+v", all)
		}
		full := errors.New("full")
		log.refuseWith(full)
		_, stop = live(t, log, feeder("a", in))
		in <- batch("never")
		begin := time.Now()
		if err := stop(); !errors.Is(err, full) || time.Since(begin) > 6*time.Second {
			t.Errorf("stopped after %v with %v", time.Since(begin), err)
		}
	})
}

func TestFragmentsExpireLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in))
		in <- batch(sentence("AIVDM,2,1,1,A,55,0"))
		pass(time.Second)
		if len(log.all()) != 0 {
			t.Error("given up too soon")
		}
		pass(2 * time.Second)
		if n := log.lines(t); len(n) != 1 {
			t.Errorf("lines %v", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSourceGoneFromConfiguration: what it left waiting still becomes records.
func TestSourceGoneFromConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, resending{feeder("old", in)})
		in <- batch("one", sentence("AIVDM,2,1,1,A,55,0"))
		if err := stop(); err != nil {
			t.Error(err)
		}
		_, stop = live(t, log, feeder("new", in))
		pass(5 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		last := &log.all()[len(log.all())-1]
		all, named := decode(t, last), ""
		for a := range last.Annotations {
			if a.Type == record.AnnSource {
				s, err := a.SourceName()
				if err != nil || s.Source != all[0].Source {
					t.Errorf("source %+v, %v", s, err)
				}
				named = s.Name
			}
		}
		if len(all) != 1 || all[0].Kind != record.KindFragment || named != "old" {
			t.Errorf("records %+v of %q", all, named)
		}
	})
}

// TestBlockSaysAll: boot, sources and watermarks stand in each block.
func TestBlockSaysAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in), feeder("quiet", make(chan *source.Batch)))
		for range 2 {
			tag := fmt.Sprintf("c:%d", time.Now().Unix())
			sum := byte(0)
			for _, c := range []byte(tag) {
				sum ^= c
			}
			in <- batch(fmt.Sprintf("\\%s*%02X\\!AIVDM,1,1,,A,12vg24002gPm3WtPqina@WJ>2L0i,0*49", tag, sum))
			pass(2 * time.Minute)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		seen := map[string]record.Watermark{}
		boots := 0
		for a := range log.all()[1].Annotations {
			switch a.Type {
			case record.AnnBoot:
				boots += int(a.Body[0])
			case record.AnnWatermark:
				w, err := a.Watermark()
				if err != nil {
					t.Error(err)
				}
				seen[w.Source] = w
			}
		}
		all := decode(t, &log.all()[1])
		want := all[0].EventTime - 30_000_000
		if boots != 7 || seen["a"].At != want || seen[""].At != want || !seen["quiet"].Idle || len(seen) != 3 {
			t.Errorf("boots %d, watermarks %+v, want %d", boots, seen, want)
		}
	})
}
