// Package parquet is the sink that makes the lake: rows become Parquet files
// in Hive folders by UTC date, staged unseen and published by a second name.
//
// In:  engine/task fills a Stage with batches and seals it at the epoch's end;
// engine/checkpoint commits the manifest, then calls Publish.
// Out: <lake>/<table>/dt=YYYY-MM-DD/<task>-<epoch>-<n>.parquet, which anybody
// reads. docs/tables.md says what is in them; a test holds it to Schema.
//
// Invariants
//
//  1. A file's name comes from (task, epoch, table, date, n), a staged one's
//     from the claim too; in a bucket it names the upload.
//  2. A Staged that Seal returned is durable, was read back byte for byte, and
//     its columns and every _offset were found in it by another implementation
//     than wrote it (engine/parquetfile).
//  3. Publish does every file every time; a file that is there with the same
//     hash is done, with another hash it is an error and stays. Only bytes that
//     were compared with the manifest become visible (object.Files.Publish says
//     what that means in a bucket), and Verify reads them back.
//  4. Rows are copied as they come; a Stage aliases no batch. Strings are kept
//     and must be ordinary immutable Go strings.
//  5. A file with two row groups or more has at least RowGroupRows rows in
//     each; rows are sorted, NULL first: by (mmsi, event_time) in the AIS tables,
//     by (sensor, event_time or window_start) in sensor_reading, window and late,
//     by (_gateway, _log, _offset or next_offset) elsewhere.
//  6. Every page has a CRC-32 over its bytes as stored, dictionaries too.
//
// The pages are encoded here, column by column, with parquet-go's encodings
// and metadata types. Its struct writer takes 443 ns for a position row with
// optional fields, which cannot hold a zero, and 721 ns with pointers, most of
// it definition levels and the bounds of dictionaries; from batch to file bytes,
// sorting and hashing included, this takes 460 ns, of which encoding is half
// (BenchmarkWays, BenchmarkRows, one core).
//
// A Sink may be used from many goroutines, a Stage from one.
package parquet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// Name is the sink's name in manifests.
const Name = "parquet"

// stagingRoot is the folder below the lake in which files are staged; readers
// that list tables never look into it.
const stagingRoot = "_staging"

// Config says where the lake is.
type Config struct {
	// Files holds the lake: tables and staging on one file system. Required.
	Files object.Files
	// Writers is how many files are written at once; 0: two, or one on a
	// single core.
	Writers int
	// Undated is a time whose date holds the rows that have no date at all. 0 or
	// record.NoTime: 1970-01-01.
	Undated record.Micros
	// EveryDate opens every date, as a lake did before stream.MaxFarDates: where nobody
	// else waits for the epoch.
	EveryDate bool
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if c.Files == nil {
		return errors.New("parquet sink: Files is missing")
	}
	if c.Writers < 0 {
		return fmt.Errorf("parquet sink: Writers is %d, want 0 or more", c.Writers)
	}
	return nil
}

// Sink implements stream.Sink.
type Sink struct {
	undated  record.Micros
	every    bool
	files    object.Files
	encoders chan *encoder // one a writer; who holds one writes
	writers  int

	mu    sync.Mutex
	live  map[string]bool // staged names that a stage of this process is writing; guarded by mu
	spare *tables         // empty, with the memory of the last stage; guarded by mu
}

var (
	_ stream.Sink     = (*Sink)(nil)
	_ stream.Replacer = (*Sink)(nil)
)

// New makes a Sink; it touches nothing.
func New(c Config) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := c.Writers
	if n == 0 {
		n = min(2, runtime.GOMAXPROCS(0))
	}
	s := &Sink{undated: c.Undated, every: c.EveryDate, files: c.Files, encoders: make(chan *encoder, n), writers: n,
		live: make(map[string]bool)}
	for range n {
		e, err := newEncoder()
		if err != nil {
			return nil, fmt.Errorf("start compressor: %w", err)
		}
		s.encoders <- e
	}
	return s, nil
}

// Name implements stream.Sink.
func (s *Sink) Name() string { return Name }

// Begin implements stream.Sink. Nothing is written before Seal.
func (s *Sink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	if task.Landing == "" || strings.Trim(task.Landing, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("begin epoch %s: landing log id %q: want lower-case letters, digits and '-'", epoch, task.Landing)
	}
	if claim == "" {
		return nil, fmt.Errorf("begin epoch %s of %s: no claim", epoch, task)
	}
	return &Stage{sink: s, task: task, claim: claim, epoch: epoch, tables: s.takeTables(),
		far: farDates{every: s.every}, landed: record.NoTime}, nil
}

// Publish implements stream.Sink.
//
// Each file becomes visible by itself (object.Files.Publish). A crash between
// two of them leaves some visible and some not; the next call does the rest. A
// file that fails, or is damaged, does not keep the others back.
func (s *Sink) Publish(ctx context.Context, staged []stream.Staged) error {
	var errs []error
	for _, f := range staged {
		if f.Sink != Name {
			continue
		}
		err := s.files.Publish(ctx, f)
		if errors.Is(err, object.ErrContent) {
			err = s.damage(ctx, f, err)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("publish %s: %w", f.Target, err))
		}
	}
	return errors.Join(errs...)
}

// Verify implements stream.Sink. A file that is damaged does not keep the others
// from being read.
func (s *Sink) Verify(ctx context.Context, staged []stream.Staged) error {
	var errs []error
	for _, f := range staged {
		if f.Sink != Name {
			continue
		}
		if err := s.files.Verify(ctx, f); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Replace implements stream.Replacer.
func (s *Sink) Replace(ctx context.Context, staged stream.Staged, damaged string) error {
	return s.files.Replace(ctx, staged, damaged)
}

// Collect implements stream.Sink.
func (s *Sink) Collect(ctx context.Context, task stream.TaskID, keep map[string]bool, alive func() error) error {
	prefix := stagingRoot + "/" + task.String() + "/"
	names, err := s.files.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("list staged files of %s: %w", task, err)
	}
	for _, name := range names {
		if keep[name] || s.isLive(name) {
			continue
		}
		if err := alive(); err != nil {
			return err
		}
		failpoint.Hit("collect.before-delete")
		if err := s.files.Remove(ctx, name); err != nil {
			return fmt.Errorf("collect staged file: %w", err)
		}
	}
	if err := alive(); err != nil {
		return err
	}
	if err := s.files.Sweep(ctx, prefix); err != nil {
		return fmt.Errorf("sweep staging of %s: %w", task, err)
	}
	return nil
}

func (s *Sink) isLive(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[name]
}

func (s *Sink) setLive(names []string, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if live {
			s.live[n] = true
		} else {
			delete(s.live, n)
		}
	}
}

// takeTables gives empty tables, with the memory of the last stage if that has
// ended.
func (s *Sink) takeTables() *tables {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.spare
	s.spare = nil
	if t == nil {
		t = newTables()
	}
	return t
}

func (s *Sink) giveTables(t *tables) {
	for _, one := range t.stagers() {
		one.reset()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = t
}
