package server

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"landfall/edge/config"
	"landfall/engine/table"
)

// SinksConfig says where rows go beside the lake.
type SinksConfig struct {
	Kafka KafkaSinkConfig `yaml:"kafka"`
}

// KafkaSinkConfig configures topics as a sink; without brokers there is none.
type KafkaSinkConfig struct {
	Brokers []string `yaml:"brokers"` // host:port of some of the cluster
	Tables  []string `yaml:"tables"`  // none: all
	Prefix  string   `yaml:"prefix"`  // of a table's topic
	// Topics are those of tables that have another topic than prefix and name.
	Topics      []KafkaTopicConfig `yaml:"topics"`
	MarkerTopic string             `yaml:"marker_topic"` // empty: prefix and "markers"
	// Partitions and Replication are of topics that are absent and are made; 0:
	// what the cluster thinks right.
	Partitions  int `yaml:"partitions"`
	Replication int `yaml:"replication"`
	// TransactionTimeout is how long an epoch may take to be written.
	TransactionTimeout time.Duration   `yaml:"transaction_timeout"`
	MaxMessageSize     config.Bytes    `yaml:"max_message_size"`
	TLS                KafkaTLSConfig  `yaml:"tls"`
	SASL               KafkaSASLConfig `yaml:"sasl"`
}

// KafkaTopicConfig names the topic of one table.
type KafkaTopicConfig struct {
	Table string `yaml:"table"`
	Topic string `yaml:"topic"`
}

// Topic gives a table's topic.
func (c *KafkaSinkConfig) Topic(name table.Name) string {
	for _, t := range c.Topics {
		if t.Table == string(name) {
			return t.Topic
		}
	}
	return c.Prefix + string(name)
}

// DefaultKafkaSink is what absent keys mean.
func DefaultKafkaSink() KafkaSinkConfig {
	return KafkaSinkConfig{Prefix: "landfall.", TransactionTimeout: time.Minute, MaxMessageSize: 1_000_000}
}

// Enabled tells whether there is such a sink.
func (c *KafkaSinkConfig) Enabled() bool { return len(c.Brokers) > 0 }

// Markers is the topic of the markers.
func (c *KafkaSinkConfig) Markers() string {
	if c.MarkerTopic != "" {
		return c.MarkerTopic
	}
	return c.Prefix + "markers"
}

// TableNames are the tables that go to topics.
func (c *KafkaSinkConfig) TableNames() []table.Name {
	if len(c.Tables) == 0 {
		return table.Names()
	}
	var names []table.Name
	for _, n := range c.Tables {
		names = append(names, table.Name(n))
	}
	return names
}

func (c *KafkaSinkConfig) validate(p *config.Problems) {
	const at = "sinks.kafka."
	for i, b := range c.Brokers {
		p.Add(config.IsAddress(b), fmt.Sprintf("%sbrokers[%d]", at, i), strconv.Quote(b), "host:port with a number for the port")
	}
	for i, n := range c.Tables {
		p.Add(slices.Contains(table.Names(), table.Name(n)), fmt.Sprintf("%stables[%d]", at, i), strconv.Quote(n), "a table")
	}
	for i, t := range c.Topics {
		p.Add(slices.Contains(c.TableNames(), table.Name(t.Table)), fmt.Sprintf("%stopics[%d].table", at, i), strconv.Quote(t.Table), "one of the tables that go to Kafka")
		p.Add(t.Topic != "", fmt.Sprintf("%stopics[%d].topic", at, i), `""`, "the topic's name")
	}
	p.Add(c.Partitions >= 0 && c.Partitions <= 10_000, at+"partitions", strconv.Itoa(c.Partitions), "a number from 0 to 10000")
	p.Add(c.Replication >= 0 && c.Replication <= 100, at+"replication", strconv.Itoa(c.Replication), "a number from 0 to 100")
	p.Add(c.TransactionTimeout >= 5*time.Second && c.TransactionTimeout <= time.Hour, at+"transaction_timeout", c.TransactionTimeout.String(), "a time from 5s to 1h")
	p.Add(c.MaxMessageSize >= 16<<10 && c.MaxMessageSize <= 64<<20, at+"max_message_size", c.MaxMessageSize.String(), "a size from 16KiB to 64MiB")
	validateKafkaClient(p, at, c.Brokers, &c.TLS, &c.SASL)
}

// SinkStatus is what a sink beside the lake did since the start of the process.
type SinkStatus struct {
	Sink     string `json:"sink"`
	Epochs   uint64 `json:"epochs"`   // published
	Rows     uint64 `json:"rows"`     // of these
	Bytes    uint64 `json:"bytes"`    // of these
	Found    uint64 `json:"found"`    // epochs that were there already
	Failures uint64 `json:"failures"` // transactions that came to no known end, and are decided by reading
	Fenced   uint64 `json:"fenced"`   // of these, ended by another writer
	Omitted  uint64 `json:"omitted"`  // rows that went without their largest fields
	// Problems are settings of its topics under which rows or markers would be lost.
	Problems []string `json:"problems,omitempty"`
}
