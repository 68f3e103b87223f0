package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"landfall/decoders/aissim"
)

// ticksPerSecond is USER_HZ, the unit of CPU time in /proc/PID/stat (proc(5)).
const ticksPerSecond = 100

// idleRates are sentences a second at which the edge is watched.
func idleRates() []int { return []int{10, 100, 1000} }

// idling measures a gateway that hears some sentences a second and cannot reach
// the cloud: memory, share of one core, and bytes written to the disk for each
// byte captured, from /proc; and how large the program is.
func idling(ctx context.Context, cfg Config) ([]row, error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return []row{{what: "edge at rest", ours: "not measured: no /proc here"}}, nil
	}
	var rows []row
	for _, rate := range idleRates() {
		w, err := idleAt(ctx, cfg, rate, cfg.IdleSeconds)
		if err != nil {
			return nil, fmt.Errorf("measure the edge at %d sentences/s: %w", rate, err)
		}
		what, aims := fmt.Sprintf("edge at %d sentences/s", rate), [2]string{}
		if rate == 100 {
			aims = [2]string{"40 MiB", "2%"}
		}
		rows = append(rows,
			row{what: what + ", memory (VmHWM)", ours: fmt.Sprintf("%.1f MiB", w.memory), aim: aims[0]},
			row{what: what + ", share of one core", ours: fmt.Sprintf("%.2f%%", 100*w.share), aim: aims[1]},
			row{
				what: what + ", bytes written for each captured", ours: fmt.Sprintf("%.2f handed to the file system", w.handed),
				limit: w.deviceText(),
			})
	}
	if cfg.EdgeProgram == "" {
		return rows, nil
	}
	size, err := os.Stat(cfg.EdgeProgram)
	if err != nil {
		return nil, fmt.Errorf("measure the edge: %w", err)
	}
	return append(rows, row{what: "size of " + filepath.Base(cfg.EdgeProgram) + ", one file without libraries", ours: fmt.Sprintf("%.1f MiB", float64(size.Size())/(1<<20))}), nil
}

// watched is what was seen of an edge. handed and device are bytes for each byte
// of lines: as its log counts them, and as they reached the device, from
// everybody; -1: its device counts nothing. write_bytes of proc(5) is no measure
// of it: it counts a large page of the kernel's cache whole, 256 KiB on ext4,
// however little of it is written.
type watched struct{ memory, share, handed, device float64 }

func (w watched) deviceText() string {
	if w.device < 0 {
		return "the device counts nothing"
	}
	return fmt.Sprintf("%.2f reached the device, with all other programs'", w.device)
}

// idleAt runs an edge at so many sentences a second.
func idleAt(ctx context.Context, cfg Config, rate, seconds int) (watched, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return watched{}, err
	}
	defer func() { _ = l.Close() }()
	status, err := freeAddress()
	if err != nil {
		return watched{}, err
	}
	dir := filepath.Join(cfg.Dir, fmt.Sprint("at-", rate))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return watched{}, err
	}
	config := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: bench\ndata_dir: %s/edge\nstatus: %s\nforward:\n  url: http://127.0.0.1:9/\nsources:\n  - name: radio\n    tcp_client:\n      address: %s\n", dir, status, l.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return watched{}, err
	}
	args := append(cfg.Edge, "run", "--config", config)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return watched{}, fmt.Errorf("run %s: %w", shell(args), err)
	}
	w, err := feedAndWatch(ctx, l, counters{cmd.Process.Pid, status, dir}, rate, seconds)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	return w, errors.Join(err, cmd.Wait())
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// counted are counters of an edge at one moment.
type counted struct {
	ticks                 int
	lines, handed, device float64 // bytes
}

// counters are where they stand: the process, its page, and a folder on the device
// that it writes to.
type counters struct {
	pid         int
	status, dir string
}

// read reads them.
func (from counters) read() (c counted, err error) {
	if c.ticks, err = cpuTicks(from.pid); err != nil {
		return c, err
	}
	c.device = deviceBytes(from.dir)
	resp, err := http.Get("http://" + from.status + "/status")
	if err != nil {
		return c, err
	}
	var s struct {
		Sources []struct {
			Bytes float64 `json:"bytes"`
		} `json:"sources"`
		Log struct {
			Written float64 `json:"written_bytes"`
		} `json:"log"`
	}
	err = json.NewDecoder(resp.Body).Decode(&s)
	if err = errors.Join(err, resp.Body.Close()); err == nil && len(s.Sources) == 1 {
		c.lines, c.handed = s.Sources[0].Bytes, s.Log.Written
	}
	return c, err
}

// feedAndWatch sends sentences at a rate and watches, but for the first
// seconds.
func feedAndWatch(ctx context.Context, l net.Listener, from counters, rate, seconds int) (watched, error) {
	conn, err := l.Accept()
	if err != nil {
		return watched{}, err
	}
	defer func() { _ = conn.Close() }()
	h, err := aissim.New(aissim.Config{Seed: 2, Start: start, Rate: float64(rate)})
	if err != nil {
		return watched{}, err
	}
	send := func(seconds int) error { return feed(ctx, conn, h, rate, seconds) }
	if err := send(startSeconds); err != nil {
		return watched{}, err
	}
	before, err := from.read()
	begin := time.Now()
	if err == nil {
		err = send(seconds)
	}
	if err != nil {
		return watched{}, err
	}
	after, err := from.read()
	if err != nil {
		return watched{}, err
	}
	lines := after.lines - before.lines
	if lines <= 0 {
		return watched{}, errors.New("nothing was captured")
	}
	device := -1.0
	if before.device >= 0 && after.device >= 0 {
		device = (after.device - before.device) / lines
	}
	kib, err := procValue(from.pid, "status", "VmHWM:")
	return watched{
		memory: kib / 1024, share: float64(after.ticks-before.ticks) / ticksPerSecond / time.Since(begin).Seconds(),
		handed: (after.handed - before.handed) / lines, device: device,
	}, err
}

// feed sends sentences at a rate.
func feed(ctx context.Context, to io.Writer, h *aissim.Harbour, rate, seconds int) error {
	each := max(1, rate/100) // lines at a time
	tick := time.NewTicker(time.Second * time.Duration(each) / time.Duration(rate))
	defer tick.Stop()
	for range seconds * rate / each {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var text []byte
		for range each {
			text = append(append(text, h.Next().Text...), '\r', '\n')
		}
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// startSeconds is what a start takes, and the log's first files.
const startSeconds = 3

// cpuTicks is utime and stime of /proc/PID/stat (proc(5)).
func cpuTicks(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("read /proc/%d/stat: %q", pid, data)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return user + system, errors.Join(err1, err2)
}

// procValue is a number in a file of /proc/PID (proc(5)).
func procValue(pid int, file, name string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseFloat(strings.Fields(value)[0], 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/%s", name, pid, file)
}

// deviceBytes is what was written to the device that a folder lies on (sectors of
// 512 bytes, the seventh field of Documentation/block/stat.rst); -1 where there
// is none.
func deviceBytes(dir string) float64 {
	var s syscall.Stat_t
	if syscall.Stat(dir, &s) != nil {
		return -1
	}
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(uint64(s.Dev)), unix.Minor(uint64(s.Dev))))
	if err != nil {
		return -1
	}
	fields := strings.Fields(string(text))
	if len(fields) < 7 {
		return -1
	}
	sectors, err := strconv.ParseFloat(fields[6], 64)
	if err != nil {
		return -1
	}
	return 512 * sectors
}
