package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
)

// until waits for a condition of real sockets.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(60 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func newStore(t testing.TB, dir string) *seglog.Store {
	t.Helper()
	s, err := seglog.Open(seglog.Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// capture appends groups of records.
func capture(t testing.TB, s *seglog.Store, groups, records int) {
	t.Helper()
	var b record.Builder
	for g := range groups {
		b.Reset()
		for i := range records {
			r := record.Record{Kind: record.KindText, ReceivedAt: record.Micros(g*records + i), Raw: fmt.Appendf(nil, "!AIVDM of nobody %d %d %x", g, i, g*i*7919)}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
	}
}

func newIngest(t testing.TB, cfg ingest.Config) *ingest.Handler {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = landingtest.NewMemory("mem", 1)
	}
	if cfg.Identity.TrustedHeader == "" && !cfg.Identity.ClientCertificate {
		cfg.Identity.AllowUnauthenticated = true
	}
	h, err := ingest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

var eager = forward.Tuning{Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, RedRetry: 20 * time.Millisecond}

// start runs a session until the test, or the given function, ends it.
func start(t testing.TB, cfg forward.Config) (*forward.Session, func()) {
	t.Helper()
	if cfg.Gateway == "" {
		cfg.Gateway = "mv-ada"
	}
	if cfg.StatePath == "" {
		cfg.StatePath = filepath.Join(t.TempDir(), "forward")
	}
	if cfg.Tuning == (forward.Tuning{}) {
		cfg.Tuning = eager
	}
	if testing.Verbose() {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := forward.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("session ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

func drained(s *forward.Session) func() bool {
	return func() bool { return s.Status().Pending == 0 }
}

// account is what a partition holds, judged as the task judges.
type account struct {
	next       map[record.LogID]record.Offset
	records    uint64
	duplicates int
	conflicts  int
	lost       uint64
}

// judge proves that a partition holds, of every log, a prefix, each block once
// or again as the same bytes.
func judge(t testing.TB, landed []landing.Landed) account {
	t.Helper()
	type place struct {
		log   record.LogID
		first record.Offset
	}
	a := account{next: map[record.LogID]record.Offset{}}
	seen := map[place][]byte{}
	for i, l := range landed {
		b, err := record.Parse(l.Block)
		if err != nil {
			t.Fatalf("landed block %d: %v", i, err)
		}
		at := place{b.Log, b.First}
		switch {
		case l.Conflict:
			a.conflicts++
		case b.First == a.next[b.Log]:
			a.next[b.Log] = b.End()
			seen[at] = l.Block
			if b.Kind == record.BlockLoss {
				a.lost += uint64(b.Count)
			} else {
				a.records += uint64(b.Count)
			}
		case b.First > a.next[b.Log]:
			t.Fatalf("landed block %d leaves a hole: log %s at %d, next is %d", i, b.Log, b.First, a.next[b.Log])
		case !bytes.Equal(seen[at], l.Block):
			t.Fatalf("landed block %d is another than the first at offset %d of log %s", i, b.First, b.Log)
		default:
			a.duplicates++
		}
	}
	return a
}

// whole fails unless everything durable of a store has landed.
func (a account) whole(t testing.TB, s *seglog.Store) {
	t.Helper()
	for _, l := range s.Logs() {
		if a.next[l.ID] != l.End {
			t.Errorf("log %s is landed to %d of %d", l.ID, a.next[l.ID], l.End)
		}
	}
}
