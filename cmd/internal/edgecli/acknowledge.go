package edgecli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
)

// acknowledged is what the verb did, for programs.
type acknowledged struct {
	Source  string `json:"source"`
	Gaps    uint64 `json:"gaps"`
	LastGap string `json:"last_gap,omitempty"`
}

func acknowledgeCommand() *cobra.Command {
	c := &cobra.Command{Use: "acknowledge SOURCE", Short: "Says that you know of the gaps of a source, so that health is no longer red because of them",
		Args: func(c *cobra.Command, args []string) error {
			return cli.Fail(cli.ExitUsage, cobra.ExactArgs(1)(c, args))
		},
		Long: "A source that reads files declares a gap where it cannot show that it has every line: in the log, as a row of the table sensor_reading\n" +
			"(metric gap), and in its health, which stays red until you acknowledge it. This asks the running gateway how many gaps the\n" +
			"source has, prints the last one, and notes that you know of them. It brings no line back: look for them first.\n" +
			"The next gap turns health red again."}
	name := cli.ConfigFlag(c, DefaultConfig)
	asJSON := c.Flags().Bool("json", false, "print what was acknowledged as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, _, err := load(*name)
		if err != nil {
			return err
		}
		s, err := cli.AskStatus[agent.Status](c.Context(), "gateway", cfg.Status)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Sources, func(src agent.SourceStatus) bool { return src.Name == args[0] })
		if i < 0 {
			return &config.FieldError{Key: "sources", Got: args[0], Want: "the name of a source of the running gateway"}
		}
		a := acknowledged{s.Sources[i].Name, s.Sources[i].Gaps, s.Sources[i].LastGap}
		text := fmt.Sprintf("source %s has no gaps\n", a.Source)
		if a.Gaps > 0 {
			if err := cfg.AcknowledgeGaps(durable.OS{}, a.Source, a.Gaps); err != nil {
				return err
			}
			text = fmt.Sprintf("source %s: %d gaps acknowledged, the last: %s\n", a.Source, a.Gaps, a.LastGap)
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), a)
		}
		_, err = fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}
