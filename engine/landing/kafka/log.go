package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Log is an open landing log.
type Log struct {
	cfg    Config
	id     landing.ID
	client *kgo.Client // for admin
	admin  *kadm.Client
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	own    sync.WaitGroup // goroutines

	blocks, bytes, failed, foreign, replaced, notReleased atomic.Uint64
	starts, ends                                          []atomic.Int64 // of each partition, as last seen; an end of -1: never

	settingsDue time.Time // of the next look at settings and registration; of watch

	releasing sync.Mutex // held while a Release is carried out; before mu

	mu         sync.Mutex
	producer   *producer               // nil: the next Append makes one; guarded by mu
	tails      map[string]landing.Tail // guarded by mu
	readers    map[*reader]bool        // guarded by mu
	owed       map[int]stream.Position // what could not be released, by partition; guarded by mu
	broken     error                   // the topic is another one, or another lake's: permanently; guarded by mu
	silent     error                   // the cluster did not answer last time; guarded by mu
	weak       error                   // the topic's settings promise less; guarded by mu
	unreleased error                   // why nothing may be released; nil: the lake's registration was confirmed; guarded by mu
	lakesSeen  int64                   // up to where the register says nothing of a lake that left; guarded by mu
	blind      error                   // why it cannot be read, for want of a right; guarded by mu
	closed     bool                    // guarded by mu
}

// askTimeout bounds one question to the cluster.
const askTimeout = 15 * time.Second

// Open opens the landing log, and makes its topic if it is absent. Errors:
// landing.ErrMismatch, naming what the topic is and what was asked for;
// LakeError when it feeds another lake; TopicError, with what must be changed; ErrUnavailable; others of the cluster, as that somebody may not do something.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return nil, fmt.Errorf("open landing log on Kafka: %w", err)
	}
	admin := kadm.NewClient(client)
	id, err := openTopic(ctx, admin, cfg)
	if err == nil && cfg.Lake.ID != "" {
		err = (&registry{cfg, admin, id}).register(ctx)
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("open landing log on Kafka: %w", unavailable(err))
	}
	l := &Log{
		cfg: cfg, id: id, client: client, admin: admin, starts: make([]atomic.Int64, cfg.Partitions), ends: make([]atomic.Int64, cfg.Partitions),
		tails: map[string]landing.Tail{}, readers: map[*reader]bool{}, owed: map[int]stream.Position{},
	}
	for i := range l.ends {
		l.ends[i].Store(-1)
	}
	if cfg.Lake.ID == "" {
		l.unreleased = errors.New("it was opened for no lake")
	}
	l.settingsDue = time.Now().Add(cfg.SettingsEvery)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.own.Go(l.watch)
	return l, nil
}

// Check says whether Open would take the topic, without making it or registering
// the lake: its identity, and "" when it is absent. Errors as of Open.
func Check(ctx context.Context, cfg Config) (landing.ID, error) {
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	cfg = cfg.withDefaults()
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return "", fmt.Errorf("ask Kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := describe(ctx, admin, cfg.Topic); errors.Is(err, kerr.UnknownTopicOrPartition) && cfg.ID == "" {
		return "", nil
	}
	id, err := openTopic(ctx, admin, cfg)
	if err == nil && cfg.Lake.ID != "" {
		r := &registry{cfg, admin, id}
		if err = r.rights(r.decide(ctx)); errors.Is(err, errUnregistered) {
			err = nil
		}
	}
	return id, unavailable(err)
}

// ID implements landing.Log: the topic's id, 32 hexadecimal digits.
func (l *Log) ID() landing.ID { return l.id }

// Partitions implements landing.Log.
func (l *Log) Partitions() int { return l.cfg.Partitions }

// Shared implements landing.Log.
func (l *Log) Shared() bool { return true }

// Tail implements landing.Log.
func (l *Log) Tail(gateway string) (landing.Tail, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.tails[gateway]
	return t, ok
}

// Tails implements landing.Log.
func (l *Log) Tails(partition int) map[string]landing.Tail {
	l.mu.Lock()
	defer l.mu.Unlock()
	return landing.TailsOf(l.tails, partition, l.cfg.Partitions)
}

// usable tells why the log cannot be used.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return landing.ErrClosed
	}
	return l.broken
}

// Reader implements landing.Log. It asks the cluster, for some seconds.
func (l *Log) Reader(partition int, from stream.Position) (landing.Reader, error) {
	start, err := l.place(partition, from)
	if err != nil {
		return nil, fmt.Errorf("read landing log %s, partition %d: %w", l.id, partition, notTheEnd(err))
	}
	r, err := l.open(int32(partition), from, start)
	if err != nil {
		return nil, err
	}
	if err := r.stands(from); err != nil {
		return nil, errors.Join(fmt.Errorf("read landing log %s, partition %d: %w", l.id, partition, err), r.Close())
	}
	return r, nil
}

