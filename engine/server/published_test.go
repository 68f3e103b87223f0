package server

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// until asks until an answer is as wanted.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// send hands a request to the engine's ingest.
func send(t *testing.T, s *Server, head wire.RequestHeader, blocks ...[]byte) wire.Answer {
	t.Helper()
	var body bytes.Buffer
	if len(blocks) > 0 {
		e, err := wire.NewEncoder(&body)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			if err := e.WriteBlock(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, wire.Path, &body)
	head.Write(r.Header, len(blocks) > 0)
	w := httptest.NewRecorder()
	s.ingest.ServeHTTP(w, r)
	a, err := wire.DecodeAnswer(w.Code, w.Header().Get("Content-Type"), w.Body.Bytes(), head)
	if err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return a
}

// TestAnEngineTellsWhatIsPublished: from landing to the lake, in answers and in
// the status.
func TestAnEngineTellsWhatIsPublished(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}", "lake}", "lake}\nepoch: {interval: 100ms}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := object.OpenLake(durable.OS{}, c.Lake.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) {
		sink, err := parquet.New(parquet.Config{Files: files})
		return []stream.Sink{sink}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	chain := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: chain.Log, Request: wire.RequestID{1}, Keeps: true}
	if a := send(t, s, head); !a.Publishes || a.PublishedKnown || a.AgainIn != 10*time.Second {
		t.Errorf("before the engine runs: %+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	until(t, "the partition is claimed", func() bool { return send(t, s, head).PublishedKnown })
	if a := send(t, s, head, chain.Block(3, 20).Block, chain.Block(2, 20).Block); a.Acked != 5 {
		t.Errorf("%+v", a)
	}
	head.Offset = 5
	var a wire.Answer
	until(t, "all is published", func() bool {
		a = send(t, s, head)
		return a.Published.Next == 5
	})
	if a.Published.Hash != chain.Prev || a.Published.Ledger.Number == 0 || a.Published.Ledger.Task != string(s.log.ID())+"-0000" {
		t.Errorf("%+v", a)
	}
	st := s.Status()
	if g := st.Gateways[0]; g.Published == nil || *g.Published != 5 || g.Acked != 5 || g.Log != chain.Log.String() {
		t.Errorf("%+v", g)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if g := s.Status().Gateways[0]; g.Published != nil {
		t.Errorf("when it has ended: %+v", g)
	}
}

// TestAnIngestTellsWhatOtherEnginesPublish: tasks run in one engine and gateways come
// to another, on one topic. What the ingest knows of the lake it reads in the store,
// and what the task lacks too.
func TestAnIngestTellsWhatOtherEnginesPublish(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		broker, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(broker.Close)
		otherEngines(t, broker.ListenAddrs())
	})
	t.Run("kafka", func(t *testing.T) { otherEngines(t, kafkatest.New(t, 1).Addrs()) })
}

func otherEngines(t *testing.T, brokers []string) {
	dir := t.TempDir()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := object.OpenLake(durable.OS{}, filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	engine := func(topic string, opt Options, roles ...string) *Server {
		c := Default()
		c.Roles, c.Lake.Dir, c.Identity.Unauthenticated, c.Epoch.Interval, c.DrainTimeout = roles, filepath.Join(dir, "lake"), true, 100*time.Millisecond, time.Minute
		k := &c.Landing.Kafka
		if k.Brokers, k.Topic, k.Partitions, k.Replication = brokers, topic, 2, 1; roles[0] == RoleIngest {
			c.Listen = "127.0.0.1:1"
		}
		s, err := New(t.Context(), c, opt)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	tasks := engine("landing", Options{Store: store, Sinks: func() ([]stream.Sink, error) {
		sink, err := parquet.New(parquet.Config{Files: files})
		return []stream.Sink{sink}, err
	}}, RoleTasks)
	gates := engine("landing", Options{Followed: store}, RoleIngest)
	defer func() { _ = gates.log.Close() }()
	chain := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: chain.Log, Request: wire.RequestID{1}, Keeps: true}
	if a := send(t, gates, head, chain.Block(3, 20).Block, chain.Block(2, 20).Block); a.Acked != 5 || !a.Publishes || a.PublishedKnown {
		t.Errorf("before anybody looked: %+v", a)
	}
	head.Offset = 5
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tasks.Run(ctx) }()
	var a wire.Answer
	until(t, "all is published", func() bool {
		gates.follower.Look(t.Context())
		a = send(t, gates, head)
		return a.PublishedKnown && a.Published.Next == 5
	})
	if a.Published.Hash != chain.Prev || a.Published.Ledger.Number == 0 || a.Acked != 5 || len(a.Lake) != wire.MaxLakeBytes {
		t.Errorf("%+v", a)
	}
	missing, last := chain.Block(2, 20).Block, chain.Block(2, 20).Block
	head.Offset = 7
	if a = send(t, gates, head, last); a.Acked != 9 {
		t.Errorf("another ingest landed what lies between, as far as this one knows: %+v", a)
	}
	head.Offset = 9
	until(t, "the task lacks what it did not", func() bool {
		gates.follower.Look(t.Context())
		a = send(t, gates, head)
		return a.Acked == 5
	})
	head.Offset = 5
	if a = send(t, gates, head, missing, last); a.Acked != 9 || a.Code != wire.CodeNone {
		t.Errorf("sent again: %+v", a)
	}
	head.Offset = 9
	until(t, "that is published too", func() bool {
		gates.follower.Look(t.Context())
		a = send(t, gates, head)
		return a.PublishedKnown && a.Published.Next == 9 && a.Published.Hash == chain.Prev
	})
	for _, task := range tasks.Status().Tasks {
		if task.Conflicts != 0 {
			t.Errorf("%+v", task)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if st := gates.Status(); st.Published != Tells || len(gates.follower.Problems()) != 0 || st.Gateways[0].Published == nil {
		t.Errorf("%+v", st)
	}
	alone := engine("alone", Options{}, RoleIngest)
	defer func() { _ = alone.log.Close() }()
	if a := send(t, alone, head); a.Publishes || alone.Status().Published != TellsNobody {
		t.Errorf("without a lake: %+v, %s", a, alone.Status().Published)
	}
}
