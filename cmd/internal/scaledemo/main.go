// Command scaledemo shows what happens when one machine is not enough, with
// processes of this machine alone: three Kafka brokers hold the landing log,
// two ingests fill it, three engines of one consumer group share its partitions,
// and an S3 store holds lake, state and manifests. One engine is killed.
//
// In:  Java and Maven for the brokers, Go for the store (versitygw), Python for
// DuckDB; what they need is fetched once into the user's cache.
// Out: what happens, as it happens; the audit; a count by DuckDB; exit code 0
// when both agree.
//
//	go run ./cmd/internal/scaledemo [--dir DIR] [--keep] [--duration 30s]
//
// It is a workshop's tool like the tests: nothing that is shipped imports it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
	"landfall/cmd/internal/enginecli"
	"landfall/edge/durable"
)

// The hidden verbs by which this program is the daemons.
const (
	edgeVerb   = "internal-edge"
	engineVerb = "internal-engine"
)

func main() { os.Exit(cli.Main(command())) }

func command() *cobra.Command {
	root := &cobra.Command{Use: "scaledemo", Short: "Shows engines that share a topic and a bucket", Args: cli.NoArgs}
	f := fleet{}
	parent := root.Flags().String("dir", ".", "`DIR` in which a directory landfall-scale-demo-<n> is made")
	root.Flags().DurationVar(&f.duration, "duration", 30*time.Second, "how long traffic flows, at least")
	root.Flags().Float64Var(&f.rate, "rate", 1500, "lines a second, about")
	keep := root.Flags().Bool("keep", false, "leave the directory behind")
	root.RunE = func(c *cobra.Command, _ []string) (err error) {
		if f.duration < time.Second || f.rate <= 0 {
			return cli.Fail(cli.ExitUsage, errors.New("--duration: want 1s or more; --rate: want more than 0"))
		}
		if f.dir, err = cli.FreshDir(durable.OS{}, *parent, "landfall-scale-demo"); err != nil {
			return err
		}
		f.out, f.started = c.OutOrStdout(), time.Now()
		if err := f.run(c.Context()); err != nil {
			return fmt.Errorf("%w; what there is lies in %s", err, f.dir)
		}
		if *keep {
			f.say("done; everything lies in %s", f.dir)
			return nil
		}
		f.say("done; %s is removed, --keep leaves it", f.dir)
		return os.RemoveAll(f.dir)
	}
	edge, engine := edgecli.Command(edgeVerb, "demo"), enginecli.Command(engineVerb, "demo")
	edge.Hidden, engine.Hidden = true, true
	root.AddCommand(edge, engine)
	return root
}

// run is the demo: start, traffic with a kill in the middle, drain, stop, proof.
func (f *fleet) run(ctx context.Context) (err error) {
	f.say("working in %s", f.dir)
	defer func() { err = errors.Join(err, f.end()) }()
	for _, step := range []func(context.Context) error{f.startStores, f.prepare, f.startDaemons, f.playAndKill, f.drain, f.prove} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return cli.Fail(cli.ExitUnavailable, errors.New("interrupted"))
		}
	}
	return nil
}

// say prints a line with the time since the start.
func (f *fleet) say(format string, args ...any) {
	_, _ = fmt.Fprintf(f.out, "%5.1f s  %s\n", time.Since(f.started).Seconds(), fmt.Sprintf(format, args...))
}

// end leaves nothing running.
func (f *fleet) end() error {
	for _, c := range f.daemons() {
		c.Kill()
	}
	if f.store != nil {
		f.store.Kill()
	}
	var errs []error
	if f.kafka != nil {
		errs = append(errs, f.kafka.Close())
	}
	for _, l := range f.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
