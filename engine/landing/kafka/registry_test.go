package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
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

// lakeNamed makes a lake of a number.
func lakeNamed(n int) Lake {
	return Lake{ID: fmt.Sprintf("%032x", n), Place: fmt.Sprintf("/lake-%d", n)}
}

// registryOf is the register of a topic as a lake sees it.
func registryOf(t *testing.T, cfg Config, lake Lake) *registry {
	t.Helper()
	cfg.Lake = lake
	cfg = cfg.withDefaults()
	admin, err := kadm.NewOptClient(cfg.client()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	id, err := openTopic(t.Context(), admin, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &registry{cfg, admin, id}
}

// TestTwoLakesThatStartAtOnce goes through the orders in which two may take the
// steps of register: the one whose record is first has the topic, whatever it hears
// and whenever, and the other is refused.
func TestTwoLakesThatStartAtOnce(t *testing.T) {
	for name, order := range map[string]string{ // a, b: decide; A, B: write
		"one after the other":              "aAabBb",
		"both find nothing":                "abABab",
		"both, and the second reads first": "abABba",
		"the second writes first":          "abBAab",
		"one reads before the other wrote": "abAaBb",
		"one heard of no promise":          "aAbb",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Brokers: fake(t).ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
			both := map[string]*registry{"a": registryOf(t, cfg, lakeNamed(1)), "b": registryOf(t, cfg, lakeNamed(2))}
			first := ""
			last := map[string]error{}
			for _, step := range strings.Split(order, "") {
				who := strings.ToLower(step)
				if step == who {
					last[who] = both[who].decide(t.Context())
					continue
				}
				if err := both[who].write(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				if first == "" {
					first = who
				}
			}
			for who, r := range both {
				again := r.register(t.Context()) // the next start
				if who == first {
					if again != nil {
						t.Errorf("%s wrote first, and %v", who, again)
					}
					continue
				}
				for _, err := range []error{last[who], again} {
					var refused *LakeError
					if !errors.As(err, &refused) || refused.Owner != both[first].cfg.Lake || !errors.Is(err, landing.ErrMismatch) {
						t.Errorf("%s came second: %v", who, err)
					}
				}
			}
		})
	}
}

// TestManyLakesThatStartAtOnce: one of them opens the topic, and stays the one.
func TestManyLakesThatStartAtOnce(t *testing.T) {
	addrs := shared.Cluster(t).Addrs()
	for range 3 {
		cfg := Config{Brokers: addrs, Topic: freshTopic(), Partitions: 1, Replication: 1}
		errs := make([]error, 5)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				mine := cfg
				mine.Lake = lakeNamed(i)
				l, err := Open(t.Context(), mine)
				if errs[i] = err; err == nil {
					_ = l.Close()
				}
			})
		}
		all.Wait()
		owner := -1
		for i, err := range errs {
			var refused *LakeError
			switch {
			case err == nil && owner < 0:
				owner = i
			case !errors.As(err, &refused):
				t.Errorf("lake %d beside %d: %v", i, owner, err)
			}
		}
		for i := range errs {
			mine := cfg
			mine.Lake = lakeNamed(i)
			if _, err := Check(t.Context(), mine); (err == nil) != (i == owner) {
				t.Errorf("lake %d, where %d has the topic: %v", i, owner, err)
			}
		}
	}
}

// TestAStrangerLakeIsRefused: by Open and Check, with both lakes and the cure in the
// error; what it would have deleted is there, and the topic goes on for its own lake,
// in any number of instances, and for ingests, which have none and delete nothing.
func TestAStrangerLakeIsRefused(t *testing.T) {
	for name, addrs := range map[string]func() []string{
		"in process": func() []string { return fake(t).ListenAddrs() },
		"Kafka":      func() []string { return shared.Cluster(t).Addrs() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Brokers: addrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
			owner := openLog(t, cfg)
			c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
			for range 3 {
				if err := owner.Append(t.Context(), c.Block(1, 1)); err != nil {
					t.Fatal(err)
				}
			}
			stranger := cfg
			stranger.Lake = lakeNamed(7)
			_, opened := Open(t.Context(), stranger)
			_, checked := Check(t.Context(), stranger)
			for _, err := range []error{opened, checked} {
				var refused *LakeError
				if !errors.As(err, &refused) || errors.Is(err, ErrUnavailable) || refused.Owner != lakeOf || refused.Lake != stranger.Lake || !strings.Contains(err.Error(), "delete the topic "+cfg.Topic+"-lakes") {
					t.Fatalf("a stranger: %v", err)
				}
			}
			ingest, err := Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ingest.Close() }()
			at := stream.Position{Log: string(owner.ID()), Offset: 2}
			if err := ingest.Release(0, at); err != nil {
				t.Fatal(err)
			}
			if start, _, err := owner.Bounds(t.Context(), 0); err != nil || start.Offset != 0 {
				t.Fatalf("without a lake it was released to %+v, %v", start, err)
			}
			again := openLog(t, cfg)
			if err := again.Release(0, at); err != nil {
				t.Fatal(err)
			}
			if start, _, err := owner.Bounds(t.Context(), 0); err != nil || start.Offset != 2 {
				t.Errorf("by its own lake it was released to %+v, %v", start, err)
			}
			if n := len(ingest.Problems()) + len(again.Problems()); n != 0 {
				t.Errorf("%d problems", n)
			}
		})
	}
}

