package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SettingError says what of a topic or broker must be changed before the sink
// may write.
type SettingError struct {
	Topic   string // empty: of the brokers
	Setting string // the broker's name for it
	Got     string
	Want    string
}

// Error names topic, setting, what it is and what it should be.
func (e *SettingError) Error() string {
	where := "topic " + e.Topic
	if e.Topic == "" {
		where = "broker"
	}
	return fmt.Sprintf("%s: %s is %s, want %s", where, e.Setting, e.Got, e.Want)
}

// Report is what Check found out about a cluster.
type Report struct {
	Topics   []string // that are there
	Absent   []string // that the first epoch makes
	Warnings []string // what is allowed and should be known
}

// Check connects to the cluster and looks at the settings that the sink depends
// on. It makes nothing. Errors: SettingError, and those of the connection.
func Check(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{cfg: c.withDefaults()}
	client, err := kgo.NewClient(s.clientOptions()...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	defer client.Close()
	if _, err := s.transactionLimit(ctx, kadm.NewClient(client)); err != nil {
		return nil, err
	}
	r, refused, err := s.lookAtAll(ctx, client)
	if err == nil && len(refused) > 0 {
		err = refused[0]
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// lookAtAll looks at every topic that the sink writes to; refused has what of them
// must be changed, topic by topic.
func (s *Sink) lookAtAll(ctx context.Context, client *kgo.Client) (r *Report, refused []error, err error) {
	r = new(Report)
	topics := map[string]bool{s.cfg.MarkerTopic: true}
	for _, name := range s.cfg.Tables {
		topics[s.cfg.topic(name)] = false
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		found, err := look(ctx, client, name)
		if err != nil {
			return nil, nil, err
		}
		if found == nil {
			r.Absent = append(r.Absent, name)
			continue
		}
		r.Topics = append(r.Topics, name)
		warnings, err := found.check(topics[name], s.cfg.MaxMessageBytes)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		r.Warnings = append(r.Warnings, warnings...)
	}
	return r, refused, nil
}

// prepare makes sure, once a process, of the topics that an epoch goes to.
func (s *Sink) prepare(ctx context.Context, o *output) error {
	var todo []string
	for _, name := range append([]string{o.markers}, o.topics...) {
		if !s.prepared[name] && !slices.Contains(todo, name) {
			todo = append(todo, name)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	client, err := kgo.NewClient(s.clientOptions()...)
	if err != nil {
		return fmt.Errorf("make Kafka client: %w", err)
	}
	defer client.Close()
	if s.limit == 0 {
		if s.limit, err = s.transactionLimit(ctx, kadm.NewClient(client)); err != nil {
			return err
		}
	}
	for _, name := range todo {
		if err := s.ensure(ctx, client, name, name == o.markers); err != nil {
			return err
		}
		s.prepared[name] = true
	}
	return nil
}

// madeWait is the time between two looks at a topic that was just made: brokers
// learn of it one after the other.
const madeWait = 20 * time.Millisecond

// ensure makes a topic that is absent, and checks one that is there.
func (s *Sink) ensure(ctx context.Context, client *kgo.Client, name string, markers bool) error {
	found, err := look(ctx, client, name)
	if err != nil {
		return err
	}
	if found == nil {
		if err := s.make(ctx, kadm.NewClient(client), name, markers); err != nil {
			return err
		}
	}
	for attempt := 0; found == nil; attempt++ {
		if attempt == 100 {
			return fmt.Errorf("topic %s was made and is not there yet", name)
		}
		if err := sleep(ctx, madeWait); err != nil {
			return err
		}
		if found, err = look(ctx, client, name); err != nil {
			return err
		}
	}
	warnings, err := found.check(markers, s.cfg.MaxMessageBytes)
	for _, w := range warnings {
		s.cfg.Logger.Warn("kafka sink", "warning", w)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// make creates a topic. Somebody else may have been faster.
func (s *Sink) make(ctx context.Context, admin *kadm.Client, name string, markers bool) error {
	partitions, replication := s.cfg.Partitions, s.cfg.Replication
	if partitions == 0 {
		partitions = -1
	}
	if replication == 0 {
		replication = -1
	}
	configs := map[string]*string{"unclean.leader.election.enable": kadm.StringPtr("false")}
	if markers {
		partitions = 1
		configs["cleanup.policy"] = kadm.StringPtr("compact")
		// Small segments, so that what is read at a start stays small.
		configs["segment.bytes"] = kadm.StringPtr(strconv.Itoa(16 << 20))
	}
	if s.cfg.MaxMessageBytes > DefaultMaxMessageBytes {
		configs["max.message.bytes"] = kadm.StringPtr(strconv.Itoa(s.cfg.MaxMessageBytes))
	}
	_, err := admin.CreateTopic(ctx, partitions, replication, configs, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("make topic %s: %w; what is committed waits until it is there: make it, or let the engine's user make topics", name, err)
	}
	s.cfg.Logger.Info("kafka sink: topic made", "topic", name)
	return nil
}

// topicSettings are what is known of a topic.
type topicSettings struct {
	name       string
	partitions int
	replicas   int
	configs    map[string]string
}

// describe asks a broker for a topic, nil where there is none. The client's own
// knowledge may be some seconds old.
func describe(ctx context.Context, client *kgo.Client, name string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("look at topic %s: %w", name, err)
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("look at topic %s: the broker answered for %d topics", name, len(resp.Topics))
	}
	found := &resp.Topics[0]
	switch err := kerr.ErrorForCode(found.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look at topic %s: %w", name, err)
	}
	return found, nil
}

// look gives a topic's settings, nil where there is none.
func look(ctx context.Context, client *kgo.Client, name string) (*topicSettings, error) {
	found, err := describe(ctx, client, name)
	if err != nil || found == nil {
		return nil, err
	}
	t := &topicSettings{name: name, partitions: len(found.Partitions), configs: make(map[string]string)}
	for _, p := range found.Partitions {
		t.replicas = len(p.Replicas)
	}
	all, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look at settings of topic %s: %w", name, err)
	}
	for _, r := range all {
		if r.Err != nil {
			return nil, fmt.Errorf("look at settings of topic %s: %w", name, r.Err)
		}
		for _, c := range r.Configs {
			t.configs[c.Key] = c.MaybeValue()
		}
	}
	return t, nil
}

// check refuses settings under which rows or markers could vanish. A setting
// that the broker does not tell is not judged.
func (t *topicSettings) check(markers bool, messageBytes int) (warnings []string, err error) {
	if got, ok := t.configs["unclean.leader.election.enable"]; ok && got == "true" {
		return nil, t.refuse("unclean.leader.election.enable", "false, because a broker that lags would take what was committed back")
	}
	if got, ok := t.number("min.insync.replicas"); ok && t.replicas > 1 && got < 2 {
		return nil, t.refuse("min.insync.replicas", "2 or more, because with one the last of the replicas may take what was committed with it")
	}
	if got, ok := t.number("max.message.bytes"); ok && got < int64(messageBytes) {
		return nil, t.refuse("max.message.bytes", fmt.Sprintf("at least max_message_bytes, %d", messageBytes))
	}
	if t.replicas == 1 {
		warnings = append(warnings, fmt.Sprintf("topic %s has one replica: when that broker's disk is lost, so are its messages", t.name))
	}
	if markers {
		return warnings, t.checkMarkers()
	}
	return t.checkRows(warnings)
}

// checkMarkers: the newest marker of every task must stay for ever, in one
// order.
func (t *topicSettings) checkMarkers() error {
	if t.partitions != 1 {
		return &SettingError{t.name, "number of partitions", strconv.Itoa(t.partitions), "1, so that all markers of a task are in one order"}
	}
	policy, known := t.configs["cleanup.policy"]
	if !known || policy == "compact" {
		return nil
	}
	const forEver = "-1, or cleanup.policy compact: without its marker an epoch would be published twice"
	for _, name := range []string{"retention.ms", "retention.bytes"} {
		if n, ok := t.number(name); ok && n >= 0 {
			return t.refuse(name, forEver)
		}
	}
	return nil
}

// checkRows: no message may replace another.
func (t *topicSettings) checkRows(warnings []string) ([]string, error) {
	if policy := t.configs["cleanup.policy"]; policy == "compact" || policy == "compact,delete" || policy == "delete,compact" {
		return nil, t.refuse("cleanup.policy", "delete, because compaction keeps one row of a ship and removes the others")
	}
	if ms, ok := t.number("retention.ms"); ok && ms >= 0 {
		warnings = append(warnings, fmt.Sprintf("topic %s deletes messages after %s", t.name, time.Duration(ms)*time.Millisecond))
	}
	if n, ok := t.number("retention.bytes"); ok && n >= 0 {
		warnings = append(warnings, fmt.Sprintf("topic %s deletes messages beyond %d bytes a partition", t.name, n))
	}
	return warnings, nil
}

func (t *topicSettings) refuse(setting, want string) error {
	return &SettingError{t.name, setting, t.configs[setting], want}
}

func (t *topicSettings) number(setting string) (int64, bool) {
	n, err := strconv.ParseInt(t.configs[setting], 10, 64)
	return n, err == nil
}

// transactionLimit asks the brokers how long a transaction may be. Where they
// do not tell, it is what is configured.
func (s *Sink) transactionLimit(ctx context.Context, admin *kadm.Client) (time.Duration, error) {
	const setting = "transaction.max.timeout.ms"
	brokers, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the brokers: %w", err)
	}
	limit := time.Duration(0)
	all, err := admin.DescribeBrokerConfigs(ctx, brokers.Brokers.NodeIDs()...)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	for _, r := range all {
		for _, c := range r.Configs {
			ms, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
			if d := time.Duration(ms) * time.Millisecond; c.Key == setting && err == nil && (limit == 0 || d < limit) {
				limit = d
			}
		}
	}
	if limit == 0 {
		return s.cfg.TransactionTimeout, nil
	}
	if s.cfg.TransactionTimeout > limit {
		return 0, &SettingError{"", setting, limit.String(), "at least transaction_timeout, " + s.cfg.TransactionTimeout.String()}
	}
	return limit, nil
}
