//go:build !failpoint

package failpoint

// Hit marks a named step; without the build tag it is nothing.
func Hit(string) {}

// Content marks a step at which a process dies of what it reads; without the build
// tag it is nothing.
func Content([]byte) {}

// Often returns n: how many times something happens, or how many seconds pass, until a
// step is due. Built with -tags failpoint it returns few in its place, so that a test
// reaches the step.
func Often(n, _ int) int { return n }
