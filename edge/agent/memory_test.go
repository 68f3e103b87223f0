package agent

import (
	"strings"
	"testing"

	"landfall/edge/config"
	"landfall/edge/memory"
)

// few returns a configuration of sources that most gateways have: a receiver on a serial
// line, one that is called, and a port for datagrams.
func few() Config {
	c := Default()
	c.Gateway, c.DataDir, c.Status, c.Forward.URL = "ada", "/d", "127.0.0.1:1", "http://h/"
	c.Sources = []SourceConfig{
		{Name: "ais", Serial: &SerialConfig{Device: "/dev/ttyUSB0"}},
		{Name: "feed", TCPClient: &TCPClientConfig{Address: "h:1"}},
		{Name: "net", UDP: &UDPConfig{Listen: "127.0.0.1:2"}},
	}
	return c
}

// TestMemoryIsTheSumOfItsBounds: a gateway of few sources needs less than the default;
// each source, and each client that it may have, adds to what is needed; a bound below
// that is refused with every item, and the sum itself is taken.
func TestMemoryIsTheSumOfItsBounds(t *testing.T) {
	c := few()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if sum := memory.Sum(c.MemoryItems()); sum > leastMemory {
		t.Errorf("a gateway of few sources needs %s", memory.Text(c.MemoryItems()))
	}
	if b := memory.Decide(c.WantedMemory()); b.Bytes != 64<<20 || b.From != memory.Standard {
		t.Errorf("its bound is %+v", b)
	}
	for name, more := range map[string]func(*Config){
		"mqtt": func(c *Config) { c.Sources = append(c.Sources, SourceConfig{Name: "x", MQTT: &MQTTConfig{}}) },
		"payloads": func(c *Config) {
			c.Sources = append(c.Sources, SourceConfig{Name: "x", MQTT: &MQTTConfig{Broker: BrokerConfig{MaxPayload: 4 << 20}}})
		},
		"sparkplug":  func(c *Config) { c.Sources = append(c.Sources, SourceConfig{Name: "x", Sparkplug: &SparkplugConfig{}}) },
		"tcp server": func(c *Config) { c.Sources = append(c.Sources, SourceConfig{Name: "x", TCPServer: &TCPServerConfig{}}) },
		"acked":      func(c *Config) { c.Sources = append(c.Sources, SourceConfig{Name: "x", Acked: &AckedConfig{}}) },
		"many acked": func(c *Config) {
			c.Sources = append(c.Sources, SourceConfig{Name: "x", Acked: &AckedConfig{MaxSenders: 65536}})
		},
		"file":        func(c *Config) { c.Sources = append(c.Sources, SourceConfig{Name: "x", File: &FileConfig{}}) },
		"serve":       func(c *Config) { c.Sources[0].Serve = "127.0.0.1:9" },
		"many to udp": func(c *Config) { c.Sources[2].UDP.MaxSenders = 10_000 },
		"groups":      func(c *Config) { c.Capture.GroupSize = 4 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			c := few()
			before := memory.Sum(c.MemoryItems())
			more(&c)
			if after := memory.Sum(c.MemoryItems()); after < before+2<<20 {
				t.Errorf("%d MiB, before %d", after>>20, before>>20)
			}
		})
	}
	c.Memory = config.Bytes(memory.Sum(c.MemoryItems()))
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Memory--
	err := c.Validate()
	if err == nil {
		t.Fatal("a bound below the sum is taken")
	}
	for _, i := range c.MemoryItems() {
		if !strings.Contains(err.Error(), i.What+" "+memory.Size(i.Bytes)) {
			t.Errorf("%s is not in %s", i.What, err)
		}
	}
}
