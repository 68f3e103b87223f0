package parquet

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// Stage implements stream.Stage: rows in memory, column by column, until Seal
// writes them.
type Stage struct {
	sink   *Sink
	task   stream.TaskID
	claim  stream.ClaimID
	epoch  stream.Epoch
	tables *tables // nil: sealed or abandoned
	rows   int
	bytes  int64
	far    farDates
	landed record.Micros // of the newest batch that had records; record.NoTime: none had
}

var _ stream.Dated = (*Stage)(nil)

var errEnded = errors.New("stage has ended")

// Memory that a row takes in its columns, and a table's date besides, at most;
// bytes of blobs come on top.
const (
	recordRowBytes = 120
	typedRowBytes  = 180
	dateBytes      = 24 << 10
)

// Write implements stream.Stage. A row goes under the date of its event time, as far as
// that is confirmed and its gateway may open that date (farDates). Others go under the
// date on which they landed: a record under its own, a typed row under that of the
// batch's first record.
func (s *Stage) Write(b *table.Batch) error {
	t := s.tables
	if t == nil {
		return fmt.Errorf("write rows to epoch %s: %w", s.epoch, errEnded)
	}
	at := s.sink.undated
	if len(b.Records) > 0 && b.Records[0].LandedAt != record.NoTime {
		at = b.Records[0].LandedAt
		s.landed = at
	}
	landed := dayOr(at, record.NoTime)
	typed := func(l *table.Lineage, times *table.Times) day { return s.far.file(l.Gateway, filed(times), landed) }
	t.positions.add(b.Positions, func(r *table.PositionRow) day { return typed(&r.Lineage, &r.Times) })
	t.statics.add(b.Statics, func(r *table.StaticRow) day { return typed(&r.Lineage, &r.Times) })
	t.baseStations.add(b.BaseStations, func(r *table.BaseStationRow) day { return typed(&r.Lineage, &r.Times) })
	t.atons.add(b.AtoNs, func(r *table.AtoNRow) day { return typed(&r.Lineage, &r.Times) })
	t.binaries.add(b.Binaries, func(r *table.BinaryRow) day { return typed(&r.Lineage, &r.Times) })
	t.safeties.add(b.Safeties, func(r *table.SafetyRow) day { return typed(&r.Lineage, &r.Times) })
	t.others.add(b.Others, func(r *table.OtherRow) day { return typed(&r.Lineage, &r.Times) })
	t.readings.add(b.Readings, func(r *table.ReadingRow) day { return typed(&r.Lineage, &r.Times) })
	t.windows.add(b.Windows, func(r *table.WindowRow) day { return s.far.file(r.Gateway, r.WindowStart, dayOr(s.landed, at)) })
	t.lates.add(b.Lates, func(r *table.LateRow) day { return typed(&r.Lineage, &r.Times) })
	t.losses.add(b.Losses, func(r *table.LossRow) day { return dayOr(r.LandedAt, at) })
	t.conflicts.add(b.Conflicts, func(r *table.ConflictRow) day { return dayOr(r.LandedAt, at) })
	t.logs.add(b.Logs, func(r *table.LogRow) day { return dayOr(r.LandedAt, at) })
	t.records.add(b.Records, func(r *table.RecordRow) day {
		return s.far.file(r.Gateway, filed(&r.Times), dayOr(r.LandedAt, at))
	})
	s.count(b)
	return nil
}

// filed gives the event time that a row goes under, none where nothing confirms
// it: such rows lie under the day they landed, not under one of 1970.
func filed(t *table.Times) record.Micros {
	if t.TimeQuality == record.QualityUnsynchronised {
		return record.NoTime
	}
	return t.EventTime
}

// count keeps Rows and Bytes.
func (s *Stage) count(b *table.Batch) {
	typed := len(b.Positions) + len(b.Statics) + len(b.BaseStations) + len(b.AtoNs) + len(b.Binaries) + len(b.Safeties) + len(b.Others) + len(b.Readings) + len(b.Windows) + len(b.Lates)
	rare := len(b.Losses) + len(b.Conflicts) + len(b.Logs)
	s.rows += typed + rare + len(b.Records)
	s.bytes += int64(typed)*typedRowBytes + int64(rare+len(b.Records))*recordRowBytes
	for i := range b.Records {
		s.bytes += int64(len(b.Records[i].Raw))
	}
	for i := range b.Binaries {
		s.bytes += int64(len(b.Binaries[i].Data))
	}
	for i := range b.Safeties {
		s.bytes += int64(len(b.Safeties[i].Text.Value))
	}
	for i := range b.Others {
		s.bytes += int64(len(b.Others[i].Fields))
	}
	for i := range b.Readings {
		s.bytes += int64(len(b.Readings[i].ValueText.Value))
	}
	for i := range b.Lates {
		s.bytes += int64(len(b.Lates[i].ValueText.Value))
	}
	for i := range b.Conflicts {
		s.bytes += int64(len(b.Conflicts[i].Block))
	}
}

