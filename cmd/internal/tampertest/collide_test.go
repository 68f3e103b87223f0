package tampertest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"landfall/edge/record"
)

// The records that collide are one block's, so that every digest that a block
// carries stays as it was.
const (
	collidingRecords = 8
	variantBits      = 17 // of each record as many variants are tried
	mergeBits        = 17 // of a sum that each merging but the last makes zero
)

// captured are raw bytes of a log by offset.
type captured map[record.Offset][]byte

// keep is a Change that notes position reports of one block and changes nothing.
func (c captured) keep(gateway string, log int, offset record.Offset, r *record.Record) {
	if gateway == Gateways()[0] && log == 1 && offset >= changedOffset && len(c) < collidingRecords && positionAt(r) >= 0 {
		c[offset] = bytes.Clone(r.Raw)
	}
}

// positionAt returns where the payload of a position report begins in a record;
// -1: it is none.
func positionAt(r *record.Record) int {
	at := bytes.LastIndexByte(r.Raw, '!')
	if r.Kind != record.KindAIS || at < 0 {
		return -1
	}
	body, _, ok := strings.Cut(string(r.Raw[at+1:]), "*")
	fields := strings.Split(body, ",")
	if !ok || len(fields) != 7 || len(fields[5]) != 28 || fields[5][0] != '1' {
		return -1
	}
	return at + 1 + strings.Index(body, fields[5])
}

// variant writes a number into three characters of a position report's longitude,
// and its checksum.
func variant(raw []byte, n uint32) []byte {
	at := positionAt(&record.Record{Kind: record.KindAIS, Raw: raw})
	p := bytes.Clone(raw)
	for i := range 3 {
		c := byte(n>>(6*i)&63) + 48
		if c > 87 {
			c += 8
		}
		p[at+11+i] = c
	}
	begin := bytes.LastIndexByte(p, '!')
	body, _, _ := strings.Cut(string(p[begin+1:]), "*")
	return append(p[:begin], sentence("!", body)...)
}

// sum is what some records would add to the digest more than those that were
// captured, and which variants they are: one of the record, or those of two sums.
type sum struct {
	value       uint64
	variant     uint32
	left, right *sum
}

// pick lists the variants in the order of the records.
func (s *sum) pick() []uint32 {
	if s.left == nil {
		return []uint32{s.variant}
	}
	return append(s.left.pick(), s.right.pick()...)
}

// merge returns sums of one of each list whose low bits are zero, at most as many
// as a list has at first.
func merge(a, b []sum, bits int) (all []sum) {
	mask := uint64(1)<<bits - 1 // of 64: all ones
	at := make(map[uint64][]int32, len(b))
	for i := range b {
		low := b[i].value & mask
		at[low] = append(at[low], int32(i))
	}
	for i := range a {
		for _, k := range at[-a[i].value&mask] {
			all = append(all, sum{value: a[i].value + b[k].value, left: &a[i], right: &b[k]})
			if len(all) == 1<<variantBits {
				return all
			}
		}
	}
	return all
}

// collision finds other records with the same sum of digests, by Wagner's method:
// a sum of 64-bit hashes keeps nobody out who sets out to forge it. It returns the
// raw bytes of each record by offset.
func (c captured) collision(t testing.TB, log record.LogID) captured {
	t.Helper()
	if len(c) != collidingRecords {
		t.Fatalf("%d position reports in one block", len(c))
	}
	var offsets []record.Offset
	for o := range c {
		offsets = append(offsets, o)
	}
	slices.Sort(offsets)
	d := record.NewDigester(log)
	var lists [][]sum
	for _, o := range offsets {
		was := uint64(d.Record(o, c[o]))
		all := make([]sum, 1<<variantBits)
		for n := range all {
			all[n] = sum{value: uint64(d.Record(o, variant(c[o], uint32(n)))) - was, variant: uint32(n)}
		}
		lists = append(lists, all)
	}
	for bits := mergeBits; len(lists) > 1; bits += mergeBits {
		if len(lists) == 2 {
			bits = 64
		}
		var merged [][]sum
		for i := 0; i < len(lists); i += 2 {
			merged = append(merged, merge(lists[i], lists[i+1], bits))
		}
		lists = merged
	}
	if len(lists[0]) == 0 {
		t.Fatal("no other records have this digest: try more variants")
	}
	other, changed := captured{}, 0
	for i, n := range lists[0][0].pick() {
		other[offsets[i]] = variant(c[offsets[i]], n)
		if !bytes.Equal(other[offsets[i]], c[offsets[i]]) {
			changed++
		}
	}
	if changed == 0 {
		t.Fatal("these are the records that were captured")
	}
	return other
}

// change is a Change that puts the other records in place.
func (c captured) change(gateway string, log int, offset record.Offset, r *record.Record) {
	if raw, ok := c[offset]; ok && gateway == Gateways()[0] && log == 1 {
		r.Raw = raw
	}
}
