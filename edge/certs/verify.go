package certs

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Reason says in one word why somebody is not who he says, for counters.
type Reason string

// The reasons.
const (
	Unauthenticated Reason = "unauthenticated" // nothing was shown
	UnknownSigner   Reason = "unknown_signer"
	Expired         Reason = "expired"
	NotYetValid     Reason = "not_yet_valid"
	Revoked         Reason = "revoked"
	WrongName       Reason = "wrong_name"
	Unusable        Reason = "unusable" // anything else about the certificate
)

// Reasons lists them all, for counters.
func Reasons() []Reason {
	return []Reason{Unauthenticated, UnknownSigner, Expired, NotYetValid, Revoked, WrongName, Unusable}
}

// Refusal is why a certificate is not taken.
type Refusal struct {
	Reason Reason
	Err    error
}

// Error gives the text of Err.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Client gives the configuration of the end that connects. Chains are judged
// by this package and not by crypto/tls, so that new signers are taken up
// without a new configuration. The other end must prove serverName; where that
// is empty the name it is called by; and where that is an address, of which
// crypto/tls does not tell, host.
func (k *Keeper) Client(serverName, host string) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: serverName, Time: k.Time,
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			name := cmp.Or(serverName, s.ServerName, host)
			if name == "" { // or any certificate of the signer would do
				return &Refusal{WrongName, errors.New("it is not known which name the server must prove")}
			}
			return k.verify(s.PeerCertificates, x509.ExtKeyUsageServerAuth, name)
		},
	}
	if k.cfg.CertFile != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.look().own, nil }
	}
	return c
}

// Server gives the configuration of the end that listens. It asks for a
// certificate and takes any: each request is judged by VerifyClient, so that
// the other end is told why it is refused.
func (k *Keeper) Server() *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, Time: k.Time,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.look().own, nil },
	}
	if k.cfg.CAFile != "" {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// VerifyClient judges the chain that a client has shown and proved to hold the
// key of. Error: a Refusal.
func (k *Keeper) VerifyClient(chain []*x509.Certificate) error {
	return k.verify(chain, x509.ExtKeyUsageClientAuth, "")
}

// verify judges a chain; an empty name is not compared.
func (k *Keeper) verify(chain []*x509.Certificate, use x509.ExtKeyUsage, name string) error {
	if len(chain) == 0 {
		return &Refusal{Unauthenticated, errors.New("no certificate was shown")}
	}
	h, between := k.look(), x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	leaf, now := chain[0], k.Time()
	if now.Before(leaf.NotBefore) {
		return &Refusal{NotYetValid, fmt.Errorf("the certificate of %q is valid from %s on, and it is %s", leaf.Subject.CommonName, day(leaf.NotBefore), day(now))}
	}
	how := x509.VerifyOptions{Roots: h.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}, DNSName: name}
	chains, err := leaf.Verify(how)
	if floor := k.least(); expired(err) && k.cfg.Weak != nil && k.cfg.Weak() && !floor.IsZero() {
		how.CurrentTime = floor
		if again, errThen := leaf.Verify(how); errThen == nil {
			chains, err = again, nil
		}
	}
	if err != nil {
		return refuse(leaf, err)
	}
	return h.checkRevoked(chains[0])
}

// expired tells whether a chain was not taken because of the time.
func expired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// refuse gives the reason of what crypto/x509 says.
func refuse(leaf *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	reason := Unusable
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		reason, err = Expired, fmt.Errorf("the certificate of %q expired on %s: %w", leaf.Subject.CommonName, day(leaf.NotAfter), err)
	case errors.As(err, &unknown):
		reason = UnknownSigner
	case errors.As(err, &name):
		reason = WrongName
	}
	return &Refusal{reason, err}
}

func (h *held) checkRevoked(chain []*x509.Certificate) error {
	for _, c := range chain {
		for _, list := range h.revoked {
			if !bytes.Equal(list.RawIssuer, c.RawIssuer) {
				continue
			}
			for _, e := range list.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return &Refusal{Revoked, fmt.Errorf("the certificate of %q was revoked on %s", c.Subject.CommonName, day(e.RevocationTime))}
				}
			}
		}
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
