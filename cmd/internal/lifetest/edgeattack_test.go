//go:build linux

package lifetest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// edgeAttack is what a stranger, or a device, may do to a gateway through one source.
type edgeAttack struct {
	name   string
	source string // its keys, after its name; ADDRESS is where the attack comes from or goes to
	broker bool   // ADDRESS is a real broker's
	device bool   // ADDRESS is the attacker's, which listens
	do     func(t *testing.T, address string)
	// struck tells that the attack came to a bound, else it is none.
	struck func(s edgeAttacked) bool
}

// edgeAttacked is what is read of the source that is attacked.
type edgeAttacked struct {
	Records   uint64 `json:"records"`
	Lines     uint64 `json:"lines"`
	Rejected  uint64 `json:"rejected"`
	Oversized uint64 `json:"oversized"`
	Truncated uint64 `json:"truncated"`
	Refused   uint64 `json:"refused"`
	Idled     uint64 `json:"idled"`
	Crowded   uint64 `json:"crowded"`
	Errors    uint64 `json:"errors"`
}

// messages publishes payloads at QoS 1.
func messages(t *testing.T, address string, payloads ...string) {
	t.Helper()
	p := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + address).SetClientID("attacker"))
	if token := p.Connect(); token.Wait() && token.Error() != nil {
		t.Error(token.Error())
		return
	}
	defer p.Disconnect(0)
	for _, text := range payloads {
		if token := p.Publish("plant/a", 1, false, text); token.Wait() && token.Error() != nil {
			t.Error(token.Error())
			return
		}
	}
}

// connections are made from many hosts of this machine, and each is written to by write.
func connections(t *testing.T, address string, n int, write func(i int, c net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		host := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+i%200))}}
		c, err := host.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		all.Go(func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			write(i, c)
		})
	}
	all.Wait()
}

// slaves answers every Modbus request as a hostile device does, until it is closed.
func slaves(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	ends := time.AfterFunc(8*time.Second, func() { _ = l.Close() })
	defer ends.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for n := 0; ; n++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			head := make([]byte, 12)
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			answer := slices.Clone(head[:8])
			switch n % 4 {
			case 0: // a length that nothing has
				binary.BigEndian.PutUint16(answer[4:], 0xffff)
				answer = append(answer, make([]byte, 1<<20)...)
			case 1: // an answer without end
				for range 64 {
					answer = append(answer, make([]byte, 64<<10)...)
				}
			case 2: // of another request
				answer[0], answer[7] = ^answer[0], 0xff
			case 3: // no answer, in small pieces
				for range 10 {
					_, _ = c.Write([]byte{0xff})
				}
			}
			_, _ = c.Write(answer)
			_, _ = io.Copy(io.Discard, c)
		})
	}
}

// junk is n bytes of every kind but line ends.
func junk(seed uint64, n int) []byte {
	rng, p := rand.New(rand.NewPCG(seed, 1)), make([]byte, n)
	for i := range p {
		if p[i] = byte(rng.Uint32()); p[i] == '\n' || p[i] == '\r' {
			p[i] = 0x1b
		}
	}
	return p
}

const mqttSource = `mqtt: {broker: {url: "mqtt://ADDRESS"}, topics: [{filter: "plant/#", sequence_field: n}]}`

// manyFields publishes messages with 13,000 fields below one key of so many bytes.
func manyFields(t *testing.T, address string, keyBytes int) {
	t.Helper()
	var all []string
	for i := range 12 {
		var p strings.Builder
		fmt.Fprintf(&p, `{"n":%d,"%s":{`, i, strings.Repeat("k", keyBytes))
		for k := range 13_000 {
			fmt.Fprintf(&p, `"f%d":%d,`, k, k%10)
		}
		p.WriteString(`"z":0}}`)
		all = append(all, p.String())
	}
	messages(t, address, all...)
}

