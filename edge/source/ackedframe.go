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
func (a *Acked) receive(r *bufio.Reader, id string, s *ackedSender, conn net.Conn, sink Sink) error {
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
			return errors.Join(a.deliver(frames, id, s, conn, sink), err)
		}
		if err := a.deliver(frames, id, s, conn, sink); err != nil {
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
func acknowledge(conn net.Conn, s *ackedSender, acks, done chan struct{}) {
	err := write(conn, "LAST", strconv.FormatUint(s.durable.Load(), 10))
	for err == nil {
		select {
		case <-done:
			return
		case <-acks:
			err = write(conn, "ACK", strconv.FormatUint(s.durable.Load(), 10))
		}
	}
	_ = conn.Close()
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
