package archtest

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/agent"
	"landfall/edge/memory"
	"landfall/engine/server"
)

// bytesOf adds up the bounds in bytes of the rows of the table of bounds that are of a
// daemon (as "gateway", or "both").
func bytesOf(rows [][]string, of string) (sum int64) {
	for _, row := range rows {
		if who, _, _ := strings.Cut(row[0], ":"); who != of && who != "both" {
			continue
		}
		for part := range strings.SplitSeq(row[1], "; ") {
			m := boundPart.FindStringSubmatch(strings.TrimSpace(part))
			if m == nil || !strings.HasSuffix(m[2], "B") {
				continue
			}
			n, _ := strconv.ParseInt(strings.ReplaceAll(m[1], ",", ""), 10, 64)
			sum += n * unitsOf()[m[2]]
		}
	}
	return sum
}

// TestBoundsFitTheMemory: all bounds in bytes that docs/security.md states add up to no
// more than what a daemon says to need: a gateway with a source of each kind, and an
// engine as it is without settings.
func TestBoundsFitTheMemory(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := boundRows(string(page))
	gateway := agent.Default()
	gateway.Status = "127.0.0.1:1"
	gateway.Sources = []agent.SourceConfig{
		{Name: "a", MQTT: &agent.MQTTConfig{}}, {Name: "b", Sparkplug: &agent.SparkplugConfig{}}, {Name: "c", Acked: &agent.AckedConfig{}},
		{Name: "d", UDP: &agent.UDPConfig{}}, {Name: "e", TCPServer: &agent.TCPServerConfig{}, Serve: "127.0.0.1:2"},
		{Name: "f", Serial: &agent.SerialConfig{}}, {Name: "g", File: &agent.FileConfig{}}, {Name: "h", Node: &agent.NodeConfig{}},
		{Name: "i", Modbus: &agent.ModbusConfig{}}, {Name: "j", TCPClient: &agent.TCPClientConfig{}},
	}
	engine := server.Default()
	engine.Status = "127.0.0.1:1"
	for of, items := range map[string][]memory.Item{"gateway": gateway.MemoryItems(), "engine": engine.MemoryItems()} {
		sum, stated := bytesOf(rows, of), memory.Sum(items)
		t.Logf("%s: the bounds in bytes add up to %d MiB; it states %s", of, sum>>20, memory.Text(items))
		if sum == 0 || sum > stated {
			t.Errorf("%s: the bounds add up to %d MiB, and it says to need %d", of, sum>>20, stated>>20)
		}
	}
}

func TestBoundsAreAddedUp(t *testing.T) {
	rows := boundRows("\n" + boundsBegin + "\n|---|---|---|---|---|\n" +
		"| gateway: a line | 4 KiB `a/b.Size`; 3 `a/b.Many`; 2 MiB at most `a/b.Most` | x | y | z |\n| engine: b | 8 MiB `a/b.C` | x | y | z |\n" +
		"| both: c | 1 B of each `a/b.D`; 60 s `a/b.E` | x | y | z |\n")
	if g, e := bytesOf(rows, "gateway"), bytesOf(rows, "engine"); g != 4<<10+2<<20+1 || e != 8<<20+1 {
		t.Errorf("%d and %d", g, e)
	}
}
