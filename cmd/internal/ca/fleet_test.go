package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"landfall/edge/agent"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// fleet is an authority, and an ingest that believes it.
type fleet struct {
	t      *testing.T
	dir    string
	keeper *certs.Keeper
	ingest *ingest.Handler
	server *httptest.Server
}

func start(t *testing.T) *fleet {
	f := &fleet{t: t, dir: t.TempDir()}
	if err := Init(durable.OS{}, f.dir, "Test", AuthorityLife, time.Now); err != nil {
		t.Fatal(err)
	}
	f.sign(time.Now, Engine, "127.0.0.1")
	var err error
	f.keeper, err = certs.Open(certs.Config{FS: durable.OS{}, CAFile: f.file("ca.pem"), CAKey: "client_ca_file",
		CertFile: f.file("127.0.0.1.pem"), KeyFile: f.file("127.0.0.1.key"), CRLFile: f.file("crl.pem")})
	if err != nil {
		t.Fatal(err)
	}
	f.ingest, err = ingest.New(ingest.Config{
		Log: landingtest.NewMemory("m", 1), Identity: ingest.Identity{ClientCertificate: true, VerifyClient: f.keeper.VerifyClient},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(wire.Path, f.ingest)
	f.server = httptest.NewUnstartedServer(mux)
	f.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.server.Listener = tls.NewListener(f.server.Listener, f.keeper.Server())
	f.server.Start()
	f.server.URL = strings.Replace(f.server.URL, "http:", "https:", 1)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fleet) file(name string) string { return filepath.Join(f.dir, name) }

func (f *fleet) sign(now func() time.Time, role Role, name string) Signed {
	f.t.Helper()
	a, err := Open(durable.OS{}, f.dir, now)
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := a.Sign(role, 24*time.Hour, name)
	if err := errors.Join(err, a.Close()); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// ask asks as a gateway, with the certificate of the file named; empty: none.
func (f *fleet) ask(gateway, cert string, o certs.Config) (int, string, error) {
	o.FS, o.CAFile = durable.OS{}, f.file("ca.pem")
	if cert != "" {
		o.CertFile, o.KeyFile = f.file(cert+".pem"), f.file(cert+".key")
	}
	k, err := certs.Open(o)
	if err != nil {
		f.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: k.Client("", "127.0.0.1"), DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.server.URL+wire.Path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	wire.RequestHeader{Gateway: gateway, Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(req.Header, false)
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

func TestEachStrangerIsRefusedForItsOwnReason(t *testing.T) {
	f := start(t)
	for _, name := range []string{"ada", "grace", "eve"} {
		f.sign(time.Now, Gateway, name)
	}
	f.sign(func() time.Time { return time.Now().Add(-48 * time.Hour) }, Gateway, "old")
	f.sign(func() time.Time { return time.Now().Add(12 * time.Hour) }, Gateway, "early")
	other := start(t)
	other.sign(time.Now, Gateway, "foreign")
	for _, name := range []string{"foreign.pem", "foreign.key"} {
		if err := os.Rename(other.file(name), f.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Open(durable.OS{}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke("eve"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), f.keeper.Refresh()); err != nil {
		t.Fatal(err)
	}
	if code, text, err := f.ask("ada", "ada", certs.Config{}); code != http.StatusOK || err != nil {
		t.Errorf("the right gateway: %d %s %v", code, text, err)
	}
	want := map[certs.Reason]uint64{}
	for _, c := range []struct {
		gateway, cert string
		reason        certs.Reason
		says          string
	}{
		{"ada", "", certs.Unauthenticated, "nothing proves"},
		{"ada", "grace", certs.WrongName, `of \"grace\"`},
		{"old", "old", certs.Expired, "expired on"},
		{"early", "early", certs.NotYetValid, "valid from"},
		{"eve", "eve", certs.Revoked, "revoked on"},
		{"foreign", "foreign", certs.UnknownSigner, "unknown authority"},
		{"127.0.0.1", "127.0.0.1", certs.Unusable, "usage"},
	} {
		code, text, err := f.ask(c.gateway, c.cert, certs.Config{})
		if code != http.StatusForbidden || err != nil || !strings.Contains(text, c.says) {
			t.Errorf("%s with the certificate of %q: %d %s %v", c.gateway, c.cert, code, text, err)
		}
		want[c.reason]++
	}
	st := f.ingest.Stats()
	for _, r := range certs.Reasons() {
		if st.Unproven[r] != want[r] {
			t.Errorf("%s counted %d times, want %d", r, st.Unproven[r], want[r])
		}
	}
	if st.Refused[wire.CodeForbidden] != 7 || st.Questions != 1 {
		t.Errorf("%d forbidden, %d questions taken", st.Refused[wire.CodeForbidden], st.Questions)
	}
}

func TestAGatewayWithoutABatteryConnects(t *testing.T) {
	f := start(t)
	f.sign(time.Now, Gateway, "ada")
	epoch := func() time.Time { return time.Unix(0, 0) }
	if code, text, err := f.ask("ada", "ada", certs.Config{Now: epoch}); code != http.StatusOK || err != nil {
		t.Errorf("its own certificate tells that it is not 1970: %d %s %v", code, text, err)
	}
	if code, _, err := f.ask("ada", "", certs.Config{Now: epoch}); err == nil || !strings.Contains(err.Error(), "1970") {
		t.Errorf("nothing tells that it is not 1970: %d %v", code, err)
	}
	if code, _, err := f.ask("ada", "", certs.Config{Now: epoch, Floor: time.Now()}); code != http.StatusForbidden || err != nil {
		t.Errorf("the build tells that it is not 1970: %d %v", code, err)
	}
	late := func() time.Time { return time.Now().Add(3 * 24 * time.Hour) }
	if code, _, err := f.ask("ada", "ada", certs.Config{Now: late}); err == nil {
		t.Errorf("the engine's certificate has expired: %d", code)
	}
}

func TestTheWrongEngineIsNotTalkedTo(t *testing.T) {
	f, other := start(t), start(t)
	f.sign(time.Now, Gateway, "ada")
	f.server = other.server
	if code, _, err := f.ask("ada", "ada", certs.Config{}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("an engine that somebody else signed: %d %v", code, err)
	}
}

func TestBadNewFilesChangeNothing(t *testing.T) {
	f := start(t)
	f.sign(time.Now, Gateway, "ada")
	good, err := os.ReadFile(f.file("127.0.0.1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"127.0.0.1.pem", "ca.pem", "crl.pem", "127.0.0.1.key"} {
		was, err := os.ReadFile(f.file(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, []byte("rubbish"), was[:len(was)/2]} {
			if err := os.WriteFile(f.file(name), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var fe *config.FieldError
			if err := f.keeper.Refresh(); !errors.As(err, &fe) {
				t.Errorf("%s with %d bytes: %v", name, len(bad), err)
			}
			if s := f.keeper.Status(); s.Problem == "" || s.Subject != "127.0.0.1" {
				t.Errorf("%s: status %+v", name, s)
			}
		}
		if err := os.WriteFile(f.file(name), was, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, err := f.ask("ada", "ada", certs.Config{}); code != http.StatusOK || err != nil {
			t.Errorf("after %s was damaged and mended: %d %v", name, code, err)
		}
	}
	renewed := f.sign(time.Now, Engine, "127.0.0.1")
	if err := f.keeper.Refresh(); err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(f.file("127.0.0.1.pem"))
	if err != nil || string(now) == string(good) {
		t.Fatal("not renewed", err)
	}
	if s := f.keeper.Status(); s.Problem != "" || !s.NotAfter.Equal(renewed.NotAfter) {
		t.Errorf("after a renewal: %+v", s)
	}
}

func TestAnAuthorityIsMadeOnce(t *testing.T) {
	f := start(t)
	if err := Init(durable.OS{}, f.dir, "Again", AuthorityLife, time.Now); !errors.Is(err, ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	for _, name := range []string{"ca.key", "127.0.0.1.key"} {
		if info, err := os.Stat(f.file(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	a, err := Open(durable.OS{}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(durable.OS{}, f.dir, time.Now); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	if _, err := a.Revoke("nobody"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("revoke nobody: %v", err)
	}
	if list := a.List(); len(list) != 1 || list[0].Role != Engine {
		t.Errorf("list %+v", list)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// fullFS has no room for the list of what is revoked.
type fullFS struct{ durable.OS }

func (f fullFS) Rename(from, to string) error {
	if filepath.Base(to) == "crl.pem" {
		return syscall.ENOSPC
	}
	return f.OS.Rename(from, to)
}

// TestARevocationThatWasCutShortIsCompleted: between the index and crl.pem the next
// command that opens the authority goes on.
func TestARevocationThatWasCutShortIsCompleted(t *testing.T) {
	f := start(t)
	f.sign(time.Now, Gateway, "pier")
	a, err := Open(fullFS{}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke("pier"); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("revoked with %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	revoked := func() int {
		data, err := os.ReadFile(f.file("crl.pem"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return len(list.RevokedCertificateEntries)
	}
	if n := revoked(); n != 0 {
		t.Fatalf("%d in the list that could not be written", n)
	}
	for range 2 {
		if a, err = Open(durable.OS{}, f.dir, time.Now); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(f.file("crl.pem"))
		if err := errors.Join(err, a.Close()); err != nil {
			t.Fatal(err)
		}
		if a, err = Open(durable.OS{}, f.dir, time.Now); err != nil {
			t.Fatal(err)
		}
		after, err := os.Stat(f.file("crl.pem"))
		if err := errors.Join(err, a.Close()); err != nil || revoked() != 1 || !os.SameFile(before, after) {
			t.Errorf("%d revoked, written again: %v, %v", revoked(), !os.SameFile(before, after), err)
		}
	}
}

// crowdedFS lets another process have the directory just before the lock is
// taken.
type crowdedFS struct {
	durable.OS
	other func()
}

func (c crowdedFS) Lock(name string) (io.Closer, error) {
	c.other()
	return c.OS.Lock(name)
}

// TestTwoAtOnceLoseNothing: what another process signed while the lock was
// waited for stays in the index.
func TestTwoAtOnceLoseNothing(t *testing.T) {
	f := start(t)
	a, err := Open(crowdedFS{other: func() { f.sign(time.Now, Gateway, "first") }}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Sign(Gateway, 24*time.Hour, "second")
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
	a, err = Open(durable.OS{}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	var names []string
	for _, s := range a.List() {
		names = append(names, s.Name)
	}
	if want := []string{"127.0.0.1", "first", "second"}; !slices.Equal(names, want) {
		t.Errorf("the index has %q, want %q", names, want)
	}
}

// TestARevokedGatewayIsRefusedOnAnOpenConnection: the connection that its last
// request was answered on is the one that its next is refused on.
func TestARevokedGatewayIsRefusedOnAnOpenConnection(t *testing.T) {
	f := start(t)
	f.sign(time.Now, Gateway, "ada")
	k, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: f.file("ca.pem"), CertFile: f.file("ada.pem"), KeyFile: f.file("ada.key")})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: k.Client("", "127.0.0.1")}}
	defer client.CloseIdleConnections()
	again := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { again = i.Reused }})
	ask := func() int {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.server.URL+wire.Path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		wire.RequestHeader{Gateway: "ada", Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(req.Header, false)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if code := ask(); code != http.StatusOK || again {
		t.Errorf("the first request: %d, on a connection that was there: %v", code, again)
	}
	a, err := Open(durable.OS{}, f.dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Revoke("ada")
	if err := errors.Join(err, a.Close(), f.keeper.Refresh()); err != nil {
		t.Fatal(err)
	}
	if code := ask(); code != http.StatusForbidden || !again || f.ingest.Stats().Unproven[certs.Revoked] != 1 {
		t.Errorf("the next: %d, on the open connection: %v, counted %v", code, again, f.ingest.Stats().Unproven)
	}
}

// TestAGatewaysKeyIsGoodForNothingElse: it neither signs, nor is it believed to
// be an engine.
func TestAGatewaysKeyIsGoodForNothingElse(t *testing.T) {
	f := start(t)
	f.sign(time.Now, Gateway, "cloud")
	k, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: f.file("ca.pem"), CertFile: f.file("cloud.pem"), KeyFile: f.file("cloud.key")})
	if err != nil {
		t.Fatal(err)
	}
	own, err := k.Server().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if l := own.Leaf; l.IsCA || l.KeyUsage != x509.KeyUsageDigitalSignature || len(l.ExtKeyUsage) != 1 || l.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("authority %v, usage %v, %v", l.IsCA, l.KeyUsage, l.ExtKeyUsage)
	}
	state := tls.ConnectionState{ServerName: "cloud", PeerCertificates: []*x509.Certificate{own.Leaf}}
	if err := k.Client("", "cloud").VerifyConnection(state); err == nil {
		t.Error("it is believed to be an engine")
	}
}

// TestHealthTurnsRedTwoWeeksBeforeTheEnd of a certificate, at both ends of the
// link, and of one with which an engine reaches brokers.
func TestHealthTurnsRedTwoWeeksBeforeTheEnd(t *testing.T) {
	for days, red := range map[time.Duration]bool{13: true, 15: false} {
		f := start(t)
		a, err := Open(durable.OS{}, f.dir, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		for role, name := range map[Role]string{Gateway: "ada", Engine: "cloud"} {
			if _, err := a.Sign(role, days*24*time.Hour, name); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		engine := engineHealth(t, f, "cloud")
		said := map[string][]string{"the gateway's": gatewayHealth(t, f, "ada"), "the engine's": engine, "sinks.kafka: the engine's": engine}
		for whose, reasons := range said {
			if says := slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(r, whose+" certificate expires on ") }); says != red {
				t.Errorf("%s ends in %d days: %q", whose, days, reasons)
			}
		}
	}
}

func gatewayHealth(t *testing.T, f *fleet, name string) []string {
	t.Helper()
	c := agent.Default()
	c.Gateway, c.DataDir, c.Log.Reserve = name, t.TempDir(), 0
	c.Sources = []agent.SourceConfig{{Name: "f", File: &agent.FileConfig{Path: f.file("ca.pem")}}}
	c.Forward.URL, c.Forward.CAFile, c.Forward.CertFile, c.Forward.KeyFile = "https://127.0.0.1:1/", f.file("ca.pem"), f.file(name+".pem"), f.file(name+".key")
	a, err := agent.New(c, agent.Options{CertTime: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := a.Status()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ended); err != nil || s.Healthy != (len(s.Reasons) == 0) {
		t.Errorf("%v, healthy %v: %q", err, s.Healthy, s.Reasons)
	}
	return s.Reasons
}

func engineHealth(t *testing.T, f *fleet, name string) []string {
	t.Helper()
	dir := t.TempDir()
	c := server.Default()
	c.Listen, c.Landing.Dir, c.Landing.Reserve, c.Lake.Dir = "127.0.0.1:0", filepath.Join(dir, "landing"), 0, filepath.Join(dir, "lake")
	c.TLS.CertFile, c.TLS.KeyFile, c.TLS.ClientCAFile = f.file(name+".pem"), f.file(name+".key"), f.file("ca.pem")
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := certs.Open(certs.Config{FS: durable.OS{}, CertFile: f.file(name + ".pem"), KeyFile: f.file(name + ".key")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), c, server.Options{Links: []server.Link{{Name: "sinks.kafka", Certs: k}}, Store: store, Sinks: func() ([]stream.Sink, error) { return nil, errors.New("no sinks here") }})
	if err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ended); err != nil || st.Healthy != (len(st.Reasons) == 0) {
		t.Errorf("%v, healthy %v: %q", err, st.Healthy, st.Reasons)
	}
	return st.Reasons
}
