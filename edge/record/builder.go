package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// Builder gathers the records and annotations of one block. The zero value is
// empty and ready. It belongs to one goroutine and is reused, so
// that a steady stream allocates nothing.
type Builder struct {
	buf      []byte // HeadroomBytes, header space, then records
	ann      []byte
	count    uint32
	baseTime Micros
	baseMono int64
	lastAt   Micros
	digest   Digest // of the log at the block's end, when digested
	digested bool
}

// HeadroomBytes is the space that SealFramed leaves in front of a block.
const HeadroomBytes = 32

// recordStart is where the records of a block begin in Builder.buf.
const recordStart = HeadroomBytes + BlockHeaderBytes

// Reset empties the builder and keeps its memory.
func (b *Builder) Reset() {
	if cap(b.buf) < recordStart {
		b.buf = make([]byte, recordStart, 64<<10)
	}
	b.buf, b.ann = b.buf[:recordStart], b.ann[:0]
	b.count, b.baseTime, b.baseMono, b.lastAt, b.digested = 0, 0, 0, NoTime, false
}

// Count is the number of records added since Reset.
func (b *Builder) Count() int { return int(b.count) }

// Size is the number of bytes Seal would give.
func (b *Builder) Size() int {
	n := max(len(b.buf)-HeadroomBytes, BlockHeaderBytes) + len(b.ann)
	if b.digested {
		n += digestAnnotationBytes
	}
	return n
}

// DigestAt returns the digest of the records added with Add, were they sealed at
// an offset of a log: what they add to the Digest of that log.
func (b *Builder) DigestAt(d *Digester, first Offset) (sum Digest) {
	if len(b.buf) < recordStart {
		return 0
	}
	off := first
	for rest := b.buf[recordStart:]; len(rest) > 0; off++ {
		size, k := binary.Uvarint(rest)
		sum += d.Record(off, rawOf(rest[k:k+int(size)]))
		rest = rest[k+int(size):]
	}
	return sum
}

// SetDigest has Seal write an AnnDigest with d, after the other annotations, in
// place of the one that was set before.
func (b *Builder) SetDigest(d Digest) { b.digest, b.digested = d, true }

// FirstAt is ReceivedAt of the first record added with Add, or NoTime.
func (b *Builder) FirstAt() Micros {
	if b.LastAt() == NoTime {
		return NoTime
	}
	return b.baseTime
}

// LastAt is ReceivedAt of the last record added with Add, or NoTime.
func (b *Builder) LastAt() Micros {
	if b.count == 0 {
		return NoTime
	}
	return b.lastAt
}

// Annotations walks the annotations added since Reset, in order.
func (b *Builder) Annotations(yield func(Annotation) bool) { walkAnnotations(b.ann, yield) }

// Add encodes one captured record. Error: ErrTooLarge, and the record is not
// added (a record of MaxRawBytes always fits an empty builder).
func (b *Builder) Add(r *Record) error {
	if len(r.Raw) > MaxRawBytes {
		return fmt.Errorf("add record of %d bytes: %w", len(r.Raw), ErrTooLarge)
	}
	if len(b.buf) < recordStart {
		b.Reset()
	}
	if b.count == 0 {
		b.baseTime, b.baseMono = r.ReceivedAt, r.Monotonic
	}
	var head [3 + 5*binary.MaxVarintLen64]byte
	head[0], head[1], head[2] = byte(r.Kind), byte(r.TimeSource), byte(r.TimeQuality)
	n := 3
	n += binary.PutUvarint(head[n:], uint64(r.Flags))
	n += binary.PutUvarint(head[n:], uint64(r.Source))
	n += binary.PutVarint(head[n:], int64(r.ReceivedAt-b.baseTime))
	if r.TimeSource != TimeNone {
		n += binary.PutVarint(head[n:], int64(r.EventTime-r.ReceivedAt))
	}
	n += binary.PutVarint(head[n:], r.Monotonic-b.baseMono)
	if err := b.reserve(n + len(r.Raw) + digestAnnotationBytes); err != nil {
		return err
	}
	b.buf = binary.AppendUvarint(b.buf, uint64(n+len(r.Raw)))
	b.buf = append(append(b.buf, head[:n]...), r.Raw...)
	b.count++
	b.lastAt = r.ReceivedAt
	return nil
}

// AddPayload adds an undecoded record, for logs that hold something else than
// captured records. Error: ErrTooLarge.
func (b *Builder) AddPayload(parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if err := b.reserve(size); err != nil {
		return err
	}
	b.buf = binary.AppendUvarint(b.buf, uint64(size))
	for _, p := range parts {
		b.buf = append(b.buf, p...)
	}
	b.count++
	return nil
}

