package enginecli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	landingkafka "landfall/engine/landing/kafka"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/kafka"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/parquet"
)

// place is where tables and checkpoints lie: directories, or places in buckets.
type place struct {
	lake, checkpoints string
	s3                server.S3Config
	opened            func(object.Files) // takes the lake's files when they are opened for writing; nil: nobody
	note              func(string)       // takes what a person should know; nil: nobody
	kafka             *kafka.Config      // the sink beside the lake, without files; nil: none
	certs             *certs.Keeper      // who signs the store's certificate, as it is kept; nil: read by who needs it
	everyDate         bool               // rows go under the date of their event time, however many there are
	lakeKey, storeKey string             // what errors call the two; empty: the keys of the configuration
}

// placeOf gives the places of a configuration.
func placeOf(c *server.Config) place {
	p := place{lake: c.Lake.Dir, checkpoints: c.CheckpointDir(), s3: c.Lake.S3}
	if c.Checkpoint.Dir == "" {
		p.storeKey = "lake.dir"
	}
	return p
}

// buckets tells whether any of it lies in one.
func (p place) buckets() bool { return server.IsBucket(p.lake) || server.IsBucket(p.checkpoints) }

// withheld names the credential that reaching the buckets needs and that is not
// here, because systemd hands it to the service alone; empty: none.
func (p place) withheld() string {
	if p.buckets() && config.IsAbsent(p.s3.CredentialsFile) {
		return p.s3.CredentialsFile
	}
	return ""
}

// openCerts reads who signs the store's certificate; nil: those whom the system
// knows, or there is no bucket.
func openCerts(c server.S3Config, o certs.Config) (*certs.Keeper, error) {
	o.FS, o.CAFile, o.Prefix, o.Bundle = durable.OS{}, cmp.Or(c.CAFile, os.Getenv("AWS_CA_BUNDLE")), "lake.s3.", true
	if o.CAFile == "" {
		return nil, nil
	}
	return certs.Open(o)
}

