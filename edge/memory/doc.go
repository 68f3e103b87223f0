// Package memory states how much memory a daemon may have, and holds the runtime to it.
//
// In:  what the configuration says, what its settings add up to, and the bounds of the
// process's control group.
// Out: one Bound, which the daemon prints, shows and sets as the runtime's soft limit
// (GOMEMLIMIT), and what the process takes (Read).
//
// Invariants
//
//  1. What an operator says goes first: GOMEMLIMIT of the environment, then the
//     configuration. Without either the bound never exceeds four fifths of what the control
//     group may have.
//  2. The runtime's limit is the Bound less Outside, unless GOMEMLIMIT is set in the
//     environment: that is then the Bound.
//
// Nothing here keeps state but the runtime's limit; all functions may be called from
// many goroutines.
package memory
