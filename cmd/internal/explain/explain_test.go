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
	for _, tt := range []struct {
		mqtt agent.MQTTConfig
		want Guarantee
	}{
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}}, ExactlyOnce},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, {Filter: "b"}}}, AtLeastOnce},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}, QoS: &zero}, AtMostOnce},
	} {
		c := agent.Default()
		c.Sources = []agent.SourceConfig{{Name: "m", MQTT: &tt.mqtt}}
		if h := Edge(&c)[0]; h.Guarantee != tt.want || h.Why == "" || len(h.Limits) == 0 {
			t.Errorf("%+v: want %s", h, tt.want)
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
