package enginecli

import (
	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/engine/server"
)

func tapCommand() *cobra.Command {
	c := &cobra.Command{Use: "tap", Short: "Shows what passes the engine, at any stage", Args: cli.NoArgs,
		Long: "Asks the running engine, whose configuration must have status: an address. It shows what passes from now on, and holds\n" +
			"nothing up: what this end is too slow for is missed and counted.\n\n" +
			"  record  what a task made of each captured record: how many rows, or under reject why none; and what contradicts or is lost\n" +
			"  landed  records as they land from gateways, before a task has read them\n\n" +
			"nmea prints the lines as the gateway received them; json one object a record."}
	name := cli.ConfigFlag(c, DefaultConfig)
	t := cli.Tap{
		Stages: []string{server.StageRecord, server.StageLanded},
		Judged: []string{server.StageRecord, server.StageLanded},
	}
	t.Flags(c, "nmea or json")
	gateway := c.Flags().String("gateway", "", "only of the gateway of this `NAME`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := t.Check(cli.FormatNMEA, cli.FormatJSON); err != nil {
			return err
		}
		cfg, file, err := load(*name)
		if err != nil {
			return err
		}
		q := t.Query()
		if *gateway != "" {
			q.Set("gateway", *gateway)
		}
		return file.Locate(t.Follow(c.Context(), "engine", cfg.Status, q, t.Show(c.OutOrStdout(), c.ErrOrStderr())))
	}
	return c
}
