package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"landfall/edge/pulse"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// TaskState says what a partition's task is doing.
type TaskState string

// The states of a task.
const (
	TaskRunning  TaskState = "running"
	TaskRetrying TaskState = "retrying" // an error that may pass; tried again
	TaskRed      TaskState = "red"      // stopped: a person must look
	TaskStopped  TaskState = "stopped"  // the engine stops, or another one has the partition
)

// errEnded says that a task ended by itself. The landing logs of an engine never end;
// only a checkpoint that says so all the same makes a task of one end.
var errEnded = fmt.Errorf("%w: the manifest says that the landing log has ended, and this one never ends: nothing more is published; landfall-engine audit says what was changed", checkpoint.ErrCorrupt)

// The bounds of the time between two attempts.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// supervisor keeps one partition's task running.
type supervisor struct {
	partition int
	sinks     func() ([]stream.Sink, error)
	run       func(context.Context, task.Config) error
	cfg       task.Config // without sinks
	pulse     *pulse.Pulse
	logger    *slog.Logger
	counters  *task.Counters
	wait      func(context.Context, time.Duration) bool // tells whether ctx is alive
	// fenced is how long to wait after another claim took the partition, before it
	// is claimed again: by then the group has told whose it is. 0: nobody else may
	// have it, so a person must look, unless a repair took it and nobody since
	// (checkpoint.ErrRepaired).
	fenced    time.Duration
	committed func(stream.Position) // told of each commit; nil: nobody
	files     watcher               // of what the task has published; nil disables it

	mu       sync.Mutex
	cancel   context.CancelFunc      // nil: not ours to run; guarded by mu
	done     chan struct{}           // closed when the last run ended; guarded by mu
	state    TaskState               // guarded by mu
	err      error                   // the last one that nothing has made up for; guarded by mu
	holds    bool                    // this run has claimed the partition; guarded by mu
	restarts uint64                  // guarded by mu
	last     task.Status             // as of the last commit; guarded by mu
	commitAt time.Time               // guarded by mu
	stats    func() checkpoint.Stats // of the newest claim; nil: none yet; guarded by mu
	acked    uint64                  // contradictions that an operator has acknowledged; guarded by mu
	unread   *ingest.Unread          // what landed here and was not read; nil: not known
}

// permanent tells whether trying again cannot mend err. A landing log that was cut
// under a task is read from its beginning by the next claim.
func permanent(err error) bool {
	if errors.Is(err, landing.ErrCut) {
		return false
	}
	for _, e := range []error{
		stream.ErrFenced, stream.ErrContent, stream.ErrDamaged, landing.ErrPosition, landing.ErrMismatch, checkpoint.ErrIdentity,
		checkpoint.ErrCorrupt, checkpoint.ErrVersion, checkpoint.ErrUnfit, record.ErrVersion,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// start runs the task from now on, after an earlier run has ended.
func (s *supervisor) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	before, done := s.done, make(chan struct{})
	s.cancel, s.done = cancel, done
	go func() { // joined by whoever waits for done
		defer close(done)
		if before != nil {
			<-before
		}
		if ctx.Err() == nil {
			s.supervise(ctx)
		}
	}()
}

// stop ends the task and gives what is closed when it has ended.
func (s *supervisor) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	if s.done == nil {
		s.done = make(chan struct{})
		close(s.done)
	}
	return s.done
}

// ours says whether this engine runs the task.
func (s *supervisor) ours() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel != nil
}

// supervise runs the task until ctx ends or it cannot go on.
func (s *supervisor) supervise(ctx context.Context) {
	var backoff time.Duration
	for {
		s.set(TaskRunning, nil)
		epochs := s.counters.Epochs.Load()
		err := s.once(ctx)
		if err == nil && ctx.Err() == nil {
			err = errEnded
		}
		taken, repaired := s.fenced > 0 && errors.Is(err, stream.ErrFenced) && !errors.Is(err, checkpoint.ErrMoved), errors.Is(err, checkpoint.ErrRepaired)
		switch {
		case ctx.Err() != nil:
			s.set(TaskStopped, err)
			if err != nil {
				s.logger.Warn("task did not finish; the next start does", "partition", s.partition, "error", err)
			}
			return
		case permanent(err) && !taken && !repaired:
			s.set(TaskRed, err)
			s.logger.Error("task stopped: a person must look", "partition", s.partition, "error", err)
			return
		}
		if s.counters.Epochs.Load() > epochs {
			backoff = 0 // it got somewhere
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		if taken && !repaired {
			backoff = 2 * s.fenced
		}
		s.set(TaskRetrying, err)
		if repaired {
			s.logger.Warn("a repair put files of the lake right; the task claims its partition again", "partition", s.partition, "after", backoff, "error", err)
		} else {
			s.logger.Warn("task failed and is tried again", "partition", s.partition, "after", backoff, "error", err)
		}
		if !s.wait(ctx, backoff-time.Duration(rand.Int64N(int64(backoff/2)))) {
			s.set(TaskStopped, err)
			return
		}
	}
}

func (s *supervisor) once(ctx context.Context) error {
	sinks, err := s.sinks()
	if err != nil {
		return err
	}
	defer closeSinks(sinks)
	cfg := s.cfg
	cfg.Sinks, cfg.Counters, cfg.Claimed, cfg.Progress, cfg.Pulse = sinks, s.counters, s.claimed, s.progress, s.pulse
	return s.run(ctx, cfg)
}

// closeSinks ends those that hold something open.
func closeSinks(sinks []stream.Sink) {
	for _, k := range sinks {
		if c, ok := k.(io.Closer); ok {
			_ = c.Close() // nothing durable is left to it
		}
	}
}

func (s *supervisor) set(state TaskState, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == TaskRetrying {
		s.restarts++
	}
	s.state, s.holds = state, false
	if err != nil || state == TaskStopped {
		s.err = err
	}
}

// claimed notes where a claim begins. What ended the run before is not over by
// that: a task that fails with each epoch claims before each. It is where a repair
// took the partition, which is no failure.
func (s *supervisor) claimed(st task.Status, stats func() checkpoint.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.stats, s.holds = st, stats, true
	if errors.Is(s.err, checkpoint.ErrRepaired) {
		s.err = nil
	}
}

// progress notes a commit: what ended the run before is over.
func (s *supervisor) progress(st task.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.commitAt = st, time.Now()
	s.err = nil
	if s.committed != nil {
		s.committed(st.Position)
	}
}

// idle tells how long ago the last commit of a running task was.
func (s *supervisor) idle() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.commitAt), s.state == TaskRunning && !s.commitAt.IsZero()
}

// moved is the error of a task whose lake has another landing log now; nil: it has
// not.
func (s *supervisor) moved() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, checkpoint.ErrMoved) {
		return s.err
	}
	return nil
}

// position is where the last commit ended.
func (s *supervisor) position() stream.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Position
}

// sleep waits and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
