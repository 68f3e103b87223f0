package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"landfall/decoders/sensor"
)

// wire is a line with a node at one end and a serial.Port at the other.
type wire struct {
	serial.Port // nil: what Node must not call panics
	mu          sync.Mutex
	in          []byte        // to the gateway; guarded by mu
	ready       chan struct{} // in has grown, or the port was pulled out
	gone        bool          // guarded by mu
	timeout     time.Duration
	out         nodeReader
	heard       [][]byte // bodies of the gateway's frames; guarded by mu
}

func newWire() *wire { return &wire{ready: make(chan struct{}, 1)} }

func (w *wire) SetReadTimeout(d time.Duration) error { w.timeout = d; return nil }
func (w *wire) ResetOutputBuffer() error             { return nil }
func (w *wire) Close() error                         { return nil }

func (w *wire) Read(p []byte) (int, error) {
	t := time.NewTimer(w.timeout)
	defer t.Stop()
	for {
		w.mu.Lock()
		n := copy(p, w.in)
		w.in = w.in[n:]
		gone := w.gone
		w.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if gone {
			return 0, io.ErrUnexpectedEOF
		}
		select {
		case <-w.ready:
		case <-t.C:
			return 0, nil
		}
	}
}

// Write takes half of what it is given: ports may be short without an error.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p = p[:(len(p)+1)/2]
	w.out.feed(p, func(b []byte) { w.heard = append(w.heard, bytes.Clone(b)) })
	return len(p), nil
}

func (w *wire) say(frames ...[]byte) {
	w.mu.Lock()
	w.in = append(w.in, bytes.Join(frames, nil)...)
	w.mu.Unlock()
	w.poke()
}

func (w *wire) poke() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// told gives what the gateway said since the last call, once all is still.
func (w *wire) told() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, b := range w.heard {
		text := fmt.Sprintf("%#x", b[0])
		switch b[0] {
		case frameWelcome:
			text = fmt.Sprintf("welcome %d", binary.LittleEndian.Uint64(b[7:]))
		case frameWho:
			text = "who"
		case frameAck, frameNak, frameTime:
			text = map[byte]string{frameAck: "ack", frameNak: "nak", frameTime: "time"}[b[0]]
			if b[0] != frameTime {
				text += fmt.Sprintf(" %d", binary.LittleEndian.Uint64(b[5:]))
			}
		}
		all = append(all, text)
	}
	w.heard = nil
	return strings.Join(all, ", ")
}

var testNode = nodeID{node: 0x2a, format: 0x1122334455667788}

func helloOf(id nodeID, last, acked uint64) []byte {
	b := append(nodeBody(frameHello, id.tag()), nodeVersion)
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, id.node), id.format)
	b = binary.LittleEndian.AppendUint32(b, 3)
	for _, n := range []uint64{last, acked, 1, 5_000_000} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return appendNodeFrame(nil, append(b, make([]byte, 12)...))
}

const testSchema = "temperature,Cel,-3\nlevel,m,1\n"

func schemaOf(id nodeID, text string) []byte {
	b := binary.LittleEndian.AppendUint16(nodeBody(frameSchema, id.tag()), schemaID([]byte(text)))
	return appendNodeFrame(nil, append(b, text...))
}

// readingOf gives reading n with a value; its time is a second after the one
// before.
func readingOf(id nodeID, n uint64, value int32) []byte {
	b := binary.LittleEndian.AppendUint64(nodeBody(frameReading, id.tag()), 1_700_000_000_000_000)
	b = binary.LittleEndian.AppendUint16(append(b, 2), schemaID([]byte(testSchema)))
	b = binary.LittleEndian.AppendUint64(b, n)
	b = binary.LittleEndian.AppendUint32(b, 3)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, n*1_000_000)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, uint32(value)), uint32(0x80000000))
	return appendNodeFrame(nil, b)
}

func startOf(id nodeID, n uint64) []byte { return numberFrame(frameStart, id.tag(), n) }

func lostOf(id nodeID, first, last uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nodeBody(frameLost, id.tag()), first)
	return appendNodeFrame(nil, append(binary.LittleEndian.AppendUint64(b, last), 1))
}

// holdingSink keeps batches; durable makes them so.
type holdingSink struct {
	*testSink
	settled int
}

