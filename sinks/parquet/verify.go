package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	pq "github.com/parquet-go/parquet-go"

	"landfall/engine/stream"
	"landfall/sinks/object"
)

// errVerify says that a staged file does not read back as it was written.
var errVerify = errors.New("staged file reads back differently")

// verify reopens a staged file: its bytes must hash to what was written, and
// parquet-go must find the table's columns and every _offset in it.
func verify(ctx context.Context, staged object.StagedFile, f *stream.Staged, b *bucket) error {
	r, err := staged.Reopen(ctx)
	if err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	defer func() { _ = r.Close() }()
	if err := verifyHash(r, f); err != nil {
		return err
	}
	file, err := pq.OpenFile(r, r.Size(), pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("reopen: %w", errors.Join(errVerify, err))
	}
	if file.NumRows() != f.Rows {
		return fmt.Errorf("%w: %d rows of %d", errVerify, file.NumRows(), f.Rows)
	}
	cols := file.Schema().Columns()
	if len(cols) != len(b.cols) {
		return fmt.Errorf("%w: %d columns of %d", errVerify, len(cols), len(b.cols))
	}
	for i, c := range b.cols {
		if cols[i][0] != c.about().Name {
			return fmt.Errorf("%w: column %s in the place of %s", errVerify, cols[i][0], c.about().Name)
		}
	}
	return verifyOffsets(file, b)
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
func verifyOffsets(file *pq.File, b *bucket) error {
	const offsets = 2 // after _gateway and _log, in every table; next_offset in log
	col := b.cols[offsets].(*ints[int64])
	var want, got uint64
	for i := range b.n {
		want += scramble(col.at(i))
	}
	for _, g := range file.RowGroups() {
		pages := g.ColumnChunks()[offsets].Pages()
		for {
			p, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("decode _offset: %w", errors.Join(errVerify, err, pages.Close()))
			}
			sum, err := sumPage(p)
			pq.Release(p)
			if err != nil {
				return errors.Join(err, pages.Close())
			}
			got += sum
		}
		if err := pages.Close(); err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("%w: other values in _offset", errVerify)
	}
	return nil
}

func sumPage(p pq.Page) (sum uint64, err error) {
	if p.Dictionary() == nil {
		data := p.Data()
		for _, v := range data.Int64() {
			sum += scramble(v)
		}
		return sum, nil
	}
	vals := make([]pq.Value, 1024)
	for r := p.Values(); ; {
		n, err := r.ReadValues(vals)
		for _, v := range vals[:n] {
			sum += scramble(v.Int64())
		}
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return 0, fmt.Errorf("decode _offset: %w", errors.Join(errVerify, err))
		}
	}
}

func scramble(v int64) uint64 {
	x := uint64(v) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}
