package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// traffic is n lines of a harbour, several blocks of them.
func traffic(t testing.TB, n int) []byte {
	t.Helper()
	h, err := aissim.New(aissim.Config{Seed: 5, Start: 1_780_000_000_000_000, Tag: aissim.TagMillis, Rate: 300, Noise: 0.02, LostFragments: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for range n {
		if l := h.Next(); l.Kind != aissim.KindLost {
			b.Write(l.Text)
			b.WriteString("\r\n")
		}
	}
	return b.Bytes()
}

func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, opt Options) *Log {
	t.Helper()
	l, err := Open(durable.OS{}, path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// read gives all blocks from a position on, and the position behind each.
func read(t testing.TB, l *Log, from stream.Position) (blocks [][]byte, at []stream.Position) {
	t.Helper()
	r, err := l.Reader(0, from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		landed, after, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return blocks, at
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks, at = append(blocks, landed.Block), append(at, after)
	}
}

var plain = Options{Gateway: "g", BaseTime: record.NoTime}

// TestSameContentSameLog: name and compression change nothing; the blocks are
// one chain of dense offsets.
func TestSameContentSameLog(t *testing.T) {
	data := traffic(t, 20_000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	a, b := open(t, file(t, "a.nmea", data), plain), open(t, file(t, "b", packed.Bytes()), plain)
	if a.ID() != b.ID() {
		t.Fatalf("%s and %s", a.ID(), b.ID())
	}
	one, _ := read(t, a, stream.Position{})
	two, _ := read(t, b, stream.Position{})
	if len(one) < 3 || len(one) != len(two) {
		t.Fatalf("%d and %d blocks", len(one), len(two))
	}
	next, prev, digest := record.Offset(0), record.Hash{}, record.Digest(0)
	for i := range one {
		if !bytes.Equal(one[i], two[i]) {
			t.Fatalf("block %d differs", i)
		}
		h, err := record.Parse(one[i])
		if err != nil || h.First != next || h.Prev != prev {
			t.Fatalf("block %d begins at %d after %d: %v", i, h.First, next, err)
		}
		digest += h.DigestRecords()
		if d, ok := h.Digest(); !ok || d != digest {
			t.Errorf("block %d says the digest %s, %v, want %s", i, d, ok, digest)
		}
		next, prev = h.End(), record.HashBlock(one[i])
	}
}

// TestOlderVersionsAreContinued: a replay that an older program began needs the
// same blocks from this one. What they were was taken from that program.
func TestOlderVersionsAreContinued(t *testing.T) {
	path := file(t, "a", traffic(t, 20_000))
	for name, c := range map[string]struct {
		opt      Options
		id, last string // of the Log; the chain hash at its end
	}{
		"version 1":        {plain, "replay-4365357781ee043b5f7dcc00dc74dcb3", "e63edf64d18837e20ff3d4e3705ec846"},
		"version 1, again": {Options{Gateway: "g", BaseTime: record.NoTime, Again: true}, "replay-e84d58f592095a6a11190ff2b6409cf1", "c42497e858189eacb3699b9cb15341cd"},
	} {
		t.Run(name, func(t *testing.T) {
			newest := open(t, path, c.opt)
			c.opt.Version = 1
			for _, l := range []*Log{open(t, path, c.opt), newest.In(1)} {
				blocks, _ := read(t, l, stream.Position{})
				if last := record.HashBlock(blocks[len(blocks)-1]).String(); string(l.ID()) != c.id || last != c.last {
					t.Errorf("%s ends with the hash %s", l.ID(), last)
				}
				if l.Params()["capture_version"] == newest.Params()["capture_version"] {
					t.Error("its version is not in its Params")
				}
			}
		})
	}
	newer := plain
	newer.Version = Version + 1
	if _, err := Open(durable.OS{}, path, newer); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

// TestReadingGoesOnFromAnyPosition gives from each position what followed it
// the first time.
func TestReadingGoesOnFromAnyPosition(t *testing.T) {
	l := open(t, file(t, "a", traffic(t, 20_000)), plain)
	blocks, at := read(t, l, stream.Position{})
	for i, p := range at {
		rest, _ := read(t, l, p)
		if len(rest) != len(blocks)-i-1 || len(rest) > 0 && !bytes.Equal(rest[0], blocks[i+1]) {
			t.Fatalf("from position %+v: %d blocks, want %d", p, len(rest), len(blocks)-i-1)
		}
	}
	end := at[len(at)-1]
	for name, p := range map[string]stream.Position{
		"another log":    {Log: strings.Repeat("0", 32), Offset: 5},
		"inside a block": {Log: end.Log, Offset: end.Offset - 1},
		"beyond the end": {Log: end.Log, Offset: end.Offset + 1},
		"negative":       {Log: end.Log, Offset: -1},
	} {
		r, err := l.Reader(0, p)
		if err == nil {
			_, _, err = r.Next(t.Context())
			_ = r.Close()
		}
		if !errors.Is(err, landing.ErrPosition) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIdentity: content alone decides it, unless Again asks for the settings.
func TestIdentity(t *testing.T) {
	data := traffic(t, 100)
	path := file(t, "a", data)
	base := open(t, path, plain)
	other := Options{Gateway: "h", BaseTime: 1_000_000}
	if l := open(t, path, other); l.ID() != base.ID() || l.Params()["gateway"] != "h" || l.Params()["base_time"] != "1970-01-01T00:00:01Z" {
		t.Errorf("%s with %v", l.ID(), l.Params())
	}
	other.Again = true
	again := open(t, path, other)
	if again.ID() == base.ID() {
		t.Error("--again found the first log")
	}
	if l := open(t, path, other); l.ID() != again.ID() {
		t.Error("--again twice is two logs")
	}
	if l := open(t, file(t, "b", data[:len(data)-2]), plain); l.ID() == base.ID() {
		t.Error("other content, same log")
	}
}

// TestChangedFileFails: of a file that is changed or cut after it was opened no
// block holds other bytes, so that what was committed continues with the file as it
// was; what is appended is left out, and told.
func TestChangedFileFails(t *testing.T) {
	data := traffic(t, 20_000)
	want, _ := read(t, open(t, file(t, "as it was", data), plain), stream.Position{})
	changed := bytes.Clone(data)
	changed[len(changed)*3/4]++
	for _, c := range []struct {
		name  string
		now   []byte
		err   error
		grown bool
	}{
		{"changed", changed, ErrChanged, false},
		{"cut", data[:len(data)/2], ErrChanged, false},
		{"cut at a piece", data[:2*pieceBytes], ErrChanged, false},
		{"appended to", append(bytes.Clone(data), "!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24\n"...), io.EOF, true},
		{"as it was", data, io.EOF, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := file(t, "a", data)
			l := open(t, path, plain)
			if err := os.WriteFile(path, c.now, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := l.Reader(0, stream.Position{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			n := 0
			for {
				landed, _, err := r.Next(t.Context())
				if err != nil {
					grown := r.(*Reader).Grown()
					if !errors.Is(err, c.err) || grown != c.grown || c.err == io.EOF && n != len(want) {
						t.Errorf("ended with %v after %d of %d blocks, grown %v", err, n, len(want), grown)
					}
					break
				}
				if !bytes.Equal(landed.Block, want[n]) {
					t.Fatalf("block %d is another one", n)
				}
				n++
			}
		})
	}
}

// TestBeginning: the sum of a beginning is that of a content which ends there.
func TestBeginning(t *testing.T) {
	data := traffic(t, 20_000)
	lengths := []int64{1, 5000, HeadBytes, pieceBytes, pieceBytes + 1, int64(len(data)) - 1}
	l := open(t, file(t, "a", data), Options{Gateway: "g", Prefixes: append(lengths, int64(len(data)), int64(len(data))+1)})
	for _, n := range lengths {
		if want := open(t, file(t, "b", data[:n]), plain).Content(); l.Beginning(n) != want {
			t.Errorf("the first %d bytes: %s, want %s", n, l.Beginning(n), want)
		}
	}
	for _, n := range []int64{0, 7, int64(len(data)), int64(len(data)) + 1} {
		if got := l.Beginning(n); got != "" {
			t.Errorf("the first %d bytes of %d: %s", n, len(data), got)
		}
	}
}

// TestCloseBeforeTheEnd joins the goroutine although nobody takes its blocks.
func TestCloseBeforeTheEnd(t *testing.T) {
	l := open(t, file(t, "a", traffic(t, 60_000)), plain)
	r, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if err := l.Append(context.Background(), landing.Landed{}); !errors.Is(err, landing.ErrReadOnly) {
		t.Errorf("append: %v", err)
	}
}

// watermarkOf gives the gateway's watermark in a block.
func watermarkOf(t *testing.T, block []byte) record.Micros {
	t.Helper()
	b, err := record.Parse(block)
	if err != nil {
		t.Fatal(err)
	}
	at := record.NoTime
	for a := range b.Annotations {
		if a.Type != record.AnnWatermark {
			continue
		}
		w, err := a.Watermark()
		if err != nil {
			t.Fatal(err)
		}
		at = w.At
	}
	return at
}

// TestWatermark: a time from the far future moves nothing, a gap of weeks in a
// recording is passed, and a file without times has no watermark.
func TestWatermark(t *testing.T) {
	const t0 = 1_780_000_000
	line := func(sec int64) string {
		tag := fmt.Sprintf("c:%d", sec)
		var sum byte
		for _, c := range []byte(tag) {
			sum ^= c
		}
		return fmt.Sprintf("\\%s*%02X\\!AIVDM,1,1,,A,x,0*1A\n", tag, sum)
	}
	var b strings.Builder
	for i := range int64(2000) {
		b.WriteString(line(t0 + i))
		if i == 1000 {
			b.WriteString(line(2_145_916_800)) // 2038
		}
	}
	last := func(text string) record.Micros {
		blocks, _ := read(t, open(t, file(t, "a", []byte(text)), plain), stream.Position{})
		return watermarkOf(t, blocks[len(blocks)-1])
	}
	want := record.Micros(t0+2000-16)*1_000_000 - disorder
	if got := last(b.String()); got != want {
		t.Errorf("with one time in 2038 the watermark is %v, want %v", time.UnixMicro(int64(got)).UTC(), time.UnixMicro(int64(want)).UTC())
	}
	weeks := int64(30 * 24 * 3600)
	for i := range int64(16) {
		b.WriteString(line(t0 + weeks + i))
	}
	if got := last(b.String()); got != record.Micros(t0+weeks)*1_000_000-disorder {
		t.Errorf("after a gap of weeks the watermark is %v", time.UnixMicro(int64(got)).UTC())
	}
	if got := last("!AIVDM,1,1,,A,x,0*1A\n"); got != record.NoTime {
		t.Errorf("without times the watermark is %v", got)
	}
}
