// Package presence looks whether what a lake has published is still there.
//
// In:  the ledger of a task, below HEAD; the length of a published file.
// Out: Findings: files that are gone, or have another length than their entry says.
//
// Invariants
//
//  1. A look is bounded: it reads the entries that were added since the last one
//     (MaxEntries at most), some of those before, and asks for Newest new files and
//     Sample older ones. A pass over the older ones goes from the newest entry to
//     the first and begins again.
//  2. Nothing is looked at that is not known to be published, or whose place a repair
//     has given to another file.
//  3. A finding stays until its file is there again. Nothing is changed, and the
//     bytes are not read: that is the audit's.
//
// A Watch belongs to one goroutine, but for Findings.
package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// MaxEntries is how many entries one look takes from the ledger.
const MaxEntries = 64

// enough is how many files of older entries are taken from the ledger at a time, and
// maxFresh how many new ones wait to be looked for: the pass finds the others.
const enough, maxFresh = 200, 1000

// maxFindings bounds what is remembered; one is enough to call for a repair.
const maxFindings = 100

// Config says what is looked at.
type Config struct {
	Store checkpoint.Store // required; read only
	Task  stream.TaskID
	// Sink is the name in the ledger of the sink whose files are looked at.
	Sink string
	// Size returns the length of a published file: checkpoint.ErrNotExist where
	// there is none, stream.ErrContent where what has its name is no file. Required.
	Size func(ctx context.Context, name string) (int64, error)
	// Newest and Sample are how many files one look asks for, of those that were
	// published since, and of all others.
	Newest, Sample int
}

// Watch remembers how far it has looked.
type Watch struct {
	cfg      Config
	tip      ledger.Tip             // up to which entries were taken; number 0: none
	fresh    []ledger.File          // of entries up to tip, not looked at yet
	pass     ledger.Tip             // the next entry of the pass; number 0: it begins again
	older    []ledger.File          // of the pass's last entry, not looked at yet
	replaced map[string]ledger.File // by repairs, by name; no name: removed

	mu       sync.Mutex
	findings map[string]finding // by name; guarded by mu
}

type finding struct {
	file ledger.File
	what string
}

// New touches nothing.
func New(cfg Config) *Watch {
	return &Watch{cfg: cfg, replaced: map[string]ledger.File{}, findings: map[string]finding{}}
}

// Findings says of each file that is missed which one it is and what is wrong,
// sorted. From any goroutine.
func (w *Watch) Findings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for name, f := range w.findings {
		all = append(all, name+" "+f.what)
	}
	slices.Sort(all)
	return all
}

// Look makes one look, at files of epochs up to one that is known to be published. An
// error says that the store, or the ledger, could not be read, and nothing of the files;
// the next look goes on where this one ended.
func (w *Watch) Look(ctx context.Context, published stream.Epoch) error {
	m, err := checkpoint.Load(ctx, w.cfg.Store, w.cfg.Task)
	if errors.Is(err, checkpoint.ErrNotExist) || err == nil && m.Ledger == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.take(ctx, *m.Ledger); err != nil {
		return err
	}
	pending := map[string]bool{}
	for _, p := range m.Pending() {
		if p.Epoch <= published {
			continue
		}
		for _, s := range p.Staged {
			pending[s.Target] = true
		}
	}
	for _, f := range w.missed() {
		if err := w.check(ctx, f); err != nil {
			return err
		}
	}
	if w.fresh, err = w.some(ctx, w.fresh, w.cfg.Newest, pending); err != nil {
		return err
	}
	return w.sample(ctx, *m.Ledger, pending)
}

// missed returns the files of the findings.
func (w *Watch) missed() []ledger.File {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []ledger.File
	for _, f := range w.findings {
		all = append(all, f.file)
	}
	return all
}

// take takes the entries that were added since the last look, oldest first.
func (w *Watch) take(ctx context.Context, tip ledger.Tip) error {
	if tip == w.tip {
		return nil
	}
	var added []ledger.Entry
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(w.cfg.Store), w.cfg.Task.String(), tip) {
		if err != nil {
			return err
		}
		if one.Number <= w.tip.Number || len(added) == MaxEntries {
			break
		}
		added = append(added, one.Entry)
	}
	for _, e := range slices.Backward(added) {
		w.note(&e)
		w.fresh = append(w.fresh, w.mine(e.Files)...)
	}
	w.fresh = w.fresh[max(0, len(w.fresh)-maxFresh):]
	if len(added) == MaxEntries { // others may have been passed over, repairs of older files among them
		w.pass, w.older = ledger.Tip{}, nil
	}
	w.tip = tip
	return nil
}

