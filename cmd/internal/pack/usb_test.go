package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/cmd/internal/vm"
	"landfall/sinks/sinktest"
)

// The adapters of the test. Two have one serial number, as cheap ones do: only the
// port they are in tells them apart.
var (
	radio   = vm.Adapter{Line: "radio", Port: 1, Serial: "RADIO"}
	port    = vm.Adapter{Line: "port", Port: 2, Serial: "0001"}
	starbrd = vm.Adapter{Line: "starboard", Port: 3, Serial: "0001"}
)

const usbConfig = `gateway: ship
data_dir: /var/lib/landfall/edge
status: 127.0.0.1:8471
log: {reserve: 0B, quota: 64MiB}
sources:
  - {name: radio, serial: {device: /dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_RADIO-if00-port0, baud: 38400}}
  - {name: port, serial: {device: "/dev/serial/by-path/*-usb-0:2:1.0-port0", baud: 4800}}
  - {name: starboard, serial: {device: "/dev/serial/by-path/*-usb-0:3:1.0-port0", baud: 4800}}
  - {name: uart, serial: {device: /dev/ttyS1, baud: 4800}}
forward: {url: "http://10.0.2.2:%s/", linger: 0s, retry_max: 1s}
`

// instruments send numbered sentences down one line, and know which.
type instruments struct {
	line    net.Conn
	name    string
	pause   chan bool
	running sync.WaitGroup

	mu   sync.Mutex
	at   []time.Time // when each sentence was sent, by its number; guarded by mu
	fail error       // guarded by mu
}

// sentenceEvery is how often a sentence is sent: half of what 38,400 baud carry.
const sentenceEvery = 15 * time.Millisecond

func sentence(name string, n int) string {
	body := fmt.Sprintf("IIXDR,G,%d,,%s", n, strings.ToUpper(name))
	var sum byte
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X", body, sum)
}

// play begins to send, paused.
func play(line net.Conn, name string) *instruments {
	p := &instruments{line: line, name: name, pause: make(chan bool)}
	p.running.Go(func() {
		tick := time.NewTicker(sentenceEvery)
		defer tick.Stop()
		for paused := true; ; {
			select {
			case now, more := <-p.pause:
				if paused = now; !more {
					return
				}
			case <-tick.C:
				if !paused {
					p.one()
				}
			}
		}
	})
	return p
}

func (p *instruments) one() {
	p.mu.Lock()
	n := len(p.at)
	p.at = append(p.at, time.Now())
	p.mu.Unlock()
	if _, err := fmt.Fprintf(p.line, "%s\r\n", sentence(p.name, n)); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fail = err
	}
}

func (p *instruments) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.at)
}

// stop ends it.
func (p *instruments) stop(t *testing.T) {
	close(p.pause)
	p.running.Wait()
	if p.fail != nil {
		t.Fatalf("line %s: %v", p.name, p.fail)
	}
}

// usbSource is what the status says of a source.
type usbSource struct {
	Name, State, Detail                                             string
	Lines, Connects, Disconnects, Errors, Truncated, Lost, Rejected uint64
	LineErrors                                                      uint64 `json:"line_errors"`
	Records                                                         uint64
}

// ship is the machine with what is plugged into it.
type ship struct {
	*vm.Machine
	t *testing.T
}

func (s *ship) source(name string) (found usbSource) {
	out, _ := s.Try("landfall-edge status --json")
	var status struct{ Sources []usbSource }
	_ = json.Unmarshal([]byte(out), &status) // none while it does not run
	for _, one := range status.Sources {
		if one.Name == name {
			found = one
		}
	}
	return found
}

// becomes waits for a state of a source and gives what its status says then.
func (s *ship) becomes(name, state string, connects uint64) (now usbSource) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s: %+v", name, now)
		}
	}()
	s.Wait(fmt.Sprintf("%s is %s, opened %d times", name, state, connects), func() bool {
		now = s.source(name)
		return now.State == state && now.Connects == connects
	})
	return now
}

// pull is an adapter that was pulled out while its instruments sent.
type pull struct {
	at   time.Time // just before
	from int       // the first sentence that was sent after
	to   int       // the first that was sent after it was plugged in again
}

