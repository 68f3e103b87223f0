package move

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"landfall/engine/landing"
	"landfall/engine/landing/kafkatest"
)

// cutter cuts the ends of several trials' topics at one time: for each the broker is
// killed and started again.
type cutter struct {
	cluster *kafkatest.Cluster

	mu     sync.Mutex
	come   sync.Cond
	due    int               // trials that have not come; guarded by mu
	topics map[string]*plant // to be cut; guarded by mu
	err    error             // guarded by mu
}

// newCutter waits for a number of trials.
func newCutter(cluster *kafkatest.Cluster, trials int) *cutter {
	c := &cutter{cluster: cluster, due: trials, topics: map[string]*plant{}}
	c.come.L = &c.mu
	return c
}

// trial returns the harm of one trial, and what is called when that has ended.
func (c *cutter) trial() (do func(p *plant, dir, older string), ended func()) {
	var once sync.Once
	return func(p *plant, _, _ string) {
		once.Do(func() { c.arrive(p) })
		c.mu.Lock()
		defer c.mu.Unlock()
		for c.due > 0 {
			c.come.Wait()
		}
		if c.err != nil {
			p.t.Fatal(c.err)
		}
	}, func() { once.Do(func() { c.arrive(nil) }) }
}

// arrive says that a trial has come so far, or has failed before (nil); the last one
// cuts.
func (c *cutter) arrive(p *plant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p != nil {
		c.topics[p.is.Place] = p
	}
	if c.due--; c.due == 0 {
		c.err = c.cut()
		c.come.Broadcast()
	}
}

// cut makes the broker lose the end of each topic in which the gateway's blocks lie: at
// least one batch, at most all that were not deleted. The caller holds mu.
func (c *cutter) cut() error {
	b := c.cluster.Broker(0)
	b.Kill()
	for topic, p := range c.topics {
		partition := landing.Partition("g", p.is.Partitions)
		n, err := b.Batches(topic, partition)
		if err == nil {
			err = b.CutLog(topic, partition, min(n, 1+p.rng.IntN(max(n, 1))))
		}
		if err != nil {
			return fmt.Errorf("cut topic %s: %w", topic, err)
		}
	}
	if err := b.Start(); err != nil {
		return err
	}
	return c.cluster.Ready(context.Background(), 1)
}

// TestATopicThatLostItsEndIsFilledAgain: a real broker confirms blocks and loses them,
// before they are read (C4), before they are published (C5) or after that, and the
// gateway goes on, is restarted, is silent or is offline meanwhile. What the trials of
// TestDamagedLandingIsFilledAgain demand holds.
func TestATopicThatLostItsEndIsFilledAgain(t *testing.T) {
	cluster, seeds := kafkatest.New(t, 1), uint64(1)
	if os.Getenv("LANDFALL_SOAK") == "1" {
		seeds = 9
	}
	for seed := range seeds {
		c := newCutter(cluster, len(moments)*len(gateways))
		var trials []*trial
		for at := range moments {
			for k, gateway := range gateways {
				do, ended := c.trial()
				trials = append(trials, &trial{
					harm:   harm{name: "a topic that lost its end", kafka: true, do: do},
					moment: at, gateway: gateway, engines: engines[(at+k+int(seed))%len(engines)], seed: seed,
					brokers: cluster.Addrs(), ended: ended,
				})
			}
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { tryAll(t, trials) })
	}
}
