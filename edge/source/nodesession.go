package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"runtime/debug"
	"strings"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// nodeSession is the gateway's half of the protocol on one open line: it decides
// what becomes of each frame. It does no I/O: Node hands frames in, and carries
// out what it finds in the session after them. It belongs to Node's goroutine.
type nodeSession struct {
	// open gives what is known of a node: its history, and up to which number
	// all is durable.
	open func(id nodeID) (*nodeState, error)

	state    *nodeState // of the node that said HELLO; nil: none yet
	hello    nodeHello
	name     string // of the node, for rows
	expected uint64 // number that comes next; 0: START has not come, and a NAK with it asks for HELLO
	schema   map[uint16][]nodeMetric
	asked    bool // for number askedFor at askedAt, monotonic, and it has not come
	askedFor uint64
	askedAt  int64

	// For Node after each frame; it empties them.
	out     [][]byte // frames to send
	lines   []Line   // to capture
	covered bool     // a frame was taken or known: an acknowledgement is due up to expected-1

	conflicts, rejected, duplicates, lost, errors uint64 // counts, emptied too
	moved, twice                                  uint64 // likewise, see doubt
	problem                                       string // the last error's, for status
	panicked                                      string // the last panic's, with its stack; emptied too

	decoders nodeDecoders
}

// nodeDecoders are what reads the bytes of nodes; a test puts others there.
type nodeDecoders struct {
	reading func(body []byte) (nodeReading, error)
	schema  func(text []byte) ([]nodeMetric, error)
	number  func(m *nodeMetric, v int32) float64
}

// ownDecoders are the real ones.
func ownDecoders() nodeDecoders {
	return nodeDecoders{reading: parseReading, schema: parseSchema, number: (*nodeMetric).number}
}

// Reasons why a node's record has no readings, in the column reject_reason.
const (
	// RejectSequenceConflict: the number was taken with another content. The
	// node's flash was set back, or two nodes have one identity.
	RejectSequenceConflict = "sequence_conflict"
	// RejectNodeFrame: a frame that is whole but not as this version knows it.
	RejectNodeFrame = "node_frame"
)

// askPause bounds how often the same number is asked for.
const askPause = 500 * time.Millisecond

// historicalAfter is the age at which a reading no longer tells of now.
const historicalAfter = 10 * time.Second

// take takes one frame at a moment.
func (s *nodeSession) take(body []byte, wall record.Micros, mono int64) {
	if body[0] == frameHello {
		s.welcome(body, wall)
		return
	}
	tag := binary.LittleEndian.Uint32(body[1:])
	if s.state == nil || tag != s.hello.id.tag() {
		s.ask(whoFrame(), 0, mono) // somebody we do not know: who is it?
		return
	}
	switch body[0] {
	case frameStart:
		s.start(body)
	case frameSchema:
		s.learn(body, nil)
	case frameReading:
		s.reading(body, "", wall, mono)
	case frameLost:
		s.lostRange(body, mono)
	default:
		s.fail("frame of type %d", body[0])
	}
}

// refuse takes a frame of which the gateway died: of a reading the number is read, so that
// it is kept as it came and acknowledged; without a schema readings have no names.
func (s *nodeSession) refuse(body []byte, wall record.Micros, mono int64) {
	s.fail("frame of type %d of which the gateway died", body[0])
	if s.state == nil || binary.LittleEndian.Uint32(body[1:]) != s.hello.id.tag() {
		return
	}
	switch body[0] {
	case frameReading:
		s.reading(body, sensor.RejectKills, wall, mono)
	case frameSchema:
		s.learn(body, errNodeKills)
	}
}

// errNodeKills says that a frame is not read, because the gateway died of it.
var errNodeKills = errors.New("the gateway died of it")

// errNodePanic says that a decoder panicked.
var errNodePanic = errors.New("a frame made its decoder panic")

// guarded has read take a part of a frame. Error: read's; errNodePanic.
func (s *nodeSession) guarded(read func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			s.panicked = fmt.Sprintf("%v\n%s", what, debug.Stack())
			err = errNodePanic
		}
	}()
	return read()
}

// unread is a reading of which no more is read than its number, and its content where it
// has one. Error: it has no number.
func unread(body []byte) (r nodeReading, err error) {
	if len(body) < 24 {
		return r, errNodeFrame
	}
	return nodeReading{sequence: binary.LittleEndian.Uint64(body[16:]), content: crc32.ChecksumIEEE(body[13:])}, nil
}

func (s *nodeSession) fail(format string, args ...any) {
	s.errors++
	s.problem = fmt.Sprintf(format, args...)
}

