package parquet

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"landfall/engine/table"
)

// gatheredText is a value's canonical text, as the model gives it.
func gatheredText(v Values, i int) string {
	if v.IsNull(i) {
		return "NULL"
	}
	switch v.About().Type {
	case Bool:
		if v.Bool(i) {
			return "1"
		}
		return "0"
	case Int32, Int64, Timestamp:
		return fmt.Sprint(v.Int(i))
	case Uint64:
		return fmt.Sprint(v.Uint(i))
	case Double:
		return fmt.Sprintf("%016x", math.Float64bits(v.Float(i)))
	case String:
		return v.Text(i)
	}
	return fmt.Sprintf("%x", v.Bytes(i))
}

// TestGathererAgainstModel compares every value of every table with the model,
// over two rounds, so that memory that is used again shows.
func TestGathererAgainstModel(t *testing.T) {
	g := NewGatherer(table.Names())
	for round := range uint64(2) {
		b := harbour(round+1, 700)
		g.Add(b)
		rows := batchTables(b)
		for i, one := range g.Tables() {
			if want := rows[one.Table].Len(); one.Rows != want {
				t.Fatalf("%s: %d rows, want %d", one.Table, one.Rows, want)
			}
			if want := Schema(one.Table); len(one.Columns) != len(want) {
				t.Fatalf("%s: %d columns, want %d", one.Table, len(one.Columns), len(want))
			}
			for _, c := range one.Columns {
				for row, want := range model(rows[one.Table], c.About()) {
					if got := gatheredText(c, row); got != want {
						t.Fatalf("%s.%s of row %d is %s, want %s", one.Table, c.About().Name, row, got, want)
					}
				}
			}
			g.Reset(i)
			if one.Rows != 0 {
				t.Fatalf("%s keeps %d rows", one.Table, one.Rows)
			}
		}
	}
}

// TestGathererTakesNamedTables leaves the others out.
func TestGathererTakesNamedTables(t *testing.T) {
	g := NewGatherer([]table.Name{table.Record, table.AISPosition})
	var names []table.Name
	for _, one := range g.Tables() {
		names = append(names, one.Table)
	}
	if want := []table.Name{table.AISPosition, table.Record}; !slices.Equal(names, want) {
		t.Errorf("gathers %v, want %v", names, want)
	}
}
