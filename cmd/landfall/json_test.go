package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/testport"
)

// withoutJSON lists the verbs that have no --json, and why.
func withoutJSON() map[string]string {
	return map[string]string{
		"landfall-edge run":              "a daemon: it prints nothing, and logs with --log-format json",
		"landfall-engine run":            "a daemon: it prints nothing, and logs with --log-format json",
		"landfall completion bash":       "prints a script",
		"landfall completion zsh":        "prints a script",
		"landfall completion fish":       "prints a script",
		"landfall completion powershell": "prints a script",
		"landfall help":                  "prints help",
	}
}

// verbs gives every verb of the three commands that can be run, by its path.
func verbs(root *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && !c.HasSubCommands() {
			all[verbPath(c)] = c
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	walk(root)
	return all
}

// verbPath is how a verb is called by its users: the daemons are hidden verbs of
// this binary.
func verbPath(c *cobra.Command) string {
	return strings.NewReplacer("landfall "+edgeVerb, "landfall-edge", "landfall "+engineVerb, "landfall-engine").Replace(c.CommandPath())
}

// jsonProblems lists verbs without --json and without a reason, and reasons that
// nothing needs.
func jsonProblems(all map[string]*cobra.Command, exceptions map[string]string) []string {
	var problems []string
	for path, c := range all {
		if has := c.Flags().Lookup("json") != nil; has == (exceptions[path] != "") {
			problems = append(problems, fmt.Sprintf("%s: has --json: %v, exception: %q", path, has, exceptions[path]))
		}
	}
	for path := range exceptions {
		if all[path] == nil {
			problems = append(problems, path+": an exception for no verb")
		}
	}
	return problems
}

func TestEveryVerbHasJSON(t *testing.T) {
	all := verbs(command())
	if len(all) < 25 {
		t.Fatalf("only %d verbs found", len(all))
	}
	for _, p := range jsonProblems(all, withoutJSON()) {
		t.Error(p)
	}
}

func TestJSONRuleCanFail(t *testing.T) {
	root := &cobra.Command{Use: "x"}
	plain := &cobra.Command{Use: "plain", Run: func(*cobra.Command, []string) {}}
	with := &cobra.Command{Use: "with", Run: func(*cobra.Command, []string) {}}
	with.Flags().Bool("json", false, "")
	root.AddCommand(plain, with)
	if got := jsonProblems(map[string]*cobra.Command{"x plain": plain, "x with": with}, map[string]string{"x with": "no", "x gone": "no"}); len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

// chain is a gateway and an engine that run, for the verbs that ask them.
type chain struct{ dir, edge, engine, udp, edgeStatus, engineStatus string }

func startChain(t *testing.T) chain {
	t.Helper()
	c := chain{dir: t.TempDir(), udp: freeAddress(t)}
	for _, args := range [][]string{{"init"}, {"engine", "127.0.0.1"}, {"gateway", "pier"}} {
		if code, _, errs := run(t, append([]string{"cert", "--dir", filepath.Join(c.dir, "pki")}, args...)...); code != 0 {
			t.Fatal(errs)
		}
	}
	c.edge, c.engine = filepath.Join(c.dir, "edge.yaml"), filepath.Join(c.dir, "engine.yaml")
	c.edgeStatus, c.engineStatus = freeAddress(t), freeAddress(t)
	ingest := freeAddress(t)
	text := "!AIVDM,1,1,,A,12vg26U000PkElVPnQqM:bSn2L0i,0*00\nnonsense\n"
	for name, content := range map[string]string{
		"in.nmea": text,
		"engine.yaml": fmt.Sprintf("listen: %s\nstatus: %s\ntls: {cert_file: %[3]s/pki/127.0.0.1.pem, key_file: %[3]s/pki/127.0.0.1.key, client_ca_file: %[3]s/pki/ca.pem, crl_file: %[3]s/pki/crl.pem}\nlanding: {dir: %[3]s/landing, reserve: 0B}\nlake: {dir: %[3]s/lake}\nepoch: {interval: 100ms}\n",
			ingest, c.engineStatus, c.dir),
		"edge.yaml": fmt.Sprintf("gateway: pier\ndata_dir: %s/edge\nstatus: %s\nlog: {reserve: 0B}\nsources:\n  - {name: f, file: {path: %[1]s/in.nmea, follow: true}}\n  - {name: u, udp: {listen: %[3]s}}\nwatermark: {disorder: 1s, idle_timeout: 1s}\n"+
			"forward: {url: \"https://%[4]s/\", linger: 100ms, ca_file: %[1]s/pki/ca.pem, cert_file: %[1]s/pki/pier.pem, key_file: %[1]s/pki/pier.key}\n",
			c.dir, c.edgeStatus, c.udp, ingest),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)
	for verb, file := range map[string]string{engineVerb: c.engine, edgeVerb: c.edge} {
		go func() { ended <- runIn(ctx, verb, "run", "-c", file, "--log-level", "error") }()
	}
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if code := <-ended; code != 0 {
				t.Errorf("a daemon ended with %d", code)
			}
		}
	})
	within(t, func() bool {
		code, _, _ := run(t, engineVerb, "audit", "--lake", filepath.Join(c.dir, "lake"), "--edge-log", filepath.Join(c.dir, "edge", "log"))
		return code == 0
	})
	return c
}

