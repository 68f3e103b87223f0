//go:build linux

package lifetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attackMemory is what the engine may take under attack, bytes: its MemoryMax=.
const attackMemory = 512 << 20

// confine has the kernel end the process beyond that much memory, as its unit does, or,
// where no control group can be made, refuse it more data, of which it dies too.
func (d *daemon) confine(bytes int64) (how string) {
	d.t.Helper()
	if g := limitedGroup(d.t, bytes); g != nil && g.add(d) {
		return g.how
	}
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := unix.Prlimit(d.cmd.Process.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		d.t.Fatal(err)
	}
	return "a bound of its data"
}

// attackedEngine runs an engine that the kernel ends beyond attackMemory. most is what it
// may take: the bound that it states, which it finds by its control group; where none can
// be made it is told, and may take all.
func attackedEngine(t *testing.T, config string) (engine *daemon, how string, most int64) {
	t.Helper()
	g := limitedGroup(t, attackMemory)
	if g == nil {
		engine = run(t, "landfall-engine", config, "GOMEMLIMIT=400MiB")
		return engine, engine.confine(attackMemory), attackMemory
	}
	engine = beginIn(t, g, "landfall-engine", config)
	until(t, "the engine works", func() bool { return engine.ask("/status") != "" })
	if most = engine.memory().Memory.Limit; most == 0 || most > attackMemory/5*4 {
		t.Errorf("in %s of %d MiB it states %d", g.how, attackMemory>>20, most>>20)
	}
	return engine, fmt.Sprintf("%s of %d MiB", g.how, attackMemory>>20), most
}

// honest is a gateway that nobody attacks, and a sender to it.
type honest struct {
	t      *testing.T
	engine *daemon
	line   net.Conn
	n      int
}

// published is how far the engine says the honest gateway's log is in the lake.
func (h *honest) published() uint64 {
	var s struct {
		Gateways []struct {
			Gateway   string `json:"gateway"`
			Published uint64 `json:"published"`
		} `json:"gateways"`
	}
	_ = json.Unmarshal([]byte(h.engine.ask("/status")), &s) // nothing while nobody answers
	for _, g := range s.Gateways {
		if g.Gateway == "honest" {
			return g.Published
		}
	}
	return 0
}

