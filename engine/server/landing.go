package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/kafka"
	"landfall/engine/move"
	"landfall/engine/stream"
)

// landingLog is what an engine needs of its landing log.
type landingLog interface {
	landing.Log
	io.Closer
	// Behind is how many landed blocks lie after a position.
	Behind(partition int, at stream.Position) (int64, error)
	Stats() landing.Stats
}

// openLog opens the landing log: a directory, or a topic.
func (s *Server) openLog(ctx context.Context) error {
	if s.cfg.Landing.Kafka.Used() {
		return s.openKafka(ctx)
	}
	if err := config.CheckDir(s.opt.FS, "landing.dir", s.cfg.Landing.Dir); err != nil {
		return err
	}
	if err := CheckLanding(ctx, s.opt.FS, &s.cfg, s.lake()); err != nil {
		return err // before a directory is made that nothing is to land in
	}
	log, err := s.cfg.Landing.OpenDir(s.opt.FS, s.opt.Logger)
	if err != nil {
		return err
	}
	s.log = log
	if store := s.lake(); store != nil {
		is := move.Landing{Kind: move.Embedded, ID: log.ID(), Partitions: log.Partitions(), Place: s.cfg.Landing.Dir}
		if err := move.Bind(ctx, store, is); err != nil {
			return errors.Join(LandingProblem(err, "landing.dir"), log.Close())
		}
	}
	return nil
}

// OpenDir opens the directory of the landing log, or makes it. Errors:
// config.FieldErrors, those of embedded.Open.
func (c *LandingConfig) OpenDir(fsys durable.FS, logger *slog.Logger) (*embedded.Log, error) {
	log, err := embedded.Open(embedded.Config{
		FS: fsys, Dir: c.Dir, Partitions: c.Partitions, SegmentBytes: int64(c.SegmentSize),
		QuotaBytes: int64(c.Quota), ReserveBytes: int64(c.Reserve), Logger: logger,
	})
	switch {
	case errors.Is(err, embedded.ErrFolder):
		return nil, &config.FieldError{Key: "landing.dir", Got: err.Error(), Want: "the folders of its partitions, each in its place"}
	case errors.Is(err, landing.ErrMismatch):
		return nil, &config.FieldError{Key: "landing.partitions", Got: err.Error(),
			Want: "what the landing log was made with, for its life; `landfall-engine landing replace` moves the " +
				"lake to one with another number"}
	case err != nil:
		return nil, fmt.Errorf("open landing log: %w", err)
	}
	return log, nil
}

// lake is the store of the lake that the engine feeds; nil: it feeds none.
func (s *Server) lake() checkpoint.Store {
	if !s.cfg.Runs(RoleTasks) {
		return nil
	}
	return s.opt.Store
}

// CheckLanding finds out, changing nothing, whether the directory that a
// configuration names as landing log is that of the lake of a store; nil: there is
// none, and any directory will do. A configuration with a topic is none of this
// call's. Errors: config.FieldErrors, those of move.Check.
func CheckLanding(ctx context.Context, fsys durable.FS, c *Config, store checkpoint.Store) error {
	if store == nil || c.Landing.Kafka.Used() {
		return nil
	}
	id, partitions, err := embedded.Identity(fsys, c.Landing.Dir)
	if err != nil {
		return fmt.Errorf("look at the landing log %s: %w", c.Landing.Dir, err)
	}
	is := move.Landing{Kind: move.Embedded, ID: id, Partitions: partitions, Place: c.Landing.Dir}
	return LandingProblem(move.Check(ctx, store, is), "landing.dir")
}

// LandingProblem returns the error of a landing log that is not the lake's as one of
// the configuration, under a key.
func LandingProblem(err error, key string) error {
	var other *move.OtherError
	if errors.As(err, &other) {
		return &config.FieldError{Key: key, Got: other.Error(), Want: other.Want()}
	}
	return err
}

// kafkaPatience is how long brokers may take to answer at a start.
const kafkaPatience = 30 * time.Second