// TestUnplugged has the packaged gateway run on a machine with its own kernel and
// read three USB serial adapters that are pulled out and plugged in again, idle
// and under load, while it forwards to an engine here; then DuckDB compares what
// was sent with the lake. The unit's limits are tried there too: only a kernel of
// its own enforces them.
func TestUnplugged(t *testing.T) {
	if os.Getenv("LANDFALL_USB") != "1" {
		t.Skip("serial adapters that are unplugged, in a machine in QEMU: make test-usb (LANDFALL_USB=1)")
	}
	s := &ship{vm.Boot(t, vm.Config{Lines: []string{radio.Line, port.Line, starbrd.Line}, UART: "uart"}), t}
	t.Log(s.Do("uname -sr"), "booted")
	lake, engineAt, stopEngine := landingHere(t)
	dir, err := released()
	if err != nil {
		t.Fatal(err)
	}
	for _, deb := range debs(t, dir) {
		s.Put(deb)
	}
	s.Do("dpkg -i /share/landfall-edge_*.deb")
	_, enginePort, _ := net.SplitHostPort(engineAt)
	if err := os.WriteFile(filepath.Join(s.Share(), "edge.yaml"), fmt.Appendf(nil, usbConfig, enginePort), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Do("cp /share/edge.yaml /etc/landfall/edge.yaml && systemctl restart landfall-edge")
	if absent := s.becomes("radio", "absent", 0); !strings.Contains(absent.Detail, "not plugged in") {
		t.Errorf("an adapter that is not there: %+v", absent)
	}

	players := map[string]*instruments{}
	for _, a := range []vm.Adapter{radio, port, starbrd} {
		players[a.Line] = play(s.Line(a.Line), a.Line)
		s.Plug(a)
		s.becomes(a.Line, "open", 1)
	}
	pulls := s.unplugs(players["radio"])
	s.twins(players)
	s.killed(players["radio"])
	for _, p := range players {
		p.stop(t)
	}
	s.counted()
	s.devices()
	s.memory()
	s.Do("systemctl stop landfall-edge")
	if r := s.Property("landfall-edge", "Result"); r != "success" {
		t.Errorf("the gateway ended with %s", r)
	}
	s.Do("cp -r /var/lib/landfall/edge/log /share/log")
	stopEngine()
	judgeUnplugged(t, lake, players, pulls)
	audit := exec.Command("go", "run", "./cmd/landfall-engine", "audit", "--lake", lake, "--edge-log", filepath.Join(s.Share(), "log"))
	audit.Dir = root
	t.Logf("audit:\n%s", must(t, audit))
}

// debs gives the packages in a folder.
func debs(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.deb")
	if err != nil || len(files) == 0 {
		t.Fatalf("no packages in %s: %v", dir, err)
	}
	return files
}

// landingHere runs an engine on this machine, and gives its lake and address and
// what stops it.
func landingHere(t *testing.T) (lake, address string, stop func()) {
	t.Helper()
	dir := t.TempDir()
	engine := filepath.Join(dir, "landfall-engine")
	build := exec.Command("go", "build", "-trimpath", "-o", engine, "./cmd/landfall-engine")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	must(t, build)
	address, lake = freePort(t), filepath.Join(dir, "lake")
	config := filepath.Join(dir, "engine.yaml")
	text := fmt.Sprintf("listen: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 0B}\nlake: {dir: %s}\nepoch: {interval: 1s}\n", address, dir, lake)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, engine, "run", "--config", config)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = time.Minute
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if _ = c.Wait(); c.ProcessState.ExitCode() != 0 {
			t.Errorf("the engine ended with %v", c.ProcessState)
		}
	})
	t.Cleanup(stop)
	return lake, address, stop
}

// idleUnplugs and busyUnplugs are how often the radio is pulled out: with all its
// sentences read, and in the middle of them.
const idleUnplugs, busyUnplugs = 3, 4

// unplugs pulls the radio's adapter out and plugs it in again.
func (s *ship) unplugs(p *instruments) (pulls []pull) {
	connects := uint64(1)
	for i := range idleUnplugs + busyUnplugs {
		busy := i >= idleUnplugs
		from := p.sent()
		p.pause <- false
		s.Wait("300 sentences", func() bool { return p.sent() >= from+300 })
		if !busy {
			p.pause <- true
			s.Wait("all are read", func() bool { return s.source("radio").Lines >= uint64(p.sent()) })
		}
		one := pull{at: time.Now(), from: p.sent()}
		s.Unplug(radio)
		if busy {
			p.pause <- true // a radio that is not plugged in is not heard
		}
		gone := s.becomes("radio", "absent", connects)
		if !strings.Contains(gone.Detail, "serial port /dev/serial/by-id/") || gone.Disconnects != connects {
			s.t.Errorf("pulled out: %+v", gone)
		}
		if one.to = p.sent(); busy {
			pulls = append(pulls, one)
		}
		s.Plug(radio)
		connects++
		s.becomes("radio", "open", connects)
		if health, err := s.Try("landfall-edge health"); err != nil {
			s.t.Errorf("plugged in again: %s", health)
		}
	}
	return pulls
}

