package certs

import "landfall/edge/page"

// Metrics gives the status as metrics of a daemon. Labels say of which link
// they are, as in page.Metrics; the link to the cloud has none.
func (s Status) Metrics(m *page.Metrics, labels ...string) {
	if !s.NotAfter.IsZero() {
		m.Gauge("certificate_expiry_timestamp_seconds", "When the own certificate expires.", float64(s.NotAfter.Unix()), labels...)
	}
	if !s.CANotAfter.IsZero() {
		m.Gauge("ca_expiry_timestamp_seconds", "When the first of the trusted signers expires.", float64(s.CANotAfter.Unix()), labels...)
	}
	m.Flag("certificate_reload_failed", "1 while new certificate files cannot be used and the old ones are.", s.Problem != "", labels...)
}
