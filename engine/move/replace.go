package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"landfall/edge/durable/failpoint"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// Errors of a move, to be tested with errors.Is.
var (
	// ErrUnfed says that no landing log feeds the lake yet: there is nothing to move.
	ErrUnfed = errors.New("no landing log feeds the lake yet: the first start of an engine decides which one does")
	// ErrNotFresh says that the new landing log holds something, or fed the lake before.
	ErrNotFresh = errors.New("not a fresh landing log")
	// ErrUnread says that the old landing log was not read, and that nobody has said that
	// it is lost.
	ErrUnread = errors.New("the old landing log is not read")
	// ErrUnderWay says that a move of the lake has begun that leads elsewhere.
	ErrUnderWay = errors.New("the lake is being moved, and that is not done")
	// ErrOvertaken says that somebody else moves the lake at the same time.
	ErrOvertaken = errors.New("somebody else moves the lake too")
)

// Config says which lake moves where.
type Config struct {
	// Store holds the lake's checkpoints. Required.
	Store checkpoint.Store
	// Sinks makes the sinks of one task. Required.
	Sinks func() ([]stream.Sink, error)
	// To is the new landing log. Without an ID, which a dry run allows, it is not
	// there yet.
	To Landing
	// New is that log, open; nil: a dry run does without.
	New landing.Log
	// Old is the landing log that feeds the lake, open; nil: it is not read. Nobody
	// else may append to it, or read it, meanwhile.
	Old landing.Log
	// Lost says to go on without Old: what landed there and is not published is sent
	// again by the gateways that keep it until then, and is lost of the others.
	Lost bool
	// Task has the settings of the engine's tasks: epochs, windows, writer.
	Task task.Config
	// DryRun changes nothing, and tells what would be done.
	DryRun bool
	Logger *slog.Logger // nil: silence
}

// Result is what a move did, or would do. Its JSON form is stable.
type Result struct {
	From Landing `json:"from"`
	To   Landing `json:"to"`
	// Generation counts the landing logs that the lake had before To.
	Generation int `json:"generation"`
	// WasDone says that the lake is fed from To already: nothing was done.
	WasDone bool `json:"was_done"`
	DryRun  bool `json:"dry_run"`
	// Old are the tasks that ended, New those that go on.
	Old []OldTask `json:"old"`
	New []NewTask `json:"new"`
	// Notes are what a person should know.
	Notes []string `json:"notes"`
}

// OldTask is a task that ended.
type OldTask struct {
	Task  string `json:"task"`
	Epoch uint64 `json:"epoch"` // the last one
	// Unread are the blocks that were landed and in no epoch when the move began, or
	// landed meanwhile;
	// -1: not known, because they were not read.
	Unread int64 `json:"unread"`
}

// NewTask is a task that goes on.
type NewTask struct {
	Task       string `json:"task"`
	Gateways   int    `json:"gateways"`
	Logs       int    `json:"logs"`
	StateBytes int    `json:"state_bytes"`
}

// Fed tells which landing log feeds a lake, or fed it before the move that is under
// way. Errors: ErrUnfed, those of Check.
func Fed(ctx context.Context, store checkpoint.Store, to landing.ID) (Landing, error) {
	l, err := look(ctx, store, to)
	if err == nil && !l.known {
		err = ErrUnfed
	}
	return l.fed.Landing, err
}

