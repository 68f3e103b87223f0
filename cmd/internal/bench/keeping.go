package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	processes "landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/decoders/aissim"
	"landfall/edge/agent"
)

const (
	// keepingRate is sentences a second, and keepingEpoch the engine's interval,
	// short so that several of them can be watched.
	keepingRate    = 1000
	keepingEpoch   = 3 * time.Second
	keepingSeconds = 15
	// usualRate and usualEpoch are of a gateway with a few receivers, and the
	// default of epoch.interval: what is told of them is computed.
	usualRate  = 100
	usualEpoch = 5 * time.Minute
)

// keeping measures what a gateway keeps longer because it releases what is
// published and not what has landed: the most records that its status tells while
// it forwards to an engine with short epochs, a second (forward.linger) between
// its requests. The engine's interval is the least that it can be. From the bytes
// of a record in the log follows what that is with the usual interval, and how
// long a link may be away until a GiB is full.
func keeping(ctx context.Context, cfg Config) ([]row, error) {
	seconds := keepingSeconds
	if cfg.Brief {
		seconds = 5
	}
	k, err := keptAt(ctx, cfg, seconds)
	if err != nil {
		return nil, fmt.Errorf("measure what a gateway keeps: %w", err)
	}
	late := max(0, k.seconds-keepingEpoch.Seconds())
	usual := usualEpoch.Seconds() + late
	size := usual * usualRate * k.record
	const day = 24 * 60 * 60
	return []row{
		{
			what:  fmt.Sprintf("kept until it is published, %d sentences/s, at most", keepingRate),
			ours:  fmt.Sprintf("%.0f KiB, %.1f s of traffic", k.seconds*keepingRate*k.record/1024, k.seconds),
			limit: fmt.Sprintf("%.0f s the epoch; nothing with release: landed", keepingEpoch.Seconds()),
			ratio: fmt.Sprintf("%.2f x", k.seconds/keepingEpoch.Seconds()),
		}, {
			what: fmt.Sprintf("the same, computed for %d sentences/s and epochs of %.0f minutes",
				usualRate, usualEpoch.Minutes()),
			ours:  fmt.Sprintf("%.1f MiB, %.0f s of traffic", size/(1<<20), usual),
			limit: fmt.Sprintf("1 GiB holds %.2f days, of %.0f bytes a record", (1<<30)/(usualRate*k.record)/day, k.record),
			ratio: fmt.Sprintf("%.1f%%", 100*size/(1<<30)),
		},
	}, nil
}

// kept is the most that a gateway kept.
type kept struct {
	seconds float64 // of traffic, as its status tells
	record  float64 // bytes of one in the log
}

func keptAt(ctx context.Context, cfg Config, seconds int) (k kept, err error) {
	engine, err := newLife(cfg.Engine, filepath.Join(cfg.Dir, "engine")).start(ctx, keepingEpoch)
	if err != nil {
		return k, err
	}
	defer engine.kill()
	if err := engine.until(ctx, "running", claimed); err != nil {
		return k, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return k, err
	}
	defer func() { _ = l.Close() }()
	status, err := processes.FreePort("tcp")
	if err != nil {
		return k, err
	}
	config := filepath.Join(cfg.Dir, "edge.yaml")
	text := fmt.Sprintf("gateway: bench\ndata_dir: %s/edge\nstatus: %s\nforward:\n  url: %s\n"+
		"sources:\n  - name: radio\n    tcp_client:\n      address: %s\n", cfg.Dir, status, engine.base, l.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return k, err
	}
	args := append(append([]string{}, cfg.Edge...), "run", "--config", config, "--log-level", "error")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return k, fmt.Errorf("run %s: %w", shell(args), err)
	}
	k, err = feedAndAsk(ctx, l, status, seconds)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	return k, errors.Join(err, cmd.Wait())
}

// feedAndAsk sends sentences for some seconds and asks the gateway all the while
// what it keeps.
func feedAndAsk(ctx context.Context, l net.Listener, status string, seconds int) (k kept, err error) {
	conn, err := l.Accept()
	if err != nil {
		return k, err
	}
	defer func() { _ = conn.Close() }()
	h, err := aissim.New(aissim.Config{Seed: 3, Start: start, Rate: keepingRate})
	if err != nil {
		return k, err
	}
	fed := make(chan error, 1)
	go func() { fed <- feed(ctx, conn, h, keepingRate, seconds) }()
	var s agent.Status
	tells := false
	for {
		select {
		case err := <-fed:
			if err == nil && (!tells || k.seconds == 0) {
				err = fmt.Errorf("nothing was kept until it is published: %+v", s.Forward)
			}
			return k, err
		default:
		}
		if err := cli.Fetch(ctx, processes.HTTPClient(), "http://"+status+"/status", &s); err != nil {
			return k, errors.Join(err, conn.Close(), <-fed)
		}
		tells = tells || s.Forward.TellsPublished
		if s.Log.Records > 0 {
			k.record = float64(s.Log.AppendedBytes) / float64(s.Log.Records)
		}
		k.seconds = max(k.seconds, float64(s.Forward.Unpublished)/keepingRate)
		pass(ctx, 10*pollEvery)
	}
}
