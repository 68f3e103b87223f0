// Package modbus says what the registers of a Modbus device hold: addresses as
// manuals write them, types over several registers in either order, scaling, and
// which registers are read together.
//
// In:  a device's register map, and the bytes a read gave.
// Out: requests, and readings of what was read or could not be.
//
// Everything is pure: no I/O, no clock, no goroutines. A Register is not changed
// after it was made.
package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"landfall/decoders/sensor"
)

// ErrAddress says that a text is no address.
var ErrAddress = errors.New("no Modbus address")

// Table is one of a device's four tables (MODBUS Application Protocol V1.1b3,
// 4.3).
type Table uint8

// The tables, by the first digit of the addresses in manuals.
const (
	Coils    Table = 0
	Discrete Table = 1
	Input    Table = 3
	Holding  Table = 4
)

// String gives the table's name, as in an address.
func (t Table) String() string {
	switch t {
	case Coils:
		return "coil"
	case Discrete:
		return "discrete"
	case Input:
		return "input"
	}
	return "holding"
}

// Bits says whether the table holds bits; else it holds registers of 16.
func (t Table) Bits() bool { return t <= Discrete }

// ParseAddress reads an address in either of two ways: as manuals write it, five
// or six digits of which the first is the table's and the rest counts from 1
// (40001, 400001); or by the table's name and a number from 0 (holding:0).
func ParseAddress(text string) (Table, uint16, error) {
	if name, number, ok := strings.Cut(text, ":"); ok {
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 16)
		for _, t := range []Table{Coils, Discrete, Input, Holding} {
			if t.String() == name && err == nil {
				return t, uint16(n), nil
			}
		}
		return 0, 0, fmt.Errorf("%q: %w", text, ErrAddress)
	}
	if len(text) != 5 && len(text) != 6 || strings.Trim(text, "0123456789") != "" {
		return 0, 0, fmt.Errorf("%q: %w", text, ErrAddress)
	}
	t := Table(text[0] - '0')
	n, err := strconv.Atoi(text[1:])
	if err != nil || n < 1 || n > 1<<16 || t == 2 || t > Holding {
		return 0, 0, fmt.Errorf("%q: %w", text, ErrAddress)
	}
	return t, uint16(n - 1), nil
}

// Type is how registers hold a value.
type Type string

// The types.
const (
	Bool    Type = "bool" // of the tables of bits, or a register that is not 0
	Int16   Type = "int16"
	Uint16  Type = "uint16"
	Int32   Type = "int32"
	Uint32  Type = "uint32"
	Int64   Type = "int64"
	Uint64  Type = "uint64"
	Float32 Type = "float32" // IEEE 754
	Float64 Type = "float64"
)

// Registers is how many registers the type takes; 0: there is no such type.
func (t Type) Registers() uint16 {
	switch t {
	case Bool, Int16, Uint16:
		return 1
	case Int32, Uint32, Float32:
		return 2
	case Int64, Uint64, Float64:
		return 4
	}
	return 0
}

// Order is the order in which the bytes of a value of four come; of one of
// eight likewise: whether the lower register comes first, and whether the lower
// byte in a register does.
type Order string

// The orders.
const (
	ABCD Order = "abcd" // the standard's: high register first, high byte first
	CDAB Order = "cdab" // low register first
	BADC Order = "badc" // low byte first
	DCBA Order = "dcba" // both
)

// Valid says whether there is such an order; empty is ABCD.
func (o Order) Valid() bool {
	return o == "" || o == ABCD || o == CDAB || o == BADC || o == DCBA
}

// Register is one value of a device.
type Register struct {
	Table   Table
	Address uint16 // from 0
	Type    Type
	Order   Order
	Metric  string
	Unit    string
	Scale   float64 // 0: 1
	Offset  float64 // added after scaling
}

// Request is one read: the registers of one table that adjoin.
type Request struct {
	Table   Table
	Address uint16
	Count   uint16 // of bits or registers
	Reads   []Register
}

// The most that one read may ask for (MODBUS Application Protocol V1.1b3, 6.1
// and 6.3).
const (
	maxBits      = 2000
	maxRegisters = 125
)

// Requests joins registers that adjoin, in the order given, into reads.
func Requests(registers []Register) []Request {
	var all []Request
	for _, r := range registers {
		size, most := r.Type.Registers(), uint16(maxRegisters)
		if r.Table.Bits() {
			size, most = 1, maxBits
		}
		if n := len(all); n > 0 {
			q := &all[n-1]
			if q.Table == r.Table && uint32(q.Address)+uint32(q.Count) == uint32(r.Address) && q.Count+size <= most {
				q.Count += size
				q.Reads = append(q.Reads, r)
				continue
			}
		}
		all = append(all, Request{Table: r.Table, Address: r.Address, Count: size, Reads: []Register{r}})
	}
	return all
}

// Split gives a read for each register: where one of them is refused, the others
// are not.
func (q *Request) Split() []Request {
	var all []Request
	for _, r := range q.Reads {
		all = append(all, Requests([]Register{r})...)
	}
	return all
}

// Text gives unit and place, the address of a report.
func (q *Request) Text(unit uint8) string { return fmt.Sprintf("%d/%s/%d", unit, q.Table, q.Address) }

// Readings makes readings of what was read: two bytes a register as they came,
// or one byte, 0 or 1, a bit. Too few bytes give quality bad_frame.
func (q *Request) Readings(name string, data []byte, dst []sensor.Reading) []sensor.Reading {
	for _, r := range q.Reads {
		g := sensor.Reading{Sensor: name, Metric: r.Metric, Unit: r.Unit, Quality: sensor.QualityGood}
		size := 2 * int(r.Type.Registers())
		if q.Table.Bits() {
			size = 1
		}
		if len(data) < size {
			g.Quality = sensor.QualityBadFrame
			dst = append(dst, g)
			continue
		}
		v := r.value(data[:size])
		if r.Scale != 0 {
			v *= r.Scale
		}
		g.Kind, g.Number = sensor.Number, v+r.Offset
		dst, data = append(dst, g), data[size:]
	}
	return dst
}

// Failed makes readings of a read that failed: no value, and why.
func (q *Request) Failed(name string, why sensor.Quality, dst []sensor.Reading) []sensor.Reading {
	for _, r := range q.Reads {
		dst = append(dst, sensor.Reading{Sensor: name, Metric: r.Metric, Unit: r.Unit, Quality: why})
	}
	return dst
}

// value reads one value of its size.
func (r *Register) value(p []byte) float64 {
	if r.Table.Bits() {
		return float64(min(p[0], 1))
	}
	var b [8]byte
	n := copy(b[:], p)
	if r.Order == BADC || r.Order == DCBA {
		for i := 0; i < n; i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	if r.Order == CDAB || r.Order == DCBA {
		for i, j := 0, n-2; i < j; i, j = i+2, j-2 {
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	}
	be := binary.BigEndian
	switch r.Type {
	case Bool:
		return float64(min(be.Uint16(b[:]), 1))
	case Int16:
		return float64(int16(be.Uint16(b[:])))
	case Int32:
		return float64(int32(be.Uint32(b[:])))
	case Uint32:
		return float64(be.Uint32(b[:]))
	case Int64:
		return float64(int64(be.Uint64(b[:])))
	case Uint64:
		return float64(be.Uint64(b[:]))
	case Float32:
		return float64(math.Float32frombits(be.Uint32(b[:])))
	case Float64:
		return math.Float64frombits(be.Uint64(b[:]))
	}
	return float64(be.Uint16(b[:]))
}
