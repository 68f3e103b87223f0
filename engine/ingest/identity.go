package ingest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"landfall/edge/certs"
	"landfall/edge/wire"
)

// check says whether the request comes from the gateway it names; proved: it was not
// only believed. Error: a certs.Refusal.
func (id Identity) check(r *http.Request, gateway string) (proved bool, err error) {
	if chain, ok := id.chain(r); ok {
		return true, id.certificateNames(chain, gateway)
	}
	if id.TrustedHeader != "" && id.trusts(r.RemoteAddr) {
		// A proxy that adds its own beside the client's would have the client choose.
		if got := r.Header.Values(id.TrustedHeader); len(got) > 1 {
			return false, &certs.Refusal{Reason: certs.WrongName, Err: fmt.Errorf("header %s stands %d times: the proxy has to "+
				"replace what the client sends", id.TrustedHeader, len(got))}
		}
		if got := r.Header.Get(id.TrustedHeader); got != gateway {
			return false, &certs.Refusal{Reason: certs.WrongName, Err: fmt.Errorf("header %s says %s", id.TrustedHeader, wire.Cut(got))}
		}
		return true, nil
	}
	if id.AllowUnauthenticated {
		return false, wire.CheckGateway(gateway)
	}
	return false, &certs.Refusal{Reason: certs.Unauthenticated, Err: fmt.Errorf("nothing proves that this is %q", gateway)}
}

// chain gives the certificates that the client has shown, where they count.
func (id Identity) chain(r *http.Request) ([]*x509.Certificate, bool) {
	switch {
	case !id.ClientCertificate || r.TLS == nil:
		return nil, false
	case id.VerifyClient != nil:
		return r.TLS.PeerCertificates, len(r.TLS.PeerCertificates) > 0
	case len(r.TLS.VerifiedChains) > 0:
		return r.TLS.VerifiedChains[0], true
	}
	return nil, false
}

func (id Identity) certificateNames(chain []*x509.Certificate, gateway string) error {
	if id.VerifyClient != nil {
		if err := id.VerifyClient(chain); err != nil {
			return err
		}
	}
	leaf := chain[0]
	if wire.CertificateNames(leaf, gateway) {
		return nil
	}
	return &certs.Refusal{Reason: certs.WrongName, Err: fmt.Errorf("the certificate is of %s", wire.Cut(leaf.Subject.CommonName))}
}

// reasonOf gives the reason of a refused identity, for counters.
func reasonOf(err error) certs.Reason {
	var r *certs.Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return certs.Unusable
}

func (id Identity) trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, p := range id.TrustedProxies {
		if p.Contains(at.Addr().Unmap()) {
			return true
		}
	}
	return false
}