// Replace moves a lake to another landing log. Engines on the old one are stopped
// before: one that still runs is fenced, ends red and never commits again. Steps,
// and what a crash after each one leaves; each is done again by the same call:
//
//  1. create _lake/landing, where a lake of an older version has none, or it was lost,
//     and drain: run the old tasks until all that is landed is published. This is what a
//     start of an engine and engines do all the time, in this order. Most of what can
//     fail fails here, where nothing has changed.
//  2. swap the intent, _lake/moving: no engine with tasks starts on the lake from here
//     on, with either landing log, until the same call has come to its end. An ingest of
//     the old topic that still runs acknowledges nothing any more that a gateway might
//     let go of, for it looks at the intent after the block is durable and before it
//     answers (Watch.Confirm), and within seconds it lands nothing.
//  3. mark: where the old landing log is a topic, say so there too, for ingests that know
//     no lake, or cannot read its store.
//  4. drain again: what has been acknowledged was durable before the intent or the mark
//     was there, so it lies before the end that is looked up now, and is published.
//  5. leave: claim every old task with a manifest that ends it, and publish what is
//     pending. Some tasks have ended and others have not; the lake is the same. What
//     lands between 4 and 5 or later was acknowledged to nobody who lets go of it.
//  6. arrive: hand over what the old tasks knew, by the new partition of each gateway,
//     and create the first checkpoint of each new task. Some are there and others
//     are not; nobody claims them yet.
//  7. bind: swap _lake/landing to the new landing log. The move happened: engines
//     start with the new one, and are refused with the old one. The intent says nothing
//     from here on, for its generation is the lake's.
//
// So nothing is lost to a gateway that lets go of what has landed, with two exceptions:
// an ingest that still runs and is of an earlier version, or can read neither the lake's
// store nor the topic's register at the time; and Config.Lost, which skips 1, 3 and 4.
//
// What was landed and not published, because Config.Lost said so or because it
// landed meanwhile, is sent again by gateways that keep it. Nothing is removed from
// the old landing log.
//
// A move that has begun leads on, to where it began to lead or to another fresh
// landing log, and never back: its tasks may have ended. The landing log that it led
// to before is then given up, and no lake is ever bound to that by the same move.
//
// Errors: ErrUnfed, ErrNotFresh, ErrUnread, ErrUnderWay, ErrOvertaken, stream.ErrFenced
// while an engine still runs, those of Check, of task.Run and of the store.
func Replace(ctx context.Context, c Config) (*Result, error) {
	r, err := begin(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case r.result.WasDone:
		return r.result, nil
	case c.DryRun:
		return r.result, r.foresee(ctx)
	}
	return r.result, r.move(ctx)
}

// MayReplace returns the error with which Replace would refuse a move before it changes
// anything; nil: it would begin. It changes nothing. The new landing log need not be
// there yet, so that none is made for a move that is refused.
func MayReplace(ctx context.Context, c Config) error {
	_, err := begin(ctx, c)
	return err
}

// begin reads what a move needs to know, and refuses one that cannot be.
func begin(ctx context.Context, c Config) (*replacing, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	r := &replacing{Config: c}
	var err error
	if r.lake, err = look(ctx, c.Store, c.To.ID); err != nil {
		return nil, err
	}
	if !r.lake.known {
		return nil, ErrUnfed
	}
	r.result = &Result{
		From: r.lake.fed.Landing, To: c.To, Generation: r.lake.fed.Generation + 1, DryRun: c.DryRun, Old: []OldTask{}, New: []NewTask{}, Notes: []string{},
	}
	if r.lake.fed.ID == c.To.ID && r.lake.moving == nil {
		r.result.WasDone, r.result.Generation = true, r.lake.fed.Generation
		return r, nil
	}
	if r.lake.moving != nil {
		if err := r.mayLead(r.lake.moving); err != nil {
			return nil, err
		}
	}
	return r, r.prepare(ctx)
}

// replacing is a move on its way.
type replacing struct {
	Config
	lake    lake
	old     []oldTask
	targets []landing.ID // where this move was to lead, with each of its attempts
	result  *Result
}

// oldTask is a task that is to end.
type oldTask struct {
	id         stream.TaskID
	partitions int
	manifest   checkpoint.Manifest // of HEAD; Format 0: there is none
}

// ended says that the task has ended already.
func (t *oldTask) ended() bool { return t.manifest.Moved != nil }

