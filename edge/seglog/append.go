package seglog

import (
	"errors"
	"fmt"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
)

// maxAttempts is how many files a group is written to before Append gives up:
// one that failed, and two more.
const maxAttempts = 3

// appender is the state of the append path, guarded by Store.appendMu.
type appender struct {
	log     record.LogID // chosen at the first Append
	ordinal uint64
	opening []byte // framed block of offset 0, until it is durable
	head    header // of the segment to come: identity of the log, chain, previous log
	next    record.Offset
	prev    record.Hash

	digester record.Digester // of log; used where the Store keeps digests
	digest   record.Digest   // of log at next

	file    durable.File // the active segment's; nil when the next group needs a new segment
	segment *segment
	at      int64 // where the next frame goes

	noted   uint64 // number of the segment that the log's note names
	unnoted uint64 // the one whose note failed last

	codec    frameCodec
	cutTail  uint64 // bytes cut off the newest log at Open
	unproven bool   // the newest log at Open may have been longer
}

func (a *appender) close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

// target is where a group is about to be written: the active segment, or a
// spare that becomes the next one.
type target struct {
	file    durable.File
	segment *segment
	spare   string // the file's name until it is durable; empty for the active segment
	head    []byte // header and, at the first Append, the frame of offset 0
	at      int64  // position of the group's frame
}

// Append makes the group in b the next block of this Store's log, durable on
// return, and gives the offset of its first record. b must hold a record; it
// may be Reset afterwards. One goroutine at a time.
//
// Steps, and what a crash after each leaves:
//
//  1. seal the block and choose a target: nothing, at most a spare file and, for a
//     new segment, files of marks (saveMarks);
//  2. write frame and block in one piece, for a new segment after its header:
//     the group may come back whole, or torn (cut at the next Open and counted),
//     or not at all; nobody was told that it is there;
//  3. fsync; for a new segment then rename it to its name and fsync the
//     directory. C1. The group comes back whole;
//  4. tell Readers, waiters and marks: the same;
//  5. for a new segment note that it is the newest: the same, and from then on
//     its file cannot vanish unnoticed.
//
// After a failed step 2 or 3 the file is dead. The same bytes go to a new
// segment, which ends the dead one where the group begins, so that a copy found
// there later is never read. When that fails too the error is returned: the
// group may come back at the next Open, never in this Store, whose next group
// takes the same offsets in yet another segment.
// Errors: ErrFull (nothing was written), ErrEmpty, ErrClosed, or the file
// system's.
func (s *Store) Append(b *record.Builder) (record.Offset, error) {
	if b.Count() == 0 {
		return 0, ErrEmpty
	}
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	if err := s.openLog(); err != nil {
		return 0, err
	}
	a := &s.app
	first := a.next
	digest := a.digest
	if s.cfg.CapturedRecords {
		digest += b.DigestAt(&a.digester, first)
		b.SetDigest(digest)
	}
	framed := b.SealFramed(a.log, first, a.prev, int(padTo(int64(frameBytes+b.Size()), frameAlign))+endBytes)
	block := framed[frameBytes : frameBytes+b.Size()]
	hashing := s.hasher.start(block)
	err := s.commit(b, framed)
	hash := hashing.wait()
	if err != nil {
		return 0, fmt.Errorf("append %d records at offset %d of log %s: %w", b.Count(), first, a.log, err)
	}
	a.prev, a.next, a.digest = hash, first+record.Offset(b.Count()), digest
	s.mu.Lock()
	l := s.activeLog()
	l.tip = s.appendedTip()
	s.markTail(l)
	s.mu.Unlock()
	if s.cfg.inlineSpares {
		s.writeTailMarker()
	} else if s.cfg.TailMarker {
		s.wakeTailMarker()
	}
	return first, nil
}

// commit writes a framed group to a target that holds.
func (s *Store) commit(b *record.Builder, framed []byte) error {
	var failed error
	for range maxAttempts {
		t, err := s.target(b, int64(len(framed)))
		if err != nil {
			return errors.Join(err, failed)
		}
		failpoint.Hit("c1.before-write")
		if err = s.write(t, framed); err == nil {
			failpoint.Hit("c1.after-write")
			err = s.makeDurable(t) // Commit point C1
		}
		if err == nil {
			failpoint.Hit("c1.after-sync")
			s.publish(t, b, framed)
			s.noteNewest(false)
			if t.spare != "" {
				s.dropObsoleteMarks()
			}
			return nil
		}
		failed = errors.Join(failed, err)
		s.abandon(t, err)
	}
	return failed
}

