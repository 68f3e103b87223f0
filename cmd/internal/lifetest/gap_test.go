//go:build linux

package lifetest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"landfall/sinks/sinktest"
)

// TestADeclaredGapIsInTheLake: a file is cut in place while it is read. The query of the
// guarantee lists the gap once, with its source, reason and interval; loss has no row, the
// audit is exact and says the gap, and health is red until the gap is acknowledged.
func TestADeclaredGapIsInTheLake(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/guarantee.md")
	if err != nil {
		t.Fatal(err)
	}
	query := regexp.MustCompile(`(?m)^    SELECT .*metric = 'gap'(?:.*\n    )+.*\n`).FindString(string(page))
	if query == "" {
		t.Fatal("the page has no query")
	}
	work, listen := t.TempDir(), freePort(t)
	put(t, work+"/in.nmea", "")
	for range 50 {
		appendLine(t, work+"/in.nmea")
	}
	engine := run(t, "landfall-engine", engineConfig(listen, work))
	edge := run(t, "landfall-edge", fmt.Sprintf("gateway: ada\ndata_dir: %[1]s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources:\n  - {name: mast, file: {path: %[1]s/in.nmea, follow: true, poll_interval: 20ms}}\nforward: {url: \"http://%[2]s/\", linger: 0s}\n", work, listen))
	until(t, "the file is read", func() bool { return edge.edge().Forward.Acked > 50 })
	put(t, work+"/in.nmea", "")
	until(t, "the gap is declared", edge.says("/healthz", "lines may be missing in 1 interval, the last: truncated"))
	if out, err := tool(t, "landfall-edge", "acknowledge", "mast", "--config", edge.file); err != nil || !strings.Contains(out, "1 gap acknowledged") {
		t.Errorf("%v: %s", err, out)
	}
	until(t, "it is acknowledged", func() bool { return !strings.Contains(edge.ask("/healthz"), "lines may be missing") })
	for _, d := range []*daemon{edge, engine} {
		if code := d.stop(); code != 0 {
			t.Errorf("%s ended with %d", d.name, code)
		}
	}
	rows := sinktest.DuckDB(t, strings.ReplaceAll(query, "'lake/", "'"+work+"/lake/"))
	if len(rows) != 1 || rows[0][0] != "ada" || rows[0][1] != "mast" || rows[0][2] != "truncated" || rows[0][3] >= rows[0][4] {
		t.Errorf("declared gaps: %q", rows)
	}
	if out, err := tool(t, "landfall-engine", "audit", "--lake", work+"/lake", "--edge-log", work+"/edge/log"); err != nil || !strings.Contains(out, "EXACT") ||
		!strings.Contains(out, "note: source mast of ada declared 1 gap in what it read") {
		t.Errorf("audit: %v\n%s", err, out)
	}
	if _, err := os.Stat(work + "/lake/loss"); !os.IsNotExist(err) {
		t.Errorf("loss: %v", err)
	}
}
