package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	processes "landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/kafka"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/replay"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

const (
	// sharedSentences is the backlog that engines work off.
	sharedSentences = 1_200_000
	// sharedPartitions is how many partitions it lies in, a gateway each.
	sharedPartitions = 6
	// sharedRounds is how often each is measured.
	sharedRounds = 3
)

// BenchmarkSharedLog has 1, 2 and 3 engines work one backlog off that lies in a
// topic of three brokers, and one engine the same backlog in the embedded
// landing log. What is compared is records for each second of CPU that the
// engines' processes took: engines, brokers and whatever else runs here share
// the cores, and wall time tells about them all. Every lake is audited.
func BenchmarkSharedLog(b *testing.B) {
	dir := b.TempDir()
	engine := filepath.Join(dir, "landfall-engine")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", engine, "landfall/cmd/landfall-engine").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	traffic := filepath.Join(dir, "traffic.nmea")
	if _, err := simulate(traffic, sharedSentences/sharedPartitions); err != nil {
		b.Fatal(err)
	}
	s := sharing{b: b, dir: dir, engine: engine, traffic: traffic, brokers: kafkatest.New(b, 3).Addrs()}
	for b.Loop() {
		var alone []float64
		shared, ratio, wall := [4][]float64{}, [4][]float64{}, [4][]float64{}
		for round := range sharedRounds {
			bare, took := s.measure(round, 0)
			alone, wall[0] = append(alone, bare), append(wall[0], took)
			for n := 1; n <= 3; n++ {
				each, took := s.measure(round, n)
				shared[n], ratio[n], wall[n] = append(shared[n], each), append(ratio[n], each/bare), append(wall[n], took)
			}
		}
		var rows []row
		for n := 1; n <= 3; n++ {
			rows = append(rows, row{
				what: fmt.Sprintf("a backlog of %d records in a topic, engines: %d; for each second of CPU", s.records, n),
				ours: fmt.Sprintf("%s, done in %.1f s", rate(median(shared[n]), "records"), median(wall[n])), aim: "75%",
				limit: fmt.Sprintf("%s embedded, done in %.1f s", rate(median(alone), "records"), median(wall[0])),
				ratio: fmt.Sprintf("%.0f%%", 100*median(ratio[n])),
			})
			b.ReportMetric(1e6/median(shared[n]), fmt.Sprintf("CPU-s/Mrecords-%d", n))
		}
		b.ReportMetric(1e6/median(alone), "CPU-s/Mrecords-embedded")
		if err := print(os.Stdout, rows); err != nil {
			b.Fatal(err)
		}
	}
}

// sharing is what every measurement of BenchmarkSharedLog needs.
type sharing struct {
	b                    *testing.B
	dir, engine, traffic string
	brokers              []string
	records              uint64 // of the backlog, as the audit counts them
}

// measure lands the backlog anew, has n engines work it off, 0: one with the
// embedded landing log, and gives records for each second of their CPU, and the
// seconds that it took.
func (s *sharing) measure(round, n int) (perSecond, wall float64) {
	s.b.Helper()
	name := fmt.Sprintf("round-%d-%d", round, n)
	dir := filepath.Join(s.dir, name)
	lake := filepath.Join(dir, "lake")
	if err := os.MkdirAll(lake, 0o755); err != nil {
		s.b.Fatal(err)
	}
	config := fmt.Sprintf("lake: {dir: %s}\nepoch: {interval: 2s}\nlanding:\n  reserve: 0B\n", lake)
	var log interface {
		landing.Log
		io.Closer
	}
	var err error
	if n == 0 {
		at := filepath.Join(dir, "landing")
		log, err = embedded.Open(embedded.Config{Dir: at, Partitions: sharedPartitions})
		config += fmt.Sprintf("  dir: %s\n  partitions: %d\nidentity: {unauthenticated: true}\nlisten: %s\n", at, sharedPartitions, s.port())
	} else {
		log, err = kafka.Open(s.b.Context(), kafka.Config{Brokers: s.brokers, Topic: name, Partitions: sharedPartitions})
		config += fmt.Sprintf("  kafka: {brokers: [%s], topic: %s, partitions: %d}\nroles: [tasks]\n", strings.Join(s.brokers, ", "), name, sharedPartitions)
	}
	if err != nil {
		s.b.Fatal(err)
	}
	if err := errors.Join(s.land(log), log.Close()); err != nil {
		s.b.Fatal(err)
	}
	began := time.Now()
	var running []*engineProcess
	for i := range max(n, 1) {
		running = append(running, s.start(filepath.Join(dir, fmt.Sprintf("engine-%d.yaml", i)), config))
	}
	s.untilDone(running)
	wall = time.Since(began).Seconds()
	cpu := time.Duration(0)
	for _, e := range running {
		if err := errors.Join(e.cmd.Process.Signal(syscall.SIGTERM), e.cmd.Wait()); err != nil {
			s.b.Fatal(err)
		}
		cpu += e.cmd.ProcessState.UserTime() + e.cmd.ProcessState.SystemTime()
	}
	s.audit(lake)
	if err := os.RemoveAll(dir); err != nil {
		s.b.Fatal(err)
	}
	return float64(s.records) / cpu.Seconds(), wall
}

