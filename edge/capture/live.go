package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"landfall/decoders/nmea"
	"landfall/edge/care"
	"landfall/edge/clock"
	"landfall/edge/pulse"
	"landfall/edge/record"
	"landfall/edge/source"
)

// Source is one way in. Sources of edge/source are such.
type Source interface {
	// Name is unique among the sources and stays the same over restarts.
	Name() string
	// Resend tells whether what was not durable comes again after a restart.
	Resend() bool
	// Run delivers until ctx ends, or a bounded source has given all (nil), or
	// trying again cannot help. All it started has ended when it returns.
	Run(ctx context.Context, sink source.Sink) error
	// Status describes it now; from any goroutine.
	Status() source.Status
}

// Log takes groups of records; seglog.Store is one.
type Log interface {
	// Append makes a group durable before it returns nil (C1). After an error
	// the same group may be appended again, by the same goroutine.
	Append(b *record.Builder) (record.Offset, error)
	// Marks gives the last durable mark of each name.
	Marks() map[string][]byte
}

// LiveConfig configures a Live.
type LiveConfig struct {
	Log     Log         // required
	Clock   clock.Clock // required
	Sources []Source    // at least one, names unique

	// GroupInterval is how long a record waits for others before it is
	// committed. 0: 250 ms.
	GroupInterval time.Duration
	// GroupBytes commits a group before that, once it is that large. 0: 64 KiB.
	GroupBytes int
	// StopTimeout bounds how long Run tries to commit what it still has after
	// ctx ended, when the log takes nothing. 0: 5 s.
	StopTimeout time.Duration

	Assembler  nmea.AssemblerConfig
	Watermarks clock.WatermarkConfig
	// ClockFloor is a time that is past for sure; see clock.EstimatorConfig. 0:
	// none.
	ClockFloor record.Micros
	// ForgetClock tells whether an operator wants what is known of the time to be
	// forgotten; it is asked at each judgement, by Run's goroutine. ClockForgotten is
	// called, once, when that is durable, and makes ForgetClock say no; after its error
	// the clock is not forgotten again in this run. Nil: nobody wants it.
	ForgetClock    func() bool
	ClockForgotten func() error
	// Fatal tells whether an error of Append cannot pass by itself; nil: none
	// is. Others are tried again for ever.
	Fatal func(error) bool
	// Look is shown what each source delivers, before it waits for its turn; it
	// keeps nothing and does not block, and many goroutines call it. Nil: nobody
	// looks.
	Look   func(source string, b *source.Batch)
	Care   *care.Care   // refuses lines of which the gateway died; nil refuses none
	Pulse  *pulse.Pulse // of Run; nil: nobody asks
	Logger *slog.Logger // nil: none
}

// maxGroupBytes leaves room in a block for a batch, the fragments that waited
// and the marks of all senders.
const maxGroupBytes = record.MaxBlockBytes / 2

// Validate names the first field that cannot be used.
func (c *LiveConfig) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("log: missing")
	case c.Clock == nil:
		return errors.New("clock: missing")
	case len(c.Sources) == 0:
		return errors.New("sources: there are none")
	case c.GroupInterval < 0:
		return fmt.Errorf("group_interval: %v is negative", c.GroupInterval)
	case c.GroupBytes < 0 || c.GroupBytes > maxGroupBytes:
		return fmt.Errorf("group_bytes: %d is not in 0..%d", c.GroupBytes, maxGroupBytes)
	case c.StopTimeout < 0:
		return fmt.Errorf("stop_timeout: %v is negative", c.StopTimeout)
	}
	names := map[string]bool{}
	for _, s := range c.Sources {
		if names[s.Name()] {
			return fmt.Errorf("sources: two are named %q", s.Name())
		}
		names[s.Name()] = true
	}
	if err := validateFloor(c.ClockFloor); err != nil {
		return err
	}
	if err := c.Watermarks.Validate(); err != nil {
		return fmt.Errorf("watermarks: %w", err)
	}
	return nil
}

// Live captures from sources into the log.
type Live struct {
	shared  sharedClock
	untimed atomic.Uint64
	cfg     LiveConfig
	guards  []*care.Guard     // of sources, by number; read only
	marks   map[string][]byte // as of the start; read only
	queue   chan delivery
	room    *semaphore.Weighted // bytes of batches that were delivered and not taken
	stop    context.Context     // ended: nothing more is taken
	halt    context.CancelFunc  // ends stop
	group   *group              // Run's goroutine only
	// patience ends StopTimeout after Run's ctx; Run's goroutine only.
	patience context.Context
	stats    liveStats
}

