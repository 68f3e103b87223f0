package agent

import (
	"log/slog"
	"net/url"
	"strings"
	"time"

	"landfall/edge/care"
	"landfall/edge/certs"
	"landfall/edge/durable"
	"landfall/edge/source"
)

// making is what a source is made with, beside its configuration.
type making struct {
	fs     durable.FS
	clock  source.Clock
	logger *slog.Logger
	// now and floor judge certificates, as in Options; nil and zero: the
	// machine's clock alone.
	now   func() time.Time
	weak  func() bool // now rests on strangers alone; nil: never
	floor time.Time
	care  *care.Care // nil refuses nothing
}

// secured is a source whose peer shows a certificate.
type secured struct {
	part
	certs *certs.Keeper
}

// secure says whether the link to the broker is TLS.
func (b *BrokerConfig) secure() bool {
	return strings.HasPrefix(b.URL, "mqtts:") || strings.HasPrefix(b.URL, "wss:")
}

// certs gives the form of edge/certs; key is the broker's in the file.
func (b *BrokerConfig) certs(fsys durable.FS, key string) certs.Config {
	return certs.Config{FS: fsys, CAFile: b.CAFile, CertFile: b.CertFile, KeyFile: b.KeyFile, Prefix: key + "."}
}

// openCerts reads the broker's certificates and gives who keeps them; nil where
// the link is plain. Errors: config.FieldErrors under key.
func (b *BrokerConfig) openCerts(with making, key string) (*certs.Keeper, error) {
	if !b.secure() {
		return nil, nil
	}
	c := b.certs(with.fs, key)
	c.Now, c.Weak, c.Floor, c.Logger = with.now, with.weak, with.floor, with.logger
	return certs.Open(c)
}

// host is the broker's name or address.
func (b *BrokerConfig) host() string {
	u, err := url.Parse(b.URL)
	if err != nil {
		return "" // Validate refused it
	}
	return u.Hostname()
}
