package task

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// panickingSink panics with the n-th batch that it is given.
type panickingSink struct {
	stream.Sink
	in *int
}

func (s panickingSink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	stage, err := s.Sink.Begin(task, claim, epoch)
	return panickingStage{stage, s.in}, err
}

type panickingStage struct {
	stream.Stage
	in *int
}

func (s panickingStage) Write(b *table.Batch) error {
	if *s.in--; *s.in == 0 {
		panic("a row that nobody thought of")
	}
	return s.Stage.Write(b)
}

// TestAPanicEndsItsTaskAlone: while a block is made rows of, and while its rows are
// staged. The error has what happened, nothing of the epoch is committed, and the next
// run makes everything once.
func TestAPanicEndsItsTaskAlone(t *testing.T) {
	for name, break_ := range map[string]func(*Config){
		"block": func(cfg *Config) {
			n := 0
			cfg.Look = func(*landing.Landed, *table.Batch) {
				if n++; n == 3 {
					panic("a block that nobody thought of")
				}
			}
		},
		"stage": func(cfg *Config) {
			n := 3
			cfg.Sinks = []stream.Sink{panickingSink{cfg.Sinks[0], &n}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				l := capturedLog(t, 1, 10, 2)
				r.land(t, "g", l.blocks...)
				cfg := r.config(new(Counters))
				cfg.EpochRecords = 1000
				whole := cfg
				break_(&cfg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := Run(ctx, cfg); !errors.Is(err, stream.ErrPanic) {
					t.Fatalf("ended with %v", err)
				}
				if n := len(r.sink.rows()); n != 0 {
					t.Errorf("%d rows are published", n)
				}
				ctx, cancel = context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- Run(ctx, whole) }()
				time.Sleep(time.Hour)
				cancel()
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				sameRows(t, r.sink.rows(), want("g", l, 20))
			})
		})
	}
}

// TestAPanicOfADecoderIsSaid: once, as an error, with the gateway and what happened.
func TestAPanicOfADecoderIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := capturedLog(t, 1, 4, 2)
		r.land(t, "shore-7", l.blocks...)
		var c Counters
		cfg := r.config(&c)
		var said bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		what, n := "index out of range", 0
		cfg.Look = func(*landing.Landed, *table.Batch) {
			if n++; n == 1 { // as the decoder does, in the block after this one
				c.LastPanic.Store(&what)
			}
		}
		if err := Run(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(said.String()) {
			if strings.Contains(line, what) {
				lines = append(lines, line)
			}
		}
		if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "shore-7") ||
			!strings.Contains(lines[0], "reject_reason panic") {
			t.Errorf("said: %q", lines)
		}
	})
}
