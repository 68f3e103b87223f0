package cli

import (
	"io/fs"
	"math"
	"runtime/debug"
	"testing"
)

// TestTheMemoryOfTheGroupIsKnown: the least of the group and those above it.
func TestTheMemoryOfTheGroupIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":              {nil, 0},
		"version 1":         {map[string]string{"/proc/self/cgroup": "4:memory:/a\n", "/sys/fs/cgroup/memory.max": "5\n"}, 0},
		"a container":       {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "500\n"}, 500},
		"a container, none": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, 0},
		"a unit": {map[string]string{"/proc/self/cgroup": "0::/system.slice/l.service\n",
			"/sys/fs/cgroup/system.slice/l.service/memory.max": "400\n", "/sys/fs/cgroup/system.slice/memory.max": "max\n"}, 400},
		"above it": {map[string]string{"/proc/self/cgroup": "0::/a/b\n",
			"/sys/fs/cgroup/a/b/memory.max": "400\n", "/sys/fs/cgroup/a/memory.max": "300\n"}, 300},
		"no path of it": {map[string]string{"/proc/self/cgroup": "0::/../../x\n", "/sys/fs/cgroup/x/memory.max": "7\n"}, 7},
	} {
		got := groupMemory(func(name string) ([]byte, error) {
			if text, ok := c.files[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		})
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestMemoryIsLimited: by the environment, else the configuration, else the group.
func TestMemoryIsLimited(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	if got := memoryLimit(7, 500); got != 7 {
		t.Errorf("the configuration's 7 became %d", got)
	}
	if got := memoryLimit(0, 500); got != 400 {
		t.Errorf("of a group of 500: %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	if got := LimitMemory(1 << 40); got != 1<<40 || debug.SetMemoryLimit(-1) != 1<<40 {
		t.Errorf("it is %d", debug.SetMemoryLimit(-1))
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	debug.SetMemoryLimit(math.MaxInt64)
	if got := LimitMemory(1 << 40); got != 0 || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Errorf("the environment's became %d", debug.SetMemoryLimit(-1))
	}
}
