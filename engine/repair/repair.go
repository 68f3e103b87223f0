package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// LakeSink is the name in manifests and ledgers of the sink whose outputs are
// the lake's files.
const LakeSink = "parquet"

// File is a file of the lake, being read.
type File interface {
	io.ReaderAt
	io.Closer
	// Size returns its size in bytes.
	Size() int64
}

// NotAFileError says that something else than a file has a name.
type NotAFileError struct {
	What string // Folder, "a pipe", …
}

// Folder is what a folder is to NotAFileError, and a link to one.
const Folder = checkpoint.Folder

// Error says what it is.
func (e *NotAFileError) Error() string { return "it is no file but " + e.What }

// Lake is how the files of a lake are read and changed: names with '/' between
// their parts, relative to it.
type Lake interface {
	// List returns the names that start with a prefix which ends with '/': of
	// whatever is no folder, and of folders, without what is in them, that are
	// called like files of a table. None is no error.
	List(ctx context.Context, prefix string) ([]string, error)
	// Open opens a file; checkpoint.ErrNotExist when it is not there, or is a staged
	// one that cannot be read before it is published; a NotAFileError, at once, when
	// what is there is none.
	Open(ctx context.Context, name string) (File, error)
	// Holds tells whether a committed file is published or staged, also when it is
	// published meanwhile.
	Holds(ctx context.Context, committed stream.Staged) (bool, error)
	// Stage copies content into a staged file of the task that is to be published
	// as Target, durable on return, and fills in where it lies staged. Bytes with
	// another length or SHA-256 than s names are a stream.DamagedError.
	Stage(ctx context.Context, content io.Reader, task stream.TaskID, claim stream.ClaimID, s *stream.Staged) error
	// SetAside moves a file, or what is none, to _quarantine, durable on return,
	// and returns its name there. What is not there is no error.
	SetAside(ctx context.Context, task, name string) (string, error)
}

// Scratch is a place of its own in which rows become files, to see what bytes
// they have.
type Scratch interface {
	// Sink returns a sink that stages into it. Rows that nothing gives a date go
	// under that of undated; record.NoTime: none is known. everyDate says that rows go
	// under the date of their event time however many there are (stream.MaxFarDates).
	Sink(undated record.Micros, everyDate bool) (stream.Sink, error)
	// Open opens what was staged there, by its staged name.
	Open(ctx context.Context, name string) (File, error)
}

// Config says what to repair and with what.
type Config struct {
	FS    durable.FS       // nil: durable.OS; for EdgeLogs and Landing
	Lake  Lake             // required
	Store checkpoint.Store // of the checkpoints; required
	// Sink publishes into the lake; required unless DryRun.
	Sink    stream.Sink
	Scratch Scratch // required
	// EdgeLogs are gateways' log directories, Landing directories of embedded
	// landing logs, and neither is changed.
	EdgeLogs, Landing []string
	// Windows is how readings were summed up, where the rows of window do not show
	// it. Zero: not at all.
	Windows operator.WindowConfig
	// TakeAside takes blocks that were set aside (reason poison in conflict) into the
	// tables, where everything else of their task is right.
	TakeAside bool
	// DryRun finds and tells, and changes nothing.
	DryRun bool
	Writer string       // names this process in manifests, for people
	Logger *slog.Logger // nil: none
}

// Validate names the first field that is unusable.
func (c *Config) Validate() error {
	switch {
	case c.Lake == nil:
		return errors.New("repair: Lake is missing")
	case c.Store == nil:
		return errors.New("repair: Store is missing")
	case c.Scratch == nil:
		return errors.New("repair: Scratch is missing")
	case c.Sink == nil && !c.DryRun:
		return errors.New("repair: Sink is missing")
	}
	return nil
}

// Kind says what becomes of a file or an object. The words are stable.
type Kind string

// The kinds of actions.
const (
	Restored Kind = "restored" // with the bytes that the ledger names
	Replaced Kind = "replaced" // made again with other bytes, which the ledger names now
	Aside    Kind = "aside"    // moved to _quarantine
	Head     Kind = "head"     // HEAD names a manifest again, one that was there or a new one
	Taken    Kind = "taken"    // blocks that were set aside are rows of record now
	Left     Kind = "left"     // cannot be repaired
	// Contradicts is no action: a gateway states of its own log what is not so.
	Contradicts Kind = "contradicts"
)

// Action is one thing that was done, would be done, or cannot be.
type Action struct {
	Kind   Kind       `json:"kind"`
	Task   string     `json:"task,omitempty"`
	Table  table.Name `json:"table,omitempty"`
	File   string     `json:"file,omitempty"` // of the lake; for HEAD and the ledger, of the checkpoints
	Detail string     `json:"detail"`
}

