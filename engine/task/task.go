package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/published"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// Why waiting for the next block ends.
var (
	errEpochDue = errors.New("epoch is due")            // its time is up
	errHeadDue  = errors.New("HEAD is to be looked at") // Config.HeadInterval is over
	errOver     = errors.New("the committer is over")
	// errHoldOver ends a claim: the next one reads what was held back again.
	errHoldOver = errors.New("what the landing log holds back is overdue")
)

// loop is one claim of one task.
type loop struct {
	cfg       Config
	committer *checkpoint.Committer
	processor *processor
	reader    landing.Reader

	position stream.Position
	batches  [2]table.Batch
	writer   *writer // of the open epoch; nil: no block of it was read yet
	records  uint64  // taken before the open epoch
	promises promises

	// crowded says that the landing log has no room, so that nothing is held back: the
	// claim before found it so, or this one when it looked last.
	crowded bool

	care  care
	costs costs
	last  Costs // as of the newest committed epoch

	cut atomic.Bool // the landing log was cut below the reader: nothing more is released
}

// Run claims the partition and works on it until ctx ends, its bounded landing
// log ends, or an error stops it. When ctx ends, what was read is committed and
// published within Config.CommitTimeout and Run returns nil. When it returns
// nil after a bounded log, the final epoch is published: everything that the
// log held is visible.
//
// The partition is claimed by whoever can go on from its checkpoint alone: state
// is restored, and the landing log opened, before HEAD is moved (see check). Where
// the landing log was cut, the task reads what it holds from its beginning on.
//
// Errors: stream.ErrFenced (another claim has the partition; the caller claims
// again only if the partition is still its own), landing.ErrPosition but for
// landing.ErrCut, checkpoint.ErrIdentity, ErrCorrupt, ErrVersion and
// record.ErrVersion (it needs an operator), and anything else, which may pass: run it
// again.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	crowded := false
	for {
		l := &loop{cfg: cfg, crowded: crowded}
		err, closed := l.claimed(ctx)
		if !errors.Is(err, errHoldOver) || closed != nil {
			return errors.Join(err, closed)
		}
		crowded = l.crowded // what ended this claim is what the next one acts on
	}
}

// claimed claims the partition once and works on it. closed is how the Committer ended
// after that.
func (l *loop) claimed(ctx context.Context) (err, closed error) {
	cfg := &l.cfg
	defer l.close()
	committer, err := l.claim(ctx)
	if err != nil {
		return err, nil
	}
	defer cfg.Published.Lost(cfg.id())
	l.committer = committer
	told := l.announce(ctx)
	err = l.run(ctx)
	l.endCare(ctx, err)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.CommitTimeout)
	defer cancel()
	if ctx.Err() == nil {
		closing = ctx // nobody is in a hurry: a bounded task waits for publishing
	}
	closed = committer.Close(closing)
	told()
	_ = l.cfg.Log.Release(l.cfg.Partition, stream.Position{}) // what is owed the next claim lets go
	return err, closed
}

// announce tells ingests of other engines how far the task has published, where
// there may be any. The function that it returns ends that.
func (l *loop) announce(ctx context.Context) (end func()) {
	if !l.cfg.Log.Shared() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &published.Announcer{
		Registry: l.cfg.Published, Store: l.cfg.Store, Task: l.cfg.id(), Claim: l.committer.ClaimID(), Alive: l.committer.Alive, Logger: l.cfg.Logger,
	}
	var own sync.WaitGroup
	own.Go(func() { a.Run(ctx) })
	return func() {
		cancel()
		own.Wait()
	}
}

func (l *loop) claim(ctx context.Context) (*checkpoint.Committer, error) {
	cfg := committing(&l.cfg)
	cfg.Check, cfg.Release = l.check, l.release
	return checkpoint.Claim(ctx, cfg)
}

// release lets the landing log go below a position, on the Committer's goroutine. Once
// the reader has found the landing log cut, other blocks may lie below the position,
// which nobody has read: it releases nothing then, and the next claim finds out what
// there is.
func (l *loop) release(_ context.Context, below stream.Position) error {
	if l.cut.Load() {
		l.cfg.Logger.Warn("the landing log was cut: nothing is let go of", "partition", l.cfg.Partition, "below", below)
		return nil
	}
	return release(&l.cfg, below)
}

