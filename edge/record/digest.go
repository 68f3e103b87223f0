package record

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
)

// Digest sums up what a log holds below an offset. For a log with the LogID L,
// in 32 lower-case hexadecimal digits, and the records 0 … n-1:
//
//	D(n) = Σ over offsets i < n of u64( first 8 bytes, big-endian, of
//	       SHA-256( ASCII "L:i:" ‖ Raw of record i ) )   mod 2^64
//
// D(0) is 0. The digests of ranges add up, so a range that was lost has the
// digest D(to) - D(from), and anybody can sum the column raw of the table record
// in SQL and compare. A sum of 64-bit hashes finds loss, repetition and damage;
// it does not keep out somebody who sets out to forge it. The chain of
// HashBlock does.
type Digest uint64

// String returns the decimal number, as the column digest shows it.
func (d Digest) String() string { return strconv.FormatUint(uint64(d), 10) }

// ParseDigest reads what String wrote.
func ParseDigest(s string) (Digest, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse digest %q: %w", s, err)
	}
	return Digest(n), nil
}

// Digester computes the terms of one log's Digest. It belongs to one goroutine
// and allocates only to grow.
//
// It pads what it hashes itself and reads the words of the state behind the last
// block, where the hash's own Sum copies state and padding: for a record of 50
// bytes that is a third of the time.
type Digester struct {
	buf   []byte // "L:", then the rest of what is hashed and its padding
	hash  stateful
	state []byte // of hash: stateMagicBytes, then its words
}

// stateful is a hash of crypto/sha256, which all can tell their state.
type stateful interface {
	hash.Hash
	encoding.BinaryAppender
}

// stateMagicBytes come before the words of a state. Go promises to read the states
// that it wrote, and a test holds this to what Sum256 says.
const stateMagicBytes = 4

// paddingBytes is the least padding of SHA-256: a bit, and the length.
const paddingBytes = 1 + 8

// logPrefixBytes is the length of "L:".
const logPrefixBytes = 2*len(LogID{}) + 1

// NewDigester returns a Digester for the records of a log.
func NewDigester(log LogID) Digester {
	buf := make([]byte, logPrefixBytes, 256)
	hex.Encode(buf, log[:])
	buf[logPrefixBytes-1] = ':'
	return Digester{buf: buf, hash: sha256.New().(stateful), state: make([]byte, 0, 128)}
}

// Record returns the term of one record: what it adds to the Digest of its log.
func (d *Digester) Record(offset Offset, raw []byte) Digest {
	d.buf = strconv.AppendUint(d.buf[:logPrefixBytes], uint64(offset), 10)
	d.buf = append(append(d.buf, ':'), raw...)
	n := len(d.buf)
	padded := (n + paddingBytes + sha256.BlockSize - 1) &^ (sha256.BlockSize - 1)
	d.buf = append(slices.Grow(d.buf, padded-n), 0x80)[:padded]
	clear(d.buf[n+1:])
	binary.BigEndian.PutUint64(d.buf[padded-8:], 8*uint64(n))
	d.hash.Reset()
	_, _ = d.hash.Write(d.buf)                    // never fails
	d.state, _ = d.hash.AppendBinary(d.state[:0]) // nor does this
	return Digest(binary.BigEndian.Uint64(d.state[stateMagicBytes:]))
}

// DigestAnnotation encodes the digest of a log at the end of a block: 8 bytes,
// little-endian. For a loss block it is the digest of everything below its end,
// as the gateway captured it.
func DigestAnnotation(d Digest) Annotation {
	return Annotation{AnnDigest, binary.LittleEndian.AppendUint64(nil, uint64(d))}
}

// digestAnnotationBytes is the size of an encoded AnnDigest: type, length, body.
const digestAnnotationBytes = 1 + 1 + 8

// Digest decodes an AnnDigest. Error: ErrCorrupt.
func (a Annotation) Digest() (Digest, error) {
	if a.Type != AnnDigest || len(a.Body) != 8 {
		return 0, fmt.Errorf("decode digest annotation of %d bytes: %w", len(a.Body), ErrCorrupt)
	}
	return Digest(binary.LittleEndian.Uint64(a.Body)), nil
}

// Digest returns the digest of the log at the block's end. It is false for
// blocks of gateways that did not keep one yet, and where it cannot be read.
func (b *Block) Digest() (Digest, bool) {
	for a := range b.Annotations {
		if a.Type == AnnDigest {
			d, err := a.Digest()
			return d, err == nil
		}
	}
	return 0, false
}
