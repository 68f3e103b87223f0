package agent

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/source"
)

// BrokerConfig is what a source needs of an MQTT broker.
type BrokerConfig struct {
	URL         string        `yaml:"url"`          // mqtt://host:port, mqtts://, ws://, wss://; required
	ClientID    string        `yaml:"client_id"`    // empty: landfall-<gateway>-<source>
	KeepAlive   time.Duration `yaml:"keep_alive"`   // 0: 30 s
	StatusTopic string        `yaml:"status_topic"` // holds online or offline; empty: none
	MaxPayload  config.Bytes  `yaml:"max_payload"`  // of a message; 0: 1 MiB
	// Files with the name and the password, first line each; empty: none.
	UsernameFile string `yaml:"username_file"`
	PasswordFile string `yaml:"password_file"`
	// TLS files, PEM, only with mqtts and wss, as in ForwardConfig.
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

// MQTTConfig takes messages from a broker.
type MQTTConfig struct {
	Broker   BrokerConfig      `yaml:"broker"`
	QoS      *int              `yaml:"qos"`      // 0, 1 or 2; absent: 1
	Remember int               `yaml:"remember"` // messages known again when sent again; 0: 16384
	Topics   []MQTTTopicConfig `yaml:"topics"`   // at least one

	trial bool // set by Probe: the broker keeps nothing
}

// SparkplugConfig takes Sparkplug B messages from a broker.
type SparkplugConfig struct {
	Broker  BrokerConfig `yaml:"broker"`
	Groups  []string     `yaml:"groups"`  // none: all
	Rebirth *bool        `yaml:"rebirth"` // ask nodes for their births; absent: true
}

// MQTTTopicConfig says what the messages of a topic hold.
type MQTTTopicConfig struct {
	Filter        string         `yaml:"filter"`         // required
	Format        string         `yaml:"format"`         // json or value; empty: json
	Sensor        string         `yaml:"sensor"`         // may contain {topic}, {1}, {2}, …; empty: {topic}
	SensorField   string         `yaml:"sensor_field"`   // field that names the sensor
	TimeField     string         `yaml:"time_field"`     // field with the sample's time
	TimeUnit      string         `yaml:"time_unit"`      // s, ms, us, ns or rfc3339; required with time_field
	SequenceField string         `yaml:"sequence_field"` // field with the message's own number
	Metrics       []MetricConfig `yaml:"metrics"`        // none: all fields
}

// MetricConfig maps a field to a metric.
type MetricConfig struct {
	Field  string  `yaml:"field"`  // path, names joined by '.'; none with format value
	Name   string  `yaml:"name"`   // empty: field
	Unit   string  `yaml:"unit"`   // may be empty
	Scale  float64 `yaml:"scale"`  // 0: 1
	Offset float64 `yaml:"offset"` // added after scaling
}

func (b *BrokerConfig) validate(p *config.Problems, key string) {
	u, err := url.Parse(b.URL)
	good := err == nil && u.Host != "" && strings.Contains(" mqtt mqtts ws wss ", " "+u.Scheme+" ") && u.User == nil
	p.Add(good, key+".url", strconv.Quote(b.URL), "a URL like mqtt://broker:1883 or mqtts://broker:8883, without user and password")
	p.Add(b.KeepAlive >= 0 && b.KeepAlive <= 18*time.Hour, key+".keep_alive", b.KeepAlive.String(), "a time from 0s (the default) to 18h")
	p.Add(b.MaxPayload == 0 || b.MaxPayload >= source.MinMaxPayload && b.MaxPayload <= source.MaxMaxPayload, key+".max_payload", b.MaxPayload.String(), "a size from 1KiB to 4MiB, or 0 for 1MiB")
	secure := good && (u.Scheme == "mqtts" || u.Scheme == "wss")
	for _, f := range []struct{ key, value string }{{"ca_file", b.CAFile}, {"cert_file", b.CertFile}, {"key_file", b.KeyFile}, {"server_name", b.ServerName}} {
		p.Add(f.value == "" || secure, key+"."+f.key, strconv.Quote(f.value), "nothing, because the URL is neither mqtts nor wss")
	}
	p.Add((b.CertFile == "") == (b.KeyFile == ""), key+".cert_file", strconv.Quote(b.CertFile), "cert_file and key_file together, or neither")
	p.Add(b.PasswordFile == "" || b.UsernameFile != "", key+".password_file", strconv.Quote(b.PasswordFile), "username_file beside it")
}

func (m *MQTTConfig) validate(p *config.Problems, key string) {
	m.Broker.validate(p, key+".broker")
	p.Add(m.QoS == nil || *m.QoS >= 0 && *m.QoS <= 2, key+".qos", fmt.Sprint(m.QualityOfService()), "0, 1 or 2")
	p.Add(m.Remember >= 0 && m.Remember <= 1<<17, key+".remember", strconv.Itoa(m.Remember), "a number from 0 (the default) to 131072")
	p.Add(len(m.Topics) > 0, key+".topics", "none", "at least one topic")
	for i := range m.Topics {
		m.Topics[i].validate(p, fmt.Sprintf("%s.topics[%d]", key, i))
	}
}

func (t *MQTTTopicConfig) validate(p *config.Problems, key string) {
	p.Add(source.ValidFilter(t.Filter), key+".filter", strconv.Quote(t.Filter), "a topic filter like plant/+/state")
	p.Add(t.Format == "" || t.Format == string(sensor.FormatJSON) || t.Format == string(sensor.FormatValue), key+".format", strconv.Quote(t.Format), "json or value")
	units := " s ms us ns rfc3339 "
	p.Add((t.TimeField == "") == (t.TimeUnit == "") && strings.Contains(units, " "+t.TimeUnit), key+".time_unit", strconv.Quote(t.TimeUnit), "s, ms, us, ns or rfc3339 together with time_field, or neither")
	if t.Format == string(sensor.FormatValue) {
		p.Add(len(t.Metrics) <= 1, key+".metrics", strconv.Itoa(len(t.Metrics)), "one metric at most: the payload is one value")
		p.Add(t.SensorField == "" && t.TimeField == "" && t.SequenceField == "", key+".format", "value", "json, because fields are named")
	}
	for i := range t.Metrics {
		m := &t.Metrics[i]
		p.Add((m.Field == "") == (t.Format == string(sensor.FormatValue)), fmt.Sprintf("%s.metrics[%d].field", key, i), strconv.Quote(m.Field), "the path of a field with format json, none with format value")
	}
}

// Unidentified lists the filters of the topics whose messages have no time or
// number of their own, by which one that is sent again is known.
func (m *MQTTConfig) Unidentified() (filters []string) {
	for i := range m.Topics {
		if m.Topics[i].TimeField == "" && m.Topics[i].SequenceField == "" {
			filters = append(filters, m.Topics[i].Filter)
		}
	}
	return filters
}

// Shared lists the filters that are shared subscriptions: a message may be sent
// again to another of the group, which does not know that it was taken.
func (m *MQTTConfig) Shared() (filters []string) {
	for i := range m.Topics {
		if _, shared := unshared(m.Topics[i].Filter); shared {
			filters = append(filters, m.Topics[i].Filter)
		}
	}
	return filters
}

// unshared gives the topic filter of a shared subscription, $share/group/filter
// (MQTT 5, 4.8.2; brokers know it in 3.1.1 too).
func unshared(filter string) (string, bool) {
	if group, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(group, "/")
		return filter, true
	}
	return filter, false
}