// note remembers what an entry, the newest so far, put into the place of others.
func (w *Watch) note(e *ledger.Entry) {
	for _, f := range w.mine(e.Removed) {
		w.replaced[f.Name] = ledger.File{}
	}
	for _, f := range w.mine(e.Files) {
		if e.Kind == ledger.KindRepair {
			w.replaced[f.Name] = f
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.findings {
		if _, ok := w.replaced[name]; ok {
			delete(w.findings, name) // what is there now is looked at as a new file
		}
	}
}

// noteOlder remembers what an entry of the pass put into the place of others, unless
// a newer one did so again.
func (w *Watch) noteOlder(e *ledger.Entry) {
	by := map[string]ledger.File{}
	for _, f := range w.mine(e.Removed) {
		by[f.Name] = ledger.File{}
	}
	for _, f := range w.mine(e.Files) {
		if e.Kind == ledger.KindRepair {
			by[f.Name] = f
		}
	}
	for name, f := range by {
		if _, ok := w.replaced[name]; !ok {
			w.replaced[name] = f
		}
	}
}

// mine leaves out the outputs of other sinks.
func (w *Watch) mine(files []ledger.File) []ledger.File {
	return slices.DeleteFunc(slices.Clone(files), func(f ledger.File) bool { return f.Sink != w.cfg.Sink })
}

// some looks at n of the files, and returns those that are left: the others, and
// what is not known to be published.
func (w *Watch) some(ctx context.Context, files []ledger.File, n int, pending map[string]bool) (left []ledger.File,
	err error) {
	for i, f := range files {
		switch {
		case n == 0 || err != nil:
			return append(left, files[i:]...), err
		case pending[f.Name]:
			left = append(left, f)
			continue
		}
		if n--; w.isReplaced(f) {
			continue
		}
		if err = w.check(ctx, f); err != nil {
			left = append(left, f)
		}
	}
	return left, err
}

func (w *Watch) isReplaced(f ledger.File) bool {
	by, ok := w.replaced[f.Name]
	return ok && by.SHA256 != f.SHA256
}

// sample goes on with the pass over all entries.
func (w *Watch) sample(ctx context.Context, tip ledger.Tip, pending map[string]bool) (err error) {
	if len(w.older) == 0 {
		if w.pass.Number == 0 {
			w.pass = tip
		}
		if err := w.takeOlder(ctx); err != nil {
			w.pass = ledger.Tip{} // from the beginning, next time
			return err
		}
	}
	// What waits to be published is looked for when the pass comes again.
	w.older = slices.DeleteFunc(w.older, func(f ledger.File) bool { return pending[f.Name] })
	w.older, err = w.some(ctx, w.older, w.cfg.Sample, nil)
	return err
}

// takeOlder takes the files of the next entries of the pass.
func (w *Watch) takeOlder(ctx context.Context) error {
	entries := 0
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(w.cfg.Store), w.cfg.Task.String(), w.pass) {
		if err != nil {
			return err
		}
		w.noteOlder(&one.Entry)
		w.older = append(w.older, w.mine(one.Files)...)
		w.pass = ledger.Tip{Number: one.Number - 1, SHA256: one.Previous}
		if entries++; entries == MaxEntries || len(w.older) >= enough {
			return nil
		}
	}
	return nil
}

// check looks at one file.
func (w *Watch) check(ctx context.Context, f ledger.File) error {
	size, err := w.cfg.Size(ctx, f.Name)
	what := ""
	switch {
	case errors.Is(err, checkpoint.ErrNotExist):
		what = "is gone"
	case errors.Is(err, stream.ErrContent):
		what = "is no file any more"
	case err != nil:
		return fmt.Errorf("look for %s: %w", f.Name, err)
	case size != f.Bytes:
		what = fmt.Sprintf("has %d bytes, and its ledger entry says %d", size, f.Bytes)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == "" {
		delete(w.findings, f.Name)
	} else if _, known := w.findings[f.Name]; known || len(w.findings) < maxFindings {
		w.findings[f.Name] = finding{f, what}
	}
	return nil
}
