package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// hostileMemory is what a hostile peer may make a source hold, bytes, beside what the
// process held before.
const hostileMemory = 32 << 20

// mqttPacket is a packet with a length that is true.
func mqttPacket(first byte, body []byte) []byte {
	return append(appendLength([]byte{first}, len(body)), body...)
}

func mqttString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// hostilePackets are what a broker says after CONNECT that keeps to MQTT as far as it
// likes.
func hostilePackets(rng *rand.Rand) (script []byte) {
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	random := func(most int) string {
		p := make([]byte, rng.IntN(most))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		return string(p)
	}
	publish := func() []byte {
		qos := byte(rng.IntN(4))
		topic := pick("plant/a", "", "spBv1.0/g/NBIRTH/n", "spBv1.0/g/DDATA/n/d", "STATE/x", random(50), strings.Repeat("/", rng.IntN(60_000)), "#", "a\x00b")
		body := mqttString(topic)
		if qos > 0 {
			body = binary.BigEndian.AppendUint16(body, uint16(rng.IntN(4)))
		}
		payload := pick(`{"n":1,"v":2}`, "", random(2000), `{"`+strings.Repeat("k", rng.IntN(5000))+`":{"a":1,"b":2}}`,
			strings.Repeat(`{"a":`, rng.IntN(12_000)), "["+strings.Repeat("[],", rng.IntN(20_000)), `{"v":`+strings.Repeat("9", rng.IntN(50_000))+"}",
			"\x12"+random(40), strings.Repeat("\x12\x00", rng.IntN(40_000)), strings.Repeat("x", rng.IntN(300)*rng.IntN(10_000)))
		return mqttPacket(packetPublish<<4|byte(rng.IntN(2))<<3|qos<<1|byte(rng.IntN(2)), append(body, payload...))
	}
	script = mqttPacket(0x20, pick2(rng, []byte{0, 0}, []byte{1, 0}))
	if rng.IntN(8) == 0 {
		script = mqttPacket(byte(rng.Uint32()), []byte(random(10)))
	}
	if rng.IntN(8) > 0 {
		script = append(script, mqttPacket(0x90, pick2(rng, []byte{0, 1, 0}, []byte{0, 1, 1}, []byte{0, 1, 2}, []byte{0, 1, 0x80}, []byte{0, 1}, []byte{0, 9, 0}, []byte{0, 1, 0, 0, 0}, []byte{0}))...)
	}
	for range rng.IntN(12) {
		switch rng.IntN(8) {
		case 0: // any packet
			script = append(script, mqttPacket(byte(rng.Uint32()), []byte(random(20)))...)
		case 1: // of the flows of QoS 1 and 2, also never asked for
			script = append(script, mqttPacket(byte(4+rng.IntN(5))<<4|byte(rng.IntN(16)), []byte(random(4)))...)
		case 2: // a length that is not true, or none
			p := publish()
			script = append(script, p[:rng.IntN(len(p))]...)
		case 3:
			script = append(script, random(30)...)
		default:
			script = append(script, publish()...)
		}
	}
	return script
}

func pick2(rng *rand.Rand, all ...[]byte) []byte { return all[rng.IntN(len(all))] }

// hostileBroker plays connections of a source over a broker that says scripts, one a
// connection, beside an honest sender of another source of the same sink.
type hostileBroker struct {
	t       testing.TB
	sink    *hostileSink
	scripts chan [][]byte
	link    *brokerLink
	acks    *acknowledger
	meter   *meter
	honest  net.Conn
	lines   int
	before  uint64 // memory held
}

// hostileSink counts what is captured and makes it durable at once.
type hostileSink struct {
	durableSink
	lines  []string
	failed error // a report that cannot be read
}

// Deliver implements Sink.
func (s *hostileSink) Deliver(b *Batch) error {
	s.mu.Lock()
	for i := range b.Lines {
		var r sensor.Report
		if !b.Lines[i].Reading {
			s.lines = append(s.lines, string(b.Lines[i].Data))
		} else if err := r.Decode(b.Lines[i].Data, nil); err != nil {
			s.failed = fmt.Errorf("report %x: %w", b.Lines[i].Data, err)
		}
	}
	if b.Mark != "" {
		s.marks[b.Mark] = b.Position
	}
	s.mu.Unlock()
	if b.Durable != nil {
		b.Durable()
	}
	return nil
}

