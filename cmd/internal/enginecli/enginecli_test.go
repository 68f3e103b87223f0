package enginecli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
	"landfall/cmd/internal/testport"
	"landfall/decoders/aissim"
	"landfall/edge/agent"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/engine/server"
)

func run(ctx context.Context, root *cobra.Command, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(ctx, root, args, &out, &errs)
	return code, out.String(), errs.String()
}

func engine(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	return run(t.Context(), Command("landfall-engine", "test"), args...)
}

func edge(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	return run(t.Context(), edgecli.Command("landfall-edge", "test"), args...)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}

// traffic gives simulated lines.
func traffic(t *testing.T, n int) string {
	t.Helper()
	return simulate(t, n)
}

func simulate(t testing.TB, n int) string {
	t.Helper()
	h, err := aissim.New(aissim.Config{Seed: 3, Start: 1_767_225_600_000_000, Ships: 200, Tag: aissim.TagMillis, Noise: 0.01, LostFragments: 0.05, Unique: true})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for range n {
		if l := h.Next(); l.Kind != aissim.KindLost {
			b.Write(l.Text)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// daemon runs a command until the function it gives is called, which gives its
// exit code.
func daemon(t *testing.T, root *cobra.Command, args ...string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() {
		n, _, errs := run(ctx, root, args...)
		if n != 0 {
			t.Logf("%v: %s", args, errs)
		}
		code <- n
	}()
	stopped := false
	stop = func() int {
		stopped = true
		cancel()
		return <-code
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return stop
}

// waitFor asks a command for JSON until ok is true.
func waitFor[S any](t *testing.T, ask func() (int, string, string), ok func(*S) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		var s S
		if code, out, _ := ask(); code == 0 && json.Unmarshal([]byte(out), &s) == nil && ok(&s) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			_, out, errs := ask()
			t.Fatalf("not within 30 s:\n%s%s", out, errs)
		}
	}
}

func TestFromAFileToAnExactLakeThroughBothDaemons(t *testing.T) {
	dir := t.TempDir()
	listen, status := freeAddress(t), freeAddress(t)
	write(t, filepath.Join(dir, "in.nmea"), traffic(t, 5000))
	engineFile := write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf(
		"listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, partitions: 2, reserve: 0B}\nlake: {dir: %s/lake}\nepoch: {interval: 200ms}\n",
		listen, status, dir, dir))
	edgeFile := write(t, filepath.Join(dir, "edge.yaml"), fmt.Sprintf(
		"gateway: g\ndata_dir: %s/edge\nstatus: %s\nlog: {reserve: 0B}\nsources:\n  - {name: f, file: {path: %s/in.nmea, follow: true}}\nforward: {url: http://%s}\n",
		dir, freeAddress(t), dir, listen))
	for _, check := range []func() (int, string, string){
		func() (int, string, string) { return engine(t, "check", "-c", engineFile) },
		func() (int, string, string) { return edge(t, "check", "-c", edgeFile) },
		func() (int, string, string) { return engine(t, "explain", "-c", engineFile, "--json") },
		func() (int, string, string) { return edge(t, "explain", "-c", edgeFile, "--json") },
	} {
		if code, out, errs := check(); code != 0 || out == "" {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
	}
	if code, _, _ := engine(t, "status", "-c", engineFile); code != cli.ExitUnavailable {
		t.Errorf("status of an engine that does not run: exit %d", code)
	}
	stopEngine := daemon(t, Command("landfall-engine", "test"), "run", "-c", engineFile)
	rows := tapRows(t, status, "ais_static")
	stopEdge := daemon(t, edgecli.Command("landfall-edge", "test"), "run", "-c", edgeFile)
	waitFor(t, func() (int, string, string) { return edge(t, "status", "-c", edgeFile, "--json") }, func(s *agent.Status) bool {
		return s.Capture.Records > 4000 && s.Forward.Pending == 0 && s.Sources[0].SilentFor != "" && s.Capture.Waiting == 0
	})
	if code := stopEdge(); code != 0 {
		t.Errorf("edge: exit %d", code)
	}
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", engineFile, "--json") }, func(s *server.Status) bool {
		return s.Tasks[0].Behind == 0 && s.Tasks[1].Behind == 0 && s.Ingest.Records > 4000 && s.Healthy
	})
	if code, out, errs := engine(t, "status", "-c", engineFile); code != 0 || !strings.Contains(out, "running") {
		t.Errorf("status: %d\n%s%s", code, out, errs)
	}
	if code := stopEngine(); code != 0 {
		t.Errorf("engine: exit %d", code)
	}
	code, out, errs := engine(t, "audit", "--lake", dir+"/lake", "--edge-log", dir+"/edge/log", "--json")
	var result audit.Result
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 || !result.Exact || result.Logs[0].Tail != audit.TailProven {
		t.Errorf("audit: exit %d, %v\n%s%s", code, err, out, errs)
	}
	code, said, errs := edge(t, "tips", "-c", edgeFile)
	if code != 0 {
		t.Errorf("tips: exit %d\n%s%s", code, said, errs)
	}
	tips := write(t, filepath.Join(dir, "g.tips"), said)
	result = audit.Result{}
	code, out, errs = engine(t, "audit", "--lake", dir+"/lake", "--tips", tips, "--json")
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 || !result.Exact || result.Logs[0].Tipped != result.Logs[0].Captured {
		t.Errorf("audit with tips: exit %d, %v\n%s%s", code, err, out, errs)
	}
	if code, out, _ := engine(t, "audit", "--lake", dir+"/lake", "--edge-log", dir+"/edge"); code != cli.ExitNoInput || out != "" {
		t.Errorf("audit with a directory that is no log: exit %d\n%s", code, out)
	}
	inspectAll(t, dir)
	if shown, there := rows(), lakeRows(t, dir+"/lake/ais_static"); shown == 0 || shown != there {
		t.Errorf("tap showed %d rows of ais_static, the lake has %d", shown, there)
	}
}

