package enginecli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/server"
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
	direct := write(t, filepath.Join(dir, "b.nmea"), traffic(t, 1000)[:40_000])
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
