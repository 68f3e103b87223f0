package kafka

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"landfall/edge/record"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// member is one instance that notes what it is told.
type member struct {
	*Group
	revoking func() // called by Revoked; nil: nothing
	assigned chan struct{}
	mu       sync.Mutex
	history  []string
}

func join(t *testing.T, l *Log, revoking func()) *member {
	t.Helper()
	m := &member{revoking: revoking, assigned: make(chan struct{}, 10)}
	note := func(what string) func([]int) {
		return func(partitions []int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.history = append(m.history, fmt.Sprint(what, partitions))
			switch {
			case what == "+":
				m.assigned <- struct{}{}
			case what == "-" && m.revoking != nil:
				m.revoking()
			}
		}
	}
	g, err := l.Join(GroupConfig{
		Name: "engines", SessionTimeout: 6 * time.Second, DrainTimeout: time.Second,
		Assigned: note("+"), Revoked: note("-"), Lost: note("!"),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Group = g
	return m
}

// TestMembersShareThePartitions: each partition is one member's, one that stays
// is not taken away and given back, one that moves is another's only after
// Revoked has returned, what a member leaves goes to the others; and
// the group's offsets are what was committed to it.
func TestMembersShareThePartitions(t *testing.T) {
	const p = 6
	cfg := Config{Brokers: shared.Cluster(t).Addrs(), Topic: freshTopic(), Partitions: p, Replication: 1}
	l := openLog(t, cfg)
	var b *member
	joined := make(chan struct{})
	var handedOver bool
	a := join(t, l, func() {
		if handedOver { // at the end, when it leaves
			return
		}
		handedOver = true
		select {
		case <-joined:
		case <-t.Context().Done():
			return
		}
		select { // the time that a task takes to commit
		case <-b.assigned:
			t.Error("the second got partitions that the first had not given back")
		case <-time.After(3 * time.Second): // longer than it takes a member to hear of a new assignment
		}
	})
	until(t, "one has all", func() bool { return len(a.Held()) == p })
	b = join(t, openLog(t, cfg), nil)
	close(joined)
	until(t, "two share", func() bool { return len(a.Held()) == p/2 && len(b.Held()) == p/2 })
	if both := append(a.Held(), b.Held()...); !slices.Equal(slices.Sorted(slices.Values(both)), []int{0, 1, 2, 3, 4, 5}) {
		t.Fatalf("%v and %v", a.Held(), b.Held())
	}
	a.mu.Lock()
	if len(a.history) != 2 || a.history[1] != fmt.Sprint("-", b.Held()) {
		t.Errorf("the first was told %q, the second has %v", a.history, b.Held())
	}
	a.mu.Unlock()
	if err := l.Append(t.Context(), (&landingtest.Chain{Gateway: "a", Log: record.LogID{1}}).Block(1, 1)); err != nil {
		t.Fatal(err)
	}
	a.Commit(a.Held()[0], stream.Position{Log: string(l.ID()), Offset: 0})
	a.Commit(a.Held()[0], stream.Position{Log: "another", Offset: 7})
	admin := kadm.NewClient(l.client)
	until(t, "the group's offset is committed", func() bool {
		all, err := admin.FetchOffsets(t.Context(), "engines")
		if err != nil {
			return false
		}
		o, ok := all.Lookup(cfg.Topic, int32(a.Held()[0]))
		return ok && o.At == 0
	})
	b.Close()
	until(t, "one has all again", func() bool { return len(a.Held()) == p })
	a.Close()
	if len(a.Held()) != 0 || a.Err() != nil {
		t.Errorf("after leaving: %v, %v", a.Held(), a.Err())
	}
}
