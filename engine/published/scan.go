package published

import (
	"context"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// scanned is what the newest part of a task's ledger says.
type scanned struct {
	tip         *ledger.Tip  // the newest published entry; nil: none
	logs        []ledger.Log // of published entries that were come by
	unpublished unpublished  // of the entries after tip
	joined      bool         // the entry up to which the Registry was told is in the chain
}

// unpublished are the logs that entries which are not published took further, each
// with where it stood before the oldest of these.
type unpublished map[[2]string]ledger.Log

// scan walks a task's ledger from HEAD's newest entry back to stop; number 0: to
// the newest published one, and as far as hashes are looked for.
func (f *Follower) scan(ctx context.Context, m *checkpoint.Manifest, p *Progress, stop ledger.Tip) (scanned, error) {
	s := scanned{unpublished: unpublished{}, joined: stop.Number == 0}
	if m.Ledger == nil {
		return s, nil
	}
	bound := boundary{manifest: m, progress: p}
	for e, err := range ledger.Walk(ctx, checkpoint.LedgerOf(f.cfg.Store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			return s, err
		}
		if e.Number == stop.Number && e.SHA256 == stop.SHA256 {
			s.joined = true
		}
		published := bound.published(e)
		if published && s.tip == nil {
			s.tip = &ledger.Tip{Name: ledger.EntryName(e.Task, e.Number, e.Claim), Number: e.Number, SHA256: e.SHA256}
		}
		switch {
		case stop.Number > 0 && e.Number <= stop.Number:
			return s, nil
		case !published:
			s.unpublished.add(e.Logs)
		case stop.Number > 0:
			s.logs = append(s.logs, e.Logs...)
		case s.tip.Number-e.Number >= chainEntries || !s.unpublished.chain(e.Logs):
			return s, nil
		}
	}
	return s, nil
}

// chainEntries is in how many published entries the hash of a block is looked for
// at which a log stood before what is not published.
const chainEntries = 100

// boundary tells published entries from others, as they are come by from the newest
// one back.
type boundary struct {
	manifest *checkpoint.Manifest
	progress *Progress
	below    bool // an entry was published, so all before it are
}

func (b *boundary) published(e ledger.Walked) bool {
	if t := b.progress.Ledger; t != nil && t.Number == e.Number && t.SHA256 == e.SHA256 {
		b.below = true
	}
	b.below = b.below || e.Epoch < oldestPending(b.manifest)
	return b.below
}

// oldestPending returns the oldest epoch that is not known published at a manifest;
// the one after its own: there is none.
func oldestPending(m *checkpoint.Manifest) stream.Epoch {
	if all := m.Pending(); len(all) > 0 {
		return all[0].Epoch
	}
	return m.Epoch + 1
}

// add takes the logs of an entry that is older than those taken before.
func (u unpublished) add(logs []ledger.Log) {
	for i := range logs {
		l := logs[i]
		if l.Next > l.From { // which block ended at From stands in an older entry: chain
			l.Next, l.Chain = l.From, ""
		}
		u[[2]string{l.Gateway, l.Log}] = l
	}
}

// chain takes the hashes of blocks out of a published entry, and says whether some
// are still looked for.
func (u unpublished) chain(logs []ledger.Log) (more bool) {
	for i := range logs {
		l := &logs[i]
		at := [2]string{l.Gateway, l.Log}
		if before, ok := u[at]; ok && before.Next == l.Next && before.Chain == "" {
			before.Chain = l.Chain
			u[at] = before
		}
	}
	for _, before := range u {
		if before.Next > 0 && before.Chain == "" {
			return true
		}
	}
	return false
}

// takeBack returns logs as they stood before what is not published.
func (u unpublished) takeBack(logs []ledger.Log) []ledger.Log {
	out := make([]ledger.Log, 0, len(logs))
	for _, l := range logs {
		if before, ok := u[[2]string{l.Gateway, l.Log}]; ok {
			l.Next, l.Chain = before.Next, before.Chain
		}
		out = append(out, l)
	}
	return out
}
