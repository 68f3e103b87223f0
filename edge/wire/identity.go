package wire

import (
	"crypto/x509"
	"slices"
)

// CertificateNames reports whether a certificate was issued to a gateway: the
// gateway's name is its common name or one of its DNS names. Whether the
// certificate is to be trusted is another question.
func CertificateNames(leaf *x509.Certificate, gateway string) bool {
	return leaf.Subject.CommonName == gateway || slices.Contains(leaf.DNSNames, gateway)
}
