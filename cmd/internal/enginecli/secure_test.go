package enginecli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/ca"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/engine/landing/kafkatest"
)

// secureBroker runs a real broker that asks for a certificate and for SCRAM, and
// gives its address and the directory of an authority with who signs both.
func secureBroker(t *testing.T, dir string) (address, pki string) {
	t.Helper()
	pki = filepath.Join(dir, "pki")
	if err := ca.Init(durable.OS{}, pki, "test", time.Hour, time.Now); err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Open(durable.OS{}, pki, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := authority.Sign(ca.Engine, time.Hour, "broker", "127.0.0.1")
	_, err2 := authority.Sign(ca.Gateway, time.Hour, "engine")
	key, err3 := os.ReadFile(filepath.Join(pki, "broker.key"))
	cert, err4 := os.ReadFile(filepath.Join(pki, "broker.pem"))
	if err := errors.Join(err1, err2, err3, err4, authority.Close()); err != nil {
		t.Fatal(err)
	}
	store := write(t, filepath.Join(dir, "broker.pem"), string(key)+string(cert))
	c := kafkatest.NewWith(t, kafkatest.Config{Dir: filepath.Join(dir, "kafka"), Secure: &kafkatest.Secure{Keystore: store, Truststore: filepath.Join(pki, "ca.pem")}})
	if err := c.AddUser(t.Context(), "engine", "right"); err != nil {
		t.Fatal(err)
	}
	return c.Broker(0).SecureAddr(), pki
}

// TestKafkaBehindTLSAndSASL: with a real broker that wants a certificate and
// SCRAM-SHA-512, a file goes into the landing topic, through an engine, and to
// topics of rows, and both are exact; whoever proves himself wrongly is refused,
// in words, whatever asks.
func TestKafkaBehindTLSAndSASL(t *testing.T) {
	dir := t.TempDir()
	broker, pki := secureBroker(t, dir)
	user, right, wrong := write(t, dir+"/user", "engine\n"), write(t, dir+"/right", "right\n"), write(t, dir+"/wrong", "wrong\n")
	tls := fmt.Sprintf("tls: {enabled: true, ca_file: %s/ca.pem, cert_file: %s/engine.pem, key_file: %s/engine.key}", pki, pki, pki)
	sasl := func(password string) string {
		return fmt.Sprintf("sasl: {mechanism: SCRAM-SHA-512, user_file: %s, password_file: %s}", user, password)
	}
	config := func(landing, sink string) string {
		return write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf(`roles: [tasks]
landing: {reserve: 1MiB, kafka: {brokers: [%q], topic: landing, partitions: 1, replication: 1, %s}}
lake: {dir: %s/lake}
epoch: {interval: 100ms}
sinks: {kafka: {brokers: [%q], partitions: 1, replication: 1, %s}}
`, broker, landing, dir, broker, sink))
	}
	good := tls + ", " + sasl(right)
	for _, c := range []struct{ landing, sink, want string }{
		{tls + ", " + sasl(wrong), good, "landing.kafka.sasl"},
		{good, tls + ", " + sasl(wrong), "sinks.kafka"},
		{tls, good, "landing.kafka"},
		{"tls: {enabled: true}, " + sasl(right), good, "landing.kafka"},
		{good, fmt.Sprintf("tls: {enabled: true, ca_file: %s/ca.pem}, ", pki) + sasl(right), "sinks.kafka"}, // without a certificate
	} {
		code, out, errs := engine(t, "check", "-c", config(c.landing, c.sink))
		if code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%+v: exit %d\n%s%s", c, code, out, errs)
		}
	}
	file := config(good, good)
	if code, out, errs := engine(t, "check", "-c", file); code != 0 {
		t.Fatalf("check: exit %d\n%s%s", code, out, errs)
	}
	stop := daemon(t, Command("e", ""), "run", "-c", file)
	input := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 2000))
	if code, out, errs := engine(t, "replay", input, "-c", file); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	if code := stop(); code != 0 {
		t.Errorf("engine: exit %d", code)
	}
	code, out, errs := engine(t, "audit", "--lake", dir+"/lake", "--kafka-config", file, "--json")
	var r audit.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.Exact || r.Topics == nil || !r.Topics.Exact || r.Logs[0].Recorded < 1000 {
		t.Errorf("audit: exit %d, %v\n%s%s", code, err, out, errs)
	}
}
