package enginecli

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/replay"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// older opens a file as a program did whose blocks had version 1.
func older(t *testing.T, file string, again bool) *replay.Log {
	t.Helper()
	log, err := replay.Open(durable.OS{}, file, replay.Options{Gateway: "replay", BaseTime: record.NoTime, Again: again, Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestAReplayOfAnOlderProgramContinues: what an older program left half done goes
// on with the same blocks: each record once, none in conflict.
func TestAReplayOfAnOlderProgramContinues(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 20_000))
	for name, flags := range map[string][]string{"content": nil, "again": {"--again"}} {
		t.Run(name, func(t *testing.T) {
			lake := filepath.Join(dir, name)
			store, sinks, err := openLake(t.Context(), place{lake: lake, checkpoints: lake + "/_checkpoint"})
			if err != nil {
				t.Fatal(err)
			}
			made, err := sinks()
			if err != nil {
				t.Fatal(err)
			}
			log := older(t, file, flags != nil)
			ctx, cancel := context.WithCancel(t.Context())
			err = task.Run(ctx, task.Config{
				Log: log, Store: store, Sinks: made, Params: log.Params(), EpochRecords: 5000,
				Progress: func(s task.Status) {
					if s.Epoch > 0 {
						cancel()
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			code, out, errs := engine(t, append([]string{"replay", file, "--lake", lake, "--json"}, flags...)...)
			var r replayed
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.WasThere || r.Records == 0 {
				t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
			}
			if r.Task != (stream.TaskID{Landing: string(log.ID())}).String() {
				t.Errorf("it went on as %s, begun as %s", r.Task, log.ID())
			}
			proven(t, lake, 1)
			code, out, errs = engine(t, append([]string{"replay", file, "--lake", lake, "--json"}, flags...)...)
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.WasThere {
				t.Errorf("once more: exit %d, %v\n%s%s", code, err, out, errs)
			}
		})
	}
}

// proven wants a lake exact, with so many logs and nothing in conflict.
func proven(t *testing.T, lake string, logs int) {
	t.Helper()
	code, out, errs := engine(t, "audit", "--lake", lake, "--json")
	var a struct {
		Exact bool
		Logs  []struct{ Conflict uint64 }
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || !a.Exact || len(a.Logs) != logs {
		t.Errorf("audit: exit %d, %v\n%s%s", code, err, out, errs)
	}
	for _, l := range a.Logs {
		if l.Conflict != 0 {
			t.Errorf("%d conflicts", l.Conflict)
		}
	}
}

// TestAReplayIntoATopicOfAnOlderProgramContinues likewise.
func TestAReplayIntoATopicOfAnOlderProgramContinues(t *testing.T) {
	dir := t.TempDir()
	config := topicEngine(t, dir)
	file := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 20_000))
	cfg, _, err := load(config)
	if err != nil {
		t.Fatal(err)
	}
	store, _, err := openLake(t.Context(), placeOf(cfg))
	if err != nil {
		t.Fatal(err)
	}
	topic, err := cfg.Landing.Kafka.Open(t.Context(), durable.OS{}, store, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	log := older(t, file, false)
	if err := noteReplay(t.Context(), store, log, topic.ID(), cfg.Landing.Kafka.Topic); err != nil {
		t.Fatal(err)
	}
	r, err := log.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for range 2 { // of five
		var block landing.Landed
		if block, _, err = r.Next(t.Context()); err == nil {
			err = topic.Append(t.Context(), block)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := topic.Close(); err != nil {
		t.Fatal(err)
	}
	stop := daemon(t, Command("e", ""), "run", "-c", config)
	if code, out, errs := engine(t, "replay", file, "-c", config, "--json"); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if code := stop(); code != 0 {
		t.Errorf("engine: exit %d", code)
	}
	proven(t, dir+"/lake", 1)
}