// twins are two adapters of one serial number: each is pulled out while the other
// sends, and what each sends stays its own.
func (s *ship) twins(players map[string]*instruments) {
	for _, name := range []string{port.Line, starbrd.Line} {
		players[name].pause <- false
	}
	for _, gone := range []struct {
		vm.Adapter
		other string
	}{{port, starbrd.Line}, {starbrd, port.Line}} {
		p, other := players[gone.Line], players[gone.other]
		s.Wait("sentences", func() bool { return p.sent() >= 200 })
		p.pause <- true
		s.Wait("all are read", func() bool { return s.source(gone.Line).Lines >= uint64(p.sent()) })
		s.Unplug(gone.Adapter)
		s.becomes(gone.Line, "absent", 1)
		from := other.sent()
		s.Wait("sentences of the other", func() bool { return other.sent() >= from+200 })
		s.Plug(gone.Adapter)
		s.becomes(gone.Line, "open", 2)
		p.pause <- false
	}
	for _, name := range []string{port.Line, starbrd.Line} {
		players[name].pause <- true
		s.Wait("all are read", func() bool { return s.source(name).Lines >= uint64(players[name].sent()) })
	}
}

// killed: the unit's process, which is not root, is killed with the ports open, and
// the next one opens them.
func (s *ship) killed(p *instruments) {
	s.Wait("all is acknowledged", func() bool {
		out, _ := s.Try("landfall-edge status --json")
		return strings.Contains(out, `"pending": 0`)
	})
	before := s.Property("landfall-edge", "MainPID")
	s.Do("kill -KILL " + before)
	s.becomes("radio", "open", 1)
	if now := s.Property("landfall-edge", "MainPID"); now == before {
		s.t.Errorf("process %s runs on", now)
	}
	from := p.sent()
	p.pause <- false
	s.Wait("sentences", func() bool { return p.sent() >= from+100 })
	p.pause <- true
	s.Wait("all are read", func() bool { return s.source("radio").Lines >= uint64(p.sent()-from) })
}

// counted: what the driver of the UART counts is counted: breaks as errors of the
// line, and those that found its buffer full as lost.
func (s *ship) counted() {
	before := s.becomes("uart", "open", 1)
	s.Freeze()
	for range 40 {
		s.Break("uart")
	}
	s.Thaw()
	var now usbSource
	s.Wait("the driver's counters", func() bool {
		now = s.source("uart")
		return now.LineErrors > before.LineErrors && now.Lost > before.Lost
	})
	s.t.Logf("40 breaks at a UART that nobody served: %d errors of the line, %d characters lost", now.LineErrors-before.LineErrors, now.Lost-before.Lost)
}

// devices: the unit's processes open its serial lines, and nothing else, whoever
// they are. A console has the major number of a UART, which is what the unit
// names; it is nothing to the gateway's user.
func (s *ship) devices() {
	const inside = "echo $$ > /sys/fs/cgroup/system.slice/landfall-edge.service/cgroup.procs && "
	open := func(before, as, device string) error {
		_, err := s.Try(fmt.Sprintf(`sh -c '%s%s sh -c "exec 3<>%s"'`, before, as, device))
		return err
	}
	const gateway = "setpriv --reuid landfall --regid landfall --groups dialout"
	for _, device := range []string{"/dev/ttyUSB0", "/dev/ttyUSB2", "/dev/ttyS1", "/dev/null", "/dev/urandom"} {
		if err := open(inside, "", device); err != nil { // root: they are exclusive to the gateway
			s.t.Errorf("the unit may not open %s: %v", device, err)
		}
	}
	forbidden := strings.Fields(s.Do("ls /dev/kmsg /dev/mem /dev/vda /dev/vport*p1 /dev/vcs1 /dev/rtc0 /dev/bus/usb/001/001 /dev/hpet"))
	for _, device := range forbidden {
		if err := open("", "", device); err != nil {
			s.t.Logf("nobody may open %s here: %v", device, err)
		} else if err := open(inside, "", device); err == nil {
			s.t.Errorf("the unit may open %s", device)
		} else {
			s.t.Logf("root may open %s, root in the unit may not", device)
		}
	}
	if err := open(inside, gateway, "/dev/tty1"); err == nil {
		s.t.Error("the gateway's user may open a console")
	}
}

