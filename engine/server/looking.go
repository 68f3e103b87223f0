package server

import (
	"context"
	"fmt"
	"time"

	"landfall/engine/presence"
	"landfall/engine/stream"
)

// How many published files of a partition one look asks for.
const (
	lookNewest = 20 // of those that were published since the last one
	lookSample = 10 // of all others, in turn
)

// lakeSink is the name in ledgers of the sink whose outputs are the lake's files.
const lakeSink = "parquet"

// watcher looks at the files of a partition: a presence.Watch.
type watcher interface {
	Look(ctx context.Context, published stream.Epoch) error
	Findings() []string
}

// watchOf makes what looks at the files of a partition.
func (s *Server) watchOf(partition int) *presence.Watch {
	return presence.New(presence.Config{
		Store: s.opt.Store, Task: stream.TaskID{Landing: string(s.log.ID()), Partition: partition}, Sink: lakeSink,
		Size: s.opt.FileSize, Newest: lookNewest, Sample: lookSample,
	})
}

// lookAtFiles looks, until a wait for the next look says that ctx ended, whether published files are there. It is off
// the way of every commit. What cannot be asked is asked at the next look: that the
// store does not answer, the tasks say.
func (s *Server) lookAtFiles(ctx context.Context, wait func(context.Context, time.Duration) bool) {
	for wait(ctx, s.cfg.Lake.Look) {
		for _, t := range s.tasks {
			if !t.ours() || ctx.Err() != nil {
				continue
			}
			if err := t.files.Look(ctx, t.published()); err != nil {
				s.opt.Logger.Debug("published files could not be looked for", "partition", t.partition, "error", err)
			}
		}
	}
}

// fileReasons says which published files are missed.
func (s *Server) fileReasons() []string {
	var out []string
	for _, t := range s.tasks {
		if !t.ours() || t.files == nil {
			continue
		}
		missed := t.files.Findings()
		switch len(missed) {
		case 0:
		case 1:
			out = append(out, fmt.Sprintf("partition %d: of what is published, %s; `landfall-engine repair` makes it "+
				"again", t.partition, missed[0]))
		default:
			out = append(out, fmt.Sprintf("partition %d: of what is published, %s, and %d more files are missed; "+
				"`landfall-engine repair` makes them again",
				t.partition, missed[0], len(missed)-1))
		}
	}
	return out
}

// published is the newest epoch that is wholly visible; 0: none is known to be.
func (s *supervisor) published() stream.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats == nil {
		return 0
	}
	return s.stats().Published
}
