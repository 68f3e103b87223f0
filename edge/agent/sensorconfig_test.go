package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/clock"
	"landfall/edge/durable"
)

func testMaking() making {
	return making{fs: durable.OS{}, clock: clock.NewSystem(clock.BootID{}), logger: slog.New(slog.DiscardHandler)}
}

// withSource gives a good configuration with another source.
func withSource(source string) string {
	return strings.Replace(good, "    serial: {device: /dev/ttyUSB0}\n", "    "+strings.ReplaceAll(strings.TrimSpace(source), "\n", "\n    ")+"\n", 1)
}

const goodMQTT = `
mqtt:
  broker: {url: "mqtts://b:8883", ca_file: /x, cert_file: /x, key_file: /x}
  topics:
    - {filter: a/+, sensor: "{2}", time_field: t, time_unit: ms, metrics: [{field: v, scale: 0.5, offset: -1, unit: K}]}
    - {filter: b, format: value}
`

func TestMQTTConfiguration(t *testing.T) {
	c, err := read(withSource(goodMQTT))
	if err != nil {
		t.Fatal(err)
	}
	s := &c.Sources[0]
	if !s.Resends() || s.Identified() || s.Kind() != "mqtt" || s.Where() != "mqtts://b:8883" {
		t.Errorf("%+v", s)
	}
	if m := s.MQTT.Topics[0].mapping(); m.Metrics[0].Scale != 0.5 || m.Metrics[0].Offset != -1 || m.Format != "json" {
		t.Errorf("%+v", m)
	}
	if b, k, err := (&BrokerConfig{URL: "mqtt://b:1"}).broker(testMaking(), "ship-1", "roof", "k"); err != nil || k != nil || b.ClientID != "landfall-ship-1-roof" {
		t.Errorf("%+v, %v", b, err)
	}
	for _, m := range []struct{ from, to, want string }{
		{"mqtts://b:8883", "b:8883", "mqtt.broker.url"}, {"mqtts://b:8883", "mqtts://u:p@b:8883", "mqtt.broker.url"}, {"mqtts://", "mqtt://", "mqtt.broker.ca_file"},
		{", key_file: /x", "", "mqtt.broker.cert_file"}, {"key_file: /x", "key_file: /x, password_file: /p", "mqtt.broker.password_file"},
		{"topics:", "qos: 3\n      topics:", "mqtt.qos"}, {"topics:", "remember: -1\n      topics:", "mqtt.remember"}, {"filter: a/+", "filter: ''", "mqtt.topics[0].filter"}, {"filter: a/+", "filter: a+", "mqtt.topics[0].filter"},
		{"format: value", "format: xml", "mqtt.topics[1].format"}, {", time_unit: ms", "", "mqtt.topics[0].time_unit"}, {"field: v,", "", "mqtt.topics[0].metrics[0].field"},
		{"format: value", "format: value, sequence_field: n", "mqtt.topics[1].format"}, {"scale: 0.5", "scale: x", "mqtt.topics[0].metrics[0].scale"}, {"time_unit: ms", "time_unit: h", "time_unit"},
	} {
		text := strings.Replace(withSource(goodMQTT), m.from, m.to, 1)
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%q in place of %q: %v, want %s", m.to, m.from, err, m.want)
		}
	}
}

// TestClientsOfABrokerDiffer: of one broker, whatever kind of source.
func TestClientsOfABrokerDiffer(t *testing.T) {
	two := func(first, second string) error {
		_, err := read(strings.Replace(withSource("mqtt:\n  broker: {url: \"mqtt://b:1\", client_id: "+first+"}\n  topics: [{filter: a, format: value}]"), "sources:\n",
			"sources:\n  - name: hall\n    sparkplug: {broker: {"+second+"}}\n", 1))
		return err
	}
	for _, second := range []string{`url: "mqtt://b:1", client_id: one`, `url: "mqtt://b:1"`} {
		if err := two("one", second); (err == nil) != (second == `url: "mqtt://b:1"`) || err != nil && !strings.Contains(err.Error(), "sources[1].mqtt.broker.client_id") {
			t.Errorf("%s: %v", second, err)
		}
	}
	if err := two("one", `url: "mqtt://b:2", client_id: one`); err != nil {
		t.Errorf("of another broker: %v", err)
	}
	if err := two("landfall-ship-1-hall", `url: "mqtt://b:1"`); err == nil {
		t.Error("the other's default is taken")
	}
}

