// Package landingtest is what every implementation of landing.Log must pass,
// and Memory, the slow obvious one that tests of its users stand on.
//
// In:  an Opener that opens one landing log, again and again.
// Out: subtests of the caller's test.
//
// Invariants: the suite asks only what the documentation of landing promises;
// a test that needs more belongs to the implementation. Tests only; one
// goroutine a test.
package landingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Closable is a landing log that can be closed and opened again.
type Closable interface {
	landing.Log
	io.Closer
}

// Opener opens the same landing log each time it is called; the log it gave
// before has been closed.
type Opener func() (Closable, error)

// Run runs the suite. fresh gives the Opener of a new, empty log of p
// partitions.
func Run(t *testing.T, fresh func(t *testing.T, p int) Opener) {
	for name, f := range map[string]func(*testing.T, func(*testing.T, int) Opener){
		"ReadsBackInOrder":       testReadsBack,
		"EveryPositionResumes":   testPositions,
		"GatewayStaysInOne":      testPartitions,
		"SurvivesReopening":      testReopen,
		"NextWaits":              testWaits,
		"StrangePositionRefused": testStrange,
		"PositionStandsOnABlock": testStands,
		"Bounds":                 testBounds,
		"Releases":               testRelease,
		"ReleaseAcrossReopening": testReleaseChain,
		"TailFollows":            testTail,
		"ManyGatewaysAtOnce":     testConcurrent,
		"BadBlockRefused":        testBad,
		"Closed":                 testClosed,
	} {
		t.Run(name, func(t *testing.T) { f(t, fresh) })
	}
}

// Chain makes chained blocks of one log of one gateway.
type Chain struct {
	Gateway string
	Log     record.LogID
	Next    record.Offset
	Prev    record.Hash
	b       record.Builder
}

// Block gives the next block, of n records of some bytes each; of more than a
// block holds it gives none, which Append refuses.
func (c *Chain) Block(n, size int) landing.Landed {
	c.b.Reset()
	for i := range n {
		raw := bytes.Repeat([]byte{byte(c.Next) + byte(i)}, size)
		if err := c.b.AddPayload(raw); err != nil {
			return landing.Landed{}
		}
	}
	block := bytes.Clone(c.b.Seal(c.Log, c.Next, c.Prev))
	c.Next += record.Offset(n)
	c.Prev = record.HashBlock(block)
	return landing.Landed{Gateway: c.Gateway, LandedAt: record.Micros(c.Next), Block: block}
}

func open(t *testing.T, o Opener) Closable {
	t.Helper()
	l, err := o()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func appendAll(t *testing.T, l landing.Log, blocks ...landing.Landed) {
	t.Helper()
	for i, b := range blocks {
		if err := l.Append(t.Context(), b); err != nil {
			t.Fatalf("append block %d: %v", i, err)
		}
	}
}

type got struct {
	landed landing.Landed
	after  stream.Position
}

// read gives exactly n blocks from a position.
func read(t *testing.T, l landing.Log, partition int, from stream.Position, n int) []got {
	t.Helper()
	r, err := l.Reader(partition, from)
	if err != nil {
		t.Fatalf("open reader at %+v: %v", from, err)
	}
	defer func() { _ = r.Close() }()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var out []got
	for range n {
		b, at, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("read block %d from %+v: %v", len(out), from, err)
		}
		out = append(out, got{b, at})
	}
	return out
}

func same(t *testing.T, have []got, want []landing.Landed) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%d blocks, want %d", len(have), len(want))
	}
	for i := range want {
		h, w := have[i].landed, want[i]
		if h.Gateway != w.Gateway || h.LandedAt != w.LandedAt || h.Conflict != w.Conflict || h.Keeps != w.Keeps ||
			!bytes.Equal(h.Block, w.Block) || !bytes.Equal(h.Clock, w.Clock) {
			t.Fatalf("block %d is not what was appended", i)
		}
	}
}

func run(c *Chain, n int) []landing.Landed {
	var out []landing.Landed
	for i := range n {
		l := c.Block(1+i%5, 20+10*i%300)
		if i%3 == 1 {
			l.Clock = []byte{1, byte(i)}
		}
		l.Keeps = i%2 == 1
		out = append(out, l)
	}
	return out
}

func testReadsBack(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	want := run(&Chain{Gateway: "a", Log: record.LogID{1}}, 40)
	big := (&Chain{Gateway: "b", Log: record.LogID{2}}).Block(7, 1<<20)
	want = append(want, big)
	want[3].Conflict = true
	appendAll(t, l, want...)
	same(t, read(t, l, 0, stream.Position{}, len(want)), want)
}

