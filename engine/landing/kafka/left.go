package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/landing"
)

// LeftError says that the lake which a topic fed has another landing log now, or is
// being moved to one. It is landing.ErrMismatch.
type LeftError struct {
	Topic string
	ID    landing.ID // of the topic
	Lake  Lake
	To    string // where it went
	Since string // RFC 3339
}

// Error names the lake, and where it went.
func (e *LeftError) Error() string {
	return fmt.Sprintf("the lake %s at %s, which topic %s with the id %s fed, has left it for %s since %s: what lands there is published nowhere",
		e.Lake.ID, e.Lake.Place, e.Topic, e.ID, e.To, e.Since)
}

// Is makes errors.Is(err, landing.ErrMismatch) true.
func (e *LeftError) Is(target error) bool { return target == landing.ErrMismatch }

// left finds the mark of the lake that is registered, from the register's beginning to an
// end that is asked for after the call: what is durable in the landing topic before it,
// when there is no mark, lies there before the mark. seen is the end of an earlier look that found none,
// and end that of this one; nothing is read where they are the same.
//
// Errors: LeftError; ErrRights; those of the cluster.
func (r *registry) left(ctx context.Context, seen int64) (end int64, err error) {
	topic := LakesTopic(r.cfg.Topic)
	end, err = endOf(ctx, r.admin.ListEndOffsets, topic, 0)
	if err != nil { // of a topic that is not there, and one that may not be read, it says the same
		_, why := describe(ctx, r.admin, topic)
		if errors.Is(why, kerr.UnknownTopicOrPartition) {
			return 0, nil // no lake was ever here
		}
		err = errors.Join(err, why)
	}
	if err != nil || end == seen {
		return end, r.mayRead(err)
	}
	start, err := endOf(ctx, r.admin.ListStartOffsets, topic, 0)
	if err != nil {
		return 0, r.mayRead(err)
	}
	var first, mark *registration
	err = r.scan(ctx, topic, start, end, func(reg *registration) bool {
		if first == nil {
			first = reg
		}
		if reg.Left != "" && reg.Lake == first.Lake { // another lake has no say here
			mark = reg
		}
		return mark == nil
	})
	if err == nil && mark != nil {
		err = &LeftError{r.cfg.Topic, r.id, Lake{mark.Lake, mark.Place}, mark.Left, mark.At}
	}
	return end, r.mayRead(err)
}

// CheckLeft is the LeftError of a topic whose lake has left it, for an engine that is to
// land something there and has no task of the lake. What cannot be read is no reason not
// to: Log.Left looks again.
func CheckLeft(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	client, err := kgo.NewClient(cfg.client()...)
	if err != nil {
		return fmt.Errorf("ask Kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	detail, err := describe(ctx, admin, cfg.Topic)
	if err != nil {
		return nil
	}
	_, err = (&registry{cfg, admin, idOf(detail.ID)}).left(ctx, -1)
	var left *LeftError
	if errors.As(err, &left) {
		return err
	}
	return nil
}

// mayRead adds to a refusal of the brokers which rights an ingest needs.
func (r *registry) mayRead(err error) error {
	if !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return err
	}
	return fmt.Errorf("%w: %w; it is not known whether the lake still reads topic %s: an engine without tasks needs the rights Describe and Read on the topic %s",
		ErrRights, err, r.cfg.Topic, LakesTopic(r.cfg.Topic))
}

// Left is a LeftError when the lake that the topic fed has left it, by a look that begins
// after the call: what was durable in the topic before the call, when Left returns nil,
// lies there before the lake's mark (Leave). Other errors say that it is not known;
// ErrRights stays in Problems. From any goroutine.
func (l *Log) Left(ctx context.Context) error {
	l.mu.Lock()
	seen := l.lakesSeen
	l.mu.Unlock()
	end, err := (&registry{l.cfg, l.admin, l.id}).left(ctx, seen)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.lakesSeen = max(l.lakesSeen, end)
	}
	if l.blind = nil; errors.Is(err, ErrRights) {
		l.blind = err
	}
	return err
}

// Leave notes in the register that the lake leaves the topic, durable on return; to is
// where it goes, for people. The lake's tasks may still read and publish what is there.
// Whoever asks Left later hears of it. Called again it changes nothing.
func (l *Log) Leave(ctx context.Context, to string) error {
	r := &registry{l.cfg, l.admin, l.id}
	_, err := r.left(ctx, -1)
	var left *LeftError
	switch {
	case errors.As(err, &left):
		return nil
	case err != nil:
		return r.rights(err)
	}
	return r.rights(r.write(ctx, to))
}
