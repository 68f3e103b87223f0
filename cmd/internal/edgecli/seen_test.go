package edgecli

import (
	"bytes"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/source"
)

// TestTrialsAreJudged: what a person is told of what was seen.
func TestTrialsAreJudged(t *testing.T) {
	broker := &agent.MQTTConfig{Topics: []agent.MQTTTopicConfig{{Filter: "a"}}}
	mqtt, spark, plc := agent.SourceConfig{MQTT: broker}, agent.SourceConfig{Sparkplug: &agent.SparkplugConfig{}}, agent.SourceConfig{Modbus: &agent.ModbusConfig{}}
	port, peer := agent.SourceConfig{Serial: &agent.SerialConfig{}}, agent.SourceConfig{TCPClient: &agent.TCPClientConfig{}}
	open := func(lines int) agent.Seen {
		return agent.Seen{State: source.StateOpen, OK: true, Lines: lines, Bytes: uint64(lines)}
	}
	absent := func(detail string) agent.Seen { return agent.Seen{State: source.StateAbsent, Detail: detail} }
	rejects, low, noise, bad := open(4), open(4), open(9), open(3)
	rejects.Rejected, low.Downgraded, noise.Sentences = 1, 3, map[string]int{"": 6, "GPZDA": 3}
	bad.OK, bad.Detail = false, "tcp://plc:502; unit 1, holding:999: illegal data address"
	for _, tt := range []struct {
		name string
		src  agent.SourceConfig
		seen agent.Seen
		want cli.Verdict
		hint string
	}{
		{"flows", mqtt, open(1), cli.Good, ""},
		{"quiet broker", mqtt, open(0), cli.Look, "access list hides"},
		{"quiet nodes", spark, open(0), cli.Look, "no node said anything"},
		{"quiet port", port, open(0), cli.Look, "a wrong rate"},
		{"quiet peer", peer, open(0), cli.Look, "a quiet sender?"},
		{"nobody", agent.SourceConfig{TCPServer: &agent.TCPServerConfig{}}, open(0), cli.Look, "nobody connected"},
		{"no datagrams", agent.SourceConfig{UDP: &agent.UDPConfig{}}, open(0), cli.Look, "firewall"},
		{"no readings", mqtt, rejects, cli.Look, "1 of 4 messages hold no reading"},
		{"births unknown", spark, rejects, cli.Good, ""},
		{"QoS 0", mqtt, low, cli.Look, "3 of 4 messages come at QoS 0, though 1 is asked for"},
		{"noise", port, noise, cli.Look, "baud is 38400 here"},
		{"password", mqtt, absent("connect: not Authorized"), cli.Bad, "username_file"},
		{"authority", spark, absent("x509: certificate signed by unknown authority"), cli.Bad, "ca_file"},
		{"plain and TLS", mqtt, absent("read: connection reset by peer"), cli.Bad, "mqtts://"},
		{"refused", mqtt, absent("subscribe to a: the broker refuses"), cli.Bad, "access list for this name"},
		{"off", peer, absent("dial tcp: connection refused"), cli.Bad, "nobody listens"},
		{"taken", port, absent("open: device busy: another process has it"), cli.Bad, "landfall-edge status"},
		{"register", plc, bad, cli.Bad, "no such register"},
		{"says it itself", port, absent("it is not plugged in"), cli.Bad, ""},
	} {
		trial := judge(&tt.src, &tt.seen)
		text := strings.Join(trial.Hints, "; ")
		if trial.Verdict != tt.want || (tt.hint == "") != (text == "") || !strings.Contains(text, tt.hint) {
			t.Errorf("%s: %s %q, want %s %q", tt.name, trial.Verdict, text, tt.want, tt.hint)
		}
	}
}

// TestTrialsArePrinted: a line, the sentences by kind, what came, and the hints.
func TestTrialsArePrinted(t *testing.T) {
	s := agent.Seen{Source: "roof", Kind: "serial", Where: "/dev/ttyUSB0", State: source.StateOpen, OK: true, Lines: 3, Bytes: 60,
		Sentences: map[string]int{"SDDBT": 1, "GPZDA": 1, "": 1}, Sample: []string{`"$GPZDA"`}}
	var b bytes.Buffer
	trial := judge(&agent.SourceConfig{Serial: &agent.SerialConfig{}}, &s)
	trial.Hints = append(trial.Hints, "a hint")
	if err := trial.print(&b); err != nil {
		t.Fatal(err)
	}
	want := "ok    roof (serial /dev/ttyUSB0): open, 3 lines, 60 bytes: GPZDA 1, SDDBT 1, no sentence, or a wrong checksum 1\n        \"$GPZDA\"\n      > a hint\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
