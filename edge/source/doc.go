// Package source is the ways in: it reads bytes from a transport, cuts them into
// lines and hands them over in batches, with what the transport knows about who
// sent them and when. One transport a file: File, TCPClient, TCPServer, UDP,
// Serial, Acked, Node and those of sensors.
//
// In:  a file, a socket, a serial port, a broker, a bus.
// Out: Sink.Deliver, called by the source's own goroutines; edge/capture is
// behind it.
//
// Invariants
//
//  1. Nothing is dropped here. Of a transport of lines every byte that was read is
//     in exactly one line, but for CR, LF and the UdPbC header of IEC 61162-450. A
//     line longer than MaxLineBytes comes in pieces, each marked Truncated. Of
//     Acked, Node and MQTT what was taken before and is sent again is counted and
//     not handed over again; of Node a frame that cannot be read is counted, and
//     its sender sends it again. When the Sink cannot take more, Deliver blocks and
//     the transport waits.
//  2. A line is cut within one stream only: bytes of two connections, or of
//     two UDP senders, never meet in one line.
//  3. A source that can resend gives each batch the Position behind its last
//     line. It acknowledges to its sender, or moves on in its file for good,
//     only after Batch.Durable was called, which is after C1.
//  4. A transport that is absent or broken is tried again for ever with
//     backoff, said once in the log and shown in Status. Run returns an error
//     only for what trying again cannot mend.
//  5. The places of a transport that others connect or send to are bounded, and
//     shared by the hosts that use them: whoever is silent, or takes more than
//     others, gives way (slots.go). A client for which there is no place is counted
//     and named in Status.
//
// What is lost before this package (UART overruns, datagrams the kernel had no
// room for) cannot be had again; what the kernel reports of it is counted as Lost.
// A file that was rotated is read to its end, and those after it; where it cannot be
// shown that nothing is missing, a gap is declared, see File.
//
// Run of each source is called once, by one goroutine, which joins every
// goroutine it starts before it returns. Status may be called from any.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"landfall/edge/care"
	"landfall/edge/record"
)

// ErrConfig says that a configuration cannot be used; the text names the field.
var ErrConfig = errors.New("invalid source configuration")

// MaxLineBytes bounds one line; a longer one comes in pieces.
const MaxLineBytes = 4 << 10

// readBytes is the size of one read, which bounds a batch.
const readBytes = 64 << 10

// Line is one line as received, without its line end, or one report of sensor
// readings; never empty.
type Line struct {
	Data      []byte
	Truncated bool // a piece of a longer line, or the stream ended inside it
	// Reading says that Data is a whole report (decoders/sensor), which becomes
	// one record of kind reading as it is: no sentence is looked for in it.
	Reading bool
	// Time is the report's own time, when it has one: that of its first reading
	// with one. 0: none. Only with Reading.
	Time record.Micros
	// Kept says that the source had kept the report for later, so that Time tells
	// nothing of the moment of receipt.
	Kept bool
}

// Batch is a run of lines of one stream that were read at one moment. Whoever
// it was delivered to owns it and its memory.
type Batch struct {
	Stream     string        // the sender within the source; only its own lines belong together
	Client     string        // the host that sends, where a sender may take any name as Stream; empty: Stream says it
	ReceivedAt record.Micros // wall clock when the last of it was read
	Monotonic  int64         // microseconds since boot at the same moment
	Lines      []Line        // in order; may be empty when only Position moved

	// Mark names the stream's mark in the log; empty when it cannot resend.
	Mark string
	// Position is the source's own note of where it stands after Lines.
	Position []byte
	// Sync asks for a commit at once: somebody waits for Durable.
	Sync bool
	// Durable, when set, is called once, after C1 of the last of Lines; it
	// does not block.
	Durable func()
}

