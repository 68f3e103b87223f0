package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/engine/operator"
	"landfall/engine/repair"
	"landfall/engine/server"
	"landfall/sinks/parquet"
)

// errUnrepaired ends a repair after which something is wrong still.
var errUnrepaired = errors.New("the lake is not right yet; see the result")

func repairCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "repair", Short: "Makes again what a lake lost or what was damaged in it", Args: cli.NoArgs,
		Long: "Compares every file with the ledger, and makes again what is missing or damaged: typed rows from record, record from a gateway's log or from\n" +
			"a landing log that still holds it, HEAD, manifests, state and entries of the ledger from each other and from the lake. The result is committed as an entry of its own in the ledger; a running engine\n" +
			"is fenced by it and goes on by itself. Files that nothing published, and what is damaged, are moved to _quarantine, never deleted.\n" +
			"With --take-aside the records of blocks that were set aside in conflict (reason poison) become rows again, by the decoder of this program.\n" +
			"Nothing is guessed: what cannot be repaired is told with the reason. At the end, of a dry run too, the lake is audited at the level bytes.\n" +
			"Exit 0: nothing is wrong that a repair could put right; what was given up (loss), contradicts (conflict) or was set aside there is no damage,\n" +
			"though the audit is not exact then. Exit 65: something is left, would be done, or was found by the audit."}
	f := c.Flags()
	lake := f.String("lake", "", "`DIR` of the tables, or s3://bucket/prefix")
	checkpoints := f.String("checkpoint", "", "`DIR` of the checkpoints, or s3://bucket/prefix; default: _checkpoint below the lake")
	edgeLogs := f.StringArray("edge-log", nil, "`DIR` of a gateway's log; may be given again")
	landing := f.StringArray("landing", nil, "`DIR` of a landing log on a disk; may be given again")
	window := server.Default().Window
	size := f.Duration("window-size", window.Size, "window.size of the engine's configuration, where no row of window shows it")
	lateness := f.Duration("allowed-lateness", window.AllowedLateness, "window.allowed_lateness of the engine's configuration, for files of window and late")
	takeAside := f.Bool("take-aside", false, "take blocks that were set aside in conflict (reason poison) into the tables, where nothing else of their task is wrong")
	dryRun := f.Bool("dry-run", false, "change nothing and say what would be done")
	asJSON := f.Bool("json", false, "print JSON")
	remote := newS3Flags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *lake == "" {
			return cli.Fail(cli.ExitUsage, errors.New("repair: --lake"))
		}
		for _, dir := range append(append([]string{}, *edgeLogs...), *landing...) {
			if err := present(dir); err != nil {
				return err
			}
		}
		at := lakeToRepair{lake: *lake, checkpoints: *checkpoints, s3: remote.config(), dryRun: *dryRun}
		if at.checkpoints == "" {
			at.checkpoints = server.Checkpoints(*lake)
		}
		cfg := repair.Config{
			EdgeLogs: *edgeLogs, Landing: *landing, DryRun: *dryRun, TakeAside: *takeAside, Writer: "landfall-engine repair " + version,
			Windows: operator.WindowConfig{Size: *size, AllowedLateness: *lateness},
		}
		result, err := at.repair(c.Context(), cfg)
		if err != nil {
			return err
		}
		return printRepair(c, at, result, *asJSON)
	}
	return c
}

// lakeToRepair is where it lies.
type lakeToRepair struct {
	lake, checkpoints string
	s3                server.S3Config
	dryRun            bool
}

// repair opens the parts and repairs.
func (l lakeToRepair) repair(ctx context.Context, cfg repair.Config) (result *repair.Result, err error) {
	where := place{lake: l.lake, checkpoints: l.checkpoints, s3: l.s3}
	if !server.IsBucket(l.lake) {
		if err := present(l.lake); err != nil {
			return nil, err
		}
	}
	if !server.IsBucket(l.checkpoints) {
		if err := present(l.checkpoints); err != nil {
			return nil, err
		}
	}
	files, err := where.openFiles(ctx, l.dryRun)
	if err != nil {
		return nil, err
	}
	if cfg.Store, err = where.openStore(ctx, l.dryRun); err != nil {
		return nil, err
	}
	if cfg.Sink, err = parquet.New(parquet.Config{Files: files}); err != nil {
		return nil, err
	}
	if bucket, ok := files.(holder); ok {
		cfg.Lake = bucketLake{filesLake{files}, bucket}
	} else {
		cfg.Lake = dirLake{filesLake{files}, durable.OS{}, l.lake}
	}
	made, err := newScratch(l.lake, l.dryRun)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, made.remove()) }()
	cfg.Scratch = made
	if result, err = repair.Run(ctx, cfg); err == nil {
		result.Lake = l.lake
	}
	return result, err
}

// repairReport is the result of the verb as JSON.
type repairReport struct {
	*repair.Result
	Audit *audit.Result `json:"audit"` // of the lake as it is afterwards
}

// printRepair audits what was repaired, prints both and decides about the exit
// code.
func printRepair(c *cobra.Command, at lakeToRepair, result *repair.Result, asJSON bool) error {
	report := repairReport{Result: result}
	cfg, err := auditOf(c.Context(), at.lake, at.checkpoints, at.s3)
	if err != nil {
		return err
	}
	cfg.Level = audit.LevelBytes
	if report.Audit, err = audit.Run(c.Context(), cfg); err != nil {
		return err
	}
	right := len(result.Left) == 0 && report.Audit.OnlyDeclares()
	if asJSON {
		err = cli.JSON(c.OutOrStdout(), report)
	} else {
		err = writeRepair(c.OutOrStdout(), report)
	}
	if err == nil && (!right || at.dryRun && len(result.Actions) > 0) {
		err = cli.Fail(cli.ExitData, errUnrepaired)
	}
	return err
}

// writeRepair prints a result for people.
func writeRepair(w io.Writer, r repairReport) error {
	done := "done"
	if r.DryRun {
		done = "would be done"
	}
	for _, a := range r.Actions {
		if _, err := fmt.Fprintf(w, "%s %s: %s (%s)\n", a.Kind, plain(a.File), plain(a.Detail), done); err != nil {
			return err
		}
	}
	for _, a := range r.Left {
		if _, err := fmt.Fprintf(w, "left %s: %s\n", plain(a.File), plain(a.Detail)); err != nil {
			return err
		}
	}
	for _, a := range r.Contradicts {
		if _, err := fmt.Fprintf(w, "%s: %s\n", a.Kind, plain(a.Detail)); err != nil {
			return err
		}
	}
	if len(r.Actions)+len(r.Left) == 0 {
		if _, err := fmt.Fprintln(w, "nothing to repair: every file is as the ledger says"); err != nil {
			return err
		}
	}
	if err := r.Audit.WriteText(w); err != nil || r.Audit.Exact || len(r.Left) > 0 || !r.Audit.OnlyDeclares() {
		return err
	}
	_, err := fmt.Fprintln(w, "the lake is as it was published: what is not exact are the rows of loss and conflict, in which nothing can be repaired")
	return err
}

// plain returns a text with names from a lake in it as it may be printed: quoted
// where it would end a line or steer a terminal.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.Quote(text)
	}
	return text
}
