//go:build failpoint && linux

package crashtest

import (
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"landfall/sinks/sinktest"
)

//go:embed nodejudge.py
var nodeJudge string

// lineNoise is how many bytes of the line are spoiled: about one frame in six.
const lineNoise = 1.0 / 400

// overrunSectors is the ring of the node that is left alone until it overruns.
const overrunSectors = 3

// nodeScenario is two sensor nodes on noisy lines, the edge they send to, and the
// cloud.
type nodeScenario struct {
	t         *testing.T
	rng       *rand.Rand
	dir       string
	cloud     *cloud
	edge      *gateway
	lines     []*noisyLine
	boards    []*board
	edgeLife  *process
	cuts      int
	resets    int
	edgeKills int
}

// TestSensorNodeSurvivesPowerCuts cuts the power of a node and kills its gateway
// again and again, with noise on the line; another node is unplugged until its
// flash overruns. Every number that a node gave must be in the lake exactly once,
// as a reading with the flash's own content or in a range that is told as lost.
func TestSensorNodeSurvivesPowerCuts(t *testing.T) {
	cuts, kills := 20, 5
	if os.Getenv("LANDFALL_SOAK") == "1" {
		cuts, kills = 200, 50
	}
	start := seed(t)
	s := newNodeScenario(t, rand.New(rand.NewPCG(start, 8)), 0, overrunSectors)
	s.lines[1].set(0, true)
	s.run(cuts, kills)
	if t.Failed() {
		return
	}
	fmt.Printf("  %d power cuts and %d resets of the node, %d kills of the gateway, %d bytes spoiled\n", s.cuts, s.resets, s.edgeKills, s.lines[0].spoiledBytes())
	v := s.verdict(true)
	if v["# node-1: readings in the lake"] < int64(10*cuts) || v["# node-2: numbers in ranges that the node lost"] == 0 || s.cuts < cuts || s.edgeKills < kills {
		t.Errorf("hardly anything happened: %v", v)
	}
}

// newNodeScenario makes a node for each size of ring, in sectors, 0 for the whole
// chip, and an edge with a line to each. Nothing runs yet.
func newNodeScenario(t *testing.T, rng *rand.Rand, rings ...int) *nodeScenario {
	firmware(t)
	s := &nodeScenario{t: t, rng: rng, dir: workdir(t)}
	s.cloud = newCloud(t, s.dir, s.dir)
	g := &gateway{name: "plant", dir: filepath.Join(s.dir, "plant"), config: filepath.Join(s.dir, "plant.yaml")}
	makeDirs(t, g.dir)
	var y strings.Builder
	fmt.Fprintf(&y, "gateway: plant\ndata_dir: %s\ndrain_timeout: 2s\nlog:\n%s", g.dir, edgeLogOptions)
	fmt.Fprintf(&y, "capture:\n  group_interval: 20ms\nforward:\n  url: http://%s\n  linger: 100ms\n  retry_max: 1s\nsources:\n", s.cloud.addr)
	for i, sectors := range rings {
		name := fmt.Sprintf("node-%d", i+1)
		l := newNoisyLine(t, s.dir, name, rand.New(rand.NewPCG(rng.Uint64(), 1)), lineNoise)
		s.lines, s.boards = append(s.lines, l), append(s.boards, newBoard(t, s.dir, name, i+1, sectors, l))
		fmt.Fprintf(&y, "  - name: line-%d\n    node: {device: %s}\n", i+1, l.pty.name)
	}
	writeText(t, g.config, y.String())
	g.program = program{name: "plant", path: binaries(t).edge, args: []string{"run", "--config", g.config}, dir: s.dir}
	s.edge = g
	return s
}

func (s *nodeScenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *nodeScenario) startEdge() {
	s.t.Helper()
	for _, l := range s.lines {
		l.share()
	}
	var err error
	s.edgeLife, err = s.edge.program.start()
	s.must(err)
}

// run carries out the kills and lets everything arrive.
func (s *nodeScenario) run(cuts, kills int) {
	t := s.t
	t.Helper()
	engine, err := s.cloud.program.start()
	s.must(err)
	defer func() { s.end(engine) }()
	s.startEdge()
	s.must(s.boards[0].on(3))
	s.must(s.boards[1].on(1)) // as often as it can, so that its small ring overruns
	began := time.Now()
	s.torment(cuts, kills)
	tormented := time.Since(began)
	until(t, "the ring of node-2 to overrun", 3*time.Minute, func() (bool, string) {
		laps := s.boards[1].laps(overrunSectors)
		return laps > 0, fmt.Sprintf("%d laps", laps)
	})
	overrun := time.Since(began)
	defer func() {
		fmt.Printf("  cuts and kills took %v, the overrun until %v, all arrived at %v\n", tormented.Round(time.Second), overrun.Round(time.Second), time.Since(began).Round(time.Second))
	}()
	s.lines[1].set(lineNoise, false)
	for _, b := range s.boards { // the last lives measure nothing: what is there must arrive
		s.must(b.cut())
		s.must(b.on(never))
	}
	s.untilAllArrived()
}

// untilAllArrived waits until the lake has everything that lies in the flashes.
func (s *nodeScenario) untilAllArrived() {
	s.t.Helper()
	until(s.t, "everything to be in the lake", 4*time.Minute, func() (bool, string) {
		var missing int64
		v := s.verdict(false)
		for name, n := range v {
			if strings.HasSuffix(name, ": number missing") || strings.HasSuffix(name, ": content of the flash that is nowhere") {
				missing += n
			}
		}
		return missing == 0 && v["# node-1: readings in the lake"] > 0, fmt.Sprintf("%d missing: %v", missing, v)
	})
}