// delivery is a batch and the source it came from, or that source's end.
type delivery struct {
	source uint32
	batch  *source.Batch // nil: the source has ended
}

// What sources have read ahead of capture is bounded in batches and in bytes. A batch
// that is larger than all of it waits until it is alone.
const (
	queueBatches = 64
	queueBytes   = 8 << 20
)

// QueueBytes is what batches that wait for capture hold at most, of all sources together.
const QueueBytes = queueBytes

// queuedBytes is what a batch takes of the queue.
func queuedBytes(b *source.Batch) int64 {
	const ofBatch, ofLine = 256, 64 // beside the bytes of the lines, about
	n := int64(ofBatch)
	for i := range b.Lines {
		n += ofLine + int64(len(b.Lines[i].Data))
	}
	return min(n, queueBytes)
}

// NewLive makes a Live. It touches nothing.
func NewLive(cfg LiveConfig) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	if cfg.GroupInterval == 0 {
		cfg.GroupInterval = 250 * time.Millisecond
	}
	if cfg.GroupBytes == 0 {
		cfg.GroupBytes = 64 << 10
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = 5 * time.Second
	}
	if cfg.Fatal == nil {
		cfg.Fatal = func(error) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Live{cfg: cfg, queue: make(chan delivery, queueBatches), room: semaphore.NewWeighted(queueBytes)}
	for _, s := range cfg.Sources {
		l.guards = append(l.guards, cfg.Care.Guard(s.Name()))
	}
	l.stop, l.halt = context.WithCancel(context.Background())
	l.stats.status.Watermark.At = record.NoTime
	return l, nil
}

// Run captures until ctx ends or every source has ended. What was taken before
// is durable when it returns nil, or the errors of sources alone. Errors: what Fatal
// says is fatal, records that could not be committed at the end, and where every
// source has ended by itself those with which sources ended, as a mark that cannot be
// understood: then not everything was captured that is there.
func (l *Live) Run(ctx context.Context) error {
	l.cfg.Pulse.Begin()
	defer l.cfg.Pulse.End()
	l.marks = l.cfg.Log.Marks()
	g, err := newGroup(l)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	l.group = g
	patience, impatient := context.WithCancel(context.Background())
	defer impatient()
	l.patience = patience
	defer context.AfterFunc(ctx, func() { time.AfterFunc(l.cfg.StopTimeout, impatient) })()
	running, cancel := context.WithCancel(ctx)
	var sources sync.WaitGroup
	failed := make([]error, len(l.cfg.Sources)) // each by its source, read when all have ended
	for i, s := range l.cfg.Sources {
		sources.Go(func() { failed[i] = l.runSource(running, uint32(i), s) })
	}
	ended := make(chan struct{})
	go func() {
		sources.Wait()
		close(ended)
	}()
	err = l.loop(ctx, ended)
	cancel()
	if err == nil {
		err = l.drain(ended)
	}
	l.halt()
	<-ended
	if err == nil {
		err = l.finish(ctx)
	}
	if err == nil && ctx.Err() == nil {
		err = errors.Join(failed...)
	}
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// runSource runs a source, and returns the error with which it ended by itself.
func (l *Live) runSource(ctx context.Context, i uint32, s Source) error {
	err := s.Run(ctx, sink{l, i})
	if ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		l.cfg.Logger.Error("source ended with an error", "source", s.Name(), "error", err)
		err = fmt.Errorf("source %s ended: %w", s.Name(), err)
	}
	select {
	case l.queue <- delivery{source: i}:
	case <-l.stop.Done():
	}
	return err
}

// sink is what one source sees of a Live.
type sink struct {
	l      *Live
	source uint32
}

// errStopping is what a source gets when the gateway stops.
var errStopping = errors.New("capture is stopping")

// Deliver implements source.Sink.
func (s sink) Deliver(b *source.Batch) error {
	if look := s.l.cfg.Look; look != nil {
		look(s.l.cfg.Sources[s.source].Name(), b)
	}
	s.waitForSuspects(b)
	if s.l.room.Acquire(s.l.stop, queuedBytes(b)) != nil {
		return errStopping
	}
	select {
	case s.l.queue <- delivery{s.source, b}:
		return nil
	case <-s.l.stop.Done():
		return errStopping
	}
}

