package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/table"
)

// Decoder makes typed rows of records again. An audit uses it from one
// goroutine.
type Decoder interface {
	// Version is that of what makes rows of records, as entries of the ledger name
	// it. Rows that another version made are not compared.
	Version() string
	// Decode makes the typed rows of records, and their rows of record. What it
	// returns is valid until the next call.
	Decode(records []table.RecordRow) ([]DecodedRows, error)
	// Underived says which columns are no functions of a record alone, for people.
	Underived() string
}

// DecodedRows are rows of one table, made of records. Their first columns are
// _gateway, _log, _offset, _row.
type DecodedRows interface {
	Table() table.Name
	Len() int
	Columns() []string // the same in each call
	Value(row, column int) Value
}

// ValueKind says which field of a Value counts.
type ValueKind byte

// The kinds of values.
const (
	Null      ValueKind = iota
	Number              // integers and times
	Double              // Bits of a float64
	Bool                // Number is 0 or 1
	Bytes               // texts too
	Underived           // no function of the record alone: not compared
)

// Value is one value of one column.
type Value struct {
	Kind   ValueKind
	Number int64
	Double float64
	Bytes  []byte // or
	Text   string // of a value of kind Bytes
}

// String shows a value to people.
func (v Value) String() string {
	switch v.Kind {
	case Null:
		return "NULL"
	case Number:
		return strconv.FormatInt(v.Number, 10)
	case Double:
		return strconv.FormatFloat(v.Double, 'g', -1, 64)
	case Bool:
		return strconv.FormatBool(v.Number != 0)
	case Bytes:
		s := string(v.Bytes) + v.Text
		return strconv.Quote(s[:min(len(s), 80)])
	}
	return "not compared"
}

// append writes a value so that equal ones, and only they, have equal bytes.
func (v Value) append(dst []byte) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case Number, Bool:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.Number))
	case Double:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Double+0)) // -0 is 0
	case Bytes:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v.Bytes)+len(v.Text)))
		return append(append(dst, v.Bytes...), v.Text...)
	}
	return dst
}

// valueOf reads a value of a file.
func valueOf(v parquetfile.Value, kind parquetfile.Kind) Value {
	if v.IsNull() {
		return Value{}
	}
	switch kind {
	case parquetfile.Boolean:
		if v.Boolean() {
			return Value{Kind: Bool, Number: 1}
		}
		return Value{Kind: Bool}
	case parquetfile.Int32:
		return Value{Kind: Number, Number: int64(v.Int32())}
	case parquetfile.Int64:
		return Value{Kind: Number, Number: v.Int64()}
	case parquetfile.Float:
		return Value{Kind: Double, Double: float64(v.Float())}
	case parquetfile.Double:
		return Value{Kind: Double, Double: v.Double()}
	default:
		return Value{Kind: Bytes, Bytes: v.ByteArray()}
	}
}

// rowKey names a typed row within one table and one epoch.
type rowKey struct {
	log    *logState
	offset uint64
	row    int32
}

// expectedRow is a typed row as the record says it.
type expectedRow struct {
	hash [2]uint64 // of the columns that mask leaves
	mask int       // number among masks
}

// values compares the typed rows of one epoch.
type values struct {
	*audit
	rows  map[table.Name]map[rowKey]expectedRow
	masks [][]bool // columns that are not compared
	batch []table.RecordRow
	buf   []byte
	kinds []parquetfile.Kind // of the columns that are being read
	wrong map[table.Name][]wrongRow
}

// wrongRow is a typed row that differs.
type wrongRow struct {
	key  rowKey
	file lakeFile
	row  []Value // of the columns that the Decoder names
}

// maxWrong is how many differing rows of one table and epoch are looked at for
// the columns that differ.
const maxWrong = 20

