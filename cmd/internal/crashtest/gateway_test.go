//go:build failpoint && linux

package crashtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"landfall/edge/agent"
)

// gateway is one edge under test with the stations that send to it.
type gateway struct {
	name    string
	dir     string // its data
	config  string // its configuration file
	status  string // address of its status
	program program
	senders []*sender
	acked   *ackedOutlet
	pty     *ptyOutlet

	stop    chan struct{} // closed: the senders end
	sending sync.WaitGroup
}

// edgeOptions are what scenarios vary in an edge's configuration.
type edgeOptions struct {
	log     string // the keys of log, each line indented by two blanks
	dataDir string // empty: under dir
}

// edgeLogOptions are for short lives: a segment is full within a second or so.
const edgeLogOptions = "  segment_size: 16KiB\n  quota: 256MiB\n  reserve: 1MiB\n  when_full: block\n"

// newGateway makes a gateway with the given kinds of source, each with a sender
// of perTick messages a tick. Nothing runs yet.
func newGateway(t *testing.T, dir, name, ingest string, seed uint64, perTick int, o edgeOptions, kinds ...string) *gateway {
	t.Helper()
	g := &gateway{
		name: name, dir: o.dataDir, config: filepath.Join(dir, name+".yaml"), status: freePort(t),
		stop: make(chan struct{}),
	}
	if g.dir == "" {
		g.dir = filepath.Join(dir, name)
	}
	makeDirs(t, g.dir)
	var y strings.Builder
	fmt.Fprintf(&y, "gateway: %s\ndata_dir: %s\nstatus: %s\ndrain_timeout: 2s\nlog:\n%s", name, g.dir, g.status, o.log)
	y.WriteString("capture:\n  group_interval: 20ms\n  group_size: 4KiB\n  fragment_limit: 1s\n")
	fmt.Fprintf(&y, "forward:\n  url: http://%s\n  linger: 100ms\n  retry_max: 1s\nsources:\n", ingest)
	for i, kind := range kinds {
		out, keys, err := g.outlet(t, dir, kind)
		if err != nil {
			t.Fatalf("sender %s of %s: %v", kind, name, err)
		}
		fmt.Fprintf(&y, "  - name: %s\n    %s\n", kind, keys)
		s, err := newSender(dir, name, kind, kind == "file" || kind == "acked", perTick, seed*100+uint64(i), out)
		if err != nil {
			t.Fatal(err)
		}
		g.senders = append(g.senders, s)
	}
	writeText(t, g.config, y.String())
	g.program = program{name: name, path: binaries(t).edge, args: []string{"run", "--config", g.config}, dir: dir}
	return g
}

// outlet makes a sender's end and the edge's configuration of the other.
func (g *gateway) outlet(t *testing.T, dir, kind string) (outlet, string, error) {
	switch kind {
	case "file":
		name := filepath.Join(dir, g.name+".nmea")
		o, err := newFileOutlet(name)
		return o, fmt.Sprintf("file: {path: %s, follow: true, poll_interval: 20ms}", name), err
	case "acked":
		addr := freePort(t)
		epoch := "" // both versions of the protocol are crashed
		if g.name == "gamma" {
			epoch = "life-1"
		}
		g.acked = newAckedOutlet(addr, "station-1", epoch, g.stop)
		return g.acked, fmt.Sprintf("acked: {listen: %q}", addr), nil
	case "tcpserver":
		addr := freePort(t)
		return &dialOutlet{addr: addr}, fmt.Sprintf("tcp_server: {listen: %q}", addr), nil
	case "tcpclient":
		o, err := newListenOutlet()
		if err != nil {
			return nil, "", err
		}
		return o, fmt.Sprintf("tcp_client: {address: %q}", o.l.Addr()), nil
	case "udp":
		addr := freePort(t)
		o, err := newUDPOutlet(addr)
		return o, fmt.Sprintf("udp: {listen: %q}", addr), err
	case "pty":
		o, err := newPtyOutlet()
		if err != nil {
			return nil, "", err
		}
		g.pty = o
		return o, fmt.Sprintf("serial: {device: %s}", o.name), nil
	}
	return nil, "", fmt.Errorf("no source of kind %s", kind)
}

// unheard returns how many of its records the gateway keeps because it has not heard
// that they are published; an error while it does not run.
func (g *gateway) unheard() (uint64, error) {
	r, err := http.Get("http://" + g.status + "/status")
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Body.Close() }()
	var s agent.Status
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		return 0, err
	}
	return s.Forward.Pending + s.Forward.Unpublished, nil
}

// begin starts the senders.
func (g *gateway) begin() {
	for _, s := range g.senders {
		g.sending.Go(func() { s.run(g.stop) })
	}
}

// end stops the senders; the acknowledged one goes on resending.
func (g *gateway) end(t *testing.T) {
	t.Helper()
	close(g.stop)
	g.sending.Wait()
	for _, s := range g.senders {
		if s.err != nil {
			t.Errorf("sender %s of %s: %v", s.source, g.name, s.err)
		}
	}
}

// release closes what outlives end, after the edge has ended.
func (g *gateway) release(t *testing.T) {
	t.Helper()
	if g.pty != nil {
		g.pty.release()
	}
	if g.acked != nil {
		if err := g.acked.release(); err != nil {
			t.Error(err)
		}
	}
}

// lastSent is when the newest line was sent, microseconds since 1970.
func (g *gateway) lastSent() int64 {
	var last int64
	for _, s := range g.senders {
		last = max(last, s.lastSent.Load())
	}
	return last
}
