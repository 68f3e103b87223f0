// Package traffic plays the simulated harbour of decoders/aissim over real
// transports: a file, TCP, UDP, a serial line, and the acknowledged line
// protocol of edge/source. The commands simulate, demo and bench use it.
//
// In:  an aissim.Harbour, and an Output for each of its receivers.
// Out: bytes on the Outputs; Report, and a call of Observe for every line with
// what became of it, so that a test can compare what was sent with what came
// out of the lake.
//
// Invariants
//
//  1. Every line of the harbour is observed once, in order: sent, lost on the
//     air as the harbour says, or dropped because an Output could not take it.
//  2. An Output never waits long for its peer, but for Acked, which keeps each
//     line until it is acknowledged: a radio does not wait either.
//
// Play is called once, by one goroutine. An Output belongs to that goroutine
// and owns what it starts; Close joins it.
package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"landfall/decoders/aissim"
)

// Output is where the lines of one receiver go.
type Output interface {
	// Send sends one line, without its line end. An error says that the line
	// was not sent; the next one may be.
	Send(ctx context.Context, line []byte) error
	// Close ends the output; Acked waits for what is unacknowledged until ctx
	// ends.
	Close(ctx context.Context) error
}

// Fate is what became of a line.
type Fate string

// The fates of a line.
const (
	FateSent    Fate = "sent"
	FateLost    Fate = "lost"    // on the air, as the harbour says
	FateDropped Fate = "dropped" // the output could not take it
)

// Options say how to play.
type Options struct {
	// Lines ends after this many lines that are not lost; 0: no end.
	Lines uint64
	// Until ends at this simulated time, microseconds since 1970; 0: no end.
	Until int64
	// Paced sends each line at its own time, for a harbour that begins now;
	// else as fast as the Outputs take them.
	Paced bool
	// Observe, when set, is told of every line.
	Observe func(line *aissim.Line, fate Fate) error
}

// Report counts what Play did.
type Report struct {
	Sent    uint64 `json:"sent"`
	Lost    uint64 `json:"lost"`
	Dropped uint64 `json:"dropped"`
	Bytes   uint64 `json:"bytes"` // of the lines sent
}

// Play sends the harbour's lines until an end of Options or of ctx, which is
// no error. outputs is indexed by receiver; the last one takes the rest.
func Play(ctx context.Context, h *aissim.Harbour, outputs []Output, o Options) (Report, error) {
	var r Report
	for ctx.Err() == nil && (o.Lines == 0 || r.Sent+r.Dropped < o.Lines) {
		line := h.Next()
		if o.Until != 0 && line.At >= o.Until {
			break
		}
		if o.Paced && !waitUntil(ctx, time.UnixMicro(line.At)) {
			break
		}
		fate := FateLost
		if line.Kind != aissim.KindLost {
			fate = FateSent
			if err := outputs[min(line.Receiver, len(outputs)-1)].Send(ctx, line.Text); err != nil {
				fate = FateDropped
			}
		}
		r.count(fate, len(line.Text))
		if o.Observe != nil {
			if err := o.Observe(&line, fate); err != nil {
				return r, fmt.Errorf("observe line: %w", err)
			}
		}
	}
	return r, nil
}

func (r *Report) count(fate Fate, size int) {
	switch fate {
	case FateSent:
		r.Sent++
		r.Bytes += uint64(size)
	case FateLost:
		r.Lost++
	case FateDropped:
		r.Dropped++
	}
}

// waitUntil waits and tells whether ctx is still alive.
func waitUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// writer is an Output on any io.Writer.
type writer struct {
	w   io.WriteCloser
	buf []byte
}

// Writer gives an Output that writes lines with CR LF to w, which Close
// closes.
func Writer(w io.WriteCloser) Output { return &writer{w: w} }

// Send implements Output.
func (o *writer) Send(_ context.Context, line []byte) error {
	o.buf = append(append(o.buf[:0], line...), '\r', '\n')
	_, err := o.w.Write(o.buf)
	return err
}

// Close implements Output.
func (o *writer) Close(context.Context) error { return o.w.Close() }

// DialUDP gives an Output that sends each line as a datagram.
func DialUDP(address string) (Output, error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, fmt.Errorf("open UDP output: %w", err)
	}
	return Writer(conn), nil
}

// sendTimeout bounds how long a stream's peer may keep a line waiting.
const sendTimeout = 200 * time.Millisecond

// redialAfter spaces attempts to connect.
const redialAfter = 200 * time.Millisecond

// stream is an Output over TCP that connects again when it must.
type stream struct {
	address string
	conn    net.Conn
	tried   time.Time
	buf     []byte
}

// DialTCP gives an Output that sends lines over a TCP connection, which it
// makes when it can: lines are dropped while there is none.
func DialTCP(address string) Output { return &stream{address: address} }

// Send implements Output.
func (o *stream) Send(ctx context.Context, line []byte) error {
	if err := o.connect(ctx); err != nil {
		return err
	}
	o.buf = append(append(o.buf[:0], line...), '\r', '\n')
	err := o.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = o.conn.Write(o.buf)
	}
	if err != nil { // part of the line may be on its way: a new connection starts a new line
		_ = o.conn.Close()
		o.conn = nil
		return fmt.Errorf("send over TCP: %w", err)
	}
	return nil
}

func (o *stream) connect(ctx context.Context) error {
	if o.conn != nil {
		return nil
	}
	if time.Since(o.tried) < redialAfter {
		return fmt.Errorf("send to %s: %w", o.address, net.ErrClosed)
	}
	o.tried = time.Now()
	dialer := net.Dialer{Timeout: sendTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", o.address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", o.address, err)
	}
	o.conn = conn
	return nil
}

// Close implements Output.
func (o *stream) Close(context.Context) error {
	if o.conn == nil {
		return nil
	}
	return o.conn.Close()
}
