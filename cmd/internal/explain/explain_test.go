package explain

import (
	"bytes"
	"strings"
	"testing"

	"landfall/edge/agent"
)

func gateway(policy string) *agent.Config {
	c := agent.Default()
	c.Log.WhenFull = policy
	c.Sources = []agent.SourceConfig{
		{Name: "f", File: &agent.FileConfig{Path: "/x", Follow: true}},
		{Name: "a", Acked: &agent.AckedConfig{Listen: "127.0.0.1:1", MinVersion: 2}},
		{Name: "t", TCPClient: &agent.TCPClientConfig{Address: "h:1"}},
		{Name: "s", TCPServer: &agent.TCPServerConfig{Listen: ":1"}},
		{Name: "u", UDP: &agent.UDPConfig{Listen: ":1"}},
		{Name: "k", Sparkplug: &agent.SparkplugConfig{}},
		{Name: "b", Modbus: &agent.ModbusConfig{URL: "tcp://h:502"}},
		{Name: "p", Serial: &agent.SerialConfig{Device: "/dev/ttyUSB0"}},
		{Name: "n", Node: &agent.NodeConfig{Device: "/dev/ttyUSB1"}},
	}
	return &c
}

func TestOnlySourcesThatResendAreExact(t *testing.T) {
	c := gateway("block")
	for i, h := range Edge(c)[:len(c.Sources)] {
		want := AtMostOnce
		if c.Sources[i].Resends() {
			want = ExactlyOnce
		}
		if h.Guarantee != want || h.Commit != "C1" || h.Why == "" || !strings.HasPrefix(h.From, c.Sources[i].Name+" (") {
			t.Errorf("%+v: want %s", h, want)
		}
	}
}

// TestMessagesNeedAnIdentity: without one, or at QoS 0, they are not exact.
func TestMessagesNeedAnIdentity(t *testing.T) {
	zero := 0
	with := agent.MQTTTopicConfig{Filter: "a", SequenceField: "n"}
	without, shared, two := agent.MQTTTopicConfig{Filter: "hall/#"}, with, 2
	shared.Filter = "$share/g/a"
	for _, tt := range []struct {
		mqtt agent.MQTTConfig
		want Guarantee
		says []string // of why or a limit
	}{
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}}, ExactlyOnce, []string{"with the same bytes are taken for one", "mqtt.remember (16384)", "publisher sends at QoS 0 comes at QoS 0", "max_queued_messages"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}, QoS: &two, Remember: 99}, ExactlyOnce, []string{"QoS 2 is not trusted alone", "mqtt.remember (99)"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, without}}, AtLeastOnce, []string{"(hall/#)", "with the same bytes are taken for one"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{without}, QoS: &two}, AtLeastOnce, []string{"(hall/#)", "QoS 2 is not trusted alone"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, shared}}, AtLeastOnce, []string{"shared subscriptions ($share/g/a)"}},
		{agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}, QoS: &zero}, AtMostOnce, []string{"QoS is 0"}},
	} {
		c := agent.Default()
		c.Sources = []agent.SourceConfig{{Name: "m", MQTT: &tt.mqtt}}
		h := Edge(&c)[0]
		text := h.Why + strings.Join(h.Limits, " ")
		if h.Guarantee != tt.want || len(h.Limits) == 0 {
			t.Errorf("%+v: want %s", h, tt.want)
		}
		for _, part := range tt.says {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in %s", part, text)
			}
		}
	}
}

