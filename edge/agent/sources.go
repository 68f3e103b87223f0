package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"landfall/edge/config"
	"landfall/edge/source"
)

// part is what the agent needs of a source.
type part interface {
	Name() string
	Resend() bool
	Status() source.Status
	Run(ctx context.Context, sink source.Sink) error
}

// Kind gives the kind of source that is configured, as its key in the file;
// empty when none or several are.
func (s *SourceConfig) Kind() string {
	kinds := s.kinds()
	if len(kinds) != 1 {
		return ""
	}
	return kinds[0]
}

func (s *SourceConfig) kinds() []string {
	var kinds []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"file", s.File != nil}, {"tcp_client", s.TCPClient != nil}, {"tcp_server", s.TCPServer != nil},
		{"udp", s.UDP != nil}, {"serial", s.Serial != nil}, {"acked", s.Acked != nil},
		{"mqtt", s.MQTT != nil}, {"sparkplug", s.Sparkplug != nil}, {"modbus", s.Modbus != nil},
		{"node", s.Node != nil},
	} {
		if k.set {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// Resends tells whether the source's sender gives again what was not durable.
func (s *SourceConfig) Resends() bool {
	return s.File != nil || s.Acked != nil || s.Node != nil || s.MQTT != nil && s.MQTT.QualityOfService() > 0
}

// Identified tells whether everything the source's sender gives again is known
// again, so that it is captured once.
func (s *SourceConfig) Identified() bool {
	return s.File != nil || s.Acked != nil || s.Node != nil || s.MQTT != nil && len(s.MQTT.Unidentified())+len(s.MQTT.Shared()) == 0
}

// standardSilence is after what silence a source that ought to speak all the time
// is complained of, where the configuration does not say.
const standardSilence = 15 * time.Minute

// silentAfter is after what silence the source is complained of; 0: never.
func (s *SourceConfig) silentAfter() time.Duration {
	switch {
	case s.SilentAfter != nil:
		return *s.SilentAfter
	case s.Serial != nil, s.TCPClient != nil, s.TCPServer != nil, s.UDP != nil, s.Modbus != nil:
		return standardSilence
	}
	return 0
}

// Where gives the address, path or device, for people.
func (s *SourceConfig) Where() string {
	switch {
	case s.File != nil:
		return s.File.Path
	case s.TCPClient != nil:
		return s.TCPClient.Address
	case s.TCPServer != nil:
		return s.TCPServer.Listen
	case s.UDP != nil:
		return s.UDP.Listen
	case s.Serial != nil:
		return s.Serial.Device
	case s.Acked != nil:
		return s.Acked.Listen
	case s.MQTT != nil:
		return s.MQTT.Broker.URL
	case s.Sparkplug != nil:
		return s.Sparkplug.Broker.URL
	case s.Modbus != nil:
		return s.Modbus.URL
	case s.Node != nil:
		return s.Node.Device
	}
	return ""
}

// broker is the broker that the source takes from; nil: it takes from none.
func (s *SourceConfig) broker() *BrokerConfig {
	switch {
	case s.MQTT != nil:
		return &s.MQTT.Broker
	case s.Sparkplug != nil:
		return &s.Sparkplug.Broker
	}
	return nil
}

func (s *SourceConfig) validate(p *config.Problems, key string) {
	p.Add(s.Name != "" && len(s.Name) <= 64 && !strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }),
		key+".name", strconv.Quote(s.Name), "a name of 1 to 64 characters without blanks and '/'")
	p.Add(s.SilentAfter == nil || *s.SilentAfter >= 0, key+".silent_after", fmt.Sprint(s.silentAfter()), "a time of 0s (never) or more")
	p.Add(s.Serve == "" || config.IsAddress(s.Serve), key+".serve", strconv.Quote(s.Serve), "host:port with a number for the port, or nothing")
	p.Add(s.Serve == "" || s.MQTT == nil && s.Sparkplug == nil && s.Modbus == nil && s.Node == nil, key+".serve", strconv.Quote(s.Serve), "nothing, because the source has no lines")
	kinds := s.kinds()
	if len(kinds) != 1 {
		p.Add(false, key, strings.Join(kinds, " and "), "exactly one of file, tcp_client, tcp_server, udp, serial, acked, node, mqtt, sparkplug, modbus")
		return
	}
	key += "." + kinds[0]
	switch {
	case s.File != nil:
		p.Add(s.File.Path != "", key+".path", "", "the path of a file")
		p.Add(s.File.PollInterval >= 0, key+".poll_interval", s.File.PollInterval.String(), "a time of 0s (the default) or more")
		p.Add(s.File.Grace >= 0, key+".grace", s.File.Grace.String(), "a time of 0s (the default) or more")
		for i, pattern := range s.File.Siblings {
			_, err := filepath.Match(filepath.Base(pattern), "")
			p.Add(err == nil && pattern != "" && !strings.ContainsAny(filepath.Dir(pattern), "*?["), fmt.Sprintf("%s.siblings[%d]", key, i), strconv.Quote(pattern),
				"a path whose last part may have *, ? and [a-z]")
		}
	case s.TCPClient != nil:
		checkAddress(p, key+".address", s.TCPClient.Address)
		p.Add(s.TCPClient.StaleAfter >= 0, key+".stale_after", s.TCPClient.StaleAfter.String(), "a time of 0s (never) or more")
	case s.TCPServer != nil:
		checkAddress(p, key+".listen", s.TCPServer.Listen)
		checkClients(p, key, s.TCPServer.MaxClients, s.TCPServer.MaxClientsPerHost, s.TCPServer.IdleTimeout)
	case s.UDP != nil:
		checkAddress(p, key+".listen", s.UDP.Listen)
		p.Add(s.UDP.MaxSenders >= 0, key+".max_senders", strconv.Itoa(s.UDP.MaxSenders), "a number of 0 (the default) or more")
	case s.Serial != nil:
		p.Add(s.Serial.Device != "", key+".device", "", "the path of a device, like /dev/serial/by-id/… or /dev/ttyUSB*")
		p.Add(s.Serial.Baud >= 0, key+".baud", strconv.Itoa(s.Serial.Baud), "a rate like 38400, or 0 for it")
	case s.Acked != nil:
		checkAddress(p, key+".listen", s.Acked.Listen)
		checkClients(p, key, s.Acked.MaxClients, s.Acked.MaxClientsPerHost, s.Acked.IdleTimeout)
		s.Acked.validate(p, key)
	case s.MQTT != nil:
		s.MQTT.validate(p, key)
	case s.Sparkplug != nil:
		s.Sparkplug.validate(p, key)
	case s.Modbus != nil:
		s.Modbus.validate(p, key)
	case s.Node != nil:
		p.Add(s.Node.Device != "", key+".device", "", "the path of a device, like /dev/serial/by-id/…")
		p.Add(s.Node.Baud >= 0, key+".baud", strconv.Itoa(s.Node.Baud), "a rate like 115200, or 0 for it")
	}
}

