package ledger

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/stream"
)

var update = flag.Bool("update", false, "write new golden files; only for a new format version")

const (
	hashA  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB  = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	claimA = stream.ClaimID("0123456789abcdef0123456789abcdef")
	logA   = "abababababababababababababababab"
	logB   = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
)

// full is an entry with every field set.
func full() Entry {
	return Entry{
		Format: 2, Kind: KindRepair, Number: 7, Previous: hashB, Task: "5f-c-0002", Epoch: 6, Claim: claimA,
		Position: stream.Position{Log: "00ff", Offset: 4711, Hash: hashB[:32], Leader: 3}, Schema: 5, Decoder: "5", Final: true, Note: "one file was damaged",
		Files:   []File{{Sink: "parquet", Table: "record", Name: "record/dt=2026-01-01/a.parquet", Rows: 3, Bytes: 99, SHA256: hashA}},
		Removed: []File{{Sink: "parquet", Table: "record", Name: "record/dt=2026-01-01/a.parquet", Rows: -1, Bytes: 98, SHA256: hashB}},
		Logs: []Log{
			{Gateway: "aurora", Log: logA, From: 5, Next: 9, Digest: "18446744073709551615", Chain: "ffffffffffffffffffffffffffffffff"},
			{Gateway: "aurora", Log: logB, Next: 2, Previous: logA, PreviousEnd: 9, OpenedAt: 1_700_000_000_000_000, Closed: true},
		},
	}
}

// full1 is the same before positions said what they stand on.
func full1() Entry {
	e := full()
	e.Format, e.Position = 1, stream.Position{Log: "00ff", Offset: 4711}
	return e
}

// moved is the entry that begins a ledger after a move.
func moved() Entry {
	return Entry{
		Format: 2, Kind: KindMoved, Number: 1, Task: "6a-d-0003", Claim: claimA, Schema: 5, Decoder: "5", Note: "the lake moved here",
		Came: []Tip{{Name: EntryName("5f-c-0000", 4, claimA), Number: 4, SHA256: hashA}, {Name: EntryName("5f-c-0002", 7, claimA), Number: 7, SHA256: hashB}},
		Logs: []Log{{Gateway: "aurora", Log: logA, From: 9, Next: 9, Digest: "18446744073709551615", Chain: "ffffffffffffffffffffffffffffffff"}},
	}
}

// first is the smallest entry.
func first() Entry {
	return Entry{Format: 1, Kind: KindEpoch, Number: 1, Task: "a-0000", Epoch: 1, Claim: claimA}
}

