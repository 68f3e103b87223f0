package agent

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"landfall/edge/config"
	"landfall/edge/source"
)

// Exact tells whether every sender that is taken from is known by more than its name
// and numbers: those of version 1 of the protocol are not.
func (a *AckedConfig) Exact() bool { return a.MinVersion == 2 || a.TokenFile != "" }

func (a *AckedConfig) validate(p *config.Problems, key string) {
	p.Add(a.MinVersion >= 0 && a.MinVersion <= 2, key+".min_version", strconv.Itoa(a.MinVersion), "1 (the default) or 2")
	most, where := source.MaxSenders, ""
	if a.Exact() {
		most, where = source.MaxEpochSenders, ", as only version 2 of the protocol is taken"
	}
	p.Add(a.MaxSenders >= 0 && a.MaxSenders <= most, key+".max_senders", strconv.Itoa(a.MaxSenders),
		fmt.Sprintf("a number from 0 (the default) to %d%s", most, where))
	for i, text := range a.Allow {
		_, err := parsePrefix(text)
		p.Add(err == nil, fmt.Sprintf("%s.allow[%d]", key, i), strconv.Quote(text), "an address, or a prefix like 192.168.1.0/24")
	}
}

// parsePrefix reads an address or a prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		at, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return at.Unmap().Prefix(at.Unmap().BitLen())
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

// newAcked makes the source. Error: config.FieldError under key.
func (a *AckedConfig) newAcked(o source.Options, with making, key string) (part, error) {
	c := source.AckedConfig{
		Options: o, Listen: a.Listen, MaxClients: a.MaxClients, PerHost: a.MaxClientsPerHost, IdleTimeout: a.IdleTimeout,
		MaxSenders: a.MaxSenders, MinVersion: a.MinVersion,
	}
	for i, text := range a.Allow {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, &config.FieldError{Key: fmt.Sprintf("%s.allow[%d]", key, i), Got: strconv.Quote(text), Want: "an address or a prefix"}
		}
		c.Allow = append(c.Allow, prefix)
	}
	token, err := a.token(with, key)
	if err != nil {
		return nil, err
	}
	c.Token = token
	return source.NewAcked(c)
}

// token reads the file of the token, and returns what reads it again for each
// connection; nil: there is none. Error: config.FieldError under key.
func (a *AckedConfig) token(with making, key string) (func() string, error) {
	if a.TokenFile == "" {
		return nil, nil
	}
	l := &config.Login{FS: with.fs, Logger: with.logger, PasswordKey: key + ".token_file", PasswordFile: a.TokenFile}
	if err := l.Read(); err != nil {
		return nil, err
	}
	newest := func() string { _, token := l.Newest(); return token }
	if strings.ContainsFunc(newest(), func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, &config.FieldError{Key: key + ".token_file", Got: a.TokenFile + " with spaces or control characters in its first line", Want: "one word there"}
	}
	return newest, nil
}