// Result is what a repair did and what it could not. Its JSON form is stable.
type Result struct {
	Lake    string   `json:"lake"`
	DryRun  bool     `json:"dry_run"`
	Actions []Action `json:"actions"`
	// Left is what stays wrong.
	Left []Action `json:"left"`
	// Contradicts names the logs of which the gateway states a digest that its own blocks
	// do not have. Their rows are as they were captured and stay; the audit finds the
	// digest, and no repair of others waits for it.
	Contradicts []Action `json:"contradicts"`
}

// Run repairs a lake. An error says that it ended before its end; what was done
// until then stays done, and it may be run again. stream.ErrFenced: an engine
// claimed a task meanwhile.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DryRun {
		c.Store = newOverlay(c.Store)
	}
	result, again, err := runOnce(ctx, c)
	if err != nil || !again {
		return result, err
	}
	before := result.Actions // what was repaired is right now, so that blocks can be taken in
	if result, _, err = runOnce(ctx, c); err == nil {
		result.Actions = append(before, result.Actions...)
	}
	return result, err
}

// runOnce is one run; again says that it put right what had kept it from taking blocks in.
func runOnce(ctx context.Context, c Config) (result *Result, again bool, err error) {
	r := &run{Config: c, result: Result{DryRun: c.DryRun, Actions: []Action{}, Left: []Action{}, Contradicts: []Action{}}, stated: map[statedAt]ledger.Log{}, hashes: map[string]string{}, odd: map[string]string{}, moved: map[string]string{}}
	if err := r.run(ctx); err != nil {
		return nil, false, fmt.Errorf("repair: %w", errors.Join(err, r.close()))
	}
	r.tellContradictions()
	return &r.result, r.again, r.close()
}

// run is one run.
type run struct {
	Config
	result Result
	blocks *blocks
	tasks  []*taskState
	hashes map[string]string // SHA-256 of the files of the lake, as far as they were read
	moved  map[string]string // where what was set aside lies, by the name that it had
	odd    map[string]string // what has a name and is no file
	// listedNames are the files that lie in the tables.
	listedNames []string
	spare       map[string]string // name of a file that nothing names, or that is in another's place, by SHA-256
	again       bool              // blocks could not be taken in beside what this run put right
	// stated is what epochs took of logs of which the gateway states a digest that is not so.
	stated map[statedAt]ledger.Log
}

func (r *run) close() error {
	if r.blocks == nil {
		return nil
	}
	return r.blocks.close()
}

func (r *run) did(kind Kind, task string, t table.Name, file, format string, args ...any) {
	r.result.Actions = append(r.result.Actions, Action{kind, task, t, file, fmt.Sprintf(format, args...)})
}

func (r *run) left(task string, t table.Name, file, format string, args ...any) {
	r.result.Left = append(r.result.Left, Action{Left, task, t, file, fmt.Sprintf(format, args...)})
}

// run looks at everything before it changes anything.
func (r *run) run(ctx context.Context) error {
	var err error
	if r.blocks, err = openBlocks(ctx, r.Config); err != nil {
		return err
	}
	listed, err := r.listed(ctx) // before any checkpoint is read
	if err != nil {
		return err
	}
	r.listedNames = listed
	if err := r.clearCheckpoints(ctx); err != nil {
		return err
	}
	ids, err := allTasks(ctx, r.Store)
	if err != nil {
		return err
	}
	for _, id := range ids {
		t, err := r.look(ctx, id)
		if err != nil {
			return err
		}
		r.tasks = append(r.tasks, t)
	}
	for _, t := range r.tasks {
		if err := r.compareDigests(ctx, t); err != nil {
			return err
		}
	}
	strays, err := r.strays(ctx, listed)
	if err != nil {
		return err
	}
	if err := r.findSpares(ctx, strays); err != nil {
		return err
	}
	if err := r.clearFolders(ctx, &strays); err != nil {
		return err
	}
	for _, t := range r.tasks {
		if err := r.plan(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range r.tasks {
		if err := r.makeWhole(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range r.tasks {
		if err := r.planState(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range r.tasks {
		if err := errors.Join(r.finish(ctx, t), r.carryOut(ctx, t)); err != nil {
			return err
		}
	}
	if err := errors.Join(r.setStraysAside(ctx, strays), r.restoreLanding(ctx)); err != nil || !r.TakeAside {
		return err
	}
	for _, t := range r.tasks {
		if err := r.takeAside(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// setAside moves a file to _quarantine, or says that it would be.
func (r *run) setAside(ctx context.Context, task, name, why string) error {
	to := "_quarantine"
	if !r.DryRun {
		var err error
		if to, err = r.Lake.SetAside(ctx, task, name); err != nil {
			return fmt.Errorf("set %s aside: %w", name, err)
		}
		if to == "" {
			return nil // another run was faster
		}
		r.moved[name] = to
	}
	r.did(Aside, task, tableOf(name), name, "%s; moved to %s", why, to)
	return nil
}