// TestRegistrationsSurviveCompaction: engines of one lake registered it at once, a
// stranger between them; the first stays the first.
func TestRegistrationsSurviveCompaction(t *testing.T) {
	cluster := fake(t)
	cfg := Config{Brokers: cluster.ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
	own, stranger := registryOf(t, cfg, lakeNamed(1)), registryOf(t, cfg, lakeNamed(2))
	for _, r := range []*registry{own, stranger, own, stranger} {
		if err := r.write(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Compact()
	var refused *LakeError
	if err := stranger.decide(t.Context()); own.decide(t.Context()) != nil || !errors.As(err, &refused) {
		t.Errorf("after compaction: %v, the stranger %v", own.decide(t.Context()), err)
	}
}

// TestARegistrationThatIsGone is made again; when another lake was faster, the log
// is that one's: nothing is appended to it and nothing deleted.
func TestARegistrationThatIsGone(t *testing.T) {
	cluster := fake(t)
	cfg := Config{Brokers: cluster.ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1, SettingsEvery: 10 * time.Millisecond}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	for range 2 {
		if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	r := registryOf(t, cfg, lakeOf)
	if err := cluster.DeleteTopic(LakesTopic(cfg.Topic)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is registered again", func() bool { return r.decide(t.Context()) == nil })
	other := registryOf(t, cfg, lakeNamed(3))
	hold := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.PolicyViolation, Count: -1})
	if err := l.Release(0, stream.Position{Log: string(l.ID()), Offset: 1}); err != nil {
		t.Fatal(err)
	}
	for owned := false; !owned; { // the other one has to be faster than a look
		if err := cluster.DeleteTopic(LakesTopic(cfg.Topic)); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
		owned = other.register(t.Context()) == nil
	}
	until(t, "it is told", func() bool {
		var lost *LakeError
		return errors.As(errors.Join(l.Problems()...), &lost)
	})
	hold.Remove()
	if err := l.Append(t.Context(), c.Block(1, 1)); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("appended to another lake's topic: %v", err)
	}
	if err := l.Release(0, stream.Position{Log: string(l.ID()), Offset: 1}); !errors.Is(err, landing.ErrMismatch) {
		t.Errorf("released in another lake's topic: %v", err)
	}
}

// TestNothingIsReleasedWhileTheRegistrationCannotBeRead, and all of it when it can.
func TestNothingIsReleasedWhileTheRegistrationCannotBeRead(t *testing.T) {
	cluster := fake(t)
	cfg := Config{Brokers: cluster.ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1, SettingsEvery: 10 * time.Millisecond}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	for range 2 {
		if err := l.Append(t.Context(), c.Block(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: LakesTopic(cfg.Topic), Err: kerr.TopicAuthorizationFailed, Count: -1})
	until(t, "it is told", func() bool {
		err := errors.Join(l.Problems()...)
		return errors.Is(err, ErrRights) && strings.Contains(err.Error(), "Read and Write on the topic "+LakesTopic(cfg.Topic))
	})
	if err := l.Release(0, stream.Position{Log: string(l.ID()), Offset: 1}); err != nil {
		t.Fatal(err)
	}
	if start, _, err := l.Bounds(t.Context(), 0); err != nil || start.Offset != 0 {
		t.Errorf("it was released to %+v, %v", start, err)
	}
	denied.Remove()
	until(t, "it is released", func() bool {
		start, _, err := l.Bounds(t.Context(), 0)
		return err == nil && start.Offset == 1 && len(l.Problems()) == 0
	})
}

// TestTheRegisterIsCheckedToo: with settings under which a registration could go, and
// without the right to make it, the topic is refused.
func TestTheRegisterIsCheckedToo(t *testing.T) {
	cluster := fake(t)
	cfg := Config{Brokers: cluster.ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1, Lake: lakeOf}
	denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: LakesTopic(cfg.Topic), Err: kerr.TopicAuthorizationFailed, Count: -1})
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrRights) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the rights Create") {
		t.Errorf("without the right: %v", err)
	}
	denied.Remove()
	admin := adminOf(t, cfg.Brokers)
	for setting, partitions := range map[string]int32{"cleanup.policy": 1, "partitions": 2} {
		if _, err := admin.CreateTopic(t.Context(), partitions, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("delete")}, LakesTopic(cfg.Topic)); err != nil {
			t.Fatal(err)
		}
		var refused *TopicError
		if _, err := Open(t.Context(), cfg); !errors.As(err, &refused) || refused.Topic != LakesTopic(cfg.Topic) || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s: %v", setting, err)
		}
		if err := cluster.DeleteTopic(LakesTopic(cfg.Topic)); err != nil {
			t.Fatal(err)
		}
	}
	openLog(t, cfg)
}

