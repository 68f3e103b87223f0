package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEachReasonHasItsName: what is wrong with a chain is told apart.
func TestEachReasonHasItsName(t *testing.T) {
	s, other := newSigner(t, "one"), newSigner(t, "two")
	client := x509.ExtKeyUsageClientAuth
	good, revoked := s.leaf("ada", client), s.leaf("eve", client)
	s.revoke(revoked)
	c := s.config("")
	c.CRLFile = s.file("crl.pem")
	k := open(t, c)
	spans := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = birth.Add(from), birth.Add(to) }
	}
	seen := []Reason{WrongName} // of servers, below
	for _, m := range []struct {
		want  Reason
		chain []*x509.Certificate
	}{
		{"", []*x509.Certificate{good}},
		{Unauthenticated, nil},
		{UnknownSigner, []*x509.Certificate{other.leaf("ada", client)}},
		{UnknownSigner, []*x509.Certificate{other.leaf("ada", client), other.cert}}, // who brings its own signer
		{Expired, []*x509.Certificate{s.leaf("old", client, spans(0, life/4))}},
		{NotYetValid, []*x509.Certificate{s.leaf("early", client, spans(3*life/4, life))}},
		{Revoked, []*x509.Certificate{revoked}},
		{Unusable, []*x509.Certificate{s.leaf("engine", x509.ExtKeyUsageServerAuth)}},
	} {
		err := k.VerifyClient(m.chain)
		var r *Refusal
		switch {
		case m.want == "" && err != nil:
			t.Errorf("the good one: %v", err)
		case m.want != "" && (!errors.As(err, &r) || r.Reason != m.want || r.Error() == ""):
			t.Errorf("%s: %v", m.want, err)
		}
		seen = append(seen, m.want)
	}
	for _, r := range Reasons() {
		if !slices.Contains(seen, r) {
			t.Errorf("nothing here is refused as %s", r)
		}
	}
}

// TestTheServerProvesTheName that was asked for, over real handshakes: also
// where nobody said which, nothing else will do.
func TestTheServerProvesTheName(t *testing.T) {
	s, other := newSigner(t, "one"), newSigner(t, "two")
	s.leaf("cloud", x509.ExtKeyUsageServerAuth)
	s.leaf("ship", x509.ExtKeyUsageClientAuth)
	other.leaf("cloud", x509.ExtKeyUsageServerAuth)
	client := open(t, s.config("ship"))
	server := open(t, s.config("cloud")).Server()
	for _, m := range []struct {
		name, host, says string
	}{
		{"cloud", "", ""}, {"cloud", "127.0.0.1", ""}, {"", "cloud", ""},
		{"elsewhere", "cloud", "not elsewhere"}, {"", "127.0.0.1", "127.0.0.1"}, {"", "", "not known which name"},
	} {
		shown, clientErr, serverErr := shake(t, client.Client(m.name, m.host), server)
		switch {
		case m.says == "" && (clientErr != nil || serverErr != nil || len(shown) != 1 || shown[0].Subject.CommonName != "ship"):
			t.Errorf("%+v: %v, %v, shown %v", m, clientErr, serverErr, shown)
		case m.says != "" && (clientErr == nil || !strings.Contains(clientErr.Error(), m.says)):
			t.Errorf("%+v: %v", m, clientErr)
		}
	}
	if _, err, _ := shake(t, client.Client("cloud", ""), open(t, other.config("cloud")).Server()); err == nil {
		t.Error("a server that somebody else signed is believed")
	}
	if _, err, _ := shake(t, client.Client("ship", ""), open(t, s.config("ship")).Server()); err == nil {
		t.Error("a gateway's certificate is believed to be a server's")
	}
}

// TestAServerTakesAnyCertificate: the request is judged, not the connection.
// One without signers asks for none.
func TestAServerTakesAnyCertificate(t *testing.T) {
	s, other := newSigner(t, "one"), newSigner(t, "two")
	s.leaf("cloud", x509.ExtKeyUsageServerAuth)
	other.leaf("ship", x509.ExtKeyUsageClientAuth)
	c := s.config("cloud")
	stranger := other.config("ship")
	stranger.CAFile = s.file("ca.pem")
	for _, asks := range []bool{true, false} {
		if !asks {
			c.CAFile = ""
		}
		shown, clientErr, serverErr := shake(t, open(t, stranger).Client("cloud", ""), open(t, c).Server())
		if clientErr != nil || serverErr != nil || (len(shown) == 1) != asks {
			t.Errorf("asks %v: %v, %v, shown %d", asks, clientErr, serverErr, len(shown))
		}
	}
}

// TestOlderTLSIsRefused by either end, of the other.
func TestOlderTLSIsRefused(t *testing.T) {
	s := newSigner(t, "one")
	s.leaf("cloud", x509.ExtKeyUsageServerAuth)
	s.leaf("ship", x509.ExtKeyUsageClientAuth)
	client, server := open(t, s.config("ship")), open(t, s.config("cloud"))
	for version, taken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		end := &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true}
		if _, _, err := shake(t, end, server.Server()); (err == nil) != taken {
			t.Errorf("a client that speaks %s: %v", tls.VersionName(version), err)
		}
		end = &tls.Config{MinVersion: version, MaxVersion: version, GetCertificate: server.Server().GetCertificate}
		if _, err, _ := shake(t, client.Client("cloud", ""), end); (err == nil) != taken {
			t.Errorf("a server that speaks %s: %v", tls.VersionName(version), err)
		}
	}
}

// TestStrangersEndNoLink: a clock that rests on strangers alone makes no certificate
// expire that was valid at the floor. It may tell that one is valid already.
func TestStrangersEndNoLink(t *testing.T) {
	s := newSigner(t, "one")
	leaf := s.leaf("engine", x509.ExtKeyUsageServerAuth)
	past := s.leaf("old", x509.ExtKeyUsageServerAuth,
		func(c *x509.Certificate) { c.NotBefore, c.NotAfter = birth.Add(-life), birth.Add(-life/2) })
	for _, c := range []struct {
		name string
		leaf *x509.Certificate
		now  time.Time
		weak bool
		want Reason
	}{
		{"strangers say it has expired", leaf, birth.Add(20 * life), true, ""},
		{"the machine's clock says it has expired", leaf, birth.Add(20 * life), false, Expired},
		{"strangers say it is valid", leaf, birth.Add(time.Hour), true, ""},
		{"it had expired at the floor", past, birth.Add(20 * life), true, Expired},
		{"it had expired at the floor, whatever strangers say", past, birth.Add(-life * 3 / 4), true, Expired},
	} {
		cfg := s.config("")
		cfg.Now, cfg.Weak, cfg.Floor = func() time.Time { return c.now }, func() bool { return c.weak }, birth
		err := open(t, cfg).verify([]*x509.Certificate{c.leaf}, x509.ExtKeyUsageServerAuth, "")
		var refused *Refusal
		if errors.As(err, &refused); (c.want == "") != (err == nil) || err != nil && refused.Reason != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
