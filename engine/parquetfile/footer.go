package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits beside those that a file's own length sets.
const (
	// MaxFooterBytes bounds a footer.
	MaxFooterBytes = 64 << 20
	// MaxPageBytes bounds a page before and after it is decompressed, whatever a file
	// of a few kilobytes says that it unpacks to. Pages of
	// Landfall hold 1 MiB, or one value, which is a block of 8 MiB at most.
	MaxPageBytes = 16 << 20
	// maxHeaderBytes bounds the header of a page, whose statistics nobody reads.
	maxHeaderBytes = 1 << 20
	// maxColumns bounds the columns of a file.
	maxColumns = 10_000
)

// Errors, to be tested with errors.Is.
var (
	// ErrDamaged says that a file is not what its own bytes say it is.
	ErrDamaged = errors.New("damaged Parquet file")
	// ErrUnsupported says that a file may be in order and is beyond what this
	// package reads.
	ErrUnsupported = errors.New("unsupported Parquet file")
)

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsupported, fmt.Errorf(format, args...))
}

// Kind is how values of a column are stored.
type Kind int32

// The kinds, by their numbers in the format.
const (
	Boolean Kind = iota
	Int32
	Int64
	Int96
	Float
	Double
	ByteArray
	FixedLenByteArray
)

// String returns the format's name.
func (k Kind) String() string {
	names := [...]string{"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("type %d", int32(k))
	}
	return names[k]
}

// Schema is one column of a file.
type Schema struct {
	Name     string
	Kind     Kind
	Optional bool // values may be NULL
}

// chunk is one column of one row group.
type chunk struct {
	kind         Kind
	codec        int32
	values       int64 // NULL ones too
	start, end   int64 // of its pages in the file
	uncompressed int64
}

type group struct {
	rows   int64
	chunks []chunk
}

// createdHere is the created_by of files whose pages all have a CRC.
const createdHere = "landfall"

// File is an open file.
type File struct {
	r       io.ReaderAt
	pages   int64 // where the pages end and the footer begins
	rows    int64
	columns []Schema
	groups  []group
	meta    map[string]string
	created string
}

const magic = "PAR1"

