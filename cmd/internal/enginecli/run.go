package enginecli

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/service"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	landingkafka "landfall/engine/landing/kafka"
	"landfall/engine/server"
	"landfall/sinks/kafka"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
)

func runCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "Runs the engine until SIGTERM", Args: cli.NoArgs}
	name := cli.ConfigFlag(c, DefaultConfig)
	logger := cli.LogFlags(c, "info")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger(c.ErrOrStderr())
		if err != nil {
			return err
		}
		started := false
		return service.Run(c.Context(), service.Config[server.Config]{
			File: *name, Logger: log, Replaces: sameLake,
			Load: func(name string) (*server.Config, *config.File, error) {
				c, f, err := loadAll(name, started)
				started = true
				return c, f, err
			},
			New: func(ctx context.Context, cfg *server.Config) (service.Daemon, error) {
				return newServed(ctx, cfg, log, version)
			},
		})
	}
	return c
}

// sameLake refuses a reload to another lake, or to other checkpoints of it: what has
// landed and is not published would go to another lake than what is, and an engine whose
// checkpoints are elsewhere knows nothing of what it has published. To another landing log
// of the same lake CheckLanding has the say.
func sameLake(was, is *server.Config) error {
	for _, dir := range []struct{ key, was, is string }{
		{"lake.dir", was.Lake.Dir, is.Lake.Dir}, {"checkpoint.dir", was.CheckpointDir(), is.CheckpointDir()},
	} {
		if was.Lake.Dir != "" && dir.was != dir.is {
			return &config.FieldError{Key: dir.key, Got: strconv.Quote(dir.is),
				Want: strconv.Quote(dir.was) + ", until the engine is stopped: one that runs goes to no other lake, and to no other checkpoints of it"}
		}
	}
	return nil
}

// loadAll is load, and tries the directories, buckets, certificates and secrets too: a
// reload must know that everything can be used before the old configuration
// ends. A store that cannot be used now is waited for at the start. One that does
// not answer may come back after a reload too; one that refuses does not take the
// place of what runs.
func loadAll(name string, reload bool) (*server.Config, *config.File, error) {
	c, f, err := load(name)
	if err != nil {
		return nil, nil, err
	}
	if err := directories(c); err != nil {
		return nil, nil, f.Locate(err)
	}
	store, err := storeToLoad(c, reload)
	if err != nil {
		return nil, nil, f.Locate(err)
	}
	if err := topicToLoad(c, store); err != nil {
		return nil, nil, f.Locate(err)
	}
	if err := server.CheckLanding(context.Background(), durable.OS{}, c, store); err != nil && !s3.Transient(err) {
		return nil, nil, f.Locate(err)
	}
	if _, err := kafkaSink(&c.Sinks.Kafka); err != nil {
		return nil, nil, f.Locate(err)
	}
	_, err = c.TLS.Open(durable.OS{}, certs.Config{})
	return c, f, f.Locate(err)
}

// storeToLoad tries the lake's store; nil without an error: there is none, or it
// is waited for.
func storeToLoad(c *server.Config, reload bool) (checkpoint.Store, error) {
	p := placeOf(c)
	refuses := func(err error) bool { return !s3.Transient(err) && (reload || !isWaitedFor(err)) }
	if follows(c) {
		if _, err := p.openStore(context.Background(), true); err != nil {
			if err = unusable(cmp.Or(p.storeKey, "checkpoint.dir"), p.checkpoints, err); refuses(err) {
				return nil, err
			}
		}
		return nil, nil
	}
	if p.buckets() {
		store, _, err := openLake(context.Background(), p)
		if err != nil && refuses(err) {
			return nil, err
		}
		return store, nil
	}
	if !c.Runs(server.RoleTasks) {
		return nil, nil
	}
	return p.openStore(context.Background(), true)
}

// loadPatience is how long brokers may take to say whose the topic is before a
// configuration is loaded without their word: the start asks again, and waits.
const loadPatience = 5 * time.Second

