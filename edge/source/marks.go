package source

import "strings"

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
