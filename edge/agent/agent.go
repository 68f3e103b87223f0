package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"landfall/decoders/nmea"
	"landfall/edge/capture"
	"landfall/edge/care"
	"landfall/edge/certs"
	"landfall/edge/clock"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
	"landfall/edge/tap"
)

// Options are what the daemon gets beside its configuration. Zero fields take
// their default.
type Options struct {
	FS      durable.FS   // nil: durable.OS
	Clock   clock.Clock  // nil: the machine's
	Logger  *slog.Logger // nil: silence
	Version string       // of the program, for status
	Ready   func()       // called once by Run, when the gateway works; nil: nobody waits

	// CertTime is the clock that certificates are judged by; nil: the corrected
	// one.
	// CertFloor is a time that is surely past, like that of the build.
	CertTime  func() time.Time
	CertFloor time.Time
	// Memory is how much the process may have, for its status.
	Memory memory.Bound
}

// Agent is a gateway's daemon.
type Agent struct {
	cfg     Config
	opt     Options
	started time.Time
	store   *seglog.Store
	session *forward.Session
	tips    *tipBook
	lost    *lostEnds
	unknown *unknownLogs
	care    *care.Care
	// introduction is closed when the cloud was asked which log it has newest.
	introduction chan struct{}
	live         *capture.Live
	certs        *certs.Keeper // nil: the link is plain HTTP
	brokers      []brokerCerts // of sources behind TLS
	pulses       pulses
	access       *page.Access           // to the status page
	warning      atomic.Pointer[string] // stays in Status; nil: none
	// received shows what sources read, to who looks.
	received tap.Feed
}

// stopTimeout bounds how long capture may take to make its last group durable.
const stopTimeout = 5 * time.Second

// New makes the daemon's parts and takes its data directory; nothing is
// captured or sent before Run. Errors: those of Validate and other
// config.FieldErrors, durable.ErrLocked when another process runs on the
// directory, forward.ErrRenamed, and those of the parts.
func New(cfg Config, opt Options) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := opt.setDefaults(); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, opt: opt, started: time.Now(), introduction: make(chan struct{}), access: page.NewAccess(cfg.Status, cfg.StatusHosts...)}
	if err := config.CheckDir(opt.FS, "data_dir", cfg.DataDir); err != nil {
		return nil, err
	}
	var err error
	storing := cfg.storeConfig(opt.FS, opt.Logger)
	landed, known := cfg.knownLogs(opt.FS)
	storing.Known = known
	if a.store, err = seglog.Open(storing); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if a.lost, err = openLostEnds(&cfg, &opt, a.store, landed); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	was, acked, err := forward.ReadSettled(opt.FS, cfg.ForwardState())
	if err != nil {
		a.opt.Logger.Warn("it is not known what of older logs the cloud has", "error", err) // assemble says the rest
	}
	if a.tips, err = openTips(&cfg, &opt, a.store, was, acked); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	a.unknown = &unknownLogs{fs: opt.FS, path: cfg.UnknownLogsFile(), clock: opt.Clock, logger: opt.Logger, end: a.knownEnd, begun: !cfg.readsFiles()}
	if err := a.unknown.open(); err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	boot := a.opt.Clock.Boot()
	a.care, err = care.Open(care.Config{FS: opt.FS, Dir: cfg.DataDir, Boot: [16]byte(boot), Now: a.wall, Logger: opt.Logger})
	if err != nil {
		return nil, errors.Join(err, a.store.Close())
	}
	if err := a.assemble(cmp.Or(was, a.tips.newestName(), cfg.Gateway)); err != nil {
		return nil, errors.Join(err, a.care.Close(), a.store.Close())
	}
	return a, nil
}

// wall is the machine's clock.
func (a *Agent) wall() record.Micros {
	wall, _ := a.opt.Clock.Now()
	return wall
}

