package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
)

// MQTTTopic is a subscription and what its messages hold.
type MQTTTopic struct {
	Filter  string // topic filter, with + and #
	Mapping sensor.Mapping
}

// BrokerConfig is what any client of an MQTT broker needs.
type BrokerConfig struct {
	// URL of the broker: mqtt://host:port, mqtts:// for TLS, ws:// or wss://.
	// Required.
	URL string
	// ClientID must stay the same, and be no other client's: the broker keeps
	// under it what was not acknowledged. Required.
	ClientID string
	// Credentials gives name and password, asked for each connection; nil: none.
	Credentials func() (name, password string)
	// TLS is for mqtts and wss, and must name the server it expects; nil: the
	// system's roots and the URL's host.
	TLS *tls.Config
	// KeepAlive is the longest silence on the connection. 0: 30 s.
	KeepAlive time.Duration
	// StatusTopic, when set, holds "online" while the gateway is connected, and
	// "offline" after, retained: the latter is the last will too.
	StatusTopic string
	// MaxPayload bounds a message's payload, bytes: of a larger one the beginning is
	// kept as a rejected report. 0: 1 MiB.
	MaxPayload int
}

// The bounds of MaxPayload, and what it is when it is not said.
const (
	MinMaxPayload     = 1 << 10
	DefaultMaxPayload = 1 << 20
	MaxMaxPayload     = 4 << 20
)

// maxPayload is the bound that holds.
func (c *BrokerConfig) maxPayload() int { return cmp.Or(c.MaxPayload, DefaultMaxPayload) }

func (c *BrokerConfig) validate(name string) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || !strings.Contains(" mqtt mqtts ws wss ", " "+u.Scheme+" ") {
		return fmt.Errorf("url of source %s: %q is none like mqtt://host:1883: %w", name, c.URL, ErrConfig)
	}
	if c.ClientID == "" {
		return fmt.Errorf("client_id of source %s: empty: %w", name, ErrConfig)
	}
	if c.KeepAlive < 0 {
		return fmt.Errorf("keep_alive of source %s: %v is negative: %w", name, c.KeepAlive, ErrConfig)
	}
	if c.MaxPayload != 0 && (c.MaxPayload < MinMaxPayload || c.MaxPayload > MaxMaxPayload) {
		return fmt.Errorf("max_payload of source %s: %d is not in %d..%d: %w", name, c.MaxPayload, MinMaxPayload, MaxMaxPayload, ErrConfig)
	}
	return nil
}

// MQTTConfig configures an MQTT.
type MQTTConfig struct {
	Options
	Broker BrokerConfig
	Topics []MQTTTopic // at least one; the first whose filter takes a topic maps it
	QoS    byte        // asked for: 0, 1 or 2
	// Remember is how many messages with an identity of their own are remembered,
	// to know one that is sent again: more than the broker may hold, because one
	// that is killed sends again all that it held when it last saved. 0: 16384.
	Remember int
	// FiltersPath is the file, in a directory that is there, that keeps which filters
	// the broker's session may hold, so that one that is configured no more is
	// unsubscribed; of this source alone. Empty: such a one stays subscribed.
	FiltersPath string
	FS          durable.FS // of FiltersPath; required with it
	// Trial has the broker keep nothing: what is not taken is gone. For a look,
	// under another client id.
	Trial bool
}

// DefaultRemember is what Remember is when it is not said, maxRemember bounds it.
const (
	DefaultRemember = 1 << 14
	maxRemember     = 1 << 17
)

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *MQTTConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if err := c.Broker.validate(c.Name); err != nil {
		return err
	}
	if len(c.Topics) == 0 {
		return fmt.Errorf("topics of source %s: none: %w", c.Name, ErrConfig)
	}
	for _, t := range c.Topics {
		if !ValidFilter(t.Filter) {
			return fmt.Errorf("filter of source %s: %q is no topic filter: %w", c.Name, t.Filter, ErrConfig)
		}
	}
	if c.QoS > 2 {
		return fmt.Errorf("qos of source %s: %d is not 0, 1 or 2: %w", c.Name, c.QoS, ErrConfig)
	}
	if c.FiltersPath != "" && c.FS == nil {
		return fmt.Errorf("fs of source %s: missing: %w", c.Name, ErrConfig)
	}
	if c.Remember < 0 || c.Remember > maxRemember {
		return fmt.Errorf("remember of source %s: %d is not in 0..%d: %w", c.Name, c.Remember, maxRemember, ErrConfig)
	}
	return nil
}

