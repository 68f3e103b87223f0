package source

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/simonvetter/modbus"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/modbus"
	"landfall/edge/care"
	"landfall/edge/durable"
	"landfall/edge/record"
)

// TestAPanicOfANodesFrameIsARecord: a reading that makes its decoder panic, whichever that
// is, is captured with that reason and acknowledged, once, and those beside it are read; a
// schema that does leaves readings without names.
func TestAPanicOfANodesFrameIsARecord(t *testing.T) {
	own := ownDecoders()
	for name, c := range map[string]struct {
		decoders nodeDecoders
		want     string
	}{
		"a reading": {nodeDecoders{func(b []byte) (nodeReading, error) {
			r, err := own.reading(b)
			if r.sequence == 2 {
				panic("of a reading")
			}
			return r, err
		}, own.schema, own.number}, "sequence 1 temperature 0.001Cel level bad_timeout; panic; sequence 3 temperature 0.003Cel level bad_timeout"},
		"its values": {nodeDecoders{own.reading, own.schema, func(m *nodeMetric, v int32) float64 {
			if v == 2 {
				panic("of a value")
			}
			return own.number(m, v)
		}}, "sequence 1 temperature 0.001Cel level bad_timeout; panic; sequence 3 temperature 0.003Cel level bad_timeout"},
		"a schema": {nodeDecoders{own.reading, func([]byte) ([]nodeMetric, error) { panic("of a schema") }, own.number},
			"sequence 1 value_1 1 value_2 bad_timeout; sequence 2 value_1 2 value_2 bad_timeout; sequence 3 value_1 3 value_2 bad_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &holdingSink{testSink: newTestSink()}
				var log bytes.Buffer
				w, n, end := lineOf(t, "tank", new(Nodes), sink, func(n *Node) {
					n.decoders = c.decoders
					n.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				w.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema))
				for i := range uint64(3) {
					w.say(readingOf(testNode, i+1, int32(i+1)))
				}
				synctest.Wait()
				sink.durable()
				w.say(readingOf(testNode, 2, 2)) // it did not hear the acknowledgement
				synctest.Wait()
				sink.durable()
				if got := w.told(); !strings.HasSuffix(got, "ack 3") || strings.Contains(got, "nak") {
					t.Errorf("said %q", got)
				}
				if got := sink.took(t); got != c.want {
					t.Errorf("took %q, want %q", got, c.want)
				}
				if s := n.Status(); s.Errors == 0 || s.Duplicates != 1 || s.Conflicts != 0 {
					t.Errorf("%+v", s.Counters)
				}
				end()
				if !strings.Contains(log.String(), "made its decoder panic") {
					t.Errorf("the log says %s", log.String())
				}
			})
		})
	}
}

// TestAPanicOverARegisterIsARecord: an answer that makes its decoder panic is captured with
// that reason, and the device's other answers are read.
func TestAPanicOverARegisterIsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := must(NewModbus(ModbusConfig{Options: options("bus"), URL: "tcp://h:502", Devices: []ModbusDevice{{Unit: 1, Sensor: "s", Interval: time.Second, Registers: []modbus.Register{
			{Table: modbus.Holding, Type: modbus.Uint16, Metric: "a"}, {Table: modbus.Holding, Address: 1000, Type: modbus.Uint16, Metric: "b"}}}}}))(t)
		// No configuration is accepted with such a register: it is a case that nobody thought of.
		m.devices[0].requests[0].Reads = []modbus.Register{{Table: modbus.Coils, Metric: "a"}}
		m.read = func(uint8, *modbus.Request) ([]byte, error) { return []byte{0, 1}, nil }
		sink := newTestSink()
		for range m.devices[0].requests {
			if err := m.turn(t.Context(), m.devices[0], sink); err != nil {
				t.Fatal(err)
			}
		}
		var reasons []string
		for _, b := range sink.batches {
			reasons = append(reasons, reasonOf(t, &b.Lines[0]))
		}
		if got := strings.Join(reasons, ","); got != "panic," {
			t.Errorf("reasons %q", got)
		}
		if s := m.Status(); s.Rejected != 1 || s.Errors != 1 {
			t.Errorf("%d rejected, %d errors", s.Rejected, s.Errors)
		}
	})
}

