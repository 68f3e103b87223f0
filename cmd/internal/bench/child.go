package bench

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"time"
)

// usage is what a child process took of the machine.
type usage struct {
	elapsed time.Duration // wall time
	cpu     time.Duration // user and system
	memory  float64       // resident at most, MiB
}

// hwmEvery is how often the largest memory of a child is read while it runs.
const hwmEvery = 5 * time.Millisecond

// run runs a command line and returns what it printed on its standard output and
// what it took.
//
// Its memory is VmHWM of proc_pid_status(5), the largest since it was executed;
// what it gained in its last moment, less than hwmEvery, is not seen. ru_maxrss
// of getrusage(2) is not used: Linux starts it with that of the process that
// forked, so that every child of a large one looks as large.
func run(ctx context.Context, args []string) ([]byte, usage, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, usage{}, fmt.Errorf("run %s: %w", shell(args), err)
	}
	ended, largest := make(chan struct{}), make(chan float64)
	go func() { largest <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	elapsed := time.Since(begin)
	close(ended)
	u := usage{elapsed: elapsed, memory: <-largest}
	if err != nil {
		return nil, usage{}, fmt.Errorf("run %s: %w\n%s%s", shell(args), err, out.Bytes(), failed.Bytes())
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return out.Bytes(), u, nil
}

// watchMemory returns the largest resident memory of a process in MiB, once it ended.
func watchMemory(pid int, ended <-chan struct{}) float64 {
	largest := 0.0
	tick := time.NewTicker(hwmEvery)
	defer tick.Stop()
	for {
		if kib, err := procValue(pid, "status", "VmHWM:"); err == nil {
			largest = max(largest, kib/1024)
		}
		select {
		case <-ended:
			return largest
		case <-tick.C:
		}
	}
}
