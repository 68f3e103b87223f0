package parquet

import (
	"cmp"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/table"
)

// day is a UTC date, as days since 1970-01-01.
type day int32

const microsPerDay = 24 * 3600 * 1_000_000

// dayOf gives the UTC date of a time; false for no time, and outside the years
// 1..9999, which a folder's name cannot hold.
func dayOf(t record.Micros) (day, bool) {
	const first, last = -719_162, 2_932_896 // 0001-01-01, 9999-12-31
	if t == record.NoTime {
		return 0, false
	}
	d := t / microsPerDay
	if t%microsPerDay < 0 {
		d--
	}
	return day(d), d >= first && d <= last
}

// dayOr returns the date of a time, or of another one where it has none. Both may be
// garbage; 1970-01-01 holds what has no date at all.
func dayOr(t, other record.Micros) day {
	for _, at := range [...]record.Micros{t, other} {
		if d, ok := dayOf(at); ok {
			return d
		}
	}
	return 0
}

// String gives YYYY-MM-DD.
func (d day) String() string { return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly) }

// bucket is the rows of one table and one date, which become one file.
type bucket struct {
	table  table.Name
	day    day
	n      int
	cols   []column
	keys   func(dst []key)
	sorted []string // the columns it is sorted by
}

// stager is a table's part of a stage.
type stager interface {
	buckets() []*bucket
	dates() int // buckets in use
	reset()
}

// tableStage is the rows of one table in one epoch, by date.
type tableStage[R any] struct {
	name   table.Name
	sorted []string
	fresh  func() rowsOf[R]
	days   map[day]*dayRows[R]
	last   *dayRows[R]
	spare  []*dayRows[R] // empty, with the memory of earlier epochs
}

// maxSpare is how many buckets' memory a table keeps from epoch to epoch: a
// stream has one date, or two around midnight.
const maxSpare = 2

// dayRows is a bucket with the columns as their own type.
type dayRows[R any] struct {
	bucket
	rows rowsOf[R]
}

// add takes rows, each under its date.
func (t *tableStage[R]) add(rows []R, of func(*R) day) {
	for i := range rows {
		d := of(&rows[i])
		if t.last == nil || t.last.day != d {
			t.last = t.bucket(d)
		}
		t.last.rows.add(&rows[i])
		t.last.n++
	}
}

func (t *tableStage[R]) bucket(d day) *dayRows[R] {
	if b, ok := t.days[d]; ok {
		return b
	}
	var b *dayRows[R]
	if n := len(t.spare); n > 0 {
		b, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		b = &dayRows[R]{rows: t.fresh()}
		var decl declaration
		b.rows.declare(&decl)
		b.bucket = bucket{table: t.name, cols: decl.cols, keys: b.rows.keys, sorted: t.sorted}
	}
	b.day = d
	if t.days == nil {
		t.days = make(map[day]*dayRows[R])
	}
	t.days[d] = b
	return b
}

func (t *tableStage[R]) dates() int { return len(t.days) }

// reset drops the rows and keeps the memory of the largest buckets.
func (t *tableStage[R]) reset() {
	for _, b := range t.days {
		t.spare = append(t.spare, b)
	}
	slices.SortFunc(t.spare, func(a, b *dayRows[R]) int { return cmp.Compare(b.n, a.n) })
	t.spare = slices.Delete(t.spare, min(maxSpare, len(t.spare)), len(t.spare))
	slices.Reverse(t.spare) // the largest is taken first
	for _, b := range t.spare {
		b.n = 0
		for _, c := range b.cols {
			c.reset()
		}
	}
	clear(t.days)
	t.last = nil
}

func (t *tableStage[R]) buckets() []*bucket {
	var all []*bucket
	for _, b := range t.days {
		all = append(all, &b.bucket)
	}
	return all
}

// tables is a stage's rows, table by table.
type tables struct {
	records      tableStage[table.RecordRow]
	positions    tableStage[table.PositionRow]
	statics      tableStage[table.StaticRow]
	baseStations tableStage[table.BaseStationRow]
	atons        tableStage[table.AtoNRow]
	binaries     tableStage[table.BinaryRow]
	safeties     tableStage[table.SafetyRow]
	others       tableStage[table.OtherRow]
	readings     tableStage[table.ReadingRow]
	windows      tableStage[table.WindowRow]
	lates        tableStage[table.LateRow]
	losses       tableStage[table.LossRow]
	conflicts    tableStage[table.ConflictRow]
	logs         tableStage[table.LogRow]
}

