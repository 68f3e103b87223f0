package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/config"
	"landfall/edge/page"
)

// TestNewFilesAreTakenUp: by themselves, once they are looked at again, for
// either end and for who signs.
func TestNewFilesAreTakenUp(t *testing.T) {
	s := newSigner(t, "one")
	s.leaf("ship", x509.ExtKeyUsageClientAuth)
	synctest.Test(t, func(t *testing.T) {
		k := open(t, s.config("ship"))
		old := k.Status().NotAfter
		s.leaf("ship", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = birth, birth.Add(2*life) })
		if got := k.Status().NotAfter; !got.Equal(old) {
			t.Error("looked at for every question")
		}
		time.Sleep(lookEvery)
		if st := k.Status(); !st.NotAfter.Equal(birth.Add(2*life)) || st.Problem != "" {
			t.Errorf("%+v", st)
		}
		// Another signer: who it signed is believed, who the old one signed is not.
		two := newSigner(t, "two")
		mine, foreign := s.leaf("ada", x509.ExtKeyUsageClientAuth), two.leaf("grace", x509.ExtKeyUsageClientAuth)
		pem, err := os.ReadFile(two.file("ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		s.put("ca.pem", pem)
		time.Sleep(lookEvery)
		if err := k.VerifyClient([]*x509.Certificate{foreign}); err != nil {
			t.Error(err)
		}
		if err := k.VerifyClient([]*x509.Certificate{mine}); err == nil {
			t.Error("who the old signer signed is still believed")
		}
	})
}

// TestBadNewFilesChangeNothing: whatever is wrong with a file, what was good
// goes on, it is said, and the mended file is taken up by itself.
func TestBadNewFilesChangeNothing(t *testing.T) {
	s := newSigner(t, "one")
	leaf := s.leaf("ship", x509.ExtKeyUsageClientAuth)
	s.revoke()
	foreign := newSigner(t, "two")
	foreign.leaf("ship", x509.ExtKeyUsageClientAuth)
	foreign.revoke()
	synctest.Test(t, func(t *testing.T) {
		c := s.config("ship")
		c.CRLFile = s.file("crl.pem")
		logger, book := logbook()
		c.Logger = logger
		k := open(t, c)
		for key, name := range map[string]string{"tls.ca_file": "ca.pem", "tls.cert_file": "ship.pem", "tls.cert_file ": "ship.key", "tls.crl_file": "crl.pem"} {
			was, err := os.ReadFile(s.file(name))
			if err != nil {
				t.Fatal(err)
			}
			other, err := os.ReadFile(foreign.file(name))
			if err != nil {
				t.Fatal(err)
			}
			bad := [][]byte{nil, []byte("rubbish"), was[:len(was)/2]}
			if name != "ca.pem" {
				bad = append(bad, other) // another's key, certificate or list
			}
			for _, text := range bad {
				s.put(name, text)
				time.Sleep(lookEvery)
				if st := k.Status(); st.Problem == "" || st.Subject != "ship" || !strings.Contains(st.Problem, strings.TrimSpace(key)) {
					t.Errorf("%s of %d bytes: %+v", name, len(text), st)
				}
				var fe *config.FieldError
				if err := k.Refresh(); !errors.As(err, &fe) || fe.Key != strings.TrimSpace(key) {
					t.Errorf("%s of %d bytes: %v", name, len(text), err)
				}
				if err := k.VerifyClient([]*x509.Certificate{leaf}); err != nil {
					t.Errorf("%s of %d bytes: the old ones do not stay: %v", name, len(text), err)
				}
			}
			s.put(name, was)
			time.Sleep(lookEvery)
			if st := k.Status(); st.Problem != "" {
				t.Errorf("%s was mended: %+v", name, st)
			}
		}
		if err := os.Remove(s.file("ship.key")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		if st := k.Status(); st.Problem == "" || st.Subject != "ship" {
			t.Errorf("the key is gone: %+v", st)
		}
		if n := strings.Count(book.String(), "old ones stay"); n != 5 {
			t.Errorf("said %d times in the log, want once for each of 4 files that was bad for long, and the one that is gone:\n%s", n, book)
		}
		if strings.Contains(book.String(), "PRIVATE") {
			t.Errorf("the log shows a key:\n%s", book)
		}
	})
}

// TestWhatCannotBeUsedAtTheStartIsRefused, with the key of the configuration.
func TestWhatCannotBeUsedAtTheStartIsRefused(t *testing.T) {
	s := newSigner(t, "one")
	s.leaf("ship", x509.ExtKeyUsageClientAuth)
	for key, change := range map[string]func(*Config){
		"tls.ca_file":        func(c *Config) { c.CAFile = s.file("nowhere") },
		"tls.client_ca_file": func(c *Config) { c.CAFile, c.CAKey = s.file("ship.key"), "client_ca_file" },
		"tls.cert_file":      func(c *Config) { c.KeyFile = s.file("nowhere") },
		"tls.crl_file":       func(c *Config) { c.CRLFile = s.file("ca.pem") },
	} {
		c := s.config("ship")
		change(&c)
		var fe *config.FieldError
		if _, err := Open(c); !errors.As(err, &fe) || fe.Key != key {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestTheClockHasAFloor: the build, the own certificate's birth, and what
// somebody who was proved said; never backwards.
func TestTheClockHasAFloor(t *testing.T) {
	s := newSigner(t, "one")
	s.leaf("ship", x509.ExtKeyUsageClientAuth)
	now := time.Unix(0, 0)
	c := s.config("")
	c.Now, c.Floor = func() time.Time { return now }, birth.Add(-life)
	if got := open(t, c).Time(); !got.Equal(birth.Add(-life)) {
		t.Errorf("the build is the floor: %v", got)
	}
	c.CertFile, c.KeyFile = s.file("ship.pem"), s.file("ship.key")
	k := open(t, c)
	if got := k.Time(); !got.Equal(birth) {
		t.Errorf("the certificate's birth is the floor: %v", got)
	}
	k.Passed(birth.Add(time.Hour))
	k.Passed(birth.Add(-time.Hour))
	if got := k.Time(); !got.Equal(birth.Add(time.Hour)) {
		t.Errorf("what has passed is the floor: %v", got)
	}
	now = birth.Add(2 * time.Hour)
	if got := k.Time(); !got.Equal(now) {
		t.Errorf("a clock over the floor is used as it is: %v", got)
	}
}

// TestExpiryIsAMetric, of each link with its label.
func TestExpiryIsAMetric(t *testing.T) {
	s := newSigner(t, "one")
	s.leaf("ship", x509.ExtKeyUsageClientAuth, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = birth, birth.Add(life/4) })
	st := open(t, s.config("ship")).Status()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := page.Serve(page.Config{Address: at, Prefix: "x_", Metrics: func(m *page.Metrics) {
		st.Metrics(m)
		Status{NotAfter: birth, Problem: "bad"}.Metrics(m, "source", "plc")
	}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("x_certificate_expiry_timestamp_seconds %g\n", float64(birth.Add(life/4).Unix())),
		fmt.Sprintf("x_ca_expiry_timestamp_seconds %g\n", float64(birth.Add(life).Unix())), "x_certificate_reload_failed 0\n",
		fmt.Sprintf("x_certificate_expiry_timestamp_seconds{source=\"plc\"} %g\n", float64(birth.Unix())), "x_certificate_reload_failed{source=\"plc\"} 1\n",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}

// TestABundleMayHoldWhatCannotBeUsed: one that has ended, and one that cannot be
// read; who is not passed over is believed, and a bundle of nobody is refused.
func TestABundleMayHoldWhatCannotBeUsed(t *testing.T) {
	s := newSigner(t, "one")
	leaf := s.leaf("ship", x509.ExtKeyUsageClientAuth)
	pem, err := os.ReadFile(s.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	unreadable := "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
	c := s.config("")
	for _, bundle := range []bool{false, true} {
		c.Bundle = bundle
		s.put("ca.pem", []byte(unreadable+string(pem)))
		k, err := Open(c)
		if bundle != (err == nil) {
			t.Errorf("bundle %v: %v", bundle, err)
		}
		if k == nil {
			continue
		}
		if err := k.VerifyClient([]*x509.Certificate{leaf}); err != nil || !k.Status().CANotAfter.IsZero() {
			t.Errorf("%v, expiry %s", err, k.Status().CANotAfter)
		}
		s.put("ca.pem", []byte(unreadable))
		if err := k.Refresh(); err == nil {
			t.Error("a bundle of nobody is taken")
		}
	}
}
