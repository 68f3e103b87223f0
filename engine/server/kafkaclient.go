package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

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

// KafkaOptions gives what a client of brokers needs beside their addresses. The
// keys that errors name begin with at, which ends with a dot. Errors:
// config.FieldError of a file that cannot be used.
func KafkaOptions(fsys durable.FS, at string, t *KafkaTLSConfig, s *KafkaSASLConfig) ([]kgo.Opt, error) {
	var options []kgo.Opt
	if t.Enabled {
		c, err := kafkaTLS(fsys, at, t)
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.DialTLSConfig(c))
	}
	if s.Mechanism == "" {
		return options, nil
	}
	user, err := secret(fsys, at+"sasl.user_file", s.UserFile)
	if err != nil {
		return nil, err
	}
	password, err := secret(fsys, at+"sasl.password_file", s.PasswordFile)
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

func kafkaTLS(fsys durable.FS, at string, t *KafkaTLSConfig) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := readNamed(fsys, at+"tls.ca_file", t.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &config.FieldError{Key: at + "tls.ca_file", Got: t.CAFile, Want: "a file with certificates in PEM"}
		}
	}
	if t.CertFile == "" {
		return c, nil
	}
	cert, err := readNamed(fsys, at+"tls.cert_file", t.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readNamed(fsys, at+"tls.key_file", t.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &config.FieldError{Key: at + "tls.cert_file", Got: err.Error(), Want: "a certificate and its key in PEM"}
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// readNamed reads a file or credential that the configuration names under key.
func readNamed(fsys durable.FS, key, name string) ([]byte, error) {
	data, err := config.ReadFiles(fsys, name)
	if err != nil {
		return nil, &config.FieldError{Key: key, Got: err.Error(), Want: "a file that can be read"}
	}
	return data[0], nil
}

// secret reads a file that holds one, without the line's end.
func secret(fsys durable.FS, key, name string) (string, error) {
	data, err := readNamed(fsys, key, name)
	if err != nil {
		return "", err
	}
	if data = bytes.TrimRight(data, "\r\n"); len(data) == 0 {
		return "", &config.FieldError{Key: key, Got: "an empty file", Want: "the secret on one line"}
	}
	return string(data), nil
}