// TestSecretsComeFromFiles: the first line each; a file that is not there is
// said with its key.
func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	user, password := filepath.Join(dir, "user"), filepath.Join(dir, "password")
	for name, text := range map[string]string{user: "anna\n", password: "s3 cret\r\nnot this"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := BrokerConfig{URL: "mqtt://b:1", UsernameFile: user, PasswordFile: password}
	got, _, err := b.broker(testMaking(), "g", "n", "k")
	if err != nil {
		t.Fatal(err)
	}
	says := func(when, name, secret string) {
		t.Helper()
		if n, p := got.Credentials(); n != name || p != secret {
			t.Errorf("%s: %q %q", when, n, p)
		}
	}
	says("at first", "anna", "s3 cret")
	if err := os.WriteFile(password, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says("a new password", "anna", "new")
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	says("a password that is gone", "anna", "new")
	if _, _, err := b.broker(testMaking(), "g", "n", "k"); err == nil || !strings.Contains(err.Error(), "k.password_file") {
		t.Error(err)
	}
	c, err := read(withSource(goodMQTT))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.newSource(0, testMaking()); err == nil || !strings.Contains(err.Error(), "sources[0].mqtt.broker.ca_file") {
		t.Error(err)
	}
}

const goodModbus = `
modbus:
  url: rtu:///dev/ttyS1
  devices:
    - {unit: 3, sensor: pump, interval: 5s, registers: [{address: "40001", type: float32, order: cdab, metric: p}, {address: coil:0, metric: on}]}
    - {sensor: fan, registers: [{address: 30002, metric: t, scale: 0.1}]}
`

func TestModbusConfiguration(t *testing.T) {
	c, err := read(withSource(goodModbus))
	if err != nil {
		t.Fatal(err)
	}
	s := &c.Sources[0]
	if s.Resends() || s.Kind() != "modbus" || s.Where() != "rtu:///dev/ttyS1" || s.Modbus.Devices[1].unit() != 1 {
		t.Errorf("%+v", s)
	}
	if r, err := s.Modbus.Devices[0].Registers[1].register(); err != nil || r.Type != "bool" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := c.newSource(0, testMaking()); err != nil {
		t.Error(err)
	}
	for _, m := range []struct{ from, to, want string }{
		{"rtu:///dev/ttyS1", "/dev/ttyS1", "modbus.url"}, {"rtu:///dev/ttyS1", "tcp://plc", "modbus.url"}, {"rtu:///dev/ttyS1", "rtu:///dev/ttyS1\n      parity: mark", "modbus.parity"},
		{"rtu:///dev/ttyS1", "rtu:///dev/ttyS1\n      stop_bits: 3", "modbus.stop_bits"}, {"rtu:///dev/ttyS1", "rtu:///dev/ttyS1\n      timeout: 1ms", "modbus.timeout"},
		{"unit: 3", "unit: 256", "devices[0].unit"}, {"sensor: fan", "sensor: ''", "devices[1].sensor"}, {"interval: 5s", "interval: 1ms", "devices[0].interval"},
		{`"40001"`, `"50001"`, "devices[0].registers[0].address"}, {"type: float32", "type: float", "registers[0].type"}, {"order: cdab", "order: cd", "registers[0].order"},
		{"coil:0, metric: on", "coil:0, metric: on, type: int16", "registers[1].type"}, {"metric: t", "metric: ''", "devices[1].registers[0].metric"},
	} {
		if _, err := read(strings.Replace(withSource(goodModbus), m.from, m.to, 1)); err == nil || !strings.Contains(err.Error(), m.want) {
			t.Errorf("%q in place of %q: %v, want %s", m.to, m.from, err, m.want)
		}
	}
}

func TestSparkplugConfiguration(t *testing.T) {
	c, err := read(withSource("sparkplug: {broker: {url: mqtt://b:1883}, groups: [plant], rebirth: false}"))
	if err != nil {
		t.Fatal(err)
	}
	s := &c.Sources[0]
	if s.Resends() || s.Kind() != "sparkplug" || s.Where() != "mqtt://b:1883" || s.Sparkplug.asks() {
		t.Errorf("%+v", s)
	}
	if _, err := c.newSource(0, testMaking()); err != nil {
		t.Error(err)
	}
	if _, err := read(withSource("sparkplug: {broker: {url: mqtt://b:1883}, groups: [a/b]}")); err == nil || !strings.Contains(err.Error(), "sparkplug.groups[0]") {
		t.Error(err)
	}
}

// TestFiltersAreKeptOverARestart: a source of messages keeps in the data directory
// what it may have subscribed to, for the gateway that is told of less.
func TestFiltersAreKeptOverARestart(t *testing.T) {
	c := fileGateway(t, 1, "http://"+freeAddress(t))
	c.DrainTimeout = 0
	for _, run := range []struct {
		topics []string
		file   string
	}{{[]string{"a", "b"}, `["a","b"]`}, {[]string{"a"}, `["b","a"]`}} {
		m := &MQTTConfig{Broker: BrokerConfig{URL: "mqtt://" + freeAddress(t)}} // nobody answers
		for _, f := range run.topics {
			m.Topics = append(m.Topics, MQTTTopicConfig{Filter: f})
		}
		c.Sources = []SourceConfig{{Name: "plant", MQTT: m}}
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		waitFor(t, func() bool {
			p, err := os.ReadFile(c.FiltersState("plant"))
			return err == nil && strings.HasSuffix(string(p), run.file+"\n")
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
