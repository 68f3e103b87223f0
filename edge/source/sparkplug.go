package source

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/sparkplug"
)

// SparkplugConfig configures a Sparkplug.
type SparkplugConfig struct {
	Options
	Broker BrokerConfig
	// Groups are the group ids to listen to; none: all.
	Groups []string
	// Rebirth lets the gateway ask a node for its births, by a command (NCMD),
	// when it has missed messages or does not know its metrics.
	Rebirth bool
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *SparkplugConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	for _, g := range c.Groups {
		if g == "" || strings.ContainsAny(g, "/+#") {
			return fmt.Errorf("group of source %s: %q is no group id: %w", c.Name, g, ErrConfig)
		}
	}
	return c.Broker.validate(c.Name)
}

// Sparkplug takes Sparkplug B messages as reports of sensor readings. By its
// specification data comes at QoS 0 in clean sessions: nothing is sent again,
// and what is missing is told by sequence numbers, counted as Lost, and followed
// by the question for a new birth where that is allowed.
type Sparkplug struct {
	meter
	cfg  SparkplugConfig
	host *sparkplug.Host

	mu      sync.Mutex
	publish func(topic string, payload []byte) // of the connection; nil: there is none; guarded by mu
	born    map[string]time.Time               // when a node was last asked; guarded by mu
}

// rebirthInterval is the least time between two questions to one node.
const rebirthInterval = 10 * time.Second

// NewSparkplug makes a Sparkplug. Error: ErrConfig.
func NewSparkplug(cfg SparkplugConfig) (*Sparkplug, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sparkplug{cfg: cfg, host: sparkplug.NewHost(), born: map[string]time.Time{}}
	s.init(&s.cfg.Options, "sparkplug", false)
	return s, nil
}

// Run takes messages until ctx ends. It returns nil.
func (s *Sparkplug) Run(ctx context.Context, sink Sink) error {
	filters := map[string]byte{"spBv1.0/#": 0}
	if len(s.cfg.Groups) > 0 {
		clear(filters)
	}
	for _, g := range s.cfg.Groups {
		filters["spBv1.0/"+g+"/#"] = 0
	}
	link := brokerLink{cfg: &s.cfg.Broker, meter: &s.meter, filters: filters, announce: true}
	link.connected = func(publish func(string, []byte)) { s.setPublish(publish) }
	link.disconnected = func() { s.setPublish(nil) }
	return link.run(ctx, func(messages []message, _ *acknowledger) error { return s.take(messages, sink) })
}

func (s *Sparkplug) setPublish(publish func(string, []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.publish = publish
}

// take delivers messages in their order.
func (s *Sparkplug) take(messages []message, sink Sink) error {
	wall, mono := s.cfg.Clock.Now()
	b, bytes := &Batch{Stream: "sparkplug", ReceivedAt: wall, Monotonic: mono}, 0
	for i := range messages {
		msg := &messages[i]
		if msg.topic == "" {
			s.askAll()
			continue
		}
		r := sensor.Report{Origin: sensor.OriginSparkplug, Address: msg.topic, Payload: msg.payload}
		var v sparkplug.Verdict
		if !s.cfg.Broker.isCut(&r) { // else its number is missing at the next
			s.decode(&r, func() { v = s.host.Read(&r) })
			if r.Reason == sensor.RejectPanic {
				s.host = sparkplug.NewHost() // what it knew may be half changed; nodes are asked for their births
			}
		}
		s.lost.Add(v.Lost)
		if v.Rebirth != "" {
			s.ask(v.Rebirth)
		}
		line := reportLine(&r)
		if r.Reason != "" {
			s.rejected.Add(1)
		}
		if bytes += len(line.Data); bytes > maxBatchBytes && len(b.Lines) > 0 {
			if err := s.deliver(b, sink); err != nil {
				return err
			}
			b, bytes = &Batch{Stream: "sparkplug", ReceivedAt: wall, Monotonic: mono}, len(line.Data)
		}
		b.Lines = append(b.Lines, line)
	}
	return s.deliver(b, sink)
}

func (s *Sparkplug) deliver(b *Batch, sink Sink) error {
	if len(b.Lines) == 0 {
		return nil
	}
	s.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	return nil
}

// askAll asks every known node on a new connection, whether it speaks or not: what
// was said between the two is lost, a death or a birth perhaps.
func (s *Sparkplug) askAll() {
	for _, node := range s.host.Nodes() {
		s.ask(node)
	}
}

// ask asks a node for its births, where that is allowed and was not done just
// now.
func (s *Sparkplug) ask(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.cfg.Rebirth || s.publish == nil || now.Sub(s.born[node]) < rebirthInterval {
		return
	}
	if len(s.born) > 1<<12 {
		clear(s.born)
	}
	s.born[node] = now
	group, name, _ := strings.Cut(node, "/")
	s.publish("spBv1.0/"+group+"/NCMD/"+name, sparkplug.Rebirth(uint64(now.UnixMilli())))
}
