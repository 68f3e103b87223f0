package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"landfall/decoders/sensor"
)

// The frames of a sensor node's serial line; firmware/README.md draws and
// explains them. On the wire: a zero byte, COBS of body and CRC-32 (IEEE 802.3,
// little-endian), a zero byte. A body is one byte type, four bytes tag (the low
// half of the node's format id) and fields, little-endian.
const (
	frameHello   = 0x01
	frameSchema  = 0x02
	frameReading = 0x03
	frameLost    = 0x04
	frameStart   = 0x05
	frameWho     = 0x11
	frameWelcome = 0x12
	frameAck     = 0x13
	frameNak     = 0x14
	frameTime    = 0x15
)

const (
	nodeVersion     = 1
	nodeWindow      = 16  // readings a node has under way at most
	maxNodeBody     = 236 // of a frame, before the CRC
	maxNodeWire     = maxNodeBody + 8
	nodeFrameHead   = 5  // type and tag
	nodeReadingHead = 48 // before the values
)

// appendNodeFrame appends a frame of the given body to dst.
func appendNodeFrame(dst, body []byte) []byte {
	body = binary.LittleEndian.AppendUint32(body[:len(body):len(body)], crc32.ChecksumIEEE(body))
	dst = append(dst, 0)
	for {
		n := bytes.IndexByte(body, 0)
		last := n < 0
		if last {
			n = len(body)
		}
		dst = append(append(dst, byte(n+1)), body[:n]...) // n < 254: see maxNodeBody
		if last {
			return append(dst, 0)
		}
		body = body[n+1:]
	}
}

// nodeReader takes a stream of bytes apart into frames. The zero value is ready.
type nodeReader struct {
	buf   []byte
	long  bool // longer than any frame
	noise int  // frames that were none
}

// feed calls take with the body of each good frame; it is valid during the call.
func (r *nodeReader) feed(p []byte, take func(body []byte)) {
	for len(p) > 0 {
		n := bytes.IndexByte(p, 0)
		part := p
		if n >= 0 {
			part, p = p[:n], p[n+1:]
		} else {
			p = nil
		}
		if r.long = r.long || len(r.buf)+len(part) > maxNodeWire; !r.long {
			r.buf = append(r.buf, part...)
		}
		if n < 0 {
			return
		}
		body, ok := unstuff(r.buf)
		switch {
		case ok && !r.long:
			take(body)
		case len(r.buf) > 0 || r.long:
			r.noise++
		}
		r.buf, r.long = r.buf[:0], false
	}
}

// unstuff undoes COBS in place and checks the CRC.
func unstuff(p []byte) (body []byte, ok bool) {
	to := 0
	for from := 0; from < len(p); {
		n := int(p[from])
		from++
		if n == 0 || n-1 > len(p)-from {
			return nil, false
		}
		to += copy(p[to:], p[from:from+n-1])
		from += n - 1
		if n < 0xff && from < len(p) {
			p[to] = 0
			to++
		}
	}
	if to < nodeFrameHead || to-4 > maxNodeBody {
		return nil, false
	}
	body = p[:to-4]
	return body, crc32.ChecksumIEEE(body) == binary.LittleEndian.Uint32(p[to-4:to])
}

// nodeBody begins a body; callers append its fields.
func nodeBody(kind byte, tag uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{kind}, tag)
}

func numberFrame(kind byte, tag uint32, n uint64) []byte {
	return appendNodeFrame(nil, binary.LittleEndian.AppendUint64(nodeBody(kind, tag), n))
}

func whoFrame() []byte { return appendNodeFrame(nil, nodeBody(frameWho, 0)) }

// welcomeFrame tells a node up to which number all is durable, and the time in
// microseconds since 1970 UTC, 0: not known here either.
func welcomeFrame(tag uint32, known bool, durable uint64, micros int64) []byte {
	b := append(nodeBody(frameWelcome, tag), nodeVersion, 0)
	if known {
		b[len(b)-1] = 1
	}
	b = binary.LittleEndian.AppendUint64(b, durable)
	return appendNodeFrame(nil, binary.LittleEndian.AppendUint64(b, uint64(micros)))
}

