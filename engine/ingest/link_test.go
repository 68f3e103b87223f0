package ingest_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/landingtest"
)

func TestLogsOfSeveralStartsArrive(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	url := serve(t, h)
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "forward")
	for n := range 3 { // two starts without a link, the last with one
		s := newStore(t, dir)
		capture(t, s, 20, 30)
		if n < 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		f, stop := start(t, forward.Config{URL: url, Store: s, StatePath: state})
		until(t, "all is acknowledged", drained(f))
		capture(t, s, 10, 5)
		until(t, "the rest is acknowledged", drained(f))
		stop()
		a := judge(t, m.Landed(0))
		a.whole(t, s)
		if a.records != 3*(20*30+1)+10*5 || a.duplicates != 0 || a.lost != 0 {
			t.Fatalf("%+v", a)
		}
		if c := f.Status().Counters; c.ResentBytes != 0 || c.AckedRecords != a.records {
			t.Fatalf("%+v", c)
		}
		if logs := s.Logs(); len(logs) != 1 {
			t.Errorf("%d logs kept after all was acknowledged", len(logs))
		}
		// A restart with nothing pending sends nothing.
		requests := h.Stats().Requests
		f, stop = start(t, forward.Config{URL: url, Store: s, StatePath: state})
		until(t, "it rests", func() bool { return f.Status().State == "idle" })
		stop()
		if now := h.Stats().Requests; now != requests {
			t.Errorf("%d requests with nothing pending", now-requests)
		}
	}
}

// TestTimeOfBootsLandsBesideBlocks: what the gateway knows when it sends a block
// lands with it, in whichever landing log, and the block is what it was.
func TestTimeOfBootsLandsBesideBlocks(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	s := newStore(t, t.TempDir())
	capture(t, s, 5, 3)
	anchors := record.EncodeAnchors([]record.Anchor{{Boot: [16]byte{7}, Mono: 5, UTC: 1_790_000_000_000_000, Quality: record.QualitySynchronised}})
	var known atomic.Bool
	f, stop := start(t, forward.Config{URL: serve(t, newIngest(t, ingest.Config{Log: m})), Store: s, Clock: func(record.LogID) []byte {
		if known.Load() {
			return anchors
		}
		return nil
	}})
	until(t, "all is acknowledged", drained(f))
	before := len(m.Landed(0))
	known.Store(true)
	capture(t, s, 5, 3)
	until(t, "the rest is acknowledged", drained(f))
	stop()
	judge(t, m.Landed(0)).whole(t, s)
	for i, l := range m.Landed(0) {
		if want := i >= before; (len(l.Clock) > 0) != want || want && !bytes.Equal(l.Clock, anchors) {
			t.Errorf("block %d of %d landed with the clock %x", i, before, l.Clock)
		}
	}
	if before == 0 || len(m.Landed(0)) == before {
		t.Errorf("%d blocks, of them %d before the time was known", len(m.Landed(0)), before)
	}
}

