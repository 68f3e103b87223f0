package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
)

// pieceBytes is how much of the content is compared at a time before anything is
// captured from it.
const pieceBytes = 256 << 10

// HeadBytes is how much of its beginning tells that a content is a copy of another
// one that was changed later on.
const HeadBytes = 64 << 10

// sums is the SHA-256 of a content as it grows: at the end of each piece, and at
// the lengths that were asked for. It is an io.Writer that never fails.
type sums struct {
	hash   hash.Hash
	length int64
	pieces [][sha256.Size]byte         // of all up to the end of each piece, the last one too
	asked  []int64                     // lengths, ascending, beyond length
	at     map[int64][sha256.Size]byte // of all up to a length that was asked for
}

func newSums(asked []int64) *sums {
	asked = slices.Sorted(slices.Values(append([]int64{HeadBytes}, asked...)))
	return &sums{hash: sha256.New(), asked: slices.Compact(asked), at: map[int64][sha256.Size]byte{}}
}

// Write implements io.Writer.
func (s *sums) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		for len(s.asked) > 0 && s.asked[0] <= s.length {
			s.asked = s.asked[1:]
		}
		stop := (s.length/pieceBytes + 1) * pieceBytes
		if len(s.asked) > 0 {
			stop = min(stop, s.asked[0])
		}
		n := min(int64(len(p)), stop-s.length)
		_, _ = s.hash.Write(p[:n]) // never fails
		s.length, p = s.length+n, p[n:]
		if s.length%pieceBytes == 0 {
			s.pieces = append(s.pieces, s.sum())
		}
		if len(s.asked) > 0 && s.length == s.asked[0] {
			s.at[s.length] = s.sum()
		}
	}
	return written, nil
}

// end returns the sum of everything, and makes it that of the last piece.
func (s *sums) end() [sha256.Size]byte {
	if s.length%pieceBytes != 0 {
		s.pieces = append(s.pieces, s.sum())
	}
	return s.sum()
}

func (s *sums) sum() (sum [sha256.Size]byte) {
	s.hash.Sum(sum[:0])
	return sum
}

// Size is the length of the content, unpacked, bytes.
func (l *Log) Size() int64 { return l.size }

// Content is the content's SHA-256, in hexadecimal, as Params has it.
func (l *Log) Content() string { return hex.EncodeToString(l.sum[:]) }

// Beginning is the SHA-256 of the first n bytes of the content, in hexadecimal.
// Empty: the content is not longer than that, or n is neither HeadBytes nor one of
// Options.Prefixes.
func (l *Log) Beginning(n int64) string {
	sum, ok := l.prefixes[n]
	if !ok || n >= l.size {
		return ""
	}
	return hex.EncodeToString(sum[:])
}