// beginValues makes ready for an epoch, where its rows can be compared.
func (a *audit) beginValues(files []lakeFile) {
	a.values = nil
	if !a.level.reaches(LevelValues) || len(files) == 0 {
		return
	}
	if a.group.entry == nil {
		a.undecoded["that is not known"]++ // or their records are not read
		return
	}
	version := a.Decode.Version()
	for i := range files {
		x := files[i].expected
		made := "that is not known"
		if x != nil && x.kind != ledger.KindAdopted {
			made = x.decoder
		}
		if made != version {
			a.undecoded[made]++
			return
		}
	}
	a.values = &values{audit: a, rows: make(map[table.Name]map[rowKey]expectedRow), wrong: make(map[table.Name][]wrongRow)}
}

// valueColumns are those of record that a Decoder needs, after recordColumns and
// raw.
var valueColumns = []string{"kind", "source", "event_time", "time_source", "time_quality", "received_at", "landed_at", "boot_id", "monotonic", "flags", "rows"}

// record takes one row of record, as the columns recordColumns, raw and
// valueColumns.
func (v *values) record(l *logState, row []parquetfile.Value) {
	r, err := recordRow(l, row)
	if err != nil {
		v.findValue(l, uint64(r.Offset), "", "%v", err)
		return
	}
	if got := row[len(row)-1].Int32(); got != r.Rows {
		v.findValue(l, uint64(r.Offset), "rows", "rows is %d, and _rows %d", got, r.Rows)
	}
	if x := v.file.expected; r.LandedAt == record.NoTime && x != nil && x.kind == ledger.KindEpoch {
		v.findValue(l, uint64(r.Offset), "landed_at", "landed_at is NULL, which it is in no file that an epoch published")
	}
	if r.RejectReason == rejectRecordCorrupt {
		if v.corrupt++; !asSentence(&r) {
			return
		}
	}
	v.batch = append(v.batch, r)
}

// asSentence makes a row of a record that could not be read one of the kind that
// its bytes begin like, and tells whether they begin like any. What a gateway
// wrote and nobody can read begins with the number of a kind, so a row that
// begins like a sentence says of itself what is not true, and its decoding finds
// that.
func asSentence(r *table.RecordRow) bool {
	if len(r.Raw) == 0 {
		return false
	}
	switch r.Raw[0] {
	case '!', '\\':
		r.Kind = record.KindAIS
	case '$':
		r.Kind = record.KindSentence
	default:
		return false
	}
	return true
}

// rejectRecordCorrupt is the reject reason of rows of record that no record can
// be read from.
const rejectRecordCorrupt = "record_corrupt"

// recordRow reads a row of record, as the columns recordColumns, raw and
// valueColumns. Its bytes alias row's.
func recordRow(l *logState, row []parquetfile.Value) (table.RecordRow, error) {
	r := table.RecordRow{
		Lineage:  table.Lineage{Gateway: l.key.gateway, Log: l.key.log, Offset: record.Offset(row[2].Uint64()), Rows: row[3].Int32(), Row: row[4].Int32()},
		Times:    table.Times{EventTime: micros(row[9]), ReceivedAt: micros(row[12])},
		LandedAt: micros(row[13]), Source: string(row[8].ByteArray()), BootID: string(row[14].ByteArray()), Monotonic: row[15].Int64(),
		Raw: row[6].ByteArray(), RejectReason: string(row[5].ByteArray()),
	}
	var ok [4]bool
	r.Kind, ok[0] = named[record.Kind](row[7])
	r.TimeSource, ok[1] = named[record.TimeSource](row[10])
	r.TimeQuality, ok[2] = named[record.TimeQuality](row[11])
	r.Flags, ok[3] = flagsNamed(string(row[16].ByteArray()))
	for i, name := range []string{"kind", "time_source", "time_quality", "flags"} {
		if !ok[i] {
			return r, fmt.Errorf("%s holds a word that no record has", name)
		}
	}
	return r, nil
}

func micros(v parquetfile.Value) record.Micros {
	if v.IsNull() {
		return record.NoTime
	}
	return record.Micros(v.Int64())
}

// named returns the code that a column shows by its name.
func named[T interface {
	~uint8
	String() string
}](v parquetfile.Value) (T, bool) {
	s := v.ByteArray()
	for i := range 256 {
		if T(i).String() == string(s) {
			return T(i), true
		}
	}
	return 0, false
}

