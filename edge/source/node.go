package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.bug.st/serial"

	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
)

// NodeConfig configures a Node.
type NodeConfig struct {
	Options
	// Device is the port's path, required; /dev/serial/by-id names survive
	// another port number, by-path names another adapter.
	Device string
	Baud   int // bits per second; 0: 115200
	// Open opens a port; nil: serial.Open.
	Open func(device string, mode *serial.Mode) (serial.Port, error)
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *NodeConfig) Validate() error {
	s := SerialConfig{Options: c.Options, Device: c.Device, Baud: c.Baud}
	return s.Validate()
}

// Node takes the readings of the sensor node (firmware/) at the other end of a
// serial line, 8N1. The node keeps each until it is acknowledged, which happens
// after C1. What it sends again is known by its number and its content: each
// node has a mark named /node-<number>/<format id>, in the form of nodeHistory, in
// the block that holds its newest reading.
//
// Each reading is a report of readings (decoders/sensor): one row with metric
// "sequence", and one a value. Numbers that the node has to give up become a
// report with the metrics "lost_first" and "lost_last", those that another
// gateway took one with "elsewhere_first" and "elsewhere_last". A number that
// comes again with another content is kept as a record with the reason
// sequence_conflict, and counted.
type Node struct {
	meter
	cfg      NodeConfig
	nodes    *Nodes
	decoders nodeDecoders
}

// Nodes is what a gateway knows of nodes, one for all its lines: see Share. The
// zero value is ready.
type Nodes struct {
	turn  sync.Mutex            // held by a line from judging readings to delivering them
	known map[nodeID]*nodeState // guarded by turn
	names map[string]bool       // marks of known, and of nodes before this start; nil: not read yet; guarded by turn
}

// nodeState is what is known of one node, across its sessions.
type nodeState struct {
	history nodeHistory   // as of what was delivered; guarded by Nodes.turn
	doubt   nodeDoubt     // guarded by Nodes.turn
	durable atomic.Uint64 // highest number after C1
}

// NewNode makes a Node. Error: ErrConfig.
func NewNode(cfg NodeConfig) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Baud == 0 {
		cfg.Baud = 115200
	}
	if cfg.Open == nil {
		cfg.Open = serial.Open
	}
	n := &Node{cfg: cfg, nodes: new(Nodes), decoders: ownDecoders()}
	n.init(&n.cfg.Options, "node", true)
	return n, nil
}

// Share gives it what other lines of the gateway know of nodes, so that a node may
// be moved from one to another. It is called before Run.
func (n *Node) Share(nodes *Nodes) { n.nodes = nodes }

// Run reads until ctx ends. It returns nil.
func (n *Node) Run(ctx context.Context, sink Sink) error {
	defer n.set(StateStopped, "")
	retry := backoff{limit: serialBackoff}
	for ctx.Err() == nil {
		port, err := openPort(n.cfg.Open, n.cfg.Device, n.cfg.Baud)
		if err == nil {
			before := n.bytes.Load()
			n.connected(n.cfg.Device + ", waiting for a node")
			err = n.line(ctx, port, sink)
			n.disconnected()
			if n.bytes.Load() > before {
				retry.reset()
			}
		}
		if errors.Is(err, errStopped) || ctx.Err() != nil {
			return nil
		}
		n.fault(StateAbsent, fmt.Errorf("serial port %s: %w%s", n.cfg.Device, err, serialHint(err)))
		retry.wait(ctx)
	}
	return nil
}

// The times of a line.
const (
	whoEvery  = 2 * time.Second  // while nobody said who is there
	whoSilent = time.Minute      // when a node that is known is silent
	timeEvery = 10 * time.Minute // the node's clock is set
)

