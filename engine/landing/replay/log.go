package replay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"landfall/edge/capture"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Version changes whenever the same records would be cut into other blocks, get
// other watermarks or other annotations. A block's bytes are in the chain of its
// log, so a replay goes on only in the version in which it began.
//
// Version 2 puts the digest of the log into each block.
const Version = 2

// ErrChanged says that a file is not what it was when it was opened.
var ErrChanged = errors.New("file changed while it was read")

// Options says how a file is read.
type Options struct {
	// Gateway is the name under which the records land. Required.
	Gateway string
	// BaseTime is the event time of records before the first time in the file;
	// record.NoTime: they have none.
	BaseTime record.Micros
	// LandedAt stands in the column landed_at.
	LandedAt record.Micros
	// Again makes identity depend on all options instead of the content alone:
	// the same content lands once more.
	Again bool
	// Prefixes are lengths for which Beginning is asked, bytes of the content.
	Prefixes []int64
	// Version of the blocks: an older one continues what an older program began.
	// 0: Version.
	Version int
}

// Log is a landing.Log over one file.
type Log struct {
	fs   durable.FS
	path string
	opt  Options
	id   record.LogID
	sum  [sha256.Size]byte // of the content
	size int64             // of the content, bytes

	pieces   [][sha256.Size]byte         // of the content up to the end of each piece
	prefixes map[int64][sha256.Size]byte // of its beginnings
}

// Open reads the file once, to know it by its content. Errors: io/fs's, and
// gzip's for a damaged file.
func Open(fs durable.FS, path string, opt Options) (*Log, error) {
	if opt.Gateway == "" {
		return nil, errors.New("replay: Gateway is missing")
	}
	if opt.Version == 0 {
		opt.Version = Version
	}
	if opt.Version < 0 || opt.Version > Version {
		return nil, fmt.Errorf("replay: blocks of version %d: %w", opt.Version, record.ErrVersion)
	}
	l := &Log{fs: fs, path: path, opt: opt}
	f, err := source.OpenRecorded(fs, path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := newSums(opt.Prefixes)
	if l.size, err = io.CopyBuffer(h, f, make([]byte, pieceBytes)); err != nil {
		return nil, fmt.Errorf("replay %s: read the content: %w", path, err)
	}
	l.sum, l.pieces, l.prefixes = h.end(), h.pieces, h.at
	l.id = l.identity()
	return l, nil
}

// In returns the Log with blocks of another version, from 1 to Version.
func (l *Log) In(version int) *Log {
	other := *l
	other.opt.Version = version
	other.id = other.identity()
	return &other
}

// At returns the Log as if it had landed at another time.
func (l *Log) At(landed record.Micros) *Log {
	other := *l
	other.opt.LandedAt = landed
	return &other
}

// LandedAt is what stands in the column landed_at.
func (l *Log) LandedAt() record.Micros { return l.opt.LandedAt }

func (l *Log) identity() record.LogID {
	if !l.opt.Again {
		return record.LogID(l.sum[:16])
	}
	salted := sha256.Sum256(fmt.Appendf(bytes.Clone(l.sum[:]), "|%s|%d|%s", l.opt.Gateway, l.opt.BaseTime, l.Params()["capture_version"]))
	return record.LogID(salted[:16])
}

// ID is "replay-" and the first half of the content's SHA-256.
func (l *Log) ID() landing.ID { return landing.ID("replay-" + l.id.String()) }

// LogID is the identity of the one log that the file is, in the column _log.
func (l *Log) LogID() record.LogID { return l.id }

// Partitions is 1.
func (l *Log) Partitions() int { return 1 }

// End implements landing.Bounded.
func (l *Log) End() {}

// Shared implements landing.Log.
func (l *Log) Shared() bool { return false }

// Params are the settings on which the rows depend beside the content.
func (l *Log) Params() map[string]string {
	base := "none"
	if l.opt.BaseTime != record.NoTime {
		base = time.UnixMicro(int64(l.opt.BaseTime)).UTC().Format(time.RFC3339Nano)
	}
	return map[string]string{
		"gateway": l.opt.Gateway, "base_time": base,
		"capture_version": fmt.Sprintf("%d.%d", capture.Version, l.opt.Version),
		"content":         l.Content(),
	}
}

// Append is refused: landing.ErrReadOnly.
func (l *Log) Append(context.Context, landing.Landed) error { return landing.ErrReadOnly }

// Tail knows nothing: nothing lands here.
func (l *Log) Tail(string) (landing.Tail, bool) { return landing.Tail{}, false }

// Tails knows nothing.
func (l *Log) Tails(int) map[string]landing.Tail { return nil }

// Release does nothing: the file is not ours.
func (l *Log) Release(partition int, below stream.Position) error {
	return l.check(partition, below)
}

// Bounds implements landing.Log: a recorded file begins at its beginning, and where
// it ends is known when it was read.
func (l *Log) Bounds(_ context.Context, partition int) (first, end stream.Position, err error) {
	return first, end, l.check(partition, first)
}

func (l *Log) check(partition int, p stream.Position) error {
	if partition != 0 || p.Offset < 0 || p.Log != "" && p.Log != l.id.String() || p.Log == "" && p.Offset != 0 {
		return fmt.Errorf("replay %s: partition %d, position %s+%d: %w", l.path, partition, p.Log, p.Offset, landing.ErrPosition)
	}
	return nil
}

// Reader captures the file and gives its blocks from a position on.
func (l *Log) Reader(partition int, from stream.Position) (landing.Reader, error) {
	if err := l.check(partition, from); err != nil {
		return nil, err
	}
	f, err := source.OpenRecorded(l.fs, l.path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return newReader(l, f, record.Offset(from.Offset), from.Hash), nil
}
