package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/sinktest"
)

var errInjected = errors.New("injected fault")

// network counts the requests that clients send, and lets one of them fail, get
// no answer, or be the machine's last.
type network struct {
	mu     sync.Mutex
	n      int // requests since arm
	at     int // the one that meets fault; 0: none
	fault  sinktest.Fault
	before map[int]func()
	dead   bool
	conns  map[*faultConn]bool
	died   func()
}

func (n *network) arm(at int, f sinktest.Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.n, n.at, n.fault, n.before = 0, at, f, nil
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.n
}

// next gives what the next request meets, and calls what is to come before it.
func (n *network) next() (f sinktest.Fault, hit bool) {
	n.mu.Lock()
	n.n++
	do := n.before[n.n]
	hit, f = n.n == n.at, n.fault
	n.mu.Unlock()
	if do != nil {
		do()
	}
	return f, hit
}

// kill ends every connection and lets none be made.
func (n *network) kill() {
	n.mu.Lock()
	n.dead = true
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	n.died()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

func (n *network) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead {
		return nil, errInjected
	}
	c, err := new(net.Dialer).DialContext(ctx, proto, address)
	if err != nil {
		return nil, err
	}
	f := &faultConn{Conn: c, net: n, lost: -1}
	if n.conns == nil {
		n.conns = make(map[*faultConn]bool)
	}
	n.conns[f] = true
	return f, nil
}

// faultConn is one connection: requests out, answers in, in the same order.
type faultConn struct {
	net.Conn
	net  *network
	mu   sync.Mutex
	sent int // requests; guarded by mu
	lost int // the request whose answer is the connection's last; -1: none
	kill bool

	out      int // bytes still to come of the request being written
	answers  int // whole answers read
	in       []byte
	buffered []byte
}

// Write implements net.Conn.
func (c *faultConn) Write(p []byte) (int, error) {
	if c.out > 0 { // the rest of a request
		n, err := c.Conn.Write(p)
		c.out -= n
		return n, err
	}
	f, hit := c.net.next()
	if hit && f == sinktest.KilledBefore {
		c.net.kill()
		return 0, errInjected
	}
	if hit && f == sinktest.Failed {
		_ = c.Conn.Close()
		return 0, errInjected
	}
	c.mu.Lock()
	if hit {
		c.lost, c.kill = c.sent, f == sinktest.KilledAfter
	}
	c.sent++
	c.mu.Unlock()
	size := 4 + int(binary.BigEndian.Uint32(p))
	n, err := c.Conn.Write(p)
	c.out = size - n
	return n, err
}

// Read implements net.Conn. It reads whole answers, so that one can be lost
// when it is known to have been given.
func (c *faultConn) Read(p []byte) (int, error) {
	for len(c.buffered) == 0 {
		var head [4]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return 0, err
		}
		c.in = append(c.in[:0], head[:]...)
		c.in = append(c.in, make([]byte, binary.BigEndian.Uint32(head[:]))...)
		if _, err := io.ReadFull(c.Conn, c.in[4:]); err != nil {
			return 0, err
		}
		c.mu.Lock()
		lost, kill := c.lost == c.answers, c.kill
		c.mu.Unlock()
		c.answers++
		if lost {
			if kill {
				c.net.kill()
			}
			_ = c.Conn.Close()
			return 0, errInjected
		}
		c.buffered = c.in
	}
	n := copy(p, c.buffered)
	c.buffered = c.buffered[n:]
	return n, nil
}

// world is a lake on a file system that fails and loses power, and a cluster
// that does not, behind a network that does.
type world struct {
	fs      *faultfs.FS
	brokers []string
	prefix  string
	net     *network
	files   *int // operations on files of a run without faults, once known

	mu    sync.Mutex
	sinks []*Sink
}

var worlds atomic.Int64

func newWorld(brokers []string, files *int) *world {
	w := &world{fs: faultfs.New(), brokers: brokers, prefix: fmt.Sprintf("w%d-%d.", time.Now().UnixNano(), worlds.Add(1)), files: files}
	w.net = &network{died: w.die}
	return w
}

// die ends what the processes of the machine do.
func (w *world) die() {
	w.fs.Script(faultfs.Fault{On: faultfs.OpAny, N: 1, Mode: faultfs.CrashBefore})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sinks {
		_ = s.Close()
	}
}

