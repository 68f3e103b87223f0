package record

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// A block, version 1; what a later version has to do is said at JudgeVersion.
// Integers are little-endian.
//
//	 0  4  magic "LFB" and the version, 1
//	 4  4  CRC-32C (Castagnoli, RFC 3720 appendix B.4) of bytes 8..length
//	 8  4  length of the whole block
//	12  1  kind: 0 data, 1 loss
//	13  3  reserved, zero
//	16 16  LogID
//	32 16  Prev: hash of the previous block, or zero
//	48  8  First: offset of the first record
//	56  4  Count: number of records (data) or of offsets given up (loss)
//	60  4  bytes of annotations
//	64  8  base time: microseconds since 1970 UTC
//	72  8  base monotonic: microseconds since boot
//	80  .  records: each uvarint length, then that many bytes
//	 .  .  annotations: each 1 byte type, uvarint length, then that many bytes
//
// Annotations lie last so that a Builder appends records in place.
const (
	blockMagic   = "LFB"
	blockVersion = 1

	// BlockHeaderBytes is the fixed size of a block's header.
	BlockHeaderBytes = 80
	// MaxBlockBytes bounds a whole block, on disk, on the link and in memory.
	MaxBlockBytes = 8 << 20
	// MaxRecords is how many records a block of data has at most that a Builder made of
	// captured ones: each takes a byte for its length and seven at least.
	MaxRecords = MaxBlockBytes / 8
)

// JudgeVersion tells a newer version from a damaged byte, for what begins like a
// block: three bytes of magic, one of version, the CRC-32C of what follows them.
// Version 1 left its version byte out of that CRC. So where such a CRC holds, it
// is version 1, whatever the byte says: nil. A later version begins its CRC with
// the byte, which tells it apart: ErrVersion. Neither: ErrCorrupt.
func JudgeVersion(p []byte) error {
	if len(p) < 8 {
		return fmt.Errorf("judge version of %d bytes: %w", len(p), ErrCorrupt)
	}
	switch binary.LittleEndian.Uint32(p[4:]) {
	case crc32.Checksum(p[8:], castagnoli):
		return nil
	case crc32.Update(crc32.Checksum(p[3:4], castagnoli), castagnoli, p[8:]):
		return fmt.Errorf("judge version %d: %w", p[3], ErrVersion)
	}
	return fmt.Errorf("check CRC: %w", ErrCorrupt)
}

// Mend gives a block whose version byte alone is damaged as it was written;
// others as they are. p stays as it is.
func Mend(p []byte) []byte {
	if len(p) < BlockHeaderBytes || string(p[:3]) != blockMagic || p[3] == blockVersion || JudgeVersion(p) != nil {
		return p
	}
	p = slices.Clone(p)
	p[3] = blockVersion
	return p
}

// BlockKind tells data from a declared loss.
type BlockKind uint8

