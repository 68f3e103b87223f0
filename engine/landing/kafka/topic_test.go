package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

func adminOf(t *testing.T, addrs []string) *kadm.Client {
	t.Helper()
	c, err := kadm.NewOptClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// lakeOf is the lake that the tests' topics feed.
var lakeOf = Lake{ID: "0123456789abcdef0123456789abcdef", Place: "/lake"}

func openLog(t *testing.T, cfg Config) *Log {
	t.Helper()
	if cfg.Lake.ID == "" {
		cfg.Lake = lakeOf
	}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestATopicThatPromisesLessIsRefused: each setting alone is refused, with its
// name and the command that mends it; set as asked it is taken.
func TestATopicThatPromisesLessIsRefused(t *testing.T) {
	addrs := shared.Cluster(t).Addrs()
	admin := adminOf(t, addrs)
	cfg := Config{Brokers: addrs, Topic: "checked", Partitions: 2, Replication: 1}
	if err := openLog(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	set := func(key, value string) {
		t.Helper()
		all, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, cfg.Topic)
		if err == nil {
			_, err = all.On(cfg.Topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
		}
		if err != nil {
			t.Fatalf("set %s=%s: %v", key, value, err)
		}
		// The controller confirmed it; the broker that is asked hears of it a moment later.
		until(t, "the broker says "+key+"="+value, func() bool {
			said, err := admin.DescribeTopicConfigs(t.Context(), cfg.Topic)
			if err != nil || len(said) != 1 {
				return false
			}
			return slices.ContainsFunc(said[0].Configs, func(c kadm.Config) bool { return c.Key == key && c.MaybeValue() == value })
		})
	}
	for key, bad := range map[string]string{
		"unclean.leader.election.enable": "true", "cleanup.policy": "compact,delete", "retention.ms": "604800000",
		"retention.bytes": "1000000", "message.timestamp.type": "CreateTime", "max.message.bytes": "1048588",
	} {
		set(key, bad)
		_, err := Open(t.Context(), cfg)
		var refused *TopicError
		if !errors.As(err, &refused) || len(refused.Problems) != 1 || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "kafka-configs") {
			t.Errorf("%s=%s: %v", key, bad, err)
		}
		for _, s := range cfg.settings() {
			if s.name == key {
				set(key, s.want)
			}
		}
		openLog(t, cfg)
	}
	cfg.Replication = 3
	_, err := Open(t.Context(), cfg)
	var refused *TopicError
	if !errors.As(err, &refused) || len(refused.Problems) != 2 || !strings.Contains(err.Error(), "min.insync.replicas") || !strings.Contains(err.Error(), "on 1 brokers, not 3") {
		t.Errorf("one replica for three: %v", err)
	}
	cfg.Topic = "new"
	if _, err = Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "on 3 brokers") {
		t.Errorf("a topic on more brokers than there are: %v", err)
	}
}

// TestAnotherTopicIsRefused: by number of partitions, by identity, and by being
// made again under the same name, at open and while it is open.
func TestAnotherTopicIsRefused(t *testing.T) {
	addrs := shared.Cluster(t).Addrs()
	admin := adminOf(t, addrs)
	cfg := Config{Brokers: addrs, Topic: freshTopic(), Partitions: 2, Replication: 1, DeliveryTimeout: 2 * time.Second}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
		t.Fatal(err)
	}
	partition := landing.Partition("a", 2)
	r, err := l.Reader(partition, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	_, after, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"another P":  func(c *Config) { c.Partitions = 3 },
		"another ID": func(c *Config) { c.ID = landing.ID(strings.Repeat("0", 32)) },
	} {
		other := cfg
		change(&other)
		if _, err := Open(t.Context(), other); !errors.Is(err, landing.ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := admin.DeleteTopic(t.Context(), cfg.Topic); err != nil {
		t.Fatal(err)
	}
	cfg.ID = l.ID()
	until(t, "the topic is gone", func() bool {
		_, err := describe(t.Context(), admin, cfg.Topic)
		return err != nil
	})
	if _, err := Open(t.Context(), cfg); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("an absent topic with an identity: %v", err)
	}
	cfg.ID = ""
	again := openLog(t, cfg)
	if again.ID() == l.ID() {
		t.Fatal("the identity came back")
	}
	if err := l.Append(t.Context(), c.Block(1, 1)); err == nil {
		t.Error("appended to another topic of the name")
	}
	if _, _, err := r.Next(t.Context()); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("read on in another topic of the name: %v", err)
	}
	if _, err := l.Reader(partition, after); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("a reader of another topic of the name: %v", err)
	}
	if _, err := again.Reader(partition, after); !errors.Is(err, landing.ErrPosition) {
		t.Errorf("a position of the topic before: %v", err)
	}
	if err := l.Release(partition, after); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("released in another topic of the name: %v", err)
	}
	// A topic that grew is another one too: gateways would move.
	if _, err := admin.CreatePartitions(t.Context(), 1, cfg.Topic); err != nil {
		t.Fatal(err)
	}
	until(t, "the growth is seen", func() bool { return errors.Is(errors.Join(again.Problems()...), landing.ErrMismatch) })
	if err := again.Append(t.Context(), c.Block(1, 1)); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("appended to a topic that grew: %v", err)
	}
}