// target gives the active segment when size more bytes fit in it.
func (s *Store) target(b *record.Builder, size int64) (target, error) {
	a := &s.app
	if a.file != nil && a.at+size <= a.segment.size {
		return target{file: a.file, segment: a.segment, at: a.at}, nil
	}
	failpoint.Hit("segment.before-seal")
	return s.newSegment(b, size)
}

// newSegment prepares a spare to become the segment that begins with the group
// at hand.
func (s *Store) newSegment(b *record.Builder, size int64) (target, error) {
	a := &s.app
	h := a.head
	h.id.number++
	h.first, h.prevHash = a.next, a.prev
	if a.opening != nil {
		h.first, h.prevHash = 0, record.Hash{}
	}
	if err := s.saveMarks(&h); err != nil {
		return target{}, err
	}
	if h.firstAt = b.FirstAt(); h.firstAt == record.NoTime {
		h.firstAt = s.cfg.Now()
	}
	head, err := h.encode()
	if err != nil {
		return target{}, err
	}
	p, err := s.takeSpare(int64(len(head)+len(a.opening)) + size)
	if err != nil {
		return target{}, err
	}
	h.fresh, h.fileSize = p.fresh, p.size
	if head, err = h.encode(); err != nil { // of the same length
		return target{}, err
	}
	a.head.id.number = h.id.number // never again, whatever becomes of this one
	file, err := s.fs.OpenWrite(s.path(p.name))
	if err != nil {
		return target{}, errors.Join(err, s.discard(p.name, p.size))
	}
	g := &segment{
		name: segmentName(h.ordinal, h.id, h.first), ordinal: h.ordinal, id: h.id, first: h.first,
		size: p.size, dataAt: int64(len(head)), fresh: h.fresh, firstAt: h.firstAt,
	}
	if a.opening != nil {
		at := int64(len(head))
		head = append(head, a.opening...)
		a.codec.put(head[at:], h.id, at)
	}
	return target{file: file, segment: g, spare: p.name, head: head, at: int64(len(head))}, nil
}

func (s *Store) write(t target, framed []byte) error {
	if t.head != nil {
		if _, err := t.file.WriteAt(t.head, 0); err != nil {
			return err
		}
	}
	s.app.codec.put(framed, t.segment.id, t.at)
	_, err := t.file.WriteAt(framed, t.at)
	return err
}

// makeDurable fsyncs a target. A new segment gets its name only now, so that a
// name always stands for a header and a group that were on disk.
func (s *Store) makeDurable(t target) error {
	if err := t.file.SyncData(); err != nil || t.spare == "" {
		return err
	}
	if err := s.fs.Rename(s.path(t.spare), s.path(t.segment.name)); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
		return err
	}
	failpoint.Hit("segment.after-create")
	return nil
}

// publish makes a durable group known to Readers, waiters and marks.
func (s *Store) publish(t target, b *record.Builder, framed []byte) {
	a := &s.app
	a.at = t.at + int64(len(framed)) - endBytes
	if t.spare != "" {
		if err := a.close(); err != nil {
			s.cfg.Logger.Warn("close sealed segment", "segment", a.segment.name, "error", err)
		}
		a.file, a.segment, a.opening = t.file, t.segment, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.activeLog()
	if t.spare != "" {
		l.segments = append(l.segments, t.segment)
		s.stats.WrittenBytes += uint64(len(t.head))
		s.stats.Syncs++
		s.wakeKeeper()
	}
	l.end = a.next + record.Offset(b.Count())
	t.segment.end, t.segment.limit, t.segment.extent = l.end, a.at, a.at-t.segment.dataAt
	if at := b.LastAt(); at != record.NoTime {
		l.lastAt, a.head.lastAt = at, at
	}
	b.Annotations(func(ann record.Annotation) bool { s.takeMark(ann); return true })
	s.stats.Appends++
	s.stats.Syncs++
	s.stats.Records += uint64(b.Count())
	s.stats.AppendedBytes += uint64(b.Size())
	s.stats.WrittenBytes += uint64(len(framed))
	s.notify()
}

// abandon gives up a target after a failed write or fsync. The active segment
// is sealed in any case: a new segment that failed after its rename may come
// back and end it here.
func (s *Store) abandon(t target, cause error) {
	a := &s.app
	s.cfg.Logger.Error("segment given up", "segment", t.segment.name, "error", cause)
	if t.spare != "" {
		_ = t.file.Close()                            // dead
		_ = s.discard(t.spare, t.segment.size)        // one of the two names exists; what
		_ = s.discard(t.segment.name, t.segment.size) // comes back is superseded or whole
	}
	if err := a.close(); err != nil {
		s.cfg.Logger.Warn("close dead segment", "error", err)
	}
	s.mu.Lock()
	s.stats.FailedSegments++
	s.mu.Unlock()
}