// client gives how the buckets are reached. What the configuration leaves open
// the usual variables of S3's tools say. A nil keeper is made of the files.
func client(c server.S3Config, keeper *certs.Keeper) (s3.Config, error) {
	out := s3.Config{
		Endpoint: cmp.Or(c.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL")),
		Region:   cmp.Or(c.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		Outage:   c.Outage, Timeout: c.RequestTimeout,
		VirtualHost: c.PathStyle != nil && !*c.PathStyle,
	}
	if err := out.Validate(); err != nil {
		return out, &config.FieldError{Key: "lake.s3", Got: err.Error(), Want: "settings, or AWS_ENDPOINT_URL, with which a store can be reached"}
	}
	if secret := config.ProxySecret(); secret != "" {
		return out, &config.FieldError{Key: "lake.s3", Got: secret + " with a user in the environment", Want: "a proxy without one: secrets are read from files only"}
	}
	if c.CredentialsFile != "" {
		if _, err := config.ReadFiles(durable.OS{}, c.CredentialsFile); err != nil {
			return out, &config.FieldError{Key: "lake.s3.credentials_file", Got: err.Error(), Want: "a file of keys that this user may read"}
		}
		out.Credentials = s3.KeysIn(config.Path(c.CredentialsFile))
	} else if secret := s3.Secret(); secret != "" {
		return out, &config.FieldError{Key: "lake.s3.credentials_file", Got: secret + " in the environment",
			Want: "keys in a file that it names, or AWS_SHARED_CREDENTIALS_FILE: secrets are read from files only"}
	}
	var err error
	if keeper == nil {
		keeper, err = openCerts(c, certs.Config{})
	}
	if keeper != nil {
		out.TLS = func(host string) *tls.Config { return keeper.Client("", host) }
	}
	return out, err
}

// openLake opens the checkpoint store of a lake and its files, tested for what
// commits need of them, and gives what makes its sinks.
func openLake(ctx context.Context, p place) (checkpoint.Store, func() ([]stream.Sink, error), error) {
	files, err := p.openFiles(ctx, false)
	if err != nil {
		return nil, nil, unusable(cmp.Or(p.lakeKey, "lake.dir"), p.lake, err)
	}
	store, err := p.openStore(ctx, false)
	if err == nil {
		err = object.SelfTest(ctx, store)
	}
	if err != nil {
		return nil, nil, unusable(cmp.Or(p.storeKey, "checkpoint.dir"), p.checkpoints, err)
	}
	if p.opened != nil {
		p.opened(files)
	}
	sinks := func() ([]stream.Sink, error) {
		lake, err := parquet.New(parquet.Config{Files: files, EveryDate: p.everyDate})
		if err != nil || p.kafka == nil {
			return []stream.Sink{lake}, err
		}
		beside := *p.kafka
		beside.Files = files
		topics, err := kafka.New(beside)
		return []stream.Sink{lake, topics}, err
	}
	return store, sinks, nil
}

// openFiles opens what keeps tables; reading says that nothing is written, so that
// a store is not tried.
func (p place) openFiles(ctx context.Context, reading bool) (object.Files, error) {
	if !server.IsBucket(p.lake) {
		return object.OpenLake(durable.OS{}, p.lake)
	}
	at, err := s3.ParseLocation(p.lake)
	if err != nil {
		return nil, err
	}
	cfg, err := client(p.s3, p.certs)
	if err != nil {
		return nil, err
	}
	cfg.ReadOnly = reading
	files, err := s3.OpenLake(ctx, cfg, at)
	if err != nil || reading {
		return files, err
	}
	notes, err := files.SelfTest(ctx)
	if err != nil {
		return nil, err
	}
	if p.note != nil {
		for _, n := range notes {
			p.note(n)
		}
	}
	return files, nil
}

// openStore opens what keeps checkpoints; reading says that nothing is written.
func (p place) openStore(ctx context.Context, reading bool) (checkpoint.Store, error) {
	if !server.IsBucket(p.checkpoints) {
		return object.OpenDir(durable.OS{}, p.checkpoints)
	}
	at, err := s3.ParseLocation(p.checkpoints)
	if err != nil {
		return nil, err
	}
	cfg, err := client(p.s3, p.certs)
	if err != nil {
		return nil, err
	}
	cfg.ReadOnly = reading
	return s3.OpenStore(ctx, cfg, at)
}

// unusable says of a store that cannot be used what to change. Errors of
// directories, and those that may pass, stay as they are.
func unusable(key, dir string, err error) error {
	var field *config.FieldError
	want := "a bucket that is there and that these credentials may list, read and write (docs/scale.md has the permissions)"
	switch {
	case errors.As(err, &field), errors.Is(err, context.Canceled), !server.IsBucket(dir) && !errors.Is(err, object.ErrUnfit):
		return err
	case s3.Transient(err):
		return cli.Fail(cli.ExitUnavailable, err)
	case errors.Is(err, s3.ErrRule):
		want = "a bucket whose lifecycle rules leave alone what is staged and committed, or a shorter lake.s3.outage"
	case errors.Is(err, object.ErrUnfit):
		want = "a store that compares before it swaps: for S3 one that honours If-Match and If-None-Match"
	case errors.Is(err, s3.ErrCredentials):
		want = "credentials where S3's tools look for them"
	}
	refused := &config.FieldError{Key: key, Got: err.Error(), Want: want}
	if s3.Judge(err) == s3.Mends {
		return &mendableError{refused}
	}
	return refused
}

// mendableError is what keeps a store from being used until somebody changes the
// store or the credentials, with which this configuration may then be right: check
// and a reload refuse it, an engine that starts waits.
type mendableError struct{ *config.FieldError }

// Unwrap returns the field.
func (e *mendableError) Unwrap() error { return e.FieldError }

// isWaitedFor tells whether an engine that starts waits until an error of opening
// its parts is over. Everything else ends it: a configuration that cannot be used,
// which the unit does not try again.
func isWaitedFor(err error) bool {
	var mendable *mendableError
	return errors.Is(err, durable.ErrNoSpace) || s3.Transient(err) || errors.As(err, &mendable) || errors.Is(err, landingkafka.ErrUnavailable)
}

// s3Flags are the flags with which a verb without a configuration reaches a
// bucket.
type s3Flags struct{ endpoint, region, ca, keys *string }

func newS3Flags(c *cobra.Command) s3Flags {
	return s3Flags{
		endpoint: c.Flags().String("s3-endpoint", "", "`URL` of the store of an s3:// place; default: AWS_ENDPOINT_URL, or AWS"),
		region:   c.Flags().String("s3-region", "", "`REGION` of an s3:// place; default: AWS_REGION, or us-east-1"),
		ca:       c.Flags().String("s3-ca-file", "", "PEM `FILE` with who signs the store's certificate; default: AWS_CA_BUNDLE, or the system's"),
		keys:     c.Flags().String("s3-credentials-file", "", "`FILE` with the keys, as S3's tools share it; default: AWS_SHARED_CREDENTIALS_FILE, or a role"),
	}
}

// config gives the settings as a configuration would.
func (f s3Flags) config() server.S3Config {
	c := server.DefaultS3()
	c.Endpoint, c.Region, c.CAFile, c.CredentialsFile = *f.endpoint, *f.region, *f.ca, *f.keys
	return c
}

// bucketFiles is a lake in a bucket as the audit reads it.
type bucketFiles struct{ *s3.Lake }

// Open implements audit.Files.
func (b bucketFiles) Open(ctx context.Context, name string) (audit.File, error) {
	return b.Lake.Open(ctx, name)
}

// readLake opens a lake in a bucket for the audit.
func readLake(ctx context.Context, lake string, c server.S3Config) (audit.Files, error) {
	at, err := s3.ParseLocation(lake)
	if err != nil {
		return nil, cli.Fail(cli.ExitUsage, err)
	}
	cfg, err := client(c, nil)
	if err != nil {
		return nil, err
	}
	cfg.ReadOnly = true
	files, err := s3.OpenLake(ctx, cfg, at)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return bucketFiles{files}, nil
}
