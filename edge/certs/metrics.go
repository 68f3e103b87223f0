package certs

import "landfall/edge/page"

// Metrics gives the status as metrics of a daemon.
func (s Status) Metrics(m *page.Metrics) {
	if !s.NotAfter.IsZero() {
		m.Gauge("certificate_expiry_timestamp_seconds", "When the own certificate expires.", float64(s.NotAfter.Unix()))
	}
	if !s.CANotAfter.IsZero() {
		m.Gauge("ca_expiry_timestamp_seconds", "When the first of the trusted signers expires.", float64(s.CANotAfter.Unix()))
	}
	m.Flag("certificate_reload_failed", "1 while new certificate files cannot be used and the old ones are.", s.Problem != "")
}
