package edgecli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/service"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
)

func runCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "run", Short: "Runs the gateway until SIGTERM", Args: cli.NoArgs}
	name := cli.ConfigFlag(c, DefaultConfig)
	logger := cli.LogFlags(c, "info")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := logger(c.ErrOrStderr())
		if err != nil {
			return err
		}
		return service.Run(c.Context(), service.Config[agent.Config]{
			File: *name, Load: loadAll, Logger: log, Takeover: agent.ErrNoDrain, Replaces: sameDir,
			New: func(_ context.Context, cfg *agent.Config) (service.Daemon, error) {
				return newServed(cfg, log, version)
			},
		})
	}
	return c
}

// sameDir refuses a reload to another data directory: the positions of all sources
// lie in it, and what they resend would be captured a second time.
func sameDir(was, is *agent.Config) error {
	if was.DataDir == is.DataDir {
		return nil
	}
	return &config.FieldError{Key: "data_dir", Got: is.DataDir, Want: was.DataDir + ", until the gateway is stopped: in another directory nothing is known of what was captured, and files are read again"}
}

// loadAll is load, and reads the certificates too: a reload must know that
// everything can be used before the old configuration ends.
func loadAll(name string) (*agent.Config, *config.File, error) {
	c, f, err := load(name)
	if err == nil {
		err = f.Locate(c.Check(durable.OS{}))
	}
	return c, f, err
}

// served is an Agent as the service sees it.
type served struct {
	*agent.Agent
	ready func()
}

func newServed(cfg *agent.Config, log *slog.Logger, version string) (service.Daemon, error) {
	bound := cli.LimitMemory(log, cfg.WantedMemory(), cfg.MemoryItems())
	d := &served{}
	var err error
	d.Agent, err = agent.New(*cfg, agent.Options{Logger: log, Version: version, Ready: func() { d.ready() }, CertFloor: cli.Built(), Memory: bound})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Run implements service.Daemon.
func (d *served) Run(ctx context.Context, ready func()) error {
	d.ready = ready
	return d.Agent.Run(ctx)
}
