package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"landfall/engine/landing"
)

// watchEvery is the time between two looks at the topic.
const watchEvery = 2 * time.Second

// watch keeps looking whether the topic is the same one, and where it ends; less
// often, whether its settings keep what was promised, and whose it is.
func (l *Log) watch() {
	tick := time.NewTicker(min(watchEvery, l.cfg.SettingsEvery))
	defer tick.Stop()
	for {
		l.look()
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *Log) look() {
	ctx, cancel := context.WithTimeout(l.ctx, askTimeout)
	defer cancel()
	detail, err := l.identify(ctx)
	if err == nil {
		err = errors.Join(l.see(ctx, l.admin.ListStartOffsets, l.starts), l.see(ctx, l.admin.ListEndOffsets, l.ends))
	}
	if err == nil && !time.Now().Before(l.settingsDue) {
		err = l.lookSlowly(ctx, detail)
	}
	if l.ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	l.silent = err
	l.mu.Unlock()
	if err == nil {
		l.releaseOwed()
	}
}

// lookSlowly looks at the settings of the topic and at the registration of its
// lake. What it finds stays in Problems until a later look finds it mended; while
// anything is wrong every look is a slow one. Error: why it could not look.
func (l *Log) lookSlowly(ctx context.Context, detail kadm.TopicDetail) error {
	weak := checkTopic(ctx, l.admin, l.cfg, l.cfg.landingSpec(), detail)
	var refused *TopicError
	if weak != nil && !errors.As(weak, &refused) {
		return weak
	}
	var unsure error
	if l.cfg.Lake.ID != "" {
		unsure = (&registry{l.cfg, l.admin, l.id}).register(ctx)
	}
	if l.ctx.Err() != nil {
		return l.ctx.Err()
	}
	var others *LakeError
	if errors.As(unsure, &others) {
		l.brake(unsure)
	}
	if weak == nil && unsure == nil {
		l.settingsDue = time.Now().Add(l.cfg.SettingsEvery)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if weak != nil && l.weak == nil {
		l.cfg.Logger.Error("the topic does not keep any more what gateways are told to forget", "topic", l.cfg.Topic,
			"error", weak)
	}
	if l.weak = weak; l.cfg.Lake.ID != "" {
		l.unreleased = unsure
	}
	return nil
}

// mayRelease is nil while the topic is known to be this lake's.
func (l *Log) mayRelease() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unreleased != nil {
		return fmt.Errorf("nothing is released from topic %s: %w", l.cfg.Topic, l.unreleased)
	}
	return nil
}

// Problems tells what is wrong with the log as a whole: the topic is another one
// or another lake's, the cluster does not answer, its settings promise less than
// the configuration does, the lake's registration cannot be confirmed. None: nothing
// known. From any goroutine.
func (l *Log) Problems() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return []error{l.broken}
	}
	var out []error
	if l.silent != nil {
		out = append(out, l.silent)
	}
	if l.weak != nil {
		out = append(out, l.weak)
	}
	if l.unreleased != nil && l.cfg.Lake.ID != "" {
		out = append(out, fmt.Errorf("nothing is released from topic %s: %w", l.cfg.Topic, l.unreleased))
	}
	if l.blind != nil {
		out = append(out, l.blind)
	}
	return out
}

// see notes one end of every partition.
func (l *Log) see(ctx context.Context, ask func(context.Context, ...string) (kadm.ListedOffsets, error),
	to []atomic.Int64) error {
	all, err := ask(ctx, l.cfg.Topic)
	if err != nil {
		return err
	}
	all.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && int(o.Partition) < len(to) {
			to[o.Partition].Store(o.Offset)
		}
	})
	return all.Error()
}

// identify checks that the topic is the one that was opened. Error:
// landing.ErrMismatch, from then on permanently; those of the cluster.
func (l *Log) identify(ctx context.Context) (kadm.TopicDetail, error) {
	detail, err := describe(ctx, l.admin, l.cfg.Topic)
	if err == nil {
		err = l.same(detail)
	}
	if errors.Is(err, landing.ErrMismatch) {
		l.brake(err)
	}
	return detail, err
}

// brake ends the use of the log.
func (l *Log) brake(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
		l.cfg.Logger.Error("the topic of the landing log is another one, or another lake's", "topic", l.cfg.Topic,
			"error", err)
	}
}

func (l *Log) same(d kadm.TopicDetail) error {
	if id := idOf(d.ID); id != l.id {
		return fmt.Errorf("topic %s was deleted and made again: it has the id %s, not %s: %w", l.cfg.Topic, id, l.id,
			landing.ErrMismatch)
	}
	if len(d.Partitions) != l.cfg.Partitions {
		return fmt.Errorf("topic %s has %d partitions now, not %d: %w", l.cfg.Topic, len(d.Partitions),
			l.cfg.Partitions, landing.ErrMismatch)
	}
	return nil
}