// committing says how the task's checkpoints are made.
func committing(cfg *Config) checkpoint.Config {
	return checkpoint.Config{
		Store: cfg.Store, Sinks: cfg.Sinks, Task: cfg.id(), Partitions: cfg.Log.Partitions(),
		Writer: cfg.Writer, Schema: table.SchemaVersion, Decoder: strconv.Itoa(operator.DecoderVersion), Params: cfg.Params,
		Release:   func(_ context.Context, below stream.Position) error { return release(cfg, below) },
		Remake:    func(ctx context.Context, r checkpoint.Remaking) error { return remake(ctx, cfg, r) },
		AdoptLogs: LogsOf,
		OnPublished: func(_ stream.Epoch, logs []ledger.Log,
			tip ledger.Tip) {
			cfg.Published.Published(cfg.id(), logs, tip)
		},
		OnDamaged:      func(n int) { cfg.Counters.Damaged.Add(uint64(n)) },
		OnRemade:       func() { cfg.Counters.Remade.Add(1) },
		PublishBacklog: cfg.PublishBacklog, Pulse: cfg.Pulse, Logger: cfg.Logger,
	}
}

// release lets the landing log go below a position. What it has lost it need not be
// told to let go.
func release(cfg *Config, below stream.Position) error {
	err := cfg.Log.Release(cfg.Partition, below)
	if errors.Is(err, landing.ErrCut) {
		cfg.Logger.Warn("the landing log has lost what is to be let go of", "partition", cfg.Partition, "below", below,
			"error", err)
		return nil
	}
	return err
}

// run works from where check found the task to go on.
func (l *loop) run(ctx context.Context) error {
	manifest := l.committer.Manifest()
	l.cfg.Published.Claimed(l.cfg.id(), l.processor.allLogs(), manifest.Ledger)
	l.cfg.Counters.Contradictions.reset(l.processor.contradicting())
	l.askAgain()
	if manifest.Final {
		return nil
	}
	l.last = l.processor.costs(map[string]Cost{}, nil)
	l.cfg.Counters.Oldest.Store(0) // whatever an earlier claim read is read again
	l.cfg.Claimed(l.status(l.processor.watermarks()), l.committer.Stats)
	if err := l.beginCare(ctx); err != nil {
		return stopped(ctx, err)
	}
	for {
		ended, err := l.epoch(ctx)
		if err != nil || ended {
			return err
		}
		if l.overdue() != nil {
			return errHoldOver
		}
	}
}

// epoch reads until the epoch is due and commits it. It says true when nothing
// follows: the log ended, or ctx did.
func (l *loop) epoch(ctx context.Context) (ended bool, err error) {
	defer l.drop()
	final, err := l.fill(ctx)
	if err != nil {
		return true, err
	}
	stopped := ctx.Err() != nil
	if l.writer == nil && !final {
		return stopped, nil
	}
	patient, cancel := l.patient(ctx)
	defer cancel()
	if err := l.commit(patient, final); err != nil {
		return true, err
	}
	return stopped || final, nil
}

// patient gives a context that outlives ctx by CommitTimeout, whenever that
// ends: a commit that has begun is not given up for a stop, or the next start
// would do the epoch again.
func (l *loop) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	patient, impatient := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() { time.AfterFunc(l.cfg.CommitTimeout, impatient) })
	return patient, func() {
		unhook()
		impatient()
	}
}

// fill reads blocks until the epoch is due by time, records or bytes, ctx ends,
// or the log does (final).
func (l *loop) fill(ctx context.Context) (final bool, err error) {
	reading, cancel := l.working(ctx)
	defer cancel()
	l.records = l.cfg.Counters.Records.Load()
	for {
		landed, after, err := l.next(reading)
		if err = noEnd(l.cfg.Log, err); errors.Is(err, landing.ErrCut) {
			l.cut.Store(true)
		}
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil && errors.Is(context.Cause(reading), errOver):
			return false, l.committer.Err()
		case err != nil && (ctx.Err() != nil || errors.Is(context.Cause(reading), errEpochDue)):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read partition %d after %s+%d: %w", l.cfg.Partition, l.position.Log, l.position.Offset, err)
		}
		if l.writer == nil {
			if err := l.beginAttempt(ctx, &landed); err != nil {
				return false, stopped(ctx, err)
			}
			if err := l.begin(); err != nil {
				return false, err
			}
			l.cfg.Counters.Oldest.Store(int64(landed.LandedAt))
			due, cancel := context.WithTimeoutCause(reading, l.cfg.EpochInterval, errEpochDue)
			defer cancel() // once: the writer is nil only before an epoch's first block
			reading = due
		}
		if err := l.take(&landed, after); err != nil {
			return false, err
		}
		if l.full() || l.committer.Err() != nil {
			return false, nil
		}
	}
}

