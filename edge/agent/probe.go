package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"landfall/decoders/sensor"
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
	Sample []string     `json:"sample"` // the first of what came, as text
}

// probeSamples is how much of what came is shown.
const probeSamples = 12

// Probe tries the i-th source for a while and says what it saw. It takes nothing
// from anybody: nothing becomes durable or is acknowledged, a broker is asked
// under another client id, and senders that wait for an acknowledgement, and
// nodes, are not spoken with. Errors: those of making the source.
func (c *Config) Probe(ctx context.Context, i int, fs durable.FS, clock source.Clock, d time.Duration) (*Seen, error) {
	s := c.Sources[i]
	seen := &Seen{Source: s.Name, Kind: s.Kind(), Where: s.Where(), Sample: []string{}}
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
	seen.State, seen.Detail, seen.Bytes = last.State, last.Detail, last.Bytes
	seen.OK = (last.State == source.StateOpen || last.State == source.StateFinished) && sink.unusable == 0
	if s.Node != nil {
		seen.Sample = []string{} // its frames are no text
	}
	return seen, nil
}

// harmless gives the source as it is tried.
func (s SourceConfig) harmless() SourceConfig {
	s.Serve = ""
	zero, no := 0, false
	switch {
	case s.MQTT != nil:
		m := *s.MQTT
		m.QoS, m.Broker = &zero, m.Broker.harmless()
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

// probeSink looks at what comes and keeps the first of it.
type probeSink struct {
	done chan struct{} // closed when want readings have come
	want int           // 0: never

	mu       sync.Mutex
	seen     *Seen // guarded by mu
	readings int   // guarded by mu
	full     bool  // done is closed; guarded by mu
	unusable int   // readings that are bad, of a source that asks; guarded by mu
}

// Deliver implements source.Sink.
func (p *probeSink) Deliver(b *source.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Lines {
		l := &b.Lines[i]
		p.seen.Lines++
		if !l.Reading {
			p.show(fmt.Sprintf("%.120q", l.Data))
			continue
		}
		var r sensor.Report
		if err := r.Decode(l.Data, nil); err != nil {
			p.show(err.Error())
			continue
		}
		p.report(&r)
	}
	if p.want > 0 && p.readings >= p.want && !p.full {
		p.full = true
		close(p.done)
	}
	return nil
}

func (p *probeSink) show(text string) {
	if len(p.seen.Sample) < probeSamples {
		p.seen.Sample = append(p.seen.Sample, text)
	}
}

func (p *probeSink) report(r *sensor.Report) {
	if r.Reason != "" {
		p.show(fmt.Sprintf("%s: %s: %.120q", r.Address, r.Reason, r.Payload))
	}
	for _, g := range r.Readings {
		p.readings++
		if p.want > 0 && !g.Quality.Usable() {
			p.unusable++
		}
		value := "no value"
		switch g.Kind {
		case sensor.Number:
			value = fmt.Sprint(g.Number)
		case sensor.Text:
			value = fmt.Sprintf("%.60q", g.Text)
		}
		if g.Unit != "" && g.Kind == sensor.Number {
			value += " " + g.Unit
		}
		p.show(fmt.Sprintf("%s: %s %s: %s (%s)", r.Address, g.Sensor, g.Metric, value, g.Quality))
	}
}

// Position implements source.Sink: a trial begins at nothing.
func (p *probeSink) Position(string) []byte { return nil }
