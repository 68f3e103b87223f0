package edgecli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/source"
)

// Trial is what was seen of a source, and what a person makes of it.
type Trial struct {
	*agent.Seen
	Verdict cli.Verdict `json:"verdict"`
	Hints   []string    `json:"hints"` // what to look at, where the verdict is not ok
}

// judge says what to make of what was seen.
func judge(src *agent.SourceConfig, s *agent.Seen) *Trial {
	t := &Trial{Seen: s, Verdict: cli.Good, Hints: []string{}}
	hint := func(format string, args ...any) {
		t.Verdict, t.Hints = cli.Look, append(t.Hints, fmt.Sprintf(format, args...))
	}
	speaks := s.State == source.StateOpen && s.Kind != "acked"
	noise := s.Sentences[""]
	switch {
	case speaks && s.Lines == 0 && s.Bytes == 0:
		hint("%s", silence(src, s))
	case src.Serial != nil && noise > 1 && 2*noise > s.Lines:
		hint("most of it is no sentence: another rate? baud is %d here", cmp.Or(src.Serial.Baud, 38400))
	}
	if s.Rejected > 0 && src.Sparkplug == nil {
		hint("%d of %d messages hold no reading that the configuration names; they are kept, with the reason", s.Rejected, s.Lines)
	}
	if s.Downgraded > 0 {
		hint("%d of %d messages come at QoS 0, though %d is asked for: that is their publishers' to change. The broker sends such a message once, so it is at most once", s.Downgraded, s.Lines, src.MQTT.QualityOfService())
	}
	if s.Unidentified > 0 && src.Identified() {
		hint("%d of %d messages have no time or number that can be used, so they are not exactly once: are time_field, time_unit and sequence_field right?", s.Unidentified, s.Lines)
	}
	if !s.OK {
		t.Verdict = cli.Bad
		if cure := cure(src, s); cure != "" {
			t.Hints = append(t.Hints, cure)
		}
	}
	return t
}

// silence says what may be behind an open source of which nothing came.
func silence(src *agent.SourceConfig, s *agent.Seen) string {
	switch {
	case src.MQTT != nil:
		return "subscribed, and nothing was published meanwhile. A broker whose access list hides the topics without refusing them looks the same: publish one message by hand"
	case src.Sparkplug != nil:
		return "subscribed, and no node said anything meanwhile: is groups right, and may this name read spBv1.0/#?"
	case src.TCPServer != nil && s.Peers == 0:
		return "nobody connected"
	case src.UDP != nil:
		return "no datagram came: is anything sent to this port, and does a firewall let it in?"
	case src.Serial != nil, src.Node != nil:
		return "nothing came: a wrong rate, a wire, or a quiet sender?"
	}
	return "nothing came: a quiet sender?"
}

// cures are what to look at, by words of an error.
var cures = []struct{ kinds, words, cure string }{
	{"mqtt sparkplug", "not Authorized", "the broker does not know the name, or the password: username_file, password_file"},
	{"mqtt sparkplug", "bad user name or password", "the broker does not know the name, or the password: username_file, password_file"},
	{"mqtt sparkplug", "certificate signed by unknown authority", "ca_file must name who signed the broker's certificate"},
	{"mqtt sparkplug", "certificate is valid for", "server_name must be a name that stands in the broker's certificate"},
	{"mqtt sparkplug", "certificate required", "the broker wants a certificate of the gateway: cert_file and key_file"},
	{"mqtt sparkplug", "first record does not look like a TLS handshake", "this port speaks no TLS: mqtt:// in place of mqtts://"},
	{"mqtt", "the broker refuses", "the broker's access list for this name, or its bound on QoS"},
	{"mqtt sparkplug", "connection reset", "the broker ended it at once: does this port speak TLS (mqtts://), or none (mqtt://)?"},
	{"mqtt sparkplug", "EOF", "the broker ended it at once: does this port speak TLS (mqtts://), or none (mqtt://)?"},
	{"tcp_client mqtt sparkplug modbus", "connection refused", "nobody listens there: is it on, and are host and port right?"},
	{"tcp_client mqtt sparkplug modbus", "no such host", "this name is not known here: is it right, and does DNS work?"},
	{"tcp_client mqtt sparkplug modbus", "i/o timeout", "nobody answers there: is the address right, and does a firewall let it through?"},
	{"", "address already in use", "a gateway that runs has it? landfall-edge status says how it stands"},
	{"", "another process has it", "a gateway that runs has it? landfall-edge status says how it stands"},
	{"", "another gateway has it", "landfall-edge status says how it stands"},
	{"modbus", "illegal data address", "the device has no such register: manuals count from 1 (40001), some devices from 0 (holding:0)"},
	{"modbus", "illegal function", "the device does not have this table: holding registers are 4xxxx, input registers 3xxxx"},
	{"modbus", "timed out", "no answer: unit, baud, parity and wires; over TCP unit and timeout"},
}

// cure says what an error of a source calls for; empty: the error says it.
func cure(src *agent.SourceConfig, s *agent.Seen) string {
	for _, c := range cures {
		if (c.kinds == "" || slices.Contains(strings.Fields(c.kinds), src.Kind())) && strings.Contains(s.Detail, c.words) {
			return c.cure
		}
	}
	return ""
}

// print prints the trial: a line, what came, and the hints.
func (t *Trial) print(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%-5s %s (%s %s): %s\n", t.Verdict, t.Source, t.Kind, t.Where, t.what()); err != nil {
		return err
	}
	for _, line := range t.Sample {
		if _, err := fmt.Fprintf(out, "        %s\n", line); err != nil {
			return err
		}
	}
	for _, h := range t.Hints {
		if _, err := fmt.Fprintf(out, "      > %s\n", cli.Wrap(h, 100, "        ")); err != nil {
			return err
		}
	}
	return nil
}

// what says in a line how it stands and how much came.
func (t *Trial) what() string {
	switch {
	case t.State != source.StateOpen && t.State != source.StateFinished:
		return fmt.Sprintf("%s: %s", t.State, t.Detail)
	case t.Kind == "acked":
		return t.Detail
	}
	unit := "lines"
	switch t.Kind {
	case "mqtt", "sparkplug":
		unit = "messages"
	case "modbus":
		unit = "answers"
	}
	what := fmt.Sprintf("%s, %d %s, %d bytes", t.State, t.Lines, unit, t.Bytes)
	if t.Kind == "modbus" && t.Detail != t.Where {
		what += strings.TrimPrefix(t.Detail, t.Where)
	}
	if kinds := t.kinds(); kinds != "" {
		what += ": " + kinds
	}
	return what
}

// kinds counts the kinds of sentence.
func (t *Trial) kinds() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(t.Sentences)) {
		if name != "" && len(all) < 12 {
			all = append(all, fmt.Sprintf("%s %d", name, t.Sentences[name]))
		}
	}
	if n := t.Sentences[""]; n > 0 {
		all = append(all, fmt.Sprintf("no sentence, or a wrong checksum %d", n))
	}
	return strings.Join(all, ", ")
}
