package source

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// TestSerialPattern: of what a pattern matches the first that opens is taken,
// and what is said of none helps.
func TestSerialPattern(t *testing.T) {
	dir := t.TempDir()
	sink := newTestSink()
	s := must(NewSerial(SerialConfig{Options: options("s"), Device: filepath.Join(dir, "ttyUSB*")}))(t)
	start(t, s.Run, sink)
	eventually(t, "absence is explained", func() bool {
		return s.Status().State == StateAbsent && strings.Contains(s.Status().Detail, "by-path")
	})
	master, slave := openPTY(t)
	defer master.Close()
	for name, target := range map[string]string{"ttyUSB0": filepath.Join(dir, "gone"), "ttyUSB1": slave, "other": slave} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "open", func() bool { return s.Status().State == StateOpen })
	if d := s.Status().Detail; d != filepath.Join(dir, "ttyUSB1") {
		t.Errorf("opened %s", d)
	}
	if _, err := master.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, sink.await(t, 1), "one")
}

// TestSerialNoise: noise costs no sentence beside it, and no byte of itself.
func TestSerialNoise(t *testing.T) {
	master, slave := openPTY(t)
	defer master.Close()
	sink := newTestSink()
	s := must(NewSerial(SerialConfig{Options: options("s"), Device: slave}))(t)
	start(t, s.Run, sink)
	eventually(t, "open", func() bool { return s.Status().State == StateOpen })
	noise := strings.Repeat("\x00\xff\x80\x1b\x7f", 1500)
	if _, err := master.WriteString("$GPZDA,1\r\n" + noise + "\n$GPZDA,2\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := sink.await(t, 4)
	if lines[0] != "$GPZDA,1" || lines[3] != "$GPZDA,2" || strings.TrimSuffix(lines[1], "~")+strings.TrimSuffix(lines[2], "~") != noise {
		t.Errorf("%d lines, the first %q, the last %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

// TestDriverCounts: what the driver counted before the port was opened is not
// counted, and a counter may turn over.
func TestDriverCounts(t *testing.T) {
	var m meter
	tally := lineTally{meter: &m}
	tally.add(lineCounts{overruns: 1<<32 - 2, errors: 7})
	tally.add(lineCounts{overruns: 3, errors: 9})
	if m.lost.Load() != 5 || m.lineErrors.Load() != 2 {
		t.Errorf("%d overruns, %d errors", m.lost.Load(), m.lineErrors.Load())
	}
	if _, slave := openPTY(t); openLineCounters(slave) != nil {
		t.Error("a pseudo-terminal counts")
	}
}
