// Package landing is the landing log: the durable record, in the cloud, of
// every block that gateways sent, in P partitions. It declares the interface;
// its sub-packages implement it (embedded: on local disk, kafka: on a topic,
// replay: over a recorded file), and landingtest holds what every
// implementation must pass.
//
// In:  engine/ingest appends blocks as they came, each gateway in its partition.
// Out: engine/task reads one partition in order, from a position it keeps in
// its checkpoints.
//
// Invariants
//
//  1. What Append returned nil for is read back by every later Reader, byte for
//     byte, also after a crash (C2). What Append returned an error for may or
//     may not be read back; nothing is read back twice for one Append. Damage to
//     what was durable is a hole, which is counted where it is found.
//  2. Appends of one gateway are read in the order in which they returned or,
//     where one waited for another, were called. A gateway's blocks lie in the
//     partition Partition(gateway, P), all of them.
//  3. The identity of a landing log and P are fixed for its life. A Position
//     says which block lies before it: where that is still there, a Reader is
//     opened only behind that very block. A Position of which the landing log is
//     gone, lost or written otherwise, is refused with ErrCut.
//  4. A landing log judges nothing: order, duplicates and contradictions are the
//     task's to find. Tail is a help for ingest, never a proof.
//
// The codec of Landed is pure; concurrency is stated at each method of Log.
package landing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"

	"landfall/edge/record"
	"landfall/engine/stream"
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrPosition says that a position does not lie in the log, nor ever did.
	ErrPosition = errors.New("position outside the landing log")
	// ErrCut is an ErrPosition: the log does not hold what the position stands on
	// any more. It was cut, put back from an older copy or written otherwise, or its
	// beginning is gone. A Reader can be opened at Bounds; which offsets of which
	// gateway are missing shows where blocks do not follow.
	ErrCut = fmt.Errorf("%w: the landing log was cut", ErrPosition)
	// ErrFull says that free space is under the reserve; nothing was appended.
	ErrFull = errors.New("landing log is full")
	// ErrMismatch says that a landing log is not the one it was opened as.
	ErrMismatch = errors.New("another landing log")
	// ErrClosed says that the log or reader was closed.
	ErrClosed = errors.New("landing log is closed")
	// ErrReadOnly says that this kind of landing log takes no appends.
	ErrReadOnly = errors.New("landing log is read-only")
)

// ID is the identity of one landing log: lower-case letters, digits and '-'.
// It stands in every manifest.
type ID string

// Landed is one edge block as it landed.
type Landed struct {
	Gateway  string
	LandedAt record.Micros // the cloud's clock
	// Conflict says that ingest found the block to contradict what is landed
	// already: it was not acknowledged, and belongs in the table conflict. The
	// task finds others by itself.
	Conflict bool
	// Keeps says that the gateway keeps these records until it is told that they
	// are published, and that this ingest tells it: what is missing before this
	// block can be sent again.
	Keeps bool
	Block []byte // the block, the same bytes as in the gateway's log
	// Clock is what the gateway knew of the time of its boots when it sent the
	// block (record.EncodeAnchors); empty: nothing that this block needs.
	Clock []byte
}

// A landed block: version 3 when its gateway Keeps it, else 2 when it has a Clock,
// else 1, so that a program of before reads what it can:
//
//	0  1  version
//	1  1  flags: bit 0 Conflict; version 3: bit 1 Keeps, always set
//	2  8  LandedAt, little-endian
//	10 1  length of the gateway's name, 1 to 255
//	11 .  gateway
//	 .  .  versions 2 and 3: 2 bytes length, Clock; empty in version 3 alone
//	 .  .  the block, to the end
const (
	landedVersion  = 1
	landedClocked  = 2
	landedKept     = 3
	landedConflict = 1 << 0
	landedKeeps    = 1 << 1
	landedFixed    = 11

	// MaxHeadBytes bounds what Encode adds to a block.
	MaxHeadBytes = landedFixed + 255 + 2 + record.MaxAnchorBytes
)

