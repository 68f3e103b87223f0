package kafka

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/landingtest"
)

// topics makes every test of a cluster a topic of its own.
var topics atomic.Int64

func freshTopic() string { return fmt.Sprintf("landing-%d", topics.Add(1)) }

// opener opens one new topic again and again.
func opener(addrs []string, p int) landingtest.Opener {
	cfg := Config{Brokers: addrs, Topic: freshTopic(), Partitions: p, Replication: 1, Lake: lakeOf}
	return func() (landingtest.Closable, error) { return Open(context.Background(), cfg) }
}

// fake gives the addresses of an in-process Kafka.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// shared is the real broker of the tests that need no more than a topic.
var shared kafkatest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Close()
	os.Exit(code)
}

func TestConformanceOnFake(t *testing.T) {
	addrs := fake(t).ListenAddrs()
	landingtest.Run(t, func(_ *testing.T, p int) landingtest.Opener { return opener(addrs, p) })
}

func TestConformanceOnKafka(t *testing.T) {
	addrs := shared.Cluster(t).Addrs()
	landingtest.Run(t, func(_ *testing.T, p int) landingtest.Opener { return opener(addrs, p) })
}