// memory: a limit on the unit's memory is kept by the kernel, and the gateway lives
// within one of 64 MiB. It states a bound that fits: its own below the unit's as it is
// delivered, and four fifths of one that is less, which it reads from its control group.
func (s *ship) memory() {
	states := func(bytes int64, from string) {
		s.t.Helper()
		var status struct {
			Memory struct {
				Limit int64  `json:"limit_bytes"`
				From  string `json:"limit_from"`
				Peak  int64  `json:"peak_bytes"`
			} `json:"memory"`
		}
		out := s.Do("landfall-edge status --json")
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			s.t.Fatal(err)
		}
		m := status.Memory
		s.t.Logf("MemoryMax is %s, the gateway states %+v", s.Property("landfall-edge", "MemoryMax"), m)
		if m.Limit != bytes || m.From != from || m.Peak == 0 || m.Peak > m.Limit {
			s.t.Errorf("it states %+v, want %d: %s", m, bytes, from)
		}
	}
	states(64<<20, "the default, more than its settings add up to")
	s.Do("systemctl set-property --runtime landfall-edge MemoryMax=64M MemorySwapMax=0")
	s.Do("systemctl restart landfall-edge")
	s.becomes("radio", "open", 1)
	states(64<<20/5*4, "four fifths of what its control group may have")
	if said := s.Do("journalctl -u landfall-edge -n 50 --no-pager"); !strings.Contains(said, `msg="memory is bounded" bytes=53687088`) {
		s.t.Errorf("it does not say its bound at the start:\n%s", said)
	}
	used := s.Property("landfall-edge", "MemoryCurrent")
	if out, err := s.Try(`sh -c 'echo $$ > /sys/fs/cgroup/system.slice/landfall-edge.service/cgroup.procs; head -c 200M /dev/zero | tail > /dev/null'`); err == nil {
		s.t.Errorf("200 MiB fit into 64: %s", out)
	}
	if journal := s.Do("journalctl -u landfall-edge -n 50 --no-pager"); !strings.Contains(journal, "killed by the OOM killer") {
		s.t.Errorf("no process was ended for its memory:\n%s", journal)
	}
	s.t.Logf("the gateway's unit uses %s bytes of 64 MiB", used)
	s.becomes("radio", "open", 1)
}

// judgeUnplugged: every sentence is in the lake once, but those that were on the
// way when an adapter was pulled out, which are there at most once.
func judgeUnplugged(t *testing.T, lake string, players map[string]*instruments, pulls []pull) {
	t.Helper()
	rows := sinktest.DuckDB(t, fmt.Sprintf(`SELECT source, decode(raw), count(*) FROM read_parquet('%s/record/*/*.parquet', hive_partitioning = false)
		WHERE kind <> 'log_open' AND source <> 'uart' GROUP BY ALL`, lake))
	count := map[string]map[string]string{}
	for _, r := range rows {
		if count[r[0]] == nil {
			count[r[0]] = map[string]string{}
		}
		count[r[0]][r[1]] = r[2]
	}
	values := sinktest.DuckDB(t, fmt.Sprintf(`SELECT source, count(*), count(DISTINCT value) FROM read_parquet('%s/sensor_reading/*/*.parquet', hive_partitioning = false) GROUP BY ALL`, lake))
	for name, p := range players {
		missing, near := []int{}, 0
		for n, at := range p.at {
			text := sentence(name, n)
			got := count[name][text]
			delete(count[name], text)
			switch cut := slices.ContainsFunc(pulls, func(c pull) bool {
				return name == radio.Line && n < c.to && at.After(c.at.Add(-onTheWay))
			}); {
			case got == "1":
			case got != "":
				t.Errorf("%s: sentence %d is there %s times", name, n, got)
			case cut:
				near++
			default:
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s: %d of %d sentences are missing: %v", name, len(missing), len(p.at), missing)
		}
		t.Logf("%s: %d sentences sent, %d cut off when the adapter was pulled out (%d times under load); pieces of them: %q", name, len(p.at), near, len(pulls), rest(count[name]))
		if !slices.ContainsFunc(values, func(v []string) bool { return v[0] == name && v[1] == v[2] && v[1] == fmt.Sprint(len(p.at)-near) }) {
			t.Errorf("%s: readings %v, want %d", name, values, len(p.at)-near)
		}
	}
}

// onTheWay is how long before an adapter is pulled out a sentence may have been sent
// that did not arrive: it lay in QEMU, in the adapter or in the kernel.
const onTheWay = 500 * time.Millisecond

// rest lists the lines that nobody sent whole.
func rest(lines map[string]string) (all []string) {
	for text := range lines {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}
