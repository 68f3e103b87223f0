package move

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"landfall/edge/durable/failpoint"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// mayLead says whether a move that has begun may lead to where this call leads:
// ErrUnderWay when that is back, ErrNotFresh when it was given up.
func (r *replacing) mayLead(m *moving) error {
	on := fmt.Sprintf("repeat `landfall-engine landing replace` with the configuration of %s, or with that of another fresh landing log", m.To)
	switch {
	case r.To.ID != "" && r.To.ID == r.lake.fed.ID && m.To.ID == r.To.ID: // as an earlier version let it
		return fmt.Errorf("%w: it cannot lead back to %s, whose tasks may have ended; repeat `landfall-engine landing replace` with the configuration of a fresh landing log", ErrUnderWay, r.To)
	case r.To.ID != "" && r.To.ID == r.lake.fed.ID:
		return fmt.Errorf("%w: it cannot lead back to %s, whose tasks may have ended; %s", ErrUnderWay, r.To, on)
	case m.To.ID == r.To.ID:
		return nil
	case r.To.ID != "" && slices.ContainsFunc(m.Abandoned, func(l Landing) bool { return l.ID == r.To.ID }):
		return fmt.Errorf("%w: this move was to lead to %s and was led elsewhere; %s", ErrNotFresh, r.To, on)
	}
	return nil
}

// intend is step 2. A landing log that the move was to lead to before is given up for
// this one: it may be gone, and nobody has worked there. Steps, and what a crash after
// each one leaves:
//
//  1. swap the intent: the move leads here. The call that led elsewhere may still bind
//     the lake to where it led; then step 2 fails, here and in each repetition before it
//     looked again, and the intent says nothing.
//  2. where a landing log was given up: swap _lake/landing, which counts them. No call
//     that looked before binds the lake from here on, and each that looks later finds
//     what was given up in the intent and is refused. So what was made there can go.
func (r *replacing) intend(ctx context.Context) error {
	want := moving{Format: format, Generation: r.result.Generation, From: r.lake.fed.Landing, To: r.To, Abandoned: []Landing{}}
	var have moving
	version, there, err := readObject(ctx, r.Store, movingName, &have)
	if err != nil {
		return err
	}
	switch {
	case there && have.Generation > want.Generation:
		return fmt.Errorf("%w, to %s", ErrOvertaken, have.To)
	case there && have.Generation == want.Generation:
		if err := r.mayLead(&have); err != nil {
			return err
		}
		want.Abandoned = have.Abandoned
		if have.To.ID != r.To.ID {
			want.Abandoned = append(want.Abandoned, have.To)
		}
	}
	if there && have.Generation == want.Generation && have.To.ID == r.To.ID {
		r.lake.moving = &have
	} else {
		data, err := encode(want)
		if err != nil {
			return err
		}
		if _, err := r.Store.Swap(ctx, movingName, version, data); err != nil {
			return err
		}
		r.lake.moving = &want
	}
	failpoint.Hit("move.after-intent")
	fence := r.lake.fed
	if fence.GivenUp = len(r.lake.moving.Abandoned); fence.GivenUp == r.lake.fed.GivenUp {
		return nil
	}
	fence.Format = formatGivenUp
	return r.swapFed(ctx, fence)
}

// swapFed changes _lake/landing from what was read of it, durable on return.
// ErrOvertaken: somebody else has changed it.
func (r *replacing) swapFed(ctx context.Context, next fed) error {
	data, err := encode(next)
	if err != nil {
		return err
	}
	version, err := r.Store.Swap(ctx, landingName, r.lake.version, data)
	if err != nil {
		// The answer was lost, or somebody else repeats the move beside this call.
		var now fed
		again, there, readErr := readObject(ctx, r.Store, landingName, &now)
		switch {
		case readErr != nil || !there:
			return err
		case now.ID == next.ID && now.Generation == next.Generation && now.GivenUp == next.GivenUp:
			if err := r.Store.Settle(ctx, landingName); err != nil {
				return err
			}
			version = again
		case errors.Is(err, checkpoint.ErrChanged), errors.Is(err, checkpoint.ErrExist):
			return fmt.Errorf("%w, and it is fed from %s: look, and repeat what is to be done: %w", ErrOvertaken, now.Landing, err)
		default:
			return err
		}
	}
	r.lake.fed, r.lake.version = next, version
	return nil
}

// leads is nil while the intent is this call's: no other call has given up where it
// leads.
func (r *replacing) leads(ctx context.Context) error {
	var have moving
	_, there, err := readObject(ctx, r.Store, movingName, &have)
	if err == nil && (!there || have.Generation != r.result.Generation || have.To.ID != r.To.ID) {
		err = fmt.Errorf("%w, to %s", ErrOvertaken, have.To)
	}
	return err
}

// clear removes the checkpoints that attempts made which were given up. Each is as its
// attempt made it, or it stays: no engine has ever claimed one, for no lake was bound
// to its landing log, and none will be (see intend). HEAD goes first: a crash after it
// leaves objects of a task that is not there.
func (r *replacing) clear(ctx context.Context) error {
	for _, l := range r.lake.moving.Abandoned {
		if l.ID == r.To.ID || !r.leadsTo(string(l.ID)) {
			continue
		}
		for p := range l.Partitions {
			if err := r.remove(ctx, l.taskOf(p)); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes what an attempt made of one task.
func (r *replacing) remove(ctx context.Context, id stream.TaskID) error {
	m, err := checkpoint.Load(ctx, r.Store, id)
	switch {
	case errors.Is(err, checkpoint.ErrNotExist): // not made, or HEAD was removed before a crash
	case err != nil:
		return err
	case !arrived(&m) || m.Generation != r.result.Generation:
		return nil
	}
	folder := id.String() + "/"
	names, err := r.Store.List(ctx, folder)
	if err != nil {
		return err
	}
	for _, name := range append([]string{folder + "HEAD"}, names...) {
		if err := r.Store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// bind is step 7.
func (r *replacing) bind(ctx context.Context) error {
	return r.swapFed(ctx, fed{Format: format, Generation: r.result.Generation, Landing: r.To})
}
