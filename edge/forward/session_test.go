package forward

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

func newStore(t testing.TB, cfg seglog.Config) *seglog.Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := seglog.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func capture(t testing.TB, s *seglog.Store, groups, size int) {
	t.Helper()
	var b record.Builder
	for i := range groups {
		b.Reset()
		raw := bytes.Repeat([]byte{'a' + byte(i%26)}, size)
		if err := b.Add(&record.Record{Kind: record.KindText, ReceivedAt: record.Micros(1000 + i), Raw: raw}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
}

// cloud is a stand-in that holds what it was sent and answers as told.
type cloud struct {
	mu     sync.Mutex
	answer func(a *wire.Answer) // changes what is answered
	lose   bool                 // everything is taken, and no answer given
	blocks []record.Block
	heads  []wire.RequestHeader
	next   map[record.LogID]record.Offset
	hashes map[boundaryKey]record.Hash
	// published is what is told to be published of each log; nil: nothing is told.
	published map[record.LogID]record.Offset
}

type boundaryKey struct {
	log record.LogID
	end record.Offset
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, err := wire.ParseRequestHeader(r.Header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.heads = append(c.heads, h)
	d := wire.NewDecoder(r.Body, 1<<30)
	defer d.Close()
	for {
		p, err := d.Next()
		if err != nil {
			break
		}
		b, err := record.Parse(p)
		if next, known := c.next[h.Log]; err == nil && (b.First == next || !known) {
			c.blocks = append(c.blocks, b)
			c.next[h.Log], c.hashes[boundaryKey{h.Log, b.End()}] = b.End(), record.HashBlock(p)
		}
	}
	a := wire.Answer{Gateway: h.Gateway, Log: h.Log, Request: h.Request, LandedAt: 1}
	if a.Acked, a.Known = c.next[h.Log]; a.Known {
		a.Hash = c.hashes[boundaryKey{h.Log, a.Acked}]
	}
	if a.Known && h.Offset > a.Acked {
		a.Code = wire.CodeOutOfOrder
	}
	if c.published != nil {
		a.Publishes, a.PublishedKnown = true, true
		a.Published = wire.Published{Next: c.published[h.Log], Hash: c.hashes[boundaryKey{h.Log, c.published[h.Log]}]}
	}
	if c.lose {
		panic(http.ErrAbortHandler)
	}
	if c.answer != nil {
		c.answer(&a)
	}
	w.Header().Set("Content-Type", wire.AnswerType)
	w.WriteHeader(a.Code.Status())
	_, _ = w.Write(a.Encode())
}

func newCloud(t testing.TB) (*cloud, string) {
	t.Helper()
	c := &cloud{next: map[record.LogID]record.Offset{}, hashes: map[boundaryKey]record.Hash{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	return c, srv.URL
}

// tell changes what the cloud does.
func (c *cloud) tell(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// quick waits for nothing for long.
var quick = Tuning{Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond, RedRetry: 10 * time.Millisecond, HearMin: time.Millisecond, HearMax: 5 * time.Millisecond}

func start(t testing.TB, cfg Config) (*Session, func()) {
	t.Helper()
	cfg.Gateway = "mv-ada"
	if cfg.Tuning == (Tuning{}) {
		cfg.Tuning = quick
	}
	if cfg.StatePath == "" {
		cfg.StatePath = filepath.Join(t.TempDir(), "forward")
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("session ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

func TestShedRangeIsDeclaredLost(t *testing.T) {
	s := newStore(t, seglog.Config{SegmentBytes: 32 << 10, QuotaBytes: 160 << 10, Policy: seglog.ShedOldest, CapturedRecords: true})
	capture(t, s, 60, 8<<10)
	c, url := newCloud(t)
	f, stop := start(t, Config{URL: url, Store: s})
	until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
	stop()
	var next record.Offset
	lost := uint32(0)
	var below record.Digest
	for _, b := range c.blocks {
		if b.First != next {
			t.Fatalf("block at %d, next is %d", b.First, next)
		}
		digest, ok := b.Digest()
		if next = b.End(); b.Kind == record.BlockLoss {
			lost += b.Count
		} else {
			ok = ok && digest == below+b.DigestRecords()
		}
		if below = digest; !ok {
			t.Errorf("block %d-%d says the digest %s, %v", b.First, b.End(), digest, ok)
		}
	}
	if tip, err := s.Tip(c.blocks[0].Log); err != nil || tip.Digest != below {
		t.Errorf("the losses and the blocks add up to %s, the log to %s (%v)", below, tip.Digest, err)
	}
	if lost == 0 || next != 61 || f.Status().Counters.LossBlocks == 0 {
		t.Fatalf("%d lost of %d", lost, next)
	}
}

// TestStrangeAnswersReleaseNothing: an acknowledgement the gateway's own log
// does not bear out makes the log red and loses nothing.
func TestStrangeAnswersReleaseNothing(t *testing.T) {
	for name, change := range map[string]func(*wire.Answer){
		"another hash":     func(a *wire.Answer) { a.Known, a.Acked, a.Hash = true, 5, record.Hash{1} },
		"beyond the end":   func(a *wire.Answer) { a.Known, a.Acked = true, 1000 },
		"inside a block":   func(a *wire.Answer) { a.Known, a.Acked, a.Hash = true, 8, record.Hash{} },
		"called conflict":  func(a *wire.Answer) { a.Code, a.Conflict = wire.CodeConflict, true },
		"refused for ever": func(a *wire.Answer) { a.Code = wire.CodeForbidden },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, seglog.Config{SegmentBytes: 32 << 10})
			capture(t, s, 6, 9<<10)
			var b record.Builder
			b.Reset()
			for range 4 { // offsets 7 to 10, one block
				if err := b.Add(&record.Record{Kind: record.KindText, Raw: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Append(&b); err != nil {
				t.Fatal(err)
			}
			c, url := newCloud(t)
			c.answer = change
			f, stop := start(t, Config{URL: url, Store: s})
			until(t, "it was asked", func() bool { return f.Status().Counters.Questions >= 2 })
			if st := f.Status(); st.Pending != 11 || name != "refused for ever" && len(st.Reds) != 1 {
				t.Fatalf("%+v", st)
			}
			c.mu.Lock()
			c.answer = nil
			c.mu.Unlock()
			until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
			stop()
		})
	}
}

func TestRenameIsRefused(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{Dir: dir})
	capture(t, s, 3, 10)
	_, url := newCloud(t)
	cfg := Config{Gateway: "mv-ada", URL: url, Store: s, StatePath: state}
	c, full := newCloud(t)
	c.answer = func(a *wire.Answer) { a.Code = wire.CodeFull }
	f, stop := start(t, Config{URL: full, Store: s, StatePath: state})
	until(t, "it was asked", func() bool { return f.Status().Counters.Questions > 0 })
	stop()
	cfg.Gateway = "mv-grace"
	if _, err := New(cfg); !errors.Is(err, ErrRenamed) || !strings.Contains(err.Error(), "mv-ada") || !strings.Contains(err.Error(), "mv-grace") {
		t.Fatalf("renamed: %v", err)
	}
	f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
	stop()
	if _, err := New(cfg); err != nil {
		t.Fatalf("renamed with nothing to forward: %v", err)
	}
}

// TestDamagedStateAsksTheCloud: nothing is sent again and nothing is lost for
// it.
func TestDamagedStateAsksTheCloud(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{})
	capture(t, s, 5, 10)
	c, url := newCloud(t)
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
	stop()
	p, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		q := bytes.Clone(p)
		q[i] ^= 1
		if got, err := decodeState(q); err == nil {
			if want, _ := decodeState(p); !reflect.DeepEqual(got, want) {
				t.Fatalf("bit flipped in byte %d went unseen", i)
			}
		}
	}
	p[len(p)-5] ^= 1
	if err := os.WriteFile(state, p, 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := len(c.blocks)
	f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "it knows again", func() bool { return f.Status().Pending == 0 })
	stop()
	if f.Status().Counters.StateDamaged != 1 || len(c.blocks) != blocks {
		t.Fatalf("%d blocks sent again, %+v", len(c.blocks)-blocks, f.Status().Counters)
	}
}

// TestNothingIsReleasedBeforeTheStateIsDurable: with each operation on the
// state file failing in each way, the store keeps what the file does not hold.
func TestNothingIsReleasedBeforeTheStateIsDurable(t *testing.T) {
	for _, mode := range faultfs.Modes() {
		for n := range 8 {
			fs := faultfs.New()
			fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n + 1, Mode: mode})
			s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
			capture(t, s, 8, 6<<10)
			_, url := newCloud(t)
			core := NewCore(Tuning{}, nil)
			log := s.Logs()[0]
			core.marks[log.ID] = Mark{Next: log.End}
			f := &Session{cfg: Config{Gateway: "mv-ada", URL: url, Store: s, FS: fs, StatePath: "forward"}.withDefaults(), core: core}
			kept := s.Stats().Segments
			if ok := f.settle(); !ok {
				if got := s.Stats().Segments; got != kept {
					t.Errorf("%s at operation %d: %d of %d segments released", mode, n, kept-got, kept)
				}
				if fs.Crashed() {
					fs.Restart()
				}
				if !f.settle() {
					t.Errorf("%s at operation %d: never settles", mode, n)
				}
			}
			if got := s.Stats().Segments; got >= kept {
				t.Errorf("%s at operation %d: nothing released", mode, n)
			}
			if fs.Crashed() {
				fs.Restart()
			}
			if st, err := loadState(fs, "forward"); err != nil || st.marks[log.ID].Next != log.End {
				t.Errorf("%s at operation %d: %+v, %v", mode, n, st, err)
			}
		}
	}
}

// TestFullDiskIsEmptied: a disk filled by the gateway's own log, to the last
// byte, is emptied once the cloud has it, and capturing goes on.
func TestFullDiskIsEmptied(t *testing.T) {
	fs := faultfs.New()
	s := newStore(t, seglog.Config{FS: fs, Dir: "log", SegmentBytes: 16 << 10})
	c, url := newCloud(t)
	c.answer = func(a *wire.Answer) { a.Code = wire.CodeFull }
	f, stop := start(t, Config{URL: url, Store: s, FS: fs, StatePath: "forward"})
	until(t, "the room is kept", func() bool { _, err := fs.Stat("forward.room"); return err == nil })
	fs.SetLimit(fs.Used() + 200<<10)
	var b record.Builder
	b.Reset()
	if err := b.Add(&record.Record{Kind: record.KindText, Raw: make([]byte, 6<<10)}); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; _, err = s.Append(&b) {
	}
	fs.SetLimit(fs.Used())
	c.mu.Lock()
	c.answer = nil
	c.mu.Unlock()
	until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
	until(t, "there is room again", func() bool { _, err := s.Append(&b); return err == nil })
	until(t, "all is acknowledged again", func() bool { return f.Status().Pending == 0 })
	stop()
}

// TestAHurryEndsEveryWait: what would linger for an hour, and what would be tried
// again in an hour, goes at once, and so does what is captured later.
func TestAHurryEndsEveryWait(t *testing.T) {
	for _, first := range []wire.Code{wire.CodeNone, wire.CodeBusy} {
		s := newStore(t, seglog.Config{})
		capture(t, s, 1, 10)
		c, url := newCloud(t)
		c.answer = func(a *wire.Answer) { a.Code = first }
		f, stop := start(t, Config{URL: url, Store: s, Tuning: Tuning{Linger: time.Hour, BackoffMin: time.Hour, BackoffMax: time.Hour}})
		until(t, "the first answer", func() bool { st := f.Status(); return st.Counters.Questions > 0 })
		if first == wire.CodeNone {
			until(t, "what was captured first is acknowledged", func() bool { return f.Status().Pending == 0 })
		}
		capture(t, s, 1, 10)
		c.mu.Lock()
		c.answer = nil
		c.mu.Unlock()
		if f.Status().Pending == 0 {
			t.Errorf("after %q: nothing waits", first)
		}
		f.Hurry()
		until(t, "all is acknowledged", func() bool { return f.Status().Pending == 0 })
		capture(t, s, 1, 10)
		f.Hurry()
		until(t, "what is captured later is acknowledged", func() bool { return f.Status().Pending == 0 })
		stop()
	}
}

// TestLookingAgainEndsARest: a link that failed is tried, and a log that is red asked
// about, when somebody says so; until then Status says when it will be.
func TestLookingAgainEndsARest(t *testing.T) {
	for _, first := range []wire.Code{wire.CodeConflict, wire.CodeBusy} {
		t.Run(string(first), func(t *testing.T) {
			s := newStore(t, seglog.Config{})
			capture(t, s, 1, 10)
			c, url := newCloud(t)
			c.answer = func(a *wire.Answer) { a.Code, a.Conflict = first, first == wire.CodeConflict }
			f, _ := start(t, Config{URL: url, Store: s,
				Tuning: Tuning{Linger: -1, BackoffMin: time.Hour, BackoffMax: time.Hour, RedMin: time.Hour,
					RedRetry: time.Hour}})
			until(t, "it rests", func() bool {
				st := f.Status()
				return len(st.Reds) > 0 && st.State != stateAsking || !st.NextTryAt.IsZero()
			})
			if st := f.Status(); first == wire.CodeBusy &&
				(st.LastErrorAt.IsZero() || st.NextTryAt.Sub(st.LastErrorAt) < 20*time.Minute) {
				t.Errorf("%+v", st)
			}
			f.LookAgain() // it is refused again
			until(t, "it was asked again", func() bool { return f.Status().Counters.Questions > 1 })
			c.tell(func() { c.answer = nil })
			until(t, "it is acknowledged", func() bool { f.LookAgain(); return f.Status().Pending == 0 })
			if st := f.Status(); st.LastError != "" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestStalledLinkIsGivenUp: a cloud that takes everything and answers nothing.
func TestStalledLinkIsGivenUp(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hang) })
	s := newStore(t, seglog.Config{})
	capture(t, s, 1, 10)
	f, stop := start(t, Config{URL: srv.URL, Store: s, StallTimeout: 20 * time.Millisecond, MinRate: 1 << 30})
	until(t, "it is given up", func() bool { return strings.Contains(f.Status().LastError, errStalled.Error()) })
	stop()
}
