//go:build failpoint && linux

package crashtest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

//go:embed windows.sql
var windowsSQL string

// The windows of the test, in event time.
const (
	windowsSize     = 30 * time.Second
	windowsLateness = 60 * time.Second
	windowsDisorder = 10 * time.Second
)

// sounder writes depth soundings to a file that a gateway follows, two seconds of
// event time apart, one in six of them older by up to five minutes.
type sounder struct {
	gateway string
	begin   int64 // event time of the first, microseconds since 1970
	rng     *rand.Rand
	lines   *fileOutlet
	journal *bufio.Writer
	file    *os.File
	sent    atomic.Int64
	err     error // valid after run
}

func newSounder(dir, gateway, lines string, begin int64, rng *rand.Rand) (*sounder, error) {
	out, err := newFileOutlet(lines)
	if err != nil {
		return nil, err
	}
	f, err := os.Create(fmt.Sprintf("%s/soundings-%s.csv", dir, gateway))
	if err != nil {
		return nil, err
	}
	s := &sounder{gateway: gateway, begin: begin, rng: rng, lines: out, journal: bufio.NewWriter(f), file: f}
	_, err = fmt.Fprintln(s.journal, "gateway,t,value")
	return s, err
}

// run writes until stop is closed.
func (s *sounder) run(stop <-chan struct{}) {
	for s.err == nil && pause(stop, tickEvery) {
		for range 4 {
			s.sounding()
		}
	}
	s.lines.close()
	if err := s.journal.Flush(); s.err == nil {
		s.err = err
	}
	if err := s.file.Close(); s.err == nil {
		s.err = err
	}
}

// sounding writes one. No two of a gateway have the same time: an even number of
// milliseconds where it is in order, an odd one where it is not.
func (s *sounder) sounding() {
	n := s.sent.Load()
	at := s.begin/1000 + 2000*n
	if s.rng.IntN(6) == 0 {
		at -= 2*s.rng.Int64N(150_000) + 1
		at -= 2000*(n%7) + 2*(n%997) // two of the same time are as good as excluded
	}
	value := float64(s.rng.IntN(2000)) / 2
	tag, body := fmt.Sprintf("c:%d", at), fmt.Sprintf("SDDPT,%.1f,", value)
	line := fmt.Sprintf(`\%s*%02X\$%s*%02X`, tag, xor(tag), body, xor(body))
	if s.lines.send([][]byte{[]byte(line)}) != sent {
		s.err = fmt.Errorf("line %d of %s was not written", n, s.gateway)
	}
	if _, err := fmt.Fprintf(s.journal, "%s,%d,%g\n", s.gateway, at*1000, value); err != nil {
		s.err = err
	}
	s.sent.Add(1)
}

func xor(text string) byte {
	sum := byte(0)
	for _, b := range []byte(text) {
		sum ^= b
	}
	return sum
}

// TestWindowsSurviveKills: an engine is killed at each step of an epoch and its
// gateways at random, while one of them is offline and comes back with the
// readings of three days before the other's. DuckDB makes the windows of
// sensor_reading, without the readings that are in late, and finds the same.
func TestWindowsSurviveKills(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 11))
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	writeText(t, c.config, engineConfig(c, dir)+fmt.Sprintf("window: {size: %s, allowed_lateness: %s}\n", windowsSize, windowsLateness))
	_, port, _ := strings.Cut(c.addr, ":")
	network := newCutter(t, "127.0.0.1:"+port)
	defer network.release()
	network.cut(true)
	const day = 86_400_000_000
	today := time.Now().UnixMicro()/day*day - 2*day
	s := scenario{t: t, cloud: c}
	here := s.soundings("here", c.addr, dir, today, rng)
	away := s.soundings("away", network.listener.Addr().String(), dir, today-3*day, rng)
	always := func() bool { return true }
	var plan []life
	own, _ := points(roleEngine)
	for _, name := range own {
		if strings.HasPrefix(name, "c4.") || strings.HasPrefix(name, "c5.") || strings.HasPrefix(name, "claim.") {
			plan = append(plan, pair(rng, name, own)...)
		}
	}
	s.supervise(c.program, roleEngine, plan, always)
	for _, g := range s.gateways {
		var kills []life
		for range 6 {
			kills = append(kills, life{after: between(rng, 100*time.Millisecond, 2*time.Second)})
		}
		s.supervise(g.program, roleEdge, kills, always)
	}
	go func() { // away comes back with its backlog while the engine is being killed
		for away.sent.Load() < 600 && pause(s.gateways[1].stop, pollEvery) {
		}
		network.cut(false)
	}()
	s.run()
	for _, one := range []*sounder{here, away} {
		if one.err != nil {
			t.Error(one.err)
		}
	}
	if t.Failed() {
		return
	}
	figures := judgeWindows(evidence{t: t, dir: dir, lake: c.lake})
	for _, g := range []string{"here", "away"} {
		if figures["# late of "+g] == 0 || figures["# windows of "+g] < 50 {
			t.Errorf("%s: %d late, %d windows: too few to tell", g, figures["# late of "+g], figures["# windows of "+g])
		}
	}
	kills := 0
	for _, v := range s.supervisors {
		kills += len(v.deaths)
	}
	fmt.Printf("  %d kills\n", kills)
}

