package ca

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
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
