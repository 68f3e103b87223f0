package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/state"
)

// stateTries is how often the state of a task that goes on is looked for.
const stateTries = 5

// checkState reads the objects that restore a task's state. Without a ledger
// they are what says how far each log came.
func (a *audit) checkState(ctx context.Context, t *taskState) error {
	m := *t.manifest
	for try := 1; ; try++ {
		logs, err := stateLogs(ctx, a.Checkpoints, &m)
		if err == nil {
			if (t.manifest.Ledger == nil || t.byState) && t.manifest.Epoch > 0 {
				a.anchorByState(t, logs)
			} else if t.manifest.Ledger != nil && m.Epoch == t.manifest.Epoch {
				a.compareState(t, logs)
			}
			return nil
		}
		if !isDamage(err) && !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrVersion) {
			return err
		}
		again, loadErr := checkpoint.Load(ctx, a.Checkpoints, m.TaskID())
		if loadErr != nil && !isDamage(loadErr) {
			return loadErr
		}
		if loadErr == nil && try < stateTries && !slices.Equal(again.State, m.State) {
			m = again // the task went on and collected what was being read
			continue
		}
		a.anchored = a.anchored && m.Ledger != nil
		a.find(Finding{Kind: KindState, Task: t.name, Epoch: uint64(m.Epoch), File: t.name + "/state", Detail: fmt.Sprintf("the state of task %s cannot be restored: %v", t.name, err)})
		return nil
	}
}

// stateLog is what the state of a task says of one log.
type stateLog struct {
	gateway string
	next    uint64
	digest  record.Digest // below next
	known   bool          // the digest is
	chain   record.Hash   // at next; zero: after a loss, or not known
}

// logsTable is the table of the state in which a task keeps its logs: under the
// 16 bytes of the LogID uvarint length and name of the gateway, uvarint next
// offset, 16 bytes hash, uvarint gaps. Versions 1 to 4 begin so; since version 2 a
// byte follows whose bit 0 says that the digest is known, and 8 bytes with it.
const (
	logsTable        = "logs"
	logsTableVersion = 4
)

// decodeStateLog reads the value of one log. Error: state.ErrCorrupt.
func decodeStateLog(version uint16, id record.LogID, value []byte) (stateLog, error) {
	f := record.NewFields(value)
	l := stateLog{gateway: string(f.Bytes()), next: f.Uvarint()}
	copy(l.chain[:], f.Take(uint64(len(l.chain))))
	f.Uvarint()
	if version >= 2 {
		known := f.Byte()&1 != 0
		if p := f.Take(8); known && len(p) == 8 {
			l.digest, l.known = record.Digest(binary.LittleEndian.Uint64(p)), true
		}
	}
	if f.Bad() {
		return stateLog{}, fmt.Errorf("%w: log %s", state.ErrCorrupt, id)
	}
	return l, nil
}

// stateLogs reads the state at a manifest.
func stateLogs(ctx context.Context, store checkpoint.Store, m *checkpoint.Manifest) (map[record.LogID]stateLog, error) {
	logs := make(map[record.LogID]stateLog)
	var objects []state.Description
	for data, err := range checkpoint.StateOf(ctx, store, m) {
		if err != nil {
			return nil, err
		}
		object, err := state.Describe(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
		err = state.Entries(data, logsTable, func(version uint16, key, value []byte) error {
			if version > logsTableVersion {
				return fmt.Errorf("%w: logs of version %d", state.ErrVersion, version)
			}
			if len(key) != len(record.LogID{}) {
				return fmt.Errorf("%w: log id of %d bytes", state.ErrCorrupt, len(key))
			}
			id := record.LogID(key)
			if value == nil {
				delete(logs, id)
				return nil
			}
			l, err := decodeStateLog(version, id, value)
			if err == nil && l.next > 0 { // else nothing of it was taken
				logs[id] = l
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return logs, checkChain(objects)
}

// anchorByState takes what the state says of logs for what has to be there.
func (a *audit) anchorByState(t *taskState, logs map[record.LogID]stateLog) {
	if t.pending > 0 {
		a.anchored = false
		a.note("task %s has epochs that are not published and no ledger: how far its logs have to be there is not known", t.name)
		return
	}
	for id, s := range logs {
		if l := a.log(logKey{s.gateway, id.String()}); !l.claimed {
			l.claimed, l.next, l.task = true, s.next, t.name
		}
	}
}
