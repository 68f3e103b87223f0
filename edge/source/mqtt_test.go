package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"landfall/decoders/sensor"
)

// broker is a mosquitto of the test's own, on one port for its life.
type broker struct {
	t    testing.TB
	conf string
	addr string
	cmd  *exec.Cmd
}

func newBroker(t testing.TB, settings string) *broker {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real broker: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, addr: ln.Addr().String(), conf: filepath.Join(t.TempDir(), "mosquitto.conf")}
	_ = ln.Close()
	_, port, _ := net.SplitHostPort(b.addr)
	text := fmt.Sprintf("listener %s 127.0.0.1\nuser root\nmax_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n%s", port, settings)
	if err := os.WriteFile(b.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *broker) url() string { return "mqtt://" + b.addr }

func (b *broker) start() {
	b.t.Helper()
	b.cmd = exec.Command("mosquitto", "-c", b.conf)
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the broker listens", func() bool {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *broker) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}

// publisher gives a client that publishes at QoS 1.
func (b *broker) publisher(name string) mqtt.Client {
	b.t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url()).SetClientID(name).SetAutoReconnect(false))
	token := c.Connect()
	if token.Wait(); token.Error() != nil {
		b.t.Fatal(token.Error())
	}
	b.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func publish(t testing.TB, c mqtt.Client, topic, payload string, retained bool) {
	t.Helper()
	token := c.Publish(topic, 1, retained, payload)
	if token.Wait(); token.Error() != nil {
		t.Fatal(token.Error())
	}
}

// durableSink keeps batches and makes them durable when told to.
type durableSink struct {
	mu      sync.Mutex
	reports []sensor.Report
	marks   map[string][]byte
	hold    bool // nothing becomes durable
}

func (s *durableSink) Deliver(b *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range b.Lines {
		var r sensor.Report
		if err := r.Decode(l.Data, nil); err != nil || !l.Reading {
			return fmt.Errorf("line %q: %v", l.Data, err)
		}
		s.reports = append(s.reports, r)
	}
	if s.hold {
		return nil
	}
	if b.Mark != "" {
		s.marks[b.Mark] = b.Position
	}
	if b.Durable != nil {
		b.Durable()
	}
	return nil
}

func (s *durableSink) Position(mark string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[mark]
}

func (s *durableSink) Marks(string) []string { return nil }

func (s *durableSink) payloads() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		all = append(all, string(r.Payload))
	}
	return all
}

var numberedJSON = sensor.Mapping{Format: sensor.FormatJSON, Sensor: "{2}", SequenceField: "n"}

func mqttConfig(b *broker, qos byte) MQTTConfig {
	return MQTTConfig{Options: options("plant"), QoS: qos, Broker: BrokerConfig{URL: b.url(), ClientID: "landfall-test", StatusTopic: "gw/status"},
		Topics: []MQTTTopic{{"plant/+/numbered", numberedJSON}, {"plant/#", sensor.Mapping{Format: sensor.FormatValue, Sensor: "{2}"}}}}
}

// runMQTT runs a source until the returned function.
func runMQTT(t testing.TB, cfg MQTTConfig, sink Sink) (*MQTT, func()) {
	t.Helper()
	m, err := NewMQTT(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, sink) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	eventually(t, "the source is subscribed", func() bool {
		s := m.Status()
		return s.State == StateOpen && s.Connects > 0
	})
	return m, stop
}

// TestMessagesWaitForDurability: what is not durable is sent again after a
// restart, what is durable is not, and what is sent again although it is
// durable is known by its number.
func TestMessagesWaitForDurability(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			b := newBroker(t, "allow_anonymous true\nmax_inflight_messages 0\n")
			first := &durableSink{marks: map[string][]byte{}, hold: true}
			cfg := mqttConfig(b, qos)
			_, stop := runMQTT(t, cfg, first)
			p := b.publisher("p")
			eventually(t, "a subscription", func() bool {
				publish(t, p, "plant/x/probe", "0", false)
				return len(first.payloads()) > 0
			})
			for i := range 50 {
				publish(t, p, "plant/a/numbered", fmt.Sprintf(`{"v":1,"n":%d}`, i), false)
			}
			eventually(t, "all messages", func() bool { return slices.Contains(first.payloads(), `{"v":1,"n":49}`) })
			stop()
			second := &durableSink{marks: map[string][]byte{}}
			_, stop = runMQTT(t, cfg, second)
			eventually(t, "all messages again", func() bool { return slices.Contains(second.payloads(), `{"v":1,"n":49}`) })
			publish(t, p, "plant/a/numbered", `{"v":1,"n":7}`, false) // a publisher that sends again
			publish(t, p, "plant/a/numbered", `{"v":1,"n":50}`, false)
			eventually(t, "a new message", func() bool { return slices.Contains(second.payloads(), `{"v":1,"n":50}`) })
			if n := len(second.payloads()); n != 51+len(first.payloads())-50 {
				t.Errorf("%d messages, want 51 and the probes: %q", n, second.payloads())
			}
			stop()
			third := &durableSink{marks: second.marks}
			m, _ := runMQTT(t, cfg, third)
			publish(t, p, "plant/a/numbered", `{"v":1,"n":7}`, false)
			publish(t, p, "plant/a/numbered", `{"v":1,"n":51}`, false)
			eventually(t, "a new message", func() bool { return slices.Contains(third.payloads(), `{"v":1,"n":51}`) })
			if got := third.payloads(); len(got) != 1 || m.Status().Duplicates != 1 {
				t.Errorf("after a clean restart: %q, %d duplicates", got, m.Status().Duplicates)
			}
		})
	}
}

