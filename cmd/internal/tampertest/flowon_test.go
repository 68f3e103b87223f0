package tampertest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/engine/server"
)

// TestOtherPartitionsFlowOn: where a partition needs an operator, because its HEAD is
// damaged, the engine says so and publishes what landed in the other one.
func TestOtherPartitionsFlowOn(t *testing.T) {
	l := Make(t, filepath.Join(t.TempDir(), "lake"), Config{Records: 3_000, Unfinished: true})
	w := l.open(t)
	for name, blocks := range l.rest {
		w.land(t, name, blocks, 9*len(blocks))
	}
	w.close(t)
	_, before := l.Head(t, Task(1))
	Write(t, filepath.Join(l.Checkpoints(), Task(0).String(), "HEAD"), []byte("{"))
	s, said := startEngine(t, l)
	for tick, over := time.Tick(20*time.Millisecond), time.After(time.Minute); ; {
		tasks := s.Status().Tasks
		_, now := l.Head(t, Task(1))
		if tasks[0].State == server.TaskRed && tasks[1].State == server.TaskRunning && now.Epoch > before.Epoch {
			break
		}
		select {
		case <-tick:
		case <-over:
			t.Fatalf("%+v\n%s", tasks, said.String())
		}
	}
	reasons := strings.Join(s.Status().Reasons, "\n")
	if s.Status().Healthy || !strings.Contains(reasons, "partition 0") || strings.Contains(reasons, "partition 1") {
		t.Errorf("%q", reasons)
	}
}
