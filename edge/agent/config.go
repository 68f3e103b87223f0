package agent

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"landfall/edge/config"
	"landfall/edge/forward"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// Config configures a gateway. Default gives what an absent key means.
type Config struct {
	// Gateway is the name under which the cloud knows this machine. Required;
	// it must not change while logs are unforwarded.
	Gateway string `yaml:"gateway"`
	// DataDir holds the log and what belongs to it. Required, absolute, made
	// if absent; one process at a time.
	DataDir string `yaml:"data_dir"`
	// Status is host:port of the local status page and metrics, on loopback;
	// empty: none.
	Status string `yaml:"status"`
	// StatusHosts are names under which the status page is asked beside localhost
	// and the host of Status, as where a proxy stands before it.
	StatusHosts []string `yaml:"status_hosts"`
	// DrainTimeout is how long a stop may take to forward what is captured;
	// what remains is forwarded after the next start. 0: no attempt.
	DrainTimeout time.Duration   `yaml:"drain_timeout"`
	Log          LogConfig       `yaml:"log"`
	Capture      CaptureConfig   `yaml:"capture"`
	Watermark    WatermarkConfig `yaml:"watermark"`
	Sources      []SourceConfig  `yaml:"sources"`
	Forward      ForwardConfig   `yaml:"forward"`
	// Memory is how much the program may have; 0B: 64 MiB, or what MemoryItems add up to
	// where that is more, as far as its control group allows.
	Memory config.Bytes `yaml:"memory"`
}

// LogConfig configures the durable log.
type LogConfig struct {
	SegmentSize config.Bytes `yaml:"segment_size"` // size of one file
	Quota       config.Bytes `yaml:"quota"`        // of all files; 0: none
	Reserve     config.Bytes `yaml:"reserve"`      // of the disk that stays free
	WhenFull    string       `yaml:"when_full"`    // block or shed-oldest
}

// CaptureConfig configures framing and group commit.
type CaptureConfig struct {
	GroupInterval time.Duration `yaml:"group_interval"` // a group is made durable at least this often
	GroupSize     config.Bytes  `yaml:"group_size"`     // or when it has this size
	FragmentLimit time.Duration `yaml:"fragment_limit"` // a fragment waits this long for its partners
}

// WatermarkConfig bounds what is expected of every source.
type WatermarkConfig struct {
	// Disorder bounds how far event times of one source run back; its
	// watermark stays behind by it.
	Disorder time.Duration `yaml:"disorder"`
	// IdleTimeout is the silence after which a source no longer holds the
	// gateway's watermark back.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// Tolerance is how far ahead of the gateway's clock an event time may be
	// and still move a watermark.
	Tolerance time.Duration `yaml:"tolerance"`
}

// SourceConfig configures one source: a name and exactly one kind.
type SourceConfig struct {
	Name  string `yaml:"name"`  // required, unique, never changed
	Serve string `yaml:"serve"` // host:port where its lines are served again; empty: nowhere
	// SilentAfter is after what silence an open source is complained of; 0: never.
	// Nil: 15 min for serial, TCP, UDP and Modbus, never for the others, which may
	// have nothing to say.
	SilentAfter *time.Duration   `yaml:"silent_after"`
	File        *FileConfig      `yaml:"file"`
	TCPClient   *TCPClientConfig `yaml:"tcp_client"`
	TCPServer   *TCPServerConfig `yaml:"tcp_server"`
	UDP         *UDPConfig       `yaml:"udp"`
	Serial      *SerialConfig    `yaml:"serial"`
	Acked       *AckedConfig     `yaml:"acked"`
	MQTT        *MQTTConfig      `yaml:"mqtt"`
	Sparkplug   *SparkplugConfig `yaml:"sparkplug"`
	Modbus      *ModbusConfig    `yaml:"modbus"`
	Node        *NodeConfig      `yaml:"node"`
}

