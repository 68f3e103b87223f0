package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tap"
	"landfall/edge/textfile"
)

// The list of ends of logs that this gateway's disk has lost, version 1 (textfile).
//
//	landfall-lost 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"count":<how many, over all starts>,"ends":[{"log":"<LogID>","from":<offset>,"to":<offset>,"landed":<offset>,"at":"<time>"}, …]}\n
//
// ends are the newest lostKept. Offsets from…to were durable and were not found; those
// below landed the cloud has. Where the list itself was damaged an entry has no log.
const (
	lostMagic    = "landfall-lost"
	lostVersion  = 1
	lostKept     = 16
	maxLostBytes = 1 << 20
)

// lostEnd is an entry of the list.
type lostEnd struct {
	Log    string        `json:"log"`
	From   record.Offset `json:"from"`
	To     record.Offset `json:"to"`
	Landed record.Offset `json:"landed"`
	At     string        `json:"at"`
}

// String says it for people.
func (e *lostEnd) String() string {
	if e.Log == "" {
		return "the list of them, log.lost, was damaged itself, found at " + e.At
	}
	what := fmt.Sprintf("%d offsets, %d to %d of log %s", e.To-e.From, e.From, e.To-1, e.Log)
	switch {
	case e.Landed >= e.To:
		return what + "; the cloud had all of them"
	case e.Landed > e.From:
		what += fmt.Sprintf(", of which the cloud had at least %d", e.Landed-e.From)
	}
	return what + "; those that it had not become rows of the table loss"
}

type lostList struct {
	Count uint64    `json:"count"`
	Ends  []lostEnd `json:"ends"`
}

func (l *lostList) encode() ([]byte, error) {
	return textfile.Encode(lostMagic, lostVersion, l)
}

// decodeLost reads what encode wrote. Errors: record.ErrCorrupt, record.ErrVersion.
func decodeLost(p []byte) (l lostList, err error) {
	_, err = textfile.DecodeInto(lostMagic, lostVersion, p, &l)
	if err == nil && uint64(len(l.Ends)) > l.Count {
		err = record.ErrCorrupt
	}
	if err != nil {
		return lostList{}, fmt.Errorf("read the list of lost ends: %w", err)
	}
	return l, nil
}

// LostEndsFile is the file with the ends of logs that the disk lost.
func (c *Config) LostEndsFile() string { return filepath.Join(c.DataDir, "log.lost") }

// AcknowledgeLostEnds notes, durable on return, that an operator knows of the first n
// ends of logs that the disk lost; last is the n-th as status says it. It may run beside
// the daemon, and again. The name of the note is of no source's, whatever it is called.
func (c *Config) AcknowledgeLostEnds(fsys durable.FS, n uint64, last string) error {
	if err := acknowledge(fsys, c.LostEndsFile(), n, last); err != nil {
		return fmt.Errorf("acknowledge the lost ends of logs: %w", err)
	}
	return nil
}

// lostEnds keeps the list. Steps of a loss, and what a crash after each leaves: the store
// misses the end at Open (it does so again), the list is written (it is told until it is
// acknowledged), records are appended to the next log (the store misses it no more).
// A list that cannot be written stops nothing: it is tried again when the gateway stops.
// Its methods may be called from any goroutine.
type lostEnds struct {
	fs     durable.FS
	path   string
	logger *slog.Logger
	now    func() record.Micros

	mu    sync.Mutex
	list  lostList // guarded by mu
	dirty bool     // the file has less; guarded by mu
}

// openLostEnds reads the list and adds what a store misses. landed is below which offset
// the cloud had each log. A damaged list is begun again with an entry that says so.
// Errors: record.ErrVersion, and the file system's.
func openLostEnds(c *Config, opt *Options, store *seglog.Store, landed map[record.LogID]record.Offset) (*lostEnds, error) {
	l := &lostEnds{fs: opt.FS, path: c.LostEndsFile(), logger: opt.Logger, now: func() record.Micros { wall, _ := opt.Clock.Now(); return wall }}
	p, err := durable.ReadFileUpTo(l.fs, l.path, maxLostBytes)
	if err == nil {
		l.list, err = decodeLost(p)
	}
	switch {
	case errors.Is(err, record.ErrCorrupt), errors.Is(err, durable.ErrMedia), errors.Is(err, durable.ErrTooLarge):
		notes, errNotes := notesOf(l.fs, l.path)
		if errNotes != nil {
			return nil, fmt.Errorf("look for what was acknowledged: %w", errNotes)
		}
		for _, n := range notes {
			l.list.Count = max(l.list.Count, n)
		}
		l.logger.Error("the list of lost ends of logs is damaged, and begun again", "path", l.path, "error", err)
		l.put(lostEnd{})
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the list of lost ends: %w", err)
	}
	n, last := l.told()
	renewNotes(l.fs, l.logger, l.path, n, last)
	for _, loss := range store.TailLosses() {
		had := landed[loss.Log]
		if l.has(loss.Log) {
			had = 0 // the cloud may have got by now that they are lost
		}
		l.add(loss, had)
	}
	l.flush()
	return l, nil
}

