package s3test

import (
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"
)

// Outcome is what becomes of one request.
type Outcome uint8

// The outcomes.
const (
	Works      Outcome = iota
	Refused            // a 500, and nothing was done
	Cut                // the connection ends, and nothing was done
	Late500            // a 500, though it was done
	Lost               // the connection ends instead of the answer, though it was done
	Ignored            // no answer for as long as the client waits, and nothing was done
	Unanswered         // no answer for as long as the client waits, though it was done
	Unkept             // success with the ETag of what came, and nothing was done: of a PUT of an object
)

// Outcomes lists the faulty ones that need no patience of the client.
func Outcomes() []Outcome { return []Outcome{Refused, Cut, Late500, Lost} }

// String gives the name used in tables.
func (o Outcome) String() string {
	return [...]string{"works", "refused", "cut", "late 500", "lost", "ignored", "unanswered", "unkept"}[o]
}

// Script says what becomes of each request. The zero Script lets all work.
type Script struct {
	mu      sync.Mutex
	plan    map[int]Outcome // guarded by mu
	dying   map[int]bool    // requests after which the client is dead; guarded by mu
	names   []string        // of the requests so far; guarded by mu
	dead    bool            // guarded by mu
	before  map[int]func()  // what a request waits for; guarded by mu
	chance  *rand.Rand      // nil: nothing is left to it; guarded by mu
	rate    float64         // share of the requests that fail by chance; guarded by mu
	met     map[Outcome]int // by chance; guarded by mu
	mutates bool            // only requests that change anything count
	nearly  chan struct{}   // told of completions; guarded by mu
}

// Completions gives a channel that is told when a completion of an upload goes to
// the store; one that nobody waits for is not told.
func (s *Script) Completions() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nearly = make(chan struct{})
	return s.nearly
}

// tell tells whoever waits for a completion.
func (s *Script) tell(r *http.Request) {
	s.mu.Lock()
	nearly := s.nearly
	s.mu.Unlock()
	if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
		return
	}
	select {
	case nearly <- struct{}{}:
	default:
	}
}

// OnlyChanges makes requests that change nothing uncounted and unfailed.
func (s *Script) OnlyChanges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mutates = true
}

// Fail makes request n from now, counted from 1, meet an outcome; dead: every
// later one is cut, as if the process had ended with it.
func (s *Script) Fail(n int, o Outcome, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.dying = map[int]Outcome{n: o}, map[int]bool{n: dead}
	s.names, s.dead, s.before = nil, false, nil
}

// Before makes request n from now, counted from 1, wait for do, whose own
// requests are counted after it and wait for nothing.
func (s *Script) Before(n int, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.before = nil, map[int]func(){n: do}
}

// Chance makes a share of the requests meet outcomes by chance; one in twenty of
// those is left without an answer.
func (s *Script) Chance(r *rand.Rand, rate float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chance, s.rate = r, rate
}

// Met tells how many requests met each outcome by chance.
func (s *Script) Met() map[Outcome]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.met)
}

// draw gives an outcome by chance; mu is held.
func (s *Script) draw() Outcome {
	o := Works
	if s.chance.Float64() < s.rate {
		all := Outcomes()
		if s.chance.IntN(20) == 0 {
			all = []Outcome{Ignored, Unanswered}
		}
		o = all[s.chance.IntN(len(all))]
	}
	if s.met == nil {
		s.met = map[Outcome]int{}
	}
	s.met[o]++
	return o
}

// Reset lets all work and counts anew.
func (s *Script) Reset() { s.Fail(0, Works, false) }

// Requests names the requests so far.
func (s *Script) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.names...)
}

// Dead tells whether the client is dead.
func (s *Script) Dead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// meet counts a request, lets it wait, and gives its outcome.
func (s *Script) meet(r *http.Request) Outcome {
	outcome, wait := s.count(r)
	if wait != nil {
		wait()
	}
	return outcome
}

func (s *Script) count(r *http.Request) (o Outcome, wait func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return Cut, nil
	}
	if s.mutates && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return Works, nil
	}
	if s.chance != nil {
		return s.draw(), nil
	}
	n := len(s.names) + 1
	s.names = append(s.names, name(n, r))
	s.dead = s.dying[n]
	return s.plan[n], s.before[n]
}

// Proxy starts a proxy before the store and gives its URL; it ends with the
// test.
func (s *Server) Proxy(t testing.TB, script *Script) string {
	t.Helper()
	return s.proxy(t, httptest.NewServer, func(transport *http.Transport, w http.ResponseWriter, r *http.Request) {
		outcome := script.meet(r)
		if outcome == Unkept && (r.Method != http.MethodPut || r.URL.Query().Has("uploadId")) {
			outcome = Works
		}
		if outcome == Refused || outcome == Cut || outcome == Ignored {
			_, _ = io.Copy(io.Discard, r.Body) // so that the client hears of it
			end(w, r, outcome)
			return
		}
		if outcome == Unkept {
			sum := md5.New()
			_, _ = io.Copy(sum, r.Body)
			w.Header().Set("ETag", fmt.Sprintf("\"%x\"", sum.Sum(nil)))
			return
		}
		script.tell(r)
		answer, err := s.forward(transport, r)
		if err != nil {
			end(w, r, Cut) // the store is down
			return
		}
		defer func() { _ = answer.Body.Close() }()
		if outcome != Works {
			_, _ = io.Copy(io.Discard, answer.Body) // done to its end
			end(w, r, outcome)
			return
		}
		give(w, answer)
	}).URL
}

