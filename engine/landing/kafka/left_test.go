package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/engine/landing"
)

// TestALakeThatLeavesItsTopic: whoever lands something for no lake hears of it, before
// and while that is; what is left there may be read. Another lake's word, and
// that about another topic of the name, count for nothing.
func TestALakeThatLeavesItsTopic(t *testing.T) {
	for name, addrs := range map[string]func() []string{
		"in process": func() []string { return fake(t).ListenAddrs() },
		"Kafka":      func() []string { return shared.Cluster(t).Addrs() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Brokers: addrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
			early, err := Open(t.Context(), cfg) // before any lake registers
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = early.Close() }()
			stays := func(what string) {
				t.Helper()
				if err := early.Left(t.Context()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if err := CheckLeft(t.Context(), cfg); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			stays("no lake is there")
			owner := openLog(t, cfg)
			stays("the lake is there")
			other, topic := registryOf(t, cfg, lakeNamed(7)), registryOf(t, cfg, lakeOf)
			topic.id = "another"
			if err := errors.Join(other.write(t.Context(), "elsewhere"), topic.write(t.Context(), "elsewhere")); err != nil {
				t.Fatal(err)
			}
			stays("others leave")
			for range 2 {
				if err := owner.Leave(t.Context(), "topic landing-b"); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range []error{early.Left(t.Context()), early.Left(t.Context()), CheckLeft(t.Context(), cfg)} {
				var left *LeftError
				if !errors.As(err, &left) || !errors.Is(err, landing.ErrMismatch) || left.Lake != lakeOf || left.ID != owner.ID() || !strings.Contains(err.Error(), "for topic landing-b since 20") {
					t.Errorf("the lake has left: %v", err)
				}
			}
			openLog(t, cfg) // for the lake
			if _, err := Check(t.Context(), cfg); err != nil {
				t.Errorf("whoever wants to read what is left: %v", err)
			}
			if _, end, err := endsOf(t.Context(), owner); err != nil || end != 4 {
				t.Errorf("%d records in the register, %v", end, err)
			}
		})
	}
}

// TestWithoutTheRightToReadTheRegister: the ingest works, and says which right it lacks.
func TestWithoutTheRightToReadTheRegister(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets} {
		t.Run(key.Name(), func(t *testing.T) {
			cluster := fake(t)
			cfg := Config{Brokers: cluster.ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
			owner := openLog(t, cfg)
			denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: LakesTopic(cfg.Topic), Err: kerr.TopicAuthorizationFailed, Count: -1})
			l, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			if err := l.Left(t.Context()); !errors.Is(err, ErrRights) || !strings.Contains(err.Error(), "Describe and Read on the topic "+LakesTopic(cfg.Topic)) {
				t.Errorf("not known: %v", err)
			}
			if err := errors.Join(l.Problems()...); !errors.Is(err, ErrRights) {
				t.Errorf("told: %v", err)
			}
			denied.Remove()
			if err := l.Left(t.Context()); err != nil || len(l.Problems()) != 0 {
				t.Errorf("%v, %q", err, l.Problems())
			}
			if err := owner.Leave(t.Context(), "topic b"); err != nil || !errors.Is(l.Left(t.Context()), landing.ErrMismatch) {
				t.Errorf("it goes on after that: %v", err)
			}
		})
	}
}

// endsOf returns what the register of a log's topic holds.
func endsOf(ctx context.Context, l *Log) (start, end int64, err error) {
	if start, err = endOf(ctx, l.admin.ListStartOffsets, LakesTopic(l.cfg.Topic), 0); err != nil {
		return 0, 0, err
	}
	end, err = endOf(ctx, l.admin.ListEndOffsets, LakesTopic(l.cfg.Topic), 0)
	return start, end, err
}