// MQTT takes messages from a broker as reports of sensor readings. At QoS 1 and
// 2 the session is persistent and a message is acknowledged after C1 only, so
// the broker sends again what was not durable. A message sent again although it
// was taken is known by its topic and bytes, when its payload has a time or a
// number of its own; when it has none it cannot be told from a new message with
// the same values, and is taken again.
//
// What its publisher sent at QoS 0 comes at QoS 0 (MQTT 3.1.1, 4.3): the broker
// neither keeps nor repeats it. It is counted as Downgraded.
//
// A filter that is configured no more is unsubscribed on the next connection, after
// what is configured was subscribed. What the broker had queued for it, or sends
// before it has answered, is taken like any other message: by another filter's
// mapping where one takes the topic, else as a report rejected for no_mapping, whose
// time or number is not read: at least once.
//
// Order: messages are taken in the order in which the broker sends them.
type MQTT struct {
	meter
	cfg     MQTTConfig
	filters [][]string
}

// NewMQTT makes an MQTT. Error: ErrConfig.
func NewMQTT(cfg MQTTConfig) (*MQTT, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Remember == 0 {
		cfg.Remember = DefaultRemember
	}
	m := &MQTT{cfg: cfg}
	for _, t := range cfg.Topics {
		m.filters = append(m.filters, strings.Split(t.Filter, "/"))
	}
	m.init(&m.cfg.Options, "mqtt", cfg.QoS > 0)
	return m, nil
}

// Run takes messages until ctx ends. What was taken before is waited for, for
// a moment, so that it can still be acknowledged. It returns nil.
func (m *MQTT) Run(ctx context.Context, sink Sink) error {
	seen, err := openSeen(m.cfg.Name, m.cfg.Remember, sink)
	if err != nil {
		return err
	}
	filters := map[string]byte{}
	for _, t := range m.cfg.Topics {
		filters[t.Filter] = m.cfg.QoS
	}
	link := brokerLink{cfg: &m.cfg.Broker, meter: &m.meter, filters: filters, persistent: m.cfg.QoS > 0 && !m.cfg.Trial, known: len(seen.taken) > 0}
	if link.persistent && m.cfg.FiltersPath != "" {
		link.subscribed = &subscriptions{fs: m.cfg.FS, path: m.cfg.FiltersPath, want: slices.Sorted(maps.Keys(filters)), log: m.log}
	}
	return link.run(ctx, func(messages []message, acks *acknowledger) error {
		return m.take(messages, acks, seen, sink)
	})
}

// take delivers messages, in batches of which each touches one chunk of seen.
func (m *MQTT) take(messages []message, acks *acknowledger, seen *seen, sink Sink) error {
	wall, mono := m.cfg.Clock.Now()
	for len(messages) > 0 {
		b, n := m.batch(messages, seen)
		b.ReceivedAt, b.Monotonic = wall, mono
		b.Durable = acks.after(messages[:n])
		b.Sync = b.Durable != nil
		messages = messages[n:]
		if len(b.Lines) == 0 && b.Durable == nil {
			continue
		}
		m.lines(b)
		if err := sink.Deliver(b); err != nil {
			return fmt.Errorf("%w: %w", errStopped, err)
		}
	}
	return nil
}

// batch makes lines of the first messages, as many as go into one batch.
func (m *MQTT) batch(messages []message, seen *seen) (*Batch, int) {
	b, bytes, marked, i := &Batch{Stream: "mqtt"}, 0, false, 0
	for ; i < len(messages) && bytes <= maxBatchBytes && !(marked && seen.full(1)); i++ {
		msg := &messages[i]
		line, is := m.report(msg)
		hashes, known := seen.recall(msg, is.identified)
		if marked && seen.full(len(hashes)) {
			break // they go into the next chunk, and so with the next batch
		}
		m.count(msg, is, known)
		if len(hashes) > 0 {
			seen.add(hashes...)
			marked = true
		}
		if known {
			continue
		}
		if is.identified {
			seen.latest(msg)
		}
		b.Lines = append(b.Lines, line)
		bytes += len(line.Data)
	}
	if marked {
		b.Mark, b.Position = seen.mark()
	}
	return b, i
}

