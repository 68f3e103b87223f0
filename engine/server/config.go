package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"landfall/edge/config"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/seglog"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// Config configures an engine. Default gives what an absent key means.
type Config struct {
	// Roles is what this engine does: RoleIngest, RoleTasks; none: both. With a
	// directory as landing log both are needed.
	Roles []string `yaml:"roles"`
	// Listen is host:port where gateways deliver. Required of an ingest.
	Listen string `yaml:"listen"`
	// Status is host:port of the status page and metrics, on loopback; empty:
	// none.
	Status string `yaml:"status"`
	// StatusHosts are names under which the status page is asked beside localhost
	// and the host of Status, as where a proxy stands before it.
	StatusHosts []string         `yaml:"status_hosts"`
	TLS         TLSConfig        `yaml:"tls"`
	Identity    IdentityConfig   `yaml:"identity"`
	Landing     LandingConfig    `yaml:"landing"`
	Lake        LakeConfig       `yaml:"lake"`
	Checkpoint  CheckpointConfig `yaml:"checkpoint"`
	Sinks       SinksConfig      `yaml:"sinks"`
	Epoch       EpochConfig      `yaml:"epoch"`
	Window      WindowConfig     `yaml:"window"`
	Limits      LimitsConfig     `yaml:"limits"`
	// DrainTimeout is how long a stop may take to commit and publish what was
	// read; what remains is done after the next start.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// Memory is how much the program may have; 0B: what MemoryItems add up to, as far as
	// its control group allows. GOMEMLIMIT of the environment goes before it.
	Memory config.Bytes `yaml:"memory"`
}

// TLSConfig names the files of the ingest's TLS, PEM; none: plain HTTP.
type TLSConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile holds who signs the gateways' certificates. A gateway
	// without one is then refused, unless another identity is configured.
	ClientCAFile string `yaml:"client_ca_file"`
	// CRLFile holds lists of the certificates that were revoked, signed by who
	// is in ClientCAFile.
	CRLFile string `yaml:"crl_file"`
}

// IdentityConfig says how a gateway proves its name. At least one way is
// required; tls.client_ca_file is one.
type IdentityConfig struct {
	// TrustedHeader is set by a TLS-ending proxy to the gateway's name, and
	// believed from TrustedProxies only (addresses or prefixes).
	TrustedHeader  string   `yaml:"trusted_header"`
	TrustedProxies []string `yaml:"trusted_proxies"`
	// Unauthenticated believes what the gateway says: for loopback and closed
	// networks.
	Unauthenticated bool `yaml:"unauthenticated"`
}

// LandingConfig configures the landing log: embedded in a directory, or Kafka.
type LandingConfig struct {
	Kafka KafkaConfig `yaml:"kafka"`
	// What follows is of the embedded one, but for Reserve.
	Dir string `yaml:"dir"` // required without kafka, absolute, made if absent
	// Partitions is fixed when the log is made; every gateway lies in one.
	Partitions  int          `yaml:"partitions"`
	SegmentSize config.Bytes `yaml:"segment_size"`
	// Quota bounds each partition; 0B: none.
	Quota config.Bytes `yaml:"quota"`
	// Reserve is free space, on the disks of landing log and lake, under which
	// nothing more is landed. A bucket has no bound; while it is not reached, the
	// landing log fills up to the reserve.
	Reserve config.Bytes `yaml:"reserve"`
	// Hold is how long landed blocks are kept that wait for what is missing before
	// them; after that they go to the table conflict.
	Hold time.Duration `yaml:"hold"`
}

// LakeConfig says where the tables lie.
type LakeConfig struct {
	// Dir is absolute, made if absent, or s3://bucket/prefix. Required of tasks. An
	// ingest alone reads below it what is published, and makes nothing.
	Dir string `yaml:"dir"`
	// Look is how often some of the published files are looked for, whether they are
	// there with their length; 0: never.
	Look time.Duration `yaml:"look"`
	S3   S3Config      `yaml:"s3"`
}