// EncodeHead gives what stands before the block; head and block together are
// the encoded form. Error: a gateway's name that is empty or over 255 bytes.
func (l Landed) EncodeHead() ([]byte, error) {
	if l.Gateway == "" || len(l.Gateway) > 255 {
		return nil, fmt.Errorf("encode landed block: gateway name of %d bytes: %w", len(l.Gateway), record.ErrTooLarge)
	}
	head := make([]byte, landedFixed, landedFixed+len(l.Gateway))
	head[0] = landedVersion
	if l.Conflict {
		head[1] = landedConflict
	}
	binary.LittleEndian.PutUint64(head[2:], uint64(l.LandedAt))
	head[10] = byte(len(l.Gateway))
	head = append(head, l.Gateway...)
	switch {
	case l.Keeps:
		head[0], head[1] = landedKept, head[1]|landedKeeps
	case len(l.Clock) > 0:
		head[0] = landedClocked
	default:
		return head, nil
	}
	if len(l.Clock) > record.MaxAnchorBytes {
		return nil, fmt.Errorf("encode landed block: clock of %d bytes: %w", len(l.Clock), record.ErrTooLarge)
	}
	head = binary.LittleEndian.AppendUint16(head, uint16(len(l.Clock)))
	return append(head, l.Clock...), nil
}

// Encode gives the whole encoded form.
func (l Landed) Encode() ([]byte, error) {
	head, err := l.EncodeHead()
	if err != nil {
		return nil, err
	}
	return append(head, l.Block...), nil
}

// Hash identifies the landed block in a Position, 32 hexadecimal digits: the first
// half of a SHA-256 over the gateway, a zero byte, LandedAt in 8 bytes,
// little-endian, and the block's header, in which its CRC and the hash of the
// block before stand. It is for telling one landed block from another, and
// vouches for nothing.
func (l Landed) Hash() string {
	p := append(make([]byte, 0, 256+8+record.BlockHeaderBytes), l.Gateway...)
	p = binary.LittleEndian.AppendUint64(append(p, 0), uint64(l.LandedAt))
	sum := sha256.Sum256(append(p, l.Block[:min(len(l.Block), record.BlockHeaderBytes)]...))
	return hex.EncodeToString(sum[:16])
}

// DecodeLanded reads what Encode wrote; Block aliases p and is not checked.
// Errors: record.ErrCorrupt, record.ErrVersion.
func DecodeLanded(p []byte) (Landed, error) {
	if len(p) < landedFixed {
		return Landed{}, fmt.Errorf("decode landed block of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	if p[0] < landedVersion || p[0] > landedKept {
		return Landed{}, fmt.Errorf("decode landed block version %d: %w", p[0], record.ErrVersion)
	}
	name, kept := int(p[10]), p[0] == landedKept
	if p[1]&^(landedConflict|landedKeeps) != 0 || kept != (p[1]&landedKeeps != 0) || name == 0 ||
		len(p) < landedFixed+name {
		return Landed{}, fmt.Errorf("decode landed block: %w", record.ErrCorrupt)
	}
	l := Landed{
		Gateway:  string(p[landedFixed : landedFixed+name]),
		LandedAt: record.Micros(binary.LittleEndian.Uint64(p[2:])),
		Conflict: p[1]&landedConflict != 0,
		Keeps:    kept,
		Block:    p[landedFixed+name:],
	}
	if p[0] == landedVersion {
		return l, nil
	}
	if len(l.Block) < 2 {
		return Landed{}, fmt.Errorf("decode landed block: %w", record.ErrCorrupt)
	}
	size := int(binary.LittleEndian.Uint16(l.Block))
	if size == 0 && !kept || size > record.MaxAnchorBytes || len(l.Block) < 2+size {
		return Landed{}, fmt.Errorf("decode landed block, clock of %d bytes: %w", size, record.ErrCorrupt)
	}
	if size > 0 {
		l.Clock = l.Block[2 : 2+size : 2+size]
	}
	l.Block = l.Block[2+size:]
	return l, nil
}

// Partition is the partition of a gateway among p: FNV-1a, 64 bits, of its
// name, modulo p.
func Partition(gateway string, p int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(gateway)) // never fails
	return int(h.Sum64() % uint64(p))
}