// Rows implements stream.Stage.
func (s *Stage) Rows() int { return s.rows }

// Bytes implements stream.Stage. A date costs as much as many rows, so that
// event times gone wild end the epoch before they fill the memory.
func (s *Stage) Bytes() int64 {
	if s.tables == nil {
		return 0
	}
	all := s.bytes
	for _, t := range s.tables.stagers() {
		all += int64(t.dates()) * dateBytes
	}
	return all
}

// Abandon implements stream.Stage.
func (s *Stage) Abandon() {
	if s.tables != nil {
		s.sink.giveTables(s.tables)
		s.tables = nil
	}
}

// Seal implements stream.Stage. Steps for each file, several files at once:
//
//  1. sort the rows and write them under the staged name, hashing the bytes;
//  2. fsync the file, its directory and new parents;
//  3. reopen it, compare every byte's hash, and decode _offset and the names of
//     the columns. The bytes may come from memory: the page cache, or in a
//     bucket what was sent; Verify reads the device or the store.
//
// A crash or error after any of them leaves files that no manifest names,
// which Collect removes.
func (s *Stage) Seal(ctx context.Context) ([]stream.Staged, error) {
	if s.tables == nil {
		return nil, fmt.Errorf("seal epoch %s: %w", s.epoch, errEnded)
	}
	var files []*bucket
	defer s.Abandon()
	for _, t := range s.tables.stagers() {
		of := t.buckets()
		slices.SortFunc(of, func(a, b *bucket) int { return cmp.Compare(a.day, b.day) })
		files = append(files, of...)
	}
	staged := make([]stream.Staged, len(files))
	names := make([]string, len(files))
	for i, b := range files {
		staged[i] = s.name(b)
		names[i] = staged[i].Name
	}
	s.sink.setLive(names, true)
	defer s.sink.setLive(names, false)
	if err := s.writeAll(ctx, files, staged); err != nil {
		return nil, fmt.Errorf("seal epoch %s of %s: %w", s.epoch, s.task, err)
	}
	return staged, nil
}

// writeAll writes the files, as many at once as the sink has encoders. The
// first error ends it.
func (s *Stage) writeAll(ctx context.Context, files []*bucket, staged []stream.Staged) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, i := range largestFirst(files) {
		var e *encoder
		select {
		case e = <-s.sink.encoders:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			if e != nil {
				s.sink.encoders <- e
			}
			break
		}
		wg.Go(func() {
			defer func() { s.sink.encoders <- e }()
			if err := s.write(ctx, e, files[i], &staged[i]); err != nil {
				cancel(fmt.Errorf("stage %s: %w", staged[i].Name, err))
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// largestFirst gives the order in which files are written: with two writers
// the last one to end is then a small one.
func largestFirst(files []*bucket) []int {
	order := make([]int, len(files))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(files[b].n, files[a].n) })
	return order
}

// name says where a bucket is staged and where it will be seen.
func (s *Stage) name(b *bucket) stream.Staged {
	return stream.Staged{
		Sink:   Name,
		Table:  b.table,
		Name:   fmt.Sprintf("%s/%s/%s/%s-%s-dt=%s-0.parquet.staged", stagingRoot, s.task, s.claim, s.epoch.Padded(), b.table, b.day),
		Target: fmt.Sprintf("%s/dt=%s/%s-%s-0.parquet", b.table, b.day, s.task, s.epoch.Padded()),
		Rows:   int64(b.n),
	}
}

// write makes one staged file and fills in its size and hash. Errors: those of the
// store; stream.ErrPanic, after which the sink is not to be used again.
func (s *Stage) write(ctx context.Context, e *encoder, b *bucket, f *stream.Staged) (err error) {
	// What an earlier attempt of this claim at this epoch left, nothing names.
	if err := s.sink.files.Remove(ctx, f.Name); err != nil {
		return err
	}
	file, err := s.sink.files.Create(ctx, f.Name, f.Target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	defer stream.Recover(&err)
	out := newOutput(file)
	e.out = out
	defer func() { e.out = nil }()
	info := map[string]string{"landfall.table": string(b.table), "landfall.task": s.task.String(), "landfall.epoch": s.epoch.String(), "landfall.schema": strconv.Itoa(table.SchemaVersion)}
	if err := writeFile(e, b.cols, e.rowOrder(b), b.sorted, info); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	file.Place(f)
	f.Bytes, f.SHA256 = out.n, hex.EncodeToString(out.hash.Sum(nil))
	return verify(ctx, file, f, b)
}

// rowOrder gives a bucket's rows in the order they are written, until the
// next call.
func (e *encoder) rowOrder(b *bucket) []uint32 {
	e.keys, e.keys2 = slices.Grow(e.keys[:0], b.n)[:b.n], slices.Grow(e.keys2[:0], b.n)[:b.n]
	b.keys(e.keys)
	e.rows = e.rows[:0]
	for _, k := range sortKeys(e.keys, e.keys2) {
		e.rows = append(e.rows, k.row)
	}
	return e.rows
}
