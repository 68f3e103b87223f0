package enginecli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
	"landfall/engine/landing/landingtest"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// topicEngine writes the configuration of an engine whose landing log is a topic
// of an in-process cluster.
func topicEngine(t *testing.T, dir string) (file string) {
	t.Helper()
	return write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf(`listen: %s
status: %s
identity: {unauthenticated: true}
landing: {reserve: 1MiB, kafka: {brokers: [%q], topic: landing, partitions: 3, replication: 1}}
lake: {dir: %s/lake}
epoch: {interval: 100ms}
`, freeAddress(t), freeAddress(t), brokers(t), dir))
}

// TestReplayIntoATopicEnds: it exits when engines have published everything,
// adds nothing the second time, refuses other settings and another way, and
// --again lands once more.
func TestReplayIntoATopicEnds(t *testing.T) {
	dir := t.TempDir()
	config := topicEngine(t, dir)
	file := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 4_000))
	later := traffic(t, 6_000)
	direct := write(t, filepath.Join(dir, "b.nmea"), later[len(later)-40_000:])
	if code, _, errs := engine(t, "replay", direct, "--lake", dir+"/lake"); code != 0 {
		t.Fatalf("replay into the lake: exit %d %s", code, errs)
	}
	stop := daemon(t, Command("e", ""), "run", "-c", config)
	code, out, errs := engine(t, "replay", file, "-c", config, "--json")
	var r landedFile
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Landed < 2_000 || r.Landed != r.Records || r.Epoch == 0 || r.WasThere {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{file}, 0, "already, nothing added"},
		{[]string{file, "--gateway", "b"}, cli.ExitData, "in the lake already under gateway"},
		{[]string{file, "--base-time", "2020-01-01T00:00:00Z"}, cli.ExitData, "in the lake already under base_time"},
		{[]string{direct}, cli.ExitData, "straight into the lake"},
		{[]string{file, "--gateway", "b", "--again"}, 0, "all published with epoch"},
		{[]string{file, "--lake", dir}, cli.ExitUsage, "one of them"},
		{[]string{file, "--epoch-records", "5"}, cli.ExitUsage, "--epoch-records is"},
	} {
		if code, out, errs := engine(t, append([]string{"replay", "-c", config}, c.args...)...); code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%v: exit %d\n%s%s", c.args, code, out, errs)
		}
	}
	if code, _, errs := engine(t, "replay", file, "--lake", dir+"/lake"); code != cli.ExitData || !strings.Contains(errs, "replayed into topic landing") {
		t.Errorf("straight into the lake after the topic: exit %d %s", code, errs)
	}
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", config, "--json") }, func(s *server.Status) bool { return len(s.Tasks) == 3 })
	for verb, want := range map[string]string{"status": "topic landing, 3 partitions: 3 of them this engine's in group landing: 0 1 2", "doctor": "consumer group"} {
		if _, out, errs := engine(t, verb, "-c", config); !strings.Contains(out, want) {
			t.Errorf("%s:\n%s%s", verb, out, errs)
		}
	}
	if code := stop(); code != 0 {
		t.Fatalf("engine: exit %d", code)
	}
	code, out, errs = engine(t, "audit", "--lake", dir+"/lake", "--json")
	var a struct {
		Exact bool
		Logs  []struct{ Recorded, Duplicate int64 }
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || !a.Exact || len(a.Logs) != 3 {
		t.Errorf("audit: exit %d, %v\n%s%s", code, err, out, errs)
	}
}

// TestReplayWantsATopicAndALake: a configuration without either says which.
func TestReplayWantsATopicAndALake(t *testing.T) {
	dir := t.TempDir()
	input := write(t, filepath.Join(dir, "a.nmea"), "x\n")
	for want, text := range map[string]string{
		"landing.kafka": "listen: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {dir: " + dir + "/landing}\nlake: {dir: " + dir + "/lake}\n",
		"roles":         "roles: [ingest]\nlisten: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {kafka: {brokers: [\"127.0.0.1:1\"], topic: t, partitions: 1}}\n",
	} {
		config := write(t, filepath.Join(dir, "engine.yaml"), text)
		if code, _, errs := engine(t, "replay", input, "-c", config); code != cli.ExitConfig || !strings.Contains(errs, want+": got") {
			t.Errorf("%s: exit %d %s", want, code, errs)
		}
	}
}