func testPositions(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	want := run(&Chain{Gateway: "a", Log: record.LogID{1}}, 12)
	appendAll(t, l, want...)
	all := read(t, l, 0, stream.Position{}, len(want))
	for i, g := range all {
		same(t, read(t, l, 0, g.after, len(want)-i-1), want[i+1:])
	}
}

func testPartitions(t *testing.T, fresh func(*testing.T, int) Opener) {
	const p = 4
	l := open(t, fresh(t, p))
	if l.Partitions() != p {
		t.Fatalf("%d partitions", l.Partitions())
	}
	want := make([][]landing.Landed, p)
	for i := range 40 {
		gw := fmt.Sprintf("gw-%d", i)
		b := (&Chain{Gateway: gw, Log: record.LogID{byte(i + 1)}}).Block(2, 30)
		appendAll(t, l, b)
		n := landing.Partition(gw, p)
		want[n] = append(want[n], b)
	}
	for n := range want {
		same(t, read(t, l, n, stream.Position{}, len(want[n])), want[n])
	}
	for _, n := range []int{-1, p} {
		if _, err := l.Reader(n, stream.Position{}); !errors.Is(err, landing.ErrPosition) {
			t.Errorf("partition %d: %v", n, err)
		}
	}
}

func testReopen(t *testing.T, fresh func(*testing.T, int) Opener) {
	o := fresh(t, 2)
	c := &Chain{Gateway: "a", Log: record.LogID{1}}
	n := landing.Partition("a", 2)
	var want []landing.Landed
	var id landing.ID
	var ends []stream.Position
	for start := range 4 {
		l := open(t, o)
		if start > 0 && (l.ID() != id || l.Partitions() != 2) {
			t.Fatalf("start %d: %s of %d partitions, was %s", start, l.ID(), l.Partitions(), id)
		}
		id = l.ID()
		for i, end := range ends { // an end of then is a place of now
			same(t, read(t, l, n, end, len(want)-6*(i+1)), want[6*(i+1):])
		}
		blocks := run(c, 6)
		appendAll(t, l, blocks...)
		want = append(want, blocks...)
		all := read(t, l, n, stream.Position{}, len(want))
		same(t, all, want)
		ends = append(ends, all[len(all)-1].after)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testWaits(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c := &Chain{Gateway: "a", Log: record.LogID{1}}
	for range 3 {
		want := c.Block(3, 10)
		come := make(chan got, 1)
		go func() {
			b, at, err := r.Next(t.Context())
			if err != nil {
				t.Errorf("waiting reader: %v", err)
			}
			come <- got{b, at}
		}()
		appendAll(t, l, want)
		same(t, []got{<-come}, []landing.Landed{want})
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error)
	go func() {
		_, _, err := r.Next(ctx)
		end <- err
	}()
	stop()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled reader: %v", err)
	}
}

func testStrange(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	if _, err := l.Reader(0, stream.Position{Log: record.LogID{7}.String(), Offset: 1}); !errors.Is(err, landing.ErrPosition) {
		t.Errorf("a position in an empty log: %v", err)
	}
	appendAll(t, l, run(&Chain{Gateway: "a", Log: record.LogID{1}}, 5)...)
	end := read(t, l, 0, stream.Position{}, 5)[4].after
	for name, p := range map[string]stream.Position{
		"beyond the end": {Log: end.Log, Offset: end.Offset + 1},
		"negative":       {Log: end.Log, Offset: -1},
		"another chain":  {Log: record.LogID{7}.String(), Offset: 1},
		"no chain":       {Log: "", Offset: 3},
		"nonsense":       {Log: "nonsense", Offset: 0},
	} {
		if _, err := l.Reader(0, p); !errors.Is(err, landing.ErrPosition) {
			t.Errorf("%s: reader: %v", name, err)
		}
		if err := l.Release(0, p); !errors.Is(err, landing.ErrPosition) {
			t.Errorf("%s: release: %v", name, err)
		}
	}
}

// testStands: every position says what it stands on, and is refused where that is
// another block, as in a log that was cut and written on.
func testStands(t *testing.T, fresh func(*testing.T, int) Opener) {
	o := fresh(t, 1)
	c := &Chain{Gateway: "a", Log: record.LogID{1}}
	var ends []stream.Position
	for range 2 {
		l := open(t, o)
		appendAll(t, l, run(c, 5)...)
		all := read(t, l, 0, stream.Position{}, 5*(1+len(ends)/5))
		for i, g := range all {
			if len(g.after.Hash) != 32 || g.after.Check() != nil {
				t.Fatalf("the position after block %d stands on nothing: %+v", i, g.after)
			}
			other := all[(i+1)%len(all)].after.Hash
			wrong := stream.Position{Log: g.after.Log, Offset: g.after.Offset, Hash: other, Leader: g.after.Leader}
			if r, err := l.Reader(0, wrong); !errors.Is(err, landing.ErrCut) || !errors.Is(err, landing.ErrPosition) {
				t.Errorf("a position after block %d that stands on another: %v, %v", i, r, err)
			}
			unknown := stream.Position{Log: g.after.Log, Offset: g.after.Offset}
			same(t, read(t, l, 0, unknown, len(all)-i-1), landedOf(all[i+1:]))
		}
		ends = nil
		for _, g := range all {
			ends = append(ends, g.after)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func landedOf(all []got) []landing.Landed {
	var out []landing.Landed
	for _, g := range all {
		out = append(out, g.landed)
	}
	return out
}

// testBounds: a Reader can be opened where the log begins, also when its beginning
// is released, and gives what lies between there and the end.
func testBounds(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	for _, n := range []int{-1, 1} {
		if _, _, err := l.Bounds(t.Context(), n); !errors.Is(err, landing.ErrPosition) {
			t.Errorf("partition %d: %v", n, err)
		}
	}
	bounds := func() (first, end stream.Position) {
		t.Helper()
		first, end, err := l.Bounds(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return first, end
	}
	first, _ := bounds()
	same(t, read(t, l, 0, first, 0), nil)
	want := run(&Chain{Gateway: "a", Log: record.LogID{1}}, 30)
	appendAll(t, l, want...)
	first, end := bounds()
	all := read(t, l, 0, first, len(want))
	same(t, all, want)
	if !end.Same(all[len(all)-1].after) {
		t.Errorf("it ends at %s, the last block at %s", end, all[len(all)-1].after)
	}
	if err := l.Release(0, all[19].after); err != nil {
		t.Fatal(err)
	}
	first, _ = bounds()
	r, err := l.Reader(0, first)
	if err != nil {
		t.Fatalf("open at the beginning %s: %v", first, err)
	}
	defer func() { _ = r.Close() }()
	b, _, err := r.Next(t.Context())
	isWanted := func(w landing.Landed) bool { return bytes.Equal(w.Block, b.Block) }
	if err != nil || !slices.ContainsFunc(want[:21], isWanted) {
		t.Errorf("the first block that is kept: %v", err)
	}
}

// testRelease allows a log to keep more than it must, and no hole in what it
// gives.
func testRelease(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	want := run(&Chain{Gateway: "a", Log: record.LogID{1}}, 30)
	appendAll(t, l, want...)
	all := read(t, l, 0, stream.Position{}, 30)
	if err := l.Release(0, stream.Position{}); err != nil {
		t.Fatalf("release nothing: %v", err)
	}
	for _, at := range []int{4, 19, 19, 10, 29} {
		if err := l.Release(0, all[at].after); err != nil {
			t.Fatalf("release below block %d: %v", at+1, err)
		}
		kept := max(at, 19)
		if at == 29 {
			kept = 29
		}
		same(t, read(t, l, 0, all[kept].after, 29-kept), want[kept+1:])
	}
	r, err := l.Reader(0, stream.Position{})
	if errors.Is(err, landing.ErrPosition) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if b, _, err := r.Next(t.Context()); err != nil || !bytes.Equal(b.Block, want[0].Block) {
		t.Fatalf("the beginning of a log with its beginning released: %v", err)
	}
}

func testReleaseChain(t *testing.T, fresh func(*testing.T, int) Opener) {
	o := fresh(t, 1)
	c := &Chain{Gateway: "a", Log: record.LogID{1}}
	var at stream.Position
	for range 5 {
		l := open(t, o)
		want := run(c, 4)
		appendAll(t, l, want...)
		all := read(t, l, 0, at, 4)
		same(t, all, want)
		at = all[3].after
		if err := l.Release(0, at); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, o)
		same(t, read(t, l, 0, at, 0), nil) // the end of the log that was is a place still
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testTail allows a shared log to know, after it was opened again, nothing of
// what others landed meanwhile, and so nothing.
func testTail(t *testing.T, fresh func(*testing.T, int) Opener) {
	o := fresh(t, 2)
	l := open(t, o)
	if tail, ok := l.Tail("a"); ok {
		t.Fatalf("a gateway that never sent: %+v", tail)
	}
	a := &Chain{Gateway: "a", Log: record.LogID{1}}
	b := &Chain{Gateway: "b", Log: record.LogID{2}}
	reopened := false
	check := func() {
		t.Helper()
		for _, c := range []*Chain{a, b} {
			want := landing.Tail{Log: c.Log, Next: c.Next, Hash: c.Prev}
			if _, known := l.Tail(c.Gateway); reopened && l.Shared() && !known {
				continue
			}
			if tail, ok := l.Tail(c.Gateway); !ok || tail != want {
				t.Fatalf("tail of %s: %+v, %v, want %+v", c.Gateway, tail, ok, want)
			}
			for p := range 2 {
				if tail, ok := l.Tails(p)[c.Gateway]; ok != (p == landing.Partition(c.Gateway, 2)) || ok &&
					tail != want {
					t.Fatalf("tail of %s in partition %d: %+v, %v", c.Gateway, p, tail, ok)
				}
			}
		}
	}
	first := a.Block(3, 10)
	appendAll(t, l, first, b.Block(1, 5), a.Block(2, 5))
	check()
	bad := (&Chain{Gateway: "a", Log: a.Log, Next: a.Next}).Block(4, 9)
	bad.Conflict = true
	appendAll(t, l, first, bad)
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	reopened = true
	check()
	a = &Chain{Gateway: "a", Log: record.LogID{3}}
	appendAll(t, l, a.Block(1, 1))
	check()
	loss := landing.Landed{Gateway: "a", Block: record.SealLoss(a.Log, a.Next, 10, a.Prev, "shed", nil)}
	appendAll(t, l, loss)
	if tail, ok := l.Tail("a"); !ok || tail.Next != a.Next+10 || !tail.AfterLoss || tail.Hash != record.HashBlock(loss.Block) {
		t.Fatalf("after a loss: %+v, %v", tail, ok)
	}
}

func testConcurrent(t *testing.T, fresh func(*testing.T, int) Opener) {
	const gateways, blocks = 12, 15
	l := open(t, fresh(t, 2))
	want := map[string][]landing.Landed{}
	var all sync.WaitGroup
	for i := range gateways {
		gw := fmt.Sprintf("gw-%d", i)
		want[gw] = run(&Chain{Gateway: gw, Log: record.LogID{byte(i + 1)}}, blocks)
		all.Add(1)
		go func(send []landing.Landed) {
			defer all.Done()
			for _, b := range send {
				if err := l.Append(t.Context(), b); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		}(want[gw])
	}
	all.Wait()
	total := [2]int{}
	for gw := range want {
		total[landing.Partition(gw, 2)] += blocks
	}
	have := map[string][]got{}
	for p, n := range total {
		for _, g := range read(t, l, p, stream.Position{}, n) {
			have[g.landed.Gateway] = append(have[g.landed.Gateway], g)
		}
	}
	for gw := range want {
		same(t, have[gw], want[gw])
	}
}

func testBad(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	good := (&Chain{Gateway: "a", Log: record.LogID{1}}).Block(1, 1)
	for name, b := range map[string]landing.Landed{
		"no block":   {Gateway: "a"},
		"no gateway": {Block: good.Block},
		"garbage":    {Gateway: "a", Block: bytes.Repeat([]byte("x"), 200)},
	} {
		if err := l.Append(t.Context(), b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := l.Append(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	next := (&Chain{Gateway: "a", Log: record.LogID{2}}).Block(1, 1)
	appendAll(t, l, next)
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for { // the cancelled one may have landed, the refused ones may not
		b, _, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(b.Block, next.Block) {
			return
		}
		if !bytes.Equal(b.Block, good.Block) {
			t.Fatal("a refused block landed")
		}
	}
}

func testClosed(t *testing.T, fresh func(*testing.T, int) Opener) {
	l := open(t, fresh(t, 1))
	b := run(&Chain{Gateway: "a", Log: record.LogID{1}}, 2)
	appendAll(t, l, b...)
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	at := read(t, l, 0, stream.Position{}, 1)[0].after
	end := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, _, err = r.Next(t.Context())
		}
		end <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	errs := []error{<-end, l.Append(t.Context(), b[0]), l.Release(0, at)}
	_, err = l.Reader(0, at)
	if errs = append(errs, err); slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, landing.ErrClosed) }) {
		t.Fatalf("reader, append, release, new reader: %v", errs)
	}
}
