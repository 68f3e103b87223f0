package task

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// check finds out whether this process can go on from a checkpoint, before it takes
// the partition from whoever has it: it restores the state and opens the landing log
// where the checkpoint ends. Where the landing log was cut it is opened at its
// beginning: the next offset of each log decides what is taken, and what was taken
// before is dropped.
//
// Errors, all of which leave the partition alone: those of the state and of the
// landing log; landing.ErrPosition when there is no checkpoint and the beginning of
// the landing log is gone: nobody knows how far it was taken.
func (l *loop) check(ctx context.Context, found *checkpoint.Manifest,
	state iter.Seq2[[]byte, error]) (checkpoint.Checked, error) {
	var err error
	if l.processor, err = newProcessor(l.cfg.Counters, l.cfg.Windows); err != nil {
		return checkpoint.Checked{}, err
	}
	if found == nil {
		found = &checkpoint.Manifest{}
	}
	if err := l.processor.restoreFrom(state); err != nil {
		return checkpoint.Checked{}, fmt.Errorf("restore state at epoch %s: %w", found.Epoch, err)
	}
	l.position = found.Position
	if found.Final {
		return checkpoint.Checked{}, nil
	}
	l.reader, err = l.cfg.Log.Reader(l.cfg.Partition, l.position)
	switch {
	case err == nil:
		l.processor.begin(l.position, false, false)
		return l.giveUp(ctx)
	case !errors.Is(err, landing.ErrCut):
		return checkpoint.Checked{}, fmt.Errorf("read partition %d from %s: %w", l.cfg.Partition, l.position, err)
	case found.Claim == "":
		return checkpoint.Checked{}, fmt.Errorf("%w: the beginning of partition %d is gone, and no checkpoint of "+
			"this lake says how far it was taken: %v",
			landing.ErrPosition, l.cfg.Partition, err)
	}
	return l.rewind(ctx, err)
}

// rewind opens the landing log at its beginning.
func (l *loop) rewind(ctx context.Context, why error) (checkpoint.Checked, error) {
	first, _, err := l.cfg.Log.Bounds(ctx, l.cfg.Partition)
	if err != nil {
		return checkpoint.Checked{}, fmt.Errorf("find the beginning of partition %d: %w", l.cfg.Partition, err)
	}
	if l.reader, err = l.cfg.Log.Reader(l.cfg.Partition, first); err != nil {
		return checkpoint.Checked{}, fmt.Errorf("read partition %d from its beginning %s: %w", l.cfg.Partition, first,
			err)
	}
	if err := l.cfg.Log.Release(l.cfg.Partition, stream.Position{}); err != nil {
		return checkpoint.Checked{}, fmt.Errorf("withdraw what partition %d was to let go of: %w", l.cfg.Partition, err)
	}
	l.cfg.Counters.Rewinds.Add(1)
	l.cfg.Logger.Error("the landing log was cut: what it holds is read again from its beginning; gateways are asked "+
		"for what is missing",
		"partition", l.cfg.Partition, "position", l.position, "from", first, "error", why)
	l.position = first
	l.processor.begin(first, true, false)
	return checkpoint.Checked{From: &stream.Position{Log: first.Log, Offset: first.Offset}}, nil
}

// giveUp goes back to what the landing log has held back for too long, if there is
// any: what was passed over goes to conflict, and the landing log is let go.
func (l *loop) giveUp(ctx context.Context) (checkpoint.Checked, error) {
	l.crowded = l.crowded || l.cfg.Crowded()
	at := l.processor.overdue(l.heldSince())
	if at == nil {
		return checkpoint.Checked{}, nil
	}
	reader, err := l.cfg.Log.Reader(l.cfg.Partition, *at)
	if errors.Is(err, landing.ErrCut) { // what was held back is gone, too
		l.close()
		return l.rewind(ctx, err)
	}
	if err != nil {
		return checkpoint.Checked{}, fmt.Errorf("read partition %d from %s, where it was held back: %w",
			l.cfg.Partition, at, err)
	}
	l.close()
	l.reader, l.position = reader, *at
	l.processor.begin(*at, false, true)
	l.cfg.Logger.Error("what is missing in the landing log has not come in time; what follows it goes to conflict, "+
		"and the landing log is let go",
		"partition", l.cfg.Partition, "from", at, "after", l.cfg.Hold)
	return checkpoint.Checked{From: at, GivenUp: true}, nil
}

// overdue returns what is held back first and has been for too long, nil: nothing. It
// looks whether the landing log has room.
func (l *loop) overdue() *stream.Position {
	l.crowded = l.cfg.Crowded()
	return l.processor.overdue(l.heldSince())
}

// heldSince is when something was held back that is overdue now. A landing log that
// has no room for what is to come holds back nothing.
func (l *loop) heldSince() record.Micros {
	if l.crowded {
		return math.MaxInt64
	}
	return record.Micros(time.Now().Add(-l.cfg.Hold).UnixMicro())
}

// close lets go of the landing log.
func (l *loop) close() {
	if l.reader != nil {
		_ = l.reader.Close() // it holds nothing that is not durable
	}
}