func newHostileBroker(t testing.TB, seed uint64) *hostileBroker {
	h := &hostileBroker{t: t, sink: &hostileSink{durableSink: durableSink{marks: map[string][]byte{}}}, scripts: make(chan [][]byte, 1), acks: newAcknowledger(), before: heap()}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			h.speak(conn)
		}
	}()
	ctx, stop := context.WithCancel(context.Background())
	broker := BrokerConfig{URL: "mqtt://" + ln.Addr().String(), ClientID: "x", MaxPayload: 64 << 10}
	take := func([]message, *acknowledger) error { return nil }
	if seed%2 == 0 {
		m, err := NewMQTT(MQTTConfig{Options: options("m"), Broker: broker, QoS: 1, Topics: []MQTTTopic{{"plant/#", numberedJSON}, {"#", sensor.Mapping{Format: sensor.FormatJSON}}}})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := openSeen("m", 100, h.sink)
		if err != nil {
			t.Fatal(err)
		}
		h.meter = &m.meter
		h.link = &brokerLink{cfg: &m.cfg.Broker, meter: h.meter, filters: map[string]byte{"#": 1}, persistent: true}
		take = func(all []message, acks *acknowledger) error { return m.take(all, acks, seen, h.sink) }
	} else {
		s, err := NewSparkplug(SparkplugConfig{Options: options("m"), Broker: broker, Rebirth: true})
		if err != nil {
			t.Fatal(err)
		}
		h.meter = &s.meter
		h.link = &brokerLink{cfg: &s.cfg.Broker, meter: h.meter, filters: map[string]byte{"#": 0}, announce: true,
			connected: func(publish func(string, []byte)) { s.setPublish(publish) }, disconnected: func() { s.setPublish(nil) }}
		take = func(all []message, _ *acknowledger) error { return s.take(all, h.sink) }
	}
	h.link.writing = time.Second
	h.link.messages, h.link.room = make(chan message, mqttQueue), semaphore.NewWeighted(mqttQueueBytes)
	done := make(chan bool, 2)
	go func() { h.acks.run(); done <- true }()
	go func() { h.link.takeAll(ctx, h.acks, take); done <- true }()
	a, err := NewTCPServer(TCPServerConfig{Options: options("honest"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- a.Run(ctx, h.sink) == nil }()
	t.Cleanup(func() {
		stop()
		h.acks.close()
		for range 3 {
			<-done
		}
	})
	if h.honest, err = net.Dial("tcp", a.Addr(ctx).String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.honest.Close() })
	return h
}