// TestBrokerRestart: the source comes back by itself, retained messages are
// historical and come once, and the last will says that it is gone.
func TestBrokerRestart(t *testing.T) {
	store := t.TempDir()
	b := newBroker(t, "allow_anonymous true\npersistence true\npersistence_location "+store+"/\nautosave_on_changes true\nautosave_interval 1\n")
	p := b.publisher("p")
	publish(t, p, "plant/a/kept", "5", true)
	sink := &durableSink{marks: map[string][]byte{}}
	m, stop := runMQTT(t, mqttConfig(b, 1), sink)
	eventually(t, "the retained message", func() bool { return len(sink.payloads()) == 1 })
	b.kill()
	eventually(t, "the loss", func() bool { return m.Status().State == StateAbsent })
	b.start()
	eventually(t, "the return", func() bool { return m.Status().State == StateOpen })
	p = b.publisher("p")
	status := make(chan string, 8)
	if token := p.Subscribe("gw/status", 1, func(_ mqtt.Client, m mqtt.Message) { status <- string(m.Payload()) }); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	publish(t, p, "plant/a/temperature", "21.5", false)
	eventually(t, "a message", func() bool { return slices.Contains(sink.payloads(), "21.5") })
	if n := len(sink.payloads()); n != 2 {
		t.Errorf("the retained message came again: %q", sink.payloads())
	}
	if st := m.Status(); st.Forgotten != 0 || st.Downgraded != 0 {
		t.Errorf("%d sessions forgotten, %d messages downgraded", st.Forgotten, st.Downgraded)
	}
	sink.mu.Lock()
	if r := sink.reports[0]; !r.Readings[0].Historical || r.Readings[0].Sensor != "a" || r.Readings[0].Metric != "kept" || r.Address != "plant/a/kept" {
		t.Errorf("retained: %+v", r)
	}
	if r := sink.reports[len(sink.reports)-1]; r.Readings[0].Historical || r.Readings[0].Number != 21.5 {
		t.Errorf("live: %+v", r)
	}
	sink.mu.Unlock()
	stop()
	for s := range status {
		if s == "offline" {
			break
		}
	}
}

// TestForgottenSession: a broker that was restarted without its store no longer knows
// the session. That is counted, in the same process and in the next one.
func TestForgottenSession(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	sink := &durableSink{marks: map[string][]byte{}}
	m, stop := runMQTT(t, mqttConfig(b, 1), sink)
	p := b.publisher("p")
	eventually(t, "a message", func() bool {
		publish(t, p, "plant/a/numbered", `{"v":1,"n":1}`, false)
		return len(sink.payloads()) > 0
	})
	if n := m.Status().Forgotten; n != 0 {
		t.Errorf("%d before anything was forgotten", n)
	}
	b.kill()
	b.start()
	eventually(t, "the loss is counted", func() bool { return m.Status().Forgotten == 1 })
	stop()
	b.kill()
	b.start()
	m, stop = runMQTT(t, mqttConfig(b, 1), sink)
	if n := m.Status().Forgotten; n != 1 {
		t.Errorf("%d after a restart of both", n)
	}
	stop()
	m, _ = runMQTT(t, mqttConfig(b, 1), sink)
	if n := m.Status().Forgotten; n != 0 {
		t.Errorf("%d after a restart of the source alone", n)
	}
}

// TestPublishersAtQoS0: what its publisher sends at QoS 0 is counted, in a source that
// asks for more, and one that asks for no more has nothing to count.
func TestPublishersAtQoS0(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	for _, qos := range []byte{0, 1} {
		cfg := mqttConfig(b, qos)
		cfg.Broker.ClientID = fmt.Sprint("qos", qos)
		sink := &durableSink{marks: map[string][]byte{}}
		m, stop := runMQTT(t, cfg, sink)
		p := b.publisher(fmt.Sprint("p", qos))
		eventually(t, "a subscription", func() bool {
			publish(t, p, "plant/a/numbered", `{"n":9,"v":1}`, false)
			return len(sink.payloads()) > 0
		})
		for n, at := range []byte{0, 1, 0} {
			if token := p.Publish("plant/a/numbered", at, false, fmt.Sprintf(`{"n":%d,"v":1}`, n)); token.Wait() && token.Error() != nil {
				t.Fatal(token.Error())
			}
		}
		eventually(t, "the last message", func() bool { return slices.Contains(sink.payloads(), `{"n":2,"v":1}`) })
		if got := m.Status().Downgraded; got != 2*uint64(qos) {
			t.Errorf("at QoS %d: %d", qos, got)
		}
		stop()
	}
}

