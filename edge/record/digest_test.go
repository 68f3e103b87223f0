package record

import (
	"bytes"
	"fmt"
	"testing"
)

// vectorLog is the log of the published vector: 16 times ab.
var vectorLog = LogID(bytes.Repeat([]byte{0xab}, 16))

func vectorRaw(i int) []byte { return append([]byte("!AIVDM,\xff"), fmt.Sprint(i)...) }

// TestDigestVector holds the formula to the value that SQL and Python return
// for it (docs/guarantee.md).
func TestDigestVector(t *testing.T) {
	var sum Digest
	d := NewDigester(vectorLog)
	for i := range 1000 {
		sum += d.Record(Offset(i), vectorRaw(i))
	}
	if sum != 7143166726811136250 {
		t.Errorf("D(1000) = %s", sum)
	}
	if back, err := ParseDigest(sum.String()); err != nil || back != sum {
		t.Errorf("read back as %s: %v", back, err)
	}
}

// TestDigestOfABlock: what a Builder says its records add is what the block's
// records add, and the digest it was told stands in the block once.
func TestDigestOfABlock(t *testing.T) {
	var b Builder
	b.Reset()
	want := Digest(7)
	d := NewDigester(vectorLog)
	for i := range 5 {
		if err := b.Add(&Record{Kind: KindText, EventTime: NoTime, Raw: vectorRaw(i)}); err != nil {
			t.Fatal(err)
		}
		want += d.Record(Offset(30+i), vectorRaw(i))
	}
	if err := b.Annotate(SourceName{Name: "s"}.Annotation()); err != nil {
		t.Fatal(err)
	}
	b.SetDigest(1) // of an attempt before
	b.SetDigest(7 + b.DigestAt(&d, 30))
	size := b.Size()
	block := bytes.Clone(b.Seal(vectorLog, 30, Hash{1}))
	p, err := Parse(block)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Digest(); !ok || got != want || got != 7+p.DigestRecords() {
		t.Errorf("digest %s, %v, want %s", got, ok, want)
	}
	if size != len(block) {
		t.Errorf("Size said %d of %d bytes", size, len(block))
	}
	n := 0
	for range p.Annotations {
		n++
	}
	if n != 2 {
		t.Errorf("%d annotations", n)
	}
	if b.Reset(); b.Size() != BlockHeaderBytes {
		t.Errorf("after Reset: %d bytes", b.Size())
	}
}

func TestDigestOfALoss(t *testing.T) {
	want := Digest(1<<63 + 5)
	p, err := Parse(SealLoss(vectorLog, 10, 5, Hash{}, "shed", &want))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Digest(); !ok || got != want {
		t.Errorf("digest %s, %v", got, ok)
	}
	if p, err = Parse(SealLoss(vectorLog, 10, 5, Hash{}, "shed", nil)); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Digest(); ok {
		t.Error("a loss without a digest has one")
	}
	if _, err := (Annotation{AnnDigest, []byte("short")}).Digest(); err == nil {
		t.Error("a short digest was read")
	}
}

func BenchmarkDigest(b *testing.B) {
	d, raw := NewDigester(vectorLog), bytes.Repeat([]byte("x"), 80)
	for i := range b.N {
		d.Record(Offset(i), raw)
	}
}