func (b *Builder) reserve(payload int) error {
	if len(b.buf) < recordStart {
		b.Reset()
	}
	if b.Size()+binary.MaxVarintLen64+payload > MaxBlockBytes {
		return fmt.Errorf("add %d bytes to a block of %d: %w", payload, b.Size(), ErrTooLarge)
	}
	return nil
}

// Annotate adds an annotation. Error: ErrTooLarge.
func (b *Builder) Annotate(a Annotation) error {
	if b.Size()+1+binary.MaxVarintLen64+digestAnnotationBytes+len(a.Body) > MaxBlockBytes {
		return fmt.Errorf("annotate a block of %d bytes: %w", b.Size(), ErrTooLarge)
	}
	b.ann = append(b.ann, byte(a.Type))
	b.ann = binary.AppendUvarint(b.ann, uint64(len(a.Body)))
	b.ann = append(b.ann, a.Body...)
	return nil
}

// Seal finishes the block and gives its bytes, which stay valid until the next
// Reset, Add or Annotate. It may be called again with other arguments (a group
// rewritten to another place).
func (b *Builder) Seal(log LogID, first Offset, prev Hash) []byte {
	return b.SealFramed(log, first, prev, 0)[HeadroomBytes:]
}

// SealFramed is Seal for a caller who writes the block together with bytes of
// its own in one piece: HeadroomBytes of any content, the block, then tail
// zero bytes.
func (b *Builder) SealFramed(log LogID, first Offset, prev Hash, tail int) []byte {
	if len(b.buf) < recordStart {
		b.Reset()
	}
	records := len(b.buf)
	b.buf = append(b.buf, b.ann...)
	ann := len(b.ann)
	if b.digested {
		a := DigestAnnotation(b.digest)
		b.buf = append(append(b.buf, byte(a.Type), byte(len(a.Body))), a.Body...)
		ann += digestAnnotationBytes
	}
	end := len(b.buf)
	b.buf = slices.Grow(b.buf, tail)[:end+tail]
	clear(b.buf[end:])
	framed := b.buf
	b.buf = b.buf[:records]
	block := framed[HeadroomBytes:end]
	putHeader(block, BlockData, log, first, b.count, prev, ann)
	binary.LittleEndian.PutUint64(block[64:], uint64(b.baseTime))
	binary.LittleEndian.PutUint64(block[72:], uint64(b.baseMono))
	putCRC(block)
	return framed
}

// SealLoss gives a block that declares [first, first+count) as given up, with
// the reason (shed, corrupt, missing) as its annotation. Prev is the hash of
// the block that ends at first, or zero when that is not known. The Prev of the
// data block that follows is not checked. digest is that of the log at the end
// of the range, where the gateway knows it; nil: it does not. Adjacent lost
// ranges may all carry the digest at the end of the last range; then only the first
// contributes.
func SealLoss(log LogID, first Offset, count uint32, prev Hash, reason string, digest *Digest) []byte {
	block := make([]byte, BlockHeaderBytes, BlockHeaderBytes+2+len(reason)+binary.MaxVarintLen64+digestAnnotationBytes)
	block = append(block, byte(AnnLoss))
	block = binary.AppendUvarint(block, uint64(len(reason)))
	block = append(block, reason...)
	if digest != nil {
		a := DigestAnnotation(*digest)
		block = append(append(block, byte(a.Type), byte(len(a.Body))), a.Body...)
	}
	putHeader(block, BlockLoss, log, first, count, prev, len(block)-BlockHeaderBytes)
	putCRC(block)
	return block
}

func putHeader(block []byte, kind BlockKind, log LogID, first Offset, count uint32, prev Hash, ann int) {
	clear(block[:BlockHeaderBytes])
	copy(block, blockMagic)
	block[3] = blockVersion
	binary.LittleEndian.PutUint32(block[8:], uint32(len(block)))
	block[12] = byte(kind)
	copy(block[16:], log[:])
	copy(block[32:], prev[:])
	binary.LittleEndian.PutUint64(block[48:], uint64(first))
	binary.LittleEndian.PutUint32(block[56:], count)
	binary.LittleEndian.PutUint32(block[60:], uint32(ann))
}

func putCRC(block []byte) {
	binary.LittleEndian.PutUint32(block[4:], crc32.Checksum(block[8:], castagnoli))
}