// TestWhatIsSeenIsSaid: a gateway that runs has another guarantee where what came is
// not what the configuration promises, with the number; what is configured stays.
func TestWhatIsSeenIsSaid(t *testing.T) {
	c := agent.Default()
	with, without := agent.MQTTTopicConfig{Filter: "a", TimeField: "ts", TimeUnit: "ms"}, agent.MQTTTopicConfig{Filter: "b"}
	c.Sources = []agent.SourceConfig{
		{Name: "m", MQTT: &agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with}}},
		{Name: "mixed", MQTT: &agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{with, without}}},
		{Name: "n", Node: &agent.NodeConfig{}}, {Name: "a", Acked: &agent.AckedConfig{}}, {Name: "f", File: &agent.FileConfig{}},
	}
	for name, tt := range map[string]struct {
		kind   string
		counts agent.SourceCounters
		words  string // of the source's line
		why    string
	}{
		"m: nothing":   {"mqtt", agent.SourceCounters{Duplicates: 3, Rejected: 1}, "exactly once", ""},
		"m: no times":  {"mqtt", agent.SourceCounters{Unidentified: 153, PossiblyTwice: 63}, "exactly once configured, at least once seen", "153 messages"},
		"m: QoS 0":     {"mqtt", agent.SourceCounters{Downgraded: 7}, "exactly once configured, at most once seen", "7 messages came at QoS 0"},
		"m: forgotten": {"mqtt", agent.SourceCounters{Unidentified: 1, Forgotten: 2}, "exactly once configured, at least once and at most once seen", "2 times"},
		"mixed: any":   {"mqtt", agent.SourceCounters{Unidentified: 5, PossiblyTwice: 4}, "at least once", "4 of them"},
		"n: moved":     {"node", agent.SourceCounters{Moved: 1, PossiblyTwice: 16}, "exactly once configured, at least once seen", "16 readings"},
		"n: early":     {"node", agent.SourceCounters{Moved: 1}, "exactly once", ""},
		"a: moved":     {"acked", agent.SourceCounters{Moved: 2}, "at most once", "2 senders"},
		"f: repeats":   {"file", agent.SourceCounters{Duplicates: 1}, "exactly once", ""},
	} {
		source, _, _ := strings.Cut(name, ":")
		all := Edge(&c)
		Observe(all, &c, &agent.Status{StartedAt: "2026-01-02T03:04:05Z", Sources: []agent.SourceStatus{{Name: "gone", Kind: "mqtt"}, {Name: source, Kind: tt.kind, SourceCounters: tt.counts}}})
		var b bytes.Buffer
		if err := Text(&b, all); err != nil {
			t.Fatal(err)
		}
		for _, h := range all {
			line := h.From + " -> edge log (C1): "
			if !strings.HasPrefix(h.From, source+" ") {
				if h.SeenWhy != "" {
					t.Errorf("%s: %s says %q", name, h.From, h.SeenWhy)
				}
				continue
			}
			if !strings.Contains(b.String(), line+tt.words+"\n") || (tt.why == "") != (h.SeenWhy == "") || !strings.Contains(h.SeenWhy, tt.why) {
				t.Errorf("%s: %q in\n%s", name, h.SeenWhy, b.String())
			}
			if tt.why != "" && !strings.Contains(b.String(), "    seen: since 2026-01-02T03:04:05Z: ") {
				t.Errorf("%s: not since when:\n%s", name, b.String())
			}
		}
	}
}

// TestVersion1OfTheAcknowledgedProtocolIsNotExact: exactly once is said only where no
// sender of version 1 is taken.
func TestVersion1OfTheAcknowledgedProtocolIsNotExact(t *testing.T) {
	for _, tt := range []struct {
		acked agent.AckedConfig
		want  Guarantee
		says  string
	}{
		{agent.AckedConfig{}, AtMostOnce, "acknowledged and not captured"},
		{agent.AckedConfig{MinVersion: 1, Allow: []string{"10.0.0.1"}}, AtMostOnce, "acknowledged and not captured"},
		{agent.AckedConfig{MinVersion: 2}, ExactlyOnce, "whoever reaches the port"},
		{agent.AckedConfig{TokenFile: "/t"}, ExactlyOnce, "new epoch"},
	} {
		c := agent.Default()
		c.Sources = []agent.SourceConfig{{Name: "a", Acked: &tt.acked}}
		h := Edge(&c)[0]
		limits := strings.Join(h.Limits, " ")
		if h.Guarantee != tt.want || !strings.Contains(limits, tt.says) ||
			(tt.want == ExactlyOnce) == strings.Contains(limits, "not captured") {
			t.Errorf("%+v: %+v", tt.acked, h)
		}
	}
}

// TestLimitsOfSourcesThatResend: exactly once is never said of them without
// what it rests on.
func TestLimitsOfSourcesThatResend(t *testing.T) {
	c := gateway("block")
	for i, h := range Edge(c)[:len(c.Sources)] {
		if c.Sources[i].Resends() && len(h.Limits) == 0 {
			t.Errorf("%s is said to be exact without a limit", h.From)
		}
	}
}

func TestSheddingIsALimit(t *testing.T) {
	sheds := func(policy string) bool {
		var b bytes.Buffer
		if err := Text(&b, Edge(gateway(policy))); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(b.String(), "limit: when_full is shed-oldest")
	}
	if sheds("block") || !sheds("shed-oldest") {
		t.Error("the policy is not explained")
	}
}

// TestLimitsNameWhatIdentifiesFilesAndSessions: a file is known by parts of its content,
// and a session of a broker by a name that others may use.
func TestLimitsNameWhatIdentifiesFilesAndSessions(t *testing.T) {
	c := agent.Default()
	c.Sources = []agent.SourceConfig{
		{Name: "f", File: &agent.FileConfig{Path: "/x", Follow: true}},
		{Name: "m", MQTT: &agent.MQTTConfig{}},
	}
	all := Edge(&c)
	for i, want := range []string{"the first 1,024 bytes and the 256 before the position",
		"with this client_id takes the session over"} {
		if limits := strings.Join(all[i].Limits, " "); !strings.Contains(limits, want) {
			t.Errorf("%s: the limits are %q", all[i].From, limits)
		}
	}
}
