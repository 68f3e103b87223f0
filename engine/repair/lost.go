package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// lastEpochs is of how many epochs the outputs may not be published when a manifest
// is lost, at most.
const lastEpochs = 100

// lost begins a manifest in place of the one that HEAD names, or of HEAD and all
// manifests, by the newest entry of the ledger; false: that cannot be, and it is
// told. was says what is wrong with HEAD. The state and the watermarks come later.
func (r *run) lost(ctx context.Context, t *taskState, was error) (bool, error) {
	tell := func(format string, args ...any) (bool, error) {
		r.left(t.id.String(), "", t.id.String()+"/HEAD", "%v; a new manifest cannot be made of the ledger: %s", was, fmt.Sprintf(format, args...))
		return false, nil
	}
	tip, entry, why, err := r.newest(ctx, t.id)
	if err != nil {
		return false, err
	}
	if why != "" {
		return tell("%s", why)
	}
	m := checkpoint.Manifest{
		Format: checkpoint.Format, Landing: t.id.Landing, Partition: t.id.Partition, Epoch: entry.Epoch, Claim: entry.Claim,
		Position: entry.Position, Schema: entry.Schema, Ledger: &tip,
	}
	sibling, err := r.sibling(ctx, t.id)
	if err != nil {
		return false, err
	}
	switch m.Partitions = r.blocks.partitions[t.id.Landing]; {
	case sibling != nil && sibling.Moved != nil:
		return tell("the lake was moved to landing log %s, and nothing says whether this task had ended", sibling.Moved.Landing)
	case sibling != nil:
		m.Partitions, m.Generation = sibling.Partitions, sibling.Generation
	}
	if m.Partitions == 0 {
		return tell("nothing says how many partitions the landing log has: no other partition has a manifest that is whole, and it was not named (--landing)")
	}
	if later := r.inLake(t.id, m.Epoch); later != "" {
		return tell("it ends at epoch %s, and %s lies in the lake, so that newer entries are lost: put them back from a backup of the checkpoints", m.Epoch, later)
	}
	newer, err := checkpoint.NewerManifest(ctx, r.Store, t.id, m.Epoch, m.Ledger, nil)
	if err != nil {
		return false, err
	}
	if newer != "" {
		return tell("it ends at entry %d of epoch %s, and %s is newer, so that newer entries are lost: put them back from a backup of the checkpoints", tip.Number, m.Epoch, newer)
	}
	t.manifest = m
	if why, err := r.mendLedger(ctx, t); err != nil || why != "" {
		if err != nil {
			return false, err
		}
		return tell("%s", why)
	}
	if why, err := r.ofTheEpoch(ctx, t); err != nil || why != "" {
		if err != nil {
			return false, err
		}
		return tell("%s", why)
	}
	t.lost = was
	return true, nil
}

// newest finds the newest entry of a ledger that HEAD's manifest may have named.
func (r *run) newest(ctx context.Context, id stream.TaskID) (tip ledger.Tip, e ledger.Entry, why string, err error) {
	head, headErr := checkpoint.ReadHead(ctx, r.Store, id)
	m := &mending{run: r, task: &taskState{id: id}}
	if err := m.read(ctx); err != nil {
		return tip, e, "", err
	}
	follows := map[string]bool{} // entries that another one follows
	var all []ledger.Entry
	for _, l := range m.lines {
		one, err := ledger.Decode(l.data)
		if err != nil || one.Task != id.String() || headErr == nil && one.Epoch > head.Epoch {
			continue // of an attempt that HEAD never came to
		}
		follows[one.Previous] = true
		all = append(all, one)
	}
	var ends, mine []ledger.Entry
	for _, one := range all {
		if headErr == nil && one.Claim == head.Claim && one.Epoch == head.Epoch {
			mine = append(mine, one) // HEAD was moved by who wrote it
		}
		line, err := one.Encode()
		if err != nil {
			return tip, e, "", err
		}
		if !follows[ledger.Hash(line)] {
			ends = append(ends, one)
		}
	}
	if len(mine) > 0 {
		ends = mine
	}
	most := uint64(0)
	for i := range ends {
		most = max(most, ends[i].Number)
	}
	ends = slices.DeleteFunc(ends, func(e ledger.Entry) bool { return e.Number < most })
	switch {
	case len(ends) == 0:
		return tip, e, "there is no entry of it", nil
	case len(ends) > 1:
		return tip, e, fmt.Sprintf("%d entries of number %d may be the newest", len(ends), most), nil
	case headErr == nil && ends[0].Epoch != head.Epoch:
		return tip, e, fmt.Sprintf("it ends at epoch %s, and HEAD is at epoch %s", ends[0].Epoch, head.Epoch), nil
	}
	e = ends[0]
	line, err := e.Encode()
	if err != nil {
		return tip, e, "", err
	}
	return ledger.Tip{Name: ledger.EntryName(id.String(), e.Number, e.Claim), Number: e.Number, SHA256: ledger.Hash(line)}, e, "", nil
}

