package enginecli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/sinks/object"
)

// errInexact ends an audit that found something.
var errInexact = errors.New("the lake is not exact; see the result")

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Proves that a lake holds every captured record exactly once", Args: cli.NoArgs,
		Long: "Reads the lineage columns of every table and counts, for each log, the offsets recorded, rejected, given up, missing and doubled.\n" +
			"Exit 0: exact, with the tables loss and conflict empty. Exit 65: not exact."}
	lake := c.Flags().String("lake", "", "`DIR` of the tables (required)")
	checkpoints := c.Flags().String("checkpoint", "", "`DIR` of the checkpoints; default: _checkpoint below the lake")
	edgeLogs := c.Flags().StringArray("edge-log", nil, "`DIR` of a gateway's log, to be compared byte by byte; may be given again")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	_ = c.MarkFlagRequired("lake")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg := audit.Config{Lake: *lake, EdgeLogs: *edgeLogs}
		for _, dir := range append([]string{*lake}, *edgeLogs...) {
			if err := present(dir); err != nil {
				return err
			}
		}
		dir := *checkpoints
		if dir == "" {
			dir = filepath.Join(*lake, "_checkpoint")
		}
		if err := present(dir); err == nil {
			store, err := object.OpenDir(durable.OS{}, dir)
			if err != nil {
				return err
			}
			cfg.Checkpoints = store
		} else if *checkpoints != "" || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		result, err := audit.Run(c.Context(), cfg)
		if err != nil {
			return err
		}
		if *asJSON {
			err = cli.JSON(c.OutOrStdout(), result)
		} else {
			err = result.WriteText(c.OutOrStdout())
		}
		if err == nil && !result.Exact {
			err = cli.Fail(cli.ExitData, errInexact)
		}
		return err
	}
	return c
}

// present makes sure that a directory is there.
func present(dir string) error {
	info, err := durable.OS{}.Stat(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if !info.IsDir() {
		return cli.Fail(cli.ExitNoInput, fmt.Errorf("audit: %s is no directory", dir))
	}
	return nil
}
