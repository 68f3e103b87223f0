package kafka

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"landfall/edge/record"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// member is one instance that notes what it is told.
type member struct {
	*Group
	mu      sync.Mutex
	history []string
}

func join(t *testing.T, l *Log) *member {
	t.Helper()
	m := &member{}
	note := func(what string) func([]int) {
		return func(partitions []int) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.history = append(m.history, fmt.Sprint(what, partitions))
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
// is not taken away and given back, what a member leaves goes to the others; and
// the group's offsets are what was committed to it.
func TestMembersShareThePartitions(t *testing.T) {
	const p = 6
	cfg := Config{Brokers: kafkatest.New(t, 1).Addrs(), Topic: "landing", Partitions: p, Replication: 1}
	l := openLog(t, cfg)
	a := join(t, l)
	until(t, "one has all", func() bool { return len(a.Held()) == p })
	b := join(t, openLog(t, cfg))
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
		o, ok := all.Lookup("landing", int32(a.Held()[0]))
		return ok && o.At == 0
	})
	b.Close()
	until(t, "one has all again", func() bool { return len(a.Held()) == p })
	a.Close()
	if len(a.Held()) != 0 || a.Err() != nil {
		t.Errorf("after leaving: %v, %v", a.Held(), a.Err())
	}
}
