// Package s3 keeps lake, state and manifests in a bucket: Store is a
// checkpoint.Store of whole objects, Lake the object.Files in which sinks stage
// and publish.
//
// In:  what engine/checkpoint and the sinks would give a local directory.
// Out: <prefix>/<name> for every object of a Store and every published file. A
// file that is staged is a multipart upload of its target which nobody has
// completed: no object, so no reader can see it. In manifests it is named
// "_staging/<task>/<upload id, base64url>/<target>", with the ETags of its parts.
//
// Invariants
//
//  1. Swap and Create are single PUTs with If-Match and If-None-Match; SelfTest
//     refuses a store that ignores either. A store answers success only when the
//     object is durable and every later read sees it; S3 does, and so there is
//     nothing for Settle to do.
//  2. A conditional write is made once, and again only where the store says that
//     it was not done, so a refused condition means what it says; but the answer
//     may be lost, and then any error is ambiguous, as checkpoint.Store says.
//     Reads, and what stages a file, are tried Config.Attempts times.
//  3. Publishing completes the upload with the parts of the manifest, on
//     condition that the target is absent, and whatever the answer reads the
//     target, whose metadata hold the file's SHA-256: only what is seen is
//     published. A store that was killed in a completion confirms the next.
//     The metadata say what was staged, not what is stored: Verify fetches the
//     object and hashes it. Between the two a reader may see bytes that the store
//     damaged after it confirmed the parts.
//  4. An upload is aborted only by Remove, whose caller has listed it before it
//     asked whether the claim is still its own; or when its target is there.
//     An upload that a newer claim began is not in a list made before that.
//  5. A bucket whose rules abort uploads sooner than Config.Outage, or expire or
//     archive checkpoints, is refused, and so is a store that fails SelfTest.
//     Rules that may not be read are a note (Notes), and ReadOnly asks for none.
//  6. A request that gets no answer within its time gives ErrNoAnswer, not
//     context.DeadlineExceeded, which would say that the caller's time is over.
//
// The client is minio-go. It gives each request as it is, conditions included,
// and does not follow the checksum trailers that newer S3 SDKs send by default
// and other stores refuse; a static program with one PUT grows by 1.8 MiB with
// it and by 3.9 MiB with aws-sdk-go-v2, the usual chain of credentials included.
//
// Every method may be called from many goroutines, a staged file's from one.
package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Scheme is how a location in a bucket begins.
const Scheme = "s3://"

// Config says which store. Zero fields take their default.
type Config struct {
	// Endpoint is the URL of the store, http or https; empty: AWS, in Region.
	Endpoint string
	// Region of the bucket; empty: us-east-1.
	Region string
	// VirtualHost puts the bucket into the host's name. AWS always does.
	VirtualHost bool
	// TLS gives the configuration of connections to a host, which says whose
	// certificates are taken; nil: those that the system takes.
	TLS func(host string) *tls.Config
	// Outage is the longest time for which an engine may be down with files
	// committed and not published. 0: 7 days.
	Outage time.Duration
	// Timeout bounds one request, with a second more for each 256 KiB of its
	// body. 0: 1 minute.
	Timeout time.Duration
	// PartBytes is the size of the parts of an upload, 5 MiB at least. 0: 16 MiB.
	PartBytes int
	// Attempts is how often a step of staging or a read is tried before it
	// fails. 0: 8.
	Attempts int
	// Backoff is the wait before the second attempt, doubled for each further
	// one, up to 5 s. 0: 100 ms.
	Backoff time.Duration
	// ReadOnly is for who only reads: the bucket's rules are not asked for.
	ReadOnly bool
	// Credentials; nil: the shared credentials file (AWS_SHARED_CREDENTIALS_FILE,
	// AWS_PROFILE), then web identity, container or instance role. Keys that stand
	// in the environment are not used, see Secret.
	Credentials *credentials.Credentials
}

// minPart is the least that S3 takes for a part that is not the last.
const minPart = 5 << 20

// Validate names the first field that is unusable and changes nothing.
func (c Config) Validate() error {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || c.Endpoint != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != ""):
		return fmt.Errorf("s3: Endpoint %q: want http://host:port or https://host:port", c.Endpoint)
	case c.PartBytes != 0 && c.PartBytes < minPart:
		return fmt.Errorf("s3: PartBytes %d: want %d at least", c.PartBytes, minPart)
	case c.Outage < 0 || c.Timeout < 0 || c.Attempts < 0 || c.Backoff < 0:
		return errors.New("s3: Outage, Timeout, Attempts and Backoff must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Outage == 0 {
		c.Outage = 7 * 24 * time.Hour
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.PartBytes == 0 {
		c.PartBytes = 16 << 20
	}
	if c.Attempts == 0 {
		c.Attempts = 8
	}
	if c.Backoff == 0 {
		c.Backoff = 100 * time.Millisecond
	}
	if c.Credentials == nil {
		c.Credentials = credentials.NewChainCredentials([]credentials.Provider{
			keysIn(""), &credentials.IAM{Region: c.Region},
		})
	}
	return c
}