// line plays one open port to its end and closes it.
func (n *Node) line(ctx context.Context, port serial.Port, sink Sink) error {
	w := newNodeWriter(port, n.o.Clock)
	defer w.close()
	s := &nodeSession{decoders: n.decoders, open: func(id nodeID) (*nodeState, error) { return n.nodes.open(id, sink) }}
	var r nodeReader
	_, askedAt := n.o.Clock.Now() // when WHO was sent last, monotonic
	w.send(whoFrame())
	timedAt := askedAt // when the time was told last; WELCOME tells it, too
	buf := make([]byte, 4<<10)
	for {
		got, err := port.Read(buf)
		wall, mono := n.o.Clock.Now()
		if got > 0 {
			n.received(got, wall)
			w.heard.Store(mono)
			if err := n.heard(buf[:got], s, &r, w, sink, wall, mono); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if s.state == nil && mono-askedAt >= whoEvery.Microseconds() ||
			s.state != nil && mono-max(askedAt, w.heard.Load()) >= whoSilent.Microseconds() {
			askedAt = mono
			w.send(whoFrame())
		}
		if s.state != nil && mono-timedAt >= timeEvery.Microseconds() {
			timedAt = mono
			w.send(timeFrame(s.hello.id.tag(), wall))
		}
	}
}

// heard takes what was read.
func (n *Node) heard(p []byte, s *nodeSession, r *nodeReader, w *nodeWriter, sink Sink, wall record.Micros, mono int64) error {
	n.nodes.turn.Lock()
	defer n.nodes.turn.Unlock()
	var failed error
	r.feed(p, func(body []byte) {
		if body[0] == frameHello { // what was taken before belongs to the session before
			failed = errors.Join(failed, n.carryOut(s, r, w, sink, wall, mono))
		}
		node := ""
		if s.state != nil {
			node = s.hello.id.String()
		}
		if !n.o.Care.Read(node, body, func() {
			failpoint.Content(body)
			s.take(body, wall, mono)
		}) {
			s.refuse(body, wall, mono)
		}
	})
	return errors.Join(failed, n.carryOut(s, r, w, sink, wall, mono))
}

// carryOut does what the session has decided: delivers, then sends.
func (n *Node) carryOut(s *nodeSession, r *nodeReader, w *nodeWriter, sink Sink, wall record.Micros, mono int64) error {
	n.account(s, r)
	for _, frame := range s.out {
		w.send(frame)
	}
	s.out = s.out[:0]
	if !s.covered && len(s.lines) == 0 {
		return nil
	}
	state, tag, through, high := s.state, s.hello.id.tag(), s.expected-1, s.state.history.high
	b := &Batch{Stream: s.hello.id.String(), ReceivedAt: wall, Monotonic: mono, Lines: s.lines, Sync: true}
	b.Mark, b.Position = nodeMark(s.hello.id), state.history.encode()
	b.Durable = func() {
		state.durable.Store(high)
		w.acknowledge(tag, through)
	}
	s.lines, s.covered = nil, false
	n.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	return nil
}

// account counts what the session has seen and shows it.
func (n *Node) account(s *nodeSession, r *nodeReader) {
	n.duplicates.Add(s.duplicates)
	n.lost.Add(s.lost)
	n.conflicts.Add(s.conflicts)
	n.rejected.Add(s.rejected)
	n.errors.Add(s.errors + uint64(r.noise))
	n.moved.Add(s.moved)
	n.possiblyTwice.Add(s.twice)
	if s.conflicts > 0 {
		n.log(slog.LevelError, "readings contradict what was taken under their numbers: the node's flash was set back, or two nodes have one identity",
			"node", s.hello.id, "readings", s.conflicts)
	}
	if s.moved > 0 {
		n.log(slog.LevelWarn, "the node spoke with another gateway before, or this one has lost its data: readings that were taken there without the node hearing of it come twice", "node", s.hello.id)
	}
	if s.lost > 0 {
		n.log(slog.LevelWarn, "the node lost readings before they could be taken", "node", s.hello.id, "readings", s.lost)
	}
	if s.panicked != "" {
		n.log(slog.LevelError, "a frame of a node made its decoder panic; a reading is captured without values", "node", s.hello.id, "panic", s.panicked)
	}
	switch {
	case s.problem != "":
		n.set(StateOpen, s.problem)
	case len(s.out) > 0 && s.state != nil:
		n.set(StateOpen, fmt.Sprintf("%s, %s, boot %d, %d samples missed, %d torn", n.cfg.Device, s.hello.id, s.hello.boot, s.hello.missed, s.hello.torn))
	}
	s.duplicates, s.lost, s.conflicts, s.rejected, s.errors, r.noise, s.problem = 0, 0, 0, 0, 0, 0, ""
	s.moved, s.twice, s.panicked = 0, 0, ""
}

// nodeMarkPrefix begins the marks of nodes. No source's name begins with '/'.
const nodeMarkPrefix = "/node-"

// nodeMark names a node's mark.
func nodeMark(id nodeID) string { return "/" + id.String() }

// open gives what is known of a node. Error: its mark in the log is of a newer
// version, or damaged, or it is one node too many.
func (n *Nodes) open(id nodeID, sink Sink) (*nodeState, error) {
	if s := n.known[id]; s != nil {
		return s, nil
	}
	if n.names == nil {
		n.names = map[string]bool{}
		for _, mark := range sink.Marks(nodeMarkPrefix) {
			n.names[mark] = true
		}
	}
	if !n.names[nodeMark(id)] && len(n.names) >= maxNodes {
		return nil, errNodes
	}
	h, err := decodeNodeHistory(sink.Position(nodeMark(id)))
	if err != nil {
		return nil, err
	}
	s := &nodeState{history: h}
	s.durable.Store(h.high)
	if n.known == nil {
		n.known = map[nodeID]*nodeState{}
	}
	n.known[id], n.names[nodeMark(id)] = s, true
	return s, nil
}
