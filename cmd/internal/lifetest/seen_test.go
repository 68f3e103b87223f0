//go:build linux

package lifetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// TestAtLeastOnceSeen: messages whose time cannot be used come again after a kill.
// Status counts them, health is red, and explain and doctor say that the source is not
// exactly once as it is configured.
func TestAtLeastOnceSeen(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	work := t.TempDir()
	b := &broker{t: t, conf: work + "/mosquitto.conf", address: freePort(t)}
	_, port, _ := net.SplitHostPort(b.address)
	put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\n", port))
	b.restart()
	t.Cleanup(b.stop)
	config := fmt.Sprintf(`gateway: ada
data_dir: %s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtt://%s"}
      topics: [{filter: plant/#, time_field: uptime, time_unit: ms}]
forward: {url: "http://%s/"}
`, work, b.address, freePort(t))
	edge := run(t, "landfall-edge", config)
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("publisher"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer p.Disconnect(0)
	sent := 0
	publish := func() {
		t.Helper()
		sent++
		if token := p.Publish("plant/a", 1, false, fmt.Sprintf(`{"uptime":%d,"v":1}`, 1000+sent)); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	metric := func(name string, than int) func() bool {
		return func() bool {
			for line := range strings.Lines(edge.ask("/metrics")) {
				n := 0
				if _, err := fmt.Sscanf(line, "landfall_edge_source_"+name+`{source="plc"} %d`, &n); err == nil {
					return n >= than
				}
			}
			return false
		}
	}
	until(t, "a message without a usable time is counted", func() bool { publish(); return metric("unidentified_total", 1)() })
	said := func(verb string) string {
		t.Helper()
		out, _ := tool(t, "landfall-edge", verb, "--config", edge.file) // doctor fails where something is bad
		return out
	}
	if out := said("explain"); !strings.Contains(out, "exactly once configured, at least once seen") || !strings.Contains(out, "0 of them") {
		t.Errorf("explain says\n%s", out)
	}
	if out := said("doctor"); !strings.Contains(out, "not exactly once") {
		t.Errorf("doctor says\n%s", out)
	}
	if reasons := strings.Join(edge.edge().Reasons, "\n"); strings.Contains(reasons, "twice") {
		t.Errorf("nothing came again, and health says %q", reasons)
	}
	// It is held while the broker sends, and killed. The broker may acknowledge a message
	// before it has sent it on: of the last ones it is not known.
	edge.signal(syscall.SIGSTOP)
	for range 10 {
		publish()
	}
	edge.signal(syscall.SIGKILL)
	<-edge.ended
	if out := said("explain"); strings.Contains(out, "seen") || !strings.Contains(out, "exactly once") {
		t.Errorf("explain without a gateway says\n%s", out)
	}
	edge = run(t, "landfall-edge", config)
	until(t, "messages that were sent before are counted", metric("possibly_twice_total", 5))
	until(t, "health is red", func() bool {
		return strings.Contains(strings.Join(edge.edge().Reasons, "\n"), "messages were sent again without a usable time or number: they may be there twice")
	})
	for verb, want := range map[string]string{"explain": "they may be there twice", "status": "exactly once configured, at least once seen", "doctor": "may be there twice"} {
		if out := said(verb); !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("%s says\n%s", verb, out)
		}
	}
}
