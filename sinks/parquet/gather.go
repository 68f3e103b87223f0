package parquet

import (
	"math"
	"slices"

	"landfall/engine/table"
)

// Gatherer turns batches into the columns of Schema, table by table, in the
// order in which the rows came: for sinks that carry the same tables in another
// form. It belongs to one goroutine.
type Gatherer struct{ all []gatherer }

// Gathered is the rows of one table since they were last reset.
type Gathered struct {
	Table   table.Name
	Rows    int
	Columns []Values
}

// Values are the rows' values of one column. Which accessor applies depends on
// the column's Type; of a row that IsNull it gives nothing of meaning.
type Values interface {
	About() Column
	IsNull(row int) bool
	Int(row int) int64     // Int32, Int64, Timestamp
	Uint(row int) uint64   // Uint64
	Float(row int) float64 // Double
	Bool(row int) bool     // Bool
	Text(row int) string   // String
	Bytes(row int) []byte  // Blob; valid until the next Reset
}

// gatherer is one table's part.
type gatherer interface {
	take(b *table.Batch)
	gathered() *Gathered
	reset()
}

type gatheredRows[R any] struct {
	Gathered
	rows rowsOf[R]
	of   func(*table.Batch) []R
	cols []column
}

// NewGatherer gathers the tables named, of table.Names.
func NewGatherer(names []table.Name) *Gatherer {
	t := newTables()
	all := []gatherer{
		gather(&t.positions, func(b *table.Batch) []table.PositionRow { return b.Positions }),
		gather(&t.statics, func(b *table.Batch) []table.StaticRow { return b.Statics }),
		gather(&t.baseStations, func(b *table.Batch) []table.BaseStationRow { return b.BaseStations }),
		gather(&t.atons, func(b *table.Batch) []table.AtoNRow { return b.AtoNs }),
		gather(&t.binaries, func(b *table.Batch) []table.BinaryRow { return b.Binaries }),
		gather(&t.safeties, func(b *table.Batch) []table.SafetyRow { return b.Safeties }),
		gather(&t.others, func(b *table.Batch) []table.OtherRow { return b.Others }),
		gather(&t.readings, func(b *table.Batch) []table.ReadingRow { return b.Readings }),
		gather(&t.windows, func(b *table.Batch) []table.WindowRow { return b.Windows }),
		gather(&t.lates, func(b *table.Batch) []table.LateRow { return b.Lates }),
		gather(&t.losses, func(b *table.Batch) []table.LossRow { return b.Losses }),
		gather(&t.conflicts, func(b *table.Batch) []table.ConflictRow { return b.Conflicts }),
		gather(&t.logs, func(b *table.Batch) []table.LogRow { return b.Logs }),
		gather(&t.records, func(b *table.Batch) []table.RecordRow { return b.Records }),
	}
	return &Gatherer{slices.DeleteFunc(all, func(g gatherer) bool { return !slices.Contains(names, g.gathered().Table) })}
}

func gather[R any](t *tableStage[R], of func(*table.Batch) []R) gatherer {
	g := &gatheredRows[R]{rows: t.fresh(), of: of}
	var d declaration
	g.rows.declare(&d)
	g.cols, g.Table = d.cols, t.name
	for _, c := range d.cols {
		g.Columns = append(g.Columns, c.(Values))
	}
	return g
}

// Add takes a batch's rows. Nothing aliases the batch afterwards.
func (g *Gatherer) Add(b *table.Batch) {
	for _, one := range g.all {
		one.take(b)
	}
}

// Tables gives what is gathered, in the order of table.Names, empty tables too.
func (g *Gatherer) Tables() []*Gathered {
	var all []*Gathered
	for _, one := range g.all {
		all = append(all, one.gathered())
	}
	return all
}

// Reset drops the rows of table number i of Tables and keeps the memory.
func (g *Gatherer) Reset(i int) { g.all[i].reset() }

func (g *gatheredRows[R]) take(b *table.Batch) {
	rows := g.of(b)
	for i := range rows {
		g.rows.add(&rows[i])
	}
	g.Rows += len(rows)
}

func (g *gatheredRows[R]) gathered() *Gathered { return &g.Gathered }

func (g *gatheredRows[R]) reset() {
	g.Rows = 0
	for _, c := range g.cols {
		c.reset()
	}
}

// About gives the column.
func (c *Column) About() Column { return *c }

// Int, Uint, Float, Bool, Text and Bytes are for the types that have no such values.

// Int implements Values.
func (c *Column) Int(int) int64 { return 0 }

// Uint implements Values.
func (c *Column) Uint(int) uint64 { return 0 }

// Float implements Values.
func (c *Column) Float(int) float64 { return 0 }

// Bool implements Values.
func (c *Column) Bool(int) bool { return false }

// Text implements Values.
func (c *Column) Text(int) string { return "" }

// Bytes implements Values.
func (c *Column) Bytes(int) []byte { return nil }

// IsNull implements Values.
func (c *ints[T]) IsNull(i int) bool { return c.Nullable && c.at(i) == c.null }

// Int implements Values.
func (c *ints[T]) Int(i int) int64 { return int64(c.at(i)) }

// IsNull implements Values.
func (c *doubles) IsNull(i int) bool { return math.IsNaN(c.Float(i)) }

// Float implements Values.
func (c *doubles) Float(i int) float64 {
	if !c.spread {
		return c.first
	}
	return c.vals[i]
}

func (c *bools) at(i int) byte {
	if !c.spread {
		return c.first
	}
	return c.vals[i]
}

// IsNull implements Values.
func (c *bools) IsNull(i int) bool { return c.at(i) == nullBool }

// Bool implements Values.
func (c *bools) Bool(i int) bool { return c.at(i) == 1 }

// IsNull implements Values.
func (c *dict[K]) IsNull(i int) bool { return c.at(i) == noKey }

// Text implements Values.
func (c *strs) Text(i int) string { return c.keys[c.at(i)] }

// Text implements Values.
func (c *codes) Text(i int) string { return c.keys[c.at(i)] }

// Float implements Values.
func (c *floats) Float(i int) float64 { return c.keys[c.at(i)] }

// IsNull implements Values.
func (c *blobs) IsNull(i int) bool { return c.vals[i].chunk == noKey }

// Text implements Values.
func (c *blobs) Text(i int) string { return string(c.Bytes(i)) }

// Bytes implements Values.
func (c *blobs) Bytes(i int) []byte { return c.at(c.vals[i]) }
