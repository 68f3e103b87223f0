package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// FileConfig configures a File.
type FileConfig struct {
	Options
	FS   durable.FS // required
	Path string     // required; gzip is recognised by its content
	// Follow waits for more at the end of a plain file, and for the file that
	// takes its place when it is rotated; false: the end of file ends Run.
	Follow bool
	// PollInterval is the time between looks at a file that has nothing new;
	// 0: 500 ms.
	PollInterval time.Duration
	// Grace is how long a file that was rotated must have been quiet before it is
	// left for the next one, which has begun; 0: 5 s. Without Follow it is not waited.
	Grace time.Duration
	// Siblings are patterns (path/filepath.Match in the last element) of paths of
	// rotated files, beside those that are named like the path with numbers or
	// dates.
	Siblings []string
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *FileConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	switch {
	case c.FS == nil:
		return fmt.Errorf("fs of source %s: missing: %w", c.Name, ErrConfig)
	case c.Path == "":
		return fmt.Errorf("path of source %s: empty: %w", c.Name, ErrConfig)
	case c.PollInterval < 0:
		return fmt.Errorf("poll_interval of source %s: %v is negative: %w", c.Name, c.PollInterval, ErrConfig)
	case c.Grace < 0:
		return fmt.Errorf("grace of source %s: %v is negative: %w", c.Name, c.Grace, ErrConfig)
	}
	for _, p := range c.Siblings {
		if _, err := filepath.Match(filepath.Base(p), ""); err != nil || strings.ContainsAny(filepath.Dir(p), "*?[") {
			return fmt.Errorf("siblings of source %s: %q is no pattern in its last element only: %w", c.Name, p, ErrConfig)
		}
	}
	return nil
}

// File reads the lines of one file, and of those that take its place when it is
// rotated. Its Position is an offset in the content with what identifies the file
// (see filePosition), so after a restart it goes on exactly there.
//
// A file is known by its device, inode and time of birth and by each byte before the
// offset; by these bytes alone where the file system does not tell, where it was
// copied, and where it was packed (see find). It is read through its
// handle until it has been quiet for the grace; then come those that were rotated
// after it, oldest first, each held open from when it was first seen. What cannot be
// shown to be whole is declared: see declare.
type File struct {
	meter
	cfg      FileConfig
	chain    chain           // Run's own
	lookedAt int64           // microseconds since boot when the rotated files were looked at; Run's own
	stop     <-chan struct{} // closed when Run is to end; Run's own
	// exchanged says why nothing may be read under this name; "": it may. KeepApart sets it.
	exchanged string

	gapsMu sync.Mutex
	gaps   uint64  // written by Run only, guarded by gapsMu for others
	gap    fileGap // the same
}

// NewFile makes a File. Error: ErrConfig.
func NewFile(cfg FileConfig) (*File, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 500 * time.Millisecond
	}
	if cfg.Grace == 0 {
		cfg.Grace = 5 * time.Second
	}
	f := &File{cfg: cfg}
	f.chain.copied = f.tellCopy
	f.init(&f.cfg.Options, "file", true)
	return f, nil
}

// Run reads until ctx ends or, without Follow, the file does. Errors: a mark
// that cannot be understood; without Follow, gzip that cannot be unpacked, or ErrConfig
// where KeepApart lets it read nothing. With Follow gzip is tried again, for another file
// may take its place, or the rest of it come, and the source that reads nothing waits.
func (f *File) Run(ctx context.Context, sink Sink) error {
	at, err := decodeFilePosition(sink.Position(f.cfg.Name))
	if err != nil {
		f.fault(StateFailed, err)
		return fmt.Errorf("resume source %s: %w", f.cfg.Name, err)
	}
	if at.isPlaced && !at.hasAll {
		f.log(slog.LevelWarn, "an older version noted where it stood in the file: of what it read only the first 1,024 and the last 256 "+
			"bytes are known, and compared, this once", "path", f.cfg.Path, "position", at.offset)
	}
	f.knowGaps(at)
	if f.exchanged != "" {
		return f.waitForName(ctx)
	}
	f.stop = ctx.Done()
	defer f.chain.dropAll()
	var retry, broken backoff
	for ctx.Err() == nil {
		was := at.offset
		r, err := f.open(at, sink)
		for err == nil && r != nil {
			retry.reset()
			f.connected(r.at.path)
			err = r.run(ctx, sink)
			at = r.position()
			f.disconnected()
			switch {
			case errors.Is(err, errReplaced):
				r, at, err = f.next(r, sink)
			case errors.Is(err, errCut):
				r, at, err = f.afterCut(r, sink)
			}
		}
		switch {
		case errors.Is(err, errFinished):
			f.set(StateFinished, f.cfg.Path)
			return nil
		case errors.Is(err, errBroken):
			f.fault(StateFailed, err)
			if !f.cfg.Follow {
				return err
			}
			if at.offset != was {
				broken.reset()
			}
			broken.wait(ctx)
		case errors.Is(err, errStopped):
			f.set(StateStopped, "")
			return nil
		case err != nil && ctx.Err() == nil:
			f.fault(StateAbsent, err)
			retry.wait(ctx)
		}
	}
	f.set(StateStopped, "")
	return nil
}

