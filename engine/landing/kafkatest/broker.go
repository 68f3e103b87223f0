package kafkatest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Broker is one Kafka process, broker and controller in one.
type Broker struct {
	tools            tools
	id               int
	dir              string
	port, controller int
	secure           int // port of the listener with TLS and SASL, if there is one
	heapMiB          int
	output           tail

	mu      sync.Mutex
	process *os.Process   // nil: not running; guarded by mu
	ended   chan struct{} // closed when process has ended; guarded by mu
	err     error         // how it ended by itself; guarded by mu
}

// Addr is host:port for clients.
func (b *Broker) Addr() string { return loopback(b.port) }

// Kill ends the broker with SIGKILL and waits for its end. Nothing happens
// when it does not run.
func (b *Broker) Kill() {
	b.mu.Lock()
	process, ended := b.process, b.ended
	b.process = nil
	b.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Kill() // it may have ended just now
	<-ended
}

// Start runs a killed broker again, on the same ports and directory. It waits
// for nothing; see Cluster.Ready.
func (b *Broker) Start() error { return b.start() }

// Pause stops the broker's process where it stands (SIGSTOP), with its
// connections open.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on (SIGCONT).
func (b *Broker) Resume() error { return b.signal(syscall.SIGCONT) }

func (b *Broker) signal(s syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return fmt.Errorf("broker %d does not run", b.id)
	}
	return b.process.Signal(s)
}

// endedByItself tells how the process ended when nobody killed it.
func (b *Broker) endedByItself() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// start runs the process. Its owner is a goroutine that keeps its thread: a
// child dies with the thread that made it (Pdeathsig), not with the process.
func (b *Broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process != nil {
		return fmt.Errorf("broker %d runs already", b.id)
	}
	// A killed broker leaves what it unpacked (liblz4-java-*.so): in its own directory, which goes with the test.
	cmd := exec.Command(b.tools.java, fmt.Sprintf("-Xmx%dm", b.heapMiB), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-XX:-UsePerfData", "-Djava.io.tmpdir="+b.dir, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(b.tools.jars, "*"), "kafka.Kafka", b.properties())
	cmd.Stdout, cmd.Stderr = &b.output, &b.output
	cmd.SysProcAttr = dieWithParent()
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		b.mu.Lock()
		if b.process == cmd.Process {
			b.process, b.err = nil, fmt.Errorf("ended by itself: %w", errors.Join(err, errors.New(b.output.String())))
		}
		b.mu.Unlock()
		close(ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start broker %d: %w", b.id, err)
	}
	b.process, b.ended, b.err = cmd.Process, ended, nil
	return nil
}

func (b *Broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// format makes the broker's directory: what `kafka-storage format` writes,
// without a second Java.
func (b *Broker) format(properties map[string]string) error {
	data := filepath.Join(b.dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return fmt.Errorf("format broker %d: %w", b.id, err)
	}
	properties["log.dirs"] = data
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&text, "%s=%s\n", k, properties[k])
	}
	id := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "landfall-test-%02d", b.id)) // 16 bytes
	meta := fmt.Sprintf("version=1\ncluster.id=landfalltestclusterAAAA\nnode.id=%d\ndirectory.id=%s\n", b.id, id)
	if err := errors.Join(os.WriteFile(b.properties(), []byte(text.String()), 0o600),
		os.WriteFile(filepath.Join(data, "meta.properties"), []byte(meta), 0o600)); err != nil {
		return fmt.Errorf("format broker %d: %w", b.id, err)
	}
	return nil
}

// properties gives server.properties of a broker: every one is a controller
// too, internal topics are small and as replicated as can be, nothing is made
// by being asked for, a group's members do not wait for more, and a broker that
// is gone is noticed in seconds, not in tens of them.
func (c *Cluster) properties(b *Broker, cfg Config) map[string]string {
	var voters []string
	for _, b := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s", b.id, loopback(b.controller)))
	}
	replicas := strconv.Itoa(min(len(c.brokers), 3))
	insync := strconv.Itoa(min(len(c.brokers), 2))
	p := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  strconv.Itoa(b.id),
		"controller.quorum.voters":                 strings.Join(voters, ","),
		"listeners":                                fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", b.Addr(), loopback(b.controller)),
		"advertised.listeners":                     "PLAINTEXT://" + b.Addr(),
		"controller.listener.names":                "CONTROLLER",
		"auto.create.topics.enable":                "false",
		"offsets.topic.num.partitions":             "4",
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.num.partitions":     "4",
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            insync,
		"min.insync.replicas":                      insync,
		"group.initial.rebalance.delay.ms":         "0",
		"broker.session.timeout.ms":                "3000",
		"broker.heartbeat.interval.ms":             "500",
		"replica.lag.time.max.ms":                  "5000",
		"num.network.threads":                      "2",
		"num.io.threads":                           "4",
		"log.cleaner.dedupe.buffer.size":           "16777216",
	}
	if cfg.Secure != nil {
		cfg.Secure.add(p, b.secure)
	}
	maps.Copy(p, cfg.Settings)
	return p
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts finds ports that nobody listens on. Another process may take one
// before the broker does, which then says so and ends.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// brokersKnown counts the brokers that the cluster says it has.
func brokersKnown(ctx context.Context, client *kgo.Client) (int, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	return len(res.Brokers), nil
}

// tail keeps the last of what a broker prints.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailBytes; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

// String gives what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
