package seglog

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// Marks are kept in three places. Each block holds those that changed with it.
// Each segment begins with all of them as of its beginning, so that segments
// before it may go: in its header while they are few, else in files of their own,
// because a header's size must not grow with the number of sources, senders or
// gateways. Those of a source that is configured no more are set aside (aside.go).
//
// The files are a chain: a full set, which holds all marks, and after it a set for
// each segment, which holds those that changed since the set before. When the
// changes outgrow the full set, or there are many of them, the next set is a full
// one, and the chain before it goes. So what is written for marks is about twice
// what changed, and what lies on disk is at most some four times what they are.
const (
	// maxInlineMarks is how many bytes of marks a header holds.
	maxInlineMarks = 64 << 10
	// markPartBytes is where a file of marks ends and the set goes on in the next.
	markPartBytes = 1 << 20
	// maxMarkSets bounds the sets of a chain.
	maxMarkSets = 64
)

// markStore is what a Store knows of marks. The append path changes it, holding
// appendMu, or Open, alone; what other goroutines read is guarded by Store.mu too.
type markStore struct {
	all   map[string][]byte // guarded by mu
	size  int               // of all, encoded; guarded by mu
	files map[string]int64  // files of marks in Dir, and their sizes; guarded by mu

	changed  map[string]bool // since the chain's head
	chain    markChain
	number   uint64               // of the newest file that was ever tried
	numbers  []uint64             // of those found at Open
	obsolete []string             // files that are not needed once the next segment is durable
	asides   map[string]asideFile // files of marks set aside; guarded by mu
}

// markChain is the files that hold all marks but those changed since.
type markChain struct {
	head       uint64   // number of the newest; 0: there is no chain
	files      []uint64 // numbers of all
	sets       int
	full, more int64 // bytes of its full set, and of the sets after it
}

func newMarkStore() markStore {
	return markStore{all: map[string][]byte{}, files: map[string]int64{}, changed: map[string]bool{}, asides: map[string]asideFile{}}
}

// set keeps a mark. Caller holds mu, or is alone.
func (m *markStore) set(name string, value []byte) {
	old, ok := m.all[name]
	if ok {
		m.size -= markSize(name, old)
	}
	m.all[name] = append(old[:0], value...)
	m.size += markSize(name, value)
	m.changed[name] = true
}

// remove forgets a mark. Caller is alone.
func (m *markStore) remove(name string) {
	m.size -= markSize(name, m.all[name])
	delete(m.all, name)
	delete(m.changed, name)
}

// replace makes marks all there are, with nothing changed since. Caller is alone.
func (m *markStore) replace(marks map[string][]byte) {
	m.all, m.size, m.changed = marks, 0, map[string]bool{}
	for name, value := range marks {
		m.size += markSize(name, value)
	}
}

// keep takes the files of a chain from the obsolete ones.
func (m *markStore) keep(c markChain) {
	m.obsolete = slices.DeleteFunc(m.obsolete, func(name string) bool {
		n, ok := parseMarkFileName(name)
		return ok && slices.Contains(c.files, n)
	})
}

// leaveChain makes the next set a full one, after which the files of this chain go.
func (m *markStore) leaveChain() {
	for _, n := range m.chain.files {
		m.obsolete = append(m.obsolete, markFileName(n))
	}
	m.chain = markChain{}
}

// saveMarks puts all marks into the header of the segment to come, or into files
// that it names. Steps, and what a crash after each leaves: write the files of the
// set, the last one marked so (the newest segment's header names the set before,
// or holds the marks, and its blocks hold what changed: the same marks; a set
// without its last file is passed over); the segment with the header becomes
// durable (C1: it names the new set); the files of an older chain are removed
// (they are found and removed at a later Open). After an error the whole set is
// written again, with other numbers. Caller holds appendMu. Error: ErrFull, or
// the file system's.
func (s *Store) saveMarks(h *header) error {
	m := &s.marks
	h.marks, h.markFile, h.version = nil, 0, headerVersion
	if len(s.asideNames()) > 0 {
		h.version = headerMarked
	}
	if m.size <= s.cfg.inlineMarks {
		m.leaveChain()
		h.marks = m.all
		s.mu.Lock()
		s.stats.MarkBytesWritten += uint64(m.size)
		s.mu.Unlock()
		return nil
	}
	h.version = headerMarked
	if m.chain.sets >= maxMarkSets || m.chain.more > m.chain.full {
		m.leaveChain()
	}
	if m.chain.head == 0 || len(m.changed) > 0 {
		if err := s.writeMarkSet(); err != nil {
			return fmt.Errorf("write marks: %w", err)
		}
	}
	h.markFile = m.chain.head
	return nil
}

// writeMarkSet writes what changed, or all without a chain, and makes it the
// chain's head.
func (s *Store) writeMarkSet() error {
	m := &s.marks
	chain, size := m.chain, int64(0)
	chain.files = slices.Clone(chain.files)
	names := slices.Sorted(maps.Keys(m.changed))
	if chain.head == 0 {
		names = sortedKeys(m.all)
	}
	part := func(p []byte, last bool) error {
		m.number++
		f := markFile{number: m.number, previous: chain.head, last: last}
		name := markFileName(f.number)
		m.obsolete = append(m.obsolete, name) // unless all of them are written
		if err := s.writeMarkFile(name, f.seal(p)); err != nil {
			return err
		}
		chain.head, chain.files, size = f.number, append(chain.files, f.number), size+int64(len(p))
		return nil
	}
	p := newMarkFile()
	for _, name := range names {
		value := m.all[name]
		if len(p) > markFileFixed && len(p)+markSize(name, value) > s.cfg.markPart {
			if err := part(p, false); err != nil {
				return err
			}
			p = newMarkFile()
		}
		p = appendMark(p, name, value)
	}
	if err := part(p, true); err != nil {
		return err
	}
	if chain.sets++; chain.sets == 1 {
		chain.full = size
	} else {
		chain.more += size
	}
	m.chain, m.changed = chain, map[string]bool{}
	m.keep(chain)
	return nil
}

