package agent

import (
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"landfall/edge/certs"
	"landfall/edge/config"
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
	floor time.Time
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
	c.Now, c.Floor, c.Logger = with.now, with.floor, with.logger
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

// login is a name and a password from files that are read for each connection,
// so that a changed password is taken up without a restart.
type login struct {
	fs     durable.FS
	logger *slog.Logger
	// key is what comes before username_file and password_file in the keys of
	// the files.
	key                    string
	nameFile, passwordFile string // empty: none

	mu             sync.Mutex
	name, password string // guarded by mu; the last that could be read
}

// read reads the files. Errors: config.FieldErrors.
func (l *login) read() error {
	var got [2]string
	for i, f := range []struct{ key, file string }{{"username_file", l.nameFile}, {"password_file", l.passwordFile}} {
		if f.file == "" {
			continue
		}
		data, err := config.ReadFiles(l.fs, f.file)
		if err != nil {
			return &config.FieldError{Key: l.key + f.key, Got: err.Error(), Want: "a file that this user may read"}
		}
		line, _, _ := strings.Cut(string(data[0]), "\n")
		got[i] = strings.TrimSuffix(line, "\r")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.name, l.password = got[0], got[1]
	return nil
}

// credentials reads the files anew and gives what they hold; when they cannot
// be read, what they held before.
func (l *login) credentials() (name, password string) {
	if err := l.read(); err != nil {
		l.logger.Error("name and password cannot be read; the old ones are used", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.name, l.password
}
