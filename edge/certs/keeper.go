package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"landfall/edge/config"
)

// Keeper holds the certificates of one end.
type Keeper struct {
	cfg Config

	mu      sync.Mutex
	held    *held     // guarded by mu
	looked  time.Time // guarded by mu
	problem string    // guarded by mu
	floor   time.Time // guarded by mu
}

// Open reads the files. Errors: config.FieldErrors that name the key.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CAKey == "" {
		cfg.CAKey = "ca_file"
	}
	k := &Keeper{cfg: cfg, floor: cfg.Floor}
	h, err := k.read()
	if err != nil {
		return nil, err
	}
	k.take(h)
	k.looked = time.Now()
	return k, nil
}

// Refresh reads the files anew. After an error what was held stays.
func (k *Keeper) Refresh() error {
	h, err := k.read()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = time.Now()
	if err != nil {
		if k.problem == "" {
			k.cfg.Logger.Error("new certificates cannot be used; the old ones stay", "error", err)
		}
		k.problem = err.Error()
		return err
	}
	k.take(h)
	k.problem = ""
	return nil
}

// take makes a reading the one that is used. The caller holds mu, or nobody
// else knows k yet.
func (k *Keeper) take(h *held) {
	k.held = h
	if h.leaf != nil && h.leaf.NotBefore.After(k.floor) {
		k.floor = h.leaf.NotBefore
	}
}

// Look gives what is held, after reading files that have changed. It looks at
// them every few seconds.
func (k *Keeper) look() *held {
	k.mu.Lock()
	h, due := k.held, time.Since(k.looked) >= lookEvery
	if due {
		k.looked = time.Now()
	}
	k.mu.Unlock()
	if due && !slices.Equal(k.stamps(), h.stamps) {
		_ = k.Refresh() // Status says what is wrong
		k.mu.Lock()
		h = k.held
		k.mu.Unlock()
	}
	return h
}

// Own returns the own certificate with its key, which must not be changed; nil:
// there is none.
func (k *Keeper) Own() *tls.Certificate { return k.look().own }

// Time gives the time by which certificates are judged.
func (k *Keeper) Time() time.Time {
	now := k.cfg.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.floor) {
		return k.floor
	}
	return now
}

// least returns the floor; zero: none is known.
func (k *Keeper) least() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.floor
}

// Passed says that a time is surely past, because somebody who proved who he
// is said so.
func (k *Keeper) Passed(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.After(k.floor) {
		k.floor = t
	}
}

// Status tells how the certificates stand.
func (k *Keeper) Status() Status {
	h := k.look()
	k.mu.Lock()
	s := Status{Problem: k.problem}
	k.mu.Unlock()
	if h.leaf != nil {
		s.Subject, s.NotAfter = h.leaf.Subject.CommonName, h.leaf.NotAfter
	}
	if k.cfg.Bundle {
		return s
	}
	for _, c := range h.signers {
		if s.CANotAfter.IsZero() || c.NotAfter.Before(s.CANotAfter) {
			s.CANotAfter = c.NotAfter
		}
	}
	return s
}

func (k *Keeper) files() []string {
	var names []string
	for _, name := range []string{k.cfg.CAFile, k.cfg.CertFile, k.cfg.KeyFile, k.cfg.CRLFile} {
		if name != "" {
			names = append(names, config.Path(name))
		}
	}
	return names
}

// stamps tells of the files as they are now; one that is absent has none.
func (k *Keeper) stamps() []stamp {
	var all []stamp
	for _, name := range k.files() {
		if info, err := k.cfg.FS.Stat(name); err == nil {
			all = append(all, stamp{name, info.Size(), info.ModTime()})
		}
	}
	return all
}

func (k *Keeper) read() (*held, error) {
	h := &held{stamps: k.stamps()} // before the content: a change meanwhile is seen later
	if err := k.readSigners(h); err != nil {
		return nil, err
	}
	if err := k.readOwn(h); err != nil {
		return nil, err
	}
	return h, k.readRevoked(h)
}

func (k *Keeper) fail(key, got, want string) error {
	return &config.FieldError{Key: k.cfg.Prefix + key, Got: got, Want: want}
}

func (k *Keeper) readSigners(h *held) error {
	if k.cfg.CAFile == "" {
		return nil
	}
	data, err := config.ReadFiles(k.cfg.FS, k.cfg.CAFile)
	if err != nil {
		return k.fail(k.cfg.CAKey, err.Error(), "a PEM file")
	}
	if h.signers, err = parse(data[0], k.cfg.Bundle); err != nil {
		return k.fail(k.cfg.CAKey, fmt.Sprintf("%s: %v", k.cfg.CAFile, err), "a PEM file with a certificate")
	}
	h.roots = x509.NewCertPool()
	for _, c := range h.signers {
		h.roots.AddCert(c)
	}
	return nil
}

// parse gives the certificates of a PEM file, at least one; lenient: without those
// that cannot be read.
func parse(data []byte, lenient bool) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil && lenient {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return all, nil
}

func (k *Keeper) readOwn(h *held) error {
	if k.cfg.CertFile == "" {
		return nil
	}
	var own tls.Certificate
	data, err := config.ReadFiles(k.cfg.FS, k.cfg.CertFile, k.cfg.KeyFile)
	if err == nil {
		own, err = tls.X509KeyPair(data[0], data[1])
	}
	if err != nil {
		return k.fail("cert_file", err.Error(), "a PEM certificate, and its key in key_file")
	}
	h.own, h.leaf = &own, own.Leaf
	return nil
}

func (k *Keeper) readRevoked(h *held) error {
	if k.cfg.CRLFile == "" {
		return nil
	}
	data, err := config.ReadFiles(k.cfg.FS, k.cfg.CRLFile)
	if err != nil {
		return k.fail("crl_file", err.Error(), "a PEM file")
	}
	for block, rest := pem.Decode(data[0]); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err == nil && !slices.ContainsFunc(h.signers, func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }) {
			err = errors.New("nobody in " + k.cfg.CAFile + " signed it")
		}
		if err != nil {
			return k.fail("crl_file", fmt.Sprintf("%s: %v", k.cfg.CRLFile, err), "lists that are signed by who signs the certificates")
		}
		h.revoked = append(h.revoked, list)
	}
	if len(h.revoked) == 0 {
		return k.fail("crl_file", k.cfg.CRLFile+" without a list", "a PEM file with a revocation list")
	}
	return nil
}
