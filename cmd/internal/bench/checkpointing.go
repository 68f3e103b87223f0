package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/replay"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

const (
	// checkpointEpochs is how many epochs a round commits.
	checkpointEpochs = 6
	// checkpointRecords is how many records each of them holds.
	checkpointRecords = 10_000
	// slowed is how many times longer a slowed sink publishes.
	slowed = 100
)

// checkpointing measures how long a checkpoint takes, from the epoch's end to C4,
// on the embedded landing log as fast as it can be read: with a sink that
// publishes slowed times slower than it could, and without. The slow one holds
// the whole task back, by its backlog; its checkpoints must not be longer. The
// other waits as long between them, because disk and caches are quicker when
// they are never at rest.
func checkpointing(ctx context.Context, cfg Config) ([]row, error) {
	log, err := landTraffic(ctx, cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	var free, slow, ratio []float64
	for n := range min(max(3, cfg.Rounds), 5) { // a slowed one takes its time
		b, err := checkpointsIn(ctx, log, filepath.Join(cfg.Dir, fmt.Sprintf("slow-%d", n)), slowed, 0)
		if err != nil {
			return nil, err
		}
		a, err := checkpointsIn(ctx, log, filepath.Join(cfg.Dir, fmt.Sprintf("free-%d", n)), 1, median(b.pauses))
		if err != nil {
			return nil, err
		}
		free, slow, ratio = append(free, median(a.commits)), append(slow, median(b.commits)), append(ratio, median(b.commits)/median(a.commits))
	}
	return []row{{
		what:  fmt.Sprintf("a checkpoint of %d records, epoch's end to C4, publishing slowed %d times", checkpointRecords, slowed),
		ours:  fmt.Sprintf("%.0f ms", 1e3*median(slow)),
		limit: fmt.Sprintf("%.0f ms not slowed", 1e3*median(free)),
		ratio: fmt.Sprintf("%.2f", median(ratio)), aim: "1.0",
	}}, nil
}

// landTraffic lands simulated traffic in an embedded landing log.
func landTraffic(ctx context.Context, dir string) (*embedded.Log, error) {
	path := filepath.Join(dir, "traffic.nmea")
	if _, err := simulate(path, checkpointEpochs*checkpointRecords*5/4); err != nil {
		return nil, err
	}
	recorded, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: "bench", BaseTime: record.NoTime, LandedAt: start})
	if err != nil {
		return nil, fmt.Errorf("land traffic: %w", err)
	}
	from, err := recorded.Reader(0, stream.Position{})
	if err != nil {
		return nil, fmt.Errorf("land traffic: %w", err)
	}
	log, err := embedded.Open(embedded.Config{Dir: filepath.Join(dir, "landing"), Partitions: 1})
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	for {
		landed, _, err := from.Next(ctx)
		if errors.Is(err, io.EOF) {
			return log, errors.Join(from.Close(), os.Remove(path))
		}
		if err == nil {
			err = log.Append(ctx, landed)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("land traffic: %w", err), from.Close(), log.Close())
		}
	}
}

// durations of one round, in seconds.
type durations struct{ commits, publishes, pauses []float64 } // pauses: from one C4 to the next sealing

// checkpointsIn measures in an empty directory.
func checkpointsIn(ctx context.Context, log landing.Log, dir string, times, pause float64) (*durations, error) {
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		return nil, err
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "_checkpoint"))
	if err != nil {
		return nil, err
	}
	d, err := checkpoints(ctx, log, store, files, times, pause)
	return d, errors.Join(err, os.RemoveAll(dir))
}

// checkpoints runs a task over checkpointEpochs epochs of the landing log; its
// sink publishes so many times slower than it could, and sealing begins so many
// seconds after the last C4 at least.
func checkpoints(ctx context.Context, log landing.Log, store checkpoint.Store, files object.Files, times, pause float64) (*durations, error) {
	sink, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		return nil, err
	}
	w := &stopwatch{Sink: sink, times: times, pause: time.Duration(pause * float64(time.Second)), over: make(chan struct{}), into: &durations{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = task.Run(ctx, task.Config{
		Log: keptLog{log}, Store: watchedStore{store, w}, Sinks: []stream.Sink{w}, EpochRecords: checkpointRecords,
		Progress: func(s task.Status) {
			if s.Epoch == checkpointEpochs {
				close(w.over)
				cancel()
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("measure checkpoints: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.into.commits) < checkpointEpochs || len(w.into.publishes) == 0 {
		return nil, fmt.Errorf("measure checkpoints: %d commits and %d publishes", len(w.into.commits), len(w.into.publishes))
	}
	return w.into, nil
}

// keptLog is a landing log that keeps what is released, for the next round.
type keptLog struct{ landing.Log }

// Release implements landing.Log.
func (keptLog) Release(int, stream.Position) error { return nil }

// stopwatch is a sink that notes when sealing begins, and slows publishing.
type stopwatch struct {
	stream.Sink
	times float64
	pause time.Duration
	over  chan struct{} // closed: publishing is slow no more

	mu    sync.Mutex
	began time.Time  // of the epoch that is being committed; guarded by mu
	ended time.Time  // C4 of the one before; guarded by mu
	into  *durations // guarded by mu
}

// Begin implements stream.Sink.
func (s *stopwatch) Begin(t stream.TaskID, c stream.ClaimID, e stream.Epoch) (stream.Stage, error) {
	stage, err := s.Sink.Begin(t, c, e)
	return watchedStage{stage, s}, err
}

// Publish implements stream.Sink.
func (s *stopwatch) Publish(ctx context.Context, staged []stream.Staged) error {
	began := time.Now()
	err := s.Sink.Publish(ctx, staged)
	rest := time.NewTimer(time.Duration((s.times - 1) * float64(time.Since(began))))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-s.over:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.into.publishes = append(s.into.publishes, time.Since(began).Seconds())
	return err
}

type watchedStage struct {
	stream.Stage
	watch *stopwatch
}

// Seal implements stream.Stage: the first step of a checkpoint.
func (s watchedStage) Seal(ctx context.Context) ([]stream.Staged, error) {
	w := s.watch
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if !ended.IsZero() {
		rest := time.NewTimer(w.pause - time.Since(ended))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	w.began = time.Now()
	if !ended.IsZero() {
		w.into.pauses = append(w.into.pauses, w.began.Sub(ended).Seconds())
	}
	w.mu.Unlock()
	return s.Stage.Seal(ctx)
}

type watchedStore struct {
	checkpoint.Store
	watch *stopwatch
}

// Swap implements checkpoint.Store: moving HEAD ends a checkpoint, but for the
// one that takes the claim.
func (s watchedStore) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	v, err := s.Store.Swap(ctx, name, old, data)
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if err == nil && !s.watch.began.IsZero() && slices.Contains(strings.Split(name, "/"), "HEAD") {
		s.watch.ended = time.Now()
		s.watch.into.commits = append(s.watch.into.commits, s.watch.ended.Sub(s.watch.began).Seconds())
	}
	return v, err
}
