// Package enginecli is the command landfall-engine: its verbs over
// engine/server, engine/task and engine/audit. It joins the engine with the
// sinks, which the engine does not import, and is apart from the main package
// because landfall demo runs the same command as a child process of its own
// binary.
//
// In:  arguments, a configuration file, recorded files.
// Out: results on stdout, logs and progress on stderr, an exit code
// (cmd/internal/cli).
//
// Invariants
//
//  1. run, check and explain read the configuration the same way; an error of
//     it has file, line and key, and exits 78.
//  2. check removes again what it makes: probe files, and directories that the
//     configuration names (where the lake is a bucket those stay). It says what
//     it did.
//  3. replay exits 0 only when everything the files hold is published; audit
//     only when the lake is exact.
//
// A Command is run once, by one goroutine.
package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/server"
)

// DefaultConfig is where the configuration lies when no flag says otherwise.
const DefaultConfig = "/etc/landfall/engine.yaml"

// Command gives the command under the name use.
func Command(use, version string) *cobra.Command {
	root := &cobra.Command{Use: use, Short: "Lands what gateways send and turns it into Parquet, exactly once", Version: version}
	explainVerb := cli.Report[server.Config, []explain.Handoff]{
		Use: "explain", Short: "Says what each handoff guarantees, and why", Config: DefaultConfig, Load: load,
		Value: func(_ context.Context, c *server.Config) ([]explain.Handoff, error) { return Explain(c), nil }, Text: explain.Text,
	}
	root.AddCommand(runCommand(version), checkCommand(), explainVerb.Command(), statusReport().Command(), statusReport().Top("Shows status again and again"), healthCommand(), tapCommand(), doctorCommand(), acknowledgeCommand(), inspectCommand(), auditCommand(), repairCommand(version), landingCommand(version), replayCommand(version))
	return root
}

// load reads a configuration and checks it.
func load(name string) (*server.Config, *config.File, error) {
	c := server.Default()
	f, err := config.Load(durable.OS{}, name, &c)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, nil, f.Locate(err)
	}
	return &c, f, nil
}

// directories makes sure of the directories that a configuration names.
func directories(c *server.Config) error {
	for _, d := range []struct{ key, dir string }{{"landing.dir", c.Landing.Dir}, {"lake.dir", c.Lake.Dir}, {"checkpoint.dir", c.CheckpointDir()}} {
		if server.IsBucket(d.dir) || !named(c, d.key) {
			continue
		}
		if err := config.CheckDir(durable.OS{}, d.key, d.dir); err != nil {
			return err
		}
	}
	if server.IsBucket(c.Lake.Dir) || !c.Runs(server.RoleTasks) {
		return nil
	}
	return oneFileSystem(durable.OS{}, c.Lake.Dir)
}

// leave gives what removes again the directories that a look at them makes, with
// what a store's trial of itself leaves.
func leave(c *server.Config) func() {
	var local []string
	for _, path := range []string{c.Landing.Dir, c.Lake.Dir, filepath.Join(c.CheckpointDir(), "selftest", ".lock")} {
		if path != "" && !server.IsBucket(c.CheckpointDir()) && !server.IsBucket(c.Lake.Dir) {
			local = append(local, path)
		}
	}
	return config.Leave(durable.OS{}, local...)
}

// named tells whether an engine of these roles has a directory.
func named(c *server.Config, key string) bool {
	if key == "landing.dir" {
		return !c.Landing.Kafka.Used()
	}
	return c.Runs(server.RoleTasks)
}

// checkTopic asks for the topic of the landing log, and makes none; store is the
// lake's that it feeds, nil: not known here.
func checkTopic(ctx context.Context, c *server.Config, store checkpoint.Store, out io.Writer) error {
	k := &c.Landing.Kafka
	if absent(&k.TLS, &k.SASL, out, "topic "+k.Topic) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	id, err := k.Check(ctx, durable.OS{}, store, c.Lake.Dir)
	switch {
	case err != nil:
		var field *config.FieldError
		if !errors.As(err, &field) {
			err = &config.FieldError{Key: "landing.kafka", Got: err.Error(), Want: "brokers that answer, with certificates that tls.ca_file signs, and that let this engine in"}
		}
		return err
	case id == "":
		_, err = fmt.Fprintf(out, "topic %s: absent; the first engine that starts makes it, %d partitions on %d brokers each\n", k.Topic, k.Partitions, k.Replication)
	default:
		_, err = fmt.Fprintf(out, "topic %s: id %s, %d partitions, every setting as the landing log needs it\n", k.Topic, id, k.Partitions)
		if err == nil && store != nil {
			_, err = fmt.Fprintf(out, "topic %s: it feeds no other lake than %s\n", k.Topic, c.Lake.Dir)
		}
	}
	return err
}

