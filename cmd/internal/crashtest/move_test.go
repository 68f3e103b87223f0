//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"landfall/edge/durable/failpoint"
)

// moveSteps are the failpoints that a move of a lake passes.
func moveSteps() (steps []string) {
	for _, name := range failpoint.Names() {
		family, _, _ := strings.Cut(name, ".")
		if family == "move" || family == "arrive" || family == "claim" {
			steps = append(steps, name)
		}
	}
	return steps
}

// TestAMoveSurvivesKills moves a lake from 4 partitions to 16 to 3 and on, each time to
// another directory, under traffic from two gateways that keep their records: the
// engine is killed, then the move at each of its steps, and then repeated. In the end
// everything that was sent is there once, and nothing is in conflict.
func TestAMoveSurvivesKills(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 21))
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	configure := func(stage, partitions int) {
		text := strings.Replace(engineConfig(c, dir), "partitions: 2", fmt.Sprint("partitions: ", partitions), 1)
		landing := filepath.Join(dir, "landing")
		writeText(t, c.config, strings.Replace(text, landing, fmt.Sprint(landing, "-", stage), 1))
	}
	configure(0, 4)
	s := scenario{t: t, cloud: c}
	var edges []*process
	for _, name := range []string{"alpha", "beta"} {
		g := newGateway(t, dir, name, c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked")
		s.gateways = append(s.gateways, g)
		edges = append(edges, g.program.begin(t))
		g.begin()
	}
	engine := newSupervisor(c.program, roleEngine, nil, func() bool { return s.inFlight(s.gateways[0]) })
	kills := []string{"c2.after-append", "c4.before-swap", "c5.before-publish", "release.before"}
	for round, step := range moveSteps() {
		ended, err := engine.bounded(life{point: kills[round%len(kills)], count: 2 + rng.IntN(4)}, round)
		if err != nil || ended {
			t.Fatalf("round %d: %v", round, err)
		}
		configure(round+1, []int{16, 3, 4}[round%3])
		cmd := exec.Command(binaries(t).engine, "landing", "replace", "--config", c.config)
		cmd.Env = append(os.Environ(), "LANDFALL_FAILPOINT="+step+"=1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("it was not killed at %s: %v\n%s", step, err, out)
		}
		code, stdout, stderr := command(t, binaries(t).engine, "landing", "replace", "--config", c.config)
		if code != 0 {
			t.Fatalf("after a kill at %s: exit %d\n%s%s", step, code, stdout, stderr)
		}
	}
	last := c.program.begin(t)
	for _, g := range s.gateways {
		g.end(t)
	}
	s.drain()
	for i, g := range s.gateways {
		edges[i].finish(t)
		g.release(t)
	}
	last.finish(t)
	v := evidence{t: t, dir: dir, lake: c.lake}.judge()
	for _, g := range s.gateways {
		c.requireAudit(t, g, v)
	}
}
