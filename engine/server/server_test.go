package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

const good = `listen: 127.0.0.1:0
identity: {unauthenticated: true}
landing: {dir: /var/lib/landfall/landing}
lake: {dir: /var/lib/landfall/lake}
`

func read(text string) (Config, error) {
	c := Default()
	f, err := config.Parse("engine.yaml", []byte(text), &c)
	if err != nil {
		return c, err
	}
	return c, f.Locate(c.Validate())
}

func TestEachMistakeHasItsLineAndKey(t *testing.T) {
	if c, err := read(good); err != nil || c.CheckpointDir() != "/var/lib/landfall/lake/_checkpoint" {
		t.Fatalf("%v, %s", err, c.CheckpointDir())
	}
	for _, m := range []struct{ from, to, want string }{
		{"127.0.0.1:0", "here", `engine.yaml:1: listen: got "here", expected host:port`},
		{"identity: {unauthenticated: true}", "status: 0.0.0.0:1", `engine.yaml:2: status: got "0.0.0.0:1", expected host:port on loopback`},
		{"identity:", "status_hosts: [engine, \"http://engine\"]\nidentity:", `engine.yaml:2: status_hosts[1]: got "http://engine", expected the name or address of a host`},
		{"identity: {unauthenticated: true}", "", `identity: got no way to tell gateways apart, expected tls.client_ca_file`},
		{"unauthenticated: true", "trusted_header: X-Gateway", `engine.yaml:2: identity.trusted_proxies: got none`},
		{"unauthenticated: true", "trusted_header: X, trusted_proxies: [10.0.0.0/8, nobody]", `engine.yaml:2: identity.trusted_proxies[1]: got "nobody"`},
		{"unauthenticated: true", "trusted_header: X, trusted_proxies: [10.0.0.1]", ""},
		{"unauthenticated: true", "unauthenticated: true, trusted_header: X, trusted_proxies: [10.0.0.1]", `engine.yaml:2: identity.unauthenticated: got true, expected false beside identity.trusted_header`},
		{"identity:", "tls: {cert_file: a, key_file: b, client_ca_file: c}\nidentity:", `engine.yaml:3: identity.unauthenticated: got true, expected false beside tls.client_ca_file`},
		{"unauthenticated: true", "trusted_header: X, trusted_proxies: [0.0.0.0/0]", `engine.yaml:2: identity.trusted_proxies[0]: got "0.0.0.0/0", expected the addresses of the proxies`},
		{"unauthenticated: true", "trusted_header: X, trusted_proxies: [\"::/0\"]", `identity.trusted_proxies[0]: got "::/0"`},
		{"unauthenticated: true", "trusted_header: landfall-gateway, trusted_proxies: [10.0.0.1]", `engine.yaml:2: identity.trusted_header: got "landfall-gateway", expected the name of a header that the proxy alone sets`},
		{"unauthenticated: true", "trusted_header: user-agent, trusted_proxies: [10.0.0.1]", `identity.trusted_header: got "user-agent"`},
		{"unauthenticated: true", "trusted_header: \"X Y\", trusted_proxies: [10.0.0.1]", `identity.trusted_header: got "X Y"`},
		{"unauthenticated: true", "trusted_header: x-forwarded-for, trusted_proxies: [10.0.0.1]", `identity.trusted_header: got "x-forwarded-for"`},
		{"unauthenticated: true", "unauthenticated: true, trusted_proxies: [10.0.0.1]", `engine.yaml:2: identity.trusted_proxies: got 10.0.0.1, expected nothing, because without trusted_header`},
		{"unauthenticated: true", "trusted_header: X, trusted_proxies: [\"::ffff:10.0.0.0/104\"]", `identity.trusted_proxies[0]: got "::ffff:10.0.0.0/104", expected an address of IPv4 as it is`},
		{"identity: {unauthenticated: true}", "tls: {cert_file: a, key_file: b, client_ca_file: c}\nidentity: {trusted_header: X, trusted_proxies: [10.0.0.1]}", ""},
		{"identity:", "tls: {cert_file: a}\nidentity:", `engine.yaml:2: tls.cert_file: got "a", expected cert_file and key_file together`},
		{"identity:", "tls: {client_ca_file: a}\nidentity:", `tls.client_ca_file: got "a", expected nothing`},
		{"dir: /var/lib/landfall/landing", "dir: x", `engine.yaml:3: landing.dir: got "x", expected the absolute path`},
		{"dir: /var/lib/landfall/landing", "dir: /var/lib/landfall/lake/", `landing.dir: got`},
		{"/landing}", "/landing, partitions: 0}", `landing.partitions: got 0, expected a number from 1 to 1024`},
		{"/landing}", "/landing, partitions: 2k}", `landing.partitions: got "2k", expected a whole number`},
		{"/landing}", "/landing, segment_size: 1KiB}", `landing.segment_size`},
		{"/landing}", "/landing, quota: 1MiB}", `landing.quota`},
		{"/landing}", "/landing, reserve: 5}", `landing.reserve: got "5", expected a size with its unit`},
		{"lake}", "lake}\nepoch: {interval: 1ms}", `engine.yaml:5: epoch.interval: got 1ms`},
		{"lake}", "lake}\nepoch: {records: 0}", `epoch.records`},
		{"lake}", "lake}\nepoch: {size: 1KiB}", `epoch.size`},
		{"lake}", "lake}\nepoch: {publish_backlog: 0}", `epoch.publish_backlog`},
		{"lake}", "lake}\nwindow: {size: 0s}", ""},
		{"lake}", "lake}\nwindow: {size: 10ms}", `engine.yaml:5: window.size: got 10ms, expected 0s for none`},
		{"lake}", "lake}\nwindow: {size: 25h}", `window.size`},
		{"lake}", "lake}\nwindow: {allowed_lateness: 721h}", `window.allowed_lateness: got 721h`},
		{"lake}", "lake}\nwindow: {gateway_timeout: 0s}", `window.gateway_timeout`},
		{"lake}", "lake}\nlimits: {request_size: 1MiB, sessions: 0}", `limits.sessions`},
		{"lake}", "lake}\ncheckpoint: {dir: x}", `checkpoint.dir`},
		{"lake}", "lake}\ndrain_timeout: 0s", `drain_timeout`},
		{"lake}", "lake}\nmemory: 1MiB", `memory`},
		{"/var/lib/landfall/lake", "s3://lake/a/b", ""},
		{"/var/lib/landfall/lake", "s3://Lake/a", `lake.dir: got "s3://Lake/a", expected the absolute path`},
		{"/var/lib/landfall/lake", "s3://lake/../a", `or s3://bucket/prefix`},
		{"/lake}", "/lake, s3: {endpoint: \"http://h\"}}", `lake.s3.endpoint: got "http://h", expected nothing`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {endpoint: \"h:80\"}", `engine.yaml:4: lake.s3.endpoint: got "h:80", expected http://host:port`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {endpoint: \"http://key:secret@h\"}", `lake.s3.endpoint`},
		{"/lake}", "/lake, s3: {credentials_file: /k}}", `lake.s3.credentials_file: got "/k", expected nothing`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {credentials_file: keys}", `lake.s3.credentials_file: got "keys", expected an absolute path`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {outage: 1h}", `lake.s3.outage: got 1h0m0s, expected a time of 24h or more`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {request_timeout: 0s}", `lake.s3.request_timeout`},
		{"/var/lib/landfall/lake", "s3://lake, s3: {endpoint: \"https://h\", path_style: false, region: r, ca_file: f}", ""},
	} {
		_, err := read(strings.Replace(good, m.from, m.to, 1))
		if m.want == "" && err != nil || m.want != "" && (err == nil || !strings.Contains(err.Error(), m.want)) {
			t.Errorf("%q:\n got %v\nwant %s", m.to, err, m.want)
		}
	}
}

func TestCheckpointsLieBelowTheLake(t *testing.T) {
	for lake, want := range map[string]string{"/a/b": "/a/b/_checkpoint", "s3://b/p/": "s3://b/p/_checkpoint", "s3://bb": "s3://bb/_checkpoint"} {
		if c := (Config{Lake: LakeConfig{Dir: lake}}); c.CheckpointDir() != want {
			t.Errorf("%s: %s", lake, c.CheckpointDir())
		}
	}
}

// fixed is a file system with a fixed number of free bytes.
type fixed struct {
	durable.OS
	free uint64
	asks int
}

func (f *fixed) Free(string) (uint64, error) {
	f.asks++
	return f.free, nil
}

// taking is a landing log that counts appends.
type taking struct {
	landing.Log
	n int
}

func (l *taking) Append(context.Context, landing.Landed) error {
	l.n++
	return nil
}

func TestNothingLandsUnderTheReserve(t *testing.T) {
	disk, log := &fixed{free: 100}, &taking{}
	now := time.Unix(1000, 0)
	r := &reserved{Log: log, fs: disk, dir: "/lake", bytes: 100, now: func() time.Time { return now }}
	for range 3 {
		if err := r.Append(t.Context(), landing.Landed{}); err != nil {
			t.Fatal(err)
		}
	}
	if log.n != 3 || disk.asks != 1 {
		t.Errorf("%d appends, %d looks at the disk", log.n, disk.asks)
	}
	disk.free, now = 99, now.Add(2*freeFor)
	if err := r.Append(t.Context(), landing.Landed{}); !errors.Is(err, landing.ErrFull) || log.n != 3 {
		t.Errorf("under the reserve: %v, %d appends", err, log.n)
	}
	r.dir = "" // a bucket has no disk
	if err := r.Append(t.Context(), landing.Landed{}); err != nil || log.n != 4 {
		t.Errorf("in a bucket: %v, %d appends", err, log.n)
	}
	r.dir = "/lake"
	disk.free, now = 100, now.Add(-time.Hour) // the clock steps back
	if err := r.Append(t.Context(), landing.Landed{}); err != nil {
		t.Errorf("room again: %v", err)
	}
}

func TestPartitionsAreFixedAndOneProcessADirectory(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, partitions: 2, reserve: 0B}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Store: store, Sinks: func() ([]stream.Sink, error) { return nil, errors.New("no sinks here") }}
	s, err := New(t.Context(), c, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), c, opt); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second process: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	c.Landing.Partitions = 3
	var fe *config.FieldError
	if _, err := New(t.Context(), c, opt); !errors.As(err, &fe) || fe.Key != "landing.partitions" {
		t.Errorf("other partitions: %v", err)
	}
}

