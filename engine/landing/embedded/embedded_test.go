package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

func TestConformance(t *testing.T) {
	landingtest.Run(t, func(t *testing.T, p int) landingtest.Opener {
		dir := t.TempDir()
		return func() (landingtest.Closable, error) {
			return Open(Config{Dir: dir, Partitions: p, SegmentBytes: 64 << 10})
		}
	})
}

func open(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestAnotherLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Config{Dir: dir, Partitions: 3, ID: "harbour-1"})
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		says []string
	}{
		"another P":  {Config{Dir: dir, Partitions: 4}, []string{"3 partitions", "not 4"}},
		"another ID": {Config{Dir: dir, ID: "harbour-2"}, []string{"harbour-1", "harbour-2"}},
	} {
		_, err := Open(c.cfg)
		if !errors.Is(err, landing.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %q does not name %q", name, err, s)
			}
		}
	}
	l = open(t, Config{Dir: dir})
	if l.ID() != "harbour-1" || l.Partitions() != 3 {
		t.Fatalf("%s of %d", l.ID(), l.Partitions())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, metaName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("a log without its identity: %v", err)
	}
}

func TestMetaTellsVersionFromDamage(t *testing.T) {
	good, err := meta{ID: "a1", Partitions: 2}.encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := decodeMeta(good); err != nil || m.ID != "a1" || m.Partitions != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	for i := range good {
		p := bytes.Clone(good)
		p[i] ^= 4
		if m, err := decodeMeta(p); err == nil && (m != meta{ID: "a1", Partitions: 2}) {
			t.Errorf("bit flipped in byte %d: %+v", i, m)
		}
	}
	newer := bytes.Replace(good, []byte("landing 1 "), []byte("landing 2 "), 1)
	if _, err := decodeMeta(newer); !errors.Is(err, record.ErrVersion) {
		t.Errorf("newer: %v", err)
	}
}

// TestAHugeIdentityIsRefused: a size that nothing fills is not allocated.
func TestAHugeIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, metaName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, metaName), 1<<40); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Config{Dir: dir}); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("%v, %v", l, err)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	p, err := meta{ID: "a1", Partitions: 2}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Fuzz(func(t *testing.T, p []byte) {
		if m, err := decodeMeta(p); err == nil && (!validID(m.ID) || m.Partitions < 1 || m.Partitions > MaxPartitions) {
			t.Fatalf("%+v", m)
		}
	})
}

func FuzzDecodeTail(f *testing.F) {
	f.Add(encodeTail(landing.Tail{Log: record.LogID{1}, Next: 9, Hash: record.Hash{2}, AfterLoss: true}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if tail, err := decodeTail(p); err == nil && !bytes.Equal(encodeTail(tail), p) {
			t.Fatalf("%x became %+v", p, tail)
		}
	})
}

// TestReaderAtTheEndOutlivesRelease: a task that has read the log of the last
// start to its end releases it while the next one already grows.
func TestReaderAtTheEndOutlivesRelease(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 16 << 10}
	c := &landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	l := open(t, cfg)
	if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, at, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := c.Block(2, 10)
	if err := l.Append(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Behind(0, at); err != nil || n != 2 {
		t.Errorf("behind %d, %v", n, err)
	}
	if err := l.Release(0, at); err != nil {
		t.Fatal(err)
	}
	got, _, err := r.Next(t.Context())
	if err != nil || !bytes.Equal(got.Block, want.Block) {
		t.Fatalf("after the release: %v", err)
	}
	if _, err := l.Reader(0, stream.Position{}); !errors.Is(err, landing.ErrPosition) {
		t.Errorf("the beginning, released: %v", err)
	}
}

