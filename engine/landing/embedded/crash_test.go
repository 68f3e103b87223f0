package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// plan is what two gateways send, and how much of it was acknowledged.
type plan struct {
	blocks map[string][]landing.Landed
	ends   map[string][]record.Offset // of each block
	acked  map[string]int             // blocks
}

func newPlan() *plan {
	p := &plan{blocks: map[string][]landing.Landed{}, ends: map[string][]record.Offset{}, acked: map[string]int{}}
	for i, gw := range []string{"a", "b"} {
		c := &landingtest.Chain{Gateway: gw, Log: record.LogID{byte(i + 1)}}
		for n := range 8 {
			p.blocks[gw] = append(p.blocks[gw], c.Block(1+n%3, 700*(1+n%2)))
			p.ends[gw] = append(p.ends[gw], c.Next)
		}
	}
	return p
}

// from is the first block a gateway has to send, as its ingest would say.
func (p *plan) from(l *Log, gw string) int {
	tail, _ := l.Tail(gw)
	for i, end := range p.ends[gw] {
		if end > tail.Next {
			return i
		}
	}
	return len(p.ends[gw])
}

// push appends up to n blocks of each gateway, and after an error asks the tail
// again, as a gateway does.
func (p *plan) push(t *testing.T, l *Log, n int) {
	for gw, blocks := range p.blocks {
		for range n {
			i := p.from(l, gw)
			if i == len(blocks) {
				break
			}
			if l.Append(t.Context(), blocks[i]) == nil {
				p.acked[gw] = max(p.acked[gw], i+1)
			}
		}
	}
}

// check reads everything back: each gateway's blocks in order from the first,
// repeated ones the same, none missing that was acknowledged.
func (p *plan) check(t *testing.T, l *Log, what string) {
	t.Helper()
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer func() { _ = r.Close() }()
	next := map[string]int{}
	behind, err := l.Behind(0, stream.Position{})
	for at := (stream.Position{}); behind > 0 && err == nil; behind, err = l.Behind(0, at) {
		var got landing.Landed
		if got, at, err = r.Next(t.Context()); err != nil {
			break
		}
		i := next[got.Gateway]
		switch blocks := p.blocks[got.Gateway]; {
		case i < len(blocks) && bytes.Equal(got.Block, blocks[i].Block):
			next[got.Gateway]++
		case i > 0 && bytes.Equal(got.Block, blocks[i-1].Block): // failed, stored, and sent again
		default:
			t.Fatalf("%s: gateway %s: block %d is another", what, got.Gateway, i)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for gw := range p.blocks {
		if next[gw] < p.acked[gw] {
			t.Fatalf("%s: gateway %s: %d blocks read, %d acknowledged", what, gw, next[gw], p.acked[gw])
		}
		if i := p.from(l, gw); i < p.acked[gw] || i > next[gw] {
			t.Fatalf("%s: gateway %s: tail after %d blocks, %d read, %d acknowledged", what, gw, i, next[gw], p.acked[gw])
		}
	}
	if n := l.Stats().DamagedOffsets; n != 0 {
		t.Fatalf("%s: %d damaged offsets", what, n)
	}
}

// scenario is two starts that push.
func (p *plan) scenario(t *testing.T, fs *faultfs.FS) {
	for range 2 {
		l, err := Open(Config{FS: fs, Dir: "landing", SegmentBytes: 8 << 10})
		if err != nil {
			continue
		}
		p.push(t, l, 3)
		_ = l.Close() // it may not be closed well: that is the point
	}
}

// TestEveryFault meets each operation that changes the disk with each fault,
// and what remains with a power loss that takes everything not synced and with
// one other kind; with LANDFALL_SOAK set, with every kind.
func TestEveryFault(t *testing.T) {
	clean := faultfs.New()
	newPlan().scenario(t, clean)
	operations := clean.Count(faultfs.OpMutating)
	for _, mode := range faultfs.Modes() {
		t.Run(mode.String(), func(t *testing.T) {
			for n := 1; n <= operations; n++ {
				fs := faultfs.New()
				fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: mode})
				p := newPlan()
				p.scenario(t, fs)
				losses := faultfs.Losses()
				if os.Getenv("LANDFALL_SOAK") == "" {
					losses = []faultfs.Loss{faultfs.LoseAll, losses[1+n%(len(losses)-1)]}
				}
				for _, loss := range losses {
					what := fmt.Sprintf("operation %d of %d, %s, %s", n, operations, mode, loss)
					disk := fs.Clone()
					disk.Crash(loss, uint64(n))
					p.recover(t, disk, what)
				}
			}
		})
	}
}

// recover opens what the crash left, and sends the rest.
func (p *plan) recover(t *testing.T, disk *faultfs.FS, what string) {
	t.Helper()
	acked := map[string]int{}
	for gw, n := range p.acked {
		acked[gw] = n
	}
	defer func() { p.acked = acked }()
	l, err := Open(Config{FS: disk, Dir: "landing", SegmentBytes: 8 << 10})
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	p.check(t, l, what)
	p.push(t, l, 8)
	for gw := range p.blocks {
		if p.acked[gw] != len(p.blocks[gw]) {
			t.Fatalf("%s: gateway %s: %d of %d blocks can be appended", what, gw, p.acked[gw], len(p.blocks[gw]))
		}
	}
	p.check(t, l, what+", and on")
	if err := l.Close(); err != nil {
		t.Fatalf("%s: close: %v", what, err)
	}
}

// TestFullDiskAndBack: ErrFull while there is no room, nothing acknowledged is
// lost, and appends go on by themselves when there is.
func TestFullDiskAndBack(t *testing.T) {
	fs := faultfs.New()
	l := open(t, Config{FS: fs, Dir: "landing", SegmentBytes: 8 << 10, ReserveBytes: 20 << 10})
	fs.SetLimit(fs.Used() + 50<<10)
	p := &plan{blocks: map[string][]landing.Landed{}, ends: map[string][]record.Offset{}, acked: map[string]int{}}
	c := &landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	full := 0
	for i := range 60 {
		b := c.Block(1, 2<<10)
		p.blocks["a"], p.ends["a"] = append(p.blocks["a"], b), append(p.ends["a"], c.Next)
		err := l.Append(t.Context(), b)
		for ; err != nil; err = l.Append(t.Context(), b) {
			if !errors.Is(err, landing.ErrFull) {
				t.Fatalf("block %d: %v", i, err)
			}
			p.check(t, l, "full")
			if full++; full%2 == 0 {
				fs.SetLimit(fs.Used() + 40<<10)
			}
		}
		p.acked["a"] = i + 1
	}
	p.check(t, l, "done")
	if full == 0 || l.Stats().Full == 0 {
		t.Fatal("it was never full")
	}
}
