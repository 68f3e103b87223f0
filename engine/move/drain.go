package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// endPatience is how long the next block of a shared log may take to come that is
// known to be there.
const endPatience = time.Minute

// ending reads a partition to where it ended when it was made, and then calls ended.
type ending struct {
	landing.Reader
	shared bool
	at     int64 // shared: the offset after the last block
	end    int64 // shared: where it stops
	ended  func()
}

// newEnding reads a partition from a position.
func newEnding(ctx context.Context, log landing.Log, partition int, from stream.Position, ended func()) (*ending, error) {
	e := &ending{ended: ended, at: from.Offset}
	if log.Shared() {
		_, end, err := log.Bounds(ctx, partition)
		if err != nil {
			return nil, err
		}
		e.shared, e.end = true, end.Offset
	}
	var err error
	e.Reader, err = log.Reader(partition, from)
	return e, err
}

// errNoMore says that the end was reached.
var errNoMore = errors.New("the landing log ends here")

// next returns the next block; errNoMore at the end.
func (e *ending) next(ctx context.Context) (landing.Landed, stream.Position, error) {
	if e.shared {
		if e.at >= e.end {
			return landing.Landed{}, stream.Position{}, errNoMore
		}
		waiting, cancel := context.WithTimeout(ctx, endPatience)
		defer cancel()
		l, after, err := e.Reader.Next(waiting)
		if err != nil && ctx.Err() == nil && waiting.Err() != nil {
			err = fmt.Errorf("no block within %s after offset %d, and the partition ends at %d: %w", endPatience, e.at, e.end, err)
		}
		if err == nil {
			e.at = after.Offset
		}
		return l, after, err
	}
	// Nobody appends: what is not there at once will not come.
	atOnce, cancel := context.WithCancel(ctx)
	cancel()
	l, after, err := e.Reader.Next(atOnce)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		err = errNoMore
	}
	return l, after, err
}

// Next implements landing.Reader for a task: at the end it waits for the task to be
// ended.
func (e *ending) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	l, after, err := e.next(ctx)
	if errors.Is(err, errNoMore) {
		e.ended()
		<-ctx.Done()
		return landing.Landed{}, stream.Position{}, ctx.Err()
	}
	return l, after, err
}

// draining is a landing log whose readers stop where the log ends.
type draining struct {
	landing.Log
	ctx   context.Context
	ended func()
}

// Reader implements landing.Log.
func (d draining) Reader(partition int, from stream.Position) (landing.Reader, error) {
	return newEnding(d.ctx, d.Log, partition, from, d.ended)
}

// unread counts the blocks of a partition after a position, or all that there are
// where the log was cut.
func unread(ctx context.Context, log landing.Log, partition int, from stream.Position) (n int64, err error) {
	e, err := newEnding(ctx, log, partition, from, nil)
	if errors.Is(err, landing.ErrCut) { // the task begins again with what there is
		if from, _, err = log.Bounds(ctx, partition); err == nil {
			e, err = newEnding(ctx, log, partition, from, nil)
		}
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for {
		if _, _, err := e.next(ctx); errors.Is(err, errNoMore) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n++
	}
}

// drain runs the task of a partition until all that is landed is published.
func drain(ctx context.Context, cfg task.Config) error {
	running, end := context.WithCancel(ctx)
	defer end()
	cfg.Log = draining{Log: cfg.Log, ctx: ctx, ended: end}
	err := task.Run(running, cfg)
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// unreadable stands for a landing log that is not there, or is not to be read: what
// was landed in it and not published is not known.
type unreadable struct {
	landing.Log
	id         landing.ID
	partitions int
}

// ID implements landing.Log.
func (u unreadable) ID() landing.ID { return u.id }

// Partitions implements landing.Log.
func (u unreadable) Partitions() int { return u.partitions }

// Reader implements landing.Log.
func (u unreadable) Reader(int, stream.Position) (landing.Reader, error) {
	return nil, fmt.Errorf("read landing log %s, which was left: %w", u.id, landing.ErrPosition)
}

// Release implements landing.Log: nothing is kept there.
func (u unreadable) Release(int, stream.Position) error { return nil }
