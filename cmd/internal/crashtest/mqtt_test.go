//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// Sizes of the test with a broker.
const (
	mqttTopics = 4
	// mqttResend is how many of its newest messages a publisher sends again after
	// the broker was killed, which forgets what it had acknowledged: more than are
	// sent while the gateway is away.
	mqttResend  = 20_000
	mqttOnTheir = 500 // messages without the broker's acknowledgement at a time
)

// mqttReadings is how many readings are published: in a soak 100,000.
func mqttReadings() int {
	if os.Getenv("LANDFALL_SOAK") == "1" {
		return 100_000
	}
	return 10_000
}

// cutter passes connections on to an address, and cuts them.
type cutter struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	conns    map[net.Conn]bool // guarded by mu
	closed   bool              // new ones are refused; guarded by mu
	running  sync.WaitGroup
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, to: to, conns: map[net.Conn]bool{}}
	c.running.Go(c.run)
	return c
}

func (c *cutter) run() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil || !c.hold(in, out) {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		c.running.Go(func() { pass(in, out) })
		c.running.Go(func() { pass(out, in) })
	}
}

func (c *cutter) hold(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range conns {
		c.conns[n] = true
	}
	return !c.closed
}

// pass copies until either end is gone, and then ends both.
func pass(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_, werr := to.Write(buf[:n])
			if err == nil {
				err = werr
			}
		}
		if err != nil {
			_, _ = to.Close(), from.Close()
			return
		}
	}
}

// cut ends all connections and refuses new ones until mend.
func (c *cutter) cut(closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = closed
	for n := range c.conns {
		_ = n.Close()
	}
	clear(c.conns)
}

func (c *cutter) release() {
	_ = c.listener.Close()
	c.cut(true)
	c.running.Wait()
}

// numberedPublisher publishes numbered readings, and keeps them.
type numberedPublisher struct {
	url    string
	pace   time.Duration // between bursts of 50
	mu     sync.Mutex
	again  bool // the broker was killed; guarded by mu
	sent   int  // messages published at least once
	resent int
}

func (p *numberedPublisher) brokerKilled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
}

func (p *numberedPublisher) takeAgain() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.again
	p.again = false
	return again
}

// run publishes n messages, each until the broker has acknowledged it in a
// life in which it was not killed after.
func (p *numberedPublisher) run(n int, stop <-chan struct{}) {
	for next := 0; next < n; {
		client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(p.url).SetClientID("publisher").SetAutoReconnect(false).SetConnectTimeout(time.Second))
		if token := client.Connect(); !token.WaitTimeout(2*time.Second) || token.Error() != nil {
			if !pause(stop, 50*time.Millisecond) {
				return
			}
			continue
		}
		if p.takeAgain() {
			p.resent += next - max(0, next-mqttResend)
			next = max(0, next-mqttResend)
		}
		next = p.publish(client, next, n)
		client.Disconnect(0)
	}
}

// publish publishes from message next on and gives the first that was not
// acknowledged.
func (p *numberedPublisher) publish(client mqtt.Client, next, n int) int {
	var tokens []mqtt.Token
	acked := next
	for ; acked < n; acked++ {
		if acked%50 == 0 {
			pause(nil, p.pace)
		}
		for ; next < n && next-acked < mqttOnTheir; next++ {
			payload := fmt.Sprintf(`{"n":%d,"v":%d.5}`, next/mqttTopics, next%97)
			tokens = append(tokens, client.Publish(fmt.Sprintf("plant/s%d/state", next%mqttTopics), 1, false, payload))
			p.sent = max(p.sent, next+1)
		}
		if !tokens[0].WaitTimeout(2*time.Second) || tokens[0].Error() != nil || !client.IsConnectionOpen() {
			return acked
		}
		tokens = tokens[1:]
	}
	return acked
}

// TestMQTTExactlyOnce: numbered readings through a real broker, a gateway that
// is killed and a network that is cut, under load, are in the lake once each.
// Where the broker lives, nobody publishes anything twice; where it is killed
// too, publishers send again what they cannot know that it kept.
func TestMQTTExactlyOnce(t *testing.T) {
	t.Run("broker lives", func(t *testing.T) { mqttExactlyOnce(t, []int{1, 2}, [][]int{{1, 2}}) })
	t.Run("broker killed", func(t *testing.T) { mqttExactlyOnce(t, []int{0, 1, 2}, [][]int{{0, 1}, {1, 2}, {0, 1, 2}}) })
}

