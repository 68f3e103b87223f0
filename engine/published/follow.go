package published

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// DefaultFollowInterval is what FollowConfig.Interval means when it is 0.
const DefaultFollowInterval = 5 * time.Second

// headEvery is how many looks at an unchanged progress go by until HEAD is looked
// at all the same: tasks of an older version write none.
const headEvery = 12

// graceLooks is how many looks at a task may fail before that is a problem.
const graceLooks = 3

// FollowConfig says which tasks a Follower follows.
type FollowConfig struct {
	Registry *Registry
	Store    checkpoint.Store // of the lake; it is only read
	Tasks    []stream.TaskID
	// Check says whether the store is of the lake that the landing log feeds. Nothing
	// is told before it once returned nil. Nil: it is.
	Check func(context.Context) error
	// LogsOf returns how far each log is by the keyed state that state's objects
	// restore.
	LogsOf func(state iter.Seq2[[]byte, error]) ([]ledger.Log, error)
	// Interval is how often each task is looked at. 0: DefaultFollowInterval.
	Interval time.Duration
	Logger   *slog.Logger // nil: silence
}

// Follower learns from the store how far the tasks of other engines have
// published, and tells a Registry. Run and Look belong to one goroutine; Problems
// may be called from any.
type Follower struct {
	cfg     FollowConfig
	tasks   []*followed
	checked bool
	refused int // times that Check failed

	mu       sync.Mutex
	problems []string // guarded by mu
}

// followed is one task.
type followed struct {
	id       stream.TaskID
	told     bool       // the Registry has the task from here
	progress []byte     // as it was read last
	skipped  int        // looks since HEAD was read
	tip      ledger.Tip // up to which the Registry was told; number 0: nothing
	failed   int        // looks in a row
	err      error      // of the last look
}

// NewFollower makes a Follower; it touches nothing.
func NewFollower(cfg FollowConfig) *Follower {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultFollowInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{cfg: cfg}
	for _, id := range cfg.Tasks {
		f.tasks = append(f.tasks, &followed{id: id})
	}
	return f
}

// Run looks again and again, until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(f.cfg.Interval)
	defer tick.Stop()
	for {
		f.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look looks at every task once. What goes wrong with one is told by Problems, and
// what was known of it stands: it only becomes more.
func (f *Follower) Look(ctx context.Context) {
	var problems []string
	if f.checked = f.checked || f.cfg.Check == nil; !f.checked {
		if err := f.cfg.Check(ctx); err != nil {
			if f.refused++; f.refused >= graceLooks || errors.Is(err, landing.ErrMismatch) {
				problems = append(problems, fmt.Sprintf("what is published cannot be told, so gateways keep their "+
					"records longer: %v", err))
			}
			f.say(problems)
			return
		}
		f.checked = true
	}
	for _, t := range f.tasks {
		err := f.look(ctx, t)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			t.failed, t.err = 0, nil
			continue
		}
		if t.failed++; t.failed == 1 || t.err == nil || t.err.Error() != err.Error() {
			f.cfg.Logger.Warn("what is published of a task could not be read; it is tried again", "task", t.id.String(),
				"error", err)
		}
		if t.err = err; t.failed >= graceLooks {
			problems = append(problems, fmt.Sprintf("what is published of task %s cannot be read, so its gateways "+
				"keep their records longer: %v", t.id, err))
		}
	}
	f.say(problems)
}

func (f *Follower) say(problems []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = problems
}

// Problems says what could not be read for some time.
func (f *Follower) Problems() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problems
}

