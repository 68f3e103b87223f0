package edgecli

import (
	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
)

func tapCommand() *cobra.Command {
	c := &cobra.Command{Use: "tap", Short: "Shows what passes the gateway, at any stage", Args: cli.NoArgs,
		Long: "Asks the running gateway, whose configuration must have status: an address. Looking holds nothing up.\n\n" +
			"  received  lines as the sources read them, before they are on the disk\n" +
			"  captured  records behind their fsync: what will be forwarded\n" +
			"  acked     records that the cloud has acknowledged\n\n" +
			"nmea prints the lines as they were received; json one object a record, with its offset, its times, and under reject why the\n" +
			"engine will give it no typed row."}
	name := cli.ConfigFlag(c, DefaultConfig)
	t := cli.Tap{
		Stages: []string{agent.StageCaptured, agent.StageReceived, agent.StageAcked},
		Judged: []string{agent.StageCaptured, agent.StageAcked},
	}
	t.Flags(c, "nmea or json")
	oldest := c.Flags().Bool("oldest", false, "begin with the oldest record on the disk, not with the next one")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := t.Check(cli.FormatNMEA, cli.FormatJSON); err != nil {
			return err
		}
		cfg, file, err := load(*name)
		if err != nil {
			return err
		}
		q := t.Query()
		if *oldest {
			q.Set("from", "oldest")
		}
		return file.Locate(t.Follow(c.Context(), "gateway", cfg.Status, q, t.Show(c.OutOrStdout(), c.ErrOrStderr())))
	}
	return c
}
