package edgecli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/testport"
	"landfall/edge/agent"
	"landfall/edge/tap"
)

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code = cli.Run(ctx, Command("landfall-edge", "test"), args, &out, &errs)
	return code, out.String(), errs.String()
}

func freePort(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}

// lines are one good message, one with a wrong checksum, a half of another with one, and
// noise.
const lines = "!AIVDM,1,1,,A,1000000000000000000000000004,0*23\r\n" +
	"!AIVDM,1,1,,A,1000000000000000000000000004,0*22\r\n" +
	"!AIVDM,2,2,3,B,88888888880,2*25\r\n" +
	"hello\r\n"

// gateway runs one that reads a file, with nobody to forward to.
func gateway(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "edge.yaml")
	if err := os.WriteFile(filepath.Join(dir, "in.nmea"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nstatus: %s\nlog: {reserve: 0B}\ndrain_timeout: 0s\nsources:\n  - {name: file, file: {path: %s/in.nmea, follow: true}}\nforward: {url: \"http://%s/\"}\n",
		dir, freePort(t), dir, freePort(t))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		var out, errs bytes.Buffer
		ended <- cli.Run(ctx, Command("landfall-edge", "test"), []string{"run", "-c", config, "--log-level", "error"}, &out, &errs)
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("run ended with %d", code)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); ; {
		var s standing
		if code, out, _ := run(t, "status", "-c", config, "--json"); code == 0 &&
			json.Unmarshal([]byte(out), &s) == nil && s.Forward.Pending == 5 &&
			s.Capture.Groups > 0 { // the log has them before it is counted
			return config
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the gateway did not capture the file")
		}
	}
}

func TestVerbsOfARunningGateway(t *testing.T) {
	config := gateway(t)
	_, out, _ := run(t, "status", "-c", config)
	for _, want := range []string{"HANDOFF", "file -> edge log", "C1", "edge log -> landing log", "C2", "exactly once", "5 records", "release: when published; 0 records landed and not published"} {
		if !strings.Contains(out, want) {
			t.Errorf("status has no %q:\n%s", want, out)
		}
	}
	if code, out, _ := run(t, "top", "-c", config, "--count", "2", "--interval", "1ms"); code != 0 || strings.Count(out, "HANDOFF") != 2 {
		t.Errorf("top: %d\n%s", code, out)
	}
	if code, out, errs := run(t, "tap", "-c", config, "--oldest", "--count", "4"); code != 0 || strings.ReplaceAll(out, "\n", "\r\n") != lines {
		t.Errorf("tap: %d %q %s", code, out, errs)
	}
	code, out, _ := run(t, "tap", "-c", config, "--oldest", "--count", "3", "--rejects", "--format", "json")
	var reasons []string
	for line := range strings.Lines(out) {
		var x tap.Record
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		reasons = append(reasons, x.Reject)
	}
	if got := strings.Join(reasons, " "); code != 0 || got != "bad_checksum bad_checksum no_sentence" {
		t.Errorf("tap --rejects: %d %s", code, got)
	}
	code, out, errs := run(t, "doctor", "-c", config)
	for _, want := range []string{"ok    source file", "bad   engine", "what is captured meanwhile waits on the disk", "ok    release: when published"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor has no %q:\n%s", want, out)
		}
	}
	if code != cli.ExitUnavailable {
		t.Errorf("doctor: %d %s", code, errs)
	}
}

