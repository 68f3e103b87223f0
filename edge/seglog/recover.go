package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// recover builds the Store's state from the directory. It runs before any
// other goroutine knows the Store. Steps: make the names durable that are
// relied on; read names, tombstones, notes and headers; cut each segment where the
// next one of its log begins; fsync and scan the newest segment; learn where
// older logs ended; finish sheds that a crash interrupted.
func (s *Store) recover() error {
	if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
		return err
	}
	mark, marked, err := s.readTailMarker() // before the names: whatever it tells of was there before they are read
	if err != nil {
		return err
	}
	entries, err := s.fs.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	headers := map[*segment]header{}
	for _, e := range entries {
		if err := s.recoverName(e, headers); err != nil {
			return err
		}
	}
	s.sortLogs()
	ends := map[record.LogID]record.Offset{}
	if marked {
		ends = s.takeTailMarker(&mark)
		s.sortLogs()
	}
	s.knowPrevious(headers, ends)
	missing := s.takeKnownLogs(ends)
	for _, l := range s.logs {
		s.cutSegments(l)
	}
	if err := s.recoverEnds(headers, ends); err != nil {
		return err
	}
	s.keepEnds(&mark)
	s.keepMissing(missing)
	for _, l := range s.logs {
		if err := s.finishShed(l); err != nil {
			return err
		}
	}
	s.forgetEmptyLogs()
	return s.settleMarks()
}

func (s *Store) sortLogs() {
	slices.SortFunc(s.logs, func(a, b *logState) int {
		return cmp.Or(cmp.Compare(a.ordinal, b.ordinal), slices.Compare(a.id[:], b.id[:]))
	})
}

// recoverName takes one name of the directory.
func (s *Store) recoverName(e fs.DirEntry, headers map[*segment]header) error {
	name := e.Name()
	if ordinal, id, first, ok := parseSegmentName(name); ok {
		g := &segment{name: name, ordinal: ordinal, id: id, first: first, firstAt: record.NoTime}
		h, err := s.recoverSegment(g)
		if err != nil {
			return fmt.Errorf("recover segment %s: %w", name, err)
		}
		l := s.logOf(id.log, ordinal)
		l.segments = append(l.segments, g)
		if h != nil {
			headers[g] = *h
		}
		return nil
	}
	if n, ok := parseSpareName(name); ok {
		return s.recoverSpare(name, n)
	}
	if n, ok := parseMarkFileName(name); ok {
		return s.recoverMarkFile(name, n)
	}
	switch {
	case hasShedSuffix(name):
		return s.recoverTombstone(name)
	case hasNewestSuffix(name):
		return s.recoverNewest(name)
	case hasAsideSuffix(name):
		s.recoverAside(name)
	case isTemp(name):
		_ = s.discardUnknown(name)
	case name == quarantineName:
		s.recoverQuarantine()
	case name == lockName, name == OwnerName:
	default:
		s.stats.Orphans++
		s.cfg.Logger.Warn("unknown file in log directory", "dir", s.cfg.Dir, "name", name)
	}
	return nil
}

func (s *Store) logOf(id record.LogID, ordinal uint64) *logState {
	for _, l := range s.logs {
		if l.id == id && l.ordinal == ordinal {
			return l
		}
	}
	l := &logState{id: id, ordinal: ordinal, lastAt: record.NoTime}
	s.logs = append(s.logs, l)
	return l
}

