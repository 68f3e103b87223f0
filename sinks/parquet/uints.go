package parquet

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/format"

	"landfall/decoders/ais"
)

// uints is a column of UINT64. Every number of 64 bits may be a value, so none
// stands for NULL.
type uints struct {
	Column
	n      int
	first  ais.Opt[uint64]
	spread bool // not all values are equal: vals holds all n
	vals   []ais.Opt[uint64]
}

func (c *uints) about() Column { return c.Column }

func (c *uints) reset() { c.n, c.spread, c.vals = 0, false, c.vals[:0] }

func (c *uints) add(v ais.Opt[uint64]) {
	if !c.spread {
		if c.n == 0 {
			c.first = v
		}
		if v == c.first {
			c.n++
			return
		}
		c.spread, c.vals = true, repeat(c.vals, c.first, c.n)
	}
	c.vals = append(c.vals, v)
	c.n++
}

func (c *uints) at(i int) ais.Opt[uint64] {
	if !c.spread {
		return c.first
	}
	return c.vals[i]
}

// write encodes the values plainly: hashes have no small differences.
func (c *uints) write(e *encoder, rows []uint32) error {
	if !c.spread {
		if !c.first.Valid {
			return e.constant(c.Column, len(rows), nil, nil)
		}
		p := plainUint(nil, c.first.Value)
		return e.constant(c.Column, len(rows), p, p)
	}
	e.begin(c.Column)
	for start := 0; start < len(rows); start += e.pageRows {
		page := rows[start:min(start+e.pageRows, len(rows))]
		defs := e.levels(len(page))
		e.values = e.values[:0]
		nulls, lo, hi := 0, ^uint64(0), uint64(0)
		for i, r := range page {
			v := c.vals[r]
			if !v.Valid {
				defs[i] = 0
				nulls++
				continue
			}
			defs[i] = 1
			lo, hi = min(lo, v.Value), max(hi, v.Value)
			e.values = plainUint(e.values, v.Value)
		}
		if err := e.data(len(page), nulls, format.Plain, plainUint(nil, lo), plainUint(nil, hi)); err != nil {
			return err
		}
	}
	return nil
}

func plainUint(p []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(p, v) }

// IsNull implements Values.
func (c *uints) IsNull(i int) bool { return !c.at(i).Valid }

// Uint implements Values.
func (c *uints) Uint(i int) uint64 { return c.at(i).Value }
