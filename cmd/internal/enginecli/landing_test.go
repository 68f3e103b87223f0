package enginecli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
	"landfall/edge/agent"
	"landfall/engine/audit"
	"landfall/engine/move"
	"landfall/engine/server"
)

// fedEngine writes the configuration of an engine with a landing log.
func fedEngine(t *testing.T, dir, listen, landing string) string {
	t.Helper()
	name := strings.NewReplacer("/", "_", " ", "", ":", "", "{", "", "}", "", ",", "", "[", "", "]", "").Replace(landing)
	return write(t, filepath.Join(dir, name[max(0, len(name)-60):]+".yaml"), fmt.Sprintf(
		"listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {%s}\nlake: {dir: %s/lake}\nepoch: {interval: 100ms}\nwindow: {size: 0s}\n",
		listen, freeAddress(t), landing, dir))
}

// TestALakeMovesUnderItsGateways: from 4 partitions in a directory to 16, to 5 of a
// topic, and to 3 in a directory, with three gateways that are started again; in
// between the engine is refused with the landing log that is not the lake's. Every line is in the lake
// once, by the gateways' own logs and tips.
func TestALakeMovesUnderItsGateways(t *testing.T) {
	dir, listen := t.TempDir(), freeAddress(t)
	all := strings.SplitAfter(traffic(t, 6000), "\n")
	var edges []string
	for i := range 3 {
		name := fmt.Sprint("gateway-", i)
		write(t, filepath.Join(dir, name+".nmea"), "")
		edges = append(edges, write(t, filepath.Join(dir, name+".yaml"), fmt.Sprintf(
			"gateway: %s\ndata_dir: %s/%s\nstatus: %s\nlog: {reserve: 0B}\nsources:\n  - {name: f, file: {path: %s/%s.nmea, follow: true}}\nforward: {url: http://%s}\n",
			name, dir, name, freeAddress(t), dir, name, listen)))
	}
	sent := 0
	hear := func() { // more traffic, a third of it at each
		t.Helper()
		for i := range 3 {
			f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint("gateway-", i, ".nmea")), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString(strings.Join(all[sent:sent+250], "")); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			sent += 250
		}
	}
	landings := []string{
		fmt.Sprintf("dir: %s/a, partitions: 4, reserve: 0B", dir),
		fmt.Sprintf("dir: %s/b, partitions: 16, reserve: 0B", dir),
		fmt.Sprintf("reserve: 1MiB, kafka: {brokers: [%q], topic: landing, partitions: 5, replication: 1}", brokers(t)),
		fmt.Sprintf("dir: %s/c, partitions: 3, reserve: 0B", dir),
	}
	kafka := ""
	for stage, landing := range landings {
		config := fedEngine(t, dir, listen, landing)
		if stage > 0 {
			hear() // while no engine runs
			key := "landing.dir: got"
			if stage == 2 {
				key, kafka = "landing.kafka.topic: got", config
			}
			for _, verb := range []string{"check", "run"} {
				if code, _, errs := engine(t, verb, "-c", config); code != cli.ExitConfig || !strings.Contains(errs, key) || !strings.Contains(errs, "landing replace") {
					t.Fatalf("stage %d, %s with another landing log: exit %d %s", stage, verb, code, errs)
				}
			}
			args := []string{"landing", "replace", "-c", config, "--json"}
			if stage == 3 { // a directory does not say where brokers are
				if code, _, errs := engine(t, args...); code != cli.ExitConfig || !strings.Contains(errs, "--old") {
					t.Fatalf("without the old landing log: exit %d %s", code, errs)
				}
				args = append(args, "--old", kafka)
			}
			code, out, errs := engine(t, args...)
			var r move.Result
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Generation != stage {
				t.Fatalf("stage %d: exit %d, %v\n%s%s", stage, code, err, out, errs)
			}
			if code, out, errs := engine(t, args[:4]...); code != 0 || !strings.Contains(out, "nothing to do") {
				t.Errorf("once more: exit %d\n%s%s", code, out, errs)
			}
		}
		if code, out, errs := engine(t, "check", "-c", config); code != 0 || stage > 0 && !strings.Contains(out, "fed from") {
			t.Fatalf("check: exit %d\n%s%s", code, out, errs)
		}
		stop := daemon(t, Command("landfall-engine", "test"), "run", "-c", config)
		var stops []func() int
		for i := range edges { // one that went on would ask at once only once in a while
			stops = append(stops, daemon(t, edgecli.Command("landfall-edge", "test"), "run", "-c", edges[i]))
		}
		hear()
		waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", config, "--json") }, func(s *server.Status) bool {
			return len(s.Gateways) == 3 && s.Ingest.Records > 500 // what is not published yet is the move's, or the gateways'
		})
		for i := range edges {
			waitFor(t, func() (int, string, string) { return edge(t, "status", "-c", edges[i], "--json") }, func(s *agent.Status) bool {
				return stage < len(landings)-1 || s.Capture.Waiting == 0 && s.Sources[0].SilentFor != "" && s.Forward.Pending == 0
			})
		}
		for _, stop := range append(stops, stop) {
			if code := stop(); code != 0 {
				t.Fatalf("stage %d: exit %d", stage, code)
			}
		}
	}
	args := []string{"audit", "--lake", dir + "/lake", "--level", "values", "--json"}
	for i := range edges {
		code, said, errs := edge(t, "tips", "-c", edges[i])
		if code != 0 {
			t.Fatalf("tips: exit %d\n%s", code, errs)
		}
		args = append(args, "--tips", write(t, filepath.Join(dir, fmt.Sprint(i, ".tips")), said), "--edge-log", fmt.Sprintf("%s/gateway-%d/log", dir, i))
	}
	code, out, errs := engine(t, args...)
	var a audit.Result
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || !a.Exact || len(a.Logs) != 3*len(landings) {
		t.Fatalf("audit: exit %d, %v\n%s%s", code, err, out, errs)
	}
	recorded := uint64(0)
	for _, l := range a.Logs {
		recorded += l.Recorded
	}
	if recorded < uint64(sent)/2 || len(a.Tasks) != 4+16+5+3 {
		t.Errorf("%d records of %d lines, %d tasks", recorded, sent, len(a.Tasks))
	}
}

