package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"landfall/edge/durable/failpoint"
	"landfall/edge/pulse"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrIdentity says that the checkpoint belongs to something else than what the
// task was started with; IdentityError says what.
var ErrIdentity = errors.New("checkpoint of something else")

// IdentityError names the first thing in which a checkpoint and the task that
// wants to continue from it differ. It is ErrIdentity.
type IdentityError struct {
	Task  stream.TaskID
	Field string // "landing", "partitions", or a name in Params
	Have  string // in the checkpoint
	Want  string // in the configuration
}

// Error names both values.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("%s %s: %s is %q there, %q here", ErrIdentity, e.Task, e.Field, e.Have, e.Want)
}

// Is makes errors.Is(err, ErrIdentity) true.
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }

// Config says what a Committer works on.
type Config struct {
	// Store holds manifests, HEAD and state. Required.
	Store Store
	// Sinks are staged and published in this order. Their names differ.
	Sinks []stream.Sink
	// Task is the partition to claim. Required.
	Task stream.TaskID
	// Partitions is P of the landing log. Required.
	Partitions int
	// Writer names this process for people who read manifests.
	Writer string
	// Schema is the version of the tables; a checkpoint of a newer one is
	// refused with ErrVersion.
	Schema int
	// Decoder is the version of what makes rows of records; it is recorded.
	Decoder string
	// Params are the settings on which rows depend. A checkpoint with others is
	// refused with ErrIdentity. Nil: keep what the checkpoint says.
	Params map[string]string
	// Check is shown the checkpoint that HEAD names before HEAD is moved: found, nil
	// when the task has none yet, and the objects that restore its keyed state, as
	// Committer.State returns them. An error ends Claim, and HEAD stays as it is. It
	// is called once, by Claim. Nil: nothing is checked.
	Check func(ctx context.Context, found *Manifest, state iter.Seq2[[]byte, error]) (Checked, error)
	// Release tells the landing log that nothing below is needed any more. It
	// is called from the Committer's goroutine and may be called again with the
	// same or a lower position. Nil: nobody to tell.
	Release func(ctx context.Context, below stream.Position) error
	// OnPublished is called when an epoch of this claim is published and was read
	// back, before the landing log lets go of it, in the order of epochs: logs are
	// those that it advanced, as its Cut had them, and tip names its ledger entry.
	// It is called from the Committer's goroutine and does not wait. What a claim
	// finds is published when Claim returns, and is not told here. Nil: nobody.
	OnPublished func(epoch stream.Epoch, logs []ledger.Log, tip ledger.Tip)
	// Remake makes an epoch again whose outputs turned out to be damaged: it fills
	// r.Stage with the rows that the epoch had. It is called by Claim and from the
	// Committer's goroutine, beside the task's next epoch. An error that is
	// ErrGone says that it never will. Nil: a damaged output stops the task.
	Remake func(ctx context.Context, r Remaking) error
	// OnDamaged is called with the number of outputs that were found damaged, and
	// OnRemade when an epoch was made again because of that; from where Remake is.
	// Nil disables them.
	OnDamaged func(outputs int)
	OnRemade  func()
	// AdoptLogs returns how far each log is by the keyed state that state's objects
	// restore, for the ledger of a checkpoint that a version without one wrote. It
	// is called by Claim. Nil: the entry names no logs.
	AdoptLogs func(state iter.Seq2[[]byte, error]) ([]ledger.Log, error)
	// PublishBacklog is how many committed epochs may wait for publishing
	// before Commit waits, at most stream.MaxBacklog. 0: 2.
	PublishBacklog int
	// FoldEntries is how many entries of the ledger become one object; another
	// number than that of a ledger that has folds is for tests. 0:
	// ledger.FoldEntries.
	FoldEntries uint64
	// Attempts is how often a step that failed without a definite answer is
	// tried before the Committer gives up. 0: 5.
	Attempts int
	// Backoff is the wait before the second attempt, doubled for each further
	// one. 0: 100 ms.
	Backoff time.Duration
	// NewClaim makes claim ids; nil: 16 random bytes.
	NewClaim func() stream.ClaimID
	// Pulse is of committing, but for its wait for publishing, and of
	// publishing; each attempt of a step is a beat. Nil: nobody asks.
	Pulse *pulse.Pulse
	// Logger gets what is counted in Stats and stops nothing. Nil: discarded.
	Logger *slog.Logger
}