// durable tells what was delivered since the last call that it is durable, and
// keeps its marks.
func (s *holdingSink) durable() {
	s.mu.Lock()
	all := s.batches[s.settled:]
	s.settled = len(s.batches)
	for _, b := range all {
		s.positions[b.Mark] = b.Position
	}
	s.mu.Unlock()
	for _, b := range all {
		b.Durable()
	}
}

// took gives what was delivered: the rows of each report, or its reason.
func (s *holdingSink) took(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, b := range s.batches {
		for _, l := range b.Lines {
			var r sensor.Report
			if err := r.Decode(l.Data, nil); err != nil || !l.Reading || r.Origin != sensor.OriginNode {
				t.Fatalf("%+v: %v", l, err)
			}
			var rows []string
			for _, g := range r.Readings {
				if g.Kind == sensor.Number {
					rows = append(rows, fmt.Sprintf("%s %v%s", g.Metric, g.Number, g.Unit))
				} else {
					rows = append(rows, fmt.Sprintf("%s %s", g.Metric, g.Quality))
				}
			}
			all = append(all, r.Reason+strings.Join(rows, " "))
		}
	}
	return strings.Join(all, "; ")
}

// onLine runs f with a Node on a wire.
func onLine(t *testing.T, marks map[string][]byte, f func(w *wire, sink *holdingSink, n *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sink := &holdingSink{testSink: newTestSink()}
		maps.Copy(sink.positions, marks)
		w, n, end := lineOf(t, "tank", new(Nodes), sink)
		f(w, sink, n)
		end()
	})
}

// lineOf runs a Node on a wire, as prepare made it, until end is called.
func lineOf(t *testing.T, name string, nodes *Nodes, sink Sink, prepare ...func(*Node)) (w *wire, n *Node, end func()) {
	t.Helper()
	w = newWire()
	opened := false
	n, err := NewNode(NodeConfig{Options: Options{Name: name, Clock: realClock{time.Now()}}, Device: "/dev/x", Open: func(string, *serial.Mode) (serial.Port, error) {
		if opened {
			return nil, errors.New("pulled out")
		}
		opened = true
		return w, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	n.Share(nodes)
	for _, p := range prepare {
		p(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, sink) }()
	return w, n, func() {
		cancel()
		w.poke()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestNodeMovesToAnotherLine: a node that is plugged into another port of its
// gateway before it heard an acknowledgement repeats nothing there.
func TestNodeMovesToAnotherLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, nodes := &holdingSink{testSink: newTestSink()}, new(Nodes)
		a, _, endA := lineOf(t, "a", nodes, sink)
		b, n, endB := lineOf(t, "b", nodes, sink)
		a.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2))
		a.expect(t, "who, welcome 0")
		b.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2), readingOf(testNode, 3, 3))
		b.expect(t, "who, welcome 0")
		sink.durable()
		b.expect(t, "ack 3")
		if got := sink.took(t); strings.Count(got, "sequence") != 3 || n.Status().Duplicates != 2 {
			t.Errorf("took %q", got)
		}
		endA()
		endB()
	})
}

// expect compares what the gateway said.
func (w *wire) expect(t *testing.T, want string) {
	t.Helper()
	if got := w.told(); got != want {
		t.Errorf("the gateway said %q, want %q", got, want)
	}
}

// TestNodeIsAcknowledgedAfterC1: a reading is acknowledged when it is durable and
// not before; the next session begins behind it.
func TestNodeIsAcknowledgedAfterC1(t *testing.T) {
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		<-time.After(time.Second)
		w.expect(t, "who")
		w.say(helloOf(testNode, 2, 0))
		w.expect(t, "welcome 0")
		w.say(startOf(testNode, 1), schemaOf(testNode, testSchema), readingOf(testNode, 1, 20500), readingOf(testNode, 2, -7))
		w.expect(t, "")
		sink.durable()
		w.expect(t, "ack 2")
		if got := sink.took(t); got != "sequence 1 temperature 20.5Cel level bad_timeout; sequence 2 temperature -0.007Cel level bad_timeout" {
			t.Errorf("took %q", got)
		}
		if b := sink.batches[0]; b.Mark != "/node-2a/1122334455667788" || !b.Sync || b.Lines[1].Time != 1_700_000_002_000_000 {
			t.Errorf("batch %+v", b)
		}
		w.say(helloOf(testNode, 2, 0))
		w.expect(t, "welcome 2")
		<-time.After(2 * time.Minute)
		w.expect(t, "who, who") // the node is silent
		<-time.After(9 * time.Minute)
		if got := w.told(); !strings.Contains(got, "time") {
			t.Errorf("no time was told: %s", got)
		}
	})
}

// TestNodeRepeats: what comes again is dropped and acknowledged when it is
// durable; a restart knows it by its mark. What contradicts is kept once.
func TestNodeRepeats(t *testing.T) {
	marks := map[string][]byte{}
	open := func(first uint64) [][]byte {
		return [][]byte{helloOf(testNode, 9, 0), startOf(testNode, first), schemaOf(testNode, testSchema)}
	}
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.say(append(open(1), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2), readingOf(testNode, 3, 3))...)
		w.expect(t, "who, welcome 0")
		w.say(readingOf(testNode, 3, 3))
		w.expect(t, "")
		sink.durable()
		w.expect(t, "ack 3")
		w.say(readingOf(testNode, 3, 3))
		synctest.Wait()
		sink.durable()
		w.expect(t, "ack 3")
		if got := n.Status().Duplicates; got != 4 {
			t.Errorf("%d duplicates", got)
		}
		if got := sink.took(t); strings.Count(got, "sequence") != 3 {
			t.Errorf("took %q", got)
		}
		marks = sink.positions
	})
	onLine(t, marks, func(w *wire, sink *holdingSink, n *Node) {
		w.say(append(open(2), readingOf(testNode, 2, 2), readingOf(testNode, 3, -3), readingOf(testNode, 4, 4), readingOf(testNode, 3, -3))...)
		w.expect(t, "who, welcome 3")
		sink.durable()
		w.expect(t, "ack 4")
		if got := sink.took(t); got != RejectSequenceConflict+"; sequence 4 temperature 0.004Cel level bad_timeout" {
			t.Errorf("took %q", got)
		}
		if s := n.Status(); s.Conflicts != 1 || s.Rejected != 1 || s.Duplicates != 2 {
			t.Errorf("%+v", s.Counters)
		}
	})
}

// TestNodeGapsAreAskedFor: nothing is taken out of turn, nor before it is known
// where the node begins, nor without its schema.
func TestNodeGapsAreAskedFor(t *testing.T) {
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.say(readingOf(testNode, 1, 1))
		w.expect(t, "who, who") // the first at the opening
		w.say(helloOf(testNode, 9, 0), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2))
		w.expect(t, "welcome 0, nak 0")
		w.say(helloOf(testNode, 9, 0), startOf(testNode, 1), readingOf(testNode, 1, 1))
		w.expect(t, "welcome 0, nak 1")
		w.say(schemaOf(testNode, testSchema), readingOf(testNode, 1, 1), readingOf(testNode, 3, 3), lostOf(testNode, 4, 6), readingOf(testNode, 7, 7))
		w.expect(t, "nak 2")
		sink.durable()
		w.expect(t, "ack 1")
		w.say(readingOf(testNode, 3, 3))
		w.expect(t, "")
		w.say(schemaOf(testNode, testSchema), readingOf(testNode, 3, 3)) // it went back, and 2 was spoiled again
		w.expect(t, "nak 2")
		<-time.After(time.Second)
		w.say(readingOf(testNode, 3, 3))
		w.expect(t, "nak 2")
		w.say(readingOf(testNode, 2, 2), readingOf(testNode, 3, 3))
		synctest.Wait()
		sink.durable()
		w.expect(t, "ack 3")
	})
}

// TestNodeRangesAreTold: what a node gave up is a report, once, whatever of it is
// repeated; so is what somebody else acknowledged.
func TestNodeRangesAreTold(t *testing.T) {
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.say(helloOf(testNode, 99, 4), startOf(testNode, 5), lostOf(testNode, 5, 20), lostOf(testNode, 5, 20), lostOf(testNode, 5, 24),
			schemaOf(testNode, testSchema), readingOf(testNode, 25, 1), readingOf(testNode, 22, 1), lostOf(testNode, 26, 26), lostOf(testNode, 27, 1<<64-1), lostOf(testNode, 8, 2))
		synctest.Wait()
		sink.durable()
		w.expect(t, "who, welcome 0, ack 26")
		want := "elsewhere_first 1 elsewhere_last 4; lost_first 5 lost_last 20; lost_first 21 lost_last 24; sequence 25 temperature 0.001Cel level bad_timeout; " +
			RejectSequenceConflict + "; lost_first 26 lost_last 26"
		if got := sink.took(t); got != want {
			t.Errorf("took %q\nwant %q", got, want)
		}
		if s := n.Status(); s.Lost != 21 || s.Errors != 2 || s.Conflicts != 1 {
			t.Errorf("%+v", s.Counters)
		}
	})
}

// TestNodeSwapped: another node on the line, or the same with a new flash, is
// another one, and nothing of one is taken for the other's.
func TestNodeSwapped(t *testing.T) {
	other := nodeID{testNode.node, 0x99aabbcc}
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema), readingOf(testNode, 1, 1),
			readingOf(other, 2, 5),
			helloOf(other, 9, 0), startOf(other, 1), schemaOf(other, testSchema), readingOf(other, 1, 1), readingOf(testNode, 2, 1))
		synctest.Wait()
		sink.durable()
		got := w.told()
		if !strings.HasPrefix(got, "who, welcome 0") || !strings.HasSuffix(got, "ack 1") || len(sink.batches) != 2 {
			t.Errorf("said %q, %d batches", got, len(sink.batches))
		}
		if a, b := sink.batches[0], sink.batches[1]; a.Mark == b.Mark || len(a.Lines) != 1 || len(b.Lines) != 1 {
			t.Errorf("batches %+v, %+v", a, b)
		}
	})
}

// TestNodeOddFrames: what is whole and yet not as it should be costs neither the
// session nor a reading.
func TestNodeOddFrames(t *testing.T) {
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		newer := appendNodeFrame(nil, append(append([]byte{frameHello, 0, 0, 0, 0}, nodeVersion+1), make([]byte, 64)...))
		odd := appendNodeFrame(nil, append(binary.LittleEndian.AppendUint64(append(nodeBody(frameReading, testNode.tag()), make([]byte, 11)...), 1), 1, 2, 3))
		unnamed := schemaOf(testNode, "temperature\n")
		w.say(newer, helloOf(testNode, 9, 0), startOf(testNode, 1), odd, unnamed, schemaOf(testNode, testSchema), readingOf(testNode, 2, 2), appendNodeFrame(nil, nodeBody(0x77, testNode.tag())))
		synctest.Wait()
		sink.durable()
		w.expect(t, "who, welcome 0, ack 2")
		if got := sink.took(t); got != RejectNodeFrame+"; sequence 2 temperature 0.002Cel level bad_timeout" {
			t.Errorf("took %q", got)
		}
		if s := n.Status(); s.Errors != 4 {
			t.Errorf("%+v", s.Counters)
		}
	})
}

// TestNodeStops: a gateway that stops, and a port that is pulled out, end a
// session; what capture did not take is not acknowledged.
func TestNodeStops(t *testing.T) {
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema))
		synctest.Wait()
		sink.mu.Lock()
		sink.refuse = true
		sink.mu.Unlock()
		w.say(readingOf(testNode, 1, 1))
		w.expect(t, "who, welcome 0")
		if s := n.Status(); s.State != StateStopped {
			t.Errorf("%+v", s)
		}
	})
	onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		w.poke()
		synctest.Wait()
		if s := n.Status(); s.State != StateAbsent || !strings.Contains(s.Detail, "unexpected EOF") {
			t.Errorf("%+v", s)
		}
	})
	if _, err := NewNode(NodeConfig{Options: options("n"), Baud: -1, Device: "x"}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// simNode plays a node: slow and plain, with a window, timeouts and restarts.
type simNode struct {
	values      []int32 // what it has measured; number n is values[n-1]
	acked, next uint64
	welcome     bool
	reader      nodeReader
}

// hear takes what the gateway says.
func (m *simNode) hear(body []byte) {
	u64 := binary.LittleEndian.Uint64
	switch body[0] {
	case frameWho:
		m.welcome = false
	case frameWelcome:
		m.welcome, m.acked = true, max(m.acked, u64(body[7:]))
		m.next = 0
	case frameAck:
		m.acked = max(m.acked, u64(body[5:]))
	case frameNak:
		m.next = u64(body[5:])
		m.welcome = m.next != 0
	}
}

// speak gives what it says next.
func (m *simNode) speak() []byte {
	if !m.welcome {
		return helloOf(testNode, uint64(len(m.values)), m.acked)
	}
	var p []byte
	if m.next == 0 {
		m.next = m.acked + 1
		p = append(startOf(testNode, m.next), schemaOf(testNode, testSchema)...)
	}
	for ; m.next <= uint64(len(m.values)) && m.next <= m.acked+nodeWindow; m.next++ {
		p = append(p, readingOf(testNode, m.next, m.values[m.next-1])...)
	}
	return p
}

// modelReading gives a line's number and first value.
func modelReading(t *testing.T, l Line) (uint64, float64) {
	t.Helper()
	var report sensor.Report
	if err := report.Decode(l.Data, nil); err != nil || report.Reason != "" || len(report.Readings) != 3 || report.Readings[0].Metric != "sequence" {
		t.Fatalf("%+v, %v", report, err)
	}
	return uint64(report.Readings[0].Number), report.Readings[1].Number
}

// TestNodeModel: a node and a session over a line that spoils bytes, with
// restarts of both; everything is taken once, and nothing is acknowledged that a
// restart of the gateway could lose.
func TestNodeModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		noisy := func(p []byte) []byte {
			p = bytes.Clone(p)
			for i := 0; i < len(p); i++ {
				if rng.IntN(500) == 0 {
					switch rng.IntN(3) {
					case 0:
						p[i] ^= 1 << rng.IntN(8)
					case 1:
						p = slices.Delete(p, i, i+1)
					default:
						p = slices.Insert(p, i, byte(rng.Uint32()))
					}
				}
			}
			return p
		}
		node := &simNode{}
		var durable nodeHistory      // the mark in the log
		taken := map[uint64]bool{}   // durable
		pending := map[uint64]bool{} // taken, not durable
		state := &nodeState{}        // in the gateway's memory
		s := newTestSession(map[nodeID]*nodeState{testNode: state})
		var r nodeReader
		for step := 0; step < 400 || node.acked < uint64(len(node.values)); step++ {
			if step < 400 {
				for range rng.IntN(4) {
					node.values = append(node.values, int32(rng.Uint32()>>1))
				}
				switch rng.IntN(30) {
				case 0: // the node restarts
					node.welcome, node.next, node.reader = false, 0, nodeReader{}
				case 1: // the gateway restarts: what was not durable is gone
					clear(pending)
					state = &nodeState{history: nodeHistory{durable.high, slices.Clone(durable.recent)}}
					state.durable.Store(durable.high)
					s, r = newTestSession(map[nodeID]*nodeState{testNode: state}), nodeReader{}
					node.reader.feed(noisy(whoFrame()), node.hear)
				}
			}
			mono := int64(step+1) * 1_000_000
			// What Node does with a session: before a HELLO, and at the end of a read.
			carryOut := func() {
				for _, frame := range s.out {
					node.reader.feed(noisy(frame), node.hear)
				}
				for _, l := range s.lines {
					n, value := modelReading(t, l)
					if twice := taken[n] || pending[n]; twice || value != float64(node.values[n-1])/1000 {
						t.Fatalf("seed %d: %d is taken as %v, twice: %t", seed, n, value, twice)
					}
					pending[n] = true
				}
				due := s.covered
				s.out, s.lines, s.covered = nil, nil, false
				if !due || rng.IntN(3) == 0 { // else C1
					return
				}
				maps.Copy(taken, pending)
				clear(pending)
				durable = nodeHistory{state.history.high, slices.Clone(state.history.recent)}
				state.durable.Store(durable.high)
				node.reader.feed(noisy(numberFrame(frameAck, testNode.tag(), s.expected-1)), node.hear)
			}
			r.feed(noisy(node.speak()), func(b []byte) {
				if b[0] == frameHello {
					carryOut()
				}
				s.take(b, 1_700_000_000_000_000, mono)
			})
			carryOut()
			if node.acked > durable.high {
				t.Fatalf("seed %d: %d acknowledged, %d durable", seed, node.acked, durable.high)
			}
			if rng.IntN(8) == 0 { // nothing was acknowledged for a while
				node.next = 0
				if rng.IntN(3) == 0 {
					node.welcome = false
				}
			}
			if step > 4000 {
				t.Fatalf("seed %d: no end: %d of %d", seed, node.acked, len(node.values))
			}
		}
		if len(taken) != len(node.values) || s.conflicts != 0 {
			t.Fatalf("seed %d: %d taken of %d, %d conflicts", seed, len(taken), len(node.values), s.conflicts)
		}
	}
}