func TestVerbsWithoutAGateway(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "edge.yaml")
	if code, out, errs := run(t, "doctor", "-c", config); code != cli.ExitNoInput || !strings.Contains(out, "landfall-edge setup") {
		t.Errorf("doctor: %d\n%s%s", code, out, errs)
	}
	code, out, errs := run(t, "setup", "--gateway", "pier", "--listen", "0s", "--data-dir", dir+"/data", "--url", "https://example:1/", "--write", config)
	if code != 0 || !strings.Contains(errs, "days without a link") || !strings.Contains(errs, "until they are in the lake") || !strings.Contains(errs, "clock: ") {
		t.Fatalf("setup: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := run(t, "check", "-c", config); code != 0 {
		t.Errorf("what setup wrote is refused: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := run(t, "setup", "--gateway", "pier", "--listen", "0s", "--data-dir", dir, "--write", config); code != cli.ExitUsage || !strings.Contains(errs, "--force") {
		t.Errorf("setup over what works: %d %s", code, errs)
	}
	if code, _, errs := run(t, "status", "-c", config); code != cli.ExitUnavailable {
		t.Errorf("status of nobody: %d %s", code, errs)
	}
	if code, _, errs := run(t, "tap", "-c", config); code != cli.ExitUnavailable {
		t.Errorf("tap of nobody: %d %s", code, errs)
	}
	if code, _, errs := run(t, "tap", "-c", config, "--format", "xml"); code != cli.ExitUsage {
		t.Errorf("tap --format xml: %d %s", code, errs)
	}
	code, out, errs = run(t, "setup", "--gateway", "pier", "--listen", "1ms", "--data-dir", dir, "--json")
	var f found
	if err := json.Unmarshal([]byte(out), &f); err != nil || code != 0 || f.OfflineDays <= 0 || f.Clock == "" {
		t.Errorf("setup --json: %d %v\n%s%s", code, err, out, errs)
	}
}

// TestSetupOpensOnlyWhatWasHeard: what setup writes is reached from other machines
// only where one of them was heard.
func TestSetupOpensOnlyWhatWasHeard(t *testing.T) {
	for _, c := range []struct {
		senders []string
		want    string
	}{
		{nil, `"127.0.0.1:10110"`}, {[]string{"127.0.0.1", "::1"}, `"127.0.0.1:10110"`}, {[]string{"127.0.0.1", "192.168.1.20"}, `"0.0.0.0:10110"`}, {[]string{"fe80::1%eth0"}, `"0.0.0.0:10110"`},
	} {
		f := found{Gateway: "pier", UDP: heard{Sentences: len(c.senders), Senders: c.senders}}
		if text := f.config(); !strings.Contains(text, "udp: {listen: "+c.want+"}") {
			t.Errorf("heard from %v: %s", c.senders, text)
		}
	}
}

func TestSetupHearsUDP(t *testing.T) {
	conn, err := net.Dial("udp", "127.0.0.1"+udpPort)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan heard, 1)
	go func() {
		h, _ := listenUDP(ctx, "127.0.0.1"+udpPort)
		got <- h
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 20 {
		_, _ = conn.Write([]byte(lines)) // nobody listens yet: refused
		<-tick.C
	}
	cancel()
	if h := <-got; !h.Busy && (h.Sentences == 0 || len(h.Senders) != 1) {
		t.Errorf("heard %+v", h)
	}
}

// TestCredentialsAreTheServices: outside the service that systemd hands them to,
// check says that it cannot read them, and a file of that name is not taken for
// one; inside it reads them.
func TestCredentialsAreTheServices(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nsources: [{name: u, udp: {listen: \"127.0.0.1:0\"}}]\nforward: {url: \"https://e.example:1/\", cert_file: \"credential:c\", key_file: \"credential:k\"}\n", dir)
	for name, content := range map[string]string{"edge.yaml": text, "c": "no certificate", "k": "no key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if code, out, errs := run(t, "check", "-c", file); code != 0 || !strings.Contains(out, "not read: systemd hands credential:c, credential:k to the service alone") {
		t.Errorf("outside: %d\n%s%s", code, out, errs)
	}
	if _, out, _ := run(t, "doctor", "-c", file); !strings.Contains(out, "look  engine: not asked: systemd hands credential:c, credential:k to the service alone") {
		t.Errorf("doctor outside:\n%s", out)
	}
	if code, _, errs := run(t, "run", "-c", file); code != cli.ExitConfig || !strings.Contains(errs, "credential:c: no credentials are here") {
		t.Errorf("run outside: %d %s", code, errs)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if code, out, errs := run(t, "check", "-c", file); code != cli.ExitConfig || !strings.Contains(errs, "PEM") {
		t.Errorf("inside, with bad ones: %d\n%s%s", code, out, errs)
	}
}

// TestPasswordsAreNotPrinted: a URL with a password in it is refused or used, and
// in neither case said.
func TestPasswordsAreNotPrinted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "edge.yaml")
	const sources = "{name: u, udp: {listen: \"127.0.0.1:0\"}}"
	for _, c := range []struct {
		forward, sources string
		code             int
	}{
		{`{url: "http://user:s3cret@127.0.0.1:1/"}`, sources, cli.ExitConfig},
		{`{url: "https://e.example:1/", proxy: "ftp://user:s3cret@127.0.0.1:1/"}`, sources, cli.ExitConfig},
		{`{url: "https://e.example:1/"}`, `{name: m, mqtt: {broker: {url: "mqtt://user:s3cret@127.0.0.1:1"}, topics: [{topic: a}]}}`, cli.ExitConfig},
		{`{url: "https://e.example:1/"}`, `{name: m, modbus: {url: "tcp://user:s3cret@127.0.0.1:1"}}`, cli.ExitConfig},
		{`{url: "https://e.example:1/", proxy: "http://user:s3cret@127.0.0.1:1/"}`, sources, cli.ExitConfig},
	} {
		text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nsources: [%s]\nforward: %s\n", dir, c.sources, c.forward)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"check"}, {"check", "--json"}, {"explain"}, {"explain", "--json"}} {
			code, out, errs := run(t, append(args, "-c", file)...)
			if code != c.code || strings.Contains(out+errs, "s3cret") {
				t.Errorf("%v of %s: %d\n%s%s", args, text, code, out, errs)
			}
		}
	}
}

// TestDoctorTakesTheProxy: the engine is asked the way that forwarding goes.
func TestDoctorTakesTheProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "engine.invalid:1" {
			w.Header().Set("Allow", http.MethodPost)
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}))
	defer proxy.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nsources: [{name: u, udp: {listen: \"127.0.0.1:0\"}}]\nforward: {url: \"http://engine.invalid:1/\", proxy: %q}\n", dir, proxy.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, out, errs := run(t, "doctor", "-c", file); !strings.Contains(out, "http://engine.invalid:1/ answers") {
		t.Errorf("%s%s", out, errs)
	}
}

// TestRoomIsSaidWithItsBasis: as soon as something was captured the room is said in days,
// and from what; an estimate is called one. What is not known is said to be.
func TestRoomIsSaidWithItsBasis(t *testing.T) {
	for want, l := range map[string]agent.LogStatus{
		"1 record landed and not published, 214 B of the log; how long an outage there is room for is not known yet: nothing was captured since the start": {RoomBytes: 1 << 30},
		"is not known: the file system does not say what is free":                                               {BytesPerDay: 1 << 20, RateSeconds: 90, RoomBytes: -1},
		"; an estimate from the 12s since the start: at 1.0 MiB a day there is room for an outage of 3.2 days":  {BytesPerDay: 1 << 20, RateSeconds: 12.3, OutageDays: 3.2},
		" (0.10 days); at 2.0 GiB a day, as in the 1h30m0s since the start, there is room for an outage of 0.0": {BytesPerDay: 2 << 30, RateSeconds: 5400},
	} {
		s := &agent.Status{Log: l}
		s.Forward.Unpublished, s.Forward.KeptBytes, s.Forward.KeptDays = 1, 214, 0.1
		if got := kept(s); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if f := release(s); (f.Verdict == cli.Look) != (l.RateSeconds > 1000) {
			t.Errorf("doctor says %+v", f)
		}
	}
}
