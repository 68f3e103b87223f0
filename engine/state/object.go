package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An object, all numbers little endian:
//
//	offset size
//	     0    4  magic "LFST"
//	     4    2  format version, 1
//	     6    2  number of sections
//	     8    8  sequence number: 1, 2, 3 … over the life of a State
//	    16    8  sequence number of the oldest object needed beside this one
//	    24    …  sections, one a table, by name
//	   end    4  CRC-32C of everything before
//
//	section
//	     0    1  length n of the name
//	     1    n  name
//	   n+1    2  codec version
//	   n+3    4  number of entries
//	   n+7    4  bytes of the entries that follow
//	  n+11    …  entries: uvarint length of the key, key, then 0 for a
//	             tombstone or uvarint length of the value plus 1, value
//
// A section of more than 4 GiB cannot be written; a Store refuses objects of
// that size long before.
const (
	magic      = "LFST"
	format     = 1
	headerSize = 24
	crcSize    = 4
)

type header struct {
	seq, first uint64
	tables     int
}

func appendHeader(dst []byte, seq uint64, tables int) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, format)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(tables))
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	return binary.LittleEndian.AppendUint64(dst, 0)
}

// seal fills in the oldest needed object and appends the CRC.
func seal(data []byte, first uint64) []byte {
	binary.LittleEndian.PutUint64(data[16:], first)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// open checks an object and gives its sections.
func open(data []byte) (header, []byte, error) {
	if len(data) < headerSize+crcSize || string(data[:4]) != magic {
		return header{}, nil, fmt.Errorf("%w: not a state object", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint16(data[4:]); v != format {
		return header{}, nil, fmt.Errorf("%w: format %d, known %d", ErrVersion, v, format)
	}
	end := len(data) - crcSize
	if crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(data[end:]) {
		return header{}, nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	h := header{
		tables: int(binary.LittleEndian.Uint16(data[6:])),
		seq:    binary.LittleEndian.Uint64(data[8:]),
		first:  binary.LittleEndian.Uint64(data[16:]),
	}
	if h.first > h.seq || h.first == 0 {
		return header{}, nil, fmt.Errorf("%w: object %d needs %d", ErrCorrupt, h.seq, h.first)
	}
	return h, data[headerSize:end], nil
}

// section is one table's part of an object.
type section struct {
	name    string
	version uint16
	count   int
	entries []byte
}

// beginSection appends a section's head; endSection fills in the counts.
func beginSection(dst []byte, name string, version uint16) ([]byte, int) {
	dst = append(dst, byte(len(name)))
	dst = append(dst, name...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	at := len(dst)
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0), at
}

func endSection(dst []byte, at, count int) {
	binary.LittleEndian.PutUint32(dst[at:], uint32(count))
	binary.LittleEndian.PutUint32(dst[at+4:], uint32(len(dst)-at-8))
}

func cutSection(body []byte) (section, []byte, error) {
	if len(body) < 1 || len(body) < int(body[0])+11 {
		return section{}, nil, fmt.Errorf("%w: section cut short", ErrCorrupt)
	}
	n := int(body[0])
	rest := body[n+11:]
	s := section{
		name:    string(body[1 : n+1]),
		version: binary.LittleEndian.Uint16(body[n+1:]),
		count:   int(binary.LittleEndian.Uint32(body[n+3:])),
	}
	size := int(binary.LittleEndian.Uint32(body[n+7:]))
	if size > len(rest) || s.count > size/2 {
		return section{}, nil, fmt.Errorf("%w: section %q cut short", ErrCorrupt, s.name)
	}
	s.entries = rest[:size]
	return s, rest[size:], nil
}

// cutEntry takes one entry off a section's entries; a tombstone's value is nil,
// any other's is not.
func cutEntry(src []byte) (key, value, rest []byte, err error) {
	n, w := binary.Uvarint(src)
	if w <= 0 || n > uint64(len(src)-w) {
		return nil, nil, nil, fmt.Errorf("%w: key cut short", ErrCorrupt)
	}
	key, src = src[w:w+int(n)], src[w+int(n):]
	n, w = binary.Uvarint(src)
	if w <= 0 || n > uint64(len(src)-w)+1 {
		return nil, nil, nil, fmt.Errorf("%w: value cut short", ErrCorrupt)
	}
	if n == 0 {
		return key, nil, src[w:], nil
	}
	end := w + int(n) - 1
	return key, src[w:end:end], src[end:], nil
}
