package seglog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// Store is an open directory of logs.
type Store struct {
	cfg  Config
	fs   durable.FS
	lock io.Closer

	appendMu sync.Mutex // held by Append; guards app
	app      appender

	dirMu sync.Mutex // held while names of segments and tombstones go; before mu

	mu          sync.Mutex // guards what follows
	logs        []*logState
	marks       markStore
	spares      []spare
	strays      []stray // could not be removed
	quarantined []stray // the oldest first
	making      bool    // the keeper is making a spare
	made        sync.Cond
	spareNo     uint64
	changed     chan struct{} // closed at the next change; nil while nobody waits
	stats       Stats
	noted       map[span2]bool
	closed      bool
	measuring   bool // a goroutine measures segments of earlier starts

	tail       tailMarker // where the log is durable; guarded by mu
	tailWriter tailWriter
	tailLosses []TailLoss // found at Open; never changes after it

	keeperWake chan struct{}
	tailWake   chan struct{}
	stop       chan struct{}
	background sync.WaitGroup
	hasher     hasher
}

// span2 names damaged bytes, so that each is counted once a Store.
type span2 struct {
	segment string
	at      int64
}

// logState is one log of the directory.
type logState struct {
	id       record.LogID
	ordinal  uint64
	segments []*segment    // by number; ranges ascend without overlap
	shed     []offsetRange // given up and not yet released, ascending
	newest   *newest       // as noted; nil: not, or no more
	end      record.Offset
	active   bool
	released record.Offset // nobody needs anything below
	prev     record.LogID
	prevEnd  record.Offset
	lastAt   record.Micros
	tip      Tip // where it ends, once that was read or appended; End 0: not yet
}

type offsetRange struct{ from, to record.Offset }

// segment is one file of a log. Its fields are guarded by Store.mu.
type segment struct {
	name    string // within Dir
	ordinal uint64
	id      segmentID
	first   record.Offset
	end     record.Offset
	size    int64 // of the file
	dataAt  int64 // where frames begin; 0 when the header is damaged
	limit   int64 // no valid frame ends beyond
	extent  int64 // bytes of its frames; unmeasured: not known
	fresh   bool
	lacking int64 // bytes cut off the file since it was written
	firstAt record.Micros

	file    durable.File // for Readers; nil while there is none
	readers int
	dropped bool // no longer listed; its file goes with the last Reader
}

// LogInfo describes one log.
type LogInfo struct {
	ID      record.LogID
	Ordinal uint64
	First   record.Offset // oldest offset not released
	End     record.Offset // DurableOffset of the active log; the end of a closed one
	Closed  bool          // it takes no more records
	Bytes   int64         // of its segments' files
	FirstAt record.Micros // about when the oldest kept record was received; NoTime when unknown
	LastAt  record.Micros // when the last record was received; NoTime when unknown
	Prev    record.LogID  // the log before it, zero when none or unknown
	PrevEnd record.Offset // where Prev ended
}

// Stats counts what a Store did since Open, and what it holds.
type Stats struct {
	// Bytes are held: files of segments, spare ones included, of marks, set aside or not, and
	// of quarantine, and such as could not be removed.
	Bytes    int64
	Segments int // held
	Spares   int // held, ready to become segments

	Strays          int   // files that nobody needs and that could not be removed yet
	StrayBytes      int64 // of them
	QuarantineBytes int64 // of copies of damaged places

	Marks            int    // held, of the sources that there are
	MarkBytes        int64  // of them, with their names
	MarkFileBytes    int64  // held: files of marks
	MarkBytesWritten uint64 // bytes written for marks beside blocks: in headers, files and files set aside
	MarksAside       int    // held: sources whose marks are set aside
	MarkAsideBytes   int64  // held: files of marks set aside

	Appends        uint64 // groups made durable
	Records        uint64 // records made durable
	AppendedBytes  uint64 // bytes of blocks made durable
	WrittenBytes   uint64 // bytes handed to the file system: blocks, frames, headers, zeros, tombstones
	Syncs          uint64 // fsyncs on the append path
	FailedSegments uint64 // files given up after a failed write or fsync

	CorruptBlocks  uint64 // damaged places met, each once
	CorruptBytes   uint64 // bytes of them
	CorruptOffsets uint64 // offsets declared as Gap for damage or a missing segment, by Readers; again by each Reader
	CutTails       uint64 // logs whose end was followed by bytes that are no block
	CutTailBytes   uint64 // those bytes, and those cut off the file
	Quarantined    uint64 // damaged places copied to quarantine
	// QuarantineDropped counts copies given up again to make room for records.
	QuarantineDropped uint64
	Truncated         uint64 // segments whose file is shorter than it was
	Beheaded          uint64 // logs whose newest segment was not there at Open
	UnreadableMeta    uint64 // segment headers, tombstones, notes, tail markers and files of marks that could not be read
	Orphans           uint64 // names in Dir that are none of ours

	TailMarks       uint64 // times that the tail marker was written
	TailLosses      uint64 // logs at whose end offsets were missing at Open
	TailLostOffsets uint64 // those offsets

	ShedSegments     uint64 // segments given up by the policy
	ShedOffsets      uint64 // offsets in them
	ReleasedSegments uint64 // segments released
	FailedRemovals   uint64 // files that nobody needs and that could not be removed at once
	Recycled         uint64 // files reused as spares
}