// FileConfig reads a file.
type FileConfig struct {
	Path         string        `yaml:"path"`          // required
	Follow       bool          `yaml:"follow"`        // wait for more at its end
	PollInterval time.Duration `yaml:"poll_interval"` // 0: 500 ms
	Grace        time.Duration `yaml:"grace"`         // quiet of a rotated file before it is left; 0: 5 s
	Siblings     []string      `yaml:"siblings"`      // patterns of paths of rotated files
}

// TCPClientConfig connects to a server that sends lines.
type TCPClientConfig struct {
	Address    string        `yaml:"address"`     // host:port, required
	StaleAfter time.Duration `yaml:"stale_after"` // connect anew after this silence; 0: never
}

// TCPServerConfig waits for clients that send lines.
type TCPServerConfig struct {
	Listen            string        `yaml:"listen"`               // host:port, required
	MaxClients        int           `yaml:"max_clients"`          // 0: 256
	MaxClientsPerHost int           `yaml:"max_clients_per_host"` // 0: 16 and an eighth of MaxClients
	IdleTimeout       time.Duration `yaml:"idle_timeout"`         // silence that ends a client; 0: 1 h
}

// UDPConfig takes datagrams.
type UDPConfig struct {
	Listen     string `yaml:"listen"`      // host:port, required; a multicast host is joined
	Interface  string `yaml:"interface"`   // for multicast; empty: the system's choice
	MaxSenders int    `yaml:"max_senders"` // 0: 1024
}

// SerialConfig reads a serial port.
type SerialConfig struct {
	Device     string        `yaml:"device"`      // required
	Baud       int           `yaml:"baud"`        // 0: 38400
	StaleAfter time.Duration `yaml:"stale_after"` // open anew after this silence; 0: 10 min
}

// AckedConfig waits for senders that keep each line until it is captured.
type AckedConfig struct {
	Listen            string        `yaml:"listen"`               // host:port, required
	MaxClients        int           `yaml:"max_clients"`          // 0: 256
	MaxClientsPerHost int           `yaml:"max_clients_per_host"` // 0: 16 and an eighth of MaxClients
	IdleTimeout       time.Duration `yaml:"idle_timeout"`         // silence that ends a client; 0: 1 h
	MaxSenders        int           `yaml:"max_senders"`          // 0: 1024
	MinVersion        int           `yaml:"min_version"`          // of the protocol; 0: 1
	Allow             []string      `yaml:"allow"`                // addresses and prefixes that may connect; none: all
	TokenFile         string        `yaml:"token_file"`           // what senders must state; empty: nothing
}

// NodeConfig takes the readings of a sensor node (firmware/) on a serial line.
type NodeConfig struct {
	Device string `yaml:"device"` // required
	Baud   int    `yaml:"baud"`   // 0: 115200
}

// ForwardConfig configures the link to the cloud.
type ForwardConfig struct {
	URL string `yaml:"url"` // of the ingest, http or https; required
	// Timeout is how long a request may go without any progress.
	Timeout time.Duration `yaml:"timeout"`
	// Linger is the least time between two requests of a small backlog: a
	// longer one saves some 700 bytes of headers a request on a metered link,
	// and rows reach the lake later by as much. 0s: none.
	Linger time.Duration `yaml:"linger"`
	// RetryMax bounds the wait after a failure, which doubles from 500 ms.
	RetryMax time.Duration `yaml:"retry_max"`
	// Release is what is waited for before records are let go: published, until they
	// are in the lake; landed, until the engine's landing log has them, which may
	// lose them again.
	Release string `yaml:"release"`
	// Lake is the beginning of the identity of the lake to which records go, 16
	// hexadecimal digits; empty: that of the first engine that answers.
	Lake string `yaml:"lake"`
	// Proxy is the URL of a CONNECT proxy; empty: what the environment says
	// (HTTPS_PROXY, HTTP_PROXY, NO_PROXY); direct: none.
	Proxy string `yaml:"proxy"`
	// ProxyUsernameFile and ProxyPasswordFile are files whose first line is the
	// name, and the password, that the proxy asks for; empty: none.
	ProxyUsernameFile string `yaml:"proxy_username_file"`
	ProxyPasswordFile string `yaml:"proxy_password_file"`
	// TLS files, PEM, only with https: who signs the cloud's certificate
	// (empty: the system's roots), and this gateway's own certificate and key.
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name expected in the cloud's certificate; empty: the
	// URL's host.
	ServerName string `yaml:"server_name"`
}