// until waits for a condition of a cluster.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestReleasedIsBelowTheStart: after DeleteRecords a position below is refused,
// and nothing is reset.
func TestReleasedIsBelowTheStart(t *testing.T) {
	cfg := Config{Brokers: shared.Cluster(t).Addrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	for range 5 {
		if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	at := func(n int64) stream.Position { return stream.Position{Log: string(l.ID()), Offset: n} }
	if err := l.Release(0, at(3)); err != nil {
		t.Fatal(err)
	}
	for _, p := range []stream.Position{{}, at(0), at(2), at(6)} {
		if _, err := l.Reader(0, p); !errors.Is(err, landing.ErrPosition) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	r, err := l.Reader(0, at(3))
	if err != nil {
		t.Fatal(err)
	}
	// Under the reader: what it has not read is deleted.
	if err := l.Release(0, at(5)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; err == nil; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, _, err = r.Next(ctx)
		cancel()
	}
	if !errors.Is(err, landing.ErrPosition) && n != 3 {
		t.Errorf("%d blocks, then %v", n-1, err)
	}
	if n, err := l.Behind(0, at(3)); err == nil && n > 2 {
		t.Errorf("%d behind", n)
	}
	if _, err := l.Behind(0, stream.Position{Log: "x"}); !errors.Is(err, landing.ErrPosition) {
		t.Errorf("behind: %v", err)
	}
}

// TestReleaseIsAskedForAgain: what the brokers did not delete, as while a replica
// is away, is deleted later without another Release.
func TestReleaseIsAskedForAgain(t *testing.T) {
	cluster := fake(t)
	l := openLog(t, Config{Brokers: cluster.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1})
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	for range 3 {
		if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.PolicyViolation, Count: -1})
	if err := l.Release(0, stream.Position{Log: string(l.ID()), Offset: 2}); err != nil {
		t.Fatal(err)
	}
	if start, _, err := l.Bounds(t.Context(), 0); err != nil || start.Offset != 0 {
		t.Fatalf("begins at %+v, %v", start, err)
	}
	fault.Remove()
	until(t, "it is deleted", func() bool {
		start, _, err := l.Bounds(t.Context(), 0)
		return err == nil && start.Offset == 2
	})
}

// TestALaterReleaseTakesThePlaceOfOneThatIsOwed: what could not be deleted is not
// deleted any more once less is to be, or nothing: the topic was cut meanwhile, and
// others lie there.
func TestALaterReleaseTakesThePlaceOfOneThatIsOwed(t *testing.T) {
	for below, first := range map[int64]int64{1: 1, 0: 0} {
		cluster := fake(t)
		l := openLog(t, Config{Brokers: cluster.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1})
		c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
		for range 3 {
			if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		at := func(n int64) stream.Position { return stream.Position{Log: string(l.ID()), Offset: n} }
		later := stream.Position{}
		if below > 0 {
			later = at(below)
		}
		l.releasing.Lock() // so that the look beside it does not delete before
		fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.PolicyViolation, Count: -1})
		err := l.carryOut(0, at(2))
		fault.Remove()
		if err == nil && l.owed[0] != at(2) {
			err = fmt.Errorf("owed %v", l.owed)
		}
		err = errors.Join(err, l.carryOut(0, later))
		l.releasing.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		l.releaseOwed()
		if start, _, err := l.Bounds(t.Context(), 0); err != nil || start.Offset != first {
			t.Errorf("released below %d instead: begins at %+v, %v", below, start, err)
		}
	}
}

// TestForeignRecords: what somebody else wrote into the topic is passed over and
// counted; a block of a newer format stops.
func TestForeignRecords(t *testing.T) {
	addrs := fake(t).ListenAddrs()
	cfg := Config{Brokers: addrs, Topic: "landing", Partitions: 1, Replication: 1}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	blocks := []landing.Landed{c.Block(1, 1), c.Block(1, 1)}
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DefaultProduceTopic(cfg.Topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, b := range blocks {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("not a block"), kgo.StringRecord("")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		r, err := l.Reader(0, stream.Position{})
		if err != nil {
			t.Fatal(err)
		}
		var after stream.Position
		for range i + 1 {
			if _, after, err = r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if after.Offset != int64(3*(i+1)) {
			t.Fatalf("after block %d at %+v", i, after)
		}
		_ = r.Close()
	}
	if n := l.Stats().DamagedOffsets; n != 6 {
		t.Errorf("%d foreign records counted", n)
	}
	newer, err := blocks[0].Encode()
	if err != nil {
		t.Fatal(err)
	}
	newer[0] = 9
	if err := client.ProduceSync(t.Context(), &kgo.Record{Value: newer, Headers: []kgo.RecordHeader{{Key: headerKey}}}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r, err := l.Reader(0, stream.Position{Log: string(l.ID()), Offset: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for range 2 {
		if _, _, err := r.Next(t.Context()); !errors.Is(err, record.ErrVersion) {
			t.Fatalf("a newer format: %v", err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Brokers: []string{"a:1"}, Topic: "t", Partitions: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Config){
		"Brokers":         func(c *Config) { c.Brokers = nil },
		"Topic":           func(c *Config) { c.Topic = "a b" },
		"Partitions":      func(c *Config) { c.Partitions = 0 },
		"Replication":     func(c *Config) { c.Replication = -1 },
		"DeliveryTimeout": func(c *Config) { c.DeliveryTimeout = -1 },
	} {
		bad := good
		change(&bad)
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if MinInsync(1) != 1 || MinInsync(2) != 1 || MinInsync(3) != 2 || MinInsync(5) != 4 {
		t.Error(fmt.Sprint("MinInsync ", MinInsync(3)))
	}
}