// S3Config says how buckets are reached.
type S3Config struct {
	// Endpoint is the store's URL; empty: AWS_ENDPOINT_URL_S3 or
	// AWS_ENDPOINT_URL, and without them AWS.
	Endpoint string `yaml:"endpoint"`
	// Region; empty: AWS_REGION or AWS_DEFAULT_REGION, and without them us-east-1.
	Region string `yaml:"region"`
	// PathStyle puts the bucket into the path, not into the host's name; absent:
	// true where there is an endpoint.
	PathStyle *bool `yaml:"path_style"`
	// CAFile is who signs the store's certificate, PEM; empty: AWS_CA_BUNDLE, and
	// without it the system's.
	CAFile string `yaml:"ca_file"`
	// CredentialsFile holds the keys in the form that S3's tools share; empty: they
	// are looked for where these tools look, in files and roles, and never in the
	// environment itself.
	CredentialsFile string `yaml:"credentials_file"`
	// Outage is the longest time for which the engine may be down with files
	// committed and not published.
	Outage time.Duration `yaml:"outage"`
	// RequestTimeout bounds one request, with a second more for each 256 KiB.
	RequestTimeout time.Duration `yaml:"request_timeout"`
}

// DefaultS3 is what absent keys mean.
func DefaultS3() S3Config {
	return S3Config{Outage: 7 * 24 * time.Hour, RequestTimeout: time.Minute}
}

// CheckpointConfig says where manifests and state lie.
type CheckpointConfig struct {
	Dir string `yaml:"dir"` // a directory or s3://bucket/prefix; empty: _checkpoint below the lake
}

// EpochConfig says when an epoch ends: whichever bound is reached first.
type EpochConfig struct {
	Interval       time.Duration `yaml:"interval"`
	Records        int           `yaml:"records"`
	Size           config.Bytes  `yaml:"size"`            // of staged rows in memory
	PublishBacklog int           `yaml:"publish_backlog"` // committed epochs that may wait for publishing
}

// WindowConfig says how sensor readings are summed up in the table window, and
// when a gateway counts for complete-through.
type WindowConfig struct {
	Size            time.Duration `yaml:"size"`             // of a window, in event time; 0s: none
	AllowedLateness time.Duration `yaml:"allowed_lateness"` // a window stands open as long after its end
	// GatewayTimeout is the silence after which a gateway is left out of
	// complete-through.
	GatewayTimeout time.Duration `yaml:"gateway_timeout"`
}

// The limits that hold where the configuration says none.
const (
	defaultGateways        = 16_384
	defaultGatewayBytes    = 8 << 20
	defaultGatewayRequests = 100
	defaultGatewaySessions = 4
)

// LimitsConfig bounds what one gateway may ask for.
type LimitsConfig struct {
	RequestSize config.Bytes `yaml:"request_size"` // blocks of one request, before compression
	Sessions    int          `yaml:"sessions"`     // requests at a time, of all gateways
	Bodies      config.Bytes `yaml:"bodies"`       // of memory that bodies of all requests hold
	// Gateways bounds the gateways that are known; of one more nothing is taken. 0: no
	// bound.
	Gateways int `yaml:"gateways"`
	// Of one gateway: bytes of blocks a second before compression, requests a
	// second, and requests that run or wait at a time. 0: no bound.
	GatewayBytes    config.Bytes `yaml:"gateway_bytes"`
	GatewayRequests int          `yaml:"gateway_requests"`
	GatewaySessions int          `yaml:"gateway_sessions"`
}

// Default gives the configuration that absent keys mean.
func Default() Config {
	return Config{
		Landing: LandingConfig{Kafka: KafkaConfig{Replication: 3, SessionTimeout: 10 * time.Second}, Partitions: 1,
			SegmentSize: seglog.DefaultSegmentBytes, Reserve: 1 << 30, Hold: task.DefaultHold},
		Lake:   LakeConfig{Look: 5 * time.Minute, S3: DefaultS3()},
		Sinks:  SinksConfig{Kafka: DefaultKafkaSink()},
		Epoch:  EpochConfig{Interval: task.DefaultEpochInterval, Records: task.DefaultEpochRecords, Size: task.DefaultEpochBytes, PublishBacklog: 2},
		Window: WindowConfig{Size: time.Minute, AllowedLateness: 10 * time.Minute, GatewayTimeout: 10 * time.Minute},
		Limits: LimitsConfig{RequestSize: ingest.DefaultMaxRequestBytes, Sessions: ingest.DefaultMaxSessions, Bodies: ingest.DefaultMaxBodies, Gateways: defaultGateways,
			GatewayBytes: defaultGatewayBytes, GatewayRequests: defaultGatewayRequests, GatewaySessions: defaultGatewaySessions},
		DrainTimeout: 30 * time.Second,
	}
}

