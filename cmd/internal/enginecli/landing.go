package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/kafka"
	"landfall/engine/move"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// topicOf asks which topic a configuration names; without an ID there is none yet.
func topicOf(ctx context.Context, c *server.KafkaConfig) (move.Landing, error) {
	is := move.Landing{Kind: move.Kafka, Partitions: c.Partitions, Place: c.Topic}
	k, err := c.LogConfig(durable.OS{})
	if err != nil {
		return is, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	if is.ID, err = kafka.Check(ctx, k); err != nil {
		err = server.KafkaProblem(err)
	}
	return is, err
}

// tellFed says what feeds the lake of a configuration.
func tellFed(ctx context.Context, c *server.Config, store checkpoint.Store, out io.Writer) error {
	fed, err := move.Fed(ctx, store, "")
	if errors.Is(err, move.ErrUnfed) {
		_, err = fmt.Fprintf(out, "%s: fed from nothing yet; the first start decides\n", c.Lake.Dir)
		return err
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "%s: fed from %s\n", c.Lake.Dir, fed)
	}
	return err
}

func landingCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "landing", Short: "Moves a lake to another landing log", Args: cli.NoArgs}
	c.AddCommand(replaceCommand(version))
	return c
}

// replaceFlags are what landing replace is told.
type replaceFlags struct {
	config, old *string
	lost, dry   *bool
	json        *bool
	logger      func(io.Writer) (*slog.Logger, error)
}

func replaceCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "replace", Short: "Moves a lake to a fresh landing log: another directory or topic, another number of partitions", Args: cli.NoArgs,
		Long: "Moves the lake of a configuration to the landing log that the configuration names: another directory, another topic, from the one to the\n" +
			"other, or the same with another number of partitions. Stop every engine of the lake first, and start them with the new configuration afterwards.\n" +
			"What is landed in the old landing log and not published yet is published first. Then the old tasks end, the new ones take on what is known of\n" +
			"each gateway's logs, and the lake is bound to the new landing log. Nothing is removed from the old one. Whatever interrupts it, the same\n" +
			"command does the rest; until then no engine starts on the lake.\n" +
			"With --lost the old landing log is not read: gateways send again what was not published, but those with forward.release: landed."}
	f := replaceFlags{
		config: cli.ConfigFlag(c, DefaultConfig),
		old:    c.Flags().String("old", "", "configuration `FILE` that names the old landing log; default: where the lake says that it lies"),
		lost:   c.Flags().Bool("lost", false, "go on without the old landing log: it is gone, or cannot be read"),
		dry:    c.Flags().Bool("dry-run", false, "change nothing and say what would be done"),
		json:   cli.JSONFlag(c), logger: cli.LogFlags(c, "info"),
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		result, err := f.replace(c, version)
		if err != nil {
			return err
		}
		if *f.json {
			return cli.JSON(c.OutOrStdout(), result)
		}
		return writeReplaced(c.OutOrStdout(), result)
	}
	return c
}

