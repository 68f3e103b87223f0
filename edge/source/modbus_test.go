package source

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/simonvetter/modbus"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/modbus"
	"landfall/edge/record"
)

// modbusServer is a real libmodbus server and what it answered.
type modbusServer struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser

	mu     sync.Mutex
	port   string           // of TCP; empty: it is not ready; guarded by mu
	made   map[uint32]int64 // when an answer was made, by its count; guarded by mu
	doomed map[uint32]bool  // answers that came late; guarded by mu
}

// needTool skips without a tool; in CI it fails.
func needTool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// buildModbusServer compiles the server.
func buildModbusServer(t *testing.T) string {
	t.Helper()
	needTool(t, "gcc")
	path := filepath.Join(t.TempDir(), "modbus_server")
	if out, err := exec.Command("gcc", "-I/usr/include/modbus", "-o", path, "testdata/modbus_server.c", "-lmodbus").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: %s", err, out)
		}
		t.Skipf("libmodbus: %v: %s", err, out)
	}
	return path
}

func startModbusServer(t *testing.T, path string, args ...string) *modbusServer {
	t.Helper()
	s := &modbusServer{cmd: exec.Command(path, args...), made: map[uint32]int64{}, doomed: map[uint32]bool{}}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow(out)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-done
		_ = s.cmd.Wait()
	})
	eventually(t, "the server is ready", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.port != ""
	})
	return s
}

func (s *modbusServer) follow(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.mu.Lock()
		var count uint32
		var at int64
		var trouble string
		if n, _ := fmt.Sscanf(lines.Text(), "%d %d %s", &count, &at, &trouble); n == 3 {
			s.made[count] = at
			s.doomed[count] = trouble != "none"
		}
		if s.port == "" {
			_, _ = fmt.Sscanf(lines.Text(), "ready %s", &s.port)
		}
		s.mu.Unlock()
	}
}

func (s *modbusServer) order(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintln(s.stdin, command); err != nil {
		t.Fatal(err)
	}
}

// modbusSink notes each reading with the time of its receipt.
type modbusSink struct {
	mu      sync.Mutex
	got     []modbusReading
	reports int
}

type modbusReading struct {
	sensor.Reading
	at record.Micros
}

func (s *modbusSink) Deliver(b *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range b.Lines {
		s.reports++
		var r sensor.Report
		if err := r.Decode(l.Data, nil); err != nil || r.Origin != sensor.OriginModbus || r.Reason != "" {
			return fmt.Errorf("report %+v, %v", r, err)
		}
		for _, g := range r.Readings {
			s.got = append(s.got, modbusReading{g, b.ReceivedAt})
		}
	}
	return nil
}

func (s *modbusSink) Position(string) []byte { return nil }

func (s *modbusSink) Marks(string) []string { return nil }

// count counts readings of a sensor's metric with a quality, from the n-th
// reading on.
func (s *modbusSink) count(name, metric string, quality sensor.Quality, from int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.got[from:] {
		if g.Sensor == name && g.Metric == metric && g.Quality == quality {
			n++
		}
	}
	return n
}

func (s *modbusSink) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

var modbusMap = []modbus.Register{
	{Table: modbus.Holding, Address: 0, Type: modbus.Uint32, Metric: "count"},
	{Table: modbus.Holding, Address: 2, Type: modbus.Float32, Metric: "temperature", Unit: "Cel"},
	{Table: modbus.Input, Address: 0, Type: modbus.Int16, Metric: "level", Scale: 0.5},
	{Table: modbus.Coils, Address: 0, Type: modbus.Bool, Metric: "running"},
}

