package enginecli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/table"
)

// rewriteRow returns a Parquet file with one value of one row changed.
func rewriteRow(f *pq.File, row, column int, change func(pq.Value) pq.Value) ([]byte, error) {
	var out bytes.Buffer
	options := []pq.WriterOption{plainSchema(f)}
	for _, kv := range f.Metadata().KeyValueMetadata {
		options = append(options, pq.KeyValueMetadata(kv.Key, kv.Value))
	}
	w := pq.NewWriter(&out, options...)
	rows := f.RowGroups()[0].Rows()
	defer func() { _ = rows.Close() }()
	buf := make([]pq.Row, 1)
	for i := range int(f.NumRows()) {
		if n, err := rows.ReadRows(buf); n != 1 {
			return nil, err
		}
		if i == row {
			v, level := change(buf[0][column]), 0
			if f.Schema().Fields()[column].Optional() && !v.IsNull() {
				level = 1
			}
			buf[0][column] = v.Level(0, level, column)
		}
		if _, err := w.WriteRows(buf); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// plainSchema returns the columns of a file, without their encodings, not all of
// which the library writes.
func plainSchema(f *pq.File) *pq.Schema {
	types := map[pq.Kind]reflect.Type{
		pq.Boolean: reflect.TypeFor[bool](), pq.Int32: reflect.TypeFor[int32](), pq.Int64: reflect.TypeFor[int64](),
		pq.Double: reflect.TypeFor[float64](), pq.ByteArray: reflect.TypeFor[[]byte](),
	}
	var fields []reflect.StructField
	for i, c := range f.Schema().Fields() {
		tag := c.Name()
		if c.Optional() {
			tag += ",optional"
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: types[c.Type().Kind()], Tag: reflect.StructTag(fmt.Sprintf("parquet:%q", tag))})
	}
	return pq.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface())
}

// another returns a value of the same kind that differs.
func another(v pq.Value, kind pq.Kind) pq.Value {
	switch kind {
	case pq.Boolean:
		return pq.BooleanValue(!v.Boolean())
	case pq.Int32:
		return pq.Int32Value(v.Int32() ^ 1)
	case pq.Int64:
		return pq.Int64Value(v.Int64() ^ 1)
	case pq.Double:
		return pq.DoubleValue(v.Double() + 0.5)
	default:
		return pq.ByteArrayValue(append([]byte("x"), v.ByteArray()...))
	}
}

// TestAuditValuesNamesEveryChangedValue changes one value of each column of each
// table of typed rows, with all rows in place, and looks for its name.
func TestAuditValuesNamesEveryChangedValue(t *testing.T) {
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in.nmea"), traffic(t, 1200)+instruments)
	lake := filepath.Join(dir, "lake")
	if code, out, errs := engine(t, "replay", "--lake", lake, "--quiet", in); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "audit", "--lake", lake, "--decode"); code != 0 {
		t.Fatalf("intact: exit %d\n%s%s", code, out, errs)
	}
	columns := 0
	for _, of := range append(table.TypedNames(), table.Record) {
		names, err := filepath.Glob(filepath.Join(lake, string(of), "*", "*.parquet"))
		if err != nil || len(names) == 0 {
			continue
		}
		whole, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		f, err := pq.OpenFile(bytes.NewReader(whole), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		for i, field := range f.Schema().Fields() {
			name := field.Name()
			if slices.Contains(ofOthers, name) || name[0] == '_' || of == table.Record && name != "reject_reason" && name != "rows" {
				continue // no function of the record, or found by its count
			}
			t.Run(string(of)+" "+name, func(t *testing.T) {
				changed, err := rewriteRow(f, int(f.NumRows())/2, i, func(v pq.Value) pq.Value { return another(v, field.Type().Kind()) })
				if err != nil {
					t.Fatal(err)
				}
				columns++
				write(t, names[0], string(changed))
				defer write(t, names[0], string(whole))
				code, out, errs := engine(t, "audit", "--lake", lake, "--level", "values", "--json")
				var r audit.Result
				if err := json.Unmarshal([]byte(out), &r); err != nil || code != cli.ExitData {
					t.Fatalf("exit %d, %v\n%s", code, err, errs)
				}
				if i := slices.IndexFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == audit.KindValue && f.Column == name && f.Table == of }); i < 0 {
					t.Errorf("not found, but %.2000s", out)
				} else if f := r.Findings[i]; f.File == "" || f.Offsets == "" || f.Log == "" || f.Gateway != "replay" {
					t.Errorf("%+v", f)
				}
			})
		}
	}
	landedAtIsNull(t, lake)
	aRecordFileIsGone(t, lake)
	if columns < 100 {
		t.Errorf("%d columns were changed", columns)
	}
}

// recordFile returns a file of record, and its name.
func recordFile(t *testing.T, lake string) (name string, whole []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(lake, "record", "*", "*.parquet"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	if whole, err = os.ReadFile(names[0]); err != nil {
		t.Fatal(err)
	}
	return names[0], whole
}

func auditedValues(t *testing.T, lake string) (r audit.Result) {
	t.Helper()
	code, out, errs := engine(t, "audit", "--lake", lake, "--level", "values", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != cli.ExitData {
		t.Fatalf("exit %d, %v\n%s", code, err, errs)
	}
	return r
}

// landedAtIsNull in no file that an epoch published.
func landedAtIsNull(t *testing.T, lake string) {
	t.Helper()
	name, whole := recordFile(t, lake)
	f, err := pq.OpenFile(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(f.Schema().Fields(), func(f pq.Field) bool { return f.Name() == "landed_at" })
	changed, err := rewriteRow(f, 3, at, func(pq.Value) pq.Value { return pq.NullValue() })
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, string(changed))
	defer write(t, name, string(whole))
	r := auditedValues(t, lake)
	if !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == audit.KindValue && f.Column == "landed_at" }) {
		t.Errorf("landed_at: %+v", r.Findings)
	}
}

// aRecordFileIsGone: that is one finding, and none about intact typed rows.
func aRecordFileIsGone(t *testing.T, lake string) {
	t.Helper()
	name, whole := recordFile(t, lake)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	defer write(t, name, string(whole))
	r := auditedValues(t, lake)
	if slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Kind == audit.KindValue }) || len(r.Findings) > 10 {
		t.Errorf("%d findings: %+v", len(r.Findings), r.Findings)
	}
}

// instruments are lines that become sensor readings.
const instruments = "$WIMWV,084.0,R,10.4,N,A*04\n$SDDPT,2.4,,*7F\n"