// How reading one file ends.
var (
	errFinished = errors.New("file finished")
	errReplaced = errors.New("file replaced")
	errCut      = errors.New("file cut in place")
	errBroken   = fmt.Errorf("file cannot be unpacked: %w", record.ErrCorrupt)
)

// open returns a reader of the file that at is of, standing there, with those that
// come after it queued. When that file is nowhere, that is declared as a gap, and
// the reader is one of the first file written since. Error: fs.ErrNotExist when
// there is nothing to read.
func (f *File) open(at filePosition, sink Sink) (*fileReader, error) {
	f.chain.drop()
	s, err := f.look()
	if err != nil {
		return nil, err
	}
	defer s.close()
	if !at.isPlaced {
		return f.begin(s)
	}
	at.id = s.onItsDevice(at.id)
	r, why, err := f.find(s, at)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return f.openAfterGap(s, at, sink)
	}
	f.chain.retake(r.at.about.Identity)
	if why != 0 {
		err = f.declare(sink, r.position(), why, micros(at.modified))
		at.gap = f.gap
	}
	if err == nil {
		err = f.growth(s, r, at, sink)
	}
	if err != nil {
		r.c.close()
		return nil, err
	}
	if r.moved {
		f.chain.extend(s, &r.at, f.cfg.Follow)
		f.log(slog.LevelInfo, "file was rotated: reading the rest of the old one", "path", r.at.path, "position", at.offset)
		return r, nil
	}
	f.passAll(s)
	return r, nil
}

// begin reads the path from its beginning, because nothing is known of it. Files
// beside it are older.
func (f *File) begin(s *snapshot) (*fileReader, error) {
	if s.path == nil {
		return nil, s.pathErr
	}
	if s.path.about.Size > 0 {
		f.log(slog.LevelWarn, "no position in the file is known: reading it from its beginning. Files beside it are not read. It is the first start, or the data directory was lost or is another one: then lines come a second time",
			"path", f.cfg.Path, "bytes", s.path.about.Size)
	}
	r, err := f.newReader(s.path, filePosition{})
	if err == nil {
		f.passAll(s)
	}
	return r, err
}

// IsAt tells whether a position, of a source with another name, is in the file under the
// path or in one that was rotated from it, by its identity and its content. It comes
// before Run.
func (f *File) IsAt(position []byte) bool {
	at, err := decodeFilePosition(position)
	if err != nil || !at.isPlaced || !at.id.IsKnown() {
		return false
	}
	s, err := f.look()
	if err != nil {
		return false
	}
	defer s.close()
	is := s.find(s.onItsDevice(at.id))
	if is == nil {
		return false
	}
	r, err := f.newReader(is, at)
	if r == nil || err != nil {
		return false
	}
	r.c.close()
	return true
}

func (f *File) passAll(s *snapshot) {
	for _, o := range s.others {
		f.chain.pass(o)
	}
}

// openAfterGap declares that the file that at is of is nowhere, and reads what was
// written since it was written last, oldest first.
func (f *File) openAfterGap(s *snapshot, at filePosition, sink Sink) (*fileReader, error) {
	for _, o := range s.others {
		if at.modified != 0 && o.about.Modified >= at.modified {
			f.chain.take(o)
		} else {
			f.chain.pass(o)
		}
	}
	if s.path != nil {
		f.chain.take(s.path)
	}
	if len(f.chain.queue) == 0 {
		return nil, s.pathErr // it may come back
	}
	f.rotations.Add(1)
	why := gapGone
	if s.path != nil && at.id.IsKnown() && f.chain.queue[len(f.chain.queue)-1].same(at.id) {
		why = gapTruncated
	}
	return f.pop(sink, why, micros(at.modified))
}

// next goes on in the file that comes after r, and closes r. With an error it returns
// where r ended: from there the same is found, and declared, again.
func (f *File) next(r *fileReader, sink Sink) (*fileReader, filePosition, error) {
	if err := r.end(sink, true); err != nil {
		r.c.close()
		return nil, r.position(), err
	}
	at := r.position()
	if !r.copy {
		f.rotations.Add(1)
	}
	since := r.gapSince
	if r.gap == 0 {
		since = micros(r.at.about.Modified)
	}
	f.leave(r)
	next, err := f.pop(sink, r.gap, since)
	return next, at, err
}