// stopped returns nil for an error that is the end of ctx, before anything was read.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// working returns a context that ends with ctx, and with the committer: what
// fails beside a task that waits is not to wait for the next block.
func (l *loop) working(ctx context.Context) (context.Context, context.CancelFunc) {
	working, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.committer.Context(), func() { cancel(errOver) })
	return working, func() {
		stop()
		cancel(nil)
	}
}

// next waits for the next block. While there is none it looks at HEAD from time
// to time: a task without work learns there, too, that another claim has taken
// its partition, or that its checkpoint was put back.
func (l *loop) next(ctx context.Context) (landing.Landed, stream.Position, error) {
	for {
		if landed, after, ok, err := l.poll(ctx); ok || err != nil {
			return landed, after, err
		}
		waiting, cancel := context.WithTimeoutCause(ctx, l.cfg.HeadInterval, errHeadDue)
		landed, after, err := l.reader.Next(waiting)
		due := ctx.Err() == nil && errors.Is(context.Cause(waiting), errHeadDue)
		cancel()
		if due && l.writer == nil && l.overdue() != nil {
			return landing.Landed{}, stream.Position{}, errHoldOver
		}
		if err == nil || errors.Is(err, io.EOF) || !due {
			return landed, after, err
		}
		if err := l.committer.CheckHead(ctx); errors.Is(err, stream.ErrFenced) || errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrVersion) {
			return landing.Landed{}, stream.Position{}, err
		} else if err != nil {
			l.cfg.Logger.Warn("HEAD could not be read; it is looked at again", "task", l.cfg.id().String(), "error", err)
		}
	}
}

// noEnd hides an io.EOF of a log that does not end, so that it is an error that may
// pass: a task that takes it for the end commits an epoch that says so, and takes
// nothing of that log ever again.
func noEnd(log landing.Log, err error) error {
	if !errors.Is(err, io.EOF) || landing.IsBounded(log) {
		return err
	}
	return fmt.Errorf("the landing log says that it has ended, and it never ends: %v", err)
}

// begin opens an epoch.
func (l *loop) begin() error {
	stages, err := l.committer.Begin()
	if err != nil {
		return err
	}
	lane := l.cfg.Lane
	if l.care.alone {
		lane = nil
	}
	l.writer = startWriter(stages, &l.batches, lane)
	return nil
}

// take turns one landed block into rows on their way to the stages. Errors: those of
// the processor; stream.ErrPanic, after which the task is to begin again.
func (l *loop) take(landed *landing.Landed, after stream.Position) (err error) {
	defer stream.Recover(&err)
	l.cfg.Pulse.Begin()
	defer l.cfg.Pulse.End()
	batch, err := l.rows(landed, after, l.writer.next())
	if err != nil {
		return err
	}
	l.care.blocks++
	if what := l.cfg.Counters.LastPanic.Swap(nil); what != nil {
		l.cfg.Logger.Error("the decoder panicked on a record, which is in the table record alone, with reject_reason "+
			"panic: this is a fault of the program, please report it", "gateway", landed.Gateway, "partition", l.cfg.Partition,
			"position", after, "panic", *what)
	}
	l.kept()
	l.ask()
	l.cfg.Read(landed)
	l.cfg.Look(landed, batch)
	l.writer.write(landed.Gateway, batch)
	l.position = after
	return nil
}

// rows makes the rows of a block, while no other task of the process has a suspect
// block before it, and returns the batch with the last of them. The others are on their
// way to the stages then.
func (l *loop) rows(landed *landing.Landed, after stream.Position, batch *table.Batch) (*table.Batch, error) {
	if !l.care.alone {
		l.cfg.Lane.mu.RLock()
		defer l.cfg.Lane.mu.RUnlock()
	}
	work, began := Work{Blocks: 1, Bytes: uint64(len(landed.Block))}, time.Now()
	l.processor.spill = func(full *table.Batch) (*table.Batch, error) {
		work.Took += time.Since(began)
		work.Rows += uint64(countRows(full))
		defer func() { began = time.Now() }()
		l.cfg.Look(landed, full)
		if !l.care.alone { // the writer needs it, and whoever wants the Lane alone goes first
			l.cfg.Lane.mu.RUnlock()
			defer l.cfg.Lane.mu.RLock()
		}
		l.writer.write(landed.Gateway, full)
		return l.writer.next(), nil
	}
	last, err := l.processor.pieces(landed, after, batch)
	now := time.Now()
	work.Took += now.Sub(began)
	if err == nil {
		work.Rows += uint64(countRows(last))
	}
	l.costs.add(landed.Gateway, work, now)
	return last, err
}

