package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
	"landfall/engine/landing/replay"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// topicReplay is replay into a landing log on Kafka, which engines read.
type topicReplay struct {
	*replayFlags
	cfg   *server.Config
	store checkpoint.Store
	topic *kafka.Log
	err   io.Writer
}

// landedFile is the result for one file that landed in a topic.
type landedFile struct {
	File     string  `json:"file"`
	Topic    string  `json:"topic"`
	Task     string  `json:"task"`
	Landed   uint64  `json:"landed"`  // records appended in this run
	Records  uint64  `json:"records"` // of the content
	Epoch    uint64  `json:"epoch"`   // newest that is published
	Seconds  float64 `json:"seconds"`
	WasThere bool    `json:"was_there"` // committed to its end before this run

	log     *replay.Log
	task    stream.TaskID
	from    stream.Position // where the engines' next epoch may have it
	started time.Time
}

// intoTopic lands files and waits for them.
func (f *replayFlags) intoTopic(c *cobra.Command, files []string, base record.Micros) error {
	cfg, file, err := load(f.config)
	if err != nil {
		return err
	}
	p := placeOf(cfg)
	switch {
	case !cfg.Landing.Kafka.Used():
		return file.Locate(&config.FieldError{Key: "landing.kafka", Got: "no topic", Want: "one; a directory is its engine's alone: replay --lake goes beside it"})
	case !cfg.Runs(server.RoleTasks):
		return file.Locate(&config.FieldError{Key: "roles", Got: "no tasks", Want: "the configuration of an engine that makes tables: its lake tells when everything is published"})
	}
	store, _, err := openLake(c.Context(), p)
	if err != nil {
		return file.Locate(err)
	}
	topic, err := f.openTopic(c.Context(), cfg, store)
	if err != nil {
		return file.Locate(err)
	}
	t := topicReplay{replayFlags: f, cfg: cfg, store: store, topic: topic, err: c.ErrOrStderr()}
	return errors.Join(t.all(c, files, base), topic.Close())
}

// openTopic opens the landing log; brokers that do not answer are given as long
// as those that answer late.
func (f *replayFlags) openTopic(ctx context.Context, cfg *server.Config, store checkpoint.Store) (*kafka.Log, error) {
	for patience := time.Now().Add(checkPatience); ; {
		topic, err := cfg.Landing.Kafka.Open(ctx, durable.OS{}, store, cfg.Lake.Dir, f.log)
		if !errors.Is(err, kafka.ErrUnavailable) {
			return topic, err
		}
		if time.Now().After(patience) || !wait(ctx, retryEvery) {
			return nil, cli.Fail(cli.ExitUnavailable, err)
		}
	}
}

// all lands every file before it waits for the first: the engines' next epoch
// may have them all.
func (t *topicReplay) all(c *cobra.Command, files []string, base record.Micros) error {
	var landed []*landedFile
	for _, name := range files {
		r, err := t.land(c.Context(), name, base)
		if err != nil {
			return fmt.Errorf("replay %s: %w", name, refused(err))
		}
		landed = append(landed, r)
	}
	if !t.quiet {
		_, _ = fmt.Fprintf(t.err, "landed in topic %s; waiting until engines have published it (epoch.interval %s)\n", t.cfg.Landing.Kafka.Topic, t.cfg.Epoch.Interval)
	}
	for _, r := range landed {
		if err := t.published(c.Context(), r); err != nil {
			return fmt.Errorf("replay %s: %w", r.File, err)
		}
		if err := t.tell(c.OutOrStdout(), r); err != nil {
			return err
		}
	}
	return nil
}

