package enginecli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
)

// TestAcknowledge: the verb asks the running engine, says whose the contradictions are and
// notes beside the checkpoints that they are known, of the partitions that have any.
func TestAcknowledge(t *testing.T) {
	const landing = "l-0123456789abcdef"
	many := make([]server.ContradictingGateway, 20)
	for i := range many {
		many[i] = server.ContradictingGateway{Gateway: fmt.Sprint("g", i), Count: 1, Newest: time.Unix(int64(1_790_000_000-i), 0).UTC()}
	}
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(server.Status{Landing: landing, Tasks: []server.TaskStatus{
			{Partition: 0, Contradictions: 3, Acknowledged: 3},
			{Partition: 1, Contradictions: 5, Acknowledged: 3, Contradicting: "gateway mallory"},
			{Partition: 2, Contradictions: 1, Contradicting: "gateway eve"},
			{Partition: 3, Contradictions: 20, Contradicting: "gateways g0, g1, g2, g3, g4, g5, g6, g7 and others", ContradictingGateways: many},
		}})
	}))
	defer status.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "engine.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, partitions: 3}\nlake: {dir: %s/lake}\n",
		strings.TrimPrefix(status.URL, "http://"), dir, dir)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		c := Command("landfall-engine", "test")
		c.SetArgs(append([]string{"acknowledge", "--config", name}, args...))
		c.SetOut(&out)
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	noted := func(want ...uint64) {
		t.Helper()
		store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "lake", "_checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		for p, n := range want {
			if got, err := task.Acknowledged(t.Context(), store, stream.TaskID{Landing: landing, Partition: p}); got != n || err != nil {
				t.Errorf("partition %d: %d are acknowledged, want %d; %v", p, got, n, err)
			}
		}
	}
	if got := run("--partition", "2"); got != "partition 2: 1 contradiction acknowledged, of gateway eve\n" {
		t.Errorf("%q", got)
	}
	noted(0, 0, 1)
	if got := run("--partition", "3"); strings.Count(got, "\n") != 21 || !strings.HasSuffix(got, "\n  g19: 1 in all, the newest 2026-09-21T14:13:01Z\n") {
		t.Errorf("not everybody is named: %q", got)
	}
	if got := run(); !strings.HasPrefix(got, "partition 1: 2 contradictions acknowledged, of gateway mallory\n") {
		t.Errorf("%q", got)
	}
	noted(0, 5, 1)
	if got := run("--json", "--partition", "1"); !strings.Contains(got, `"new": 2`) {
		t.Errorf("%q", got)
	}
	if got := run("--partition", "0"); got != "nothing contradicts a log that is not acknowledged\n" {
		t.Errorf("%q", got)
	}
}

// TestStatusTellsCosts: the ten that cost the most of all partitions, and how many more
// there are.
func TestStatusTellsCosts(t *testing.T) {
	s := &server.Status{}
	for p := range 2 {
		one := server.TaskStatus{Partition: p, CostsMore: 7}
		for i := range 8 {
			one.Costs = append(one.Costs, server.CostStatus{Gateway: fmt.Sprintf("g%d-%d", p, i), Hour: server.WorkStatus{Seconds: float64(10*(8-i) + p)},
				Denied: []string{"dates 12", "ships 3"}})
		}
		s.Tasks = append(s.Tasks, one)
	}
	var b bytes.Buffer
	if err := printStatus(&b, &standing{Status: s}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "COST OF AN HOUR")
	lines := strings.Split(table, "\n")
	if got := strings.Join(strings.Fields(lines[1]), " "); got != "g1-0 1 81.000 0 0 0 0 0 0 0 0 dates 12, ships 3" {
		t.Errorf("%q", got)
	}
	if !strings.HasPrefix(lines[10], "g0-4 ") || lines[11] != "and 20 more gateways" {
		t.Errorf("%q\n%s", lines, b.String())
	}
}