// delay sends lines one after the other, seven at least and as long as something goes on,
// and returns the median of the times from the sending to the lake.
func (h *honest) delay(what string, goesOn func() bool) time.Duration {
	h.t.Helper()
	var all []time.Duration
	for len(all) < 7 || goesOn() {
		before := h.published()
		began := time.Now()
		h.n++
		if _, err := fmt.Fprintf(h.line, "$GPXXX,honest,%d\n", h.n); err != nil {
			h.t.Fatal(err)
		}
		until(h.t, "the honest gateway's line is in the lake "+what, func() bool { return h.published() > before })
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// attacks are what a stranger, or a device behind another gateway, may do.
var attacks = []struct {
	name string
	do   func(t *testing.T, ingest string, hostile net.Conn)
}{
	{"headers of 900 kB each", func(t *testing.T, ingest string, _ net.Conn) {
		big := strings.Repeat("x", 900_000)
		for i := range 1100 {
			req, err := http.NewRequest(http.MethodPost, "http://"+ingest+"/v1/blocks", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Landfall-Gateway", strconv.Itoa(i)+big)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
	}},
	{"ever new names of readings", func(t *testing.T, _ string, hostile net.Conn) {
		for i := range 60_000 {
			var b strings.Builder
			b.WriteString("YXXDR")
			for k := range 4 {
				fmt.Fprintf(&b, ",C,%d.5,C,N%dX%d", i%90, i, k)
			}
			tag := checked(fmt.Sprintf("c:%d", time.Now().Unix()))
			if _, err := fmt.Fprintf(hostile, "\\%s\\$%s\n", tag, checked(b.String())); err != nil {
				t.Error(err)
				return
			}
		}
	}},
	{"an event time of another day each", func(t *testing.T, _ string, hostile net.Conn) {
		for i := range 60_000 {
			tag := checked(fmt.Sprintf("c:%d", 86_400*(1+i%20_000)))
			if _, err := fmt.Fprintf(hostile, "\\%s\\$%s\n", tag, checked("SDDPT,1.0,")); err != nil {
				t.Error(err)
				return
			}
		}
	}},
	{"no watermark and ever new logs", silentClock},
	{"blocks of a million records and of eight", manyRecords},
	{"200 bodies that hold 8 MiB each", heldBodies},
}

// checked puts its checksum behind a sentence, or a tag.
func checked(text string) string {
	sum := byte(0)
	for _, c := range []byte(text) {
		sum ^= c
	}
	return fmt.Sprintf("%s*%02X", text, sum)
}

// TestAttacksStopNobody: while an engine that has so much memory is attacked, an honest
// gateway in the same partition has its lines in the lake: how long that takes is printed,
// and only that it comes, and that no process dies, is asked.
func TestAttacksStopNobody(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			work, ingest := t.TempDir(), freePort(t)
			engine, how, most := attackedEngine(t, fmt.Sprintf(`listen: %s
status: STATUS
identity: {unauthenticated: true}
landing: {dir: %s/landing, reserve: 0B}
lake: {dir: %[2]s/lake}
epoch: {interval: 300ms}
`, ingest, work))
			dial := func(name string) (*daemon, net.Conn) {
				lines := freePort(t)
				edge := run(t, "landfall-edge", fmt.Sprintf(`gateway: %s
data_dir: %s/%[1]s
status: STATUS
log: {reserve: 0B}
sources: [{name: radio, tcp_server: {listen: %[3]q}}]
forward: {url: "http://%[4]s/", linger: 50ms}
`, name, work, lines, ingest))
				var c net.Conn
				until(t, name+" takes lines", func() (ok bool) {
					var err error
					c, err = net.Dial("tcp", lines)
					return err == nil
				})
				t.Cleanup(func() { _ = c.Close() })
				return edge, c
			}
			edge, line := dial("honest")
			hostileEdge, hostile := dial("hostile")
			h := &honest{t: t, engine: engine, line: line}
			never := func() bool { return false }
			before := h.delay("before", never)
			done := make(chan struct{})
			go func() {
				defer close(done)
				attack.do(t, ingest, hostile)
			}()
			during := h.delay("during", func() bool {
				select {
				case <-done:
					return hostileEdge.edge().Forward.Pending > 0
				default:
					return true
				}
			})
			<-done
			after := h.delay("after", never)
			days := func() int {
				found, err := filepath.Glob(work + "/lake/*/dt=*")
				if err != nil {
					t.Fatal(err)
				}
				return len(found)
			}
			if strings.HasPrefix(attack.name, "an event time") { // else the attack is none: nothing comes to its bound
				until(t, "its dates are in the lake", func() bool { return days() >= 100 })
			}
			var s struct {
				Tasks []struct {
					Full      uint64 `json:"windows_full"`
					Forgotten uint64 `json:"forgotten"`
				} `json:"tasks"`
				Ingest struct {
					Displaced uint64 `json:"displaced"`
					Paced     uint64 `json:"paced_logs"`
				} `json:"ingest"`
			}
			if err := json.Unmarshal([]byte(engine.ask("/status")), &s); err != nil || len(s.Tasks) != 1 {
				t.Fatalf("%d tasks, %v", len(s.Tasks), err)
			}
			if strings.HasSuffix(attack.name, "readings") && s.Tasks[0].Full == 0 {
				t.Error("the attack is none: nothing comes to its bound")
			}
			if strings.HasSuffix(attack.name, "new logs") && (s.Tasks[0].Forgotten == 0 || s.Ingest.Paced == 0) || strings.HasSuffix(attack.name, "each") &&
				strings.HasPrefix(attack.name, "200") && s.Ingest.Displaced == 0 {
				t.Errorf("the attack is none: nothing comes to its bound: %+v", s)
			}
			t.Logf("%d folders of dates in the lake, %d readings found no window", days(), s.Tasks[0].Full)
			t.Logf("%s, in %s, which states %d MiB: %d MiB at most; an honest line took %d ms before, %d during, %d after", attack.name, how,
				most>>20, engine.peak()>>20, before.Milliseconds(), during.Milliseconds(), after.Milliseconds())
			if used := engine.peak(); used == 0 || used > most {
				t.Errorf("the engine took %d MiB of %d", used>>20, most>>20)
			}
			for _, d := range []*daemon{engine, edge, hostileEdge} {
				select {
				case <-d.ended:
					t.Errorf("%s died", d.name)
				default:
				}
			}
			until(t, "all of the honest gateway is acknowledged", func() bool { return edge.edge().Forward.Pending == 0 })
			for _, d := range []*daemon{edge, hostileEdge, engine} {
				if code := d.stop(); code != 0 {
					t.Errorf("%s ended with %d", d.name, code)
				}
			}
			if recorded := judgeLake(t, work+"/lake", work+"/honest/log", "honest"); recorded < uint64(h.n) {
				t.Errorf("%d records, of %d lines", recorded, h.n)
			}
		})
	}
}