// datesEpochRecords is how many records an epoch has at least that ends because many
// dates are open: each epoch costs all gateways time, and who sends wild event times is
// not to end one after the other. Of fewer records those of more dates go under the date
// on which they landed.
const datesEpochRecords = 1 << 14

// full says that the epoch is due by its size, or by its dates.
func (l *loop) full() bool {
	n := l.cfg.Counters.Records.Load() - l.records
	return l.care.note.Blocks > 0 && l.care.blocks >= l.care.note.Blocks ||
		n >= uint64(l.cfg.EpochRecords) || n >= datesEpochRecords && l.writer.dates.Load() || l.writer.full(l.cfg.EpochBytes)
}

// commit ends the epoch. The order of its steps, and what a crash after each
// leaves, stands above checkpoint.Committer.Commit.
func (l *loop) commit(ctx context.Context, final bool) (err error) {
	defer stream.Recover(&err)
	if l.writer == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	batch := l.writer.next()
	logs := l.processor.end(l.committer.Manifest().Epoch+1, final, batch)
	l.writer.write("", batch)
	stages, err := l.finish()
	if err != nil {
		return fmt.Errorf("stage rows up to %s+%d: %w", l.position.Log, l.position.Offset, err)
	}
	dates := map[string]int{}
	for _, stage := range stages {
		l.cfg.Counters.Rows.Add(uint64(stage.Rows()))
		l.elsewhere(stage, dates)
	}
	watermarks := l.processor.watermarks()
	err = l.committer.Commit(ctx, checkpoint.Cut{
		Position: l.position, Hold: l.processor.hold(), Stages: stages, Snapshot: l.processor.state.Snapshot, Watermarks: watermarks, Logs: logs, Final: final,
		OnSealed: l.sealed,
	})
	if err != nil {
		return err
	}
	l.cfg.Counters.Epochs.Add(1)
	l.cfg.Counters.Oldest.Store(0)
	l.last = l.processor.costs(l.costs.end(time.Now()), dates)
	l.cameThrough(ctx)
	l.cfg.Progress(l.status(watermarks))
	return nil
}

// elsewhere counts the rows that a stage filed under another date than that of their
// event time, and adds up the dates that are open of each gateway.
func (l *loop) elsewhere(stage stream.Stage, dates map[string]int) {
	dated, ok := stage.(stream.Dated)
	if !ok {
		return
	}
	for gateway, n := range dated.Dates() {
		dates[gateway] += n
	}
	for gateway, n := range dated.Elsewhere() {
		l.processor.overBy(OverDates, &l.cfg.Counters.FarDates)(gateway, int(n))
	}
}

// status tells how the task stands at its last checkpoint.
func (l *loop) status(watermarks []stream.Watermark) Status {
	return Status{
		Task: l.cfg.id(), Epoch: l.committer.Manifest().Epoch, Position: l.position,
		Watermarks: watermarks, Checkpoint: l.committer.Stats(), Hold: l.committer.Manifest().Hold, Short: l.processor.shortLogs(),
		Lacking: l.lacking(), Over: l.processor.over.list(), Costs: l.last, Aside: l.processor.asideBlocks(),
	}
}

// finish takes the stages back from the writer. When staging failed they are
// abandoned.
func (l *loop) finish() ([]stream.Stage, error) {
	l.cfg.Pulse.Begin()
	defer l.cfg.Pulse.End()
	stages, err := l.writer.finish()
	now := time.Now()
	for gateway, took := range l.writer.took {
		if gateway != "" {
			l.costs.add(gateway, Work{Took: took}, now)
		}
	}
	l.writer = nil
	if err != nil {
		abandon(stages)
		return nil, err
	}
	return stages, nil
}

// drop ends an epoch that is not to be committed.
func (l *loop) drop() {
	defer l.leaveLane()
	if l.writer == nil {
		return
	}
	if stages, err := l.finish(); err == nil {
		abandon(stages)
	}
}

func abandon(stages []stream.Stage) {
	for _, stage := range stages {
		stage.Abandon()
	}
}
