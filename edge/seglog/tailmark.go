package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// A tail marker says how far a Store's log is durable. Blocks that are cut off, zeroed
// or damaged at the end of a log look like a write that was never finished, and a whole
// segment or log that is gone looks like nothing at all; with the marker such a loss is
// found at Open and has a number. It is written behind its data, so that it never says
// more than the disk has said: for the first group of a log at once, then once in
// tailMarkEvery while records come, and at Close. What became durable after the last
// marker is not covered by it.
//
// It lies beside Dir and not in it, so that it also tells when Dir was put back from an
// older copy.
//
// Its file has two slots, each in a page of its own, version 1. Little-endian. They are
// written by turns, so that a write that is torn leaves the marker before.
//
//	  0  4  magic "LFE" and the version, 1
//	  4  4  CRC-32C of bytes 8..128
//	  8  8  number of the write, from 1: the slot with the higher one counts
//	 16 16  LogID
//	 32  8  ordinal of the log
//	 40  8  number of its newest segment
//	 48  8  offset of the first record of that segment
//	 56  8  offset after the last durable record
//	 64  8  flags: bit 0, the log was closed there; bit 1, the digest is known
//	 72  8  digest of the log at that offset
//	 80 16  hash of the block that ends there
//	 96 16  LogID of the previous log, or zero
//	112  8  where the previous log ended
//	120  8  ReceivedAt of the last record
const (
	tailMagic   = "LFE"
	tailVersion = 1
	tailBytes   = 128
	tailSlots   = 2
	tailPage    = 4096 // of a slot
	tailFile    = tailSlots * tailPage

	flagTailClosed = 1 << 0
	flagTailDigest = 1 << 1

	tailMarkEvery = time.Second
)

// TailMarkerName returns the name of the tail marker of a directory of logs.
func TailMarkerName(dir string) string { return dir + ".tail" }

// tailMarker is what a slot says.
type tailMarker struct {
	log     record.LogID
	ordinal uint64
	newest  // its segment, the end of the log, and whether it was closed
	tip     Tip
	prev    record.LogID
	prevEnd record.Offset
	lastAt  record.Micros
}

func (m *tailMarker) encode(write uint64) []byte {
	p := make([]byte, tailBytes)
	copy(p, tailMagic)
	p[3] = tailVersion
	binary.LittleEndian.PutUint64(p[8:], write)
	copy(p[16:], m.log[:])
	binary.LittleEndian.PutUint64(p[32:], m.ordinal)
	binary.LittleEndian.PutUint64(p[40:], m.number)
	binary.LittleEndian.PutUint64(p[48:], uint64(m.first))
	binary.LittleEndian.PutUint64(p[56:], uint64(m.end))
	if m.closed {
		p[64] |= flagTailClosed
	}
	if m.tip.DigestKnown {
		p[64] |= flagTailDigest
		binary.LittleEndian.PutUint64(p[72:], uint64(m.tip.Digest))
	}
	copy(p[80:], m.tip.Chain[:])
	copy(p[96:], m.prev[:])
	binary.LittleEndian.PutUint64(p[112:], uint64(m.prevEnd))
	binary.LittleEndian.PutUint64(p[120:], uint64(m.lastAt))
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], castagnoli))
	return p
}

// decodeTailMarker reads what encode wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeTailMarker(p []byte) (m tailMarker, write uint64, err error) {
	if len(p) != tailBytes || string(p[:3]) != tailMagic {
		return m, 0, fmt.Errorf("parse tail marker: %w", record.ErrCorrupt)
	}
	if err := record.JudgeVersion(p); err != nil {
		return m, 0, fmt.Errorf("parse tail marker: %w", err)
	}
	flags := binary.LittleEndian.Uint64(p[64:])
	m = tailMarker{
		log: record.LogID(p[16:32]), ordinal: binary.LittleEndian.Uint64(p[32:]),
		newest: newest{
			number: binary.LittleEndian.Uint64(p[40:]), closed: flags&flagTailClosed != 0,
			first: record.Offset(binary.LittleEndian.Uint64(p[48:])), end: record.Offset(binary.LittleEndian.Uint64(p[56:])),
		},
		tip:  Tip{Digest: record.Digest(binary.LittleEndian.Uint64(p[72:])), DigestKnown: flags&flagTailDigest != 0, Chain: record.Hash(p[80:96])},
		prev: record.LogID(p[96:112]), prevEnd: record.Offset(binary.LittleEndian.Uint64(p[112:])),
		lastAt: record.Micros(binary.LittleEndian.Uint64(p[120:])),
	}
	m.tip.End = m.end
	if write = binary.LittleEndian.Uint64(p[8:]); p[3] != tailVersion || m.end <= m.first || m.log.IsZero() || write == 0 || flags > flagTailClosed|flagTailDigest {
		return m, 0, fmt.Errorf("parse tail marker of log %s, offsets %d to %d: %w", m.log, m.first, m.end, record.ErrCorrupt)
	}
	return m, write, nil
}

// tailWriter keeps the file of the tail marker. It belongs to whoever writes it: the
// Store's goroutine, then Close.
type tailWriter struct {
	file   durable.File // nil: not open
	made   bool         // the file was there at Open, whole, or was made since, and no write to it failed
	slot   int          // is written next
	write  uint64       // number of the last write
	last   tailMarker   // as it was written last
	warned bool
}

