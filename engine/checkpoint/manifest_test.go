package checkpoint

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

var update = flag.Bool("update", false, "write new golden files; only for a new format version")

const (
	hashA  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB  = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	claimA = stream.ClaimID("0123456789abcdef0123456789abcdef")
)

func output(name string) stream.Staged {
	return stream.Staged{Sink: "parquet", Table: "record", Name: name, Target: "record/" + name, Rows: 3, Bytes: 99, SHA256: hashA}
}

// full is a manifest with every field set.
func full() Manifest {
	return Manifest{
		Format: 4, Landing: "5f-c", Partition: 2, Partitions: 4, Epoch: 7, Claim: claimA, Previous: hashB,
		Position: stream.Position{Log: "00ff", Offset: 4711, Hash: hashB[:32], Leader: 3},
		From:     &stream.Position{Log: "00ff", Offset: 17}, GivenUp: true, Hold: &stream.Position{Log: "00fe", Offset: 4700, Hash: hashA[:32]},
		State: []StateObject{
			{Name: "5f-c-0002/state/6.state", SHA256: hashA, Bytes: 10}, {Name: "5f-c-0002/state/7.state", SHA256: hashB, Bytes: 0},
		},
		Staged:      []stream.Staged{output("7-a"), output("7-b")},
		Unpublished: []Unpublished{{Epoch: 5, Staged: []stream.Staged{output("5")}}, {Epoch: 6, Staged: []stream.Staged{inParts("6")}}},
		Schema:      1, Decoder: "ais-1", Writer: "host a, process 1",
		Watermarks: []Watermark{{Gateway: "aurora", At: 1700000000000000}, {Gateway: "borealis", At: -1 << 63}},
		Final:      true, Params: map[string]string{"gateway": "aurora", "base_time": "0", "capture_version": "1"},
		Ledger: &ledger.Tip{Name: ledger.EntryName("5f-c-0002", 6, claimA), Number: 6, SHA256: hashA},
	}
}

// moved is one of a lake that was moved, and moves again.
func moved() Manifest {
	m := full()
	m.Generation, m.Moved = 1, &Moved{Landing: "6a-d", Partitions: 16}
	return m
}

// full3 is the same before positions said what they stand on.
func full3() Manifest {
	m := full()
	m.Format, m.From, m.GivenUp, m.Hold, m.Position = 3, nil, false, nil, stream.Position{Log: "00ff", Offset: 4711}
	return m
}

// full2 is the same before there was a ledger.
func full2() Manifest {
	m := full3()
	m.Format, m.Ledger = 2, nil
	return m
}

// full1 is the same before outputs had parts.
func full1() Manifest {
	m := full2()
	m.Format = 1
	m.Unpublished = []Unpublished{{Epoch: 5, Staged: []stream.Staged{output("5")}}, {Epoch: 6, Staged: []stream.Staged{output("6")}}}
	return m
}

// inParts is an output that lies staged as the parts of an upload.
func inParts(name string) stream.Staged {
	s := output(name)
	s.Parts = "0cc175b9c0f1b6a831c399e269772661 92eb5ffee6ae2fec3ad71c777531578f"
	return s
}

