// Package kafkatest runs real Apache Kafka for tests, benchmarks and the scale
// demo: one broker or several, each a process of its own in KRaft mode on
// loopback ports, which can be killed, started again and paused.
//
// In:  the jars, from Maven Central, fetched once into the user's cache.
// Out: addresses for a client.
//
// Invariants
//
//  1. Broker n keeps its ports and its directory over Kill and Start, so
//     whoever knew it finds it again with what it had written.
//  2. No broker outlives the process that started it.
//  3. Where Java, Maven or the jars are missing a test is skipped with the
//     reason, and fails when CI=true.
//
// Nothing the engine ships imports it. A Cluster may be used from many
// goroutines, except that Kill, Pause, Resume and Start of one Broker exclude
// one another.
package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says what runs.
type Config struct {
	// Dir takes a directory a broker; required, made if absent.
	Dir string
	// Brokers is how many; 0: one.
	Brokers int
	// Settings are added to server.properties of every broker, over what this
	// package sets; see properties.
	Settings map[string]string
	// Secure adds a listener with TLS and SASL to every broker; nil: none.
	Secure *Secure
	// HeapMiB bounds each broker's heap; 0: 256.
	HeapMiB int
}

// Cluster is a set of running brokers.
type Cluster struct {
	brokers []*Broker
}

// startTimeout is how long brokers may take to find each other.
const startTimeout = 2 * time.Minute

// Start runs a cluster and waits until every broker is known to it. Errors:
// ErrMissing when something it needs cannot be had.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	tools, err := find(ctx)
	if err != nil {
		return nil, err
	}
	n := max(cfg.Brokers, 1)
	ports, err := freePorts(3 * n)
	if err != nil {
		return nil, err
	}
	c := &Cluster{}
	for i := range n {
		c.brokers = append(c.brokers, &Broker{
			tools: tools, id: i + 1, dir: filepath.Join(cfg.Dir, fmt.Sprintf("broker-%d", i+1)),
			port: ports[3*i], controller: ports[3*i+1], secure: ports[3*i+2], heapMiB: cmp.Or(cfg.HeapMiB, 256),
		})
	}
	for _, b := range c.brokers {
		if err := errors.Join(b.format(c.properties(b, cfg)), b.start()); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.Ready(ctx, n); err != nil {
		return nil, errors.Join(err, c.said(), c.Close())
	}
	return c, nil
}

// New starts n brokers for a test, which ends them. settings are pairs of key
// and value for Config.Settings.
func New(t testing.TB, n int, settings ...string) *Cluster {
	t.Helper()
	more := map[string]string{}
	for i := 0; i+1 < len(settings); i += 2 {
		more[settings[i]] = settings[i+1]
	}
	return NewWith(t, Config{Dir: t.TempDir(), Brokers: n, Settings: more})
}

// NewWith starts brokers as a Config says for a test, which ends them.
func NewWith(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	need(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.said())
		}
		if err := c.Close(); err != nil {
			t.Errorf("end Kafka: %v", err)
		}
	})
	return c
}

// need skips the test, or fails it, where brokers could not be started.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skipf("no Kafka to test against: %v", err)
	case err != nil:
		t.Fatalf("start Kafka: %v", err)
	}
}

// Addrs gives host:port of every broker, running or not.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, b := range c.brokers {
		addrs = append(addrs, b.Addr())
	}
	return addrs
}

// Broker gives one of them; its node id is i+1.
func (c *Cluster) Broker(i int) *Broker { return c.brokers[i] }

// Ready waits until the cluster knows n running brokers.
func (c *Cluster) Ready(ctx context.Context, n int) error {
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		return fmt.Errorf("wait for Kafka: %w", err)
	}
	defer client.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := brokersKnown(ctx, client)
		if err == nil && found == n {
			return nil
		}
		if dead := c.dead(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d brokers, %d seen: %w", n, found, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// Options make a client of the cluster that gives a paused or killed broker up
// after a second or two, where the defaults wait for tens of them.
func (c *Cluster) Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.Addrs()...), kgo.DialTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second),
		kgo.ProduceRequestTimeout(time.Second), kgo.FetchMaxWait(time.Second), kgo.MetadataMinAge(100 * time.Millisecond),
	}
}

// dead tells of a broker that ended by itself.
func (c *Cluster) dead() error {
	for _, b := range c.brokers {
		if err := b.endedByItself(); err != nil {
			return fmt.Errorf("broker %d: %w", b.id, err)
		}
	}
	return nil
}

// said is what the brokers logged last, as an error for tests to show.
func (c *Cluster) said() error {
	var errs []error
	for _, b := range c.brokers {
		errs = append(errs, fmt.Errorf("broker %d said: %s", b.id, b.output.String()))
	}
	return errors.Join(errs...)
}

// Close kills every broker. Their directories stay.
func (c *Cluster) Close() error {
	var all sync.WaitGroup
	for _, b := range c.brokers {
		all.Go(b.Kill)
	}
	all.Wait()
	return nil
}