// reading says what was found in a message beside its readings.
type reading struct {
	identified bool // it has a usable time or number of its own
	rejected   bool // nothing was found in it
}

// count counts a message; known: it was taken before.
func (m *MQTT) count(msg *message, is reading, known bool) {
	if msg.qos == 0 && m.cfg.QoS > 0 && !msg.retained {
		m.downgraded.Add(1)
	}
	if is.rejected {
		m.rejected.Add(1)
	}
	switch {
	case known:
		m.duplicates.Add(1)
	case msg.qos > 0 && !is.identified && !msg.retained:
		m.unidentified.Add(1)
		if msg.again {
			m.possiblyTwice.Add(1)
		}
	}
}

// maxBatchBytes ends a batch of reports.
const maxBatchBytes = 256 << 10

// report makes the report of a message.
func (m *MQTT) report(msg *message) (Line, reading) {
	r := sensor.Report{Origin: sensor.OriginMQTT, Address: msg.topic, Payload: msg.payload}
	mapping := m.mapping(msg.topic)
	identity := false
	switch {
	case m.cfg.Broker.isCut(&r):
	case mapping == nil:
		r.Reason = sensor.RejectNoMapping
	default:
		m.decode(&r, func() { identity = mapping.Read(&r) })
	}
	if msg.retained {
		// It was said before this connection: it does not tell of now.
		for i := range r.Readings {
			r.Readings[i].Historical = true
		}
	}
	line := reportLine(&r)
	return line, reading{identity, r.Reason != ""}
}

// isCut tells whether the payload is not whole, which makes r the report of that:
// nothing in it is read.
func (c *BrokerConfig) isCut(r *sensor.Report) bool {
	limit := c.maxPayload()
	if len(r.Payload) <= limit {
		return false
	}
	r.Payload, r.Cut, r.Reason = r.Payload[:limit], true, sensor.RejectTooLarge
	return true
}

// reportLine makes a line of a report. What does not fit is the report's Reason then.
func reportLine(r *sensor.Report) Line {
	kept := min(len(r.Payload), sensor.MaxPayloadBytes)
	l := Line{
		Reading: true, Truncated: r.Cut || kept < len(r.Payload), Time: record.Micros(r.ReadingTime()),
		Kept: slices.ContainsFunc(r.Readings, func(g sensor.Reading) bool { return g.Historical }),
	}
	l.Data = r.Append(make([]byte, 0, 2*kept+64))
	return l
}

// decode has read fill in the readings of r, unless the gateway died of this message. A
// panic in it costs that message its readings and nothing else. Either way it is captured
// with the reason, acknowledged like any other, and so not sent again; the log has the
// panic as an error.
func (m *meter) decode(r *sensor.Report, read func()) {
	if !m.o.Care.Read(r.Address, r.Payload, func() { m.caught(r, read) }) {
		r.Reason = sensor.RejectKills
	}
}

// caught is decode without care.
func (m *meter) caught(r *sensor.Report, read func()) {
	defer func() {
		if p := recover(); p != nil {
			r.Readings, r.Reason = nil, sensor.RejectPanic
			m.errors.Add(1)
			m.log(slog.LevelError, "a message made its decoder panic; it is captured without readings", "address", r.Address[:min(len(r.Address), sensor.MaxNameBytes)],
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	failpoint.Content(r.Payload)
	read()
}

// mapping gives the mapping of a topic; nil: no filter takes it.
func (m *MQTT) mapping(topic string) *sensor.Mapping {
	levels := strings.Split(topic, "/")
	for i, f := range m.filters {
		if takes(f, levels) {
			return &m.cfg.Topics[i].Mapping
		}
	}
	return nil
}

// takes says whether a filter takes a topic (MQTT 3.1.1, 4.7). A shared
// subscription's own levels are not part of it.
func takes(filter, topic []string) bool {
	if len(filter) > 2 && filter[0] == "$share" {
		filter = filter[2:]
	}
	for i, f := range filter {
		switch {
		case f == "#":
			return true
		case i >= len(topic) || f != "+" && f != topic[i]:
			return false
		}
	}
	return len(filter) == len(topic)
}

// errRefused says that the broker does not give what was asked for.
var errRefused = errors.New("the broker refuses")
