package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// TopicError says what a topic must be before it can be a landing log, or what
// belongs to one, and how to make it so.
type TopicError struct {
	Topic    string
	Role     string   // what it is to be
	Problems []string // each with its reason and the command that mends it
}

// Error implements error.
func (e *TopicError) Error() string {
	return fmt.Sprintf("topic %s cannot be %s: %s", e.Topic, e.Role, strings.Join(e.Problems, "; "))
}

// ErrUnavailable says that the brokers do not answer, or not yet.
var ErrUnavailable = errors.New("no broker answers")

// unavailable marks an error that may pass by itself.
func unavailable(err error) error {
	var said *kerr.Error
	var refused *TopicError
	if err == nil || errors.As(err, &refused) || errors.Is(err, landing.ErrMismatch) ||
		errors.Is(err, record.ErrVersion) || errors.As(err, &said) && !said.Retriable {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Transient says whether what made an Append or a question fail may pass by
// itself: it is not that the topic is another one or closed, that the block is
// bad, or that the brokers refuse it for good.
func Transient(err error) bool {
	for _, e := range []error{landing.ErrMismatch, landing.ErrClosed, record.ErrTooLarge, record.ErrCorrupt} {
		if errors.Is(err, e) {
			return false
		}
	}
	var said *kerr.Error
	if errors.As(err, &said) && !said.Retriable {
		// What an idempotent producer is told when its memory and the broker's
		// differ ends with that producer.
		return errors.Is(err, kerr.OutOfOrderSequenceNumber) || errors.Is(err, kerr.UnknownProducerID) || errors.Is(err, kerr.InvalidProducerEpoch)
	}
	return true
}

// topicWait is how long a topic that was just made may take to be seen.
const topicWait = 30 * time.Second

// openTopic makes the topic if it is absent, checks it, and gives its identity.
func openTopic(ctx context.Context, admin *kadm.Client, cfg Config) (landing.ID, error) {
	detail, err := describe(ctx, admin, cfg.Topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if cfg.ID != "" {
			return "", fmt.Errorf("there is no topic %s, and %q is asked for: %w", cfg.Topic, cfg.ID, landing.ErrMismatch)
		}
		detail, err = makeTopic(ctx, admin, cfg, cfg.landingSpec())
	}
	if err != nil {
		return "", err
	}
	id := idOf(detail.ID)
	switch {
	case detail.ID == kadm.TopicID{}:
		return "", &TopicError{cfg.Topic, roleLanding, []string{"the brokers know no topic ids: Kafka 2.8 or later " +
			"is needed"}}
	case cfg.ID != "" && cfg.ID != id:
		return "", fmt.Errorf("topic %s has the id %s, not %s: %w", cfg.Topic, id, cfg.ID, landing.ErrMismatch)
	case len(detail.Partitions) != cfg.Partitions:
		return "", fmt.Errorf("topic %s has %d partitions, not %d: %w", cfg.Topic, len(detail.Partitions), cfg.Partitions, landing.ErrMismatch)
	}
	return id, checkTopic(ctx, admin, cfg, cfg.landingSpec(), detail)
}

// idOf gives a topic's id as the identity of a landing log: 32 hexadecimal
// digits, because it stands in names of files.
func idOf(topic [16]byte) landing.ID { return landing.ID(hex.EncodeToString(topic[:])) }

// describe asks for the topic's id and partitions.
func describe(ctx context.Context, admin *kadm.Client, topic string) (kadm.TopicDetail, error) {
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("describe topic %s: %w", topic, err)
	}
	detail := topics[topic]
	if err := detail.Err; err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("describe topic %s: %w", topic, err)
	}
	return detail, nil
}

// makeTopic makes a topic with the settings that checkTopic asks for, and
// waits until it is seen. Another instance may make it at the same time.
func makeTopic(ctx context.Context, admin *kadm.Client, cfg Config, s spec) (kadm.TopicDetail, error) {
	configs := map[string]*string{}
	for _, one := range s.settings {
		configs[one.name] = &one.want
	}
	_, err := admin.CreateTopic(ctx, int32(s.partitions), int16(cfg.Replication), configs, s.name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return kadm.TopicDetail{}, fmt.Errorf("make topic %s of %d partitions on %d brokers: %w", s.name, s.partitions,
			cfg.Replication, err)
	}
	if err == nil {
		cfg.Logger.Info("made a topic", "topic", s.name, "for", s.role, "partitions", s.partitions, "replication",
			cfg.Replication)
	}
	ctx, cancel := context.WithTimeout(ctx, topicWait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		detail, err := describe(ctx, admin, s.name)
		if err == nil && led(detail) {
			return detail, nil
		}
		select {
		case <-ctx.Done():
			return kadm.TopicDetail{}, fmt.Errorf("wait for topic %s: %w", s.name, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// led says whether every partition has a leader.
func led(d kadm.TopicDetail) bool {
	for _, p := range d.Partitions {
		if p.Err != nil || p.Leader < 0 {
			return false
		}
	}
	return len(d.Partitions) > 0
}

// checkTopic refuses a topic that promises less than the configuration does.
// Error: TopicError, with everything that is wrong.
func checkTopic(ctx context.Context, admin *kadm.Client, cfg Config, s spec, detail kadm.TopicDetail) error {
	var problems []string
	for _, p := range detail.Partitions.Sorted() {
		if n := len(p.Replicas); n < cfg.Replication {
			problems = append(problems, fmt.Sprintf("partition %d lies on %d brokers, not %d (kafka-reassign-partitions moves it, or say replication: %d)", p.Partition, n, cfg.Replication, n))
			break
		}
	}
	all, err := admin.DescribeTopicConfigs(ctx, s.name)
	if err == nil {
		var rc kadm.ResourceConfig
		if rc, err = all.On(s.name, nil); err == nil {
			err = rc.Err
		}
	}
	if err != nil {
		return fmt.Errorf("read the settings of topic %s (the right DescribeConfigs is needed): %w", s.name, err)
	}
	have := map[string]string{}
	for _, c := range all[0].Configs {
		have[c.Key] = c.MaybeValue()
	}
	for _, one := range s.settings {
		if !one.ok(have[one.name]) {
			problems = append(problems, fmt.Sprintf("%s is %q and must be %s, or %s (kafka-configs --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s)",
				one.name, have[one.name], one.want, one.why, cfg.Brokers[0], s.name, one.name, one.want))
		}
	}
	if len(problems) > 0 {
		return &TopicError{s.name, s.role, problems}
	}
	return nil
}
