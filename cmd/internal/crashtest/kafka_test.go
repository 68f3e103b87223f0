//go:build failpoint && linux

package crashtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/engine/landing/kafkatest"
	"landfall/engine/table"
)

// topicTimeout is how long a transaction of the engine may be open; a paused
// engine sleeps longer.
const topicTimeout = 5 * time.Second

// topicSink is the engine's Kafka sink in its configuration.
const topicSink = `
sinks:
  kafka: {brokers: [%q], prefix: crash., partitions: 3, replication: 1, transaction_timeout: %s}
`

// TestTopicsSurviveKills publishes to a real Kafka while the engine is killed
// at its steps and at random moments, and paused for longer than a transaction
// may be open, and the broker is killed and paused. Then audit has to find every
// row of the lake in the topics, once, and kcat, another client, has to count
// the same.
func TestTopicsSurviveKills(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no foreign reader of Kafka: %v", err)
	}
	start := seed(t)
	for round := range rounds() {
		rng := rand.New(rand.NewPCG(start, uint64(200+round)))
		t.Run(fmt.Sprintf("round-%d", round+1), func(t *testing.T) { topicsRound(t, rng, kcat) })
		if t.Failed() {
			break
		}
	}
}

func topicsRound(t *testing.T, rng *rand.Rand, kcat string) {
	dir := workdir(t)
	// A broker looks for transactions that took too long every second.
	brokers := kafkatest.New(t, 1, "transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000")
	c := newCloud(t, dir, dir)
	writeText(t, c.config, engineConfig(c, dir)+fmt.Sprintf(topicSink, brokers.Addrs()[0], topicTimeout))
	c.topics = c.config
	g := newGateway(t, dir, "alpha", c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	engine := s.supervise(c.program, roleEngine, topicsPlan(rng), s.anyInFlight)
	s.supervise(g.program, roleEdge, makePlan(rng, roleEdge, 0, 2, 0), func() bool { return s.inFlight(g) })
	var trouble sync.WaitGroup
	trouble.Go(func() { brokerTrouble(t, brokers, rng.Uint64(), engine.planDone, engine.finished) })
	s.run()
	trouble.Wait()
	fmt.Printf("  %-8s %s\n", engine.program.name, uptimes(engine))
	if t.Failed() {
		return
	}
	v := evidence{t: t, dir: dir, lake: c.lake}.judge()
	code, r, stderr := c.audit(t, g)
	if code != 0 || !r.Exact || r.Topics == nil || !r.Topics.Exact {
		t.Fatalf("audit of lake and topics: exit code %d: %s\n%s", code, r.String(), stderr)
	}
	if got := r.Topics.recorded(); got != v["# records"] {
		t.Errorf("audit finds %d records in the topics, SQL %d in the lake", got, v["# records"])
	}
	rows, distinct := countWithKcat(t, kcat, brokers.Addrs()[0], "crash."+string(table.Record))
	if rows != distinct || int64(rows) != v["# records"] {
		t.Errorf("kcat reads %d messages of record, %d of them different, and SQL %d", rows, distinct, v["# records"])
	}
	fmt.Printf("  %d records and %d typed rows in the topics, each once, by audit and kcat\n", rows, r.Topics.sum(func(i int) int64 { return r.Topics.Logs[i].TypedFound }))
}

// topicsPlan kills the engine at each step of publishing, at random moments, and
// pauses it for longer than the broker lets a transaction be open.
func topicsPlan(rng *rand.Rand) []life {
	var plan []life
	for _, name := range []string{"c4.after-swap", "c5.before-publish", "c5.after-rename", "c5.after-publish", "release.before"} {
		plan = append(plan, life{point: name, count: 1 + rng.IntN(3)})
	}
	for range 5 {
		plan = append(plan, life{after: between(rng, 300*time.Millisecond, 3*time.Second)})
	}
	for range 2 {
		plan = append(plan, life{after: between(rng, time.Second, 3*time.Second), paused: topicTimeout + 2*time.Second})
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}

// brokerTrouble kills the broker and starts it again, and pauses it, until the
// engine's plan is carried out.
func brokerTrouble(t *testing.T, c *kafkatest.Cluster, seed uint64, done, failed <-chan struct{}) {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := c.Broker(0)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case <-done:
		case <-failed:
		}
	}()
	kills, pauses := 0, 0
	for pause(stop, between(rng, 4*time.Second, 8*time.Second)) {
		if kills <= pauses {
			kills++
			b.Kill()
			pause(stop, between(rng, 0, time.Second))
			if err := b.Start(); err != nil {
				t.Error(err)
				return
			}
			continue
		}
		pauses++
		if err := b.Pause(); err != nil {
			t.Error(err)
			return
		}
		pause(stop, between(rng, time.Second, 2*time.Second))
		if err := b.Resume(); err != nil {
			t.Error(err)
			return
		}
	}
	fmt.Printf("  broker   %d kills, %d pauses\n", kills, pauses)
}

// countWithKcat reads a topic with isolation.level read_committed and counts
// messages, and how many have a lineage of their own.
func countWithKcat(t *testing.T, kcat, broker, topic string) (rows, distinct int) {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), kcat, "-C", "-b", broker, "-t", topic, "-o", "beginning", "-e", "-q", "-X", "isolation.level=read_committed", "-f", "%h\n")
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("kcat: %v", err)
	}
	seen := make(map[string]bool)
	lines := bufio.NewScanner(out)
	for ; lines.Scan(); rows++ {
		var lineage []string
		for _, h := range strings.Split(lines.Text(), ",") {
			if strings.HasPrefix(h, "_gateway=") || strings.HasPrefix(h, "_log=") || strings.HasPrefix(h, "_offset=") {
				lineage = append(lineage, h)
			}
		}
		if len(lineage) != 3 {
			t.Fatalf("kcat reads headers %q", lines.Text())
		}
		seen[strings.Join(lineage, ",")] = true
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		t.Fatalf("kcat: %v\n%s", err, errs.String())
	}
	return rows, len(seen)
}
