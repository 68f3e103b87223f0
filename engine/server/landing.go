package server

import (
	"context"
	"encoding/json"
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
	log, err := embedded.Open(embedded.Config{
		FS: s.opt.FS, Dir: s.cfg.Landing.Dir, Partitions: s.cfg.Landing.Partitions, SegmentBytes: int64(s.cfg.Landing.SegmentSize),
		QuotaBytes: int64(s.cfg.Landing.Quota), ReserveBytes: int64(s.cfg.Landing.Reserve), Logger: s.opt.Logger,
	})
	switch {
	case errors.Is(err, landing.ErrMismatch):
		return &config.FieldError{Key: "landing.partitions", Got: err.Error(), Want: "what the landing log was made with, for its life"}
	case err != nil:
		return fmt.Errorf("open landing log: %w", err)
	}
	s.log = log
	return nil
}

// kafkaPatience is how long brokers may take to answer at a start.
const kafkaPatience = 30 * time.Second

func (s *Server) openKafka(ctx context.Context) error {
	var store checkpoint.Store
	if s.cfg.Runs(RoleTasks) {
		store = s.opt.Store
	}
	cfg, keeper, err := s.cfg.Landing.Kafka.logConfig(s.opt.FS, certs.Config{Floor: s.opt.CertFloor, Logger: s.opt.Logger})
	if err != nil {
		return err
	}
	log, err := openTopic(ctx, cfg, store, s.cfg.Lake.Dir, s.opt.Logger)
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
// and writes down in the lake's store (nil: there is no lake) that it is fed from
// the topic; place is where the lake lies, for people. Errors: config.FieldErrors,
// kafka.ErrUnavailable while no broker answers, and those of the store.
func (c *KafkaConfig) Open(ctx context.Context, fsys durable.FS, store checkpoint.Store, place string, logger *slog.Logger) (*kafka.Log, error) {
	cfg, err := c.LogConfig(fsys)
	if err != nil {
		return nil, err
	}
	return openTopic(ctx, cfg, store, place, logger)
}

// Check says whether Open would open the topic, and makes and registers nothing: its
// identity, "" when it is absent. Errors as of Open.
func (c *KafkaConfig) Check(ctx context.Context, fsys durable.FS, store checkpoint.Store, place string) (landing.ID, error) {
	cfg, err := c.LogConfig(fsys)
	if err == nil && store != nil {
		cfg, err = feed(ctx, cfg, store, place, checkpoint.FindLakeID)
	}
	if err != nil {
		return "", err
	}
	id, err := kafka.Check(ctx, cfg)
	return id, KafkaProblem(err)
}

// feed adds which lake the topic feeds, as identity finds or makes it, and which
// topic of the name it was fed from before.
func feed(ctx context.Context, cfg kafka.Config, store checkpoint.Store, place string, identity func(context.Context, checkpoint.Store) (string, error)) (kafka.Config, error) {
	was, err := boundTo(ctx, store, cfg.Topic)
	if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
		return cfg, err
	}
	if was != "" && cfg.ID != "" && cfg.ID != was {
		return cfg, otherTopic(cfg.Topic, cfg.ID, was)
	}
	if was != "" {
		cfg.ID = was
	}
	lake, err := identity(ctx, store)
	if lake == "" {
		lake = checkpoint.NewLakeID() // it has none yet, which is another than any that is registered
	}
	cfg.Lake = kafka.Lake{ID: lake, Place: place}
	return cfg, err
}

func openTopic(ctx context.Context, cfg kafka.Config, store checkpoint.Store, place string, logger *slog.Logger) (*kafka.Log, error) {
	cfg.Logger = logger
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	if store != nil {
		var err error
		if cfg, err = feed(ctx, cfg, store, place, checkpoint.LakeID); err != nil {
			return nil, err
		}
	}
	log, err := kafka.Open(ctx, cfg)
	if err != nil {
		return nil, KafkaProblem(err)
	}
	if store != nil {
		if err := bind(ctx, store, cfg.Topic, log.ID()); err != nil {
			return nil, errors.Join(err, log.Close())
		}
	}
	return log, nil
}

// bound is which landing log a lake was fed from, under the name of a topic.
type bound struct {
	Topic string     `json:"topic"`
	ID    landing.ID `json:"id"`
}

// bind writes down, once for a lake, which topic of a name it is fed from, and
// refuses another of that name later: it would be a landing log without the
// beginning of what gateways have sent. A topic of another name is another
// landing log, begun on purpose.
func bind(ctx context.Context, store checkpoint.Store, topic string, id landing.ID) error {
	name := "_landing/" + topic
	text, err := json.Marshal(bound{Topic: topic, ID: id})
	if err != nil {
		return err
	}
	if err = store.Create(ctx, name, append(text, '\n')); err == nil || !errors.Is(err, checkpoint.ErrExist) {
		return err
	}
	was, err := boundTo(ctx, store, topic)
	if err == nil && was != id {
		err = otherTopic(topic, id, was)
	}
	return err
}

// boundTo returns the id of the topic of a name that the lake is fed from.
// checkpoint.ErrNotExist: of none yet.
func boundTo(ctx context.Context, store checkpoint.Store, topic string) (landing.ID, error) {
	name := "_landing/" + topic
	have, _, err := store.Read(ctx, name)
	if err != nil {
		return "", fmt.Errorf("read which topic the lake is fed from: %w", err)
	}
	var was bound
	if err := json.Unmarshal(have, &was); err != nil || was.Topic != topic || was.ID == "" {
		return "", fmt.Errorf("read which topic the lake is fed from, %s: %w", name, checkpoint.ErrCorrupt)
	}
	return was.ID, nil
}

func otherTopic(topic string, id, was landing.ID) error {
	return KafkaProblem(fmt.Errorf("topic %s has the id %s, and the lake was fed from the one with the id %s: %w", topic, id, was, landing.ErrMismatch))
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
	if s.topic == nil {
		return nil
	}
	var out []string
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
