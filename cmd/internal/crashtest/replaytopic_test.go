//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/engine/landing/kafkatest"
)

// TestReplayIntoATopicSurvivesKills replays files into a real topic, killed
// before and after appends and at random moments, while the engine that reads
// it is killed, and the broker. A replay that ends by itself has everything
// published, once; run again it adds nothing.
func TestReplayIntoATopicSurvivesKills(t *testing.T) {
	start := seed(t)
	rng := rand.New(rand.NewPCG(start, 11))
	dir := workdir(t)
	brokers := kafkatest.New(t, 1)
	c := newCloud(t, dir, dir)
	writeText(t, c.config, fmt.Sprintf("roles: [tasks]\nlanding:\n  reserve: 4MiB\n  kafka: {brokers: [%s], topic: landing, partitions: 2, replication: 1, session_timeout: 6s}\n"+
		"lake: {dir: %s}\nepoch: {interval: 200ms}\ndrain_timeout: 10s\n", brokers.Addrs()[0], c.lake))
	engine := c.program.begin(t)
	var trouble sync.WaitGroup
	stop := make(chan struct{})
	trouble.Go(func() {
		if !pause(stop, 2*time.Second) {
			return
		}
		engine.kill()
		engine = c.program.begin(t)
		if !pause(stop, 2*time.Second) {
			return
		}
		brokers.Broker(0).Kill()
		if err := errors.Join(brokers.Broker(0).Start(), brokers.Ready(t.Context(), 1)); err != nil {
			t.Error(err)
		}
	})
	plan := replayTopicPlan(rng)
	p := program{name: "replay", path: binaries(t).engine, dir: dir}
	hits := histogram{}
	for n := start; len(plan) > 0; n++ {
		p.args = []string{"replay", recording(t, dir, n), "--config", c.config, "--gateway", recordedGateway, "--base-time", "2026-01-01T00:00:00Z"}
		v := newSupervisor(p, roleEngine, nil, func() bool { return true })
		plan = replayUnderKills(t, v, plan)
		hits.count(v)
	}
	trouble.Wait()
	close(stop)
	fmt.Print(hits)
	for _, name := range []string{"c2.before-append", "c2.after-append"} {
		if hits[name] == nil {
			t.Errorf("failpoint %s was never reached", name)
		}
	}
	// What the last replay waited for is there while the engine runs on.
	v := evidence{t: t, dir: dir, lake: c.lake}.judge("two first logs of a gateway")
	before := published(t, c.lake)
	if code, stdout, stderr := command(t, p.path, p.args...); code != 0 || !strings.Contains(stdout, "nothing added") {
		t.Errorf("the same again: exit code %d\n%s%s", code, stdout, stderr)
	}
	engine.finish(t)
	if after := published(t, c.lake); !slices.Equal(before, after) {
		t.Errorf("the lake changed after the last replay had ended:\n%s\nwas\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	if code, stdout, stderr := command(t, p.path, "audit", "--lake", filepath.Join(dir, "lake")); code != 0 {
		t.Errorf("audit: exit code %d\n%s%s", code, stdout, stderr)
	}
	fmt.Printf("  %d records by SQL, each once\n", v["# records"])
}

// replayTopicPlan kills at both sides of an append, so early that there is one
// left each time, and then at random moments.
func replayTopicPlan(rng *rand.Rand) []life {
	var plan []life
	for range 2 {
		for _, name := range []string{"c2.before-append", "c2.after-append"} {
			plan = append(plan, life{point: name, count: 1 + rng.IntN(3)})
		}
	}
	for range 3 {
		plan = append(plan, life{after: between(rng, 200*time.Millisecond, 2*time.Second)})
	}
	return plan
}
