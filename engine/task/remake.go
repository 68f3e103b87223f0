package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// remakeTimeout is how long an epoch that is made again waits for its next
// block, which has landed long ago.
const remakeTimeout = time.Minute

// remake makes an epoch again, with a processor of its own and nothing that the
// task's loop owns: it may run beside it. The rows go to the stage in the same
// batches as the first time, so that the same bytes come out. Errors:
// checkpoint.ErrGone when the landing log does not hold the epoch any more or
// this program cannot read it; anything else may pass.
func remake(ctx context.Context, cfg *Config, r checkpoint.Remaking) error {
	p, err := newProcessor(new(Counters), cfg.Windows)
	if err != nil {
		return err
	}
	if err := p.restoreFrom(r.State); err != nil {
		return gone(fmt.Errorf("restore state before epoch %s: %w", r.Epoch, err))
	}
	p.begin(r.From, r.Cut, r.GivenUp)
	if err := remakeBlocks(ctx, cfg, &r, p); err != nil {
		return gone(err)
	}
	var batch table.Batch
	p.end(r.Epoch, r.Final, &batch)
	return r.Stage.Write(&batch)
}

// LogsOf returns how far each log is by the keyed state of a checkpoint, which the
// objects restore. Errors: those of the objects, and of package state.
func LogsOf(objects iter.Seq2[[]byte, error]) ([]ledger.Log, error) {
	p, err := newProcessor(new(Counters), operator.WindowConfig{})
	if err != nil {
		return nil, err
	}
	if err := p.state.Restore(objects); err != nil {
		return nil, err
	}
	return p.allLogs(), nil
}

// HoldOf returns where the landing log is to be kept from by the keyed state of a
// checkpoint, which the objects restore; nil: nothing was passed over. Errors as of
// LogsOf.
func HoldOf(objects iter.Seq2[[]byte, error]) (*stream.Position, error) {
	p, err := newProcessor(new(Counters), operator.WindowConfig{})
	if err != nil {
		return nil, err
	}
	if err := p.restoreFrom(objects); err != nil {
		return nil, err
	}
	return p.hold(), nil
}

// remakeBlocks reads the landing log from the epoch's beginning to its end.
func remakeBlocks(ctx context.Context, cfg *Config, r *checkpoint.Remaking, p *processor) error {
	if r.From.Same(r.To) {
		return nil
	}
	reader, err := cfg.Log.Reader(cfg.Partition, r.From)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	var batch table.Batch
	p.spill = func(b *table.Batch) (*table.Batch, error) {
		err := r.Stage.Write(b)
		b.Reset()
		return b, err
	}
	for at := r.From; !at.Same(r.To); {
		landed, after, err := nextWithin(ctx, reader, remakeTimeout)
		if err = noEnd(cfg.Log, err); err != nil {
			return fmt.Errorf("read partition %d after %s+%d, up to %s+%d: %w", cfg.Partition, at.Log, at.Offset, r.To.Log, r.To.Offset, err)
		}
		if after.Log == r.To.Log && after.Offset > r.To.Offset {
			return fmt.Errorf("%w: the landing log passes over the end of the epoch at %s+%d", checkpoint.ErrGone, r.To.Log, r.To.Offset)
		}
		cfg.Pulse.Beat()
		batch.Reset()
		if err := p.block(&landed, after, &batch); err != nil {
			return err
		}
		if err := r.Stage.Write(&batch); err != nil {
			return err
		}
		at = after
	}
	return nil
}

// nextWithin is the reader's Next with a limit.
func nextWithin(ctx context.Context, reader landing.Reader, limit time.Duration) (landing.Landed, stream.Position, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no block within %s", limit))
	defer cancel()
	landed, after, err := reader.Next(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return landed, after, err
}

// gone adds checkpoint.ErrGone to what no other attempt changes.
func gone(err error) error {
	for _, e := range []error{
		landing.ErrPosition, landing.ErrMismatch, io.EOF, state.ErrVersion, state.ErrCorrupt, checkpoint.ErrCorrupt, checkpoint.ErrVersion, record.ErrVersion,
	} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", checkpoint.ErrGone, err)
		}
	}
	return err
}
