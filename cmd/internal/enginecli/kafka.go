package enginecli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/server"
	"landfall/engine/table"
	"landfall/sinks/kafka"
)

// kafkaSink is the sink of a configuration, without files to stage in; nil: there
// is none. Errors: config.FieldError.
func kafkaSink(c *server.KafkaSinkConfig) (*kafka.Config, error) {
	k, _, err := kafkaLink(c, certs.Config{})
	return k, err
}

// kafkaLink is kafkaSink, and gives the certificates that the brokers are reached
// with; nil: without any.
func kafkaLink(c *server.KafkaSinkConfig, o certs.Config) (*kafka.Config, *certs.Keeper, error) {
	if !c.Enabled() {
		return nil, nil, nil
	}
	options, keeper, err := server.KafkaOptions(durable.OS{}, "sinks.kafka.", &c.TLS, &c.SASL, o)
	if err != nil {
		return nil, nil, err
	}
	topics := make(map[table.Name]string)
	for _, t := range c.Topics {
		topics[table.Name(t.Table)] = t.Topic
	}
	k := &kafka.Config{
		Brokers: c.Brokers, Tables: c.TableNames(), Prefix: c.Prefix, Topics: topics, MarkerTopic: c.MarkerTopic,
		Partitions: int32(c.Partitions), Replication: int16(c.Replication), TransactionTimeout: c.TransactionTimeout,
		MaxMessageBytes: int(c.MaxMessageSize), Client: options,
	}
	if err := k.Validate(); err != nil {
		return nil, nil, &config.FieldError{Key: "sinks.kafka", Got: err.Error(), Want: "names of topics, each for one table"}
	}
	return k, keeper, nil
}

// checkKafka connects to the brokers of a configuration and says what it found.
func checkKafka(ctx context.Context, c *server.KafkaSinkConfig, out io.Writer) error {
	if absent(&c.TLS, &c.SASL, out, strings.Join(c.Brokers, ",")) {
		return nil
	}
	k, err := kafkaSink(c)
	if err != nil || k == nil {
		return err
	}
	report, err := kafka.Check(ctx, *k)
	if err != nil {
		return &config.FieldError{Key: "sinks.kafka", Got: err.Error(), Want: "brokers that answer, with settings under which no row vanishes"}
	}
	_, _ = fmt.Fprintf(out, "%s: %d topics are there and keep what is committed\n", strings.Join(c.Brokers, ","), len(report.Topics))
	if len(report.Absent) > 0 {
		_, _ = fmt.Fprintf(out, "%s: the first epoch makes %s\n", strings.Join(c.Brokers, ","), strings.Join(report.Absent, ", "))
	}
	for _, w := range report.Warnings {
		_, _ = fmt.Fprintf(out, "note: %s\n", w)
	}
	return nil
}

// absent tells whether brokers cannot be asked here, for want of credentials that
// only the service has, and says so: that is no mistake.
func absent(t *server.KafkaTLSConfig, s *server.KafkaSASLConfig, out io.Writer, what string) bool {
	names := server.KafkaCredentials(t, s)
	if len(names) > 0 {
		_, _ = fmt.Fprintf(out, "%s: not asked: systemd hands %s to the service alone, whose start connects\n", what, strings.Join(names, ", "))
	}
	return len(names) > 0
}

// kafkaStatus tells what the sink did, and what is wrong with its topics.
func kafkaStatus(c *kafka.Counters, problems []string) server.SinkStatus {
	return server.SinkStatus{
		Sink: kafka.Name, Epochs: c.Epochs.Load(), Rows: c.Rows.Load(), Bytes: c.Bytes.Load(), Found: c.Found.Load(),
		Failures: c.Failures.Load(), Fenced: c.Fenced.Load(), Omitted: c.Omitted.Load(), Problems: problems,
	}
}