func (s *Server) openKafka(ctx context.Context) error {
	cfg, keeper, err := s.cfg.Landing.Kafka.logConfig(s.opt.FS, certs.Config{Floor: s.opt.CertFloor, Logger: s.opt.Logger})
	if err != nil {
		return err
	}
	if s.opt.Followed != nil {
		checking, cancel := context.WithTimeout(ctx, kafkaPatience)
		defer cancel()
		if err := checkFollowed(checking, cfg, s.opt.Followed); err != nil {
			return err // before a topic is made that nothing is to land in
		}
	}
	if s.lake() == nil {
		checking, cancel := context.WithTimeout(ctx, kafkaPatience)
		defer cancel()
		if err := kafka.CheckLeft(checking, cfg); err != nil {
			return KafkaProblem(err)
		}
	}
	log, err := openTopic(ctx, cfg, s.lake(), s.cfg.Lake.Dir, s.opt.Logger)
	if err != nil {
		return err
	}
	s.log, s.topic = log, log
	if keeper != nil {
		s.links = append(s.links, Link{Name: "landing.kafka", Certs: keeper})
	}
	return nil
}

// Open opens the topic, makes it if it is absent, registers the lake that it feeds
// and binds the lake of a store (nil: there is no lake) to the topic; place is where the lake lies, for people. Errors: config.FieldErrors,
// kafka.ErrUnavailable while no broker answers, and those of the store.
func (c *KafkaConfig) Open(ctx context.Context, fsys durable.FS, store checkpoint.Store, place string,
	logger *slog.Logger) (*kafka.Log, error) {
	cfg, err := c.LogConfig(fsys)
	if err != nil {
		return nil, err
	}
	return openTopic(ctx, cfg, store, place, logger)
}

// OpenUnbound is Open, but for the lake's binding: the lake moves to the topic, or
// from it.
func (c *KafkaConfig) OpenUnbound(ctx context.Context, fsys durable.FS, store checkpoint.Store, place string,
	logger *slog.Logger) (*kafka.Log, error) {
	cfg, err := c.LogConfig(fsys)
	if err != nil {
		return nil, err
	}
	cfg.Logger = logger
	if cfg.Lake, err = lakeOf(ctx, store, place, checkpoint.LakeID); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	log, err := kafka.Open(ctx, cfg)
	return log, KafkaProblem(err)
}

// Check says whether Open would open the topic, and makes and registers nothing: its
// identity, "" when it is absent. Errors as of Open.
func (c *KafkaConfig) Check(ctx context.Context, fsys durable.FS, store checkpoint.Store, place string) (landing.ID,
	error) {
	cfg, err := c.LogConfig(fsys)
	if err == nil && store != nil {
		cfg, err = feed(ctx, cfg, store, place, checkpoint.FindLakeID)
	}
	if err != nil {
		return "", err
	}
	id, err := kafka.Check(ctx, cfg)
	if err == nil && store != nil {
		err = checkTopic(ctx, cfg, store, id)
	} else if err == nil {
		err = kafka.CheckLeft(ctx, cfg)
	}
	return id, KafkaProblem(err)
}

// checkTopic finds out whether a topic is the landing log of the lake of a store.
func checkTopic(ctx context.Context, cfg kafka.Config, store checkpoint.Store, id landing.ID) error {
	is := move.Landing{Kind: move.Kafka, ID: id, Partitions: cfg.Partitions, Place: cfg.Topic}
	return LandingProblem(move.Check(ctx, store, is), "landing.kafka.topic")
}

// feed adds which lake the topic feeds, as identity finds or makes it, and which
// topic of the name it was fed from before.
func feed(ctx context.Context, cfg kafka.Config, store checkpoint.Store, place string,
	identity func(context.Context, checkpoint.Store) (string, error)) (kafka.Config, error) {
	was, err := move.FedTopic(ctx, store, cfg.Topic)
	if err != nil {
		return cfg, err
	}
	if was != "" && cfg.ID != "" && cfg.ID != was {
		return cfg, otherTopic(cfg.Topic, cfg.ID, was)
	}
	if was != "" {
		cfg.ID = was
	}
	cfg.Lake, err = lakeOf(ctx, store, place, identity)
	return cfg, err
}

// lakeOf says which lake a topic feeds, as identity finds or makes it.
func lakeOf(ctx context.Context, store checkpoint.Store, place string,
	identity func(context.Context, checkpoint.Store) (string, error)) (kafka.Lake, error) {
	lake, err := identity(ctx, store)
	if lake == "" {
		lake = checkpoint.NewLakeID() // it has none yet, which is another than any that is registered
	}
	return kafka.Lake{ID: lake, Place: place}, err
}

func otherTopic(topic string, id, was landing.ID) error {
	return KafkaProblem(fmt.Errorf("topic %s has the id %s, and the lake was fed from the one with the id %s: %w",
		topic, id, was, landing.ErrMismatch))
}

