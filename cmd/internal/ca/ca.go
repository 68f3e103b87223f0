// Package ca is a small private certificate authority for one fleet: it signs
// the certificates of gateways and engines, and says which are revoked.
//
// In:  a directory; names.
// Out: PEM files in it: ca.pem and ca.key, NAME.pem and NAME.key, crl.pem; and
// index.json, which lists what was signed.
//
// Invariants
//
//  1. A certificate is in the index before its files are there, so that
//     nothing is valid that cannot be revoked.
//  2. Keys are readable by their owner only. A renewal makes a new key and then
//     a new certificate; each file is replaced whole, by a rename.
//  3. One process at a time reads and changes the directory.
//
// ECDSA P-256 throughout. An Authority belongs to one goroutine.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"landfall/edge/durable"
)

// The lives of certificates where nobody says otherwise.
const (
	AuthorityLife = 20 * 365 * 24 * time.Hour
	LeafLife      = 2 * 365 * 24 * time.Hour
)

// Role says what a certificate is for.
type Role string

// The roles.
const (
	Gateway Role = "gateway" // proves a gateway's name to the engine
	Engine  Role = "engine"  // proves an engine's host names to gateways
)

// Signed is one certificate that was signed.
type Signed struct {
	Serial    string    `json:"serial"` // hexadecimal
	Name      string    `json:"name"`
	Role      Role      `json:"role"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Authority is an authority in a directory.
type Authority struct {
	fs   durable.FS
	dir  string
	now  func() time.Time
	lock io.Closer
	cert *x509.Certificate
	key  crypto.Signer
	list []Signed
}

// ErrExists says that an authority is there already.
var ErrExists = errors.New("there is an authority already")

// Init makes an authority in dir, which is made if absent. Error: ErrExists.
func Init(fsys durable.FS, dir, name string, life time.Duration, now func() time.Time) error {
	if err := durable.MkdirAllSync(fsys, dir); err != nil {
		return err
	}
	lock, err := fsys.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if _, err := fsys.Stat(filepath.Join(dir, "ca.key")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make an authority in %s: %w", dir, errors.Join(err, ErrExists))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a := &Authority{fs: fsys, dir: dir, now: now, key: key}
	t, err := a.template(name, life)
	if err != nil {
		return err
	}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	if err := a.write("ca", der, key); err != nil {
		return err
	}
	return errors.Join(a.save(), a.writeRevoked())
}

// Open opens the authority in dir. A crl.pem that lacks what the index says is
// revoked, because whoever revoked it was ended before it was written, is written
// first. Errors: fs.ErrNotExist, durable.ErrLocked.
func Open(fsys durable.FS, dir string, now func() time.Time) (*Authority, error) {
	if _, err := fsys.Stat(filepath.Join(dir, "ca.pem")); err != nil { // or a lock would be made in any directory
		return nil, fmt.Errorf("open authority: %w", err)
	}
	lock, err := fsys.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	a := &Authority{fs: fsys, dir: dir, now: now, lock: lock}
	err = a.read()
	if err == nil {
		err = a.completeRevoked()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open authority %s: %w", dir, err), lock.Close())
	}
	return a, nil
}

// read reads the files. It is called under the lock: an index that was read
// before would undo what another process signed or revoked meanwhile.
func (a *Authority) read() error {
	var files [3][]byte
	for i, name := range []string{"ca.pem", "ca.key", "index.json"} {
		var err error
		if files[i], err = durable.ReadFile(a.fs, filepath.Join(a.dir, name)); err != nil {
			return err
		}
	}
	return a.parse(files[0], files[1], files[2])
}

func (a *Authority) parse(certPEM, keyPEM, index []byte) error {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return errors.New("ca.pem is no PEM file")
	}
	var err error
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return err
	}
	if block, _ = pem.Decode(keyPEM); block == nil {
		return errors.New("ca.key is no PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("ca.key is a %T", key)
	}
	a.key = signer
	return json.Unmarshal(index, &a.list)
}

// Close lets go of the directory.
func (a *Authority) Close() error { return a.lock.Close() }

// List gives what was signed, oldest first.
func (a *Authority) List() []Signed { return a.list }

// template begins a certificate. It is valid from an hour ago, for clocks that
// are a little behind.
func (a *Authority) template(name string, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := a.now().UTC().Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
	}, nil
}

// Sign signs a certificate for name and writes it and a new key as NAME.pem and
// NAME.key. An engine's names are all the hosts under which gateways reach it,
// the first being its file's.
func (a *Authority) Sign(role Role, life time.Duration, names ...string) (Signed, error) {
	t, err := a.template(names[0], life)
	if err != nil {
		return Signed{}, err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if role == Engine {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, n := range names {
			if ip := net.ParseIP(n); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, n)
			}
		}
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Signed{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return Signed{}, err
	}
	s := Signed{Serial: t.SerialNumber.Text(16), Name: names[0], Role: role, NotBefore: t.NotBefore, NotAfter: t.NotAfter}
	a.list = append(a.list, s)
	if err := a.save(); err != nil {
		return Signed{}, err
	}
	return s, a.write(names[0], der, key)
}

// completeRevoked writes crl.pem when it is not there, cannot be read, or lacks a
// certificate that the index says is revoked.
func (a *Authority) completeRevoked() error {
	data, err := durable.ReadFile(a.fs, filepath.Join(a.dir, "crl.pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := map[string]bool{}
	whole := false
	if block, _ := pem.Decode(data); block != nil {
		if list, err := x509.ParseRevocationList(block.Bytes); err == nil && list.CheckSignatureFrom(a.cert) == nil {
			whole = true
			for _, e := range list.RevokedCertificateEntries {
				there[e.SerialNumber.Text(16)] = true
			}
		}
	}
	for _, s := range a.list {
		whole = whole && (s.RevokedAt.IsZero() || there[s.Serial])
	}
	if whole {
		return nil
	}
	return a.writeRevoked()
}

// Revoke revokes every certificate of a name that is still valid, or the one
// with a serial number, and writes crl.pem. Steps, and what a crash after each one
// leaves:
//
//  1. write the index: what it says is revoked is not in crl.pem yet and still
//     accepted; the next Open, of whatever command, writes it there.
//  2. write crl.pem: it is revoked.
//
// Error: fs.ErrNotExist when there is no such certificate.
func (a *Authority) Revoke(nameOrSerial string) ([]Signed, error) {
	var done []Signed
	for i := range a.list {
		s := &a.list[i]
		if (s.Name == nameOrSerial || s.Serial == nameOrSerial) && s.RevokedAt.IsZero() && s.NotAfter.After(a.now()) {
			s.RevokedAt = a.now().UTC().Truncate(time.Second)
			done = append(done, *s)
		}
	}
	if len(done) == 0 {
		return nil, fmt.Errorf("revoke %s: no valid certificate of that name or serial number: %w", nameOrSerial, fs.ErrNotExist)
	}
	if err := a.save(); err != nil {
		return nil, err
	}
	return done, a.writeRevoked()
}

// save writes the index.
func (a *Authority) save() error {
	if a.list == nil {
		a.list = []Signed{}
	}
	text, err := json.MarshalIndent(a.list, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFileAtomic(a.fs, filepath.Join(a.dir, "index.json"), append(text, '\n'))
}

// writeRevoked writes crl.pem. It is valid as long as the authority: a list
// that ran out would stop a fleet over a file that nobody renewed.
func (a *Authority) writeRevoked() error {
	t := &x509.RevocationList{Number: big.NewInt(a.now().UnixNano()), ThisUpdate: a.now().UTC(), NextUpdate: a.cert.NotAfter}
	for _, s := range a.list {
		serial, ok := new(big.Int).SetString(s.Serial, 16)
		if !ok {
			return fmt.Errorf("index.json: serial %q is no number", s.Serial)
		}
		if !s.RevokedAt.IsZero() {
			t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: s.RevokedAt})
		}
	}
	der, err := x509.CreateRevocationList(rand.Reader, t, a.cert, a.key)
	if err != nil {
		return err
	}
	return durable.WriteFileAtomic(a.fs, filepath.Join(a.dir, "crl.pem"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// write writes a certificate and its key.
func (a *Authority) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := durable.WriteSecret(a.fs, filepath.Join(a.dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	return durable.WriteFileAtomic(a.fs, filepath.Join(a.dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
