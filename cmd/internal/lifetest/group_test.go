//go:build linux

package lifetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// group is a control group with a bound of memory, of either version.
type group struct {
	dir string
	how string // for people
}

// groups numbers the groups of this process.
var groups atomic.Int64

// limitedGroup makes a control group whose processes are ended beyond that much memory;
// nil: this machine lets none be made. It goes with the test, after its processes.
func limitedGroup(t *testing.T, bytes int64) *group {
	t.Helper()
	const root, old = "/sys/fs/cgroup", "/sys/fs/cgroup/memory"
	name, text := fmt.Sprintf("landfall-%d-%d", os.Getpid(), groups.Add(1)), strconv.FormatInt(bytes, 10)
	g, file := &group{dir: filepath.Join(root, name), how: "a control group"}, "memory.max"
	if have, err := os.ReadFile(root + "/cgroup.subtree_control"); err != nil || !strings.Contains(string(have), "memory") {
		g, file = &group{dir: filepath.Join(old, name), how: "a control group of version 1"}, "memory.limit_in_bytes"
		if _, err := os.Stat(filepath.Join(old, file)); err != nil {
			return nil // the folder may be any other
		}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil
	}
	t.Cleanup(func() {
		if err := os.Remove(g.dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(text), 0); err != nil {
		return nil
	}
	return g
}

// add puts a process that runs into the group; false: it is not let in. The process ends
// with the test, before the group is removed.
func (g *group) add(d *daemon) bool {
	d.t.Helper()
	d.t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // a group with a process in it cannot be removed
		<-d.ended
	})
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(d.cmd.Process.Pid)), 0); err != nil {
		return false
	}
	in, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", d.cmd.Process.Pid))
	return err == nil && strings.Contains(string(in), filepath.Base(g.dir))
}
