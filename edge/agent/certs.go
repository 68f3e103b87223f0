package agent

import (
	"crypto/tls"
	"strings"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable"
)

// CertsStatus is how the certificates of the link stand.
type CertsStatus struct {
	Subject    string `json:"subject"`           // of the gateway's own; empty: none
	NotAfter   string `json:"not_after"`         // it expires
	CANotAfter string `json:"ca_not_after"`      // the first of ca_file expires
	JudgedAt   string `json:"judged_at"`         // the time certificates are judged by
	Problem    string `json:"problem,omitempty"` // why new files are not used
	notAfter   time.Time
}

// expiresSoon is how long before its end a certificate is complained of.
const expiresSoon = 14 * 24 * time.Hour

// config gives the form of edge/certs.
func (f *ForwardConfig) certs(fsys durable.FS) certs.Config {
	return certs.Config{FS: fsys, CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile, Prefix: "forward."}
}

// Check reads the files that f names. Errors: config.FieldErrors.
func (f *ForwardConfig) Check(fsys durable.FS) error {
	_, err := certs.Open(f.certs(fsys))
	return err
}

// openCerts reads the certificates and gives the configuration of TLS; nil
// where the link is plain HTTP.
func (a *Agent) openCerts() (*tls.Config, error) {
	if !strings.HasPrefix(a.cfg.Forward.URL, "https:") {
		return nil, nil
	}
	c := a.cfg.Forward.certs(a.opt.FS)
	c.Now, c.Floor, c.Logger = a.opt.CertTime, a.opt.CertFloor, a.opt.Logger
	if c.Now == nil {
		c.Now = a.certificateTime
	}
	var err error
	if a.certs, err = certs.Open(c); err != nil {
		return nil, err
	}
	return a.certs.Client(a.cfg.Forward.ServerName), nil
}

// Refresh reads the certificates anew. After an error the old ones stay, and
// Status says so.
func (a *Agent) Refresh() error {
	if a.certs == nil {
		return nil
	}
	return a.certs.Refresh()
}

// certified puts the certificates into s; nil where the link has none.
func (a *Agent) certified(s *Status) {
	if a.certs == nil {
		return
	}
	st, now := a.certs.Status(), a.certs.Time()
	s.Certs = &CertsStatus{
		Subject: st.Subject, NotAfter: moment(st.NotAfter), CANotAfter: moment(st.CANotAfter), JudgedAt: moment(now),
		Problem: st.Problem, notAfter: st.NotAfter,
	}
	if st.Problem != "" {
		s.red("new certificates are not used: %s", st.Problem)
	}
	for _, c := range []struct {
		what string
		end  time.Time
	}{{"the gateway's certificate", st.NotAfter}, {"the certificate in forward.ca_file", st.CANotAfter}} {
		if !c.end.IsZero() && c.end.Sub(now) < expiresSoon {
			s.red("%s expires on %s: %s", c.what, moment(c.end), "renew it and put the new one in its place; it is taken up by itself")
		}
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
