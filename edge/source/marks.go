package source

import (
	"errors"
	"strings"
)

// The bounds on what a source may keep in marks. All are refused by Validate or, for
// whoever comes beyond them, told to it: marks lie in memory, and each one that
// changes is written again with each segment of the log.
const (
	// MaxSenders bounds AckedConfig.MaxSenders.
	MaxSenders = 1 << 16
	// MaxEpochSenders bounds the senders of version 2 of an Acked, which have more
	// marks than those of version 1.
	MaxEpochSenders = 1 << 10
	// maxNodes bounds the nodes that a gateway knows, one for each time that a node's
	// flash was formatted.
	maxNodes = 1 << 12
)

// errNodes says that a node is one too many.
var errNodes = errors.New("this gateway knows as many nodes as it can: the node keeps its readings; give it to a gateway with a data directory of its own")

// A source keeps where it stands in marks of the log: under its own name, or under
// names that begin with it and a '/'. What begins with a '/' belongs to the gateway
// itself: nodes (sensor nodes are carried from one line to another), the clock, and
// fragments that wait.

// MarkOwner returns the name of the source that a mark belongs to; empty: it is the
// gateway's own.
func MarkOwner(mark string) string {
	owner, _, _ := strings.Cut(mark, "/")
	return owner
}
