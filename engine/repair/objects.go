package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
)

// checkState puts objects of keyed state back that are not as the manifest says,
// where their bytes are to be had, and notes where they are not.
func (r *run) checkState(ctx context.Context, t *taskState) error {
	for _, o := range t.manifest.State {
		one := checkpoint.Manifest{State: []checkpoint.StateObject{o}}
		for _, err := range checkpoint.StateOf(ctx, r.Store, &one) {
			if err == nil {
				continue
			}
			if !errors.Is(err, checkpoint.ErrCorrupt) {
				return err
			}
			data, from, findErr := checkpoint.FindBytes(ctx, r.Store, t.id.String(), o.Name, o.SHA256)
			if findErr != nil {
				return findErr
			}
			if data == nil {
				t.stateLost = err
				continue
			}
			err = r.putBack(ctx, t.id, o.Name, data, from)
			if isDamage(err) {
				t.stateLost = err
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// mendLedger walks a ledger and puts entries back that are not there or damaged,
// where bytes with the hash are to be had that the entry after each names. The
// hash decides, whatever the bytes come from. why says what cannot be had; empty:
// the ledger is whole.
func (r *run) mendLedger(ctx context.Context, t *taskState) (why string, err error) {
	tip := *t.manifest.Ledger
	m := &mending{run: r, task: t}
	for tip.Number > 0 {
		var broken error
		for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), tip) {
			if broken = err; err != nil {
				break
			}
			entry := one.Entry
			m.above = append(m.above, &entry)
			tip = ledger.Tip{Number: one.Number - 1, SHA256: one.Previous}
		}
		switch {
		case broken == nil:
			return "", nil
		case errors.Is(broken, ledger.ErrVersion):
			return broken.Error(), nil
		case !errors.Is(broken, ledger.ErrMissing) && !errors.Is(broken, ledger.ErrCorrupt):
			return "", broken
		}
		line, from, err := m.entry(ctx, tip)
		if err != nil {
			return "", err
		}
		if line == nil {
			return fmt.Sprintf("%v; it cannot be made again (%s): put it back from a backup of the checkpoints", broken, from), nil
		}
		e, err := ledger.Decode(line)
		if err != nil {
			return "", err
		}
		err = r.putBack(ctx, t.id, ledger.EntryName(t.id.String(), e.Number, e.Claim), line, from)
		if isDamage(err) {
			return err.Error(), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// mending is the way along a ledger with entries that are lost.
type mending struct {
	*run
	task  *taskState
	above []*ledger.Entry // that were walked, newest first
	lines map[string]line // of all that lies in the folder of the ledger, by hash
	at    map[uint64][][]byte
}

// line is the bytes of an entry and where they lie.
type line struct {
	data []byte
	from string
}

// entry returns the bytes of an entry and what they are from; nil: they are not to
// be had, and why.
func (m *mending) entry(ctx context.Context, tip ledger.Tip) (data []byte, from string, err error) {
	if err := m.read(ctx); err != nil {
		return nil, "", err
	}
	if l, ok := m.lines[tip.SHA256]; ok {
		return l.data, "from " + l.from, nil
	}
	for _, damaged := range m.at[tip.Number] {
		if data := checkpoint.FlipBack(damaged, tip.SHA256); data != nil {
			return data, "one bit of it had changed", nil
		}
	}
	return m.fromLake(ctx, tip)
}

// read reads every object of the ledger, also those that were put aside, and notes
// what lies where an entry of a number should.
func (m *mending) read(ctx context.Context) error {
	m.lines, m.at = map[string]line{}, map[uint64][][]byte{}
	folder := ledger.Folder(m.task.id.String())
	for _, prefix := range []string{folder, "_quarantine/" + folder} {
		names, err := m.Store.List(ctx, prefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			data, _, err := m.Store.Read(ctx, name)
			if isDamage(err) {
				continue
			}
			if err != nil {
				return err
			}
			number, fold, ok := ledger.ParseName(name)
			if !fold {
				m.lines[ledger.Hash(data)] = line{data, name}
				if ok {
					m.at[number] = append(m.at[number], data)
				}
				continue
			}
			for one := range bytes.Lines(data) {
				m.lines[ledger.Hash(one)] = line{one, name}
				m.at[number] = append(m.at[number], one)
				number++
			}
		}
	}
	return nil
}
