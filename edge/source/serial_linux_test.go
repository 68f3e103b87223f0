package source

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// openPTY gives a pseudo-terminal's master and the name of its slave.
func openPTY(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprintf("/dev/pts/%d", n)
}

// TestSerialUnplugged: absent at first, plugged in, pulled out in the middle of
// a line, plugged in again under the same name.
func TestSerialUnplugged(t *testing.T) {
	device := filepath.Join(t.TempDir(), "tty")
	sink := newTestSink()
	s := must(NewSerial(SerialConfig{Options: options("s"), Device: device}))(t)
	stop := start(t, s.Run, sink)
	eventually(t, "absence is said", func() bool { return s.Status().State == StateAbsent })
	for i, text := range []string{"one\r\ntwo\r\nhal", "three\n"} {
		master, slave := openPTY(t)
		if err := os.Symlink(slave, device); err != nil {
			t.Fatal(err)
		}
		connects := uint64(i + 1)
		eventually(t, "open", func() bool { return s.Status().Connects == connects })
		if _, err := master.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			sink.await(t, 2)
			eventually(t, "all read", func() bool { return s.Status().Bytes == uint64(len(text)) })
			if err := os.Remove(device); err != nil {
				t.Fatal(err)
			}
			master.Close()
		} else {
			defer master.Close()
		}
	}
	expect(t, sink.await(t, 4), "one", "two", "hal~", "three")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestSerialStale: a silent port is opened anew.
func TestSerialStale(t *testing.T) {
	master, slave := openPTY(t)
	defer master.Close()
	s := must(NewSerial(SerialConfig{Options: options("s"), Device: slave, StaleAfter: time.Nanosecond}))(t)
	start(t, s.Run, newTestSink())
	eventually(t, "opened twice", func() bool { return s.Status().Connects >= 2 })
}

// TestSerialBusy: another process holds the port; it is tried again.
func TestSerialBusy(t *testing.T) {
	master, slave := openPTY(t)
	defer master.Close()
	busy := true
	s := must(NewSerial(SerialConfig{Options: options("s"), Device: slave, Open: func(d string, m *serial.Mode) (serial.Port, error) {
		if busy {
			busy = false
			return nil, unix.EBUSY
		}
		return serial.Open(d, m)
	}}))(t)
	start(t, s.Run, newTestSink())
	eventually(t, "open in the end", func() bool { return s.Status().State == StateOpen && s.Status().Errors == 1 })
}
