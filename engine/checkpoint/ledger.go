package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// epochEntry returns the ledger entry of the epoch that m commits, without its
// place in the chain.
func epochEntry(m *Manifest, logs []ledger.Log) ledger.Entry {
	e := entryAt(m, ledger.KindEpoch)
	e.Final = m.Final
	if m.GivenUp {
		e.Note = fmt.Sprintf("what the landing log held back is given up; this epoch reads it from %s on", m.From)
	} else if m.From != nil {
		e.Note = fmt.Sprintf("the landing log was cut; this epoch reads it from %s on", m.From)
	}
	e.Files = ledgerFiles(m.Staged)
	e.Logs = sortedLogs(logs)
	return e
}

// entryAt returns an entry that describes where m stands.
func entryAt(m *Manifest, kind ledger.Kind) ledger.Entry {
	return ledger.Entry{
		Format: ledger.Format, Kind: kind, Task: m.TaskID().String(), Epoch: m.Epoch, Claim: m.Claim,
		Position: m.Position, Schema: m.Schema, Decoder: m.Decoder,
	}
}

// ledgerFiles returns outputs as they will be published.
func ledgerFiles(staged []stream.Staged) []ledger.File {
	files := make([]ledger.File, len(staged))
	for i, s := range staged {
		files[i] = ledger.File{Sink: s.Sink, Table: string(s.Table), Name: s.Target, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256}
	}
	return files
}

// sortedLogs returns a copy in the order of the ledger.
func sortedLogs(logs []ledger.Log) []ledger.Log {
	logs = slices.Clone(logs)
	slices.SortFunc(logs, func(a, b ledger.Log) int {
		if c := strings.Compare(a.Gateway, b.Gateway); c != 0 {
			return c
		}
		return strings.Compare(a.Log, b.Log)
	})
	return logs
}

// putEntry creates the object of the entry that follows tip, durable on return,
// and returns the tip that names it. Its name holds the number and the claim,
// and a claim writes no number twice.
func (c *Committer) putEntry(ctx context.Context, e ledger.Entry, tip *ledger.Tip) (*ledger.Tip, error) {
	e.Number = 1
	if tip != nil {
		e.Number, e.Previous = tip.Number+1, tip.SHA256
	}
	line, err := e.Encode()
	if err != nil {
		return nil, err
	}
	name := ledger.EntryName(e.Task, e.Number, e.Claim)
	if err := c.retry.put(ctx, c.cfg.Store, name, line); err != nil {
		return nil, err
	}
	return &ledger.Tip{Name: name, Number: e.Number, SHA256: ledger.Hash(line)}, nil
}

// LedgerOf shows a Store to ledger.Walk.
func LedgerOf(store Store) ledger.Reader { return ledgerReader{store} }

type ledgerReader struct{ store Store }

// Read implements ledger.Reader.
func (r ledgerReader) Read(ctx context.Context, name string) ([]byte, error) {
	data, _, err := r.store.Read(ctx, name)
	if errors.Is(err, ErrNotExist) {
		err = fmt.Errorf("%w: %w", ledger.ErrMissing, err)
	}
	if errors.Is(err, ErrCorrupt) { // what has the name is no object
		err = fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	}
	return data, err
}

// List implements ledger.Reader.
func (r ledgerReader) List(ctx context.Context, prefix string) ([]string, error) {
	return r.store.List(ctx, prefix)
}
