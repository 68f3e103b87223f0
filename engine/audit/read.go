package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/table"
)

// Columns read, by kind of table. Of what begins with '?' old files have none;
// there it is NULL.
var (
	recordColumns   = []string{"_gateway", "_log", "_offset", "_rows", "_row", "reject_reason"}
	typedColumns    = []string{"_gateway", "_log", "_offset", "_rows", "_row"}
	lossColumns     = []string{"_gateway", "_log", "_offset", "count", "?digest"}
	conflictColumns = []string{"_gateway", "_log"}
	derivedColumns  = []string{"_gateway", "_log", "_offset"}
	openColumns     = []string{"kind", "raw"}
	logColumns      = []string{"_gateway", "_log", "next_offset", "digest", "chain", "closed", "epoch", "previous_log", "previous_end"}
)

// batchRows is how many rows are read at a time.
const batchRows = 1024

// errDamaged says that a file made the Parquet reader panic.
var errDamaged = errors.New("damaged file")

// readAll reads the files, entry by entry of each task's ledger, oldest first.
func (a *audit) readAll(ctx context.Context, files []lakeFile) error {
	for len(files) > 0 {
		n := 1
		for n < len(files) && files[n].task == files[0].task {
			n++
		}
		if err := a.readTask(ctx, a.tasks[files[0].task], files[:n]); err != nil {
			return err
		}
		if t := a.tasks[files[0].task]; t != nil {
			t.read = true
		}
		a.result.Files += n
		files = files[n:]
	}
	for _, name := range slices.Sorted(maps.Keys(a.tasks)) {
		if t := a.tasks[name]; !t.read { // none of its files is there
			if err := a.readTask(ctx, t, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// readTask reads the files of one task, sorted by epoch. Each entry is gone
// through, also one whose files are all missing.
func (a *audit) readTask(ctx context.Context, t *taskState, files []lakeFile) error {
	if t == nil {
		t = &taskState{}
	}
	at := 0 // entries before it are done
	through := func(to int) {
		for ; at < to; at++ {
			a.begin(t, &t.entries[at])
			a.end()
		}
	}
	for len(files) > 0 {
		i, ok := t.entryOf(files[0].epoch)
		n := 1
		for ; n < len(files); n++ {
			if j, also := t.entryOf(files[n].epoch); also != ok || j != i {
				break
			}
		}
		if ok && !t.logless {
			through(i)
			a.begin(t, &t.entries[i])
			at = i + 1
		} else {
			a.begin(t, nil)
		}
		if err := a.readGroup(ctx, files[:n]); err != nil {
			return err
		}
		a.end()
		files = files[n:]
	}
	if !t.logless {
		through(len(t.entries))
	}
	return nil
}

// readGroup reads the files of one entry.
func (a *audit) readGroup(ctx context.Context, files []lakeFile) error {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.file = f
		if f.table == table.Record {
			a.group.records = append(a.group.records, f.name)
		}
		err := a.read(ctx, f)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, checkpoint.ErrNotExist) {
			return fmt.Errorf("%s was removed meanwhile: %w", f.name, err)
		}
		a.wrongFile(KindFile, "cannot be read: %v", err)
	}
	return nil
}

// wrongFile takes a finding about the file that is being read.
func (a *audit) wrongFile(kind Kind, format string, args ...any) {
	f := &a.file
	a.find(Finding{Kind: kind, Task: f.task, Epoch: uint64(f.epoch), Table: f.table, File: f.name, Detail: f.name + " " + fmt.Sprintf(format, args...)})
}

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
	if err := a.compareFile(ctx, file); err != nil {
		return err
	}
	p, err := pq.OpenFile(file, file.Size(), pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	a.compareFooter(p)
	for _, g := range p.RowGroups() {
		switch {
		case f.table == table.Record:
			err = a.readRecords(g, a.tasks[f.task] != nil && a.tasks[f.task].final)
		case f.table == table.Loss:
			err = a.readRows(g, lossColumns, a.loss)
		case f.table == table.Conflict:
			err = a.readRows(g, conflictColumns, func(l *logState, _ []pq.Value) { l.conflicts++ })
		case f.table == table.Window:
			err = a.readRows(g, derivedColumns, a.derived)
		case f.table == table.Late:
			err = a.readRows(g, derivedColumns, a.late)
		case f.table == table.Log:
			err = a.readRows(g, logColumns, a.logRow)
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
	a.inRange(l, a.join(l), offset, offset+1)
	l.chunk(offset).found.add(a.key.row(offset, row[4].Int32(), row[3].Int32()))
}

// derived takes one row of a table that is made of typed rows: it is none of a
// record's, but names one that has to be there.
func (a *audit) derived(l *logState, row []pq.Value) {
	offset := row[2].Uint64()
	l.chunk(offset).derive(offset % chunkSize)
}

// late takes one row of late, which is made with its record.
func (a *audit) late(l *logState, row []pq.Value) {
	a.derived(l, row)
	a.inRange(l, a.join(l), row[2].Uint64(), row[2].Uint64()+1)
}

// loss takes one row of loss.
func (a *audit) loss(l *logState, row []pq.Value) {
	from, n := row[2].Uint64(), row[3].Uint64()
	if from+n < from {
		a.wrongFile(KindRow, "names offsets beyond all numbers in a row of loss")
		return
	}
	g := a.join(l)
	a.inRange(l, g, from, from+n)
	if row[4].IsNull() {
		g.lostUnknown, l.lostUnknown = true, true
	} else {
		g.lost, l.lost = g.lost+record.Digest(row[4].Uint64()), l.lost+record.Digest(row[4].Uint64())
	}
	l.lossRows++
	l.loss = append(l.loss, span{from, from + n})
	if len(l.loss)%1024 == 0 {
		l.loss = merge(l.loss)
	}
	l.end = max(l.end, from+n)
}

// logRow takes one row of log.
func (a *audit) logRow(l *logState, row []pq.Value) {
	r := logRow{
		file: a.file.name, next: row[2].Uint64(), known: !row[3].IsNull(), chain: string(row[4].ByteArray()), closed: row[5].Boolean(), epoch: row[6].Uint64(),
		previous: string(row[7].ByteArray()), previousEnd: row[8].Uint64(),
	}
	if r.known {
		r.digest = record.Digest(row[3].Uint64())
	}
	g := a.join(l)
	g.rows = append(g.rows, r)
	if l.newestRow == nil || r.next >= l.newestRow.next {
		l.newestRow = &r
	}
}

// maxRows bounds how many typed rows one record may declare: an AIS message
// gives one or two, a report of sensor readings up to this many.
const maxRows = 4096

// record takes one row of record.
func (a *audit) record(l *logState, row []pq.Value) {
	offset, rows := row[2].Uint64(), row[3].Int32()
	a.inRange(l, a.join(l), offset, offset+1)
	c := l.chunk(offset)
	c.record(offset % chunkSize)
	l.recorded++
	l.end = max(l.end, offset+1)
	if !row[5].IsNull() {
		l.rejected++
	}
	if rows < 0 || rows > maxRows {
		a.wrongFile(KindRow, "declares %d typed rows of the record at offset %d", rows, offset)
		return
	}
	for i := range rows {
		c.expected.add(a.key.row(offset, i, rows))
	}
}

// digested adds the bytes of one row of record to the digest of its log.
func (a *audit) digested(l *logState, offset uint64, raw []byte) {
	if !l.isLog {
		return
	}
	term := l.digester.Record(record.Offset(offset), raw)
	l.sum += term
	a.join(l).sum += term
}

// readRecords reads a row group of record; also the bytes of openings, and from
// level files on those of every row.
func (a *audit) readRecords(g pq.RowGroup, bounded bool) error {
	columns := recordColumns
	digests := a.level.reaches(LevelFiles)
	if a.edge != nil || digests {
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
		if digests {
			a.digested(l, offset, row[6].ByteArray())
		}
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
		a.wrongFile(KindRow, "has an opening of log %s of %s that cannot be read: %v", l.key.log, l.key.gateway, err)
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
		name, optional := strings.CutPrefix(name, "?")
		c, err := openCursor(g, name, 0)
		if errors.Is(err, errNoColumn) && optional {
			c, err = &cursor{absent: true}, nil
		}
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

// errNoColumn says that a file lacks a column.
var errNoColumn = errors.New("column is missing")

// cursor reads one column of one row group.
type cursor struct {
	absent bool // there is none: NULL
	pages  pq.Pages
	page   pq.Page
	vals   pq.ValueReader
}

// openCursor opens a column at a row.
func openCursor(g pq.RowGroup, name string, row int64) (*cursor, error) {
	leaf, ok := g.Schema().Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoColumn, name)
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
	if c.absent {
		clear(dst)
		return nil
	}
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

func (c *cursor) close() error {
	if c.absent {
		return nil
	}
	return c.pages.Close()
}