// Open takes the directory, recovers what it holds and starts the Store's
// goroutines. It reads the header of every segment and the whole of the newest
// one, and fsyncs that one and the directory before it relies on them. Damage
// is never an error. Errors: durable.ErrLocked, record.ErrVersion, and those
// of the file system.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := durable.MkdirAllSync(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open log store %s: %w", cfg.Dir, err)
	}
	s := &Store{
		cfg: cfg, fs: cfg.FS, lock: lock, marks: newMarkStore(), noted: map[span2]bool{},
		keeperWake: make(chan struct{}, 1), tailWake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	s.made.L = &s.mu
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log store %s: %w", cfg.Dir, err), s.closeFiles(), lock.Close())
	}
	s.hasher = newHasher()
	s.background.Go(func() { s.hasher.run(s.stop) })
	if !cfg.inlineSpares {
		s.background.Go(s.keep)
		s.background.Go(s.keepTailMarker)
		s.wakeKeeper()
	}
	return s, nil
}

// Close ends the Store: no Append is in flight when it returns, its goroutines
// are joined and the lock is free. Everything appended was durable before.
// Readers fail with ErrClosed, waiters return it.
func (s *Store) Close() error {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.notify()
	s.mu.Unlock()
	s.noteNewest(true)
	close(s.stop)
	s.background.Wait()
	err := errors.Join(s.closeTailMarker(), s.app.close())
	err = errors.Join(err, s.closeFiles(), s.lock.Close())
	if err != nil {
		return fmt.Errorf("close log store %s: %w", s.cfg.Dir, err)
	}
	return nil
}

func (s *Store) closeFiles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, l := range s.logs {
		for _, g := range l.segments {
			if g.file != nil && g.readers == 0 {
				err = errors.Join(err, g.file.Close())
				g.file = nil
			}
		}
	}
	return err
}

// Active gives the log that this Store appends to, once it is durable.
func (s *Store) Active() (record.LogID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.logs); n > 0 && s.logs[n-1].active {
		return s.logs[n-1].id, true
	}
	return record.LogID{}, false
}

// Logs lists the logs in opening order.
func (s *Store) Logs() []LogInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]LogInfo, 0, len(s.logs))
	for _, l := range s.logs {
		infos = append(infos, l.info(s.closed))
	}
	return infos
}

func (l *logState) info(storeClosed bool) LogInfo {
	in := LogInfo{
		ID: l.id, Ordinal: l.ordinal, First: l.end, End: l.end, Closed: !l.active || storeClosed,
		FirstAt: record.NoTime, LastAt: l.lastAt, Prev: l.prev, PrevEnd: l.prevEnd,
	}
	switch {
	case len(l.segments) > 0:
		in.First, in.FirstAt = l.segments[0].first, l.segments[0].firstAt
	case l.newest != nil:
		in.First = 0 // whatever was not released is gone
	}
	if len(l.shed) > 0 {
		in.First = min(in.First, l.shed[0].from)
	}
	in.First = min(max(in.First, l.released), l.end)
	for _, g := range l.segments {
		in.Bytes += g.size
	}
	return in
}

// Marks gives the last durable mark of each name, across all logs.
func (s *Store) Marks() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string][]byte, len(s.marks.all))
	for k, v := range s.marks.all {
		m[k] = slices.Clone(v)
	}
	return m
}

// Stats gives the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Bytes, st.Segments, st.Spares, st.Strays = s.heldBytes(), 0, len(s.spares), len(s.strays)
	st.StrayBytes, st.QuarantineBytes = s.strayBytes()
	st.Marks, st.MarkBytes, st.MarkFileBytes = len(s.marks.all), int64(s.marks.size), s.markFileBytes()
	st.MarksAside, st.MarkAsideBytes = len(s.marks.asides), s.asideBytes()
	for _, l := range s.logs {
		st.Segments += len(l.segments)
	}
	return st
}

// heldBytes is what the quota counts. Caller holds mu.
func (s *Store) heldBytes() int64 {
	strays, quarantined := s.strayBytes()
	n := s.markFileBytes() + s.asideBytes() + strays + quarantined
	for _, p := range s.spares {
		n += p.size
	}
	for _, l := range s.logs {
		for _, g := range l.segments {
			n += g.size
		}
	}
	return n
}

// Wait returns nil when DurableOffset of log is beyond the given offset or a
// newer log exists. Errors: the context's, ErrUnknownLog, ErrClosed.
func (s *Store) Wait(ctx context.Context, log record.LogID, beyond record.Offset) error {
	for {
		s.mu.Lock()
		l, newest := s.find(log)
		switch {
		case s.closed:
			s.mu.Unlock()
			return ErrClosed
		case l == nil:
			s.mu.Unlock()
			return fmt.Errorf("wait for log %s: %w", log, ErrUnknownLog)
		case l.end > beyond || !newest:
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notify wakes waiters. Caller holds mu.
func (s *Store) notify() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// find gives a log, nil when unknown, and whether it is the newest. Caller
// holds mu.
func (s *Store) find(id record.LogID) (l *logState, newest bool) {
	for i := len(s.logs) - 1; i >= 0; i-- {
		if s.logs[i].id == id {
			return s.logs[i], i == len(s.logs)-1
		}
	}
	return nil, false
}

func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }
