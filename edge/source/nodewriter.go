package source

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"go.bug.st/serial"

	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// timeFrame sets a node's clock; nil when the gateway's cannot be right.
func timeFrame(tag uint32, wall record.Micros) []byte {
	if !sensor.Believable(int64(wall)) {
		return nil
	}
	return appendNodeFrame(nil, binary.LittleEndian.AppendUint64(nodeBody(frameTime, tag), uint64(wall)))
}

// nodeWriter writes to the port from a goroutine of its own, so that neither
// reading nor C1 waits for the line. Writing to a port has no time limit: it
// blocks for good on a pty that nobody reads. So what is still unsent is thrown
// away before writing to a line that is silent, and at the end.
type nodeWriter struct {
	port  serial.Port
	clock Clock
	heard atomic.Int64 // when the node was last heard, monotonic; 0: never
	kick  chan struct{}
	done  chan struct{}
	ended sync.WaitGroup

	mu      sync.Mutex
	pending []byte // guarded by mu
	ack     uint64 // the newest acknowledgement that is due; guarded by mu
	ackTag  uint32 // of the node it is for; guarded by mu
	ackDue  bool   // guarded by mu
}

// writerBytes bounds what waits to be written. The protocol lives with the loss
// of any frame.
const writerBytes = 1 << 10

// writeSilence is the silence after which what is unsent is thrown away first.
const writeSilence = 2 * time.Second

func newNodeWriter(port serial.Port, clock Clock) *nodeWriter {
	w := &nodeWriter{port: port, clock: clock, kick: make(chan struct{}, 1), done: make(chan struct{})}
	w.ended.Go(w.run)
	return w
}

// close ends writing and closes the port.
func (w *nodeWriter) close() {
	close(w.done)
	_ = w.port.ResetOutputBuffer() // lets a Write end that nobody reads
	w.ended.Wait()
	_ = w.port.Close() // what was not written is of no use any more
}

// send has a frame written. It does not block.
func (w *nodeWriter) send(frame []byte) {
	w.mu.Lock()
	if len(w.pending)+len(frame) <= writerBytes {
		w.pending = append(w.pending, frame...)
	}
	w.mu.Unlock()
	w.wake()
}

// acknowledge tells the node that all up to n is durable. It does not block, and
// may be called after close.
func (w *nodeWriter) acknowledge(tag uint32, n uint64) {
	w.mu.Lock()
	w.ack, w.ackTag, w.ackDue = n, tag, true
	w.mu.Unlock()
	w.wake()
}

func (w *nodeWriter) wake() {
	select {
	case w.kick <- struct{}{}:
	default: // it will find this, too
	}
}

func (w *nodeWriter) run() {
	for {
		select {
		case <-w.done:
			return
		case <-w.kick:
		}
		w.mu.Lock()
		p := w.pending
		w.pending = nil
		if w.ackDue {
			p = append(p, numberFrame(frameAck, w.ackTag, w.ack)...)
			w.ackDue = false
		}
		w.mu.Unlock()
		if _, mono := w.clock.Now(); mono-w.heard.Load() >= writeSilence.Microseconds() {
			_ = w.port.ResetOutputBuffer() // not every port can; a real one always drains
		}
		for len(p) > 0 {
			n, err := w.port.Write(p) // may be short without an error
			if err != nil || n == 0 {
				break // the reader sees the port's end; else the node asks again
			}
			p = p[n:]
		}
	}
}