// leave keeps the handle of a file that was read to its end, to see whether it grows.
func (f *File) leave(r *fileReader) {
	s := r.at
	s.file = r.c.file
	f.chain.pass(&s)
	if r.c.gz != nil || r.copy {
		r.c.close()
		return
	}
	s.about.Size, s.read = r.trail.read, r.trail.clone()
	f.chain.leave(&s)
}

// pop begins the first file of the queue that can be read. A gap before it, from
// since on, is declared for the reason why, or the one that the file brings, with the
// position at its beginning: a crash before that finds the gap again, and one after
// goes on in the new file.
func (f *File) pop(sink Sink, why gapReason, since record.Micros) (*fileReader, error) {
	for len(f.chain.queue) > 0 {
		s := f.chain.queue[0]
		f.chain.queue = f.chain.queue[1:]
		if why == 0 {
			why = s.gap
		}
		quiet := s.seen
		r, err := f.newReader(s, f.chain.endOf(s))
		if r == nil && err == nil { // it was cut since it was left
			r, err = f.newReader(s, filePosition{})
		}
		if err != nil && len(f.chain.queue) > 0 && !errors.Is(err, errStopped) {
			f.log(slog.LevelWarn, "a rotated file cannot be read: going on in the next one", "path", s.path, "error", err)
			s.close()
			why, since = gapUnpacked, micros(s.about.Modified)
			continue
		}
		if err != nil {
			s.close()
			return nil, err
		}
		r.owes = s.copied
		f.chain.retake(r.at.about.Identity)
		if now, err := durable.Describe(r.c.file); err == nil && now.Size == s.about.Size && now.Modified == s.about.Modified {
			r.quietSince = quiet
		}
		if why != 0 {
			if err := f.declare(sink, r.position(), why, since); err != nil {
				r.c.close()
				return nil, err
			}
			f.chain.doubt = false
		}
		f.log(slog.LevelInfo, "file was rotated or replaced: going on in the next one", "path", s.path)
		return r, nil
	}
	return nil, fmt.Errorf("go on after %s: %w", f.cfg.Path, fs.ErrNotExist)
}

// afterCut goes on after r's file was cut in place: in the rest of the copy that was
// made of it, where one is there, and then in the file from its beginning. That
// nothing was written between the copy and the cut cannot be shown: a gap.
func (f *File) afterCut(r *fileReader, sink Sink) (*fileReader, filePosition, error) {
	f.rotations.Add(1)
	at := r.position()
	s, err := f.look()
	if err != nil {
		r.c.close()
		return nil, at, err
	}
	defer s.close()
	f.chain.drop()
	whole := r.at
	whole.file = r.c.file
	for _, o := range f.chain.newFirst(s.others) {
		if at.offset == 0 || o.same(whole.about.Identity) {
			continue
		}
		c, err := f.newReader(o, at)
		if errors.Is(err, errStopped) {
			r.c.close()
			return nil, at, err
		}
		if c == nil || err != nil {
			continue
		}
		c.copy = true
		c.owe(r.sound)
		f.chain.pass(&c.at)
		f.chain.queue = append(f.chain.queue, &whole)
		f.chain.takeCopies(s, &c.at)
		f.log(slog.LevelInfo, "file was copied and cut: reading the rest of the copy", "path", c.at.path, "position", at.offset)
		return c, at, nil
	}
	if err := r.end(sink, true); err != nil {
		r.c.close()
		return nil, at, err
	}
	f.chain.queue = append(f.chain.queue, &whole)
	f.chain.takeCopies(s, &whole)
	at = r.position()
	next, err := f.pop(sink, gapTruncated, r.sound)
	return next, at, err
}

// growth declares a gap when a file that at had left has grown since, or any was
// written after the one that is read and that lies under the path still. It goes on
// looking at those that were left.
func (f *File) growth(s *snapshot, r *fileReader, at filePosition, sink Sink) error {
	if len(f.chain.left) > 0 {
		return nil // they are looked at since they were left
	}
	grown := false
	for _, l := range at.left {
		is := s.find(s.onItsDevice(l.id))
		if is == nil || is.file == nil || is.isPath || l.id.Born == 0 {
			continue
		}
		grown = grown || is.about.Size > l.length
		own := *is
		is.file = nil
		f.chain.leave(&own)
	}
	for _, o := range s.others {
		since := max(at.modified, int64(at.gap.until)*1000)
		late := at.id.Born != 0 && !r.moved && r.at.same(at.id) && o.about.Modified > since && !f.chain.isLeft(o)
		grown = grown || late && !isPackedName(o.path) && wasCut(r.c.file, o.file)
	}
	if !grown {
		return nil
	}
	return f.declare(sink, r.position(), gapLate, micros(at.modified))
}

