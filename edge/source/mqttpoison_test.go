package source

import (
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/sensor"
)

// reasonOf is why the report in a line has no readings.
func reasonOf(t *testing.T, l *Line) string {
	t.Helper()
	var r sensor.Report
	if err := r.Decode(l.Data, nil); err != nil {
		t.Fatal(err)
	}
	return r.Reason
}

// TestAPanicOfAMappingIsARecord: a message that makes its decoder panic is captured with
// that reason and acknowledged after it, so that the broker does not bring it again, and
// its neighbours are read.
func TestAPanicOfAMappingIsARecord(t *testing.T) {
	// No configuration is accepted with such a unit: it is a case that nobody thought of.
	broken := sensor.Mapping{Format: sensor.FormatJSON, Sensor: "x", TimeField: "ts", TimeUnit: "fortnight"}
	m := must(NewMQTT(MQTTConfig{
		Options: options("m"), QoS: 1, Broker: BrokerConfig{URL: "mqtt://broker:1883", ClientID: "x"}, Topics: []MQTTTopic{{"#", broken}},
	}))(t)
	sink := newTestSink()
	seen := must(openSeen("m", 100, sink))(t)
	acks := newAcknowledger()
	var messages []message
	for _, payload := range []string{`{"v":1}`, `{"v":2,"ts":5}`, `{"v":3}`} {
		messages = append(messages, message{topic: "a", payload: []byte(payload), qos: 1, ack: func() {}})
	}
	if err := m.take(messages, acks, seen, sink); err != nil {
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
	if got := strings.Join(reasons, ","); got != ",panic," {
		t.Errorf("reasons %q", got)
	}
	if s := m.Status(); s.Rejected != 1 || s.Errors != 1 {
		t.Errorf("%d rejected, %d errors", s.Rejected, s.Errors)
	}
}

// TestAllRejectedMessagesAreCounted: also those whose readings were found and do not fit.
func TestAllRejectedMessagesAreCounted(t *testing.T) {
	m := must(NewMQTT(MQTTConfig{
		Options: options("m"), Broker: BrokerConfig{URL: "mqtt://broker:1883", ClientID: "x"}, Topics: []MQTTTopic{{"#", sensor.Mapping{Format: sensor.FormatJSON}}},
	}))(t)
	var many strings.Builder
	for i := range sensor.MaxReadings {
		fmt.Fprintf(&many, `"%d":0,`, i)
	}
	texts := `"a":"` + strings.Repeat("x", 60<<10) + `"`
	for i := range 14 {
		texts += fmt.Sprintf(`,"t%d":"%s"`, i, strings.Repeat("x", 60<<10))
	}
	for i, payload := range []string{"{" + many.String() + `"a":1}`, `{"` + strings.Repeat("k", 2000) + `":1}`, "{" + texts + "}"} {
		line, is := m.report(&message{topic: "a", payload: []byte(payload)})
		if !is.rejected || reasonOf(t, &line) == "" {
			t.Errorf("message %d: rejected %v, reason %q", i, is.rejected, reasonOf(t, &line))
		}
	}
}
