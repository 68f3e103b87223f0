//go:build failpoint && linux

package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/checkpoint"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/stream"
	"landfall/sinks/sinktest"
)

// Sizes of the test of many engines.
const (
	groupEngines    = 3
	groupIngests    = 2
	groupPartitions = 6
	groupSession    = 6 * time.Second // after which a silent engine loses its partitions
)

// groupLoad is how many gateways send how many records each, 200,000 in all, in
// a soak 2,000,000; and how often everything is killed meanwhile.
func groupLoad() (gateways, records, rounds int) {
	if os.Getenv("LANDFALL_SOAK") == "1" {
		return 50, 40_000, 5
	}
	return 50, 4_000, 1
}

// group is three brokers, two ingests and three engines on one lake.
type group struct {
	t        *testing.T
	dir      string
	kafka    *kafkatest.Cluster
	admin    *kadm.Client
	lake     groupLake
	ingests  []*process
	engines  []*process
	balancer *balancer
	gateways []*simGateway
}

// TestEnginesShareALog: simulated gateways deliver through two ingests to three
// brokers, three engines share the partitions of one lake; under load engines
// are killed and stopped past their session, an ingest and a broker are killed.
// Every record is there once: the audit says so, byte by byte for some gateways,
// and DuckDB counts. The lake is a directory; TestEnginesShareABucketAndTopics
// does the same over a bucket, always.
func TestEnginesShareALog(t *testing.T) {
	if os.Getenv("LANDFALL_SOAK") == "" {
		t.Skip("TestEnginesShareABucketAndTopics does the same over a bucket; LANDFALL_SOAK=1 runs both")
	}
	dir := workdir(t)
	newGroup(t, dir, kafkatest.New(t, 3), lakeOnDisk(t, dir)).run()
}

// run is the test: load and trouble at once, until both are over.
func (g *group) run() {
	t := g.t
	gateways, records, rounds := groupLoad()
	for i := range gateways {
		g.gateways = append(g.gateways, newSimGateway(t, g.dir, fmt.Sprintf("gw-%03d", i), "http://"+g.balancer.listener.Addr().String()))
	}
	stop, enough := make(chan struct{}), make(chan struct{})
	defer close(stop)
	var load sync.WaitGroup
	for _, w := range g.gateways {
		load.Go(func() { w.capture(records, enough, stop) })
	}
	g.untilCommitted("the first epochs", nil)
	for n := range rounds {
		g.trouble(n)
	}
	close(enough)
	load.Wait()
	sent := int64(0)
	for _, w := range g.gateways {
		until(t, w.name+" drained", 5*time.Minute, func() (bool, string) {
			st := w.session.Status()
			return st.Pending == 0, fmt.Sprintf("%d records wait", st.Pending)
		})
		sent += w.end()
	}
	g.untilAllCommitted()
	for _, p := range slices.Concat(g.ingests, g.engines) {
		p.finish(t)
	}
	g.judge(sent)
}

// trouble kills two engines and stops a third past its session, and kills a
// broker and an ingest; others in each round.
func (g *group) trouble(round int) {
	engine := func(i int) int { return (round + i) % groupEngines }
	broker := round % len(g.kafka.Addrs())
	ingest := round % groupIngests
	g.killEngine(engine(0), syscall.SIGKILL)
	g.killEngine(engine(1), syscall.SIGSTOP)
	fmt.Printf("  broker %d and %s are killed\n", broker, g.ingests[ingest].name)
	g.kafka.Broker(broker).Kill()
	alive(g.t, g.ingests[ingest])
	g.ingests[ingest].kill()
	g.untilCommitted("commits with two brokers", g.epochs())
	g.ingests[ingest] = g.ingests[ingest].program.begin(g.t)
	if err := errors.Join(g.kafka.Broker(broker).Start(), g.kafka.Ready(g.t.Context(), 3)); err != nil {
		g.t.Fatal(err)
	}
	g.killEngine(engine(2), syscall.SIGKILL)
}