// QualityOfService is what the broker is asked for: 0, 1 or 2.
func (m *MQTTConfig) QualityOfService() int {
	if m.QoS == nil {
		return 1
	}
	return *m.QoS
}

// Remembered is how many messages are known when they are sent again.
func (m *MQTTConfig) Remembered() int {
	if m.Remember == 0 {
		return source.DefaultRemember
	}
	return m.Remember
}

// mapping gives what a source takes of it.
func (t *MQTTTopicConfig) mapping() sensor.Mapping {
	m := sensor.Mapping{
		Format: sensor.Format(t.Format), Sensor: t.Sensor, SensorField: t.SensorField,
		TimeField: t.TimeField, TimeUnit: sensor.TimeUnit(t.TimeUnit), SequenceField: t.SequenceField,
	}
	if m.Format == "" {
		m.Format = sensor.FormatJSON
	}
	if m.Sensor == "" {
		m.Sensor = "{topic}"
	}
	for _, c := range t.Metrics {
		m.Metrics = append(m.Metrics, sensor.Metric(c))
	}
	return m
}

// clientID is what the broker knows the source by.
func (b *BrokerConfig) clientID(gateway, name string) string {
	return cmp.Or(b.ClientID, "landfall-"+gateway+"-"+name)
}

// broker reads the files that b names, and gives who keeps the certificates;
// nil where the link is plain. Errors: config.FieldError under key.
func (b *BrokerConfig) broker(with making, gateway, name, key string) (source.BrokerConfig, *certs.Keeper, error) {
	c := source.BrokerConfig{URL: b.URL, ClientID: b.clientID(gateway, name), KeepAlive: b.KeepAlive, StatusTopic: b.StatusTopic, MaxPayload: int(b.MaxPayload)}
	if secret := config.ProxySecret(); secret != "" && strings.HasPrefix(b.URL, "ws") { // mqtt and mqtts take no proxy
		return c, nil, &config.FieldError{Key: key + ".url", Got: secret + " with a user in the environment", Want: "a proxy without one: secrets are read from files only"}
	}
	if b.UsernameFile != "" {
		l := &config.Login{
			FS: with.fs, Logger: with.logger, NameKey: key + ".username_file", NameFile: b.UsernameFile,
			PasswordKey: key + ".password_file", PasswordFile: b.PasswordFile,
		}
		if err := l.Read(); err != nil {
			return c, nil, err
		}
		c.Credentials = l.Newest
	}
	k, err := b.openCerts(with, key)
	if k != nil {
		c.TLS = k.Client(b.ServerName, b.host())
	}
	return c, k, err
}

