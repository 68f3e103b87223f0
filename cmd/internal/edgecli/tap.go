package edgecli

import (
	"net/url"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
)

func tapCommand() *cobra.Command {
	t := cli.Tap{
		Stages: []string{agent.StageCaptured, agent.StageReceived, agent.StageAcked},
		Judged: []string{agent.StageCaptured, agent.StageAcked},
	}
	return t.Command("Shows what passes the gateway, at any stage",
		"Asks the running gateway, whose configuration must have status: an address. Looking holds nothing up.\n\n"+
			"  received  lines as the sources read them, before they are on the disk\n"+
			"  captured  records behind their fsync: what will be forwarded\n"+
			"  acked     records that the cloud has acknowledged\n\n"+
			"nmea prints the lines as they were received; json one object a record, with its offset, its times, and under reject why the\n"+
			"engine will give it no typed row.",
		"gateway", DefaultConfig, statusAddress, func(c *cobra.Command) func(url.Values) {
			oldest := c.Flags().Bool("oldest", false, "begin with the oldest record on the disk, not with the next one")
			return func(q url.Values) {
				if *oldest {
					q.Set("from", "oldest")
				}
			}
		})
}
