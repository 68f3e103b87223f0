package server

import (
	"context"
	"sync"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/move"
	"landfall/engine/published"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// publishSlack is how long an epoch may take from its commit until it is visible
// and read back, when all is well.
const publishSlack = 10 * time.Second

// follow makes what knows how far each log is in the lake. Of a directory this
// engine has every task; the tasks of a topic are followed through the lake's store,
// where there is one.
func (s *Server) follow() {
	s.published = published.New(published.Config{Landing: s.log.ID(), Partitions: s.log.Partitions(),
		AgainIn: s.cfg.Epoch.Interval + publishSlack})
	store := s.watched()
	if s.topic == nil || store == nil || !s.cfg.Runs(RoleIngest) {
		return
	}
	cfg := published.FollowConfig{
		Registry: s.published, Store: store, LogsOf: task.LogsOf, Logger: s.opt.Logger,
		Check: func(ctx context.Context) error { return s.feeds(ctx, store) },
	}
	for p := range s.log.Partitions() {
		cfg.Tasks = append(cfg.Tasks, stream.TaskID{Landing: string(s.log.ID()), Partition: p})
	}
	s.follower = published.NewFollower(cfg)
}

// feeds is nil when the landing log feeds the lake in store: of another lake nothing
// may be told. Gateways are told then which lake it is, where that is known.
func (s *Server) feeds(ctx context.Context, store checkpoint.Store) error {
	if err := move.Check(ctx, store, s.landsIn()); err != nil {
		return err
	}
	lake, err := checkpoint.FindLakeID(ctx, store)
	s.published.Feeds(lake)
	return err
}

// feedsLake has gateways told which lake it is that an engine with tasks feeds, nil: it
// has none. It makes the lake's identity where there is none.
func (s *Server) feedsLake(ctx context.Context, store checkpoint.Store) error {
	if store == nil {
		return nil
	}
	lake, err := checkpoint.LakeID(ctx, store)
	s.published.Feeds(lake)
	return err
}

// following runs the follower until the function that it returns is called.
func (s *Server) following() (end func()) {
	if s.follower == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var own sync.WaitGroup
	own.Go(func() { s.follower.Run(ctx) })
	return func() {
		cancel()
		own.Wait()
	}
}

// tells returns what tells ingest what is published; nil: nobody does.
func (s *Server) tells() ingest.Published {
	if s.topic != nil && s.follower == nil {
		return nil
	}
	return s.published
}

// What a Status says of how gateways learn what is published.
const (
	Tells       = "told"
	TellsNobody = "not told: lake.dir is not set, so gateways let go of what has landed"
)

// telling is for Status.Published; empty of an engine without the role ingest.
func (s *Server) telling() string {
	switch {
	case !s.cfg.Runs(RoleIngest):
		return ""
	case s.tells() == nil:
		return TellsNobody
	}
	return Tells
}

// followReasons says what of other engines' tasks cannot be read.
func (s *Server) followReasons() []string {
	if s.follower == nil {
		return nil
	}
	return s.follower.Problems()
}
