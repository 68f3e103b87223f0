//go:build linux

package lifetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"landfall/edge/config"
)

// unitMemory reads what the gateway's unit gives it: the soft limit of its environment
// and MemoryMax, bytes.
func unitMemory(t *testing.T) (environment string, most int64) {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join(root, "systemd", "landfall-edge.service"))
	if err != nil {
		t.Fatal(err)
	}
	soft := regexp.MustCompile(`(?m)^Environment=(GOMEMLIMIT=(\d+MiB))$`).FindSubmatch(unit)
	hard := regexp.MustCompile(`(?m)^MemoryMax=(\d+)M$`).FindSubmatch(unit)
	if soft == nil || hard == nil {
		t.Fatal("the unit bounds no memory")
	}
	var low, high config.Bytes
	if err := low.UnmarshalText(soft[2]); err != nil {
		t.Fatal(err)
	}
	if err := high.UnmarshalText(append(hard[1], "MiB"...)); err != nil {
		t.Fatal(err)
	}
	if low >= high || high > 400<<20 {
		t.Errorf("%s and %s: not one below the other, or more than a machine of 512 MB has", low, high)
	}
	if image, err := os.ReadFile(filepath.Join(root, "Dockerfile")); err != nil || !strings.Contains(string(image), "ENV "+string(soft[1])+"\n") {
		t.Errorf("the image does not say %s: %v", soft[1], err)
	}
	return string(soft[1]), int64(high)
}

// TestUnitsBoundMemory: neither daemon may take the machine's memory.
func TestUnitsBoundMemory(t *testing.T) {
	unitMemory(t)
	unit, err := os.ReadFile(filepath.Join(root, "systemd", "landfall-engine.service"))
	if err != nil || !regexp.MustCompile(`(?m)^MemoryMax=\S+$`).Match(unit) {
		t.Errorf("the engine's unit bounds no memory: %v", err)
	}
}

// TestEverySourceAtItsWorstFitsTheUnit: while the log takes nothing, so that all that may
// wait does, clients fill every connection with the shortest lines, senders of datagrams
// come and go, and a broker brings payloads that take the most memory to read. It all
// fits below the unit's MemoryMax.
func TestEverySourceAtItsWorstFitsTheUnit(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	environment, most := unitMemory(t)
	work := t.TempDir()
	b := &broker{t: t, conf: work + "/mosquitto.conf", address: freePort(t)}
	_, port, _ := net.SplitHostPort(b.address)
	put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\n", port))
	b.restart()
	t.Cleanup(b.stop)
	lines, datagrams := freePort(t), freePort(t)
	edge := run(t, "landfall-edge", fmt.Sprintf(`gateway: ada
data_dir: %s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 1000TiB}
sources:
  - name: plc
    mqtt: {broker: {url: "mqtt://%[2]s"}, topics: [{filter: plant/#, sequence_field: n}]}
  - name: plc2
    mqtt: {broker: {url: "mqtt://%[2]s"}, topics: [{filter: plant/#, sequence_field: n}]}
  - name: radio
    tcp_server: {listen: %[3]q}
  - name: net
    udp: {listen: %[4]q}
forward: {url: "http://%[5]s/"}
`, work, b.address, lines, datagrams, freePort(t)), environment)
	until(t, "the gateway is subscribed", func() bool {
		s := edge.poison()
		return len(s.Sources) == 4 && s.Sources[0].State == "open" && s.Sources[1].State == "open"
	})
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("publisher"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer p.Disconnect(0)
	const clients = 256
	short := []byte(strings.Repeat("a\n", 1<<20))
	for i := range clients {
		// Places are shared by hosts: these are sixteen.
		host := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%16))}}
		c, err := host.Dial("tcp", lines)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = c.Write(short) }() // until the connection takes no more
	}
	for range 500 {
		c, err := net.Dial("udp", datagrams)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Write(short[:60_000])
		if _ = c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		var payload strings.Builder
		for fmt.Fprintf(&payload, `{"n":%d,"a":[`, i); payload.Len() < 1<<20-20; {
			payload.WriteString(`{"":0},`)
		}
		payload.WriteString("0]}")
		if token := p.Publish("plant/a", 1, false, payload.String()); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
	until(t, "everything that may wait does", func() bool {
		s := edge.poison()
		return len(s.Sources) == 4 && s.Sources[0].Bytes >= 3<<20 && s.Sources[1].Bytes >= 3<<20 && s.Sources[2].Bytes >= clients*(16<<10) && s.Sources[3].Bytes > 0
	})
	if used := edge.peak(); used == 0 || used > most {
		t.Errorf("it took %d MiB of %d", used>>20, most>>20)
	} else {
		t.Logf("it took %d MiB of %d at most", used>>20, most>>20)
	}
}
