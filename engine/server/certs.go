package server

import (
	"crypto/tls"
	"errors"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable"
)

// CertsStatus is how the ingest's certificates stand.
type CertsStatus struct {
	Subject    string `json:"subject"`           // of the engine's own
	NotAfter   string `json:"not_after"`         // it expires
	CANotAfter string `json:"ca_not_after"`      // the first of client_ca_file expires
	Problem    string `json:"problem,omitempty"` // why new files are not used
	notAfter   time.Time
}

// expiresSoon is how long before its end a certificate is complained of.
const expiresSoon = 14 * 24 * time.Hour

// Open reads the files that t names; nil without any. Errors:
// config.FieldErrors.
func (t *TLSConfig) Open(fsys durable.FS, o certs.Config) (*certs.Keeper, error) {
	if t.CertFile == "" {
		return nil, nil
	}
	o.FS, o.CAFile, o.CertFile, o.KeyFile, o.CRLFile, o.Prefix, o.CAKey = fsys, t.ClientCAFile, t.CertFile, t.KeyFile, t.CRLFile, "tls.", "client_ca_file"
	return certs.Open(o)
}

// openCerts reads the certificates of the ingest.
func (s *Server) openCerts() error {
	var err error
	s.certs, err = s.cfg.TLS.Open(s.opt.FS, certs.Config{Floor: s.opt.CertFloor, Logger: s.opt.Logger})
	return err
}

// tls gives the configuration of the ingest's listener; nil: plain HTTP.
func (s *Server) tls() *tls.Config {
	if s.certs == nil {
		return nil
	}
	return s.certs.Server()
}

// Link is a connection that the engine makes with certificates.
type Link struct {
	Name  string // the key of the configuration, like landing.kafka
	Certs *certs.Keeper
}

// Refresh reads the certificates anew, of the ingest and of every link. After an
// error the old ones stay, and Status says so. What it gives is used from the
// next connection on.
func (s *Server) Refresh() error {
	var all []error
	if s.certs != nil {
		all = append(all, s.certs.Refresh())
	}
	for _, l := range s.links {
		all = append(all, l.Certs.Refresh())
	}
	return errors.Join(all...)
}

// certified puts the certificates into st.
func (s *Server) certified(st *Status) {
	for _, l := range s.links {
		st.judged(l.Certs, l.Name+": ", "the engine's certificate", "the certificate in its ca_file")
	}
	if s.certs == nil {
		return
	}
	c := st.judged(s.certs, "", "the engine's certificate", "the certificate in tls.client_ca_file")
	st.Certs = &CertsStatus{Subject: c.Subject, NotAfter: moment(c.NotAfter), CANotAfter: moment(c.CANotAfter), Problem: c.Problem, notAfter: c.NotAfter}
}

// judged gives how certificates stand, and complains of what is wrong.
func (st *Status) judged(k *certs.Keeper, of, own, signer string) certs.Status {
	c, now := k.Status(), k.Time()
	if c.Problem != "" {
		st.Reasons = append(st.Reasons, of+"new certificates are not used: "+c.Problem)
	}
	for _, end := range []struct {
		what string
		at   time.Time
	}{{own, c.NotAfter}, {signer, c.CANotAfter}} {
		if !end.at.IsZero() && end.at.Sub(now) < expiresSoon {
			st.Reasons = append(st.Reasons, of+end.what+" expires on "+moment(end.at)+": renew it and put the new one in its place; it is taken up by itself")
		}
	}
	return c
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
