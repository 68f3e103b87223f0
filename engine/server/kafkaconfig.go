package server

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
)

// KafkaConfig makes a topic the landing log, in place of a directory.
type KafkaConfig struct {
	Brokers []string `yaml:"brokers"` // host:port of some; none: the landing log is a directory
	Topic   string   `yaml:"topic"`   // made if absent
	// TopicID is the identity that the topic must have, as check prints it;
	// empty: the one that the lake was begun with.
	TopicID string `yaml:"topic_id"`
	// Partitions is fixed for the topic's life; every gateway lies in one.
	Partitions int `yaml:"partitions"`
	// Replication is how many brokers hold each partition; all but one of them
	// before a gateway is answered.
	Replication int `yaml:"replication"`
	// Group names the consumer group of the engines; empty: the topic's name.
	Group string `yaml:"group"`
	// SessionTimeout is how long an engine may be silent before its partitions
	// go to others.
	SessionTimeout time.Duration   `yaml:"session_timeout"`
	TLS            KafkaTLSConfig  `yaml:"tls"`
	SASL           KafkaSASLConfig `yaml:"sasl"`
}

var topicID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Used says whether the landing log is a topic.
func (c *KafkaConfig) Used() bool { return len(c.Brokers) > 0 || c.Topic != "" }

// GroupName is the consumer group of the engines.
func (c *KafkaConfig) GroupName() string {
	if c.Group != "" {
		return c.Group
	}
	return c.Topic
}

func (c *KafkaConfig) validate(p *config.Problems) {
	const at = "landing.kafka."
	p.Add(len(c.Brokers) > 0, at+"brokers", "none", "host:port of some of the brokers")
	for i, b := range c.Brokers {
		p.Add(config.IsAddress(b), fmt.Sprintf(at+"brokers[%d]", i), strconv.Quote(b), "host:port with a number for the port")
	}
	p.Add(kafka.ValidTopic(c.Topic), at+"topic", strconv.Quote(c.Topic), "1 to 243 letters, digits, '.', '_' or '-'")
	p.Add(c.TopicID == "" || topicID.MatchString(c.TopicID), at+"topic_id", strconv.Quote(c.TopicID), "32 hexadecimal digits as check prints them, or nothing")
	p.Add(c.Partitions >= 1 && c.Partitions <= kafka.MaxPartitions, at+"partitions", strconv.Itoa(c.Partitions), fmt.Sprintf("a number from 1 to %d", kafka.MaxPartitions))
	p.Add(c.Replication >= 1 && c.Replication <= 100, at+"replication", strconv.Itoa(c.Replication), "a number from 1 to 100, 3 to outlive a broker")
	p.Add(c.SessionTimeout >= 6*time.Second && c.SessionTimeout <= 5*time.Minute, at+"session_timeout", c.SessionTimeout.String(), "a time from 6s to 5m, as brokers allow it")
	validateKafkaClient(p, at, c.Brokers, &c.TLS, &c.SASL)
}

// LogConfig gives how the landing log on Kafka is opened. Errors:
// config.FieldErrors.
func (c *KafkaConfig) LogConfig(fsys durable.FS) (kafka.Config, error) {
	cfg, _, err := c.logConfig(fsys, certs.Config{})
	return cfg, err
}

// logConfig is LogConfig, and gives the certificates too.
func (c *KafkaConfig) logConfig(fsys durable.FS, o certs.Config) (kafka.Config, *certs.Keeper, error) {
	opts, keeper, err := KafkaOptions(fsys, "landing.kafka.", &c.TLS, &c.SASL, o)
	return kafka.Config{
		Brokers: c.Brokers, Topic: c.Topic, Partitions: c.Partitions, Replication: c.Replication, ID: landing.ID(c.TopicID), Client: opts,
	}, keeper, err
}

// KafkaProblem returns an error of opening the landing log on Kafka as one of the
// configuration, where that is what must change.
func KafkaProblem(err error) error {
	var refused *kafka.TopicError
	var others *kafka.LakeError
	switch {
	case errors.As(err, &others):
		return &config.FieldError{Key: "landing.kafka.topic", Got: err.Error(),
			Want: "a topic that feeds no other lake"}
	case errors.Is(err, kafka.ErrRights):
		return &config.FieldError{Key: "landing.kafka", Got: err.Error(),
			Want: "a user with the rights that docs/scale.md lists"}
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return &config.FieldError{Key: "landing.kafka.sasl", Got: err.Error(), Want: "a mechanism, a user and a password that the brokers know"}
	case errors.As(err, &refused):
		return &config.FieldError{Key: "landing.kafka.topic", Got: err.Error(), Want: "a topic that keeps what gateways are told to forget"}
	case errors.Is(err, landing.ErrMismatch):
		return &config.FieldError{Key: "landing.kafka.topic", Got: err.Error(), Want: "the topic as it was made, for " +
			"its life; `landfall-engine landing replace` moves the lake to another one"}
	}
	return err
}
