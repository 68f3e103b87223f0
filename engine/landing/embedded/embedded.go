// Package embedded is the landing log on a local disk: one log store of
// edge/seglog a partition, and a small file with the identity.
//
// In:  engine/ingest appends blocks.
// Out: engine/task reads them, a partition each.
//
//	<dir>/landing       identity and number of partitions, see meta.go
//	<dir>/landing.lock  held while the log is open
//	<dir>/p0000 …       a seglog.Store each; a record is an encoded Landed; a file
//	                    owner in it says which partition it is, see folder.go
//
// Each start opens the next log of a partition's chain, at its first append. A
// Position names the LogID of such a log; offset 0 of each is its opening and
// is passed over.
//
// Invariants
//
//  1. Blocks that wait at the same time share one fsync, in the order in which
//     they came; all of them are durable when the first of them returns, or all
//     fail (C2).
//  2. The tail of each gateway is a mark in the same fsync as the block it
//     tells of, so it never tells of more than is durable, and is there again
//     after any crash. No tail is ever forgotten, and no number of them stops the
//     landing: seglog keeps them in files of their own.
//  3. The chain is never appended to by two processes: directories are locked.
//  4. A partition's folder is not taken for another's.
//  5. A range damaged on this disk is passed over, counted and reported: the
//     task sees the hole in the gateway's log, where it shows.
//
// It is one disk: what that loses is asked for again, from gateways that keep it until
// it is published. A Log may be used from many
// goroutines; each partition has one goroutine that writes, joined by Close.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"sync/atomic"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Config says where a landing log lies. Zero fields take their default.
type Config struct {
	FS  durable.FS // nil: durable.OS
	Dir string     // required; made if absent
	// Partitions is P, 1 to MaxPartitions. It is fixed when the log is made;
	// another number is refused later. 0: what the log has; 1 for a new one.
	Partitions int
	// ID is the identity a log must have, or gets when it is new. Empty: what the
	// log has; drawn for a new one.
	ID landing.ID

	SegmentBytes int64 // of a segment's file; 0: seglog.DefaultSegmentBytes
	// QuotaBytes bounds each partition; 0: no quota. ReserveBytes is free space
	// that appends must leave, for tasks to finish their epochs; 0: none. Without
	// room Append gives landing.ErrFull until there is.
	QuotaBytes, ReserveBytes int64

	Now    func() record.Micros // wall clock; nil: time.Now
	Logger *slog.Logger         // nil: silence

	newLogID func() record.LogID // tests: names that are alike in each run
}

// MaxPartitions bounds P.
const MaxPartitions = 1024

// Validate checks the fields and changes nothing.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("landing: Dir is empty")
	case c.Partitions < 0 || c.Partitions > MaxPartitions:
		return fmt.Errorf("landing: Partitions %d: want 1 to %d", c.Partitions, MaxPartitions)
	case c.ID != "" && !validID(c.ID):
		return fmt.Errorf("landing: ID %q: want lower-case letters, digits and '-'", c.ID)
	}
	return c.store("p0000").Validate()
}

func (c Config) store(name string) seglog.Config {
	return seglog.Config{
		FS: c.FS, Dir: filepath.Join(c.Dir, name), SegmentBytes: c.SegmentBytes,
		QuotaBytes: c.QuotaBytes, ReserveBytes: c.ReserveBytes, Policy: seglog.Block,
		Now: c.Now, NewLogID: c.newLogID, Logger: c.Logger,
	}
}

// Log is an open landing log.
type Log struct {
	id    landing.ID
	lock  io.Closer
	parts []*partition
	stats stats
}

type stats struct {
	commits, blocks, bytes, full, failed, damaged, badMarks atomic.Uint64
}

// Open opens the landing log in Dir, or makes one. Errors: ErrMismatch, naming
// what the log is and what was asked for; ErrFolder; durable.ErrLocked; record.ErrVersion;
// record.ErrCorrupt for a damaged identity; those of the file system.
func Open(cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.FS == nil {
		cfg.FS = durable.OS{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("open landing log: %w", err)
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, "landing.lock"))
	if err != nil {
		return nil, fmt.Errorf("open landing log %s: %w", cfg.Dir, err)
	}
	l := &Log{lock: lock}
	if err := l.open(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open landing log %s: %w", cfg.Dir, err), l.Close())
	}
	return l, nil
}