func openTopic(ctx context.Context, cfg kafka.Config, store checkpoint.Store, place string,
	logger *slog.Logger) (*kafka.Log, error) {
	cfg.Logger = logger
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	if store != nil {
		var err error
		if cfg, err = feed(ctx, cfg, store, place, checkpoint.LakeID); err != nil {
			return nil, err
		}
	}
	if store != nil { // before a topic is made that nothing is to land in
		id, err := kafka.Check(ctx, cfg)
		if err == nil {
			err = checkTopic(ctx, cfg, store, id)
		}
		if err != nil {
			return nil, KafkaProblem(err)
		}
	}
	log, err := kafka.Open(ctx, cfg)
	if err != nil {
		return nil, KafkaProblem(err)
	}
	if store != nil {
		is := move.Landing{Kind: move.Kafka, ID: log.ID(), Partitions: cfg.Partitions, Place: cfg.Topic}
		if err := move.Bind(ctx, store, is); err != nil {
			return nil, errors.Join(LandingProblem(err, "landing.kafka.topic"), log.Close())
		}
	}
	return log, nil
}

// work starts the tasks: every partition's, or those that the group assigns. It
// gives what ends them: it returns when they have committed what they read, or
// could not in time.
func (s *Server) work() (end func(), err error) {
	if s.topic == nil {
		for _, t := range s.tasks {
			t.start()
		}
		return func() { s.stop(s.all()) }, nil
	}
	if !s.cfg.Runs(RoleTasks) {
		return func() {}, nil
	}
	k := &s.cfg.Landing.Kafka
	for _, t := range s.tasks {
		t.committed = func(at stream.Position) {
			if g := s.group.Load(); g != nil {
				g.Commit(t.partition, at)
			}
		}
	}
	group, err := s.topic.Join(kafka.GroupConfig{
		Name: k.GroupName(), SessionTimeout: k.SessionTimeout, DrainTimeout: 2 * s.cfg.DrainTimeout,
		Assigned: func(partitions []int) {
			s.opt.Logger.Info("partitions assigned", "partitions", partitions)
			for _, p := range partitions {
				s.tasks[p].start()
			}
		},
		Revoked: func(partitions []int) {
			s.opt.Logger.Info("partitions given back", "partitions", partitions)
			s.stop(partitions)
		},
		Lost: func(partitions []int) {
			s.opt.Logger.Warn("partitions lost: the group took this engine for dead", "partitions", partitions)
			for _, p := range partitions {
				s.tasks[p].stop()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	s.group.Store(group)
	return func() {
		group.Close()
		s.stop(s.all()) // what was lost may still be ending
	}, nil
}

func (s *Server) all() []int {
	out := make([]int, len(s.tasks))
	for i := range out {
		out[i] = i
	}
	return out
}

// stop ends tasks and waits for them.
func (s *Server) stop(partitions []int) {
	var ending []<-chan struct{}
	for _, p := range partitions {
		ending = append(ending, s.tasks[p].stop())
	}
	for _, done := range ending {
		<-done
	}
}

// groupStatus tells which partitions are this engine's; nil: the landing log is
// a directory.
func (s *Server) groupStatus() *GroupStatus {
	if s.topic == nil {
		return nil
	}
	k := &s.cfg.Landing.Kafka
	out := &GroupStatus{Topic: k.Topic, Group: k.GroupName(), Partitions: s.topic.Partitions(), Mine: []int{}}
	for _, err := range s.topic.Problems() {
		out.Problems = append(out.Problems, err.Error())
	}
	g := s.group.Load()
	if g == nil {
		return out
	}
	out.Member = true
	out.Mine = append(out.Mine, g.Held()...)
	if err := g.Err(); err != nil {
		out.Error = err.Error()
	}
	return out
}

// landingReasons says what is wrong with the landing log as a whole.
func (s *Server) landingReasons() []string {
	out := s.leftReasons()
	if s.topic == nil {
		return out
	}
	for _, err := range s.topic.Problems() {
		out = append(out, "landing log: "+err.Error())
	}
	if g := s.group.Load(); g != nil {
		if err := g.Err(); err != nil {
			out = append(out, fmt.Sprintf("consumer group %s: %v", s.cfg.Landing.Kafka.GroupName(), err))
		}
	}
	return out
}