// TestJSONIsJSON runs each verb with --json, against parts that run, and reads
// what it prints. A verb that is not run here is an error, so that a new one has
// its line.
func TestJSONIsJSON(t *testing.T) {
	c := startChain(t)
	lake := filepath.Join(c.dir, "lake")
	segments, err := filepath.Glob(filepath.Join(c.dir, "edge", "log", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	ca := filepath.Join(c.dir, "ca")
	config, err := os.ReadFile(c.engine)
	if err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(c.dir, "moved.yaml")
	appendTo(t, moved, strings.Replace(string(config), c.dir+"/landing", c.dir+"/landing-2", 1))
	ran := map[string]bool{}
	for _, args := range [][]string{
		{edgeVerb, "check", "-c", c.edge}, {edgeVerb, "explain", "-c", c.edge}, {edgeVerb, "status", "-c", c.edge},
		{edgeVerb, "top", "-c", c.edge, "--count", "2", "--interval", "1ms"}, {edgeVerb, "health", "-c", c.edge},
		{edgeVerb, "clock", "-c", c.edge}, {edgeVerb, "clock", "forget", "-c", c.edge},
		{edgeVerb, "tap", "-c", c.edge, "--oldest", "--count", "1"}, {edgeVerb, "inspect", segments[0]},
		{edgeVerb, "tips", "-c", c.edge}, {edgeVerb, "acknowledge", "f", "-c", c.edge},
		{edgeVerb, "forget", "none", "-c", c.edge},
		{edgeVerb, "setup", "--listen", "0s", "--gateway", "pier", "--data-dir", c.dir}, {edgeVerb, "doctor", "-c", c.edge},
		{engineVerb, "check", "-c", c.engine}, {engineVerb, "explain", "-c", c.engine}, {engineVerb, "status", "-c", c.engine},
		{engineVerb, "top", "-c", c.engine, "--count", "1"}, {engineVerb, "health", "-c", c.engine}, {engineVerb, "doctor", "-c", c.engine},
		{engineVerb, "inspect", "--checkpoint", filepath.Join(lake, "_checkpoint")}, {engineVerb, "audit", "--lake", lake}, {engineVerb, "repair", "--lake", lake, "--dry-run"},
		{engineVerb, "landing", "replace", "-c", moved, "--lost", "--dry-run"}, {engineVerb, "acknowledge", "-c", c.engine},
		{engineVerb, "replay", filepath.Join(c.dir, "in.nmea"), "--lake", filepath.Join(c.dir, "other")},
		{"cert", "init", "--dir", ca}, {"cert", "gateway", "pier", "--dir", ca}, {"cert", "engine", "localhost", "--dir", ca}, {"cert", "list", "--dir", ca}, {"cert", "revoke", "pier", "--dir", ca},
		{"simulate", "--to", filepath.Join(c.dir, "sim.nmea"), "--lines", "10"},
		{"demo", "--dir", c.dir, "--duration", "1s"},
	} {
		path, code, out, errs := "", 0, "", ""
		code, out, errs = run(t, append(args, "--json")...)
		if code != 0 {
			t.Errorf("%v: exit %d\n%s%s", args, code, out, errs)
		}
		readJSON(t, args, out)
		cmd, _, err := command().Find(args)
		if err != nil {
			t.Fatal(err)
		}
		path = verbPath(cmd)
		ran[path] = true
	}
	tapped := make(chan string)
	go func() {
		_, out, _ := run(t, engineVerb, "tap", "-c", c.engine, "--json", "--count", "2")
		tapped <- out
	}()
	var out string
	within(t, func() bool { // the tap shows what passes after it was heard
		appendTo(t, filepath.Join(c.dir, "in.nmea"), "more nonsense\n")
		select {
		case out = <-tapped:
			return true
		default:
			return false
		}
	})
	readJSON(t, []string{"engine tap"}, out)
	ran["landfall-engine tap"] = true
	ran["landfall bench"] = true // its rows are read in its own package: it measures for minutes
	for path := range verbs(command()) {
		if !ran[path] && withoutJSON()[path] == "" {
			t.Errorf("%s --json is not run here", path)
		}
	}
}

// TestJSONOfWhatIsWrong: programs read what is wrong, not only that it is.
func TestJSONOfWhatIsWrong(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	appendTo(t, bad, "gateway: a b\nlisten_too: 1\n")
	for _, args := range [][]string{{edgeVerb, "check"}, {engineVerb, "check"}} {
		code, out, _ := run(t, append(args, "-c", bad, "--json")...)
		var got struct {
			OK       bool
			Problems []struct {
				Line      int
				Key, Text string
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 78 || got.OK || len(got.Problems) == 0 || got.Problems[len(got.Problems)-1].Key != "listen_too" || got.Problems[len(got.Problems)-1].Line != 2 {
			t.Errorf("%v: exit %d, %v\n%s", args, code, err, out)
		}
	}
	nobody := filepath.Join(t.TempDir(), "edge.yaml")
	appendTo(t, nobody, fmt.Sprintf("gateway: a\ndata_dir: %s\nstatus: %s\nsources: [{name: f, file: {path: /dev/null}}]\nforward: {url: \"http://h/\"}\n", t.TempDir(), freeAddress(t)))
	code, out, _ := run(t, edgeVerb, "health", "-c", nobody, "--json")
	var w struct {
		Well    bool
		Reasons []string
	}
	if err := json.Unmarshal([]byte(out), &w); err != nil || code != 69 || w.Well || len(w.Reasons) != 1 {
		t.Errorf("health of nobody: exit %d, %v\n%s", code, err, out)
	}
	code, out, _ = run(t, edgeVerb, "top", "-c", nobody, "--json", "--count", "1")
	var looked struct{ Error string }
	if err := json.Unmarshal([]byte(out), &looked); err != nil || code != 0 || looked.Error == "" {
		t.Errorf("top of nobody: exit %d, %v\n%s", code, err, out)
	}
}

// readJSON reads one or more JSON values to the end.
func readJSON(t *testing.T, args []string, text string) {
	t.Helper()
	n := 0
	for dec := json.NewDecoder(strings.NewReader(text)); ; n++ {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%v --json: %v\n%s", args, err, text)
			return
		}
	}
	if n == 0 {
		t.Errorf("%v --json printed nothing", args)
	}
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// within waits until something is so.
func within(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(60 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not within a minute")
		}
	}
}

// runIn runs a verb of this binary until ctx ends and gives its exit code.
func runIn(ctx context.Context, args ...string) int {
	return cli.Run(ctx, command(), args, io.Discard, os.Stderr)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}
