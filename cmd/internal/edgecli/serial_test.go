package edgecli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
)

// TestSerialLinesHaveTheNameThatStays: two twins that share an id, an adapter of
// its own, one without udev's names, and a board's own ports, one of them the
// console and one without hardware.
func TestSerialLinesHaveTheNameThatStays(t *testing.T) {
	root := t.TempDir()
	file := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	for _, tty := range []string{"ttyAMA0", "ttyS0", "ttyS1", "ttyS2", "ttyUSB0", "ttyUSB1", "ttyUSB2", "ttyACM0", "tty0"} {
		file("dev/"+tty, "")
		file("sys/class/tty/"+tty+"/dev", "")
	}
	file("sys/class/tty/ttyS0/type", "4\n")
	file("sys/class/tty/ttyS1/type", "0\n")
	file("sys/class/tty/ttyS2/type", "4\n")
	file("sys/class/tty/console/active", "tty0 ttyS0\n")
	link("../../ttyUSB1", "dev/serial/by-id/usb-Twin")
	link("../../ttyUSB2", "dev/serial/by-id/usb-Own")
	link("../../ttyUSB9", "dev/serial/by-id/usb-Gone")
	link("../../ttyUSB0", "dev/serial/by-path/usb-0:1")
	link("../../ttyUSB1", "dev/serial/by-path/usb-0:2")
	link("../../ttyUSB2", "dev/serial/by-path/usb-0:3")
	const console, own = "the kernel's console is on it", "a port of the board itself: a receiver is wired to it, or nothing is, or Bluetooth"
	want := []serialLine{
		{Device: "/dev/serial/by-id/usb-Own"}, {Device: "/dev/serial/by-id/usb-Twin"}, {Device: "/dev/serial/by-path/usb-0:1"},
		{Device: "/dev/ttyACM0"}, {"/dev/ttyAMA0", own}, {"/dev/ttyS0", console}, {"/dev/ttyS2", own},
	}
	if got := serialLines(durable.OS{}, root); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	f := found{Gateway: "pier", Serial: want}
	text := f.config()
	for _, line := range []string{`    serial: {device: "/dev/ttyACM0", baud: 38400}`, "  # /dev/ttyAMA0: " + own, "  #- name: serial5", `  #  serial: {device: "/dev/ttyAMA0", baud: 38400}`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}