// flagsNamed reads what record.Flags.String wrote.
func flagsNamed(s string) (record.Flags, bool) {
	for f := range record.Flags(1 << 10) {
		if f.String() == s {
			return f, true
		}
	}
	return 0, false
}

// flush decodes the rows of record that were taken.
func (v *values) flush() error {
	if len(v.batch) == 0 {
		return nil
	}
	all, err := v.Decode.Decode(v.batch)
	if err != nil {
		return err
	}
	for _, rows := range all {
		if rows.Table() == table.Record {
			v.compareRecords(rows)
			continue
		}
		v.expect(rows)
	}
	v.batch = v.batch[:0]
	return nil
}

// compareRecords compares what decoding says of the records themselves.
func (v *values) compareRecords(rows DecodedRows) {
	why, count := slices.Index(rows.Columns(), "reject_reason"), slices.Index(rows.Columns(), "_rows")
	for i := range min(rows.Len(), len(v.batch)) {
		r := &v.batch[i]
		l := v.log(logKey{r.Gateway, r.Log})
		if got := rows.Value(i, why); string(got.Bytes)+got.Text != r.RejectReason {
			v.findValue(l, uint64(r.Offset), "reject_reason", "reject_reason is %q, and decoding the record says %s", r.RejectReason, got)
		}
		if got := rows.Value(i, count); got.Number != int64(r.Rows) {
			v.findValue(l, uint64(r.Offset), "_rows", "_rows is %d, and the record has %s typed rows", r.Rows, got)
		}
	}
}

// keyOf names a decoded row.
func (v *values) keyOf(rows DecodedRows, i int) rowKey {
	gateway, log := rows.Value(i, 0), rows.Value(i, 1)
	k := logKey{string(gateway.Bytes) + gateway.Text, string(log.Bytes) + log.Text}
	return rowKey{v.log(k), uint64(rows.Value(i, 2).Number), int32(rows.Value(i, 3).Number)}
}

// expect keeps what typed rows have to be.
func (v *values) expect(rows DecodedRows) {
	if rows.Len() == 0 {
		return
	}
	of := v.rows[rows.Table()]
	if of == nil {
		of = make(map[rowKey]expectedRow)
		v.rows[rows.Table()] = of
	}
	columns := len(rows.Columns())
	mask := make([]bool, columns)
	for i := range rows.Len() {
		v.buf = v.buf[:0]
		for c := range columns {
			one := rows.Value(i, c)
			if mask[c] = one.Kind == Underived; !mask[c] {
				v.buf = one.append(v.buf)
			}
		}
		of[v.keyOf(rows, i)] = expectedRow{v.hash(), v.maskOf(mask)}
	}
}

func (v *values) hash() [2]uint64 {
	return [2]uint64{maphash.Bytes(v.key[0], v.buf), maphash.Bytes(v.key[1], v.buf)}
}

// maskOf returns the number of a mask.
func (v *values) maskOf(mask []bool) int {
	for i, m := range v.masks {
		if slices.Equal(m, mask) {
			return i
		}
	}
	v.masks = append(v.masks, slices.Clone(mask))
	return len(v.masks) - 1
}

// columns are those that the Decoder names for a table, as they are in a file.
func (v *values) columns(t table.Name, p *parquetfile.File) []string {
	if v.decoded == nil {
		v.decoded = make(map[table.Name][]string)
		all, err := v.Decode.Decode(nil)
		for _, rows := range all {
			if err == nil {
				v.decoded[rows.Table()] = rows.Columns()
			}
		}
	}
	v.kinds = v.kinds[:0]
	for _, name := range v.decoded[t] {
		at, ok := p.Lookup(name)
		if !ok {
			at = 0 // reading the column will say that it is missing
		}
		v.kinds = append(v.kinds, p.Columns()[at].Kind)
	}
	return v.decoded[t]
}

