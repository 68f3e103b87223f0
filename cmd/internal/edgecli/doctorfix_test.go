package edgecli

import (
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/edge/agent"
	"landfall/edge/source"
)

// TestDoctorKnowsTheWayOutOfTooManySenders: status alone does not say it, and forget is
// refused while the source has its name.
func TestDoctorKnowsTheWayOutOfTooManySenders(t *testing.T) {
	other := "source ais is absent: no such file"
	full := "source k refuses clients, last at 2026-12-01T10:00:00Z sender flood7: too many senders"
	if fix := healthFix([]string{other, full}); !strings.Contains(fix, "another name for the source") ||
		!strings.Contains(fix, "landfall-edge forget") {
		t.Errorf("the way out of %q is %q", full, fix)
	}
	if fix := healthFix([]string{other}); fix != "landfall-edge status" {
		t.Errorf("of %q it is %q", other, fix)
	}
}

// TestDoctorAgreesWithExplain: of every source, as configured and as seen, doctor says the
// guarantee that explain says where it is not exactly once, and calls nothing good of which
// something else was seen.
func TestDoctorAgreesWithExplain(t *testing.T) {
	zero, one := 0, 1
	with, without := agent.MQTTTopicConfig{Filter: "a", TimeField: "ts", TimeUnit: "ms"}, agent.MQTTTopicConfig{Filter: "b"}
	topics := func(all ...agent.MQTTTopicConfig) []agent.MQTTTopicConfig { return all }
	for name, src := range map[string]agent.SourceConfig{
		"mqtt":       {MQTT: &agent.MQTTConfig{Topics: topics(with)}},
		"mqtt mixed": {MQTT: &agent.MQTTConfig{Topics: topics(with, without)}},
		"mqtt 1":     {MQTT: &agent.MQTTConfig{Topics: topics(without), QoS: &one}},
		"mqtt 0":     {MQTT: &agent.MQTTConfig{Topics: topics(with), QoS: &zero}},
		"node":       {Node: &agent.NodeConfig{}}, "acked": {Acked: &agent.AckedConfig{MinVersion: 2}}, "acked 1": {Acked: &agent.AckedConfig{}},
		"file": {File: &agent.FileConfig{}}, "udp": {UDP: &agent.UDPConfig{}}, "modbus": {Modbus: &agent.ModbusConfig{}}, "sparkplug": {Sparkplug: &agent.SparkplugConfig{}},
	} {
		counted := map[string]agent.SourceCounters{"nothing": {}}
		switch src.Kind() {
		case "mqtt":
			counted["unidentified"], counted["twice"] = agent.SourceCounters{Unidentified: 1}, agent.SourceCounters{Unidentified: 2, PossiblyTwice: 2}
			counted["downgraded"], counted["forgotten"] = agent.SourceCounters{Downgraded: 3}, agent.SourceCounters{Forgotten: 1}
			counted["takeovers"] = agent.SourceCounters{Takeovers: 4}
		case "node":
			counted["moved"], counted["twice"] = agent.SourceCounters{Moved: 1}, agent.SourceCounters{Moved: 1, PossiblyTwice: 2}
		case "acked":
			counted["moved"] = agent.SourceCounters{Moved: 1}
		}
		for what, counts := range counted {
			c := agent.Default()
			src.Name = "s"
			c.Sources = []agent.SourceConfig{src}
			s := &standing{Status: &agent.Status{Sources: []agent.SourceStatus{{Name: "s", Kind: src.Kind(), State: source.StateOpen, Records: 5, SilentFor: time.Second.String(), SourceCounters: counts}}}}
			all := explain.Edge(&c)
			explain.Observe(all, &c, s.Status)
			words, f := explain.Words(all[0].Guarantee, all[0].Seen), sources(t.Context(), &c, s)[0]
			if exact := words == string(explain.ExactlyOnce); exact == strings.Contains(f.Detail, words) {
				t.Errorf("%s, %s: explain says %q, doctor %q", name, what, words, f.Detail)
			}
			if len(all[0].Seen) > 0 && (f.Verdict == cli.Good || f.Fix == "") {
				t.Errorf("%s, %s: %q was seen, and doctor says %v: %q", name, what, words, f.Verdict, f.Detail)
			}
		}
	}
}
