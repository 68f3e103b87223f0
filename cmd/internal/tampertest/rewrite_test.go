package tampertest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// Rows are all rows of a Parquet file, in memory.
type Rows struct {
	t      testing.TB
	schema *pq.Schema
	file   *pq.File
	Rows   []pq.Row
}

// ReadRows reads a whole file.
func ReadRows(t testing.TB, path string) *Rows {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	f, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)))
	must(t, err)
	all := &Rows{t: t, schema: pq.NewSchema(f.Schema().Name(), asWritten(f)), file: f}
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]pq.Row, 256)
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				all.Rows = append(all.Rows, r.Clone())
			}
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
		}
		must(t, rows.Close())
	}
	return all
}

// node is the root of a schema whose columns are encoded as those of a file.
type node struct {
	pq.Node
	fields []pq.Field
}

// Fields implements pq.Node.
func (n node) Fields() []pq.Field { return n.fields }

// field is one of its columns.
type field struct {
	pq.Field
	encoding encoding.Encoding
}

// Encoding implements pq.Node.
func (f field) Encoding() encoding.Encoding { return f.encoding }

// asWritten returns the schema of a file with the encodings of its pages.
func asWritten(f *pq.File) pq.Node {
	n := node{Node: f.Schema()}
	for i, c := range f.Schema().Fields() {
		used := map[format.Encoding]bool{}
		for _, g := range f.Metadata().RowGroups {
			for _, e := range g.Columns[i].MetaData.Encoding {
				used[e] = true
			}
		}
		one := field{c, &pq.Plain}
		switch {
		case used[format.RLEDictionary]:
			one.encoding = &pq.RLEDictionary
		case used[format.DeltaBinaryPacked]:
			one.encoding = &pq.DeltaBinaryPacked
		case used[format.DeltaLengthByteArray]:
			one.encoding = &pq.DeltaLengthByteArray
		case used[format.DeltaByteArray]:
			one.encoding = &pq.DeltaByteArray
		}
		n.fields = append(n.fields, one)
	}
	return n
}

// Column returns the index of a column.
func (r *Rows) Column(name string) int {
	r.t.Helper()
	leaf, ok := r.schema.Lookup(name)
	if !ok {
		r.t.Fatalf("no column %s", name)
	}
	return leaf.ColumnIndex
}

// Set changes one value; it stays defined.
func (r *Rows) Set(row int, column string, v pq.Value) {
	i := r.Column(column)
	level := 0
	if leaf, _ := r.schema.Lookup(column); leaf.Node.Optional() {
		level = 1
	}
	r.Rows[row][i] = v.Level(0, level, i)
}

// Get returns one value.
func (r *Rows) Get(row int, column string) pq.Value { return r.Rows[row][r.Column(column)] }

// Find returns the first row in which a column is not NULL and that a test
// accepts; nil accepts all.
func (r *Rows) Find(column string, accept func(pq.Value) bool) int {
	r.t.Helper()
	i := r.Column(column)
	n := slices.IndexFunc(r.Rows, func(row pq.Row) bool { return !row[i].IsNull() && (accept == nil || accept(row[i])) })
	if n < 0 {
		r.t.Fatalf("no row with a fitting %s", column)
	}
	return n
}

// Replace writes the rows over a file of a copy: the same columns, encodings,
// compression, footer and, where that is possible, the same number of bytes,
// as somebody would do who does not want to be noticed.
func (r *Rows) Replace(path string) {
	r.t.Helper()
	info, err := os.Stat(path)
	must(r.t, err)
	data := r.encode(0)
	for pad := int(info.Size()) - len(data); pad > 0 && len(data) != int(info.Size()); {
		data = r.encode(pad)
		pad += int(info.Size()) - len(data)
	}
	Write(r.t, path, data)
}

// encode writes the rows. pad bytes hide in the footer.
func (r *Rows) encode(pad int) []byte {
	r.t.Helper()
	var out bytes.Buffer
	options := []pq.WriterOption{
		r.schema, pq.Compression(&zstd.Codec{Level: zstd.SpeedBestCompression}), pq.CreatedBy("landfall", "", ""), pq.DataPageVersion(1), pq.DataPageStatistics(false),
		pq.PageBufferSize(8 << 20),
	}
	for _, kv := range r.file.Metadata().KeyValueMetadata {
		v := kv.Value
		options = append(options, pq.KeyValueMetadata(kv.Key, v))
	}
	if pad > 0 {
		options = append(options, pq.KeyValueMetadata("~", strings.Repeat(" ", max(0, pad-4))))
	}
	for _, c := range r.schema.Columns() {
		options = append(options, pq.SkipPageBounds(c...))
	}
	w := pq.NewWriter(&out, options...)
	_, err := w.WriteRows(r.Rows)
	must(r.t, err)
	must(r.t, w.Close())
	return out.Bytes()
}