// Checked is what Check found out.
type Checked struct {
	// From is where the next epoch begins to read, when that is not the checkpoint's
	// position: the landing log does not hold what that stands on, and the task goes
	// back to the beginning of what it holds. Claim releases nothing then. Nil: the
	// position.
	From *stream.Position
	// GivenUp says that From is what the landing log held back instead, and that the
	// task does so no longer (Manifest.GivenUp).
	GivenUp bool
}

// Validate names the first field that is unusable and changes nothing.
func (c *Config) Validate() error {
	if c.Store == nil {
		return errors.New("checkpoint: Store is missing")
	}
	if err := checkTask(c.Task, c.Partitions); err != nil {
		return fmt.Errorf("checkpoint: Task: %w", err)
	}
	if c.PublishBacklog < 0 || c.Attempts < 0 || c.Backoff < 0 {
		return errors.New("checkpoint: PublishBacklog, Attempts and Backoff must not be negative")
	}
	if c.PublishBacklog > stream.MaxBacklog {
		return fmt.Errorf("checkpoint: PublishBacklog %d: sinks remember the %d newest epochs of a task",
			c.PublishBacklog, stream.MaxBacklog)
	}
	names := make(map[string]bool)
	for _, s := range c.Sinks {
		if names[s.Name()] {
			return fmt.Errorf("checkpoint: Sinks: %q twice", s.Name())
		}
		names[s.Name()] = true
	}
	return nil
}

// withDefaults fills in what zero means.
func (c Config) withDefaults() Config {
	if c.PublishBacklog == 0 {
		c.PublishBacklog = 2
	}
	if c.FoldEntries == 0 {
		c.FoldEntries = uint64(failpoint.Often(ledger.FoldEntries, 8))
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.Backoff == 0 {
		c.Backoff = 100 * time.Millisecond
	}
	if c.NewClaim == nil {
		c.NewClaim = newClaim
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnDamaged == nil {
		c.OnDamaged = func(int) {}
	}
	if c.OnRemade == nil {
		c.OnRemade = func() {}
	}
	if c.OnPublished == nil {
		c.OnPublished = func(stream.Epoch, []ledger.Log, ledger.Tip) {}
	}
	if c.Check == nil {
		c.Check = func(context.Context, *Manifest, iter.Seq2[[]byte, error]) (Checked, error) { return Checked{}, nil }
	}
	if c.Release == nil {
		c.Release = func(context.Context, stream.Position) error { return nil }
	}
	return c
}

func newClaim() stream.ClaimID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process instead
	return stream.ClaimID(hex.EncodeToString(b[:]))
}

// identify refuses a checkpoint of something else, naming the first difference.
func (c *Config) identify(m *Manifest) error {
	differ := func(field, have, want string) error {
		return &IdentityError{Task: c.Task, Field: field, Have: have, Want: want}
	}
	if m.Landing != c.Task.Landing {
		return differ("landing", m.Landing, c.Task.Landing)
	}
	if m.Partitions != c.Partitions {
		return differ("partitions", fmt.Sprint(m.Partitions), fmt.Sprint(c.Partitions))
	}
	if c.Params != nil {
		var keys []string
		for k := range m.Params {
			keys = append(keys, k)
		}
		for k := range c.Params {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if m.Params[k] != c.Params[k] {
				return differ(k, m.Params[k], c.Params[k])
			}
		}
	}
	if m.Schema > c.Schema {
		return fmt.Errorf("%w: checkpoint of %s has table schema %d, known up to %d", ErrVersion, c.Task, m.Schema, c.Schema)
	}
	return c.knows(m)
}

// knows refuses a checkpoint with outputs of a sink that is not configured:
// they could not be published.
func (c *Config) knows(m *Manifest) error {
	for _, p := range m.Pending() {
		for _, s := range p.Staged {
			if !slices.ContainsFunc(c.Sinks, func(k stream.Sink) bool { return k.Name() == s.Sink }) {
				return &IdentityError{Task: c.Task, Field: "sink", Have: s.Sink, Want: ""}
			}
		}
	}
	return nil
}
