package parquet

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// RowGroupRows is the least number of rows of a row group in a file of
	// more than one.
	RowGroupRows = 122_880
	// createdBy stands in every file's footer.
	createdBy = "landfall"
	magic     = "PAR1"
)

// output counts and hashes what goes to a file.
type output struct {
	n    int64
	hash hash.Hash
	buf  *bufio.Writer
}

func newOutput(w io.Writer) *output {
	o := &output{hash: sha256.New()}
	o.buf = bufio.NewWriterSize(io.MultiWriter(w, o.hash), 256<<10)
	return o
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.buf.Write(p)
	o.n += int64(n)
	return n, err
}

// footer is a file's metadata as it grows.
type footer struct {
	meta format.FileMetaData
	ci   [][]format.ColumnIndex // by row group and column
	oi   [][]format.OffsetIndex
}

// writeFile writes rows of cols, in the order given, as one whole file: row
// groups, page indexes, footer. sorted names the columns the rows are sorted
// by; info goes into the footer.
func writeFile(e *encoder, cols []column, rows []uint32, sorted []string, info map[string]string) error {
	f := footer{meta: fileMeta(cols, info)}
	if _, err := e.out.Write([]byte(magic)); err != nil {
		return err
	}
	groups := max(1, len(rows)/e.groupRows)
	for g := range groups {
		part := rows[g*len(rows)/groups : (g+1)*len(rows)/groups]
		if err := f.rowGroup(e, cols, part, sorted); err != nil {
			return err
		}
	}
	return f.finish(e)
}

// rowGroup writes the rows' column chunks.
func (f *footer) rowGroup(e *encoder, cols []column, rows []uint32, sorted []string) error {
	g := format.RowGroup{NumRows: int64(len(rows)), FileOffset: e.out.n, Ordinal: int16(len(f.meta.RowGroups))}
	ci, oi := make([]format.ColumnIndex, len(cols)), make([]format.OffsetIndex, len(cols))
	for i, c := range cols {
		if err := c.write(e, rows); err != nil {
			return err
		}
		g.Columns = append(g.Columns, format.ColumnChunk{MetaData: e.meta})
		g.TotalByteSize += e.meta.TotalUncompressedSize
		g.TotalCompressedSize += e.meta.TotalCompressedSize
		oi[i] = e.oi
		if e.order != nil {
			e.ci.BoundaryOrder = e.boundaryOrder()
			ci[i] = e.ci
		}
	}
	for _, name := range sorted {
		for i, c := range cols {
			if c.about().Name == name {
				g.SortingColumns = append(g.SortingColumns, format.SortingColumn{ColumnIdx: int32(i), NullsFirst: true})
			}
		}
	}
	f.meta.RowGroups = append(f.meta.RowGroups, g)
	f.meta.NumRows += g.NumRows
	f.ci, f.oi = append(f.ci, ci), append(f.oi, oi)
	return nil
}

// finish writes column indexes, offset indexes and the footer.
func (f *footer) finish(e *encoder) error {
	enc := thrift.NewEncoder(e.proto.NewWriter(e.out))
	for g, indexes := range f.ci {
		for i := range indexes {
			if indexes[i].NullPages == nil {
				continue
			}
			c := &f.meta.RowGroups[g].Columns[i]
			c.ColumnIndexOffset = e.out.n
			if err := enc.Encode(&indexes[i]); err != nil {
				return err
			}
			c.ColumnIndexLength = int32(e.out.n - c.ColumnIndexOffset)
		}
	}
	for g, indexes := range f.oi {
		for i := range indexes {
			c := &f.meta.RowGroups[g].Columns[i]
			c.OffsetIndexOffset = e.out.n
			if err := enc.Encode(&indexes[i]); err != nil {
				return err
			}
			c.OffsetIndexLength = int32(e.out.n - c.OffsetIndexOffset)
		}
	}
	start := e.out.n
	if err := enc.Encode(&f.meta); err != nil {
		return err
	}
	tail := binary.LittleEndian.AppendUint32(nil, uint32(e.out.n-start))
	if _, err := e.out.Write(append(tail, magic...)); err != nil {
		return err
	}
	return e.out.buf.Flush()
}

// fileMeta is the footer before any row group: schema and information.
func fileMeta(cols []column, info map[string]string) format.FileMetaData {
	m := format.FileMetaData{Version: 2, CreatedBy: createdBy}
	m.Schema = append(m.Schema, format.SchemaElement{Name: "row", NumChildren: thrift.New(int32(len(cols)))})
	var units []string
	for _, c := range cols {
		m.Schema = append(m.Schema, schemaElement(c.about()))
		m.ColumnOrders = append(m.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
		if u := c.about().Unit; u != "" {
			units = append(units, c.about().Name+"="+u)
		}
	}
	for _, k := range []string{"landfall.table", "landfall.task", "landfall.epoch", "landfall.schema"} {
		m.KeyValueMetadata = append(m.KeyValueMetadata, format.KeyValue{Key: k, Value: info[k]})
	}
	m.KeyValueMetadata = append(m.KeyValueMetadata, format.KeyValue{Key: "landfall.units", Value: strings.Join(units, ";")})
	return m
}

func schemaElement(c Column) format.SchemaElement {
	s := format.SchemaElement{Name: c.Name, Type: thrift.New(c.Type.format()), RepetitionType: thrift.New(format.Required)}
	if c.Nullable {
		s.RepetitionType = thrift.New(format.Optional)
	}
	switch c.Type {
	case String:
		s.ConvertedType = thrift.New(deprecated.UTF8)
		s.LogicalType = format.LogicalType{Value: new(format.StringType)}
	case Uint64:
		s.ConvertedType = thrift.New(deprecated.Uint64)
		s.LogicalType = format.LogicalType{Value: &format.IntType{BitWidth: 64, IsSigned: false}}
	case Timestamp:
		s.ConvertedType = thrift.New(deprecated.TimestampMicros)
		s.LogicalType = format.LogicalType{Value: &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: new(format.MicroSeconds)}}}
	}
	return s
}
