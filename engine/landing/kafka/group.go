package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/engine/landing"
	"landfall/engine/stream"
)

// GroupConfig says who shares the partitions, and what is told of them. The
// three functions are called one after the other.
type GroupConfig struct {
	Name string // of the consumer group; required
	// SessionTimeout is how long a member may be silent before its partitions go
	// to others. Required.
	SessionTimeout time.Duration
	// DrainTimeout bounds what Revoked takes; a member that takes longer is
	// taken for dead. Required.
	DrainTimeout time.Duration
	// Assigned tells of partitions that are this instance's from now on. It does
	// not wait for them.
	Assigned func(partitions []int)
	// Revoked asks for partitions back: another instance gets them when it
	// returns, or when DrainTimeout has passed.
	Revoked func(partitions []int)
	// Lost tells of partitions that others have already. It does not wait.
	Lost func(partitions []int)
}

// Group is the membership of one instance in the consumer group of a landing
// log: Kafka says who works on which partition, and nothing else. It reads no
// records and starts nowhere from the group's offsets; a task begins where its
// manifest says, and is kept apart from whoever had the partition before by
// HEAD's compare-and-swap. The assignment is cooperative: a partition that
// stays is not interrupted.
type Group struct {
	l      *Log
	client *kgo.Client
	own    sync.WaitGroup

	told chan struct{} // one token: dirty has something

	mu    sync.Mutex
	held  map[int]bool  // guarded by mu
	dirty map[int]int64 // offsets that the group was not told yet; guarded by mu
	err   error         // the last one; nil after an assignment; guarded by mu
}

// tellTimeout bounds what telling the group offsets may take at a handover.
const tellTimeout = 5 * time.Second

// Join makes this instance a member. It returns at once; what it gets Assigned
// tells.
func (l *Log) Join(cfg GroupConfig) (*Group, error) {
	g := &Group{l: l, told: make(chan struct{}, 1), held: map[int]bool{}, dirty: map[int]int64{}}
	then := func(f func([]int), gain bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			partitions := g.note(topics[l.cfg.Topic], gain)
			if len(partitions) > 0 {
				f(partitions)
			}
		}
	}
	handOver := func(partitions []int) {
		cfg.Revoked(partitions)
		ctx, cancel := context.WithTimeout(l.ctx, tellTimeout)
		defer cancel()
		g.tell(ctx) // while they are still this member's to speak for
	}
	client, err := kgo.NewClient(l.cfg.client(
		kgo.ConsumerGroup(cfg.Name), kgo.ConsumeTopics(l.cfg.Topic), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(cfg.SessionTimeout), kgo.HeartbeatInterval(cfg.SessionTimeout/4), kgo.RebalanceTimeout(cfg.DrainTimeout+cfg.SessionTimeout),
		kgo.OnPartitionsAssigned(then(cfg.Assigned, true)), kgo.OnPartitionsRevoked(then(handOver, false)), kgo.OnPartitionsLost(then(cfg.Lost, false)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", cfg.Name, err)
	}
	client.PauseFetchTopics(l.cfg.Topic)
	g.client = client
	g.own.Go(g.listen)
	g.own.Go(g.tellOn)
	return g, nil
}

// note keeps what is held, and gives the partitions that are the log's.
func (g *Group) note(partitions []int32, gain bool) []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []int
	for _, p := range partitions {
		if int(p) >= g.l.cfg.Partitions {
			continue // the topic grew, which stops every task
		}
		if out = append(out, int(p)); gain {
			g.held[int(p)] = true
		} else {
			delete(g.held, int(p))
		}
	}
	if gain {
		g.err = nil
	}
	slices.Sort(out)
	return out
}

// listen hears of errors; records do not come, because fetching is paused.
func (g *Group) listen() {
	for {
		fetches := g.client.PollFetches(g.l.ctx)
		if fetches.IsClientClosed() || g.l.ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			var ours *kgo.ErrGroupSession
			g.mu.Lock()
			g.err = e.Err
			g.mu.Unlock()
			if errors.As(e.Err, &ours) {
				g.l.cfg.Logger.Warn("the group's session ended", "topic", g.l.cfg.Topic, "error", e.Err)
			}
		}
	}
}

// Commit notes how far a partition is committed, and the group is told of it,
// for those who watch lag. Nothing is ever begun from it, so nobody waits for
// it: a rebalance holds such commits up, and must not hold up a task.
func (g *Group) Commit(partition int, at stream.Position) {
	if at.Log != string(g.l.id) {
		return
	}
	g.mu.Lock()
	g.dirty[partition] = at.Offset
	g.mu.Unlock()
	select {
	case g.told <- struct{}{}:
	default:
	}
}

// tellOn passes on what Commit noted.
func (g *Group) tellOn() {
	for {
		select {
		case <-g.client.Context().Done():
			return
		case <-g.told:
			g.tell(g.l.ctx)
		}
	}
}

// tell commits the offsets that were noted.
func (g *Group) tell(ctx context.Context) {
	g.mu.Lock()
	dirty := g.dirty
	g.dirty = map[int]int64{}
	g.mu.Unlock()
	if len(dirty) == 0 {
		return
	}
	offsets := map[int32]kgo.EpochOffset{}
	for p, at := range dirty {
		offsets[int32(p)] = kgo.EpochOffset{Epoch: -1, Offset: at}
	}
	g.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{g.l.cfg.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				g.tellLater(dirty)
			}
		})
}

// tellLater puts offsets back that the group did not take, to go with the next.
func (g *Group) tellLater(offsets map[int]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, at := range offsets {
		if _, newer := g.dirty[p]; !newer && g.held[p] {
			g.dirty[p] = at
		}
	}
}

// Held gives the partitions that are this instance's, sorted.
func (g *Group) Held() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []int
	for p := range g.held {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// Err tells what went wrong with the membership since the last assignment.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(g.err, landing.ErrClosed) {
		return nil
	}
	return g.err
}

// Close gives the partitions back, which calls Revoked, and leaves the group,
// so that the others take over at once.
func (g *Group) Close() {
	g.client.Close()
	g.own.Wait()
}