// checkClients checks how many clients a listener takes.
func checkClients(p *config.Problems, key string, most, perHost int, idle time.Duration) {
	p.Add(most >= 0, key+".max_clients", strconv.Itoa(most), "a number of 0 (the default) or more")
	p.Add(perHost >= 0, key+".max_clients_per_host", strconv.Itoa(perHost), "a number of 0 (the default) or more")
	p.Add(idle >= 0, key+".idle_timeout", idle.String(), "a time of 0s (the default) or more")
}

func checkAddress(p *config.Problems, key, address string) {
	p.Add(config.IsAddress(address), key, strconv.Quote(address), "host:port with a number for the port")
}

// newSource makes the i-th source.
func (c *Config) newSource(i int, with making) (part, error) {
	s, err := c.newPart(i, with)
	if err != nil || c.Sources[i].Serve == "" {
		return s, err
	}
	r, err := source.NewRelay(source.Options{Name: s.Name(), Clock: with.clock, Logger: with.logger}, c.Sources[i].Serve)
	if m, ok := s.(interface{ Refuse(string, error) }); ok && err == nil {
		r.OnRefused(m.Refuse)
	}
	return served{s, r}, err
}

// served is a source whose lines are served again.
type served struct {
	part
	relay *source.Relay
}

// Status describes the source, and what its clients missed.
func (s served) Status() source.Status {
	st := s.part.Status()
	st.Unserved = s.relay.Dropped()
	return st
}

// Run runs both until the source has ended.
func (s served) Run(ctx context.Context, sink source.Sink) error {
	serving, stop := context.WithCancel(ctx)
	var relay sync.WaitGroup
	relay.Go(func() { s.relay.Run(serving) })
	err := s.part.Run(ctx, s.relay.Sink(sink))
	stop()
	relay.Wait()
	return err
}

// newPart makes the i-th source without what serves it again.
func (c *Config) newPart(i int, with making) (part, error) {
	s, key := &c.Sources[i], fmt.Sprintf("sources[%d].%s", i, c.Sources[i].Kind())
	o := source.Options{Name: s.Name, Clock: with.clock, Care: with.care.Guard(s.Name), Logger: with.logger}
	switch {
	case s.File != nil:
		return source.NewFile(source.FileConfig{Options: o, FS: with.fs, Path: s.File.Path, Follow: s.File.Follow, PollInterval: s.File.PollInterval, Grace: s.File.Grace, Siblings: s.File.Siblings})
	case s.TCPClient != nil:
		return source.NewTCPClient(source.TCPClientConfig{Options: o, Address: s.TCPClient.Address, StaleAfter: s.TCPClient.StaleAfter})
	case s.TCPServer != nil:
		return source.NewTCPServer(source.TCPServerConfig{Options: o, Listen: s.TCPServer.Listen, MaxClients: s.TCPServer.MaxClients, PerHost: s.TCPServer.MaxClientsPerHost, IdleTimeout: s.TCPServer.IdleTimeout})
	case s.UDP != nil:
		return source.NewUDP(source.UDPConfig{Options: o, Listen: s.UDP.Listen, Interface: s.UDP.Interface, MaxSenders: s.UDP.MaxSenders})
	case s.Serial != nil:
		return source.NewSerial(source.SerialConfig{Options: o, FS: with.fs, Device: s.Serial.Device, Baud: s.Serial.Baud, StaleAfter: s.Serial.StaleAfter})
	case s.Acked != nil:
		return s.Acked.newAcked(o, with, key)
	case s.MQTT != nil:
		return s.MQTT.newMQTT(o, with, c.Gateway, c.FiltersState(s.Name), key)
	case s.Sparkplug != nil:
		return s.Sparkplug.newSparkplug(o, with, c.Gateway, key)
	case s.Modbus != nil:
		return s.Modbus.newModbus(o)
	case s.Node != nil:
		return source.NewNode(source.NodeConfig{Options: o, Device: s.Node.Device, Baud: s.Node.Baud})
	}
	return nil, fmt.Errorf("source %s: no kind: %w", s.Name, source.ErrConfig)
}
