//go:build failpoint && linux

package crashtest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/sinks/sinktest"
)

// poisonText is what a line holds of which the engine's processes die: LANDFALL_POISON.
const poisonText = "$POISON,of this line every process dies"

// asideStatus is what is read of the engine's status here.
type asideStatus struct {
	Healthy bool     `json:"healthy"`
	Reasons []string `json:"reasons"`
	Tasks   []struct {
		Records  uint64 `json:"records"`
		SetAside []struct {
			Gateway string `json:"gateway"`
		} `json:"set_aside"`
	} `json:"tasks"`
}

// TestABlockThatKillsTheEngine: an engine of one partition dies by SIGKILL whenever it
// makes rows of a line that one of two gateways captured. It is started again and again,
// also killed at each step of what it notes, decides and commits meanwhile. In the end the
// line's block is in conflict, every other line of both gateways is there once, the audit
// names the block and nothing else, health is red, and both gateways are let go of
// everything.
func TestABlockThatKillsTheEngine(t *testing.T) {
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	config := strings.Replace(engineConfig(c, dir), "partitions: 2", "partitions: 1", 1)
	status := freePort(t)
	writeText(t, c.config, config+"status: "+status+"\n")
	const lines = 200
	var gateways []*gateway
	for i, name := range []string{"alpha", "beta"} {
		g := newGateway(t, dir, name, c.addr, uint64(i+1), 1, edgeOptions{log: edgeLogOptions}, "file")
		var b strings.Builder
		for n := range lines {
			if i == 0 && n == lines/2 {
				fmt.Fprintln(&b, poisonText)
			} else {
				fmt.Fprintf(&b, "$GPXXX,%s,%d\n", name, n)
			}
		}
		gateways = append(gateways, g)
		edge := g.program.begin(t)
		f, err := os.OpenFile(filepath.Join(dir, name+".nmea"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for text := b.String(); text != ""; { // in pieces, which make blocks of their own
			n := min(len(text), 500)
			if _, err := f.WriteString(text[:n]); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
			pause(edge.done, 30*time.Millisecond)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		defer edge.finish(t)
	}
	look := func() (s asideStatus) {
		resp, err := http.Get("http://" + status + "/status")
		if err != nil {
			return s
		}
		defer func() { _ = resp.Body.Close() }()
		_ = json.NewDecoder(resp.Body).Decode(&s) // nothing while nobody answers
		return s
	}
	// Each step is where one life more ends; the others end of the line.
	steps := []string{"attempt.after-note", "claim.after-swap", "poison.before-decision", "c4.before-swap",
		"poison.after-decision", "c4.after-seal", "c4.before-swap", "c4.after-swap", "c5.before-publish"}
	deaths, ofBlock := 0, 0
	published := func() bool {
		for _, g := range gateways {
			if n, err := g.unheard(); err != nil || n > 0 {
				return false
			}
		}
		return true
	}
	var last *process
	for {
		env := []string{"LANDFALL_POISON=" + poisonText}
		note := filepath.Join(dir, fmt.Sprintf("poison-%d.hit", deaths))
		if (deaths%2 == 1 || ofBlock > 3) && len(steps) > 0 {
			env = append(env, "LANDFALL_FAILPOINT="+steps[0]+"=1", "LANDFALL_FAILPOINT_LOG="+note)
		}
		p, err := c.program.start(env...)
		if err != nil {
			t.Fatal(err)
		}
		all := false
		for limit := time.Now().Add(time.Minute); pause(p.done, pollEvery); {
			if all = published(); all {
				break
			}
			if time.Now().After(limit) {
				p.kill()
				t.Fatalf("nothing comes of it:\n%s", p.lifeLog())
			}
		}
		if all {
			last = p
			break
		}
		if !p.killed() {
			t.Fatalf("the engine ended by itself (%v):\n%s", p.state, p.lifeLog())
		}
		hit, _ := os.ReadFile(note) // absent: of the line
		deaths++
		switch step := strings.TrimSpace(string(hit)); {
		case step == "":
			ofBlock++
		default:
			t.Logf("death %d at %s", deaths, step)
			if step == "attempt.after-note" {
				ofBlock++ // it counts: nobody knows of what that one died
			}
			steps = steps[1:]
		}
		if deaths > 40 {
			t.Fatal("the block is not set aside")
		}
	}
	if t.Logf("%d deaths, %d of them count", deaths, ofBlock); len(steps) > 0 {
		t.Errorf("steps that were not reached: %v", steps)
	}
	until(t, "the block is in the status", time.Minute, func() (bool, string) {
		s := look()
		said := strings.Join(s.Reasons, "; ")
		return !s.Healthy && strings.Contains(said, "are set aside") && len(s.Tasks) == 1 &&
			len(s.Tasks[0].SetAside) == 1 && s.Tasks[0].SetAside[0].Gateway == "alpha", fmt.Sprint(s)
	})
	last.finish(t)
	if ofBlock < 6 {
		t.Errorf("%d deaths set the block aside, want at least 6", ofBlock)
	}
	code, stdout, stderr := command(t, binaries(t).engine, "audit", "--lake", c.lake, "--level", "bytes", "--json",
		"--edge-log", filepath.Join(gateways[0].dir, "log"), "--edge-log", filepath.Join(gateways[1].dir, "log"))
	var r struct {
		Exact bool `json:"exact"`
		Logs  []struct {
			Gateway  string `json:"gateway"`
			Captured uint64 `json:"captured"`
			Recorded uint64 `json:"recorded"`
			SetAside uint64 `json:"set_aside"`
			Missing  uint64 `json:"missing"`
		} `json:"logs"`
		Findings []struct {
			Kind    string `json:"kind"`
			Gateway string `json:"gateway"`
		} `json:"findings"`
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code == 0 || r.Exact {
		t.Fatalf("audit: code %d, exact %v, %v\n%s", code, r.Exact, err, stderr)
	}
	if len(r.Findings) != 1 || r.Findings[0].Kind != "set_aside" || r.Findings[0].Gateway != "alpha" {
		t.Errorf("findings: %s", stdout)
	}
	for _, l := range r.Logs {
		if l.Captured != l.Recorded+l.SetAside || l.Missing > 0 || (l.SetAside > 0) != (l.Gateway == "alpha") ||
			l.Captured < lines || l.SetAside > lines/2 {
			t.Errorf("%+v", l)
		}
	}
	// As docs/operator.md says how the records of such a block are seen.
	rows := sinktest.DuckDB(t, fmt.Sprintf("SELECT hex(block) FROM '%s/conflict/*/*.parquet' WHERE reason = 'poison'", c.lake))
	if len(rows) != 1 {
		t.Fatalf("%d blocks in conflict", len(rows))
	}
	block, err := hex.DecodeString(rows[0][0])
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "one.block"), string(block))
	code, stdout, stderr = command(t, binaries(t).edge, "inspect", "--records", filepath.Join(dir, "one.block"))
	if code != 0 || !strings.Contains(stdout, poisonText) {
		t.Errorf("inspect: code %d\n%s\n%s", code, stdout, stderr)
	}
	takeAsideSurvivesKills(t, c, gateways, 2*lines)
	c.program.checkLog(t)
}

// takeAsideSteps are the failpoints that a repair passes which takes blocks in.
func takeAsideSteps() (steps []string) {
	for _, step := range repairSteps() {
		if step != "repair.after-state" && step != "repair.before-put-back" {
			steps = append(steps, step)
		}
	}
	return steps
}

// takeAsideSurvivesKills kills the repair that takes the block in at every step, each time
// over a copy of the lake. The next one does the rest: every line is a row of record once,
// and the audit is exact, also of the gateways' own bytes; a further one finds nothing. In
// the lake itself an engine, which dies of the line no more, does the rest of one that was
// killed after HEAD was moved.
func takeAsideSurvivesKills(t *testing.T, c *cloud, gateways []*gateway, lines int) {
	t.Helper()
	engine := binaries(t).engine
	edges := []string{"--level", "bytes"}
	for _, g := range gateways {
		edges = append(edges, "--edge-log", filepath.Join(g.dir, "log"))
	}
	exact := func(lake string) (string, bool) {
		code, stdout, stderr := command(t, engine, append([]string{"audit", "--lake", lake}, edges...)...)
		return stdout + stderr, code == 0
	}
	once := func(lake string) {
		t.Helper()
		got := sinktest.DuckDB(t, fmt.Sprintf("SELECT count(*), count(DISTINCT raw), count(*) FILTER (raw = '%s'::BLOB) "+
			"FROM '%s/record/*/*.parquet' WHERE kind <> 'log_open'", poisonText, lake))
		if want := fmt.Sprintf("[[%d %d 1]]", lines, lines); fmt.Sprint(got) != want {
			t.Errorf("lines, different ones and the one that kills: %v, want %s", got, want)
		}
	}
	for _, step := range takeAsideSteps() {
		t.Run("taken in, killed at "+step, func(t *testing.T) {
			lake := filepath.Join(t.TempDir(), "lake")
			if err := os.CopyFS(lake, os.DirFS(c.lake)); err != nil {
				t.Fatal(err)
			}
			killRepair(t, engine, lake, step, "--take-aside")
			for range 2 {
				code, stdout, stderr := command(t, engine, "repair", "--lake", lake, "--take-aside")
				if code != 0 {
					t.Fatalf("repair: code %d\n%s%s", code, stdout, stderr)
				}
			}
			if said, ok := exact(lake); !ok {
				t.Errorf("audit: %s", said)
			}
			once(lake)
		})
	}
	killRepair(t, engine, c.lake, "repair.after-swap", "--take-aside")
	p, err := c.program.start()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the engine publishes what was taken in", time.Minute, func() (bool, string) {
		said, ok := exact(c.lake)
		return ok, said
	})
	p.finish(t)
	once(c.lake)
}
