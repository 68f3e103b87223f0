// Package edgecli is the command landfall-edge: its verbs over edge/agent. It is
// apart from the main package because landfall demo runs the same command as
// child processes of its own binary.
//
// In:  arguments and a configuration file.
// Out: results on stdout, logs on stderr, an exit code (cmd/internal/cli).
//
// Invariants
//
//  1. run, check and explain read the configuration the same way; an error of
//     it has file, line and key, and exits 78.
//  2. check changes nothing but a probe file in the data directory, which it
//     removes, and says what it did.
//
// A Command is run once, by one goroutine.
package edgecli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/cmd/internal/inspect"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
)

// DefaultConfig is where the configuration lies when no flag says otherwise.
const DefaultConfig = "/etc/landfall/edge.yaml"

// Command gives the command under the name use.
func Command(use, version string) *cobra.Command {
	root := &cobra.Command{Use: use, Short: "Captures AIS and sensor data and forwards it, exactly once from its log on", Version: version}
	explainVerb := cli.Report[agent.Config, []explain.Handoff]{
		Use: "explain", Short: "Says what each handoff guarantees, and why; of a gateway that runs, what was seen too", Config: DefaultConfig, Load: load,
		Value: explained, Text: explain.Text,
	}
	root.AddCommand(runCommand(version), checkCommand(), explainVerb.Command(), statusReport().Command(),
		statusReport().Top("Shows status again and again"), healthCommand(), tapCommand(), clockCommand(),
		tipsCommand(), acknowledgeCommand(), forgetCommand(), inspectCommand(), setupCommand(), doctorCommand())
	return root
}

// explained explains a configuration, with what its gateway has seen where that runs.
func explained(ctx context.Context, c *agent.Config) ([]explain.Handoff, error) {
	all := explain.Edge(c)
	if c.Status == "" {
		return all, nil
	}
	if s, err := cli.AskStatus[agent.Status](ctx, "gateway", c.Status); err == nil && s.Gateway == c.Gateway {
		explain.Observe(all, c, s)
	}
	return all, nil
}

// load reads a configuration and checks it.
func load(name string) (*agent.Config, *config.File, error) {
	c := agent.Default()
	f, err := config.Load(durable.OS{}, name, &c)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, nil, f.Locate(err)
	}
	return &c, f, nil
}

func checkCommand() *cobra.Command {
	var connect *bool
	var patience *time.Duration
	c := cli.CheckCommand(DefaultConfig, func(c *cobra.Command, name string, out *cli.Checklist) error {
		cfg, f, err := load(name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s: every key is known and valid: gateway %s, %d sources, ingest %s\n", name, cfg.Gateway, len(cfg.Sources), cfg.Forward.URL)
		if err := cli.CheckMemory(out, cfg.WantedMemory(), cfg.MemoryItems()); err != nil {
			return err
		}
		if err := config.TryDir(durable.OS{}, "data_dir", cfg.DataDir); err != nil {
			return f.Locate(err)
		}
		_, _ = fmt.Fprintf(out, "%s: a file was made in it and removed again\n", cfg.DataDir)
		if err := out.Certificates(f, func() error { return cfg.Check(durable.OS{}) }); err != nil {
			return err
		}
		if *connect {
			return f.Locate(tryAll(c.Context(), out, cfg, *patience))
		}
		_, err = fmt.Fprintln(out, "sources and the ingest were not tried; check --connect and doctor do")
		return err
	})
	connect = c.Flags().Bool("connect", false, "try each source too, and say what it saw; nothing is taken from it")
	patience = c.Flags().Duration("for", 5*time.Second, "how long each is tried")
	return c
}

func inspectCommand() *cobra.Command {
	c := &cobra.Command{Use: "inspect FILE…", Short: "Prints the blocks of log segments as text", Args: cli.MinArgs(1)}
	records := c.Flags().Bool("records", false, "print each record too")
	asJSON := c.Flags().Bool("json", false, "print a JSON object a block")
	c.RunE = func(c *cobra.Command, files []string) error {
		for _, name := range files {
			if err := inspect.File(durable.OS{}, name, c.OutOrStdout(), inspect.Options{Records: *records, JSON: *asJSON}); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}