// The kinds of blocks.
const (
	BlockData BlockKind = 0 // Count records follow
	BlockLoss BlockKind = 1 // Count offsets are given up; no records follow
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the decoded fixed part of a block.
type Header struct {
	Kind     BlockKind
	Log      LogID
	Prev     Hash
	First    Offset
	Count    uint32
	Length   int
	AnnBytes int
	BaseTime Micros
	BaseMono int64
}

// End is the offset after the block's last one.
func (h *Header) End() Offset { return h.First + Offset(h.Count) }

// ParseHeader decodes the fixed part. It checks magic, version, kind and
// bounds, but neither the CRC nor that p holds the whole block.
// Errors: ErrCorrupt, ErrVersion, ErrTooLarge.
func ParseHeader(p []byte) (Header, error) {
	if len(p) < BlockHeaderBytes {
		return Header{}, fmt.Errorf("parse block header of %d bytes: %w", len(p), ErrCorrupt)
	}
	if string(p[:3]) != blockMagic {
		return Header{}, fmt.Errorf("parse block magic: %w", ErrCorrupt)
	}
	if p[3] != blockVersion {
		return Header{}, fmt.Errorf("parse block version %d: %w", p[3], ErrVersion)
	}
	h := Header{
		Kind:     BlockKind(p[12]),
		Log:      LogID(p[16:32]),
		Prev:     Hash(p[32:48]),
		First:    Offset(binary.LittleEndian.Uint64(p[48:])),
		Count:    binary.LittleEndian.Uint32(p[56:]),
		BaseTime: Micros(binary.LittleEndian.Uint64(p[64:])),
		BaseMono: int64(binary.LittleEndian.Uint64(p[72:])),
	}
	length, ann := binary.LittleEndian.Uint32(p[8:]), binary.LittleEndian.Uint32(p[60:])
	if length > MaxBlockBytes {
		return Header{}, fmt.Errorf("parse block of %d bytes: %w", length, ErrTooLarge)
	}
	if h.Kind > BlockLoss || length < BlockHeaderBytes || ann > length-BlockHeaderBytes {
		return Header{}, fmt.Errorf("parse block header at offset %d: %w", h.First, ErrCorrupt)
	}
	if h.First+Offset(h.Count) < h.First {
		return Header{}, fmt.Errorf("parse block header at offset %d: range overflows: %w", h.First, ErrCorrupt)
	}
	h.Length, h.AnnBytes = int(length), int(ann)
	return h, nil
}

// HashBlock is the chained hash after a sealed block: the first 16 bytes of
// SHA-256 over the whole block.
func HashBlock(block []byte) Hash {
	sum := sha256.Sum256(block)
	return Hash(sum[:16])
}

// Block is a parsed block. Its slices alias the parsed bytes.
type Block struct {
	Header
	Bytes   []byte // the whole block
	records []byte
	ann     []byte
}

// Parse checks a whole block (length, CRC, structure of records and
// annotations) and gives access to it. p must hold exactly one block.
// Errors: ErrCorrupt, ErrVersion, ErrTooLarge.
func Parse(p []byte) (Block, error) {
	h, err := ParseHeader(p)
	if errors.Is(err, ErrVersion) && !errors.Is(JudgeVersion(p), ErrVersion) {
		return Block{}, fmt.Errorf("parse block version %d: %w", p[3], ErrCorrupt)
	}
	if err != nil {
		return Block{}, err
	}
	if h.Length != len(p) {
		return Block{}, fmt.Errorf("parse block at offset %d: length %d in %d bytes: %w", h.First, h.Length, len(p), ErrCorrupt)
	}
	if crc32.Checksum(p[8:], castagnoli) != binary.LittleEndian.Uint32(p[4:]) {
		return Block{}, fmt.Errorf("check CRC of block at offset %d: %w", h.First, ErrCorrupt)
	}
	b := Block{Header: h, Bytes: p, records: p[BlockHeaderBytes : len(p)-h.AnnBytes], ann: p[len(p)-h.AnnBytes:]}
	if err := b.checkStructure(); err != nil {
		return Block{}, fmt.Errorf("parse block at offset %d: %w", h.First, err)
	}
	return b, nil
}

func (b *Block) checkStructure() error {
	n := uint32(0)
	for rest := b.records; len(rest) > 0; n++ {
		size, k := binary.Uvarint(rest)
		if k <= 0 || size > uint64(len(rest)-k) {
			return fmt.Errorf("record %d: %w", n, ErrCorrupt)
		}
		rest = rest[k+int(size):]
	}
	if b.Kind == BlockData && n != b.Count || b.Kind == BlockLoss && n != 0 {
		return fmt.Errorf("%d records where %d were declared: %w", n, b.Count, ErrCorrupt)
	}
	for rest := b.ann; len(rest) > 0; {
		if len(rest) < 2 {
			return fmt.Errorf("annotation: %w", ErrCorrupt)
		}
		size, k := binary.Uvarint(rest[1:])
		if k <= 0 || size > uint64(len(rest)-1-k) {
			return fmt.Errorf("annotation: %w", ErrCorrupt)
		}
		rest = rest[1+k+int(size):]
	}
	return nil
}

// Payloads walks the block's records in order: offset and undecoded bytes.
// Use DecodeRecord on them where the log holds captured records.
func (b *Block) Payloads(yield func(Offset, []byte) bool) {
	off := b.First
	for rest := b.records; len(rest) > 0; off++ {
		size, k := binary.Uvarint(rest)
		if !yield(off, rest[k:k+int(size)]) {
			return
		}
		rest = rest[k+int(size):]
	}
}

// rawOf returns the Raw of an encoded record; of one that cannot be decoded, all
// of its bytes, as the table record holds them.
func rawOf(payload []byte) []byte {
	if len(payload) < 3 { // kind, time source, time quality
		return payload
	}
	numbers := 5 // flags, source, received at, event time, monotonic
	if TimeSource(payload[1]) == TimeNone {
		numbers = 4
	}
	p := payload[3:]
	for range numbers {
		n := varintBytes(p)
		if n == 0 {
			return payload
		}
		p = p[n:]
	}
	return p
}

// varintBytes returns how long the varint is that p begins with; 0: it is none.
func varintBytes(p []byte) int {
	for i, c := range p[:min(len(p), binary.MaxVarintLen64)] {
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				return 0 // more than 64 bits
			}
			return i + 1
		}
	}
	return 0
}

// DigestRecords returns what the block's records add to the Digest of its log.
func (b *Block) DigestRecords() (sum Digest) {
	d := NewDigester(b.Log)
	for off, payload := range b.Payloads {
		sum += d.Record(off, rawOf(payload))
	}
	return sum
}

// DecodeRecord decodes one payload of this block into r; r.Raw aliases it.
// Errors: ErrCorrupt.
func (b *Block) DecodeRecord(payload []byte, r *Record) error {
	d := NewFields(payload)
	r.Kind = Kind(d.Byte())
	r.TimeSource = TimeSource(d.Byte())
	r.TimeQuality = TimeQuality(d.Byte())
	r.Flags = Flags(d.Uvarint())
	r.Source = uint32(d.Uvarint())
	r.ReceivedAt = b.BaseTime + Micros(d.Varint())
	if r.TimeSource == TimeNone {
		r.EventTime = NoTime
	} else {
		r.EventTime = r.ReceivedAt + Micros(d.Varint())
	}
	r.Monotonic = b.BaseMono + d.Varint()
	if d.Bad() {
		return fmt.Errorf("decode record: %w", ErrCorrupt)
	}
	r.Raw = d.Rest()
	return nil
}
