package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func sampleRecords() []Record {
	return []Record{
		{Kind: KindLogOpen, ReceivedAt: 1_700_000_000_000_000, EventTime: 1_700_000_000_000_000, TimeSource: TimeReceipt, Raw: Opening{OpenedAt: 7, PrevLastAt: NoTime}.Encode()},
		{Kind: KindAIS, Flags: FlagNoChecksum | FlagSuffix, Source: 3, ReceivedAt: 1_700_000_000_100_000, EventTime: 1_699_999_999_000_000, TimeSource: TimeTag, TimeQuality: QualityAsserted, Monotonic: -5, Raw: []byte("!XXVDM,1,1,,A,0,0")},
		{Kind: KindText, ReceivedAt: 5, EventTime: NoTime, Monotonic: math.MaxInt64, Raw: nil},
		{Kind: KindReading, ReceivedAt: NoTime, EventTime: NoTime, Source: math.MaxUint32, Flags: math.MaxUint32, Monotonic: math.MinInt64, Raw: bytes.Repeat([]byte{0, 255}, 300)},
	}
}

func sampleBuilder(t testing.TB) *Builder {
	t.Helper()
	var b Builder
	b.Reset()
	for _, r := range sampleRecords() {
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []Annotation{
		SourceName{Source: 3, Name: "port"}.Annotation(),
		{AnnBoot, bytes.Repeat([]byte{7}, 16)},
		Mark{Name: "file", Value: []byte{0, 1, 2}}.Annotation(),
		Watermark{Source: "port", At: 12, Idle: true}.Annotation(),
		{200, []byte("of a later version")},
	} {
		if err := b.Annotate(a); err != nil {
			t.Fatal(err)
		}
	}
	return &b
}

// decodeAll decodes every record of a block.
func decodeAll(t testing.TB, b *Block) (offsets []Offset, records []Record) {
	t.Helper()
	b.Payloads(func(off Offset, p []byte) bool {
		var r Record
		if err := b.DecodeRecord(p, &r); err != nil {
			t.Fatal(err)
		}
		r.Raw = slices.Clone(r.Raw)
		offsets, records = append(offsets, off), append(records, r)
		return true
	})
	return offsets, records
}

func TestBlockRoundTrip(t *testing.T) {
	b := sampleBuilder(t)
	log, prev := LogID{1, 2}, Hash{3}
	p := b.Seal(log, 40, prev)
	if len(p) != b.Size() {
		t.Errorf("%d bytes, Size said %d", len(p), b.Size())
	}
	block, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	if block.Log != log || block.Prev != prev || block.First != 40 || block.End() != 44 || block.Kind != BlockData {
		t.Errorf("header %+v", block.Header)
	}
	offsets, records := decodeAll(t, &block)
	if !slices.Equal(offsets, []Offset{40, 41, 42, 43}) {
		t.Errorf("offsets %v", offsets)
	}
	for i, want := range sampleRecords() {
		want.Raw = append([]byte{}, want.Raw...)
		records[i].Raw = append([]byte{}, records[i].Raw...)
		if !reflect.DeepEqual(records[i], want) {
			t.Errorf("record %d is %+v, want %+v", i, records[i], want)
		}
	}
	checkAnnotations(t, &block)
}

func checkAnnotations(t *testing.T, block *Block) {
	t.Helper()
	var seen []AnnType
	for a := range block.Annotations {
		seen = append(seen, a.Type)
		var err error
		var got, want any
		switch a.Type {
		case AnnSource:
			got, err = a.SourceName()
			want = SourceName{3, "port"}
		case AnnMark:
			got, err = a.Mark()
			want = Mark{"file", []byte{0, 1, 2}}
		case AnnWatermark:
			got, err = a.Watermark()
			want = Watermark{"port", 12, true}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("annotation %d is %+v (%v), want %+v", a.Type, got, err, want)
		}
	}
	if !slices.Equal(seen, []AnnType{AnnSource, AnnBoot, AnnMark, AnnWatermark, 200}) {
		t.Errorf("annotations %v", seen)
	}
}

// TestSealAgain: a group sealed for another place differs in its header alone,
// and adding goes on after it.
func TestSealAgain(t *testing.T) {
	b := sampleBuilder(t)
	one := bytes.Clone(b.Seal(LogID{1}, 0, Hash{}))
	two := bytes.Clone(b.Seal(LogID{2}, 9, Hash{8}))
	if !bytes.Equal(one[BlockHeaderBytes:], two[BlockHeaderBytes:]) {
		t.Error("the records differ")
	}
	if again := b.Seal(LogID{1}, 0, Hash{}); !bytes.Equal(again, one) {
		t.Error("the same seal gives other bytes")
	}
	framed := b.SealFramed(LogID{1}, 0, Hash{}, 40)
	if !bytes.Equal(framed[HeadroomBytes:len(framed)-40], one) || len(bytes.Trim(framed[len(framed)-40:], "\x00")) > 0 {
		t.Error("a framed seal gives another block, or a tail that is not zero")
	}
	if err := b.AddPayload([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if block, err := Parse(b.Seal(LogID{1}, 0, Hash{})); err != nil || block.Count != 5 {
		t.Errorf("after another record: %d records, %v", block.Count, err)
	}
}

func TestBuilderTimes(t *testing.T) {
	var b Builder
	if b.FirstAt() != NoTime || b.LastAt() != NoTime {
		t.Error("an empty builder has times")
	}
	for _, at := range []Micros{30, 10, 20} {
		if err := b.Add(&Record{ReceivedAt: at, EventTime: NoTime}); err != nil {
			t.Fatal(err)
		}
	}
	if b.FirstAt() != 30 || b.LastAt() != 20 {
		t.Errorf("times %d, %d", b.FirstAt(), b.LastAt())
	}
	b.Reset()
	if err := b.AddPayload([]byte("x")); err != nil || b.LastAt() != NoTime || b.FirstAt() != NoTime {
		t.Errorf("a payload has times: %v", err)
	}
}

func TestBounds(t *testing.T) {
	var b Builder
	if err := b.Add(&Record{Raw: make([]byte, MaxRawBytes+1)}); !errors.Is(err, ErrTooLarge) || b.Count() != 0 {
		t.Errorf("too large a record: %v, %d records", err, b.Count())
	}
	if err := b.Add(&Record{Raw: make([]byte, MaxRawBytes)}); err != nil {
		t.Errorf("the largest record: %v", err)
	}
	for b.AddPayload(make([]byte, MaxRawBytes)) == nil {
	}
	if err := b.Annotate(Annotation{AnnLoss, make([]byte, MaxRawBytes)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large an annotation: %v", err)
	}
	if p := b.Seal(LogID{1}, 0, Hash{}); len(p) > MaxBlockBytes {
		t.Errorf("a block of %d bytes", len(p))
	} else if _, err := Parse(p); err != nil {
		t.Error(err)
	}
}

// TestVersionOrDamage: a version byte that was flipped is damage, and mended; a
// later version, whose CRC begins with it, is none.
func TestVersionOrDamage(t *testing.T) {
	good := bytes.Clone(sampleBuilder(t).Seal(LogID{1}, 7, Hash{2}))
	for bit := range 8 {
		p := bytes.Clone(good)
		p[3] ^= 1 << bit
		if _, err := Parse(p); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) {
			t.Errorf("version %d by damage: %v", p[3], err)
		}
		if !bytes.Equal(Mend(p), good) || p[3] == good[3] {
			t.Errorf("version %d by damage is not mended, or in place", p[3])
		}
		p[50]++
		if !bytes.Equal(Mend(p), p) {
			t.Error("a block that is damaged elsewhere was mended")
		}
	}
	newer := bytes.Clone(good)
	newer[3] = 2
	binary.LittleEndian.PutUint32(newer[4:], crc32.Update(crc32.Checksum(newer[3:4], castagnoli), castagnoli, newer[8:]))
	if _, err := Parse(newer); !errors.Is(err, ErrVersion) || !bytes.Equal(Mend(newer), newer) {
		t.Errorf("version 2: %v", err)
	}
	if err := JudgeVersion(good[:7]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("seven bytes: %v", err)
	}
}

// TestParseNeverTrusts flips each bit of a block: the CRC, or the bounds before
// it, refuse every one.
func TestParseNeverTrusts(t *testing.T) {
	p := bytes.Clone(sampleBuilder(t).Seal(LogID{1}, 7, Hash{2}))
	for bit := range 8 * len(p) {
		p[bit/8] ^= 1 << (bit % 8)
		_, err := Parse(p)
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !(errors.Is(err, ErrVersion) && bit/8 == 3) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		p[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(p) {
		if _, err := Parse(p[:n]); err == nil {
			t.Fatalf("%d of %d bytes parse", n, len(p))
		}
	}
}

func TestLossBlock(t *testing.T) {
	block, err := Parse(SealLoss(LogID{1}, 10, 5, Hash{4}, "shed", nil))
	if err != nil {
		t.Fatal(err)
	}
	if block.Kind != BlockLoss || block.First != 10 || block.End() != 15 || block.Prev != (Hash{4}) {
		t.Errorf("header %+v", block.Header)
	}
	for a := range block.Annotations {
		if a.Type != AnnLoss || string(a.Body) != "shed" {
			t.Errorf("annotation %+v", a)
		}
	}
	block.Payloads(func(off Offset, p []byte) bool { t.Errorf("record at %d", off); return true })
}

func TestHashChain(t *testing.T) {
	b := sampleBuilder(t)
	one := HashBlock(b.Seal(LogID{1}, 0, Hash{}))
	if two := HashBlock(b.Seal(LogID{1}, 0, Hash{1})); one == two {
		t.Error("another history has the same hash")
	}
}

func TestOpening(t *testing.T) {
	want := Opening{Prev: LogID{9}, PrevEnd: math.MaxUint64, PrevLastAt: NoTime, OpenedAt: 12, CutTailBytes: 1 << 40}
	p := want.Encode()
	if got, err := DecodeOpening(p); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(p) {
		if _, err := DecodeOpening(p[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	p[0] = 3
	if _, err := DecodeOpening(p); !errors.Is(err, ErrVersion) {
		t.Errorf("version 3: %v", err)
	}
	want.PrevEndUnproven = true
	want.PrevChain = Hash{1, 15: 9}
	p = want.Encode()
	for n := len(p) - len(want.PrevChain); n < len(p); n++ { // what is not whole is not known
		short := want
		short.PrevChain = Hash{}
		if got, err := DecodeOpening(p[:n]); err != nil || got != short {
			t.Errorf("%d bytes: %+v, %v", n, got, err)
		}
	}
	if got, err := DecodeOpening(append(want.Encode(), 1, 2, 3)); err != nil || got != want {
		t.Errorf("with what a later version adds: %+v, %v", got, err)
	}
	if got, err := DecodeOpening(want.Encode()); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNames(t *testing.T) {
	id := LogID{0xab, 15: 1}
	if got, err := ParseLogID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "ab", strings.Repeat("g", 32), strings.Repeat("a", 33)} {
		if _, err := ParseLogID(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
	for _, off := range []Offset{0, 7, math.MaxUint64} {
		for _, s := range []string{off.String(), off.Padded()} {
			if got, err := ParseOffset(s); err != nil || got != off {
				t.Errorf("%s: %v, %v", s, got, err)
			}
		}
		if len(off.Padded()) != 20 {
			t.Errorf("%s", off.Padded())
		}
	}
	for got, want := range map[string]string{
		KindAIS.String(): "ais", Kind(99).String(): "kind_99", TimeRadio.String(): "radio", TimeSource(99).String(): "source_99",
		QualityAsserted.String(): "asserted", TimeQuality(99).String(): "quality_99", Flags(0).String(): "",
		(FlagPrefix | FlagTruncated).String(): "prefix|truncated",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRecordsRandomly packs random records and reads them back.
func TestRecordsRandomly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b Builder
	for range 300 {
		b.Reset()
		var want []Record
		for range 1 + rng.IntN(20) {
			r := Record{
				Kind: Kind(rng.Uint32()), Flags: Flags(rng.Uint32()), Source: rng.Uint32(), ReceivedAt: Micros(rng.Uint64()),
				EventTime: Micros(rng.Uint64()), TimeSource: TimeSource(rng.Uint32()), TimeQuality: TimeQuality(rng.Uint32()),
				Monotonic: int64(rng.Uint64()), Raw: bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(300)),
			}
			if r.TimeSource == TimeNone {
				r.EventTime = NoTime
			}
			want = append(want, r)
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		block, err := Parse(b.Seal(LogID{1}, 0, Hash{}))
		if err != nil {
			t.Fatal(err)
		}
		_, got := decodeAll(t, &block)
		for i := range want {
			if want[i].Raw = append([]byte{}, want[i].Raw...); !reflect.DeepEqual(append([]byte{}, got[i].Raw...), want[i].Raw) {
				t.Fatalf("record %d: raw differs", i)
			}
			got[i].Raw = want[i].Raw
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
			}
		}
	}
}

// FuzzBlock parses anything: no panic, and what parses is consistent.
func FuzzBlock(f *testing.F) {
	f.Add(bytes.Clone(sampleBuilder(f).Seal(LogID{1}, 7, Hash{2})))
	f.Add(SealLoss(LogID{1}, 1, 2, Hash{}, "corrupt", nil))
	f.Add([]byte("LFB\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		parseAny(t, p)
		if len(p) < BlockHeaderBytes {
			return
		}
		q := bytes.Clone(p)
		copy(q, blockMagic)
		q[3] = blockVersion
		q[8], q[9], q[10], q[11] = byte(len(q)), byte(len(q)>>8), byte(len(q)>>16), 0
		putCRC(q)
		parseAny(t, q)
	})
}

func parseAny(t *testing.T, p []byte) {
	block, err := Parse(p)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("error of no class: %v", err)
		}
		return
	}
	n := uint32(0)
	block.Payloads(func(off Offset, payload []byte) bool {
		if off != block.First+Offset(n) {
			t.Errorf("offset %d at %d", off, n)
		}
		n++
		var r Record
		_ = block.DecodeRecord(payload, &r)
		_, _ = DecodeOpening(payload)
		return true
	})
	if block.Kind == BlockData && n != block.Count {
		t.Errorf("%d records of %d", n, block.Count)
	}
	for a := range block.Annotations {
		_, _ = a.SourceName()
		_, _ = a.Mark()
		_, _ = a.Watermark()
	}
}

// FuzzRecord: what goes into a block comes out of it.
func FuzzRecord(f *testing.F) {
	f.Add(uint8(2), uint32(1), uint32(3), int64(5), int64(6), uint8(1), uint8(2), int64(7), []byte("raw"))
	f.Add(uint8(0), uint32(0), uint32(0), int64(NoTime), int64(math.MaxInt64), uint8(9), uint8(0), int64(math.MinInt64), []byte(nil))
	f.Fuzz(func(t *testing.T, kind uint8, flags, source uint32, received, event int64, src, quality uint8, mono int64, raw []byte) {
		want := Record{
			Kind: Kind(kind), Flags: Flags(flags), Source: source, ReceivedAt: Micros(received), EventTime: Micros(event),
			TimeSource: TimeSource(src), TimeQuality: TimeQuality(quality), Monotonic: mono, Raw: raw,
		}
		if want.TimeSource == TimeNone {
			want.EventTime = NoTime
		}
		var b Builder
		b.Reset()
		if err := b.Add(&Record{ReceivedAt: 1, EventTime: NoTime, Monotonic: -1}); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(&want); err != nil {
			if len(raw) <= MaxRawBytes {
				t.Fatal(err)
			}
			return
		}
		block, err := Parse(b.Seal(LogID{1}, 0, Hash{}))
		if err != nil {
			t.Fatal(err)
		}
		_, got := decodeAll(t, &block)
		if !bytes.Equal(got[1].Raw, raw) {
			t.Error("raw differs")
		}
		if got[1].Raw = raw; !reflect.DeepEqual(got[1], want) {
			t.Errorf("%+v, want %+v", got[1], want)
		}
	})
}