// keep puts the keeper of a source's certificates beside it.
func keep(s part, k *certs.Keeper, err error) (part, error) {
	if err != nil || k == nil {
		return s, err
	}
	return secured{s, k}, nil
}

// newSparkplug makes a source of Sparkplug B messages.
func (s *SparkplugConfig) newSparkplug(o source.Options, with making, gateway, key string) (part, error) {
	broker, certs, err := s.Broker.broker(with, gateway, o.Name, key+".broker")
	if err != nil {
		return nil, err
	}
	made, err := source.NewSparkplug(source.SparkplugConfig{Options: o, Broker: broker, Groups: s.Groups, Rebirth: s.asks()})
	return keep(made, certs, err)
}

func (s *SparkplugConfig) asks() bool { return s.Rebirth == nil || *s.Rebirth }

func (s *SparkplugConfig) validate(p *config.Problems, key string) {
	s.Broker.validate(p, key+".broker")
	for i, g := range s.Groups {
		p.Add(g != "" && !strings.ContainsAny(g, "/+#"), fmt.Sprintf("%s.groups[%d]", key, i), strconv.Quote(g), "a group id, without '/', '+' and '#'")
	}
}

// newMQTT makes a source of messages; filters is the file of what it subscribed to.
func (m *MQTTConfig) newMQTT(o source.Options, with making, gateway, filters, key string) (part, error) {
	broker, certs, err := m.Broker.broker(with, gateway, o.Name, key+".broker")
	if err != nil {
		return nil, err
	}
	c := source.MQTTConfig{Options: o, Broker: broker, QoS: byte(m.QualityOfService()), Remember: m.Remember, FS: with.fs, FiltersPath: filters, Trial: m.trial}
	for i := range m.Topics {
		c.Topics = append(c.Topics, source.MQTTTopic{Filter: m.Topics[i].Filter, Mapping: m.Topics[i].mapping()})
	}
	made, err := source.NewMQTT(c)
	return keep(made, certs, err)
}
