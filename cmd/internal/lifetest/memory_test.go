//go:build linux

package lifetest

import (
	"encoding/json"
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

// unitMemory reads the MemoryMax= of the gateway's unit, bytes.
func unitMemory(t *testing.T) (most int64) {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join(root, "systemd", "landfall-edge.service"))
	if err != nil {
		t.Fatal(err)
	}
	hard := regexp.MustCompile(`(?m)^MemoryMax=(\d+)M$`).FindSubmatch(unit)
	if hard == nil {
		t.Fatal("the unit bounds no memory")
	}
	var high config.Bytes
	if err := high.UnmarshalText(append(hard[1], "MiB"...)); err != nil {
		t.Fatal(err)
	}
	if high > 400<<20 {
		t.Errorf("%s: more than a machine of 512 MB has", high)
	}
	return int64(high)
}

// TestUnitsBoundMemory: neither daemon may take the machine's memory, in a unit or in a
// container; the daemons themselves say how much of it they use, and nothing else does.
func TestUnitsBoundMemory(t *testing.T) {
	unitMemory(t)
	for name, want := range map[string]string{
		"systemd/landfall-edge.service": `(?m)^MemoryMax=384M$`, "systemd/landfall-engine.service": `(?m)^MemoryMax=75%$`,
		"compose.yaml": `(?m)^x-engine: &engine\n(  .*\n)*  mem_limit: \d+g$`,
		"Dockerfile":   `docker run --read-only --memory 384m -v gateway:(.*\n)*`,
	} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("%s bounds no memory: want %s", name, want)
		}
		if strings.Contains(string(text), "GOMEMLIMIT") {
			t.Errorf("%s has a second bound", name)
		}
	}
}

// TestEverySourceAtItsWorstFitsTheUnit: while the log takes nothing, so that all that may
// wait does, clients fill every connection with the shortest lines, senders of datagrams
// come and go, and a broker brings payloads that take the most memory to read. It all
// fits into the bound that the gateway states, which is below the unit's MemoryMax.
func TestEverySourceAtItsWorstFitsTheUnit(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	most := unitMemory(t)
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
`, work, b.address, lines, datagrams, freePort(t)))
	limit := edge.memory().Memory.Limit
	if limit == 0 || limit > most/5*4 {
		t.Errorf("it states %d MiB, the unit has %d", limit>>20, most>>20)
	}
	how := edge.confine(limit)
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
	if used := edge.peak(); used == 0 || used > limit {
		t.Errorf("it took %d MiB of %d", used>>20, limit>>20)
	} else {
		t.Logf("it took %d MiB of %d at most, in %s", used>>20, limit>>20, how)
	}
}

// memoryStatus is what a daemon says of its memory.
type memoryStatus struct {
	Memory struct {
		Limit  int64  `json:"limit_bytes"`
		From   string `json:"limit_from"`
		Needed int64  `json:"needed_bytes"`
		Heap   int64  `json:"heap_bytes"`
		Peak   int64  `json:"peak_bytes"`
	} `json:"memory"`
}

func (d *daemon) memory() (s memoryStatus) {
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

// TestADaemonKnowsItsGroup: a gateway and an engine that begin in a control group state
// four fifths of its memory, wherever they say anything of it, and where that is not
// enough for their settings they say what these add up to.
func TestADaemonKnowsItsGroup(t *testing.T) {
	const most = 40 << 20
	for name, config := range map[string]string{
		"landfall-edge": fmt.Sprintf("gateway: ada\ndata_dir: %s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources: [{name: radio, udp: {listen: %q}}]\nforward: {url: %q}\n",
			t.TempDir(), freePort(t), "http://"+freePort(t)),
		"landfall-engine": fmt.Sprintf("listen: %[2]s\nstatus: STATUS\nidentity: {unauthenticated: true}\nlanding: {dir: %[1]s/landing, reserve: 0B}\nlake: {dir: %[1]s/lake}\n", t.TempDir(), freePort(t)),
	} {
		t.Run(name, func(t *testing.T) {
			g := limitedGroup(t, most)
			if g == nil {
				t.Skip("no control group can be made on this machine")
			}
			d := beginIn(t, g, name, config)
			until(t, name+" works", func() bool { return d.ask("/status") != "" })
			s := d.memory().Memory
			if s.Limit != most/5*4 || s.From != "four fifths of what its control group may have" || s.Needed <= s.Limit || s.Heap <= 0 || s.Peak <= 0 {
				t.Errorf("it says %+v, in %s of %d", s, g.how, most)
			}
			for _, want := range []string{`msg="memory is bounded" bytes=33554432`, "all that the settings allow at the same time is more than there is"} {
				if !strings.Contains(d.printed(), want) {
					t.Errorf("it did not print %s", want)
				}
			}
			prefix := strings.Replace(name, "-", "_", 1)
			if !d.says("/metrics", prefix+"_memory_limit_bytes 3.3554432e+07\n")() {
				t.Error("no metric")
			}
			said, _ := tool(t, name, "doctor", "--config", d.file) // other things may be bad
			if !strings.Contains(said, "look  memory: at most 32 MiB (four fifths of what its control group may have)") {
				t.Errorf("doctor says:\n%s", said)
			}
		})
	}
}
