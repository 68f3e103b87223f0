package source

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// fileReader reads one file to its end.
type fileReader struct {
	f       *File
	c       *content
	path    string
	rotated bool // not under the configured path any more
	split   Splitter
	trail   trail
	lines   lineBuffer
}

// position is that of the byte after the last line given.
func (r *fileReader) position() filePosition {
	p := r.trail.position(r.split.Pending())
	p.cut = r.split.Cut()
	return p
}

// run delivers what there is. The content stays open after errReplaced only.
// Errors: errFinished, errReplaced, errStopped, errBroken, or one of reading.
func (r *fileReader) run(ctx context.Context, sink Sink) (err error) {
	defer func() {
		if !errors.Is(err, errReplaced) {
			r.c.close()
		}
	}()
	buf := make([]byte, readBytes)
	replaced := false // another file lies under the path since the last byte
	for ctx.Err() == nil {
		n, err := r.c.Read(buf)
		if n > 0 {
			replaced = false
			r.trail.follow(buf[:n])
			r.split.Feed(buf[:n], r.lines.add)
			if err := r.deliver(sink, n); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return r.broken(sink, err)
		case r.rotated || replaced:
			return errReplaced
		case r.c.gz != nil || !r.f.cfg.Follow:
			if err := r.end(sink, false); err != nil {
				return err
			}
			return errFinished
		default:
			if !wait(ctx, r.f.cfg.PollInterval) {
				return ctx.Err()
			}
			replaced = r.look()
		}
	}
	return ctx.Err()
}

// broken decides about an error of reading: gzip that cannot be unpacked gives
// what was had of it; anything else is tried again.
func (r *fileReader) broken(sink Sink, err error) error {
	if r.c.gz == nil {
		return fmt.Errorf("read %s at %d: %w", r.path, r.trail.read, err)
	}
	if derr := r.end(sink, true); derr != nil {
		return derr
	}
	return fmt.Errorf("unpack %s at %d: %w: %w", r.path, r.trail.read, errBroken, err)
}

// end gives the last line, which has no line end.
func (r *fileReader) end(sink Sink, truncated bool) error {
	r.split.Flush(truncated, r.lines.add)
	return r.deliver(sink, 0)
}

// look tells whether another file lies under the path now, or the same one was
// truncated, and otherwise goes on in what the path names. An absent path
// does not count: rename comes before create.
func (r *fileReader) look() (replaced bool) {
	fresh, err := openContent(r.f.cfg.FS, r.path)
	if err != nil {
		return false
	}
	var t trail
	same, err := t.resume(fresh, r.trail.position(0))
	if err != nil || !same {
		fresh.close()
		return err == nil
	}
	r.c.close()
	r.c = fresh
	return false
}

// deliver hands over the lines gathered, with the position after them; n bytes
// were read for them.
func (r *fileReader) deliver(sink Sink, n int) error {
	wall, mono := r.f.cfg.Clock.Now()
	if n > 0 {
		r.f.received(n, wall)
	}
	b := r.lines.batch(r.f.cfg.Name, wall, mono)
	if b == nil {
		return nil
	}
	r.f.lines(b)
	b.Mark, b.Position = r.f.cfg.Name, r.position().encode()
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	return nil
}