// waitForSuspects waits with a line of which the gateway died, here and not in Run's
// goroutine, so that other sources go on meanwhile.
func (s sink) waitForSuspects(b *source.Batch) {
	guard := s.l.guards[s.source]
	if !guard.Active() {
		return
	}
	for i := range b.Lines {
		if !b.Lines[i].Reading {
			guard.Wait("", b.Lines[i].Data)
		}
	}
}

// Position implements source.Sink.
func (s sink) Position(mark string) []byte { return s.l.marks[mark] }

// Marks implements source.Sink.
func (s sink) Marks(prefix string) []string {
	var names []string
	for name := range s.l.marks {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// loop takes batches and commits groups until ctx ends, all sources have, or
// the log is beyond help.
func (l *Live) loop(ctx context.Context, ended chan struct{}) error {
	timer := time.NewTimer(l.cfg.GroupInterval)
	defer timer.Stop()
	for {
		l.cfg.Pulse.Beat() // at least once in GroupInterval, whether or not anything comes
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case d := <-l.queue:
			opened := l.group.builder.Count() == 0
			l.take(d)
			if opened {
				timer.Reset(l.cfg.GroupInterval)
			}
			if !l.group.due(len(l.queue) == 0) {
				continue
			}
		case <-timer.C:
			timer.Reset(l.cfg.GroupInterval)
			if len(l.queue) == 0 {
				l.group.quiet()
				l.stats.took(l.group)
			}
		}
		if err := l.commit(); err != nil {
			return err
		}
	}
}

func (l *Live) take(d delivery) {
	if d.batch == nil {
		l.group.ended(d.source)
		return
	}
	l.room.Release(queuedBytes(d.batch))
	l.group.take(d.source, d.batch)
	l.stats.took(l.group)
}

// drain takes what the sources still deliver while they end.
func (l *Live) drain(ended chan struct{}) error {
	for {
		select {
		case d := <-l.queue:
			l.take(d)
			// A source may wait, at its end too, for what it delivered.
			if l.group.due(len(l.queue) == 0) {
				if err := l.commit(); err != nil {
					return err
				}
			}
		case <-ended:
			if len(l.queue) == 0 {
				return nil
			}
		}
	}
}

// finish commits what there is when nothing more comes. When all sources have
// ended, what waits for partners is given up. Else that of sources that resend
// waits on: in this block or, when there is none, in the source itself, which
// gives again what no block has.
func (l *Live) finish(ctx context.Context) error {
	if ctx.Err() == nil {
		l.group.capturer.Flush()
	} else {
		l.group.capturer.FlushLive()
	}
	return l.commit()
}

// commit brings the group to C1, however long that takes: while the log takes
// nothing, nothing is read from the queue and the sources wait.
func (l *Live) commit() error {
	g := l.group
	if g.builder.Count() == 0 {
		g.settleEmpty()
		return g.err
	}
	if err := g.annotate(); err != nil {
		return err
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := l.cfg.Log.Append(g.builder)
		l.cfg.Pulse.Beat()
		if err == nil {
			// Append passed C1: the group is durable; only now is anybody told.
			l.stats.committed(l.cfg.Clock, g)
			l.clockForgotten(g)
			g.committed()
			return nil
		}
		if l.stats.blocked(l.cfg.Clock, err) {
			l.cfg.Logger.Warn("the log takes nothing: sources wait", "records", g.builder.Count(), "error", err)
		}
		if l.cfg.Fatal(err) {
			return fmt.Errorf("append a group of %d records: %w", g.builder.Count(), err)
		}
		if !pause(l.patience, wait) {
			return fmt.Errorf("give up a group of %d records at the end: %w", g.builder.Count(), err)
		}
	}
}

// clockForgotten says that it is durable that nothing is known of the time, if the
// group says so.
func (l *Live) clockForgotten(g *group) {
	if _, said := g.at[ClockMark]; !said || !g.timing.forgot || l.cfg.ClockForgotten == nil {
		return
	}
	if err := l.cfg.ClockForgotten(); err != nil {
		l.cfg.Logger.Error("the clock is forgotten, and will be once more at the next start", "error", err)
		return
	}
	g.timing.forgot = false
	l.cfg.Logger.Info("what was known of the time is forgotten, as an operator wanted")
}

// pause waits and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