// TestAReloadWithAnotherLandingLogIsRefused: the old configuration goes on.
func TestAReloadWithAnotherLandingLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	config := fedEngine(t, dir, "127.0.0.1:0", fmt.Sprintf("dir: %s/a, reserve: 0B", dir))
	stop := daemon(t, Command("landfall-engine", "test"), "run", "-c", config)
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", config, "--json") }, func(s *server.Status) bool { return len(s.Tasks) == 1 })
	if code := stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if _, _, err := loadAll(config, true); err != nil {
		t.Fatal(err)
	}
	other := fedEngine(t, dir, "127.0.0.1:0", fmt.Sprintf("dir: %s/b, reserve: 0B", dir))
	if _, _, err := loadAll(other, true); err == nil || !strings.Contains(err.Error(), "landing.dir: got") {
		t.Errorf("a reload: %v", err)
	}
	if _, err := os.Stat(dir + "/b/landing"); err == nil {
		t.Error("a landing log was made")
	}
}

// TestTheSameDirectoryWithNothingInIt: a landing log that was removed and is to be made
// again where it lay is lost, and the text says so; no engine is blamed.
func TestTheSameDirectoryWithNothingInIt(t *testing.T) {
	dir := t.TempDir()
	config := fedEngine(t, dir, freeAddress(t), fmt.Sprintf("dir: %s/a, reserve: 0B", dir))
	stop := daemon(t, Command("landfall-engine", "test"), "run", "-c", config)
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", config, "--json") }, func(s *server.Status) bool { return len(s.Tasks) == 1 })
	if code := stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if err := os.RemoveAll(dir + "/a"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, _, errs := engine(t, "landing", "replace", "-c", config); code != cli.ExitConfig || !strings.Contains(errs, "--lost") {
			t.Errorf("exit %d %s", code, errs)
		}
		if _, err := os.Stat(dir + "/a"); err == nil {
			t.Error("a landing log was made for a move that is refused")
		}
	}
	if code, out, errs := engine(t, "landing", "replace", "-c", config, "--lost"); code != 0 {
		t.Errorf("with --lost: exit %d\n%s%s", code, out, errs)
	}
}

// TestMistakesOfAMove: nothing is changed, and the text says what to do.
func TestMistakesOfAMove(t *testing.T) {
	dir := t.TempDir()
	config := fedEngine(t, dir, freeAddress(t), fmt.Sprintf("dir: %s/a, reserve: 0B", dir))
	other := fedEngine(t, dir, freeAddress(t), fmt.Sprintf("dir: %s/b, partitions: 2, reserve: 0B", dir))
	if code, _, errs := engine(t, "landing", "replace", "-c", other); code != cli.ExitConfig || !strings.Contains(errs, "first start") {
		t.Errorf("of a lake that nothing feeds: exit %d %s", code, errs)
	}
	stop := daemon(t, Command("landfall-engine", "test"), "run", "-c", config)
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", config, "--json") }, func(s *server.Status) bool { return len(s.Tasks) == 1 })
	if code, _, errs := engine(t, "landing", "replace", "-c", other); code != cli.ExitUnavailable || !strings.Contains(errs, "stop it first") {
		t.Errorf("beside an engine: exit %d %s", code, errs)
	}
	if code := stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if code, out, errs := engine(t, "landing", "replace", "-c", other, "--dry-run"); code != 0 || !strings.Contains(out, "would move from") || !strings.Contains(out, "2 partitions") {
		t.Errorf("a dry run: exit %d\n%s%s", code, out, errs)
	}
	if err := os.Rename(dir+"/a", dir+"/away"); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := engine(t, "landing", "replace", "-c", other); code != cli.ExitConfig || !strings.Contains(errs, "--lost") {
		t.Errorf("without the old directory: exit %d %s", code, errs)
	}
	if _, err := os.Stat(dir + "/b"); err == nil {
		t.Error("a landing log was made for a move that is refused")
	}
	if code, out, errs := engine(t, "landing", "replace", "-c", other, "--lost"); code != 0 || !strings.Contains(out, "was not read") {
		t.Errorf("that is lost: exit %d\n%s%s", code, out, errs)
	}
	if code, _, errs := engine(t, "check", "-c", config); code != cli.ExitConfig || !strings.Contains(errs, dir+"/b") {
		t.Errorf("check with the old one: exit %d %s", code, errs)
	}
	if _, out, _ := engine(t, "doctor", "-c", config); !strings.Contains(out, "is not what feeds the lake") {
		t.Errorf("doctor with the old one:\n%s", out)
	}
}
