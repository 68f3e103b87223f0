package task

import (
	"slices"
	"strings"
	"sync"
)

// maxNames is how many gateways a Names tells apart.
const maxNames = 8

// Names are the first gateways of which something was said, for people. Its methods may
// be called from any goroutine.
type Names struct {
	mu   sync.Mutex
	all  []string
	more bool
}

// Add notes a gateway.
func (n *Names) Add(gateway string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case slices.Contains(n.all, gateway):
	case len(n.all) == maxNames:
		n.more = true
	default:
		n.all = append(n.all, gateway)
	}
}

// String returns "gateway a" or "gateways a, b and others"; empty: none was noted.
func (n *Names) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case len(n.all) == 0:
		return ""
	case n.more:
		return "gateways " + strings.Join(n.all, ", ") + " and others"
	case len(n.all) == 1:
		return "gateway " + n.all[0]
	}
	return "gateways " + strings.Join(n.all, ", ")
}
