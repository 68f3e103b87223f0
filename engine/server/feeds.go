package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
	"landfall/engine/move"
)

// watched is the store of the lake that the landing log feeds, this engine's or that
// of others; nil: none is known here.
func (s *Server) watched() checkpoint.Store {
	if s.opt.Followed != nil {
		return s.opt.Followed
	}
	return s.opt.Store
}

// watch makes what knows whether the landing log feeds the lake still: by the lake's
// store, and where no task of the lake works here by the topic's register too.
func (s *Server) watch() {
	store, is := s.watched(), s.landsIn()
	byTopic := s.topic != nil && s.lake() == nil
	switch {
	case byTopic && store != nil:
		s.feeding = move.NewWatchOf(func(ctx context.Context) error {
			if err := move.Check(ctx, store, is); errors.Is(err, landing.ErrMismatch) {
				return err
			}
			return s.topic.Left(ctx)
		})
	case byTopic:
		s.feeding = move.NewWatchOf(s.topic.Left)
	case store != nil:
		s.feeding = move.NewWatch(store, is)
	}
}

// landsIn names the landing log.
func (s *Server) landsIn() move.Landing {
	is := move.Landing{Kind: move.Embedded, ID: s.log.ID(), Partitions: s.log.Partitions(), Place: s.cfg.Landing.Dir}
	if s.topic != nil {
		is.Kind, is.Place = move.Kafka, s.cfg.Landing.Kafka.Topic
	}
	return is
}

// watching looks whether the landing log feeds the lake, until the function that it
// returns is called.
func (s *Server) watching() (end func()) {
	if s.feeding == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var own sync.WaitGroup
	own.Go(func() { s.feeding.Run(ctx) })
	return func() {
		cancel()
		own.Wait()
	}
}

// left is why nothing more may land: the lake has another landing log now, or is being
// moved to one. nil: it may.
func (s *Server) left() error {
	for _, t := range s.tasks {
		if err := t.moved(); err != nil {
			return err
		}
	}
	if s.feeding == nil {
		return nil
	}
	return s.feeding.Left()
}

// leftReasons says that nothing more lands because the lake has left the landing log,
// where no task does.
func (s *Server) leftReasons() []string {
	if s.feeding == nil {
		return nil
	}
	err := s.feeding.Left()
	if err == nil {
		return nil
	}
	return []string{fmt.Sprintf("nothing is landed: %v; gateways wait and keep what they have: start this engine "+
		"with the configuration of the lake's landing log", err)}
}

// confirms is what ingest asks before a gateway may let go of what has landed; nil: it
// need not. A directory is read by whoever moves the lake when no engine has it open.
func (s *Server) confirms() func(context.Context) error {
	if s.topic == nil || s.feeding == nil {
		return nil
	}
	return s.feeding.Confirm
}

// checkFollowed finds out whether a topic is the landing log of the lake that other
// engines write. A store that does not answer says nothing: an ingest does not wait for
// the lake.
func checkFollowed(ctx context.Context, cfg kafka.Config, store checkpoint.Store) error {
	id, err := kafka.Check(ctx, cfg)
	if err != nil {
		return KafkaProblem(err)
	}
	var field *config.FieldError
	if err = checkTopic(ctx, cfg, store, id); errors.As(err, &field) {
		return err
	}
	return nil
}

// CheckFollowed finds out, changing nothing, whether the topic of an engine without
// tasks is the landing log of the lake whose store is given. Errors: config.FieldErrors,
// kafka.ErrUnavailable.
func CheckFollowed(ctx context.Context, fsys durable.FS, c *Config, store checkpoint.Store) error {
	cfg, err := c.Landing.Kafka.LogConfig(fsys)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	return checkFollowed(ctx, cfg, store)
}
