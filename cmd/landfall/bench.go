package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/bench"
	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Measures the chain beside the machine's own limits", Args: cli.NoArgs}
	dir := c.Flags().String("dir", ".", "`DIR` on the disk to be measured; a folder is made in it and removed")
	cfg := bench.Config{}
	c.Flags().IntVar(&cfg.Sentences, "sentences", 0, "how many are replayed; 0: a million")
	c.Flags().StringVar(&cfg.Recording, "recording", "", "`FILE` of NMEA sentences, plain or .gz, to be decoded in place of simulated ones")
	c.Flags().IntVar(&cfg.Rounds, "rounds", 0, "how often ours and the limit are measured in turn; 0: the default")
	edge := c.Flags().String("edge", "", "`PROGRAM` of the gateway, landfall-edge; its size is told; empty: this one")
	before := c.Flags().String("engine-before", "", "`PROGRAM` of an older engine, landfall-engine, whose takeover is measured beside; empty: none")
	edgeBefore := c.Flags().String("edge-before", "", "`PROGRAM` of an older gateway, landfall-edge, which follows a file beside; empty: none")
	c.Flags().IntVar(&cfg.IdleSeconds, "idle-seconds", 0, "how long an edge runs at each rate of sentences; 0: the default")
	c.Flags().BoolVar(&cfg.JSON, "json", false, "print JSON in place of a Markdown table")
	c.RunE = func(c *cobra.Command, _ []string) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cfg.Edge, cfg.Engine = []string{self, edgeVerb}, []string{self, engineVerb}
		if *edge != "" {
			cfg.Edge, cfg.EdgeProgram = []string{*edge}, *edge
		}
		if *before != "" {
			cfg.EngineBefore = []string{*before}
		}
		if *edgeBefore != "" {
			cfg.EdgeBefore = []string{*edgeBefore}
		}
		if cfg.Dir, err = cli.FreshDir(durable.OS{}, *dir, "landfall-bench"); err != nil {
			return err
		}
		err = bench.Run(c.Context(), c.OutOrStdout(), cfg)
		if rm := (durable.OS{}).Remove(cfg.Dir); rm != nil && err == nil {
			err = fmt.Errorf("bench left something behind: %w", rm)
		}
		return err
	}
	return c
}
