package explain

import (
	"bytes"
	"strings"
	"testing"

	"landfall/edge/agent"
)

func gateway(policy string) *agent.Config {
	c := agent.Default()
	c.Log.WhenFull = policy
	c.Sources = []agent.SourceConfig{
		{Name: "f", File: &agent.FileConfig{Path: "/x", Follow: true}},
		{Name: "a", Acked: &agent.AckedConfig{Listen: "127.0.0.1:1"}},
		{Name: "t", TCPClient: &agent.TCPClientConfig{Address: "h:1"}},
		{Name: "s", TCPServer: &agent.TCPServerConfig{Listen: ":1"}},
		{Name: "u", UDP: &agent.UDPConfig{Listen: ":1"}},
		{Name: "k", Sparkplug: &agent.SparkplugConfig{}},
		{Name: "b", Modbus: &agent.ModbusConfig{URL: "tcp://h:502"}},
		{Name: "p", Serial: &agent.SerialConfig{Device: "/dev/ttyUSB0"}},
		{Name: "n", Node: &agent.NodeConfig{Device: "/dev/ttyUSB1"}},
	}
	return &c
}

func TestOnlySourcesThatResendAreExact(t *testing.T) {
	c := gateway("block")
	for i, h := range Edge(c)[:len(c.Sources)] {
		want := AtMostOnce
		if c.Sources[i].Resends() {
			want = ExactlyOnce
		}
		if h.Guarantee != want || h.Commit != "C1" || h.Why == "" || !strings.HasPrefix(h.From, c.Sources[i].Name+" (") {
			t.Errorf("%+v: want %s", h, want)
		}
	}
}

// TestMessagesNeedAnIdentity: without one, or at QoS 0, they are not exact.
func TestMessagesNeedAnIdentity(t *testing.T) {
	zero := 0
	with := agent.MQTTTopicConfig{Filter: "a", SequenceField: "n"}
	without, shared, two := agent.MQTTTopicConfig{Filter: "hall/#"}, with, 2
	shared.Filter = "$share/g/a"
	for _, tt := range []struct {
		mqtt agent.MQTTConfig
		want Guarantee
		says []string // of why or a limit
	}{
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}}, ExactlyOnce, []string{"with the same bytes are taken for one", "mqtt.remember (16384)", "publisher sends at QoS 0 comes at QoS 0", "max_queued_messages"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}, QoS: &two, Remember: 99}, ExactlyOnce, []string{"QoS 2 is not trusted alone", "mqtt.remember (99)"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, without}}, AtLeastOnce, []string{"(hall/#)", "with the same bytes are taken for one"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{without}, QoS: &two}, AtLeastOnce, []string{"(hall/#)", "QoS 2 is not trusted alone"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, shared}}, AtLeastOnce, []string{"shared subscriptions ($share/g/a)"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}, QoS: &zero}, AtMostOnce, []string{"QoS is 0"}},
	} {
		c := agent.Default()
		c.Sources = []agent.SourceConfig{{Name: "m", MQTT: &tt.mqtt}}
		h := Edge(&c)[0]
		text := h.Why + strings.Join(h.Limits, " ")
		if h.Guarantee != tt.want || len(h.Limits) == 0 {
			t.Errorf("%+v: want %s", h, tt.want)
		}
		for _, part := range tt.says {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in %s", part, text)
			}
		}
	}
}

// TestLimitsOfSourcesThatResend: exactly once is never said of them without
// what it rests on.
func TestLimitsOfSourcesThatResend(t *testing.T) {
	c := gateway("block")
	for i, h := range Edge(c)[:len(c.Sources)] {
		if c.Sources[i].Resends() && len(h.Limits) == 0 {
			t.Errorf("%s is said to be exact without a limit", h.From)
		}
	}
}

func TestSheddingIsALimit(t *testing.T) {
	sheds := func(policy string) bool {
		var b bytes.Buffer
		if err := Text(&b, Edge(gateway(policy))); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(b.String(), "limit: when_full is shed-oldest")
	}
	if sheds("block") || !sheds("shed-oldest") {
		t.Error("the policy is not explained")
	}
}
