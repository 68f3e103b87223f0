package cli

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// LimitMemory has the runtime clear up more often from a bound on (GOMEMLIMIT), bytes,
// and returns it; 0: there is none. own is what the configuration says, 0: nothing; then
// it is four fifths of what the process's own control group may have, as a unit with
// MemoryMax= or a container gives it. A GOMEMLIMIT of the environment goes before both.
// The bound ends nothing: the group does, and the rest is for what the runtime does not
// count.
func LimitMemory(own int64) int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	limit := memoryLimit(own, groupMemory(os.ReadFile))
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	} else {
		debug.SetMemoryLimit(math.MaxInt64) // as after a reload that took the key away
	}
	return limit
}

// memoryLimit is the bound that LimitMemory sets; group is what the control group may
// have, 0: no bound is known.
func memoryLimit(own, group int64) int64 {
	if own > 0 {
		return own
	}
	return group / 5 * 4
}

// groupMemory returns the least memory.max of the process's control group and those
// above it, bytes, as far as they can be seen (version 2); 0: there is none.
func groupMemory(read func(string) ([]byte, error)) int64 {
	text, err := read("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	group, ok := "", false
	for line := range strings.Lines(string(text)) {
		if own, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
			group, ok = path.Clean("/"+own), true
		}
	}
	if !ok {
		return 0
	}
	least := int64(0)
	for {
		text, err := read(path.Join("/sys/fs/cgroup", group, "memory.max"))
		n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
		if err == nil && bad == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
		if group == "/" {
			return least
		}
		group = path.Dir(group)
	}
}