func runModbus(t *testing.T, cfg ModbusConfig) (*Modbus, *modbusSink) {
	t.Helper()
	cfg.Options = Options{Name: "bus", Clock: realClock{time.Now()}}
	cfg.Timeout = 300 * time.Millisecond
	m, err := NewModbus(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sink := &modbusSink{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m, sink
}

// TestModbusTroubles: a real server stalls, drops bytes and garbles them, over a
// serial line with a dead slave and over TCP. Each failure is a bad reading, it
// goes on by itself, and no value is older than its time says.
func TestModbusTroubles(t *testing.T) {
	path := buildModbusServer(t)
	for _, kind := range []string{"rtu", "tcp"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := ModbusConfig{Devices: []ModbusDevice{{Unit: 1, Sensor: "pump", Interval: 40 * time.Millisecond, Registers: modbusMap}}}
			var server *modbusServer
			if kind == "rtu" {
				ours, theirs := ptyPair(t)
				server = startModbusServer(t, path, "rtu", theirs)
				cfg.URL = "rtu://" + ours
				cfg.Devices = append(cfg.Devices, ModbusDevice{Unit: 9, Sensor: "dead", Interval: 40 * time.Millisecond, Registers: modbusMap[:1]})
			} else {
				server = startModbusServer(t, path, "tcp", "0")
				cfg.URL = "tcp://127.0.0.1:" + server.port
			}
			m, sink := runModbus(t, cfg)
			for _, metric := range []string{"count", "temperature", "level", "running"} {
				eventually(t, metric, func() bool { return sink.count("pump", metric, sensor.QualityGood, 0) > 2 })
			}
			for _, trouble := range []struct {
				order string
				want  sensor.Quality
			}{{"stall 1", sensor.QualityBadTimeout}, {"drop 2", sensor.QualityGood}, {"garble 1", sensor.QualityGood}, {"stall 2", sensor.QualityBadTimeout}} {
				from := sink.len()
				server.order(t, trouble.order)
				eventually(t, fmt.Sprint(trouble.order, ": a reading that is ", trouble.want), func() bool { return sink.count("pump", "count", trouble.want, from) > 0 })
				after := sink.len()
				eventually(t, "good readings after "+trouble.order, func() bool { return sink.count("pump", "count", sensor.QualityGood, after) > 3 })
			}
			if kind == "rtu" {
				from := sink.len()
				eventually(t, "readings of the dead slave", func() bool { return sink.count("dead", "count", sensor.QualityBadTimeout, from) > 20 })
				eventually(t, "readings of the live one beside it", func() bool { return sink.count("pump", "count", sensor.QualityGood, from) > 10 })
			}
			checkModbusAges(t, server, sink)
			if m.Status().Errors == 0 {
				t.Error("no error was counted")
			}
		})
	}
}

// TestASlowDeviceKeepsNobodyWaiting: a device with a hundred registers that refuses each
// of them just inside the time-out has its share of the bus, and the others theirs.
func TestASlowDeviceKeepsNobodyWaiting(t *testing.T) {
	const slow = 900 * time.Millisecond
	for _, refuses := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := ModbusConfig{Options: options("bus"), URL: "rtuovertcp://h:502", Devices: []ModbusDevice{
				{Unit: 3, Sensor: "victim", Interval: time.Second, Registers: []modbus.Register{{Table: modbus.Holding, Type: modbus.Uint16, Metric: "p"}}},
				{Unit: 4, Sensor: "evil", Interval: time.Second},
				{Unit: 6, Sensor: "rare", Interval: 4 * time.Minute},
				{Unit: 5, Sensor: "other", Interval: 5 * time.Second, Registers: []modbus.Register{{Table: modbus.Holding, Type: modbus.Uint16, Metric: "p"}}},
			}}
			for i := range 100 {
				cfg.Devices[1].Registers = append(cfg.Devices[1].Registers, modbus.Register{Table: modbus.Holding, Address: uint16(1000 * (i % 60)), Type: modbus.Uint16, Metric: fmt.Sprint("m", i)})
			}
			cfg.Devices[2].Registers = cfg.Devices[1].Registers[:10]
			m := must(NewModbus(cfg))(t)
			asked, detail := map[uint8][]time.Time{}, ""
			m.read = func(unit uint8, q *modbus.Request) ([]byte, error) {
				asked[unit] = append(asked[unit], time.Now())
				if unit != 4 && unit != 6 {
					detail = m.Status().Detail
					time.Sleep(300 * time.Millisecond)
					return make([]byte, 2*q.Count), nil
				}
				time.Sleep(slow)
				if refuses {
					return nil, client.ErrIllegalDataAddress
				}
				return make([]byte, 2*q.Count), nil
			}
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
			defer stop()
			if err := m.Run(ctx, newTestSink()); err != nil {
				t.Fatal(err)
			}
			for unit, longest := range map[uint8]time.Duration{3: 2*time.Second + slow, 5: 6*time.Second + slow} {
				for i, at := range asked[unit][1:] {
					if gap := at.Sub(asked[unit][i]); gap > longest {
						t.Fatalf("unit %d was asked %d times, and once not for %s", unit, len(asked[unit]), gap)
					}
				}
			}
			if n := len(asked[4]); n < 300 || n > 660 { // the bus's time, and what it leaves the others
				t.Errorf("the slow one was asked %d times in 10 minutes", n)
			}
			if strings.Contains(detail, "unit 5: polled late") || !strings.Contains(detail, "unit 4: polled late: the bus is slower than its interval of 1s") {
				t.Errorf("%q", detail)
			}
		})
	}
}