// ask sends a frame that asks for number n, unless the same was asked just now.
func (s *nodeSession) ask(frame []byte, n uint64, mono int64) {
	if s.asked && s.askedFor == n && mono-s.askedAt < askPause.Microseconds() {
		return
	}
	s.asked, s.askedFor, s.askedAt = true, n, mono
	s.out = append(s.out, frame)
}

// welcome tells a node what is durable of it, and the time.
func (s *nodeSession) welcome(body []byte, wall record.Micros) {
	h, err := parseHello(body)
	if err != nil {
		s.fail("%v", err)
		return
	}
	if h.version != nodeVersion {
		s.fail("node-%x speaks version %d of the protocol, this gateway %d", h.id.node, h.version, nodeVersion)
		return
	}
	state, err := s.open(h.id)
	if err != nil {
		s.fail("%s: %v", h.id, err)
		return
	}
	if s.state != state {
		s.schema = map[uint16][]nodeMetric{}
	}
	s.state, s.hello, s.expected, s.asked = state, h, 0, false
	s.name, _, _ = strings.Cut(h.id.String(), "/")
	micros := int64(wall)
	if !sensor.Believable(micros) {
		micros = 0
	}
	durable := state.durable.Load()
	s.out = append(s.out, welcomeFrame(h.id.tag(), durable > 0, durable, micros))
}

// start takes the number with which the node begins. What lies between it and
// what was taken here was acknowledged by another gateway, or by this one before
// it lost its log: that is told, too.
func (s *nodeSession) start(body []byte) {
	if len(body) != nodeFrameHead+8 {
		s.fail("start of %d bytes", len(body))
		return
	}
	first := binary.LittleEndian.Uint64(body[nodeFrameHead:])
	if first == 0 {
		s.fail("start with number 0")
		return
	}
	switch high := s.state.history.high; {
	case first > high+1:
		s.rangeReport(body, "elsewhere", high+1, first-1)
		s.state.history.high = first - 1
		s.state.doubt = nodeDoubt{through: min(s.hello.last, first-1+nodeRecent), certain: true}
		s.moved++
	case high == 0:
		s.state.doubt = nodeDoubt{through: min(s.hello.last, nodeRecent)}
	}
	s.expected = first
}

// nodeDoubt is which readings another gateway may have taken, too, whose
// acknowledgement the node did not hear: it had made them before it came, and has no
// more under way than its window, and a window behind what its flash says of the last
// acknowledgement.
type nodeDoubt struct {
	through uint64 // the last such number
	certain bool   // another gateway is known to have spoken with the node
	waiting uint64 // taken while it was not certain
}

// isTwice counts a reading that is taken if it may be there twice. Of a node that begins
// with its first reading that is so once one shows that it was made after some gateway
// had told the time.
func (s *nodeSession) isTwice(r *nodeReading) {
	d := &s.state.doubt
	if r.sequence > d.through {
		return
	}
	d.waiting++
	if !d.certain && r.knewTime {
		d.certain = true
		s.moved++
	}
	if d.certain {
		s.twice += d.waiting
		d.waiting = 0
	}
}

// learn takes the description of readings to come. A node that was asked to go
// back says it first: what is missing after it is missing again. refused says why it is
// not read.
func (s *nodeSession) learn(body []byte, refused error) {
	if len(body) < nodeFrameHead+2 {
		s.fail("schema of %d bytes", len(body))
		return
	}
	id, text := binary.LittleEndian.Uint16(body[nodeFrameHead:]), body[nodeFrameHead+2:]
	var metrics []nodeMetric
	err := refused
	if err == nil {
		err = s.guarded(func() (err error) {
			metrics, err = s.decoders.schema(text)
			return err
		})
	}
	if err != nil || schemaID(text) != id {
		s.fail("schema %04x of %s cannot be used: %v", id, s.name, err) // its readings are kept without names
	}
	s.schema[id] = metrics
	s.asked = false
}

// parse reads a reading, or no more than its number where reason says why. It returns
// why it has no values, and false where it has no number.
func (s *nodeSession) parse(body []byte, reason string) (r nodeReading, why string, ok bool) {
	if reason == "" {
		err := s.guarded(func() (err error) {
			r, err = s.decoders.reading(body)
			return err
		})
		if err == nil {
			return r, "", true
		}
		s.fail("%v", err)
		if reason = RejectNodeFrame; errors.Is(err, errNodePanic) {
			reason = sensor.RejectPanic
		}
	}
	r, err := unread(body)
	return r, reason, err == nil
}

