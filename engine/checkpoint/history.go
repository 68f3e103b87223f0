package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// CheckHistory judges all manifests that HEAD of one task ever named, in order,
// the first one included: each follows the one before it as a claim or as a
// commit does, no output is staged by two of them, and none is forgotten before
// it could be known published. For tests, and for people who kept the objects.
func CheckHistory(history []Manifest) error {
	h := historian{staged: map[[2]string]bool{}, targets: map[[2]string]bool{}, objects: map[string]bool{}, claims: map[stream.ClaimID]bool{}}
	for i := range history {
		var before *Manifest
		if i > 0 {
			before = &history[i-1]
		}
		if err := h.add(before, &history[i]); err != nil {
			return fmt.Errorf("manifest %d of the history, epoch %s: %w", i, history[i].Epoch, err)
		}
	}
	return nil
}

type historian struct {
	staged, targets map[[2]string]bool
	objects         map[string]bool
	claims          map[stream.ClaimID]bool
}

func (h *historian) add(before, m *Manifest) error {
	for _, s := range m.Staged {
		name, target := [2]string{s.Sink, s.Name}, [2]string{s.Sink, s.Target}
		if h.staged[name] || h.targets[target] && !(before != nil && isRepair(before, m)) {
			return fmt.Errorf("%s is staged by two manifests", s.Name)
		}
		h.staged[name], h.targets[target] = true, true
	}
	for _, p := range m.Unpublished {
		for _, s := range p.Staged {
			if !h.staged[[2]string{s.Sink, s.Name}] {
				return fmt.Errorf("%s is unpublished, but no manifest staged it", s.Name)
			}
		}
	}
	if before == nil {
		if m.Epoch != 0 || m.Previous != "" || len(m.State) != 0 && m.Generation == 0 || len(m.Unpublished) != 0 {
			return fmt.Errorf("the first manifest follows another")
		}
		for _, o := range m.State {
			h.objects[o.Name] = true
		}
		h.claims[m.Claim] = true
		return nil
	}
	if err := follows(before, m); err != nil {
		return err
	}
	if m.Claim != before.Claim && h.claims[m.Claim] {
		return fmt.Errorf("claim %s came back", m.Claim)
	}
	h.claims[m.Claim] = true
	return h.chain(before, m)
}

// follows holds what a claim and a commit keep, and what each changes.
func follows(before, m *Manifest) error {
	data, err := before.Encode()
	if err != nil {
		return err
	}
	pending := before.Pending()
	repair := isRepair(before, m)
	if repair {
		pending = withoutTargets(pending, Repairing{Staged: m.Staged})
	}
	switch {
	case m.Previous != hash(data):
		return fmt.Errorf("it does not follow epoch %s of claim %s", before.Epoch, before.Claim)
	case m.TaskID() != before.TaskID() || m.Partitions != before.Partitions || m.Generation != before.Generation ||
		!maps.Equal(m.Params, before.Params):
		return fmt.Errorf("it is of another task")
	case before.Moved != nil && (m.Moved == nil || m.Epoch != before.Epoch):
		return fmt.Errorf("it goes on with a task that has ended")
	case m.Position.Log == before.Position.Log && m.Position.Offset < before.Position.Offset && m.From == nil:
		return fmt.Errorf("the position went back from %d to %d", before.Position.Offset, m.Position.Offset)
	case m.Epoch == before.Epoch:
		if m.Claim == before.Claim || (len(m.Staged) != 0 || !slices.Equal(m.State, before.State)) && !repair ||
			m.Position != before.Position || m.From != nil || !sameHold(m, before) {
			return fmt.Errorf("a claim changed the checkpoint")
		}
		if len(m.Unpublished) != len(pending) {
			return fmt.Errorf("a claim forgot outputs")
		}
	case m.Epoch != before.Epoch+1 || m.Claim != before.Claim:
		return fmt.Errorf("it follows epoch %s of claim %s", before.Epoch, before.Claim)
	}
	if err := followsLedger(before, m); err != nil {
		return err
	}
	// Epochs are published in order: what is forgotten is the oldest.
	if len(m.Unpublished) > len(pending) {
		return fmt.Errorf("outputs were published, then unpublished")
	}
	for i, p := range pending[len(pending)-len(m.Unpublished):] {
		if p.Epoch != m.Unpublished[i].Epoch || !slices.Equal(p.Staged, m.Unpublished[i].Staged) {
			return fmt.Errorf("unpublished outputs of epoch %s changed", p.Epoch)
		}
	}
	return nil
}

