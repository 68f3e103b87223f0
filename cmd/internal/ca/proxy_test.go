package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// documented returns the lines of a proxy as docs/security.md has them: those that are
// indented below "In KIND".
func documented(t *testing.T, kind string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(strings.ToLower(string(page)), "\nin "+kind)
	rest = string(page[len(page)-len(rest):])
	_, rest, _ = strings.Cut(rest, "\n\n")
	text, _, ended := strings.Cut(rest, "\n\n")
	if !found || !ended || !strings.HasPrefix(text, "    ") {
		t.Fatalf("docs/security.md has no lines for %s", kind)
	}
	return text
}

// TestProxiesThatEndTLS runs the lines of docs/security.md in the real proxies, with only
// their addresses and files put in.
func TestProxiesThatEndTLS(t *testing.T) {
	for kind, around := range map[string]struct {
		before, after string
		args          []string
	}{
		"nginx": {"daemon off;\npid nginx.pid;\nerror_log stderr;\nuser root;\nworker_processes 1;\nevents {}\nhttp {\naccess_log off;\n" +
			"client_body_temp_path t1;\nproxy_temp_path t2;\nfastcgi_temp_path t3;\nuwsgi_temp_path t4;\nscgi_temp_path t5;\n", "\n}\n",
			[]string{"-p", ".", "-e", "stderr", "-c", "conf"}},
		"haproxy": {"", "\n", []string{"-db", "-f", "conf"}},
	} {
		t.Run(kind, func(t *testing.T) {
			program, err := exec.LookPath(kind)
			if err != nil {
				program, err = exec.LookPath("/usr/sbin/" + kind) // not in everybody's PATH
			}
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skipf("SKIPPED: no real proxy: %v", err)
			}
			p := behindProxy(t)
			text := documented(t, kind)
			for from, to := range map[string]string{
				"0.0.0.0:8443": p.address, "127.0.0.1:8480": p.engine,
				"/etc/landfall/engine.pem":         p.file("127.0.0.1.pem"),
				"/etc/landfall/engine.key":         p.file("127.0.0.1.key"),
				"/etc/landfall/engine-and-key.pem": p.file("both.pem"), "/etc/landfall/ca.pem": p.file("ca.pem"),
				"/etc/landfall/crl.pem": p.file("crl.pem"),
			} {
				text = strings.ReplaceAll(text, from, to)
			}
			p.run(t, program, around.before+text+around.after, around.args)
			p.check(t)
		})
	}
}

// proxied is an authority with an engine behind a proxy on address.
type proxied struct {
	*fleet
	landed  *landingtest.Memory
	engine  string
	address string
}

