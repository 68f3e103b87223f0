package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/edge/durable/faultfs"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// some are the tables of tests that need no more.
var some = []table.Name{table.AISPosition, table.Record}

func client(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func makeTopic(t testing.TB, brokers []string, name string, partitions int32, settings ...string) {
	t.Helper()
	configs := make(map[string]*string)
	for i := 0; i < len(settings); i += 2 {
		configs[settings[i]] = kadm.StringPtr(settings[i+1])
	}
	if _, err := kadm.NewClient(client(t, brokers)).CreateTopic(t.Context(), partitions, 1, configs, name); err != nil {
		t.Fatal(err)
	}
}

// TestSettingsAreRefused: settings under which rows or markers could vanish are
// refused, by name, by check and by the first epoch.
func TestSettingsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, topic, setting string
		partitions           int32
		settings             []string
	}{
		{"markers that are deleted", "p.markers", "retention.ms", 1, []string{"cleanup.policy", "delete", "retention.ms", "604800000"}},
		{"markers that are deleted and compacted", "p.markers", "retention.ms", 1, []string{"cleanup.policy", "compact,delete", "retention.ms", "604800000"}},
		{"markers bounded by size", "p.markers", "retention.bytes", 1, []string{"cleanup.policy", "delete", "retention.ms", "-1", "retention.bytes", "1000000"}},
		{"markers in many partitions", "p.markers", "number of partitions", 3, []string{"cleanup.policy", "compact"}},
		{"rows that are compacted", "p.record", "cleanup.policy", 1, []string{"cleanup.policy", "compact"}},
		{"rows that are too large", "p.record", "max.message.bytes", 1, []string{"max.message.bytes", "1000"}},
		{"rows that may be taken back", "p.record", "unclean.leader.election.enable", 1, []string{"unclean.leader.election.enable", "true"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, brokers := fake(t)
			makeTopic(t, brokers, tc.topic, tc.partitions, tc.settings...)
			c := Config{Brokers: brokers, Prefix: "p.", Tables: some}
			s, outputs := staged(t, c, 1, rowsOf(0, 1))
			c.Files = s.cfg.Files
			_, checked := Check(t.Context(), c)
			for _, err := range []error{checked, s.Publish(t.Context(), outputs)} {
				var refused *SettingError
				if !errors.As(err, &refused) || refused.Topic != tc.topic || refused.Setting != tc.setting {
					t.Errorf("said %v, want a refusal of %s of %s", err, tc.setting, tc.topic)
				}
			}
		})
	}
	t.Run("markers that stay", func(t *testing.T) {
		_, brokers := fake(t)
		makeTopic(t, brokers, "p.markers", 1, "cleanup.policy", "delete", "retention.ms", "-1", "retention.bytes", "-1")
		s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: some}, 1, rowsOf(0, 1))
		if err := s.Publish(t.Context(), outputs); err != nil {
			t.Error(err)
		}
	})
}

// TestCheckMakesNothing: it says what is there and what is not.
func TestCheckMakesNothing(t *testing.T) {
	_, brokers := fake(t)
	makeTopic(t, brokers, "landfall.record", 1, "retention.ms", "86400000")
	c := Config{Brokers: brokers, Tables: some}
	for range 2 {
		r, err := Check(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(r.Topics, " ") != "landfall.record" || strings.Join(r.Absent, " ") != "landfall.ais_position landfall.markers" {
			t.Errorf("there are %v, absent %v", r.Topics, r.Absent)
		}
		if all := strings.Join(r.Warnings, "\n"); !strings.Contains(all, "deletes messages after 24h0m0s") || !strings.Contains(all, "one replica") {
			t.Errorf("warned of:\n%s", all)
		}
	}
	c.TransactionTimeout = time.Hour
	var refused *SettingError
	if _, err := Check(t.Context(), c); err != nil && (!errors.As(err, &refused) || refused.Setting != "transaction.max.timeout.ms") {
		t.Errorf("a transaction of an hour: %v", err)
	}
}

// TestATableWithoutATopic: where an engine that was upgraded brings a table more and
// may not make its topic, publishing waits and says which topic to make; once it is
// there, everything is published.
func TestATableWithoutATopic(t *testing.T) {
	cluster, brokers := fake(t)
	makeTopic(t, brokers, "p.markers", 1, "cleanup.policy", "compact")
	makeTopic(t, brokers, "p.record", 1)
	makeTopic(t, brokers, "p.ais_position", 1)
	s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: append([]table.Name{table.Log}, some...)}, 1, rowsOf(0, 2), logsOf(2))
	denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	for range 2 {
		if err := s.Publish(t.Context(), outputs); !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "make topic p.log:") || !strings.Contains(err.Error(), "make it") {
			t.Fatalf("published without a topic: %v", err)
		}
	}
	denied.Remove()
	makeTopic(t, brokers, "p.log", 1)
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if n := len(committed(t, brokers, "p.log")); n != 2 {
		t.Errorf("%d messages of log", n)
	}
}