// TestInspectReadsATopic: blocks that are landed and not released, from where
// asked, as text and JSON; it makes no topic.
func TestInspectReadsATopic(t *testing.T) {
	config := topicEngine(t, t.TempDir())
	if code, _, errs := engine(t, "inspect", "-c", config); code != cli.ExitNoInput || !strings.Contains(errs, "no topic landing") {
		t.Fatalf("an absent topic: exit %d %s", code, errs)
	}
	cfg, _, err := load(config)
	if err != nil {
		t.Fatal(err)
	}
	store, _, err := openLake(t.Context(), placeOf(cfg)) // only a lake's tasks release
	if err != nil {
		t.Fatal(err)
	}
	log, err := cfg.Landing.Kafka.Open(t.Context(), durable.OS{}, store, cfg.Lake.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	chain := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	partition := landing.Partition("a", 3)
	var at stream.Position
	for n := range 4 {
		if err := log.Append(t.Context(), chain.Block(2, 10)); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if _, at, err = log.Bounds(t.Context(), partition); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := log.Release(partition, at); err != nil {
		t.Fatal(err)
	}
	p := fmt.Sprint("--partition=", partition)
	for _, c := range []struct {
		args  []string
		code  int
		lines int // of blocks
		want  string
	}{
		{[]string{p}, 0, 3, "offsets 1 to 4"},
		{[]string{p, "--limit", "1", "--offset", "2"}, 0, 1, "2 landed "},
		{[]string{p, "--json"}, 0, 3, `"gateway": "a"`},
		{[]string{p, "--offset", "0"}, 70, 0, "outside the landing log"},
		{[]string{"--partition", "3"}, cli.ExitUsage, 0, "3 of 3"},
	} {
		code, out, errs := engine(t, append([]string{"inspect", "-c", config}, c.args...)...)
		if lines := strings.Count(out, "landed"); code != c.code || lines != c.lines || !strings.Contains(out+errs, c.want) {
			t.Errorf("%v: exit %d, %d blocks\n%s%s", c.args, code, lines, out, errs)
		}
	}
}

// unreleased is a landing log of which nothing is released, as while publishing
// is under way.
type unreleased struct{ *kafka.Log }

func (unreleased) Release(int, stream.Position) error { return nil }

// TestReplayIntoATopicWaits: neither for want of an engine nor for an epoch that
// is committed and not published is a replay done.
func TestReplayIntoATopicWaits(t *testing.T) {
	dir := t.TempDir()
	cfg, _, err := load(topicEngine(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	store, sinks, err := openLake(t.Context(), placeOf(cfg))
	if err != nil {
		t.Fatal(err)
	}
	log, err := cfg.Landing.Kafka.Open(t.Context(), durable.OS{}, store, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	replay := topicReplay{replayFlags: &replayFlags{gateway: "g", quiet: true, log: slog.New(slog.DiscardHandler)}, cfg: cfg, store: store, topic: log, err: io.Discard}
	r, err := replay.land(t.Context(), write(t, dir+"/a.nmea", traffic(t, 500)), record.NoTime)
	if err != nil || r.Landed < 300 {
		t.Fatalf("%+v, %v", r, err)
	}
	look := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		return replay.published(ctx, r)
	}
	if err := look(); err == nil {
		t.Error("done without an engine")
	}
	made, err := sinks()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = task.Run(ctx, task.Config{
		Log: unreleased{log}, Partition: r.task.Partition, Store: store, Sinks: made, EpochInterval: 100 * time.Millisecond,
		Progress: func(task.Status) { cancel() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := look(); err == nil {
		t.Error("done before it is released")
	}
	if err := log.Release(r.task.Partition, r.from); err != nil {
		t.Fatal(err)
	}
	if err := replay.published(t.Context(), r); err != nil || r.Epoch == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
