package enginecli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
	"landfall/engine/audit"
	"landfall/engine/server"
)

// brokers starts an in-process cluster.
func brokers(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// TestFromAFileToTopics goes through both daemons to a lake and topics: check
// says what is there before and after, status counts, and audit finds the same
// in both.
func TestFromAFileToTopics(t *testing.T) {
	dir, broker, listen, status := t.TempDir(), brokers(t), freeAddress(t), freeAddress(t)
	file := write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf(`listen: %s
status: %s
identity: {unauthenticated: true}
landing: {dir: %s/landing, reserve: 1MiB}
lake: {dir: %s/lake}
epoch: {interval: 100ms}
sinks: {kafka: {brokers: [%q], prefix: x., partitions: 2, replication: 1, topics: [{table: ais_position, topic: places}]}}
`, listen, status, dir, dir, broker))
	code, out, errs := engine(t, "check", "-c", file)
	if code != 0 || !strings.Contains(out, "0 topics are there") || !strings.Contains(out, "places, x.ais_aton") {
		t.Fatalf("check: %d\n%s%s", code, out, errs)
	}
	if code, out, _ := engine(t, "explain", "-c", file); code != 0 || !strings.Contains(out, "read_committed") || !strings.Contains(out, "whoever deletes x.markers") {
		t.Fatalf("explain: %d\n%s", code, out)
	}
	input := write(t, filepath.Join(dir, "in.nmea"), traffic(t, 3000))
	gateway := write(t, filepath.Join(dir, "edge.yaml"), fmt.Sprintf(`gateway: gw
data_dir: %s/edge
log: {reserve: 1MiB}
forward: {url: "http://%s", linger: 10ms}
sources: [{name: in, file: {path: %s}}]
`, dir, listen, input))
	stop := daemon(t, Command("e", ""), "run", "-c", file)
	if code, _, errs := run(t.Context(), edgecli.Command("e", ""), "run", "-c", gateway); code != 0 {
		t.Fatalf("edge: %d\n%s", code, errs)
	}
	waitFor(t, func() (int, string, string) { return engine(t, "status", "-c", file, "--json") }, func(s *server.Status) bool {
		return len(s.Sinks) == 1 && s.Sinks[0].Rows > 5000 && s.Tasks[0].Behind == 0
	})
	if code := stop(); code != 0 {
		t.Fatalf("engine: exit %d", code)
	}
	code, out, errs = engine(t, "audit", "--lake", dir+"/lake", "--kafka-config", file, "--json")
	var r audit.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.Exact || r.Topics == nil || !r.Topics.Exact {
		t.Fatalf("audit: %d, %v\n%s%s", code, err, out, errs)
	}
	if r.Logs[0].Recorded < 2500 || r.Topics.Logs[0].Recorded != r.Logs[0].Recorded || r.Topics.Logs[0].TypedFound != r.Logs[0].TypedFound {
		t.Errorf("lake %+v, topics %+v", r.Logs[0], r.Topics.Logs[0])
	}
	if code, out, _ := engine(t, "check", "-c", file); code != 0 || !strings.Contains(out, "one replica") {
		t.Errorf("check afterwards: %d\n%s", code, out)
	}
	if code, out, errs := engine(t, "audit", "--kafka", broker, "--kafka-prefix", "x."); code == 0 { // positions have another topic
		t.Errorf("an audit without the topic of a table is exact:\n%s%s", out, errs)
	}
}

