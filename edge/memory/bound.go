package memory

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
)

// Item is something that takes memory, and how many bytes at its bound.
type Item struct {
	What  string
	Bytes int64
}

// Sum returns what items take together, bytes, in whole MiB, rounded up.
func Sum(items []Item) int64 {
	sum := int64(0)
	for _, i := range items {
		sum += i.Bytes
	}
	return (sum + 1<<20 - 1) >> 20 << 20
}

// Text lists items with their sizes, the sum first, for people.
func Text(items []Item) string {
	var all []string
	for _, i := range items {
		all = append(all, fmt.Sprintf("%s %s", i.What, Size(i.Bytes)))
	}
	return Size(Sum(items)) + ": " + strings.Join(all, ", ")
}

// Size returns bytes in MiB, with one digit behind the point where there are few.
func Size(n int64) string {
	if n >= 10<<20 || n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Origin says where a Bound comes from.
type Origin string

// The origins, in the order in which they are asked for.
const (
	Environment  Origin = "GOMEMLIMIT of the environment"
	Configured   Origin = "memory of the configuration"
	ControlGroup Origin = "four fifths of what its control group may have"
	Settings     Origin = "what its settings add up to"
	Standard     Origin = "the default, more than its settings add up to"
)

// Bound is how much memory a daemon may have.
type Bound struct {
	Bytes  int64
	From   Origin
	Needed int64 // what its settings add up to, bytes
	Group  int64 // what its control group may have, bytes; 0: no bound is known
}

// Outside is what a process takes beside what the Go runtime counts: the pages of its
// program, and a heap that grows while it is cleared up. Bytes.
const Outside = 16 << 20

// Wanted is what the bound of a process follows from. Bytes; 0: nothing.
type Wanted struct {
	Own         int64 // what the configuration says
	Needed      int64 // what its settings add up to
	Least       int64 // the bound where the settings need less
	Group       int64 // what its control group may have
	Environment int64 // the runtime's limit that GOMEMLIMIT sets
}

// Decide returns the bound of a process.
func Decide(w Wanted) Bound {
	b := Bound{Bytes: max(w.Needed, w.Least), From: Settings, Needed: w.Needed, Group: w.Group}
	if w.Needed < w.Least {
		b.From = Standard
	}
	if most := w.Group / 5 * 4; w.Group > 0 && most < b.Bytes {
		b.Bytes, b.From = most, ControlGroup
	}
	if w.Own > 0 {
		b.Bytes, b.From = w.Own, Configured
	}
	if w.Environment > 0 {
		b.Bytes, b.From = w.Environment, Environment
	}
	return b
}

// Fits tells that all the settings allow at the same time is within the bound.
func (b Bound) Fits() bool { return b.Needed <= b.Bytes }

// runtimeLimit is what the runtime is told for a bound.
func runtimeLimit(bytes int64) int64 { return max(bytes-Outside, bytes/2) }

// Limit decides the bound of this process, sets the runtime's limit to it, and returns
// it. Of w it fills in Group and Environment.
func Limit(w Wanted) Bound {
	w.Group, w.Environment = Group(), 0
	own := os.Getenv("GOMEMLIMIT") != ""
	if n := debug.SetMemoryLimit(-1); own && n != math.MaxInt64 { // which "off" is
		w.Environment = n
	}
	b := Decide(w)
	if !own {
		debug.SetMemoryLimit(runtimeLimit(b.Bytes))
	}
	return b
}
