package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// packetConn hands the packets of a broker to paho, and bounds what a message may
// take: paho allocates a packet as large as the broker says, up to 256 MiB, three
// times over. MQTT 3.1.1 has no way to tell the broker a bound, and MQTT 5 has the
// broker throw away in silence what exceeds one. So a message with a larger payload
// is read through a small buffer, and paho is given it with one byte more than the
// bound, by which it is known; the rest is discarded. It has the packet identifier
// that it had, so that it is acknowledged like any other and does not come again.
//
// While a large message comes, a PINGRESP goes before each piece of it: bytes come,
// so the broker lives, but its own answer waits behind the message. Without it paho
// would end the connection, and the broker would send the same message again.
type packetConn struct {
	net.Conn
	r       *bufio.Reader
	limit   int                            // of a payload, bytes
	onLarge func(topic string, size int64) // a payload of that size was cut; nil disables it
	filters int                            // that are subscribed to in one packet; 0: as many as the broker says

	out   []byte        // to be handed out first
	pass  int           // bytes of a packet to be handed out as they come
	large *largeMessage // a message that is being read; nil: none
}

// largeMessage is a message of which only a part is in memory.
type largeMessage struct {
	kept  []byte // the packet for paho, as far as it has come
	keep  int    // how long kept becomes
	rest  int    // bytes that have not come yet
	topic int    // where in kept the topic begins
	end   int    // and where it ends
	size  int64  // of the payload
}

// The packets that a broker sends (MQTT 3.1.1, 2.2.1), and the answer to a ping.
const (
	packetConnAck   = 2
	packetPublish   = 3
	packetPubAck    = 4 // and PUBREC, PUBREL, PUBCOMP
	packetPubComp   = 7
	packetSubAck    = 9
	packetUnsubAck  = 11
	packetPingRespN = 13
	packetPingResp  = "\xd0\x00"
	maxPacketLength = 4 // bytes of a remaining length
)

// connBuffer is the size of one read. A packet that is no longer goes to paho as it
// comes.
const connBuffer = 64 << 10

func newPacketConn(conn net.Conn, limit int, onLarge func(topic string, size int64)) *packetConn {
	return &packetConn{Conn: conn, r: bufio.NewReaderSize(conn, connBuffer), limit: limit, onLarge: onLarge}
}

// Read implements io.Reader.
func (c *packetConn) Read(p []byte) (int, error) {
	for len(c.out) == 0 && c.pass == 0 {
		var err error
		if c.large != nil {
			err = c.piece()
		} else {
			err = c.packet()
		}
		if err != nil {
			return 0, err
		}
	}
	if len(c.out) > 0 {
		n := copy(p, c.out)
		if c.out = c.out[n:]; len(c.out) == 0 {
			c.out = nil
		}
		return n, nil
	}
	n, err := c.r.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

// packet begins a packet (MQTT 3.1.1, 2.2).
func (c *packetConn) packet() error {
	first, err := c.r.ReadByte()
	if err != nil {
		return err
	}
	head, length := append(make([]byte, 0, 1+maxPacketLength), first), 0
	for i := 0; ; i++ {
		b, err := c.r.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if i == maxPacketLength {
			return fmt.Errorf("packet of type %d: its length takes more than %d bytes", first>>4, maxPacketLength)
		}
		head, length = append(head, b), length|int(b&0x7f)<<(7*i)
		if b < 0x80 {
			break
		}
	}
	if length > connBuffer && first>>4 != packetPublish {
		return fmt.Errorf("packet of type %d and %d bytes: only a message may be longer than %d", first>>4, length, connBuffer)
	}
	if err := c.check(first, length); err != nil {
		return err
	}
	if length <= connBuffer {
		c.out, c.pass = head, length
		return nil
	}
	return c.begin(first, length)
}

// check refuses what no broker sends, of which paho makes a panic (a SUBACK for more
// filters than were asked for), or nothing, as if all were well.
func (c *packetConn) check(first byte, length int) error {
	want := 2
	switch kind := first >> 4; {
	case kind == packetPublish:
		if first>>1&3 == 3 {
			return errors.New("message of QoS 3")
		}
		if length < 2 {
			return fmt.Errorf("message of %d bytes", length)
		}
		topic, err := c.r.Peek(2)
		if err != nil {
			return unexpected(err)
		}
		if topic[0] == 0 && topic[1] == 0 {
			return errors.New("message without a topic")
		}
		return nil
	case kind == packetSubAck && c.filters > 0:
		want += c.filters
	case kind == packetSubAck:
		want = length
	case kind == packetPingRespN:
		want = 0
	case kind == packetConnAck, kind >= packetPubAck && kind <= packetPubComp, kind == packetUnsubAck:
	default:
		return fmt.Errorf("packet of type %d, which no broker sends", kind)
	}
	if length != want {
		return fmt.Errorf("packet of type %d and %d bytes, want %d", first>>4, length, want)
	}
	return nil
}

// begin reads the topic's length, and so knows how long the payload is (MQTT 3.1.1,
// 3.3).
func (c *packetConn) begin(first byte, length int) error {
	topic, err := c.r.Peek(2)
	if err != nil {
		return unexpected(err)
	}
	name := int(binary.BigEndian.Uint16(topic))
	before := 2 + name
	if first>>1&3 > 0 {
		before += 2 // the packet identifier
	}
	if before > length {
		return fmt.Errorf("message of %d bytes with a topic of %d", length, before)
	}
	keep := min(length, before+c.limit+1)
	m := &largeMessage{kept: appendLength([]byte{first}, keep), rest: length, size: int64(length - before)}
	m.topic = len(m.kept) + 2
	m.end, m.keep = m.topic+name, len(m.kept)+keep
	c.large = m
	return nil
}

// piece reads on in a large message. What is kept of it is allocated as it comes.
func (c *packetConn) piece() error {
	m := c.large
	if _, err := c.r.Peek(1); err != nil {
		return unexpected(err)
	}
	p, _ := c.r.Peek(min(c.r.Buffered(), m.rest)) // never short: it is buffered
	m.kept = append(m.kept, p[:min(len(p), m.keep-len(m.kept))]...)
	m.rest -= len(p)
	_, _ = c.r.Discard(len(p))
	if m.rest > 0 {
		c.out = []byte(packetPingResp)
		return nil
	}
	c.out, c.large = m.kept, nil
	if c.onLarge != nil && m.size > int64(c.limit) {
		c.onLarge(string(m.kept[m.topic:m.end]), m.size)
	}
	return nil
}

// appendLength appends a remaining length (MQTT 3.1.1, 2.2.3).
func appendLength(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// unexpected says that a connection ended inside a packet.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
