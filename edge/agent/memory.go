package agent

import (
	"fmt"

	"landfall/edge/capture"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/edge/tap"
)

// What a gateway takes beside its sources, bytes.
const (
	// leastMemory is the bound of a gateway whose settings need less.
	leastMemory = 64 << 20
	// programMemory is of the program itself: its pages, the runtime, and what a gateway
	// of a few quiet sources takes.
	programMemory = 24 << 20
	// logMemory is of the log and the link: what is read, compressed and sent at a time.
	logMemory = 6 << 20
	// clockMemory is of what is remembered of streams, fragments and transmissions.
	clockMemory = 2 << 20
)

// MemoryItems returns what takes memory in a gateway of this configuration, each at its
// bound: what strangers may make it hold is all in one of them.
func (c *Config) MemoryItems() []memory.Item {
	all := []memory.Item{
		{What: "the program", Bytes: programMemory},
		{What: "what waits for capture", Bytes: capture.QueueBytes + 2*(int64(c.Capture.GroupSize)+record.MaxRawBytes)},
		{What: "log and link", Bytes: logMemory},
		{What: "clock and fragments", Bytes: clockMemory},
	}
	if c.Status != "" {
		all = append(all, memory.Item{What: "the status page", Bytes: page.Memory + page.MaxTaps*tap.Memory})
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		all = append(all, memory.Item{What: "source " + s.Name, Bytes: s.memory()})
		if s.Serve != "" {
			all = append(all, memory.Item{What: fmt.Sprintf("serve of %s", s.Name), Bytes: source.RelayMemory()})
		}
	}
	return all
}

// WantedMemory is what the bound of a gateway of this configuration follows from.
func (c *Config) WantedMemory() memory.Wanted {
	return memory.Wanted{Own: int64(c.Memory), Needed: memory.Sum(c.MemoryItems()), Least: leastMemory}
}

// memory returns what a source holds at most, bytes.
func (s *SourceConfig) memory() int64 {
	switch {
	case s.File != nil:
		return source.FileMemory()
	case s.TCPServer != nil:
		return source.TCPServerMemory(s.TCPServer.MaxClients)
	case s.UDP != nil:
		return source.UDPMemory(s.UDP.MaxSenders)
	case s.Acked != nil:
		return source.AckedMemory(s.Acked.MaxClients, s.Acked.MaxSenders)
	case s.MQTT != nil:
		return source.MQTTMemory(int(s.MQTT.Broker.MaxPayload), s.MQTT.Remember)
	case s.Sparkplug != nil:
		return source.SparkplugMemory(int(s.Sparkplug.Broker.MaxPayload))
	case s.Modbus != nil:
		return source.ModbusMemory()
	case s.Node != nil:
		return source.NodeMemory()
	}
	return source.LineMemory() // serial, tcp_client
}
