package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packages is what every machine has.
const packages = "systemd,systemd-sysv,udev,dbus,init-system-helpers,linux-image-amd64"

// files make of the root a machine: a shell on a port of its own, the shared
// folder, the network.
func files() map[string]string {
	return map[string]string{
		"etc/hostname": "landfall\n",
		"etc/systemd/system/shell.service": `[Unit]
Description=A root shell for whoever holds the port's other end
BindsTo=dev-virtio\x2dports-shell.device
After=dev-virtio\x2dports-shell.device
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh
WorkingDirectory=/root
StandardInput=file:/dev/virtio-ports/shell
StandardOutput=file:/dev/virtio-ports/shell
StandardError=null
Restart=always
RestartSec=1s
`,
		"etc/systemd/system/share.mount":                      "[Mount]\nWhat=share\nWhere=/share\nType=9p\nOptions=trans=virtio,version=9p2000.L\n",
		"etc/systemd/system/multi-user.target.d/machine.conf": "[Unit]\nWants=shell.service share.mount systemd-networkd.service\n",
		"etc/systemd/network/all.network":                     "[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n",
	}
}

// buildDisk makes a root file system of Debian with further packages, and gives
// its kernel, its initial ramdisk and the disk's image.
func buildDisk(t testing.TB, dir, further string) (kernel, initrd, disk string) {
	t.Helper()
	root := filepath.Join(dir, "root")
	include := packages
	if further != "" {
		include += "," + further
	}
	c := exec.Command("mmdebstrap", "--variant=minbase", "--include="+include, "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", root)
	if out, err := c.CombinedOutput(); err != nil {
		absent(t, "no Debian can be made here: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	for name, text := range files() {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kernel, initrd, disk = filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd"), filepath.Join(dir, "disk")
	for pattern, to := range map[string]string{"boot/vmlinuz-*": kernel, "boot/initrd.img-*": initrd} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		if err := os.Rename(found[0], to); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", root, disk, "2G").CombinedOutput(); err != nil {
		t.Fatalf("make the disk: %v\n%s", err, out)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	return kernel, initrd, disk
}

// absent says that something cannot be had here: a skip, or a failure on CI and
// where somebody asked for the machine (make test-usb), who would take a skip for
// a pass.
func absent(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("LANDFALL_USB") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// need skips without root and the programs.
func need(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		absent(t, "a machine with its own kernel needs root to make its disk")
	}
	for _, tool := range []string{"mmdebstrap", "mke2fs", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			absent(t, "a machine with its own kernel needs %s: %v", tool, err)
		}
	}
}