// proxy starts one that treats requests as handle does.
func (s *Server) proxy(t testing.TB, start func(http.Handler) *httptest.Server, handle func(*http.Transport, http.ResponseWriter, *http.Request)) *httptest.Server {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	proxy := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(transport, w, r) }))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy
}

// give passes an answer on.
func give(w http.ResponseWriter, answer *http.Response) {
	for k, v := range answer.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// Edit starts a proxy that changes each request before the store gets it, signed
// anew: a store that does less than it should. It speaks TLS, without which the
// client signs bodies by chunks; it gives its URL and who signed its certificate,
// PEM.
func (s *Server) Edit(t testing.TB, change func(*http.Request)) (string, []byte) {
	t.Helper()
	proxy := s.proxy(t, httptest.NewTLSServer, func(transport *http.Transport, w http.ResponseWriter, r *http.Request) {
		change(r)
		r.Header.Del("Authorization")
		on := r.Clone(r.Context())
		on.URL.Scheme, on.URL.Host, on.Host, on.RequestURI = "http", s.address, s.address, ""
		answer, err := transport.RoundTrip(signer.SignV4(*on, AccessKey, SecretKey, "", "us-east-1"))
		if err != nil {
			end(w, r, Cut)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		give(w, answer)
	})
	return proxy.URL, certificate(proxy)
}

func certificate(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// Rule starts a proxy that says which lifecycle rules the bucket has, as XML.
func (s *Server) Rule(t testing.TB, rules string) string {
	t.Helper()
	return s.proxy(t, httptest.NewServer, func(transport *http.Transport, w http.ResponseWriter, r *http.Request) {
		if _, asked := r.URL.Query()["lifecycle"]; asked {
			_, _ = io.WriteString(w, "<LifecycleConfiguration>"+rules+"</LifecycleConfiguration>")
			return
		}
		s.pass(transport, w, r)
	}).URL
}

// Words is what Answer says beside a code.
func Words(code string) string { return "the words of " + code }

// Answer starts a proxy that answers requests itself where answer takes them: with
// a status and one of S3's codes, or with a page that is not S3's where the code is
// empty.
func (s *Server) Answer(t testing.TB, answer func(*http.Request) (status int, code string, takes bool)) string {
	t.Helper()
	return s.proxy(t, httptest.NewServer, func(transport *http.Transport, w http.ResponseWriter, r *http.Request) {
		status, code, takes := answer(r)
		switch {
		case !takes:
			s.pass(transport, w, r)
			return
		case code == "":
			http.Error(w, "<html>no backend here</html>", status)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Amz-Request-Id", "1")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, Words(code))
		}
	}).URL
}

// TLS starts a proxy that speaks TLS, and gives its URL and who signed its
// certificate, PEM.
func (s *Server) TLS(t testing.TB) (string, []byte) {
	t.Helper()
	proxy := s.proxy(t, httptest.NewTLSServer, s.pass)
	return proxy.URL, certificate(proxy)
}

// TLSAs is TLS with a configuration of the caller's, and gives what ends every
// connection.
func (s *Server) TLSAs(t testing.TB, c *tls.Config) (url string, drop func()) {
	t.Helper()
	proxy := s.proxy(t, func(h http.Handler) *httptest.Server {
		p := httptest.NewUnstartedServer(h)
		p.TLS, p.Config.ErrorLog = c, log.New(io.Discard, "", 0) // of clients that refuse it
		p.StartTLS()
		return p
	}, s.pass)
	return proxy.URL, proxy.CloseClientConnections
}

// Trust takes the certificates that a signer, in PEM, has signed.
func Trust(ca []byte) func(string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return func(string) *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool} }
}

func (s *Server) pass(transport *http.Transport, w http.ResponseWriter, r *http.Request) {
	answer, err := s.forward(transport, r)
	if err != nil {
		end(w, r, Cut)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	give(w, answer)
}

// forward gives the request to the store. It keeps the Host that was signed.
func (s *Server) forward(transport *http.Transport, r *http.Request) (*http.Response, error) {
	on, err := http.NewRequestWithContext(r.Context(), r.Method, s.URL+r.URL.RequestURI(), r.Body)
	if err != nil {
		return nil, err
	}
	on.Header, on.Host, on.ContentLength = r.Header, r.Host, r.ContentLength
	return transport.RoundTrip(on)
}

// end answers 500, or not at all.
func end(w http.ResponseWriter, r *http.Request, o Outcome) {
	switch o {
	case Ignored, Unanswered:
		<-r.Context().Done()
	case Cut, Lost:
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "injected fault", http.StatusInternalServerError)
}
