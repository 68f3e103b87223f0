package agent

import (
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"landfall/edge/config"
	"landfall/edge/durable"
)

// direct is the Proxy of a ForwardConfig that wants none, whatever the
// environment says.
const direct = "direct"

func (f *ForwardConfig) validateProxy(p *config.Problems) {
	u, err := url.Parse(f.Proxy)
	good := f.Proxy == "" || f.Proxy == direct || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
	p.Add(good, "forward.proxy", strconv.Quote(f.Proxy), "a URL like http://proxy:3128 without user and password, direct, or nothing")
	p.Add(f.ProxyUsernameFile == "" || f.Proxy != direct, "forward.proxy_username_file", strconv.Quote(f.ProxyUsernameFile), "nothing, because there is no proxy")
	p.Add(f.ProxyPasswordFile == "" || f.ProxyUsernameFile != "", "forward.proxy_password_file", strconv.Quote(f.ProxyPasswordFile), "proxy_username_file beside it")
}

// ProxyTo gives the proxy on the way to the cloud, as http.Transport takes it;
// nil: none. Its name and password are read for each request from the files that
// c names; one that the environment names must do without (config.ProxySecret).
// Errors: config.FieldErrors.
func (c *Config) ProxyTo(fsys durable.FS, logger *slog.Logger) (func(*http.Request) (*url.URL, error), error) {
	f := &c.Forward
	if f.Proxy == direct {
		return nil, nil
	}
	next := http.ProxyFromEnvironment
	if f.Proxy != "" {
		u, err := url.Parse(f.Proxy)
		if err != nil {
			return nil, &config.FieldError{Key: "forward.proxy", Got: err.Error(), Want: "a URL"}
		}
		next = http.ProxyURL(u)
	} else if name := config.ProxySecret(); name != "" {
		return nil, &config.FieldError{Key: "forward.proxy", Got: name + " with a user in the environment",
			Want: "the URL without it, and forward.proxy_username_file and forward.proxy_password_file: secrets are read from files only"}
	}
	if f.ProxyUsernameFile == "" {
		return next, nil
	}
	l := &config.Login{
		FS: fsys, Logger: logger, NameKey: "forward.proxy_username_file", NameFile: f.ProxyUsernameFile,
		PasswordKey: "forward.proxy_password_file", PasswordFile: f.ProxyPasswordFile,
	}
	if err := l.Read(); err != nil {
		return nil, err
	}
	return func(r *http.Request) (*url.URL, error) {
		u, err := next(r)
		if err != nil || u == nil {
			return nil, err
		}
		as := *u
		as.User = url.UserPassword(l.Newest())
		return &as, nil
	}, nil
}
