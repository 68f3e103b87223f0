//go:build linux

package lifetest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"landfall/cmd/internal/ca"
)

// broker is a real mosquitto, which takes only clients with a certificate and
// calls them by its name.
type broker struct {
	t       *testing.T
	conf    string
	address string
	cmd     *exec.Cmd

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// Write implements io.Writer for what the broker prints.
func (b *broker) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

// knows tells whether a client with a certificate of that name has connected
// since the broker was started last.
func (b *broker) knows(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.log.String(), "u'"+name+"'")
}

// restart ends every connection.
func (b *broker) restart() {
	b.t.Helper()
	b.stop()
	b.cmd = exec.Command("mosquitto", "-v", "-c", b.conf)
	b.cmd.Stdout, b.cmd.Stderr = b, b
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	until(b.t, "the broker listens", func() bool {
		c, err := net.Dial("tcp", b.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *broker) stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.Reset()
}

// TestCertificatesOfABrokerAreTakenUp: a new one is used from the next
// connection on, without a restart; one that cannot be used is said, and the
// old one goes on; when each ends is a metric.
func TestCertificatesOfABrokerAreTakenUp(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	dir, work := authority(t), t.TempDir()
	sign(t, dir, ca.Engine, 0, "127.0.0.1")
	sign(t, dir, ca.Gateway, 0, "first")
	b := &broker{t: t, conf: work + "/mosquitto.conf", address: freePort(t)}
	_, port, _ := net.SplitHostPort(b.address)
	put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\ncafile %[2]s/ca.pem\ncertfile %[2]s/127.0.0.1.pem\nkeyfile %[2]s/127.0.0.1.key\nrequire_certificate true\nuse_identity_as_username true\n", port, dir))
	b.restart()
	t.Cleanup(b.stop)
	use := func(name string) {
		for _, ending := range []string{"pem", "key"} {
			data, err := os.ReadFile(dir + "/" + name + "." + ending)
			if err != nil {
				t.Fatal(err)
			}
			put(t, work+"/own."+ending, string(data))
		}
	}
	use("first")
	edge := run(t, "landfall-edge", fmt.Sprintf(`gateway: ada
data_dir: %[1]s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtts://%[2]s", ca_file: %[3]s/ca.pem, cert_file: %[1]s/own.pem, key_file: %[1]s/own.key}
      topics: [{filter: a, format: value}]
forward: {url: "http://%[4]s/"}
`, work, b.address, dir, freePort(t)))
	open := func() bool { s := edge.edge(); return len(s.Sources) == 1 && s.Sources[0].State == "open" }
	until(t, "the gateway is known by its certificate", func() bool { return open() && b.knows("first") })
	if !edge.says("/metrics", `landfall_edge_certificate_expiry_timestamp_seconds{source="plc"} `)() {
		t.Error("when it expires is no metric")
	}
	// Half of a new key: said, and the old one goes on.
	put(t, work+"/own.key", "-----BEGIN PRIVATE KEY-----\n")
	edge.signal(syscall.SIGHUP)
	until(t, "it is said", edge.says("/healthz", "sources[0].mqtt.broker.cert_file"))
	b.restart()
	until(t, "the old one goes on", func() bool { return open() && b.knows("first") })
	// A good one, of another name so that the broker can tell.
	sign(t, dir, ca.Gateway, 0, "second")
	use("second")
	edge.signal(syscall.SIGHUP)
	until(t, "nothing is complained of", func() bool {
		return !strings.Contains(edge.ask("/healthz"), "cert_file") && edge.says("/metrics", `landfall_edge_certificate_reload_failed{source="plc"} 0`)()
	})
	b.restart()
	until(t, "the new one is used", func() bool { return open() && b.knows("second") })
}
