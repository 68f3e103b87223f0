package edgecli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
)

// setAside leaves the marks of a source set aside in a directory of logs.
func setAside(t *testing.T, dir, name string) {
	t.Helper()
	for _, owners := range [][]string{{name}, nil} {
		s, err := seglog.Open(seglog.Config{Dir: dir, MarkOwner: source.MarkOwner, Owners: owners})
		if err != nil {
			t.Fatal(err)
		}
		var b record.Builder
		r := record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte("x")}
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
		if owners != nil {
			err = b.Annotate(record.Mark{Name: name, Value: []byte("here")}.Annotation())
		}
		if err == nil {
			_, err = s.Append(&b)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForget: the verb forgets what is set aside of a source, with the notes that its gaps
// are known, so that none is known in advance if it comes back. What is configured, what
// the gateway still runs, and what is no source is refused, and everything stays.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"gateway": "pier", "sources": [{"name": "here"}, {"name": "running"}]}`)
	}))
	defer status.Close()
	config := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nstatus: %s\nsources: [{name: here, file: {path: /x, follow: true}}]\nforward: {url: \"http://127.0.0.1:9/\"}\n",
		dir, strings.TrimPrefix(status.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files := func() (names []string) {
		for _, pattern := range []string{"data/log/*.aside", "data/*.gaps-*"} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			names = append(names, found...)
		}
		return names
	}
	for _, name := range []string{"gone", "running"} {
		setAside(t, dir+"/data/log", name)
		for n := range 2 {
			note := fmt.Sprintf("%s/data/%s.gaps-%d%s", dir, name, n+3, []string{"", "-0123456789abcdef"}[n])
			if err := os.WriteFile(note, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := len(files())
	for _, c := range []struct {
		source string
		code   int
		says   string
		left   int
	}{
		{"here", cli.ExitConfig, "edge.yaml:4: sources", all},
		{"here", cli.ExitConfig, "give it another name here, reload the gateway, and forget the old one", all},
		{"../data/gone", cli.ExitConfig, "edge.yaml:4: sources", all},
		{"running", cli.ExitUnavailable, "still has the source running: reload it first", all},
		{"nobody", cli.ExitOK, "nothing of it is set aside", all},
		{"gone", cli.ExitOK, "source gone: forgotten, ", all - 3},
		{"gone", cli.ExitOK, "nothing of it is set aside", all - 3},
	} {
		code, out, errs := run(t, "forget", "-c", config, c.source)
		if code != c.code || !strings.Contains(out+errs, c.says) || len(files()) != c.left {
			t.Errorf("%s: %d %s%s; left %q", c.source, code, out, errs, files())
		}
	}
	if left := strings.Join(files(), " "); strings.Contains(left, "gone.") || all != 6 {
		t.Errorf("%d at first, left %s", all, left)
	}
}