// readTailMarker reads the file of before, if there is one, and says whether it holds a
// marker. One damaged slot is what a power cut leaves; two are counted. A file of
// another size is made again. Errors: record.ErrVersion, and the file system's.
func (s *Store) readTailMarker() (best tailMarker, ok bool, err error) {
	f, err := s.fs.Open(TailMarkerName(s.cfg.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return best, false, nil
	}
	if err != nil {
		return best, false, err
	}
	p := make([]byte, tailFile+1)
	n, err := readPages(f, p, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return best, false, err
	}
	w := &s.tailWriter
	w.made, w.write = n == tailFile, 0
	for slot := range tailSlots {
		at := slot * tailPage
		if at+tailBytes > n {
			break
		}
		m, write, err := decodeTailMarker(p[at : at+tailBytes])
		if isVersion(err) {
			return best, false, err
		}
		if err == nil && write > w.write {
			best, ok, w.write, w.slot = m, true, write, (slot+1)%tailSlots
		}
	}
	if !ok {
		s.stats.UnreadableMeta++
		s.cfg.Logger.Warn("tail marker damaged: nothing tells where the newest log ended at least", "name", TailMarkerName(s.cfg.Dir))
	}
	return best, ok, nil
}

// takeTailMarker has the logs found know what the marker says, before their ends are
// looked for, and returns the ends that it tells of other logs. A marker that belongs
// to logs that nobody knows here, as one that was copied from another gateway, tells
// nothing. Neither does one of a log that was released: a newer one is there.
func (s *Store) takeTailMarker(m *tailMarker) map[record.LogID]record.Offset {
	ends := map[record.LogID]record.Offset{}
	l, _ := s.find(m.log)
	switch newest := len(s.logs) - 1; {
	case l != nil && l.ordinal != m.ordinal:
		return ends
	case l == nil && newest >= 0 && m.ordinal <= s.logs[newest].ordinal:
		return ends
	case l == nil && newest >= 0 && !s.knows(m.log) && !s.knows(m.prev):
		s.stats.UnreadableMeta++
		s.cfg.Logger.Warn("tail marker of logs that were never here is not believed", "log", m.log, "previous", m.prev)
		return ends
	case l == nil:
		l = s.logOf(m.log, m.ordinal)
		l.lastAt = m.lastAt
	}
	if l.newest == nil || l.newest.number < m.number || l.newest.number == m.number && l.newest.end < m.end {
		n := m.newest
		l.newest = &n
	}
	l.prev, l.prevEnd = m.prev, m.prevEnd
	if !m.prev.IsZero() {
		ends[m.prev] = m.prevEnd
	}
	return ends
}

// knows says whether a log is in the directory, or is known elsewhere.
func (s *Store) knows(id record.LogID) bool {
	if l, _ := s.find(id); l != nil {
		return true
	}
	_, ok := s.known(id)
	return ok
}

// markTail takes where the log is durable now, for the next write of the marker.
// Caller holds appendMu and mu.
func (s *Store) markTail(l *logState) {
	if !s.cfg.TailMarker {
		return
	}
	g := l.segments[len(l.segments)-1]
	s.tail = tailMarker{
		log: l.id, ordinal: l.ordinal, newest: newest{number: g.id.number, first: g.first, end: l.tip.End},
		tip: l.tip, prev: l.prev, prevEnd: l.prevEnd, lastAt: l.lastAt,
	}
}

// keepTailMarker writes the marker while records come, until the Store closes.
func (s *Store) keepTailMarker() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.tailWake:
		}
		if !s.writeTailMarker() {
			s.wakeTailMarker()
		}
		select {
		case <-s.stop:
			return
		case <-time.After(tailMarkEvery):
		}
	}
}

func (s *Store) wakeTailMarker() {
	select {
	case s.tailWake <- struct{}{}:
	default:
	}
}

// writeTailMarker writes the marker where it changed. Steps, and what a crash after
// each leaves: overwrite the older slot (the newer one is whole, the other may be torn),
// fsync (the marker counts). A file that is not there, or on which a write or fsync
// failed, is made again (the one before, or the new one). False: it was not written, and
// is to be tried again.
func (s *Store) writeTailMarker() bool {
	s.mu.Lock()
	m := s.tail
	s.mu.Unlock()
	w := &s.tailWriter
	if m.log.IsZero() || m == w.last {
		return true
	}
	n, err := w.put(s.fs, TailMarkerName(s.cfg.Dir), &m)
	if err != nil {
		if !w.warned {
			s.cfg.Logger.Warn("tail marker not written: were the end of the log damaged now, nothing would tell", "error", err)
		}
		w.warned = true
		return false
	}
	w.last, w.warned = m, false
	s.mu.Lock()
	s.stats.TailMarks++
	s.stats.WrittenBytes += uint64(n)
	s.mu.Unlock()
	return true
}

// put writes a marker and returns how many bytes that were.
func (w *tailWriter) put(fsys durable.FS, name string, m *tailMarker) (n int, err error) {
	w.write++
	p := m.encode(w.write)
	if !w.made {
		p = append(p, make([]byte, tailFile-len(p))...)
		if err := durable.WriteFileAtomic(fsys, name, p); err != nil {
			return 0, err
		}
		w.made, w.slot = true, 1
		return len(p), nil
	}
	if w.file == nil {
		if w.file, err = fsys.OpenWrite(name); err != nil {
			w.file, w.made = nil, !errors.Is(err, fs.ErrNotExist)
			return 0, err
		}
	}
	if _, err = w.file.WriteAt(p, int64(w.slot)*tailPage); err == nil {
		err = w.file.SyncData()
	}
	if err != nil {
		w.made = false
		return 0, errors.Join(err, w.close())
	}
	w.slot = (w.slot + 1) % tailSlots
	return len(p), nil
}

func (w *tailWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}

// closeTailMarker marks the end of the log as such. Nothing is appended any more, and
// the Store's goroutines have ended.
func (s *Store) closeTailMarker() error {
	s.mu.Lock()
	s.tail.closed = true
	s.mu.Unlock()
	s.writeTailMarker()
	return s.tailWriter.close()
}
