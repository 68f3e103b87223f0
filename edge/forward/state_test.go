package forward

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// sampleState is a state that uses every field.
func sampleState() state {
	return state{
		gateway: "mv-ada", release: ReleaseLanded, telling: Telling{Told: true, QuietSince: 1_790_000_000_000_000},
		marks: map[record.LogID]Mark{
			{1}: {Next: 150, Hash: record.Hash{2}, Published: 100, PublishedHash: record.Hash{3}, Kept: 160},
			{2}: {Next: 7},
		},
	}
}

func encoded(t testing.TB, s state) []byte {
	t.Helper()
	p, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// frozen returns a frozen file; make makes one that is not there yet.
func frozen(t *testing.T, name string, make func() []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "formats", name)
	p, err := os.ReadFile(path)
	if os.IsNotExist(err) && *writeFormats {
		p = make()
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, p, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stateSum(body []byte) uint32 { return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) }

// stateV1 is what gateways of before wrote.
func stateV1() []byte {
	body := []byte(`{"gateway":"mv-ada","logs":[{"log":"01000000000000000000000000000000","next":150,"hash":"02000000000000000000000000000000"},` +
		`{"log":"02000000000000000000000000000000","next":7,"hash":""}]}` + "\n")
	return append(fmt.Appendf(nil, "landfall-forward 1 %08x\n", stateSum(body)), body...)
}

// TestFrozenStates: the files of version 2, with and without what was added later, are
// written and read as they were frozen, and that of version 1 means what it meant:
// nothing published, released as landed.
func TestFrozenStates(t *testing.T) {
	gaveUp := sampleState()
	gaveUp.telling.GaveUp = true
	ofALake := sampleState()
	ofALake.lake = "0123456789abcdef"
	for name, want := range map[string]state{
		"state-v2.txt": sampleState(), "state-v2-gave-up.txt": gaveUp, "state-v2-lake.txt": ofALake,
	} {
		if p := frozen(t, name, func() []byte { return encoded(t, want) }); !bytes.Equal(p, encoded(t, want)) {
			t.Errorf("%s: this version writes\n%s", name, encoded(t, want))
		} else if s, err := decodeState(p); err != nil || !reflect.DeepEqual(s, want) {
			t.Errorf("%s: read as %+v, %v", name, s, err)
		}
	}
	s, err := decodeState(frozen(t, "state-v1.txt", stateV1))
	want := state{gateway: "mv-ada", release: ReleaseLanded, marks: map[record.LogID]Mark{{1}: {Next: 150, Hash: record.Hash{2}}, {2}: {Next: 7}}}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("read as %+v, %v", s, err)
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	good := encoded(t, sampleState())
	if _, err := decodeState(bytes.Replace(good, []byte(" 2 "), []byte(" 3 "), 1)); !errors.Is(err, record.ErrVersion) {
		t.Error("a newer version:", err)
	}
	for _, c := range []struct{ old, new string }{
		{`"release":"landed"`, `"release":"late"`}, {`"published":100`, `"published":151`},
		{`"published_hash":"03`, `"published_hash":"0z`}, {`"hash":"02`, `"hash":"0z`}, {`"log":"02`, `"log":"0z`},
	} {
		_, body, _ := bytes.Cut(bytes.Replace(good, []byte(c.old), []byte(c.new), 1), []byte("\n"))
		if bytes.HasSuffix(good, body) {
			t.Fatalf("%s: nothing was changed", c.old)
		}
		if s, err := decodeState(append(fmt.Appendf(nil, "landfall-forward 2 %08x\n", stateSum(body)), body...)); !errors.Is(err, ErrState) {
			t.Errorf("%s: %+v, %v", c.new, s, err)
		}
	}
}

// TestWhatAStateSettles: what others read of the file is what was released by it.
func TestWhatAStateSettles(t *testing.T) {
	told, quiet, gaveUp := Telling{Told: true}, Telling{Told: true, QuietSince: 5}, Telling{Told: true, QuietSince: 5, GaveUp: true}
	for _, c := range []struct {
		release Release
		telling Telling
		kept    record.Offset
		want    record.Offset
	}{
		{ReleasePublished, Telling{}, 0, 150},
		{ReleasePublished, told, 0, 100},
		{ReleasePublished, quiet, 0, 100},
		{ReleaseLanded, told, 0, 150},
		{ReleaseLanded, told, 160, 100},
		{ReleaseLanded, quiet, 160, 100},
		{ReleasePublished, gaveUp, 0, 150},
		{ReleaseLanded, gaveUp, 160, 150},
	} {
		path := filepath.Join(t.TempDir(), "forward.state")
		s := state{gateway: "mv-ada", release: c.release, telling: c.telling, marks: map[record.LogID]Mark{{1}: {Next: 150, Published: 100, Kept: c.kept}}}
		if err := os.WriteFile(path, encoded(t, s), 0o600); err != nil {
			t.Fatal(err)
		}
		gateway, settled, err := ReadSettled(durable.OS{}, path)
		if err != nil || gateway != "mv-ada" || settled[record.LogID{1}] != c.want {
			t.Errorf("%s, %+v, kept below %d: %v, %v, want %d", c.release, c.telling, c.kept, settled, err, c.want)
		}
	}
	if _, settled, err := ReadSettled(durable.OS{}, filepath.Join(t.TempDir(), "absent")); err != nil || len(settled) != 0 {
		t.Errorf("no file: %v, %v", settled, err)
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(encoded(f, sampleState()))
	f.Add(stateV1())
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := decodeState(p)
		if err != nil {
			return
		}
		again, err := decodeState(encoded(t, s))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%+v, then %+v, %v", s, again, err)
		}
	})
}
