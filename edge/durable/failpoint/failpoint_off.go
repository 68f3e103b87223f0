//go:build !failpoint

package failpoint

// Hit marks a named step; without the build tag it is nothing.
func Hit(string) {}