// land brings one file into the topic. Steps, and what a kill after each one
// leaves:
//
//  1. note the content in the lake's store: other settings are refused from
//     now on, the same ones continue.
//  2. ask the newest checkpoint how far the engines have taken the file's log;
//     nothing.
//  3. append from there on, a block after the other: a prefix of the file, of
//     which the next run appends again what no checkpoint has, and the task
//     drops that by offset.
func (t *topicReplay) land(ctx context.Context, name string, base record.Micros) (*landedFile, error) {
	started := time.Now()
	log, err := t.open(ctx, t.store, name, base, started)
	if err != nil {
		return nil, err
	}
	direct := stream.TaskID{Landing: string(log.ID())}
	if _, err := checkpoint.Load(ctx, t.store, direct); err == nil {
		return nil, elsewhere(replayNote{})
	} else if !errors.Is(err, checkpoint.ErrNotExist) {
		return nil, err
	}
	if err := noteReplay(ctx, t.store, log, t.topic.ID(), t.cfg.Landing.Kafka.Topic); err != nil {
		return nil, err
	}
	partition := landing.Partition(t.gateway, t.topic.Partitions())
	r := &landedFile{
		File: name, Topic: t.cfg.Landing.Kafka.Topic, log: log, started: started,
		task: stream.TaskID{Landing: string(t.topic.ID()), Partition: partition},
	}
	r.Task = r.task.String()
	taken, _, err := task.LogTaken(ctx, t.store, r.task, log.LogID(), stream.Position{})
	if err != nil {
		return nil, err
	}
	end, n, err := t.append(ctx, log, name, taken.Next)
	if err != nil {
		return nil, err
	}
	r.Landed, r.Records, r.WasThere, r.from = n, uint64(end), n == 0, taken.Position
	if n > 0 {
		_, r.from, err = t.topic.Bounds(ctx, partition)
	}
	return r, err
}

// append lands what a file holds from an offset on.
func (t *topicReplay) append(ctx context.Context, log *replay.Log, name string, from record.Offset) (end record.Offset, landed uint64, err error) {
	watched := &watchedLog{Log: log}
	if _, err := watched.Reader(0, stream.Position{Log: log.LogID().String(), Offset: int64(from)}); err != nil {
		return from, 0, err
	}
	reader := watched.reader.Load()
	defer func() { _ = reader.Close() }()
	var records atomic.Uint64
	stop := t.bar(t.err, name, watched, &records)
	end, err = replay.Land(ctx, reader, t.topic, func(err error) bool { return t.mayPass(ctx, err) }, func(n uint32) { records.Add(uint64(n)) })
	stop()
	t.grown(name, log, reader)
	if ctx.Err() != nil {
		err = cli.Fail(cli.ExitUnavailable, errors.New("interrupted; the same command continues"))
	}
	return end, records.Load(), err
}

// retryEvery is the time between two appends of a block that was not taken, and
// between two looks at what is published.
const retryEvery = time.Second

// mayPass waits after an append that failed, and tells whether to append again.
func (t *topicReplay) mayPass(ctx context.Context, err error) bool {
	if !kafka.Transient(err) {
		return false
	}
	t.log.Warn("a block did not land and is appended again", "error", err)
	return wait(ctx, retryEvery)
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// published waits until everything that a file holds is visible: first until
// an epoch is committed that has its log to the end, then until the landing log
// is released to where that epoch ends, which is done when every sink has
// published it.
func (t *topicReplay) published(ctx context.Context, r *landedFile) error {
	taken, committed := task.Taken{}, false
	for {
		var err error
		if !committed {
			taken, committed, err = task.LogTaken(ctx, t.store, r.task, r.log.LogID(), r.from)
		}
		if committed && taken.Next < record.Offset(r.Records) {
			return cli.Fail(cli.ExitData, fmt.Errorf("the engines have passed it and have %d of its %d records: see the table conflict (task %s, log %s)", taken.Next, r.Records, r.task, r.log.LogID()))
		}
		if committed && err == nil {
			var start stream.Position
			if start, _, err = t.topic.Bounds(ctx, r.task.Partition); err == nil && start.Offset >= taken.Position.Offset {
				r.Epoch, r.Seconds = uint64(taken.Epoch), time.Since(r.started).Seconds()
				return nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return cli.Fail(cli.ExitUnavailable, errors.New("interrupted; everything is landed, engines publish it, and the same command waits for them"))
		case errors.Is(err, landing.ErrMismatch), errors.Is(err, checkpoint.ErrCorrupt), errors.Is(err, checkpoint.ErrVersion):
			return err
		case err != nil:
			t.log.Warn("it cannot be told how far the engines are", "error", err)
		}
		wait(ctx, retryEvery)
	}
}

func (t *topicReplay) tell(w io.Writer, r *landedFile) error {
	switch {
	case t.asJSON:
		return cli.JSON(w, r)
	case r.WasThere:
		_, err := fmt.Fprintf(w, "%s: was in the lake already, nothing added (task %s)\n", r.File, r.Task)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %d records, %d of them landed now, all published with epoch %d after %.1f s (task %s)\n", r.File, r.Records, r.Landed, r.Epoch, r.Seconds, r.Task)
	return err
}
