package task

import (
	"fmt"
	"testing"
)

// TestNamesAreBounded: the first few are told, and that there are others.
func TestNamesAreBounded(t *testing.T) {
	var n Names
	said := func(want string) {
		t.Helper()
		if got := n.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	said("")
	n.Add("a")
	n.Add("a")
	said("gateway a")
	n.Add("b")
	said("gateways a, b")
	for i := range maxNames - 2 {
		n.Add(fmt.Sprint(i))
	}
	said("gateways a, b, 0, 1, 2, 3, 4, 5")
	for i := range 1000 {
		n.Add(fmt.Sprint(i))
	}
	said("gateways a, b, 0, 1, 2, 3, 4, 5 and others")
}
