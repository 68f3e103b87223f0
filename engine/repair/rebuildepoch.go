package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
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
				return nil, fmt.Sprintf("its rows went to sink %s too, and nothing here says which of these epochs are there: put newer checkpoints back from a backup", f.Sink), nil
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
	losses  map[string][]lossSeen // of offsets that are not in record: those of loss, and those that were set aside
	typed   map[string][]typedSeen
}

func newEpochRows() *epochRows {
	return &epochRows{records: map[string][]recordSeen{}, losses: map[string][]lossSeen{}, typed: map[string][]typedSeen{}}
}

// merge adds the rows of one file.
func (e *epochRows) merge(one *epochRows) error {
	for _, l := range one.logs {
		if slices.ContainsFunc(e.logs, func(o ledger.Log) bool { return o.Log == l.Log }) {
			return fmt.Errorf("%w: log %s has another row of log", record.ErrCorrupt, l.Log)
		}
	}
	e.schema, e.logs = cmp.Or(e.schema, one.schema), append(e.logs, one.logs...)
	for log, rows := range one.records {
		e.records[log] = append(e.records[log], rows...)
	}
	for log, rows := range one.losses {
		e.losses[log] = append(e.losses[log], rows...)
	}
	for log, rows := range one.typed {
		e.typed[log] = append(e.typed[log], rows...)
	}
	return nil
}

// forget leaves out the rows of a log.
func (e *epochRows) forget(log string) {
	delete(e.records, log)
	delete(e.losses, log)
	delete(e.typed, log)
}

// recordSeen is what a row of record says.
type recordSeen struct {
	offset record.Offset
	rows   int32
	term   record.Digest
}

// lossSeen is what a row of loss says, or a block that was set aside.
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

// foundEpoch is what an epoch's files make.
type foundEpoch struct {
	entry *ledger.Entry
	// why says what stands against the entry, and lacks that it may be no more than that
	// files of record are missing, or of log and record: they are published last.
	why   string
	lacks bool
	again *unwhole // nil: it has all its files
}

// refused is an epoch of which no entry is made.
func refused(format string, args ...any) foundEpoch {
	return foundEpoch{why: fmt.Sprintf(format, args...)}
}

// rebuildEpoch makes the entry of an epoch from its files, and takes the logs to where
// it took them. newest says that it may have been under way. Files of record and of typed
// tables may be gone or damaged where they can be made again: of the records, and these of
// blocks that the chain proves.
func (r *run) rebuildEpoch(ctx context.Context, id stream.TaskID, epoch stream.Epoch, names []string, ends map[string]logEnd, newest bool) (foundEpoch, error) {
	e := rebuiltOf(id, epoch)
	rows, again := newEpochRows(), &unwhole{epoch: epoch, bad: map[string]string{}, before: maps.Clone(ends)}
	for _, name := range names {
		f, why, err := r.rebuildFile(ctx, id, epoch, name, rows)
		switch t := tableOf(name); {
		case err != nil:
			return foundEpoch{}, err
		case why == "":
			e.Files = append(e.Files, *f)
		case t == table.Record || slices.Contains(table.TypedNames(), t):
			again.bad[name] = why
		default:
			return refused("%s; what it held is nowhere else: put that file back from a backup", why), nil
		}
	}
	order := table.Names()
	slices.SortFunc(e.Files, func(a, b ledger.File) int {
		return cmp.Or(slices.Index(order, table.Name(a.Table))-slices.Index(order, table.Name(b.Table)), cmp.Compare(a.Name, b.Name))
	})
	if rows.schema != "" {
		var err error
		if e.Schema, err = strconv.Atoi(rows.schema); err != nil || e.Schema > table.SchemaVersion {
			return refused("its tables have schema %q, known up to %d", rows.schema, table.SchemaVersion), nil
		}
	}
	if len(names) > 0 && len(rows.logs) == 0 && !(onlyConflicts(names) && len(rows.losses) == 0) {
		found := refused("no row of the table log says what it took: put its file of log back from a backup")
		found.lacks = len(rows.records) == 0 && len(again.bad) == 0
		return found, nil
	}
	newest = newest && len(again.bad) == 0 // a file that is damaged was published
	for i := range rows.logs {
		l := &rows.logs[i]
		lack, why := r.rebuildLog(l, rows, ends)
		switch {
		case why == "":
		case lack == lacksTyped:
			again.typed = true
		case lack == lacksRecord && !newest && r.blocks.prove(*l) != nil:
			again.record = true
		case lack == lacksRecord:
			found := refused("%s", why)
			if found.lacks = newest; !newest {
				found.why += r.whyNotMade(again, l)
			}
			return found, nil
		default:
			return refused("%s", why), nil
		}
		rows.forget(l.Log)
	}
	if why := rows.leftOver(); why != "" {
		return refused("%s", why), nil
	}
	for _, l := range rows.logs {
		ends[l.Log] = logEnd{l.Gateway, l.Next, l.Digest}
	}
	e.Logs = rows.logs
	slices.SortFunc(e.Logs, func(a, b ledger.Log) int { return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Log, b.Log)) })
	if again.typed = again.typed || len(again.bad) > 0; !again.typed && !again.record {
		again = nil
	}
	return foundEpoch{entry: e, again: again}, nil
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
		one := newEpochRows()
		one.schema = rows.schema
		if err = one.read(p, t, id, epoch); err == nil {
			err = rows.merge(one)
		}
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
	case t == table.Conflict:
		return e.readAside(g)
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