// Open reads and checks the footer of a file of size bytes. Nothing else of it
// is read. Errors: ErrDamaged, ErrUnsupported, and those of r.
func Open(r io.ReaderAt, size int64) (*File, error) {
	const ends = 2*len(magic) + 4
	if size < int64(ends) {
		return nil, damaged("%d bytes are no file", size)
	}
	var head [len(magic)]byte
	var tail [4 + len(magic)]byte
	if err := readFull(r, head[:], 0); err != nil {
		return nil, err
	}
	if err := readFull(r, tail[:], size-int64(len(tail))); err != nil {
		return nil, err
	}
	if string(head[:]) != magic || string(tail[4:]) != magic {
		return nil, damaged("it does not begin and end with %s", magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > size-int64(ends) {
		return nil, damaged("a footer of %d bytes in a file of %d", n, size)
	}
	if n > MaxFooterBytes {
		return nil, unsupported("a footer of %d bytes, at most %d are read", n, MaxFooterBytes)
	}
	f := &File{r: r, pages: size - int64(len(tail)) - n, meta: make(map[string]string)}
	footer := make([]byte, n)
	if err := readFull(r, footer, f.pages); err != nil {
		return nil, err
	}
	if err := f.parse(footer); err != nil {
		return nil, fmt.Errorf("read footer: %w", classified(err))
	}
	return f, nil
}

// classified makes what is no other error one of damage.
func classified(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// readFull reads len(p) bytes. What is not there is damage.
func readFull(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return damaged("%d of %d bytes at %d", n, len(p), at)
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), at, err)
}

// NumRows returns the rows of all groups.
func (f *File) NumRows() int64 { return f.rows }

// Columns returns the columns in their order.
func (f *File) Columns() []Schema { return f.columns }

// Groups returns the row groups in their order.
func (f *File) Groups() []Group {
	all := make([]Group, len(f.groups))
	for i := range all {
		all[i] = Group{f, i}
	}
	return all
}

// Group is one row group.
type Group struct {
	file *File
	at   int
}

// NumRows returns its rows.
func (g Group) NumRows() int64 { return g.file.groups[g.at].rows }

// Lookup returns a column's place, as File.Lookup does.
func (g Group) Lookup(name string) (int, bool) { return g.file.Lookup(name) }

// Meta returns a value of the footer by its key.
func (f *File) Meta(key string) (string, bool) {
	v, ok := f.meta[key]
	return v, ok
}

// CreatedBy returns what the footer says of the program that wrote the file.
func (f *File) CreatedBy() string { return f.created }

// Lookup returns a column's place; false where there is none of this name.
func (f *File) Lookup(name string) (int, bool) {
	for i := range f.columns {
		if f.columns[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// parse reads FileMetaData.
func (f *File) parse(footer []byte) error {
	d := &thrift{b: footer}
	var schema []element
	rows := int64(-1)
	err := d.structure(tStruct, func(id int, t byte) (err error) {
		switch id {
		case 2:
			return d.list(t, func(t byte) error {
				if len(schema) > maxColumns {
					return unsupported("more than %d columns", maxColumns)
				}
				e, err := d.element(t)
				schema = append(schema, e)
				return err
			})
		case 3:
			rows, err = d.i64(t)
			return err
		case 4:
			if err := f.flat(schema); err != nil {
				return err
			}
			return d.list(t, func(t byte) error { return f.group(d, t) })
		case 5:
			return d.list(t, func(t byte) error { return f.keyValue(d, t) })
		case 6:
			by, err := d.binary(t)
			f.created = string(by)
			return err
		case 8, 9:
			return unsupported("it is encrypted")
		}
		return d.skip(t)
	})
	switch {
	case err != nil:
		return err
	case f.columns == nil:
		return errors.New("no row groups")
	case rows != f.rows:
		return fmt.Errorf("%d rows in all, %d in its row groups", rows, f.rows)
	}
	return nil
}

// element is one element of the schema.
type element struct {
	kind       Kind
	hasKind    bool
	repetition int32
	name       string
	children   int32
}

func (d *thrift) element(t byte) (e element, err error) {
	e.kind, e.repetition = -1, -1
	err = d.structure(t, func(id int, t byte) error {
		var v int32
		var name []byte
		var err error
		switch id {
		case 1:
			v, err = d.i32(t)
			e.kind, e.hasKind = Kind(v), true
		case 3:
			e.repetition, err = d.i32(t)
		case 4:
			name, err = d.binary(t)
			e.name = string(name)
		case 5:
			e.children, err = d.i32(t)
		default:
			err = d.skip(t)
		}
		return err
	})
	return e, err
}

// flat takes the columns of a schema without nesting.
func (f *File) flat(schema []element) error {
	if f.columns != nil {
		return errors.New("two lists of row groups")
	}
	if len(schema) < 2 || int(schema[0].children) != len(schema)-1 {
		return unsupported("its columns are nested, or missing")
	}
	f.columns = make([]Schema, 0, len(schema)-1)
	for _, e := range schema[1:] {
		const required, optional = 0, 1
		switch {
		case e.children != 0 || e.repetition != required && e.repetition != optional:
			return unsupported("column %q is nested or repeated", e.name)
		case !e.hasKind || e.kind < Boolean || e.kind > FixedLenByteArray:
			return fmt.Errorf("column %q has no type", e.name)
		}
		f.columns = append(f.columns, Schema{Name: e.name, Kind: e.kind, Optional: e.repetition == optional})
	}
	return nil
}

// group reads a RowGroup.
func (f *File) group(d *thrift, t byte) error {
	g := group{rows: -1}
	err := d.structure(t, func(id int, t byte) (err error) {
		switch id {
		case 1:
			return d.list(t, func(t byte) error {
				if len(g.chunks) == len(f.columns) {
					return fmt.Errorf("a row group of more than %d columns", len(f.columns))
				}
				c, err := f.chunk(d, t, f.columns[len(g.chunks)])
				g.chunks = append(g.chunks, c)
				return err
			})
		case 3:
			g.rows, err = d.i64(t)
			return err
		}
		return d.skip(t)
	})
	if err != nil {
		return err
	}
	if g.rows < 0 || g.rows > math.MaxInt64-f.rows || len(g.chunks) != len(f.columns) {
		return fmt.Errorf("a row group of %d rows and %d of %d columns", g.rows, len(g.chunks), len(f.columns))
	}
	for i, c := range g.chunks {
		if c.values != g.rows {
			return fmt.Errorf("column %s has %d values in a row group of %d rows", f.columns[i].Name, c.values, g.rows)
		}
	}
	f.rows += g.rows
	f.groups = append(f.groups, g)
	return nil
}

// chunk reads a ColumnChunk and holds it to the file's length.
func (f *File) chunk(d *thrift, t byte, column Schema) (chunk, error) {
	var c chunk
	var m chunkMeta
	err := d.structure(t, func(id int, t byte) (err error) {
		switch id {
		case 1:
			return unsupported("column %s lies in another file", column.Name)
		case 3:
			m, err = d.chunkMeta(t)
			return err
		case 8, 9:
			return unsupported("column %s is encrypted", column.Name)
		}
		return d.skip(t)
	})
	if err != nil {
		return c, err
	}
	c = chunk{kind: Kind(m.kind), codec: m.codec, values: m.values, start: m.data, uncompressed: m.uncompressed}
	if m.dictionary > 0 && m.dictionary < m.data { // some writers say 0 where there is none
		c.start = m.dictionary
	}
	switch {
	case c.kind != column.Kind || m.path != column.Name:
		return c, fmt.Errorf("column %s of %s in the place of %s of %s", m.path, c.kind, column.Name, column.Kind)
	case m.values < 0 || m.uncompressed < 0 || m.compressed < 0:
		return c, fmt.Errorf("column %s has %d values, %d bytes, %d compressed", column.Name, m.values, m.uncompressed, m.compressed)
	case c.start < int64(len(magic)) || c.start > f.pages || m.compressed > f.pages-c.start:
		return c, fmt.Errorf("column %s of %d bytes at %d is outside the file's pages, which end at %d", column.Name, m.compressed, c.start, f.pages)
	}
	c.end = c.start + m.compressed
	return c, nil
}

// chunkMeta is what is read of a ColumnMetaData.
type chunkMeta struct {
	kind, codec                      int32
	path                             string
	values, uncompressed, compressed int64
	data, dictionary                 int64
}

func (d *thrift) chunkMeta(t byte) (m chunkMeta, err error) {
	m = chunkMeta{kind: -1, codec: -1, values: -1, compressed: -1, data: -1, dictionary: -1}
	parts := 0
	err = d.structure(t, func(id int, t byte) (err error) {
		switch id {
		case 1:
			m.kind, err = d.i32(t)
		case 3:
			err = d.list(t, func(t byte) error {
				part, err := d.binary(t)
				m.path = string(part)
				parts++
				return err
			})
		case 4:
			m.codec, err = d.i32(t)
		case 5:
			m.values, err = d.i64(t)
		case 6:
			m.uncompressed, err = d.i64(t)
		case 7:
			m.compressed, err = d.i64(t)
		case 9:
			m.data, err = d.i64(t)
		case 11:
			m.dictionary, err = d.i64(t)
		default:
			err = d.skip(t)
		}
		return err
	})
	if err == nil && parts != 1 {
		err = fmt.Errorf("a column with a path of %d parts", parts)
	}
	return m, err
}

// keyValue reads a KeyValue.
func (f *File) keyValue(d *thrift, t byte) error {
	var key, value string
	err := d.structure(t, func(id int, t byte) error {
		var b []byte
		var err error
		switch id {
		case 1:
			b, err = d.binary(t)
			key = string(b)
		case 2:
			b, err = d.binary(t)
			value = string(b)
		default:
			err = d.skip(t)
		}
		return err
	})
	f.meta[key] = value
	return err
}