// Default gives the configuration that absent keys mean.
func Default() Config {
	return Config{
		DrainTimeout: 5 * time.Second,
		Log:          LogConfig{SegmentSize: seglog.DefaultSegmentBytes, Quota: 4 << 30, Reserve: 256 << 20, WhenFull: seglog.Block.String()},
		Capture:      CaptureConfig{GroupInterval: 250 * time.Millisecond, GroupSize: 64 << 10, FragmentLimit: 2 * time.Second},
		Watermark:    WatermarkConfig{Disorder: 30 * time.Second, IdleTimeout: time.Minute, Tolerance: 10 * time.Second},
		Forward:      ForwardConfig{Timeout: 30 * time.Second, Linger: time.Second, RetryMax: time.Minute, Release: forward.ReleasePublished.String()},
	}
}

// LogDir is where the log lies.
func (c *Config) LogDir() string { return filepath.Join(c.DataDir, "log") }

// ForwardState is the file that holds what the cloud acknowledged.
func (c *Config) ForwardState() string { return filepath.Join(c.DataDir, "forward.state") }

// TipsFile is the file that holds where each log ended.
func (c *Config) TipsFile() string { return filepath.Join(c.DataDir, "tips") }

// FiltersState is the file that holds which filters a source of messages may have
// subscribed to in its broker's session.
func (c *Config) FiltersState(source string) string {
	return filepath.Join(c.DataDir, source+filtersSuffix)
}

// Validate checks the fields, each by itself and together, and changes
// nothing. It touches no file. Errors: config.FieldErrors, joined.
func (c *Config) Validate() error {
	var p config.Problems
	err := wire.CheckGateway(c.Gateway)
	p.Add(err == nil, "gateway", strconv.Quote(c.Gateway), gatewayWanted)
	p.Add(filepath.IsAbs(c.DataDir), "data_dir", strconv.Quote(c.DataDir), "the absolute path of a directory of its own")
	p.Add(c.Status == "" || config.IsLoopback(c.Status), "status", strconv.Quote(c.Status), "host:port on loopback, like 127.0.0.1:8470, or nothing")
	for i, name := range c.StatusHosts {
		p.Add(page.ValidHost(name), fmt.Sprintf("status_hosts[%d]", i), strconv.Quote(name), "the name or address of a host, without a port")
	}
	p.Add(c.DrainTimeout >= 0, "drain_timeout", c.DrainTimeout.String(), "a time of 0s or more")
	c.Log.validate(&p)
	c.Capture.validate(&p)
	c.Watermark.validate(&p)
	p.Add(len(c.Sources) > 0, "sources", "none", "at least one source")
	first, clients := map[string]int{}, map[string]int{}
	for i := range c.Sources {
		s, key := &c.Sources[i], fmt.Sprintf("sources[%d]", i)
		s.validate(&p, key)
		if at, taken := first[s.Name]; taken && s.Name != "" {
			p.Add(false, key+".name", strconv.Quote(s.Name), fmt.Sprintf("a name that sources[%d] does not have", at))
		}
		first[s.Name] = i
		if b := s.broker(); b != nil {
			id := b.clientID(c.Gateway, s.Name)
			at, taken := clients[b.URL+" "+id]
			p.Add(!taken, key+"."+s.Kind()+".broker.client_id", strconv.Quote(id),
				fmt.Sprintf("one that sources[%d] does not have: a broker ends the connection of the first when the second comes", at))
			clients[b.URL+" "+id] = i
		}
	}
	c.Forward.validate(&p)
	items := c.MemoryItems()
	p.Add(c.Memory == 0 || int64(c.Memory) >= memory.Sum(items), "memory", c.Memory.String(),
		"0B, or what everything that these settings allow takes at the same time, "+memory.Text(items))
	return p.Err()
}

const gatewayWanted = "a name of 1 to 128 letters, digits, '.', '_' and '-'"

