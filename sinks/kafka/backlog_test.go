package kafka

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/landing/kafkatest"
	"landfall/engine/stream"
)

// shared is the real broker of the tests that need one.
var shared kafkatest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	shared.Close()
	os.Exit(code)
}

// backlog stages the outputs of as many epochs as may wait.
func backlog(t *testing.T, c Config) (*Sink, [][]stream.Staged) {
	t.Helper()
	s, first := staged(t, c, 1, rowsOf(0, 1))
	all := [][]stream.Staged{first}
	for e := stream.Epoch(2); e <= stream.MaxBacklog; e++ {
		all = append(all, stageRows(t, s, e, rowsOf(int(e)-1, 1)))
	}
	return s, all
}

// restarted is the sink of the next process.
func restarted(t *testing.T, s *Sink) *Sink {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := New(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func publishAll(t *testing.T, s *Sink, all [][]stream.Staged) {
	t.Helper()
	for i, outputs := range all {
		if err := s.Publish(t.Context(), outputs); err != nil {
			t.Fatalf("epoch %d: %v", i+1, err)
		}
	}
}

// TestABacklogOverARestart: the brokers were away until as many epochs waited as may,
// and came back. Engines are restarted when some, and when all of them are published,
// and HEAD still names all of them: each claim publishes every one, and each row is
// there once.
func TestABacklogOverARestart(t *testing.T) {
	for name, brokers := range map[string]func() []string{
		"in process": func() []string { _, addrs := fake(t); return addrs },
		"Kafka":      func() []string { return shared.Cluster(t).Addrs() },
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Brokers: brokers(), Prefix: fmt.Sprintf("b%d.", time.Now().UnixNano()), Tables: some, Partitions: 1, Replication: 1}
			s, all := backlog(t, c)
			publishAll(t, s, all[:stream.MaxBacklog*2/3])
			for range 2 {
				s = restarted(t, s)
				publishAll(t, s, all)
			}
			if n := values(t, c.Brokers, c.Prefix+"record"); n != stream.MaxBacklog {
				t.Errorf("%d rows of %d epochs", n, stream.MaxBacklog)
			}
		})
	}
}

// TestABacklogOfOlderMarkers: an engine of the version before, whose markers name 32
// epochs, has published more than those; this version takes over and finds them all
// in the markers before the newest.
func TestABacklogOfOlderMarkers(t *testing.T) {
	const published, named = stream.MaxBacklog - 1, 32
	_, brokers := fake(t)
	s, all := backlog(t, Config{Brokers: brokers, Prefix: "p.", Tables: some})
	publishAll(t, s, all[:1]) // it makes the topics
	var last *marker
	var writer *kgo.Client
	for i := range published {
		epochs, err := byEpoch(all[i])
		if err != nil {
			t.Fatal(err)
		}
		o := epochs[0]
		last = last.next(o)
		last.Format, last.Recent = 1, last.Recent[:min(len(last.Recent), named)]
		if i == 0 {
			writer = client(t, brokers, kgo.TransactionalID(transactionalID(o)))
			continue
		}
		value, err := json.Marshal(last)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := writer.ProduceSync(t.Context(), &kgo.Record{Topic: o.markers, Key: []byte(o.task), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := writer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	s = restarted(t, s)
	publishAll(t, s, all)
	if found := s.cfg.Counters.Found.Load(); found != published {
		t.Errorf("%d epochs were found, %d were published", found, published)
	}
	if n := s.cfg.Counters.Epochs.Load(); n != 2 { // the first by the process before
		t.Errorf("%d epochs were written", n)
	}
}
