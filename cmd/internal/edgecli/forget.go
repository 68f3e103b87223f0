package edgecli

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
)

// forgotten is what the verb did, for programs.
type forgotten struct {
	Source string `json:"source"`
	Bytes  int64  `json:"bytes"` // of its marks and its list of filters; 0: there were none
}

func forgetCommand() *cobra.Command {
	c := &cobra.Command{Use: "forget SOURCE", Short: "Forgets where a source stood that is configured no more",
		Args: func(c *cobra.Command, args []string) error {
			return cli.Fail(cli.ExitUsage, cobra.ExactArgs(1)(c, args))
		},
		Long: "What a source that can be asked again has given is noted in marks. When it is taken out of the configuration they are set aside in the\n" +
			"folder of the log, and stay until they are forgotten here: with them it goes on where it stood whenever it is configured again.\n" +
			"They count in log.quota; status names the sources. Forget one that does not come back under this name. If it does all the same, it\n" +
			"begins again, and what it then gives for the second time comes twice.\n\n" +
			"A source that is configured is refused, whether the gateway runs or not: its marks are what keeps lines and messages from being captured\n" +
			"twice, and they lie in the log itself, not beside it. To have it begin again, or to free the places of its senders: give it another name in\n" +
			"the configuration, which begins with no marks; reload or restart the gateway, which sets the old ones aside; forget the old name."}
	name := cli.ConfigFlag(c, DefaultConfig)
	asJSON := c.Flags().Bool("json", false, "print what was forgotten as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, file, err := load(*name)
		if err != nil {
			return err
		}
		f := forgotten{Source: args[0]}
		if configured(cfg, f.Source) {
			return file.Locate(&config.FieldError{Key: "sources", Got: f.Source, Want: "the name of a source that is configured no more: the marks of a configured one keep what it gave from " +
				"being captured twice. To have it begin again: give it another name here, reload the gateway, and forget the old one"})
		}
		if f.Source != filepath.Base(f.Source) {
			return file.Locate(&config.FieldError{Key: "sources", Got: f.Source, Want: "the name of a source that is configured no more"})
		}
		if s, err := cli.AskStatus[agent.Status](c.Context(), "gateway", cfg.Status); err == nil && s.Gateway == cfg.Gateway && runs(s, f.Source) {
			return cli.Fail(cli.ExitUnavailable, fmt.Errorf("the running gateway still has the source %s: reload it first (systemctl reload landfall-edge)", f.Source))
		}
		if f.Bytes, err = cfg.ForgetSource(durable.OS{}, f.Source); err != nil {
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), f)
		}
		text := fmt.Sprintf("source %s: nothing of it is set aside\n", f.Source)
		if f.Bytes > 0 {
			text = fmt.Sprintf("source %s: forgotten, %s of marks\n", f.Source, cli.Size(f.Bytes))
		}
		_, err = fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}

func configured(c *agent.Config, source string) bool {
	return slices.ContainsFunc(c.Sources, func(s agent.SourceConfig) bool { return s.Name == source })
}

func runs(s *agent.Status, source string) bool {
	return slices.ContainsFunc(s.Sources, func(src agent.SourceStatus) bool { return src.Name == source })
}