// Location is a place in a bucket.
type Location struct {
	Bucket string
	Prefix string // without '/' at its ends; empty: the whole bucket
}

// ParseLocation reads "s3://bucket/prefix".
func ParseLocation(text string) (Location, error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	bucket, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	if !ok || bucket == "" || strings.Trim(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return Location{}, fmt.Errorf("%q is no place in a bucket, want s3://bucket/prefix", text)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if prefix != "" && (part == "" || part[0] == '.') {
			return Location{}, fmt.Errorf("%q: %q is no part of a prefix", text, part)
		}
	}
	return Location{Bucket: bucket, Prefix: prefix}, nil
}

// String gives the form that ParseLocation reads.
func (l Location) String() string { return strings.TrimSuffix(Scheme+l.Bucket+"/"+l.Prefix, "/") }

// key gives the key of a name below the location.
func (l Location) key(name string) string {
	if l.Prefix == "" {
		return name
	}
	return l.Prefix + "/" + name
}

// bucket is a place with a client: what Store and Lake share.
type bucket struct {
	Location
	cfg    Config
	core   *minio.Core
	notes  Notes       // of opening it
	silent atomic.Bool // the last request got no answer
	now    func() time.Time

	md5ETags atomic.Bool // an ETag was the MD5 of what was sent
}

// open makes a client and looks whether the bucket is there.
func open(ctx context.Context, cfg Config, at Location) (*bucket, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	host, secure := awsHost(cfg.Region), true
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("s3: Endpoint: %w", err)
		}
		host, secure = u.Host, u.Scheme == "https"
	}
	if cfg.TLS != nil {
		name := (&url.URL{Host: host}).Hostname()
		transport.TLSClientConfig = cfg.TLS(name)
	}
	lookup := minio.BucketLookupPath
	if cfg.VirtualHost || cfg.Endpoint == "" {
		lookup = minio.BucketLookupDNS
	}
	core, err := minio.NewCore(host, &minio.Options{
		Creds: cfg.Credentials, Secure: secure, Region: cfg.Region, Transport: &doorkeeper{RoundTripper: transport}, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	b := &bucket{Location: at, cfg: cfg, core: core, now: time.Now}
	if err := b.present(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	return b, nil
}

// awsHost gives the endpoint of a region.
func awsHost(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "s3." + region + ".amazonaws.com.cn"
	}
	return "s3." + region + ".amazonaws.com"
}

// ErrCredentials says that the usual places hold no credentials.
var ErrCredentials = errors.New("no credentials: name a file of keys in lake.s3.credentials_file or AWS_SHARED_CREDENTIALS_FILE, " +
	"or give the machine a role")

// Secret names the first variable of the environment in which S3's tools look
// for a secret and which holds one; empty: none does. What stands there is
// handed to every child and shown by /proc, systemctl and docker inspect, so
// nothing of it is used.
func Secret() string {
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// credentialsIn bounds the search for credentials: without a role, the address
// that would give one may never answer.
const credentialsIn = 5 * time.Second

// present makes sure that there are credentials and that the bucket is there.
func (b *bucket) present(ctx context.Context) error {
	search, cancel := context.WithTimeout(ctx, credentialsIn)
	defer cancel()
	have, err := b.cfg.Credentials.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: search})
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	if have.AccessKeyID == "" || have.SecretAccessKey == "" {
		return ErrCredentials
	}
	there := false
	err = b.call(ctx, 0, func(ctx context.Context) (err error) {
		there, err = b.core.BucketExists(ctx, b.Bucket)
		return err
	})
	var answer minio.ErrorResponse
	if err == nil && !there || errors.As(err, &answer) { // in words, which an answer to HEAD has not
		return b.listOne(ctx)
	}
	return err
}

// list gives the names of the objects that start with prefix, sorted.
func (b *bucket) list(ctx context.Context, prefix string) ([]string, error) {
	return b.listOld(ctx, prefix, func(time.Time) bool { return true })
}

// listOld is list of those alone of which old is true, told when each was made.
func (b *bucket) listOld(ctx context.Context, prefix string, old func(made time.Time) bool) ([]string, error) {
	var names []string
	list := func(ctx context.Context, more func(int64)) error {
		names = nil
		for o := range b.core.Client.ListObjects(ctx, b.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			if old(o.LastModified) {
				names = append(names, strings.TrimPrefix(o.Key, b.key("")))
			}
			more(0)
		}
		return nil
	}
	err := b.answered(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", b.key(prefix), err)
	}
	return names, nil
}

// remove removes an object; absent is success.
func (b *bucket) remove(ctx context.Context, name string) error {
	err := b.call(ctx, 0, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.Bucket, b.key(name), minio.RemoveObjectOptions{})
	})
	if err != nil && !is(err, noSuchKey) {
		return fmt.Errorf("remove %s: %w", b.key(name), err)
	}
	return nil
}
