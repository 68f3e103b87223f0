package server

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/kafka"
	"landfall/engine/landing/landingtest"
	"landfall/engine/move"
	"landfall/sinks/object"
)

// TestAnIngestWhoseLakeMoves takes nothing more, acknowledges nothing to a gateway that
// would let go of it, says so, and is not started again; nor is one with another topic.
func TestAnIngestWhoseLakeMoves(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	dir := t.TempDir()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	conf := func(topic string) Config {
		c := Default()
		c.Roles, c.Listen, c.Lake.Dir, c.Identity.Unauthenticated = []string{RoleIngest}, "127.0.0.1:1", filepath.Join(dir, "lake"), true
		k := &c.Landing.Kafka
		k.Brokers, k.Topic, k.Partitions, k.Replication = broker.ListenAddrs(), topic, 1, 1
		return c
	}
	c := conf("landing")
	s, err := New(t.Context(), c, Options{Followed: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.log.Close() }()
	if err := move.Bind(t.Context(), store, s.landsIn()); err != nil {
		t.Fatal(err)
	}
	chain := &landingtest.Chain{Gateway: "pier", Log: record.LogID{1}}
	lets := wire.RequestHeader{Gateway: "pier", Log: chain.Log, Request: wire.RequestID{1}}
	if a := send(t, s, lets, chain.Block(3, 20).Block); !a.Known || a.Acked != 3 || a.Code != wire.CodeNone {
		t.Fatalf("%+v", a)
	}
	if err := store.Create(t.Context(), "_lake/moving", []byte(
		`{"format":1,"generation":1,"from":{"kind":"kafka","id":"`+string(s.log.ID())+`","partitions":1,"place":"landing"},"to":{"kind":"kafka","id":"6a","partitions":2,"place":"other"},"abandoned":[]}`)); err != nil {
		t.Fatal(err)
	}
	lets.Offset = 3
	if a := send(t, s, lets, chain.Block(2, 20).Block); a.Known || a.Code != wire.CodeUnavailable || !strings.Contains(a.Detail, "being moved") {
		t.Errorf("what landed after the move began: %+v", a)
	}
	if a := send(t, s, lets); a.Known || a.Code != wire.CodeUnavailable {
		t.Errorf("a question: %+v", a)
	}
	keeps := lets
	keeps.Offset, keeps.Keeps = 5, true
	if a := send(t, s, keeps); !a.Known || a.Acked != 5 || a.Code != wire.CodeNone {
		t.Errorf("a question of who keeps what has landed: %+v", a)
	}
	if a := send(t, s, keeps, chain.Block(2, 20).Block); a.Acked != 5 || a.Code != wire.CodeUnavailable {
		t.Errorf("what comes later: %+v", a)
	}
	st := s.Status()
	if why := strings.Join(st.Reasons, "\n"); st.Healthy || !strings.Contains(why, "nothing is landed") || !strings.Contains(why, "landing replace") || len(s.unready()) != 1 {
		t.Errorf("%q, %q", st.Reasons, s.unready())
	}
	s.follower.Look(t.Context())
	if why := strings.Join(s.follower.Problems(), "\n"); !strings.Contains(why, "landing replace") {
		t.Errorf("of a lake that leaves the topic is told what is published: %q", why)
	}
	var field *config.FieldError
	for _, topic := range []string{"landing", "another"} {
		c := conf(topic)
		if _, err := New(t.Context(), c, Options{Followed: store}); !errors.As(err, &field) || field.Key != "landing.kafka.topic" {
			t.Errorf("a start on topic %s: %v", topic, err)
		}
		if err := CheckFollowed(t.Context(), durable.OS{}, &c, store); !errors.As(err, &field) {
			t.Errorf("a check of topic %s: %v", topic, err)
		}
	}
	again, err := New(t.Context(), c, Options{Followed: silent{store}})
	if err != nil {
		t.Fatal("a start while the store does not answer:", err)
	}
	if err := again.log.Close(); err != nil {
		t.Error(err)
	}
}

// TestAnIngestWithoutALakeHearsThatItLeaves: by the topic alone, and so does one whose
// lake's store does not answer. It takes nothing more, acknowledges nothing that landed
// after the mark, says so, and is not started again.
func TestAnIngestWithoutALakeHearsThatItLeaves(t *testing.T) {
	for what, store := range map[string]checkpoint.Store{"no lake is known": nil, "its store does not answer": silent{}} {
		t.Run(what, func(t *testing.T) {
			broker, err := kfake.NewCluster(kfake.NumBrokers(1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(broker.Close)
			c := Default()
			c.Roles, c.Listen, c.Identity.Unauthenticated = []string{RoleIngest}, "127.0.0.1:1", true
			k := &c.Landing.Kafka
			k.Brokers, k.Topic, k.Partitions, k.Replication = broker.ListenAddrs(), "landing", 1, 1
			lake, err := kafka.Open(t.Context(), kafka.Config{Brokers: k.Brokers, Topic: k.Topic, Partitions: 1, Replication: 1,
				Lake: kafka.Lake{ID: strings.Repeat("7", 32), Place: "/lake"}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = lake.Close() }()
			s, err := New(t.Context(), c, Options{Followed: store})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.log.Close() }()
			chain := &landingtest.Chain{Gateway: "pier", Log: record.LogID{1}}
			head := wire.RequestHeader{Gateway: "pier", Log: chain.Log, Request: wire.RequestID{1}}
			if a := send(t, s, head, chain.Block(3, 20).Block); !a.Known || a.Acked != 3 || a.Code != wire.CodeNone {
				t.Fatalf("%+v", a)
			}
			if err := lake.Leave(t.Context(), "topic landing-b"); err != nil {
				t.Fatal(err)
			}
			head.Offset = 3
			for range 2 {
				if a := send(t, s, head, chain.Block(2, 20).Block); a.Known && a.Acked > 3 || a.Code != wire.CodeUnavailable || !strings.Contains(a.Detail, "has left it") {
					t.Errorf("what landed after the mark: %+v", a)
				}
			}
			st := s.Status()
			if why := strings.Join(st.Reasons, "\n"); st.Healthy || !strings.Contains(why, "nothing is landed") || !strings.Contains(why, "topic landing-b") || len(s.unready()) == 0 {
				t.Errorf("%q, %q", st.Reasons, s.unready())
			}
			var field *config.FieldError
			if _, err := New(t.Context(), c, Options{Followed: store}); !errors.As(err, &field) || field.Key != "landing.kafka.topic" {
				t.Errorf("a start: %v", err)
			}
		})
	}
}

// silent is a store that does not answer.
type silent struct{ checkpoint.Store }

func (silent) Read(context.Context, string) ([]byte, checkpoint.Version, error) {
	return nil, "", errors.New("no answer")
}
