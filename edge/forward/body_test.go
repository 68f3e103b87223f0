package forward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// items is a reader of given items, then an error.
type items struct {
	list []seglog.Item
	end  error
}

func (s *items) Next() (seglog.Item, error) {
	if len(s.list) == 0 {
		return seglog.Item{}, s.end
	}
	item := s.list[0]
	s.list = s.list[1:]
	return item, nil
}

func (s *items) Close() error { return nil }

var bodyLog = record.LogID{7}

// digestBelow is the digest of bodyLog, whose records are their offsets in words.
func digestBelow(end record.Offset) (sum record.Digest) {
	d := record.NewDigester(bodyLog)
	for off := range end {
		sum += d.Record(off, fmt.Append(nil, off))
	}
	return sum
}

// dataItem is a block of bodyLog, with or without its digest.
func dataItem(t *testing.T, from, to record.Offset, digested bool) seglog.Item {
	t.Helper()
	var b record.Builder
	b.Reset()
	for off := from; off < to; off++ {
		if err := b.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: fmt.Append(nil, off)}); err != nil {
			t.Fatal(err)
		}
	}
	if digested {
		b.SetDigest(digestBelow(to))
	}
	p, err := record.Parse(bytes.Clone(b.Seal(bodyLog, from, record.Hash{})))
	if err != nil {
		t.Fatal(err)
	}
	return seglog.Item{Block: p}
}

func gapItem(from, to record.Offset, reason string) seglog.Item {
	return seglog.Item{Gap: seglog.Gap{From: from, To: to, Reason: reason}}
}

// TestDigestOfALoss: a declared loss says the digest of its log at its end, where
// a block behind it or the store knows it; and the losses add up to what is
// missing.
func TestDigestOfALoss(t *testing.T) {
	known := func(log record.LogID, end record.Offset) (record.Digest, bool) {
		return digestBelow(end), log == bodyLog
	}
	for _, c := range []struct {
		name string
		list []seglog.Item
		end  error
		want []string // a loss block each: range, reason, and the offset whose digest it says, or none
	}{
		{
			"before a block", []seglog.Item{dataItem(t, 0, 3, true), gapItem(3, 9, "shed"), dataItem(t, 9, 12, true)}, seglog.ErrCaughtUp,
			[]string{"3-9 shed 9"},
		},
		{
			"side by side", []seglog.Item{gapItem(0, 5, "shed"), gapItem(5, 6, "missing"), gapItem(6, 8, "corrupt"), dataItem(t, 8, 9, true)}, io.EOF,
			[]string{"0-5 shed 8", "5-6 missing 8", "6-8 corrupt 8"},
		},
		{"at the end of a closed log", []seglog.Item{dataItem(t, 0, 3, true), gapItem(3, 4, "corrupt")}, io.EOF, []string{"3-4 corrupt 4"}},
		{"at the end of the active log", []seglog.Item{gapItem(0, 4, "corrupt")}, seglog.ErrCaughtUp, []string{"0-4 corrupt 4"}},
		{"before a block that has none", []seglog.Item{gapItem(0, 4, "shed"), dataItem(t, 4, 5, false)}, io.EOF, []string{"0-4 shed none"}},
		{"longer than a block can say", []seglog.Item{gapItem(0, 1<<32+5, "missing")}, io.EOF, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			digest := known
			if c.want == nil { // too many offsets to sum up
				digest = func(_ record.LogID, end record.Offset) (record.Digest, bool) { return record.Digest(end), true }
			}
			got := lossesSent(t, &items{c.list, c.end}, digest)
			if c.want == nil {
				if len(got) != 2 {
					t.Errorf("%d loss blocks", len(got))
				}
				for _, b := range got {
					if d, ok := b.Digest(); !ok || d != 1<<32+5 {
						t.Errorf("%d-%d says %s, %v", b.First, b.End(), d, ok)
					}
				}
				return
			}
			if len(got) != len(c.want) {
				t.Fatalf("%d loss blocks, want %q", len(got), c.want)
			}
			for i, b := range got {
				reason, at := "", "none"
				for a := range b.Annotations {
					if a.Type == record.AnnLoss {
						reason = string(a.Body)
					}
				}
				if d, ok := b.Digest(); ok {
					for end := record.Offset(0); at == "none" && end < 20; end++ {
						if d == digestBelow(end) {
							at = end.String()
						}
					}
				}
				if said := fmt.Sprintf("%d-%d %s %s", b.First, b.End(), reason, at); said != c.want[i] {
					t.Errorf("%s, want %s", said, c.want[i])
				}
			}
		})
	}
}

// TestUnreadableBehindALoss: what cannot be read behind a loss holds the loss
// back, for its digest is not known yet.
func TestUnreadableBehindALoss(t *testing.T) {
	broken := errors.New("broken")
	enc, err := wire.NewEncoder(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b := newBody(bodyLog, Mark{}, 1<<20, 0, &items{[]seglog.Item{gapItem(0, 4, "shed")}, broken}, enc, func() {}, nil)
	if _, err := io.ReadAll(b); !errors.Is(err, broken) {
		t.Errorf("read %v", err)
	}
	if did, _ := b.sums(); did.end != 0 || did.losses != 0 {
		t.Errorf("%+v was sent", did)
	}
}

// lossesSent reads a whole body and returns its loss blocks; its blocks must
// follow each other.
func lossesSent(t *testing.T, r blocks, digest digestAt) (losses []record.Block) {
	t.Helper()
	enc, err := wire.NewEncoder(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	d := wire.NewDecoder(newBody(bodyLog, Mark{}, 1<<20, 0, r, enc, func() {}, digest), 1<<20)
	defer d.Close()
	for next := record.Offset(0); ; {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			return losses
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := record.Parse(bytes.Clone(p))
		if err != nil || b.First != next {
			t.Fatalf("block at %d where %d was due: %v", b.First, next, err)
		}
		if next = b.End(); b.Kind == record.BlockLoss {
			losses = append(losses, b)
		}
	}
}