func newGroup(t *testing.T, dir string, kafka *kafkatest.Cluster, lake groupLake) *group {
	g := &group{t: t, dir: dir, kafka: kafka, lake: lake}
	client, err := kgo.NewClient(g.kafka.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	g.admin = kadm.NewClient(client)
	t.Cleanup(g.admin.Close)
	var addrs []string
	for i := range groupIngests {
		addr := freePort(t)
		addrs = append(addrs, addr)
		lake, _, _ := strings.Cut(g.lake.config, "\n") // it tells gateways what the engines publish
		config := fmt.Sprintf("roles: [ingest]\nidentity: {unauthenticated: true}\nepoch: {interval: %s}\n%s\nlisten: %s",
			g.lake.interval, lake, addr)
		g.ingests = append(g.ingests, g.daemon(fmt.Sprintf("ingest-%d", i), config))
	}
	for i := range groupEngines {
		g.engines = append(g.engines, g.daemon(fmt.Sprintf("engine-%d", i), fmt.Sprintf("roles: [tasks]\nepoch: {interval: %s}\n%s", g.lake.interval, g.lake.config)))
	}
	g.balancer = newBalancer(t, addrs)
	t.Cleanup(g.balancer.release)
	return g
}

// daemon starts one engine with a configuration of its own.
func (g *group) daemon(name, config string) *process {
	dir := filepath.Join(g.dir, name)
	makeDirs(g.t, dir)
	file := filepath.Join(dir, "engine.yaml")
	writeText(g.t, file, fmt.Sprintf("%s\nlanding:\n  reserve: 4MiB\n  kafka: {brokers: [%s], topic: landing, partitions: %d, session_timeout: %s}\ndrain_timeout: 10s\n",
		config, strings.Join(g.kafka.Addrs(), ", "), groupPartitions, groupSession))
	return program{name: name, path: binaries(g.t).engine, args: []string{"run", "--config", file}, dir: dir}.begin(g.t)
}

// epochs gives the newest committed epoch of each partition.
func (g *group) epochs() map[stream.TaskID]stream.Epoch {
	out := map[stream.TaskID]stream.Epoch{}
	tasks, err := checkpoint.Tasks(g.t.Context(), g.lake.store)
	if err != nil {
		return out
	}
	for _, id := range tasks {
		if m, err := checkpoint.Load(g.t.Context(), g.lake.store, id); err == nil {
			out[id] = m.Epoch
		}
	}
	return out
}

// untilCommitted waits until every partition has committed beyond some epochs.
func (g *group) untilCommitted(what string, beyond map[stream.TaskID]stream.Epoch) time.Duration {
	from := time.Now()
	until(g.t, what, 3*time.Minute, func() (bool, string) {
		now := g.epochs()
		for id, e := range now {
			if e <= beyond[id] {
				return false, fmt.Sprint(now)
			}
		}
		return len(now) == groupPartitions, fmt.Sprint(now)
	})
	return time.Since(from)
}

// killEngine takes one engine away by SIGKILL or SIGSTOP, says how long its
// partitions waited for their next commit, and brings it back.
func (g *group) killEngine(i int, s syscall.Signal) {
	before := g.epochs()
	p := g.engines[i]
	alive(g.t, p)
	if p.signal(s); s == syscall.SIGKILL {
		<-p.done
	}
	took := g.untilCommitted(fmt.Sprintf("the partitions of %s after %v", p.name, s), before)
	fmt.Printf("  %s: %v; every partition committed again after %.1f s (session timeout %v, epochs of %v)\n", p.name, s, took.Seconds(), groupSession, g.lake.interval)
	if s == syscall.SIGKILL {
		g.engines[i] = p.program.begin(g.t)
		return
	}
	p.signal(syscall.SIGCONT) // a zombie: it finds its partitions taken
	g.untilCommitted("commits beside a zombie", g.epochs())
}

// untilAllCommitted waits until every partition is committed to its end.
func (g *group) untilAllCommitted() {
	until(g.t, "everything is committed", 15*time.Minute, func() (bool, string) {
		ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
		defer cancel()
		ends, err := g.admin.ListEndOffsets(ctx, "landing")
		if err != nil {
			return false, err.Error()
		}
		tasks, err := checkpoint.Tasks(ctx, g.lake.store)
		if err != nil || len(tasks) != groupPartitions {
			return false, fmt.Sprint(tasks, err)
		}
		for _, id := range tasks {
			m, err := checkpoint.Load(ctx, g.lake.store, id)
			end, ok := ends.Lookup("landing", int32(id.Partition))
			if err != nil || !ok || m.Position.Offset != end.Offset {
				return false, fmt.Sprintf("%s at %d of %d", id, m.Position.Offset, end.Offset)
			}
		}
		return true, ""
	})
}

// judge has the audit and a foreign reader count.
func (g *group) judge(sent int64) {
	t := g.t
	args := append([]string{"audit", "--json"}, g.lake.audit...)
	for _, w := range g.gateways[:min(5, len(g.gateways))] {
		args = append(args, "--edge-log", w.log)
	}
	code, stdout, stderr := command(t, binaries(t).engine, args...)
	var r auditResult
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || !r.Exact {
		t.Errorf("audit: exit code %d, %v: %s\n%s", code, err, r.String(), stderr)
	}
	lake := g.lake.fetch()
	rows := sinktest.DuckDB(t, fmt.Sprintf(`SELECT count(*), count(DISTINCT (_gateway, _log, _offset)), count(DISTINCT _gateway) FROM '%s/record/*/*.parquet'`, lake))
	want := []string{strconv.FormatInt(sent, 10), strconv.FormatInt(sent, 10), strconv.Itoa(len(g.gateways))}
	if !slices.Equal(rows[0], want) {
		t.Errorf("DuckDB counts %v records, different ones, gateways; sent %v", rows[0], want)
	}
	typed := sinktest.DuckDB(t, fmt.Sprintf(`SELECT count(*), count(DISTINCT (_gateway, _log, _offset, _row)) FROM '%s/ais_position/*/*.parquet'`, lake))
	if wantTyped := strconv.FormatInt(sent-int64(len(g.gateways)), 10); typed[0][0] != wantTyped || typed[0][1] != wantTyped {
		t.Errorf("DuckDB counts %v positions, different ones; sent %s", typed[0], wantTyped)
	}
	fmt.Printf("  %d records and %s positions of %d gateways: DuckDB counts %s and %s, each once; audit exact %t\n", sent, typed[0][0], len(g.gateways), rows[0][0], typed[0][1], r.Exact)
	if g.lake.topics != nil {
		g.lake.topics(&r, sent)
	}
}