// Sink takes what a source reads. It is bound to that source.
type Sink interface {
	// Deliver hands a batch over; it is not durable on return. It blocks while
	// the gateway cannot take more. Its error says that the gateway stops and
	// the batch was not taken. It may be called by many goroutines; batches of
	// one stream come from one goroutine at a time, in order.
	Deliver(b *Batch) error
	// Position gives the last durable Position under a mark, as of the start
	// of this process; nil when there is none.
	Position(mark string) []byte
	// Marks returns the names of the durable marks that begin with prefix, as of
	// the start of this process.
	Marks(prefix string) []string
}

// Clock tells the time of receipt.
type Clock interface {
	// Now gives the wall clock and the microseconds since boot.
	Now() (wall record.Micros, monotonic int64)
}

// Options are common to all sources.
type Options struct {
	// Name identifies the source: in status, in the log and in its marks. It
	// must not change while its data matters. Not empty, without '/'.
	Name string
	// Clock is required.
	Clock Clock
	// Care refuses messages of which the gateway died; nil refuses none.
	Care *care.Guard
	// Logger takes changes of state; nil: none.
	Logger *slog.Logger
}

func (o *Options) validate() error {
	if o.Name == "" {
		return fmt.Errorf("name: empty: %w", ErrConfig)
	}
	for _, c := range []byte(o.Name) {
		if c == '/' || c < ' ' {
			return fmt.Errorf("name %q: '/' and control characters are not allowed: %w", o.Name, ErrConfig)
		}
	}
	if o.Clock == nil {
		return fmt.Errorf("clock of source %s: missing: %w", o.Name, ErrConfig)
	}
	return nil
}

// wait sleeps for d and tells whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// What one connection holds of its lines, so that what many hold is bounded: the size
// of a read, and how many lines go into a batch at least before it is handed over.
const (
	pumpBytes = 16 << 10
	pumpPiece = 1 << 10
	pumpLines = 512
)

// pump reads r until it ends and delivers its lines as one stream. The rest
// without a line end is delivered as Truncated. The error is r's, nil for
// io.EOF, or the Sink's, wrapped in errStopped.
func pump(r io.Reader, stream string, o *Options, m *meter, sink Sink) error {
	var split Splitter
	var lines lineBuffer
	buf := make([]byte, pumpBytes)
	for {
		n, err := r.Read(buf)
		wall, mono := o.Clock.Now()
		deliver := func() error {
			b := lines.batch(stream, wall, mono)
			if b == nil {
				return nil
			}
			m.lines(b)
			if err := sink.Deliver(b); err != nil {
				return fmt.Errorf("%w: %w", errStopped, err)
			}
			return nil
		}
		if n > 0 {
			m.received(n, wall)
		}
		for piece := range slices.Chunk(buf[:n], pumpPiece) {
			if split.Feed(piece, lines.add); len(lines.ends) < pumpLines {
				continue
			}
			if err := deliver(); err != nil {
				return err
			}
		}
		if err != nil {
			split.Flush(true, lines.add)
		}
		if err := deliver(); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// errStopped says that the Sink takes nothing more.
var errStopped = errors.New("capture stopped")

// lineBuffer gathers lines for one batch in memory of its own.
type lineBuffer struct {
	data []byte
	ends []lineEnd
}

type lineEnd struct {
	end       int
	truncated bool
}

func (l *lineBuffer) add(line []byte, truncated bool) {
	l.data = append(l.data, line...)
	l.ends = append(l.ends, lineEnd{len(l.data), truncated})
}

// batch gives what was gathered, nil for nothing, and starts anew.
func (l *lineBuffer) batch(stream string, wall record.Micros, mono int64) *Batch {
	if len(l.ends) == 0 {
		return nil
	}
	b := &Batch{Stream: stream, ReceivedAt: wall, Monotonic: mono, Lines: make([]Line, len(l.ends))}
	data, from := append([]byte(nil), l.data...), 0
	for i, e := range l.ends {
		b.Lines[i] = Line{Data: data[from:e.end:e.end], Truncated: e.truncated}
		from = e.end
	}
	l.data, l.ends = l.data[:0], l.ends[:0]
	return b
}
