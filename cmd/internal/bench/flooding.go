package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// flood is one way of asking for too much.
type flood struct {
	name string
	// prepare makes what is sent, for that is the flood's own work, and gives what
	// sends it until ctx ends.
	prepare func(ctx context.Context, t *talker) (func(context.Context) error, error)
}

func floods() []flood {
	return []flood{{"blocks", floodBlocks}, {"blocks sent again", floodRepeats}, {"requests", floodRequests}}
}

// flooding measures what one gateway's flood costs another, at an engine of its
// own process with the limits that it has by default, over TCP: a request of
// some lines each to its acknowledgement, and a backlog that is caught up. Alone
// and beside the flood in turn. The floods come from this process, on the same
// cores; what they send is made before.
func flooding(ctx context.Context, cfg Config) ([]row, error) {
	var rows []row
	for i, f := range floods() {
		dir := filepath.Join(cfg.Dir, fmt.Sprint("flood-", i))
		steady, err := besideFlood(ctx, cfg, dir, f, (*talker).steady)
		if err != nil {
			return nil, fmt.Errorf("measure a flood of %s: %w", f.name, err)
		}
		rows = append(rows, row{
			what: "lines to their acknowledgement beside another gateway's flood of " + f.name, ours: fmt.Sprintf("%.2f ms", 1e3*median(steady.beside)),
			limit: fmt.Sprintf("%.2f ms alone", 1e3*median(steady.alone)), ratio: fmt.Sprintf("%.0f%%", 100*median(steady.ratio)), aim: "120%",
		})
	}
	bulk, err := besideFlood(ctx, cfg, filepath.Join(cfg.Dir, "flood-bulk"), flood{"blocks", floodBlocks}, (*talker).backlog)
	if err != nil {
		return nil, fmt.Errorf("measure a backlog beside a flood: %w", err)
	}
	return append(rows, row{
		what: fmt.Sprintf("%d MiB of backlog beside another gateway's flood of blocks", backlogBytes>>20), ours: fmt.Sprintf("%.2f s", median(bulk.beside)),
		limit: fmt.Sprintf("%.2f s alone", median(bulk.alone)), ratio: fmt.Sprintf("%.0f%%", 100*median(bulk.ratio)), aim: "120%",
	}), nil
}

// compared are seconds, a round each.
type compared struct{ alone, beside, ratio []float64 }

// besideFlood measures alone and beside the flood, round by round.
func besideFlood(ctx context.Context, cfg Config, dir string, f flood, measure func(*talker, context.Context) (float64, error)) (compared, error) {
	var c compared
	url, stop, err := engineLife(ctx, cfg, dir)
	if err != nil {
		return c, err
	}
	quiet, err := newTalker(url, "quiet")
	if err == nil {
		_, err = measure(quiet, ctx) // warm
	}
	for range cfg.Rounds {
		if err != nil {
			break
		}
		var alone, beside float64
		if alone, err = measure(quiet, ctx); err == nil {
			beside, err = underFlood(ctx, cfg, url, f, func() (float64, error) { return measure(quiet, ctx) })
		}
		c.alone, c.beside, c.ratio = append(c.alone, alone), append(c.beside, beside), append(c.ratio, beside/alone)
	}
	return c, errors.Join(err, stop())
}

// floodHead is how long a flood runs before anything is measured: what a
// gateway may ask for at once is used up then. A brief one proves that it runs.
const floodHead, briefHead = 3 * time.Second, 300 * time.Millisecond

// underFlood measures while another gateway floods.
func underFlood(ctx context.Context, cfg Config, url string, f flood, measure func() (float64, error)) (float64, error) {
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	t, err := newTalker(url, "flood")
	if err != nil {
		return 0, err
	}
	head := floodHead
	if t.brief = cfg.Brief; t.brief {
		head = briefHead
	}
	run, err := f.prepare(ctx, t)
	if err != nil {
		return 0, err
	}
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { failed <- run(flooding) })
	pass(ctx, head)
	v, err := measure()
	select {
	case early := <-failed:
		err = errors.Join(err, fmt.Errorf("the flood ended: %w", early))
	default:
	}
	stop()
	running.Wait()
	return v, err
}

// floodRequest is the blocks of one request of a flood, of floodBlock bytes;
// there are floodMade of them, for twice the time that anything is measured.
// floodTimes is how often a block is in a request that repeats it. Brief floods
// are briefPart of that.
const (
	floodRequest = 64
	floodBlock   = 64 << 10
	floodMade    = 40
	floodTimes   = 2000
	briefPart    = 10
)

// part is how much of a flood is made.
func (t *talker) part(whole int) int {
	if t.brief {
		return whole / briefPart
	}
	return whole
}

// floodBlocks sends a long backlog as fast as it is taken.
func floodBlocks(_ context.Context, t *talker) (func(context.Context) error, error) {
	bodies, offsets := make([][]byte, t.part(floodMade)), make([]record.Offset, t.part(floodMade))
	for i := range bodies {
		var err error
		if bodies[i], offsets[i], err = t.make(floodRequest, floodBlock); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		for i := range bodies {
			if err := t.post(ctx, bodies[i], offsets[i]); err != nil || ctx.Err() != nil {
				return unlessOver(ctx, err)
			}
		}
		if t.brief { // whatever it is measured beside, on a busy machine
			<-ctx.Done()
			return nil
		}
		return errors.New("nothing is left to send")
	}, nil
}

// unlessOver is err while the flood is to go on.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// floodRepeats sends a block that is landed again and again: nothing of it is
// landed, and all of it is unpacked and compared.
func floodRepeats(ctx context.Context, t *talker) (func(context.Context) error, error) {
	if _, err := t.send(ctx, 1, floodBlock); err != nil {
		return nil, err
	}
	again, offset := t.repeated(t.part(floodTimes)), t.first
	return func(ctx context.Context) error {
		return parallel(ctx, func() error { return t.post(ctx, again, offset) })
	}, nil
}

// floodRequests asks what is landed as fast as it is told.
func floodRequests(_ context.Context, t *talker) (func(context.Context) error, error) {
	return func(ctx context.Context) error {
		return parallel(ctx, func() error { return t.post(ctx, nil, 0) })
	}, nil
}

// parallel repeats one on four connections until ctx ends. A refusal is what a
// flood may expect.
func parallel(ctx context.Context, one func() error) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				var r refused
				if err := one(); err != nil && !errors.As(err, &r) && ctx.Err() == nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	return failed
}

// engineLife starts an engine with its default limits and gives its address.
func engineLife(ctx context.Context, cfg Config, dir string) (url string, stop func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "engine.yaml")
	text := fmt.Sprintf("listen: %[1]s\nidentity: {unauthenticated: true}\nlanding: {dir: %[2]s/landing, reserve: 0B}\nlake: {dir: %[2]s/lake}\n", at, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	args := append(cfg.Engine, "run", "--config", config, "--log-level", "error")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("run %s: %w", shell(args), err)
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return errors.Join(cmd.Wait(), os.RemoveAll(dir))
	}
	for range 200 {
		if c, err := net.Dial("tcp", at); err == nil {
			return "http://" + at + wire.Path, stop, c.Close()
		}
		pass(ctx, 50*time.Millisecond)
	}
	return "", nil, errors.Join(errors.New("the engine does not listen"), stop())
}
