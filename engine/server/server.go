package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/pulse"
	"landfall/edge/wire"
	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/landing/kafka"
	"landfall/engine/move"
	"landfall/engine/published"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
)

// Options are what the engine gets beside its configuration.
type Options struct {
	// Store holds checkpoints. Required of an engine with tasks.
	Store checkpoint.Store
	// Followed is the store of the lake that the tasks of other engines write, for an
	// ingest that has none itself; it is only read, and need not answer yet. Nil: Store,
	// and without that gateways are not told what is published.
	Followed checkpoint.Store
	// Sinks makes the sinks of one run of one task. Required of an engine with
	// tasks.
	Sinks func() ([]stream.Sink, error)
	// TypedRows gives a batch's rows as they will stand in the tables, with Table,
	// Source where the table has one, and Row, for who looks. It is called from many
	// goroutines; nil: tap has no stage of them.
	TypedRows func(*table.Batch) []TypedRow
	// SinkStatus tells what the sinks beside the lake did; nil: there are none.
	SinkStatus func() []SinkStatus
	// FileSize returns the length of a published file of the lake, for presence.Watch;
	// nil disables it.
	FileSize func(ctx context.Context, name string) (int64, error)
	// WatchSinks looks after those sinks until its context ends, which is when Run
	// does; nil: nobody.
	WatchSinks func(context.Context)
	// FS is the file system of the landing log; nil: durable.OS.
	FS      durable.FS
	Logger  *slog.Logger // nil: silence
	Version string       // of the program, for status and manifests
	Ready   func()       // called once by Run, when the engine works; nil: nobody waits
	// CertFloor is a time that is surely past, like that of the build.
	CertFloor time.Time
	// Links are the connections that Store and Sinks make with certificates.
	Links []Link
	// Memory is how much the process may have, for its status.
	Memory memory.Bound
}

// Server is an engine.
type Server struct {
	cfg     Config
	opt     Options
	started time.Time
	log     landingLog
	topic   *kafka.Log                  // log, when it is on Kafka; nil: it is embedded
	group   atomic.Pointer[kafka.Group] // of the engines that share the partitions; nil: none, or not joined
	ingest  *ingest.Handler             // nil: not this engine's role
	conns   *conns                      // of ingest
	unread  *ingest.Unread              // what landed here and its task has not read; nil: tasks are elsewhere
	tasks   []*supervisor
	// published knows how far each log is in the lake: of the tasks of this engine, and
	// of those that follower follows.
	published *published.Registry
	follower  *published.Follower // nil: the landing log is this engine's alone, or there is no lake
	certs     *certs.Keeper       // nil: plain HTTP
	links     []Link              // to brokers and to the store, those with certificates
	feeding   *move.Watch         // whether the landing log feeds the lake; nil: nobody says
	landing   pulse.Pulse
	taps      taps
	access    *page.Access           // to the status page
	warning   atomic.Pointer[string] // stays in Status; nil: none
}

