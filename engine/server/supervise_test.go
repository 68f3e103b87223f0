package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// script is a task whose runs end as the errors say; after them it waits for
// its end.
func script(t *testing.T, errs ...error) (*supervisor, *[]time.Duration) {
	t.Helper()
	var waits []time.Duration
	n := 0
	return &supervisor{
		sinks: func() ([]stream.Sink, error) { return nil, nil }, logger: slog.New(slog.DiscardHandler), counters: new(task.Counters),
		run: func(ctx context.Context, _ task.Config) error {
			if n++; n <= len(errs) {
				return errs[n-1]
			}
			<-ctx.Done()
			return nil
		},
		wait: func(ctx context.Context, d time.Duration) bool {
			waits = append(waits, d)
			return ctx.Err() == nil
		},
	}, &waits
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	passing := errors.New("disk is full")
	s, waits := script(t, passing, passing, passing)
	ctx, cancel := context.WithCancel(t.Context())
	next := s.run
	s.run = func(ctx context.Context, c task.Config) error {
		if len(*waits) == 3 {
			cancel() // the stop comes while it runs
		}
		return next(ctx, c)
	}
	s.supervise(ctx)
	if s.state != TaskStopped || s.restarts != 3 || s.err != nil {
		t.Errorf("%s, %d restarts, %v", s.state, s.restarts, s.err)
	}
	for i, w := range *waits {
		most := minBackoff << i
		if w > most || w < most/2 {
			t.Errorf("wait %d is %s, want %s to %s", i, w, most/2, most)
		}
	}
}

func TestWhatNeedsAPersonStopsThatPartition(t *testing.T) {
	for _, err := range []error{
		stream.ErrFenced, stream.ErrContent, &stream.DamagedError{}, landing.ErrPosition, &checkpoint.IdentityError{}, checkpoint.ErrCorrupt, checkpoint.ErrVersion, checkpoint.ErrUnfit, record.ErrVersion,
	} {
		s, waits := script(t, fmt.Errorf("commit: %w", err))
		s.supervise(t.Context())
		if s.state != TaskRed || !errors.Is(s.err, err) || len(*waits) != 0 {
			t.Errorf("%v: %s, %v, %d waits", err, s.state, s.err, len(*waits))
		}
	}
}

// TestAnEndlessLandingLogDoesNotEnd: a task that ends by itself goes by a checkpoint
// that was changed, and publishes nothing more.
func TestAnEndlessLandingLogDoesNotEnd(t *testing.T) {
	s, _ := script(t, nil)
	s.supervise(t.Context())
	if s.state != TaskRed || !errors.Is(s.err, errEnded) {
		t.Errorf("%s, %v", s.state, s.err)
	}
}

// TestACutLandingLogIsReadAgain: what the landing log lost under a task is no reason
// to stop: the next claim goes back to its beginning.
func TestACutLandingLogIsReadAgain(t *testing.T) {
	s, waits := script(t, fmt.Errorf("read: %w", landing.ErrCut), landing.ErrPosition)
	s.supervise(t.Context())
	if s.state != TaskRed || errors.Is(s.err, landing.ErrCut) || s.restarts != 1 || len(*waits) != 1 {
		t.Errorf("%s, %v, %d restarts", s.state, s.err, s.restarts)
	}
}

// TestARepairIsNoReasonToStop: a task that a repair has fenced claims again soon,
// in a group too, and the log says why. A later fence keeps its meaning.
func TestARepairIsNoReasonToStop(t *testing.T) {
	for _, fenced := range []time.Duration{0, time.Minute} {
		var said bytes.Buffer
		s, waits := script(t, fmt.Errorf("commit: %w", checkpoint.ErrRepaired), fmt.Errorf("commit: %w", checkpoint.ErrRepaired), checkpoint.ErrCorrupt)
		s.fenced, s.logger = fenced, slog.New(slog.NewTextHandler(&said, nil))
		s.supervise(t.Context())
		if s.state != TaskRed || !errors.Is(s.err, checkpoint.ErrCorrupt) || s.restarts != 2 || len(*waits) != 2 || (*waits)[0] > minBackoff {
			t.Errorf("%s: %s, %v, %d restarts, waits %v", fenced, s.state, s.err, s.restarts, *waits)
		}
		if strings.Count(said.String(), "a repair put files of the lake right; the task claims its partition again") != 2 {
			t.Errorf("log: %s", said.String())
		}
	}
}

func TestProgressMakesTheNextWaitShort(t *testing.T) {
	passing := errors.New("link")
	s, waits := script(t, passing, passing, passing, passing, stream.ErrFenced)
	next := s.run
	s.run = func(ctx context.Context, c task.Config) error {
		if len(*waits) == 3 {
			s.counters.Epochs.Add(1)
		}
		return next(ctx, c)
	}
	s.supervise(t.Context())
	if w := (*waits)[3]; w > minBackoff {
		t.Errorf("after an epoch the wait is %s", w)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	errs := make([]error, 40)
	for i := range errs {
		errs[i] = errors.New("down")
	}
	s, waits := script(t, append(errs, stream.ErrFenced)...)
	s.supervise(t.Context())
	for _, w := range *waits {
		if w > maxBackoff {
			t.Errorf("wait of %s", w)
		}
	}
}

func TestStopWhileWaiting(t *testing.T) {
	s, _ := script(t, errors.New("down"))
	ctx, cancel := context.WithCancel(t.Context())
	s.wait = func(context.Context, time.Duration) bool {
		cancel()
		return false
	}
	s.supervise(ctx)
	if s.state != TaskStopped || s.err == nil {
		t.Errorf("%s, %v", s.state, s.err)
	}
}

// behindAll is a landing log in which four blocks lie behind its beginning.
type behindAll struct{ landingLog }

func (behindAll) Behind(_ int, at stream.Position) (int64, error) { return 4 - int64(at.Offset), nil }

// TestBehindIsNotKnownBeforeTheFirstClaim: a task that has not claimed has no
// position, which is not the log's beginning.
func TestBehindIsNotKnownBeforeTheFirstClaim(t *testing.T) {
	s, _ := script(t)
	s.set(TaskRunning, nil)
	if got := s.status(behindAll{}, nil).Behind; got != -1 {
		t.Errorf("behind %d before the claim", got)
	}
	s.claimed(task.Status{Position: stream.Position{Offset: 4}}, func() checkpoint.Stats { return checkpoint.Stats{} })
	if got := s.status(behindAll{}, nil).Behind; got != 0 {
		t.Errorf("behind %d after it", got)
	}
}