// has tells whether the list has a loss of a log. Caller holds mu, or is alone.
func (l *lostEnds) has(log record.LogID) bool {
	return slices.ContainsFunc(l.list.Ends, func(o lostEnd) bool { return o.Log == log.String() })
}

// add takes a loss, once a log: of one that is in the list already only the numbers
// change.
func (l *lostEnds) add(loss seglog.TailLoss, landed record.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := lostEnd{Log: loss.Log.String(), From: loss.From, To: loss.To, Landed: landed}
	if i := slices.IndexFunc(l.list.Ends, func(o lostEnd) bool { return o.Log == e.Log }); i >= 0 {
		known := &l.list.Ends[i]
		was := *known
		known.From, known.To, known.Landed = min(known.From, e.From), max(known.To, e.To), max(known.Landed, e.Landed)
		l.dirty = l.dirty || *known != was
		return
	}
	l.put(e)
}

// put adds an entry. Caller holds mu, or is alone.
func (l *lostEnds) put(e lostEnd) {
	e.At = tap.Time(l.now())
	l.list.Count++
	l.list.Ends = append(l.list.Ends, e)
	if n := len(l.list.Ends) - lostKept; n > 0 {
		l.list.Ends = slices.Delete(l.list.Ends, 0, n)
	}
	l.dirty = true
	l.logger.Error("this gateway's disk has lost the end of a log", "what", e.String())
}

// ahead takes that the cloud has more of a log than its end here.
func (l *lostEnds) ahead(log record.LogID, end, landed record.Offset) {
	l.add(seglog.TailLoss{Log: log, From: end, To: landed}, landed)
	l.flush()
}

// flush writes the list, where the file has less.
func (l *lostEnds) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty {
		return
	}
	p, err := l.list.encode()
	if err == nil {
		err = durable.WriteFileAtomic(l.fs, l.path, p)
	}
	if l.dirty = err != nil; l.dirty {
		l.logger.Error("lost ends of logs cannot be written down; it is tried again when the gateway stops", "path", l.path, "error", err)
	}
}

// told returns how many ends were lost over all starts, and the last one; "": none.
func (l *lostEnds) told() (n uint64, last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := len(l.list.Ends); k > 0 {
		last = l.list.Ends[k-1].String()
	}
	return l.list.Count, last
}

// knownLogs returns what is known beside the log of the logs there were, in opening
// order: those that the book has, and behind them those of which only the state of
// forwarding tells; and below which offset each had landed. What of it cannot be read is
// said by those who need it.
func (c *Config) knownLogs(fsys durable.FS) (landed map[record.LogID]record.Offset, known []seglog.KnownLog) {
	landed, _ = forward.ReadLanded(fsys, c.ForwardState())
	was, settled, _ := forward.ReadSettled(fsys, c.ForwardState())
	listed := map[record.LogID]bool{}
	if book, err := loadTips(fsys, c.TipsFile()); err == nil {
		for _, t := range book.InOrder() {
			id, err := record.ParseLogID(t.Log)
			if err != nil {
				continue
			}
			listed[id] = true
			if end := max(t.End, landed[id]); end > 0 {
				prev, _ := record.ParseLogID(t.Previous) // zero: there is none
				known = append(known, seglog.KnownLog{
					ID: id, Prev: prev, End: end, Closed: t.Closed && end == t.End,
					Settled: max(t.Acked, settled[id]) >= end || was != "" && was != t.Gateway, // of another name nothing can be declared any more
				})
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(landed), func(a, b record.LogID) int { return slices.Compare(a[:], b[:]) }) {
		if !listed[id] && landed[id] > 0 {
			known = append(known, seglog.KnownLog{ID: id, End: landed[id], Settled: true})
		}
	}
	return landed, known
}