// nodeID is who a node is: its number, and a random number made when its flash
// was formatted, so that one with a new flash is a new node.
type nodeID struct{ node, format uint64 }

// String gives the node's name in addresses and marks.
func (id nodeID) String() string { return fmt.Sprintf("node-%x/%016x", id.node, id.format) }

func (id nodeID) tag() uint32 { return uint32(id.format) }

// nodeHello is what a node says of itself.
type nodeHello struct {
	id      nodeID
	version uint8
	boot    uint32
	last    uint64 // number of its newest reading
	acked   uint64 // as far as some gateway acknowledged
	first   uint64 // oldest reading it may still have
	uptime  uint64 // microseconds
	missed  uint32 // samples that it had no room for, since its reset
	torn    uint32 // slots of its flash that did not read back
	noise   uint32 // frames of ours that it could not read
}

var errNodeFrame = errors.New("frame without its fields")

func parseHello(b []byte) (nodeHello, error) {
	if len(b) < 70 {
		return nodeHello{}, fmt.Errorf("hello of %d bytes: %w", len(b), errNodeFrame)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	return nodeHello{
		id: nodeID{u64(b[6:]), u64(b[14:])}, version: b[5], boot: u32(b[22:]), last: u64(b[26:]), acked: u64(b[34:]), first: u64(b[42:]),
		uptime: u64(b[50:]), missed: u32(b[58:]), torn: u32(b[62:]), noise: u32(b[66:]),
	}, nil
}

// nodeReading is one reading. Its content is what the flash holds of it.
type nodeReading struct {
	resetAt  int64 // UTC of the node's reset as it knows it by now, microseconds since 1970; 0: never known
	schema   uint16
	sequence uint64
	boot     uint32
	uptime   uint64 // microseconds from the reset to the sample
	values   []int32
	knewTime bool   // the node had been told the time of its boot when it was made
	content  uint32 // CRC-32 of what stands in the flash
}

func parseReading(b []byte) (nodeReading, error) {
	if len(b) < nodeReadingHead || len(b) != nodeReadingHead+4*int(b[13]) {
		return nodeReading{}, fmt.Errorf("reading of %d bytes: %w", len(b), errNodeFrame)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	r := nodeReading{
		resetAt: int64(u64(b[5:])), schema: binary.LittleEndian.Uint16(b[14:]), sequence: u64(b[16:]), boot: u32(b[24:]),
		uptime: u64(b[32:]), knewTime: u64(b[40:]) != 0, content: crc32.ChecksumIEEE(b[13:]),
	}
	for p := b[nodeReadingHead:]; len(p) > 0; p = p[4:] {
		r.values = append(r.values, int32(u32(p)))
	}
	return r, nil
}

// time is when the sample was taken, microseconds since 1970 UTC; 0: not known.
func (r *nodeReading) time() int64 {
	at := r.resetAt + int64(r.uptime)
	if r.resetAt == 0 || !sensor.Believable(at) {
		return 0
	}
	return at
}

// noNodeValue stands for a sensor that did not answer.
const noNodeValue = math.MinInt32

// nodeMetric describes one value of a reading.
type nodeMetric struct {
	name, unit string
	exponent   int // the value is the number times ten to it
}

// schemaID is what readings carry of a schema's text.
func schemaID(text []byte) uint16 { return uint16(crc32.ChecksumIEEE(text)) }

// parseSchema reads lines of "metric,unit,exponent".
func parseSchema(text []byte) ([]nodeMetric, error) {
	var all []nodeMetric
	for line := range strings.Lines(string(text)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(part) != 3 || part[0] == "" {
			return nil, fmt.Errorf("schema line %q: want metric,unit,exponent", line)
		}
		exponent, err := strconv.Atoi(part[2])
		if err != nil || exponent < -12 || exponent > 12 {
			return nil, fmt.Errorf("schema line %q: exponent is not in -12..12", line)
		}
		all = append(all, nodeMetric{part[0], part[1], exponent})
	}
	return all, nil
}

// number gives a value in its unit, rounded once.
func (m *nodeMetric) number(v int32) float64 {
	if m.exponent < 0 {
		return float64(v) / math.Pow10(-m.exponent)
	}
	return float64(v) * math.Pow10(m.exponent)
}
