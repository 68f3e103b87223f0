//go:build linux

package lifetest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"
)

// memoryLimit is what the gateway may take in this test, as on a machine of 512 MB.
const memoryLimit = 400 << 20

// poisonStatus is what is read of the gateway's status here.
type poisonStatus struct {
	Sources []struct {
		State     string `json:"state"`
		Bytes     uint64 `json:"bytes"`
		Records   uint64 `json:"records"`
		Rejected  uint64 `json:"rejected"`
		Oversized uint64 `json:"oversized"`
		Discarded uint64 `json:"discarded_bytes"`
	} `json:"sources"`
	Capture struct {
		Groups uint64 `json:"groups"`
	} `json:"capture"`
}

func (d *daemon) poison() (s poisonStatus) {
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

// limitMemory has the kernel refuse the process more data than that.
func (d *daemon) limitMemory() {
	d.t.Helper()
	limit := unix.Rlimit{Cur: memoryLimit, Max: memoryLimit}
	if err := unix.Prlimit(d.cmd.Process.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		d.t.Fatal(err)
	}
}

// peak is the most memory that the process ever had, bytes.
func (d *daemon) peak() (bytes int64) {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kib := int64(0); strings.HasPrefix(line, "VmHWM:") {
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
				bytes = kib << 10
			}
		}
	}
	return bytes
}

// TestAMessageLargerThanTheMemory: a gateway that may take 400 MiB is sent 200 MiB in
// one message at QoS 1. It lives, the beginning is a rejected record, the broker does
// not send it again, and a line of another source is captured meanwhile.
func TestAMessageLargerThanTheMemory(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	work := t.TempDir()
	b := &broker{t: t, conf: work + "/mosquitto.conf", address: freePort(t)}
	_, port, _ := net.SplitHostPort(b.address)
	put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_bytes 0\n", port))
	b.restart()
	t.Cleanup(b.stop)
	lines := freePort(t)
	config := fmt.Sprintf(`gateway: ada
data_dir: %s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtt://%s"}
      topics: [{filter: plant/#, sequence_field: n}]
  - name: radio
    tcp_server: {listen: %q}
forward: {url: "http://%s/"}
`, work, b.address, lines, freePort(t))
	edge := run(t, "landfall-edge", config)
	edge.limitMemory()
	open := func() bool { s := edge.poison(); return len(s.Sources) == 2 && s.Sources[0].State == "open" }
	until(t, "the gateway is subscribed", open)
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("publisher"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer p.Disconnect(0)
	publish := func(payload []byte) {
		t.Helper()
		if token := p.Publish("plant/a", 1, false, payload); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	until(t, "a message is taken", func() bool {
		publish([]byte(`{"n":1,"v":1}`))
		return edge.poison().Sources[0].Records > 0
	})
	const size = 200 << 20
	publish([]byte(`{"n":2,"v":"` + strings.Repeat("x", size-14) + `"}`))
	until(t, "the large one is a rejected record", func() bool {
		s := edge.poison()
		return len(s.Sources) == 2 && s.Sources[0].Rejected == 1 && s.Sources[0].Oversized == 1
	})
	if s := edge.poison(); s.Sources[0].Discarded != size-1<<20 {
		t.Errorf("%d bytes discarded of %d", s.Sources[0].Discarded, size)
	}
	radio, err := net.Dial("tcp", lines)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(radio, "!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D\n"); err != nil {
		t.Fatal(err)
	}
	_ = radio.Close()
	until(t, "a line of the other source", func() bool { return edge.poison().Sources[1].Records == 1 })
	if used := edge.peak(); used == 0 || used > memoryLimit/4 {
		t.Errorf("it took %d MiB", used>>20)
	} else {
		t.Logf("it took %d MiB at most", used>>20)
	}
	if code := edge.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	segments, err := filepath.Glob(work + "/edge/log/*.seg")
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	if said, err := tool(t, "landfall-edge", append([]string{"inspect", "--records", "--json"}, segments...)...); err != nil || strings.Count(said, "too_large") != 1 {
		t.Errorf("%d records with the reason, %v", strings.Count(said, "too_large"), err)
	}
	// It was acknowledged: the next life is not sent it.
	edge = run(t, "landfall-edge", config)
	edge.limitMemory()
	until(t, "the gateway is subscribed again", open)
	publish([]byte(`{"n":3,"v":1}`))
	until(t, "a message is taken again", func() bool { return edge.poison().Sources[0].Records == 1 })
	if s := edge.poison().Sources[0]; s.Oversized != 0 || s.Rejected != 0 {
		t.Errorf("it came again: %+v", s)
	}
}
