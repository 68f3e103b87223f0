package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// errVerify says that a staged file does not read back as it was written.
var errVerify = errors.New("staged file reads back differently")

// verify reopens a staged file: its bytes must hash to what was written, and
// engine/parquetfile, which shares no code with what wrote it, must find the
// table's columns and every _offset in it.
func verify(ctx context.Context, staged object.StagedFile, f *stream.Staged, b *bucket) error {
	r, err := staged.Reopen(ctx)
	if err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	defer func() { _ = r.Close() }()
	if err := verifyHash(r, f); err != nil {
		return err
	}
	file, err := parquetfile.Open(r, r.Size())
	if err != nil {
		return fmt.Errorf("reopen: %w", errors.Join(errVerify, err))
	}
	if file.NumRows() != f.Rows {
		return fmt.Errorf("%w: %d rows of %d", errVerify, file.NumRows(), f.Rows)
	}
	cols := file.Columns()
	if len(cols) != len(b.cols) {
		return fmt.Errorf("%w: %d columns of %d", errVerify, len(cols), len(b.cols))
	}
	for i, c := range b.cols {
		if cols[i].Name != c.about().Name {
			return fmt.Errorf("%w: column %s in the place of %s", errVerify, cols[i].Name, c.about().Name)
		}
	}
	return verifyOffsets(file, b)
}

// damage tells a published file that is damaged from one of another history,
// where nothing is staged any more: a file that is not whole in itself, by its
// lengths and the CRCs of its pages, is a stream.DamagedError. Any other stays
// what it was, content, also one whose footer alone has changed.
func (s *Sink) damage(ctx context.Context, f stream.Staged, content error) error {
	var found *stream.DamagedError
	if !errors.As(s.files.Verify(ctx, f), &found) {
		return content
	}
	r, err := s.files.Open(ctx, f.Target)
	if err != nil {
		return errors.Join(content, err)
	}
	defer func() { _ = r.Close() }()
	if err := checkPages(r); errors.Is(err, parquetfile.ErrDamaged) {
		found.Detail += "; it is not whole in itself: " + err.Error()
		return found
	}
	return content
}

// checkPages compares every page of a file with its CRC.
func checkPages(r object.ReadFile) error {
	file, err := parquetfile.Open(r, r.Size())
	if err != nil {
		return err
	}
	for _, g := range file.Groups() {
		for i := range file.Columns() {
			c, err := g.Column(i)
			if err == nil {
				err = c.Check()
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func verifyHash(r object.ReadFile, f *stream.Staged) error {
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.NewSectionReader(r, 0, r.Size()), make([]byte, 256<<10))
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); n != f.Bytes || sum != f.SHA256 {
		return fmt.Errorf("%w: %d bytes with hash %s, want %d with %s", errVerify, n, sum, f.Bytes, f.SHA256)
	}
	return nil
}

// verifyOffsets compares a sum over every _offset, which any change of one
// value changes.
func verifyOffsets(file *parquetfile.File, b *bucket) error {
	const offsets = 2 // after _gateway and _log, in every table; next_offset in log
	col := b.cols[offsets].(*ints[int64])
	var want, got uint64
	for i := range b.n {
		want += scramble(col.at(i))
	}
	vals := make([]parquetfile.Value, 1024)
	for _, g := range file.Groups() {
		offset, err := g.Column(offsets)
		if err != nil {
			return fmt.Errorf("decode _offset: %w", errors.Join(errVerify, err))
		}
		for left := g.NumRows(); left > 0; {
			n := min(left, int64(len(vals)))
			if err := offset.Fill(vals[:n]); err != nil {
				return fmt.Errorf("decode _offset: %w", errors.Join(errVerify, err))
			}
			for _, v := range vals[:n] {
				got += scramble(v.Int64())
			}
			left -= n
		}
	}
	if got != want {
		return fmt.Errorf("%w: other values in _offset", errVerify)
	}
	return nil
}

func scramble(v int64) uint64 {
	x := uint64(v) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}