// Tail is what is landed of a gateway's newest log.
type Tail struct {
	Log  record.LogID
	Next record.Offset // the next offset to land
	Hash record.Hash   // of the block that ends at Next
	// AfterLoss says that this block declares a loss, so that the Prev of the
	// next one is not to be checked.
	AfterLoss bool
}

// Advance gives the tail after block, which must have parsed, was landed.
// known says whether t is known. A conflict and a copy of what lies below the
// tail change nothing; a block of another log begins a new tail.
func (t Tail) Advance(known bool, l Landed, h record.Header) (Tail, bool) {
	if l.Conflict || known && h.Log == t.Log && h.End() <= t.Next {
		return t, known
	}
	return Tail{Log: h.Log, Next: h.End(), Hash: record.HashBlock(l.Block), AfterLoss: h.Kind == record.BlockLoss}, true
}

// TailsOf returns those of a partition among p.
func TailsOf(tails map[string]Tail, partition, p int) map[string]Tail {
	of := make(map[string]Tail)
	for gateway, t := range tails {
		if Partition(gateway, p) == partition {
			of[gateway] = t
		}
	}
	return of
}

// Log is a landing log. Every method may be called from many goroutines.
type Log interface {
	// ID is the log's identity.
	ID() ID
	// Partitions is P.
	Partitions() int
	// Append lands one block, durable on return (C2), in the partition
	// Partition(l.Gateway, P). l belongs to the caller again on return. After an
	// error the block may or may not have landed; the caller appends nothing
	// more that follows it before it has asked Tail again. Errors: ErrFull,
	// ErrReadOnly, ErrClosed, record.ErrTooLarge, record.ErrCorrupt for a block
	// whose header does not parse, ctx's (the block may still land).
	Append(ctx context.Context, l Landed) error
	// Tail tells what is landed of a gateway's newest log; false: not known. It
	// never tells more than is durable; of a shared log it may tell less.
	Tail(gateway string) (Tail, bool)
	// Tails returns what Tail tells of each gateway of a partition: a Reader that has
	// read everything gave all of it, or the log lacks something. The map belongs to
	// the caller.
	Tails(partition int) map[string]Tail
	// Shared says that others append to the log too.
	Shared() bool
	// Reader reads a partition from a position: the zero Position, one that Next
	// gave, or the first of Bounds. Where the block before the position can be read
	// it is compared with Position.Hash. ErrCut when the log does not hold what the
	// position stands on, and ErrPosition when it never did.
	Reader(partition int, from stream.Position) (Reader, error)
	// Bounds returns where what the log holds of a partition begins, and where it
	// ends: a Reader can be opened at first until more is released, and at end
	// nothing more was there. The zero Position: the partition is empty; of end also
	// that the log does not know.
	Bounds(ctx context.Context, partition int) (first, end stream.Position, err error)
	// Release says that nothing below a position will be read again; the log may
	// drop it. ErrPosition when it is outside the log. Idempotent. A later call takes
	// the place of an earlier one that the log has not carried out yet; the zero
	// Position releases nothing.
	Release(partition int, below stream.Position) error
}

// Stats counts since a log was opened, for status and metrics.
type Stats struct {
	Commits        uint64 // groups made durable, an fsync or a promise each
	Blocks         uint64 // blocks landed
	Bytes          uint64 // of them
	Full           uint64 // groups refused for want of room
	Failed         uint64 // groups refused for another reason
	DamagedOffsets uint64 // landing offsets that could not be read back; again by each Reader
	BadMarks       uint64 // tails that could not be read at Open
}

// Bounded is a Log that ends: nothing is ever landed in it.
type Bounded interface {
	Log
	// End says that it is one; it does nothing.
	End()
}

// IsBounded tells whether a log ends. To a log that does not, an io.EOF is whatever an
// implementation makes of a connection or a file that was cut off.
func IsBounded(l Log) bool {
	_, bounded := l.(Bounded)
	return bounded
}

// Reader reads one partition in order. It belongs to one goroutine.
type Reader interface {
	// Next waits for the next landed block and gives the position after it. What
	// it gives belongs to the caller for good. io.EOF at the end of a Bounded log and
	// nowhere else, ctx's error when it ends first.
	Next(ctx context.Context) (Landed, stream.Position, error)
	// Close ends the reader.
	Close() error
}
