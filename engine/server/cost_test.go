package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
)

// TestAcknowledgedContradictionsAreNotRed: what an operator acknowledges beside the
// checkpoints is seen at the next look, for its partition, and the next contradiction is
// red again.
func TestAcknowledgedContradictionsAreNotRed(t *testing.T) {
	store, err := object.OpenDir(durable.OS{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := landingtest.NewMemory("m", 2)
	s := &Server{log: memoryLog{log}, opt: Options{Store: store}}
	for p := range 2 {
		one, _ := script(t)
		one.partition, one.cancel = p, func() {}
		one.counters.Contradictions.Add("clone", 1)
		one.counters.Contradictions.Add("mallory", 2)
		s.tasks = append(s.tasks, one)
	}
	look := func() {
		t.Helper()
		s.lookForAcknowledged(t.Context(), func(context.Context, time.Duration) bool { return false })
	}
	reasons := func(p int) string {
		st := s.tasks[p].status(s.log, nil)
		return strings.Join(st.reasons(time.Now(), time.Hour), "\n")
	}
	look()
	id := stream.TaskID{Landing: "m", Partition: 1}
	if err := task.Acknowledge(t.Context(), store, id, 1); err != nil {
		t.Fatal(err)
	}
	look()
	if a, b := reasons(0), reasons(1); !strings.Contains(a, "2 blocks contradict") || !strings.Contains(a, "gateways mallory, clone") ||
		!strings.Contains(b, "1 blocks contradict") || !strings.HasSuffix(b, "gateway mallory") {
		t.Errorf("%q, %q", a, b)
	}
	if err := task.Acknowledge(t.Context(), store, id, 2); err != nil {
		t.Fatal(err)
	}
	look()
	if a, b := reasons(0), reasons(1); !strings.Contains(a, "2 blocks") || b != "" {
		t.Errorf("acknowledged: %q, %q", a, b)
	}
	s.tasks[1].counters.Contradictions.Add("clone", 3)
	if b := reasons(1); !strings.Contains(b, "1 blocks contradict") || !strings.HasSuffix(b, "gateway clone") {
		t.Errorf("one more: %q", b)
	}
}

// memoryLog is a landing log of an engine in memory.
type memoryLog struct{ *landingtest.Memory }

func (memoryLog) Behind(int, stream.Position) (int64, error) { return 0, nil }

func (memoryLog) Stats() landing.Stats { return landing.Stats{} }

func (memoryLog) Close() error { return nil }