// speak plays one connection: CONNECT is waited for, and what else the client says is
// read and not looked at.
func (h *hostileBroker) speak(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	p := make([]byte, 1<<10)
	if _, err := conn.Read(p); err != nil {
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	script := <-h.scripts
	_, _ = conn.Write(script[0])
	// The library asks on for a while where a connection ends before it has subscribed on
	// it. It subscribes, or hangs up, once it is accepted; otherwise it may say nothing.
	patience := 100 * time.Millisecond
	if p := script[0]; len(p) > 3 && p[0] == 0x20 && p[1] == 2 && p[3] == 0 {
		patience = 10 * time.Second
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for _, answer := range script[1:] {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(p); err != nil {
			return
		}
		_, _ = conn.Write(answer)
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	}
	_, _ = conn.Read(p)
	_ = conn.(*net.TCPConn).CloseWrite() // what was said is read to its end
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.Copy(io.Discard, conn)
}

// play plays a connection with a script, each part of it but the first when the client
// has said something more, and has the honest sender say a line.
func (h *hostileBroker) play(script ...[]byte) {
	h.scripts <- script
	if _, err := fmt.Fprintf(h.honest, "line %d\n", h.lines); err != nil {
		h.t.Fatal(err)
	}
	h.lines++
	if err := h.link.connection(context.Background(), h.acks); err == nil {
		h.t.Error("a connection ended without saying why")
	} else {
		h.meter.fault(StateAbsent, err)
	}
}

// judge checks that the honest sender's lines are all there, that every report can be
// read, that memory is bounded and that the status tells.
func (h *hostileBroker) judge() {
	h.t.Helper()
	eventually(h.t, "the honest lines", func() bool {
		h.sink.mu.Lock()
		defer h.sink.mu.Unlock()
		return len(h.sink.lines) == h.lines
	})
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	for i, l := range h.sink.lines {
		if l != fmt.Sprintf("line %d", i) {
			h.t.Fatalf("line %d is %q", i, l)
		}
	}
	if h.sink.failed != nil {
		h.t.Fatal(h.sink.failed)
	}
	if s := h.meter.Status(); s.State != StateAbsent || s.Detail == "" || s.Errors == 0 {
		h.t.Errorf("the status does not tell: %+v", s)
	}
	now := heap()
	if now > h.before+hostileMemory {
		h.t.Fatalf("%d MiB are held, %d before", now>>20, h.before>>20)
	}
	h.t.Logf("%d turns: all %d honest lines, %d KiB are held, %d before; %d errors told, %d messages rejected, %d too large",
		h.lines, len(h.sink.lines), now>>10, h.before>>10, h.meter.errors.Load(), h.meter.rejected.Load(), h.meter.oversized.Load())
}

// hostileTurns is how many turns a test plays with a hostile peer.
func hostileTurns() int {
	if os.Getenv("LANDFALL_SOAK") == "1" {
		return 10_000
	}
	return 40
}

// TestHostileBroker: a broker that says anything costs nobody else a line, and no more
// than bounded memory.
func TestHostileBroker(t *testing.T) {
	for seed := range uint64(2) {
		h := newHostileBroker(t, seed)
		rng := rand.New(rand.NewPCG(seed, 8))
		for range hostileTurns() {
			h.play(hostilePackets(rng))
		}
		h.judge()
		runtime.KeepAlive(h)
	}
}

// TestASubscriptionIsAnswered: what is not the answer to a subscription makes no
// subscription, and a source that is called open is subscribed.
func TestASubscriptionIsAnswered(t *testing.T) {
	h := newHostileBroker(t, 0)
	h.play(mqttPacket(0x20, []byte{0, 0}), mqttPacket(0xb0, []byte{0, 1}))
	if s := h.meter.Status(); !strings.Contains(s.Detail, "0 answered") {
		t.Errorf("%+v", s)
	}
	h.play(mqttPacket(0x20, []byte{0, 0}), mqttPacket(0x90, []byte{0, 1, 1, 1}))
	if s := h.meter.Status(); s.State != StateAbsent || strings.Contains(s.Detail, "0 answered") {
		t.Errorf("%+v", s)
	}
	h.judge()
}

// TestATakeoverIsCounted: a connection that the broker ended, followed at once by one with
// the session, is counted; one that follows a refusal, or that finds no session, is not.
func TestATakeoverIsCounted(t *testing.T) {
	h := newHostileBroker(t, 0)
	const known, unknown, refused = 0x0100, 0, 0x0005
	for i, c := range []struct {
		answer uint16 // of CONNACK
		want   uint64
	}{{known, 0}, {known, 1}, {refused, 1}, {known, 1}, {known, 2}, {unknown, 2}, {known, 3}} {
		ack := mqttPacket(0x20, []byte{byte(c.answer >> 8), byte(c.answer)})
		if c.answer == refused {
			h.play(ack)
		} else {
			h.play(ack, mqttPacket(0x90, []byte{0, 1, 1}))
		}
		if s := h.meter.Status(); s.Takeovers != c.want || (s.LastTakeoverAt == record.NoTime) != (c.want == 0) {
			t.Errorf("connection %d: %d takeovers, the last at %d; want %d", i, s.Takeovers, s.LastTakeoverAt, c.want)
		}
	}
	h.judge()
}

// FuzzHostileBroker plays what the fuzzer finds, as packets and as seeds of them.
func FuzzHostileBroker(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), slices.Concat(mqttPacket(0x20, []byte{0, 0}), mqttPacket(0x90, []byte{0, 1, 0}), mqttPacket(0x30, append(mqttString("plant/a"), `{"n":1}`...))))
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		h := newHostileBroker(t, seed)
		h.play(script)
		h.play(hostilePackets(rand.New(rand.NewPCG(seed, 9))))
		h.judge()
	})
}