// Windows gives the task's form of how readings are summed up.
func (c Config) Windows() operator.WindowConfig {
	return operator.WindowConfig{Size: c.Window.Size, AllowedLateness: c.Window.AllowedLateness}
}

// CheckpointDir is where manifests and state lie.
func (c *Config) CheckpointDir() string {
	if c.Checkpoint.Dir != "" {
		return c.Checkpoint.Dir
	}
	return Checkpoints(c.Lake.Dir)
}

// Validate checks the fields, each by itself and together, and changes
// nothing. It touches no file. Errors: config.FieldErrors, joined.
func (c *Config) Validate() error {
	var p config.Problems
	c.roles(&p)
	p.Add(c.Status == "" || config.IsLoopback(c.Status), "status", strconv.Quote(c.Status), "host:port on loopback, like 127.0.0.1:8481, or nothing")
	for i, name := range c.StatusHosts {
		p.Add(page.ValidHost(name), fmt.Sprintf("status_hosts[%d]", i), strconv.Quote(name), "the name or address of a host, without a port")
	}
	p.Add((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls.cert_file", strconv.Quote(c.TLS.CertFile), "cert_file and key_file together, or neither")
	p.Add(c.TLS.ClientCAFile == "" || c.TLS.CertFile != "", "tls.client_ca_file", strconv.Quote(c.TLS.ClientCAFile), "nothing, because without cert_file there is no TLS")
	p.Add(c.TLS.CRLFile == "" || c.TLS.ClientCAFile != "", "tls.crl_file", strconv.Quote(c.TLS.CRLFile), "nothing, because without client_ca_file no certificate is asked for")
	if c.Runs(RoleIngest) {
		c.Identity.validate(&p, c.TLS.ClientCAFile != "")
	}
	c.directories(&p)
	p.Add(c.Lake.Look == 0 || c.Lake.Look >= time.Second, "lake.look", c.Lake.Look.String(),
		"a time of 1s or more, or 0s for never")
	c.Lake.S3.validate(&p, IsBucket(c.Lake.Dir) || IsBucket(c.CheckpointDir()))
	c.Sinks.Kafka.validate(&p)
	l := &c.Landing
	if l.Kafka.Used() {
		l.Kafka.validate(&p)
	}
	p.Add(l.Partitions >= 1 && l.Partitions <= embedded.MaxPartitions, "landing.partitions", strconv.Itoa(l.Partitions), fmt.Sprintf("a number from 1 to %d", embedded.MaxPartitions))
	p.Add(l.SegmentSize >= seglog.MinSegmentBytes && l.SegmentSize <= 1<<30, "landing.segment_size", l.SegmentSize.String(), fmt.Sprintf("a size from %s to 1GiB", config.Bytes(seglog.MinSegmentBytes)))
	p.Add(l.Hold > 0, "landing.hold", l.Hold.String(), "more than 0s")
	p.Add(l.Quota == 0 || l.Quota >= 2*l.SegmentSize, "landing.quota", l.Quota.String(), "0B for none, or at least two segments")
	e := &c.Epoch
	p.Add(e.Interval >= 100*time.Millisecond && e.Interval <= 24*time.Hour, "epoch.interval", e.Interval.String(), "a time from 100ms to 24h")
	p.Add(e.Records >= 1, "epoch.records", strconv.Itoa(e.Records), "a number of 1 or more")
	p.Add(e.Size >= 1<<20 && e.Size <= 16<<30, "epoch.size", e.Size.String(), "a size from 1MiB to 16GiB")
	p.Add(e.PublishBacklog >= 1 && e.PublishBacklog <= stream.MaxBacklog, "epoch.publish_backlog",
		strconv.Itoa(e.PublishBacklog), fmt.Sprintf("a number from 1 to %d", stream.MaxBacklog))
	c.Window.validate(&p)
	c.Limits.validate(&p)
	items := c.MemoryItems()
	p.Add(c.Memory == 0 || int64(c.Memory) >= memory.Sum(items), "memory", c.Memory.String(),
		"0B, or what everything that these settings allow takes at the same time, "+memory.Text(items))
	p.Add(c.DrainTimeout > 0, "drain_timeout", c.DrainTimeout.String(), "a time over 0s")
	return p.Err()
}

func (w *WindowConfig) validate(p *config.Problems) {
	p.Add(w.Size == 0 || w.Size >= time.Second && w.Size <= 24*time.Hour, "window.size", w.Size.String(), "0s for none, or a time from 1s to 24h")
	p.Add(w.AllowedLateness >= 0 && w.AllowedLateness <= 30*24*time.Hour, "window.allowed_lateness", w.AllowedLateness.String(), "a time from 0s to 720h")
	p.Add(w.GatewayTimeout > 0, "window.gateway_timeout", w.GatewayTimeout.String(), "a time over 0s")
}

func (l *LimitsConfig) validate(p *config.Problems) {
	p.Add(l.RequestSize >= 16<<20, "limits.request_size", l.RequestSize.String(), "a size of at least 16MiB")
	p.Add(l.Sessions >= 1, "limits.sessions", strconv.Itoa(l.Sessions), "a number of 1 or more")
	p.Add(l.Bodies >= ingest.MinMaxBodies, "limits.bodies", l.Bodies.String(), fmt.Sprintf("a size of at least %s", config.Bytes(ingest.MinMaxBodies)))
	p.Add(l.Gateways >= 0, "limits.gateways", strconv.Itoa(l.Gateways), "a number of 0 (none) or more")
	p.Add(l.GatewayBytes == 0 || l.GatewayBytes >= ingest.MinGatewayBytes, "limits.gateway_bytes", l.GatewayBytes.String(),
		fmt.Sprintf("0B for none, or at least %s", config.Bytes(ingest.MinGatewayBytes)))
	p.Add(l.GatewayRequests >= 0, "limits.gateway_requests", strconv.Itoa(l.GatewayRequests), "a number of 0 (none) or more")
	p.Add(l.GatewaySessions >= 0, "limits.gateway_sessions", strconv.Itoa(l.GatewaySessions), "a number of 0 (none) or more")
}

// The roles of an engine.
const (
	RoleIngest = "ingest" // takes what gateways send
	RoleTasks  = "tasks"  // turns it into tables
)

// Runs says whether the engine has a role.
func (c *Config) Runs(role string) bool { return len(c.Roles) == 0 || slices.Contains(c.Roles, role) }

func (c *Config) roles(p *config.Problems) {
	for i, r := range c.Roles {
		p.Add(r == RoleIngest || r == RoleTasks, fmt.Sprintf("roles[%d]", i), strconv.Quote(r), RoleIngest+" or "+RoleTasks)
	}
	both := c.Runs(RoleIngest) && c.Runs(RoleTasks)
	p.Add(both || c.Landing.Kafka.Used(), "roles", strings.Join(c.Roles, ", "), "nothing, because a directory as landing log is one engine's; landing.kafka shares the work")
	if c.Runs(RoleIngest) {
		p.Add(config.IsAddress(c.Listen), "listen", strconv.Quote(c.Listen), "host:port with a number for the port")
	} else {
		p.Add(c.Listen == "", "listen", strconv.Quote(c.Listen), "nothing, because the role ingest is not this engine's")
	}
}

func (c *Config) directories(p *config.Problems) {
	const want = "the absolute path of a directory of its own"
	if c.Landing.Kafka.Used() {
		p.Add(c.Landing.Dir == "", "landing.dir", strconv.Quote(c.Landing.Dir), "nothing, because landing.kafka is the landing log")
	} else {
		p.Add(filepath.IsAbs(c.Landing.Dir), "landing.dir", strconv.Quote(c.Landing.Dir), want)
	}
	const place = want + ", or s3://bucket/prefix"
	if !c.Runs(RoleTasks) {
		p.Add(c.Lake.Dir == "" || isPlace(c.Lake.Dir), "lake.dir", strconv.Quote(c.Lake.Dir),
			"nothing, or the place of the lake that other engines write: "+place)
		p.Add(c.Checkpoint.Dir == "" || c.Lake.Dir != "" && isPlace(c.Checkpoint.Dir), "checkpoint.dir",
			strconv.Quote(c.Checkpoint.Dir), place+" beside lake.dir, or nothing")
		return
	}
	p.Add(isPlace(c.Lake.Dir), "lake.dir", strconv.Quote(c.Lake.Dir), place)
	p.Add(c.Checkpoint.Dir == "" || isPlace(c.Checkpoint.Dir), "checkpoint.dir", strconv.Quote(c.Checkpoint.Dir), place+", or nothing")
	p.Add(c.Lake.Dir == "" || filepath.Clean(c.Lake.Dir) != filepath.Clean(c.Landing.Dir), "landing.dir", strconv.Quote(c.Landing.Dir), "another directory than the lake's")
}

func (c *IdentityConfig) validate(p *config.Problems, certificates bool) {
	p.Add(certificates || c.TrustedHeader != "" || c.Unauthenticated, "identity", "no way to tell gateways apart",
		"tls.client_ca_file, identity.trusted_header or, on a closed network, identity.unauthenticated: true")
	p.Add(!certificates || !c.Unauthenticated, "identity.unauthenticated", "true", "false beside tls.client_ca_file, "+
		"because whoever shows no certificate would be believed")
	p.Add(c.TrustedHeader == "" || !c.Unauthenticated, "identity.unauthenticated", "true", "false beside "+
		"identity.trusted_header, because whoever does not come through the proxy would be believed")
	p.Add(c.TrustedHeader == "" || isOwnHeader(c.TrustedHeader), "identity.trusted_header", strconv.Quote(c.TrustedHeader),
		"the name of a header that the proxy alone sets, and no other program")
	p.Add(c.TrustedHeader == "" || len(c.TrustedProxies) > 0, "identity.trusted_proxies", "none", "the addresses that trusted_header is believed from")
	p.Add(c.TrustedHeader != "" || len(c.TrustedProxies) == 0, "identity.trusted_proxies", strings.Join(c.TrustedProxies, ", "),
		"nothing, because without trusted_header these are believed nothing")
	for i, s := range c.TrustedProxies {
		key := fmt.Sprintf("identity.trusted_proxies[%d]", i)
		prefix, err := parsePrefix(s)
		p.Add(err == nil, key, strconv.Quote(s), "an address or a prefix like 10.0.0.0/8")
		p.Add(err != nil || !prefix.Addr().Is4In6(), key, strconv.Quote(s), "an address of IPv4 as it is, like 10.0.0.0/8")
		p.Add(err != nil || prefix.Bits() >= 8, key, strconv.Quote(s), "the addresses of the proxies; nearly everybody has one of these")
	}
}

// isOwnHeader says that a header can be left to a proxy: it is a header's name, no
// header of the protocol, and none that clients or HTTP itself set, or to which each
// proxy on the way adds.
func isOwnHeader(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Host", "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection", "Accept",
		"Accept-Encoding", "User-Agent", "Expect", "Te", "Trailer", "Upgrade", "Cookie", "Authorization",
		"Proxy-Authorization", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip":
		return false
	}
	odd := func(c rune) bool {
		return !strings.ContainsRune("-_", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}
	return !strings.HasPrefix(name, wire.HeaderPrefix) && !strings.ContainsFunc(name, odd)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if at, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(at, at.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// identity gives ingest's form.
func (c *Config) identity() ingest.Identity {
	id := ingest.Identity{
		ClientCertificate: c.TLS.ClientCAFile != "", TrustedHeader: c.Identity.TrustedHeader,
		AllowUnauthenticated: c.Identity.Unauthenticated,
	}
	for _, s := range c.Identity.TrustedProxies {
		if p, err := parsePrefix(s); err == nil { // Validate refused the others
			id.TrustedProxies = append(id.TrustedProxies, p)
		}
	}
	return id
}
