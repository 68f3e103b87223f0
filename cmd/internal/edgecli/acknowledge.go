package edgecli

import (
	"fmt"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
)

func acknowledgeCommand() *cobra.Command {
	c := &cobra.Command{Use: "acknowledge SOURCE", Short: "Says that you know of the gaps of a source, so that health is no longer red because of them", Args: cobra.ExactArgs(1),
		Long: "A source that reads files declares a gap where it cannot show that it has every line: in the log, as a row of the table sensor_reading\n" +
			"(metric gap), and in its health, which stays red until you acknowledge it. This asks the running gateway how many gaps the\n" +
			"source has, prints the last one, and notes that you know of them. It gives nothing back: look for the lines first.\n" +
			"The next gap turns health red again."}
	name := cli.ConfigFlag(c, DefaultConfig)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, _, err := load(*name)
		if err != nil {
			return err
		}
		s, err := cli.AskStatus[agent.Status](c.Context(), "gateway", cfg.Status)
		if err != nil {
			return err
		}
		for i := range s.Sources {
			src := &s.Sources[i]
			switch {
			case src.Name != args[0]:
				continue
			case src.Gaps == 0:
				_, err = fmt.Fprintf(c.OutOrStdout(), "source %s has no gaps\n", src.Name)
				return err
			}
			if err := cfg.AcknowledgeGaps(durable.OS{}, src.Name, src.Gaps); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "source %s: %d gaps acknowledged, the last: %s\n", src.Name, src.Gaps, src.LastGap)
			return err
		}
		return &config.FieldError{Key: "sources", Got: args[0], Want: "the name of a source of the running gateway"}
	}
	return c
}