// typed compares one typed row, as the columns that the Decoder names.
func (v *values) typed(l *logState, row []parquetfile.Value) {
	key := rowKey{l, row[2].Uint64(), row[3].Int32()}
	name := v.file.table
	want, ok := v.rows[name][key]
	if !ok && !l.has(key.offset) {
		return // its record is not there, which is found elsewhere
	}
	if !ok {
		v.findValue(l, key.offset, "", "row %d of offset %d is not one that its record has", key.row, key.offset)
		return
	}
	delete(v.rows[name], key)
	v.buf = v.buf[:0]
	for c, skip := range v.masks[want.mask] {
		if !skip {
			v.buf = valueOf(row[c], v.kinds[c]).append(v.buf)
		}
	}
	if v.hash() == want.hash {
		return
	}
	if len(v.wrong[name]) == maxWrong {
		v.findValue(l, key.offset, "", "row %d of offset %d has other values than its record", key.row, key.offset)
		return
	}
	w := wrongRow{key: key, file: v.file}
	for c := range row {
		one := valueOf(row[c], v.kinds[c])
		one.Bytes = slices.Clone(one.Bytes)
		w.row = append(w.row, one)
	}
	v.wrong[name] = append(v.wrong[name], w)
}

func (v *values) findValue(l *logState, offset uint64, column, format string, args ...any) {
	v.findIn(v.file, l, offset, column, fmt.Sprintf(format, args...))
}

func (v *values) findIn(file lakeFile, l *logState, offset uint64, column, what string) {
	f := l.key.of(KindValue, "%s, offset %d of log %s of %s: %s", quoteName(file.name), offset, l.key.log, l.key.gateway, what)
	f.Task, f.Epoch, f.Table, f.File, f.Offsets, f.Column = file.task, uint64(file.epoch), file.table, file.name, offsets(offset, offset+1), column
	v.find(f)
}

// endValues names the columns of rows that differ: it decodes their records once
// more.
func (a *audit) endValues(ctx context.Context, files []lakeFile) error {
	v := a.values
	if v == nil {
		return nil
	}
	a.values = nil // what is read from here on is not compared again
	if len(v.wrong) == 0 {
		return nil
	}
	wanted := make(map[rowKey]bool)
	for _, of := range v.wrong {
		for i := range of {
			wanted[rowKey{of[i].key.log, of[i].key.offset, 0}] = true
		}
	}
	v.batch = v.batch[:0]
	for _, f := range files {
		if f.table != table.Record {
			continue
		}
		err := a.open(ctx, f, nil, func(p *parquetfile.File) error {
			for _, g := range p.Groups() {
				if err := a.readRows(g, slices.Concat(recordColumns, []string{"raw"}, valueColumns), func(l *logState, row []parquetfile.Value) {
					if !wanted[rowKey{l, row[2].Uint64(), 0}] {
						return
					}
					r, err := recordRow(l, row)
					if err != nil {
						return
					}
					r.Raw = slices.Clone(r.Raw)
					v.batch = append(v.batch, r)
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return v.name()
}

// name compares the rows that differ with those of their records, column by
// column.
func (v *values) name() error {
	if len(v.batch) == 0 {
		return nil
	}
	all, err := v.Decode.Decode(v.batch)
	if err != nil {
		return err
	}
	for _, rows := range all {
		of := v.wrong[rows.Table()]
		for i := range rows.Len() {
			if len(of) == 0 {
				break
			}
			key := v.keyOf(rows, i)
			for k := range of {
				if of[k].key == key {
					v.compareRow(&of[k], rows, i)
				}
			}
		}
	}
	return nil
}

func (v *values) compareRow(w *wrongRow, rows DecodedRows, i int) {
	for c, name := range rows.Columns() {
		want := rows.Value(i, c)
		if want.Kind == Underived || string(want.append(nil)) == string(w.row[c].append(nil)) {
			continue
		}
		v.findIn(w.file, w.key.log, w.key.offset, name, fmt.Sprintf("%s is %s, and decoding the record says %s", name, w.row[c], want))
	}
}

// undecodedWords says which files were not compared.
func (a *audit) undecodedWords() []string {
	var all []string
	for _, made := range slices.Sorted(maps.Keys(a.undecoded)) {
		all = append(all, fmt.Sprintf("the typed rows of %d epochs, made by decoder %s; this binary has %s", a.undecoded[made], made, a.Decode.Version()))
	}
	return all
}
