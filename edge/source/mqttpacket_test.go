package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"landfall/decoders/sensor"
)

// publishPacket is a message as a broker sends it.
func publishPacket(t *testing.T, topic string, qos byte, payload []byte) []byte {
	t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, 7, payload
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// streamConn is a connection that brings what a reader has.
type streamConn struct {
	net.Conn
	io.Reader
}

func (c streamConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// TestPacketsAreBounded: packets come out as they went in, but for the part of a
// payload that is beyond the bound, however they were cut on the way. While a large
// one comes, paho hears that the broker lives.
func TestPacketsAreBounded(t *testing.T) {
	const limit = 100_000
	var all []byte
	var want []int // lengths of payloads; -1: another packet
	long := strings.Repeat("t", 60_000)
	for _, size := range []int{0, 1, 65_000, limit - 1, limit, limit + 1, 3 * limit} {
		for qos := range byte(3) {
			for _, topic := range []string{"a", long} {
				all = append(all, publishPacket(t, topic, qos, bytes.Repeat([]byte{'x'}, size))...)
				all = append(all, packetPingResp...)
				want = append(want, min(size, limit+1), -1)
			}
		}
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(all), "halves": iotest.HalfReader(bytes.NewReader(all)), "bytes": iotest.OneByteReader(bytes.NewReader(all)),
	} {
		t.Run(name, func(t *testing.T) {
			var cut []int64
			c := newPacketConn(streamConn{Reader: r}, limit, func(topic string, size int64) {
				if topic != "a" && topic != long {
					t.Errorf("topic of %d bytes", len(topic))
				}
				cut = append(cut, size)
			})
			var got []int
			pings := 0
			for {
				p, err := packets.ReadPacket(c)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if m, ok := p.(*packets.PublishPacket); !ok {
					pings++
				} else {
					if m.TopicName != "a" && m.TopicName != long || m.Qos > 0 && m.MessageID != 7 || bytes.Count(m.Payload, []byte{'x'}) != len(m.Payload) {
						t.Fatalf("message %d: topic of %d bytes, identifier %d", len(got), len(m.TopicName), m.MessageID)
					}
					got = append(got, len(m.Payload), -1)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("payloads of %d, want %d", got, want)
			}
			if sent := len(want) / 2; pings <= sent {
				t.Errorf("%d answers to pings, %d were sent: none while a large message came", pings, sent)
			}
			if len(cut) != 12 || slices.Min(cut) != limit+1 || slices.Max(cut) != 3*limit {
				t.Errorf("cut: %d", cut)
			}
		})
	}
}

// TestPacketsThatNoBrokerSends: they end the connection, and nothing of the size that
// they state is allocated.
func TestPacketsThatNoBrokerSends(t *testing.T) {
	for name, tt := range map[string]struct{ packet, want string }{
		"a long length":           {"\x30\xff\xff\xff\xff\x7f", "takes more than 4 bytes"},
		"a large acknowledgement": {"\x90\xff\xff\xff\x7f", "only a message may be longer"},
		"more filters than asked": {"\x90\x04\x00\x01\x00\x00", "packet of type 9 and 4 bytes, want 3"},
		"fewer filters":           {"\x90\x02\x00\x01", "packet of type 9 and 2 bytes, want 3"},
		"a short acknowledgement": {"\x40\x01\x00", "packet of type 4 and 1 bytes, want 2"},
		"a ping with a body":      {"\xd0\x01\x00", "packet of type 13 and 1 bytes, want 0"},
		"a subscription":          {"\x82\x05\x00\x01\x00\x00\x00", "packet of type 8, which no broker sends"},
		"QoS 3":                   {"\x36\x07\x00\x01a\x00\x01xx", "message of QoS 3"},
		"no topic":                {"\x30\x04\x00\x00xx", "message without a topic"},
		"a large one without":     {"\x30\xff\xff\x7f\x00\x00", "message without a topic"},
		"a message of a byte":     {"\x30\x01\x00", "message of 1 bytes"},
		"a topic beyond the end":  {"\x32\x81\x80\x04\xff\xff", "with a topic of 65539"},
		"cut in its length":       {"\x30\xff", "unexpected EOF"},
		"cut in its topic":        {"\x30\xff\xff\x7f\x00", "unexpected EOF"},
		"cut in its payload":      {"\x30\xff\xff\xff\x7f\x00\x01axxx", "unexpected EOF"},
	} {
		var err error
		c := newPacketConn(streamConn{Reader: strings.NewReader(tt.packet)}, 1000, nil)
		c.filters = 1
		for err == nil {
			_, err = c.Read(make([]byte, 64))
		}
		if !strings.Contains(err.Error(), tt.want) || c.large != nil && cap(c.large.kept) > 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMessageTooLarge: a message beyond the bound is a rejected report with its
// beginning, is counted, and is acknowledged like any other; one within it is read.
func TestMessageTooLarge(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	cfg := mqttConfig(b, 1)
	cfg.Broker.MaxPayload = 100_000
	sink := &durableSink{marks: map[string][]byte{}}
	m, stop := runMQTT(t, cfg, sink)
	p := b.publisher("p")
	eventually(t, "a subscription", func() bool {
		publish(t, p, "plant/a/numbered", `{"n":0,"v":1}`, false)
		return len(sink.payloads()) > 0
	})
	fits := `{"n":1,"v":1,"x":"` + strings.Repeat("x", 60_000) + `"}`
	exact := `{"n":2,"v":1}` + strings.Repeat(" ", 100_000-13)
	publish(t, p, "plant/a/numbered", fits, false)
	publish(t, p, "plant/a/numbered", exact, false)
	publish(t, p, "plant/a/numbered", exact+" ", false)
	publish(t, p, "plant/a/numbered", strings.Repeat(exact, 20), false)
	publish(t, p, "plant/a/numbered", `{"n":3,"v":1}`, false)
	eventually(t, "the last message", func() bool { return slices.Contains(sink.payloads(), `{"n":3,"v":1}`) })
	sink.mu.Lock()
	var reasons []string
	for _, r := range sink.reports {
		if r.Reason != "" {
			reasons = append(reasons, r.Reason)
			if string(r.Payload) != exact || !r.Cut || len(r.Readings) > 0 || r.Address != "plant/a/numbered" {
				t.Errorf("%d bytes kept, cut %v, %d readings", len(r.Payload), r.Cut, len(r.Readings))
			}
		}
	}
	sink.mu.Unlock()
	if !slices.Equal(reasons, []string{sensor.RejectTooLarge, sensor.RejectTooLarge}) {
		t.Errorf("rejected for %q", reasons)
	}
	if s := m.Status(); s.Oversized != 2 || s.Discarded != 1+19*100_000 || s.Rejected != 2 || s.Truncated != 2 || s.Connects != 1 {
		t.Errorf("%+v", s)
	}
	stop()
	// All were acknowledged: nothing comes again.
	again := &durableSink{marks: map[string][]byte{}}
	_, _ = runMQTT(t, cfg, again)
	eventually(t, "a message", func() bool {
		publish(t, p, "plant/a/numbered", `{"n":4,"v":1}`, false)
		return len(again.payloads()) > 0
	})
	if got := again.payloads(); got[0] != `{"n":4,"v":1}` {
		t.Errorf("%.40q came again", got[0])
	}
}

// TestMessagesThatWaitAreBoundedInBytes: while nothing is taken, large messages wait at
// the broker, and come when it goes on.
func TestMessagesThatWaitAreBoundedInBytes(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\nmax_inflight_messages 0\n")
	cfg, o := mqttConfig(b, 1).Broker, options("plant")
	var m meter
	m.init(&o, "mqtt", true)
	link := brokerLink{cfg: &cfg, meter: &m, filters: map[string]byte{"plant/#": 1}, persistent: true}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var sizes []int // of messages taken at once, bytes
	hold, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- link.run(ctx, func(all []message, acks *acknowledger) error {
			n := 0
			for i := range all {
				n += len(all[i].payload)
			}
			mu.Lock()
			sizes = append(sizes, n)
			mu.Unlock()
			select {
			case <-hold:
			case <-ctx.Done():
			}
			if durable := acks.after(all); durable != nil {
				durable()
			}
			return nil
		})
	}()
	p := b.publisher("p")
	taken := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, size := range sizes {
			n += size
		}
		return n
	}
	eventually(t, "a subscription", func() bool { publish(t, p, "plant/a", "x", false); return taken() > 0 })
	first := taken()
	const size, count = 1 << 19, 40
	large := strings.Repeat("y", size)
	for range count {
		publish(t, p, "plant/a", large, false)
	}
	eventually(t, "a full queue", func() bool { return m.Status().Bytes >= mqttQueueBytes })
	close(hold)
	eventually(t, "all messages", func() bool { return taken() >= first+count*size })
	mu.Lock()
	if most := slices.Max(sizes); most > mqttQueueBytes {
		t.Errorf("%d bytes waited, %v", most, sizes)
	}
	mu.Unlock()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