// replace opens the parts and moves the lake.
func (f *replaceFlags) replace(c *cobra.Command, version string) (result *move.Result, err error) {
	ctx := c.Context()
	log, err := f.logger(c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	cfg, file, err := load(*f.config)
	if err != nil {
		return nil, err
	}
	if !cfg.Runs(server.RoleTasks) {
		return nil, file.Locate(&config.FieldError{Key: "roles", Got: "no tasks", Want: "the configuration of an engine that makes tables: it has the lake"})
	}
	m, err := f.lake(ctx, cfg)
	if err != nil {
		return nil, file.Locate(err)
	}
	m.Task.Writer, m.Logger = "landfall-engine landing replace "+version, log
	fed, err := move.Fed(ctx, m.Store, m.To.ID)
	if err != nil {
		return nil, moveRefused(err)
	}
	var logs opened
	defer func() { err = errors.Join(err, logs.close()) }()
	if fed.ID != m.To.ID {
		if err := f.openLogs(ctx, cfg, file, fed, &m, &logs); err != nil {
			return nil, err
		}
	}
	result, err = move.Replace(ctx, m)
	return result, moveRefused(err)
}

// openLogs opens the old landing log, unless it is lost, and then the new one, which it
// may make: a move that is refused makes none.
func (f *replaceFlags) openLogs(ctx context.Context, cfg *server.Config, file *config.File, fed move.Landing, m *move.Config, logs *opened) (err error) {
	if !m.Lost {
		if m.Old, err = f.openOld(ctx, cfg, fed, m, logs); err != nil {
			return err
		}
	}
	if m.DryRun {
		return nil
	}
	if err := move.MayReplace(ctx, *m); err != nil {
		return moveRefused(err)
	}
	return file.Locate(f.openNew(ctx, cfg, m, logs))
}

// moveRefused gives the errors of a move their exit codes.
func moveRefused(err error) error {
	switch {
	case errors.Is(err, move.ErrUnfed), errors.Is(err, move.ErrNotFresh), errors.Is(err, move.ErrUnread), errors.Is(err, move.ErrUnderWay), errors.Is(err, landing.ErrMismatch):
		return cli.Fail(cli.ExitConfig, err)
	case errors.Is(err, move.ErrOvertaken), errors.Is(err, stream.ErrFenced), errors.Is(err, kafka.ErrUnavailable), errors.Is(err, durable.ErrLocked):
		return cli.Fail(cli.ExitUnavailable, err)
	}
	return err
}

// lake opens the lake of a configuration, and finds its landing log.
func (f *replaceFlags) lake(ctx context.Context, cfg *server.Config) (m move.Config, err error) {
	m = move.Config{Lost: *f.lost, DryRun: *f.dry, Task: task.Config{
		EpochInterval: cfg.Epoch.Interval, EpochRecords: cfg.Epoch.Records, EpochBytes: int64(cfg.Epoch.Size), Windows: cfg.Windows(),
		PublishBacklog: cfg.Epoch.PublishBacklog, CommitTimeout: max(cfg.DrainTimeout, drainPatience),
	}}
	p := placeOf(cfg)
	if p.kafka, err = kafkaSink(&cfg.Sinks.Kafka); err != nil {
		return m, err
	}
	if m.Store, m.Sinks, err = openLake(ctx, p); err != nil {
		return m, err
	}
	if cfg.Landing.Kafka.Used() {
		m.To, err = topicOf(ctx, &cfg.Landing.Kafka)
		return m, err
	}
	id, partitions, err := embedded.Identity(durable.OS{}, cfg.Landing.Dir)
	if err == nil && id != "" && partitions != cfg.Landing.Partitions {
		err = &config.FieldError{Key: "landing.partitions", Got: fmt.Sprint(cfg.Landing.Partitions), Want: fmt.Sprintf("%d, with which %s was made; or another directory", partitions, cfg.Landing.Dir)}
	}
	m.To = move.Landing{Kind: move.Embedded, ID: id, Partitions: cfg.Landing.Partitions, Place: cfg.Landing.Dir}
	return m, err
}

// drainPatience is how long the last epoch of a task that is drained may take.
const drainPatience = 10 * time.Minute

// opened are landing logs that are to be closed again.
type opened []io.Closer

func (o opened) close() error {
	var errs []error
	for _, c := range o {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// openNew opens the new landing log, or makes it.
func (f *replaceFlags) openNew(ctx context.Context, cfg *server.Config, m *move.Config, logs *opened) error {
	if cfg.Landing.Kafka.Used() {
		log, err := cfg.Landing.Kafka.OpenUnbound(ctx, durable.OS{}, m.Store, cfg.Lake.Dir, m.Logger)
		if err != nil {
			return err
		}
		*logs = append(*logs, log)
		m.New, m.To.ID = log, log.ID()
		return nil
	}
	if err := config.CheckDir(durable.OS{}, "landing.dir", cfg.Landing.Dir); err != nil {
		return err
	}
	log, err := cfg.Landing.OpenDir(durable.OS{}, m.Logger)
	if err != nil {
		return err
	}
	*logs = append(*logs, log)
	m.New, m.To.ID = log, log.ID()
	return nil
}

// openOld opens the landing log that feeds the lake; nil: where it lies is not
// known, or it is not there.
func (f *replaceFlags) openOld(ctx context.Context, cfg *server.Config, fed move.Landing, m *move.Config, logs *opened) (landing.Log, error) {
	old := *cfg
	switch {
	case *f.old != "":
		given, _, err := load(*f.old)
		if err != nil {
			return nil, err
		}
		old = *given
	case fed.Kind == move.Embedded && fed.Place != "":
		old.Landing.Kafka, old.Landing.Dir, old.Landing.Partitions = server.KafkaConfig{}, fed.Place, fed.Partitions
	case fed.Kind == move.Kafka && fed.Place != "" && cfg.Landing.Kafka.Used():
		old.Landing.Kafka.Topic, old.Landing.Kafka.TopicID, old.Landing.Kafka.Partitions = fed.Place, string(fed.ID), fed.Partitions
	default:
		return nil, nil
	}
	if old.Landing.Kafka.Used() {
		if is, err := topicOf(ctx, &old.Landing.Kafka); err != nil || is.ID == "" {
			return nil, moveRefused(err)
		}
		l, err := old.Landing.Kafka.OpenUnbound(ctx, durable.OS{}, m.Store, cfg.Lake.Dir, m.Logger)
		if err != nil {
			return nil, moveRefused(err)
		}
		*logs = append(*logs, l)
		return l, nil
	}
	if id, _, err := embedded.Identity(durable.OS{}, old.Landing.Dir); err != nil || id == "" || id == m.To.ID {
		return nil, err // where the new one lies there, the old one is gone
	}
	l, err := old.Landing.OpenDir(durable.OS{}, m.Logger)
	if errors.Is(err, durable.ErrLocked) {
		err = fmt.Errorf("an engine works on the old landing log, stop it first: %w", err)
	}
	if err != nil {
		return nil, moveRefused(err)
	}
	*logs = append(*logs, l)
	return l, nil
}

// writeReplaced prints a result for people.
func writeReplaced(w io.Writer, r *move.Result) error {
	if r.WasDone {
		_, err := fmt.Fprintf(w, "the lake is fed from %s already: nothing to do\n", r.To)
		return err
	}
	moved, ended, on := "moved", "ended", "goes on with"
	if r.DryRun {
		moved, ended, on = "would move", "would end", "would go on with"
	}
	for _, o := range r.Old {
		unread := fmt.Sprintf("%d landed blocks not published before", o.Unread)
		if o.Unread < 0 {
			unread = "the landing log was not read"
		}
		if _, err := fmt.Fprintf(w, "task %s %s at epoch %d; %s\n", o.Task, ended, o.Epoch, unread); err != nil {
			return err
		}
	}
	for _, n := range r.New {
		if _, err := fmt.Fprintf(w, "task %s %s %d logs of %d gateways\n", n.Task, on, n.Logs, n.Gateways); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", n); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "the lake %s from %s to %s\n", moved, r.From, r.To); err != nil || r.DryRun {
		return err
	}
	_, err := fmt.Fprintln(w, "start the engines with the new configuration; the old landing log is not needed any more, and nothing was removed from it")
	return err
}
