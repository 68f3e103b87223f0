package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
	"landfall/edge/wire"
)

// tipBook is the gateway's book of the ends of its logs and of what the cloud told
// of its ledger, and its file. Its methods may be called from any goroutine.
//
// Steps of a log's life, and what a crash after each one leaves: the log is
// written (at the next start its end is read from it and added, before a newer
// log exists); it ends in order and its end is added; the cloud acknowledges it
// whole, which is noted before its last segment may be released (the next start
// reads what was acknowledged from the forwarding state). An end in the file is
// never lowered.
//
// Anchors, the ledger entries that the cloud told, come with answers, so they are
// written at most once in anchorsEvery, and whenever the file is written anyway, as
// at a stop. A crash leaves older ones: they prove less, and nothing that is not so.
// A contradiction, which may not be told again, is written at once.
//
// A file that cannot be written stops nothing: it is tried again, at the latest by
// the next start.
type tipBook struct {
	fs      durable.FS
	path    string
	gateway string
	clock   clock.Clock
	logger  *slog.Logger

	mu     sync.Mutex
	book   *tips.Book // guarded by mu
	dirty  bool       // the file could not be written; guarded by mu
	behind bool       // it lacks an anchor; guarded by mu
	// anchorsAt is when it was written for an anchor, by the monotonic clock; zero:
	// not since the start; guarded by mu.
	anchorsAt time.Time
	forks     []string // contradictions that were told since the start; guarded by mu
}

// anchorsEvery is how often at most the file is written for anchors alone.
const anchorsEvery = 10 * time.Minute

// maxForks bounds how many contradictions are shown.
const maxForks = 8

// openTips reads the book, and adds the logs of store, all of which have ended:
// under the name that the gateway had. A damaged file is set aside, and the book
// begins again. Errors: record.ErrVersion, and those of the file system.
func openTips(c *Config, opt *Options, store *seglog.Store, was string, acked map[record.LogID]record.Offset) (*tipBook, error) {
	t := &tipBook{fs: opt.FS, path: c.TipsFile(), gateway: c.Gateway, clock: opt.Clock, logger: opt.Logger}
	var err error
	t.book, err = loadTips(t.fs, t.path)
	if errors.Is(err, record.ErrCorrupt) || errors.Is(err, durable.ErrMedia) {
		aside := fmt.Sprintf("%s.damaged-%s", t.path, time.Now().UTC().Format("20060102T150405.000Z"))
		t.logger.Error("the book of the ends of logs is damaged: it is set aside and begun again with the logs that are on disk", "path", t.path, "aside", aside, "error", err)
		if err = t.fs.Rename(t.path, aside); err == nil {
			err = t.fs.SyncDir(c.DataDir)
		}
		t.book, t.dirty = new(tips.Book), true
	}
	if err != nil {
		return nil, fmt.Errorf("open the book of the ends of logs: %w", err)
	}
	if was == "" {
		was = c.Gateway
	}
	t.addEnded(was, store, acked)
	return t, nil
}

// loadTips reads the file; absent is an empty book. Errors: record.ErrCorrupt,
// record.ErrVersion, and the file system's.
func loadTips(fsys durable.FS, path string) (*tips.Book, error) {
	p, err := durable.ReadFileUpTo(fsys, path, tips.MaxBookBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return new(tips.Book), nil
	case errors.Is(err, durable.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", err, record.ErrCorrupt)
	case err != nil:
		return nil, err
	}
	return tips.DecodeBook(p)
}

// findTips returns the ends of the logs in a store. Where known has the whole of
// one it is not read. An error leaves out what could not be read, not the log.
func findTips(store *seglog.Store, known *tips.Book, acked map[record.LogID]record.Offset) (found []tips.Tip, err error) {
	for _, l := range store.Logs() {
		if t, ok := known.Find(l.ID); ok && t.End == l.End && t.Digest != "" && t.Chain != "" {
			t.Acked = acked[l.ID]
			found = append(found, t)
			continue
		}
		end, errTip := store.Tip(l.ID)
		if errTip != nil {
			end, err = seglog.Tip{End: l.End}, errors.Join(err, errTip)
		}
		t := tips.Tip{Log: l.ID.String(), End: end.End, Acked: acked[l.ID]}
		if !l.Prev.IsZero() {
			t.Previous = l.Prev.String()
		}
		if end.DigestKnown {
			t.Digest = end.Digest.String()
		}
		if end.Chain != (record.Hash{}) {
			t.Chain = end.Chain.String()
		}
		found = append(found, t)
	}
	return found, err
}

// addEnded adds the logs of store, to which nothing is appended any more, and
// writes the file when any of it is news. New logs belong to the given name.
func (t *tipBook) addEnded(gateway string, store *seglog.Store, acked map[record.LogID]record.Offset) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := findTips(store, t.book, acked)
	if err != nil {
		t.logger.Error("the end of a log cannot be read", "error", err)
	}
	for i := range found {
		found[i].Closed = true
	}
	if t.book.Learn(gateway, found) || t.dirty || t.behind {
		t.write()
	}
}

