package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"landfall/edge/durable/failpoint"
)

// flippable is how long an object without a CRC of its own may be for each of its
// bits to be tried, in bytes: the time grows with the square of it, and is some
// seconds here.
const flippable = 32 << 10

// FlipBack returns the bytes with a hash that differ from data in one bit; nil:
// there are none, or data is too long to be tried. The hash decides, so nothing is
// guessed. Data that ends with its CRC-32C, as objects of state do, may be of any
// length.
func FlipBack(data []byte, sha256Hex string) []byte {
	if found := flipByCRC(data, sha256Hex); found != nil || len(data) > flippable {
		return found
	}
	want, err := hex.DecodeString(sha256Hex)
	if err != nil || len(want) != sha256.Size {
		return nil
	}
	data = append([]byte(nil), data...)
	before := sha256.New() // of what lies before the bit
	for i := range data {
		state, err := before.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return nil
		}
		for bit := range 8 {
			data[i] ^= 1 << bit
			h := sha256.New()
			if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
				return nil
			}
			h.Write(data[i:])
			if [sha256.Size]byte(h.Sum(nil)) == [sha256.Size]byte(want) {
				return data
			}
			data[i] ^= 1 << bit
		}
		before.Write(data[i : i+1])
	}
	return nil
}

// flipByCRC finds the bit by the CRC-32C in the last four bytes: by how much that
// is off says which bit it was.
func flipByCRC(data []byte, want string) []byte {
	const size = 4
	if len(data) <= size {
		return nil
	}
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	end := len(data) - size
	off := crc32.Checksum(data[:end], castagnoli) ^ binary.LittleEndian.Uint32(data[end:])
	try := func(at int, bit uint) []byte {
		found := append([]byte(nil), data...)
		found[at] ^= 1 << bit
		if hash(found) != want {
			return nil
		}
		return found
	}
	if bits.OnesCount32(off) == 1 { // in the CRC itself, perhaps
		n := uint(bits.TrailingZeros32(off))
		if found := try(end+int(n/8), n%8); found != nil {
			return found
		}
	}
	var effect [8]uint32 // on the CRC, of each bit of the byte at hand
	for bit := range effect {
		effect[bit] = castagnoli[byte(1)<<bit]
	}
	for at := end - 1; at >= 0; at-- {
		for bit, e := range effect {
			if e == off {
				if found := try(at, uint(bit)); found != nil {
					return found
				}
			}
			effect[bit] = castagnoli[byte(e)] ^ e>>8
		}
	}
	return nil
}

// FindBytes looks for the bytes that an object of a task had: in another object of
// the task, or of what was put aside of it, or in what is there but for one bit.
// from says where they are, in words. nil: nowhere. It changes nothing.
func FindBytes(ctx context.Context, store Store, task, name, sha256Hex string) (data []byte, from string, err error) {
	for _, folder := range []string{task + "/", quarantineFolder + task + "/"} {
		names, err := store.List(ctx, folder)
		if err != nil {
			return nil, "", fmt.Errorf("look for the bytes of %s: %w", name, err)
		}
		for _, other := range names {
			data, _, err := store.Read(ctx, other)
			if err = except(err, ErrNotExist, ErrCorrupt); err != nil {
				return nil, "", fmt.Errorf("look for the bytes of %s: %w", name, err)
			}
			if data != nil && hash(data) == sha256Hex {
				return data, "from " + other, nil
			}
		}
	}
	data, _, err = store.Read(ctx, name)
	if err = except(err, ErrNotExist, ErrCorrupt); err != nil || data == nil {
		return nil, "", err
	}
	return FlipBack(data, sha256Hex), "one bit of it had changed", nil
}

// quarantineFolder is where PutBack leaves what was in an object's place.
const quarantineFolder = "_quarantine/"

// PutBack makes an object hold bytes again that it had, durable on return. It is
// for bytes with the hash that something names, so that nothing in the history
// changes and a running engine is not disturbed. Steps, and what a crash after each
// one leaves:
//
//  1. copy what is in its place, if anything is, to _quarantine: a copy.
//  2. swap the object: it is as it was, or damaged as before.
//
// ErrChanged when the object changed meanwhile.
func PutBack(ctx context.Context, store Store, name string, data []byte) error {
	have, version, err := store.Read(ctx, name)
	switch {
	case errors.Is(err, ErrNotExist):
		version = ""
	case err != nil:
		return fmt.Errorf("put %s back: %w", name, err)
	case hash(have) == hash(data):
		return store.Settle(ctx, name)
	default:
		aside := quarantineFolder + name + "." + hash(have)[:16]
		if err := store.Create(ctx, aside, have); err != nil && !errors.Is(err, ErrExist) {
			return fmt.Errorf("put %s back: %w", name, err)
		}
	}
	failpoint.Hit("repair.before-put-back")
	if _, err := store.Swap(ctx, name, version, data); err != nil {
		return fmt.Errorf("put %s back: %w", name, err)
	}
	return nil
}
