package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/parquetfile"
	"landfall/engine/table"
)

// Columns read, by kind of table. Of what begins with '?' old files have none;
// there it is NULL.
var (
	recordColumns   = []string{"_gateway", "_log", "_offset", "_rows", "_row", "reject_reason"}
	typedColumns    = []string{"_gateway", "_log", "_offset", "_rows", "_row"}
	lossColumns     = []string{"_gateway", "_log", "_offset", "count", "?digest"}
	conflictColumns = []string{"_gateway", "_log", "_offset", "count", "reason"}
	derivedColumns  = []string{"_gateway", "_log", "_offset"}
	openColumns     = []string{"kind", "raw"}
	logColumns      = []string{"_gateway", "_log", "next_offset", "digest", "chain", "closed", "epoch", "previous_log", "previous_end", "opened_at"}
)

// batchRows is how many rows are read at a time; of a row group of more than
// maxBatchBytes, fewRows: each of them may lie in pages of its own.
const (
	batchRows     = 1024
	fewRows       = 4
	maxBatchBytes = 64 << 20
)

// readAll reads the files, entry by entry of each task's ledger, oldest first, and
// the tasks of a landing log after those of the one that the lake had before.
func (a *audit) readAll(ctx context.Context, files []lakeFile) error {
	of := make(map[string][]lakeFile)
	for _, f := range files {
		of[f.task] = append(of[f.task], f)
	}
	var order []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if a.tasks[name] == nil {
			order = append(order, name)
		}
	}
	for _, t := range a.inOrder() {
		order = append(order, t.name) // also where none of its files is there
	}
	for _, name := range order {
		if err := a.readTask(ctx, a.tasks[name], of[name]); err != nil {
			return err
		}
		a.result.Files += len(of[name])
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
		if ok {
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
	through(len(t.entries))
	return nil
}

// readGroup reads the files of one entry.
func (a *audit) readGroup(ctx context.Context, files []lakeFile) error {
	a.beginValues(files)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		a.file = f
		if f.table == table.Record {
			a.group.records = append(a.group.records, f.name)
		}
		if err := a.unreadable(ctx, a.read(ctx, f)); err != nil {
			return err
		}
		a.Progress.Files.Add(1)
	}
	return a.unreadable(ctx, a.endValues(ctx, files))
}

// unreadable takes an error of the file that is being read: that it cannot be
// read is a finding, that it was removed or that the audit is to end an error.
func (a *audit) unreadable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, checkpoint.ErrNotExist):
		return fmt.Errorf("%s was removed meanwhile: %w", quoteName(a.file.name), err)
	}
	a.wrongFile(KindFile, "cannot be read: %v", err)
	return nil
}

// wrongFile takes a finding about the file that is being read.
func (a *audit) wrongFile(kind Kind, format string, args ...any) {
	f := &a.file
	a.find(Finding{Kind: kind, Task: f.task, Epoch: uint64(f.epoch), Table: f.table, File: f.name, Detail: quoteName(f.name) + " " + fmt.Sprintf(format, args...)})
}

// wrongRow takes a finding about a row of a log in the file that is being read.
func (a *audit) wrongRow(l *logState, format string, args ...any) {
	f := &a.file
	a.find(Finding{Kind: KindRow, Task: f.task, Epoch: uint64(f.epoch), Table: f.table, File: f.name, Gateway: l.key.gateway, Log: l.key.log,
		Detail: quoteName(f.name) + " " + fmt.Sprintf(format, args...)})
}

// read takes one file into account. Nobody vouches for it: engine/parquetfile
// bounds what it says of itself.
func (a *audit) read(ctx context.Context, f lakeFile) error {
	return a.open(ctx, f, a.compareFile, func(p *parquetfile.File) error {
		a.compareFooter(p)
		for _, g := range p.Groups() {
			if err := a.checkPages(p, g); err != nil {
				return err
			}
			if err := a.readRowGroup(f, p, g); err != nil {
				return err
			}
		}
		return nil
	})
}