// recoverSegment reads the size and the header. A damaged header, or one that
// belongs to another name, costs the marks in it and nothing else: frames are
// found by search, under the identity that stands in the name.
func (s *Store) recoverSegment(g *segment) (*header, error) {
	f, err := s.fs.Open(s.path(g.name))
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	var h *header
	if err == nil {
		h, err = readHeader(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	g.size, g.limit, g.extent = size, size, unmeasured
	if h != nil && (h.id != g.id || h.ordinal != g.ordinal || h.first != g.first) {
		h = nil
	}
	if h == nil {
		s.stats.UnreadableMeta++
		s.cfg.Logger.Warn("segment header damaged", "segment", g.name)
		return nil, nil
	}
	g.fresh, g.firstAt, g.dataAt = h.fresh, h.firstAt, h.size
	if g.lacking = max(0, h.fileSize-size); g.lacking > 0 {
		s.stats.Truncated++
		s.cfg.Logger.Error("segment cut short", "segment", g.name, "bytes", size, "written", h.fileSize)
	}
	return h, nil
}

// readHeader gives nil for a damaged header.
func readHeader(f durable.File) (*header, error) {
	p := make([]byte, headerAlign)
	n, err := readPages(f, p, 0)
	if err != nil {
		return nil, err
	}
	length, err := headerLength(p[:n])
	if err != nil {
		return nil, nil
	}
	if length > n {
		p = make([]byte, length)
		if n, err = readPages(f, p, 0); err != nil {
			return nil, err
		}
		length = min(length, n)
	}
	h, err := parseHeader(p[:length])
	if errors.Is(err, record.ErrVersion) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return &h, nil
}

// cutSegments sorts a log's segments and ends each where the next begins, be it
// there or noted. A segment left with nothing was superseded after a failed
// fsync, and goes.
func (s *Store) cutSegments(l *logState) {
	slices.SortFunc(l.segments, func(a, b *segment) int { return cmp.Compare(a.id.number, b.id.number) })
	kept := l.segments[:0]
	for i, g := range l.segments {
		g.end = record.Offset(1<<64 - 1)
		for _, later := range l.segments[i+1:] {
			g.end = min(g.end, later.first)
		}
		if l.newest != nil && g.id.number < l.newest.number {
			g.end = min(g.end, l.newest.first)
		}
		if g.end > g.first {
			kept = append(kept, g)
			continue
		}
		_ = s.discard(g.name, g.size)
	}
	l.segments = kept
}

// knowPrevious has each log know the one before it, and ends where that one ended.
func (s *Store) knowPrevious(headers map[*segment]header, ends map[record.LogID]record.Offset) {
	for _, l := range s.logs {
		for _, g := range l.segments {
			if h, ok := headers[g]; ok {
				l.prev, l.prevEnd = h.prev, h.prevEnd
				ends[h.prev] = h.prevEnd
			}
		}
	}
}

// recoverEnds finds where each log ended and the marks. A log's end is what
// the opening of the next log said; for the newest log it is searched for, and is at
// least what the note, the tail marker and Config.Known say. ends are those that the
// marker and the logs after them tell.
func (s *Store) recoverEnds(headers map[*segment]header, ends map[record.LogID]record.Offset) error {
	newest := s.newestWithSegments()
	if newest == nil { // no block is left that they could be true of
		for _, n := range s.marks.numbers {
			s.marks.obsolete = append(s.marks.obsolete, markFileName(n))
		}
	}
	for _, l := range s.logs {
		end, known := ends[l.id]
		searched := len(l.segments) > 0 && (!known || l == newest)
		switch {
		case searched:
			if err := s.scanNewest(l, headers, l == newest); err != nil {
				return err
			}
		case len(l.segments) == 0:
			l.end = max(end, l.shedEnd())
		default:
			l.end = max(end, l.segments[len(l.segments)-1].first)
		}
		s.reachEnd(l, end, known, searched)
	}
	return nil
}

func (s *Store) newestWithSegments() *logState {
	for i := len(s.logs) - 1; i >= 0; i-- {
		if len(s.logs[i].segments) > 0 {
			return s.logs[i]
		}
	}
	return nil
}

// scanNewest scans the last segment of a log for its end, and from the last
// readable header for times, from where recoverMarks says for marks. It fsyncs the segment first.
func (s *Store) scanNewest(l *logState, headers map[*segment]header, newest bool) error {
	from := len(l.segments) - 1
	if newest {
		var err error
		if from, err = s.recoverMarks(l, headers); err != nil {
			return err
		}
	}
	for _, g := range l.segments[from:] {
		if h, ok := headers[g]; ok {
			l.lastAt = h.lastAt
		}
		last := g == l.segments[len(l.segments)-1]
		if err := s.scanSegment(l, g, last, newest); err != nil {
			return fmt.Errorf("scan segment %s: %w", g.name, err)
		}
	}
	return nil
}

// scanSegment walks a segment's blocks for end, marks and times, and makes
// durable what it found.
func (s *Store) scanSegment(l *logState, g *segment, last, newest bool) error {
	f, err := s.fs.OpenWrite(s.path(g.name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // fsynced below
	l.end = g.first
	sc := &scanner{file: f, id: g.id, fresh: g.fresh, at: g.dataAt}
	tail := span{}
	for {
		block, damage, ok, err := sc.next(g.limit)
		if err != nil {
			return err
		}
		if !ok {
			if cut := uint64(damage.size + g.lacking); last && cut > 0 {
				s.noteCut(g, cut, newest)
			}
			return s.settle(f, tail)
		}
		if block.First < l.end || block.End() > g.end {
			continue
		}
		l.end, g.extent = block.End(), sc.at-g.dataAt
		at := damage.at + damage.size
		tail = span{at, sc.at - at}
		if newest {
			block.Annotations(func(a record.Annotation) bool { s.takeMark(a); return true })
		}
		if at, ok := lastReceived(&block); ok {
			l.lastAt = at
		}
	}
}

func (s *Store) noteCut(g *segment, cut uint64, newest bool) {
	s.stats.CutTails++
	s.stats.CutTailBytes += cut
	if newest {
		s.app.cutTail = cut
	}
	s.cfg.Logger.Warn("tail cut", "segment", g.name, "bytes", cut)
}

// settle makes a recovered segment durable. Its last frame alone may not be,
// and an fsync that failed before may have left the frame's pages clean though
// the disk does not hold them: so the same bytes are written in place again
// before the fsync. Where they cannot be written the fsync must do.
func (s *Store) settle(f durable.File, tail span) error {
	p := make([]byte, tail.size)
	n, err := readPages(f, p, tail.at)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(p[:n], tail.at); err != nil {
		s.cfg.Logger.Warn("tail not written again", "error", err)
	}
	return f.Sync()
}

// lastReceived gives ReceivedAt of a block's last record, where the block
// holds captured records: those have a base time.
func lastReceived(b *record.Block) (record.Micros, bool) {
	if b.BaseTime == 0 || b.Count == 0 {
		return 0, false
	}
	var r record.Record
	var payload []byte
	b.Payloads(func(_ record.Offset, p []byte) bool { payload = p; return true })
	if err := b.DecodeRecord(payload, &r); err != nil {
		return 0, false
	}
	return r.ReceivedAt, true
}

// forgetEmptyLogs drops logs of which nothing is left but the name.
func (s *Store) forgetEmptyLogs() {
	s.logs = slices.DeleteFunc(s.logs, func(l *logState) bool {
		return !l.active && len(l.segments) == 0 && len(l.shed) == 0 && l.newest == nil
	})
}