// TestDeadSlaveLeavesTheBus: of two devices on one bus, read every second, one is
// dead for an hour and then comes back, whether nothing says so or a gateway does. The bus is the live one's meanwhile: each of
// its readings is made, and late by one time-out at most. Each reading of the dead one
// is made too, as bad, and it is read again within the longest pause.
func TestDeadSlaveLeavesTheBus(t *testing.T) {
	for url, dead := range map[string]error{"tcp://h:502": client.ErrRequestTimedOut, "rtu:///dev/null": client.ErrRequestTimedOut, "tcp://gateway:502": client.ErrGWTargetFailedToRespond} {
		synctest.Test(t, func(t *testing.T) {
			register := []modbus.Register{{Table: modbus.Holding, Type: modbus.Uint16, Metric: "v"}}
			m := must(NewModbus(ModbusConfig{Options: options("bus"), URL: url, Devices: []ModbusDevice{
				{Unit: 1, Sensor: "live", Interval: time.Second, Registers: register}, {Unit: 2, Sensor: "dead", Interval: time.Second, Registers: register}}}))(t)
			began, waited := time.Now(), time.Duration(0)
			m.read = func(unit uint8, _ *modbus.Request) ([]byte, error) {
				if unit == 2 && time.Since(began) < time.Hour {
					waited += m.cfg.Timeout
					wait(t.Context(), m.cfg.Timeout)
					return nil, dead
				}
				wait(t.Context(), 20*time.Millisecond)
				return []byte{0, 1}, nil
			}
			sink := &modbusSink{}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Minute)
			defer cancel()
			if err := m.Run(ctx, sink); err != nil {
				t.Fatal(err)
			}
			live, bad := sink.count("live", "v", sensor.QualityGood, 0), sink.count("dead", "v", sensor.QualityBadTimeout, 0)
			// A poll that is missed because the bus was waited for is moved, not made up for.
			if most := time.Hour / 25; waited > most || live < 3660*24/25 || bad < 3600*24/25 {
				t.Errorf("%s: %v of an hour waited for a dead device, want %v at most; %d readings of the live one, %d of the dead one", url, waited, most, live, bad)
			}
			if back := sink.count("dead", "v", sensor.QualityGood, 0); back < 20 {
				t.Errorf("%s: %d readings in the minute after it came back", url, back)
			}
		})
	}
}

// checkModbusAges: no value was made more than a second before its reading: the
// server stalls for one and a half. The others have the values they must have.
func checkModbusAges(t *testing.T, server *modbusServer, sink *modbusSink) {
	t.Helper()
	sink.mu.Lock()
	got := slices.Clone(sink.got)
	sink.mu.Unlock()
	eventually(t, "the server's word of each answer", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return !slices.ContainsFunc(got, func(g modbusReading) bool {
			_, told := server.made[uint32(g.Number)]
			return g.Quality == sensor.QualityGood && g.Metric == "count" && !told
		})
	})
	server.mu.Lock()
	defer server.mu.Unlock()
	for _, g := range got {
		switch {
		case g.Quality != sensor.QualityGood:
			if g.Kind != sensor.NoValue {
				t.Fatalf("a bad reading with a value: %+v", g)
			}
		case g.Metric == "count":
			count := uint32(g.Number)
			if made := server.made[count]; server.doomed[count] || int64(g.at)-made > 1_000_000 {
				t.Fatalf("answer %d was made %d us before its reading, late %v", count, int64(g.at)-made, server.doomed[count])
			}
		default:
			if want := map[string]float64{"temperature": 21.5, "level": -3.5, "running": 1}[g.Metric]; g.Number != want {
				t.Fatalf("%+v, want %v", g, want)
			}
		}
	}
}

