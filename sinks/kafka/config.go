package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/table"
	"landfall/sinks/object"
)

// Name is the sink's name in manifests.
const Name = "kafka"

// What zero means in a Config.
const (
	DefaultPrefix             = "landfall."
	DefaultTransactionTimeout = time.Minute
	DefaultMaxMessageBytes    = 1_000_000
)

// MinMessageBytes is the least MaxMessageBytes: a marker is a message too, and
// goes whole or not at all.
const MinMessageBytes = maxMarkerBytes

// Config says where rows go.
type Config struct {
	// Files holds staged rows. Required, except by Check.
	Files object.Files
	// Brokers are host:port of some of the cluster's brokers. Required.
	Brokers []string
	// Tables are brought to Kafka; nil: all.
	Tables []table.Name
	// Prefix before a table's name gives its topic. Empty: DefaultPrefix.
	Prefix string
	// Topics are the topics of tables that have another name than that.
	Topics map[table.Name]string
	// MarkerTopic holds the markers: one partition, compacted or kept for
	// ever. It is the sink's memory of what was published. Empty: Prefix and
	// "markers".
	MarkerTopic string
	// Partitions and Replication are of topics that the sink makes because they
	// are absent. 0: what the cluster thinks right.
	Partitions  int32
	Replication int16
	// TransactionTimeout is how long the transaction of one epoch may take; the
	// broker aborts it then. When an epoch does not fit it is tried again with
	// twice the time, up to the broker's transaction.max.timeout.ms. It is also
	// how long readers of committed messages may wait for a writer that died,
	// if nobody takes its task over. 0: DefaultTransactionTimeout.
	TransactionTimeout time.Duration
	// MaxMessageBytes bounds a message. A row beyond it goes without its
	// largest fields, which the message names. 0: DefaultMaxMessageBytes; at least
	// MinMessageBytes.
	MaxMessageBytes int
	// Client are options of every client, such as TLS and SASL.
	Client []kgo.Opt
	// Counters is where the sink counts; nil: nowhere to be seen.
	Counters *Counters
	// Logger gets what is worth a line; nil: discarded.
	Logger *slog.Logger
}

// Validate names the field that is wrong and changes nothing.
func (c *Config) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("kafka sink: Brokers: none")
	case c.TransactionTimeout < 0 || c.MaxMessageBytes < 0 || c.Partitions < 0 || c.Replication < 0:
		return errors.New("kafka sink: TransactionTimeout, MaxMessageBytes, Partitions and Replication must not be negative")
	}
	full := c.withDefaults()
	if full.MaxMessageBytes < MinMessageBytes {
		return fmt.Errorf("kafka sink: MaxMessageBytes: %d, and a marker may take %d", full.MaxMessageBytes, MinMessageBytes)
	}
	taken := map[string]table.Name{full.MarkerTopic: "markers"}
	if !isTopic(full.MarkerTopic) {
		return fmt.Errorf("kafka sink: MarkerTopic: %q is no topic's name", full.MarkerTopic)
	}
	for name := range c.Topics {
		if !slices.Contains(full.Tables, name) {
			return fmt.Errorf("kafka sink: Topics: %q is not among the tables", name)
		}
	}
	for _, name := range full.Tables {
		if !slices.Contains(table.Names(), name) {
			return fmt.Errorf("kafka sink: Tables: %q is no table", name)
		}
		topic := full.topic(name)
		if !isTopic(topic) {
			return fmt.Errorf("kafka sink: Topics: %q is no topic's name", topic)
		}
		if other, ok := taken[topic]; ok {
			return fmt.Errorf("kafka sink: Topics: %s is the topic of %s and of %s", topic, other, name)
		}
		taken[topic] = name
	}
	return nil
}

// isTopic holds Kafka's rule for names of topics.
func isTopic(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 249 &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// withDefaults fills in what zero means.
func (c Config) withDefaults() Config {
	if len(c.Tables) == 0 {
		c.Tables = table.Names()
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.MarkerTopic == "" {
		c.MarkerTopic = c.Prefix + "markers"
	}
	if c.TransactionTimeout == 0 {
		c.TransactionTimeout = DefaultTransactionTimeout
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// topic gives a table's topic.
func (c *Config) topic(name table.Name) string {
	if t, ok := c.Topics[name]; ok {
		return t
	}
	return c.Prefix + string(name)
}