// sibling returns the manifest of another task of the same landing log; nil: none
// is whole.
func (r *run) sibling(ctx context.Context, id stream.TaskID) (*checkpoint.Manifest, error) {
	ids, err := allTasks(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	for _, other := range ids {
		if other.Landing != id.Landing {
			continue
		}
		m, err := checkpoint.Load(ctx, r.Store, other)
		if err == nil {
			return &m, nil
		}
		if err != nil && !isDamage(err) && !errors.Is(err, checkpoint.ErrVersion) {
			return nil, err
		}
	}
	return nil, nil
}

// ofTheEpoch fills in what the entry of the epoch says, as a repair's does not,
// and what of the last epochs is staged and not published. why says that an output
// may be neither, which nothing here can tell.
func (r *run) ofTheEpoch(ctx context.Context, t *taskState) (why string, err error) {
	m := &t.manifest
	staged, err := r.stagedOf(ctx, t.id)
	if err != nil {
		return "", err
	}
	replaced := map[string]bool{}
	pending := map[stream.Epoch][]stream.Staged{}
	found := false
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), *m.Ledger) {
		if err != nil {
			return "", err
		}
		if one.Epoch+lastEpochs <= m.Epoch && found {
			break
		}
		if one.Kind != ledger.KindRepair && !found {
			found, m.Final, m.Decoder, m.Schema = true, one.Final, one.Decoder, max(one.Schema, m.Schema)
		}
		if one.Kind == ledger.KindMoved && m.Generation == 0 {
			return "the lake was moved to this landing log, and nothing says how often before", nil
		}
		for _, f := range one.Files {
			if f.Sink != LakeSink {
				return fmt.Sprintf("outputs of sink %s of the last epochs may not be published, and nothing here says it", f.Sink), nil
			}
			if replaced[f.Name] {
				continue
			}
			have, err := r.hash(ctx, f.Name)
			if err != nil {
				return "", err
			}
			if name, ok := staged[f.SHA256]; ok && have == "" && r.odd[f.Name] == "" {
				pending[one.Epoch] = append(pending[one.Epoch], stream.Staged{
					Sink: f.Sink, Table: tableOf(f.Name), Name: name, Target: f.Name, Rows: f.Rows, Bytes: f.Bytes, SHA256: f.SHA256,
				})
			}
			replaced[f.Name] = true
		}
	}
	for _, epoch := range sortedEpochs(pending) {
		m.Unpublished = append(m.Unpublished, checkpoint.Unpublished{Epoch: epoch, Staged: pending[epoch]})
	}
	return "", nil
}

// stagedOf lists what lies staged of a task, by hash.
func (r *run) stagedOf(ctx context.Context, id stream.TaskID) (map[string]string, error) {
	names, err := r.Lake.List(ctx, "_staging/"+id.String()+"/")
	if err != nil {
		return nil, err
	}
	staged := map[string]string{}
	for _, name := range names {
		sum, err := r.hash(ctx, name)
		if err != nil {
			return nil, err
		}
		if sum != "" {
			staged[sum] = name
		}
	}
	return staged, nil
}

// mayBeNeeded says why a manifest may not be made new: an output of the last epochs
// is neither published nor staged nor made again, and the landing log, which the
// next claim lets go, may be what holds it; empty: it may.
func (r *run) mayBeNeeded(t *taskState) string {
	if len(r.Landing) > 0 {
		return "" // it was looked into
	}
	for _, w := range t.wrong {
		if w.fix == nil && !w.right && w.epoch+lastEpochs > t.manifest.Epoch {
			return fmt.Sprintf("%s is not right, and the landing log, which an engine releases next, may hold what it was made of: name it (--landing)", w.Name)
		}
	}
	return ""
}

// sortedEpochs returns the keys of a map in order.
func sortedEpochs[V any](m map[stream.Epoch]V) []stream.Epoch {
	return slices.Sorted(maps.Keys(m))
}