func encoded(t testing.TB, m Manifest) []byte {
	t.Helper()
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func encodedHead(t testing.TB, format int) []byte {
	t.Helper()
	data, err := Head{Format: format, Manifest: "5f-c-0002/manifest/7.json", SHA256: hashA, Claim: claimA, Epoch: 7}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFormatsAreFrozen(t *testing.T) {
	first := Manifest{Format: 1, Landing: "a", Partitions: 1, Claim: claimA}
	for name, data := range map[string][]byte{
		"manifest-v1.json": encoded(t, full1()), "manifest-v1-first.json": encoded(t, first), "head-v1.json": encodedHead(t, 1),
		"manifest-v2.json": encoded(t, full2()), "head-v2.json": encodedHead(t, 2),
		"manifest-v3.json": encoded(t, full3()), "head-v3.json": encodedHead(t, 3),
		"manifest-v4.json": encoded(t, full()), "manifest-v4-moved.json": encoded(t, moved()), "head-v4.json": encodedHead(t, 4),
	} {
		path := filepath.Join("testdata", "formats", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		frozen, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, data) {
			t.Errorf("%s: written differently today:\n%s", name, data)
		}
	}
	for name, want := range map[string]Manifest{"manifest-v1.json": full1(), "manifest-v2.json": full2(), "manifest-v3.json": full3(), "manifest-v4.json": full(), "manifest-v4-moved.json": moved()} {
		frozen, err := os.ReadFile(filepath.Join("testdata", "formats", name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := DecodeManifest(frozen)
		if err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: read differently today: %+v %v", name, m, err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	good := string(encoded(t, full()))
	change := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the manifest", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, test := range map[string]struct {
		data string
		want error
	}{
		"newer format":      {change(`"format":4`, `"format":5,"shiny":true`), ErrVersion},
		"no format":         {change(`"format":4,`, ``), ErrCorrupt},
		"moved, format 3":   {strings.Replace(string(encoded(t, full3())), `"params"`, `"generation":1,"params"`, 1), ErrCorrupt},
		"moved nowhere":     {strings.Replace(string(encoded(t, moved())), `"partitions":16`, `"partitions":0`, 1), ErrCorrupt},
		"moved to itself":   {strings.Replace(string(encoded(t, moved())), `"6a-d"`, `"5f-c"`, 1), ErrCorrupt},
		"before the first":  {strings.Replace(string(encoded(t, moved())), `"generation":1`, `"generation":-1`, 1), ErrCorrupt},
		"parts in format 1": {strings.Replace(string(encoded(t, full2())), `"format":2`, `"format":1`, 1), ErrCorrupt},
		"ledger, format 2":  {strings.Replace(string(encoded(t, full3())), `"format":3`, `"format":2`, 1), ErrCorrupt},
		"hash, format 3":    {change(`"format":4`, `"format":3`), ErrCorrupt},
		"from, format 3":    {strings.Replace(string(encoded(t, full3())), `"state"`, `"from":{"log":"a","offset":1},"state"`, 1), ErrCorrupt},
		"bad hash":          {change(`"hash":"b`, `"hash":"B`), ErrCorrupt},
		"bad leader":        {change(`"leader":3`, `"leader":-3`), ErrCorrupt},
		"bad hold":          {change(`4700`, `-1`), ErrCorrupt},
		"no ledger":         {strings.Replace(string(encoded(t, full2())), `"format":2`, `"format":3`, 1), ErrCorrupt},
		"another's ledger":  {change(`"5f-c-0002/ledger`, `"5f-c-0003/ledger`), ErrCorrupt},
		"ledger number":     {change(`"number":6`, `"number":7`), ErrCorrupt},
		"ledger hash":       {change(`"number":6,"sha256":"a`, `"number":6,"sha256":"A`), ErrCorrupt},
		"unknown field":     {change(`"final"`, `"shiny":1,"final"`), ErrCorrupt},
		"cut short":         {good[:len(good)/2], ErrCorrupt},
		"empty":             {"", ErrCorrupt},
		"more after":        {good + "{}", ErrCorrupt},
		"not hexadecimal":   {change(hashA, strings.ToUpper(hashA)), ErrCorrupt},
		"bad claim":         {change(string(claimA), "me"), ErrCorrupt},
		"bad partition":     {change(`"partition":2`, `"partition":4`), ErrCorrupt},
		"folder in landing": {change(`"landing":"5f-c"`, `"landing":"../x"`), ErrCorrupt},
		"negative offset":   {change(`4711`, `-1`), ErrCorrupt},
		"negative rows":     {change(`"rows":3`, `"rows":-3`), ErrCorrupt},
		"later epoch":       {change(`"epoch":6`, `"epoch":9`), ErrCorrupt},
		"output twice":      {change(`"name":"7-a"`, `"name":"7-b"`), ErrCorrupt},
	} {
		if _, err := DecodeManifest([]byte(test.data)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for name, data := range map[string]string{"empty": "", "no manifest": `{"format":1}`, "garbage": "\x00\x00"} {
		if _, err := DecodeHead([]byte(data)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("HEAD %s: %v", name, err)
		}
	}
	if _, err := DecodeHead([]byte(`{"format":5}`)); !errors.Is(err, ErrVersion) {
		t.Errorf("newer HEAD: %v", err)
	}
}

// FuzzManifest reads any bytes: what is accepted is written and read again as
// the same.
func FuzzManifest(f *testing.F) {
	f.Add(encoded(f, full()))
	f.Add(encoded(f, moved()))
	f.Add(encoded(f, full1()))
	f.Add(encoded(f, full2()))
	f.Add(encodedHead(f, Format))
	f.Add([]byte(`{"format":4}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := DecodeHead(data); err == nil {
			again, err := h.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := DecodeHead(again); err != nil || back != h {
				t.Fatalf("HEAD: %+v became %+v, %v", h, back, err)
			}
		}
		m, err := DecodeManifest(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("unclassed error: %v", err)
			}
			return
		}
		back, err := DecodeManifest(encoded(t, m))
		if err != nil || !bytes.Equal(encoded(t, back), encoded(t, m)) {
			t.Fatalf("%+v became %+v, %v", m, back, err)
		}
	})
}
