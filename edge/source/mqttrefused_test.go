package source

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// signer signs certificates of a test.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	s := &signer{t: t, pool: x509.NewCertPool()}
	s.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	c := s.sign(s.cert)
	s.key, s.cert = c.PrivateKey.(*ecdsa.PrivateKey), c.Leaf
	s.pool.AddCert(c.Leaf)
	return s
}

// sign signs a certificate with a new key; the signer's own with itself.
func (s *signer) sign(template *x509.Certificate) *tls.Certificate {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	by := s.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, key.Public(), by)
	if err != nil {
		s.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// party gives a certificate of a broker or a client, until a time.
func (s *signer) party(name string, until time.Time) *tls.Certificate {
	return s.sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

// files writes a certificate and its key and gives their names.
func files(t *testing.T, c *tls.Certificate) (cert, key string) {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// refused runs a source until it says why the broker refuses it, and that it
// counted this; nothing is taken.
func refused(t *testing.T, cfg MQTTConfig, want ...string) {
	t.Helper()
	m := must(NewMQTT(cfg))(t)
	sink := &durableSink{marks: map[string][]byte{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, sink) }()
	var st Status
	eventually(t, "a refusal", func() bool { st = m.Status(); return st.State == StateAbsent })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	said := false
	for _, text := range want {
		said = said || strings.Contains(st.Detail, text)
	}
	if !said || st.Errors == 0 || len(sink.payloads()) > 0 {
		t.Errorf("says %q, want one of %q; %d errors, taken %q", st.Detail, want, st.Errors, sink.payloads())
	}
}

// newWebBroker gives a broker that listens for websockets too, with settings of that
// listener, and the address. With no other listener mosquitto 2.0 ends at once.
func newWebBroker(t *testing.T, settings string) (b *broker, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(address)
	b = newBroker(t, fmt.Sprintf("per_listener_settings true\nlistener %s 127.0.0.1\nprotocol websockets\n%s", port, settings))
	eventually(t, "the broker listens for websockets", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return b, address
}

// TestBrokerWithCertificates: a broker that asks for certificates is spoken with
// over TLS and over secure websockets by who has a right one; every other is told
// why not, and so is a broker that is not the one that was named.
func TestBrokerWithCertificates(t *testing.T) {
	ours, other := newSigner(t, "ours"), newSigner(t, "other")
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	cert, key := files(t, ours.party("broker", soon))
	ca, _ := files(t, &tls.Certificate{Certificate: [][]byte{ours.cert.Raw}, PrivateKey: ours.key})
	settings := fmt.Sprintf("certfile %s\nkeyfile %s\ncafile %s\nrequire_certificate true\nuse_identity_as_username true\n", cert, key, ca)
	for _, scheme := range []string{"mqtts", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			b := newBroker(t, settings)
			address := b.addr
			if scheme == "wss" {
				b, address = newWebBroker(t, settings)
			}
			configure := func(roots *signer, client *tls.Certificate) MQTTConfig {
				cfg := mqttConfig(b, 1)
				cfg.Broker.URL, cfg.Broker.TLS = scheme+"://"+address, &tls.Config{RootCAs: roots.pool}
				if client != nil {
					cfg.Broker.TLS.Certificates = []tls.Certificate{*client}
				}
				return cfg
			}
			good := configure(ours, ours.party("gateway", soon))
			sink := &durableSink{marks: map[string][]byte{}}
			_, stop := runMQTT(t, good, sink)
			p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(good.Broker.URL).SetClientID("p").SetTLSConfig(good.Broker.TLS))
			if token := p.Connect(); token.Wait() && token.Error() != nil {
				t.Fatal(token.Error())
			}
			defer p.Disconnect(0)
			eventually(t, "a message", func() bool {
				publish(t, p, "plant/a/b", "1", false)
				return len(sink.payloads()) > 0
			})
			stop()
			refused(t, configure(ours, nil), "certificate required", "handshake failure")
			refused(t, configure(ours, other.party("gateway", soon)), "unknown certificate authority")
			refused(t, configure(ours, ours.party("gateway", past)), "expired certificate")
			refused(t, configure(other, ours.party("gateway", soon)), "certificate signed by unknown authority")
			elsewhere := configure(ours, ours.party("gateway", soon))
			elsewhere.Broker.TLS.ServerName = "broker.example"
			refused(t, elsewhere, "match broker.example")
		})
	}
}

// TestWebsockets: the session is kept, and what is not acknowledged comes again, as
// over TCP.
func TestWebsockets(t *testing.T) {
	b, address := newWebBroker(t, "allow_anonymous true\n")
	cfg := mqttConfig(b, 1)
	cfg.Broker.URL = "ws://" + address
	first := &durableSink{marks: map[string][]byte{}, hold: true}
	_, stop := runMQTT(t, cfg, first)
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(cfg.Broker.URL).SetClientID("p"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer p.Disconnect(0)
	eventually(t, "a message", func() bool {
		publish(t, p, "plant/a/b", "1", false)
		return len(first.payloads()) > 0
	})
	stop()
	second := &durableSink{marks: map[string][]byte{}}
	runMQTT(t, cfg, second)
	eventually(t, "it comes again", func() bool { return len(second.payloads()) > 0 })
}

// TestPasswords: the right one is let in over TLS, a wrong one is told so.
func TestPasswords(t *testing.T) {
	needTool(t, "mosquitto_passwd")
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mosquitto_passwd", "-b", passwords, "anna", "secret").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours := newSigner(t, "ours")
	cert, key := files(t, ours.party("broker", time.Now().Add(time.Hour)))
	b := newBroker(t, fmt.Sprintf("allow_anonymous false\npassword_file %s\ncertfile %s\nkeyfile %s\n", passwords, cert, key))
	cfg := mqttConfig(b, 1)
	cfg.Broker.URL, cfg.Broker.TLS = "mqtts://"+b.addr, &tls.Config{RootCAs: ours.pool}
	refused(t, cfg, "not Authorized")
	cfg.Broker.Credentials = func() (string, string) { return "anna", "Secret" }
	refused(t, cfg, "not Authorized")
	cfg.Broker.Credentials = func() (string, string) { return "anna", "secret" }
	runMQTT(t, cfg, &durableSink{marks: map[string][]byte{}})
}

// TestSubscriptionRefused: a broker whose access list lets a client in but not to a
// topic answers 0x80 in its SUBACK (MQTT 3.1.1, 3.9.3); one that grants a lower QoS
// than was asked for breaks the promise as well. Neither is a source that waits in
// silence.
func TestSubscriptionRefused(t *testing.T) {
	t.Run("by an access list", func(t *testing.T) {
		needTool(t, "mosquitto_ctrl")
		plugins, _ := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
		if len(plugins) == 0 {
			t.Skip("mosquitto's plugin for access lists is not there")
		}
		access := filepath.Join(t.TempDir(), "access.json")
		if out, err := exec.Command("mosquitto_ctrl", "dynsec", "init", access, "admin", "secret").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		settings := fmt.Sprintf("allow_anonymous true\nplugin %s\nplugin_opt_config_file %s\n", plugins[0], access)
		cfg := mqttConfig(newBroker(t, settings), 1)
		cfg.Topics = cfg.Topics[1:]
		refused(t, cfg, "subscribe to plant/#: the broker refuses")
		list, err := os.ReadFile(access)
		if err != nil {
			t.Fatal(err)
		}
		// Publishing too: the broker cuts off who publishes its status and may not.
		list = regexp.MustCompile(`"(subscribe|publishClientSend)":\s*false`).ReplaceAll(list, []byte(`"$1": true`))
		if err := os.WriteFile(access, list, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Broker.URL = newBroker(t, settings).url()
		runMQTT(t, cfg, &durableSink{marks: map[string][]byte{}})
	})
	t.Run("by a lower QoS", func(t *testing.T) {
		b := newBroker(t, "allow_anonymous true\nmax_qos 1\n")
		refused(t, mqttConfig(b, 2), "QoS 1 in place of 2: the broker refuses")
	})
}

// TestLastWill: the broker says that a gateway is gone that was killed, to who is
// there and to who comes later.
func TestLastWill(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	status := make(chan string, 16)
	watch := func(name string) {
		p := b.publisher(name)
		if token := p.Subscribe("gw/child", 1, func(_ mqtt.Client, m mqtt.Message) { status <- string(m.Payload()) }); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	watch("before")
	c := startChild(t, "mqtt "+b.url(), false)
	if s := <-status; s != "online" {
		t.Fatalf("the gateway is %s", s)
	}
	c.kill()
	if s := <-status; s != "offline" {
		t.Fatalf("the gateway that was killed is %s", s)
	}
	watch("after")
	if s := <-status; s != "offline" {
		t.Fatalf("the gateway that was killed is %s for who comes later", s)
	}
}