func encoded(t testing.TB, e Entry) []byte {
	t.Helper()
	line, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestFormatIsFrozen(t *testing.T) {
	adopted := first()
	adopted.Kind = KindAdopted
	for name, e := range map[string]Entry{"entry-v2.json": full(), "entry-v1.json": full1(), "entry-v1-first.json": first(), "entry-v1-adopted.json": adopted, "entry-v2-moved.json": moved()} {
		line := encoded(t, e)
		path := filepath.Join("testdata", "formats", name)
		if *update {
			if err := os.WriteFile(path, line, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		frozen, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, line) {
			t.Errorf("%s: written differently today:\n%s", name, line)
		}
		back, err := Decode(frozen)
		if err != nil || !bytes.Equal(encoded(t, back), frozen) {
			t.Errorf("%s: read differently today: %+v %v", name, back, err)
		}
		if (name == "entry-v1.json" || name == "entry-v2.json") && !reflect.DeepEqual(back, e) {
			t.Errorf("%s: read differently today: %+v", name, back)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	good := string(encoded(t, full()))
	change := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the entry", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	changeMoved := func(old, with string) string {
		line := string(encoded(t, moved()))
		if !strings.Contains(line, old) {
			t.Fatalf("%s is not in the entry", old)
		}
		return strings.Replace(line, old, with, 1)
	}
	for name, test := range map[string]struct {
		line string
		want error
	}{
		"newer format":            {change(`"format":2`, `"format":3,"shiny":true`), ErrVersion},
		"no format":               {change(`"format":2,`, ``), ErrCorrupt},
		"a move of format 1":      {changeMoved(`"format":2`, `"format":1`), ErrCorrupt},
		"a move with files":       {changeMoved(`"files":[]`, `"files":[{"sink":"parquet","table":"record","name":"record/a","rows":3,"bytes":99,"sha256":"`+hashA+`"}]`), ErrCorrupt},
		"a repair that came":      {change(`"removed":`, `"came":[{"name":"`+EntryName("5f-c-0000", 4, claimA)+`","number":4,"sha256":"`+hashA+`"}],"removed":`), ErrCorrupt},
		"came from another entry": {changeMoved(`"number":4`, `"number":5`), ErrCorrupt},
		"came from one twice":     {changeMoved("5f-c-0000", "5f-c-0002"), ErrCorrupt},
		"came from itself":        {changeMoved("5f-c-0000", "6a-d-0003"), ErrCorrupt},
		"came from nothing":       {changeMoved(hashA, ""), ErrCorrupt},
		"hash, format 1":          {change(`"format":2`, `"format":1`), ErrCorrupt},
		"bad hash":                {change(`"hash":"b`, `"hash":"B`), ErrCorrupt},
		"unknown kind":            {change(`"repair"`, `"gift"`), ErrCorrupt},
		"unknown field":           {change(`"final"`, `"shiny":1,"final"`), ErrCorrupt},
		"number 0":                {change(`"number":7`, `"number":0`), ErrCorrupt},
		"the first follows one":   {change(`"number":7`, `"number":1`), ErrCorrupt},
		"another follows nothing": {change(`"previous":"`+hashB+`"`, `"previous":""`), ErrCorrupt},
		"an epoch removes files":  {change(`"repair"`, `"epoch"`), ErrCorrupt},
		"task with a folder":      {change(`"5f-c-0002"`, `"../x"`), ErrCorrupt},
		"bad claim":               {change(string(claimA), "me"), ErrCorrupt},
		"negative position":       {change(`4711`, `-1`), ErrCorrupt},
		"negative rows":           {change(`"rows":3`, `"rows":-2`), ErrCorrupt},
		"negative bytes":          {change(`"bytes":99`, `"bytes":-99`), ErrCorrupt},
		"not hexadecimal":         {change(hashA, strings.ToUpper(hashA)), ErrCorrupt},
		"file twice": {change(`"files":[{`, `"files":[{"sink":"parquet","table":"record","name":"record/dt=2026-01-01/a.parquet","rows":3,"bytes":99,"sha256":"`+hashA+`"},{`),
			ErrCorrupt},
		"log backwards": {change(`"next":9`, `"next":4`), ErrCorrupt},
		"bad log":       {change(logA, "me"), ErrCorrupt},
		"bad digest":    {change(`18446744073709551615`, `18446744073709551616`), ErrCorrupt},
		"bad chain":     {change(`ffffffffffffffffffffffffffffffff`, `f`), ErrCorrupt},
		"cut short":     {good[:len(good)/2] + "\n", ErrCorrupt},
		"no line end":   {strings.TrimSuffix(good, "\n"), ErrCorrupt},
		"empty":         {"", ErrCorrupt},
		"more after":    {strings.TrimSuffix(good, "\n") + "{}\n", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode([]byte(test.line)); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	e := full()
	e.Logs[0].Chain = "f"
	if _, err := e.Encode(); err == nil {
		t.Error("encoded")
	}
	e = first()
	e.Note = strings.Repeat("x", MaxEntryBytes)
	if _, err := e.Encode(); !errors.Is(err, record.ErrTooLarge) {
		t.Errorf("an entry too large: %v", err)
	}
}

// FuzzEntry reads any bytes: what is accepted is written and read again as the
// same.
func FuzzEntry(f *testing.F) {
	f.Add(encoded(f, full()))
	f.Add(encoded(f, moved()))
	f.Add(encoded(f, first()))
	f.Add([]byte("{\"format\":2}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Decode(line)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("unclassed error: %v", err)
			}
			return
		}
		again := encoded(t, e)
		back, err := Decode(again)
		if err != nil || !bytes.Equal(encoded(t, back), again) {
			t.Fatalf("%+v became %+v, %v", e, back, err)
		}
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]struct {
		number   uint64
		fold, ok bool
	}{
		EntryName("5f-c-0002", 7, claimA):                                    {7, false, true},
		FoldName("5f-c-0002", 1001):                                          {1001, true, true},
		"t/ledger/00000000000000000000-" + string(claimA) + ".json":          {},
		"t/ledger/0000000000000000007-" + string(claimA) + ".json":           {},
		"t/ledger/00000000000000000007-" + string(claimA[:31]) + ".json":     {},
		"t/ledger/00000000000000000007-" + string(claimA) + ".json.old":      {},
		"t/ledger/fold-00000000000000000000.jsonl":                           {},
		"t/ledger/fold-00000000000000000001.json":                            {},
		"t/manifest/00000000000000000007-" + string(claimA) + ".json":        {},
		"t/ledger/+0000000000000000007-" + string(claimA) + ".json":          {},
		"t/ledger/99999999999999999999-" + string(claimA) + ".json":          {},
		"t/ledger/00000000000000000007-" + strings.Repeat("G", 32) + ".json": {},
	} {
		number, fold, ok := ParseName(name)
		if ok != want.ok || ok && (number != want.number || fold != want.fold) {
			t.Errorf("%s: %d %v %v", name, number, fold, ok)
		}
	}
	for number, want := range map[uint64]uint64{1: 1, 3: 1, 4: 4, 6: 4, 7: 7} {
		if got := FoldOf(number, 3); got != want {
			t.Errorf("entry %d is in fold %d", number, got)
		}
	}
}