var edgeAttacks = []edgeAttack{
	{name: "MQTT messages of 237 kB with 13000 fields below one long key", source: mqttSource, broker: true,
		do: func(t *testing.T, address string) { manyFields(t, address, 60_000) }, struck: func(s edgeAttacked) bool { return s.Rejected >= 12 }},
	{name: "MQTT messages with 13000 fields of the longest names", source: mqttSource, broker: true,
		do: func(t *testing.T, address string) { manyFields(t, address, 1000) }, struck: func(s edgeAttacked) bool { return s.Rejected >= 12 }},
	{name: "an MQTT message of 200 MiB", source: mqttSource, broker: true,
		do: func(t *testing.T, address string) {
			messages(t, address, `{"n":1,"v":"`+strings.Repeat("x", 200<<20)+`"}`)
		}, struck: func(s edgeAttacked) bool { return s.Oversized >= 1 }},
	{name: "a Modbus device that answers anything", device: true,
		source: `modbus: {url: "tcp://ADDRESS", interval: 500ms, timeout: 500ms, devices: [{sensor: pump, registers: [{address: "holding:0", metric: a}]}]}`,
		do:     slaves, struck: func(s edgeAttacked) bool { return s.Errors >= 3 }},
	{name: "400000 fragments without partners", source: `tcp_server: {listen: "ADDRESS"}`,
		do: func(t *testing.T, address string) {
			connections(t, address, 100, func(_ int, c net.Conn) {
				for k := range 4000 {
					line := checked(fmt.Sprintf("AIVDM,9,%d,%d,%c,%s,0", 1+k%8, k%10, 'A'+rune(k%2), strings.Repeat("w", 50)))
					if _, err := fmt.Fprintf(c, "!%s\n", line); err != nil {
						return
					}
				}
			})
		}, struck: func(s edgeAttacked) bool { return s.Crowded > 0 }},
	{name: "1000 clients of 200 hosts with half a line each", source: `tcp_server: {listen: "ADDRESS"}`,
		do: func(t *testing.T, address string) {
			connections(t, address, 1000, func(i int, c net.Conn) {
				_, _ = c.Write(junk(uint64(i), 4<<10-1))
				_, _ = c.Write([]byte("\n$GP"))
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.Copy(io.Discard, c)
			})
		}, struck: func(s edgeAttacked) bool { return s.Refused+s.Idled > 0 }},
	{name: "200 lines without end of 32 MiB", source: `tcp_server: {listen: "ADDRESS"}`,
		do: func(t *testing.T, address string) {
			line := []byte(strings.Repeat("x", 160<<10))
			connections(t, address, 200, func(_ int, c net.Conn) { _, _ = c.Write(line) })
		}, struck: func(s edgeAttacked) bool { return s.Truncated > 0 }},
	{name: "control characters of 16 MiB", source: `tcp_server: {listen: "ADDRESS"}`,
		do: func(t *testing.T, address string) {
			connections(t, address, 16, func(i int, c net.Conn) {
				p := junk(uint64(i), 1<<20)
				for k := 60; k < len(p); k += 61 {
					p[k] = '\n'
				}
				_, _ = c.Write(p)
			})
		}, struck: func(s edgeAttacked) bool { return s.Records > 100_000 }},
}

// TestAttacksOnAGatewayStopNoSource: while a source of a gateway is attacked, lines of
// another source of it become durable: how long that takes is printed, and only that it
// comes is asked. The kernel ends the gateway beyond the bound that it states, and it does
// not come to that; all lines of the honest source are in the lake, once.
func TestAttacksOnAGatewayStopNoSource(t *testing.T) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real MQTT broker: %v", err)
	}
	for _, attack := range edgeAttacks {
		t.Run(attack.name, func(t *testing.T) { attack.run(t) })
	}
}

// gatewayConfig is of a gateway with an honest source and one that is attacked.
const gatewayConfig = `gateway: ada
data_dir: %s/edge
status: STATUS
log: {reserve: 0B}
sources:
  - {name: radio, tcp_server: {listen: %q, max_clients: 4}}
  - {name: open, %s}
forward: {url: "http://%s/", linger: 50ms}
`

