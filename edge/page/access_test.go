package page

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// ask sends a request to a page that names a host, and returns the answer's code.
func ask(t *testing.T, address, path, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text := new(strings.Builder)
	if err := resp.Write(text); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

// TestAnotherHostIsNotAnswered: a browser that was led here under a stranger's
// name (DNS rebinding) is told nothing, whatever it asks for.
func TestAnotherHostIsNotAnswered(t *testing.T) {
	c := Config{
		Address: freeAddress(t), Status: func() any { return "secret" }, Reasons: func() []string { return nil },
		Metrics: func(m *Metrics) {}, Tap: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("secret")) }),
	}
	c.Access = NewAccess(c.Address, "Gateway.example", "192.0.2.7", "2001:db8::7")
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	paths := []string{"/", "/status", "/healthz", "/readyz", "/metrics", "/tap", "/nowhere"}
	refused := uint64(0)
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8470": true, "localhost.": true, "127.0.0.1:1": true, "127.9.9.9": true, "[::1]:80": true, "[::1]": true,
		"gateway.example": true, "gateway.EXAMPLE.:443": true, "192.0.2.7:80": true, "[2001:db8::7]:80": true,
		"evil.example": false, "evil.example:8470": false, "127.0.0.1.evil.example": false, "localhost.evil.example:80": false,
		"evil.example.:1": false, "evil-localhost": false, "192.0.2.8": false, "[2001:db8::8]": false, "0.0.0.0": false,
		"xgateway.example": false, ".": false, ":80": false,
	} {
		for _, path := range paths {
			code, text := ask(t, c.Address, path, host)
			if answered := code != http.StatusMisdirectedRequest; answered != want || !want && strings.Contains(text, "secret") {
				t.Errorf("%s%s: %d %q", host, path, code, text)
			}
			if !want {
				refused++
			}
		}
	}
	if _, text := ask(t, c.Address, "/tap", "evil.example"); !strings.Contains(text, `"evil.example"`) || !strings.Contains(text, "status_hosts") {
		t.Errorf("the answer does not say what to do: %q", text)
	}
	for _, host := range []string{"localhost@evil.example", "evil.example:80@localhost", "localhost:80:80", "[::1", "a b"} { // what no client here sends
		if c.Access.allows(host) != (host == "[::1") {
			t.Errorf("%q is answered: %v", host, c.Access.allows(host))
		}
	}
	if n := c.Access.Counts(); n != (Counts{RefusedHosts: refused + 1}) {
		t.Errorf("counted %+v of %d", n, refused+1)
	}
}

// TestAPageIsClosedToOthersByDefault: a page that was told nothing of hosts
// answers under loopback names only.
func TestAPageIsClosedToOthersByDefault(t *testing.T) {
	c := Config{Address: freeAddress(t), Status: func() any { return "secret" }}
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if code, _ := ask(t, c.Address, "/status", c.Address); code != http.StatusOK {
		t.Errorf("under its address: %d", code)
	}
	if code, _ := ask(t, c.Address, "/status", "evil.example"); code != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", code)
	}
}

func TestValidHost(t *testing.T) {
	for name, want := range map[string]bool{
		"gateway": true, "gateway.example": true, "192.0.2.7": true, "2001:db8::7": true, "[2001:db8::7]": true,
		"": false, "gateway:80": false, "http://gateway": false, "a/b": false, " a": false, "a b": false, "u@h": false,
	} {
		if ValidHost(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// TestTapsAreBounded: each keeps memory for a reader that is slow, so there are
// no more than MaxTaps; the next is told, and served when one has ended.
func TestTapsAreBounded(t *testing.T) {
	streaming := make(chan struct{})
	var served atomic.Int64
	c := Config{Address: freeAddress(t), Tap: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer served.Add(-1)
		if served.Add(1) > MaxTaps {
			return // the test says so
		}
		_ = http.NewResponseController(w).Flush()
		streaming <- struct{}{}
		<-r.Context().Done()
		streaming <- struct{}{}
	})}
	c.Access = NewAccess(c.Address)
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	var end []context.CancelFunc
	open := func() {
		ctx, cancel := context.WithCancel(t.Context())
		end = append(end, cancel)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Address+"/tap", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		<-streaming
	}
	for range MaxTaps {
		open()
	}
	if code, text := ask(t, c.Address, "/tap", "localhost"); code != http.StatusServiceUnavailable || !strings.Contains(text, "16 taps are open") {
		t.Errorf("one more: %d %q", code, text)
	}
	if n := c.Access.Counts(); n != (Counts{RefusedTaps: 1}) {
		t.Errorf("counted %+v", n)
	}
	end[0]()
	<-streaming
	for c.Access.taps.Load() == MaxTaps { // the handler has almost returned
		runtime.Gosched()
	}
	open()
	for _, cancel := range end[1:] {
		cancel()
		<-streaming
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
