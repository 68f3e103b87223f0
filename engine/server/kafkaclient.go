package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
)

// KafkaTLSConfig names the files of a connection to brokers, PEM; names are as
// in config.Path.
type KafkaTLSConfig struct {
	Enabled  bool   `yaml:"enabled"`
	CAFile   string `yaml:"ca_file"` // who signs the brokers' certificates; empty: the system's
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// KafkaSASLConfig says who the engine is to the brokers. Secrets stand in files
// of their own, with names as in config.Path.
type KafkaSASLConfig struct {
	Mechanism    string `yaml:"mechanism"` // empty: none
	UserFile     string `yaml:"user_file"`
	PasswordFile string `yaml:"password_file"`
}

// KafkaMechanisms are those that SASL knows.
func KafkaMechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// validateKafkaClient checks how brokers are reached. A password that crosses a
// network in the clear is refused.
func validateKafkaClient(p *config.Problems, at string, brokers []string, t *KafkaTLSConfig, s *KafkaSASLConfig) {
	p.Add((t.CertFile == "") == (t.KeyFile == ""), at+"tls.cert_file", strconv.Quote(t.CertFile), "cert_file and key_file together, or neither")
	p.Add(t.Enabled || *t == KafkaTLSConfig{}, at+"tls.enabled", "false", "true, or no files beside it")
	p.Add(s.Mechanism == "" || slices.Contains(KafkaMechanisms(), s.Mechanism), at+"sasl.mechanism", strconv.Quote(s.Mechanism), fmt.Sprintf("one of %v, or nothing", KafkaMechanisms()))
	p.Add((s.Mechanism != "") == (s.UserFile != "") && (s.Mechanism != "") == (s.PasswordFile != ""), at+"sasl", strconv.Quote(s.Mechanism), "mechanism, user_file and password_file together, or none")
	remote := slices.IndexFunc(brokers, func(b string) bool { return !config.IsLoopback(b) })
	if s.Mechanism == "PLAIN" && !t.Enabled && remote >= 0 {
		p.Add(false, at+"sasl.mechanism", "PLAIN without tls, to "+brokers[remote], "tls.enabled: true, or a SCRAM mechanism: the password would cross the network in the clear")
	}
	for key, name := range map[string]string{"tls.ca_file": t.CAFile, "tls.cert_file": t.CertFile, "tls.key_file": t.KeyFile, "sasl.user_file": s.UserFile, "sasl.password_file": s.PasswordFile} {
		p.Add(name == "" || filepath.IsAbs(name) || config.IsCredential(name), at+key, strconv.Quote(name), "an absolute path, or credential:NAME")
	}
}

// KafkaCredentials gives the credentials that the connection needs and that are
// not here, because systemd hands them to the service alone.
func KafkaCredentials(t *KafkaTLSConfig, s *KafkaSASLConfig) []string {
	return config.Absent(t.CAFile, t.CertFile, t.KeyFile, s.UserFile, s.PasswordFile)
}

// KafkaOptions gives what a client of brokers needs beside their addresses, and
// the certificates that it connects with; nil without TLS. The keys that errors
// name begin with at, which ends with a dot; o says by which clock certificates
// are judged and where a problem is logged. Each connection is made with what
// the files held when they were read last and were good. Errors:
// config.FieldError of a file that cannot be used.
func KafkaOptions(fsys durable.FS, at string, t *KafkaTLSConfig, s *KafkaSASLConfig, o certs.Config) ([]kgo.Opt, *certs.Keeper, error) {
	var options []kgo.Opt
	var keeper *certs.Keeper
	if t.Enabled {
		o.FS, o.CAFile, o.CertFile, o.KeyFile, o.Prefix, o.Bundle = fsys, t.CAFile, t.CertFile, t.KeyFile, at+"tls.", true
		var err error
		if keeper, err = certs.Open(o); err != nil {
			return nil, nil, err
		}
		options = append(options, kgo.Dialer(dialTLS(keeper)))
	}
	if s.Mechanism == "" {
		return options, keeper, nil
	}
	k := &config.Login{
		FS: fsys, Logger: o.Logger, NameKey: at + "sasl.user_file", NameFile: s.UserFile,
		PasswordKey: at + "sasl.password_file", PasswordFile: s.PasswordFile,
	}
	if err := k.Read(); err != nil {
		return nil, nil, err
	}
	auth := func(context.Context) (scram.Auth, error) {
		user, password := k.Newest()
		return scram.Auth{User: user, Pass: password}, nil
	}
	switch s.Mechanism {
	case "PLAIN":
		return append(options, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
			user, password := k.Newest()
			return plain.Auth{User: user, Pass: password}, nil
		}))), keeper, nil
	case "SCRAM-SHA-256":
		return append(options, kgo.SASL(scram.Sha256(auth))), keeper, nil
	}
	return append(options, kgo.SASL(scram.Sha512(auth))), keeper, nil
}

// dialPatience is how long a broker may take to answer and to prove its name.
const dialPatience = 10 * time.Second

// dialTLS connects to brokers, each of which must prove the name or address that
// it is called by.
func dialTLS(k *certs.Keeper) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialPatience}, Config: k.Client("", host)}
		return d.DialContext(ctx, network, address)
	}
}