// move is steps 1 to 7.
func (r *replacing) move(ctx context.Context) error {
	if r.lake.version == "" {
		if err := r.swapFed(ctx, r.lake.fed); err != nil {
			return fmt.Errorf("note which landing log feeds the lake: %w", err)
		}
	}
	if err := r.drain(ctx); err != nil {
		return fmt.Errorf("drain landing log %s: %w", r.lake.fed.ID, err)
	}
	failpoint.Hit("move.after-drain")
	if err := r.intend(ctx); err != nil {
		return fmt.Errorf("note that the lake moves: %w", err)
	}
	if err := r.mark(ctx); err != nil {
		return fmt.Errorf("note in landing log %s that the lake leaves it: %w", r.lake.fed.ID, err)
	}
	failpoint.Hit("move.after-mark")
	if err := r.drain(ctx); err != nil {
		return fmt.Errorf("drain landing log %s again: %w", r.lake.fed.ID, err)
	}
	if err := r.leave(ctx); err != nil {
		return err
	}
	if err := r.arrive(ctx); err != nil {
		return err
	}
	failpoint.Hit("move.before-bind")
	if err := r.bind(ctx); err != nil {
		return fmt.Errorf("make landing log %s the lake's: %w", r.To.ID, err)
	}
	failpoint.Hit("move.after-bind")
	return nil
}

// leaver is a landing log in which it can be noted that its lake leaves it, for ingests
// that append to it and know no lake.
type leaver interface {
	// Leave is durable on return; called again it changes nothing.
	Leave(ctx context.Context, to string) error
}

// mark is step 3.
func (r *replacing) mark(ctx context.Context) error {
	if l, ok := r.Old.(leaver); ok && !r.Lost {
		return l.Leave(ctx, r.To.String())
	}
	return nil
}

// note tells a person something.
func (r *replacing) note(format string, args ...any) {
	r.result.Notes = append(r.result.Notes, fmt.Sprintf(format, args...))
}

// foresee fills in the result of a dry run.
func (r *replacing) foresee(ctx context.Context) error {
	for i := range r.old {
		n, err := r.unread(ctx, &r.old[i])
		if err != nil {
			return err
		}
		r.result.Old = append(r.result.Old, OldTask{Task: r.old[i].id.String(), Epoch: uint64(r.old[i].manifest.Epoch), Unread: n})
	}
	if r.To.Partitions == 0 {
		return nil
	}
	h, err := r.handover(ctx, r.old, r.To.Partitions)
	if err != nil {
		return err
	}
	for p := range r.To.Partitions {
		r.tell(p, h.Part(p))
	}
	return nil
}

// unread counts what is landed for a task and in none of its epochs; -1: not known.
func (r *replacing) unread(ctx context.Context, t *oldTask) (int64, error) {
	if !r.reads(t) || t.ended() {
		return -1, nil
	}
	n, err := unread(ctx, r.Old, t.id.Partition, t.manifest.Position)
	if err != nil && r.DryRun {
		r.note("partition %d of the old landing log cannot be read: %v", t.id.Partition, err)
		return -1, nil
	}
	return n, err
}

// reads says that the old landing log of a task is read.
func (r *replacing) reads(t *oldTask) bool {
	return r.Old != nil && !r.Lost && t.id.Landing == string(r.Old.ID())
}

// taskConfig is how a task of a landing log works; close ends its sinks.
func (r *replacing) taskConfig(log landing.Log, partition int) (cfg task.Config, end func(), err error) {
	sinks, err := r.Sinks()
	if err != nil {
		return task.Config{}, nil, err
	}
	cfg = r.Task
	cfg.Log, cfg.Partition, cfg.Store, cfg.Sinks, cfg.Logger = log, partition, r.Store, sinks, r.Logger
	return cfg, func() {
		for _, k := range sinks {
			if c, ok := k.(io.Closer); ok {
				_ = c.Close() // nothing durable is left to it
			}
		}
	}, nil
}

// drainRounds is how often a task is run until nothing more lands.
const drainRounds = 3