// place checks a position against what the topic holds, and returns where that
// begins.
func (l *Log) place(partition int, at stream.Position) (start int64, err error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	if partition < 0 || partition >= l.cfg.Partitions {
		return 0, fmt.Errorf("partition %d of %d: %w", partition, l.cfg.Partitions, landing.ErrPosition)
	}
	if at == (stream.Position{}) {
		at.Log = string(l.id)
	}
	if at.Log != string(l.id) || at.Offset < 0 {
		return 0, fmt.Errorf("position %s of topic %s with id %s: %w", at, l.cfg.Topic, l.id, landing.ErrPosition)
	}
	ctx, cancel := context.WithTimeout(l.ctx, askTimeout)
	defer cancel()
	if _, err := l.identify(ctx); err != nil {
		return 0, err
	}
	start, err = l.bound(ctx, l.admin.ListStartOffsets, partition)
	if err != nil {
		return 0, err
	}
	end, err := l.bound(ctx, l.admin.ListEndOffsets, partition)
	if err != nil {
		return 0, err
	}
	if at.Offset < start || at.Offset > end {
		return 0, fmt.Errorf("offset %d of topic %s, which holds [%d,%d): %w", at.Offset, l.cfg.Topic, start, end,
			landing.ErrCut)
	}
	return start, nil
}

// bound asks for one end of a partition.
func (l *Log) bound(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error), partition int) (int64, error) {
	at, err := endOf(ctx, ask, l.cfg.Topic, partition)
	if err == nil {
		return at, nil
	}
	if closed := l.usable(); closed != nil {
		return 0, closed
	}
	return 0, err
}

// endOf asks for one end of one partition of a topic, whatever ails the others.
func endOf(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error), topic string,
	partition int) (int64, error) {
	all, err := ask(ctx, topic)
	if listed, ok := all.Lookup(topic, int32(partition)); ok {
		if err = listed.Err; err == nil {
			return listed.Offset, nil
		}
	}
	if err == nil {
		err = errors.New("no broker says")
	}
	return 0, fmt.Errorf("ask topic %s for its bounds: %w", topic, err)
}

// Release implements landing.Log: DeleteRecords below the position. What cannot
// be deleted now, as while a replica is away or the lake's registration is not
// confirmed, is kept and counted, and asked for again until it is, or until another
// call for the partition takes its place. ErrCut where the topic does not hold what
// the position stands on.
func (l *Log) Release(partition int, below stream.Position) error {
	l.releasing.Lock()
	defer l.releasing.Unlock()
	return l.carryOut(partition, below)
}

// carryOut is Release. The caller holds releasing.
func (l *Log) carryOut(partition int, below stream.Position) error {
	later, err := l.delete(partition, below)
	l.mu.Lock()
	defer l.mu.Unlock()
	if later == nil {
		delete(l.owed, partition)
		return err
	}
	l.notReleased.Add(1)
	if _, again := l.owed[partition]; !again {
		l.cfg.Logger.Warn("published blocks cannot be deleted now; it is tried again", "topic", l.cfg.Topic,
			"partition", partition, "below", below.Offset, "error", later)
	}
	l.owed[partition] = below
	return err
}

// releaseOwed asks again for what could not be deleted. Where somebody else's task
// released more meanwhile, nothing is owed any more.
func (l *Log) releaseOwed() {
	for partition := range l.cfg.Partitions {
		l.releaseOwedOf(partition)
	}
}

func (l *Log) releaseOwedOf(partition int) {
	l.releasing.Lock()
	defer l.releasing.Unlock()
	l.mu.Lock()
	below, owed := l.owed[partition]
	l.mu.Unlock()
	if owed {
		_ = l.carryOut(partition, below) // what it cannot delete now it owes again
	}
}

