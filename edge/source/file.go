package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"landfall/edge/durable"
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
	}
	return nil
}

// File reads the lines of one file. Its Position is an offset in the content
// with what identifies the file (see filePosition), so after a restart it goes
// on exactly there. A file that was replaced or truncated meanwhile is said and
// counted; the old one's rest is read first when it still lies beside the path
// under a name that begins with the path's.
type File struct {
	meter
	cfg FileConfig
}

// NewFile makes a File. Error: ErrConfig.
func NewFile(cfg FileConfig) (*File, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 500 * time.Millisecond
	}
	f := &File{cfg: cfg}
	f.init(&f.cfg.Options, "file", true)
	return f, nil
}

// Run reads until ctx ends or, without Follow, the file does. Errors: a mark
// that cannot be understood, gzip that cannot be unpacked.
func (f *File) Run(ctx context.Context, sink Sink) error {
	at, err := decodeFilePosition(sink.Position(f.cfg.Name))
	if err != nil {
		f.fault(StateFailed, err)
		return fmt.Errorf("resume source %s: %w", f.cfg.Name, err)
	}
	var retry backoff
	for ctx.Err() == nil {
		r, err := f.open(at)
		for err == nil && r != nil {
			retry.reset()
			f.connected(r.path)
			err = r.run(ctx, sink)
			at = r.position()
			f.disconnected()
			if errors.Is(err, errReplaced) {
				r, at, err = f.successor(r, sink)
			}
		}
		switch {
		case errors.Is(err, errFinished):
			f.set(StateFinished, f.cfg.Path)
			return nil
		case errors.Is(err, errBroken):
			f.fault(StateFailed, err)
			return err
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
	errBroken   = errors.New("file cannot be unpacked")
)

// open gives a reader of the file that at is of, standing there: the one under
// the path or, when that is another, an older one beside it; when there is
// none, the one under the path from its beginning.
func (f *File) open(at filePosition) (*fileReader, error) {
	r, err := f.openAt(f.cfg.Path, at, false)
	if r != nil || err != nil && !errors.Is(err, fs.ErrNotExist) || !at.isPlaced {
		return r, err
	}
	if old, rerr := f.openRotated(at); old != nil || rerr != nil {
		f.rotations.Add(1)
		return old, rerr
	}
	if err != nil {
		return nil, err // the path is absent: it may come back
	}
	f.rotations.Add(1)
	f.log(slog.LevelWarn, "file is another than the one read before: reading it from its beginning; what the other held after the last position is not there",
		"path", f.cfg.Path, "position", at.offset)
	return f.openAt(f.cfg.Path, filePosition{}, false)
}

// successor tells where to go on after r's file was replaced, and closes r. A
// file that was renamed or copied away may have got more lines in the last
// moment; where it cannot be found, the line r holds is all there is. After a
// rotated file come those rotated after it, then the path itself (nil, no
// error, the zero position).
func (f *File) successor(r *fileReader, sink Sink) (*fileReader, filePosition, error) {
	defer r.c.close()
	if !r.rotated {
		f.rotations.Add(1)
		old, err := f.openRotated(r.position())
		if old != nil || err != nil {
			return old, r.position(), err
		}
		f.log(slog.LevelInfo, "file was replaced or truncated: reading the new one from its beginning", "path", r.path)
		return nil, filePosition{}, r.end(sink, true)
	}
	if err := r.end(sink, true); err != nil {
		return nil, r.position(), err
	}
	next, err := f.rotatedAfter(r.path)
	if next == "" || err != nil {
		return nil, filePosition{}, err
	}
	n, err := f.openAt(next, filePosition{}, true)
	return n, filePosition{}, err
}

// openAt opens path and moves to at; nil without an error when it is another
// file than the one at is of.
func (f *File) openAt(path string, at filePosition, rotated bool) (*fileReader, error) {
	c, err := openContent(f.cfg.FS, path)
	if err != nil {
		return nil, err
	}
	r := &fileReader{f: f, c: c, path: path, rotated: rotated}
	same, err := r.trail.resume(c, at)
	if err != nil || !same {
		c.close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		return nil, nil
	}
	r.split.Resume(at.cut)
	return r, nil
}
