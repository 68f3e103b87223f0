package memory

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// Group returns how much memory the process's control group may have, bytes: the least
// bound of it and those above it, as far as they can be seen; 0: there is none.
func Group() int64 { return groupOf(os.ReadFile) }

// groupOf is Group over files that read returns. The hierarchy of version 2 is asked
// first, then the one of version 1 that holds memory.
func groupOf(read func(string) ([]byte, error)) int64 {
	text, err := read("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) != 3 {
			continue
		}
		mount, file := "", ""
		switch {
		case parts[0] == "0" && parts[1] == "":
			mount, file = "/sys/fs/cgroup", "memory.max"
		case has(parts[1], "memory"):
			mount, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		if n := leastOf(read, mount, path.Clean("/"+parts[2]), file); n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// has tells whether a list with commas names one.
func has(list, one string) bool {
	for name := range strings.SplitSeq(list, ",") {
		if name == one {
			return true
		}
	}
	return false
}

// unbounded is from where on a bound of version 1 is none: without one the file holds
// the largest number of pages.
const unbounded = 1 << 62

// leastOf returns the least bound in a file of a group and of those above it; 0: none.
// In a container the path may be the host's: the top of the mount is then its own group.
func leastOf(read func(string) ([]byte, error), mount, group, file string) int64 {
	least := int64(0)
	for {
		text, err := read(path.Join(mount, group, file))
		n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
		if err == nil && bad == nil && n > 0 && n < unbounded && (least == 0 || n < least) {
			least = n
		}
		if group == "/" {
			return least
		}
		group = path.Dir(group)
	}
}