func (w *world) lake(t testing.TB) object.Files {
	files, err := object.OpenLake(w.fs, "/lake")
	for range 3 { // the fault may meet the opening; a process would start again
		if err == nil || w.fs.Crashed() {
			break
		}
		files, err = object.OpenLake(w.fs, "/lake")
	}
	if err != nil && !w.fs.Crashed() {
		t.Fatal(err)
	}
	return files
}

func (w *world) config(files object.Files) Config {
	return Config{
		Files: files, Brokers: w.brokers, Prefix: w.prefix, Partitions: 2,
		Client: []kgo.Opt{
			kgo.Dialer(w.net.dial), kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }), kgo.MetadataMinAge(10 * time.Millisecond),
		},
	}
}

func (w *world) Start(t testing.TB) stream.Sink {
	files := w.lake(t)
	if w.fs.Crashed() {
		w.Revive(0)
		files = w.lake(t)
	}
	s, err := New(w.config(files))
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sinks = append(w.sinks, s)
	return s
}

// Arm numbers the operations on files first, then those on the network: each
// kind meets its faults in the order in which it is used.
func (w *world) Arm(n int, f sinktest.Fault) {
	w.fs.Script()
	w.net.arm(0, f)
	switch {
	case n == 0:
	case n <= *w.files:
		mode := [...]faultfs.Mode{faultfs.FailNotStored, faultfs.FailStored, faultfs.CrashBefore, faultfs.CrashAfter}[f]
		w.fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: mode})
	default:
		w.net.arm(n-*w.files, f)
	}
}

func (w *world) Before(n int, do func()) {
	if n <= *w.files {
		w.fs.Pause(faultfs.OpMutating, n, do)
		return
	}
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.net.before = map[int]func(){n - *w.files: do}
}

func (w *world) Ops() int {
	*w.files = w.fs.Count(faultfs.OpMutating)
	return *w.files + w.net.count()
}

func (w *world) Dead() bool {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	return w.net.dead || w.fs.Crashed()
}

func (w *world) Revive(seed int) {
	losses := faultfs.Losses()
	w.fs.Crash(losses[seed%len(losses)], uint64(seed))
	w.net.mu.Lock()
	w.net.dead = false
	w.net.mu.Unlock()
	w.fs.Script()
}

func (w *world) Whole() bool { return true }

// Damage implements sinktest.World.
func (w *world) Damage(t testing.TB, staged stream.Staged) bool {
	path := "/lake/" + staged.Name
	data, err := durable.ReadFile(w.fs, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.fs.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return true
}

func (w *world) Staged(t testing.TB) []string {
	var all []string
	for _, folder := range []string{stagingRoot + "/", "_staging/"} {
		names, err := w.lake(t).List(context.Background(), folder)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	return all
}

func (w *world) Visible(t testing.TB, of table.Name) []record.Offset {
	var all []record.Offset
	for _, r := range committed(t, w.brokers, w.prefix+string(of)) {
		for _, h := range r.Headers {
			if h.Key == "_offset" {
				n, err := strconv.ParseUint(string(h.Value), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, record.Offset(n))
			}
		}
	}
	return all
}

// committed gives what a reader of committed messages sees in a topic.
func committed(t testing.TB, brokers []string, topic string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s up to %v: %v", topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}

// fake starts an in-process cluster.
func fake(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, []string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()
}

// loseAnswer is a network on which the first answer to requests of a kind is
// lost, after the broker gave it.
type loseAnswer struct {
	key  int16
	hits atomic.Int64
}

func (l *loseAnswer) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, proto, address)
	if err != nil {
		return nil, err
	}
	return &loseConn{faultConn: &faultConn{Conn: c, net: &network{}, lost: -1}, of: l}, nil
}

type loseConn struct {
	*faultConn
	of *loseAnswer
}

// Write implements net.Conn.
func (c *loseConn) Write(p []byte) (int, error) {
	if c.out == 0 && len(p) >= 6 && int16(binary.BigEndian.Uint16(p[4:])) == c.of.key && c.of.hits.Add(1) == 1 {
		c.mu.Lock()
		c.lost = c.sent
		c.mu.Unlock()
	}
	return c.faultConn.Write(p)
}
