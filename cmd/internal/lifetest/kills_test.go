//go:build linux

package lifetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// killsText is what a message holds of which the gateways of these tests die.
const killsText = "POISON of which every gateway dies"

// killsStatus is what is read of the gateway's status here.
type killsStatus struct {
	Healthy bool     `json:"healthy"`
	Reasons []string `json:"reasons"`
	Sources []struct {
		Name      string `json:"name"`
		State     string `json:"state"`
		Records   uint64 `json:"records"`
		Kills     uint64 `json:"kills"`
		Takeovers uint64 `json:"takeovers"`
	} `json:"sources"`
	Care struct {
		Noting  bool `json:"noting"`
		Refused []struct {
			Source  string `json:"source"`
			Address string `json:"address"`
		} `json:"refused"`
	} `json:"care"`
}

func (d *daemon) kills() (s killsStatus) {
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

// records are how many a source has; 0: there is no such source.
func (s *killsStatus) records(source string) uint64 {
	for i := range s.Sources {
		if s.Sources[i].Name == source {
			return s.Sources[i].Records
		}
	}
	return 0
}

// mosquitto starts a real broker, and a client that publishes at QoS 1.
func mosquitto(t *testing.T, work string) (b *broker, publish func(topic, payload string)) {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	b = &broker{t: t, conf: work + "/mosquitto.conf", address: freePort(t)}
	_, port, _ := net.SplitHostPort(b.address)
	put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_messages 0\n", port))
	b.restart()
	t.Cleanup(b.stop)
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("publisher"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { p.Disconnect(0) })
	return b, func(topic, payload string) {
		t.Helper()
		if token := p.Publish(topic, 1, false, payload); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
	}
}

// captured returns what the log in a data directory holds, a line a record.
func captured(t *testing.T, dir string) string {
	t.Helper()
	segments, err := filepath.Glob(dir + "/log/*.seg")
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	out, err := tool(t, "landfall-edge", append([]string{"inspect", "--records"}, segments...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// TestAMessageThatKillsTheGateway: a gateway dies of a message of a real broker, and of a
// line of a file, each time that it reads it; by SIGKILL, or ended by the Go runtime, and
// also at each step of what it notes and decides. In the end each of the two is a record,
// once, with the reason; every other message and line is captured once; the broker sends
// nothing again; and it is told.
func TestAMessageThatKillsTheGateway(t *testing.T) {
	work := t.TempDir()
	b, publish := mosquitto(t, work)
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "$GPXXX,%d\n", i)
		if i == 20 {
			fmt.Fprintf(&lines, "$GPXXX,%s\n", killsText)
		}
	}
	put(t, work+"/recorded.nmea", lines.String())
	radio := freePort(t)
	config := fmt.Sprintf(`gateway: ada
data_dir: %[1]s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtt://%[2]s"}
      topics: [{filter: plant/#, sequence_field: n}]
  - {name: recorded, file: {path: %[1]s/recorded.nmea, follow: true}}
  - {name: radio, tcp_server: {listen: %[3]q}}
forward: {url: "http://%[4]s/"}
`, work, b.address, radio, freePort(t))
	// The first life subscribes, so that the broker keeps what comes.
	edge := run(t, "landfall-edge", strings.Replace(config, "recorded.nmea, follow", "absent, follow", 1))
	until(t, "the gateway is subscribed", func() bool { s := edge.kills(); return len(s.Sources) == 3 && s.Sources[0].State == "open" })
	if code := edge.stop(); code != 0 {
		t.Fatalf("it ended with %d", code)
	}
	for i := range 40 {
		publish("plant/a", fmt.Sprintf(`{"n":%d,"v":1}`, i+1))
		if i == 20 {
			publish("plant/a", fmt.Sprintf(`{"n":1000,"v":%q}`, killsText))
		}
	}
	steps := []string{"", "", "care.in-hand", "", "", "care.before-refusal", "care.after-refusal", ""}
	deaths := 0
	for {
		env := []string{"LANDFALL_POISON=" + killsText}
		if deaths%2 == 1 {
			env = append(env, "LANDFALL_POISON_ACT=stack")
		}
		note := filepath.Join(work, fmt.Sprintf("%d.hit", deaths))
		if len(steps) > 0 && steps[0] != "" {
			env = append(env, "LANDFALL_FAILPOINT="+steps[0]+"=1", "LANDFALL_FAILPOINT_LOG="+note)
		}
		edge = begin(t, "landfall-edge", config, env...)
		all, over := false, false
		until(t, "it dies, or all is captured", func() bool {
			s := edge.kills()
			all = len(s.Care.Refused) == 2 && s.Sources[0].Kills+s.Sources[1].Kills > 0
			select {
			case <-edge.ended:
				over = true
			default:
			}
			return all || over
		})
		if !over {
			break
		}
		hit, _ := os.ReadFile(note) // absent: it died of what it read
		if step := strings.TrimSpace(string(hit)); len(steps) > 0 && (steps[0] == "" || step != "") {
			steps = steps[1:]
		}
		if deaths++; deaths > 30 {
			t.Fatalf("it dies for ever:\n%s", edge.printed())
		}
	}
	if t.Logf("%d deaths", deaths); len(steps) > 0 {
		t.Errorf("steps that were not reached: %q", steps)
	}
	conn, err := net.Dial("tcp", radio)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "$GPXXX,radio\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	publish("plant/a", `{"n":2000,"v":1}`)
	until(t, "what came behind them", func() bool {
		s := edge.kills()
		return s.records("radio") == 1 && s.records("plc") > 0 && !s.Healthy && strings.Contains(strings.Join(s.Reasons, "; "), "died three times")
	})
	if m := edge.ask("/metrics"); !strings.Contains(m, `landfall_edge_source_kills_total{source="plc"} 1`) && !strings.Contains(m, `landfall_edge_source_kills_total{source="recorded"} 1`) {
		t.Error("it is no metric")
	}
	if code := edge.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	// A life that dies of nothing: whatever the broker or the file gave again would be seen.
	edge = run(t, "landfall-edge", config)
	publish("plant/a", `{"n":3000,"v":1}`)
	until(t, "the last message", func() bool { s := edge.kills(); return s.records("plc") >= 1 })
	if code := edge.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	text := captured(t, work+"/edge")
	count := func(part string) int { return strings.Count(text, part) }
	for i := range 40 {
		if n := count(fmt.Sprintf(`{\"n\":%d,\"v\":1}`, i+1)); n != 1 {
			t.Errorf("message %d is there %d times", i+1, n)
		}
		if n := count(fmt.Sprintf(`"$GPXXX,%d"`, i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
	if n := count(killsText); n != 2 {
		t.Errorf("what kills is there %d times, want the message and the line", n)
	}
	if count("rejected: kills") != 1 || count("[kills]") != 1 {
		t.Errorf("%d messages and %d lines have the reason", count("rejected: kills"), count("[kills]"))
	}
}

// TestKillsOfAGatewayBlameNobody: a gateway that reads a file and a real broker is killed
// sixty times, at any moment, and each third time with a message in hand. It refuses
// nothing, and everything is captured once.
func TestKillsOfAGatewayBlameNobody(t *testing.T) {
	work := t.TempDir()
	b, publish := mosquitto(t, work)
	config := fmt.Sprintf(`gateway: ada
data_dir: %[1]s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
capture: {group_interval: 5ms}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtt://%[2]s"}
      topics: [{filter: plant/#, sequence_field: n}]
  - {name: recorded, file: {path: %[1]s/recorded.nmea, follow: true, poll_interval: 5ms}}
forward: {url: "http://%[3]s/"}
`, work, b.address, freePort(t))
	put(t, work+"/recorded.nmea", "")
	file, err := os.OpenFile(work+"/recorded.nmea", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	edge := run(t, "landfall-edge", config)
	until(t, "the gateway is subscribed", func() bool { s := edge.kills(); return len(s.Sources) == 2 && s.Sources[0].State == "open" })
	rng := rand.New(rand.NewPCG(20, 1))
	lines, messages := 0, 0
	more := func() {
		for range 20 {
			fmt.Fprintf(file, "$GPXXX,line,%d\n", lines)
			lines++
		}
		for range 5 {
			messages++
			publish("plant/a", fmt.Sprintf(`{"n":%d,"v":1}`, messages))
		}
	}
	const kills = 60
	for i := range kills {
		more()
		if i%3 != 2 {
			select {
			case <-edge.ended:
			case <-time.After(time.Duration(rng.IntN(400)) * time.Millisecond): // when it is killed
				_ = edge.cmd.Process.Kill()
			}
		}
		<-edge.ended
		var env []string
		if i%3 == 1 { // the next one dies with what it reads in hand
			env = append(env, fmt.Sprintf("LANDFALL_FAILPOINT=care.in-hand=%d", 1+rng.IntN(15)))
		}
		edge = begin(t, "landfall-edge", config, env...)
	}
	more()
	until(t, "everything is captured", func() bool { s := edge.kills(); return s.records("recorded") > 0 && s.records("plc") > 0 })
	all := func() bool {
		text := captured(t, work+"/edge")
		return strings.Contains(text, fmt.Sprintf(`"$GPXXX,line,%d"`, lines-1)) && strings.Contains(text, fmt.Sprintf(`{\"n\":%d,\"v\":1}`, messages))
	}
	until(t, "the last line and message", all)
	if s := edge.kills(); len(s.Care.Refused) > 0 || s.Sources[0].Kills+s.Sources[1].Kills > 0 || !s.Care.Noting {
		t.Errorf("%+v", s.Care)
	}
	if code := edge.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	text := captured(t, work+"/edge")
	for i := range lines {
		if n := strings.Count(text, fmt.Sprintf(`"$GPXXX,line,%d"`, i)); n != 1 {
			t.Errorf("line %d is there %d times", i, n)
		}
	}
	for i := range messages {
		if n := strings.Count(text, fmt.Sprintf(`{\"n\":%d,\"v\":1}`, i+1)); n != 1 {
			t.Errorf("message %d is there %d times", i+1, n)
		}
	}
	if strings.Contains(text, "kills") {
		t.Error("something is refused")
	}
}

// TestTakeoversAreCounted: another client with the gateway's client id is counted and
// told; a broker that was gone for a while is not taken for one.
func TestTakeoversAreCounted(t *testing.T) {
	work := t.TempDir()
	b, _ := mosquitto(t, work)
	edge := run(t, "landfall-edge", fmt.Sprintf(`gateway: ada
data_dir: %[1]s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: plc
    mqtt:
      broker: {url: "mqtt://%[2]s", client_id: mine}
      topics: [{filter: plant/#, sequence_field: n}]
forward: {url: "http://%[3]s/"}
`, work, b.address, freePort(t)))
	open := func() bool { s := edge.kills(); return len(s.Sources) == 1 && s.Sources[0].State == "open" }
	until(t, "the gateway is subscribed", open)
	b.stop()
	until(t, "the broker is missed", edge.says("/status", "connection refused"))
	b.restart()
	until(t, "the gateway is back", open)
	if s := edge.kills(); s.Sources[0].Takeovers != 0 {
		t.Errorf("a broker that was gone: %d takeovers", s.Sources[0].Takeovers)
	}
	for n := uint64(1); n <= 2; n++ {
		other := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("mine").SetCleanSession(false).SetAutoReconnect(false))
		if token := other.Connect(); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
		until(t, "the takeover is counted", func() bool { s := edge.kills(); return len(s.Sources) == 1 && s.Sources[0].Takeovers == n })
		other.Disconnect(0)
		until(t, "the gateway has its session again", open)
	}
	if s := edge.kills(); s.Healthy || !strings.Contains(strings.Join(s.Reasons, "; "), "another client has its client_id") {
		t.Errorf("%q", s.Reasons)
	}
	if !edge.says("/metrics", `landfall_edge_source_takeovers_total{source="plc"} 2`)() {
		t.Error("it is no metric")
	}
}