func TestFilters(t *testing.T) {
	m, err := NewMQTT(MQTTConfig{Options: options("x"), Broker: BrokerConfig{URL: "mqtt://h:1", ClientID: "c"}, Topics: []MQTTTopic{{Filter: "a/+/c"}, {Filter: "a/#"}, {Filter: "$share/g/b/+"}, {Filter: "z"}}})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]int{"a/b/c": 0, "a/b": 1, "a": 1, "a/b/c/d": 1, "b/x": 2, "b": -1, "z": 3, "z/y": -1, "": -1} {
		got := -1
		for i := range m.cfg.Topics {
			if m.mapping(topic) == &m.cfg.Topics[i].Mapping {
				got = i
			}
		}
		if got != want {
			t.Errorf("%q is taken by %d, want %d", topic, got, want)
		}
	}
}

func TestMQTTConfigs(t *testing.T) {
	good := MQTTConfig{Options: options("x"), Broker: BrokerConfig{URL: "mqtts://h:8883", ClientID: "c"}, Topics: []MQTTTopic{{Filter: "a"}}}
	for name, change := range map[string]func(*MQTTConfig){
		"url": func(c *MQTTConfig) { c.Broker.URL = "h:1883" }, "scheme": func(c *MQTTConfig) { c.Broker.URL = "http://h" }, "client": func(c *MQTTConfig) { c.Broker.ClientID = "" },
		"topics": func(c *MQTTConfig) { c.Topics = nil }, "filter": func(c *MQTTConfig) { c.Topics = []MQTTTopic{{Filter: "a/#/b"}} },
		"qos": func(c *MQTTConfig) { c.QoS = 3 }, "remember": func(c *MQTTConfig) { c.Remember = -1 }, "keep": func(c *MQTTConfig) { c.Broker.KeepAlive = -1 },
	} {
		c := good
		change(&c)
		if _, err := NewMQTT(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := NewMQTT(good); err != nil {
		t.Error(err)
	}
}

// TestSeenRemembersTheNewest: over restarts, and forgets the oldest chunk only.
func TestSeenRemembersTheNewest(t *testing.T) {
	sink := newTestSink()
	s, err := openSeen("m", 64, sink)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(1000) {
		s.add(i + 1)
		name, value := s.mark()
		sink.positions[name] = value
		for back := range min(i, 48) {
			if !s.has(i + 1 - back) {
				t.Fatalf("%d forgot %d", i+1, i+1-back)
			}
		}
		if i > 100 && s.has(i-64) {
			t.Fatalf("%d still has %d", i+1, i-64)
		}
		if i%37 == 0 {
			if s, err = openSeen("m", 64, sink); err != nil {
				t.Fatal(err)
			}
		}
	}
	sink.positions["m/1"] = []byte{9}
	if _, err := openSeen("m", 64, sink); err == nil {
		t.Error("a newer mark was read")
	}
}

// TestRetainedValueComesBack: each connection brings what is retained again. Without an
// identity it is a repeat only while its value is the last that was taken of its topic:
// one that comes back after another, whether that was retained or not, is captured.
func TestRetainedValueComesBack(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	p := b.publisher("p")
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			topic, fence := fmt.Sprintf("plant/a/pump%d", qos), fmt.Sprintf("plant/b/fence%d", qos)
			sink := &durableSink{marks: map[string][]byte{}}
			cfg := mqttConfig(b, qos)
			cfg.Broker.ClientID = fmt.Sprint("retained", qos)
			cfg.Topics = []MQTTTopic{{topic, numberedJSON}, {fence, numberedJSON}}
			fences := 0
			// life is one connection: it takes what is retained, and then what is published.
			life := func(live ...string) {
				t.Helper()
				_, stop := runMQTT(t, cfg, sink)
				eventually(t, "a subscription", func() bool {
					fences++
					publish(t, p, fence, fmt.Sprintf(`{"n":%d,"v":0}`, fences), false)
					return slices.ContainsFunc(sink.payloads(), func(s string) bool { return s == fmt.Sprintf(`{"n":%d,"v":0}`, fences) })
				})
				for _, value := range live {
					publish(t, p, topic, value, true)
					eventually(t, "the live message", func() bool { all := sink.payloads(); return all[len(all)-1] == value })
				}
				stop()
			}
			// At QoS 1 the session keeps what is published meanwhile; what is retained then
			// comes after it, with the same value.
			const on, off, numbered = `{"v":1}`, `{"v":0}`, `{"v":0,"n":7}`
			publish(t, p, topic, on, true)
			life()
			life() // on again: the same message
			publish(t, p, topic, off, true)
			life()
			publish(t, p, topic, on, true)
			life() // on, off, on
			life()
			life(off) // while it is connected
			life()
			publish(t, p, topic, on, true)
			life()
			life(numbered)
			publish(t, p, topic, on, true)
			life()
			life()
			want := []string{on, off, on, off, on, numbered, on}
			var got []string
			for _, s := range sink.payloads() {
				if s == on || s == off || s == numbered {
					got = append(got, s)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestRetainedValuesAreNotForgotten: what a topic had last is known however many
// messages of others came since, over restarts, with an identity and without, also
// where it was taken before it was brought as retained; more topics than there is room
// for are forgotten, and end nothing.
func TestRetainedValuesAreNotForgotten(t *testing.T) {
	const remember, others = 256, 5000
	for _, identified := range []bool{true, false} {
		sink := newTestSink()
		s, err := openSeen("m", remember, sink)
		if err != nil {
			t.Fatal(err)
		}
		// take is what a source does with a message.
		take := func(topic, value string, retained, identified bool) (known bool) {
			hashes, known := s.recall(&message{topic: topic, payload: []byte(value), retained: retained}, identified)
			if len(hashes) > 0 {
				s.add(hashes...)
				name, mark := s.mark()
				sink.positions[name] = mark
			}
			if identified && !known {
				s.latest(&message{topic: topic, payload: []byte(value)})
			}
			return known
		}
		topics := remember / keptShare / 2 // of each of two kinds
		for i := range topics {
			if identified && i%2 == 0 { // live first: nobody says then that it is retained
				take(fmt.Sprint("t", i), "1", false, true)
			}
			if known := take(fmt.Sprint("t", i), "1", true, identified); known != (identified && i%2 == 0) {
				t.Fatalf("topic %d at first: known %v", i, known)
			}
		}
		for i := range topics {
			take(fmt.Sprint("live", i), "1", false, true)
		}
		for i := range others {
			take("others", fmt.Sprint("before", i), false, true)
		}
		for i := range topics { // the first connection since
			if !take(fmt.Sprint("live", i), "1", true, true) {
				t.Errorf("what was taken live of topic %d of %d is taken once more as retained", i, topics)
			}
		}
		for i := range others {
			take("others", fmt.Sprint(i), false, true)
			if i%97 == 0 {
				if s, err = openSeen("m", remember, sink); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range topics {
			if !take(fmt.Sprint("t", i), "1", true, identified) {
				t.Errorf("topic %d of %d, identified %v: what it had last is taken once more", i, topics, identified)
			}
			if take(fmt.Sprint("t", i), "2", true, identified) || !take(fmt.Sprint("t", i), "2", true, identified) {
				t.Errorf("topic %d, identified %v: another value", i, identified)
			}
		}
		for i := range 10 * topics {
			take(fmt.Sprint("more", i), "1", true, identified)
		}
		if !take("more"+fmt.Sprint(10*topics-1), "1", true, identified) || len(s.topics) > 2*topics {
			t.Errorf("%d topics of %d are kept", len(s.topics), 2*topics)
		}
	}
}

// TestSeenRemembersLastValues: of each topic the newest, over restarts, until as many
// others came as are remembered.
func TestSeenRemembersLastValues(t *testing.T) {
	sink := newTestSink()
	s, err := openSeen("m", 64, sink)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	values, since := map[string]string{}, map[string]int{}
	for i := range 3000 {
		topic, value := fmt.Sprint("topic", rng.IntN(4)), fmt.Sprint(rng.IntN(3))
		if since[topic] > 40 {
			topic = "topic0" // forgotten, or about to be: only what is remembered for sure is compared
		}
		if rng.IntN(3) == 0 {
			s.add(uint64(i) + 1)
		} else {
			s.add(lastTopic(topic), lastValue(topic, []byte(value)))
			values[topic], since[topic] = value, -2
		}
		name, mark := s.mark()
		sink.positions[name] = mark
		for topic, value := range values {
			if since[topic] += 2; since[topic] > 40 {
				continue
			}
			if last, ok := s.last(lastTopic(topic)); !ok || last != lastValue(topic, []byte(value)) {
				t.Fatalf("%d: %s is %x, %v; it was %s %d hashes ago", i, topic, last, ok, value, since[topic])
			}
		}
		if i%37 == 0 {
			if s, err = openSeen("m", 64, sink); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok := s.last(lastTopic("never")); ok {
		t.Error("a topic that never was has a value")
	}
}
