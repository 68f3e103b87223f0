package checkpoint

import (
	"context"
	"fmt"
	"time"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// adoptedFiles is how many files one entry of a take-over names at most, so that
// the entries of a large lake stay far below ledger.MaxEntryBytes.
const adoptedFiles = 20_000

// adopt begins the ledger of a task that a version without one wrote: entries of
// kind adopted that name everything published up to the checkpoint, hashed as it
// is found, and what is still pending, as the manifest has it. The last of them
// has the logs. m is the claim's manifest; the tip for it is returned.
//
// It comes before HEAD moves: a crash, or another claim, leaves entries that no
// manifest names. It reads the whole lake once.
func (c *Committer) adopt(ctx context.Context, m *Manifest) (*ledger.Tip, error) {
	c.cfg.Logger.Info("the checkpoint is of a version without a ledger: every published file is read and hashed once, which may take long",
		"task", c.cfg.Task.String(), "epoch", m.Epoch)
	a := &adoption{c: c, m: m, began: time.Now(), pending: make(map[[2]string]bool)}
	a.begin()
	for _, p := range m.Pending() {
		for _, s := range p.Staged {
			a.pending[[2]string{s.Sink, s.Target}] = true
			if err := a.add(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	for _, sink := range c.cfg.Sinks {
		inventory, ok := sink.(stream.Inventory)
		if !ok {
			continue
		}
		err := inventory.Published(ctx, c.cfg.Task, m.Epoch, func(s stream.Staged) error {
			c.cfg.Pulse.Beat()
			if a.pending[[2]string{s.Sink, s.Target}] {
				return nil
			}
			return a.add(ctx, s)
		})
		if err != nil {
			return nil, fmt.Errorf("list what sink %s has published: %w", sink.Name(), err)
		}
	}
	if c.cfg.AdoptLogs != nil {
		logs, err := c.cfg.AdoptLogs(readState(ctx, c.cfg.Store, m.State))
		if err != nil {
			return nil, fmt.Errorf("read the logs of epoch %s: %w", m.Epoch, err)
		}
		a.entry.Logs = sortedLogs(logs)
	}
	if err := a.put(ctx); err != nil {
		return nil, err
	}
	c.cfg.Logger.Info("the ledger begins with what was published before", "task", c.cfg.Task.String(), "epoch", m.Epoch,
		"files", a.files, "bytes", a.bytes, "logs", len(a.entry.Logs), "seconds", time.Since(a.began).Seconds())
	return a.tip, nil
}

// adoption is a take-over on its way.
type adoption struct {
	c       *Committer
	m       *Manifest
	began   time.Time
	pending map[[2]string]bool // outputs that the manifest names, by sink and target
	entry   ledger.Entry       // not written yet
	tip     *ledger.Tip        // of the last one written; nil: none
	files   int
	bytes   int64
}

func (a *adoption) begin() {
	a.entry = entryAt(a.m, ledger.KindAdopted)
	a.entry.Final = a.m.Final
	a.entry.Note = "published by a version without a ledger; hashed when this entry was written"
}

// add names one output; a full entry is written before it.
func (a *adoption) add(ctx context.Context, s stream.Staged) error {
	if len(a.entry.Files) == adoptedFiles {
		if err := a.put(ctx); err != nil {
			return err
		}
		a.begin()
	}
	a.entry.Files = append(a.entry.Files, ledgerFiles([]stream.Staged{s})...)
	a.files, a.bytes = a.files+1, a.bytes+s.Bytes
	return nil
}

func (a *adoption) put(ctx context.Context) (err error) {
	a.tip, err = a.c.putEntry(ctx, a.entry, a.tip)
	return err
}
