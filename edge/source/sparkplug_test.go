package source

import (
	"context"
	"encoding/binary"
	"math"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"landfall/decoders/sensor"
)

// sparkplugPayload encodes one metric of a double; with a name it is a birth's.
func sparkplugPayload(seq uint64, name string, alias byte, v float64) []byte {
	var m []byte
	if name != "" {
		m = append(append(m, 1<<3|2, byte(len(name))), name...)
	}
	m = append(m, 2<<3, alias, 4<<3, 10, 13<<3|1)
	m = binary.LittleEndian.AppendUint64(m, math.Float64bits(v))
	p := append(append([]byte{2<<3 | 2}, byte(len(m))), m...)
	return binary.AppendUvarint(append(p, 3<<3), seq)
}

// TestSparkplugAsksForBirths: a node that is not known is asked, answers, and is
// read; what is missing is counted.
func TestSparkplugAsksForBirths(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	s, err := NewSparkplug(SparkplugConfig{Options: options("plant"), Broker: BrokerConfig{URL: b.url(), ClientID: "host"}, Groups: []string{"g"}, Rebirth: true})
	if err != nil {
		t.Fatal(err)
	}
	sink := &durableSink{marks: map[string][]byte{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, sink) }()
	p := b.publisher("node")
	say := func(topic string, payload []byte) {
		if token := p.Publish(topic, 0, false, payload); token.Wait() && token.Error() != nil {
			t.Error(token.Error())
		}
	}
	asked := make(chan struct{}, 1)
	if token := p.Subscribe("spBv1.0/g/NCMD/n", 0, func(mqtt.Client, mqtt.Message) {
		select {
		case asked <- struct{}{}:
		default:
		}
	}); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	eventually(t, "the question for a birth", func() bool {
		say("spBv1.0/g/NDATA/n", sparkplugPayload(5, "", 1, 1))
		return len(asked) > 0
	})
	say("spBv1.0/g/NBIRTH/n", sparkplugPayload(0, "load", 1, 0.5))
	say("spBv1.0/g/NDATA/n", sparkplugPayload(1, "", 1, 0.6))
	say("spBv1.0/g/NDATA/n", sparkplugPayload(4, "", 1, 0.7))
	find := func(v float64) bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		for _, r := range sink.reports {
			if len(r.Readings) == 1 && r.Readings[0].Number == v && r.Readings[0].Metric == "load" && r.Readings[0].Sensor == "g/n" && r.Origin == sensor.OriginSparkplug {
				return true
			}
		}
		return false
	}
	eventually(t, "the readings", func() bool { return find(0.5) && find(0.6) && find(0.7) })
	if st := s.Status(); st.Lost != 2 || st.Rejected == 0 || st.Resend {
		t.Errorf("%+v", st)
	}
	// A node that is silent after a new connection is asked too: its death may have
	// been missed.
	b.kill()
	eventually(t, "the loss", func() bool { return s.Status().State == StateAbsent })
	s.mu.Lock()
	clear(s.born) // as if it had been asked long ago
	s.mu.Unlock()
	b.start()
	eventually(t, "the question after a new connection", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.born["g/n"].IsZero()
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := NewSparkplug(SparkplugConfig{Options: options("x"), Broker: BrokerConfig{URL: b.url(), ClientID: "c"}, Groups: []string{"a/b"}}); err == nil {
		t.Error("a group with a slash was taken")
	}
}