// delete carries Release out; later is why it has to be asked for again.
func (l *Log) delete(partition int, below stream.Position) (later, err error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if partition < 0 || partition >= l.cfg.Partitions {
		return nil, fmt.Errorf("partition %d of %d: %w", partition, l.cfg.Partitions, landing.ErrPosition)
	}
	if below == (stream.Position{}) {
		return nil, nil
	}
	if below.Log != string(l.id) || below.Offset < 0 {
		return nil, fmt.Errorf("release below %+v in topic %s with id %s: %w", below, l.cfg.Topic, l.id, landing.ErrPosition)
	}
	if err := l.mayRelease(); err != nil {
		return err, nil
	}
	ctx, cancel := context.WithTimeout(l.ctx, askTimeout)
	defer cancel()
	if _, err := l.identify(ctx); errors.Is(err, landing.ErrMismatch) { // DeleteRecords goes by name
		return nil, err
	}
	if later, err := l.standsOn(ctx, partition, below); later != nil || err != nil {
		return later, err
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(l.cfg.Topic, int32(partition), below.Offset, -1)
	all, err := l.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		one, _ := all.Lookup(l.cfg.Topic, int32(partition))
		err = one.Err
	}
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, kerr.OffsetOutOfRange):
		if start, err := l.bound(ctx, l.admin.ListStartOffsets, partition); err == nil && below.Offset <= start {
			return nil, nil
		}
		return nil, fmt.Errorf("release below offset %d of topic %s, partition %d: %w", below.Offset, l.cfg.Topic, partition, landing.ErrPosition)
	}
	if closed := l.usable(); closed != nil {
		return nil, closed
	}
	return err, nil
}

// standsOn finds out whether the topic still holds what a position stands on, where
// that says it: below one that does not, other records may lie, which nobody has read.
// later is why it is not known now.
func (l *Log) standsOn(ctx context.Context, partition int, at stream.Position) (later, err error) {
	if at.Hash == "" {
		return nil, nil
	}
	r, err := l.Reader(partition, at)
	switch {
	case err == nil:
		return nil, r.Close()
	case errors.Is(err, landing.ErrCut):
		if start, err := l.bound(ctx, l.admin.ListStartOffsets, partition); err == nil && at.Offset <= start {
			return nil, nil // it is released
		}
		return nil, err
	case errors.Is(err, landing.ErrMismatch), errors.Is(err, landing.ErrClosed):
		return nil, err
	}
	return err, nil
}

// Bounds implements landing.Log: it asks the cluster. Below first everything is
// released, or was lost.
func (l *Log) Bounds(ctx context.Context, partition int) (first, end stream.Position, err error) {
	if err := l.usable(); err != nil {
		return first, end, err
	}
	if _, err := l.identify(ctx); err != nil {
		return first, end, err
	}
	if partition < 0 || partition >= l.cfg.Partitions {
		return first, end, fmt.Errorf("partition %d of %d: %w", partition, l.cfg.Partitions, landing.ErrPosition)
	}
	from, err := l.bound(ctx, l.admin.ListStartOffsets, partition)
	if err != nil {
		return first, end, err
	}
	to, err := l.bound(ctx, l.admin.ListEndOffsets, partition)
	return stream.Position{Log: string(l.id), Offset: from}, stream.Position{Log: string(l.id), Offset: to}, err
}

// Behind is how many records lie in a partition after a position, as last
// seen, for lag; after the zero Position those that are not released.
// ErrPosition.
func (l *Log) Behind(partition int, at stream.Position) (int64, error) {
	if partition < 0 || partition >= l.cfg.Partitions || at != (stream.Position{}) && at.Log != string(l.id) {
		return 0, fmt.Errorf("position %+v: %w", at, landing.ErrPosition)
	}
	end := l.ends[partition].Load()
	if end < 0 {
		return 0, fmt.Errorf("end of topic %s, partition %d: not known yet", l.cfg.Topic, partition)
	}
	return max(0, end-max(at.Offset, l.starts[partition].Load())), nil
}

// Stats gives the counters. It may be called from any goroutine.
func (l *Log) Stats() landing.Stats {
	return landing.Stats{
		Commits: l.blocks.Load(), Blocks: l.blocks.Load(), Bytes: l.bytes.Load(),
		Failed: l.failed.Load(), DamagedOffsets: l.foreign.Load(),
	}
}

// Close ends waiting appends and readers with landing.ErrClosed. A block that
// was being appended may land all the same.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	p := l.producer
	l.producer = nil
	readers := l.readers
	l.readers = nil
	l.mu.Unlock()
	l.cancel()
	for r := range readers {
		r.close.Do(r.client.Close)
	}
	if p != nil {
		p.client.Close()
	}
	l.own.Wait()
	l.client.Close()
	return nil
}

// landed notes a kept promise.
func (l *Log) landed(block landing.Landed, h record.Header) {
	l.blocks.Add(1)
	l.bytes.Add(uint64(len(block.Block)))
	l.mu.Lock()
	defer l.mu.Unlock()
	t, known := l.tails[block.Gateway]
	if t, known = t.Advance(known, block, h); known {
		l.tails[block.Gateway] = t
	}
}