func (l *LogConfig) validate(p *config.Problems) {
	p.Add(l.SegmentSize >= seglog.MinSegmentBytes && l.SegmentSize <= 1<<30, "log.segment_size", l.SegmentSize.String(),
		fmt.Sprintf("a size from %s to 1GiB", config.Bytes(seglog.MinSegmentBytes)))
	p.Add(l.Quota == 0 || l.Quota >= 2*l.SegmentSize, "log.quota", l.Quota.String(), "0B for none, or at least two segments")
	p.Add(l.Reserve >= 0, "log.reserve", l.Reserve.String(), "a size")
	_, err := seglog.ParsePolicy(l.WhenFull)
	p.Add(err == nil, "log.when_full", strconv.Quote(l.WhenFull), "block or shed-oldest")
}

func (c *CaptureConfig) validate(p *config.Problems) {
	p.Add(c.GroupInterval >= time.Millisecond && c.GroupInterval <= time.Minute, "capture.group_interval", c.GroupInterval.String(), "a time from 1ms to 1m")
	p.Add(c.GroupSize >= 1<<10 && c.GroupSize <= 4<<20, "capture.group_size", c.GroupSize.String(), "a size from 1KiB to 4MiB")
	p.Add(c.FragmentLimit >= 100*time.Millisecond && c.FragmentLimit <= time.Minute, "capture.fragment_limit", c.FragmentLimit.String(), "a time from 100ms to 1m")
}

func (w *WatermarkConfig) validate(p *config.Problems) {
	p.Add(w.Disorder > 0 && w.Disorder <= 24*time.Hour, "watermark.disorder", w.Disorder.String(), "a time up to 24h")
	p.Add(w.IdleTimeout > 0 && w.IdleTimeout <= 24*time.Hour, "watermark.idle_timeout", w.IdleTimeout.String(), "a time up to 24h")
	p.Add(w.Tolerance > 0 && w.Tolerance <= 24*time.Hour, "watermark.tolerance", w.Tolerance.String(), "a time up to 24h")
}

func (f *ForwardConfig) validate(p *config.Problems) {
	u, err := url.Parse(f.URL)
	good := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == ""
	p.Add(good, "forward.url", strconv.Quote(f.URL), "a URL like https://ingest.example:8443")
	p.Add(f.Timeout >= time.Second, "forward.timeout", f.Timeout.String(), "a time of at least 1s")
	p.Add(f.Linger >= 0 && f.Linger <= time.Hour, "forward.linger", f.Linger.String(), "a time from 0s (none) to 1h")
	p.Add(f.RetryMax >= 500*time.Millisecond && f.RetryMax <= time.Hour, "forward.retry_max", f.RetryMax.String(), "a time from 500ms to 1h")
	_, err = forward.ParseRelease(f.Release)
	p.Add(err == nil, "forward.release", strconv.Quote(f.Release), "published or landed")
	p.Add(f.Lake == "" || len(f.Lake) == wire.MaxLakeBytes && strings.Trim(f.Lake, "0123456789abcdef") == "", "forward.lake", strconv.Quote(f.Lake), "16 digits from 0 to 9 and a to f, or nothing")
	f.validateProxy(p)
	secure := good && u.Scheme == "https"
	for _, file := range []struct{ key, value string }{{"ca_file", f.CAFile}, {"cert_file", f.CertFile}, {"key_file", f.KeyFile}, {"server_name", f.ServerName}} {
		p.Add(file.value == "" || secure, "forward."+file.key, strconv.Quote(file.value), "nothing, because the URL is not https")
	}
	p.Add((f.CertFile == "") == (f.KeyFile == ""), "forward.cert_file", strconv.Quote(f.CertFile), "cert_file and key_file together, or neither")
}

// tuning gives forwarding's form, where zero is a default.
func (f *ForwardConfig) tuning() forward.Tuning {
	t := forward.Tuning{Linger: f.Linger, BackoffMax: f.RetryMax}
	if t.Linger == 0 {
		t.Linger = -1
	}
	return t
}
