package enginecli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/cmd/internal/ca"
	"landfall/cmd/internal/edgecli"
	"landfall/edge/durable"
	"landfall/engine/server"
)

// fleet makes an authority that signs the certificate of a server on loopback,
// and those of clients.
func fleet(t *testing.T, dir string, clients ...string) string {
	t.Helper()
	if err := ca.Init(durable.OS{}, dir, "test", ca.AuthorityLife, time.Now); err != nil {
		t.Fatal(err)
	}
	a, err := ca.Open(durable.OS{}, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Sign(ca.Engine, ca.LeafLife, "127.0.0.1")
	for _, name := range clients {
		_, errClient := a.Sign(ca.Gateway, ca.LeafLife, name)
		err = errors.Join(err, errClient)
	}
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serving is the server of a fleet.
func serving(t *testing.T, dir string) *tls.Config {
	t.Helper()
	own, err := tls.LoadX509KeyPair(dir+"/127.0.0.1.pem", dir+"/127.0.0.1.key")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}}
}

// put puts a copy of a file in the place of another.
func put(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(data))
}

// door is a listener with TLS that writes down who came, and can end every
// connection.
type door struct {
	net.Listener
	mu    sync.Mutex
	open  []net.Conn // guarded by mu
	names []string   // of the clients' certificates; guarded by mu
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open = append(d.open, c)
	}
	return c, err
}

func (d *door) came(s tls.ConnectionState) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = append(d.names, s.PeerCertificates[0].Subject.CommonName)
	return nil
}

// drop ends every connection and forgets who came.
func (d *door) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.open {
		_ = c.Close()
	}
	d.open, d.names = nil, nil
}

// knows tells which clients came since the last drop, sorted.
func (d *door) knows() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(d.names)))
}

// lookedAt is an engine that runs, and the file whose lines a gateway sends it.
type lookedAt struct {
	t           *testing.T
	file, input string
	told        int // lines so far
}

// runBoth starts an engine, and a gateway that sends what is appended to a file.
func runBoth(t *testing.T, dir, listen, config string) *lookedAt {
	t.Helper()
	d := &lookedAt{t: t, file: write(t, filepath.Join(dir, "engine.yaml"), config), input: write(t, filepath.Join(dir, "in.nmea"), "")}
	daemon(t, Command("e", ""), "run", "-c", d.file)
	d.wait(func(*server.Status) bool { return true })
	daemon(t, edgecli.Command("e", ""), "run", "-c", write(t, filepath.Join(dir, "edge.yaml"), fmt.Sprintf(
		"gateway: gw\ndata_dir: %s/edge\nlog: {reserve: 0B}\ndrain_timeout: 0s\nforward: {url: \"http://%s\", linger: 10ms, retry_max: 1s}\nsources: [{name: in, file: {path: %s, follow: true, poll_interval: 20ms}}]\n", dir, listen, d.input)))
	return d
}

func (d *lookedAt) wait(ok func(*server.Status) bool) {
	d.t.Helper()
	waitFor(d.t, func() (int, string, string) { return engine(d.t, "status", "-c", d.file, "--json") }, ok)
}

// flows sends a line and waits until an epoch more than before is published.
func (d *lookedAt) flows() {
	d.t.Helper()
	published := func(s *server.Status) uint64 {
		if len(s.Tasks) == 0 {
			return 0
		}
		return uint64(s.Tasks[0].Published)
	}
	var before uint64
	d.wait(func(s *server.Status) bool { before = published(s); return true })
	f, err := os.OpenFile(d.input, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	d.told++
	_, err = fmt.Fprintf(f, "line %d\n", d.told)
	if err := errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
	d.wait(func(s *server.Status) bool { return published(s) > before })
}

// reload asks for one and waits until the status complains of a key; empty: until
// it no longer complains of what it did.
func (d *lookedAt) reload(key string) {
	d.t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGHUP)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.wait(func(s *server.Status) bool {
		said := strings.Join(s.Reasons, "\n")
		if key != "" {
			return strings.Contains(said, key)
		}
		return !strings.Contains(said, "reload refused") && !strings.Contains(said, "not used")
	})
}

