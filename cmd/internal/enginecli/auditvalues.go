package enginecli

import (
	"slices"
	"strconv"

	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/operator"
	"landfall/engine/state"
	"landfall/engine/table"
	"landfall/sinks/parquet"
)

// decoder makes typed rows of records again, for audit --level values: the
// operators of this binary, without what they remember, and the columns of the
// lake. It implements audit.Decoder.
type decoder struct {
	gathered *parquet.Gatherer
	batch    table.Batch
	rows     []audit.DecodedRows
}

// NewDecoder returns the audit.Decoder of this binary.
func NewDecoder() audit.Decoder {
	d := &decoder{gathered: parquet.NewGatherer(append(table.TypedNames(), table.Record))}
	for _, t := range d.gathered.Tables() {
		d.rows = append(d.rows, newDecodedRows(t))
	}
	return d
}

// Version implements audit.Decoder.
func (*decoder) Version() string { return strconv.Itoa(operator.DecoderVersion) }

// Underived implements audit.Decoder.
func (*decoder) Underived() string {
	return "of the typed rows what depends on other records (is_duplicate, dup_log, dup_offset, is_late, and in type 24 what the other part said), " +
		"the tables window, late, conflict and loss beside the offsets and digests of loss, of record what only the gateway knew (kind, flags, source, boot_id, monotonic and the times) " +
		"and what landed_at says, and watermark and landed_at of log"
}

// Decode implements audit.Decoder.
func (d *decoder) Decode(records []table.RecordRow) ([]audit.DecodedRows, error) {
	for i := range d.rows {
		d.gathered.Reset(i)
	}
	d.batch.Reset()
	decode, err := forgetful()
	if err != nil {
		return nil, err
	}
	for i := range records {
		row := &records[i]
		log, err := record.ParseLogID(row.Log)
		if err != nil {
			continue // a row that no program writes, which the audit finds elsewhere
		}
		c := operator.Context{
			Gateway: row.Gateway, Log: log, LogName: row.Log, LandedAt: row.LandedAt, BootID: row.BootID,
			Sources: []string{row.Source}, Watermark: record.NoTime,
		}
		decode.Record(&c, row.Offset, &record.Record{
			Kind: row.Kind, Flags: row.Flags, ReceivedAt: row.ReceivedAt, EventTime: row.EventTime, TimeSource: row.TimeSource,
			TimeQuality: row.TimeQuality, Monotonic: row.Monotonic, Raw: row.Raw,
		}, &d.batch)
	}
	d.gathered.Add(&d.batch)
	return d.rows, nil
}

// forgetful returns the operators as they are before the first record.
func forgetful() (*operator.Decode, error) {
	s := state.New()
	dedupe, err := operator.NewDedupe(s, nil)
	if err != nil {
		return nil, err
	}
	static, err := operator.NewStatic(s, nil)
	if err != nil {
		return nil, err
	}
	window, err := operator.NewWindow(s, operator.WindowConfig{}, nil)
	return operator.NewDecode(dedupe, static, window, nil), err
}

// Columns that are no functions of the record alone.
var (
	ofOthers    = []string{"is_duplicate", "dup_log", "dup_offset", "is_late"}
	ofOtherPart = map[byte][]string{
		'A': {"callsign", "ship_type", "epfd", "to_bow", "to_stern", "to_port", "to_starboard", "mothership_mmsi", "vendor_id", "unit_model", "unit_serial"},
		'B': {"shipname"},
	}
)

// decodedRows shows what is gathered of one table to the audit.
type decodedRows struct {
	*parquet.Gathered
	names  []string
	others []bool // by column: no function of the record alone
	part   int    // the column part of ais_static; -1: there is none
	parts  map[byte][]bool
}

func newDecodedRows(g *parquet.Gathered) *decodedRows {
	r := &decodedRows{Gathered: g, part: -1, parts: make(map[byte][]bool)}
	for _, c := range g.Columns {
		r.names = append(r.names, c.About().Name)
	}
	r.others = r.among(ofOthers)
	if g.Table == table.AISStatic {
		r.part = slices.Index(r.names, "part")
		for part, columns := range ofOtherPart {
			r.parts[part] = r.among(columns)
		}
	}
	return r
}

// among tells of each column whether it is one of those named.
func (r *decodedRows) among(columns []string) []bool {
	is := make([]bool, len(r.names))
	for i, name := range r.names {
		is[i] = slices.Contains(columns, name)
	}
	return is
}

// Table implements audit.DecodedRows.
func (r *decodedRows) Table() table.Name { return r.Gathered.Table }

// Len implements audit.DecodedRows.
func (r *decodedRows) Len() int { return r.Rows }

// Columns implements audit.DecodedRows.
func (r *decodedRows) Columns() []string { return r.names }

// Value implements audit.DecodedRows.
func (r *decodedRows) Value(row, column int) audit.Value {
	if r.others[column] {
		return audit.Value{Kind: audit.Underived}
	}
	if r.part >= 0 && !r.Gathered.Columns[r.part].IsNull(row) {
		if other := r.parts[r.Gathered.Columns[r.part].Text(row)[0]]; other != nil && other[column] {
			return audit.Value{Kind: audit.Underived}
		}
	}
	v := r.Gathered.Columns[column]
	if v.IsNull(row) {
		return audit.Value{}
	}
	switch v.About().Type {
	case parquet.Bool:
		if v.Bool(row) {
			return audit.Value{Kind: audit.Bool, Number: 1}
		}
		return audit.Value{Kind: audit.Bool}
	case parquet.Double:
		return audit.Value{Kind: audit.Double, Double: v.Float(row)}
	case parquet.String:
		if p := v.Bytes(row); p != nil {
			return audit.Value{Kind: audit.Bytes, Bytes: p}
		}
		return audit.Value{Kind: audit.Bytes, Text: v.Text(row)}
	case parquet.Blob:
		return audit.Value{Kind: audit.Bytes, Bytes: v.Bytes(row)}
	default:
		return audit.Value{Kind: audit.Number, Number: v.Int(row)}
	}
}
