// Package rowjson is the form of a row as a JSON object: messages of Kafka
// topics and the engine's tap have it.
//
// In:  columns of sinks/parquet, or single values of another carrier of the same
// tables.
// Out: bytes, appended. Columns stand in their order in the file, without those
// that are NULL; a time is RFC 3339 in UTC with six digits of a second, bytes are
// base64, a number is the shortest text that reads back as the same, and what JSON
// has no number for (NaN, infinity) is null. An unsigned number of 64 bits is a
// string of decimal digits: many readers keep numbers as DOUBLE, which has 53.
//
// Everything here is pure.
package rowjson

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"landfall/sinks/parquet"
)

// timeLayout is how a timestamp stands: UTC, microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// AppendRow appends one row of a gathered table as an object.
func AppendRow(dst []byte, g *parquet.Gathered, row int) []byte {
	dst = append(dst, '{')
	first := true
	for _, c := range g.Columns {
		if c.IsNull(row) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(AppendString(dst, c.About().Name), ':')
		dst = appendValue(dst, c, row)
	}
	return append(dst, '}')
}

// appendValue appends a value that is not NULL.
func appendValue(dst []byte, c parquet.Values, row int) []byte {
	switch c.About().Type {
	case parquet.Bool:
		return strconv.AppendBool(dst, c.Bool(row))
	case parquet.Int32, parquet.Int64:
		return strconv.AppendInt(dst, c.Int(row), 10)
	case parquet.Uint64:
		return AppendUint(dst, c.Uint(row))
	case parquet.Timestamp:
		return AppendTime(dst, c.Int(row))
	case parquet.Double:
		return AppendFloat(dst, c.Float(row))
	case parquet.Blob:
		return AppendBytes(dst, c.Bytes(row))
	default: // parquet.String
		return AppendString(dst, c.Text(row))
	}
}

// AppendUint appends an unsigned number of 64 bits as a string.
func AppendUint(dst []byte, v uint64) []byte {
	dst = append(dst, '"')
	return append(strconv.AppendUint(dst, v, 10), '"')
}

// AppendTime appends microseconds since 1970 UTC as a string.
func AppendTime(dst []byte, micros int64) []byte {
	dst = append(dst, '"')
	return append(time.UnixMicro(micros).UTC().AppendFormat(dst, timeLayout), '"')
}

// AppendBytes appends a string of base64.
func AppendBytes(dst, p []byte) []byte {
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, p), '"')
}

// AppendFloat appends a number; what JSON has no number for becomes null.
func AppendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// AppendString appends a string. Most hold nothing to be escaped.
func AppendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // never for a string
				quoted = []byte(`""`)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