// lookAtLeft declares a gap when a file that was left has grown.
func (f *File) lookAtLeft(r *fileReader, sink Sink) error {
	for _, l := range f.chain.left {
		if f.chain.isQueued(l) {
			continue // it lies under the path again, and is read on
		}
		now, err := durable.Describe(l.file)
		if err != nil || now.Size <= l.about.Size {
			continue
		}
		l.about = now
		f.chain.pass(l)
		if err := f.declare(sink, r.position(), gapLate, micros(l.about.Modified)); err != nil {
			return err
		}
	}
	return nil
}

// isAtPath tells whether r's file lies under the path. A removed file whose content
// lies there again, as after a copy that was renamed, is gone on with.
func (f *File) isAtPath(r *fileReader) bool {
	s, err := f.sibling(f.cfg.Path)
	if err != nil {
		return false
	}
	defer s.close()
	s.isPath = true
	if s.same(r.at.about.Identity) {
		return true
	}
	if s.about.IsKnown() && (r.at.about.Links > 0 || r.trail.read == 0 || len(f.chain.queue) > 0) {
		return false
	}
	if size, err := r.c.file.Size(); err != nil || s.about.IsKnown() && size != r.trail.read {
		return false
	}
	whole := r.trail.whole()
	n, err := f.newReader(s, whole)
	if n == nil || err != nil {
		return false
	}
	if s.about.IsKnown() && f.isBeside(whole) {
		n.c.close()
		return false
	}
	r.c.close()
	r.c, r.at, r.moved = n.c, n.at, false
	return true
}

// lookEvery is how often is looked at the rotated files while nothing is rotated.
const lookEvery = time.Minute

// lookAround extends the chain after r, where it does not lie under the path any more,
// and declares a gap when a file that was passed has grown since. Where a file has come
// beside r's, that may be a copy made before a cut. Errors: errCut.
func (f *File) lookAround(r *fileReader, sink Sink) error {
	if len(f.chain.queue) > 0 && !r.at.about.IsKnown() {
		return nil // nothing would be known again
	}
	s, err := f.look()
	if err != nil {
		return err
	}
	defer s.close()
	if !r.moved && r.c.gz == nil && f.chain.hasNew(s, &r.at) {
		if !r.holdsAll() { // whenever it was cut since all of it was compared
			r.at.about.Modified, r.sound = r.wholeAt, micros(r.wholeAt)
			return errCut
		}
		r.wholeAt = r.at.about.Modified
	}
	late := false
	for _, o := range s.others {
		late = !o.same(r.at.about.Identity) && !isPackedName(o.path) && f.chain.hasGrown(o) || late
	}
	if r.moved && !f.moveToCopy(s, r) {
		last := r.at
		last.file = r.c.file
		f.chain.extend(s, &last, f.cfg.Follow)
	}
	if !late {
		return nil
	}
	return f.declare(sink, r.position(), gapLate, r.sound)
}

// moveToCopy goes on in the file under the path where it begins with all that was read
// of r, and r's file, read to its end, has no known name any more: an editor has put it
// aside and written it again. What is added to the one that was put aside is a gap.
func (f *File) moveToCopy(s *snapshot, r *fileReader) bool {
	last := r.at
	last.file = r.c.file
	size, err := r.c.file.Size()
	if len(f.chain.queue) > 0 || s.path == nil || r.c.gz != nil || err != nil || size != r.trail.read || size < headBytes || f.chain.findForm(s, &last) != nil {
		return false
	}
	whole := r.trail.whole()
	n, err := f.newReader(s.path, whole)
	if n == nil || err != nil {
		return false
	}
	if s.holds(f, whole) {
		s.takeBack(n)
		return false
	}
	f.leave(r)
	r.c, r.at, r.moved = n.c, n.at, false
	f.log(slog.LevelInfo, "file was moved away and written again: going on in the new one", "path", r.at.path, "position", r.trail.read)
	return true
}

// isBeside tells whether a rotated file has all that was read: then another file that has
// it is no sign that it is the same one, written again.
func (f *File) isBeside(whole filePosition) bool {
	s, err := f.look()
	if err != nil {
		return true
	}
	defer s.close()
	return s.holds(f, whole)
}

// isStopped tells whether Run is to end.
func (f *File) isStopped() bool {
	select {
	case <-f.stop:
		return true
	default:
		return false
	}
}

// hasBegun tells whether something was written to a file that is held.
func hasBegun(s *sibling) bool {
	size, err := s.file.Size()
	return err != nil || size > 0
}
