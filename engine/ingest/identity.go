package ingest

import (
	"fmt"
	"net/http"
	"net/netip"

	"landfall/edge/wire"
)

// check says whether the request comes from the gateway it names.
func (id Identity) check(r *http.Request, gateway string) error {
	if id.ClientCertificate && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return certificateNames(r, gateway)
	}
	if id.TrustedHeader != "" && id.trusts(r.RemoteAddr) {
		if got := r.Header.Get(id.TrustedHeader); got != gateway {
			return fmt.Errorf("header %s says %q", id.TrustedHeader, got)
		}
		return nil
	}
	if id.AllowUnauthenticated {
		return wire.CheckGateway(gateway)
	}
	return fmt.Errorf("nothing proves that this is %q", gateway)
}

func certificateNames(r *http.Request, gateway string) error {
	leaf := r.TLS.VerifiedChains[0][0]
	if leaf.Subject.CommonName == gateway {
		return nil
	}
	for _, name := range leaf.DNSNames {
		if name == gateway {
			return nil
		}
	}
	return fmt.Errorf("the certificate is of %q", leaf.Subject.CommonName)
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
