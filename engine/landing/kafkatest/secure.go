package kafkatest

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Secure is a listener with TLS, where clients prove themselves by a
// certificate and by SASL.
type Secure struct {
	// Keystore is a PEM file with the broker's key and certificate, for
	// 127.0.0.1; Truststore one with who signs the clients' certificates.
	Keystore, Truststore string
}

// add adds the listener to a broker's properties.
func (s *Secure) add(p map[string]string, port int) {
	const (
		listener = "listener.name.secure."
		scram    = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	)
	at := "SECURE://" + loopback(port)
	p["listeners"] += "," + at
	p["advertised.listeners"] += "," + at
	p["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
	p["inter.broker.listener.name"] = "PLAINTEXT"
	p[listener+"sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
	p[listener+"scram-sha-512.sasl.jaas.config"] = scram
	p[listener+"ssl.keystore.type"], p[listener+"ssl.truststore.type"] = "PEM", "PEM"
	p[listener+"ssl.keystore.location"], p[listener+"ssl.truststore.location"] = s.Keystore, s.Truststore
	p[listener+"ssl.client.auth"] = "required"
}

// SecureAddr is host:port of the listener with TLS and SASL.
func (b *Broker) SecureAddr() string { return loopback(b.secure) }

// AddUser makes a user for SCRAM-SHA-512.
func (c *Cluster) AddUser(ctx context.Context, user, password string) error {
	admin, err := kadm.NewOptClient(c.Options()...)
	if err != nil {
		return fmt.Errorf("add user %s: %w", user, err)
	}
	defer admin.Close()
	all, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return fmt.Errorf("add user %s: %w", user, err)
	}
	return nil
}