// look reads what a task has published and tells the Registry. What it tells is
// true whatever it reads when, for only entries in the chain of HEAD's ledger count,
// and of these only those of which one of two things says that their outputs were
// read back (boundary):
//
//   - The progress names the entry or a later one of the same chain, by hash. Who
//     wrote it had read back every output up to there, as it did so. Its claim does
//     not matter. A process that has lost the task and writes late tells of an epoch
//     that it committed while it had the task; what it did without the task is in no
//     chain of HEAD's and counts for nothing. A progress that is old, of an older
//     claim or in an older copy of the store, names an older entry: less, and true.
//     One that is ahead of HEAD, as where an older checkpoint was put back, is of
//     no use.
//   - HEAD's manifest does not name the epoch among those that are not known
//     published. Who moved HEAD there knew.
//
// The progress is read before HEAD. So HEAD is as new as the progress or newer, and
// an entry that the progress names is in its chain, unless history was changed.
//
// What a task lacks is taken from the progress of HEAD's own claim only: another
// one's may be filled, or its log long published. It would only be sent in vain. So
// nothing is asked for while a claim waits for its outputs to be published; what
// follows a hole is passed over all the same, and asked for after it.
//
// Where HEAD's chain does not hold what was told before, an older checkpoint was put
// back: all is told as it is now. Gateways that were told more will say so.
func (f *Follower) look(ctx context.Context, t *followed) error {
	if f.cfg.Registry.isOwn(t.id) {
		*t = followed{id: t.id}
		return nil
	}
	data, _, err := f.cfg.Store.Read(ctx, checkpoint.ProgressName(t.id))
	if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
		return fmt.Errorf("read the progress: %w", err)
	}
	same := t.told && err == nil && string(data) == string(t.progress)
	if t.skipped++; same && t.skipped < headEvery {
		return nil
	}
	var p Progress
	damaged := error(nil)
	if len(data) > 0 {
		if p, damaged = DecodeProgress(data); damaged == nil && p.Task != t.id.String() {
			damaged = fmt.Errorf("%w: the progress is of task %s", checkpoint.ErrCorrupt, p.Task)
		}
		if damaged != nil {
			p = Progress{}
		}
	}
	m, err := checkpoint.Load(ctx, f.cfg.Store, t.id)
	switch {
	case errors.Is(err, checkpoint.ErrNotExist) && len(data) == 0 && t.tip.Number == 0: // the task never began
		f.cfg.Registry.follow(t.id, newKnown(nil, nil), nil, nil, nil, false)
		return nil
	case err != nil:
		return err
	case m.Ledger == nil && len(m.Pending()) > 0:
		return nil // of a version without a ledger: the next claim begins one
	}
	if err := f.tell(ctx, t, &m, &p); err != nil {
		return err
	}
	if t.progress, t.skipped = data, 0; damaged != nil {
		t.progress = nil // looked at again
	}
	return damaged
}

// tell tells the Registry what m and p hold.
func (f *Follower) tell(ctx context.Context, t *followed, m *checkpoint.Manifest, p *Progress) error {
	holes, passes := holesOf(m, p), passesOver(m)
	if t.told && t.tip.Number > 0 {
		s, err := f.scan(ctx, m, p, t.tip)
		if err != nil {
			return err
		}
		if s.joined {
			if f.cfg.Registry.follow(t.id, nil, s.logs, s.tip, holes, passes) {
				if s.tip != nil && s.tip.Number > t.tip.Number {
					t.tip = *s.tip
				}
				return nil
			}
		} else {
			f.cfg.Logger.Error("the ledger of a task does not hold what was published before: was an older "+
				"checkpoint put back?", "task", t.id.String(), "entry", t.tip.Number)
		}
	}
	s, err := f.scan(ctx, m, p, ledger.Tip{})
	if err != nil {
		return err
	}
	logs, err := f.cfg.LogsOf(checkpoint.StateOf(ctx, f.cfg.Store, m))
	if err != nil {
		return fmt.Errorf("read the state at epoch %s: %w", m.Epoch, err)
	}
	t.told = f.cfg.Registry.follow(t.id, newKnown(s.unpublished.takeBack(logs), s.tip), nil, nil, holes, passes)
	if t.tip = (ledger.Tip{}); s.tip != nil {
		t.tip = *s.tip
	}
	return nil
}

// passesFormat is the first format of a manifest that a program writes which passes
// over what follows a hole. Older programs do not take a HEAD of that format.
const passesFormat = 4

// passesOver says whether the program that moved HEAD passes over what follows a hole:
// by HEAD alone, for a claim that waits for its outputs to be published has told
// nothing yet.
func passesOver(m *checkpoint.Manifest) bool { return m.Format >= passesFormat }

func holesOf(m *checkpoint.Manifest, p *Progress) []Hole {
	if p.Claim != m.Claim {
		return nil
	}
	var holes []Hole
	for _, w := range p.Wanted {
		if id, err := record.ParseLogID(w.Log); err == nil {
			holes = append(holes, Hole{Gateway: w.Gateway, Log: id, From: w.From})
		}
	}
	return holes
}
