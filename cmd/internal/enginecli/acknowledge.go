package enginecli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// acknowledged is what the verb did with one partition, for programs.
type acknowledged struct {
	Partition      int    `json:"partition"`
	Contradictions uint64 `json:"contradictions"` // that are acknowledged now
	New            uint64 `json:"new"`            // of these, those that were not before
	Of             string `json:"of,omitempty"`   // whose the new ones are, in words
	// Gateways are the gateways of the new ones, newest first.
	Gateways []server.ContradictingGateway `json:"gateways,omitempty"`
}

func acknowledgeCommand() *cobra.Command {
	c := &cobra.Command{Use: "acknowledge", Short: "Says that you know of the blocks that contradict a log, so that health is no longer red because of them",
		Args: cobra.NoArgs,
		Long: "What contradicts a log is kept in the table conflict, and health is red until you acknowledge it, over restarts too. This asks the\n" +
			"running engine how much there is, prints whose it is, and notes beside the checkpoints that you know of it. It changes no table: an\n" +
			"audit goes on naming it. The next contradiction turns health red again."}
	name := cli.ConfigFlag(c, DefaultConfig)
	partition := c.Flags().Int("partition", -1, "acknowledge what is of this partition alone")
	asJSON := c.Flags().Bool("json", false, "print what was acknowledged as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, f, err := load(*name)
		if err != nil {
			return err
		}
		done, err := acknowledge(c.Context(), cfg, *partition)
		if err != nil {
			return f.Locate(err)
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), done)
		}
		_, err = fmt.Fprint(c.OutOrStdout(), acknowledgedText(done))
		return err
	}
	return c
}

// acknowledge notes what the running engine says of its partitions, or of one.
func acknowledge(ctx context.Context, cfg *server.Config, partition int) ([]acknowledged, error) {
	s, err := cli.AskStatus[server.Status](ctx, "engine", cfg.Status)
	if err != nil {
		return nil, err
	}
	done := []acknowledged{}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		if partition >= 0 && t.Partition != partition || t.Contradictions <= t.Acknowledged {
			continue
		}
		done = append(done, acknowledged{t.Partition, t.Contradictions, t.Contradictions - t.Acknowledged, t.Contradicting, t.ContradictingGateways})
	}
	if len(done) == 0 {
		return done, nil
	}
	store, err := placeOf(cfg).openStore(ctx, false)
	if err != nil {
		return nil, &config.FieldError{Key: "checkpoint.dir", Got: fmt.Sprintf("%s: %v", cfg.CheckpointDir(), err), Want: "the checkpoints of the running engine"}
	}
	for _, a := range done {
		if err := task.Acknowledge(ctx, store, stream.TaskID{Landing: s.Landing, Partition: a.Partition}, a.Contradictions); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func acknowledgedText(done []acknowledged) string {
	if len(done) == 0 {
		return "nothing contradicts a log that is not acknowledged\n"
	}
	var b strings.Builder
	for _, a := range done {
		fmt.Fprintf(&b, "partition %d: %s acknowledged, of %s\n", a.Partition, config.Count(a.New, "contradiction"), a.Of)
		if len(a.Gateways) < 2 {
			continue
		}
		for _, g := range a.Gateways {
			fmt.Fprintf(&b, "  %s: %d in all, the newest %s\n", g.Gateway, g.Count, g.Newest.Format(time.RFC3339))
		}
	}
	return b.String()
}