// mqttExactlyOnce has each of single, and of several at once, happen.
func mqttExactlyOnce(t *testing.T, single []int, several [][]int) {
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real broker: %v", err)
	}
	rng := rand.New(rand.NewPCG(seed(t), 5))
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	engine, err := c.program.start()
	if err != nil {
		t.Fatal(err)
	}
	defer engine.kill()
	address := freePort(t)
	broker := mosquitto(t, dir, address)
	network := newCutter(t, address)
	defer network.release()
	config := filepath.Join(dir, "gw.yaml")
	makeDirs(t, filepath.Join(dir, "gw"))
	writeText(t, config, fmt.Sprintf(`gateway: gw
data_dir: %s
drain_timeout: 2s
log: {segment_size: 256KiB, quota: 256MiB, reserve: 1MiB}
forward: {url: "http://%s", linger: 100ms, retry_max: 1s}
sources:
  - name: plant
    mqtt:
      broker: {url: "mqtt://%s", keep_alive: 5s}
      remember: 65536
      topics:
        - {filter: plant/+/state, sensor: "{2}", sequence_field: n, metrics: [{field: n}, {field: v}]}
`, filepath.Join(dir, "gw"), c.addr, network.listener.Addr()))
	edge := program{name: "gw", path: binaries(t).edge, args: []string{"run", "--config", config}, dir: dir}
	broken := &mqttTrouble{t: t, rng: rng, network: network, brokerProgram: broker, edgeProgram: edge}
	broken.begin()
	n := mqttReadings()
	if len(single) == 2 {
		n /= 2
	}
	var plan [][]int
	for _, what := range single {
		plan = append(plan, []int{what})
	}
	plan = append(plan, several...)
	if n > 50_000 {
		plan = slices.Concat(plan, plan, plan)
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	p := &numberedPublisher{url: "mqtt://" + address, pace: time.Duration(len(plan)) * 800 * time.Millisecond / time.Duration(n/50)}
	broken.publisher = p
	done := make(chan struct{})
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(done)
		p.run(n, stop)
	}()
	for _, together := range plan {
		broken.once(together)
	}
	<-done
	if slices.Contains(single, 0) {
		broken.killBroker() // and what it forgets at the very end
		p.last(n, stop)
	}
	e := evidence{t: t, dir: dir, lake: c.lake}
	until(t, "all readings in the lake", 3*time.Minute, func() (bool, string) {
		got := mqttCounts(t, e)
		return got[0] == n, fmt.Sprintf("%d of %d, %d rows", got[0], n, got[1])
	})
	broken.end()
	if code, err := engine.terminate(time.Minute); code != 0 || err != nil {
		t.Errorf("engine ended with %d, %v", code, err)
	}
	got := mqttCounts(t, e)
	fmt.Printf("  %d readings published, %d sent again by the publisher; %d broker kills, %d edge kills, %d cuts; in the lake %d, missing %d, duplicate %d\n",
		n, p.resent, broken.brokerKills, broken.edgeKills, broken.cuts, got[0], n-got[0], got[1]-got[0])
	if got[0] != n || got[1] != n || got[2] != n {
		t.Errorf("%d different readings in %d rows, %d values, want %d each", got[0], got[1], got[2], n)
	}
	if code, out, errs := command(t, binaries(t).engine, "audit", "--lake", c.lake, "--edge-log", filepath.Join(dir, "gw", "log")); code != 0 {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
	for _, p := range []program{edge, c.program} {
		p.checkLog(t)
	}
}

// last has the publisher send its newest again after the last kill.
func (p *numberedPublisher) last(n int, stop <-chan struct{}) {
	done := false
	for !done {
		client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(p.url).SetClientID("publisher").SetAutoReconnect(false).SetConnectTimeout(time.Second))
		if token := client.Connect(); token.WaitTimeout(2*time.Second) && token.Error() == nil {
			from := max(0, n-mqttResend)
			p.resent += n - from
			done = p.publish(client, from, n) == n
		}
		client.Disconnect(100)
		if !done && !pause(stop, 50*time.Millisecond) {
			return
		}
	}
}

