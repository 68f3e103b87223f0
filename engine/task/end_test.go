package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// cutOff is a log whose readers end with io.EOF where nothing more is landed, as a
// connection that is cut off does.
type cutOff struct{ *landingtest.Memory }

// Reader implements landing.Log.
func (c cutOff) Reader(partition int, from stream.Position) (landing.Reader, error) {
	r, err := c.Memory.Reader(partition, from)
	return cutOffReader{r, c.Memory}, err
}

type cutOffReader struct {
	landing.Reader
	log *landingtest.Memory
}

// Next implements landing.Reader.
func (r cutOffReader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	landed, after, err := r.Reader.Next(ended)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("fetch: %w", io.EOF)
	}
	return landed, after, err
}

// bounded is a cutOff that says that it ends.
type bounded struct{ cutOff }

// End implements landing.Bounded.
func (bounded) End() {}

// TestOnlyABoundedLogEnds: an io.EOF of a log that never ends is an error that may
// pass, and nothing says that the log has ended.
func TestOnlyABoundedLogEnds(t *testing.T) {
	for _, ends := range []bool{false, true} {
		t.Run(fmt.Sprint("ends ", ends), func(t *testing.T) {
			r := newRig(t)
			l := capturedLog(t, 1, 5, 2)
			r.land(t, "g", l.blocks...)
			cfg := r.config(new(Counters))
			if cfg.Log = (cutOff{r.log}); ends {
				cfg.Log = bounded{cutOff{r.log}}
			}
			err := Run(t.Context(), cfg)
			if (err == nil) != ends || errors.Is(err, io.EOF) || err != nil && !strings.Contains(err.Error(), "it never ends") {
				t.Errorf("the task ended with %v", err)
			}
			m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"})
			if err != nil || m.Final != ends || (m.Position.Offset == 5) != ends {
				t.Errorf("%+v, %v", m, err)
			}
			if ends {
				return
			}
			r.land(t, "g", capturedLog(t, 2, 1, 1).blocks...) // a claim goes on where it was
			cfg.Log = bounded{cutOff{r.log}}
			if err := Run(t.Context(), cfg); err != nil {
				t.Errorf("the next run: %v", err)
			}
			if m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"}); err != nil || m.Position.Offset != 6 {
				t.Errorf("the next run: %+v, %v", m, err)
			}
		})
	}
}
