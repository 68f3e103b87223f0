package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

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
	stores []*seglog.Store
	logs   map[string]*edgeState
	acked  []ackedLog
	notes  []string
}

// edgeState is what an edge holds of one log.
type edgeState struct {
	store     *seglog.Store
	id        record.LogID
	end       record.Offset
	held      []span // offsets that can be read there
	at        int    // the span of held that was looked at last
	compared  uint64
	differing uint64
}

// openEdgeLogs opens the directories and learns which offsets they hold.
func openEdgeLogs(c Config) (*edgeLogs, error) {
	e := &edgeLogs{logs: make(map[string]*edgeState)}
	for _, dir := range c.EdgeLogs {
		if err := e.open(c.FS, dir); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

func (e *edgeLogs) open(fsys durable.FS, dir string) error {
	store, err := seglog.Open(seglog.Config{FS: readOnly{fsys}, Dir: dir})
	if err != nil {
		return fmt.Errorf("open edge log %s: %w", dir, err)
	}
	e.stores = append(e.stores, store)
	if len(store.Logs()) == 0 {
		hint := ""
		if inner := filepath.Join(dir, "log"); holdsLog(fsys, inner) {
			hint = "; did you mean " + inner + "?"
		}
		return fmt.Errorf("%w in %s%s", ErrNoLog, dir, hint)
	}
	if err := e.readAcked(fsys, filepath.Join(filepath.Dir(filepath.Clean(dir)), "forward.state")); err != nil {
		return err
	}
	for _, info := range store.Logs() {
		s := &edgeState{store: store, id: info.ID, end: info.End}
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

// walk gives every block that a log still has, from an offset on.
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
// and compares the sums.
func (a *audit) compareEdge(ctx context.Context) error {
	seen := make(map[string]bool)
	for k, l := range a.logs {
		if l.edge == nil {
			continue
		}
		seen[k.log] = true
		if len(l.edge.held) == 0 {
			continue
		}
		if err := a.sumEdge(ctx, l); err != nil {
			return fmt.Errorf("read edge log %s: %w", k.log, err)
		}
		for _, c := range l.chunks {
			if c.edge != c.lake {
				l.edge.differing++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.edge.logs)) {
		if s := a.edge.logs[id]; !seen[id] && s.end > 0 {
			a.note("log %.8s is at the edge with %s offsets and not in the lake yet", id, s.end)
		}
	}
	a.compareAcked()
	return nil
}

func (a *audit) sumEdge(ctx context.Context, l *logState) error {
	var r record.Record
	return l.edge.walk(record.Offset(l.edge.held[0].from), func(b *record.Block) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		for off, payload := range b.Payloads {
			offset := uint64(off)
			if !l.has(offset) {
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

// errReadOnly answers whatever would change the edge's directory.
var errReadOnly = errors.New("opened for reading only")

// readOnly is a file system on which nothing changes: what removes or syncs
// is passed over, what writes is refused, and no lock is taken, so that a copy
// or a read-only mount can be audited.
type readOnly struct{ durable.FS }

// OpenWrite opens for reading; only fsync is asked of it while recovering.
func (r readOnly) OpenWrite(name string) (durable.File, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

func (readOnly) Create(string) (durable.File, error) { return nil, errReadOnly }
func (readOnly) Rename(string, string) error         { return errReadOnly }
func (readOnly) Link(string, string) error           { return errReadOnly }
func (readOnly) Mkdir(string) error                  { return errReadOnly }
func (readOnly) Remove(string) error                 { return nil }
func (readOnly) SyncDir(string) error                { return nil }
func (readOnly) Lock(string) (io.Closer, error)      { return io.NopCloser(nil), nil }

type readOnlyFile struct{ durable.File }

func (readOnlyFile) Write([]byte) (int, error)          { return 0, errReadOnly }
func (readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }
func (readOnlyFile) Truncate(int64) error               { return errReadOnly }
func (readOnlyFile) Sync() error                        { return nil }
func (readOnlyFile) SyncData() error                    { return nil }
