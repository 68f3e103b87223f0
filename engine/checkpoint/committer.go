package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrClosed says that the Committer takes no more commits.
var ErrClosed = errors.New("committer closed")

// Committer holds one claim of one task. After any error of Commit it is over:
// Close it and Claim again.
type Committer struct {
	cfg   Config
	claim stream.ClaimID
	retry retrier

	// Of the task's goroutine.
	at     cursor // HEAD, as this claim moved it last
	closed bool
	found  ledger.Tip     // of the ledger, as this claim found it; number 0: none
	from   stream.ClaimID // of the manifest that this claim found; empty: none

	checked Checked // From is nil once an epoch that begins there is committed
	leaving *Moved  // the claim ends the task, because the lake moves there; nil: it does not

	holds    atomic.Bool            // this claim has moved HEAD
	newestAt atomic.Pointer[cursor] // to which it moved HEAD last; nothing in it is changed
	folding  folding                // of the publishing goroutine; Claim fills it before that is started

	slots  chan struct{} // one token an epoch that waits for publishing
	queue  chan batch    // as long as slots, so that sending never waits
	done   chan struct{} // closed when publishLoop has ended
	failed chan struct{} // closed with the first error
	ctx    context.Context
	cancel context.CancelFunc // ends publishing

	mu      sync.Mutex
	heads   []ownHead // that HEAD may be, oldest first; guarded by mu
	pending []batch   // committed and not known published, oldest first; guarded by mu
	err     error     // the first error; guarded by mu
	stats   Stats     // Backlog is filled in when asked; guarded by mu
}

// batch is one committed epoch on its way to being published.
type batch struct {
	epoch   stream.Epoch
	staged  []stream.Staged
	release stream.Position // below it the landing log may let go
	dropped []string        // objects that this epoch's manifest stopped naming
	before  *ledger.Tip     // of the ledger, before this epoch's entry
	tip     ledger.Tip      // this epoch's entry
	logs    []ledger.Log
	at      time.Time // of the commit; zero: of an earlier claim
}

// Stats tells how a Committer stands.
type Stats struct {
	Committed     stream.Epoch // newest epoch that happened
	Published     stream.Epoch // newest epoch up to which all outputs are visible
	Backlog       int          // committed epochs not yet published
	Commits       uint64       // epochs committed by this claim
	Retries       uint64       // steps tried again for want of an answer
	Collected     uint64       // objects removed
	CollectErrors uint64       // objects that could not be removed, left to the next claim
	StateObjects  int          // length of the chain that restores state
	StateBytes    int64        // bytes of that chain
	SnapshotBytes uint64       // bytes of state written by this claim
	Damaged       uint64       // outputs found damaged, staged or when they were read back
	Remade        uint64       // epochs made again because of that
	LedgerNumber  uint64       // of the newest entry of the ledger
	// OldestPending is when the oldest epoch of Backlog was committed; zero:
	// there is none, or an earlier claim committed it.
	OldestPending time.Time
	// PublishError is the error of the last attempt to publish, empty when it
	// had none.
	PublishError string
}

func newCommitter(cfg Config) *Committer {
	c := &Committer{
		cfg: cfg, claim: cfg.NewClaim(),
		slots: make(chan struct{}, cfg.PublishBacklog), queue: make(chan batch, cfg.PublishBacklog),
		done: make(chan struct{}), failed: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.retry = retrier{attempts: cfg.Attempts, backoff: cfg.Backoff, retried: func() {
		cfg.Pulse.Beat()
		c.count(func(s *Stats) { s.Retries++ })
	}}
	return c
}

// ClaimID is the random identity of this claim.
func (c *Committer) ClaimID() stream.ClaimID { return c.claim }

// newest returns the hash of the manifest to which this claim moved HEAD last, and
// the ledger's entry that it names; empty: it has not.
func (c *Committer) newest() (hash string, tip ledger.Tip) {
	at := c.newestAt.Load()
	if at == nil {
		return "", tip
	}
	if at.manifest.Ledger != nil {
		tip = *at.manifest.Ledger
	}
	return at.hash, tip
}

// Manifest is the task's newest committed checkpoint. The caller changes
// nothing in it. From the task's goroutine.
func (c *Committer) Manifest() Manifest { return c.at.manifest }

// State gives the objects that restore keyed state at Manifest, oldest first,
// each checked against its hash: ErrCorrupt. It may be ranged over again. From
// the task's goroutine, before the next Commit.
func (c *Committer) State(ctx context.Context) iter.Seq2[[]byte, error] {
	return readState(ctx, c.cfg.Store, c.at.manifest.State)
}

// readState reads a chain of state objects.
func readState(ctx context.Context, store Store, chain []StateObject) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, o := range chain {
			data, _, err := store.Read(ctx, o.Name)
			switch {
			case errors.Is(err, ErrNotExist):
				err = fmt.Errorf("%w: state object %s is missing", ErrCorrupt, o.Name)
			case err != nil:
				err = fmt.Errorf("read state object %s: %w", o.Name, err)
			case hash(data) != o.SHA256:
				err = fmt.Errorf("%w: state object %s has another hash", ErrCorrupt, o.Name)
			}
			if !yield(data, err) || err != nil {
				return
			}
		}
	}
}

// Begin starts staging the next epoch: one Stage a sink, in Config's order. The
// task hands them to Commit, or abandons them.
func (c *Committer) Begin() ([]stream.Stage, error) {
	epoch := c.at.manifest.Epoch + 1
	stages := make([]stream.Stage, 0, len(c.cfg.Sinks))
	for _, sink := range c.cfg.Sinks {
		stage, err := sink.Begin(c.cfg.Task, c.claim, epoch)
		if err != nil {
			abandon(stages)
			return nil, fmt.Errorf("begin epoch %s in sink %s: %w", epoch, sink.Name(), err)
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

func abandon(stages []stream.Stage) {
	for _, s := range stages {
		s.Abandon()
	}
}

// Stats may be called from any goroutine.
func (c *Committer) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	if s.Backlog = len(c.pending); s.Backlog > 0 {
		s.OldestPending = c.pending[0].at
	}
	return s
}

// Failed is closed when the Committer is over because of an error; Err tells
// which. From any goroutine.
func (c *Committer) Failed() <-chan struct{} { return c.failed }

// Context ends when the Committer is over, by an error or by Close. From any
// goroutine.
func (c *Committer) Context() context.Context { return c.ctx }

// Err gives the error that ended the Committer, nil before. From any goroutine.
func (c *Committer) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the Committer with its first error and gives that.
func (c *Committer) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.failed)
		c.cancel()
	}
	return c.err
}

func (c *Committer) count(change func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.stats)
}

// Close waits until everything committed is published and released, then joins
// the Committer's goroutine. When ctx ends first, or the Committer has failed,
// what is unpublished is left to the next claim. It gives the error that ended
// the Committer. A bounded task is complete only when Close returned nil.
func (c *Committer) Close(ctx context.Context) error {
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = c.fail(fmt.Errorf("close with unpublished epochs: %w", ctx.Err()))
		<-c.done
	}
	c.cancel()
	return c.Err()
}
