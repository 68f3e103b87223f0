package parquet

import (
	"crypto/sha256"
	"fmt"
	"math"
	"reflect"
	"strings"

	"landfall/edge/record"
	"landfall/engine/table"
)

// model says what a column of a table should hold, slowly: each row's field
// that is named like the column, in canonical text, NULL where the package's
// documentation says so. It shares no code with the columns.
func model(rows reflect.Value, c Column) []string {
	var all []string
	for i := range rows.Len() {
		all = append(all, modelValue(rows.Index(i), c))
	}
	return all
}

func modelValue(row reflect.Value, c Column) string {
	name := strings.ToLower(strings.ReplaceAll(c.Name, "_", ""))
	if n, ok := strings.CutPrefix(c.Name, "dest_mmsi_"); ok {
		return text(row.FieldByName("DestMMSI").Index(int(n[0] - '1')))
	}
	if c.Name == "dup_offset" && row.FieldByName("DupLog").String() == "" {
		return "NULL"
	}
	if c.Name == "previous_end" && row.FieldByName("Previous").String() == "" {
		return "NULL"
	}
	if name == "previouslog" {
		name = "previous"
	}
	f := row.FieldByNameFunc(func(s string) bool { return strings.ToLower(s) == name })
	if !f.IsValid() {
		panic("no field for column " + c.Name)
	}
	v := text(f)
	if c.Type == String && f.Kind() == reflect.Uint8 && (c.Name == "channel" || c.Name == "part") {
		if v = string(rune(f.Uint())); f.Uint() == 0 {
			v = ""
		}
	}
	if v == "" && c.Nullable && c.Type == String {
		return "NULL"
	}
	return v
}

// text is a field's canonical text, the same as canonical in foreign_test.go.
func text(f reflect.Value) string {
	switch v := f.Interface().(type) {
	case record.Micros:
		if v == record.NoTime {
			return "NULL"
		}
		return fmt.Sprint(int64(v))
	case record.Offset:
		return fmt.Sprint(uint64(v))
	case record.Hash:
		if v == (record.Hash{}) {
			return "NULL"
		}
		return v.String()
	case []byte:
		return fmt.Sprintf("%x", v)
	case fmt.Stringer:
		return v.String()
	}
	switch f.Kind() {
	case reflect.Struct: // ais.Opt
		if !f.FieldByName("Valid").Bool() {
			return "NULL"
		}
		return text(f.FieldByName("Value"))
	case reflect.Float64:
		return fmt.Sprintf("%016x", math.Float64bits(f.Float()))
	case reflect.Bool:
		if f.Bool() {
			return "1"
		}
		return "0"
	case reflect.String:
		return f.String()
	default:
		return fmt.Sprint(f.Interface())
	}
}

// batchTables gives a batch's rows by table.
func batchTables(b *table.Batch) map[table.Name]reflect.Value {
	return map[table.Name]reflect.Value{
		table.Record: reflect.ValueOf(b.Records), table.AISPosition: reflect.ValueOf(b.Positions), table.AISStatic: reflect.ValueOf(b.Statics),
		table.AISBaseStation: reflect.ValueOf(b.BaseStations), table.AISAtoN: reflect.ValueOf(b.AtoNs), table.AISBinary: reflect.ValueOf(b.Binaries),
		table.AISSafety: reflect.ValueOf(b.Safeties), table.AISOther: reflect.ValueOf(b.Others), table.Loss: reflect.ValueOf(b.Losses),
		table.SensorReading: reflect.ValueOf(b.Readings), table.Conflict: reflect.ValueOf(b.Conflicts),
		table.Window: reflect.ValueOf(b.Windows), table.Late: reflect.ValueOf(b.Lates), table.Log: reflect.ValueOf(b.Logs),
	}
}

// digest is the hash of a column's canonical text.
func digest(values []string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(values, "\n"))))
}