// TestSensorNodeFlashSetBack puts an older image of its flash under a node, as a
// restore from a backup would: numbers are given again. Every reading is kept, the
// second of a number as a contradiction, and status turns red.
func TestSensorNodeFlashSetBack(t *testing.T) {
	s := newNodeScenario(t, rand.New(rand.NewPCG(seed(t), 9)), 0)
	engine, err := s.cloud.program.start()
	s.must(err)
	defer func() { s.end(engine) }()
	s.startEdge()
	b := s.boards[0]
	live := func(period int, readings int64) {
		s.must(b.on(period))
		from := s.verdict(false)["# node-1: readings in the flash"]
		until(t, "readings", time.Minute, func() (bool, string) {
			v := s.verdict(false)
			return v["# node-1: readings in the flash"] >= from+readings, fmt.Sprint(v)
		})
		s.untilAllArrived()
		s.must(b.cut())
	}
	live(5, 30)
	old, err := os.ReadFile(b.flash)
	s.must(err)
	live(5, 60)
	s.must(os.WriteFile(b.flash, old, 0o644))
	live(5, 30)
	s.must(b.on(never)) // what it measured after all had arrived and before its power went
	s.untilAllArrived()
	s.must(b.cut())
	v := s.verdict(false)
	fmt.Printf("  %v\n", v)
	if v["node-1: contradiction"] < 30 || v["node-1: content of the flash that is nowhere"] > 0 || v["node-1: number missing"] > 0 || v["node-1: number twice"] > 0 {
		t.Errorf("the second readings of a number are not all kept: %v", v)
	}
	log, err := os.ReadFile(s.edge.program.logName())
	s.must(err)
	if !strings.Contains(string(log), "readings contradict what was taken under their numbers") {
		t.Error("nobody was told")
	}
}

// torment cuts and kills at random moments until both were done often enough.
func (s *nodeScenario) torment(cuts, kills int) {
	for s.cuts < cuts || s.edgeKills < kills {
		alive(s.t, s.edgeLife)
		pause(nil, between(s.rng, 50*time.Millisecond, 1800*time.Millisecond))
		if s.rng.IntN(cuts+kills) < kills {
			s.edgeLife.kill()
			s.edgeKills++
			pause(nil, between(s.rng, 0, 500*time.Millisecond))
			s.startEdge()
			continue
		}
		b := s.boards[0]
		if s.rng.IntN(6) == 0 {
			s.must(b.reset())
			s.resets++
			continue
		}
		s.must(b.cut())
		s.cuts++
		pause(nil, between(s.rng, 0, 200*time.Millisecond))
		s.must(b.on(1 + s.rng.IntN(6)))
	}
}

// alive fails the test when a daemon has ended by itself.
func alive(t *testing.T, p *process) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s ended by itself: %v\n%s", p.name, p.state, p.lifeLog())
	default:
	}
}

// end stops everything, the daemons as they want to be.
func (s *nodeScenario) end(engine *process) {
	for _, p := range []*process{s.edgeLife, engine} {
		if code, err := p.terminate(30 * time.Second); err != nil || code != 0 {
			s.t.Errorf("%s ended with code %d: %v\n%s", p.name, code, err, p.lifeLog())
		}
		p.checkLog(s.t)
	}
	for _, b := range s.boards {
		b.life.kill()
	}
}

// verdict has the judge compare flash and lake; when final, violations fail the
// test.
func (s *nodeScenario) verdict(final bool) verdict {
	s.t.Helper()
	v := verdict{}
	args := []string{s.cloud.lake}
	for i, b := range s.boards {
		args = append(args, strconv.Itoa(i+1), b.flash)
	}
	out := sinktest.Python(s.t, nodeJudge, args...)
	for line := range strings.Lines(out) {
		part := strings.SplitN(strings.TrimSpace(line), ",", 3)
		n, err := strconv.ParseInt(part[1], 10, 64)
		if err != nil {
			s.t.Fatalf("the judge said %q", line)
		}
		v[part[0]] = n
		switch {
		case !final:
		case strings.HasPrefix(part[0], "#"):
			fmt.Printf("  %-44s %9d\n", part[0][2:], n)
		case n != 0:
			s.t.Errorf("%s: %d, for example %s", part[0], n, part[2])
		}
	}
	if final {
		if code, r, stderr := s.cloud.audit(s.t, s.edge); code != 0 || !r.Exact {
			s.t.Errorf("audit: exit code %d: %s\n%s", code, r.String(), stderr)
		}
	}
	return v
}

// TestSensorNodeRests measures the processor time of QEMU while a node takes a
// sample a second and has nothing else to do: it sleeps between interrupts.
func TestSensorNodeRests(t *testing.T) {
	firmware(t)
	dir := workdir(t)
	line := newNoisyLine(t, dir, "node-1", rand.New(rand.NewPCG(1, 1)), 0)
	b := newBoard(t, dir, "node-1", 1, 0, line)
	if err := b.on(100); err != nil {
		t.Fatal(err)
	}
	defer b.life.kill()
	pause(b.life.done, 2*time.Second) // formatting
	alive(t, b.life)
	before, began := b.life.cpu(t), time.Now()
	pause(b.life.done, 5*time.Second)
	share := float64(b.life.cpu(t)-before) / float64(time.Since(began))
	fmt.Printf("  QEMU with a node at rest uses %.1f%% of a core\n", 100*share)
	if share > 0.10 {
		t.Errorf("%.1f%% of a core, want less than 10%%", 100*share)
	}
}
