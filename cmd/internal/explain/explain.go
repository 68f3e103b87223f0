// Package explain says, for a configuration, what each handoff of the data
// guarantees and why.
//
// In:  the configuration of a gateway, and its status while it runs. What explains an engine lies with
// cmd/internal/enginecli, so that the edge's binary does not depend on it.
// Out: Handoffs in data's order, printed as text or JSON.
//
// Invariants
//
//  1. A guarantee is one of three: exactly once, at least once, at most once.
//     It is said of one handoff, never of the whole.
//  2. What the running gateway saw is said beside what is configured, never in
//     its place.
//  3. What weakens a guarantee (one disk, a policy that sheds, a reader that
//     lists folders) stands beside it as a limit.
//
// Everything is pure.
package explain

import (
	"fmt"
	"io"

	"landfall/cmd/internal/cli"
)

// Guarantee is what a handoff promises.
type Guarantee string

// The guarantees.
const (
	ExactlyOnce Guarantee = "exactly once"
	AtLeastOnce Guarantee = "at least once"
	AtMostOnce  Guarantee = "at most once"
)

// Handoff is one step of the data from one holder to the next.
type Handoff struct {
	From      string    `json:"from"`
	To        string    `json:"to"`
	Commit    string    `json:"commit"` // the commit point that ends it, C1 to C5
	Guarantee Guarantee `json:"guarantee"`
	Why       string    `json:"why"`
	Limits    []string  `json:"limits"`
	// Seen is what the running gateway saw in place of Guarantee, and SeenWhy how
	// often; see Observe.
	Seen    []Guarantee `json:"seen,omitempty"`
	SeenWhy string      `json:"seen_why,omitempty"`
}

// Text prints handoffs for people.
func Text(w io.Writer, handoffs []Handoff) error {
	for _, h := range handoffs {
		if _, err := fmt.Fprintf(w, "%s -> %s (%s): %s\n    %s\n", h.From, h.To, h.Commit, Words(h.Guarantee, h.Seen), cli.Wrap(h.Why, 100, "    ")); err != nil {
			return err
		}
		if h.SeenWhy != "" {
			if _, err := fmt.Fprintf(w, "    seen: %s\n", cli.Wrap(h.SeenWhy, 94, "          ")); err != nil {
				return err
			}
		}
		for _, l := range h.Limits {
			if _, err := fmt.Fprintf(w, "    limit: %s\n", cli.Wrap(l, 93, "           ")); err != nil {
				return err
			}
		}
	}
	return nil
}
