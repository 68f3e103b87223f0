package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// TestAPartitionComesAndGoes: stop waits for the run's end, a start after it
// waits for the run before, and there is never more than one.
func TestAPartitionComesAndGoes(t *testing.T) {
	var running, most, runs atomic.Int64
	release := make(chan struct{})
	s, _ := script(t)
	began := make(chan struct{}, 10)
	s.run = func(ctx context.Context, _ task.Config) error {
		most.Store(max(most.Load(), running.Add(1)))
		runs.Add(1)
		began <- struct{}{}
		<-ctx.Done()
		<-release // it commits
		running.Add(-1)
		return nil
	}
	if s.ours() {
		t.Fatal("ours before it was started")
	}
	<-s.stop() // never started: nothing to wait for
	s.start()
	s.start()
	<-began
	first := s.stop()
	s.start()
	select {
	case <-first:
		t.Fatal("ended while it commits")
	case <-began:
		t.Fatal("two runs of one partition")
	default:
	}
	close(release)
	<-first
	<-began
	if !s.ours() || most.Load() != 1 || runs.Load() != 2 {
		t.Errorf("ours %v, %d at a time, %d runs", s.ours(), most.Load(), runs.Load())
	}
	<-s.stop()
	if s.state != TaskStopped {
		t.Error(s.state)
	}
}

// TestFencedInAGroup: where others may have the partition, being fenced is no
// reason to stop for good; it is claimed again when the group has had the time
// to say that it is another's.
func TestFencedInAGroup(t *testing.T) {
	s, waits := script(t, stream.ErrFenced)
	s.fenced = 6 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	next := s.run
	s.run = func(ctx context.Context, c task.Config) error {
		if len(*waits) == 1 {
			cancel()
		}
		return next(ctx, c)
	}
	s.supervise(ctx)
	if s.state != TaskStopped || len(*waits) != 1 || (*waits)[0] < s.fenced {
		t.Errorf("%s after %v", s.state, *waits)
	}
}

