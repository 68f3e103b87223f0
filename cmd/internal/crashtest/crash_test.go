//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"landfall/edge/durable/failpoint"
)

// TestEveryCommitPointSurvivesKills runs two edges and an engine with traffic
// from every kind of source, kills them at every step and at random moments,
// twice in a row, and has DuckDB judge what came out.
func TestEveryCommitPointSurvivesKills(t *testing.T) {
	start, total := seed(t), histogram{}
	for round := range rounds() {
		rng := rand.New(rand.NewPCG(start, uint64(round)))
		t.Run(fmt.Sprintf("round-%d", round+1), func(t *testing.T) { killRound(t, rng, total) })
		if t.Failed() {
			break
		}
	}
	fmt.Print(total)
	total.require(t, hitsWanted)
}

// killRound is one plan of kills over fresh directories.
func killRound(t *testing.T, rng *rand.Rand, total histogram) {
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	a := newGateway(t, dir, "alpha", c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked", "pty", "tcpserver")
	b := newGateway(t, dir, "gamma", c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "acked", "udp", "tcpclient", "file")
	s := scenario{t: t, cloud: c, gateways: []*gateway{a, b}}
	engine := s.supervise(c.program, roleEngine, makePlan(rng, roleEngine, hitsWanted, 20, 0), s.anyInFlight)
	engine.want, engine.damage = hitsWanted, func() { damageStaged(t, c.lake) }
	for _, g := range s.gateways {
		s.supervise(g.program, roleEdge, makePlan(rng, roleEdge, 3, 8, 4), func() bool { return s.inFlight(g) }).want = 3
	}
	s.run()
	for _, v := range s.supervisors {
		fmt.Printf("  %-8s %s\n", v.program.name, uptimes(v))
		total.count(v)
	}
	e := evidence{t: t, dir: dir, lake: c.lake}
	v := e.judge()
	for _, g := range s.gateways {
		c.requireAudit(t, g, v)
		e.requireTips(g)
	}
}

// damageStaged changes a byte of every file that is staged: of epochs that are
// committed, and of those that will be forgotten.
func damageStaged(t *testing.T, lake string) {
	names, err := filepath.Glob(filepath.Join(lake, "_staging", "*", "*", "*.staged"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		flipByte(t, name)
	}
}

// scenario is a cloud and its gateways under supervision.
type scenario struct {
	t           *testing.T
	cloud       *cloud
	gateways    []*gateway
	supervisors []*supervisor
}

func (s *scenario) supervise(p program, role string, plan []life, inFlight func() bool) *supervisor {
	v := newSupervisor(p, role, plan, inFlight)
	s.supervisors = append(s.supervisors, v)
	return v
}

// inFlight tells whether something that g's senders sent is not visible in the
// lake yet.
func (s *scenario) inFlight(g *gateway) bool {
	return g.lastSent() > newestVisible(s.cloud.lake).UnixMicro()
}

func (s *scenario) anyInFlight() bool { return slices.ContainsFunc(s.gateways, s.inFlight) }

// planLimit bounds one round.
const planLimit = 15 * time.Minute

// run carries the plans out under traffic, lets everything drain and ends all
// processes.
func (s *scenario) run() {
	t := s.t
	t.Helper()
	for _, v := range s.supervisors {
		go v.run()
	}
	defer s.stop()
	for _, g := range s.gateways {
		g.begin()
	}
	s.untilPlansDone()
	for _, g := range s.gateways {
		g.end(t)
	}
	if !t.Failed() {
		s.drain()
	}
}

// untilPlansDone waits until each supervisor has carried out its plan, or one
// has failed.
func (s *scenario) untilPlansDone() {
	s.t.Helper()
	limit := time.NewTimer(planLimit)
	defer limit.Stop()
	failed := make(chan struct{}, len(s.supervisors))
	done := make(chan struct{}, len(s.supervisors))
	for _, v := range s.supervisors {
		go func() {
			select {
			case <-v.planDone:
				done <- struct{}{}
			case <-v.finished:
				failed <- struct{}{}
			}
		}()
	}
	for range s.supervisors {
		select {
		case <-done:
		case <-failed:
			s.t.Error("a daemon did not live through its plan")
			return
		case <-limit.C:
			s.t.Errorf("the plans took more than %v", planLimit)
			return
		}
	}
}

// settledFor is how long nothing may have been added before all is taken to be
// drained: more than a fragment waits for its partners.
const settledFor = 3 * time.Second

// drain waits until all that was sent is published, by what the daemons
// themselves say, with nothing lost.
func (s *scenario) drain() {
	s.t.Helper()
	s.drainAll(func(r auditResult) bool { return r.Exact })
}

// drainAll waits until everything is published, each gateway has heard it, and good
// holds for each audit.
func (s *scenario) drainAll(good func(auditResult) bool) {
	s.t.Helper()
	var recorded int64
	var since time.Time
	until(s.t, "everything to be published", 2*time.Minute, func() (bool, string) {
		var total int64
		for _, g := range s.gateways {
			if g.acked != nil && g.acked.breached() != nil {
				s.t.Fatal(g.acked.breached())
			}
			if g.acked != nil && g.acked.waiting() > 0 {
				return false, fmt.Sprintf("%d lines of %s are not acknowledged", g.acked.waiting(), g.name)
			}
			code, r, stderr := s.cloud.audit(s.t, g)
			if pending := r.sum(func(i int) int64 { return r.Logs[i].Pending }); len(r.Logs) == 0 || !good(r) || pending > 0 {
				since = time.Time{}
				return false, fmt.Sprintf("audit against %s: %d: %s %s", g.name, code, r.String(), stderr)
			}
			if n, err := g.unheard(); n > 0 || err != nil {
				return false, fmt.Sprintf("%s has not heard that %d records are published: %v", g.name, n, err)
			}
			total += r.recorded()
		}
		if since.IsZero() || total != recorded {
			recorded, since = total, time.Now()
		}
		return time.Since(since) > settledFor, fmt.Sprintf("%d records, still growing", total)
	})
}

// stop ends the edges, then the engine, and reports what went wrong with any.
func (s *scenario) stop() {
	for i := len(s.supervisors) - 1; i >= 0; i-- { // the engine comes first in the list
		v := s.supervisors[i]
		close(v.stop)
		<-v.finished
		if v.err != nil {
			s.t.Error(v.err)
		}
		v.program.checkLog(s.t)
	}
	for _, g := range s.gateways {
		g.release(s.t)
	}
}

// TestPlanNamesEveryFailpoint holds the plan to the list of failpoints.
func TestPlanNamesEveryFailpoint(t *testing.T) {
	planned := map[string]int{}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, role := range []string{roleEdge, roleEngine} {
		for _, l := range makePlan(rng, role, hitsWanted, 0, 0) {
			planned[l.point]++
		}
	}
	for _, name := range failpoint.Names() {
		if !hasATestOfItsOwn(name) && planned[name] < hitsWanted {
			t.Errorf("%s is planned %d times", name, planned[name])
		}
	}
}