// drain is steps 1 and 4.
func (r *replacing) drain(ctx context.Context) error {
	for i := range r.old {
		t := &r.old[i]
		n, err := r.unread(ctx, t)
		if err != nil {
			return err
		}
		if i == len(r.result.Old) {
			r.result.Old = append(r.result.Old, OldTask{Task: t.id.String(), Unread: n})
		} else if n > 0 {
			r.result.Old[i].Unread += n
		}
		for round := 0; n > 0; round++ {
			if round == drainRounds {
				return fmt.Errorf("blocks go on landing in partition %d: stop every engine of the old landing log, those that only take in what gateways send too", t.id.Partition)
			}
			r.Logger.Info("what is landed is published", "task", t.id.String(), "blocks", n)
			if err := r.drainTask(ctx, t); err != nil {
				return err
			}
			if n, err = r.unread(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replacing) drainTask(ctx context.Context, t *oldTask) error {
	cfg, end, err := r.taskConfig(r.Old, t.id.Partition)
	if err != nil {
		return err
	}
	defer end()
	if err := drain(ctx, cfg); errors.Is(err, stream.ErrFenced) {
		return fmt.Errorf("task %s: an engine still works on it; stop every engine of the lake: %w", t.id, err)
	} else if err != nil {
		return fmt.Errorf("task %s: %w", t.id, err)
	}
	t.manifest, err = checkpoint.Load(ctx, r.Store, t.id)
	return err
}

// leave is step 5.
func (r *replacing) leave(ctx context.Context) error {
	to := checkpoint.Moved{Landing: string(r.To.ID), Partitions: r.To.Partitions}
	for i := range r.old {
		t := &r.old[i]
		if err := r.leads(ctx); err != nil {
			return err
		}
		var log landing.Log = unreadable{id: landing.ID(t.id.Landing), partitions: t.partitions}
		if r.reads(t) {
			log = r.Old
		}
		cfg, end, err := r.taskConfig(log, t.id.Partition)
		if err != nil {
			return err
		}
		t.manifest, err = task.Leave(ctx, cfg, to)
		end()
		if err != nil {
			return err
		}
		r.result.Old[i].Epoch = uint64(t.manifest.Epoch)
		r.Logger.Info("task has ended", "task", t.id.String(), "epoch", t.manifest.Epoch)
		failpoint.Hit("move.after-leave")
		if !r.reads(t) {
			continue
		}
		if n, err := unread(ctx, r.Old, t.id.Partition, t.manifest.Position); err != nil || n > 0 {
			r.note("%d blocks have landed in partition %d of the old landing log since it was drained (%v): they are in the lake when their gateways send them again", n, t.id.Partition, err)
		}
	}
	return nil
}

// handover gathers what the old tasks knew.
func (r *replacing) handover(ctx context.Context, old []oldTask, partitions int) (*task.Handover, error) {
	h, err := task.NewHandover(partitions)
	if err != nil {
		return nil, err
	}
	for i := range old {
		if old[i].manifest.Format == 0 {
			continue
		}
		if err := h.Take(ctx, old[i].id, checkpoint.StateOf(ctx, r.Store, &old[i].manifest)); err != nil {
			return nil, err
		}
	}
	for _, d := range h.Doubts() {
		r.note("%s", d)
	}
	return h, nil
}

// arrive is step 6.
func (r *replacing) arrive(ctx context.Context) error {
	if err := r.clear(ctx); err != nil {
		return fmt.Errorf("remove what an earlier attempt made: %w", err)
	}
	h, err := r.handover(ctx, r.old, r.To.Partitions)
	if err != nil {
		return err
	}
	a := checkpoint.Arrival{
		Generation: r.result.Generation,
		Note:       fmt.Sprintf("the lake moved here from %s; what its logs had come to was handed over", r.lake.fed.Landing),
	}
	for i := range r.old {
		if t := r.old[i].manifest.Ledger; t != nil {
			a.Came = append(a.Came, ledger.Tip(*t))
		}
	}
	for p := range r.To.Partitions {
		if err := r.leads(ctx); err != nil {
			return err
		}
		cfg, end, err := r.taskConfig(r.New, p)
		if err != nil {
			return err
		}
		part := h.Part(p)
		err = task.Arrive(ctx, cfg, part, a)
		end()
		if err != nil {
			return err
		}
		r.tell(p, part)
	}
	return nil
}

func (r *replacing) tell(p int, part task.Part) {
	r.result.New = append(r.result.New, NewTask{Task: r.To.taskOf(p).String(), Gateways: part.Gateways, Logs: len(part.Logs), StateBytes: len(part.State)})
}
