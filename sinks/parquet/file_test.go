package parquet

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/record"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

func TestNamesComeFromTheEpoch(t *testing.T) {
	_, s := lake(t)
	got := land(t, s, 7, slice(harbour(1, 10), 0, 10))
	want := []string{
		"_staging/test-0000/0123456789abcdef0123456789abcdef/00000000000000000007-ais_position-dt=2023-11-14-0.parquet.staged",
		"ais_position/dt=2023-11-14/test-0000-00000000000000000007-0.parquet",
		"_staging/test-0000/0123456789abcdef0123456789abcdef/00000000000000000007-record-dt=2023-11-14-0.parquet.staged",
		"record/dt=2023-11-14/test-0000-00000000000000000007-0.parquet",
	}
	var names []string
	for _, f := range got {
		names = append(names, f.Name, f.Target)
		if f.Sink != Name || f.Rows != 10 || f.Bytes == 0 || len(f.SHA256) != 64 {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
}

func TestDates(t *testing.T) {
	for at, want := range map[record.Micros]string{
		0: "1970-01-01", -1: "1969-12-31", 1_700_006_399_999_999: "2023-11-14", 1_700_006_400_000_000: "2023-11-15",
		-62_135_596_800_000_000: "0001-01-01", 253_402_300_799_999_999: "9999-12-31",
	} {
		if d, ok := dayOf(at); !ok || d.String() != want {
			t.Errorf("%d: %s, %v, want %s", at, d, ok, want)
		}
	}
	for _, at := range []record.Micros{record.NoTime, -62_135_596_800_000_001, 253_402_300_800_000_000, 1<<63 - 1} {
		if d, ok := dayOf(at); ok {
			t.Errorf("%d has a date: %s", at, d)
		}
	}
}

// TestRowsWithoutTimeGoUnderLanding looks where rows without a date end.
func TestRowsWithoutTimeGoUnderLanding(t *testing.T) {
	_, s := lake(t)
	b := slice(harbour(1, 4), 0, 4)
	for i := range b.Records {
		b.Records[i].EventTime, b.Positions[i].EventTime = record.NoTime, record.NoTime
		b.Records[i].LandedAt = 1_600_000_000_000_000 + record.Micros(i)*microsPerDay
	}
	var got []string
	for _, f := range land(t, s, 1, b, &table.Batch{Positions: b.Positions[:1]}) {
		got = append(got, filepath.Dir(f.Target))
	}
	want := []string{"ais_position/dt=1970-01-01", "ais_position/dt=2020-09-13", "record/dt=2020-09-13", "record/dt=2020-09-14", "record/dt=2020-09-15", "record/dt=2020-09-16"}
	if !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}

// TestUnconfirmedTimesGoUnderLanding: a row whose time nothing confirms keeps it,
// and lies under the day it landed; one that is confirmed, under its own.
func TestUnconfirmedTimesGoUnderLanding(t *testing.T) {
	_, s := lake(t)
	b := slice(harbour(1, 2), 0, 2)
	for i := range b.Records {
		b.Records[i].LandedAt = 1_600_000_000_000_000
		for _, times := range []*table.Times{&b.Records[i].Times, &b.Positions[i].Times} {
			times.EventTime, times.TimeQuality = 5, record.QualityUnsynchronised
			if i == 1 {
				times.EventTime, times.TimeQuality = 1_500_000_000_000_000, record.QualitySynchronised
			}
		}
	}
	var got []string
	for _, f := range land(t, s, 1, b) {
		got = append(got, filepath.Dir(f.Target))
	}
	want := []string{"ais_position/dt=2017-07-14", "ais_position/dt=2020-09-13", "record/dt=2017-07-14", "record/dt=2020-09-13"}
	if !slices.Equal(got, want) {
		t.Errorf("folders %q, want %q", got, want)
	}
}

// TestOrderGroupsAndBounds checks every file for the order of its rows, the
// size of its row groups, and bounds that are exactly those of each page.
func TestOrderGroupsAndBounds(t *testing.T) {
	dir, s := lake(t)
	all := harbour(3, 9000)
	strange(all)
	for _, f := range land(t, s, 1, all) {
		file := openFile(t, filepath.Join(dir, f.Target))
		groups := file.RowGroups()
		for _, g := range groups {
			if len(groups) > 1 && g.NumRows() < 3000 {
				t.Errorf("%s: a row group of %d rows", f.Target, g.NumRows())
			}
			for i, c := range g.ColumnChunks() {
				checkBounds(t, f.Target, Schema(f.Table)[i], c)
			}
		}
		checkOrder(t, f, file)
		if v, _ := file.Lookup("landfall.schema"); v != strconv.Itoa(table.SchemaVersion) {
			t.Errorf("%s says schema %q, manifests say %d", f.Target, v, table.SchemaVersion)
		}
	}
}

func openFile(t *testing.T, path string) *pq.File {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

func checkBounds(t *testing.T, name string, c Column, chunk pq.ColumnChunk) {
	t.Helper()
	index, err := chunk.ColumnIndex()
	if c.Name == "raw" || c.Name == "data" || c.Name == "block" {
		if err == nil && index.NumPages() > 0 {
			t.Errorf("%s.%s has bounds", name, c.Name)
		}
		return
	}
	if c.Name == "text" || c.Name == "fields" || c.Name == "value_text" {
		return // no promise
	}
	if err != nil {
		t.Fatalf("%s.%s has no bounds: %v", name, c.Name, err)
	}
	pages := chunk.Pages()
	defer func() { _ = pages.Close() }()
	for i := range index.NumPages() {
		p, err := pages.ReadPage()
		if err != nil {
			t.Fatal(err)
		}
		vals := make([]pq.Value, p.NumValues())
		_, _ = p.Values().ReadValues(vals)
		nulls := int64(0)
		var lo, hi pq.Value
		for _, v := range vals {
			switch {
			case v.IsNull():
				nulls++
			default:
				if lo.IsNull() || chunk.Type().Compare(v, lo) < 0 {
					lo = v
				}
				if hi.IsNull() || chunk.Type().Compare(v, hi) > 0 {
					hi = v
				}
			}
		}
		if index.NullCount(i) != nulls || index.NullPage(i) != (nulls == int64(len(vals))) {
			t.Errorf("%s.%s page %d: %d NULL of %d, index says %d, %v", name, c.Name, i, nulls, len(vals), index.NullCount(i), index.NullPage(i))
		}
		if lo.IsNull() {
			continue
		}
		if a, b := index.MinValue(i), index.MaxValue(i); chunk.Type().Compare(a, lo) != 0 || chunk.Type().Compare(b, hi) != 0 {
			t.Errorf("%s.%s page %d: bounds %v %v, want %v %v", name, c.Name, i, a, b, lo, hi)
		}
	}
}

// checkOrder reads the sort columns and compares neighbours.
func checkOrder(t *testing.T, f stream.Staged, file *pq.File) {
	t.Helper()
	by := []string{"_gateway", "_log", "_offset"}
	if len(f.Table) > 3 && f.Table[:4] == "ais_" {
		by = []string{"mmsi", "event_time"}
	}
	switch f.Table {
	case table.SensorReading, table.Late:
		by = []string{"sensor", "event_time"}
	case table.Window:
		by = []string{"sensor", "window_start"}
	case table.Log:
		by = []string{"_gateway", "_log", "next_offset"}
	}
	var rows [][]pq.Value
	for _, g := range file.RowGroups() {
		r := g.Rows()
		buf := make([]pq.Row, g.NumRows())
		if n, _ := r.ReadRows(buf); n != len(buf) {
			t.Fatalf("%s: %d rows of %d", f.Target, n, len(buf))
		}
		for _, row := range buf {
			var key []pq.Value
			for _, name := range by {
				leaf, _ := file.Schema().Lookup(name)
				key = append(key, row[leaf.ColumnIndex].Clone())
			}
			rows = append(rows, key)
		}
		_ = r.Close()
	}
	for i := 1; i < len(rows); i++ {
		for k, name := range by {
			leaf, _ := file.Schema().Lookup(name)
			a, b := rows[i-1][k], rows[i][k]
			c := 0
			switch {
			case a.IsNull() && b.IsNull():
			case a.IsNull():
				c = -1
			case b.IsNull():
				c = 1
			default:
				c = leaf.Node.Type().Compare(a, b)
			}
			if c > 0 {
				t.Fatalf("%s: row %d is out of order by %s", f.Target, i, name)
			}
			if c < 0 {
				break
			}
		}
	}
}

// liar is a lake whose staged files read back otherwise than they were
// written.
type liar struct {
	object.Files
	change func([]byte) []byte
}

type lie struct {
	object.ReadFile
	data []byte
}

func (l lie) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(l.data).ReadAt(p, off) }
func (l lie) Size() int64                             { return int64(len(l.data)) }

func (l liar) Create(ctx context.Context, name, target string) (object.StagedFile, error) {
	f, err := l.Files.Create(ctx, name, target)
	return lyingFile{f, l.change}, err
}

type lyingFile struct {
	object.StagedFile
	change func([]byte) []byte
}

func (l lyingFile) Reopen(ctx context.Context) (object.ReadFile, error) {
	f, err := l.StagedFile.Reopen(ctx)
	if err != nil {
		return nil, err
	}
	data := make([]byte, f.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return lie{f, l.change(data)}, nil
}

func TestSealRefusesWhatReadsBackDifferently(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"a bit flipped": func(p []byte) []byte { p[len(p)/2] ^= 1; return p },
		"cut":           func(p []byte) []byte { return p[:len(p)-1] },
		"empty":         func([]byte) []byte { return nil },
	} {
		_, s := lake(t)
		s.files = liar{s.files, change}
		stage, err := s.Begin(testTask, "c", 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.Write(slice(harbour(1, 100), 0, 100)); err != nil {
			t.Fatal(err)
		}
		if _, err := stage.Seal(context.Background()); !errors.Is(err, errVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyDecodesOffsets gives verify a whole, readable file of other rows.
func TestVerifyDecodesOffsets(t *testing.T) {
	dir, s := lake(t)
	b := slice(harbour(1, 100), 0, 100)
	f := land(t, s, 1, b)
	data, err := os.ReadFile(filepath.Join(dir, f[1].Target))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	all := newTables()
	all.records.add(b.Records, func(r *table.RecordRow) day { return dayOr(r.LandedAt, 0) })
	bk := all.records.buckets()[0]
	if err := verifyOffsets(file, bk); err != nil {
		t.Fatal(err)
	}
	bk.cols[2].(*ints[int64]).vals[7]++
	if err := verifyOffsets(file, bk); !errors.Is(err, errVerify) {
		t.Errorf("one offset differs: %v", err)
	}
}

func TestBeginRefusesUnfitNames(t *testing.T) {
	_, s := lake(t)
	for _, id := range []stream.TaskID{{}, {Landing: "A"}, {Landing: "a/b"}, {Landing: ".."}} {
		if _, err := s.Begin(id, "c", 1); err == nil {
			t.Errorf("landing id %q was taken", id.Landing)
		}
	}
	if _, err := s.Begin(testTask, "", 1); err == nil {
		t.Error("no claim was taken")
	}
}

func TestCollectSparesWhatIsBeingWritten(t *testing.T) {
	_, s := lake(t)
	ctx := context.Background()
	name := "_staging/test-0000/c/x.parquet.staged"
	f, err := s.files.Create(ctx, name, "x/test-0000")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		names, err := s.files.List(ctx, stagingRoot+"/")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	s.setLive([]string{name}, true)
	if err := s.Collect(ctx, testTask, nil, func() error { return nil }); err != nil || count() != 1 {
		t.Errorf("a live file: error %v, %d left", err, count())
	}
	s.setLive([]string{name}, false)
	if err := s.Collect(ctx, testTask, nil, func() error { return nil }); err != nil || count() != 0 {
		t.Errorf("an abandoned file: error %v, %d left", err, count())
	}
}

// TestBytesBoundsMemory compares Bytes with the heap, for many rows and for
// many dates.
func TestBytesBoundsMemory(t *testing.T) {
	for name, spread := range map[string]record.Micros{"many rows": 0, "many dates": microsPerDay} {
		_, s := lake(t)
		s.every = true
		st, err := s.Begin(testTask, "c", 1)
		if err != nil {
			t.Fatal(err)
		}
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		b := harbour(1, 2000)
		before := heap()
		for i := range 100 {
			if spread != 0 && i > 0 {
				break
			}
			for j := range b.Records {
				at := record.Micros(j)*spread + 1
				b.Records[j].EventTime, b.Positions[j].EventTime = at, at
			}
			if err := st.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		held := heap() - before
		if bytes := st.Bytes(); held > bytes || held < bytes/10 {
			t.Errorf("%s: %d bytes held, Bytes says %d", name, held, bytes)
		}
		t.Logf("%s: %d bytes held, Bytes says %d", name, held, st.Bytes())
		st.Abandon()
		runtime.KeepAlive(b)
	}
}
