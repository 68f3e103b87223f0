package smalldisk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// guard unmounts $1 when its standard input ends, which a killed process cannot keep open.
const guard = `cat >/dev/null; umount -l "$1"`

// Mount mounts a file system of a size as mount(8) takes it ("8m"). Where the user may
// not, the test is skipped, but for CI as root.
func Mount(t testing.TB, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("SKIPPED a full disk: mounting needs root: %v", err)
	}
	var said bytes.Buffer
	c := exec.Command("sh", "-c", guard, "sh", dir)
	c.Stderr = &said
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what ends the tests' group does not end it
	held, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		t.Fatalf("guard a small disk: %v", err)
	}
	t.Cleanup(func() {
		_ = held.Close() // the guard may have ended
		if err := c.Wait(); err != nil {
			t.Errorf("unmount %s: %v %s", dir, err, &said)
		}
	})
	return dir
}
