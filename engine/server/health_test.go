package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/task"
)

// TestWhatTurnsAPartitionRed: also while it is tried again, and until it has
// claimed its partition.
func TestWhatTurnsAPartitionRed(t *testing.T) {
	for what, test := range map[string]struct {
		status TaskStatus
		want   string // part of the reason; empty: healthy
	}{
		"runs":                        {TaskStatus{State: TaskRunning}, ""},
		"stopped":                     {TaskStatus{State: TaskStopped, Error: "stopped while it worked"}, ""},
		"red":                         {TaskStatus{State: TaskRed, Error: "fenced"}, "is red: fenced"},
		"waits to be tried again":     {TaskStatus{State: TaskRetrying, Error: "disk"}, "is retrying: disk"},
		"is tried again":              {TaskStatus{State: TaskRunning, Error: "disk"}, "is started again after: disk"},
		"publishing fails meanwhile":  {TaskStatus{State: TaskRunning, PublishError: "no space"}, "not visible: no space"},
		"a publish failed in the end": {TaskStatus{State: TaskRetrying, Error: "no space", PublishError: "no space"}, "is retrying: no space"},
		"blocks contradict":           {TaskStatus{State: TaskRunning, Conflicts: 2}, "2 blocks contradict"},
	} {
		t.Run(what, func(t *testing.T) {
			got := test.status.reasons()
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("reasons %q, want %q", got, test.want)
			}
		})
	}
}

// TestAFailedRunCountsUntilTheNextClaim: running is not claimed yet.
func TestAFailedRunCountsUntilTheNextClaim(t *testing.T) {
	s, _ := script(t)
	s.set(TaskRetrying, errors.New("disk"))
	s.set(TaskRunning, nil)
	if s.err == nil {
		t.Error("forgotten before the partition was claimed")
	}
	s.claimed(task.Status{}, func() checkpoint.Stats { return checkpoint.Stats{} })
	if s.err != nil {
		t.Errorf("after the claim: %v", s.err)
	}
}

// TestTwoMachinesUnderOneNameStayRedForAnHour: they take turns, and in between
// all looks well. Where the ingest of another engine saw them, the task did.
func TestTwoMachinesUnderOneNameStayRedForAnHour(t *testing.T) {
	now := time.UnixMicro(1_790_000_000_000_000)
	at := func(ago time.Duration) record.Micros { return record.Micros(now.Add(-ago).UnixMicro()) }
	for what, test := range map[string]struct {
		gateway, task record.Micros
		want          string
	}{
		"never":                 {0, 0, ""},
		"a moment ago":          {at(time.Second), 0, "gateway pier: a log came back after another one at 2026-09-21T"},
		"within the hour":       {at(59 * time.Minute), 0, "gateway pier"},
		"longer ago":            {at(61 * time.Minute), at(61 * time.Minute), ""},
		"seen by both":          {at(time.Minute), at(time.Minute), "gateway pier"},
		"by another's ingest":   {0, at(time.Minute), "partition 3: a log came back after a newer one of its gateway"},
		"of a backlog, landed":  {0, at(2 * time.Hour), ""},
		"here after all is old": {at(2 * time.Hour), at(time.Minute), "partition 3"},
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := script(t)
			s.partition = 3
			s.counters.AlternatedAt.Store(int64(test.task))
			got := alternationReasons(now, map[string]ingest.GatewayStatus{"pier": {AlternatedAt: test.gateway}, "bank": {}}, []*supervisor{s})
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("reasons %q, want %q", got, test.want)
			}
		})
	}
}
