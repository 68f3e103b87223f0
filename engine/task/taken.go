package task

import (
	"context"
	"errors"
	"fmt"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/operator"
	"landfall/engine/stream"
)

// Taken is how far a task has taken one log, as of its newest committed epoch.
type Taken struct {
	Epoch    stream.Epoch
	Position stream.Position // in the landing log, where the epoch ends
	Next     record.Offset   // of the log; 0: nothing of it
}

// LogTaken tells how far a task has taken a log, once the task has committed
// up to a position; false: it has not yet, or not committed at all. It claims
// and changes nothing, and is safe beside a running task.
func LogTaken(ctx context.Context, store checkpoint.Store, id stream.TaskID, log record.LogID, from stream.Position) (t Taken, ok bool, err error) {
	for before := (stream.ClaimID("")); ; {
		m, err := checkpoint.Load(ctx, store, id)
		if errors.Is(err, checkpoint.ErrNotExist) {
			return Taken{}, false, nil
		}
		if err != nil || m.Position.Offset < from.Offset {
			return Taken{}, false, err
		}
		p, err := newProcessor(new(Counters), operator.WindowConfig{})
		if err != nil {
			return Taken{}, false, err
		}
		err = p.state.Restore(checkpoint.StateOf(ctx, store, &m))
		at := stream.ClaimID(fmt.Sprint(m.Claim, m.Epoch))
		if errors.Is(err, checkpoint.ErrCorrupt) && at != before {
			before = at // collected meanwhile: HEAD has moved on
			continue
		}
		if err != nil {
			return Taken{}, false, fmt.Errorf("read state of %s at epoch %s: %w", id, m.Epoch, err)
		}
		st, _ := p.logs.Get(log)
		return Taken{Epoch: m.Epoch, Position: m.Position, Next: st.Next}, true, nil
	}
}
