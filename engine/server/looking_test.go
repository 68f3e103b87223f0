package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// scripted is a watcher that misses files from some look on.
type scripted struct {
	looks  int
	epoch  stream.Epoch
	missed []string
}

func (s *scripted) Look(_ context.Context, published stream.Epoch) error {
	s.looks, s.epoch = s.looks+1, published
	if s.looks == 1 {
		return errors.New("the store does not answer")
	}
	return nil
}

func (s *scripted) Findings() []string { return s.missed[:min(len(s.missed), s.looks)] }

// TestAPublishedFileThatIsGoneTurnsHealthRed: the reason names it and the cure; of
// partitions that another engine has, nothing is said, nor are they looked at.
func TestAPublishedFileThatIsGoneTurnsHealthRed(t *testing.T) {
	mine, others := &scripted{missed: []string{"record/dt=1/a.parquet is gone", "b"}}, &scripted{missed: []string{"c"}}
	s := &Server{opt: Options{Logger: slog.New(slog.DiscardHandler)}}
	for p, w := range []*scripted{mine, others} {
		one, _ := script(t)
		one.partition, one.files = p, w
		s.tasks = append(s.tasks, one)
	}
	s.tasks[0].cancel = func() {}
	s.tasks[0].claimed(task.Status{}, func() checkpoint.Stats { return checkpoint.Stats{Published: 7} })
	var said []string
	rounds := 0
	s.lookAtFiles(t.Context(), func(context.Context, time.Duration) bool {
		said = append(said, strings.Join(s.fileReasons(), "|"))
		rounds++
		return rounds <= 2
	})
	for i, want := range []string{"", "record/dt=1/a.parquet is gone; `landfall-engine repair` makes it again", "and 1 more files are missed; `landfall-engine repair`"} {
		if !strings.Contains(said[i], want) || want == "" && said[i] != "" || strings.Contains(said[i], "partition 1") {
			t.Errorf("after %d looks: %q, want %q", i, said[i], want)
		}
	}
	if mine.looks != 2 || mine.epoch != 7 || others.looks != 0 {
		t.Error(fmt.Sprint(mine.looks, mine.epoch, others.looks))
	}
}