func lakeInMemory(t testing.TB) object.Files {
	t.Helper()
	files, err := object.OpenLake(faultfs.New(), "/lake")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// values gives the messages of a topic that readers of committed ones see.
func values(t testing.TB, brokers []string, topic string) int {
	t.Helper()
	return len(committed(t, brokers, topic))
}

// TestAnothersOpenTransactionIsNotWaitedFor: a writer of another task that died
// in its transaction holds the last stable offset of the marker topic back; the
// task reads its own markers behind it all the same.
func TestAnothersOpenTransactionIsNotWaitedFor(t *testing.T) {
	_, brokers := fake(t)
	c := Config{Brokers: brokers, Prefix: "p.", Tables: some}
	s, first := staged(t, c, 1, rowsOf(0, 5))
	if err := s.Publish(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	other := client(t, brokers, kgo.TransactionalID("p.markers:other-0000"))
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := other.ProduceSync(t.Context(), &kgo.Record{Topic: "p.markers", Key: []byte("other-0000"), Value: []byte("{}")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	second := stageRows(t, s, 2, rowsOf(5, 5))
	for range 2 { // published behind it, then found behind it, by a process that knows nothing
		if err := s.Publish(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		c.Files = s.cfg.Files
		var err error
		if s, err = New(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.cfg.Counters.Epochs.Load(); got != 0 {
		t.Errorf("the second process published %d epochs", got)
	}
	if err := other.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
}

// TestAbortedMarkerDoesNotCount: what a transaction that was aborted says is not
// true, though its marker lies in the topic.
func TestAbortedMarkerDoesNotCount(t *testing.T) {
	_, brokers := fake(t)
	s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: some}, 1, rowsOf(0, 5))
	epochs, err := byEpoch(outputs)
	if err != nil {
		t.Fatal(err)
	}
	o := epochs[0]
	ctx := t.Context()
	if err := s.prepare(ctx, o); err != nil {
		t.Fatal(err)
	}
	dead, err := s.fence(ctx, o) // writes all, and never commits
	if err != nil {
		t.Fatal(err)
	}
	defer dead.close()
	if err := s.produce(ctx, dead, o, (*marker)(nil).next(o)); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, outputs); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
	if err := dead.commit(ctx); err == nil {
		t.Error("a writer that was fenced committed")
	}
	if n := values(t, brokers, "p.record"); n != 5 {
		t.Errorf("%d rows after the fenced writer, want 5", n)
	}
}

// TestMarkersSurviveCompaction: the newest marker is found after the broker has
// removed the others.
func TestMarkersSurviveCompaction(t *testing.T) {
	cluster, brokers := fake(t)
	c := Config{Brokers: brokers, Prefix: "p.", Tables: some}
	s, outputs := staged(t, c, 1, rowsOf(0, 1))
	for epoch := stream.Epoch(1); ; epoch++ {
		if err := s.Publish(t.Context(), outputs); err != nil {
			t.Fatal(err)
		}
		if epoch == 20 {
			break
		}
		outputs = stageRows(t, s, epoch+1, rowsOf(int(epoch), 1))
	}
	cluster.Compact()
	c.Files = s.cfg.Files
	again, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 20 {
		t.Errorf("%d rows, want 20", n)
	}
}

// TestLostMarkersAreNoticed: a marker topic that was made anew under a running
// process is not taken for one in which nothing was published.
func TestLostMarkersAreNoticed(t *testing.T) {
	cluster, brokers := fake(t)
	s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: some}, 1, rowsOf(0, 1))
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if err := cluster.DeleteTopic("p.markers"); err != nil {
		t.Fatal(err)
	}
	makeTopic(t, brokers, "p.markers", 1, "cleanup.policy", "compact")
	if err := s.Publish(t.Context(), stageRows(t, s, 2, rowsOf(1, 1))); !errors.Is(err, stream.ErrContent) {
		t.Errorf("with a marker topic made anew: %v", err)
	}
}

// TestTransactionTimeGrows: an epoch that does not get through in the time of a
// transaction is tried with twice the time, until it does.
func TestTransactionTimeGrows(t *testing.T) {
	cluster, brokers := fake(t)
	s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: some, TransactionTimeout: time.Second}, 1, rowsOf(0, 1))
	slow := 0
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if slow++; slow == 1 {
			cluster.SleepControl(func() { <-time.After(1300 * time.Millisecond) })
		}
		return nil, nil, false
	})
	err := s.Publish(t.Context(), outputs)
	if err == nil || s.timeout != 2*time.Second || !strings.Contains(err.Error(), "transaction_timeout") {
		t.Fatalf("the first attempt said %v; the next has %s", err, s.timeout)
	}
	for range 20 {
		if err = s.Publish(t.Context(), outputs); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestRefusedRowsEndTheEpoch: when the broker refuses a batch of rows for good,
// nothing of the epoch is committed, and the next attempt brings all of it.
func TestRefusedRowsEndTheEpoch(t *testing.T) {
	cluster, brokers := fake(t)
	s, outputs := staged(t, Config{Brokers: brokers, Prefix: "p.", Tables: some}, 1, rowsOf(0, 5))
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "p.record", Err: kerr.MessageTooLarge})
	if err := s.Publish(t.Context(), outputs); err == nil || refused.Hits() == 0 {
		t.Errorf("said %v after %d refusals", err, refused.Hits())
	}
	if n := values(t, brokers, "p.ais_position"); n != 0 {
		t.Errorf("%d rows of an epoch that was refused", n)
	}
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// TestUnknownEndOfTransactionIsReadBack: the answer to EndTxn is lost after the
// transaction was committed; the next attempt reads the marker and adds nothing.
func TestUnknownEndOfTransactionIsReadBack(t *testing.T) {
	_, brokers := fake(t)
	lost := &loseAnswer{key: int16(kmsg.EndTxn)}
	c := Config{Brokers: brokers, Prefix: "p.", Tables: some, Client: []kgo.Opt{kgo.Dialer(lost.dial), kgo.RequestRetries(0)}}
	s, outputs := staged(t, c, 1, rowsOf(0, 7))
	err := s.Publish(t.Context(), outputs)
	if lost.hits.Load() == 0 {
		t.Fatal("no answer was lost")
	}
	if err == nil {
		t.Log("the client asked again by itself and was told")
	}
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 7 {
		t.Errorf("%d rows, want 7", n)
	}
}

