package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/record"
	"landfall/engine/table"
)

// Columns read, by kind of table.
var (
	recordColumns   = []string{"_gateway", "_log", "_offset", "_rows", "_row", "reject_reason"}
	typedColumns    = []string{"_gateway", "_log", "_offset", "_rows", "_row"}
	lossColumns     = []string{"_gateway", "_log", "_offset", "count"}
	conflictColumns = []string{"_gateway", "_log"}
	derivedColumns  = []string{"_gateway", "_log", "_offset"}
	openColumns     = []string{"kind", "raw"}
)

// batchRows is how many rows are read at a time.
const batchRows = 1024

// errDamaged says that a file made the Parquet reader panic.
var errDamaged = errors.New("damaged file")

// read takes one file into account. parquet-go panics on some damaged footers
// and pages; here that is an error like any other.
func (a *audit) read(ctx context.Context, f lakeFile) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	file, err := a.Files.Open(ctx, f.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	p, err := pq.OpenFile(file, file.Size(), pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	for _, g := range p.RowGroups() {
		switch {
		case f.table == table.Record:
			err = a.readRecords(g, a.final[f.task])
		case f.table == table.Loss:
			err = a.readRows(g, lossColumns, a.loss)
		case f.table == table.Conflict:
			err = a.readRows(g, conflictColumns, func(l *logState, _ []pq.Value) { l.conflicts++ })
		case f.table == table.Log:
			// What it says of logs is not compared yet.
		case f.table == table.Window || f.table == table.Late:
			err = a.readRows(g, derivedColumns, derived)
		default:
			err = a.readRows(g, typedColumns, a.typed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// typed takes one typed row.
func (a *audit) typed(l *logState, row []pq.Value) {
	offset := row[2].Uint64()
	l.chunk(offset).found.add(a.key.row(offset, row[4].Int32(), row[3].Int32()))
}

// derived takes one row of a table that is made of typed rows: it is none of a
// record's, but names one that has to be there.
func derived(l *logState, row []pq.Value) {
	offset := row[2].Uint64()
	l.chunk(offset).derive(offset % chunkSize)
}

// loss takes one row of loss.
func (a *audit) loss(l *logState, row []pq.Value) {
	from, n := row[2].Uint64(), row[3].Uint64()
	if from+n < from {
		a.problem("a row of loss names offsets beyond all numbers")
		return
	}
	l.lossRows++
	l.loss = append(l.loss, span{from, from + n})
	if len(l.loss)%1024 == 0 {
		l.loss = merge(l.loss)
	}
	l.end = max(l.end, from+n)
}

// maxRows bounds how many typed rows one record may declare: an AIS message
// gives one or two, a report of sensor readings up to this many.
const maxRows = 4096

// record takes one row of record.
func (a *audit) record(l *logState, row []pq.Value) {
	offset, rows := row[2].Uint64(), row[3].Int32()
	c := l.chunk(offset)
	c.record(offset % chunkSize)
	l.recorded++
	l.end = max(l.end, offset+1)
	if !row[5].IsNull() {
		l.rejected++
	}
	if rows < 0 || rows > maxRows {
		a.problem("a row of record at offset %d declares %d typed rows", offset, rows)
		return
	}
	for i := range rows {
		c.expected.add(a.key.row(offset, i, rows))
	}
}

// readRecords reads a row group of record; also the bytes of openings, and of
// every row that the edge still holds.
func (a *audit) readRecords(g pq.RowGroup, bounded bool) error {
	columns := recordColumns
	if a.edge != nil {
		columns = append(slices.Clone(columns), "raw")
	}
	var openings []int64
	at := int64(0)
	var logs []*logState
	err := a.readRows(g, columns, func(l *logState, row []pq.Value) {
		a.record(l, row)
		l.bounded = l.bounded || bounded
		offset := row[2].Uint64()
		if offset == 0 {
			openings, logs = append(openings, at), append(logs, l)
		}
		at++
		if l.edge != nil && l.edge.holds(offset) {
			l.chunk(offset).lake.add(a.key.bytes(offset, row[6].ByteArray()))
		}
	})
	if err != nil {
		return err
	}
	for i, row := range openings {
		if err := a.opening(g, row, logs[i]); err != nil {
			return err
		}
	}
	return nil
}

// opening reads what a log's first record says of the log before it.
func (a *audit) opening(g pq.RowGroup, row int64, l *logState) error {
	var vals [2]pq.Value
	for i, name := range openColumns {
		c, err := openCursor(g, name, row)
		if err != nil {
			return err
		}
		err = c.fill(vals[i : i+1])
		vals[i] = vals[i].Clone()
		if err = errors.Join(err, c.close()); err != nil {
			return err
		}
	}
	if string(vals[0].ByteArray()) != record.KindLogOpen.String() {
		return nil // a log without a chain: a replayed file
	}
	o, err := record.DecodeOpening(vals[1].ByteArray())
	if err != nil {
		a.problem("the opening of a log cannot be read: %v", err)
		return nil
	}
	l.opening = &o
	return nil
}

// readRows gives each row of a row group, as the named columns, to take. The
// first two columns are _gateway and _log.
func (a *audit) readRows(g pq.RowGroup, columns []string, take func(*logState, []pq.Value)) (err error) {
	cursors := make([]*cursor, 0, len(columns))
	defer func() {
		for _, c := range cursors {
			err = errors.Join(err, c.close())
		}
	}()
	bufs := make([][]pq.Value, len(columns))
	for i, name := range columns {
		c, err := openCursor(g, name, 0)
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
		bufs[i] = make([]pq.Value, batchRows)
	}
	row := make([]pq.Value, len(columns))
	var at *logState
	var key logKey
	for left := g.NumRows(); left > 0; {
		n := min(left, batchRows)
		for i, c := range cursors {
			if err := c.fill(bufs[i][:n]); err != nil {
				return fmt.Errorf("column %s: %w", columns[i], err)
			}
		}
		for r := range n {
			for i := range bufs {
				row[i] = bufs[i][r]
			}
			gateway, log := row[0].ByteArray(), row[1].ByteArray()
			if at == nil || key.gateway != string(gateway) || key.log != string(log) {
				key = logKey{string(gateway), string(log)}
				at = a.log(key)
			}
			take(at, row)
		}
		left -= n
	}
	return nil
}

// cursor reads one column of one row group.
type cursor struct {
	pages pq.Pages
	page  pq.Page
	vals  pq.ValueReader
}

// openCursor opens a column at a row.
func openCursor(g pq.RowGroup, name string, row int64) (*cursor, error) {
	leaf, ok := g.Schema().Lookup(name)
	if !ok {
		return nil, fmt.Errorf("column %s is missing", name)
	}
	c := &cursor{pages: g.ColumnChunks()[leaf.ColumnIndex].Pages()}
	if row > 0 {
		if err := c.pages.SeekToRow(row); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// fill reads len(dst) values. Bytes among them are valid until the next fill.
func (c *cursor) fill(dst []pq.Value) error {
	for n := 0; n < len(dst); {
		if c.vals == nil {
			page, err := c.pages.ReadPage()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			c.page, c.vals = page, page.Values()
		}
		k, err := c.vals.ReadValues(dst[n:])
		n += k
		if errors.Is(err, io.EOF) {
			// The values may alias the page, so it is left to the collector.
			c.page, c.vals = nil, nil
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) close() error { return c.pages.Close() }