// rooms is a log of two partitions, one of which is full.
type rooms struct {
	landing.Log
	full int
}

func (r *rooms) Partitions() int { return 2 }

func (r *rooms) Append(_ context.Context, l landing.Landed) error {
	if landing.Partition(l.Gateway, 2) == r.full {
		return landing.ErrFull
	}
	return nil
}

// TestWhoMayMakeRoomIsCrowded: a partition without room is its own task's, a disk
// without room is every task's, also where it was the lake's reserve that refused; a
// lake's disk is no task's. Each refusal is told once.
func TestWhoMayMakeRoomIsCrowded(t *testing.T) {
	names := [2]string{}
	for i := range 20 {
		name := fmt.Sprint("g", i)
		names[landing.Partition(name, 2)] = name
	}
	disks := &perDir{}
	log := &rooms{full: 1}
	r := &reserved{Log: log, fs: disks, dir: "/lake", own: "/landing", bytes: 100, now: time.Now}
	crowded := [2]func() bool{r.crowded(0), r.crowded(1)}
	for _, test := range []struct {
		what          string
		lake, landing uint64
		full          int
		want          [2]bool
	}{
		{"a partition", 200, 200, 1, [2]bool{false, true}},
		{"nothing", 200, 200, 2, [2]bool{}},
		{"the lake's disk", 50, 200, 2, [2]bool{}},
		{"the disk of both", 50, 50, 2, [2]bool{true, true}},
		{"the landing log's disk", 200, 50, 0, [2]bool{true, true}},
	} {
		disks.lake, disks.landing, log.full, r.seen = test.lake, test.landing, test.full, time.Time{}
		for _, name := range names {
			_ = r.Append(t.Context(), landing.Landed{Gateway: name})
		}
		if got := [2]bool{crowded[0](), crowded[1]()}; got != test.want {
			t.Errorf("%s is full: crowded %v", test.what, got)
		}
		if crowded[0]() || crowded[1]() {
			t.Errorf("%s is full: told twice", test.what)
		}
	}
}

// perDir is two disks.
type perDir struct {
	durable.FS
	lake, landing uint64
}

func (p *perDir) Free(dir string) (uint64, error) {
	if dir == "/lake" {
		return p.lake, nil
	}
	return p.landing, nil
}