// run attacks a gateway of its own.
func (a *edgeAttack) run(t *testing.T) {
	work, ingest, lines, address := t.TempDir(), freePort(t), freePort(t), freePort(t)
	if a.broker {
		b := &broker{t: t, conf: work + "/mosquitto.conf", address: address}
		_, port, _ := net.SplitHostPort(address)
		put(t, b.conf, fmt.Sprintf("listener %s 127.0.0.1\nuser root\nallow_anonymous true\nmax_queued_bytes 0\n", port))
		b.restart()
		t.Cleanup(b.stop)
	}
	engine := run(t, "landfall-engine", fmt.Sprintf("listen: %s\nstatus: STATUS\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 0B}\n"+
		"lake: {dir: %[2]s/lake}\nepoch: {interval: 500ms}\n", ingest, work))
	edge := run(t, "landfall-edge", fmt.Sprintf(gatewayConfig, work, lines, strings.ReplaceAll(a.source, "ADDRESS", address), ingest))
	limit := edge.memory().Memory.Limit
	how := edge.confine(limit)
	h := &honestSource{t: t, edge: edge}
	until(t, "the honest source takes lines", func() (ok bool) {
		var err error
		h.line, err = net.Dial("tcp", lines)
		return err == nil
	})
	defer func() { _ = h.line.Close() }()
	if a.broker {
		until(t, "the gateway is subscribed", func() bool { s := edge.poison(); return len(s.Sources) == 2 && s.Sources[1].State == "open" })
	}
	never := func() bool { return false }
	before := h.delay("before", never)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.do(t, address)
	}()
	during := h.delay("during", func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	})
	<-done
	until(t, "the attack comes to a bound", func() bool { return a.struck(edge.attacked()[1]) })
	after := h.delay("after", never)
	t.Logf("%s, in %s of %d MiB, which it states (%s): %d MiB at most; an honest line was durable in %s before, %s during, %s after", a.name, how,
		limit>>20, edge.memory().Memory.From, edge.peak()>>20, before, during, after)
	if used := edge.peak(); used == 0 || used > limit {
		t.Errorf("the gateway took %d MiB of %d", used>>20, limit>>20)
	}
	select {
	case <-edge.ended:
		t.Fatal("the gateway died")
	default:
	}
	until(t, "all is acknowledged", func() bool { return edge.edge().Forward.Pending == 0 })
	if code := edge.stop(); code != 0 {
		t.Errorf("the gateway ended with %d", code)
	}
	if code := engine.stop(); code != 0 {
		t.Errorf("the engine ended with %d", code)
	}
	h.judge(work)
}

func (d *daemon) attacked() [2]edgeAttacked {
	var s struct {
		Sources [2]edgeAttacked `json:"sources"`
	}
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s.Sources
}

// honestSource sends lines to a source that nobody attacks.
type honestSource struct {
	t    *testing.T
	edge *daemon
	line net.Conn
	n    uint64
}

// delay is honest.delay, until lines are durable in the gateway's log.
func (h *honestSource) delay(what string, goesOn func() bool) time.Duration {
	h.t.Helper()
	var all []time.Duration
	for len(all) < 7 || goesOn() {
		began := time.Now()
		h.n++
		if _, err := fmt.Fprintf(h.line, "$GPXXX,honest,%d\n", h.n); err != nil {
			h.t.Fatal(err)
		}
		until(h.t, "the honest source's line is durable "+what, func() bool { return h.edge.attacked()[0].Records >= h.n })
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2].Round(time.Millisecond)
}

// judge reads the lake: each line of the honest source is there.
func (h *honestSource) judge(work string) {
	h.t.Helper()
	if recorded := judgeLake(h.t, work+"/lake", work+"/edge/log", "ada"); recorded < h.n {
		h.t.Errorf("%d records, %d of the honest source", recorded, h.n)
	}
}

// judgeLake reads a lake beside a gateway's log, returns how many records of the gateway
// are there, and says whether any is missing or there twice.
func judgeLake(t *testing.T, lake, edgeLog, gateway string) (recorded uint64) {
	t.Helper()
	said, err := tool(t, "landfall-engine", "audit", "--lake", lake, "--edge-log", edgeLog, "--level", "bytes", "--quiet", "--json")
	var result struct {
		Logs []struct {
			Gateway                                            string
			Recorded, Missing, Duplicated, Differing, Compared uint64
		}
	}
	if bad := json.NewDecoder(strings.NewReader(said)).Decode(&result); bad != nil { // what it says of its exit follows
		t.Fatalf("%v, %v: %s", err, bad, said[:min(len(said), 3000)])
	}
	var missing, doubled, differing uint64
	for _, l := range result.Logs {
		if l.Gateway == gateway {
			recorded, missing, doubled, differing = recorded+l.Recorded, missing+l.Missing, doubled+l.Duplicated, differing+l.Differing
		}
	}
	t.Logf("%d records of %s: missing %d, doubled %d", recorded, gateway, missing, doubled)
	if missing+doubled+differing != 0 || recorded == 0 {
		t.Errorf("of %d records %d are missing, %d there twice, %d not as they were sent", recorded, missing, doubled, differing)
	}
	return recorded
}
