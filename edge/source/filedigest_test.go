package source

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
)

// TestTrailHasEachByte: wherever a stream is cut into reads, and at each end of a line
// in it, the position has the hash of all bytes before it.
func TestTrailHasEachByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	stream := make([]byte, 400_000)
	for i := range stream {
		stream[i] = byte(rng.Uint32())
	}
	var tr trail
	for rest := stream; len(rest) > 0; {
		n := min(len(rest), 1+rng.IntN(9000))
		tr.follow(rest[:n])
		rest = rest[n:]
		for _, pending := range []int{min(n, rng.IntN(MaxLineBytes)), 0} {
			at := len(stream) - len(rest) - pending
			want := hashBytes(stream[:at])
			if p := tr.clone().position(pending); p.offset != int64(at) || !p.hasAll || p.all != want {
				t.Fatalf("at %d: %+v", at, p)
			}
		}
		if rng.IntN(3) > 0 {
			tr.position(rng.IntN(1 + min(n, int(tr.read-tr.hashed), MaxLineBytes)))
		}
	}
}

// otherDevice is a file system whose device has another number, as after a mount.
type otherDevice struct{ durable.OS }

type otherDeviceFile struct{ durable.File }

func (o otherDevice) Open(name string) (durable.File, error) {
	f, err := o.OS.Open(name)
	return otherDeviceFile{f}, err
}

func (f otherDeviceFile) Describe() (durable.Description, error) {
	d, err := durable.Describe(f.File)
	d.Device += 1000
	return d, err
}

// TestFileOnAnotherDevice: a device has another number after a start of the machine.
// That is the same file, under its path or rotated.
func TestFileOnAnotherDevice(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "ais.log")
		write2(t, path, "one\n", 0)
		position := interrupted(t, path)
		write2(t, path, "two\n", os.O_APPEND)
		want := []string{"two"}
		if rotated {
			rename(t, path, path+".1")
			write2(t, path, "three\n", 0)
			want = append(want, "three")
		}
		f, err := NewFile(FileConfig{Options: options("f"), FS: otherDevice{}, Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsAt(position) {
			t.Error("it is not known for another source either")
		}
		sink := newTestSink()
		sink.positions["f"] = position
		if err := f.Run(t.Context(), sink); err != nil {
			t.Fatal(err)
		}
		expect(t, sink.lines(), want...)
		if gaps := sink.gaps(); len(gaps) > 0 {
			t.Errorf("rotated %v: gaps %q", rotated, gaps)
		}
	}
}

// TestFileOfVersion2: a position of before is believed for its beginning and its end, as
// it was then, and the next one has all.
func TestFileOfVersion2(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, text(alike("first", 100, 20)), 0)
	p, err := decodeFilePosition(interrupted(t, path))
	if err != nil {
		t.Fatal(err)
	}
	p.hasAll = false
	v2 := p.encode()
	if v2[0] != 2 {
		t.Fatalf("version %d", v2[0])
	}
	write2(t, path, text(append(alike("other", 90, 30), "more")), os.O_TRUNC)
	sink := resumed(t, path, v2)
	expect(t, sink.lines(), "more")
	if next, err := decodeFilePosition(sink.last()); err != nil || !next.hasAll {
		t.Errorf("%+v, %v", next, err)
	}
}

// TestPackedFormHasEachByte: a packed file of the same length and beginning is not the
// form of a file.
func TestPackedFormHasEachByte(t *testing.T) {
	dir := t.TempDir()
	first, other := alike("first", 100, 20), alike("other", 100, 20)
	f := newTestFile(t, filepath.Join(dir, "ais.log"), false)
	open := func(name, content string) *sibling {
		write2(t, filepath.Join(dir, name), content, 0)
		s, err := f.sibling(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		return s
	}
	plain := open("plain", text(first))
	cut := gzipped(text(first))
	packed := map[*sibling]bool{
		open("same", gzipped(text(first))):                   true,
		open("other", gzipped(text(other))):                  false,
		open("longer", gzipped(text(first)+"more\n")):        false,
		open("not whole", cut[:len(cut)/2]+cut[len(cut)-8:]): false,
	}
	var c chain
	for range 2 { // the second time it is remembered
		for s, want := range packed {
			if got := c.isPackedForm(s, plain); got != want {
				t.Errorf("%s: %v", s.path, got)
			}
		}
	}
	if len(c.forms) != 3 {
		t.Errorf("%d pairs are remembered", len(c.forms))
	}
}