// tapRows looks at the rows of a table until the engine stops, and tells then how
// many it was shown.
func tapRows(t *testing.T, address, table string) func() int {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var resp *http.Response
	for err := error(io.EOF); err != nil; { // until the engine answers
		if resp, err = http.Get("http://" + address + "/tap?stage=typed&gateway=g&source=f&table=" + table); err != nil {
			<-tick.C
		}
	}
	count := make(chan int, 1)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		n := 0
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); n++ {
			var r struct {
				server.TypedRow
				Row struct {
					MMSI    int64  `json:"mmsi"`
					Gateway string `json:"_gateway"`
				} `json:"row"`
			}
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil || string(r.Table) != table || r.Row.MMSI == 0 || r.Row.Gateway != "g" {
				t.Errorf("%s: %v", lines.Bytes(), err)
			}
		}
		count <- n
	}()
	return func() int { return <-count }
}

// lakeRows counts the rows of a table's files.
func lakeRows(t *testing.T, table string) int {
	t.Helper()
	files, err := filepath.Glob(table + "/*/*.parquet")
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		p, err := parquet.OpenFile(f, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		n += p.NumRows()
		_ = f.Close() // read only
	}
	return int(n)
}

// inspectAll prints what the run left.
func inspectAll(t *testing.T, dir string) {
	t.Helper()
	for _, c := range []struct {
		glob, want string
		ask        func(*testing.T, ...string) (int, string, string)
	}{
		{"edge/log/*.seg", `"!AIVDM`, edge}, {"landing/p*/*.seg", "landed ", engine}, {"lake/_checkpoint/*/HEAD", `"claim"`, engine},
		{"lake/_checkpoint/*/manifest/*.json", `"position"`, engine},
	} {
		files, err := filepath.Glob(filepath.Join(dir, c.glob))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files", c.glob)
			continue
		}
		code, out, errs := c.ask(t, append([]string{"inspect", "--records"}, files...)...)
		if code != 0 || !strings.Contains(strings.ReplaceAll(out, `\\`, `\`), c.want) && !strings.Contains(out, "AIVDM") {
			t.Errorf("inspect %s: exit %d, no %q\n%.2000s%s", c.glob, code, c.want, out, errs)
		}
	}
	if code, out, _ := engine(t, "inspect", "--checkpoint", dir+"/lake/_checkpoint"); code != 0 || strings.Count(out, `"landing"`) != 2 {
		t.Errorf("inspect --checkpoint: %d\n%s", code, out)
	}
}

func TestReplayEndsContinuesAndRefuses(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 20_000))
	lake := filepath.Join(dir, "lake")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _, errs := run(ended, Command("e", "test"), "replay", file, "--lake", lake); code == 0 {
		t.Errorf("interrupted before it began: exit 0 %s", errs)
	}
	code, out, errs := engine(t, "replay", file, "--lake", lake, "--epoch-records", "3000", "--json")
	var r replayed
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Records < 10_000 || r.Epoch < 5 || r.WasThere {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if code, out, _ := engine(t, "replay", file, "--lake", lake); code != 0 || !strings.Contains(out, "already, nothing added") {
		t.Errorf("again: exit %d %s", code, out)
	}
	for _, other := range [][]string{{"--gateway", "b"}, {"--base-time", "2020-01-01T00:00:00Z"}} {
		code, _, errs := engine(t, append([]string{"replay", file, "--lake", lake}, other...)...)
		if code != cli.ExitData || !strings.Contains(errs, "in the lake already under") {
			t.Errorf("%v: exit %d %s", other, code, errs)
		}
	}
	if code, out, errs := engine(t, "audit", "--lake", lake); code != 0 || !strings.Contains(out, "EXACT") {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "replay", file, "--lake", lake, "--gateway", "b", "--again"); code != 0 {
		t.Errorf("--again: exit %d %s%s", code, out, errs)
	}
	if code, out, _ := engine(t, "audit", "--lake", lake); code != 0 || strings.Count(out, "proven") < 2 {
		t.Errorf("audit after --again: exit %d\n%s", code, out)
	}
	files, err := filepath.Glob(filepath.Join(lake, "record", "*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files")
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := engine(t, "audit", "--lake", lake); code != cli.ExitData {
		t.Errorf("a file is gone: exit %d", code)
	}
}

// TestARecordingThatHasGrownIsRefused: of a recording that begins as one that was
// replayed nothing lands twice, unless that is meant.
func TestARecordingThatHasGrownIsRefused(t *testing.T) {
	dir := t.TempDir()
	lake, text := filepath.Join(dir, "lake"), traffic(t, 20_000)
	half := strings.LastIndexByte(text[:len(text)/2], '\n') + 1
	replayIt := func(content string, more ...string) (int, string) {
		code, out, errs := engine(t, append([]string{"replay", write(t, filepath.Join(dir, "a.nmea"), content), "--lake", lake}, more...)...)
		return code, out + errs
	}
	if code, out := replayIt(text[:half]); code != 0 {
		t.Fatalf("exit %d %s", code, out)
	}
	for name, c := range map[string]struct{ content, want string }{
		"grown":   {text, fmt.Sprintf("the first %d of its %d bytes were replayed before", half, len(text))},
		"changed": {text[:half-10] + "\n", "begins with the same 65536 bytes"},
		"cut":     {text[:half/2], "begins with the same 65536 bytes"},
	} {
		if code, out := replayIt(c.content); code != cli.ExitData || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d %s", name, code, out)
		}
	}
	if code, out := replayIt(text[half:]); code != 0 {
		t.Errorf("what it gained: exit %d %s", code, out)
	}
	if code, out := replayIt(text[:half]); code != 0 || !strings.Contains(out, "already, nothing added") {
		t.Errorf("as it was: exit %d %s", code, out)
	}
	if code, out := replayIt(text, "--again"); code != 0 {
		t.Errorf("--again: exit %d %s", code, out)
	}
}

func TestExitCodesOfMistakes(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, filepath.Join(dir, "bad.yaml"), "listen: 127.0.0.1:0\nlisten_too: 1\n")
	blocked := write(t, filepath.Join(dir, "blocked.yaml"), fmt.Sprintf(
		"listen: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {dir: %s/below}\nlake: {dir: %s/lake}\n", bad, dir))
	edgeBlocked := write(t, filepath.Join(dir, "edge.yaml"), fmt.Sprintf(
		"gateway: g\ndata_dir: %s/below\nsources: [{name: a, file: {path: x}}]\nforward: {url: http://h}\n", bad))
	for _, c := range []struct {
		root *cobra.Command
		args []string
		code int
		want string
	}{
		{Command("e", ""), []string{"run", "-c", bad}, cli.ExitConfig, "bad.yaml:2: listen_too: got an unknown key, expected one of "},
		{Command("e", ""), []string{"check", "-c", blocked}, cli.ExitConfig, "blocked.yaml:3: landing.dir: got "},
		{Command("e", ""), []string{"run", "-c", blocked}, cli.ExitConfig, "blocked.yaml:3: landing.dir: got "},
		{edgecli.Command("e", ""), []string{"run", "-c", edgeBlocked}, cli.ExitConfig, "edge.yaml:2: data_dir: got "},
		{edgecli.Command("e", ""), []string{"check", "-c", edgeBlocked}, cli.ExitConfig, "a directory that this user may make or write"},
		{edgecli.Command("e", ""), []string{"status", "-c", edgeBlocked}, cli.ExitConfig, "status: expected an address"},
		{edgecli.Command("e", ""), []string{"explain", "-c", filepath.Join(dir, "nowhere")}, cli.ExitNoInput, "no such file"},
		{edgecli.Command("e", ""), []string{"inspect"}, cli.ExitUsage, "requires at least 1 arg"},
		{Command("e", ""), []string{"inspect"}, cli.ExitUsage, "name a file"},
		{Command("e", ""), []string{"audit"}, cli.ExitUsage, "--lake, --kafka, or both"},
		{Command("e", ""), []string{"audit", "--lake", filepath.Join(dir, "nowhere")}, cli.ExitNoInput, "no such file"},
		{Command("e", ""), []string{"replay", bad}, cli.ExitUsage, "lake"},
		{Command("e", ""), []string{"replay", filepath.Join(dir, "x"), "--lake", dir}, cli.ExitNoInput, "no such file"},
		{Command("e", ""), []string{"replay", bad, "--lake", dir, "--base-time", "noon"}, cli.ExitUsage, "--base-time"},
		{Command("e", ""), []string{"replay", bad, "--lake", dir, "--gateway", "a b"}, cli.ExitUsage, "--gateway"},
	} {
		code, _, errs := run(t.Context(), c.root, c.args...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit %d, want %d\n%s", c.args, code, c.code, errs)
		}
	}
}

// crossing is a file system where no file can be renamed between folders.
type crossing struct{ durable.OS }

func (crossing) Rename(from, to string) error {
	if filepath.Dir(from) != filepath.Dir(to) {
		return fmt.Errorf("rename %s: invalid cross-device link", from)
	}
	return durable.OS{}.Rename(from, to)
}

func TestAnotherFileSystemUnderTheLakeIsRefused(t *testing.T) {
	lake := t.TempDir()
	if err := os.Mkdir(filepath.Join(lake, "record"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := oneFileSystem(durable.OS{}, lake); err != nil {
		t.Error(err)
	}
	if err := oneFileSystem(crossing{}, lake); err == nil || !strings.Contains(err.Error(), "one file system") {
		t.Errorf("crossing: %v", err)
	}
	for _, dir := range []string{"record", "_staging"} {
		if left, err := os.ReadDir(filepath.Join(lake, dir)); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", dir, left, err)
		}
	}
}

func TestBarLine(t *testing.T) {
	if got := barLine("a-very-long-file-name.nmea", 50, 100, "records", 1000, 2*time.Second); got != "a-very-long-file-nam [###############---------------]  50% 1000 records, 500/s " {
		t.Errorf("got %q", got)
	}
	if got := barLine("f", 0, 0, "rows", 0, 0); !strings.Contains(got, "  0%") {
		t.Errorf("got %q", got)
	}
}
