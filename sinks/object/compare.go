package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"landfall/engine/stream"
)

// compareBytes is how much Compare reads at a time.
const compareBytes = 256 << 10

// Compare reads bytes to their end and compares length and SHA-256 with those
// that a manifest names: a stream.DamagedError when they are others. name is the
// name under which they are read.
func Compare(ctx context.Context, r io.Reader, staged stream.Staged, name string) error {
	sum := newSum()
	if _, err := io.CopyBuffer(sum, readerWithContext{ctx, r}, make([]byte, compareBytes)); err != nil {
		return err
	}
	return sum.compare(staged, name)
}

// sum is the length and hash of what was written to it.
type sum struct {
	n    int64
	hash hash.Hash
}

func newSum() *sum { return &sum{hash: sha256.New()} }

// Write implements io.Writer; it never fails.
func (s *sum) Write(p []byte) (int, error) {
	s.n += int64(len(p))
	return s.hash.Write(p)
}

func (s *sum) compare(staged stream.Staged, name string) error {
	have := hex.EncodeToString(s.hash.Sum(nil))
	if s.n == staged.Bytes && have == staged.SHA256 {
		return nil
	}
	return &stream.DamagedError{Staged: staged, Where: name, SHA256: have,
		Detail: fmt.Sprintf("%d bytes with SHA-256 %s, committed were %d with %s", s.n, have, staged.Bytes, staged.SHA256)}
}

// Missing says that a published file is not there.
func Missing(staged stream.Staged) error {
	return &stream.DamagedError{Staged: staged, Where: staged.Target, Detail: "it is not there"}
}
