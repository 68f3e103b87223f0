package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// logEnd is where epochs have taken a log.
type logEnd struct {
	gateway string
	next    record.Offset
	digest  string // at next, as ledger.Log has it
}

// endsBefore returns where the ledger says that a task has taken each log.
func (r *run) endsBefore(ctx context.Context, id stream.TaskID, m *checkpoint.Manifest) (ends map[string]logEnd, why string, err error) {
	ends = map[string]logEnd{}
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), id.String(), *m.Ledger) {
		if err != nil {
			return nil, "", err
		}
		for _, f := range one.Files {
			if f.Sink != LakeSink && one.Epoch+lastEpochs > m.Epoch {
				return nil, fmt.Sprintf("its rows went to sink %s too, and nothing here says which", f.Sink), nil
			}
		}
		for _, l := range one.Logs {
			if _, newer := ends[l.Log]; !newer {
				ends[l.Log] = logEnd{l.Gateway, l.Next, l.Digest}
			}
		}
	}
	return ends, "", nil
}

// epochRows is what the files of one epoch say.
type epochRows struct {
	schema  string // of the tables, as the files say; empty: there is no file
	logs    []ledger.Log
	records map[string][]recordSeen
	losses  map[string][]lossSeen
	typed   map[string][]typedSeen
}

// recordSeen is what a row of record says.
type recordSeen struct {
	offset record.Offset
	rows   int32
	term   record.Digest
}

// lossSeen is what a row of loss says.
type lossSeen struct {
	from, end record.Offset
	digest    record.Digest
	known     bool
}

// typedSeen is what a row of a typed table says.
type typedSeen struct {
	offset    record.Offset
	row, rows int32
}

// rebuildEpoch makes the entry of an epoch from its files, and takes the logs to where
// it took them; why says what stands against it, and lacks that it may be no more than
// that files of record are missing, or of log and record: they are published last.
func (r *run) rebuildEpoch(ctx context.Context, id stream.TaskID, epoch stream.Epoch, names []string, ends map[string]logEnd) (e *ledger.Entry, lacks bool, why string, err error) {
	e = &ledger.Entry{Format: ledger.Format, Kind: ledger.KindEpoch, Task: id.String(), Epoch: epoch, Note: ledger.NoteRebuilt + " by a repair"}
	rows := &epochRows{records: map[string][]recordSeen{}, losses: map[string][]lossSeen{}, typed: map[string][]typedSeen{}}
	for _, name := range names {
		f, why, err := r.rebuildFile(ctx, id, epoch, name, rows)
		if err != nil || why != "" {
			return nil, false, why, err
		}
		e.Files = append(e.Files, *f)
	}
	order := table.Names()
	slices.SortFunc(e.Files, func(a, b ledger.File) int {
		return cmp.Or(slices.Index(order, table.Name(a.Table))-slices.Index(order, table.Name(b.Table)), cmp.Compare(a.Name, b.Name))
	})
	if rows.schema != "" {
		if e.Schema, err = strconv.Atoi(rows.schema); err != nil || e.Schema > table.SchemaVersion {
			return nil, false, fmt.Sprintf("its tables have schema %q, known up to %d", rows.schema, table.SchemaVersion), nil
		}
	}
	if len(names) > 0 && len(rows.logs) == 0 && !onlyConflicts(names) {
		return nil, len(rows.records) == 0, "no row of the table log says what it took", nil
	}
	for i := range rows.logs {
		lacks, why := r.rebuildLog(&rows.logs[i], rows, ends)
		if why != "" {
			return nil, lacks, why, nil
		}
	}
	if why := rows.leftOver(); why != "" {
		return nil, false, why, nil
	}
	for _, l := range rows.logs {
		ends[l.Log] = logEnd{l.Gateway, l.Next, l.Digest}
	}
	e.Logs = rows.logs
	slices.SortFunc(e.Logs, func(a, b ledger.Log) int { return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Log, b.Log)) })
	return e, false, "", nil
}

// onlyConflicts tells whether all files of an epoch are of the table conflict: it took
// nothing, and set blocks aside that contradict what was taken, follow nothing or cannot
// be read. Had it taken something of which all files are gone, the next one that took the
// log would not go on where it ended.
func onlyConflicts(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return tableOf(name) != table.Conflict })
}

