package source

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
)

// TestDefaultsOfThePage: what docs/configuration.md says in brackets behind a key of a
// source is what an absent key means.
func TestDefaultsOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.SplitSeq(string(page), "\n") {
		if kind, row, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` | "); ok && strings.HasPrefix(line, "| `") {
			rows[kind] += row
		}
	}
	short := func(d time.Duration) string {
		text := d.String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = text[:len(text)-2]
			}
		}
		return text
	}
	file := must(NewFile(FileConfig{Options: options("f"), FS: durable.OS{}, Path: "/x"}))(t)
	serial := must(NewSerial(SerialConfig{Options: options("s"), FS: durable.OS{}, Device: "/dev/x"}))(t)
	udp := must(NewUDP(UDPConfig{Options: options("u"), Listen: "127.0.0.1:0"}))(t)
	node := must(NewNode(NodeConfig{Options: options("n"), Device: "/dev/x"}))(t)
	acked := must(NewAcked(AckedConfig{Options: options("a"), Listen: "127.0.0.1:0"}))(t)
	tcp := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: "127.0.0.1:0"}))(t)
	for _, one := range []struct{ row, says string }{
		{"file", fmt.Sprintf("`poll_interval` (`%s`)", short(file.cfg.PollInterval))},
		{"file", fmt.Sprintf("`grace` (`%s`;", short(file.cfg.Grace))},
		{"serial", fmt.Sprintf("`baud` (%d)", serial.cfg.Baud)},
		{"serial", fmt.Sprintf("`stale_after` (`%s`)", short(serial.cfg.StaleAfter))},
		{"udp", fmt.Sprintf("`max_senders` (%d)", udp.cfg.MaxSenders)},
		{"node", fmt.Sprintf("`baud` (%d)", node.cfg.Baud)},
		{"acked", fmt.Sprintf("`max_clients` (%d)", acked.slots.max)},
		{"acked", fmt.Sprintf("`max_senders` (%d,", acked.cfg.MaxSenders)},
		{"tcp_server", fmt.Sprintf("`max_clients` (%d)", tcp.slots.max)},
		{"tcp_server", fmt.Sprintf("`idle_timeout` (`%s`:", short(tcp.idle))},
		{"broker.max_payload", fmt.Sprintf("`%dMiB` |", DefaultMaxPayload>>20)},
		{"remember", fmt.Sprintf("`%d` |", DefaultRemember)},
	} {
		if !strings.Contains(rows[one.row], one.says) {
			t.Errorf("the row of %s does not say %s: %s", one.row, one.says, rows[one.row])
		}
	}
	if tcp.slots.perHost != 16+tcp.slots.max/8 || !strings.Contains(rows["tcp_server"], "`max_clients_per_host` (16 and an eighth of `max_clients`)") {
		t.Errorf("%d of %d places are one host's at most", tcp.slots.perHost, tcp.slots.max)
	}
}
