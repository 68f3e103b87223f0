package pulse

import (
	"slices"
	"testing"
)

func TestOnlyWorkWithoutProgressIsStuck(t *testing.T) {
	var a, b Pulse
	both := []Named{{"a", &a}, {"b", &b}}
	var w Watcher
	look := func(want ...string) {
		t.Helper()
		if got := w.Stuck(both); !slices.Equal(got, want) {
			t.Errorf("stuck: %v, want %v", got, want)
		}
	}
	look()
	look() // both rest
	a.Begin()
	look() // began since the last look
	look("a")
	b.Begin()
	look("a")
	a.Beat()
	look("b")
	b.Begin() // a second worker comes in: the work is taken up
	look("a")
	b.End()
	look("a")
	look("a", "b") // one of b's workers is still at it
	a.End()
	b.End()
	look()
	look()
}

func TestALoopThatIsMadeAnewIsNotStuck(t *testing.T) {
	var w Watcher
	old := &Pulse{}
	old.Begin()
	w.Stuck([]Named{{"a", old}})
	w.Stuck(nil) // between the two
	fresh := &Pulse{}
	fresh.Begin()
	if got := w.Stuck([]Named{{"a", fresh}}); len(got) != 0 {
		t.Errorf("stuck: %v", got)
	}
}

func TestNilCountsNothing(t *testing.T) {
	var p *Pulse
	p.Begin()
	p.Beat()
	p.End()
}