// writeMarkFile writes a file of marks. Where the disk has no room, a file that is
// ready to become a segment makes some: marks take little, and without them no
// segment can begin. Error: ErrFull, or the file system's.
func (s *Store) writeMarkFile(name string, p []byte) error {
	for {
		err := durable.WriteFileAtomic(s.fs, s.path(name), p)
		switch {
		case err == nil:
			s.mu.Lock()
			s.marks.files[name] = int64(len(p))
			s.stats.WrittenBytes += uint64(len(p))
			s.stats.MarkBytesWritten += uint64(len(p))
			s.mu.Unlock()
			return nil
		case !errors.Is(err, durable.ErrNoSpace):
			return err
		case s.freeRoom(), s.dropSpare():
			continue
		case s.cfg.Policy != ShedOldest || s.stuck():
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		if shed, errShed := s.shedOldest(); !shed || errShed != nil {
			return errors.Join(fmt.Errorf("%w: %w", ErrFull, err), errShed)
		}
	}
}

// dropObsoleteMarks removes the files that a durable segment made superfluous. Marks
// set aside that were handed on must not come back: a source of the old name would go
// on with them. Caller holds appendMu.
func (s *Store) dropObsoleteMarks() {
	m, aside := &s.marks, false
	for _, name := range m.obsolete {
		aside = aside || hasAsideSuffix(name)
		_ = s.discardUnknown(name)
		s.mu.Lock()
		delete(m.files, name)
		delete(m.asides, name)
		s.mu.Unlock()
	}
	m.obsolete = m.obsolete[:0]
	if aside {
		if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
			s.cfg.Logger.Warn("marks that were set aside may come back", "dir", s.cfg.Dir, "error", err)
		}
	}
}

// takeMark keeps a mark that has become durable. Caller holds mu, or is alone.
func (s *Store) takeMark(a record.Annotation) {
	if a.Type != record.AnnMark {
		return
	}
	m, err := a.Mark()
	if err != nil {
		s.stats.UnreadableMeta++
		return
	}
	s.marks.set(m.Name, m.Value)
}

// recoverMarks finds the marks as of the beginning of a segment, makes them those
// of the Store, and returns which segment of the newest log that is. From there on
// the blocks say what changed; those of older logs are read here. The segment is
// the newest whose header can be read and whose marks are there: in the header, or
// in a chain of files that reaches as far. So where segments are gone, marks are no
// further than the blocks that are left, and sources that resend fill the hole:
// unless a full set took the place of the one that the header names.
func (s *Store) recoverMarks(newest *logState, headers map[*segment]header) (from int, err error) {
	files, err := s.readMarkFiles()
	if err != nil {
		return 0, err
	}
	farthest := newestChain(files)
	m, marks := &s.marks, map[string][]byte(nil)
	var before []logSegment // to be read, newest first
	for at := range s.newestFirst() {
		before = append(before, at)
		h, ok := headers[at.segment]
		if !ok || h.markFile > farthest.head {
			continue
		}
		if marks = h.marks; h.markFile > 0 {
			if m.chain = chainTo(files, h.markFile); m.chain.head == 0 {
				m.chain = farthest // whose full set took the place of that one
			}
			marks = m.chain.marks(files)
		}
		break
	}
	if h := headers[newest.segments[len(newest.segments)-1]]; h.markFile > farthest.head {
		s.stats.UnreadableMeta++
		s.cfg.Logger.Error("files of marks are gone", "wanted", h.markFile, "found", farthest.head, "read from older blocks instead", marks != nil)
	}
	if marks == nil { // damaged headers: what the files say, and the blocks
		marks = farthest.marks(files)
	}
	m.replace(marks)
	for n := range files {
		m.obsolete = append(m.obsolete, markFileName(n))
	}
	m.keep(m.chain)
	for _, at := range slices.Backward(before) {
		if at.log == newest {
			return slices.Index(newest.segments, at.segment), nil
		}
		if err := s.scanMarks(at.segment); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// logSegment is a segment of a log.
type logSegment struct {
	log     *logState
	segment *segment
}

// newestFirst walks all segments.
func (s *Store) newestFirst() iter.Seq[logSegment] {
	return func(yield func(logSegment) bool) {
		for _, l := range slices.Backward(s.logs) {
			for _, g := range slices.Backward(l.segments) {
				if !yield(logSegment{l, g}) {
					return
				}
			}
		}
	}
}

// scanMarks takes the marks of a segment of an older log.
func (s *Store) scanMarks(g *segment) error {
	f, err := s.fs.Open(s.path(g.name))
	if err != nil {
		return fmt.Errorf("scan segment %s for marks: %w", g.name, err)
	}
	defer func() { _ = f.Close() }() // read only
	sc := &scanner{file: f, id: g.id, fresh: g.fresh, at: g.dataAt}
	for next := g.first; ; {
		block, _, ok, err := sc.next(g.limit)
		if err != nil {
			return fmt.Errorf("scan segment %s for marks: %w", g.name, err)
		}
		if !ok {
			return nil
		}
		if block.First < next || block.End() > g.end {
			continue
		}
		next = block.End()
		block.Annotations(func(a record.Annotation) bool { s.takeMark(a); return true })
	}
}
