package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate reads one, with what signed it.
func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCertificatesLiveTwoYears: those of gateways and engines, unless --days says
// otherwise, and never longer than the authority that signed them, which lives for
// twenty. Their keys are of ECDSA P-256.
func TestCertificatesLiveTwoYears(t *testing.T) {
	dir, brief := filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "ca")
	cert := func(dir string, args ...string) {
		t.Helper()
		if code, out, errs := run(t, append([]string{"cert", "--dir", dir}, args...)...); code != 0 {
			t.Fatalf("%q: exit %d\n%s%s", args, code, out, errs)
		}
	}
	begin := time.Now().Truncate(time.Second)
	cert(dir, "init")
	cert(dir, "gateway", "pier")
	cert(dir, "engine", "landfall.example", "192.0.2.7")
	cert(dir, "gateway", "guest", "--days", "30")
	cert(brief, "init", "--days", "100")
	cert(brief, "gateway", "pier")
	cert(brief, "engine", "landfall.example")
	end := time.Now()
	for _, c := range []struct {
		file string
		days int
	}{
		{dir + "/ca.pem", 20 * 365}, {dir + "/pier.pem", 2 * 365}, {dir + "/landfall.example.pem", 2 * 365}, {dir + "/guest.pem", 30},
		{brief + "/ca.pem", 100}, {brief + "/pier.pem", 100}, {brief + "/landfall.example.pem", 100},
	} {
		got := certificate(t, c.file)
		life := time.Duration(c.days) * 24 * time.Hour
		if got.NotAfter.Before(begin.Add(life)) || got.NotAfter.After(end.Add(life)) || got.NotBefore.After(begin) {
			t.Errorf("%s: from %s until %s, want %d days from %s", c.file, got.NotBefore, got.NotAfter, c.days, begin)
		}
		if key, ok := got.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("%s: a key of %T", c.file, got.PublicKey)
		}
		ca := certificate(t, filepath.Join(filepath.Dir(c.file), "ca.pem"))
		if err := got.CheckSignatureFrom(ca); err != nil || got.NotAfter.After(ca.NotAfter) {
			t.Errorf("%s: until %s, its authority until %s: %v", c.file, got.NotAfter, ca.NotAfter, err)
		}
	}
	if e := certificate(t, dir+"/landfall.example.pem"); !slices.Equal(e.DNSNames, []string{"landfall.example"}) || len(e.IPAddresses) != 1 {
		t.Errorf("the engine's hosts: %q, %v", e.DNSNames, e.IPAddresses)
	}
	_, list, _ := run(t, "cert", "--dir", dir, "list")
	if until := certificate(t, dir+"/pier.pem").NotAfter.Format(time.DateOnly); !strings.Contains(list, until) {
		t.Errorf("the list does not say %s:\n%s", until, list)
	}
}
