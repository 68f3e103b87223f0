package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// drainQueued gives the messages a second, from the first to the last, that the
// broker hands to a reader that looks at nothing and acknowledges at once.
func drainQueued(ctx context.Context, dir string) (float64, error) {
	address, stop, err := benchBroker(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer stop()
	for _, n := range []int{0, benchMessages} { // the first subscribes; what comes after is kept for the second
		conn, err := bareSession(address)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			_, err = io.ReadFull(conn, make([]byte, 5)) // SUBACK
			err = errors.Join(err, conn.Close(), queue(ctx, address))
		} else {
			took, derr := drain(conn, n)
			if err = errors.Join(derr, conn.Close()); err == nil {
				return float64(n-1) / took.Seconds(), nil
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the broker was not measured")
}

// bareSession connects in a session that the broker keeps, and subscribes.
func bareSession(address string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	c.ProtocolName, c.ProtocolVersion, c.ClientIdentifier, c.Keepalive = "MQTT", 4, "bare", 600
	s := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	s.MessageID, s.Topics, s.Qoss = 1, []string{"plant/+/state"}, []byte{1}
	answer := make([]byte, 4) // CONNACK, MQTT 3.1.1, 3.2
	if err = c.Write(conn); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && (answer[0] != 0x20 || answer[3] != 0) {
		err = fmt.Errorf("the broker answers % x", answer)
	}
	if err == nil {
		err = s.Write(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// drain reads n messages and acknowledges each, many in one write where many have
// come. It gives the time from the first to the last.
func drain(conn net.Conn, n int) (time.Duration, error) {
	in, out := bufio.NewReaderSize(conn, 256<<10), bufio.NewWriterSize(conn, 64<<10)
	var first time.Time
	for got := 0; got < n; {
		kind, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		size, err := remaining(in)
		if err != nil {
			return 0, err
		}
		body, err := in.Peek(size)
		if err != nil {
			return 0, err
		}
		if kind>>4 == packets.Publish {
			if got++; got == 1 {
				first = time.Now()
			}
			id := 2 + int(body[0])<<8 + int(body[1])
			if _, err := out.Write([]byte{packets.Puback << 4, 2, body[id], body[id+1]}); err != nil {
				return 0, err
			}
		}
		if _, err := in.Discard(size); err != nil {
			return 0, err
		}
		if in.Buffered() == 0 || got == n {
			if err := out.Flush(); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(first), nil
}

// remaining reads a packet's remaining length (MQTT 3.1.1, 2.2.3).
func remaining(in io.ByteReader) (n int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		b, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if n |= int(b&0x7f) << shift; b < 0x80 {
			return n, nil
		}
	}
	return 0, errors.New("a length of more than four bytes")
}
