package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool gives the path of a program of Prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// TestPrometheusReadsBothDaemons: the metrics of running daemons keep Prometheus's
// conventions; a real Prometheus scrapes them, loads the alert rules and evaluates
// them; and every query of the dashboard gives data.
func TestPrometheusReadsBothDaemons(t *testing.T) {
	promtool, prometheus := tool(t, "promtool"), tool(t, "prometheus")
	c := startChain(t)
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan int, 1)
	go func() { sent <- runIn(ctx, "simulate", "--to", "udp://"+c.udp, "--rate", "200") }()
	defer func() {
		cancel()
		<-sent
	}()
	for _, address := range []string{c.edgeStatus, c.engineStatus} {
		lint := exec.Command(promtool, "check", "metrics")
		lint.Stdin = strings.NewReader(fetch(t, "http://"+address+"/metrics"))
		if out, err := lint.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	}
	server := startPrometheus(t, prometheus, c)
	within(t, func() bool {
		var up struct{ Data struct{ Result []any } }
		return query(t, server, "up == 1", &up) && len(up.Data.Result) == 2
	})
	for _, expr := range dashboardQueries(t) {
		within(t, func() bool {
			var got struct{ Data struct{ Result []any } }
			return query(t, server, expr, &got) && len(got.Data.Result) > 0
		})
		if t.Failed() {
			t.Fatalf("no data: %s", expr)
		}
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	within(t, func() bool { // each was evaluated
		if err := json.Unmarshal([]byte(fetch(t, server+"/api/v1/rules")), &rules); err != nil || len(rules.Data.Groups) == 0 {
			return false
		}
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					t.Fatalf("alert %s: %s", r.Name, r.LastError)
				}
				if r.Health != "ok" {
					return false
				}
			}
		}
		return true
	})
}

// startPrometheus runs one until the test ends and gives its address.
func startPrometheus(t *testing.T, path string, c chain) string {
	t.Helper()
	rules, err := filepath.Abs("../../docs/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "prometheus.yml")
	appendTo(t, file, fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: landfall\n    static_configs: [{targets: [%q, %q]}]\n",
		rules, c.edgeStatus, c.engineStatus))
	var log bytes.Buffer
	cmd := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it holds nothing
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", log.String())
		}
	})
	return "http://" + address
}

// dashboardQueries gives every expression of the dashboard.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Error("a panel without a query")
		}
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	if len(all) < 10 {
		t.Fatalf("%d queries", len(all))
	}
	return all
}

// query asks Prometheus; false: it does not answer, or not well.
func query(t *testing.T, server, expr string, into any) bool {
	t.Helper()
	text := fetch(t, server+"/api/v1/query?query="+url.QueryEscape(expr))
	return text != "" && json.Unmarshal([]byte(text), into) == nil
}

// fetch gives what an address says; nothing while nobody answers.
func fetch(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
