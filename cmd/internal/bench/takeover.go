package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	processes "landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/edge/wire"
	"landfall/engine/server"
)

const (
	// takeoverPartitions is how many tasks are taken over.
	takeoverPartitions = 4
	// takeoverRounds is how often each is measured: a start is short, and its time
	// scatters.
	takeoverRounds = 15
	// pollEvery is how often a status is asked for: what a time of it is true to.
	pollEvery = 5 * time.Millisecond
	// pollLimit is for how long what is waited for may not come.
	pollLimit = 5 * time.Minute
)

// takingOver measures what it takes from the start of an engine, whose
// predecessor was killed, until it has claimed every partition and could read on:
// state restored, landing log opened and compared with the checkpoint, HEAD moved
// and read back. Beside it, in turn, the same of Config.EngineBefore, an older
// engine on a lake that it made itself, or, where there is none, of a start on an
// empty lake: what a process takes anyway.
func takingOver(ctx context.Context, cfg Config) ([]row, error) {
	n, named := takeoverRounds, "a start on an empty lake"
	if cfg.Brief {
		n = 1
	}
	now := newLife(cfg.Engine, filepath.Join(cfg.Dir, "now"))
	peer := newLife(cfg.Engine, filepath.Join(cfg.Dir, "peer"))
	err := now.fill(ctx, cfg)
	if err == nil && len(cfg.EngineBefore) > 0 {
		named, peer.args = filepath.Base(cfg.EngineBefore[0]), cfg.EngineBefore
		err = peer.fill(ctx, cfg)
	} else if err == nil {
		_, _, err = peer.takeover(ctx) // it makes an empty lake
	}
	var wall, cpu, peerWall, peerCPU, ratio []float64
	for range n {
		if err != nil {
			return nil, fmt.Errorf("measure a takeover: %w", err)
		}
		var w, c, pw, pc float64
		if w, c, err = now.takeover(ctx); err == nil {
			pw, pc, err = peer.takeover(ctx)
		}
		wall, cpu, ratio = append(wall, w), append(cpu, c), append(ratio, c/pc)
		peerWall, peerCPU = append(peerWall, pw), append(peerCPU, pc)
	}
	if err != nil {
		return nil, fmt.Errorf("measure a takeover: %w", err)
	}
	return []row{{
		what: fmt.Sprintf("a takeover of %d partitions with %d records, process start to the last claim; CPU time and its ratio",
			takeoverPartitions, now.records),
		ours:  fmt.Sprintf("%.0f ms, CPU %.0f ms", 1e3*median(wall), 1e3*median(cpu)),
		limit: fmt.Sprintf("%.0f ms, CPU %.0f ms %s", 1e3*median(peerWall), 1e3*median(peerCPU), named),
		ratio: fmt.Sprintf("%.2f x", median(ratio)),
	}}, nil
}

// life is an engine that is started again and again on one lake.
type life struct {
	args    []string // of the engine; its verb follows
	dir     string
	records int // landed
}

func newLife(args []string, dir string) *life { return &life{args: args, dir: dir} }

// running is one process of it.
type running struct {
	cmd    *exec.Cmd
	began  time.Time
	base   string // where gateways send to
	status string // address
}

// start starts the engine, with epochs of an interval.
func (l *life) start(ctx context.Context, interval time.Duration) (*running, error) {
	r := &running{}
	listen, err := processes.FreePort("tcp")
	if err == nil {
		r.status, err = processes.FreePort("tcp")
	}
	if err == nil {
		err = os.MkdirAll(l.dir, 0o755)
	}
	if err != nil {
		return nil, err
	}
	config := filepath.Join(l.dir, "engine.yaml")
	text := fmt.Sprintf("listen: %[1]s\nstatus: %[2]s\nidentity: {unauthenticated: true}\n"+
		"landing: {dir: %[3]s/landing, partitions: %[4]d, reserve: 0B}\nlake: {dir: %[3]s/lake}\nepoch: {interval: %[5]s}\n",
		listen, r.status, l.dir, takeoverPartitions, interval)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	r.base = "http://" + listen + "/"
	args := append(append([]string{}, l.args...), "run", "--config", config, "--log-level", "error")
	r.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	r.began = time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", shell(args), err)
	}
	return r, nil
}

// kill ends the process at once and returns the CPU time that it used.
func (r *running) kill() time.Duration {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // it says that it was killed
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}

// until asks for the engine's status until it is as wanted.
func (r *running) until(ctx context.Context, what string, ok func(*server.Status) bool) error {
	var s server.Status
	var err error
	for began := time.Now(); time.Since(began) < pollLimit; pass(ctx, pollEvery) {
		if err = ctx.Err(); err != nil {
			return err
		}
		s = server.Status{}
		if err = cli.Fetch(ctx, processes.HTTPClient(), "http://"+r.status+"/status", &s); err == nil && ok(&s) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("the engine is not %s: %+v", what, s.Tasks), err)
}

// claimed says that every partition is worked on.
func claimed(s *server.Status) bool {
	for _, t := range s.Tasks {
		if t.State != server.TaskRunning {
			return false
		}
	}
	return len(s.Tasks) == takeoverPartitions
}

// committed says that all that has landed is.
func committed(s *server.Status) bool {
	for _, t := range s.Tasks {
		if t.Epoch == 0 || t.Behind != 0 {
			return false
		}
	}
	return claimed(s)
}

// fill lands a backlog of a gateway in each partition, has it committed and
// kills the engine.
func (l *life) fill(ctx context.Context, cfg Config) error {
	r, err := l.start(ctx, time.Second)
	if err != nil {
		return err
	}
	defer r.kill()
	if err := r.until(ctx, "running", claimed); err != nil {
		return err
	}
	for p := range takeoverPartitions {
		t, err := newTalker(strings.TrimSuffix(r.base, "/")+wire.Path, gatewayIn(p, takeoverPartitions))
		if err == nil && cfg.Brief {
			_, err = t.send(ctx, 1, steadyBytes)
		} else if err == nil {
			_, err = t.backlog(ctx)
		}
		if err != nil {
			return fmt.Errorf("fill a lake: %w", err)
		}
		l.records += int(t.next)
	}
	return r.until(ctx, "done", committed)
}

// takeover starts the engine, waits until it has claimed everything and kills
// it. It returns seconds: by the clock, and of CPU.
func (l *life) takeover(ctx context.Context) (wall, cpu float64, err error) {
	r, err := l.start(ctx, time.Hour)
	if err != nil {
		return 0, 0, err
	}
	err = r.until(ctx, "running", claimed)
	wall = time.Since(r.began).Seconds()
	return wall, r.kill().Seconds(), err
}