// TestAPanicOfTheBusIsABadFrame: an answer on which the client panics is a bad value, and
// the bus is opened again.
func TestAPanicOfTheBusIsABadFrame(t *testing.T) {
	m := must(NewModbus(ModbusConfig{Options: options("bus"), URL: "tcp://h:502", Devices: []ModbusDevice{{Unit: 1, Sensor: "s", Interval: time.Second,
		Registers: []modbus.Register{{Table: modbus.Holding, Type: modbus.Uint16, Metric: "a"}}}}}))(t)
	m.bus.client = new(client.ModbusClient) // one that was never made: whatever it is asked, it panics
	_, err := m.bus.caught(1, &m.devices[0].requests[0])
	if qualityOf(err) != sensor.QualityBadFrame {
		t.Errorf("%v: %v", qualityOf(err), err)
	}
}

// careful returns the care of a gateway that has died three times of a message.
func careful(t *testing.T, source, address string, message []byte) *care.Guard {
	t.Helper()
	cfg := care.Config{FS: durable.OS{}, Dir: t.TempDir(), Boot: [16]byte{1}, SuspectWait: 1, Now: func() record.Micros { return 1 }}
	for range 4 {
		c := must(care.Open(cfg))(t)
		func() {
			defer func() { _ = recover() }()
			c.Guard(source).Read(address, message, func() { panic("it dies") })
		}()
	}
	return must(care.Open(cfg))(t).Guard(source)
}

// TestWhatKilledTheGatewayIsARecord: of each source that reads messages, one of which the
// gateway died is captured with that reason, unread, and acknowledged.
func TestWhatKilledTheGatewayIsARecord(t *testing.T) {
	t.Run("mqtt", func(t *testing.T) {
		o := options("m")
		o.Care = careful(t, "m", "a", []byte(`{"v":2}`))
		m := must(NewMQTT(MQTTConfig{Options: o, QoS: 1, Broker: BrokerConfig{URL: "mqtt://broker:1883", ClientID: "x"}, Topics: []MQTTTopic{{"#", sensor.Mapping{Format: sensor.FormatJSON}}}}))(t)
		sink := newTestSink()
		var messages []message
		for i := range 3 {
			messages = append(messages, message{topic: "a", payload: fmt.Appendf(nil, `{"v":%d}`, i+1), qos: 1, ack: func() {}})
		}
		if err := m.take(messages, newAcknowledger(), must(openSeen("m", 100, sink))(t), sink); err != nil {
			t.Fatal(err)
		}
		var reasons []string
		for _, b := range sink.batches {
			if b.Durable == nil {
				t.Error("a batch that nobody acknowledges")
			}
			for i := range b.Lines {
				reasons = append(reasons, reasonOf(t, &b.Lines[i]))
			}
		}
		if s := m.Status(); strings.Join(reasons, ",") != ",kills," || s.Rejected != 1 || s.Kills != 1 || s.Errors != 0 {
			t.Errorf("%q, %+v", reasons, s.Counters)
		}
	})
	for name, c := range map[string]struct {
		frame    []byte
		want     string
		rejected uint64
	}{
		"a node's reading": {readingOf(testNode, 2, 2), "sequence 1 temperature 0.001Cel level bad_timeout; kills; sequence 3 temperature 0.003Cel level bad_timeout", 1},
		"a node's schema": {schemaOf(testNode, testSchema),
			"sequence 1 value_1 1 value_2 bad_timeout; sequence 2 value_1 2 value_2 bad_timeout; sequence 3 value_1 3 value_2 bad_timeout", 0},
	} {
		t.Run(name, func(t *testing.T) { nodeThatKilled(t, c.frame, c.want, c.rejected) })
	}
}

// nodeThatKilled plays three readings of a node of whose frame the gateway died.
func nodeThatKilled(t *testing.T, frame []byte, want string, rejected uint64) {
	var body []byte
	new(nodeReader).feed(frame, func(b []byte) { body = bytes.Clone(b) })
	guard := careful(t, "tank", testNode.String(), body)
	synctest.Test(t, func(t *testing.T) {
		sink := &holdingSink{testSink: newTestSink()}
		w, n, end := lineOf(t, "tank", new(Nodes), sink, func(n *Node) { n.o.Care = guard })
		w.say(helloOf(testNode, 9, 0), startOf(testNode, 1), schemaOf(testNode, testSchema), readingOf(testNode, 1, 1), readingOf(testNode, 2, 2), readingOf(testNode, 3, 3))
		synctest.Wait()
		sink.durable()
		if got := w.told(); !strings.HasSuffix(got, "ack 3") {
			t.Errorf("said %q", got)
		}
		if got := sink.took(t); got != want {
			t.Errorf("took %q, want %q", got, want)
		}
		if s := n.Status(); s.Rejected != rejected || s.Kills != 1 {
			t.Errorf("%+v", s.Counters)
		}
		end()
	})
}