// pageText gives what a page says.
func pageText(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCertificatesOfKafkaAreTakenUp: at a reload the landing log and the sink take
// up new certificates for their next connections to a cluster that wants one, and
// files that cannot be used change nothing.
func TestCertificatesOfKafkaAreTakenUp(t *testing.T) {
	dir, listen, status := t.TempDir(), freeAddress(t), freeAddress(t)
	pki := fleet(t, filepath.Join(dir, "pki"), "landing-1", "landing-2", "sink-1", "sink-2")
	pool, signer := x509.NewCertPool(), filepath.Join(pki, "ca.pem")
	pem, err := os.ReadFile(signer)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	d := &door{}
	asks := serving(t, pki)
	asks.ClientAuth, asks.ClientCAs, asks.VerifyConnection = tls.RequireAndVerifyClientCert, pool, d.came
	broker := brokers(t, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		d.Listener, err = net.Listen(network, address)
		return tls.NewListener(d, asks), err
	}))
	use := func(number string) {
		for _, who := range []string{"landing", "sink"} {
			put(t, pki+"/"+who+"-"+number+".pem", dir+"/"+who+".pem")
			put(t, pki+"/"+who+"-"+number+".key", dir+"/"+who+".key")
		}
	}
	use("1")
	client := func(who string) string {
		return fmt.Sprintf("brokers: [%q], partitions: 1, replication: 1, tls: {enabled: true, ca_file: %s, cert_file: %[3]s/%[4]s.pem, key_file: %[3]s/%[4]s.key}", broker, signer, dir, who)
	}
	both := runBoth(t, dir, listen, fmt.Sprintf("listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {reserve: 0B, kafka: {topic: landing, %s}}\nlake: {dir: %s/lake}\nepoch: {interval: 100ms}\nsinks: {kafka: {%s}}\n",
		listen, status, client("landing"), dir, client("sink")))
	known := func(want ...string) {
		t.Helper()
		both.flows()
		if got := d.knows(); !slices.Equal(got, want) {
			t.Errorf("known as %q, want %q", got, want)
		}
	}
	known("landing-1", "sink-1")
	for who, link := range map[string]string{"landing": "landing.kafka", "sink": "sinks.kafka"} {
		use("1")
		write(t, dir+"/"+who+".key", "-----BEGIN PRIVATE KEY-----\n")
		both.reload(link + ".tls.cert_file")
		if page := pageText(t, "http://"+status+"/metrics"); !strings.Contains(page, fmt.Sprintf("landfall_engine_certificate_expiry_timestamp_seconds{link=%q} ", link)) {
			t.Errorf("when the certificate of %s ends is no metric", link)
		}
		d.drop()
		known("landing-1", "sink-1")
	}
	use("2")
	both.reload("")
	d.drop()
	known("landing-2", "sink-2")
}

// TestTheSignerOfAStoreIsTakenUp at a reload, by the connections of lake and
// checkpoints that were open before; a file that cannot be used changes nothing.
func TestTheSignerOfAStoreIsTakenUp(t *testing.T) {
	store, lake := inBucket(t)
	dir, listen, status := t.TempDir(), freeAddress(t), freeAddress(t)
	one, two := fleet(t, filepath.Join(dir, "one")), fleet(t, filepath.Join(dir, "two"))
	var shown atomic.Pointer[tls.Config]
	shown.Store(serving(t, one))
	url, drop := store.TLSAs(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return shown.Load(), nil }})
	signer := filepath.Join(dir, "store-ca.pem")
	put(t, one+"/ca.pem", signer)
	both := runBoth(t, dir, listen, fmt.Sprintf("listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 0B}\nlake: {dir: %q, s3: {endpoint: %q, ca_file: %s}}\nepoch: {interval: 100ms}\n",
		listen, status, dir, lake, url, signer))
	both.flows()
	write(t, signer, "-----BEGIN CERTIFICATE-----\n")
	both.reload("lake.s3.ca_file")
	drop()
	both.flows()
	shown.Store(serving(t, two))
	put(t, two+"/ca.pem", signer)
	drop()
	both.reload("")
	both.flows()
}
