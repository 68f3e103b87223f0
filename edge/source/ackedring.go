package source

import (
	"encoding/binary"
	"fmt"
	"slices"

	"landfall/edge/record"
)

// ackedRing remembers the lines taken last of a sender of version 2, by a digest over
// epoch, number and bytes. It lies in marks of the log, a chunk each, so that a mark
// that rides in a block is small. The mark <source>/<id>/<n> holds chunk c of those with
// c mod ackedChunks = n:
//
//	1 byte   version (3)
//	uvarint  c
//	uvarint  length of the epoch of the line taken last, and that many bytes
//	uvarint  highest number taken of that epoch
//	up to 16 digests of 8 bytes, in the order in which the lines were taken
//
// The chunk with the highest c tells epoch and number. Version 2 had half as many chunks:
// there n is c mod 17, where the next chunk but 16 lies today as well, so that no mark is
// overwritten of which version 2 would still have known the lines.
//
// It holds twice the window: as many lines of others may lie between a line and its
// repeat. With one window, a single line of a stranger would push out the oldest of the
// sender; that one, sent again, is taken and pushes out the next, and so all of them.
// Not for concurrent use.
type ackedRing struct {
	epoch   string
	last    uint64
	chunk   uint64 // the one being filled
	ring    [ackedChunks][]uint64
	numbers [ackedChunks]uint64 // of the chunks in ring
}

const (
	// ackedWindow is how many lines of a sender may be on the way, and how many others
	// may be taken under its name meanwhile, so that all of them are remembered.
	ackedWindow      = 256
	ackedChunk       = 16 // digests a chunk
	ackedChunks      = 2 * ackedChunksV2
	ackedMarkVersion = 3

	// ackedChunksV2 is how many chunks marks of version 2 have.
	ackedChunksV2 = ackedWindow/ackedChunk + 1
)

// openAckedRing reads the marks that begin with prefix. Errors: record.ErrCorrupt,
// record.ErrVersion.
func openAckedRing(prefix string, sink Sink) (*ackedRing, error) {
	r := &ackedRing{}
	for n := range uint64(ackedChunks) {
		p := sink.Position(fmt.Sprintf("%s%d", prefix, n))
		if len(p) == 0 {
			continue
		}
		chunks := uint64(ackedChunks)
		switch p[0] {
		case ackedMarkVersion:
		case 2:
			chunks = ackedChunksV2
		default:
			return nil, fmt.Errorf("decode mark %d of version %d: %w", n, p[0], record.ErrVersion)
		}
		f := record.NewFields(p[1:])
		c := f.Uvarint()
		epoch := f.Take(f.Uvarint())
		last := f.Uvarint()
		digests := f.Rest()
		if f.Bad() || c%chunks != n || len(digests)%8 != 0 || len(digests) > 8*ackedChunk {
			return nil, fmt.Errorf("decode mark %d: %w", n, record.ErrCorrupt)
		}
		at := c % ackedChunks
		if len(r.ring[at]) > 0 && r.numbers[at] > c {
			continue // a mark of version 2, whose place another chunk has taken
		}
		r.numbers[at], r.ring[at] = c, nil
		for ; len(digests) > 0; digests = digests[8:] {
			r.ring[at] = append(r.ring[at], binary.LittleEndian.Uint64(digests))
		}
		if c >= r.chunk {
			r.chunk, r.epoch, r.last = c, string(epoch), last
		}
	}
	return r, nil
}

// ackedDigest is the digest of a line: equal ones are equal lines, as far as 64 bits of
// SHA-256 tell.
func ackedDigest(epoch string, f *frame) uint64 {
	return identify(fmt.Sprintf("%s %d", epoch, f.seq), f.line)
}

// enter makes epoch the one whose numbers rise from here on.
func (r *ackedRing) enter(epoch string) {
	if r.epoch != epoch {
		r.epoch, r.last = epoch, 0
	}
}

// has tells whether a line is one of those that are remembered.
func (r *ackedRing) has(digest uint64) bool {
	for i := range r.ring {
		if slices.Contains(r.ring[i], digest) {
			return true
		}
	}
	return false
}

// full tells whether adding one more begins a chunk, and so another mark.
func (r *ackedRing) full() bool { return len(r.ring[r.chunk%ackedChunks]) >= ackedChunk }

// empty tells whether no line was ever taken.
func (r *ackedRing) empty() bool { return r.chunk == 0 && len(r.ring[0]) == 0 }

// add remembers a line that is being taken, and where a chunk begins forgets those of
// the oldest.
func (r *ackedRing) add(seq, digest uint64) {
	if r.full() {
		r.chunk++
		at := r.chunk % ackedChunks
		r.ring[at], r.numbers[at] = r.ring[at][:0], r.chunk
	}
	at := r.chunk % ackedChunks
	r.ring[at] = append(r.ring[at], digest)
	r.last = seq
}

// mark returns the number of the mark of the chunk that is being filled, and its value.
func (r *ackedRing) mark() (n uint64, value []byte) {
	value = binary.AppendUvarint(append(make([]byte, 0, 64+8*ackedChunk), ackedMarkVersion), r.chunk)
	value = append(binary.AppendUvarint(value, uint64(len(r.epoch))), r.epoch...)
	value = binary.AppendUvarint(value, r.last)
	n = r.chunk % ackedChunks
	for _, d := range r.ring[n] {
		value = binary.LittleEndian.AppendUint64(value, d)
	}
	return n, value
}
