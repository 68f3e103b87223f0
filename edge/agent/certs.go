package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable"
)

// CertsStatus is how the certificates of one link stand.
type CertsStatus struct {
	Subject    string `json:"subject"`           // of the gateway's own; empty: none
	NotAfter   string `json:"not_after"`         // it expires
	CANotAfter string `json:"ca_not_after"`      // the first of ca_file expires
	JudgedAt   string `json:"judged_at"`         // the time certificates are judged by
	Problem    string `json:"problem,omitempty"` // why new files are not used
}

// brokerCerts are the certificates of the link to one source's broker.
type brokerCerts struct {
	source string
	keeper *certs.Keeper
}

// expiresSoon is how long before its end a certificate is complained of.
const expiresSoon = 14 * 24 * time.Hour

// config gives the form of edge/certs.
func (f *ForwardConfig) certs(fsys durable.FS) certs.Config {
	return certs.Config{FS: fsys, CAFile: f.CAFile, CertFile: f.CertFile, KeyFile: f.KeyFile, Prefix: "forward."}
}

// Check reads the files of certificates, names and passwords that c names.
// Errors: config.FieldErrors, joined.
func (c *Config) Check(fsys durable.FS) error {
	_, err := certs.Open(c.Forward.certs(fsys))
	_, errProxy := c.ProxyTo(fsys, slog.New(slog.DiscardHandler))
	all := []error{err, errProxy}
	for i := range c.Sources {
		s, key := &c.Sources[i], fmt.Sprintf("sources[%d].%s.broker", i, c.Sources[i].Kind())
		if s.Acked != nil {
			_, err := s.Acked.token(making{fs: fsys}, fmt.Sprintf("sources[%d].acked", i))
			all = append(all, err)
		}
		b := s.broker()
		if b == nil {
			continue
		}
		_, _, err := b.broker(making{fs: fsys}, c.Gateway, s.Name, key)
		all = append(all, err)
	}
	return errors.Join(all...)
}

// host is the cloud's name or address.
func (f *ForwardConfig) host() string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return "" // Validate refused it
	}
	return u.Hostname()
}

// judges gives the clock that judges certificates.
func (a *Agent) judges() func() time.Time {
	if a.opt.CertTime != nil {
		return a.opt.CertTime
	}
	return a.certificateTime
}

// weakly tells whether that clock rests on strangers alone.
func (a *Agent) weakly() func() bool {
	if a.opt.CertTime != nil {
		return nil
	}
	return a.certificateTimeWeak
}

// openCerts reads the certificates and gives the configuration of TLS; nil
// where the link is plain HTTP.
func (a *Agent) openCerts() (*tls.Config, error) {
	if !strings.HasPrefix(a.cfg.Forward.URL, "https:") {
		return nil, nil
	}
	c := a.cfg.Forward.certs(a.opt.FS)
	c.Now, c.Weak, c.Floor, c.Logger = a.judges(), a.weakly(), a.opt.CertFloor, a.opt.Logger
	var err error
	if a.certs, err = certs.Open(c); err != nil {
		return nil, err
	}
	return a.certs.Client(a.cfg.Forward.ServerName, a.cfg.Forward.host()), nil
}

// Refresh reads the certificates anew, and has the link tried and logs that are red
// asked about at once. After an error the old certificates stay, and
// Status says so. What it gives is used from the next connection on.
func (a *Agent) Refresh() error {
	if a.session != nil {
		defer a.session.LookAgain()
	}
	var all []error
	if a.certs != nil {
		all = append(all, a.certs.Refresh())
	}
	for _, b := range a.brokers {
		all = append(all, b.keeper.Refresh())
	}
	return errors.Join(all...)
}

// certified puts the certificates of every link into s.
func (a *Agent) certified(s *Status) {
	if a.certs != nil {
		s.Certs = s.judged(a.certs, "", "the gateway's certificate", "the certificate in forward.ca_file")
	}
	for _, b := range a.brokers {
		of := "source " + b.source + ": "
		for i := range s.Sources {
			if s.Sources[i].Name == b.source {
				s.Sources[i].Certs = s.judged(b.keeper, of, "the gateway's certificate for its broker", "the certificate in its ca_file")
			}
		}
	}
}

// judged gives how certificates stand, and complains of what is wrong.
func (s *Status) judged(k *certs.Keeper, of, own, signer string) *CertsStatus {
	st, now := k.Status(), k.Time()
	if st.Problem != "" {
		s.red("%snew certificates are not used: %s", of, st.Problem)
	}
	for _, c := range []struct {
		what string
		end  time.Time
	}{{own, st.NotAfter}, {signer, st.CANotAfter}} {
		if !c.end.IsZero() && c.end.Sub(now) < expiresSoon {
			s.red("%s%s expires on %s: renew it and put the new one in its place; it is taken up by itself", of, c.what, moment(c.end))
		}
	}
	return &CertsStatus{Subject: st.Subject, NotAfter: moment(st.NotAfter), CANotAfter: moment(st.CANotAfter), JudgedAt: moment(now), Problem: st.Problem}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
