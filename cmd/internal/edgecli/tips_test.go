package edgecli

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/ca"
	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/tips"
)

// TestTips: the document of a running gateway, on standard output, in a file and
// as JSON.
func TestTips(t *testing.T) {
	config := gateway(t)
	code, out, errs := run(t, "tips", "-c", config)
	body, signature, err := tips.Decode([]byte(out))
	if code != 0 || err != nil || signature != nil || body.Gateway != "pier" || len(body.Logs) != 1 || body.Logs[0].End != 5 || body.Logs[0].Digest == "" || body.Logs[0].Closed {
		t.Errorf("exit %d, %+v, %v\n%s", code, body, err, errs)
	}
	if !strings.Contains(errs, "not signed: forward.cert_file") {
		t.Errorf("said %q", errs)
	}
	file := filepath.Join(t.TempDir(), "pier.tips")
	if code, out, errs := run(t, "tips", "-c", config, "--to", file); code != 0 || out != "" {
		t.Errorf("--to: exit %d %q %s", code, out, errs)
	}
	var m madeTips
	code, out, _ = run(t, "tips", "-c", config, "--json")
	if err := json.Unmarshal([]byte(out), &m); err != nil || code != 0 || m.Signed || m.Unsigned == "" || len(m.Logs) != 1 {
		t.Errorf("--json: exit %d, %v %+v", code, err, m)
	}
	for what, doc := range map[string]string{"file": string(mustRead(t, file)), "document of --json": m.Document} {
		if got, _, err := tips.Decode([]byte(doc)); err != nil || got.Logs[0] != body.Logs[0] {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if code, _, errs := run(t, "tips", "-c", config, "--gateway", "other"); code == 0 || !strings.Contains(errs, `no log of "other"`) {
		t.Errorf("a name it never had: exit %d %s", code, errs)
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTipsAreSigned with the key of the link, when the certificate is the
// gateway's.
func TestTipsAreSigned(t *testing.T) {
	pki := filepath.Join(t.TempDir(), "pki")
	a, err := authority(pki)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pier", "other"} {
		if _, err := a.Sign(ca.Gateway, ca.LeafLife, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	config := gateway(t)
	text := string(mustRead(t, config))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(mustRead(t, pki+"/ca.pem"))
	for name, c := range map[string]struct {
		cert string
		said string
		want error
	}{
		"own":       {"pier", "signed with the key in " + pki, nil},
		"another's": {"other", `not signed: the certificate in forward.cert_file is of "other"`, tips.ErrUnsigned},
		"not there": {"nobody", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			secure := filepath.Join(t.TempDir(), "edge.yaml")
			i := strings.Index(text, "forward:")
			link := fmt.Sprintf("forward: {url: \"https://example:1/\", cert_file: %[1]s/%[2]s.pem, key_file: %[1]s/%[2]s.key}\n", pki, c.cert)
			if err := os.WriteFile(secure, []byte(text[:i]+link), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errs := run(t, "tips", "-c", secure)
			if c.said == "" {
				if code != cli.ExitConfig || !strings.Contains(errs, "forward.cert_file") {
					t.Errorf("exit %d %s", code, errs)
				}
				return
			}
			body, signer, err := tips.Verify([]byte(out), roots, time.Now())
			if code != 0 || !errors.Is(err, c.want) || len(body.Logs) != 1 || signer.Trusted != (c.want == nil) || !strings.Contains(errs, c.said) {
				t.Errorf("exit %d, %+v, %+v, %v\n%s", code, body, signer, err, errs)
			}
		})
	}
}

// authority makes a certificate authority.
func authority(dir string) (*ca.Authority, error) {
	if err := ca.Init(durable.OS{}, dir, "test", ca.AuthorityLife, time.Now); err != nil {
		return nil, err
	}
	return ca.Open(durable.OS{}, dir, time.Now)
}