// checkPatience is how long brokers may take to answer.
const checkPatience = 20 * time.Second

func checkCommand() *cobra.Command {
	return cli.CheckCommand(DefaultConfig, func(c *cobra.Command, name string, out *cli.Checklist) error {
		cfg, f, err := load(name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s: every key is known and valid: %s\n", name, does(cfg))
		if err := cli.CheckMemory(out, cfg.WantedMemory(), cfg.MemoryItems()); err != nil {
			return err
		}
		defer leave(cfg)()
		if err := directories(cfg); err != nil {
			return f.Locate(err)
		}
		if !cfg.Runs(server.RoleTasks) { // which needs a topic
			if err := checkTopic(c.Context(), cfg, nil, out); err != nil {
				return f.Locate(err)
			}
			if err := checkFollowed(c.Context(), cfg, out); err != nil {
				return f.Locate(err)
			}
			return checkCertificates(cfg, f, out)
		}
		for _, dir := range slices.Compact([]string{cfg.Landing.Dir, cfg.Lake.Dir, cfg.CheckpointDir()}) {
			if dir != "" && !server.IsBucket(dir) {
				_, _ = fmt.Fprintf(out, "%s: a file was made in it and removed again\n", dir)
			}
		}
		if !server.IsBucket(cfg.Lake.Dir) {
			_, _ = fmt.Fprintf(out, "%s: staging and tables lie on one file system\n", cfg.Lake.Dir)
		}
		p := placeOf(cfg)
		p.note = func(note string) { _, _ = fmt.Fprintf(out, "note: %s\n", note) }
		store, err := checkLake(c.Context(), cfg, p, out)
		if err == nil && cfg.Landing.Kafka.Used() {
			err = checkTopic(c.Context(), cfg, store, out)
		}
		if err != nil {
			return f.Locate(err)
		}
		if err := checkKafka(c.Context(), &cfg.Sinks.Kafka, out); err != nil {
			return f.Locate(err)
		}
		return checkCertificates(cfg, f, out)
	})
}

// checkLake tries what the commits of p need, and says what was tried. It returns
// the store of the checkpoints; nil: it cannot be reached from here.
func checkLake(ctx context.Context, c *server.Config, p place, out io.Writer) (checkpoint.Store, error) {
	if name := p.withheld(); name != "" {
		_, _ = fmt.Fprintf(out, "%s: not asked: systemd hands %s to the service alone, whose start tries it\n", c.Lake.Dir, name)
		return nil, nil
	}
	store, _, err := openLake(ctx, p)
	if err != nil {
		return nil, err
	}
	if server.IsBucket(c.Lake.Dir) {
		_, _ = fmt.Fprintf(out, "%s: a file was staged, published, read back and removed; no lifecycle rule aborts uploads within %s\n", c.Lake.Dir, c.Lake.S3.Outage)
	}
	_, _ = fmt.Fprintf(out, "%s: compares before it swaps, also when several do it at once\n", c.CheckpointDir())
	if err := server.CheckLanding(ctx, durable.OS{}, c, store); err != nil {
		return nil, err
	}
	return store, tellFed(ctx, c, store, out)
}

func checkCertificates(c *server.Config, f *config.File, out *cli.Checklist) error {
	return out.Certificates(f, func() error {
		_, err := c.TLS.Open(durable.OS{}, certs.Config{})
		return err
	})
}

// does says what an engine of this configuration does.
func does(c *server.Config) string {
	partitions := c.Landing.Partitions
	if c.Landing.Kafka.Used() {
		partitions = c.Landing.Kafka.Partitions
	}
	switch {
	case !c.Runs(server.RoleTasks):
		return fmt.Sprintf("listens on %s, lands in %d partitions and leaves them to other engines", c.Listen, partitions)
	case !c.Runs(server.RoleIngest):
		return fmt.Sprintf("takes its share of %d partitions, and nothing of gateways", partitions)
	}
	return fmt.Sprintf("listens on %s, %d partitions", c.Listen, partitions)
}