// reading takes a reading if it is the next one; reason says why nothing is read in it
// but its number, empty: nothing does.
func (s *nodeSession) reading(body []byte, reason string, wall record.Micros, mono int64) {
	r, reason, ok := s.parse(body, reason)
	if !ok {
		return
	}
	if r.sequence == 0 {
		s.fail("reading with number 0")
		return
	}
	tag := s.hello.id.tag()
	if r.sequence > s.expected { // or START has not come
		s.ask(numberFrame(frameNak, tag, s.expected), s.expected, mono)
		return
	}
	metrics, known := s.schema[r.schema]
	if !known && reason == "" {
		s.ask(numberFrame(frameNak, tag, r.sequence), r.sequence, mono) // its schema comes with it
		return
	}
	var rows []sensor.Reading
	if reason == "" && s.guarded(func() error {
		rows = s.rows(&r, metrics, wall)
		return nil
	}) != nil {
		s.fail("%v", errNodePanic)
		reason = sensor.RejectPanic
	}
	if r.sequence == s.expected {
		s.expected++
		s.asked = false
	}
	s.covered = true
	switch fate := s.state.history.judge(r.sequence, r.content); {
	case fate == nodeRepeat:
		s.duplicates++
	case fate == nodeConflict:
		s.conflicts++
		s.add(body, RejectSequenceConflict, 0, nil)
	case reason != "":
		s.isTwice(&r)
		s.add(body, reason, 0, nil)
	default:
		s.isTwice(&r)
		s.add(body, "", r.time(), rows)
	}
}

// rows gives the readings of a reading: its number, so that anybody can count
// them, and its values.
func (s *nodeSession) rows(r *nodeReading, metrics []nodeMetric, wall record.Micros) []sensor.Reading {
	at := r.time()
	base := sensor.Reading{
		Sensor: s.name, HasTime: at != 0, Time: at, Quality: sensor.QualityGood,
		Historical: r.boot != s.hello.boot || at != 0 && int64(wall)-at > historicalAfter.Microseconds(),
	}
	row := base
	row.Metric, row.Kind, row.Number = "sequence", sensor.Number, float64(r.sequence)
	rows := []sensor.Reading{row}
	for i, v := range r.values {
		m := nodeMetric{name: fmt.Sprintf("value_%d", i+1)}
		row := base
		if i < len(metrics) {
			m = metrics[i]
		} else {
			row.Quality = sensor.QualityUncertain // nobody says what it is
		}
		row.Metric, row.Unit = m.name, m.unit
		if v == noNodeValue {
			row.Quality = sensor.QualityBadTimeout
		} else {
			row.Kind, row.Number = sensor.Number, s.decoders.number(&m, v)
		}
		rows = append(rows, row)
	}
	return rows
}

// lostRange takes a range that the node gave up, or what of it is not known yet.
func (s *nodeSession) lostRange(body []byte, mono int64) {
	if len(body) != nodeFrameHead+17 {
		s.fail("lost of %d bytes", len(body))
		return
	}
	first, last := binary.LittleEndian.Uint64(body[nodeFrameHead:]), binary.LittleEndian.Uint64(body[nodeFrameHead+8:])
	if first == 0 || last < first || last == math.MaxUint64 {
		s.fail("lost %d to %d", first, last)
		return
	}
	if first > s.expected {
		s.ask(numberFrame(frameNak, s.hello.id.tag(), s.expected), s.expected, mono)
		return
	}
	s.covered = true
	s.expected = max(s.expected, last+1)
	s.asked = false
	if first = max(first, s.state.history.high+1); first > last {
		s.duplicates++
		return
	}
	s.lost += last - first + 1
	s.rangeReport(body, "lost", first, last)
	s.state.history.high = last
}

// rangeReport tells of numbers that no reading will have: what is "lost", or
// was taken "elsewhere".
func (s *nodeSession) rangeReport(body []byte, what string, first, last uint64) {
	row := sensor.Reading{Sensor: s.name, Kind: sensor.Number, Quality: sensor.QualityGood}
	from, to := row, row
	from.Metric, from.Number = what+"_first", float64(first)
	to.Metric, to.Number = what+"_last", float64(last)
	s.add(body, "", 0, []sensor.Reading{from, to})
}

// add hands a report over.
func (s *nodeSession) add(body []byte, reason string, at int64, rows []sensor.Reading) {
	if reason != "" {
		s.rejected++
	}
	report := sensor.Report{Origin: sensor.OriginNode, Address: s.hello.id.String(), Payload: body, Reason: reason, Readings: rows}
	s.lines = append(s.lines, Line{Data: report.Append(nil), Reading: true, Time: record.Micros(at)})
}
