package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/stream"
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
		"blocks contradict":           {TaskStatus{State: TaskRunning, Contradictions: 3, Acknowledged: 1}, "2 blocks contradict"},
		"all of that is acknowledged": {TaskStatus{State: TaskRunning, Conflicts: 3, Contradictions: 3, Acknowledged: 3}, ""},
		"a log has a hole": {TaskStatus{State: TaskRunning, Holes: []HoleStatus{{Gateway: "aurora", Log: "ab", From: 7}}},
			"log ab of gateway aurora: offsets from 7 are missing in the landing log; the gateway is asked"},
		"the landing log is held": {TaskStatus{State: TaskRunning, HeldBlocks: 3}, "keeps 3 blocks"},
	} {
		t.Run(what, func(t *testing.T) {
			got := test.status.reasons(time.Now(), time.Hour)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("reasons %q, want %q", got, test.want)
			}
		})
	}
}

// TestALogThatNobodyNamedHasNoName: in a status there are no zeros for a log.
func TestALogThatNobodyNamedHasNoName(t *testing.T) {
	if a, b := logText(record.LogID{}), logText(record.LogID{1}); a != "" || !strings.HasPrefix(b, "01") || len(b) != 32 {
		t.Errorf("%q, %q", a, b)
	}
}

// TestManyHolesAreCounted: the first three are named.
func TestManyHolesAreCounted(t *testing.T) {
	got := (&TaskStatus{State: TaskRunning, Holes: make([]HoleStatus, 9)}).reasons(time.Now(), time.Hour)
	if len(got) != 4 || !strings.Contains(got[3], "6 more logs") {
		t.Errorf("reasons %q", got)
	}
}

// TestWhatNeverComesIsRedAsLongAsTheHold: a gateway that is gone can bring nothing.
func TestWhatNeverComesIsRedAsLongAsTheHold(t *testing.T) {
	now, hold := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), 7*time.Hour
	at := func(ago time.Duration) string { return text(record.Micros(now.Add(-ago).UnixMicro())) }
	for what, test := range map[string]struct {
		since []string
		want  int
	}{
		"not known since when": {[]string{""}, 1},
		"since a while":        {[]string{at(hold - time.Second)}, 1},
		"for as long":          {[]string{at(hold)}, 0},
		"the others":           {[]string{at(hold), at(time.Second), "", at(9 * hold)}, 2},
		"of many":              {[]string{at(hold), "", "", "", ""}, 4},
	} {
		status := TaskStatus{State: TaskRunning}
		for _, since := range test.since {
			status.Holes = append(status.Holes, HoleStatus{Gateway: "aurora", Log: "ab", From: 7, Since: since})
		}
		got := status.reasons(now, hold)
		if len(got) != test.want || test.want == 4 && !strings.Contains(got[3], "1 more logs") {
			t.Errorf("%s: reasons %q", what, got)
		}
	}
}

// behind is a landing log with so many blocks that are not committed.
type behind struct {
	landingLog
	blocks int64
}

func (b *behind) Behind(int, stream.Position) (int64, error) { return b.blocks, nil }

// TestHealthStaysRedUntilACommit: a partition whose uploads fail claims before each
// attempt and never commits. Whenever health is looked at, it is red; and green
// after a commit, or when the claim stood and there is nothing to do.
func TestHealthStaysRedUntilACommit(t *testing.T) {
	aborted := errors.New("seal sink parquet: upload part 1: the upload was aborted")
	s, _ := script(t)
	log, runs := &behind{blocks: 3}, 0
	sample := func(when string, red bool) {
		t.Helper()
		st := s.status(log, map[string]record.Micros{})
		if reasons := st.reasons(time.Now(), time.Hour); (len(reasons) > 0) != red {
			t.Errorf("run %d, %s: %q", runs, when, reasons)
		}
	}
	stats := checkpoint.Stats{}
	ctx, cancel := context.WithCancel(t.Context())
	s.run = func(_ context.Context, c task.Config) error {
		runs++
		sample("before the claim", runs > 1)
		c.Claimed(task.Status{}, func() checkpoint.Stats { return stats })
		sample("after the claim", runs > 1 && runs != 6) // a repair is no failure
		switch runs {
		case 5:
			c.Progress(task.Status{})
			sample("after a commit", false)
			return checkpoint.ErrRepaired
		case 8:
			log.blocks, stats = 0, checkpoint.Stats{Backlog: 1, OldestPending: time.Unix(1, 0)}
			sample("nothing to read, and an epoch that is not visible", true)
			stats.Backlog, stats.OldestPending, stats.PublishError = 0, time.Time{}, "no"
			sample("nothing to read, and publishing fails", true)
			stats.PublishError = ""
			sample("nothing to do", false)
			cancel()
			return nil
		}
		return aborted
	}
	next := s.wait
	s.wait = func(ctx context.Context, d time.Duration) bool {
		sample("while it waits", true)
		return next(ctx, d)
	}
	s.supervise(ctx)
	if runs != 8 {
		t.Errorf("%d runs", runs)
	}
}

