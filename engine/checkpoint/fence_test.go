package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/engine/stream"
)

// TestCommitAfterAnotherClaimIsFenced: the commit itself says so, HEAD stays
// the other's, and nothing of the epoch is published.
func TestCommitAfterAnotherClaimIsFenced(t *testing.T) {
	store, mine, others := newMemory(), &sink{}, &sink{}
	a := claim(t, config(store, mine))
	b := claim(t, config(store, others))
	if err := commit(t, a, 1); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("commit after another claim: %v", err)
	}
	if err := a.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("closed with %v", err)
	}
	if got := mine.seen(); len(got) != 0 {
		t.Errorf("published %v though the epoch did not happen", got)
	}
	m, err := Load(t.Context(), store, stream.TaskID{Landing: "l"})
	if err != nil || m.Claim != b.ClaimID() || m.Epoch != 0 {
		t.Errorf("HEAD: claim %s, epoch %s, %v; want claim %s at epoch 0", m.Claim, m.Epoch, err, b.ClaimID())
	}
	if err := commit(t, b, 1); err != nil {
		t.Errorf("whoever holds HEAD: %v", err)
	}
	closed(t, b)
	if got := strings.Join(others.seen(), " "); got != "1" {
		t.Errorf("published %q", got)
	}
}

// TestFencedCollectorRemovesNothing: an epoch whose publishing ended after
// another claim leaves what it would have collected.
func TestFencedCollectorRemovesNothing(t *testing.T) {
	store, s := newMemory(), &sink{}
	gate := make(chan struct{})
	s.publish = func() error { <-gate; return nil }
	a := claim(t, config(store, s))
	if err := commit(t, a, 1); err != nil {
		t.Fatal(err)
	}
	b := claim(t, config(store, &sink{}))
	removed := 0
	store.fail = func(op, _ string) error {
		if op == "delete" {
			removed++
		}
		return nil
	}
	close(gate)
	if err := a.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("closed with %v", err)
	}
	if removed != 0 {
		t.Errorf("%d objects removed under another claim's HEAD", removed)
	}
	store.fail = nil
	closed(t, b)
}

// TestOtherContentIsNotTriedAgain: what is visible with other content stays so,
// however often it is published; the committer is over at the first answer.
func TestOtherContentIsNotTriedAgain(t *testing.T) {
	store, s := newMemory(), &sink{}
	tried := 0
	s.publish = func() error { tried++; return fmt.Errorf("publish: %w", stream.ErrContent) }
	c := claim(t, config(store, s))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrContent) || errors.Is(err, stream.ErrFenced) {
		t.Errorf("closed with %v", err)
	}
	if tried != 1 {
		t.Errorf("published %d times", tried)
	}
}
