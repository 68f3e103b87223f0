// Package explain says, for a configuration, what each handoff of the data
// guarantees and why.
//
// In:  the configuration of a gateway. What explains an engine lies with
// cmd/internal/enginecli, so that the edge's binary does not depend on it.
// Out: Handoffs in data's order, printed as text or JSON.
//
// Invariants
//
//  1. A guarantee is one of three: exactly once, at least once, at most once.
//     It is said of one handoff, never of the whole.
//  2. What weakens a guarantee (one disk, a policy that sheds, a reader that
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
}

// Text prints handoffs for people.
func Text(w io.Writer, handoffs []Handoff) error {
	for _, h := range handoffs {
		if _, err := fmt.Fprintf(w, "%s -> %s (%s): %s\n    %s\n", h.From, h.To, h.Commit, h.Guarantee, cli.Wrap(h.Why, 100, "    ")); err != nil {
			return err
		}
		for _, l := range h.Limits {
			if _, err := fmt.Fprintf(w, "    limit: %s\n", cli.Wrap(l, 93, "           ")); err != nil {
				return err
			}
		}
	}
	return nil
}
