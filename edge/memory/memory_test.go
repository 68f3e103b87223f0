package memory

import (
	"errors"
	"io/fs"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

// in reads files from a map, as os.ReadFile does.
func in(files map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
}

// TestTheMemoryOfTheGroupIsKnown: the least of the group and those above it, of either
// version of control groups.
func TestTheMemoryOfTheGroupIsKnown(t *testing.T) {
	const v1 = "/sys/fs/cgroup/memory"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none": {nil, 0},
		"version 1": {map[string]string{"/proc/self/cgroup": "5:cpu:/b\n4:memory,rdma:/a\n", v1 + "/a/memory.limit_in_bytes": "600\n",
			v1 + "/b/memory.limit_in_bytes": "5\n"}, 600},
		"version 1, no bound":        {map[string]string{"/proc/self/cgroup": "4:memory:/a\n", v1 + "/a/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"version 1, a container":     {map[string]string{"/proc/self/cgroup": "4:memory:/docker/0123\n", v1 + "/memory.limit_in_bytes": "700\n"}, 700},
		"version 1, its files alone": {map[string]string{"/proc/self/cgroup": "4:memory:/a\n", "/sys/fs/cgroup/a/memory.max": "5\n"}, 0},
		"both": {map[string]string{"/proc/self/cgroup": "4:memory:/a\n0::/a\n", v1 + "/a/memory.limit_in_bytes": "600\n",
			"/sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		"a container":       {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "500\n"}, 500},
		"a container, none": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, 0},
		"a unit": {map[string]string{"/proc/self/cgroup": "0::/system.slice/l.service\n",
			"/sys/fs/cgroup/system.slice/l.service/memory.max": "400\n", "/sys/fs/cgroup/system.slice/memory.max": "max\n"}, 400},
		"above it": {map[string]string{"/proc/self/cgroup": "0::/a/b\n",
			"/sys/fs/cgroup/a/b/memory.max": "400\n", "/sys/fs/cgroup/a/memory.max": "300\n"}, 300},
		"no path of it": {map[string]string{"/proc/self/cgroup": "0::/../../x\n", "/sys/fs/cgroup/x/memory.max": "7\n"}, 7},
		"no lines":      {map[string]string{"/proc/self/cgroup": "0\n:\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := groupOf(in(c.files)); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestWhereABoundComesFrom: the environment, else the configuration, else what the
// settings need, as far as the group allows.
func TestWhereABoundComesFrom(t *testing.T) {
	for name, c := range map[string]struct {
		wanted Wanted
		bytes  int64
		from   Origin
		fits   bool
	}{
		"settings":               {Wanted{Needed: 100}, 100, Settings, true},
		"few settings":           {Wanted{Needed: 60, Least: 64}, 64, Standard, true},
		"a large group":          {Wanted{Needed: 100, Group: 1000}, 100, Settings, true},
		"a group just so":        {Wanted{Needed: 400, Group: 500}, 400, Settings, true},
		"a small group":          {Wanted{Needed: 100, Group: 50}, 40, ControlGroup, false},
		"below the default":      {Wanted{Needed: 30, Least: 64, Group: 50}, 40, ControlGroup, true},
		"the configuration":      {Wanted{Own: 70, Needed: 60, Group: 50}, 70, Configured, true},
		"the environment":        {Wanted{Own: 70, Needed: 60, Group: 50, Environment: 20}, 20, Environment, false},
		"a small configuration":  {Wanted{Own: 70, Needed: 80}, 70, Configured, false},
		"a configuration beside": {Wanted{Own: 70, Needed: 60, Least: 64, Group: 1000}, 70, Configured, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := Decide(c.wanted)
			if got.Bytes != c.bytes || got.From != c.from || got.Fits() != c.fits {
				t.Errorf("%+v, fits %t; want %d from %s, fits %t", got, got.Fits(), c.bytes, c.from, c.fits)
			}
		})
	}
}

// TestTheRuntimeIsLimited: to less than the bound, for the runtime counts not all; and
// what the environment says stays.
func TestTheRuntimeIsLimited(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "")
	if b := Limit(Wanted{Own: 1 << 40}); b.Bytes != 1<<40 || debug.SetMemoryLimit(-1) != 1<<40-Outside {
		t.Errorf("bound %d, the runtime's limit is %d", b.Bytes, debug.SetMemoryLimit(-1))
	}
	if b := Limit(Wanted{Own: 20 << 20}); b.Bytes != 20<<20 || debug.SetMemoryLimit(-1) != 10<<20 {
		t.Errorf("bound %d, the runtime's limit is %d", b.Bytes, debug.SetMemoryLimit(-1))
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	debug.SetMemoryLimit(1 << 30) // as the runtime does at its start
	if b := Limit(Wanted{Own: 1 << 40}); b.Bytes != 1<<30 || b.From != Environment || debug.SetMemoryLimit(-1) != 1<<30 {
		t.Errorf("bound %d, the runtime's limit is %d", b.Bytes, debug.SetMemoryLimit(-1))
	}
	t.Setenv("GOMEMLIMIT", "off")
	debug.SetMemoryLimit(math.MaxInt64)
	if b := Limit(Wanted{Own: 1 << 40}); b.Bytes != 1<<40 || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Errorf("bound %d, the runtime's limit is %d", b.Bytes, debug.SetMemoryLimit(-1))
	}
}

// TestItemsAreAddedUp: in whole MiB, none of them left out of the text.
func TestItemsAreAddedUp(t *testing.T) {
	items := []Item{{"the queue", 8 << 20}, {"a source", 110 << 10}}
	if Sum(items) != 9<<20 || Sum(nil) != 0 {
		t.Errorf("%d", Sum(items))
	}
	if got := Text(items); got != "9 MiB: the queue 8 MiB, a source 0.1 MiB" {
		t.Error(got)
	}
}

// TestWhatIsTakenIsKnown: of the heap and of the process.
func TestWhatIsTakenIsKnown(t *testing.T) {
	kept := make([]byte, 32<<20)
	kept[len(kept)-1] = 1
	s := Bound{Bytes: 7, From: Settings, Needed: 5}.Status()
	if s.Heap < int64(len(kept)) || s.Limit != 7 || s.Needed != 5 || s.From != string(Settings) {
		t.Errorf("%+v", s)
	}
	for text, want := range map[string]int64{"VmPeak: 9 kB\nVmHWM:\t     77 kB\n": 77 << 10, "VmHWM: x kB\n": 0, "": 0} {
		if got := peakOf(in(map[string]string{"/proc/self/status": text})); got != want {
			t.Errorf("of %q: %d", text, got)
		}
	}
	if peakOf(func(string) ([]byte, error) { return nil, errors.New("no proc") }) != 0 {
		t.Error("a peak that nobody says")
	}
	if text := s.Text(); !strings.HasPrefix(text, "at most 0.0 MiB (what its settings add up to); heap ") {
		t.Error(text)
	}
	_ = kept[0]
}
