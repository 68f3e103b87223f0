package enginecli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/service"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/server"
)

func runCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "Runs the engine until SIGTERM", Args: cli.NoArgs}
	name := cli.ConfigFlag(c, DefaultConfig)
	logger := cli.LogFlags(c, "info")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger(c.ErrOrStderr())
		if err != nil {
			return err
		}
		return service.Run(c.Context(), service.Config[server.Config]{
			File: *name, Load: loadAll, Logger: log,
			New: func(ctx context.Context, cfg *server.Config) (service.Daemon, error) {
				return newServed(ctx, cfg, log, version)
			},
		})
	}
	return c
}

// loadAll is load, and tries the directories and certificates too: a reload
// must know that everything can be used before the old configuration ends.
func loadAll(name string) (*server.Config, *config.File, error) {
	c, f, err := load(name)
	if err != nil {
		return nil, nil, err
	}
	if err := directories(c); err != nil {
		return nil, nil, f.Locate(err)
	}
	_, err = c.TLS.Open(durable.OS{}, certs.Config{})
	return c, f, f.Locate(err)
}

// served is a Server as the service sees it.
type served struct {
	*server.Server
	ready func()
}

func newServed(ctx context.Context, cfg *server.Config, log *slog.Logger, version string) (service.Daemon, error) {
	d := &served{}
	s, err := openServer(ctx, cfg, server.Options{Logger: log, Version: version, Ready: func() { d.ready() }, CertFloor: cli.Built()})
	if err != nil || s == nil {
		return nil, err
	}
	d.Server = s
	return d, nil
}

// Run implements service.Daemon.
func (d *served) Run(ctx context.Context, ready func()) error {
	d.ready = ready
	return d.Server.Run(ctx)
}

// roomRetry is how often a full disk is looked at again.
const roomRetry = time.Second

// openServer opens lake and engine. While the disk is full it waits: the
// self-test of the store needs a few bytes, and without it nothing may be
// committed. Nil without an error when ctx ended meanwhile.
func openServer(ctx context.Context, cfg *server.Config, o server.Options) (*server.Server, error) {
	for waiting := false; ; waiting = true {
		store, sinks, err := openLake(ctx, cfg.Lake.Dir, cfg.CheckpointDir())
		if err == nil {
			var s *server.Server
			o.Store, o.Sinks = store, sinks
			if s, err = server.New(*cfg, o); err == nil {
				return s, nil
			}
		}
		if !errors.Is(err, durable.ErrNoSpace) {
			return nil, err
		}
		if !waiting {
			o.Logger.Warn("the disk is full: waiting for room to start", "error", err)
		}
		t := time.NewTimer(roomRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, nil
		case <-t.C:
		}
	}
}
