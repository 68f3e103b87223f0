package ingest_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"testing"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// TestWhichNameOfACertificateCounts: the common name or any DNS name, as it stands
// there, and nothing else of it.
func TestWhichNameOfACertificateCounts(t *testing.T) {
	h := newIngest(t, ingest.Config{Log: landingtest.NewMemory("mem", 1), Identity: ingest.Identity{ClientCertificate: true}})
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ada", Organization: []string{"grace"}}, DNSNames: []string{"pier", "mast"},
		EmailAddresses: []string{"mail"}, Issuer: pkix.Name{CommonName: "issuer"},
	}
	for name, want := range map[string]int{
		"ada": http.StatusOK, "pier": http.StatusOK, "mast": http.StatusOK,
		"grace": http.StatusForbidden, "mail": http.StatusForbidden, "issuer": http.StatusForbidden, "Ada": http.StatusForbidden, "pie": http.StatusForbidden,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, wire.Path, http.NoBody)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
		wire.RequestHeader{Gateway: name, Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(r.Header, false)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
