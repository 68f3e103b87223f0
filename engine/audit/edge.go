package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// ErrNoLog says that a directory holds no log of a gateway, so that nothing can be
// compared with it.
var ErrNoLog = errors.New("there is no log of a gateway")

// errEnough ends a walk.
var errEnough = errors.New("enough was read")

// edgeLogs are gateways' own log directories, opened without changing them.
type edgeLogs struct {
	fs     durable.FS
	dirs   []string
	stores []*seglog.Store
	logs   map[string]*edgeState
	acked  []ackedLog
	books  []bookLog
	notes  []string
}

// edgeState is what an edge holds of one log.
type edgeState struct {
	store     *seglog.Store
	id        record.LogID
	end       record.Offset
	segments  bool   // some of its segments are there
	newest    bool   // no log of the directory is newer
	whole     bool   // its last block can be read: it is there up to end
	held      []span // offsets that can be read there
	at        int    // the span of held that was looked at last
	gaps      []span // offsets that cannot be read there, though older ones may be
	compared  uint64
	differing uint64
}

// An edge that runs on its directory may remove what is being read: then it is
// read again.
const (
	edgeTries = 10
	edgeAgain = 50 * time.Millisecond
)

// openEdgeLogs opens the directories and learns which offsets they hold.
func openEdgeLogs(ctx context.Context, c Config) (*edgeLogs, error) {
	e := &edgeLogs{fs: durable.ReadOnly(c.FS), logs: make(map[string]*edgeState)}
	for _, dir := range c.EdgeLogs {
		if err := e.open(ctx, dir); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// noSegmentBytes is the size of no segment, so that seglog reuses no file.
const noSegmentBytes = seglog.MinSegmentBytes + 1

// openDir opens a directory and finds where its logs end, until that is whole or the
// tries are used up.
func (e *edgeLogs) openDir(ctx context.Context, dir string) (store *seglog.Store, ends map[record.LogID]seglog.Tip, err error) {
	for try := 1; ; try++ {
		whole := false
		store, ends, whole, err = e.openOnce(dir)
		if err == nil && (whole || try == edgeTries) {
			return store, ends, nil
		}
		if err != nil && (try == edgeTries || !errors.Is(err, fs.ErrNotExist)) {
			return nil, nil, fmt.Errorf("open edge log %s: %w", dir, err)
		}
		if store != nil {
			if err := store.Close(); err != nil {
				return nil, nil, err
			}
		}
		select {
		case <-time.After(edgeAgain):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (e *edgeLogs) openOnce(dir string) (store *seglog.Store, ends map[record.LogID]seglog.Tip, whole bool, err error) {
	if _, err := e.fs.Stat(dir); err != nil {
		return nil, nil, false, err
	}
	store, err = seglog.Open(seglog.Config{FS: e.fs, Dir: dir, SegmentBytes: noSegmentBytes})
	if err != nil {
		return nil, nil, false, err
	}
	ends, whole = make(map[record.LogID]seglog.Tip), store.Stats().Beheaded == 0
	for _, info := range store.Logs() {
		if ends[info.ID], err = store.Tip(info.ID); err != nil {
			return nil, nil, false, errors.Join(err, store.Close())
		}
		whole = whole && (info.Bytes == 0 || info.End == 0 || hasTip(ends[info.ID]))
	}
	return store, ends, whole, nil
}

// hasTip tells whether the last block below an end was read.
func hasTip(t seglog.Tip) bool { return t.Chain != record.Hash{} }

func (e *edgeLogs) open(ctx context.Context, dir string) error {
	store, ends, err := e.openDir(ctx, dir)
	if err != nil {
		return err
	}
	e.stores, e.dirs = append(e.stores, store), append(e.dirs, dir)
	if len(store.Logs()) == 0 {
		hint := ""
		if inner := filepath.Join(dir, "log"); holdsLog(e.fs, inner) {
			hint = "; did you mean " + inner + "?"
		}
		return fmt.Errorf("%w in %s%s", ErrNoLog, dir, hint)
	}
	data := filepath.Dir(filepath.Clean(dir))
	if err := e.readAcked(e.fs, filepath.Join(data, "forward.state")); err != nil {
		return err
	}
	if err := e.readBook(filepath.Join(data, "tips")); err != nil {
		return err
	}
	for i, info := range store.Logs() {
		s := &edgeState{store: store, id: info.ID, end: info.End, segments: info.Bytes > 0, newest: i == len(store.Logs())-1, whole: hasTip(ends[info.ID])}
		err := s.walk(info.First, func(b *record.Block) error {
			s.held = append(s.held, span{uint64(b.First), uint64(b.End())})
			if len(s.held) >= 2 && s.held[len(s.held)-2].to == uint64(b.First) {
				s.held = s.held[:len(s.held)-1]
				s.held[len(s.held)-1].to = uint64(b.End())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read edge log %s in %s: %w", info.ID, dir, err)
		}
		e.logs[info.ID.String()] = s
	}
	return nil
}

// reopen learns where the logs end now: an edge that runs has gone on.
func (e *edgeLogs) reopen(ctx context.Context) error {
	for _, dir := range e.dirs {
		store, ends, err := e.openDir(ctx, dir)
		if err != nil {
			return err
		}
		for id, tip := range ends {
			if s := e.logs[id.String()]; s != nil && tip.End > s.end {
				s.gaps = append(s.gaps, span{uint64(s.end), uint64(tip.End)})
				s.end, s.whole = tip.End, hasTip(tip)
			}
		}
		if err := store.Close(); err != nil {
			return err
		}
	}
	return nil
}

// walk hands over every block that a log still has, from an offset on, and notes the
// offsets that cannot be read.
func (s *edgeState) walk(from record.Offset, take func(*record.Block) error) (err error) {
	r, err := s.store.Reader(s.id, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, seglog.ErrCaughtUp) {
			return nil
		}
		if err != nil {
			return err
		}
		if item.IsGap() {
			s.gaps = append(s.gaps, span{uint64(item.Gap.From), uint64(item.Gap.To)})
			continue
		}
		if err := take(&item.Block); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// holds tells whether an offset can be read at the edge.
func (s *edgeState) holds(offset uint64) bool {
	if s.at < len(s.held) && s.held[s.at].from <= offset && offset < s.held[s.at].to {
		return true
	}
	for i, h := range s.held {
		if h.from <= offset && offset < h.to {
			s.at = i
			return true
		}
	}
	return false
}

// Close lets go of the directories.
func (e *edgeLogs) Close() error {
	var errs []error
	for _, s := range e.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// compareEdge sums up the bytes that the edge holds of what the lake records,
// and compares the sums; then where the logs end.
func (a *audit) compareEdge(ctx context.Context) error {
	seen, short := make(map[string]bool), false
	for k, l := range a.logs {
		if l.edge == nil {
			continue
		}
		seen[k.log] = true
		short = short || uint64(l.edge.end) < l.found()
		if len(l.edge.held) == 0 {
			continue
		}
		if err := a.sumEdge(ctx, l); err != nil {
			return fmt.Errorf("read edge log %s: %w", k.log, err)
		}
		l.edge.gaps = merge(l.edge.gaps)
		for no, c := range l.chunks {
			if l.differsFromEdge(no, c) {
				l.edge.differing++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.edge.logs)) {
		if s := a.edge.logs[id]; !seen[id] && s.end > 0 {
			a.note("log %.8s is at the edge with %s offsets and not in the lake yet", id, s.end)
			a.unproven = append(a.unproven, fmt.Sprintf("%s offsets of log %s, which is at the edge and not in the lake yet", s.end, id))
		}
	}
	if short { // or the edge captured more since it was read
		if err := a.edge.reopen(ctx); err != nil {
			return err
		}
	}
	a.compareEnds()
	a.compareAcked()
	a.compareBook()
	return nil
}

// compareEnds finds logs that end at the edge before they do in the lake: what is
// acknowledged is in the edge's log as long as any of its segments is.
func (a *audit) compareEnds() {
	for _, k := range slices.SortedFunc(maps.Keys(a.logs), compareKeys) {
		l := a.logs[k]
		if l.edge == nil {
			continue
		}
		l.edge.gaps = merge(l.edge.gaps)
		if have, end := l.found(), uint64(l.edge.end); end < have && (l.edge.segments || l.edge.newest) {
			a.edgeShort(k, end, have, fmt.Sprintf("the lake has it up to offset %d", have))
		} else if end > 0 && !l.edge.whole && l.closedAt == nil {
			a.note("log %.8s of %s: its last block cannot be read at the gateway, so that does not show where the log ends", k.log, k.gateway)
		}
	}
}

// edgeShort finds that a log ends too early at the edge.
func (a *audit) edgeShort(k logKey, end, want uint64, why string) {
	f := k.of(KindEdge, "log %s of %s ends at offset %d in the gateway's own log, and %s: the gateway's log was cut or damaged, or is a copy of an earlier time", k.log, k.gateway, end, why)
	f.Offsets = offsets(end, want)
	a.find(f)
}

// differsFromEdge tells whether a chunk has other bytes at the edge. One of which
// the edge lost something since it was read cannot be compared.
func (l *logState) differsFromEdge(no uint64, c *chunk) bool {
	if l.edge == nil || c.edge == c.lake {
		return false
	}
	from, to := no<<chunkBits, (no+1)<<chunkBits
	for _, h := range l.edge.held {
		for _, g := range l.edge.gaps {
			if max(from, h.from, g.from) < min(to, h.to, g.to) {
				return false
			}
		}
	}
	return true
}

func (a *audit) sumEdge(ctx context.Context, l *logState) error {
	var r record.Record
	return l.edge.walk(record.Offset(l.edge.held[0].from), func(b *record.Block) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		for off, payload := range b.Payloads {
			offset := uint64(off)
			if !l.has(offset) && !l.isAside(offset) {
				continue
			}
			if err := b.DecodeRecord(payload, &r); err != nil {
				return err
			}
			l.edge.compared++
			l.chunk(offset).edge.add(a.key.bytes(offset, r.Raw))
		}
		return nil
	})
}
