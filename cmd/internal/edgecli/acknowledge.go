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

// acknowledged is what the verb did, for programs: of a source, or of the log or the
// data directory, whose fields are then set and Source is empty.
type acknowledged struct {
	Source  string `json:"source,omitempty"`
	Gaps    uint64 `json:"gaps"`
	LastGap string `json:"last_gap,omitempty"`

	LostEnds    uint64 `json:"lost_ends,omitempty"`
	LastLostEnd string `json:"last_lost_end,omitempty"`

	UnknownLogs uint64 `json:"unknown_logs,omitempty"`
	LastUnknown string `json:"last_unknown,omitempty"`
}

func acknowledgeCommand() *cobra.Command {
	c := &cobra.Command{Use: "acknowledge SOURCE | --log | --data-dir", Short: "Says that you know of the gaps of a source, or of what the disk has lost, so that health is no longer red because of them",
		Args: whatToAcknowledge,
		Long: "A source that reads files declares a gap where it cannot show that it has every line: in the log, as a row of the table sensor_reading\n" +
			"(metric gap), and in its health, which stays red until you acknowledge it. This asks the running gateway how many gaps the\n" +
			"source has, prints the last one, and notes that you know of them. It brings no line back: look for them first.\n" +
			"The next gap turns health red again.\n\n" +
			"With --log it does the same for ends of the gateway's own log that its disk has lost: records that were durable and were not found\n" +
			"at a start. What of them the cloud had not got stands in the table loss. Look after the disk, or find out who put an older copy back.\n\n" +
			"With --data-dir it does the same where the cloud has records of this gateway that the data directory does not know: it was lost, put\n" +
			"back from an older copy or is another one, or another machine has the gateway's name. Files that wait for it are read then, from where\n" +
			"the directory knows them: what of them was captured before comes twice. Put the right directory back instead if there is one."}
	name := cli.ConfigFlag(c, DefaultConfig)
	ofLog := c.Flags().Bool("log", false, "acknowledge that the disk has lost the end of the gateway's log")
	ofDir := c.Flags().Bool("data-dir", false, "acknowledge that the data directory does not know what the cloud has")
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
		var a acknowledged
		var text string
		switch {
		case *ofLog:
			a, text, err = acknowledgeLog(cfg, &s.Log)
		case *ofDir:
			a, text, err = acknowledgeDataDir(cfg, &s.DataDir)
		default:
			a, text, err = acknowledgeSource(cfg, s.Sources, args[0])
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), a)
		}
		_, err = fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}

// whatToAcknowledge wants one thing to be named: a source, or one of the flags.
func whatToAcknowledge(c *cobra.Command, args []string) error {
	named := len(args)
	for _, flag := range []string{"log", "data-dir"} {
		if set, _ := c.Flags().GetBool(flag); set {
			named++
		}
	}
	if named == 1 {
		return nil
	}
	return cli.Fail(cli.ExitUsage, fmt.Errorf("say what you know of, one thing at a time: the name of a source, --log or --data-dir; %d were given\nsee %s --help", named, c.CommandPath()))
}

func acknowledgeSource(cfg *agent.Config, sources []agent.SourceStatus, name string) (a acknowledged, text string, err error) {
	i := slices.IndexFunc(sources, func(src agent.SourceStatus) bool { return src.Name == name })
	if i < 0 {
		return a, "", &config.FieldError{Key: "sources", Got: name, Want: "the name of a source of the running gateway"}
	}
	a = acknowledged{Source: name, Gaps: sources[i].Gaps, LastGap: sources[i].LastGap}
	if a.Gaps == 0 {
		return a, fmt.Sprintf("source %s has no gaps\n", name), nil
	}
	text = fmt.Sprintf("source %s: %s acknowledged, the last: %s\n", name, config.Count(a.Gaps, "gap"), a.LastGap)
	return a, text, cfg.AcknowledgeGaps(durable.OS{}, name, a.Gaps, a.LastGap)
}

func acknowledgeLog(cfg *agent.Config, l *agent.LogStatus) (a acknowledged, text string, err error) {
	a = acknowledged{LostEnds: l.LostEnds, LastLostEnd: l.LastLostEnd}
	if a.LostEnds == 0 {
		return a, "the disk has lost no end of the log\n", nil
	}
	text = fmt.Sprintf("%s of the log acknowledged, the last: %s\n", config.Count(a.LostEnds, "lost end"),
		a.LastLostEnd)
	return a, text, cfg.AcknowledgeLostEnds(durable.OS{}, a.LostEnds, a.LastLostEnd)
}

func acknowledgeDataDir(cfg *agent.Config, d *agent.DataDirStatus) (a acknowledged, text string, err error) {
	a = acknowledged{UnknownLogs: d.UnknownLogs, LastUnknown: d.LastUnknown}
	if a.UnknownLogs == 0 {
		return a, "the data directory knows every log of this gateway that the cloud was found to have\n", nil
	}
	text = fmt.Sprintf("data directory: %s acknowledged, the last: %s\n", config.Count(a.UnknownLogs, "finding"),
		a.LastUnknown)
	return a, text, cfg.AcknowledgeUnknownLogs(durable.OS{}, a.UnknownLogs, a.LastUnknown)
}