func sameHold(m, before *Manifest) bool {
	return (m.Hold == nil) == (before.Hold == nil) && m.Released() == before.Released()
}

// isRepair tells a repair's manifest from that of a claim: it adds an entry.
func isRepair(before, m *Manifest) bool {
	return m.Epoch == before.Epoch && m.Ledger != nil && before.Ledger != nil &&
		m.Ledger.Number == before.Ledger.Number+1
}

// followsLedger holds that a commit adds one entry and a claim none, but for the
// first claim of what was written without a ledger.
func followsLedger(before, m *Manifest) error {
	if m.Format < 3 {
		return nil
	}
	tip := ledger.Tip{}
	if before.Ledger != nil {
		tip = *before.Ledger
	}
	switch {
	case m.Ledger == nil:
		if m.Epoch > 0 {
			return fmt.Errorf("it has no ledger")
		}
	case m.Epoch == before.Epoch:
		if before.Ledger == nil && before.Epoch > 0 {
			return nil // adopted
		}
		if *m.Ledger != tip && !isRepair(before, m) {
			return fmt.Errorf("a claim changed the ledger")
		}
	case m.Ledger.Number != tip.Number+1 || m.Ledger.Name != ledger.EntryName(m.TaskID().String(), m.Ledger.Number, m.Claim):
		return fmt.Errorf("ledger entry %s follows entry %d", m.Ledger.Name, tip.Number)
	}
	return nil
}

// CheckLedger checks the ledger that the last manifest of a history names: it is
// whole, every epoch of the history has one entry, which says of it what the
// manifest said, and there is no other entry. For tests.
func CheckLedger(ctx context.Context, store Store, history []Manifest) error {
	committed := make(map[uint64]*Manifest)
	var last *Manifest
	for i := range history {
		last = &history[i]
		if i > 0 && last.Epoch == history[i-1].Epoch+1 {
			if last.Ledger == nil {
				return fmt.Errorf("epoch %s has no ledger", last.Epoch)
			}
			committed[last.Ledger.Number] = last
		}
	}
	if last == nil || last.Ledger == nil {
		return nil
	}
	for one, err := range ledger.Walk(ctx, LedgerOf(store), last.TaskID().String(), *last.Ledger) {
		if err != nil {
			return err
		}
		m := committed[one.Number]
		if m == nil && (one.Kind == ledger.KindAdopted || one.Kind == ledger.KindRepair ||
			one.Kind == ledger.KindMoved) {
			continue
		}
		if m == nil {
			return fmt.Errorf("ledger entry %d is of no epoch of the history", one.Number)
		}
		delete(committed, one.Number)
		want := epochEntry(m, one.Logs)
		want.Number, want.Previous = one.Number, one.Previous
		line, err := want.Encode()
		if err != nil {
			return err
		}
		if m.Ledger.SHA256 != one.SHA256 || !bytes.Equal(line, one.Line) {
			return fmt.Errorf("ledger entry %d does not say what epoch %s did", one.Number, m.Epoch)
		}
	}
	if len(committed) > 0 {
		return fmt.Errorf("%d epochs are not in the ledger", len(committed))
	}
	return nil
}

// chain holds that state is the newest objects of the chain before it and at
// most one new object.
func (h *historian) chain(before, m *Manifest) error {
	state := m.State
	if n := len(state); n > 0 && !slices.Contains(before.State, state[n-1]) {
		if h.objects[state[n-1].Name] {
			return fmt.Errorf("state object %s came back", state[n-1].Name)
		}
		h.objects[state[n-1].Name] = true
		state = state[:n-1]
	}
	if len(state) > len(before.State) || !slices.Equal(state, before.State[len(before.State)-len(state):]) {
		return fmt.Errorf("the chain of state does not follow the one before")
	}
	return nil
}