func TestRolesAndKafkaAreChecked(t *testing.T) {
	good := func() Config {
		c := Default()
		c.Listen, c.Lake.Dir, c.Identity.Unauthenticated = "127.0.0.1:1", "/lake", true
		k := &c.Landing.Kafka
		k.Brokers, k.Topic, k.Partitions = []string{"127.0.0.1:9092"}, "landing", 3
		return c
	}
	for name, change := range map[string]func(*Config){
		"both": func(*Config) {},
		"tasks": func(c *Config) {
			c.Roles, c.Listen, c.Identity = []string{RoleTasks}, "", IdentityConfig{}
		},
		"ingest":                      func(c *Config) { c.Roles, c.Lake.Dir = []string{RoleIngest}, "" },
		"ingest that tells":           func(c *Config) { c.Roles = []string{RoleIngest} },
		"ingest that tells, a bucket": func(c *Config) { c.Roles, c.Lake.Dir = []string{RoleIngest}, "s3://lake/a" },
		"credentials": func(c *Config) {
			c.Landing.Kafka.TLS = KafkaTLSConfig{true, "credential:ca", "credential:cert", "credential:key"}
			c.Landing.Kafka.SASL = KafkaSASLConfig{"SCRAM-SHA-512", "credential:user", "credential:password"}
		},
		"PLAIN to this machine": func(c *Config) {
			c.Landing.Kafka.SASL = KafkaSASLConfig{"PLAIN", "/u", "/f"}
			c.Sinks.Kafka.SASL, c.Sinks.Kafka.Brokers = KafkaSASLConfig{"PLAIN", "/u", "/f"}, []string{"localhost:9092"}
		},
	} {
		c := good()
		if change(&c); c.Validate() != nil {
			t.Errorf("%s: %v", name, c.Validate())
		}
	}
	for key, change := range map[string]func(*Config){
		"roles[0]": func(c *Config) { c.Roles = []string{"all"} },
		"roles": func(c *Config) {
			c.Landing.Kafka, c.Landing.Dir, c.Roles = Default().Landing.Kafka, "/landing", []string{RoleTasks}
		},
		"listen":                        func(c *Config) { c.Roles = []string{RoleTasks} },
		"lake.dir":                      func(c *Config) { c.Roles, c.Lake.Dir = []string{RoleIngest}, "here" },
		"checkpoint.dir":                func(c *Config) { c.Roles, c.Lake.Dir, c.Checkpoint.Dir = []string{RoleIngest}, "", "/c" },
		"landing.dir":                   func(c *Config) { c.Landing.Dir = "/landing" },
		"landing.kafka.brokers":         func(c *Config) { c.Landing.Kafka.Brokers = nil },
		"landing.kafka.brokers[0]":      func(c *Config) { c.Landing.Kafka.Brokers = []string{"nowhere"} },
		"landing.kafka.topic":           func(c *Config) { c.Landing.Kafka.Topic = "a/b" },
		"landing.kafka.topic_id":        func(c *Config) { c.Landing.Kafka.TopicID = "x" },
		"landing.kafka.partitions":      func(c *Config) { c.Landing.Kafka.Partitions = 0 },
		"landing.kafka.replication":     func(c *Config) { c.Landing.Kafka.Replication = 0 },
		"landing.kafka.session_timeout": func(c *Config) { c.Landing.Kafka.SessionTimeout = time.Second },
		"landing.kafka.tls.enabled":     func(c *Config) { c.Landing.Kafka.TLS.CAFile = "ca.pem" },
		"landing.kafka.sasl":            func(c *Config) { c.Landing.Kafka.SASL.Mechanism = "SCRAM-SHA-256" },
		"landing.kafka.sasl.mechanism": func(c *Config) {
			c.Landing.Kafka.SASL, c.Landing.Kafka.Brokers = KafkaSASLConfig{"PLAIN", "/u", "/f"}, []string{"127.0.0.1:9092", "kafka:9092"}
		},
		"sinks.kafka.sasl.mechanism": func(c *Config) {
			c.Sinks.Kafka.SASL, c.Sinks.Kafka.Brokers = KafkaSASLConfig{"PLAIN", "/u", "/f"}, []string{"kafka:9092"}
		},
	} {
		c := good()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestKafkaFiles: what is named is read, and an error names the key.
func TestKafkaFiles(t *testing.T) {
	dir := t.TempDir()
	secretFile, empty := filepath.Join(dir, "secret"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(secretFile, []byte("secret\n"), 0o600), os.WriteFile(empty, []byte("\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for password, ok := range map[string]bool{secretFile: true, empty: false, "credential:secret": true, "credential:empty": false, "credential:none": false} {
		opts, _, err := KafkaOptions(durable.OS{}, "x.", &KafkaTLSConfig{Enabled: true}, &KafkaSASLConfig{"SCRAM-SHA-512", secretFile, password}, certs.Config{})
		var field *config.FieldError
		if ok && (err != nil || len(opts) != 2) || !ok && (!errors.As(err, &field) || field.Key != "x.sasl.password_file") {
			t.Errorf("%q: %d options, %v", password, len(opts), err)
		}
	}
	for _, c := range []struct {
		tls KafkaTLSConfig
		key string
	}{
		{KafkaTLSConfig{Enabled: true, CAFile: secretFile}, "x.tls.ca_file"},
		{KafkaTLSConfig{Enabled: true, CertFile: secretFile, KeyFile: secretFile}, "x.tls.cert_file"},
		{KafkaTLSConfig{Enabled: true, CertFile: "credential:secret", KeyFile: "credential:none"}, "x.tls.cert_file"}, // which names key_file
	} {
		_, _, err := KafkaOptions(durable.OS{}, "x.", &c.tls, &KafkaSASLConfig{}, certs.Config{})
		var field *config.FieldError
		if !errors.As(err, &field) || field.Key != c.key || !strings.Contains(err.Error(), "none") && c.tls.KeyFile == "credential:none" {
			t.Errorf("%+v: %v", c.tls, err)
		}
	}
}
