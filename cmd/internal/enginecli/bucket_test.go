package enginecli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
	"landfall/edge/agent"
	"landfall/engine/server"
	"landfall/sinks/object/s3/s3test"
)

// inBucket starts a store that the usual variables lead to, and gives its URL
// and a place in it.
func inBucket(t *testing.T) (*s3test.Server, string) {
	t.Helper()
	s := s3test.Start(t)
	s3test.Known(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1") // flags and configuration come before
	return s, "s3://" + s3test.Bucket + "/some/lake"
}

func TestReplayAuditAndInspectInABucket(t *testing.T) {
	s, lake := inBucket(t)
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 20_000))
	on := func(args ...string) (int, string, string) { return engine(t, append(args, "--s3-endpoint", s.URL)...) }
	if code, _, errs := on("audit", "--lake", lake); code != cli.ExitNoInput || !strings.Contains(errs, "nothing below") {
		t.Errorf("audit of nothing: exit %d %s", code, errs)
	}
	if code, out, errs := on("replay", file, "--lake", lake, "--epoch-records", "3000"); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	if code, out, _ := on("replay", file, "--lake", lake); code != 0 || !strings.Contains(out, "already, nothing added") {
		t.Errorf("again: exit %d %s", code, out)
	}
	if code, out, errs := on("audit", "--lake", lake); code != 0 || !strings.Contains(out, "EXACT") {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := on("inspect", "--checkpoint", lake+"/_checkpoint")
	if code != 0 || strings.Count(out, `"landing"`) != 1 || !strings.Contains(out, `"final": true`) {
		t.Errorf("inspect: exit %d\n%s%s", code, out, errs)
	}
	for _, kind := range []string{"/HEAD", "/manifest/", "/state/"} {
		code, out, errs := on("inspect", "s3://"+s3test.Bucket+"/"+s.Object(t, kind))
		if code != 0 || !strings.HasPrefix(out, "{") {
			t.Errorf("inspect of %s: exit %d\n%s%s", kind, code, out, errs)
		}
	}
	if code, _, errs := on("inspect", lake+"/nothing"); code != cli.ExitNoInput && code != cli.ExitSoftware || !strings.Contains(errs, "nothing") {
		t.Errorf("inspect of nothing: exit %d %s", code, errs)
	}
	s.Remove(t, s.Object(t, "/record/"))
	if code, out, _ := on("audit", "--lake", lake); code != cli.ExitData {
		t.Errorf("a file is gone: exit %d\n%s", code, out)
	}
}

// bucketYAML configures an engine whose lake, state and manifests lie in a
// bucket.
func bucketYAML(listen, status, dir, lake, endpoint string) string {
	return fmt.Sprintf("listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, partitions: 2, reserve: 0B}\n"+
		"lake: {dir: \"%s\", s3: {endpoint: \"%s\"}}\nepoch: {interval: 200ms}\n", listen, status, dir, lake, endpoint)
}