// soundings makes a gateway that follows a sounder's file.
func (s *scenario) soundings(name, ingest, dir string, begin int64, rng *rand.Rand) *sounder {
	s.t.Helper()
	lines := filepath.Join(dir, name+".nmea")
	one, err := newSounder(dir, name, lines, begin, rand.New(rand.NewPCG(rng.Uint64(), 1)))
	if err != nil {
		s.t.Fatal(err)
	}
	g := &gateway{name: name, dir: filepath.Join(dir, name), config: filepath.Join(dir, name+".yaml"),
		status: freePort(s.t), stop: make(chan struct{})}
	makeDirs(s.t, g.dir)
	writeText(s.t, g.config, fmt.Sprintf(`gateway: %s
data_dir: %s
status: %s
drain_timeout: 2s
log:
%scapture: {group_interval: 20ms, group_size: 4KiB}
watermark: {disorder: %s}
forward: {url: "http://%s", linger: 100ms, retry_max: 500ms}
sources:
  - name: sounder
    file: {path: %s, follow: true, poll_interval: 20ms}
`, name, g.dir, g.status, edgeLogOptions, windowsDisorder, ingest, lines))
	g.program = program{name: name, path: binaries(s.t).edge, args: []string{"run", "--config", g.config}, dir: dir}
	g.sending.Go(func() { one.run(g.stop) })
	s.gateways = append(s.gateways, g)
	return one
}

// judgeWindows has DuckDB compare, and gives its figures.
func judgeWindows(e evidence) verdict {
	e.t.Helper()
	var marks strings.Builder
	marks.WriteString("gateway,watermark\n")
	for name, at := range e.watermarks() {
		fmt.Fprintf(&marks, "%s,%d\n", name, at)
	}
	writeText(e.t, filepath.Join(e.dir, "marks.csv"), marks.String())
	var sql strings.Builder
	err := template.Must(template.New("windows").Parse(windowsSQL)).Execute(&sql, map[string]any{
		"Marks": filepath.Join(e.dir, "marks.csv"), "Sent": filepath.Join(e.dir, "soundings-*.csv"), "Record": e.record(),
		"Reading": e.source(table.SensorReading, ""), "Late": e.source(table.Late, ""), "Window": e.source(table.Window, ""),
		"Size": windowsSize.Microseconds(), "Lateness": windowsLateness.Microseconds(), "Disorder": windowsDisorder.Microseconds(),
	})
	if err != nil {
		e.t.Fatal(err)
	}
	writeText(e.t, filepath.Join(e.dir, "windows.sql"), sql.String())
	return e.verdict(sinktest.DuckDB(e.t, sql.String()))
}

// watermarks reads each gateway's watermark in the newest manifests.
func (e evidence) watermarks() map[string]int64 {
	e.t.Helper()
	heads, err := filepath.Glob(filepath.Join(e.lake, "_checkpoint", "*", "manifest", "*"))
	if err != nil {
		e.t.Fatal(err)
	}
	marks := map[string]int64{}
	for _, name := range heads {
		data, err := os.ReadFile(name)
		if err != nil {
			e.t.Fatal(err)
		}
		var m struct {
			Watermarks []struct {
				Gateway string `json:"gateway"`
				At      int64  `json:"at"`
			} `json:"watermarks"`
		}
		if err := json.Unmarshal(data, &m); err != nil {
			e.t.Fatalf("%s: %v", name, err)
		}
		for _, w := range m.Watermarks { // they never go back
			if at, ok := marks[w.Gateway]; !ok || w.At > at {
				marks[w.Gateway] = w.At
			}
		}
	}
	return marks
}