// rebuildFile describes a file as a ledger does, checks what it says of itself and
// gathers its rows.
func (r *run) rebuildFile(ctx context.Context, id stream.TaskID, epoch stream.Epoch, name string, rows *epochRows) (f *ledger.File, why string, err error) {
	t := tableOf(name)
	if name != publishedName(t, dayOf(name), id, epoch) || strings.Contains(dayOf(name), "/") {
		return nil, fmt.Sprintf("%s has not the name of a published file", name), nil
	}
	sum, err := r.hash(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if sum == "" {
		return nil, fmt.Sprintf("%s is no file but %s", name, cmp.Or(r.odd[name], "gone")), nil
	}
	file, err := r.Lake.Open(ctx, name)
	if err != nil {
		return nil, "", err
	}
	f = &ledger.File{Sink: LakeSink, Table: string(t), Name: name, Bytes: file.Size(), SHA256: sum}
	p, err := parquetfile.Open(file, file.Size())
	if err == nil {
		f.Rows = p.NumRows()
		err = rows.read(p, t, id, epoch)
	}
	if closing := file.Close(); closing != nil {
		return nil, "", closing
	}
	if err != nil {
		return nil, fmt.Sprintf("%s: %v", name, err), nil
	}
	return f, "", nil
}

// errNotOf says that a file says of itself that it is another one.
var errNotOf = errors.New("it says of itself that it is another file")

// publishedName is the name of a file of an epoch under a day.
func publishedName(t table.Name, day string, id stream.TaskID, epoch stream.Epoch) string {
	return fmt.Sprintf("%s/dt=%s/%s-%s-0.parquet", t, day, id, epoch.Padded())
}

// saysOf compares what a file says of itself with its name: errNotOf.
func saysOf(p *parquetfile.File, t table.Name, id stream.TaskID, epoch stream.Epoch) error {
	for key, want := range map[string]string{"landfall.table": string(t), "landfall.task": id.String(), "landfall.epoch": epoch.String()} {
		if have, _ := p.Meta(key); have != want {
			return fmt.Errorf("%w: %s is %q", errNotOf, key, have)
		}
	}
	return nil
}

// read checks the pages of a file and gathers its rows.
func (e *epochRows) read(p *parquetfile.File, t table.Name, id stream.TaskID, epoch stream.Epoch) error {
	if err := saysOf(p, t, id, epoch); err != nil {
		return err
	}
	schema, _ := p.Meta("landfall.schema")
	if e.schema = cmp.Or(e.schema, schema); schema == "" || e.schema != schema {
		return fmt.Errorf("%w: its schema is %q, and that of its epoch %q", errNotOf, schema, e.schema)
	}
	for _, g := range p.Groups() {
		for i := range p.Columns() {
			c, err := g.Column(i)
			if err == nil {
				err = c.Check()
			}
			if err != nil {
				return err
			}
		}
		if err := e.readGroup(g, t, epoch); err != nil {
			return err
		}
	}
	return nil
}

// readGroup gathers the rows of a row group.
func (e *epochRows) readGroup(g parquetfile.Group, t table.Name, epoch stream.Epoch) error {
	digesters := map[string]*record.Digester{}
	switch {
	case t == table.Record:
		return eachValue(g, []string{"_log", "_offset", "_rows", "raw"}, func(v []parquetfile.Value) error {
			log := string(v[0].ByteArray())
			d := digesters[log]
			if d == nil {
				id, err := record.ParseLogID(log)
				if err != nil {
					return err
				}
				made := record.NewDigester(id)
				d, digesters[log] = &made, &made
			}
			offset := record.Offset(v[1].Uint64())
			e.records[log] = append(e.records[log], recordSeen{offset, v[2].Int32(), d.Record(offset, v[3].ByteArray())})
			return nil
		})
	case t == table.Loss:
		return eachValue(g, []string{"_log", "_offset", "count", "?digest"}, func(v []parquetfile.Value) error {
			l := lossSeen{from: record.Offset(v[1].Uint64()), digest: record.Digest(v[3].Uint64()), known: !v[3].IsNull()}
			if l.end = l.from + record.Offset(v[2].Uint64()); l.end < l.from {
				return record.ErrCorrupt
			}
			log := string(v[0].ByteArray())
			e.losses[log] = append(e.losses[log], l)
			return nil
		})
	case t == table.Log:
		return e.readLogs(g, epoch)
	case slices.Contains(table.TypedNames(), t):
		return eachValue(g, []string{"_log", "_offset", "_row", "_rows"}, func(v []parquetfile.Value) error {
			log := string(v[0].ByteArray())
			e.typed[log] = append(e.typed[log], typedSeen{record.Offset(v[1].Uint64()), v[2].Int32(), v[3].Int32()})
			return nil
		})
	}
	return nil
}

// readLogs gathers rows of the table log.
func (e *epochRows) readLogs(g parquetfile.Group, epoch stream.Epoch) error {
	columns := []string{"_gateway", "_log", "next_offset", "digest", "chain", "closed", "epoch", "previous_log", "previous_end", "opened_at"}
	return eachValue(g, columns, func(v []parquetfile.Value) error {
		l := ledger.Log{
			Gateway: string(v[0].ByteArray()), Log: string(v[1].ByteArray()), Next: record.Offset(v[2].Uint64()), Chain: string(v[4].ByteArray()), Closed: v[5].Boolean(),
			Previous: string(v[7].ByteArray()), PreviousEnd: record.Offset(v[8].Uint64()), OpenedAt: record.Micros(v[9].Int64()),
		}
		if !v[3].IsNull() {
			l.Digest = strconv.FormatUint(v[3].Uint64(), 10)
		}
		if stream.Epoch(v[6].Uint64()) != epoch || slices.ContainsFunc(e.logs, func(o ledger.Log) bool { return o.Log == l.Log }) {
			return fmt.Errorf("%w: a row of log is of epoch %d, or its log %s has another one", record.ErrCorrupt, v[6].Uint64(), l.Log)
		}
		e.logs = append(e.logs, l)
		return nil
	})
}

// rebuildLog checks what an epoch took of a log, as its row of the table log says, and
// fills in from where. What was checked leaves rows.
func (r *run) rebuildLog(l *ledger.Log, rows *epochRows, ends map[string]logEnd) (lacks bool, why string) {
	tell := func(format string, args ...any) string {
		return fmt.Sprintf("log %s of %s: ", l.Log, l.Gateway) + fmt.Sprintf(format, args...)
	}
	before, known := ends[l.Log]
	if l.From = before.next; known && before.gateway != l.Gateway || l.Next < l.From {
		return false, tell("it was taken up to offset %s of %s before, and up to %s then", before.next, before.gateway, l.Next)
	}
	if l.From > 0 {
		l.Previous, l.PreviousEnd, l.OpenedAt = "", 0, 0
	}
	records, losses := rows.records[l.Log], rows.losses[l.Log]
	slices.SortFunc(records, func(a, b recordSeen) int { return cmp.Compare(a.offset, b.offset) })
	slices.SortFunc(losses, func(a, b lossSeen) int { return cmp.Compare(a.from, b.from) })
	at, digest, whole := l.From, record.Digest(0), true
	for i, j := 0, 0; i < len(records) || j < len(losses); {
		from, end := record.Offset(0), record.Offset(0)
		if i < len(records) && (j == len(losses) || records[i].offset < losses[j].from) {
			from, end, digest = records[i].offset, records[i].offset+1, digest+records[i].term
			i++
		} else {
			from, end, digest, whole = losses[j].from, losses[j].end, digest+losses[j].digest, whole && losses[j].known
			j++
		}
		switch {
		case from < at:
			return false, tell("offset %s is there twice, or was taken before", from)
		case from > at:
			return true, tell("offset %s is neither in record nor in loss", at)
		case end > l.Next:
			return false, tell("offset %s is there, and it took them up to %s", end-1, l.Next)
		}
		at = end
	}
	if at < l.Next {
		return true, tell("offset %s is neither in record nor in loss", at)
	}
	if why := compareDigest(l, before, digest, whole); why != "" {
		return false, tell("%s", why)
	}
	if !r.blocks.agree(l) {
		return false, tell("a block that ends at offset %s has another hash than the table log says", l.Next)
	}
	if why := rows.checkTyped(l.Log, records); why != "" {
		return false, tell("%s", why)
	}
	delete(rows.records, l.Log)
	delete(rows.losses, l.Log)
	delete(rows.typed, l.Log)
	return false, ""
}

// compareDigest says whether records and losses between two offsets of a log have the
// digest that the gateway kept, as far as it did; empty: they do.
func compareDigest(l *ledger.Log, before logEnd, sum record.Digest, whole bool) string {
	if l.Digest == "" || !whole || l.From > 0 && before.digest == "" {
		return "" // nobody knows it
	}
	want, err := record.ParseDigest(l.Digest)
	if err != nil {
		return err.Error()
	}
	if l.From > 0 {
		at, err := record.ParseDigest(before.digest)
		if err != nil {
			return err.Error()
		}
		sum += at
	}
	if sum != want {
		return fmt.Sprintf("the records of offsets %s to %s have not the digest that the table log says", l.From, l.Next-1)
	}
	return ""
}

// checkTyped compares the typed rows of a log with those that its records declare; empty:
// they are the same.
func (e *epochRows) checkTyped(log string, records []recordSeen) string {
	typed := e.typed[log]
	slices.SortFunc(typed, func(a, b typedSeen) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.row, b.row))
	})
	for _, rec := range records {
		n := int32(0)
		for ; len(typed) > 0 && typed[0].offset == rec.offset && typed[0].row == n && typed[0].rows == rec.rows; typed = typed[1:] {
			n++
		}
		if n != rec.rows {
			return fmt.Sprintf("record %s declares %d typed rows, and %d of them are there", rec.offset, rec.rows, n)
		}
	}
	if len(typed) > 0 {
		return fmt.Sprintf("a typed row of record %s is there, and it declares none such", typed[0].offset)
	}
	return ""
}