// topicToLoad tries whether the topic may be the landing log of the lake, where
// the brokers answer.
func topicToLoad(c *server.Config, store checkpoint.Store) error {
	k := &c.Landing.Kafka
	if !k.Used() || store == nil && !follows(c) {
		_, err := k.LogConfig(durable.OS{})
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadPatience)
	defer cancel()
	if follows(c) {
		if err := server.CheckFollowed(ctx, durable.OS{}, c, &followed{place: placeOf(c)}); !errors.Is(err, landingkafka.ErrUnavailable) {
			return err
		}
		return nil
	}
	if _, err := k.Check(ctx, durable.OS{}, store, c.Lake.Dir); !errors.Is(err, landingkafka.ErrUnavailable) {
		return err
	}
	return nil
}

// served is a Server as the service sees it.
type served struct {
	*server.Server
	ready func()
}

func newServed(ctx context.Context, cfg *server.Config, log *slog.Logger, version string) (service.Daemon, error) {
	bound := cli.LimitMemory(log, cfg.WantedMemory(), cfg.MemoryItems())
	d := &served{}
	s, err := openServer(ctx, cfg, server.Options{Logger: log, Version: version, Ready: func() { d.ready() }, CertFloor: cli.Built(), TypedRows: typedRows, Memory: bound})
	if err != nil || s == nil {
		return nil, err
	}
	d.Server = s
	return d, nil
}

// Run implements service.Daemon.
func (d *served) Run(ctx context.Context, ready func()) error {
	d.ready = ready
	return d.Server.Run(ctx)
}

// openRetry is how often a full disk, or a store that does not answer, is tried
// again.
const openRetry = time.Second

// openServer opens lake and engine. While the disk is full, or the object store
// cannot be used now, or Kafka does not answer, it waits, and the status page says
// why: without the self-test of the store nothing may be
// committed. Nil without an error when ctx ended meanwhile.
func openServer(ctx context.Context, cfg *server.Config, o server.Options) (*server.Server, error) {
	judge := certs.Config{Floor: o.CertFloor, Logger: o.Logger}
	topics, brokers, err := kafkaLink(&cfg.Sinks.Kafka, judge)
	if err != nil {
		return nil, err
	}
	if brokers != nil {
		o.Links = append(o.Links, server.Link{Name: "sinks.kafka", Certs: brokers})
	}
	if topics != nil && cfg.Runs(server.RoleTasks) {
		counters := new(kafka.Counters)
		topics.Counters, topics.Logger = counters, o.Logger
		watch, err := kafka.NewWatch(*topics, kafka.WatchEvery)
		if err != nil {
			return nil, err
		}
		o.WatchSinks = watch.Run
		o.SinkStatus = func() []server.SinkStatus {
			return []server.SinkStatus{kafkaStatus(counters, watch.Problems())}
		}
	}
	lake := placeOf(cfg)
	if lake.buckets() {
		if lake.certs, err = openCerts(cfg.Lake.S3, judge); err != nil {
			return nil, err
		}
	}
	if lake.certs != nil {
		o.Links = append(o.Links, server.Link{Name: "lake.s3", Certs: lake.certs})
	}
	if follows(cfg) {
		o.Followed = &followed{place: lake}
	}
	var waiting waitingPage
	defer waiting.close()
	for {
		p := lake
		p.kafka = topics
		p.opened = func(files object.Files) { o.FileSize = sizeOf(files) }
		p.note = func(note string) { o.Logger.Warn("object store", "note", note) }
		var err error
		if cfg.Runs(server.RoleTasks) {
			o.Store, o.Sinks, err = openLake(ctx, p)
		}
		if err == nil {
			var s *server.Server
			if s, err = server.New(ctx, *cfg, o); err == nil {
				return s, nil // its page takes the place of this one
			}
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if !isWaitedFor(err) {
			return nil, err
		}
		waiting.say(cfg, &o, err)
		t := time.NewTimer(openRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, nil
		case <-t.C:
		}
	}
}

// sizeOf returns how the length of a published file is asked for. A file of a bucket
// that is opened costs one request, and nothing of it is fetched.
func sizeOf(files object.Files) func(context.Context, string) (int64, error) {
	return func(ctx context.Context, name string) (int64, error) {
		f, err := files.Open(ctx, name)
		if err != nil {
			return 0, err
		}
		return f.Size(), f.Close()
	}
}
