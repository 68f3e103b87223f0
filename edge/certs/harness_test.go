package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"landfall/edge/durable"
)

// signer is an authority of a test, with the folder its files lie in.
type signer struct {
	t      *testing.T
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
	writes int
}

// birth is when the certificates of these tests become valid.
var birth = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const life = 365 * 24 * time.Hour

// newSigner makes an authority and writes its certificate as ca.pem.
func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	s := &signer{t: t, dir: t.TempDir(), key: newKey(t)}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	s.cert = s.make(c, &s.key.PublicKey, nil)
	s.write("ca.pem", "CERTIFICATE", s.cert.Raw)
	return s
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// make signs a certificate; by itself when it is nobody's.
func (s *signer) make(c *x509.Certificate, key *ecdsa.PublicKey, by *x509.Certificate) *x509.Certificate {
	s.t.Helper()
	if s.serial++; c.SerialNumber == nil {
		c.SerialNumber = big.NewInt(s.serial)
	}
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = birth, birth.Add(life)
	}
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

// leaf signs a certificate for a name and use, and writes it as NAME.pem and
// NAME.key.
func (s *signer) leaf(name string, use x509.ExtKeyUsage, change ...func(*x509.Certificate)) *x509.Certificate {
	s.t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}}
	for _, f := range change {
		f(c)
	}
	key := newKey(s.t)
	made := s.make(c, &key.PublicKey, s.cert)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".pem", "CERTIFICATE", made.Raw)
	s.write(name+".key", "PRIVATE KEY", secret)
	return made
}

// revoke writes a list of revoked certificates as crl.pem.
func (s *signer) revoke(all ...*x509.Certificate) {
	s.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: birth, NextUpdate: birth.Add(life)}
	for _, c := range all {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: birth.Add(time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.cert, s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("crl.pem", "X509 CRL", der)
}

func (s *signer) file(name string) string { return filepath.Join(s.dir, name) }

func (s *signer) write(name, kind string, der []byte) {
	s.t.Helper()
	s.put(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// put writes a file with a time of its own, as files that are written at
// another moment have.
func (s *signer) put(name string, data []byte) {
	s.t.Helper()
	s.writes++
	at := birth.Add(time.Duration(s.writes) * time.Second)
	if err := os.WriteFile(s.file(name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chtimes(s.file(name), at, at); err != nil {
		s.t.Fatal(err)
	}
}

// config names the files of a name, judged in the middle of their life.
func (s *signer) config(name string) Config {
	c := Config{FS: durable.OS{}, CAFile: s.file("ca.pem"), Prefix: "tls.", Now: func() time.Time { return birth.Add(life / 2) }}
	if name != "" {
		c.CertFile, c.KeyFile = s.file(name+".pem"), s.file(name+".key")
	}
	return c
}

func open(t *testing.T, c Config) *Keeper {
	t.Helper()
	k, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shake has two ends greet each other over TLS on loopback, and gives the
// chain that the client has shown and the errors of both.
func shake(t *testing.T, client, server *tls.Config) (shown []*x509.Certificate, clientErr, serverErr error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	ended := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			end := conn.(*tls.Conn)
			err, shown = end.Handshake(), end.ConnectionState().PeerCertificates
			_ = conn.Close()
		}
		ended <- err
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	clientErr = tls.Client(conn, client).Handshake()
	_ = conn.Close()
	serverErr = <-ended
	return shown, clientErr, serverErr
}

// logbook collects what is logged.
func logbook() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}
