//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable/failpoint"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/server"
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

// moves is a lake that is moved again and again, by a program that is killed.
type moves struct {
	t       *testing.T
	dir     string
	cloud   *cloud
	brokers *kafkatest.Cluster // nil: landing logs are directories
	partner program            // of topics: another engine, with tasks alone
	status  string             // where that tells its status
}

// configure writes the configuration of the engines: another landing log for each
// stage.
func (m *moves) configure(stage, partitions int) {
	text := engineConfig(m.cloud, m.dir)
	if m.brokers == nil {
		text = strings.Replace(text, "partitions: 2", fmt.Sprint("partitions: ", partitions), 1)
		landing := filepath.Join(m.dir, "landing")
		writeText(m.t, m.cloud.config, strings.Replace(text, landing, fmt.Sprint(landing, "-", stage), 1))
		return
	}
	before, after, _ := strings.Cut(text, "landing:\n")
	_, after, _ = strings.Cut(after, "lake:")
	landing := fmt.Sprintf("landing:\n  reserve: 4MiB\n  kafka: {brokers: [%s], topic: landing-%d, partitions: %d, replication: 1, session_timeout: %s}\nlake:",
		strings.Join(m.brokers.Addrs(), ", "), stage, partitions, groupSession)
	writeText(m.t, m.cloud.config, before+landing+after)
	writeText(m.t, m.partner.args[2], "roles: [tasks]\nstatus: "+m.status+"\n"+landing+after)
}

// untilTaken waits until the partner works on every partition, and returns how long that
// took from a kill on.
func (m *moves) untilTaken(partner *process, partitions int, killed time.Time) float64 {
	m.t.Helper()
	until(m.t, "the partner to take over", 2*time.Minute, func() (bool, string) {
		var s server.Status
		if err := cli.Fetch(m.t.Context(), http.DefaultClient, "http://"+m.status+"/status", &s); err != nil {
			return false, err.Error()
		}
		running := 0
		for _, t := range s.Tasks {
			if t.State == server.TaskRunning {
				running++
			}
		}
		return running == partitions, partner.lifeLog()
	})
	return time.Since(killed).Seconds()
}

// replace moves the lake to where the configuration leads: killed at a step, and again
// to its end. A zombie that was stopped while it had HEAD locked is ended, as the error
// says.
func (m *moves) replace(step string, zombie *process) {
	t := m.t
	t.Helper()
	again := func(said string) bool {
		if zombie == nil || !strings.Contains(said, "was stopped, or hangs; end it") {
			return false
		}
		t.Logf("the partner has HEAD locked, and is ended: %s", said)
		zombie.kill()
		zombie = nil
		return true
	}
	for {
		cmd := exec.Command(binaries(t).engine, "landing", "replace", "--config", m.cloud.config)
		cmd.Env = append(os.Environ(), "LANDFALL_FAILPOINT="+step+"=1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			break
		}
		if !again(string(out)) {
			t.Fatalf("it was not killed at %s: %v\n%s", step, err, out)
		}
	}
	for {
		code, stdout, stderr := command(t, binaries(t).engine, "landing", "replace", "--config", m.cloud.config)
		if code == 0 {
			return
		}
		if !again(stderr) {
			t.Fatalf("after a kill at %s: exit %d\n%s%s", step, code, stdout, stderr)
		}
	}
}

// run moves a lake from 4 partitions to 16 to 3 and on, each time to another landing
// log, under traffic from two gateways that keep their records: the engine is killed,
// then the move at each of its steps, and then repeated. takeover says in which rounds a
// partner works on what the killed engine had, is stopped while the lake moves away
// from under it, and goes on then. In the end everything that was sent is there once,
// and nothing is in conflict.
func (m *moves) run(rng *rand.Rand, rounds int, takeover func(round int) bool) {
	t, c := m.t, m.cloud
	sizes := []int{4, 16, 3}
	m.configure(0, sizes[0])
	s := scenario{t: t, cloud: c}
	var edges []*process
	for _, name := range []string{"alpha", "beta"} {
		g := newGateway(t, m.dir, name, c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked")
		s.gateways = append(s.gateways, g)
		edges = append(edges, g.program.begin(t))
		g.begin()
	}
	engine := newSupervisor(c.program, roleEngine, nil, func() bool { return s.inFlight(s.gateways[0]) })
	engine.armedFor = armedInABucket
	kills := []string{"c2.after-append", "c4.before-swap", "c5.before-publish", "release.before"}
	steps, waits := moveSteps(), []float64{}
	var zombie *process
	for round := range rounds {
		step := steps[round%len(steps)]
		var partner *process
		if takeover(round) {
			if zombie != nil {
				zombie.kill()
			}
			partner = m.partner.begin(t)
			zombie = partner
		}
		ended, err := engine.bounded(life{point: kills[round%len(kills)], count: 2 + rng.IntN(4)}, round)
		if err != nil || ended {
			t.Fatalf("round %d: %v", round, err)
		}
		if partner != nil {
			waits = append(waits, m.untilTaken(partner, sizes[round%3], engine.deaths[len(engine.deaths)-1].at))
			partner.signal(syscall.SIGSTOP)
		}
		m.configure(round+1, sizes[(round+1)%3])
		m.replace(step, partner)
		if partner != nil {
			partner.signal(syscall.SIGCONT) // its lake is elsewhere now
		}
	}
	if len(waits) > 0 {
		slices.Sort(waits)
		t.Logf("%d times a partner took over; %.1f to %.1f s after the kill it had all partitions, session timeout %s", len(waits),
			waits[0], waits[len(waits)-1], groupSession)
	}
	reached := 0
	for _, d := range engine.deaths {
		if d.point != "" {
			reached++
		}
	}
	t.Logf("%d moves, each killed once; %d engines killed before them, %d of these at a step", rounds, len(engine.deaths), reached)
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
	v := evidence{t: t, dir: m.dir, lake: c.lake}.judge()
	for _, g := range s.gateways {
		c.requireAudit(t, g, v)
	}
	t.Logf("%d records, each in the lake once", v["# records"])
}

// TestAMoveSurvivesKills moves between directories.
func TestAMoveSurvivesKills(t *testing.T) {
	dir := workdir(t)
	m := &moves{t: t, dir: dir, cloud: newCloud(t, dir, dir)}
	m.run(rand.New(rand.NewPCG(seed(t), 21)), len(moveSteps()), func(int) bool { return false })
}

// TestAMoveOfTopicsSurvivesKills moves between the topics of a real broker. In a soak a
// partner takes over in every round, else in one.
func TestAMoveOfTopicsSurvivesKills(t *testing.T) {
	dir := workdir(t)
	rounds, soak := len(moveSteps()), os.Getenv("LANDFALL_SOAK") == "1"
	if soak {
		rounds *= 4
	}
	m := &moves{t: t, dir: dir, cloud: newCloud(t, dir, dir), brokers: kafkatest.New(t, 1), status: freePort(t)}
	m.partner = program{name: "partner", path: binaries(t).engine, args: []string{"run", "--config", filepath.Join(dir, "partner.yaml")}, dir: dir}
	m.run(rand.New(rand.NewPCG(seed(t), 22)), rounds, func(round int) bool { return soak || round == 3 })
}
