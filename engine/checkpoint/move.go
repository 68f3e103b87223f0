package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"landfall/edge/durable/failpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrMoved is the ErrFenced of a task whose lake has another landing log now:
// nobody claims the task any more.
var ErrMoved = fmt.Errorf("%w: the lake has another landing log now", stream.ErrFenced)

// Moved names the landing log to which a lake was moved.
type Moved struct {
	Landing    string `json:"landing"`
	Partitions int    `json:"partitions"`
}

// movedError says where the lake of a task that has ended is.
func movedError(m *Manifest) error {
	return fmt.Errorf("%w: task %s ended at epoch %s, and the lake goes on from landing log %s with %d partitions; "+
		"what lands here is not published: configure that landing log, and start again", ErrMoved, m.TaskID(), m.Epoch, m.Moved.Landing, m.Moved.Partitions)
}

// why makes an ErrFenced ErrMoved or ErrRepaired when it is one. What cannot be
// read, or leaves a doubt, stays ErrFenced.
func (c *Committer) why(ctx context.Context, err error) error {
	if errors.Is(err, ErrMoved) {
		return err
	}
	var at cursor
	unread := c.retry.do(ctx, func() (err error) {
		at, err = load(ctx, c.cfg.Store, c.cfg.Task, false)
		return err
	})
	if unread == nil && at.data != nil && at.manifest.Moved != nil && c.leaving == nil {
		return fmt.Errorf("%w: %w", movedError(&at.manifest), err)
	}
	return c.byRepair(ctx, err)
}

// Leave ends a task, because its lake moves to another landing log: from then on
// nobody claims it. It returns the task's last manifest, whose state and ledger the
// tasks of that landing log go on from (Arrive). It is a claim like any other, in
// whose manifest the landing log stands to which the lake moves: its steps, what a
// crash after each one leaves, and its errors are those of Claim. When it returns,
// every output is visible. A task that has ended is left again, also for another
// landing log than before: a crash before its outputs were published is done with
// so.
func Leave(ctx context.Context, cfg Config, to Moved) (Manifest, error) {
	if err := cfg.Validate(); err != nil {
		return Manifest{}, err
	}
	c := newCommitter(cfg.withDefaults())
	c.leaving = &to
	if err := c.whyOver(ctx, c.takeOver(ctx)); err != nil {
		c.cancel()
		return Manifest{}, fmt.Errorf("leave %s: %w", cfg.Task, err)
	}
	if err := c.Close(ctx); err != nil {
		return Manifest{}, fmt.Errorf("leave %s: %w", cfg.Task, err)
	}
	return c.Manifest(), nil
}

// Arrival is the first checkpoint of a task that goes on from what tasks of
// another landing log of the same lake left.
type Arrival struct {
	// Generation counts the landing logs that the lake had before, 1 or more.
	Generation int
	// Came are the ledgers of those tasks.
	Came []ledger.Tip
	// State is the one object that restores keyed state; nil: there is none.
	State []byte
	// Watermarks of the gateways, any order.
	Watermarks []stream.Watermark
	// Logs are those that the task takes on, any order; From and Next are where
	// they are.
	Logs []ledger.Log
	// Note says what was done, for people.
	Note string
}

// arrivedLogs is how many logs one entry of an arrival names at most, so that the
// entries of a lake that is years old stay far below ledger.MaxEntryBytes.
const arrivedLogs = 50_000

// Arrive makes the first checkpoint of a task, of epoch 0 at the beginning of its
// partition. A task that has one of the same generation already is left as it is.
//
// Steps, and what a crash after each one leaves:
//
//  1. create the state object, then the entries that begin the ledger, then the
//     manifest that names both: objects that no HEAD names, collected by the
//     task's first claim; another attempt makes others.
//  2. create HEAD, if there is none: the task is there.
//
// Errors: ErrIdentity when the task has a checkpoint that is none of this; those
// of Claim.
func Arrive(ctx context.Context, cfg Config, a Arrival) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	c := newCommitter(cfg.withDefaults())
	defer c.cancel()
	err := c.arrive(ctx, a)
	if errors.Is(err, stream.ErrFenced) { // somebody else has made it meanwhile
		err = c.arrive(ctx, a)
	}
	if err != nil {
		return fmt.Errorf("make the first checkpoint of %s: %w", cfg.Task, err)
	}
	return nil
}

func (c *Committer) arrive(ctx context.Context, a Arrival) error {
	var from cursor
	err := c.retry.do(ctx, func() (err error) {
		from, err = load(ctx, c.cfg.Store, c.cfg.Task, true)
		return err
	})
	if err != nil {
		return err
	}
	if m := &from.manifest; from.data != nil {
		if m.Generation != a.Generation || m.Partitions != c.cfg.Partitions {
			return &IdentityError{Task: c.cfg.Task, Field: "generation", Have: fmt.Sprint(m.Generation),
				Want: fmt.Sprint(a.Generation)}
		}
		return nil
	}
	next := Manifest{
		Format: Format, Landing: c.cfg.Task.Landing, Partition: c.cfg.Task.Partition, Partitions: c.cfg.Partitions, Claim: c.claim,
		Schema: c.cfg.Schema, Decoder: c.cfg.Decoder, Writer: c.cfg.Writer, Watermarks: sortedWatermarks(a.Watermarks), Generation: a.Generation,
	}
	if a.State != nil {
		name := stateName(c.cfg.Task, 0, c.claim)
		if err := c.retry.put(ctx, c.cfg.Store, name, a.State); err != nil {
			return err
		}
		next.State = []StateObject{{Name: name, SHA256: hash(a.State), Bytes: int64(len(a.State))}}
	}
	failpoint.Hit("arrive.after-state")
	if next.Ledger, err = c.putArrival(ctx, &next, a); err != nil {
		return err
	}
	failpoint.Hit("arrive.after-entry")
	to, err := c.writeManifest(ctx, next)
	if err != nil {
		return err
	}
	failpoint.Hit("arrive.before-head")
	_, err = c.retry.swapHead(ctx, c.cfg.Store, c.cfg.Task, cursor{}, to.data)
	if err == nil {
		failpoint.Hit("arrive.after-head")
	}
	return err
}

// putArrival writes the entries that begin the ledger; the first of them says
// where the task came from. There is one at least.
func (c *Committer) putArrival(ctx context.Context, m *Manifest, a Arrival) (tip *ledger.Tip, err error) {
	logs := sortedLogs(a.Logs)
	for first := true; first || len(logs) > 0; first = false {
		e := entryAt(m, ledger.KindMoved)
		e.Note = a.Note
		if first {
			e.Came = a.Came
		}
		n := min(len(logs), arrivedLogs)
		e.Logs, logs = logs[:n], logs[n:]
		if tip, err = c.putEntry(ctx, e, tip); err != nil {
			return nil, err
		}
	}
	return tip, nil
}
