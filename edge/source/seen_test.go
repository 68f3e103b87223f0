package source

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"landfall/decoders/sensor"
)

// TestMessagesWithoutUsableIdentity: where the field of time is there and cannot be used
// each message is counted, and those that the broker sends again are counted as what
// may be there twice, which they are; with a usable one nothing is.
func TestMessagesWithoutUsableIdentity(t *testing.T) {
	for name, tt := range map[string]struct {
		unit  sensor.TimeUnit
		value string // of the field, with a number of the message
		want  bool   // it can be used
	}{
		"seconds":        {sensor.TimeSeconds, "17000000%02d", true},
		"since the boot": {sensor.TimeMillis, "1234%02d", false},
		"a wrong unit":   {sensor.TimeSeconds, "17000000%02d000", false},
		"a text":         {sensor.TimeMillis, `"12:00:%02d"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, "allow_anonymous true\nmax_inflight_messages 0\n")
			cfg := mqttConfig(b, 1)
			cfg.Topics = []MQTTTopic{{"plant/+/dated", sensor.Mapping{Format: sensor.FormatJSON, Sensor: "{2}", TimeField: "ts", TimeUnit: tt.unit}}, {"fence", numberedJSON}}
			p := b.publisher("p")
			sink := &durableSink{marks: map[string][]byte{}}
			fences := 0
			fence := func() {
				t.Helper()
				eventually(t, "a fence", func() bool {
					fences++
					publish(t, p, "fence", fmt.Sprintf(`{"n":%d,"v":0}`, fences), false)
					return slices.Contains(sink.payloads(), fmt.Sprintf(`{"n":%d,"v":0}`, fences))
				})
			}
			count := func() (n int) {
				for _, s := range sink.payloads() {
					if strings.Contains(s, "ts") {
						n++
					}
				}
				return n
			}
			_, stop := runMQTT(t, cfg, sink)
			fence()
			// Taken and durable, but the broker does not hear of it.
			deaf := &deafSink{durableSink: sink}
			stop()
			_, stop = runMQTT(t, cfg, deaf)
			for i := range 20 {
				publish(t, p, "plant/a/dated", fmt.Sprintf(`{"ts":`+tt.value+`,"v":1}`, i), false)
			}
			eventually(t, "all messages", func() bool { return count() == 20 })
			stop()
			m, stop := runMQTT(t, cfg, sink)
			fence()
			stop()
			s, twice := m.Status(), count()-20
			if tt.want && (twice != 0 || s.Duplicates != 20 || s.Unidentified+s.PossiblyTwice != 0) {
				t.Errorf("%d twice, %+v", twice, s.Counters)
			}
			if !tt.want && (twice != 20 || s.Unidentified != 20 || s.PossiblyTwice != 20) {
				t.Errorf("%d twice, %+v", twice, s.Counters)
			}
		})
	}
}

// deafSink makes all durable and tells nobody.
type deafSink struct{ *durableSink }

func (s *deafSink) Deliver(b *Batch) error {
	silent := *b
	silent.Durable = nil
	return s.durableSink.Deliver(&silent)
}

// dated is reading n, made after the node had been told the time of its boot.
func dated(id nodeID, n uint64, value int32) []byte {
	var body []byte
	new(nodeReader).feed(readingOf(id, n, value), func(b []byte) { body = append(body, b...) })
	binary.LittleEndian.PutUint64(body[40:], 1_700_000_000_000_000)
	return appendNodeFrame(nil, body)
}

// TestNodeOfAnotherGateway: of a node that spoke with another gateway, those readings
// are counted that the other may have taken without the node hearing of it.
func TestNodeOfAnotherGateway(t *testing.T) {
	readings := func(make func(nodeID, uint64, int32) []byte, from, to uint64) (all [][]byte) {
		for n := from; n <= to; n++ {
			all = append(all, make(testNode, n, 1))
		}
		return all
	}
	for name, tt := range map[string]struct {
		last, first  uint64 // of HELLO and START
		frames       [][]byte
		moved, twice uint64
	}{
		"new, and made readings before it came": {20, 1, readings(readingOf, 1, 30), 0, 0},
		"new, and hears the time here":          {5, 1, slices.Concat(readings(readingOf, 1, 5), readings(dated, 6, 20)), 0, 0},
		"was acknowledged elsewhere":            {116, 101, readings(readingOf, 101, 130), 1, 16},
		"has a long backlog":                    {900, 101, readings(readingOf, 101, 180), 1, 2 * nodeWindow},
		"was not acknowledged elsewhere":        {16, 1, slices.Concat(readings(readingOf, 1, 3), readings(dated, 4, 30)), 1, 16},
		"brings nothing that it had":            {100, 101, readings(dated, 101, 120), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			onLine(t, nil, func(w *wire, sink *holdingSink, n *Node) {
				w.say(helloOf(testNode, tt.last, tt.first-1), startOf(testNode, tt.first), schemaOf(testNode, testSchema))
				w.say(tt.frames...)
				synctest.Wait()
				sink.durable()
				// The next session with this gateway: what it repeats is known.
				w.say(helloOf(testNode, 400, tt.first-1), startOf(testNode, tt.first), schemaOf(testNode, testSchema), tt.frames[len(tt.frames)-1])
				synctest.Wait()
				sink.durable()
				w.told()
				if s := n.Status(); s.Moved != tt.moved || s.PossiblyTwice != tt.twice {
					t.Errorf("%d moved, %d possibly twice, want %d and %d", s.Moved, s.PossiblyTwice, tt.moved, tt.twice)
				}
			})
		})
	}
}

// TestAckedSenderOfAnotherGateway: a sender that is not known here and begins above 1 is
// counted, once; one that is known, or begins with 1, is not.
func TestAckedSenderOfAnotherGateway(t *testing.T) {
	sink := newTestSink()
	sink.positions["k/known"] = binary.AppendUvarint(nil, 4)
	a := must(NewAcked(AckedConfig{Options: options("k"), Listen: "127.0.0.1:0"}))(t)
	start(t, a.Run, sink)
	lines := 0
	for _, tt := range []struct {
		id, last, first string
		want            uint64
	}{{"fresh", "0", "1", 0}, {"known", "4", "9", 0}, {"moved", "0", "17", 1}} {
		p := dialPeer(t, a, tt.id)
		p.expect("LAST " + tt.last)
		p.send(tt.first + " a\n")
		lines++
		sink.await(t, lines)
		p.send("99 b\n")
		lines++
		sink.await(t, lines)
		if got := a.Status().Moved; got != tt.want {
			t.Errorf("after %s: %d, want %d", tt.id, got, tt.want)
		}
	}
}
