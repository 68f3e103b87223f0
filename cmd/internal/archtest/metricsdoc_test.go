package archtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// metricCall finds where a metric is given: its kind, name and help.
	metricCall = regexp.MustCompile(`m\.(Count|Gauge|Flag|Stamp)\("([a-z0-9_]+)", "([^"]*)"`)
	// metricRow finds a row of docs/metrics.md.
	metricRow = regexp.MustCompile("(?m)^\\| `(landfall_[a-z0-9_]+)` \\| (counter|gauge) \\|[^|]*\\| (.*) \\|$")
	// metricName finds a metric where it is used.
	metricName = regexp.MustCompile(`landfall_(?:edge|engine)_[a-z0-9_]+`)
)

// metricsOf gives the metrics that a source gives, as rows of the page: their
// name, and their kind and help.
func metricsOf(prefix string, source []byte) map[string]string {
	all := map[string]string{}
	for _, m := range metricCall.FindAllSubmatch(source, -1) {
		kind := "gauge"
		if string(m[1]) == "Count" {
			kind = "counter"
		}
		all[prefix+string(m[2])] = kind + " " + string(m[3])
	}
	return all
}

// metricsDiffer lists what the page says otherwise than the code.
func metricsDiffer(code map[string]string, page []byte) []string {
	var problems []string
	said := map[string]string{}
	for _, m := range metricRow.FindAllSubmatch(page, -1) {
		said[string(m[1])] = string(m[2]) + " " + string(m[3])
	}
	for name, want := range code {
		if said[name] != want {
			problems = append(problems, fmt.Sprintf("docs/metrics.md: %s: says %q, the code %q", name, said[name], want))
		}
		if counter := strings.HasPrefix(want, "counter"); counter != strings.HasSuffix(name, "_total") {
			problems = append(problems, fmt.Sprintf("%s: a counter ends with _total, and nothing else does", name))
		}
	}
	for name := range said {
		if code[name] == "" {
			problems = append(problems, fmt.Sprintf("docs/metrics.md: %s: the code gives no such metric", name))
		}
	}
	return problems
}

func allMetrics(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for prefix, own := range map[string]string{"landfall_edge_": "edge/agent/metrics.go", "landfall_engine_": "engine/server/metrics.go"} {
		for _, name := range []string{own, "edge/certs/metrics.go", "edge/page/access.go", "edge/memory/usage.go"} {
			source, err := readFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			for metric, says := range metricsOf(prefix, source) {
				all[metric] = says
			}
		}
	}
	if len(all) < 50 {
		t.Fatalf("hardly any metrics found: %d", len(all))
	}
	return all
}

func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, metricsDiffer(allMetrics(t), page))
}

func TestMetricRulesCanFail(t *testing.T) {
	code := metricsOf("landfall_edge_", []byte(`m.Gauge("a", "Is a.", 1)
m.Count("b_total", "Counts b.", 1)
m.Count("c", "Counts c.", 1)
m.Stamp("d_seconds", "When d.", x)`))
	mustFind(t, metricsDiffer(code, []byte("| `landfall_edge_a` | gauge |  | Is a. |\n| `landfall_edge_b_total` | counter |  | Other. |\n| `landfall_edge_c` | counter |  | Counts c. |\n| `landfall_edge_d_seconds` | gauge |  | When d. |\n| `landfall_edge_gone` | gauge |  | Was. |\n")),
		"landfall_edge_b_total", "landfall_edge_c: a counter", "landfall_edge_gone")
}

var (
	// alertRule finds an alert; alertQuiet and alertFires where it is tested.
	alertRule  = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	alertQuiet = regexp.MustCompile(`alertname: (\w+), exp_alerts: \[\]`)
	alertFires = regexp.MustCompile(`alertname: (\w+)\n +exp_alerts:\n +- exp_labels`)
)

// alertsUntested lists the alerts that are not tested both ways.
func alertsUntested(rules, tests []byte) []string {
	var problems []string
	tested := func(by *regexp.Regexp, name string) bool {
		for _, m := range by.FindAllSubmatch(tests, -1) {
			if string(m[1]) == name {
				return true
			}
		}
		return false
	}
	for _, m := range alertRule.FindAllSubmatch(rules, -1) {
		name := string(m[1])
		if !tested(alertQuiet, name) {
			problems = append(problems, name+": no test says when it is quiet")
		}
		if !tested(alertFires, name) {
			problems = append(problems, name+": no test makes it fire")
		}
	}
	return problems
}

// TestEveryAlertIsTested: alerts_test.yaml makes each alert fire, and says when it
// does not.
func TestEveryAlertIsTested(t *testing.T) {
	rules, err := readFile(filepath.Join(root, "docs/monitoring/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := readFile(filepath.Join(root, "docs/monitoring/alerts_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, alertsUntested(rules, tests))
	mustFind(t, alertsUntested([]byte("      - alert: A\n      - alert: B\n"), []byte("{eval_time: 1m, alertname: A, exp_alerts: []}\nalertname: B\n  exp_alerts:\n    - exp_labels: {}\n")),
		"A: no test makes it fire", "B: no test says when it is quiet")
}

// TestMonitoringUsesWhatThereIs: alerts and dashboard name metrics that exist,
// and Prometheus loads the rules.
func TestMonitoringUsesWhatThereIs(t *testing.T) {
	code := allMetrics(t)
	for _, name := range []string{"docs/monitoring/alerts.yaml", "docs/monitoring/dashboard.json"} {
		text, err := readFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		used := metricName.FindAllString(string(text), -1)
		if len(used) < 5 {
			t.Errorf("%s: hardly any metrics used", name)
		}
		for _, m := range used {
			if code[m] == "" {
				t.Errorf("%s: no metric %s", name, m)
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("rules are not loaded: %v", err)
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		c := exec.Command(promtool, args...)
		c.Dir = filepath.Join(root, "docs/monitoring")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
