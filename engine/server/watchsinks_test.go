package server

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// TestProblemsOfSinksAreComplainedOf: what is wrong with a sink's topics is a reason of
// health, and the sinks are watched as long as the engine runs.
func TestProblemsOfSinksAreComplainedOf(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	var ended bool
	watched := make(chan struct{})
	s, err := New(t.Context(), c, Options{
		Store: store, Sinks: func() ([]stream.Sink, error) { return nil, errors.New("no sinks here") },
		SinkStatus: func() []SinkStatus {
			return []SinkStatus{{Sink: "kafka", Problems: []string{"topic p.record: cleanup.policy is compact"}}}
		},
		WatchSinks: func(ctx context.Context) {
			close(watched)
			<-ctx.Done()
			ended = true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Healthy || !slices.Contains(st.Reasons, "sink kafka: topic p.record: cleanup.policy is compact") {
		t.Errorf("healthy %t, %q", st.Healthy, st.Reasons)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-watched
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !ended {
		t.Error("the engine has stopped and its sinks are watched still")
	}
}
