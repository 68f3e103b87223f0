package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"landfall/edge/durable"
	"landfall/edge/source"
)

// Seen is what a trial of one source saw.
type Seen struct {
	Source string       `json:"source"`
	Kind   string       `json:"kind"`
	Where  string       `json:"where"`
	State  source.State `json:"state"`
	Detail string       `json:"detail"`
	OK     bool         `json:"ok"` // it is open, and what was asked for was answered
	Lines  int          `json:"lines"`
	Bytes  uint64       `json:"bytes"`
	Peers  int          `json:"peers"`  // connections, clients or senders at the end
	Sample []string     `json:"sample"` // of what came, the first of each kind, as text
	// Sentences counts lines by talker and formatter; under "" those that are no
	// sentence or whose checksum is wrong.
	Sentences  map[string]int `json:"sentences"`
	Rejected   uint64         `json:"rejected"`   // messages in which no reading was found
	Downgraded uint64         `json:"downgraded"` // messages at QoS 0 where more is asked for
	// Unidentified messages have no usable time or number of their own.
	Unidentified uint64 `json:"unidentified"`
}

// Probe tries the i-th source for a while and says what it saw. It takes nothing
// from anybody: nothing becomes durable, a broker is asked under another client
// id, outside of shared subscriptions, and keeps nothing for it, and senders that
// wait for an acknowledgement, and nodes, are not spoken with. Errors: those of
// making the source.
func (c *Config) Probe(ctx context.Context, i int, fs durable.FS, clock source.Clock, d time.Duration) (*Seen, error) {
	s := c.Sources[i]
	seen := &Seen{Source: s.Name, Kind: s.Kind(), Where: s.Where(), Sample: []string{}, Sentences: map[string]int{}}
	if s.Acked != nil {
		ln, err := net.Listen("tcp", s.Acked.Listen)
		if err == nil {
			err = ln.Close()
		}
		seen.State, seen.OK, seen.Detail = source.StateOpen, err == nil, "the port is free; no sender was listened to"
		if err != nil {
			seen.State, seen.Detail = source.StateAbsent, err.Error()
		}
		return seen, nil
	}
	part, err := (&Config{Gateway: c.Gateway, Sources: []SourceConfig{s.harmless()}}).newPart(0, making{fs: fs, clock: clock, logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	enough := make(chan struct{})
	sink := &probeSink{seen: seen, done: enough, want: s.polls()}
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		_ = part.Run(ctx, sink) // its status says it
	})
	var last source.Status
	watch := time.NewTicker(20 * time.Millisecond)
	defer watch.Stop()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-enough:
			last, enough = part.Status(), nil
			cancel()
		case <-watch.C:
		}
		if st := part.Status(); st.State != source.StateStopped {
			last = st
		}
	}
	running.Wait()
	sink.mu.Lock()
	defer sink.mu.Unlock()
	seen.State, seen.Detail, seen.Bytes, seen.Peers = last.State, last.Detail, last.Bytes, last.Open
	seen.Rejected, seen.Downgraded, seen.Unidentified = last.Rejected, last.Downgraded, last.Unidentified
	seen.OK = (last.State == source.StateOpen || last.State == source.StateFinished) && sink.unusable == 0
	if s.Node != nil {
		seen.Sample, seen.Sentences = []string{}, map[string]int{} // its frames are no text
	}
	return seen, nil
}

// harmless gives the source as it is tried.
func (s SourceConfig) harmless() SourceConfig {
	s.Serve = ""
	no := false
	switch {
	case s.MQTT != nil:
		m := *s.MQTT
		m.trial, m.Broker, m.Topics = true, m.Broker.harmless(), slices.Clone(m.Topics)
		for i := range m.Topics { // of a shared one the trial would take others' messages
			m.Topics[i].Filter, _ = unshared(m.Topics[i].Filter)
		}
		s.MQTT = &m
	case s.Sparkplug != nil:
		k := *s.Sparkplug
		k.Rebirth, k.Broker = &no, k.Broker.harmless()
		s.Sparkplug = &k
	case s.Node != nil: // only listened to
		s.Serial, s.Node = &SerialConfig{Device: s.Node.Device, Baud: s.Node.Baud}, nil
	}
	return s
}

// harmless gives the broker under a client id that is no gateway's.
func (b BrokerConfig) harmless() BrokerConfig {
	b.StatusTopic = ""
	b.ClientID = fmt.Sprintf("landfall-check-%d", time.Now().UnixNano())
	return b
}

// polls is after how many reports the trial of a source that asks is over; 0: it
// does not ask.
func (s *SourceConfig) polls() int {
	n := 0
	if s.Modbus != nil {
		for i := range s.Modbus.Devices {
			n += len(s.Modbus.Devices[i].Registers)
		}
	}
	return n
}
