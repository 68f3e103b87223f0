//go:build failpoint && linux

package crashtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// auditResult is what the test reads of `audit --json`; it is written down here
// again so that a change of the stable form is seen.
type auditResult struct {
	Exact bool `json:"exact"`
	Logs  []struct {
		Gateway       string `json:"gateway"`
		Log           string `json:"log"`
		Recorded      int64  `json:"recorded"`
		Rejected      int64  `json:"rejected"`
		InLoss        int64  `json:"in_loss"`
		Missing       int64  `json:"missing"`
		Duplicated    int64  `json:"duplicated"`
		TypedExpected int64  `json:"typed_expected"`
		TypedFound    int64  `json:"typed_found"`
		TypedWrong    int64  `json:"typed_wrong"`
		Conflicts     int64  `json:"conflicts"`
		Differing     int64  `json:"differing"`
		Pending       int64  `json:"pending"`
		Compared      int64  `json:"compared"`
	} `json:"logs"`
	Tasks []struct {
		Pending int `json:"pending"`
	} `json:"tasks"`
	Topics   *auditResult `json:"topics"` // of Kafka
	Problems []string     `json:"problems"`
	Notes    []string     `json:"notes"`
}

// sum adds one figure over all logs.
func (r *auditResult) sum(of func(i int) int64) int64 {
	var n int64
	for i := range r.Logs {
		n += of(i)
	}
	return n
}

func (r *auditResult) recorded() int64 {
	return r.sum(func(i int) int64 { return r.Logs[i].Recorded })
}

// String tells what stands against the lake.
func (r *auditResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "exact %t, %d logs, %d recorded, problems %q", r.Exact, len(r.Logs), r.recorded(), r.Problems)
	if r.Topics != nil {
		fmt.Fprintf(&b, "\n  topics: %s", r.Topics)
	}
	for _, l := range r.Logs {
		if l.InLoss+l.Missing+l.Duplicated+l.TypedWrong+l.Conflicts+l.Differing+l.Pending > 0 {
			fmt.Fprintf(&b, "\n  %+v", l)
		}
	}
	return b.String()
}

// audit runs the engine's audit against one gateway's log.
func (c *cloud) audit(t *testing.T, g *gateway) (code int, r auditResult, stderr string) {
	t.Helper()
	args := []string{"audit", "--lake", cmp.Or(c.place, c.lake), "--edge-log", filepath.Join(g.dir, "log"), "--json"}
	if c.topics != "" {
		args = append(args, "--kafka-config", c.topics)
	}
	if c.place != "" {
		args = append(args, "--s3-endpoint", c.endpoint)
	}
	code, stdout, stderr := command(t, binaries(t).engine, args...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil && code == 0 {
		t.Fatalf("audit --json: %v\n%s\n%s", err, stdout, stderr)
	}
	return code, r, stderr
}

// requireAudit wants audit to say exact and to agree with the judge.
func (c *cloud) requireAudit(t *testing.T, g *gateway, v verdict) {
	t.Helper()
	code, r, stderr := c.audit(t, g)
	if code != 0 || !r.Exact {
		t.Errorf("audit against %s: exit code %d, want 0: %s\n%s", g.name, code, r.String(), stderr)
	}
	for name, got := range map[string]int64{
		"# logs": int64(len(r.Logs)), "# records": r.recorded(),
		"# records rejected": r.sum(func(i int) int64 { return r.Logs[i].Rejected }),
		"# typed rows":       r.sum(func(i int) int64 { return r.Logs[i].TypedFound }),
	} {
		if got != v[name] {
			t.Errorf("audit and SQL differ in %s: %d and %d", name[2:], got, v[name])
		}
	}
}