// TestReaderPlacedAtTheEndOutlivesRelease: a task opens its reader before it claims,
// and the claim releases all of the log in whose end the reader was placed.
func TestReaderPlacedAtTheEndOutlivesRelease(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 16 << 10}
	c := &landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	l := open(t, cfg)
	if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
		t.Fatal(err)
	}
	first, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	_, at, err := first.Next(t.Context())
	if err := errors.Join(err, first.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg)
	r, err := l.Reader(0, at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	want := c.Block(2, 10)
	if err := l.Append(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(0, at); err != nil {
		t.Fatal(err)
	}
	if got, _, err := r.Next(t.Context()); err != nil || !bytes.Equal(got.Block, want.Block) {
		t.Fatalf("after the release: %v", err)
	}
}

// TestGroupsShareAnFsync: gateways that append at once cost fewer fsyncs than
// blocks.
func TestGroupsShareAnFsync(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	const gateways, blocks = 16, 20
	var all sync.WaitGroup
	for i := range gateways {
		all.Add(1)
		go func() {
			defer all.Done()
			c := &landingtest.Chain{Gateway: fmt.Sprintf("gw-%d", i), Log: record.LogID{byte(i + 1)}}
			for range blocks {
				if err := l.Append(t.Context(), c.Block(3, 50)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	st := l.Stats()
	if st.Blocks != gateways*blocks || st.Commits >= st.Blocks/2 {
		t.Fatalf("%d blocks in %d groups", st.Blocks, st.Commits)
	}
}

// TestCloseAnswersWhoeverWaits: also a block that came while the writer was at work, and
// that no group has.
func TestCloseAnswersWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := seglog.Open(Config{FS: faultfs.New(), Dir: "/landing", SegmentBytes: 1 << 20}.store("p0000"))
		if err != nil {
			t.Fatal(err)
		}
		p := &partition{
			store: store, stats: new(stats), logger: slog.New(slog.DiscardHandler), joined: make(chan struct{}),
			work: make(chan struct{}, 1), tails: map[string]landing.Tail{}, grown: make(chan struct{}),
		}
		c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
		appended, closed := make(chan error, 1), make(chan error, 1)
		go func() { appended <- p.append(context.Background(), &pending{landed: c.Block(1, 1)}) }()
		synctest.Wait()
		go func() { closed <- p.close() }()
		synctest.Wait()
		go p.write() // it sees both at once, as after a group that took long
		synctest.Wait()
		select {
		case err := <-appended:
			if !errors.Is(err, landing.ErrClosed) {
				t.Errorf("appended: %v", err)
			}
		default:
			t.Fatal("nobody answers the block")
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestTooLargeIsRefusedAlone(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	big := (&landingtest.Chain{Gateway: "a", Log: record.LogID{1}}).Block(8, record.MaxBlockBytes/8-100)
	if err := l.Append(t.Context(), big); !errors.Is(err, record.ErrTooLarge) {
		t.Fatalf("block of %d bytes: %v", len(big.Block), err)
	}
	fits := (&landingtest.Chain{Gateway: "a", Log: record.LogID{2}}).Block(8, MaxBlockBytes/8-100)
	if err := l.Append(t.Context(), fits); err != nil {
		t.Fatalf("block of %d bytes: %v", len(fits.Block), err)
	}
}

// TestDamageIsPassedOverAndCounted: a flipped bit on the cloud's disk costs
// the group it is in, and shows.
func TestDamageIsPassedOverAndCounted(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Config{Dir: dir, SegmentBytes: 64 << 10})
	c := &landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	var want []landing.Landed
	for range 3 {
		want = append(want, c.Block(1, 900))
		if err := l.Append(t.Context(), want[len(want)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, "p0000"), want[1].Block[100:])
	l = open(t, Config{Dir: dir})
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, i := range []int{0, 2} {
		if got, _, err := r.Next(t.Context()); err != nil || !bytes.Equal(got.Block, want[i].Block) {
			t.Fatalf("block %d: %v", i, err)
		}
	}
	if st := l.Stats(); st.DamagedOffsets != 1 {
		t.Fatalf("%d damaged offsets", st.DamagedOffsets)
	}
}

// flip changes a bit of the file of dir that holds the bytes.
func flip(t *testing.T, dir string, of []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Name())
		p, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if i := bytes.Index(p, of); i >= 0 {
			p[i+5] ^= 1
			if err := os.WriteFile(name, p, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no file holds the block")
}
