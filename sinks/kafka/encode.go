package kafka

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/table"
	"landfall/sinks/rowjson"
)

// overheadBytes is room for what a batch and a record add to a message.
const overheadBytes = 256

// encoder turns the rows of one staged table into messages:
//
//	key      mmsi, or sensor, or _gateway: the first that the table has
//	headers  _table, _gateway, _log, _offset, _row and _rows where the table
//	         has them, _task, _epoch; text
//	value    a JSON object of the row's columns in their order (sinks/rowjson)
//
// A row larger than the limit goes without its largest fields; "_omitted" names
// them.
type encoder struct {
	table   table.Name
	topic   string
	limit   int
	fixed   []kgo.RecordHeader // _table, _task, _epoch
	columns []column
	key     int   // column that is the key
	lineage []int // columns that are headers
	omitted uint64
	buf     []byte
}

// column is one column of the batch being encoded.
type column struct {
	name   string
	label  []byte // "name":
	values arrow.Array
}

func newEncoder(name table.Name, topic string, o *output, limit int) *encoder {
	return &encoder{table: name, topic: topic, limit: limit - overheadBytes, fixed: []kgo.RecordHeader{
		{Key: "_table", Value: []byte(name)}, {Key: "_task", Value: []byte(o.task)}, {Key: "_epoch", Value: []byte(o.epoch.String())},
	}}
}

// open begins with a batch.
func (e *encoder) open(batch arrow.Record) error {
	e.columns, e.lineage, e.key, e.buf = e.columns[:0], e.lineage[:0], -1, nil
	at := make(map[string]int)
	for i, f := range batch.Schema().Fields() {
		label, err := json.Marshal(f.Name)
		if err != nil {
			return err
		}
		e.columns = append(e.columns, column{f.Name, append(label, ':'), batch.Column(i)})
		at[f.Name] = i
		if len(f.Name) > 0 && f.Name[0] == '_' {
			e.lineage = append(e.lineage, i)
		}
	}
	for _, name := range []string{"mmsi", "sensor", "_gateway"} {
		if i, ok := at[name]; ok {
			e.key = i
			return nil
		}
	}
	return fmt.Errorf("%w: table %s has no key", errStaged, e.table)
}

// record gives the message of one row.
func (e *encoder) record(row int) (*kgo.Record, error) {
	r := &kgo.Record{Topic: e.topic, Key: appendText(nil, e.columns[e.key].values, row)}
	r.Headers = make([]kgo.RecordHeader, 0, len(e.lineage)+len(e.fixed))
	size := len(r.Key)
	add := func(h kgo.RecordHeader) {
		r.Headers = append(r.Headers, h)
		size += len(h.Key) + len(h.Value) + 8
	}
	for _, i := range e.lineage {
		add(kgo.RecordHeader{Key: e.columns[i].name, Value: appendText(nil, e.columns[i].values, row)})
	}
	for _, h := range e.fixed {
		add(h)
	}
	value, err := e.value(row, e.limit-size)
	r.Value = value
	return r, err
}

// chunkBytes is how much memory for values is taken at a time.
const chunkBytes = 256 << 10

// value encodes one row, leaving out its largest fields until it fits.
func (e *encoder) value(row, limit int) ([]byte, error) {
	if cap(e.buf)-len(e.buf) < 4096 {
		e.buf = make([]byte, 0, chunkBytes)
	}
	from := len(e.buf)
	e.buf = e.object(e.buf, row, nil)
	if value := e.buf[from:len(e.buf):len(e.buf)]; len(value) <= limit {
		return value, nil
	}
	e.buf = e.buf[:from]
	e.omitted++
	var without []int
	for _, i := range e.bySize(row) {
		without = append(without, i)
		if value := e.object(nil, row, without); len(value) <= limit {
			return value, nil
		}
	}
	return nil, fmt.Errorf("%w: a row of %s is larger than a message even without its texts and bytes", errStaged, e.table)
}

// takeOmitted gives how many rows went without fields since it was last asked.
func (e *encoder) takeOmitted() uint64 {
	n := e.omitted
	e.omitted = 0
	return n
}

// bySize gives the columns of text and bytes that hold anything, the largest
// first; lineage is never left out.
func (e *encoder) bySize(row int) []int {
	size := make(map[int]int)
	var all []int
	for i, c := range e.columns {
		if c.values.IsNull(row) || c.name[0] == '_' {
			continue
		}
		switch v := c.values.(type) {
		case *array.String:
			size[i] = len(v.Value(row))
		case *array.Binary:
			size[i] = len(v.Value(row))
		}
		if size[i] > 0 {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(size[b], size[a]) })
	return all
}

// object appends a row's JSON, without some columns.
func (e *encoder) object(dst []byte, row int, without []int) []byte {
	dst = append(dst, '{')
	first := true
	for i, c := range e.columns {
		if c.values.IsNull(row) || slices.Contains(without, i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, c.label...)
		dst = appendJSON(dst, c.values, row)
	}
	if len(without) > 0 {
		dst = append(dst, `,"_omitted":[`...)
		for i, at := range without {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, e.columns[at].label[:len(e.columns[at].label)-1]...)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendJSON appends a value that is not NULL.
func appendJSON(dst []byte, a arrow.Array, row int) []byte {
	switch v := a.(type) {
	case *array.Boolean:
		return strconv.AppendBool(dst, v.Value(row))
	case *array.Int32:
		return strconv.AppendInt(dst, int64(v.Value(row)), 10)
	case *array.Int64:
		return strconv.AppendInt(dst, v.Value(row), 10)
	case *array.Uint64:
		return rowjson.AppendUint(dst, v.Value(row))
	case *array.Timestamp:
		return rowjson.AppendTime(dst, int64(v.Value(row)))
	case *array.Float64:
		return rowjson.AppendFloat(dst, v.Value(row))
	case *array.String:
		return rowjson.AppendString(dst, v.Value(row))
	case *array.Binary:
		return rowjson.AppendBytes(dst, v.Value(row))
	}
	return append(dst, "null"...)
}

// appendText appends a value as a key or header has it: bare.
func appendText(dst []byte, a arrow.Array, row int) []byte {
	if v, ok := a.(*array.String); ok {
		return append(dst, v.Value(row)...)
	}
	return appendJSON(dst, a, row)
}
