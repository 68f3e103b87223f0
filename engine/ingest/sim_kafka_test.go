package ingest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
	"landfall/engine/stream"
)

// kafkaCloud is the landing log on Kafka, opened once by each ingest, with a
// network to the broker that holds requests back: the producer waits, is given
// up and replaced, and what it had sent arrives long after, behind what its
// successor landed.
type kafkaCloud struct {
	t      *testing.T
	rnd    *rand.Rand
	broker *kfake.Cluster
	cfg    kafka.Config
	net    *lateNet
	views  []*kafkaView

	reader landing.Reader
	read   []landing.Landed
}

// kafkaView is one ingest's: forgetting is a restart.
type kafkaView struct {
	landing.Log // replaced by a restart
	c           *kafkaCloud
}

func newKafkaCloud(t *testing.T, rnd *rand.Rand) simCloud {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	c := &kafkaCloud{t: t, rnd: rnd, broker: broker, net: &lateNet{}}
	c.cfg = kafka.Config{
		Brokers: broker.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1, DeliveryTimeout: time.Minute,
		Client: []kgo.Opt{kgo.Dialer(c.net.dial), kgo.MetadataMinAge(10 * time.Millisecond)},
	}
	for range 2 {
		c.views = append(c.views, &kafkaView{Log: c.open(), c: c})
	}
	if c.reader, err = c.views[0].Reader(0, stream.Position{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.net.release)
	return c
}

func (c *kafkaCloud) open() *kafka.Log {
	l, err := kafka.Open(c.t.Context(), c.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = l.Close() })
	return l
}

// Append implements landing.Log. Now and then what it sends is held back, or
// what was held back arrives.
func (v *kafkaView) Append(ctx context.Context, l landing.Landed) error {
	switch v.c.rnd.IntN(12) {
	case 0:
		v.c.net.hold(true)
		defer v.c.net.hold(false)
		short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		err := v.Log.Append(short, l)
		if err == nil {
			v.c.t.Error("a promise was kept over a network that holds everything back")
		}
		return err
	case 1:
		v.c.net.release()
	}
	return v.Log.Append(ctx, l)
}

func (c *kafkaCloud) ingest(i int) landing.Log { return c.views[i] }

func (c *kafkaCloud) forget() { c.views[1].Log = c.open() }

func (c *kafkaCloud) calm() {
	c.net.release()
	for _, v := range c.views {
		v.c.rnd = rand.New(never{})
	}
}

// landed reads up to where the broker says the partition ends.
func (c *kafkaCloud) landed() []landing.Landed {
	for end := c.broker.PartitionInfo("landing", 0).HighWatermark; int64(len(c.read)) < end; {
		l, _, err := c.reader.Next(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		c.read = append(c.read, l)
	}
	return c.read
}

// never is a source of chance in which nothing that is one in many happens.
type never struct{}

// Uint64 implements rand.Source.
func (never) Uint64() uint64 { return 1<<64 - 1 }

// lateNet dials connections whose Produce requests can be held back. What a
// client wrote to one of these arrives at release, also when the client gave it
// up.
type lateNet struct {
	mu      sync.Mutex
	holding bool
	held    []*lateConn
}

type lateConn struct {
	net.Conn
	n      *lateNet
	buf    []byte // guarded by n.mu
	closed bool   // guarded by n.mu
}

var errHeld = errors.New("held back for the test")

func (n *lateNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lateConn{Conn: c, n: n}, nil
}

func (n *lateNet) hold(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holding = on
}

// Write implements net.Conn.
func (c *lateConn) Write(p []byte) (int, error) {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	if c.closed {
		return 0, errHeld
	}
	produce := len(p) >= 6 && p[4] == 0 && p[5] == 0 // after the length, the request's key
	if c.buf == nil && !(c.n.holding && produce) {
		return c.Conn.Write(p)
	}
	if c.buf == nil {
		c.n.held = append(c.n.held, c)
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

// Close implements net.Conn: what is held keeps the connection to the broker.
func (c *lateConn) Close() error {
	c.n.mu.Lock()
	defer c.n.mu.Unlock()
	c.closed = true
	if c.buf != nil {
		return c.SetReadDeadline(time.Unix(1, 0)) // whoever reads stops
	}
	return c.Conn.Close()
}

// release lets everything arrive that was held back.
func (n *lateNet) release() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.held {
		_, _ = c.Conn.Write(c.buf)
		c.buf = nil
		if c.closed {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = c.Read(make([]byte, 1<<10)) // the answer that nobody waits for: it has arrived
			_ = c.Conn.Close()
		}
	}
	n.held = nil
}

// TestSimulationOnKafka is the argument of engine/landing/kafka's documentation
// under chance.
func TestSimulationOnKafka(t *testing.T) { simulate(t, 4, newKafkaCloud) }