func (l *Log) open(cfg Config) error {
	m, err := openMeta(cfg)
	if err != nil {
		return err
	}
	l.id = m.ID
	said := make([]bool, m.Partitions)
	for i := range said {
		if said[i], err = checkFolder(cfg, m, i); err != nil { // before any of them is opened
			return err
		}
	}
	for i := range said {
		store, err := seglog.Open(cfg.store(folderName(i)))
		if err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
		p := newPartition(store, &l.stats, cfg.Logger.With("partition", i))
		if l.parts = append(l.parts, p); said[i] {
			continue
		}
		if err := p.claim(cfg, m, i); err != nil {
			return fmt.Errorf("partition %d: %w", i, err)
		}
	}
	return nil
}

// ID implements landing.Log.
func (l *Log) ID() landing.ID { return l.id }

// Partitions implements landing.Log.
func (l *Log) Partitions() int { return len(l.parts) }

// Shared implements landing.Log: the directory is locked.
func (l *Log) Shared() bool { return false }

func (l *Log) of(gateway string) *partition {
	return l.parts[landing.Partition(gateway, len(l.parts))]
}

// Append implements landing.Log. It shares one fsync with whoever appends at
// the same time.
func (l *Log) Append(ctx context.Context, landed landing.Landed) error {
	head, err := landed.EncodeHead()
	if err != nil {
		return err
	}
	h, err := record.ParseHeader(landed.Block)
	if err != nil {
		return fmt.Errorf("append block of %s: %w", landed.Gateway, err)
	}
	if len(landed.Block) > MaxBlockBytes {
		return fmt.Errorf("append block of %s of %d bytes: %w", landed.Gateway, len(landed.Block), record.ErrTooLarge)
	}
	return l.of(landed.Gateway).append(ctx, &pending{landed: landed, head: head, header: h})
}

// MaxBlockBytes is the largest block that can be appended.
const MaxBlockBytes = record.MaxBlockBytes - 32<<10

// Tail implements landing.Log.
func (l *Log) Tail(gateway string) (landing.Tail, bool) {
	p := l.of(gateway)
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tails[gateway]
	return t, ok
}

// Tails implements landing.Log.
func (l *Log) Tails(partition int) map[string]landing.Tail {
	p, err := l.partition(partition)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.tails)
}

// partition checks a partition's number.
func (l *Log) partition(n int) (*partition, error) {
	if n < 0 || n >= len(l.parts) {
		return nil, fmt.Errorf("partition %d of %d: %w", n, len(l.parts), landing.ErrPosition)
	}
	return l.parts[n], nil
}

// Reader implements landing.Log.
func (l *Log) Reader(partition int, from stream.Position) (landing.Reader, error) {
	p, err := l.partition(partition)
	if err != nil {
		return nil, err
	}
	r, err := p.reader(from)
	if err != nil {
		return nil, fmt.Errorf("read landing log %s, partition %d: %w", l.id, partition, err)
	}
	return r, nil
}

// Bounds implements landing.Log.
func (l *Log) Bounds(_ context.Context, partition int) (first, end stream.Position, err error) {
	p, err := l.partition(partition)
	if err != nil {
		return first, end, err
	}
	return p.bounds()
}

// Release implements landing.Log. It drops whole segments.
func (l *Log) Release(partition int, below stream.Position) error {
	p, err := l.partition(partition)
	if err != nil {
		return err
	}
	if err := p.release(below); err != nil {
		return fmt.Errorf("release landing log %s, partition %d: %w", l.id, partition, err)
	}
	return nil
}

// Behind is how many landed blocks lie in a partition after a position, for
// lag; the opening of a log counts as one. ErrPosition.
func (l *Log) Behind(partition int, at stream.Position) (int64, error) {
	p, err := l.partition(partition)
	if err != nil {
		return 0, err
	}
	return p.behind(at)
}

// Stats gives the counters. It may be called from any goroutine.
func (l *Log) Stats() landing.Stats {
	return landing.Stats{
		Commits: l.stats.commits.Load(), Blocks: l.stats.blocks.Load(), Bytes: l.stats.bytes.Load(),
		Full: l.stats.full.Load(), Failed: l.stats.failed.Load(),
		DamagedOffsets: l.stats.damaged.Load(), BadMarks: l.stats.badMarks.Load(),
	}
}

// StoreStats gives what a partition's store counts.
func (l *Log) StoreStats(partition int) seglog.Stats { return l.parts[partition].store.Stats() }

// Close ends waiting appends and readers with landing.ErrClosed, after the
// group being written is done, and lets go of the directory.
func (l *Log) Close() error {
	var errs []error
	for _, p := range l.parts {
		errs = append(errs, p.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}
