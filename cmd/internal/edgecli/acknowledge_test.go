package edgecli

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/config"
)

// TestAcknowledge: the verb asks the running gateway and leaves a note in the data
// directory; a source that is not there, or has no gaps, leaves none.
func TestAcknowledge(t *testing.T) {
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"sources": [{"name": "whole"}, {"name": "f", "gaps": 3, "last_gap": "truncated, until then"}],
			"log": {"lost_ends": 1, "last_lost_end": "log 08"}, "data_dir": {"unknown_logs": 2, "last_unknown": "log 07 below offset 5"}}`)
	}))
	defer status.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: pier\ndata_dir: %s\nstatus: %s\nsources: [{name: f, file: {path: /x, follow: true}}]\nforward: {url: \"http://127.0.0.1:9/\"}\n",
		dir, strings.TrimPrefix(status.URL, "http://"))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ source, says, note string }{
		{"whole", "no gaps", ""},
		{"nobody", "", ""},
		{"f", "3 gaps acknowledged, the last: truncated, until then", "f.gaps-3"},
		{"--log", "1 lost end of the log acknowledged, the last: log 08", "log.lost-1"},
		{"--data-dir", "2 findings acknowledged, the last: log 07 below offset 5", "unknown-logs-2"},
	} {
		var out bytes.Buffer
		cmd := Command("landfall-edge", "v0")
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{"acknowledge", "--config", name, c.source})
		err := cmd.ExecuteContext(t.Context())
		if (err != nil) != (c.says == "") || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v, %q", c.source, err, out.String())
		}
		notes, _ := filepath.Glob(filepath.Join(dir, "*-[0-9]-????????????????"))
		if got := strings.Join(notes, " "); got != "" && !strings.HasPrefix(filepath.Base(got), c.note+"-") || c.note != "" && got == "" {
			t.Errorf("%s: notes %q", c.source, got)
		}
		for _, n := range notes {
			if err := os.Remove(n); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAcknowledgeOneThing: what is not one thing to acknowledge is a mistake of the
// command line, and the text names all that there is.
func TestAcknowledgeOneThing(t *testing.T) {
	for _, args := range []string{"", "--log --data-dir", "f --log", "f g"} {
		var out bytes.Buffer
		code := cli.Run(t.Context(), Command("landfall-edge", "v0"),
			append([]string{"acknowledge"}, strings.Fields(args)...), &out, &out)
		if code != cli.ExitUsage || !strings.Contains(out.String(), "the name of a source, --log or --data-dir") {
			t.Errorf("acknowledge %s: code %d, %q", args, code, out.String())
		}
	}
}

// TestSameDir: a reload to another data directory is refused with the reason.
func TestSameDir(t *testing.T) {
	a, b := &agent.Config{DataDir: "/a"}, &agent.Config{DataDir: "/b"}
	if err := sameDir(a, &agent.Config{DataDir: "/a"}); err != nil {
		t.Error(err)
	}
	var field *config.FieldError
	if err := sameDir(a, b); !errors.As(err, &field) || field.Key != "data_dir" {
		t.Errorf("got %v", err)
	}
}