// TestSettingsThatChangeAreNoticed while the log is open, by the text with which Open
// refuses them, and forgotten when they are mended.
func TestSettingsThatChangeAreNoticed(t *testing.T) {
	for name, addrs := range map[string]func() []string{
		"in process": func() []string { return fake(t).ListenAddrs() },
		"Kafka":      func() []string { return shared.Cluster(t).Addrs() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Brokers: addrs(), Topic: freshTopic(), Partitions: 1, Replication: 1, SettingsEvery: 10 * time.Millisecond}
			l := openLog(t, cfg)
			admin := adminOf(t, cfg.Brokers)
			set := func(topic, key, value string) {
				t.Helper()
				if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic); err != nil {
					t.Fatal(err)
				}
			}
			for _, change := range []struct{ topic, key, bad, good string }{
				{cfg.Topic, "retention.ms", "604800000", "-1"},
				{cfg.Topic, "cleanup.policy", "compact", "delete"},
				{cfg.Topic, "unclean.leader.election.enable", "true", "false"},
				{LakesTopic(cfg.Topic), "cleanup.policy", "delete", "compact"},
			} {
				set(change.topic, change.key, change.bad)
				until(t, change.key+" is told", func() bool {
					err := errors.Join(l.Problems()...)
					var weak *TopicError
					return errors.As(err, &weak) && weak.Topic == change.topic && len(weak.Problems) == 1 && strings.Contains(err.Error(), change.key)
				})
				set(change.topic, change.key, change.good)
				until(t, change.key+" is mended", func() bool { return len(l.Problems()) == 0 })
			}
		})
	}
}

// TestForeignRegistrations: what is no registration, and those of other topics, are
// passed over; one of a newer format stops.
func TestForeignRegistrations(t *testing.T) {
	frozen, err := os.ReadFile("testdata/formats/registration-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	reg, err := decodeRegistration(frozen)
	if err != nil || reg.Topic != "00112233445566778899aabbccddeeff" || reg.Lake != "0123456789abcdef0123456789abcdef" || reg.Place != "s3://fleet/lake" || reg.At != "2026-01-31T12:00:00Z" {
		t.Errorf("read %+v, %v", reg, err)
	}
	if again, err := json.Marshal(reg); err != nil || string(again) != string(frozen) {
		t.Errorf("written again: %s, %v", again, err)
	}
	cfg := Config{Brokers: fake(t).ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1}
	r := registryOf(t, cfg, lakeOf)
	admin := adminOf(t, cfg.Brokers)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "unclean.leader.election.enable": kadm.StringPtr("false")}, LakesTopic(cfg.Topic)); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.DefaultProduceTopic(LakesTopic(cfg.Topic)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	put := func(value string) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), kgo.KeyStringRecord(value, value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("nonsense")
	put(`{"format":0}`)
	put(string(frozen))
	if err := r.register(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(`{"format":2}`)
	if err := r.decide(t.Context()); err != nil {
		t.Errorf("behind the first: %v", err)
	}
	r.id = "another"
	if err := r.decide(t.Context()); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer format: %v", err)
	}
}