// TestModbusRefusals: one register that is refused does not cost its
// neighbours, and a server that is gone is a reading too.
func TestModbusRefusals(t *testing.T) {
	path := buildModbusServer(t)
	server := startModbusServer(t, path, "tcp", "0")
	port := server.port
	registers := append(append([]modbus.Register{}, modbusMap[:2]...), modbus.Register{Table: modbus.Holding, Address: 4, Type: modbus.Int16, Metric: "beyond"})
	m, sink := runModbus(t, ModbusConfig{URL: "tcp://127.0.0.1:" + port, Devices: []ModbusDevice{{Unit: 1, Sensor: "pump", Interval: 20 * time.Millisecond, Registers: registers}}})
	eventually(t, "a refusal", func() bool { return sink.count("pump", "beyond", sensor.QualityBadException, 0) > 3 })
	if good, bad := sink.count("pump", "temperature", sensor.QualityGood, 0), sink.count("pump", "temperature", sensor.QualityBadException, 0); good < 3 || bad > 0 {
		t.Errorf("its neighbour: %d good, %d bad", good, bad)
	}
	if d := m.Status().Detail; !strings.Contains(d, "unit 1, holding:4: illegal data address") {
		t.Errorf("status says %q", d)
	}
	_ = server.cmd.Process.Kill()
	from := sink.len()
	eventually(t, "the server is gone", func() bool {
		return sink.count("pump", "count", sensor.QualityBadConnection, from) > 2 && m.Status().State == StateAbsent
	})
	startModbusServer(t, path, "tcp", port)
	from = sink.len()
	eventually(t, "the server is back", func() bool {
		return sink.count("pump", "count", sensor.QualityGood, from) > 2 && m.Status().State == StateOpen
	})
}

// TestModbusExceptions: a server that is busy, or a gateway whose device does not
// answer, refuses the request and not one of its registers: it is not asked for each.
func TestModbusExceptions(t *testing.T) {
	server := startModbusServer(t, buildModbusServer(t), "tcp", "0")
	m, sink := runModbus(t, ModbusConfig{URL: "tcp://127.0.0.1:" + server.port, Devices: []ModbusDevice{{Unit: 1, Sensor: "pump", Interval: 20 * time.Millisecond, Registers: modbusMap[:2]}}})
	for _, tt := range []struct {
		code int // MODBUS Application Protocol V1.1b3, 7
		want sensor.Quality
		text string
	}{{6, sensor.QualityBadException, "server device busy"}, {10, sensor.QualityBadException, "gateway path unavailable"}, {11, sensor.QualityBadTimeout, "target device failed to respond"}} {
		from := sink.len()
		server.order(t, fmt.Sprint("except ", tt.code))
		eventually(t, fmt.Sprint("exception ", tt.code), func() bool {
			return sink.count("pump", "count", tt.want, from) > 0 && sink.count("pump", "temperature", tt.want, from) > 0 && strings.Contains(m.Status().Detail, tt.text)
		})
		server.order(t, "except 0")
		eventually(t, "good readings again", func() bool {
			return sink.count("pump", "count", sensor.QualityGood, from) > 3 && m.Status().Detail == m.cfg.URL
		})
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if len(sink.got) != 2*sink.reports {
		t.Errorf("%d readings in %d reports, want two in each", len(sink.got), sink.reports)
	}
}

// ptyPair makes two serial ports that are each other's other end.
func ptyPair(t *testing.T) (a, b string) {
	t.Helper()
	needTool(t, "socat")
	dir := t.TempDir()
	a, b = filepath.Join(dir, "a"), filepath.Join(dir, "b")
	cmd := exec.Command("socat", "pty,raw,echo=0,link="+a, "pty,raw,echo=0,link="+b)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "a pair of ports", func() bool {
		_, errA := os.Stat(a)
		_, errB := os.Stat(b)
		return errA == nil && errB == nil
	})
	for _, name := range []string{a, b} { // socat ends when a port is closed by all
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
	}
	return a, b
}

func TestModbusConfigs(t *testing.T) {
	good := func() ModbusConfig {
		return ModbusConfig{Options: options("x"), URL: "tcp://h:502", Devices: []ModbusDevice{{Unit: 1, Sensor: "s", Interval: time.Second, Registers: modbusMap}}}
	}
	for name, change := range map[string]func(*ModbusConfig){
		"url": func(c *ModbusConfig) { c.URL = "h:502" }, "parity": func(c *ModbusConfig) { c.Parity = "mark" }, "stop": func(c *ModbusConfig) { c.StopBits = 3 },
		"timeout": func(c *ModbusConfig) { c.Timeout = -1 }, "devices": func(c *ModbusConfig) { c.Devices = nil }, "sensor": func(c *ModbusConfig) { c.Devices[0].Sensor = "" },
		"interval": func(c *ModbusConfig) { c.Devices[0].Interval = 0 }, "registers": func(c *ModbusConfig) { c.Devices[0].Registers = nil },
		"type": func(c *ModbusConfig) { c.Devices[0].Registers = []modbus.Register{{Type: "int24"}} }, "order": func(c *ModbusConfig) { c.Devices[0].Registers = []modbus.Register{{Type: modbus.Int16, Order: "acbd"}} },
	} {
		c := good()
		change(&c)
		if _, err := NewModbus(c); err == nil || !strings.Contains(err.Error(), "x") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewModbus(good()); err != nil {
		t.Error(err)
	}
}
