package kafka

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// Stage implements stream.Stage: encoded rows in memory, table by table, until
// Seal writes them.
type Stage struct {
	sink   *Sink
	task   stream.TaskID
	claim  stream.ClaimID
	epoch  stream.Epoch
	gather *parquet.Gatherer // nil: sealed or abandoned
	tables []*stagedTable    // as gather.Tables; nil: no row yet
	rows   int
}

var errEnded = errors.New("stage has ended")

// rowBytes is about what a row takes until it is encoded.
const rowBytes = 200

// Write implements stream.Stage.
func (s *Stage) Write(b *table.Batch) error {
	if s.gather == nil {
		return fmt.Errorf("write rows to epoch %s: %w", s.epoch, errEnded)
	}
	s.rows -= s.waiting()
	s.gather.Add(b)
	s.rows += s.waiting()
	return s.encode(batchRows)
}

// waiting counts the rows that are not encoded yet.
func (s *Stage) waiting() int {
	n := 0
	for _, g := range s.gather.Tables() {
		n += g.Rows
	}
	return n
}

// encode turns tables with at least so many rows into record batches.
func (s *Stage) encode(atLeast int) error {
	for i, g := range s.gather.Tables() {
		if g.Rows < atLeast {
			continue
		}
		if s.tables[i] == nil {
			s.tables[i] = newStagedTable(g.Table)
		}
		if err := s.tables[i].write(g); err != nil {
			return fmt.Errorf("encode rows of %s: %w", g.Table, err)
		}
		s.gather.Reset(i)
	}
	return nil
}

// Rows implements stream.Stage.
func (s *Stage) Rows() int { return s.rows }

// Bytes implements stream.Stage.
func (s *Stage) Bytes() int64 {
	if s.gather == nil {
		return 0
	}
	n := int64(s.waiting()) * rowBytes
	for _, t := range s.tables {
		if t != nil {
			n += int64(t.buf.Len())
		}
	}
	return n
}

// Abandon implements stream.Stage.
func (s *Stage) Abandon() { s.gather, s.tables = nil, nil }

// Seal implements stream.Stage. Steps for each table:
//
//  1. write the stream under a name that no manifest will have, fsynced;
//  2. give it its staged name, which is durable then;
//  3. reopen it, compare every byte's hash and decode _offset.
//
// A crash or error after any of them leaves objects that no manifest names,
// which Collect removes.
func (s *Stage) Seal(ctx context.Context) ([]stream.Staged, error) {
	if s.gather == nil {
		return nil, fmt.Errorf("seal epoch %s: %w", s.epoch, errEnded)
	}
	defer s.Abandon()
	if err := s.encode(1); err != nil {
		return nil, fmt.Errorf("seal epoch %s of %s: %w", s.epoch, s.task, err)
	}
	var staged []stream.Staged
	for i, g := range s.gather.Tables() {
		if s.tables[i] == nil {
			continue
		}
		f, err := s.seal(ctx, g.Table, s.tables[i])
		if err != nil {
			return nil, fmt.Errorf("seal epoch %s of %s: stage %s: %w", s.epoch, s.task, g.Table, err)
		}
		staged = append(staged, f)
	}
	return staged, nil
}

// seal makes one table durable.
func (s *Stage) seal(ctx context.Context, name table.Name, t *stagedTable) (stream.Staged, error) {
	data, err := t.finish()
	if err != nil {
		return stream.Staged{}, err
	}
	sum := sha256.Sum256(data)
	f := stream.Staged{
		Sink: Name, Table: name, Name: s.stagedName(name), Rows: t.rows, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:]),
		Target: target{s.sink.cfg.MarkerTopic, s.sink.cfg.topic(name), s.task.String(), s.epoch}.String(),
	}
	if err := s.write(ctx, f, data); err != nil {
		return stream.Staged{}, err
	}
	return f, s.verify(ctx, f, t)
}

// stagedName says where a table of the epoch lies. The last part begins with
// the task.
func (s *Stage) stagedName(name table.Name) string {
	return fmt.Sprintf("%s%s-%s-%s-%s.arrows", stagingFolder(s.task), s.task, s.claim, s.epoch.Padded(), name)
}

// write makes the object under its staged name, whole or not at all: in the
// store's own words it is published there, where a task can read it and readers
// of tables do not look.
func (s *Stage) write(ctx context.Context, f stream.Staged, data []byte) error {
	files := s.sink.cfg.Files
	temp := stream.Staged{Name: fmt.Sprintf("%s%s-%s-%s.part", partFolder(s.task), s.claim, s.epoch.Padded(), f.Table), Target: f.Name, Bytes: f.Bytes, SHA256: f.SHA256}
	// What an earlier attempt of this claim at this epoch left, nothing names.
	for _, old := range []string{temp.Name, f.Name} {
		if err := files.Remove(ctx, old); err != nil {
			return err
		}
	}
	file, err := files.Create(ctx, temp.Name, temp.Target)
	if err != nil {
		return err
	}
	if _, err = io.Copy(file, bytes.NewReader(data)); err == nil {
		if err = file.Sync(); err == nil {
			file.Place(&temp)
		}
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return files.Publish(ctx, temp)
}

// verify reopens a staged object: hash, rows, and every _offset.
func (s *Stage) verify(ctx context.Context, f stream.Staged, t *stagedTable) error {
	data, err := readObject(ctx, s.sink.cfg.Files, f)
	if err != nil {
		return err
	}
	var rows int64
	var offsets uint64
	err = readStaged(data, f.Table, func(r arrow.Record) error {
		rows += r.NumRows()
		for _, o := range r.Column(offsetColumn).(*array.Int64).Int64Values() {
			offsets += scramble(o)
		}
		return nil
	})
	if err == nil && (rows != t.rows || offsets != t.offsets) {
		err = fmt.Errorf("%w: %d rows of %d, or other values in _offset", errStaged, rows, t.rows)
	}
	return err
}

// readObject reads a staged object and compares it with the manifest: a
// stream.DamagedError, which is errStaged too. Nothing is allocated for a length
// that is not the manifest's.
func readObject(ctx context.Context, files object.Files, f stream.Staged) ([]byte, error) {
	damaged := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", errStaged, &stream.DamagedError{Staged: f, Where: f.Name, Detail: fmt.Sprintf(format, args...)})
	}
	r, err := files.Open(ctx, f.Name)
	if errors.Is(err, object.ErrNotExist) {
		return nil, damaged("it is not there: %s", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	defer func() { _ = r.Close() }()
	if r.Size() != f.Bytes {
		return nil, damaged("%d bytes, committed were %d", r.Size(), f.Bytes)
	}
	data := make([]byte, f.Bytes)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, f.Bytes), data); err != nil {
		return nil, fmt.Errorf("read back %s: %w", f.Name, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, damaged("SHA-256 %x, committed was %s", sum, f.SHA256)
	}
	return data, nil
}