// New makes the engine's parts and takes the landing log's directory, or asks
// the brokers for its topic, until ctx ends; nothing is taken or read before
// Run. Errors: config.FieldErrors, durable.ErrLocked when another process runs
// on the directory, kafka.ErrUnavailable while no broker answers, and those of
// the parts.
func New(ctx context.Context, cfg Config, opt Options) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Runs(RoleTasks) && (opt.Store == nil || opt.Sinks == nil) {
		return nil, errors.New("server: Store and Sinks are required of an engine with tasks")
	}
	if opt.FS == nil {
		opt.FS = durable.OS{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Ready == nil {
		opt.Ready = func() {}
	}
	s := &Server{cfg: cfg, opt: opt, started: time.Now(), links: slices.Clone(opt.Links), access: page.NewAccess(cfg.Status, cfg.StatusHosts...),
		conns: newConns(connectionsOf(cfg.Limits.Sessions))}
	if err := s.openLog(ctx); err != nil {
		return nil, err
	}
	s.watch()
	s.follow()
	err := s.feedsLake(ctx, s.lake())
	if err == nil {
		err = s.assemble()
	}
	if err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	return s, nil
}

// assemble makes the tasks and ingest, in this order.
func (s *Server) assemble() error {
	room := &reserved{Log: s.log, fs: s.opt.FS, dir: s.lakeDir(), bytes: uint64(s.cfg.Landing.Reserve), now: time.Now,
		pulse: &s.landing, left: s.left}
	if !s.cfg.Landing.Kafka.Used() {
		room.own = s.cfg.Landing.Dir
	}
	if s.topic == nil {
		s.unread = ingest.NewUnread(s.log.Partitions(), nil)
	}
	process, lane := rand.Text(), new(task.Lane)
	for p := 0; s.cfg.Runs(RoleTasks) && p < s.log.Partitions(); p++ {
		s.tasks = append(s.tasks, &supervisor{
			partition: p, sinks: s.opt.Sinks, run: task.Run, pulse: new(pulse.Pulse), logger: s.opt.Logger, counters: new(task.Counters), wait: sleep,
			state: TaskStopped, unread: s.unread,
			cfg: task.Config{
				Log: s.log, Partition: p, Store: s.opt.Store, Writer: "landfall-engine " + s.opt.Version,
				EpochInterval: s.cfg.Epoch.Interval, EpochRecords: s.cfg.Epoch.Records, EpochBytes: int64(s.cfg.Epoch.Size),
				Windows: s.cfg.Windows(), Published: s.published,
				Process: process, Lane: lane,
				Hold: s.cfg.Landing.Hold, Crowded: room.crowded(p),
				Unreadable:     func() uint64 { return s.log.Stats().DamagedOffsets },
				PublishBacklog: s.cfg.Epoch.PublishBacklog, CommitTimeout: s.cfg.DrainTimeout, Look: s.show, Read: s.read, Logger: s.opt.Logger,
			},
		})
	}
	for _, t := range s.tasks {
		if s.topic != nil {
			t.fenced = s.cfg.Landing.Kafka.SessionTimeout
		}
		if s.opt.FileSize != nil {
			t.files = s.watchOf(t.partition)
		}
	}
	if !s.cfg.Runs(RoleIngest) {
		return nil
	}
	err := s.openCerts()
	if err != nil {
		return err
	}
	identity := s.cfg.identity()
	if s.certs != nil {
		identity.VerifyClient = s.certs.VerifyClient
	}
	s.ingest, err = ingest.New(ingest.Config{
		Published: s.tells(), Confirm: s.confirms(),
		Log:      tapped{feed: &s.taps.landed, Log: room},
		Identity: identity, MaxRequestBytes: int64(s.cfg.Limits.RequestSize), MaxSessions: s.cfg.Limits.Sessions, MaxBodies: int64(s.cfg.Limits.Bodies),
		Unread: s.unread, MaxGateways: s.cfg.Limits.Gateways,
		GatewayBytes: int64(s.cfg.Limits.GatewayBytes), GatewayRequests: s.cfg.Limits.GatewayRequests, GatewaySessions: s.cfg.Limits.GatewaySessions,
		Logger: s.opt.Logger,
	})
	return err
}

// lakeDir is the lake's directory; empty in a bucket, and where other engines write
// the lake.
func (s *Server) lakeDir() string {
	if IsBucket(s.cfg.Lake.Dir) || !s.cfg.Runs(RoleTasks) {
		return ""
	}
	return s.cfg.Lake.Dir
}

// ingestGrace is how long requests may take to end at a stop.
const ingestGrace = 2 * time.Second

// Run serves and works until ctx ends. Steps of a stop, and what is left when
// each takes too long: requests end (2 s; gateways ask what landed), tasks
// commit and publish what they read (drain_timeout; redone after the next
// start), the landing log is closed. Run closes the Server.
func (s *Server) Run(ctx context.Context) error {
	listener, local, err := s.listen()
	if err != nil {
		return errors.Join(err, s.log.Close())
	}
	endTasks, err := s.work()
	if err != nil {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return errors.Join(err, local.Close(), s.log.Close())
	}
	endFollowing, endWatching := s.following(), s.watching()
	web, failed := s.serve(listener)
	s.opt.Logger.Info("engine runs", "listen", s.cfg.Listen, "version", s.opt.Version, "landing", s.log.ID(), "partitions", s.log.Partitions())
	s.opt.Ready()
	watching, endWatch := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	if s.opt.WatchSinks != nil {
		watch.Go(func() { s.opt.WatchSinks(watching) })
	}
	if s.opt.Store != nil {
		watch.Go(func() { s.lookForAcknowledged(watching, sleep) })
	}
	if s.opt.FileSize != nil && s.cfg.Lake.Look > 0 {
		watch.Go(func() { s.lookAtFiles(watching, sleep) })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	endWatch()
	watch.Wait()
	closeWeb(web)
	endTasks()
	endFollowing()
	endWatching()
	err = errors.Join(err, local.Close(), s.log.Close())
	s.opt.Logger.Info("engine stopped", "error", err)
	return err
}

// serve lets gateways in, when that is this engine's role; failed tells when it
// can no longer.
func (s *Server) serve(listener net.Listener) (web *http.Server, failed chan error) {
	mux := http.NewServeMux()
	web = &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute, MaxHeaderBytes: wire.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug), ConnState: s.conns.state,
	}
	failed = make(chan error, 1)
	if listener != nil {
		mux.Handle(wire.Path, s.ingest)
		go func() { failed <- web.Serve(listener) }() // ends with web
	}
	return web, failed
}

// listen opens the ingest's address, when it has one, and the status page.
func (s *Server) listen() (net.Listener, *page.Page, error) {
	var listener net.Listener
	var err error
	if s.ingest != nil {
		if listener, err = net.Listen("tcp", s.cfg.Listen); err != nil {
			return nil, nil, config.Listening("listen", "a free address of this machine", err)
		}
		listener = secure(bounded{listener, s.conns}, s.tls())
	}
	local, err := page.Serve(page.Config{
		Address: s.cfg.Status, Prefix: MetricsPrefix, Metrics: s.metrics,
		Status: func() any { return s.Status() }, Reasons: func() []string { return s.Status().Reasons }, Unready: s.unready, Tap: &s.taps, Access: s.access,
	})
	if err != nil {
		err = config.Listening("status", "a free address on loopback", err)
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return nil, nil, err
	}
	return listener, local, nil
}

// closeWeb lets requests end and then ends them.
func closeWeb(web *http.Server) {
	grace, cancel := context.WithTimeout(context.Background(), ingestGrace)
	defer cancel()
	if web.Shutdown(grace) != nil {
		_ = web.Close()
	}
}
