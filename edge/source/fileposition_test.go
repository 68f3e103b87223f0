package source

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// samplePosition has every field.
func samplePosition() filePosition {
	id := durable.Identity{Device: 2049, Inode: 77_001, Born: 1_700_000_000_123_456_789}
	return filePosition{
		isPlaced: true, cut: true, offset: 5000, headLen: 1024, head: hashBytes([]byte("head")), tailLen: 256, tail: hashBytes([]byte("tail")),
		all: hashBytes([]byte("all")), hasAll: true, id: id, modified: 1_700_000_001_000_000_000, gaps: 3, gap: fileGap{gapMissing, 1_700_000_000_000_000, 1_700_000_002_000_000},
		left: []leftFile{{id, 9000}, {durable.Identity{Device: 1, Inode: 2}, 0}},
	}
}

// TestFilePositionFrozen: positions of every version are read as they were written.
func TestFilePositionFrozen(t *testing.T) {
	v1 := samplePosition()
	v1 = filePosition{isPlaced: true, cut: true, offset: v1.offset, headLen: v1.headLen, head: v1.head, tailLen: v1.tailLen, tail: v1.tail}
	v2 := samplePosition()
	v2.all, v2.hasAll = record.Hash{}, false
	for name, want := range map[string]filePosition{"fileposition-v1.bin": v1, "fileposition-v2.bin": v2, "fileposition-v3.bin": samplePosition()} {
		p, err := os.ReadFile(filepath.Join("testdata", "formats", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeFilePosition(p)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if again := got.encode(); p[0] > 1 && !bytes.Equal(again, p) {
			t.Errorf("%s: written as %x", name, again)
		}
	}
}

// TestFileResumesFromVersion1: a position of before, which knows no inode, finds its
// file by content, under its name or another, and goes on with those after it.
func TestFileResumesFromVersion1(t *testing.T) {
	for _, name := range []string{"", ".2", ".2.gz"} {
		path := filepath.Join(t.TempDir(), "ais.log")
		write2(t, path, "one\n", 0)
		p := interrupted(t, path)
		v1 := append([]byte{1}, p[1:1+1+1+1+16+1+16]...) // up to the tail's hash, each number below 128
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		want := []string{"two"}
		content := "one\ntwo\n"
		if name == ".2.gz" {
			content = gzipped(content)
		}
		write2(t, path+name, content, 0)
		if name != "" {
			write2(t, path+".1", "three\n", 0)
			write2(t, path, "four\n", 0)
			want = append(want, "three", "four")
		}
		sink := resumed(t, path, v1)
		expect(t, sink.lines(), want...)
		if gaps := sink.gaps(); len(gaps) > 0 {
			t.Errorf("%q: gaps %q", name, gaps)
		}
	}
}

func TestFilePositionDecode(t *testing.T) {
	good := samplePosition()
	good.owes = true
	got, err := decodeFilePosition(good.encode())
	if err != nil || !reflect.DeepEqual(got, good) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for n := 1; n < len(good.encode()); n++ {
		if _, err := decodeFilePosition(good.encode()[:n]); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := decodeFilePosition([]byte{4}); !errors.Is(err, record.ErrVersion) {
		t.Errorf("version: %v", err)
	}
	sink := newTestSink()
	sink.positions["f"] = []byte{9}
	if err := newTestFile(t, filepath.Join(t.TempDir(), "x"), false).Run(t.Context(), sink); !errors.Is(err, record.ErrVersion) {
		t.Errorf("Run: %v", err)
	}
}

func FuzzFilePosition(f *testing.F) {
	f.Add(samplePosition().encode())
	f.Add(filePosition{isPlaced: true, offset: 5000, headLen: 1024, tailLen: 256}.encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := decodeFilePosition(p)
		if err != nil || len(p) == 0 {
			return
		}
		again, err := decodeFilePosition(got.encode())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}

// TestFileCutIsDeclaredAfterARestart: where a run over copies of a file that was cut
// in place, again while a copy was read, declares a gap later on, one that goes on from
// there after a restart does too.
func TestFileCutIsDeclaredAfterARestart(t *testing.T) {
	s := &shifter{t: t, path: filepath.Join(t.TempDir(), "ais.log"), keep: 9, cut: true}
	write2(t, s.path, "one\n", 0)
	position := interrupted(t, s.path)
	add := func(line string) { write2(t, s.path, line+"\n", os.O_APPEND) }
	add("two")
	s.rotate()
	add("three")
	sink := &hookSink{testSink: newTestSink(), at: 1, do: func() {
		s.rotate()
		add("four")
	}}
	sink.positions["f"] = position
	if err := newTestFile(t, s.path, false).Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	lines := []string{"two", "three", "four"}
	expect(t, sink.lines(), lines...)
	if gaps := sink.gaps(); len(gaps) != 2 {
		t.Fatalf("gaps %q", gaps)
	}
	for i, b := range sink.batches {
		before, after := &testSink{batches: sink.batches[:i+1]}, &testSink{batches: sink.batches[i+1:]}
		rest := resumed(t, s.path, b.Position)
		expect(t, append(before.lines(), rest.lines()...), lines...)
		if want, got := after.gaps(), rest.gaps(); len(want) > 0 && len(got) == 0 {
			t.Errorf("after %q: gaps %q without a restart, none with one", before.lines(), want)
		}
	}
}
