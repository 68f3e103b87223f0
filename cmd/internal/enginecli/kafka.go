package enginecli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/server"
	"landfall/engine/table"
	"landfall/sinks/kafka"
)

// kafkaSink is the sink of a configuration, without files to stage in; nil: there
// is none. Errors: config.FieldError.
func kafkaSink(c *server.KafkaSinkConfig) (*kafka.Config, error) {
	if !c.Enabled() {
		return nil, nil
	}
	options, err := kafkaOptions("sinks.kafka.", &c.TLS, &c.SASL)
	if err != nil {
		return nil, err
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
		return nil, &config.FieldError{Key: "sinks.kafka", Got: err.Error(), Want: "names of topics, each for one table"}
	}
	return k, nil
}

// kafkaOptions are those of a connection to brokers. The keys that errors name
// begin with at.
func kafkaOptions(at string, t *server.KafkaTLSConfig, s *server.KafkaSASLConfig) ([]kgo.Opt, error) {
	var options []kgo.Opt
	if t.Enabled {
		c, err := kafkaTLS(at, t)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(c))
	}
	if s.Mechanism == "" {
		return options, nil
	}
	user, err := secret(at+"sasl.user_file", s.UserFile)
	if err != nil {
		return nil, err
	}
	password, err := secret(at+"sasl.password_file", s.PasswordFile)
	if err != nil {
		return nil, err
	}
	switch s.Mechanism {
	case "PLAIN":
		return append(options, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())), nil
	case "SCRAM-SHA-256":
		return append(options, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism())), nil
	}
	return append(options, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism())), nil
}

func kafkaTLS(at string, t *server.KafkaTLSConfig) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := durable.ReadFile(durable.OS{}, t.CAFile)
		if err != nil {
			return nil, &config.FieldError{Key: at + "tls.ca_file", Got: err.Error(), Want: "a file that can be read"}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &config.FieldError{Key: at + "tls.ca_file", Got: t.CAFile, Want: "a file with certificates in PEM"}
		}
	}
	if t.CertFile == "" {
		return c, nil
	}
	cert, err := durable.ReadFile(durable.OS{}, t.CertFile)
	if err != nil {
		return nil, &config.FieldError{Key: at + "tls.cert_file", Got: err.Error(), Want: "a file that can be read"}
	}
	key, err := durable.ReadFile(durable.OS{}, t.KeyFile)
	if err != nil {
		return nil, &config.FieldError{Key: at + "tls.key_file", Got: err.Error(), Want: "a file that can be read"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &config.FieldError{Key: at + "tls.cert_file", Got: err.Error(), Want: "a certificate and its key in PEM"}
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// secret reads a file that holds one, without the line's end.
func secret(key, name string) (string, error) {
	data, err := durable.ReadFile(durable.OS{}, name)
	if err != nil {
		return "", &config.FieldError{Key: key, Got: err.Error(), Want: "a file that can be read"}
	}
	if data = bytes.TrimRight(data, "\r\n"); len(data) == 0 {
		return "", &config.FieldError{Key: key, Got: "an empty file", Want: "the secret on one line"}
	}
	return string(data), nil
}

// checkKafka connects to the brokers of a configuration and says what it found.
func checkKafka(ctx context.Context, c *server.KafkaSinkConfig, out io.Writer) error {
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

// kafkaStatus tells what the sink did.
func kafkaStatus(c *kafka.Counters) server.SinkStatus {
	return server.SinkStatus{
		Sink: kafka.Name, Epochs: c.Epochs.Load(), Rows: c.Rows.Load(), Bytes: c.Bytes.Load(), Found: c.Found.Load(),
		Failures: c.Failures.Load(), Fenced: c.Fenced.Load(), Omitted: c.Omitted.Load(),
	}
}