func TestAnEngineInABucketThroughBothDaemons(t *testing.T) {
	s, lake := inBucket(t)
	dir, listen := t.TempDir(), freeAddress(t)
	write(t, filepath.Join(dir, "in.nmea"), traffic(t, 5000))
	engineFile := write(t, filepath.Join(dir, "engine.yaml"), bucketYAML(listen, freeAddress(t), dir, lake, s.URL))
	edgeFile := write(t, filepath.Join(dir, "edge.yaml"), fmt.Sprintf(
		"gateway: g\ndata_dir: %s/edge\nstatus: %s\nlog: {reserve: 0B}\nsources:\n  - {name: f, file: {path: %s/in.nmea, follow: true}}\nforward: {url: http://%s}\n",
		dir, freeAddress(t), dir, listen))
	code, out, errs := engine(t, "check", "-c", engineFile)
	if code != 0 || !strings.Contains(out, lake+": a file was staged, published, read back") || !strings.Contains(out, lake+"/_checkpoint: compares before it swaps") {
		t.Fatalf("check: exit %d\n%s%s", code, out, errs)
	}
	if code, out, _ := engine(t, "explain", "-c", engineFile); code != 0 || !strings.Contains(out, "multipart upload") || !strings.Contains(out, "If-Match") {
		t.Errorf("explain: exit %d\n%s", code, out)
	}
	s.Kill() // an engine that starts meanwhile waits
	stopEngine := daemon(t, Command("landfall-engine", "test"), "run", "-c", engineFile)
	stopEdge := daemon(t, edgecli.Command("landfall-edge", "test"), "run", "-c", edgeFile)
	waitFor(t, func() (int, string, string) { return edge(t, "status", "-c", edgeFile, "--json") }, func(s *agent.Status) bool {
		return s.Capture.Records > 4000 && s.Capture.Waiting == 0 && s.Forward.Pending > 0
	})
	s.Restart(t)
	waitFor(t, func() (int, string, string) { return edge(t, "status", "-c", edgeFile, "--json") }, func(s *agent.Status) bool {
		return s.Forward.Pending == 0
	})
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", engineFile, "--json") }, func(s *server.Status) bool {
		return s.Tasks[0].Behind == 0 && s.Tasks[1].Behind == 0 && s.Ingest.Records > 4000 && s.Healthy
	})
	if code, out, errs := engine(t, "status", "-c", engineFile); code != 0 || !strings.Contains(out, "running") {
		t.Errorf("status: %d\n%s%s", code, out, errs)
	}
	if _, out, _ := engine(t, "doctor", "-c", engineFile); !strings.Contains(out, lake+" can be written, and "+lake+"/_checkpoint compares") {
		t.Errorf("doctor:\n%s", out)
	}
	if code := stopEdge(); code != 0 {
		t.Errorf("edge: exit %d", code)
	}
	if code := stopEngine(); code != 0 {
		t.Errorf("engine: exit %d", code)
	}
	code, out, errs = engine(t, "audit", "--lake", lake, "--edge-log", dir+"/edge/log", "--s3-endpoint", s.URL)
	if code != 0 || !strings.Contains(out, "EXACT") || !strings.Contains(out, "proven") {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
}

