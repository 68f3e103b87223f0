package smalldisk

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mounted tells whether a directory has a file system of its own.
func mounted(t *testing.T, dir string) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(mounts), " "+dir+" ")
}

// TestItIsSmallAndGoes with the test that mounted it.
func TestItIsSmallAndGoes(t *testing.T) {
	var dir string
	t.Run("mounted", func(t *testing.T) {
		dir = Mount(t, "64k")
		err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 1<<20), 0o600)
		if !mounted(t, dir) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("mounted %v, and a megabyte is written: %v", mounted(t, dir), err)
		}
	})
	if dir == "" {
		t.Skip("nothing can be mounted here")
	}
	if mounted(t, dir) {
		t.Error("it is still there")
	}
}

// TestAKilledProcessLeavesNoMount: this process is started again, mounts and is killed.
func TestAKilledProcessLeavesNoMount(t *testing.T) {
	if os.Getenv("LANDFALL_TEST_MOUNTS") != "" {
		fmt.Println("at", Mount(t, "64k"))
		<-t.Context().Done() // it is killed
		return
	}
	c := exec.Command(os.Args[0], "-test.run", t.Name()+"$")
	c.Env = append(os.Environ(), "LANDFALL_TEST_MOUNTS=1", "TMPDIR="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, dir := bufio.NewScanner(out), ""
	for dir == "" && lines.Scan() {
		_, dir, _ = strings.Cut(lines.Text(), "at /")
	}
	if dir == "" {
		t.Skipf("nothing can be mounted here: %v", c.Wait())
	}
	dir = "/" + dir
	if !mounted(t, dir) {
		t.Errorf("%s is not mounted", dir)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for limit := time.After(time.Minute); mounted(t, dir); {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("%s is still there a minute after the kill", dir)
		}
	}
}
