package audit

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/state"
)

// agree holds a manifest against the entries that it names, the newest first: where
// the task goes on, whether its landing log has ended, and what made its rows. Nothing
// else vouches for these, and an engine goes by them.
func (w *walk) agree(one *ledger.Walked) {
	m := w.task.manifest
	differs := func(what string, manifest, entry any) {
		w.find(Finding{Kind: KindHead, Task: w.task.name, Epoch: uint64(m.Epoch), File: w.task.name + "/HEAD",
			Detail: fmt.Sprintf("the manifest of task %s says %s %v, and entry %d of its ledger says %v: the manifest was changed since", w.task.name, what, manifest, one.Number, entry)})
	}
	if w.walked == 1 && one.Position != m.Position {
		differs("that the next record is at", m.Position, one.Position)
	}
	if !w.agreed && one.Kind != ledger.KindRepair { // a repair says nothing of the end, and has a decoder of its own
		w.agreed = true
		if one.Final != m.Final {
			differs("that the landing log has ended:", m.Final, one.Final)
		}
		if one.Decoder != m.Decoder {
			differs("that the decoder is", quoteName(m.Decoder), quoteName(one.Decoder))
		}
	}
	for i := range one.Logs {
		l := &one.Logs[i]
		if _, newer := w.task.remembers[l.Log]; newer || l.Next == 0 {
			continue
		}
		s := stateLog{gateway: l.Gateway, next: uint64(l.Next)}
		if d, err := record.ParseDigest(l.Digest); err == nil {
			s.digest, s.known = d, true
		}
		_, _ = hex.Decode(s.chain[:], []byte(l.Chain))
		w.task.remembers[l.Log] = s
	}
}

// compareState holds the state of a task against its ledger: a task that remembers a
// log as it was earlier, or not at all, takes records of it again.
func (a *audit) compareState(t *taskState, found map[record.LogID]stateLog) {
	wrong := func(log string, l stateLog, format string, args ...any) {
		a.find(Finding{Kind: KindState, Task: t.name, Epoch: uint64(t.manifest.Epoch), File: t.name + "/state", Gateway: l.gateway, Log: log,
			Detail: fmt.Sprintf("the state of task %s is not that of its ledger: log %s of %s ", t.name, log, l.gateway) + fmt.Sprintf(format, args...)})
	}
	want := t.remembers
	if t.since {
		for i := range a.Since.Logs {
			l := &a.Since.Logs[i]
			if _, newer := want[l.Log]; !newer && l.Task == t.name && l.Next > 0 {
				want[l.Log] = stateLog{gateway: l.Gateway, next: l.Next}
			}
		}
	}
	there := make(map[string]stateLog, len(found))
	for id, s := range found {
		there[id.String()] = s
	}
	for _, log := range slices.Sorted(maps.Keys(want)) {
		l := want[log]
		s, known := there[log]
		switch {
		case !known:
			wrong(log, l, "is not in it, and was taken up to offset %d", l.next)
		case s.next != l.next:
			wrong(log, l, "is taken up to offset %d in it, and up to %d there", s.next, l.next)
		case s.known && l.known && s.digest != l.digest:
			wrong(log, l, "has the digest %s in it, and %s there", s.digest, l.digest)
		case s.chain != l.chain && s.chain != (record.Hash{}) && l.chain != (record.Hash{}):
			wrong(log, l, "has the hash %s at offset %d in it, and %s there", s.chain, s.next, l.chain)
		}
	}
	if t.since || t.cut || t.blank() { // not all logs are in the entries that were read
		return
	}
	for _, log := range slices.Sorted(maps.Keys(there)) {
		if _, known := want[log]; !known {
			wrong(log, there[log], "is in it, and not there")
		}
	}
}

// checkChain holds that the objects of a state, oldest first, follow each other from
// the first one that the newest needs.
func checkChain(objects []state.Description) error {
	for i := 1; i < len(objects); i++ {
		if objects[i].Sequence != objects[i-1].Sequence+1 {
			return fmt.Errorf("%w: object %d follows %d", state.ErrCorrupt, objects[i].Sequence, objects[i-1].Sequence)
		}
	}
	if n := len(objects); n > 0 && objects[n-1].Needs != objects[0].Sequence {
		return fmt.Errorf("%w: objects %d to %d, wanted from %d", state.ErrCorrupt, objects[0].Sequence, objects[n-1].Sequence, objects[n-1].Needs)
	}
	return nil
}