// leftOver says which rows belong to no log that the epoch took; empty: none.
func (e *epochRows) leftOver() string {
	for _, logs := range [][]string{sortedKeys(e.records), sortedKeys(e.losses), sortedKeys(e.typed)} {
		if len(logs) > 0 {
			return fmt.Sprintf("rows of log %s are there, and no row of the table log says that it took them", logs[0])
		}
	}
	return ""
}

// agree tells whether the blocks that end where an epoch took a log have the hash that
// it says; true where none of them is there, or it says none.
func (b *blocks) agree(l *ledger.Log) bool {
	found := false
	for _, ref := range b.byLog[l.Log] {
		if ref.end != l.Next || l.Chain == "" || l.From == l.Next {
			continue
		}
		if ref.hash.String() == l.Chain {
			return true
		}
		found = true
	}
	return !found
}

// rowsOfGroup is how many rows are read at a time.
const rowsOfGroup = 1024

// eachValue reads columns of a row group, row by row; of what begins with '?' old
// files have none, and there it is NULL. The bytes of values are valid until take
// returns.
func eachValue(g parquetfile.Group, columns []string, take func([]parquetfile.Value) error) error {
	open, bufs := make([]*parquetfile.Column, len(columns)), make([][]parquetfile.Value, len(columns))
	for i, name := range columns {
		name, optional := strings.CutPrefix(name, "?")
		bufs[i] = make([]parquetfile.Value, rowsOfGroup)
		at, ok := g.Lookup(name)
		if !ok {
			if optional {
				continue
			}
			return fmt.Errorf("column %s is missing", name)
		}
		c, err := g.Column(at)
		if err != nil {
			return err
		}
		open[i] = c
	}
	row := make([]parquetfile.Value, len(columns))
	for left := g.NumRows(); left > 0; left -= min(left, rowsOfGroup) {
		n := min(left, rowsOfGroup)
		for i, c := range open {
			if c == nil {
				continue
			}
			if err := c.Fill(bufs[i][:n]); err != nil {
				return err
			}
		}
		for k := range n {
			for i := range bufs {
				row[i] = bufs[i][k]
			}
			if err := take(row); err != nil {
				return err
			}
		}
	}
	return nil
}