// TestThroughEmbedded stops and starts both ends.
func TestThroughEmbedded(t *testing.T) {
	edge, cloud, state := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "forward")
	want := uint64(0)
	for range 3 {
		l, err := embedded.Open(embedded.Config{Dir: cloud, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		s := newStore(t, edge)
		capture(t, s, 10, 50)
		want += 10*50 + 1
		f, stop := start(t, forward.Config{URL: serve(t, newIngest(t, ingest.Config{Log: l})), Store: s, StatePath: state})
		until(t, "all is acknowledged", drained(f))
		stop()
		if err := errors.Join(l.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	l, err := embedded.Open(embedded.Config{Dir: cloud})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n := landing.Partition("mv-ada", 2)
	if a := judge(t, readAll(t, l, n)); a.records != want || a.duplicates != 0 {
		t.Fatalf("%+v, want %d records", a, want)
	}
}

// cutter is a TCP proxy that cuts connections, at random or when told.
type cutter struct {
	net.Listener
	to   string
	cuts atomic.Int64

	mu    sync.Mutex
	rnd   *mrand.Rand
	until int // cuts to make; then it is a good link
}

func newCutter(t testing.TB, to string, cuts int) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: strings.TrimPrefix(to, "http://"), rnd: mrand.New(mrand.NewPCG(3, 4)), until: cuts}
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			all.Add(1)
			go func() {
				defer all.Done()
				c.carry(in)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	return c
}

// budget is how many bytes a connection carries, each way, before it is cut.
func (c *cutter) budget() (up, down int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == 0 {
		return 1 << 60, 1 << 60
	}
	c.until--
	if c.rnd.IntN(3) == 0 {
		return 1 << 60, c.rnd.Int64N(600) // the answer is lost
	}
	return c.rnd.Int64N(12 << 10), 1 << 60
}

func (c *cutter) carry(in net.Conn) {
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		_ = in.Close()
		return
	}
	up, down := c.budget()
	var both sync.WaitGroup
	both.Add(2)
	shut := sync.OnceFunc(func() { _, _ = in.Close(), out.Close() })
	pipe := func(to, from net.Conn, n int64) {
		defer both.Done()
		defer shut()
		if _, err := io.CopyN(to, from, n); err == nil {
			c.cuts.Add(1)
		}
	}
	go pipe(out, in, up)
	go pipe(in, out, down)
	both.Wait()
}

func TestCutAnywhere(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	spy := &spy{h: newIngest(t, ingest.Config{Log: m})}
	cut := newCutter(t, serve(t, spy), 120)
	s := newStore(t, t.TempDir())
	f, stop := start(t, forward.Config{URL: "http://" + cut.Addr().String(), Store: s})
	for range 60 {
		capture(t, s, 10, 40)
		acked := f.Status().Counters.AckedRecords
		until(t, "something arrives", func() bool { return f.Status().Counters.AckedRecords > acked || f.Status().Pending == 0 })
	}
	until(t, "all is acknowledged", drained(f))
	stop()
	a := judge(t, m.Landed(0))
	a.whole(t, s)
	c := f.Status().Counters
	if cut.cuts.Load() < 50 || c.Failures < 50 {
		t.Errorf("only %d cuts, %d failures", cut.cuts.Load(), c.Failures)
	}
	if a.records != 60*10*40+1 || a.lost != 0 || a.conflicts != 0 {
		t.Errorf("%+v", a)
	}
	if bad := spy.bad(); bad != "" {
		t.Error(bad)
	}
	t.Logf("%d cuts: %d bytes of blocks, %d of them sent again, %d blocks landed again", cut.cuts.Load(), c.BlockBytes, c.ResentBytes, a.duplicates)
}

// spy stands before the ingest and sees that no request with blocks starts
// below what an earlier answer acknowledged to the same session.
type spy struct {
	h http.Handler

	mu    sync.Mutex
	asked record.Offset // acknowledged in the last answer that surely arrived
	wrong string
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := wire.ParseRequestHeader(r.Header)
	s.mu.Lock()
	if err == nil && h.Offset < s.asked && s.wrong == "" {
		s.wrong = "a request starts at " + h.Offset.String() + ", and " + s.asked.String() + " was used before"
	}
	s.asked = max(s.asked, h.Offset) // the gateway knew that this is acknowledged
	s.mu.Unlock()
	s.h.ServeHTTP(w, r)
}

func (s *spy) bad() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrong
}

// certificates makes an authority and two leaves.
func certificates(t *testing.T, client string) (roots *x509.CertPool, server, leaf tls.Certificate) {
	t.Helper()
	roots, server, leaves := certificatesOf(t, client)
	return roots, server, leaves[0]
}

// certificatesOf makes an authority, the server's leaf, and one of each client.
func certificatesOf(t *testing.T, clients ...string) (roots *x509.CertPool, server tls.Certificate, leaves []tls.Certificate) {
	t.Helper()
	serial := int64(0)
	sign := func(template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, tls.Certificate, *ecdsa.PrivateKey) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if serial++; parent == nil {
			parent, key = template, own
		}
		template.SerialNumber = big.NewInt(serial)
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}, own
	}
	ca, _, key := sign(&x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	_, server, _ = sign(&x509.Certificate{Subject: pkix.Name{CommonName: "cloud"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, key)
	for _, client := range clients {
		_, leaf, _ := sign(&x509.Certificate{Subject: pkix.Name{CommonName: client}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, key)
		leaves = append(leaves, leaf)
	}
	roots = x509.NewCertPool()
	roots.AddCert(ca)
	return roots, server, leaves
}

// connectProxy is a real CONNECT proxy that counts its tunnels.
func connectProxy(t *testing.T) (at *url.URL, tunnels *atomic.Int64) {
	t.Helper()
	tunnels = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		in, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = out.Close()
			return
		}
		tunnels.Add(1)
		go func() {
			_, _ = io.Copy(out, bufio.NewReader(rw))
			_ = out.Close()
		}()
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}))
	t.Cleanup(srv.Close)
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return at, tunnels
}

