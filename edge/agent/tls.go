package agent

import (
	"crypto/tls"
	"crypto/x509"

	"landfall/edge/config"
	"landfall/edge/durable"
)

// tlsFiles are the TLS files of one peer, with the key under which they stand.
type tlsFiles struct {
	key, ca, cert, private, server string
}

// config reads the files; nil without any. Errors: config.FieldError.
func (t tlsFiles) config(fsys durable.FS) (*tls.Config, error) {
	if t.ca == "" && t.cert == "" && t.server == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.server}
	if t.ca != "" {
		pem, err := config.ReadFiles(fsys, t.ca)
		if err != nil {
			return nil, &config.FieldError{Key: t.key + ".ca_file", Got: err.Error(), Want: "a PEM file"}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem[0]) {
			return nil, &config.FieldError{Key: t.key + ".ca_file", Got: t.ca, Want: "a PEM file with a certificate"}
		}
	}
	if t.cert != "" {
		var cert tls.Certificate
		pem, err := config.ReadFiles(fsys, t.cert, t.private)
		if err == nil {
			cert, err = tls.X509KeyPair(pem[0], pem[1])
		}
		if err != nil {
			return nil, &config.FieldError{Key: t.key + ".cert_file", Got: err.Error(), Want: "a PEM certificate, and its key in key_file"}
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
