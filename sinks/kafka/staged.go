package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"landfall/edge/record"
	"landfall/engine/table"
	"landfall/sinks/parquet"
)

// stagedFormat is the version of a staged object, in its schema's metadata:
//
//	an Arrow IPC stream, its buffers compressed with zstd, whose schema has the
//	columns of parquet.Schema in their order, as bool, int32, int64, uint64,
//	timestamp[us, UTC], double, utf8 and binary, and the metadata
//	"landfall.staged" (this version) and "landfall.table".
//
// Version 1 had no uint64.
const stagedFormat = 2

const (
	formatKey = "landfall.staged"
	tableKey  = "landfall.table"
)

// batchRows is how many rows make one record batch of a staged object.
const batchRows = 4096

// errStaged says that a staged object does not hold what its manifest says.
var errStaged = errors.New("staged object reads back differently")

// arrowType gives a column's type in a staged object.
func arrowType(p parquet.Physical) arrow.DataType {
	switch p {
	case parquet.Bool:
		return arrow.FixedWidthTypes.Boolean
	case parquet.Int32:
		return arrow.PrimitiveTypes.Int32
	case parquet.Int64:
		return arrow.PrimitiveTypes.Int64
	case parquet.Uint64:
		return arrow.PrimitiveTypes.Uint64
	case parquet.Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case parquet.Double:
		return arrow.PrimitiveTypes.Float64
	case parquet.String:
		return arrow.BinaryTypes.String
	}
	return arrow.BinaryTypes.Binary
}

// stagedSchema gives a table's schema.
func stagedSchema(name table.Name) *arrow.Schema {
	var fields []arrow.Field
	for _, c := range parquet.Schema(name) {
		fields = append(fields, arrow.Field{Name: c.Name, Type: arrowType(c.Type), Nullable: c.Nullable})
	}
	meta := arrow.NewMetadata([]string{formatKey, tableKey}, []string{strconv.Itoa(stagedFormat), string(name)})
	return arrow.NewSchema(fields, &meta)
}

// stagedTable is one table of a Stage: encoded batches in memory.
type stagedTable struct {
	rows    int64
	offsets uint64 // sum over every _offset, scrambled
	buf     bytes.Buffer
	builder *array.RecordBuilder
	writer  *ipc.Writer
}

func newStagedTable(name table.Name) *stagedTable {
	schema := stagedSchema(name)
	t := &stagedTable{builder: array.NewRecordBuilder(memory.DefaultAllocator, schema)}
	t.writer = ipc.NewWriter(&t.buf, ipc.WithSchema(schema), ipc.WithZstd())
	return t
}

// write encodes what is gathered as one record batch.
func (t *stagedTable) write(g *parquet.Gathered) error {
	for i, c := range g.Columns {
		appendColumn(t.builder.Field(i), c, g.Rows)
	}
	for row := range g.Rows {
		t.offsets += scramble(g.Columns[offsetColumn].Int(row))
	}
	batch := t.builder.NewRecord()
	defer batch.Release()
	t.rows += int64(g.Rows)
	return t.writer.Write(batch)
}

// finish ends the stream and gives its bytes.
func (t *stagedTable) finish() ([]byte, error) {
	t.builder.Release()
	if err := t.writer.Close(); err != nil {
		return nil, err
	}
	return t.buf.Bytes(), nil
}

func appendColumn(to array.Builder, c parquet.Values, rows int) {
	to.Reserve(rows)
	for i := range rows {
		if c.IsNull(i) {
			to.AppendNull()
			continue
		}
		switch b := to.(type) {
		case *array.BooleanBuilder:
			b.Append(c.Bool(i))
		case *array.Int32Builder:
			b.Append(int32(c.Int(i)))
		case *array.Int64Builder:
			b.Append(c.Int(i))
		case *array.Uint64Builder:
			b.Append(c.Uint(i))
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(c.Int(i)))
		case *array.Float64Builder:
			b.Append(c.Float(i))
		case *array.StringBuilder:
			b.Append(c.Text(i))
		case *array.BinaryBuilder:
			b.Append(c.Bytes(i))
		}
	}
}

// offsetColumn is where every table has _offset, and log next_offset.
const offsetColumn = 2

func scramble(v int64) uint64 {
	x := uint64(v) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// readStaged gives take each record batch of a staged object. It reads what
// older versions of this package wrote; record.ErrVersion when a newer one did.
func readStaged(data []byte, name table.Name, take func(arrow.Record) error) error {
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%w: %w", errStaged, err)
	}
	defer r.Release()
	meta := r.Schema().Metadata()
	format, err := strconv.Atoi(value(meta, formatKey))
	switch {
	case err != nil || format < 1:
		return fmt.Errorf("%w: no format", errStaged)
	case format > stagedFormat:
		return fmt.Errorf("staged object: %w: format %d, known up to %d", record.ErrVersion, format, stagedFormat)
	case value(meta, tableKey) != string(name):
		return fmt.Errorf("%w: it is of table %q", errStaged, value(meta, tableKey))
	}
	for r.Next() {
		if err := take(r.Record()); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %w", errStaged, err)
	}
	return nil
}

func value(m arrow.Metadata, key string) string {
	if i := m.FindKey(key); i >= 0 {
		return m.Values()[i]
	}
	return ""
}