// readAside gathers the blocks that were set aside: their records are in conflict, with
// all their bytes, and the log goes on behind them. What else is in conflict took nothing.
func (e *epochRows) readAside(g parquetfile.Group) error {
	return eachValue(g, []string{"_log", "_offset", "count", "reason", "block"}, func(v []parquetfile.Value) error {
		if string(v[3].ByteArray()) != task.ReasonPoison {
			return nil
		}
		b, err := record.Parse(v[4].ByteArray())
		if err != nil {
			return fmt.Errorf("a block that was set aside: %w", err)
		}
		log := string(v[0].ByteArray())
		if b.Log.String() != log || b.First != record.Offset(v[1].Uint64()) || uint64(b.Count) != v[2].Uint64() {
			return fmt.Errorf("%w: a block that was set aside is of offset %s of log %s, and its row says of offset %d of log %s", record.ErrCorrupt, b.First, b.Log, v[1].Uint64(), log)
		}
		one := lossSeen{from: b.First, end: b.End(), known: true}
		d := record.NewDigester(b.Log)
		var r record.Record
		for offset, payload := range b.Payloads {
			raw := payload
			if err := b.DecodeRecord(payload, &r); err == nil {
				raw = r.Raw
			} else {
				r = record.Record{}
			}
			one.digest += d.Record(offset, raw)
		}
		e.losses[log] = append(e.losses[log], one)
		return nil
	})
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

// lacking is what of an epoch's rows of a log is not there.
type lacking int

const (
	lacksNothing lacking = iota
	lacksRecord          // rows of record; all that are there are right
	lacksTyped           // rows of typed tables; all others are right
)

// rebuildLog checks what an epoch took of a log, as its row of the table log says, and
// fills in from where; why: it is not all there, or not right. What was checked leaves
// rows.
func (r *run) rebuildLog(l *ledger.Log, rows *epochRows, ends map[string]logEnd) (lack lacking, why string) {
	tell := func(format string, args ...any) string {
		return fmt.Sprintf("log %s of %s: ", l.Log, l.Gateway) + fmt.Sprintf(format, args...)
	}
	before, known := ends[l.Log]
	if l.From = before.next; known && before.gateway != l.Gateway || l.Next < l.From {
		return lacksNothing, tell("it was taken up to offset %s of %s before, and up to %s then", before.next, before.gateway, l.Next)
	}
	if l.From > 0 {
		l.Previous, l.PreviousEnd, l.OpenedAt = "", 0, 0
	}
	records, losses := rows.records[l.Log], rows.losses[l.Log]
	slices.SortFunc(records, func(a, b recordSeen) int { return cmp.Compare(a.offset, b.offset) })
	slices.SortFunc(losses, func(a, b lossSeen) int { return cmp.Compare(a.from, b.from) })
	at, missing, digest, whole := l.From, "", record.Digest(0), true
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
			return lacksNothing, tell("offset %s is there twice, or was taken before", from)
		case end > l.Next:
			return lacksNothing, tell("offset %s is there, and it took them up to %s", end-1, l.Next)
		case from > at && missing == "":
			missing = tell("offset %s is neither in record nor in loss", at)
		}
		at = end
	}
	if at < l.Next && missing == "" {
		missing = tell("offset %s is neither in record nor in loss", at)
	}
	if missing != "" {
		return lacksRecord, missing
	}
	if why := compareDigest(l, before, digest, whole); why != "" && !r.statesFalsely(l, before, digest) {
		return lacksNothing, tell("%s", why)
	}
	if !r.blocks.agree(l) {
		return lacksNothing, tell("a block that ends at offset %s has another hash than the table log says", l.Next)
	}
	if lacks, why := rows.checkTyped(l.Log, records); lacks {
		return lacksTyped, tell("%s", why)
	} else if why != "" {
		return lacksNothing, tell("%s", why)
	}
	rows.forget(l.Log)
	return lacksNothing, ""
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

// statesFalsely tells whether the blocks of what an epoch took of a log are there, with the
// hash that the table log says, have these records, and state the digest that is not
// theirs: it is the gateway's own then, and the log is told.
func (r *run) statesFalsely(l *ledger.Log, before logEnd, sum record.Digest) bool {
	refs := r.blocks.prove(*l)
	if refs == nil {
		return false
	}
	at, err := record.ParseDigest(before.digest)
	if l.From > 0 && err != nil || !r.blocks.state(l, at, refs) {
		return false
	}
	for i := range refs {
		g, err := refs[i].group(l.Gateway, nil)
		if err != nil {
			return false
		}
		sum -= sumOf([]*group{g})
	}
	if sum == 0 {
		r.contradict(l)
	}
	return sum == 0
}

// checkTyped compares the typed rows of a log with those that its records declare; why:
// they are not the same, and lacks that all that are there are some of those.
func (e *epochRows) checkTyped(log string, records []recordSeen) (lacks bool, why string) {
	typed := e.typed[log]
	slices.SortFunc(typed, func(a, b typedSeen) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.row, b.row))
	})
	for _, rec := range records {
		n, next := int32(0), int32(0)
		for ; len(typed) > 0 && typed[0].offset == rec.offset && typed[0].row >= next && typed[0].row < rec.rows && typed[0].rows == rec.rows; typed = typed[1:] {
			n, next = n+1, typed[0].row+1
		}
		if n != rec.rows && why == "" {
			why = fmt.Sprintf("record %s declares %d typed rows, and %d of them are there", rec.offset, rec.rows, n)
		}
	}
	if len(typed) > 0 {
		return false, fmt.Sprintf("a typed row of record %s is there, and it declares none such", typed[0].offset)
	}
	return why != "", why
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