// mqttCounts gives the different numbered readings in the lake, their rows, and
// the rows of the other metric.
func mqttCounts(t *testing.T, e evidence) []int {
	t.Helper()
	if files, _ := filepath.Glob(filepath.Join(e.lake, string(table.SensorReading), "dt=*", "*.parquet")); len(files) == 0 {
		return []int{0, 0, 0}
	}
	rows := sinktest.DuckDB(t, "SELECT count(DISTINCT (sensor, value)) FILTER (metric = 'n'), count(*) FILTER (metric = 'n'), count(*) FILTER (metric = 'v') FROM "+e.source(table.SensorReading, ""))
	var all []int
	for _, v := range rows[0] {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// mosquitto gives a broker that keeps its state and bounds nothing.
func mosquitto(t *testing.T, dir, address string) program {
	t.Helper()
	store := filepath.Join(dir, "broker")
	makeDirs(t, store)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	user := "root"
	if os.Getuid() != 0 {
		user = "mosquitto"
	}
	writeText(t, conf, fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser %s\npersistence true\npersistence_location %s/\nautosave_interval 1\n"+
		"max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n", port, user, store))
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	return program{name: "mosquitto", path: path, args: []string{"-c", conf}, dir: dir}
}

// mqttTrouble kills and cuts.
type mqttTrouble struct {
	t                            *testing.T
	rng                          *rand.Rand
	network                      *cutter
	publisher                    *numberedPublisher
	brokerProgram, edgeProgram   program
	broker, edge                 *process
	brokerKills, edgeKills, cuts int
}

func (m *mqttTrouble) start(p program) *process {
	life, err := p.start()
	if err != nil {
		m.t.Fatal(err)
	}
	return life
}

// begin starts broker and gateway, and waits for the subscription: what was
// published before it is nobody's.
func (m *mqttTrouble) begin() {
	m.broker = m.start(m.brokerProgram)
	m.edge = m.start(m.edgeProgram)
	m.awaitSubscription()
	m.t.Cleanup(func() {
		m.edge.kill()
		m.broker.kill()
	})
}

func (m *mqttTrouble) awaitSubscription() {
	url := "mqtt://" + m.network.to
	until(m.t, "a subscription", 30*time.Second, func() (bool, string) {
		client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("asker").SetAutoReconnect(false).SetConnectTimeout(time.Second))
		defer client.Disconnect(0)
		got := make(chan string, 1)
		if token := client.Connect(); !token.WaitTimeout(time.Second) || token.Error() != nil {
			return false, "no broker"
		}
		client.Subscribe("$SYS/broker/subscriptions/count", 0, func(_ mqtt.Client, msg mqtt.Message) {
			select {
			case got <- string(msg.Payload()):
			default:
			}
		})
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case v := <-got:
			return v != "0", v
		case <-timer.C:
			return false, "no answer"
		}
	})
}

// once lets some time go by and then breaks what is named: 0 the broker, 1 the
// gateway, 2 the network.
func (m *mqttTrouble) once(together []int) {
	pause(nil, time.Duration(200+m.rng.IntN(600))*time.Millisecond)
	for _, what := range together {
		switch what {
		case 0:
			m.killBroker()
		case 1:
			m.edge.kill()
			m.edgeKills++
			pause(nil, time.Duration(m.rng.IntN(300))*time.Millisecond)
			m.edge = m.start(m.edgeProgram)
		case 2:
			m.network.cut(true)
			m.cuts++
			pause(nil, time.Duration(m.rng.IntN(500))*time.Millisecond)
			m.network.cut(false)
		}
	}
}

// killBroker kills the broker, which forgets what it had not saved.
func (m *mqttTrouble) killBroker() {
	m.broker.kill()
	m.brokerKills++
	m.broker = m.start(m.brokerProgram)
	m.publisher.brokerKilled()
}

func (m *mqttTrouble) end() {
	if code, err := m.edge.terminate(time.Minute); code != 0 || err != nil {
		m.t.Errorf("edge ended with %d, %v\n%s", code, err, m.edge.lifeLog())
	}
	m.broker.signal(syscall.SIGTERM)
	<-m.broker.done
	if !slices.Contains([]int{0, -1}, m.broker.state.ExitCode()) {
		m.t.Errorf("mosquitto: %s", m.broker.lifeLog())
	}
}
