package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// Config says which topic is the landing log. Zero fields take their default.
type Config struct {
	// Brokers are host:port of some of the cluster's brokers. Required.
	Brokers []string
	// Topic is made if absent, with what Open would check. Required.
	Topic string
	// Partitions is P, 1 to MaxPartitions. Required: it is fixed for the topic's
	// life, and another number of partitions is refused.
	Partitions int
	// Replication is how many brokers must hold each partition, and with 3 or
	// more how many less one must be in sync for an Append. Default 3.
	Replication int
	// ID is the identity the topic must have; empty: any.
	ID landing.ID
	// Lake is the lake that the topic feeds: it is registered, and another one's
	// topic is refused. Without an ID nothing is released.
	Lake Lake
	// Client are options of every client, such as TLS and SASL.
	Client []kgo.Opt
	// SettingsEvery is the time between two looks at the topic's settings and its
	// lake's registration while all is well. Default 1 min.
	SettingsEvery time.Duration
	// DeliveryTimeout is how long an Append may wait for its promise. Default
	// 30 s.
	DeliveryTimeout time.Duration
	Logger          *slog.Logger // nil: silence
}

const (
	// MaxPartitions bounds P.
	MaxPartitions = 1024
	// MaxBlockBytes is the largest block that can be appended.
	MaxBlockBytes = record.MaxBlockBytes - 32<<10
	// MaxMessageBytes is what the topic must take in one batch: the largest block
	// with its head, and room for Kafka's own.
	MaxMessageBytes = record.MaxBlockBytes + 64<<10
)

// maxTopic is how long the name of a landing topic may be: Kafka takes 249, and
// LakesTopic is longer.
const maxTopic = 243

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,243}$`)

// Validate checks the fields and changes nothing.
func (c Config) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("landing log on Kafka: Brokers: none")
	case !ValidTopic(c.Topic):
		return fmt.Errorf("landing log on Kafka: Topic %q: want 1 to %d letters, digits, '.', '_' or '-'", c.Topic,
			maxTopic)
	case c.Partitions < 1 || c.Partitions > MaxPartitions:
		return fmt.Errorf("landing log on Kafka: Partitions %d: want 1 to %d", c.Partitions, MaxPartitions)
	case c.Replication < 0 || c.Replication > 100:
		return fmt.Errorf("landing log on Kafka: Replication %d: want 1 to 100", c.Replication)
	case c.DeliveryTimeout < 0 || c.SettingsEvery < 0:
		return fmt.Errorf("landing log on Kafka: DeliveryTimeout %s or SettingsEvery %s is negative", c.DeliveryTimeout,
			c.SettingsEvery)
	}
	return nil
}

// ValidTopic says whether Kafka takes a topic's name.
func ValidTopic(name string) bool { return topicName.MatchString(name) && name != "." && name != ".." }

func (c Config) withDefaults() Config {
	if c.Replication == 0 {
		c.Replication = 3
	}
	if c.DeliveryTimeout == 0 {
		c.DeliveryTimeout = 30 * time.Second
	}
	if c.SettingsEvery == 0 {
		c.SettingsEvery = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// MinInsync is how many replicas must have a block before Append returns, of a
// topic replicated so many times: all but one, so that one broker may fail
// without stopping anybody and what is acknowledged outlives another.
func MinInsync(replication int) int { return max(1, replication-1) }

// client gives the options that every client of this package has.
func (c Config) client(more ...kgo.Opt) []kgo.Opt {
	base := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("landfall-engine"), kgo.WithLogger(clientLog{c.Logger}),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.MetadataMaxAge(time.Minute),
	}
	return append(append(base, c.Client...), more...)
}

// setting is one setting of a topic that Open asks for.
type setting struct {
	name string
	want string // as it is set when the topic is made
	ok   func(have string) bool
	why  string
}

func exactly(want string) func(string) bool { return func(have string) bool { return have == want } }

func atLeast(want int) func(string) bool {
	return func(have string) bool {
		n, err := strconv.Atoi(have)
		return err == nil && n >= want
	}
}

// spec is what one of the topics must be like.
type spec struct {
	name, role string
	partitions int
	settings   []setting
}

// What the topics are, in errors.
const (
	roleLanding = "a landing log"
	roleLakes   = "the register of the lake that a landing log feeds"
)

func (c Config) landingSpec() spec { return spec{c.Topic, roleLanding, c.Partitions, c.settings()} }

func (c Config) lakesSpec() spec {
	insync := MinInsync(c.Replication)
	return spec{LakesTopic(c.Topic), roleLakes, 1, []setting{
		{"min.insync.replicas", strconv.Itoa(insync), atLeast(insync), "a registration could be taken back"},
		{"unclean.leader.election.enable", "false", exactly("false"), "a registration could be taken back"},
		{"cleanup.policy", "compact", exactly("compact"), "a registration would be deleted by age or size"},
	}}
}

// settings lists what the landing topic must be like, and why.
func (c Config) settings() []setting {
	insync := MinInsync(c.Replication)
	return []setting{
		{"min.insync.replicas", strconv.Itoa(insync), atLeast(insync), "fewer replicas would hold what gateways are told to forget"},
		{"unclean.leader.election.enable", "false", exactly("false"), "a replica that missed acknowledged blocks would become the leader"},
		{"cleanup.policy", "delete", exactly("delete"), "compaction would keep one block a gateway"},
		{"retention.ms", "-1", exactly("-1"), "blocks that no task has read would be deleted by age; what is published is deleted by the engine"},
		{"retention.bytes", "-1", exactly("-1"), "blocks that no task has read would be deleted by size"},
		{"message.timestamp.type", "LogAppendTime", exactly("LogAppendTime"), "the log's time index would follow the clocks of the ingests"},
		{"max.message.bytes", strconv.Itoa(MaxMessageBytes), atLeast(MaxMessageBytes), "a gateway's largest block would never land"},
	}
}
