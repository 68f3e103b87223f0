//go:build linux

package lifetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"landfall/cmd/internal/ca"
	"landfall/edge/certs"
	"landfall/edge/durable"
)

// authority makes a certificate authority in a folder of its own.
func authority(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := ca.Init(durable.OS{}, dir, "Test", ca.AuthorityLife, time.Now); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sign signs a certificate as of some time from now.
func sign(t *testing.T, dir string, role ca.Role, at time.Duration, name string) {
	t.Helper()
	a, err := ca.Open(durable.OS{}, dir, func() time.Time { return time.Now().Add(at) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Sign(role, 48*time.Hour, name)
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
}

func revoke(t *testing.T, dir, name string) {
	t.Helper()
	a, err := ca.Open(durable.OS{}, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Revoke(name)
	if err := errors.Join(err, a.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestEachStrangerIsRefused: real gateways at a real engine over TLS. Those
// without a certificate, with another's, an expired one, one of another
// authority or a revoked one are told why, counted each for its reason, and
// land nothing; the right one delivers beside them, also after it was revoked
// and signed anew.
func TestEachStrangerIsRefused(t *testing.T) {
	dir, foreign, work := authority(t), authority(t), t.TempDir()
	listen := freePort(t)
	sign(t, dir, ca.Engine, 0, "127.0.0.1")
	for _, name := range []string{"ada", "grace", "eve"} {
		sign(t, dir, ca.Gateway, 0, name)
	}
	sign(t, dir, ca.Gateway, -72*time.Hour, "old")
	sign(t, dir, ca.Gateway, 24*time.Hour, "early")
	sign(t, foreign, ca.Gateway, 0, "mallory")
	revoke(t, dir, "eve")
	engine := run(t, "landfall-engine", fmt.Sprintf(`listen: %s
status: STATUS
tls: {cert_file: %[2]s/127.0.0.1.pem, key_file: %[2]s/127.0.0.1.key, client_ca_file: %[2]s/ca.pem, crl_file: %[2]s/crl.pem}
landing: {dir: %[3]s/landing, reserve: 0B}
lake: {dir: %[3]s/lake}
epoch: {interval: 200ms}
`, listen, dir, work))
	put(t, work+"/in.nmea", strings.Repeat("!AIVDM,1,1,,A,15MvlfP000G?n@@K>OW`4?vN0<0=,0*5A\r\n", 50))
	gateway := func(name, cert string) *daemon {
		files := ""
		if cert != "" {
			files = fmt.Sprintf("  cert_file: %[1]s.pem\n  key_file: %[1]s.key\n", cert)
		}
		return run(t, "landfall-edge", fmt.Sprintf(`gateway: %s
data_dir: %s
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - {name: file, file: {path: %s/in.nmea, follow: true}}
forward:
  url: https://%s/
  linger: 0s
  retry_max: 500ms
  ca_file: %s/ca.pem
%s`, name, filepath.Join(work, "edge-"+name), work, listen, dir, files))
	}
	right := gateway("ada", dir+"/ada")
	for _, c := range []struct{ gateway, cert, reason, says string }{
		{"nobody", "", "unauthenticated", "nothing proves"},
		{"hopper", dir + "/grace", "wrong_name", "certificate is of"},
		{"old", dir + "/old", "expired", "expired on"},
		{"early", dir + "/early", "not_yet_valid", "valid from"},
		{"mallory", foreign + "/mallory", "unknown_signer", "unknown authority"},
		{"eve", dir + "/eve", "revoked", "was revoked on"},
	} {
		stranger := gateway(c.gateway, c.cert)
		until(t, c.gateway+" is told why", func() bool { return strings.Contains(stranger.edge().Forward.Error, c.says) })
		if engine.says("/metrics", fmt.Sprintf("landfall_engine_ingest_unproven_total{reason=%q} 0\n", c.reason))() {
			t.Errorf("%s is not counted as %s", c.gateway, c.reason)
		}
		if s := stranger.edge(); s.Forward.Acked != 0 || s.Forward.Pending == 0 {
			t.Errorf("%s: %+v", c.gateway, s.Forward)
		}
	}
	until(t, "the right one delivers", func() bool { return right.edge().Forward.Pending == 0 && right.edge().Forward.Acked >= 50 })
	// A stolen gateway: revoked while its connection stands.
	revoke(t, dir, "ada")
	engine.signal(syscall.SIGHUP) // or within seconds
	until(t, "the revoked one is refused", func() bool {
		appendLine(t, work+"/in.nmea")
		return strings.Contains(right.edge().Forward.Error, "was revoked on")
	})
	sign(t, dir, ca.Gateway, 0, "ada")
	until(t, "a new certificate is taken up by itself", func() bool { s := right.edge(); return s.Forward.Pending == 0 && s.Forward.Error == "" })
	if code := engine.stop(); code != 0 {
		t.Errorf("engine ended with %d", code)
	}
	out, err := tool(t, "landfall-engine", "audit", "--lake", work+"/lake", "--json")
	if err != nil || strings.Count(out, `"gateway"`) == 0 {
		t.Errorf("audit: %v\n%s", err, out)
	}
	for _, name := range []string{"nobody", "hopper", "old", "early", "mallory", "eve"} {
		if strings.Contains(out, `"`+name+`"`) {
			t.Errorf("something of %s landed:\n%s", name, out)
		}
	}
}

// TestAnotherServerOfTheSameSigner: the engine's address is no name of its
// certificate, so nothing is sent to it.
func TestAnotherServerOfTheSameSigner(t *testing.T) {
	dir, work := authority(t), t.TempDir()
	sign(t, dir, ca.Engine, 0, "elsewhere.example")
	keeper, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: dir + "/ca.pem", CertFile: dir + "/elsewhere.example.pem", KeyFile: dir + "/elsewhere.example.key"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", keeper.Server())
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })}
	go func() { _ = server.Serve(ln) }() // ends with Close
	defer func() { _ = server.Close() }()
	put(t, work+"/in.nmea", strings.Repeat("line\r\n", 5))
	config := fmt.Sprintf(`gateway: ada
data_dir: %[1]s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - {name: file, file: {path: %[1]s/in.nmea, follow: true}}
forward: {url: "https://%[2]s/", ca_file: %[3]s/ca.pem, linger: 0s, retry_max: 500ms}
`, work, ln.Addr(), dir)
	edge := run(t, "landfall-edge", config)
	until(t, "the server is not believed", func() bool {
		return strings.Contains(edge.edge().Forward.Error, "127.0.0.1") && strings.Contains(edge.edge().Forward.Error, "x509")
	})
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached it", n)
	}
	edge.configure(strings.Replace(config, "ca_file", "server_name: elsewhere.example, ca_file", 1))
	edge.signal(syscall.SIGHUP)
	until(t, "it is believed under its own name", func() bool { return asked.Load() > 0 })
}
