package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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

// TestDigestIsOfSHA256: of records of every length up to some blocks, and of large
// ones, the term is what SHA-256 says of the text in Digest's comment.
func TestDigestIsOfSHA256(t *testing.T) {
	d := NewDigester(vectorLog)
	for n := range 400 {
		if n >= 390 {
			n = 1000 * (n - 389)
		}
		raw := bytes.Repeat([]byte{byte(n)}, n)
		for _, o := range []Offset{0, 9, 4711, 1 << 63} {
			sum := sha256.Sum256(append([]byte(vectorLog.String()+":"+o.String()+":"), raw...))
			if got, want := d.Record(o, raw), Digest(binary.BigEndian.Uint64(sum[:8])); got != want {
				t.Fatalf("%d bytes at offset %s: %s, want %s", n, o, got, want)
			}
		}
	}
}

// TestRawOfARecord: the short way to the raw bytes ends where decoding does, also
// in bytes that are no record.
func TestRawOfARecord(t *testing.T) {
	var b Builder
	b.Reset()
	if err := b.Add(&Record{Kind: KindText, TimeSource: TimeNone, EventTime: NoTime, ReceivedAt: 1 << 50, Source: 1 << 31, Raw: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(&Record{Kind: KindAIS, TimeSource: TimeTag, EventTime: 7, ReceivedAt: 9, Monotonic: -1 << 40, Flags: 3, Raw: []byte("tag")}); err != nil {
		t.Fatal(err)
	}
	p, err := Parse(b.Seal(vectorLog, 0, Hash{}))
	if err != nil {
		t.Fatal(err)
	}
	check := func(payload []byte) {
		t.Helper()
		want := payload
		var r Record
		if err := p.DecodeRecord(payload, &r); err == nil {
			want = r.Raw
		}
		if got := rawOf(payload); !bytes.Equal(got, want) || len(got) > len(payload) {
			t.Errorf("raw of % x is % x, want % x", payload, got, want)
		}
	}
	for _, payload := range p.Payloads {
		for n := range len(payload) + 1 {
			check(payload[:n])
		}
	}
	for n := range 12 { // numbers of too many bytes, and of too many bits
		for _, last := range []byte{0, 1, 2, 0x7f, 0x80} {
			long := append(append([]byte{0, 0, 0}, bytes.Repeat([]byte{0xff}, n)...), last)
			check(append(long, 0, 0, 0, 0, 'x'))
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	d, raw := NewDigester(vectorLog), bytes.Repeat([]byte("x"), 80)
	for i := range b.N {
		d.Record(Offset(i), raw)
	}
}