// TestAStoreThatWillNotDoIsRefused: with the line of the configuration, and
// what to change.
func TestAStoreThatWillNotDoIsRefused(t *testing.T) {
	s, lake := inBucket(t)
	dir := t.TempDir()
	blind, ca := s.Edit(t, func(r *http.Request) { // a store that ignores conditions
		r.Header.Del("If-Match")
		r.Header.Del("If-None-Match")
	})
	t.Setenv("AWS_CA_BUNDLE", write(t, filepath.Join(dir, "ca.pem"), string(ca)))
	ruled := s.Rule(t, "<Rule><ID>tidy</ID><Status>Enabled</Status><Filter></Filter><AbortIncompleteMultipartUpload>"+
		"<DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>")
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(silent.Close)
	for name, c := range map[string]struct {
		lake, endpoint, secret string
		code                   int
		want                   []string
	}{
		"does not compare": {lake, blind, s3test.SecretKey, cli.ExitConfig, []string{"engine.yaml:5: lake.dir", "unfit", "If-Match"}},
		"a rule":           {lake, ruled, s3test.SecretKey, cli.ExitConfig, []string{"engine.yaml:5: lake.dir", `"tidy"`, "after 1 days", "give it 7 days"}},
		"a wrong secret":   {lake, s.URL, "wrong", cli.ExitConfig, []string{"engine.yaml:5: lake.dir", "signature"}},
		"no secret":        {lake, s.URL, "", cli.ExitConfig, []string{"engine.yaml:5: lake.dir", "no credentials", "lake.s3.credentials_file"}},
		"no bucket":        {"s3://elsewhere", s.URL, s3test.SecretKey, cli.ExitConfig, []string{"engine.yaml:5: lake.dir", "bucket does not exist"}},
		"unavailable":      {lake, silent.URL, s3test.SecretKey, cli.ExitUnavailable, []string{"503"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/") // no role
			keys := filepath.Join(dir, "none")
			if c.secret != "" {
				keys = write(t, filepath.Join(dir, "keys"), "[default]\naws_access_key_id = "+s3test.AccessKey+"\naws_secret_access_key = "+c.secret+"\n")
			}
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", keys)
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
			file := write(t, filepath.Join(dir, "engine.yaml"), bucketYAML(freeAddress(t), freeAddress(t), dir, c.lake, c.endpoint))
			for _, verb := range []string{"check", "run"} {
				if verb == "run" && name != "does not compare" {
					continue // it waits, see TestAnEngineWaitsForAStore
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // an engine that is not refused runs
				code, _, errs := run(ctx, Command("landfall-engine", "test"), verb, "-c", file)
				cancel()
				if code != c.code {
					t.Errorf("%s: exit %d, want %d\n%s", verb, code, c.code, errs)
				}
				for _, w := range c.want {
					if !strings.Contains(errs, w) {
						t.Errorf("%s: no %q in\n%s", verb, w, errs)
					}
				}
			}
		})
	}
}

// answers are what stores say, and what an engine makes of it; conditional: to
// writes with a condition alone.
var answers = map[string]struct {
	status      int
	code        string // empty: a page of a balancer
	conditional bool
	check       int // exit code
}{
	"a clock before NTP":         {403, "RequestTimeTooSkewed", false, cli.ExitUnavailable},
	"an expired token":           {400, "ExpiredToken", false, cli.ExitUnavailable},
	"a balancer without a store": {404, "", false, cli.ExitUnavailable},
	"a balancer that forbids":    {403, "", false, cli.ExitUnavailable},
	"throttling":                 {503, "SlowDown", false, cli.ExitUnavailable},
	"throttling with 429":        {429, "TooManyRequests", false, cli.ExitUnavailable},
	"no rights":                  {403, "AccessDenied", false, cli.ExitConfig},
	"no bucket":                  {404, "NoSuchBucket", false, cli.ExitConfig},
	"no conditional writes":      {501, "NotImplemented", true, cli.ExitConfig},
	"no conditional writes now":  {503, "ServiceUnavailable", true, cli.ExitUnavailable},
}

// TestAnEngineWaitsForAStore: whatever may pass, or may be mended by somebody, is
// waited for at the start, and health says it in the store's words; when it is over
// the engine starts. What can never work ends it with the code that the unit does
// not try again. check says at once which it is.
func TestAnEngineWaitsForAStore(t *testing.T) {
	s, folder := inBucket(t)
	for what, a := range answers {
		t.Run(what, func(t *testing.T) {
			lake := folder + "/" + strings.ReplaceAll(what, " ", "-") // each landing log feeds its own
			var over atomic.Bool
			url := s.Answer(t, func(r *http.Request) (int, string, bool) {
				conditional := r.Header.Get("If-Match")+r.Header.Get("If-None-Match") != "" && r.Method != http.MethodGet
				return a.status, a.code, !over.Load() && (conditional || !a.conditional)
			})
			words := "no backend here"
			if a.code != "" {
				words = s3test.Words(a.code)
			}
			dir := t.TempDir()
			file := write(t, filepath.Join(dir, "engine.yaml"), bucketYAML(freeAddress(t), freeAddress(t), dir, lake, url))
			if code, _, errs := engine(t, "check", "-c", file); code != a.check || !strings.Contains(errs, words) {
				t.Errorf("check: exit %d, want %d with %q\n%s", code, a.check, words, errs)
			}
			if a.code == "NotImplemented" {
				if code, _, errs := engine(t, "run", "-c", file); code != cli.ExitConfig || !strings.Contains(errs, "unfit") || !strings.Contains(errs, words) {
					t.Errorf("run: exit %d\n%s", code, errs)
				}
				return
			}
			stop := daemon(t, Command("landfall-engine", "test"), "run", "-c", file)
			status := func() (int, string, string) { return engine(t, "status", "-c", file, "--json") }
			waitFor(t, status, func(s *server.Status) bool {
				return !s.Healthy && len(s.Reasons) == 1 && strings.Contains(s.Reasons[0], "waiting to start: ") && strings.Contains(s.Reasons[0], words)
			})
			over.Store(true)
			waitFor(t, status, func(s *server.Status) bool { return s.Healthy && len(s.Tasks) == 2 })
			if code := stop(); code != 0 {
				t.Errorf("run: exit %d", code)
			}
		})
	}
}

// TestAReloadDoesNotTakeAStoreThatRefuses: what an engine waits for at its start is
// no reason to end one that runs.
func TestAReloadDoesNotTakeAStoreThatRefuses(t *testing.T) {
	s, lake := inBucket(t)
	for code, want := range map[string]bool{"AccessDenied": false, "SlowDown": true} {
		status := map[string]int{"AccessDenied": 403, "SlowDown": 503}[code]
		url := s.Answer(t, func(*http.Request) (int, string, bool) { return status, code, true })
		dir := t.TempDir()
		file := write(t, filepath.Join(dir, "engine.yaml"), bucketYAML(freeAddress(t), freeAddress(t), dir, lake, url))
		if _, _, err := loadAll(file, true); (err == nil) != want {
			t.Errorf("%s at a reload: %v", code, err)
		}
		if _, _, err := loadAll(file, false); err != nil {
			t.Errorf("%s at the start: %v", code, err)
		}
	}
}

// TestKeysOfTheStore: they come from the file that the configuration names, also
// as a credential of systemd, and never from the environment.
func TestKeysOfTheStore(t *testing.T) {
	s, lake := inBucket(t)
	dir := t.TempDir()
	keys, err := s3test.CredentialsIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretKey)
	for name, c := range map[string]struct {
		file, service string // credentials_file; CREDENTIALS_DIRECTORY
		code          int
		want          string
	}{
		"a path":                        {keys, "", cli.ExitOK, "staged, published"},
		"a credential":                  {"credential:s3-credentials", dir, cli.ExitOK, "staged, published"},
		"a credential of the service":   {"credential:s3-credentials", "", cli.ExitOK, "not asked: systemd hands credential:s3-credentials to the service alone"},
		"a credential that is not here": {"credential:other", dir, cli.ExitConfig, "engine.yaml:5: lake.s3.credentials_file"},
		"no file":                       {filepath.Join(dir, "none"), "", cli.ExitConfig, "engine.yaml:5: lake.s3.credentials_file"},
		"a relative path":               {"keys", "", cli.ExitConfig, "an absolute path, or credential:NAME"},
		"the environment":               {"", "", cli.ExitConfig, "lake.s3.credentials_file: got AWS_SECRET_ACCESS_KEY in the environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CREDENTIALS_DIRECTORY", c.service)
			text := bucketYAML(freeAddress(t), freeAddress(t), dir, lake, s.URL)
			if c.file != "" {
				text = strings.Replace(text, "endpoint:", fmt.Sprintf("credentials_file: %q, endpoint:", c.file), 1)
			}
			file := write(t, filepath.Join(dir, "engine.yaml"), text)
			code, out, errs := engine(t, "check", "-c", file)
			if code != c.code || !strings.Contains(out+errs, c.want) {
				t.Errorf("exit %d, want %d and %q\n%s%s", code, c.code, c.want, out, errs)
			}
			if strings.Contains(out+errs, s3test.SecretKey) {
				t.Errorf("the secret is said:\n%s%s", out, errs)
			}
		})
	}
	t.Run("audit", func(t *testing.T) {
		if code, _, errs := engine(t, "audit", "--lake", lake, "--s3-endpoint", s.URL); code != cli.ExitConfig || !strings.Contains(errs, "AWS_SECRET_ACCESS_KEY in the environment") {
			t.Errorf("keys of the environment: exit %d\n%s", code, errs)
		}
		if code, _, errs := engine(t, "audit", "--lake", lake, "--s3-endpoint", s.URL, "--s3-credentials-file", keys); strings.Contains(errs, "credentials") {
			t.Errorf("keys of a file: exit %d\n%s", code, errs)
		}
		t.Setenv("https_proxy", "http://user:s3cret@127.0.0.1:1")
		if code, _, errs := engine(t, "audit", "--lake", lake, "--s3-endpoint", s.URL, "--s3-credentials-file", keys); code != cli.ExitConfig || !strings.Contains(errs, "lake.s3: got https_proxy with a user") || strings.Contains(errs, "s3cret") {
			t.Errorf("a password for a proxy: exit %d\n%s", code, errs)
		}
		t.Setenv("https_proxy", "")
		t.Setenv("AWS_ENDPOINT_URL", "http://user:s3cret@127.0.0.1:1")
		if code, _, errs := engine(t, "audit", "--lake", lake, "--s3-credentials-file", keys); code != cli.ExitConfig || !strings.Contains(errs, "lake.s3: got") || strings.Contains(errs, "s3cret") {
			t.Errorf("a password in the endpoint: exit %d\n%s", code, errs)
		}
	})
}
