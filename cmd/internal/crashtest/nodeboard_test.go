//go:build failpoint && linux

package crashtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// board is a sensor node in QEMU: the firmware's image, a flash that outlives it,
// and a line.
type board struct {
	program
	flash, control string
	life           *process
}

// firmware builds the image, or skips the test where its tools are not.
func firmware(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"arm-none-eabi-gcc", "qemu-system-arm", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed; .ci/deps names its package", tool)
			}
			t.Skipf("%s is not installed; .ci/deps names its package", tool)
		}
	}
	build, err := filepath.Abs(filepath.Join(root, "tmp", "firmware"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-C", filepath.Join(root, "firmware"), "BUILD="+build).CombinedOutput(); err != nil {
		t.Fatalf("make firmware: %v\n%s", err, out)
	}
	return filepath.Join(build, "node.elf")
}

// newBoard makes a board with a number, a flash of so many sectors (0: all of the
// chip's) and a blank chip. It is off.
func newBoard(t *testing.T, dir, name string, number, sectors int, line *noisyLine) *board {
	t.Helper()
	b := &board{flash: filepath.Join(dir, name+".flash"), control: filepath.Join(dir, name+".qmp")}
	flashFile(t, b.flash)
	b.program = program{name: name, path: "qemu-system-arm", dir: dir, args: []string{
		"-M", "emcraft-sf2", "-nographic", "-monitor", "none", "-kernel", firmware(t), "-serial", "unix:" + line.socket,
		"-drive", "file=" + b.flash + ",if=mtd,format=raw", "-qmp", "unix:" + b.control + ",server=on,wait=off",
		"-device", fmt.Sprintf("loader,addr=0x2000ff00,data=%d,data-len=4", number),
		"-device", fmt.Sprintf("loader,addr=0x2000ff04,data=%d,data-len=4", sectors),
	}}
	return b
}

// never is a sampling period that does not come round again in a test.
const never = 1 << 30

// on starts a life that samples every so many ticks of 10 ms.
func (b *board) on(period int) error {
	p := b.program
	p.args = append(p.args[:len(p.args):len(p.args)], "-device", fmt.Sprintf("loader,addr=0x2000ff08,data=%d,data-len=4", period))
	life, err := p.start()
	b.life = life
	return err
}

// cut takes the power away, between any two instructions. The chip of the flash
// carries out what it was given: QEMU is stopped first, since a write that it has
// under way in another thread is none that the firmware could still see undone.
// Operations that are torn are the host tests' part.
func (b *board) cut() error {
	_, err := b.qmp("stop")
	b.life.kill()
	return err
}

// reset is a reset without a power cut.
func (b *board) reset() error {
	_, err := b.qmp("system_reset")
	return err
}

// qmp runs one command of QEMU's monitor.
func (b *board) qmp(command string) (string, error) {
	var c net.Conn
	var err error
	for deadline := time.Now().Add(30 * time.Second); ; {
		if c, err = net.Dial("unix", b.control); err == nil {
			break
		}
		if time.Now().After(deadline) || !pause(b.life.done, pollEvery) {
			return "", fmt.Errorf("%s of %s: %w:\n%s", command, b.name, err, b.life.lifeLog())
		}
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil { // its greeting
		return "", fmt.Errorf("%s of %s: %w", command, b.name, err)
	}
	var answer string
	for _, execute := range []string{"qmp_capabilities", command} {
		if _, err := fmt.Fprintf(c, "{\"execute\": %q}\n", execute); err != nil {
			return "", fmt.Errorf("%s of %s: %w", execute, b.name, err)
		}
		for answer = ""; !strings.Contains(answer, "\"return\""); { // events come between
			line, err := r.ReadString('\n')
			if err != nil {
				return "", fmt.Errorf("%s of %s: %w", execute, b.name, err)
			}
			if answer = line; strings.Contains(line, "\"error\"") {
				return "", fmt.Errorf("%s of %s: %s", execute, b.name, line)
			}
		}
	}
	return answer, nil
}

// laps tells how often the ring has come round, by the generation of the first
// sector's header.
func (b *board) laps(sectors int) int {
	f, err := os.Open(b.flash)
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	var p [8]byte
	if _, err := f.ReadAt(p[:], 0); err != nil || string(p[:4]) != "LFN\x01" {
		return 0
	}
	return int(uint32(p[4])|uint32(p[5])<<8) / sectors
}

// cpu gives the processor time that a life has used.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if err := json.Unmarshal([]byte("["+fields[11]+","+fields[12]+"]"), &[]*int64{&user, &system}); err != nil {
		t.Fatal(err)
	}
	const hertz = 100 // USER_HZ is 100 on every Linux that Go knows
	return time.Duration(user+system) * time.Second / hertz
}
