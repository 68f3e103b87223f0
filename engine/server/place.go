package server

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"landfall/edge/config"
)

// Checkpoints is where they lie when nobody says otherwise.
func Checkpoints(lake string) string {
	if IsBucket(lake) {
		return strings.TrimSuffix(lake, "/") + "/_checkpoint"
	}
	return filepath.Join(lake, "_checkpoint")
}

// IsBucket tells a place in a bucket from a directory.
func IsBucket(dir string) bool { return strings.HasPrefix(dir, "s3://") }

// bucket is the form of a place in a bucket: names as S3 allows them, prefixes
// of what a lake's names are made of.
var bucket = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[A-Za-z0-9_=+:-][A-Za-z0-9._=+:-]*)*/?$`)

// isPlace tells whether dir names a place for tables or checkpoints.
func isPlace(dir string) bool {
	if IsBucket(dir) {
		return bucket.MatchString(dir)
	}
	return filepath.IsAbs(dir)
}

func (c *S3Config) validate(p *config.Problems, used bool) {
	u, err := url.Parse(c.Endpoint)
	p.Add(c.Endpoint == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.User == nil,
		"lake.s3.endpoint", strconv.Quote(c.Endpoint), "http://host:port or https://host:port")
	p.Add(used || c.Endpoint == "", "lake.s3.endpoint", strconv.Quote(c.Endpoint), "nothing, because neither lake nor checkpoints lie in a bucket")
	p.Add(used || c.CredentialsFile == "", "lake.s3.credentials_file", strconv.Quote(c.CredentialsFile), "nothing, because neither lake nor checkpoints lie in a bucket")
	p.Add(c.CredentialsFile == "" || filepath.IsAbs(c.CredentialsFile) || config.IsCredential(c.CredentialsFile), "lake.s3.credentials_file",
		strconv.Quote(c.CredentialsFile), "an absolute path, or credential:NAME")
	p.Add(c.Outage >= 24*time.Hour, "lake.s3.outage", c.Outage.String(), "a time of 24h or more")
	p.Add(c.RequestTimeout >= time.Second, "lake.s3.request_timeout", c.RequestTimeout.String(), "a time of 1s or more")
}