func (o *Options) setDefaults() error {
	if o.FS == nil {
		o.FS = durable.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	if o.Clock == nil {
		boot, err := clock.ReadBootID(o.FS)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		o.Clock = clock.NewSystem(boot)
	}
	return nil
}

// assemble makes forwarding, sources and capture, in this order. was is the name that the
// data directory is of.
func (a *Agent) assemble(was string) error {
	tlsConfig, err := a.openCerts()
	if err != nil {
		return err
	}
	proxy, err := a.cfg.ProxyTo(a.opt.FS, a.opt.Logger)
	if err != nil {
		return err
	}
	release, _ := forward.ParseRelease(a.cfg.Forward.Release) // Validate checked it
	var introduce func(error)
	if a.cfg.readsFiles() {
		introduce = a.heardNewest
	}
	asks := a.unknown.was(&a.cfg, a.opt.FS)
	if was != a.cfg.Gateway {
		asks = was
	}
	a.session, err = forward.New(forward.Config{
		Newest: a.unknown.hear, Introduced: introduce, Was: asks, NewestWas: a.heardWas,
		Release: release, Lake: a.cfg.Forward.Lake,
		Clock: a.anchorsFor, Told: a.told, DigestAt: a.digestAt, Settled: a.tips.acked, Anchored: a.tips.anchored, OnAhead: a.lost.ahead,
		Gateway: a.cfg.Gateway, URL: a.cfg.Forward.URL, Store: a.store, FS: a.opt.FS, StatePath: a.cfg.ForwardState(),
		TLS: tlsConfig, Proxy: proxy, StallTimeout: a.cfg.Forward.Timeout, Tuning: a.cfg.Forward.tuning(), Pulse: &a.pulses.forward, Logger: a.opt.Logger,
	})
	if errors.Is(err, forward.ErrRenamed) {
		return fmt.Errorf("%w: %w", err, &config.FieldError{Key: "gateway", Got: a.cfg.Gateway, Want: "the name under which the log's records were captured, until they are forwarded"})
	}
	if err != nil {
		return err
	}
	if was != a.cfg.Gateway { // and the session does not refuse it: from Run on the directory is of the new name
		a.unknown.renamed(was, a.cfg.Gateway)
	}
	var sources []capture.Source
	var files []*source.File
	marks := a.store.Marks()
	nodes := new(source.Nodes) // known on every line
	for i := range a.cfg.Sources {
		s, err := a.cfg.newSource(i, making{fs: a.opt.FS, clock: a.opt.Clock, logger: a.opt.Logger, now: a.judges(), weak: a.weakly(), floor: a.opt.CertFloor, care: a.care})
		if err != nil {
			return err
		}
		if a.cfg.Sources[i].File != nil {
			if err := a.handOn(marks, fileOf(s)); err != nil {
				return err
			}
			files = append(files, fileOf(s))
			n, last := source.GapsIn(marks[s.Name()])
			renewNotes(a.opt.FS, a.opt.Logger, a.cfg.gapsBase(s.Name()), n, last)
			s = introduced{s, a}
		}
		if n, ok := s.(*source.Node); ok {
			n.Share(nodes)
		}
		if b, ok := s.(secured); ok {
			a.brokers = append(a.brokers, brokerCerts{s.Name(), b.certs})
		}
		sources = append(sources, s)
	}
	if err := a.keepApart(files); err != nil {
		return err
	}
	capturing := capture.LiveConfig{
		Log: a.store, Clock: a.opt.Clock, Sources: sources, Care: a.care, Look: a.show, Pulse: &a.pulses.capture, Logger: a.opt.Logger,
		GroupInterval: a.cfg.Capture.GroupInterval, GroupBytes: int(a.cfg.Capture.GroupSize), StopTimeout: stopTimeout,
		Assembler: nmea.AssemblerConfig{TimeoutMicros: a.cfg.Capture.FragmentLimit.Microseconds()},
		Watermarks: clock.WatermarkConfig{
			Disorder: a.cfg.Watermark.Disorder, IdleTimeout: a.cfg.Watermark.IdleTimeout, Tolerance: a.cfg.Watermark.Tolerance,
		},
		ClockFloor: clock.Floor,
		Fatal:      func(err error) bool { return errors.Is(err, seglog.ErrClosed) },
	}
	a.forgetting(&capturing)
	a.live, err = capture.NewLive(capturing)
	return err
}

// storeConfig gives the configuration of the log store.
func (c *Config) storeConfig(fsys durable.FS, logger *slog.Logger) seglog.Config {
	policy, _ := seglog.ParsePolicy(c.Log.WhenFull) // Validate checked it
	var names []string
	for i := range c.Sources {
		names = append(names, c.Sources[i].Name)
	}
	return seglog.Config{
		MarkOwner: source.MarkOwner, Owners: names,
		FS: fsys, Dir: c.LogDir(), SegmentBytes: int64(c.Log.SegmentSize), QuotaBytes: int64(c.Log.Quota),
		ReserveBytes: int64(c.Log.Reserve), Policy: policy, CapturedRecords: true, TailMarker: true, Logger: logger,
		BesideBytes: func() int64 {
			_, bytes := c.removedFilters(fsys)
			return bytes
		},
	}
}

// Run captures and forwards until ctx ends, or until all sources have ended and
// what they gave is forwarded. Steps of a stop, and what is left when each takes
// too long: sources end and the last group is made durable (5 s; what a sender
// resends, it resends); what is captured is forwarded (drain_timeout; it is
// forwarded after the next start); the ends of the logs are written down; the log
// is closed. Run closes the Agent.
func (a *Agent) Run(ctx context.Context) error {
	local, err := page.Serve(page.Config{
		Address: a.cfg.Status, Prefix: "landfall_edge_", Metrics: a.metrics,
		Status: func() any { return a.Status() }, Reasons: func() []string { return a.Status().Reasons },
		Unready: a.unready, Tap: tapHandler{a}, Access: a.access,
	})
	if err != nil {
		err = config.Listening("status", "a free address on loopback", err)
		return errors.Join(err, a.care.Close(), a.store.Close())
	}
	defer context.AfterFunc(ctx, a.care.Stop)()
	forwarding, stopForwarding := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = a.session.Run(forwarding) }) // its error is forwarding's
	a.opt.Logger.Info("gateway runs", "gateway", a.cfg.Gateway, "version", a.opt.Version, "sources", len(a.cfg.Sources), "ingest", a.cfg.Forward.URL)
	a.opt.Ready()
	err = a.live.Run(ctx)
	a.drain(ctx)
	stopForwarding()
	parts.Wait()
	a.lost.flush()
	a.tips.addEnded(a.cfg.Gateway, a.store, a.session.SettledOffsets()) // nothing is appended any more
	err = errors.Join(err, local.Close(), a.care.Close(), a.store.Close())
	a.opt.Logger.Info("gateway stopped", "pending", a.pending(), "error", err)
	return err
}

// drainPoll is how often drain looks.
const drainPoll = 20 * time.Millisecond

// ErrNoDrain is the cause of a context that ends because another Agent takes
// over at once: what is captured is forwarded by that one.
var ErrNoDrain = errors.New("another agent takes over")

// drain waits until everything captured is forwarded: for drain_timeout when
// ctx ended, else until it ends and for drain_timeout then.
func (a *Agent) drain(ctx context.Context) {
	if errors.Is(context.Cause(ctx), ErrNoDrain) {
		return
	}
	a.session.Hurry()
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(a.cfg.DrainTimeout, cancel) })()
	look := time.NewTicker(drainPoll)
	defer look.Stop()
	for a.pending() > 0 {
		select {
		case <-limit.Done():
			return
		case <-look.C:
		}
	}
}

// pending is the number of records captured and not acknowledged.
func (a *Agent) pending() uint64 { return a.session.Status().Pending }