// TestClosedSinkPublishesNothing and does not hang.
func TestClosedSinkPublishesNothing(t *testing.T) {
	s, outputs := staged(t, Config{Brokers: []string{"127.0.0.1:1"}, Tables: some}, 1, rowsOf(0, 1))
	_ = s.Close()
	if err := s.Publish(t.Context(), outputs); !errors.Is(err, context.Canceled) {
		t.Errorf("said %v", err)
	}
}

// TestValidate names what is wrong.
func TestValidate(t *testing.T) {
	files := lakeInMemory(t)
	good := Config{Files: files, Brokers: []string{"b:9092"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"Brokers":              func(c *Config) { c.Brokers = nil },
		"TransactionTimeout":   func(c *Config) { c.TransactionTimeout = -1 },
		"MaxMessageBytes":      func(c *Config) { c.MaxMessageBytes = MinMessageBytes - 1 },
		"MarkerTopic":          func(c *Config) { c.MarkerTopic = "a b" },
		"is no table":          func(c *Config) { c.Tables = []table.Name{"x"} },
		"not among the tables": func(c *Config) { c.Tables, c.Topics = some, map[table.Name]string{table.Loss: "x"} },
		"is the topic of":      func(c *Config) { c.Topics = map[table.Name]string{table.Loss: "landfall.markers"} },
		"no topic's name":      func(c *Config) { c.Topics = map[table.Name]string{table.Loss: ".."} },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestNewNeedsFiles to stage in; Check does not.
func TestNewNeedsFiles(t *testing.T) {
	if _, err := New(Config{Brokers: []string{"b:9092"}}); err == nil || !strings.Contains(err.Error(), "Files") {
		t.Error(err)
	}
}

// TestFencedWritersAreCounted: a producer that was fenced says so by name.
func TestFencedWritersAreCounted(t *testing.T) {
	for _, err := range []error{errFenced, kerr.InvalidProducerEpoch, kerr.ProducerFenced} {
		if !wasFenced(err) {
			t.Errorf("%v is not taken for a fence", err)
		}
	}
	if wasFenced(kerr.NotLeaderForPartition) {
		t.Error("a leader that moved is taken for a fence")
	}
}