// TestDamageIsRedUntilItIsMadeUpFor: in every partition; and for as long as the engine
// runs where a tail could not be read.
func TestDamageIsRedUntilItIsMadeUpFor(t *testing.T) {
	for what, test := range map[string]struct {
		damaged, badMarks uint64
		recovered         []uint64
		want              string
	}{
		"nothing":                      {0, 0, []uint64{0, 0}, ""},
		"damaged":                      {7, 0, []uint64{0, 0}, "7 landed"},
		"one partition lacks it":       {7, 0, []uint64{7, 0}, "7 landed"},
		"all has come":                 {7, 0, []uint64{7, 7}, ""},
		"more was damaged since":       {9, 0, []uint64{7, 9}, "2 landed"},
		"a tail could not be read":     {7, 1, []uint64{7, 7}, "7 landed"},
		"no task is here to make sure": {7, 0, nil, "7 landed"},
	} {
		t.Run(what, func(t *testing.T) {
			var tasks []*supervisor
			for _, n := range test.recovered {
				s, _ := script(t)
				s.counters.Recovered.Store(n)
				tasks = append(tasks, s)
			}
			got := damageReasons(&LandingStats{DamagedOffsets: test.damaged, BadMarks: test.badMarks}, tasks)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
				t.Errorf("reasons %q, want %q", got, test.want)
			}
		})
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

// TestALostEndIsRedForADay: after it was found, or after a start.
func TestALostEndIsRedForADay(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		since   time.Duration // 0: before the start
		started time.Duration
		red     bool
	}{
		"found now":             {time.Minute, 9 * shortMemory, true},
		"found long ago":        {shortMemory, 9 * shortMemory, false},
		"found by the start":    {0, time.Hour, true},
		"found by an old start": {0, shortMemory, false},
	} {
		l := ShortStatus{Gateway: "pier", Log: "ab", From: 3, End: 9}
		if test.since > 0 {
			l.Since = text(record.Micros(now.Add(-test.since).UnixMicro()))
		}
		got := shortReasons(now, now.Add(-test.started), []TaskStatus{{Partition: 1, Short: []ShortStatus{l}}})
		if (len(got) == 1 && strings.Contains(got[0], "partition 1: log ab of gateway pier: offsets from 3 to 9 are lost")) != test.red || len(got) > 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := shortReasons(now, now, []TaskStatus{{Short: make([]ShortStatus, 9)}, {Short: make([]ShortStatus, 1)}}); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

// TestABlockSetAsideIsRed: for a day after it was set aside, and after each start; the
// first three of a partition are named. A block of which one process died is not.
func TestABlockSetAsideIsRed(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := record.Micros(started.UnixMicro())
	one := task.AsideBlock{Gateway: "aurora", Log: "ab", From: 7, End: 9, At: at - 1e6, Deaths: 3}
	tasks := func(all ...task.AsideBlock) []TaskStatus {
		s := &supervisor{counters: new(task.Counters), last: task.Status{Aside: all}}
		out := TaskStatus{State: TaskRunning}
		s.aside(&out)
		return []TaskStatus{out}
	}
	got := asideReasons(started.Add(23*time.Hour), started, tasks(one))
	if len(got) != 1 || !strings.Contains(got[0], "log ab of gateway aurora: offsets from 7 to 9 are set aside") {
		t.Errorf("after 23 hours: %q", got)
	}
	if got := asideReasons(started.Add(24*time.Hour), started, tasks(one)); len(got) != 0 {
		t.Errorf("after a day: %q", got)
	}
	later := one
	later.At = at + 3600e6
	if got := asideReasons(started.Add(24*time.Hour), started, tasks(one, later)); len(got) != 1 {
		t.Errorf("the later one: %q", got)
	}
	many := make([]task.AsideBlock, 40)
	if got := asideReasons(started, started, tasks(many...)); len(got) != 4 || !strings.Contains(got[3], "40 blocks") {
		t.Errorf("of many: %q", got)
	}
	for deaths, want := range map[int64]int{0: 0, 1: 0, 2: 1} {
		if got := (&TaskStatus{State: TaskRunning, SuspectDeaths: deaths}).reasons(started, time.Hour); len(got) != want {
			t.Errorf("%d deaths: %q", deaths, got)
		}
	}
}