// audit proves that the work was done, and counts it.
func (s *sharing) audit(lake string) {
	s.b.Helper()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(lake, "_checkpoint"))
	if err != nil {
		s.b.Fatal(err)
	}
	r, err := audit.Run(s.b.Context(), audit.Config{Lake: lake, Checkpoints: store})
	if err != nil {
		s.b.Fatal(err)
	}
	records := uint64(0)
	for _, l := range r.Logs {
		records += l.Recorded
	}
	if !r.Exact || len(r.Logs) != sharedPartitions || s.records != 0 && s.records != records {
		s.b.Fatalf("exact %t, %d logs, %d records, before %d: %v", r.Exact, len(r.Logs), records, s.records, r.Problems)
	}
	s.records = records
}

// land lands the traffic once for each partition.
func (s *sharing) land(log landing.Log) error {
	var all sync.WaitGroup
	errs := make([]error, sharedPartitions)
	for p := range sharedPartitions {
		all.Go(func() { errs[p] = landFile(s.b.Context(), log, s.traffic, gatewayIn(p, sharedPartitions)) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// landFile lands a file of sentences as a gateway's.
func landFile(ctx context.Context, log landing.Log, path, gateway string) error {
	recorded, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: gateway, BaseTime: record.NoTime, LandedAt: start, Again: true})
	if err != nil {
		return err
	}
	from, err := recorded.Reader(0, stream.Position{})
	if err != nil {
		return err
	}
	for {
		landed, _, err := from.Next(ctx)
		if errors.Is(err, io.EOF) {
			return from.Close()
		}
		if err == nil {
			err = log.Append(ctx, landed)
		}
		if err != nil {
			return errors.Join(err, from.Close())
		}
	}
}

// engineProcess is an engine that works.
type engineProcess struct {
	cmd    *exec.Cmd
	status string
	said   *strings.Builder
}

func (s *sharing) port() string {
	s.b.Helper()
	p, err := processes.FreePort("tcp")
	if err != nil {
		s.b.Fatal(err)
	}
	return p
}

func (s *sharing) start(file, config string) *engineProcess {
	s.b.Helper()
	e := &engineProcess{status: s.port(), said: &strings.Builder{}}
	if err := os.WriteFile(file, []byte(config+"status: "+e.status+"\n"), 0o600); err != nil {
		s.b.Fatal(err)
	}
	e.cmd = exec.CommandContext(s.b.Context(), s.engine, "run", "--config", file, "--log-level", "error")
	e.cmd.Stdout, e.cmd.Stderr = e.said, e.said
	if err := e.cmd.Start(); err != nil {
		s.b.Fatal(err)
	}
	return e
}

// untilDone waits until the engines' tasks have committed all there is.
func (s *sharing) untilDone(running []*engineProcess) {
	s.b.Helper()
	var last []server.TaskStatus
	for limit := time.Now().Add(5 * time.Minute); time.Now().Before(limit); pass(s.b.Context(), 20*time.Millisecond) {
		last = nil
		for _, e := range running {
			var st server.Status
			if cli.Fetch(s.b.Context(), processes.HTTPClient(), "http://"+e.status+"/status", &st) == nil {
				last = append(last, st.Tasks...)
			}
		}
		done := len(last) == sharedPartitions
		for _, t := range last {
			done = done && t.State == server.TaskRunning && t.Epoch > 0 && t.Behind == 0
		}
		if done {
			return
		}
	}
	s.b.Fatalf("not done within five minutes: %+v", last)
}
