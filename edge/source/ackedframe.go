package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// receive reads lines until the connection ends.
func (a *Acked) receive(r *bufio.Reader, l *ackedLink, sink Sink) error {
	var frames []frame
	for {
		frames = frames[:0]
		for len(frames) == 0 || r.Buffered() > 0 && len(frames) < 1024 && wholeFrame(r) {
			line, err := readFrame(r)
			if err == nil {
				var f frame
				if f, err = parseFrame(line); err == nil {
					frames = append(frames, f)
					continue
				}
			}
			return errors.Join(a.deliver(frames, l, sink), err)
		}
		if err := a.deliver(frames, l, sink); err != nil {
			return err
		}
	}
}

// wholeFrame tells whether readFrame would not have to wait.
func wholeFrame(r *bufio.Reader) bool {
	p, _ := r.Peek(r.Buffered()) // never short: it is buffered
	return bytes.IndexByte(p, '\n') >= 0
}

// readFrame reads one line of the protocol; it is valid until more is read from
// the transport. The beginning of one at the stream's end is passed over: its
// sender has no acknowledgement and sends it again.
func readFrame(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, protocolError("line too long")
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// ackedHello is what a sender says first.
type ackedHello struct {
	id    string
	epoch string // empty: version 1
	token string // empty: none
}

// parseAckedHello takes "HELLO <id>" or "HELLO <id> 2 <epoch> [<token>]" apart. Error:
// protocolError.
func parseAckedHello(line []byte) (h ackedHello, err error) {
	words := bytes.Split(line, []byte(" "))
	if string(words[0]) != "HELLO" || len(words) == 1 || !validID(words[1], 64) || len(words) == 3 && string(words[2]) != "2" {
		return h, protocolError("want HELLO <id>")
	}
	h.id = string(words[1])
	if len(words) == 2 {
		return h, nil
	}
	if string(words[2]) != "2" {
		return h, protocolError("of the protocol versions 1 and 2 are known here")
	}
	if len(words) < 4 || len(words) > 5 || !validID(words[3], 32) {
		return h, protocolError("want HELLO <id> 2 <epoch> [<token>]")
	}
	h.epoch = string(words[3])
	if len(words) == 5 {
		h.token = string(words[4])
	}
	return h, nil
}

// validID tells whether p is a name of at most max bytes.
func validID(p []byte, max int) bool {
	if len(p) == 0 || len(p) > max {
		return false
	}
	for _, c := range p {
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// parseFrame takes "<seq> <line>" apart.
func parseFrame(p []byte) (frame, error) {
	number, line, ok := bytes.Cut(p, []byte(" "))
	seq, err := strconv.ParseUint(string(number), 10, 63)
	if !ok || err != nil || seq == 0 {
		return frame{}, protocolError("want <seq> <line>")
	}
	return frame{seq, line}, nil
}

// ackTimeout bounds how long a sender may leave its acknowledgements unread.
const ackTimeout = 30 * time.Second

// acknowledge tells the sender what is durable until done. When it cannot be
// told, the connection is closed: the sender comes back and asks.
func (l *ackedLink) acknowledge(done chan struct{}) {
	err := write(l.conn, "LAST", l.greeting())
	for err == nil {
		select {
		case <-done:
			return
		case <-l.acks:
			if seq, ok := l.acknowledged(); ok {
				err = write(l.conn, "ACK", strconv.FormatUint(seq, 10))
			}
		}
	}
	_ = l.conn.Close()
}

// greeting is what follows LAST.
func (l *ackedLink) greeting() string {
	s := l.sender
	if l.epoch == "" {
		return strconv.FormatUint(s.durable.Load(), 10)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := uint64(0)
	if s.lastEpoch == l.epoch {
		last = s.last
	}
	return fmt.Sprintf("%d %d", last, ackedWindow)
}

// acknowledged returns the number to acknowledge; false: there is nothing new.
func (l *ackedLink) acknowledged() (uint64, bool) {
	if l.epoch == "" {
		return l.sender.durable.Load(), true
	}
	l.sender.mu.Lock()
	defer l.sender.mu.Unlock()
	was := l.acked
	l.advance()
	return l.acked, l.acked > was
}

func write(conn net.Conn, verb, argument string) error {
	if err := conn.SetWriteDeadline(time.Now().Add(ackTimeout)); err != nil {
		return fmt.Errorf("answer %s: %w", verb, err)
	}
	if _, err := io.WriteString(conn, verb+" "+argument+"\n"); err != nil {
		return fmt.Errorf("answer %s: %w", verb, err)
	}
	return nil
}