// anchored takes the newest entry of a task's ledger that the cloud told. A
// contradiction of what it told before is kept and shown.
func (t *tipBook) anchored(tip wire.LedgerTip) {
	wall, _ := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	news, fork := t.book.Anchor(tip.Task, tip.Number, tip.SHA256, wall)
	if fork {
		t.showFork(tip)
	}
	t.behind = t.behind || news
	if t.behind && (fork || t.anchorsAt.IsZero() || time.Since(t.anchorsAt) >= anchorsEvery) {
		t.anchorsAt = time.Now()
		t.write()
	}
}

// showFork shows a contradiction, once. Caller holds mu.
func (t *tipBook) showFork(tip wire.LedgerTip) {
	why := fmt.Sprintf("the engine told two different entries %d of the ledger of task %s: its history was written again, or two engines answer for one task. "+
		"landfall-edge tips has the first such pair for landfall-engine audit --tips; this stays until the gateway is restarted", tip.Number, tip.Task)
	if slices.Contains(t.forks, why) || len(t.forks) == maxForks {
		return
	}
	t.forks = append(t.forks, why)
	t.logger.Error("the cloud told two entries under one number of its ledger: the ledger was written again, or two engines answer for one task",
		"task", tip.Task, "entry", tip.Number, "sha256", tip.SHA256)
}

// forked returns the contradictions that the cloud told since the start.
func (t *tipBook) forked() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.forks)
}

// acked notes that the cloud has everything of a log below an offset. The file
// is written when it has the whole of a log that ended.
func (t *tipBook) acked(log record.LogID, below record.Offset) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.book.Find(log)
	whole := ok && known.Closed && below >= known.End && t.book.Acked(log.String(), below)
	if whole || t.dirty {
		t.write()
	}
}

// newestName returns the name under which the newest log was captured; "": there is none.
func (t *tipBook) newestName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	logs := t.book.InOrder()
	if len(logs) == 0 {
		return ""
	}
	return logs[len(logs)-1].Gateway
}

// endBefore returns where a log ended that was opened before one of which here says that
// it is in the directory; of one whose tip was merged, which the cloud has whole, that it
// has no end that could be passed. False: the book has it not, or nothing of the
// directory comes after it.
func (t *tipBook) endBefore(log record.LogID, here func(record.LogID) bool) (end record.Offset, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.book.IsLastMerged(log.String()) {
		end, known = math.MaxUint64, true
	}
	after := false
	for _, k := range t.book.InOrder() {
		id, err := record.ParseLogID(k.Log)
		after = after || known && err == nil && here(id)
		if k.Log == log.String() {
			end, known = k.End, true
		}
	}
	return end, known && after
}

// digestAt returns the digest of a log at its end, where it is known.
func (t *tipBook) digestAt(log record.LogID, end record.Offset) (record.Digest, bool) {
	t.mu.Lock()
	known, ok := t.book.Find(log)
	t.mu.Unlock()
	if !ok || known.End != end || known.Digest == "" {
		return 0, false
	}
	d, err := record.ParseDigest(known.Digest)
	return d, err == nil
}

// write replaces the file. Caller holds mu.
func (t *tipBook) write() {
	p, err := t.book.Encode()
	if err == nil {
		err = durable.WriteFileAtomic(t.fs, t.path, p)
	}
	if t.dirty = err != nil; t.dirty {
		t.logger.Error("the ends of logs cannot be written down; it is tried again", "path", t.path, "error", err)
		return
	}
	t.behind = false
}

// digestAt returns the digest of a log at its end, where it is known.
func (a *Agent) digestAt(log record.LogID, end record.Offset) (record.Digest, bool) {
	if d, ok := a.tips.digestAt(log, end); ok {
		return d, true
	}
	tip, err := a.store.Tip(log)
	return tip.Digest, err == nil && tip.End == end && tip.DigestKnown
}