func newTables() *tables {
	ship, log := []string{"mmsi", "event_time"}, []string{"_gateway", "_log", "_offset"}
	return &tables{
		records:      tableStage[table.RecordRow]{name: table.Record, sorted: log, fresh: fresh[recordCols, table.RecordRow]},
		positions:    tableStage[table.PositionRow]{name: table.AISPosition, sorted: ship, fresh: fresh[positionCols, table.PositionRow]},
		statics:      tableStage[table.StaticRow]{name: table.AISStatic, sorted: ship, fresh: fresh[staticCols, table.StaticRow]},
		baseStations: tableStage[table.BaseStationRow]{name: table.AISBaseStation, sorted: ship, fresh: fresh[baseCols, table.BaseStationRow]},
		atons:        tableStage[table.AtoNRow]{name: table.AISAtoN, sorted: ship, fresh: fresh[atonCols, table.AtoNRow]},
		binaries:     tableStage[table.BinaryRow]{name: table.AISBinary, sorted: ship, fresh: fresh[binaryCols, table.BinaryRow]},
		safeties:     tableStage[table.SafetyRow]{name: table.AISSafety, sorted: ship, fresh: fresh[safetyCols, table.SafetyRow]},
		others:       tableStage[table.OtherRow]{name: table.AISOther, sorted: ship, fresh: fresh[otherCols, table.OtherRow]},
		readings:     tableStage[table.ReadingRow]{name: table.SensorReading, sorted: []string{"sensor", "event_time"}, fresh: fresh[readingCols, table.ReadingRow]},
		windows:      tableStage[table.WindowRow]{name: table.Window, sorted: []string{"sensor", "window_start"}, fresh: fresh[windowCols, table.WindowRow]},
		lates:        tableStage[table.LateRow]{name: table.Late, sorted: []string{"sensor", "event_time"}, fresh: fresh[lateCols, table.LateRow]},
		losses:       tableStage[table.LossRow]{name: table.Loss, sorted: log, fresh: fresh[lossCols, table.LossRow]},
		conflicts:    tableStage[table.ConflictRow]{name: table.Conflict, sorted: log, fresh: fresh[conflictCols, table.ConflictRow]},
		logs:         tableStage[table.LogRow]{name: table.Log, sorted: []string{"_gateway", "_log", "next_offset"}, fresh: fresh[logCols, table.LogRow]},
	}
}

// fresh makes the columns C of rows R.
func fresh[C any, R any, P interface {
	*C
	rowsOf[R]
}]() rowsOf[R] {
	return P(new(C))
}

// stagers gives the tables in the order of table.Names.
func (t *tables) stagers() []stager {
	return []stager{&t.positions, &t.statics, &t.baseStations, &t.atons, &t.binaries, &t.safeties, &t.others, &t.readings, &t.windows, &t.lates, &t.losses, &t.conflicts, &t.logs, &t.records}
}

// Schema gives a table's columns in their order in the file; nil for a table
// that is not there.
func Schema(name table.Name) []Column {
	t := newTables()
	all := map[table.Name]interface{ declare(*declaration) }{
		table.Record: t.records.fresh(), table.AISPosition: t.positions.fresh(), table.AISStatic: t.statics.fresh(),
		table.AISBaseStation: t.baseStations.fresh(), table.AISAtoN: t.atons.fresh(), table.AISBinary: t.binaries.fresh(),
		table.AISSafety: t.safeties.fresh(), table.AISOther: t.others.fresh(), table.SensorReading: t.readings.fresh(),
		table.Window: t.windows.fresh(), table.Late: t.lates.fresh(), table.Loss: t.losses.fresh(), table.Conflict: t.conflicts.fresh(),
		table.Log: t.logs.fresh(),
	}
	rows, ok := all[name]
	if !ok {
		return nil
	}
	var d declaration
	rows.declare(&d)
	var cols []Column
	for _, c := range d.cols {
		cols = append(cols, c.about())
	}
	return cols
}