// TestKafkaMistakes: errors name the key of the configuration.
func TestKafkaMistakes(t *testing.T) {
	dir := t.TempDir()
	secret, empty := write(t, filepath.Join(dir, "secret"), "secret\n"), write(t, filepath.Join(dir, "empty"), "\n")
	for want, sink := range map[string]string{
		"sinks.kafka.brokers[0]":           `{brokers: ["kafka"]}`,
		"sinks.kafka.tables[0]":            `{brokers: ["k:9092"], tables: [positions]}`,
		"sinks.kafka.topics[0].table":      `{brokers: ["k:9092"], topics: [{table: positions, topic: x}]}`,
		"sinks.kafka.transaction_timeout":  `{brokers: ["k:9092"], transaction_timeout: 1s}`,
		"sinks.kafka.max_message_size":     `{brokers: ["k:9092"], max_message_size: 1KiB}`,
		"sinks.kafka.tls.enabled":          `{brokers: ["k:9092"], tls: {ca_file: /x}}`,
		"sinks.kafka.tls.ca_file":          fmt.Sprintf(`{brokers: ["k:9092"], tls: {enabled: true, ca_file: %s}}`, secret),
		"sinks.kafka.sasl":                 `{brokers: ["k:9092"], sasl: {mechanism: PLAIN}}`,
		"sinks.kafka.sasl.mechanism":       fmt.Sprintf(`{brokers: ["k:9092"], sasl: {mechanism: MAGIC, user_file: %s, password_file: %s}}`, secret, secret),
		"sinks.kafka.sasl.password_file":   fmt.Sprintf(`{brokers: ["k:9092"], sasl: {mechanism: SCRAM-SHA-256, user_file: %s, password_file: %s}}`, secret, empty),
		"got PLAIN without tls, to k:9092": fmt.Sprintf(`{brokers: ["k:9092"], sasl: {mechanism: PLAIN, user_file: %s, password_file: %s}}`, secret, secret),
	} {
		file := write(t, filepath.Join(dir, "e.yaml"), fmt.Sprintf("listen: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 1MiB}\nlake: {dir: %s/lake}\nsinks: {kafka: %s}\n", dir, dir, sink))
		if code, _, errs := engine(t, "check", "-c", file); code != cli.ExitConfig || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d\n%s", sink, code, errs)
		}
	}
}

// TestBrokersAreToldWhoAsks: SASL with secrets from files, and a wrong one is
// refused.
func TestBrokersAreToldWhoAsks(t *testing.T) {
	dir := t.TempDir()
	broker := brokers(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "engine", "right"))
	user := write(t, filepath.Join(dir, "user"), "engine\n")
	for password, code := range map[string]int{"right": 0, "wrong": cli.ExitConfig} {
		secret := write(t, filepath.Join(dir, "password"), password+"\n")
		file := write(t, filepath.Join(dir, "e.yaml"), fmt.Sprintf("listen: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 1MiB}\nlake: {dir: %s/lake}\n"+
			"sinks: {kafka: {brokers: [%q], sasl: {mechanism: SCRAM-SHA-512, user_file: %s, password_file: %s}}}\n", dir, dir, broker, user, secret))
		if got, out, errs := engine(t, "check", "-c", file); got != code || strings.Contains(out+errs, password) {
			t.Errorf("with the %s password: exit %d\n%s%s", password, got, out, errs)
		}
	}
}

// TestBrokersAreNotAskedWithoutCredentials: outside the service check says so and
// asks nobody; the service itself reads them.
func TestBrokersAreNotAskedWithoutCredentials(t *testing.T) {
	dir := t.TempDir()
	client := `{brokers: ["127.0.0.1:1"], topic: landing, partitions: 1, tls: {enabled: true, ca_file: "credential:ca"}, sasl: {mechanism: SCRAM-SHA-512, user_file: "credential:user", password_file: "credential:password"}}`
	file := write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf("listen: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlake: {dir: %s/lake}\nlanding: {kafka: %s}\nsinks: {kafka: %s}\n",
		dir, client, strings.Replace(client, "topic: landing, partitions: 1, ", "", 1)))
	for name, content := range map[string]string{"ca": "no certificate", "user": "u", "password": "p"} {
		write(t, filepath.Join(dir, name), content)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	code, out, errs := engine(t, "check", "-c", file)
	for _, want := range []string{"topic landing: not asked: systemd hands credential:ca, credential:user, credential:password", "127.0.0.1:1: not asked"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("outside: %d, without %q\n%s%s", code, want, out, errs)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if code, out, errs := engine(t, "check", "-c", file); code != cli.ExitConfig || !strings.Contains(errs, "landing.kafka.tls.ca_file") || !strings.Contains(errs, "PEM") {
		t.Errorf("inside, with a bad one: %d\n%s%s", code, out, errs)
	}
	if _, _, err := loadAll(file, false); err == nil || !strings.Contains(err.Error(), "landing.kafka.tls.ca_file") {
		t.Errorf("a reload takes up what cannot be used: %v", err)
	}
}