func behindProxy(t *testing.T) *proxied {
	t.Helper()
	p := &proxied{fleet: start(t), landed: landingtest.NewMemory("m", 1)}
	for _, name := range []string{"ada", "grace", "eve"} {
		p.sign(time.Now, Gateway, name)
	}
	a, err := Open(durable.OS{}, p.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	other := start(t)
	other.sign(time.Now, Gateway, "ada")
	for _, end := range []string{".pem", ".key"} {
		if err := os.Rename(other.file("ada"+end), p.file("foreign"+end)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = a.Revoke("eve")
	if err := errors.Join(err, odd(a), a.Close()); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(p.file("127.0.0.1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(p.file("127.0.0.1.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.file("both.pem"), bytes.Join([][]byte{cert, key}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := ingest.New(ingest.Config{Log: p.landed, Identity: ingest.Identity{TrustedHeader: "X-Gateway",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	if err != nil {
		t.Fatal(err)
	}
	p.ingest = h
	mux := http.NewServeMux()
	mux.Handle(wire.Path, h)
	engine := httptest.NewServer(mux)
	t.Cleanup(engine.Close)
	p.engine = engine.Listener.Addr().String()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// odd signs a certificate of grace whose subject has ada's name in it, as odd.pem.
func odd(a *Authority) error {
	t, err := a.template("grace", 24*time.Hour)
	if err != nil {
		return err
	}
	t.Subject.Organization = []string{"x,CN=ada"}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	return a.write("odd", der, key)
}

// run starts the proxy and waits until it takes connections.
func (p *proxied) run(t *testing.T, program, conf string, args []string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var says bytes.Buffer // read only once the proxy has ended
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &says, &says
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s with\n%s\nsays\n%s", program, conf, &says)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended", program)
		case <-tick.C:
		}
	}
}

// client talks to the proxy with a gateway's certificate; empty: none.
func (p *proxied) client(t *testing.T, cert string) *http.Client {
	t.Helper()
	c := certs.Config{FS: durable.OS{}, CAFile: p.file("ca.pem")}
	if cert != "" {
		c.CertFile, c.KeyFile = p.file(cert+".pem"), p.file(cert+".key")
	}
	k, err := certs.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: k.Client("", "127.0.0.1"), DisableKeepAlives: true}}
}

// asks asks as a gateway, with more headers, and returns the code and text of the answer.
func (p *proxied) asks(t *testing.T, c *http.Client, gateway string, more http.Header) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.address+wire.Path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	wire.RequestHeader{Gateway: gateway, Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(req.Header, false)
	for name, values := range more {
		req.Header[name] = values
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

func (p *proxied) check(t *testing.T) {
	if code, text, err := p.asks(t, p.client(t, "ada"), "ada", nil); code != http.StatusOK || err != nil {
		t.Fatalf("ada with its certificate: %d %s %v", code, text, err)
	}
	for name, c := range map[string]struct {
		cert, gateway string
		more          http.Header
	}{
		"another's name":                       {"grace", "ada", nil},
		"another's name, and the header":       {"grace", "ada", http.Header{"X-Gateway": {"ada"}}},
		"another's name, and the header twice": {"grace", "ada", http.Header{"X-Gateway": {"ada", "ada"}}},
		"another's name, header in small":      {"grace", "ada", http.Header{"x-gateway": {"ada"}}},
		"another's name, and an underscore":    {"grace", "ada", http.Header{"X_Gateway": {"ada"}}},
		"a subject with another's name":        {"odd", "ada", nil},
		"two names":                            {"grace", "grace", http.Header{"Landfall-Gateway": {"grace", "ada"}}},
	} {
		code, text, err := p.asks(t, p.client(t, c.cert), c.gateway, c.more)
		if err != nil || code != http.StatusForbidden && code != http.StatusBadRequest {
			t.Errorf("%s: %d %s %v", name, code, text, err)
		}
	}
	for name, cert := range map[string]string{"revoked": "eve", "without a certificate": "",
		"of another authority": "foreign"} {
		gateway := cert
		if cert == "" || cert == "foreign" {
			gateway = "ada"
		}
		before := p.ingest.Stats()
		code, text, err := p.asks(t, p.client(t, cert), gateway, http.Header{"X-Gateway": {gateway}})
		if after := p.ingest.Stats(); err == nil && code < 400 || after.Questions != before.Questions {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	p.streams(t)
}

// streams: a block has landed before the request that brings it has ended.
func (p *proxied) streams(t *testing.T) {
	c := &landingtest.Chain{Gateway: "ada", Log: record.LogID{2}}
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.address+wire.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	head := wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Request: wire.RequestID{2}}
	head.Write(req.Header, true)
	type result struct {
		a   wire.Answer
		err error
	}
	got := make(chan result, 1)
	client := p.client(t, "ada")
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			_ = body.CloseWithError(err)
			got <- result{err: err}
			return
		}
		text, err := io.ReadAll(resp.Body)
		a, bad := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
		got <- result{a, errors.Join(err, bad, resp.Body.Close())}
	}()
	e, err := wire.NewEncoder(feed)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.WriteBlock(c.Block(3, 20).Block); err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(p.landed.Landed(0)) == 0 {
		if <-tick.C; time.Now().After(end) {
			t.Error("the block does not land while its request runs")
			break
		}
	}
	if err := errors.Join(e.Close(), feed.Close()); err != nil {
		t.Error(err)
	}
	if r := <-got; r.err != nil || r.a.Code != wire.CodeNone || r.a.Acked != 3 {
		t.Errorf("%+v", r)
	}
}