// open opens a file for take, and for look before it is known to be Parquet; look
// may be nil.
func (a *audit) open(ctx context.Context, f lakeFile, look func(context.Context, File) error, take func(*parquetfile.File) error) (err error) {
	file, err := a.Files.Open(ctx, f.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if look != nil {
		if err := look(ctx, file); err != nil {
			return err
		}
	}
	p, err := parquetfile.Open(file, file.Size())
	if err != nil {
		return err
	}
	return take(p)
}

func (a *audit) readRowGroup(f lakeFile, p *parquetfile.File, g parquetfile.Group) error {
	switch f.table {
	case table.Record:
		return a.readRecords(g, a.tasks[f.task] != nil && a.tasks[f.task].final)
	case table.Loss:
		return a.readRows(g, lossColumns, a.loss)
	case table.Conflict:
		columns := conflictColumns
		if a.edge != nil || a.level.reaches(LevelFiles) {
			columns = append(slices.Clone(columns), "block")
		}
		return a.readRows(g, columns, a.conflict)
	case table.Window:
		return a.readRows(g, derivedColumns, a.derived)
	case table.Late:
		return a.readRows(g, derivedColumns, a.late)
	case table.Log:
		return a.readRows(g, logColumns, a.logRow)
	}
	if f.table == table.SensorReading {
		if err := a.readRows(g, gapColumns, a.declaredGap); err != nil {
			return err
		}
	}
	if err := a.readRows(g, typedColumns, a.typed); err != nil || a.values == nil {
		return err
	}
	columns := a.values.columns(f.table, p)
	if len(columns) == 0 {
		a.wrongFile(KindLevel, "is of a table of which the decoder makes no rows")
		return nil
	}
	return a.readRows(g, columns, a.values.typed)
}

// checkPages compares every page of a row group with its CRC, those of columns
// too that are not read; from level files on.
func (a *audit) checkPages(p *parquetfile.File, g parquetfile.Group) error {
	if !a.level.reaches(LevelFiles) {
		return nil
	}
	for i := range p.Columns() {
		c, err := g.Column(i)
		if err == nil {
			err = c.Check()
		}
		if err != nil { // what this package's reader does not know has no part in a lake
			return err
		}
	}
	return nil
}

// typed takes one typed row.
func (a *audit) typed(l *logState, row []parquetfile.Value) {
	offset := row[2].Uint64()
	a.inRange(l, a.join(l), offset, offset+1)
	if offset < l.base {
		return
	}
	l.chunk(offset).found.add(a.key.row(offset, row[4].Int32(), row[3].Int32()))
}

// derived takes one row of a table that is made of typed rows: it is none of a
// record's, but names one that has to be there.
func (a *audit) derived(l *logState, row []parquetfile.Value) {
	offset := row[2].Uint64()
	if offset < l.base {
		return
	}
	l.chunk(offset).derive(offset % chunkSize)
}

// late takes one row of late, which is made with its record.
func (a *audit) late(l *logState, row []parquetfile.Value) {
	a.derived(l, row)
	a.inRange(l, a.join(l), row[2].Uint64(), row[2].Uint64()+1)
}

// loss takes one row of loss.
func (a *audit) loss(l *logState, row []parquetfile.Value) {
	from, n := row[2].Uint64(), row[3].Uint64()
	if from+n < from {
		a.wrongRow(l, "names offsets beyond all numbers in a row of loss")
		return
	}
	g := a.join(l)
	a.inRange(l, g, from, from+n)
	if from < l.base {
		return
	}
	if row[4].IsNull() {
		g.lostUnknown, l.lostUnknown = true, true
	} else {
		g.lost, l.lost = g.lost+record.Digest(row[4].Uint64()), l.lost+record.Digest(row[4].Uint64())
	}
	for _, m := range l.marks {
		if from+n > m.end && from < m.end || from < m.end && row[4].IsNull() {
			m.lostUnknown = true
		} else if from < m.end {
			m.sum += record.Digest(row[4].Uint64())
		}
	}
	l.lossRows++
	l.loss = append(l.loss, span{from, from + n})
	if len(l.loss)%1024 == 0 {
		l.loss = merge(l.loss)
	}
	l.end = max(l.end, from+n)
}

// logRow takes one row of log.
func (a *audit) logRow(l *logState, row []parquetfile.Value) {
	r := logRow{
		file: a.file.name, next: row[2].Uint64(), known: !row[3].IsNull(), chain: string(row[4].ByteArray()), closed: row[5].Boolean(), epoch: row[6].Uint64(),
		previous: string(row[7].ByteArray()), previousEnd: row[8].Uint64(), openedAt: micros(row[9]),
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
func (a *audit) record(l *logState, row []parquetfile.Value) {
	offset, rows := row[2].Uint64(), row[3].Int32()
	a.inRange(l, a.join(l), offset, offset+1)
	if offset < l.base {
		return
	}
	c := l.chunk(offset)
	c.record(offset % chunkSize)
	l.recorded++
	l.end = max(l.end, offset+1)
	if !row[5].IsNull() {
		l.rejected++
	}
	if no := row[4].Int32(); no != 0 {
		a.wrongRow(l, "says of the record at offset %d of log %s of %s that its row is number %d of its record: rows of record are number 0", offset, l.key.log, l.key.gateway, no)
	}
	if rows < 0 || rows > maxRows {
		a.wrongRow(l, "declares %d typed rows of the record at offset %d", rows, offset)
		return
	}
	for i := range rows {
		c.expected.add(a.key.row(offset, i, rows))
	}
}

// digested adds the bytes of one row of record to the digest of its log.
func (a *audit) digested(l *logState, offset uint64, raw []byte) {
	if !l.isLog || offset < l.base {
		return
	}
	term := l.digester.Record(record.Offset(offset), raw)
	l.sum += term
	g := a.join(l)
	g.sum += term
	g.records++
	for _, m := range l.marks {
		if offset < m.end {
			m.sum += term
		}
	}
}

// readRecords reads a row group of record; also the bytes of openings, and from
// level files on those of every row.
func (a *audit) readRecords(g parquetfile.Group, bounded bool) error {
	columns := recordColumns
	digests := a.level.reaches(LevelFiles)
	if a.edge != nil || digests {
		columns = append(slices.Clone(columns), "raw")
	}
	if a.values != nil {
		columns = append(columns, valueColumns...)
	}
	var openings []int64
	at := int64(0)
	var logs []*logState
	err := a.readRows(g, columns, func(l *logState, row []parquetfile.Value) {
		a.record(l, row)
		l.bounded = l.bounded || bounded
		offset := row[2].Uint64()
		if offset == 0 {
			l.first = true
			openings, logs = append(openings, at), append(logs, l)
		}
		at++
		if digests {
			a.digested(l, offset, row[6].ByteArray())
		}
		if l.edge != nil && l.edge.holds(offset) {
			l.chunk(offset).lake.add(a.key.bytes(offset, row[6].ByteArray()))
		}
		if a.values != nil {
			a.values.record(l, row)
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
func (a *audit) opening(g parquetfile.Group, row int64, l *logState) error {
	var vals [2]parquetfile.Value
	for i, name := range openColumns {
		c, err := openColumn(g, name)
		if err == nil {
			err = c.Skip(row)
		}
		if err == nil {
			err = c.Fill(vals[i : i+1])
		}
		if err != nil {
			return err
		}
	}
	if string(vals[0].ByteArray()) != record.KindLogOpen.String() {
		return nil // a log without a chain: a replayed file
	}
	o, err := record.DecodeOpening(vals[1].ByteArray())
	if err != nil {
		l.first = false // what it says is not known
		a.wrongRow(l, "has an opening of log %s of %s that cannot be read: %v", l.key.log, l.key.gateway, err)
		return nil
	}
	l.opening = &o
	return nil
}

// readRows gives each row of a row group, as the named columns, to take. The
// first two columns are _gateway and _log.
func (a *audit) readRows(g parquetfile.Group, columns []string, take func(*logState, []parquetfile.Value)) error {
	open := make([]*parquetfile.Column, len(columns)) // nil: NULL everywhere
	bufs := make([][]parquetfile.Value, len(columns))
	for i, name := range columns {
		name, optional := strings.CutPrefix(name, "?")
		c, err := openColumn(g, name)
		if err != nil && !(errors.Is(err, errNoColumn) && optional) {
			return err
		}
		open[i] = c
		bufs[i] = make([]parquetfile.Value, batchRows)
	}
	most, size := int64(batchRows), int64(0)
	for _, c := range open {
		if c != nil {
			size += c.Bytes()
		}
	}
	if size > maxBatchBytes {
		most = fewRows
	}
	row := make([]parquetfile.Value, len(columns))
	var at *logState
	var key logKey
	for left := g.NumRows(); left > 0; {
		n := min(left, most)
		for i, c := range open {
			if c == nil {
				continue
			}
			if err := c.Fill(bufs[i][:n]); err != nil {
				return err
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
		if a.values != nil { // what it keeps is valid until the next rows
			if err := a.values.flush(); err != nil {
				return err
			}
		}
		a.Progress.Rows.Add(uint64(n))
		if err := a.ended(); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// errNoColumn says that a file lacks a column.
var errNoColumn = errors.New("column is missing")

// openColumn opens a column by its name.
func openColumn(g parquetfile.Group, name string) (*parquetfile.Column, error) {
	at, ok := g.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoColumn, name)
	}
	return g.Column(at)
}
