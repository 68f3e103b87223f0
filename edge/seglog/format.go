package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"landfall/edge/record"
)

// A segment, version 1 or 2; what a later version has to do is said at
// record.JudgeVersion. Integers are little-endian. It is a header, padded
// with zeros to a multiple of 4096 bytes, then frames, then at least 32 zero
// bytes, then whatever the file held in an earlier life. Version 2 is written
// where marks lie outside the header, in files of marks or set aside, so that a
// program that knows version 1 alone does not go on without them.
//
// Header
//
//	  0  4  magic "LFS" and the version, 1
//	  4  4  CRC-32C of bytes 8..length
//	  8  4  length of the header without its padding
//	 12  4  flags: bit 0, the file was full of zeros before it became a segment
//	 16 16  LogID
//	 32  8  ordinal of the log within its directory
//	 40  8  number of the segment within its log, from 1
//	 48  8  offset of the first record
//	 56 16  Prev: hash of the block before the first one, or zero
//	 72 16  LogID of the previous log, or zero
//	 88  8  where the previous log ended
//	 96  8  ReceivedAt of the first record, or of the opening of the segment
//	104  8  ReceivedAt of the last record before this segment
//	112  8  size of the file
//	120  8  version 2 only: number of the newest file of marks, whose chain holds
//	        every mark as of the beginning of the segment; 0: the marks follow
//	  .  .  marks: each uvarint length, name, uvarint length, value, by name; with
//	        their file's number there are none
//
// Frame, at a multiple of 8
//
//	 0  4  magic "LFF" and the version, 1
//	 4  4  CRC-32C of: LogID, number of the segment, position of the frame in
//	       the file, bytes 8..32
//	 8  4  length of the block
//	12  4  the block's own CRC
//	16  8  offset of the block's first record
//	24  4  number of its records
//	28  4  reserved, zero
//	32  .  the block, then zeros to a multiple of 8
const (
	headerMagic   = "LFS"
	headerVersion = 1
	headerMarked  = 2 // the version whose marks may lie outside the header
	headerFixed   = 120
	headerRef     = 8 // bytes that version 2 has more
	headerAlign   = 4096
	// maxHeader bounds what is read. What is written is bounded by maxInlineMarks:
	// longer headers are those of earlier programs.
	maxHeader = 4 << 20

	frameMagic = "LFF\x01"
	frameBytes = record.HeadroomBytes
	frameAlign = 8
	// endBytes of zeros follow the last frame: there a torn or damaged frame is
	// told from the end.
	endBytes = frameBytes

	flagFresh = 1 << 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentID is what frames are bound to beside their position.
type segmentID struct {
	log    record.LogID
	number uint64
}

// header is the decoded head of a segment.
type header struct {
	id       segmentID
	ordinal  uint64
	fresh    bool
	first    record.Offset
	prevHash record.Hash
	prev     record.LogID
	prevEnd  record.Offset
	firstAt  record.Micros
	lastAt   record.Micros
	fileSize int64
	version  byte
	marks    map[string][]byte
	markFile uint64 // the file that holds them instead; 0: none
	size     int64  // with its padding, once decoded
}

// encode gives the header with its padding.
func (h *header) encode() ([]byte, error) {
	p := make([]byte, headerFixed, headerAlign)
	copy(p, headerMagic)
	p[3] = headerVersion
	if h.version != 0 {
		p[3] = h.version
	}
	if h.fresh {
		binary.LittleEndian.PutUint32(p[12:], flagFresh)
	}
	copy(p[16:], h.id.log[:])
	binary.LittleEndian.PutUint64(p[32:], h.ordinal)
	binary.LittleEndian.PutUint64(p[40:], h.id.number)
	binary.LittleEndian.PutUint64(p[48:], uint64(h.first))
	copy(p[56:], h.prevHash[:])
	copy(p[72:], h.prev[:])
	binary.LittleEndian.PutUint64(p[88:], uint64(h.prevEnd))
	binary.LittleEndian.PutUint64(p[96:], uint64(h.firstAt))
	binary.LittleEndian.PutUint64(p[104:], uint64(h.lastAt))
	binary.LittleEndian.PutUint64(p[112:], uint64(h.fileSize))
	if p[3] == headerMarked {
		p = binary.LittleEndian.AppendUint64(p, h.markFile)
	}
	for _, name := range sortedKeys(h.marks) {
		p = appendMark(p, name, h.marks[name])
	}
	if len(p) > maxHeader {
		return nil, fmt.Errorf("encode segment header of %d bytes: %w", len(p), record.ErrTooLarge)
	}
	binary.LittleEndian.PutUint32(p[8:], uint32(len(p)))
	sum := crc32.Checksum(p[8:], castagnoli)
	if p[3] != headerVersion {
		sum = versionedSum(p)
	}
	binary.LittleEndian.PutUint32(p[4:], sum)
	return append(p, make([]byte, padTo(int64(len(p)), headerAlign))...), nil
}

// headerLength reads the length of a header from its fixed part.
func headerLength(p []byte) (int, error) {
	if len(p) < headerFixed || string(p[:3]) != headerMagic {
		return 0, fmt.Errorf("parse segment header: %w", record.ErrCorrupt)
	}
	n := binary.LittleEndian.Uint32(p[8:])
	if n < headerFixed || n > maxHeader {
		return 0, fmt.Errorf("parse segment header of %d bytes: %w", n, record.ErrCorrupt)
	}
	return int(n), nil
}

// parseHeader decodes exactly one header without its padding. Errors:
// record.ErrCorrupt, record.ErrVersion.
func parseHeader(p []byte) (header, error) {
	n, err := headerLength(p)
	if err != nil {
		return header{}, err
	}
	if n != len(p) {
		return header{}, fmt.Errorf("parse segment header of %d bytes in %d: %w", n, len(p), record.ErrCorrupt)
	}
	rest := p[headerFixed:]
	version := byte(headerVersion)
	switch err := record.JudgeVersion(p); {
	case err == nil:
	case errors.Is(err, record.ErrVersion) && p[3] == headerMarked && len(rest) >= headerRef:
		version, rest = headerMarked, rest[headerRef:]
	default:
		return header{}, fmt.Errorf("parse segment header: %w", err)
	}
	h := header{
		version:  version,
		id:       segmentID{record.LogID(p[16:32]), binary.LittleEndian.Uint64(p[40:])},
		ordinal:  binary.LittleEndian.Uint64(p[32:]),
		fresh:    binary.LittleEndian.Uint32(p[12:])&flagFresh != 0,
		first:    record.Offset(binary.LittleEndian.Uint64(p[48:])),
		prevHash: record.Hash(p[56:72]),
		prev:     record.LogID(p[72:88]),
		prevEnd:  record.Offset(binary.LittleEndian.Uint64(p[88:])),
		firstAt:  record.Micros(binary.LittleEndian.Uint64(p[96:])),
		lastAt:   record.Micros(binary.LittleEndian.Uint64(p[104:])),
		fileSize: int64(binary.LittleEndian.Uint64(p[112:])),
		marks:    map[string][]byte{},
		size:     int64(n) + padTo(int64(n), headerAlign),
	}
	if version == headerMarked {
		h.markFile = binary.LittleEndian.Uint64(p[headerFixed:])
	}
	if err := parseMarks(rest, h.marks); err != nil {
		return header{}, fmt.Errorf("parse marks of segment header: %w", err)
	}
	return h, nil
}

// versionedSum is the CRC of what is version 2 or later: it begins with the
// version's byte.
func versionedSum(p []byte) uint32 {
	return crc32.Update(crc32.Checksum(p[3:4], castagnoli), castagnoli, p[8:])
}

// appendMark encodes a mark as it stands in headers and files of marks.
func appendMark(p []byte, name string, value []byte) []byte {
	p = append(binary.AppendUvarint(p, uint64(len(name))), name...)
	return append(binary.AppendUvarint(p, uint64(len(value))), value...)
}

// markSize is what appendMark appends.
func markSize(name string, value []byte) int {
	var n [binary.MaxVarintLen64]byte
	return binary.PutUvarint(n[:], uint64(len(name))) + len(name) + binary.PutUvarint(n[:], uint64(len(value))) + len(value)
}

// parseMarks reads marks to the end of p. Error: record.ErrCorrupt.
func parseMarks(p []byte, marks map[string][]byte) error {
	for rest := p; len(rest) > 0; {
		var name, value []byte
		var ok bool
		if name, rest, ok = cutBytes(rest); ok {
			value, rest, ok = cutBytes(rest)
		}
		if !ok {
			return record.ErrCorrupt
		}
		marks[string(name)] = slices.Clone(value)
	}
	return nil
}

func cutBytes(p []byte) (v, rest []byte, ok bool) {
	n, k := binary.Uvarint(p)
	if k <= 0 || n > uint64(len(p)-k) {
		return nil, nil, false
	}
	return p[k : k+int(n)], p[k+int(n):], true
}

func sortedKeys(m map[string][]byte) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// padTo is how many bytes are missing from n to a multiple of align.
func padTo(n, align int64) int64 { return (align - n%align) % align }

// frameSize is the size of a frame around a block of n bytes.
func frameSize(n int) int64 {
	size := int64(frameBytes + n)
	return size + padTo(size, frameAlign)
}

// frameHead is the decoded head of a frame.
type frameHead struct {
	length int
	crc    uint32
	first  record.Offset
	count  uint32
}

// frameCodec holds the memory over which a frame's CRC is made, so that neither
// writing nor scanning allocates. It belongs to one goroutine.
type frameCodec struct{ scratch [56]byte }

func (c *frameCodec) sum(id segmentID, at int64, p []byte) uint32 {
	copy(c.scratch[:16], id.log[:])
	binary.LittleEndian.PutUint64(c.scratch[16:], id.number)
	binary.LittleEndian.PutUint64(c.scratch[24:], uint64(at))
	copy(c.scratch[32:], p[8:frameBytes])
	return crc32.Checksum(c.scratch[:], castagnoli)
}

// put writes the head of a frame at position at of segment id in front of the
// sealed block that begins at p[frameBytes].
func (c *frameCodec) put(p []byte, id segmentID, at int64) {
	block := p[frameBytes:]
	copy(p, frameMagic)
	copy(p[8:12], block[8:12])   // length
	copy(p[12:16], block[4:8])   // CRC
	copy(p[16:28], block[48:60]) // first offset and count
	clear(p[28:frameBytes])
	binary.LittleEndian.PutUint32(p[4:], c.sum(id, at, p))
}

// parse decodes the head of a frame; false when it is none of this segment and
// position.
func (c *frameCodec) parse(p []byte, id segmentID, at int64) (frameHead, bool) {
	if string(p[:4]) != frameMagic || binary.LittleEndian.Uint32(p[4:]) != c.sum(id, at, p) {
		return frameHead{}, false
	}
	h := frameHead{
		length: int(binary.LittleEndian.Uint32(p[8:])),
		crc:    binary.LittleEndian.Uint32(p[12:]),
		first:  record.Offset(binary.LittleEndian.Uint64(p[16:])),
		count:  binary.LittleEndian.Uint32(p[24:]),
	}
	return h, h.length >= record.BlockHeaderBytes && h.length <= record.MaxBlockBytes
}
