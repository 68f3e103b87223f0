// Package certs holds the certificates of one end of the link and judges those
// of the other.
//
// In:  PEM files: an own certificate with its key, who signs the other end's,
// and a list of what was revoked; a clock.
// Out: TLS configurations that use the newest good files; a decision on a chain,
// with its reason; when the own certificate expires; the own certificate itself,
// for what is signed with it.
//
// Invariants
//
//  1. Files that have changed are read again, when a certificate is needed and at
//     most every ten seconds: so long a revocation may take to count. Files that
//     cannot be used change nothing: what was good before stays, and Status says
//     what is wrong.
//  2. Certificates are judged by the clock that was given, but never by a time
//     before the floor: the time this program was built, or the newest time at
//     which a certificate of our own, which somebody with a clock gave us,
//     became valid. So a gateway whose clock says 1970 still connects. What
//     strangers alone say of the time makes no certificate expire.
//  3. A key is never logged, printed or shown.
//
// A Keeper may be used from any goroutine.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"landfall/edge/durable"
)

// Config names the files. Empty names: none of that kind.
type Config struct {
	FS durable.FS // required
	// CAFile holds who signs the other end's certificates; without one the
	// system's roots do.
	CAFile string
	// Bundle says that CAFile may be a collection of public signers: one of them that
	// cannot be read is passed over, and when the first expires is not told.
	Bundle bool
	// CertFile and KeyFile are the own certificate with its chain, and its key.
	CertFile, KeyFile string
	// CRLFile holds lists of revoked certificates, each signed by one of CAFile.
	CRLFile string
	// Prefix stands before the keys of the configuration in errors, like "tls.".
	Prefix string
	// CAKey is the key under which CAFile stands, without the prefix.
	CAKey string

	// Now is the clock that judges; nil: time.Now.
	Now func() time.Time
	// Weak tells whether Now rests on strangers alone. Then a certificate that has
	// expired by it, and had not at the floor, is taken: strangers must not end the
	// link. Nil: it never does.
	Weak func() bool
	// Floor is a time that is surely past; zero: none known.
	Floor  time.Time
	Logger *slog.Logger // nil: silence
}

// lookEvery bounds how often the files are looked at.
const lookEvery = 10 * time.Second

// held is one good reading of the files; it is never changed.
type held struct {
	own     *tls.Certificate // nil: none
	leaf    *x509.Certificate
	roots   *x509.CertPool // nil: the system's
	signers []*x509.Certificate
	revoked []*x509.RevocationList
	stamps  []stamp
}

// stamp tells whether a file has changed.
type stamp struct {
	name  string
	size  int64
	mtime time.Time
}

// Status is how the certificates stand.
type Status struct {
	Subject  string    // of the own certificate; empty: none
	NotAfter time.Time // it expires; zero: there is none
	// CANotAfter is when the first of CAFile expires; zero: there is none.
	CANotAfter time.Time
	Problem    string // why the newest files are not used
}
