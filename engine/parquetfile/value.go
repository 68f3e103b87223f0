package parquetfile

import (
	"bytes"
	"math"
)

// Value is one value of a column, or NULL. Its bytes may alias a page: they are
// valid as Column.Fill says.
type Value struct {
	bits  uint64
	bytes []byte
	there bool
}

// IsNull tells whether there is no value; the other methods then return zero.
func (v Value) IsNull() bool { return !v.there }

// Boolean returns a value of BOOLEAN.
func (v Value) Boolean() bool { return v.bits != 0 }

// Int32 returns a value of INT32.
func (v Value) Int32() int32 { return int32(v.bits) }

// Int64 returns a value of INT64 or INT32.
func (v Value) Int64() int64 { return int64(v.bits) }

// Uint64 returns a value of INT64 in a column of numbers without a sign.
func (v Value) Uint64() uint64 { return v.bits }

// Double returns a value of DOUBLE.
func (v Value) Double() float64 { return math.Float64frombits(v.bits) }

// Float returns a value of FLOAT.
func (v Value) Float() float32 { return math.Float32frombits(uint32(v.bits)) }

// ByteArray returns a value of BYTE_ARRAY.
func (v Value) ByteArray() []byte { return v.bytes }

// Clone returns a value with bytes of its own.
func (v Value) Clone() Value {
	v.bytes = bytes.Clone(v.bytes)
	return v
}
