package s3test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Outcome is what becomes of one request.
type Outcome uint8

// The outcomes.
const (
	Works   Outcome = iota
	Refused         // a 500, and nothing was done
	Cut             // the connection ends, and nothing was done
	Late500         // a 500, though it was done
	Lost            // the connection ends instead of the answer, though it was done
)

// Outcomes lists the faulty ones.
func Outcomes() []Outcome { return []Outcome{Refused, Cut, Late500, Lost} }

// String gives the name used in tables.
func (o Outcome) String() string {
	return [...]string{"works", "refused", "cut", "late 500", "lost"}[o]
}

// Script says what becomes of each request. The zero Script lets all work.
type Script struct {
	mu      sync.Mutex
	plan    map[int]Outcome // guarded by mu
	dying   map[int]bool    // requests after which the client is dead; guarded by mu
	names   []string        // of the requests so far; guarded by mu
	dead    bool            // guarded by mu
	mutates bool            // only requests that change anything count
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
	s.names, s.dead = nil, false
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

// meet counts a request and gives its outcome.
func (s *Script) meet(r *http.Request) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return Cut
	}
	if s.mutates && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return Works
	}
	n := len(s.names) + 1
	s.names = append(s.names, name(n, r))
	s.dead = s.dying[n]
	return s.plan[n]
}

// Proxy starts a proxy before the store and gives its URL; it ends with the
// test.
func (s *Server) Proxy(t testing.TB, script *Script) string {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outcome := script.meet(r)
		if outcome == Refused || outcome == Cut {
			_, _ = io.Copy(io.Discard, r.Body) // so that the client hears of it
			end(w, outcome == Cut)
			return
		}
		answer, err := s.forward(transport, r)
		if err != nil {
			t.Logf("the store does not answer the proxy: %v", err)
			end(w, true)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		if outcome == Late500 || outcome == Lost {
			_, _ = io.Copy(io.Discard, answer.Body) // done to its end
			end(w, outcome == Lost)
			return
		}
		for k, v := range answer.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(func() {
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy.URL
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
func end(w http.ResponseWriter, cut bool) {
	if cut {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "injected fault", http.StatusInternalServerError)
}
