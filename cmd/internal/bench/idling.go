package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"landfall/decoders/aissim"
)

// ticksPerSecond is USER_HZ, the unit of CPU time in /proc/PID/stat (proc(5)).
const ticksPerSecond = 100

// idling measures a gateway that hears 100 sentences a second and cannot reach
// the cloud: memory and share of one core, from /proc.
func idling(ctx context.Context, cfg Config) ([]row, error) {
	what := "edge at 100 sentences/s"
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return []row{{what: what, ours: "not measured: no /proc here"}}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("measure the edge: %w", err)
	}
	defer func() { _ = l.Close() }()
	config := filepath.Join(cfg.Dir, "edge.yaml")
	text := fmt.Sprintf("gateway: bench\ndata_dir: %s\nforward:\n  url: http://127.0.0.1:9/\nsources:\n  - name: radio\n    tcp_client:\n      address: %s\n",
		filepath.Join(cfg.Dir, "edge"), l.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("measure the edge: %w", err)
	}
	args := append(cfg.Edge, "run", "--config", config)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", shell(args), err)
	}
	rss, cpu, err := feedAndWatch(ctx, l, cmd.Process.Pid, cfg.IdleSeconds)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	ended := cmd.Wait()
	if err := errors.Join(err, ended); err != nil {
		return nil, fmt.Errorf("measure the edge: %w", err)
	}
	return []row{
		{what: what + ", memory (VmHWM)", ours: fmt.Sprintf("%.1f MiB", rss), aim: "40 MiB"},
		{what: what + ", share of one core", ours: fmt.Sprintf("%.2f%%", 100*cpu), aim: "2%"},
	}, nil
}

// feedAndWatch sends 100 sentences a second and gives the process's largest
// memory in MiB and its share of a core.
func feedAndWatch(ctx context.Context, l net.Listener, pid, seconds int) (rss, share float64, err error) {
	c, err := l.Accept()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	h, err := aissim.New(aissim.Config{Seed: 2, Start: start, Rate: 100})
	if err != nil {
		return 0, 0, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	before, begin := -1, time.Now()
	for i := range (seconds + 2) * 100 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
		if _, err := c.Write(append(h.Next().Text, '\r', '\n')); err != nil {
			return 0, 0, err
		}
		if i == 200 { // the start is over
			begin = time.Now()
			if before, err = cpuTicks(pid); err != nil {
				return 0, 0, err
			}
		}
	}
	after, err := cpuTicks(pid)
	if err != nil {
		return 0, 0, err
	}
	share = float64(after-before) / ticksPerSecond / time.Since(begin).Seconds()
	rss, err = highWater(pid)
	return rss, share, err
}

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

// highWater is VmHWM of /proc/PID/status in MiB (proc(5)).
func highWater(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(value, "kB")))
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in /proc/%d/status", pid)
}
