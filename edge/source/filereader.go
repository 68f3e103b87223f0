package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// fileReader reads one file to its end. It owns its handle, so that the file stays
// the same one whatever becomes of its name.
type fileReader struct {
	f     *File
	c     *content
	at    sibling // the file; its handle is c's
	moved bool    // it does not lie under the configured path any more
	copy  bool    // a finished copy of a file that was cut: nothing will be added
	split Splitter
	trail trail
	lines lineBuffer

	sound      record.Micros // when it was last seen that nothing read was taken away
	lookedAt   int64         // microseconds since boot when that was seen
	wholeAt    int64         // when the file was written last, as of when each byte read of it was compared
	quietSince int64         // microseconds since boot: nothing was added since
	gap        gapReason     // to be declared when the next file begins; 0: none
	gapSince   record.Micros
	owes       bool // this is a copy of a file that was cut in place, and that gap is still to be declared
}

// toldFrom is from how many bytes on it is told that they are read again: that takes
// seconds.
const toldFrom = 256 << 20

// newReader reads s, which it takes over, from at; nil without an error when it is
// another file than the one at is of.
func (f *File) newReader(s *sibling, at filePosition) (*fileReader, error) {
	c, err := newContent(s.file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	r := &fileReader{f: f, c: c, at: *s, moved: !s.isPath}
	if at.offset >= toldFrom {
		f.log(slog.LevelInfo, "reading again what was read of the file, to see whether it is the same one", "path", s.path, "bytes", at.offset)
	}
	same, err := r.trail.resume(c, at, f.stop)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	if !same {
		return nil, nil
	}
	r.split.Resume(at.cut)
	r.sound, r.quietSince = f.cfg.Clock.Now()
	if now, err := durable.Describe(c.file); err == nil {
		r.at.about = now // it may have waited for long: what is older than this did not come after it
	}
	r.lookedAt, r.wholeAt = r.quietSince, r.at.about.Modified
	if at.owes {
		r.owe(micros(at.modified))
	}
	s.file = nil
	return r, nil
}

// owe notes that the file that r is a copy of was cut in place: behind the copy comes
// a gap from since on. It stands in each position of the copy, for after a restart
// nothing else would tell that there was a cut.
func (r *fileReader) owe(since record.Micros) {
	r.owes, r.gap, r.gapSince = true, gapTruncated, since
}

// position is that of the byte after the last line given.
func (r *fileReader) position() filePosition {
	p := r.trail.position(r.split.Pending())
	p.cut, p.owes = r.split.Cut(), r.owes
	p.id, p.modified = r.at.about.Identity, r.at.about.Modified
	p.gaps, p.gap = r.f.gaps, r.f.gap
	left := r.f.chain.left
	for _, l := range left[max(0, len(left)-maxLeft):] {
		p.left = append(p.left, leftFile{l.about.Identity, l.about.Size})
	}
	return p
}

// run delivers what there is. The content stays open after errReplaced and errCut
// only. Errors: errFinished, errReplaced, errCut, errStopped, errBroken, or one of
// reading.
func (r *fileReader) run(ctx context.Context, sink Sink) (err error) {
	defer func() {
		if !errors.Is(err, errReplaced) && !errors.Is(err, errCut) {
			r.c.close()
		}
	}()
	buf := make([]byte, readBytes)
	for ctx.Err() == nil {
		n, err := r.c.Read(buf)
		if n > 0 {
			if !r.intact() {
				return errCut // before these bytes were read
			}
			r.trail.follow(buf[:n])
			r.split.Feed(buf[:n], r.lines.add)
			if err := r.deliver(sink, n); err != nil {
				return err
			}
		}
		if err == nil {
			continue
		}
		if err := r.atEnd(ctx, sink, err); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// atEnd decides what comes after the end of what can be read, which is reached with
// why; nil: read on.
func (r *fileReader) atEnd(ctx context.Context, sink Sink, why error) error {
	growing := r.f.cfg.Follow && !r.copy
	if r.c.gz != nil && growing && (errors.Is(why, io.EOF) || errors.Is(why, io.ErrUnexpectedEOF)) {
		if grown, err := r.reopen(); grown || err != nil {
			return err
		}
	} else if !errors.Is(why, io.EOF) {
		return r.broken(sink, why)
	}
	next, err := r.look(sink)
	if err != nil {
		return err
	}
	if next {
		if r.c.gz != nil && !errors.Is(why, io.EOF) {
			r.gap, r.gapSince = gapUnpacked, micros(r.at.about.Modified)
		}
		return errReplaced
	}
	if !r.f.cfg.Follow {
		if err := r.end(sink, false); err != nil {
			return err
		}
		return errFinished
	}
	if !wait(ctx, r.f.cfg.PollInterval) {
		return ctx.Err()
	}
	return r.refresh() // it may have been cut, and have grown again, meanwhile
}

// look sees what became of the file, at its end, and tells whether to go on in the
// next one: this one is not under the path any more, nothing was added to it for the
// grace, and the next one has something or a next one itself. Errors: errCut.
func (r *fileReader) look(sink Sink) (next bool, err error) {
	f := r.f
	wall, now := f.cfg.Clock.Now()
	if err := r.refresh(); err != nil {
		return false, err
	}
	r.moved = !f.isAtPath(r)
	if r.moved || now-f.lookedAt >= lookEvery.Microseconds() {
		if err := f.lookAround(r, sink); err != nil {
			return false, err
		}
		f.lookedAt = now
	}
	if f.isStopped() {
		return false, errStopped // and what could not be read to its end says nothing
	}
	if err := f.lookAtLeft(r, sink); err != nil {
		return false, err
	}
	if !r.moved {
		r.sound, r.at.under = wall, wall
		return false, nil
	}
	queue := f.chain.queue
	switch {
	case len(queue) == 0:
		return false, nil
	case !f.cfg.Follow:
		return true, nil
	case len(queue) == 1 && !hasBegun(queue[0]):
		return false, nil
	}
	return r.copy || now-r.quietSince >= f.cfg.Grace.Microseconds(), nil
}

// refresh looks at the file again. Errors: errCut when what was read is not there
// any more.
func (r *fileReader) refresh() error {
	about, err := durable.Describe(r.c.file)
	if err != nil {
		return fmt.Errorf("look at %s: %w", r.at.path, err)
	}
	if !r.intact() {
		return errCut // r.at stays as it was before
	}
	if about.Size != r.at.about.Size || about.Modified != r.at.about.Modified {
		_, r.quietSince = r.f.cfg.Clock.Now()
	}
	r.at.about = about
	return nil
}

// unseenAfter is how long nobody may have looked at a file for its beginning and its
// end to tell that all between is the same: in this time a writer would have to write
// again as much as was read, alike there.
const unseenAfter = 10 * time.Second

// intact tells whether what was read is still there: a file that was cut in place
// may have grown beyond where it was read to. It looks at the beginning and the end of
// that, and at all of it where nobody looked for long, as when capture had no room.
func (r *fileReader) intact() bool {
	if r.c.gz != nil || r.copy {
		return true
	}
	_, now := r.f.cfg.Clock.Now()
	unseen := now-r.lookedAt >= unseenAfter.Microseconds()
	t := &r.trail
	tail := t.recent[max(0, len(t.recent)-tailBytes):]
	if !r.holds(t.head, 0) || !r.holds(tail, t.read-int64(len(tail))) || unseen && !r.holdsAll() {
		return false
	}
	_, r.lookedAt = r.f.cfg.Clock.Now()
	return true
}

// holdsAll tells whether the file, a plain one, has each byte that was read of it. What
// cannot be read is said by the next read.
func (r *fileReader) holdsAll() bool {
	var t trail
	same, err := t.resume(&content{file: r.c.file}, r.trail.whole(), r.f.stop)
	return same || err != nil
}

// holds tells whether the file has p at the offset. What cannot be read is said by
// the next read.
func (r *fileReader) holds(p []byte, at int64) bool {
	if len(p) == 0 {
		return true
	}
	got := make([]byte, len(p))
	n, err := r.c.file.ReadAt(got, at)
	if n < len(p) && !errors.Is(err, io.EOF) {
		return true
	}
	return string(got[:n]) == string(p)
}

// reopen unpacks a gzip file that has grown from its beginning, up to where it was
// read to: what was added may continue a member or begin one.
func (r *fileReader) reopen() (grown bool, err error) {
	size, err := r.c.file.Size()
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", r.at.path, err)
	}
	if size == r.c.size {
		return false, nil
	}
	at := r.position()
	c, err := newContent(r.c.file)
	if err != nil {
		return false, nil // its first bytes are still being written
	}
	var t trail
	same, err := t.resume(c, at, r.f.stop)
	if errors.Is(err, errStopped) {
		return false, err
	}
	if err != nil || !same {
		return false, errCut
	}
	r.c, r.trail = c, t
	r.split.Resume(at.cut)
	_, r.quietSince = r.f.cfg.Clock.Now()
	return true, nil
}

// broken decides about an error of reading: gzip that cannot be unpacked gives
// what was had of it, and where others come after it that is a gap; anything else
// is tried again. With Follow its last line waits for the rest of it.
func (r *fileReader) broken(sink Sink, err error) error {
	if r.c.gz == nil {
		return fmt.Errorf("read %s at %d: %w", r.at.path, r.trail.read, err)
	}
	if r.moved && len(r.f.chain.queue) > 0 {
		r.gap, r.gapSince = gapUnpacked, micros(r.at.about.Modified)
		return errReplaced
	}
	if !r.f.cfg.Follow {
		if err := r.end(sink, true); err != nil {
			return err
		}
	}
	return fmt.Errorf("unpack %s at %d: %w: %w", r.at.path, r.trail.read, errBroken, err)
}

// end gives the last line, which has no line end.
func (r *fileReader) end(sink Sink, truncated bool) error {
	r.split.Flush(truncated, r.lines.add)
	return r.deliver(sink, 0)
}

// deliver hands over the lines gathered, with the position after them; n bytes
// were read for them.
func (r *fileReader) deliver(sink Sink, n int) error {
	wall, mono := r.f.cfg.Clock.Now()
	if n > 0 {
		r.f.received(n, wall)
		r.quietSince = mono
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