func TestCertificateIsTheGateway(t *testing.T) {
	roots, server, leaf := certificates(t, "mv-ada")
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, Identity: ingest.Identity{ClientCertificate: true}})
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: roots, ClientAuth: tls.VerifyClientCertIfGiven}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	proxy, tunnels := connectProxy(t)
	s := newStore(t, t.TempDir())
	capture(t, s, 20, 20)

	for name, c := range map[string]struct {
		gateway string
		certs   []tls.Certificate
	}{"another name": {"mv-grace", []tls.Certificate{leaf}}, "no certificate": {"mv-ada", nil}} {
		f, stop := start(t, forward.Config{Gateway: c.gateway, URL: srv.URL, Store: s, TLS: &tls.Config{RootCAs: roots, Certificates: c.certs}})
		until(t, name+" is refused", func() bool { return strings.Contains(f.Status().LastError, "forbidden") })
		stop()
	}
	if n := h.Stats().Refused[wire.CodeForbidden]; n < 2 || len(m.Landed(0)) != 0 {
		t.Fatalf("%d refusals, %d blocks landed", n, len(m.Landed(0)))
	}
	f, stop := start(t, forward.Config{URL: srv.URL, Store: s, Proxy: http.ProxyURL(proxy), TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{leaf}}})
	until(t, "all is acknowledged", drained(f))
	stop()
	judge(t, m.Landed(0)).whole(t, s)
	if tunnels.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
}

// TestCaptivePortal: a portal's 200, redirect and JSON acknowledge nothing.
func TestCaptivePortal(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	var calls, open atomic.Int64
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open.Load() == 1 {
			h.ServeHTTP(w, r)
			return
		}
		switch calls.Add(1) % 3 {
		case 0:
			http.Redirect(w, r, "/login", http.StatusFound)
		case 1:
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Welcome on board. Please accept our terms.</html>")
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"acked":1000000,"error":""}`)
		}
	}))
	s := newStore(t, t.TempDir())
	capture(t, s, 10, 10)
	f, stop := start(t, forward.Config{URL: url, Store: s})
	until(t, "the portal was met", func() bool { return f.Status().Counters.NotAnswers >= 6 })
	if st := f.Status(); st.Counters.AckedRecords != 0 || st.Pending != 101 {
		t.Fatalf("%+v", st)
	}
	open.Store(1)
	until(t, "all is acknowledged", drained(f))
	stop()
	judge(t, m.Landed(0)).whole(t, s)
}

// TestFullAndBack: 503 while the landing log is full, and on by itself after;
// failed appends that landed all the same cost duplicates at most.
func TestFullAndBack(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	s := newStore(t, t.TempDir())
	capture(t, s, 30, 20)
	var full atomic.Bool
	full.Store(true)
	n := 0
	m.FailWith(func(landing.Landed) (bool, error) {
		if n++; full.Load() && n > 5 {
			return false, landing.ErrFull
		}
		if n%7 == 0 {
			return true, errors.New("fsync failed, and yet")
		}
		return false, nil
	})
	f, stop := start(t, forward.Config{URL: serve(t, h), Store: s})
	until(t, "it is full", func() bool { return h.Stats().Refused[wire.CodeFull] >= 3 })
	full.Store(false)
	until(t, "all is acknowledged", drained(f))
	stop()
	a := judge(t, m.Landed(0))
	a.whole(t, s)
	if a.duplicates == 0 || h.Stats().Refused[wire.CodeUnavailable] == 0 {
		t.Errorf("no append failed and landed: %+v", a)
	}
}

// TestDamagedBlockIsDeclaredLost, in its place and with its reason; what lies
// around it arrives.
func TestDamagedBlockIsDeclaredLost(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	capture(t, s, 5, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments %q, %v", names, err)
	}
	p, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	p[bytes.Index(p, []byte("nobody 2 0"))] ^= 1 // offsets 7 to 9: after the log's opening and two groups
	if err := os.WriteFile(names[0], p, 0o600); err != nil {
		t.Fatal(err)
	}
	m := landingtest.NewMemory("mem", 1)
	f, stop := start(t, forward.Config{URL: serve(t, newIngest(t, ingest.Config{Log: m})), Store: newStore(t, dir)})
	until(t, "all is acknowledged", drained(f))
	stop()
	if a := judge(t, m.Landed(0)); a.records != 5*3+1-3 || a.lost != 3 || a.conflicts != 0 {
		t.Errorf("%+v", a)
	}
	declared := 0
	for _, l := range m.Landed(0) {
		b, err := record.Parse(l.Block)
		if err != nil {
			t.Fatal(err)
		}
		for a := range b.Annotations {
			if a.Type == record.AnnLoss && string(a.Body) == seglog.ReasonCorrupt && b.First == 7 && b.End() == 10 {
				declared++
			}
		}
	}
	if declared != 1 {
		t.Errorf("declared %d times", declared)
	}
}
