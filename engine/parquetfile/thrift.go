package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Types of fields in Thrift's compact protocol.
const (
	tTrue = iota + 1
	tFalse
	tByte
	tI16
	tI32
	tI64
	tDouble
	tBinary
	tList
	tSet
	tMap
	tStruct
)

// maxDepth bounds how deep fields that are passed over may nest.
const maxDepth = 16

// errShort says that a structure goes on beyond the bytes that are there.
var errShort = errors.New("it goes on beyond its end")

// thrift walks a structure in Thrift's compact protocol. Every list, string and
// number is bounded by the bytes that are left; binaries alias them.
type thrift struct {
	b  []byte
	at int
}

func (d *thrift) left() int { return len(d.b) - d.at }

func (d *thrift) byte() (byte, error) {
	if d.left() < 1 {
		return 0, errShort
	}
	d.at++
	return d.b[d.at-1], nil
}

func (d *thrift) uvarint() (uint64, error) {
	v, n := binary.Uvarint(d.b[d.at:])
	switch {
	case n > 0:
		d.at += n
		return v, nil
	case n == 0:
		return 0, errShort
	}
	return 0, fmt.Errorf("a number of more than 64 bits")
}

// integer reads a zigzag number of a field of type t.
func (d *thrift) integer(t byte, want byte) (int64, error) {
	if t != want {
		return 0, wrongType(t, want)
	}
	u, err := d.uvarint()
	return int64(u>>1) ^ -int64(u&1), err
}

func (d *thrift) i64(t byte) (int64, error) { return d.integer(t, tI64) }

func (d *thrift) i32(t byte) (int32, error) {
	v, err := d.integer(t, tI32)
	if err == nil && (v < math.MinInt32 || v > math.MaxInt32) {
		err = fmt.Errorf("%d is no number of 32 bits", v)
	}
	return int32(v), err
}

// length reads a number that is not negative.
func (d *thrift) length(t byte) (int, error) {
	v, err := d.i32(t)
	if err == nil && v < 0 {
		err = fmt.Errorf("%d is no length", v)
	}
	return int(v), err
}

func (d *thrift) binary(t byte) ([]byte, error) {
	if t != tBinary {
		return nil, wrongType(t, tBinary)
	}
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if n > uint64(d.left()) {
		return nil, errShort
	}
	d.at += int(n)
	return d.b[d.at-int(n) : d.at], nil
}

// list reads the head of a list and calls each with the type of its elements as
// often as it has any: each takes one byte at least, so there are no more than
// bytes are left.
func (d *thrift) list(t byte, each func(t byte) error) error {
	if t != tList && t != tSet {
		return wrongType(t, tList)
	}
	head, err := d.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = d.uvarint(); err != nil {
			return err
		}
	}
	if n > uint64(d.left()) {
		return errShort
	}
	for range n {
		if err := each(head & 15); err != nil {
			return err
		}
	}
	return nil
}

// structure reads the fields of a structure of type t up to its end; field reads
// one or passes over it.
func (d *thrift) structure(t byte, field func(id int, t byte) error) error {
	if t != tStruct {
		return wrongType(t, tStruct)
	}
	id := 0
	for {
		head, err := d.byte()
		if err != nil {
			return err
		}
		if head == 0 {
			return nil
		}
		if head>>4 != 0 {
			id += int(head >> 4)
		} else {
			far, err := d.integer(tI16, tI16)
			if err != nil {
				return err
			}
			if far < 0 || far > math.MaxInt16 {
				return fmt.Errorf("field %d", far)
			}
			id = int(far)
		}
		if err := field(id, head&15); err != nil {
			return err
		}
	}
}

// skip passes over a field of type t.
func (d *thrift) skip(t byte) error { return d.pass(t, false, 0) }

// pass passes over a value; in a list truths have a byte of their own.
func (d *thrift) pass(t byte, element bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it nests more than %d deep", maxDepth)
	}
	bytes := 0
	switch t {
	case tTrue, tFalse:
		if element {
			bytes = 1
		}
	case tByte:
		bytes = 1
	case tI16, tI32, tI64:
		_, err := d.uvarint()
		return err
	case tDouble:
		bytes = 8
	case tBinary:
		_, err := d.binary(t)
		return err
	case tList, tSet:
		return d.list(t, func(t byte) error { return d.pass(t, true, depth+1) })
	case tMap:
		return d.passMap(depth)
	case tStruct:
		return d.structure(t, func(_ int, t byte) error { return d.pass(t, false, depth+1) })
	default:
		return fmt.Errorf("a field of type %d", t)
	}
	if bytes > d.left() {
		return errShort
	}
	d.at += bytes
	return nil
}

func (d *thrift) passMap(depth int) error {
	n, err := d.uvarint()
	if err != nil || n == 0 {
		return err
	}
	types, err := d.byte()
	if err != nil {
		return err
	}
	if n > uint64(d.left()) {
		return errShort
	}
	for range n {
		if err := d.pass(types>>4, true, depth+1); err != nil {
			return err
		}
		if err := d.pass(types&15, true, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func wrongType(have, want byte) error {
	return fmt.Errorf("a field of type %d in the place of one of type %d", have, want)
}
