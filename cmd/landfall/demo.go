package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/traffic"
	"landfall/decoders/aissim"
	"landfall/edge/agent"
	"landfall/edge/durable"
	"landfall/engine/server"
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "Runs the whole chain on this machine, kills parts of it, and proves what arrived", Args: cli.NoArgs,
		Long: "Simulated harbour traffic goes over TCP, UDP, a serial line and the acknowledged protocol into two gateways, over HTTP into an\n" +
			"engine, and into Parquet. On the way the engine and a gateway are killed with SIGKILL and started again."}
	d := demo{}
	parent := c.Flags().String("dir", ".", "`DIR` in which a directory landfall-demo-<n> is made")
	c.Flags().DurationVar(&d.duration, "duration", 18*time.Second, "how long traffic flows")
	c.Flags().Float64Var(&d.rate, "rate", 600, "lines a second, about")
	c.Flags().Uint64Var(&d.seed, "seed", 1, "of the traffic")
	asJSON := c.Flags().Bool("json", false, "print what was proved as JSON; what happens goes to stderr")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if d.duration < time.Second || d.rate <= 0 {
			return cli.Fail(cli.ExitUsage, errors.New("--duration: want 1s or more; --rate: want more than 0"))
		}
		var err error
		if d.dir, err = cli.FreshDir(durable.OS{}, *parent, "landfall-demo"); err != nil {
			return err
		}
		d.out, d.started = c.OutOrStdout(), time.Now()
		if *asJSON {
			d.out, d.result = c.ErrOrStderr(), c.OutOrStdout()
		}
		return d.run(c.Context())
	}
	return c
}

// demo is one run.
type demo struct {
	dir      string
	duration time.Duration
	rate     float64
	seed     uint64
	out      io.Writer
	result   io.Writer // of the proof as JSON; nil: nobody asked for it
	started  time.Time

	engine, north, pilot *child.Child
	outputs              []traffic.Output // by receiver
	names                []string         // of outputs
}

// say prints a line with the time since the start.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "%5.1f s  %s\n", time.Since(d.started).Seconds(), fmt.Sprintf(format, args...))
}

// waitLimit bounds each wait for a child.
const waitLimit = 30 * time.Second

// run is the demo: start, traffic with kills in the middle, drain, stop, proof.
func (d *demo) run(ctx context.Context) (err error) {
	d.say("working in %s", d.dir)
	logs, err := d.prepare()
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range d.children() {
			c.Kill()
		}
		for _, l := range logs {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := d.startAll(ctx); err != nil {
		return err
	}
	report, err := d.playWithKills(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cli.Fail(cli.ExitUnavailable, fmt.Errorf("interrupted; what there is lies in %s", d.dir))
	}
	d.say("traffic ended: %d lines sent, %d lost on the air, %d dropped while a part was down", report.Sent, report.Lost, report.Dropped)
	if err := d.drain(ctx); err != nil {
		return err
	}
	return d.prove(ctx)
}

// startAll starts the children, the way out first.
func (d *demo) startAll(ctx context.Context) error {
	for _, c := range d.children() {
		if err := c.Start(); err != nil {
			return err
		}
		if err := child.Await(ctx, c, waitLimit, "runs", func(*map[string]any) bool { return true }); err != nil {
			return err
		}
		d.say("%s runs, process %d, status on http://%s/status", c.Name, c.Process(), c.Address)
	}
	return nil
}

func (d *demo) children() []*child.Child { return []*child.Child{d.engine, d.north, d.pilot} }

// playWithKills plays the traffic; meanwhile the engine is killed after a third
// of the time and a gateway after two thirds.
func (d *demo) playWithKills(ctx context.Context) (traffic.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var killing sync.WaitGroup
	var killErr error
	killing.Go(func() {
		killErr = errors.Join(d.killAfter(ctx, d.engine, d.duration/3), d.killAfter(ctx, d.north, d.duration/3))
		if killErr != nil {
			cancel()
		}
	})
	report, err := d.play(ctx)
	killing.Wait()
	closing, stop := context.WithTimeout(ctx, waitLimit)
	defer stop()
	for i, o := range d.outputs {
		if cerr := o.Close(closing); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("end %s: %w", d.names[i], cerr))
		}
	}
	return report, errors.Join(killErr, err)
}

func (d *demo) play(ctx context.Context) (traffic.Report, error) {
	start := time.Now()
	h, err := aissim.New(aissim.Config{
		Seed: d.seed, Start: start.UnixMicro(), Ships: 60, BaseStations: 2, AtoNs: 6, Rate: d.rate, Tag: aissim.TagMillis,
		Noise: 0.005, LostFragments: 0.02, Disorder: 0.01,
		Receivers: []aissim.Receiver{{Name: "mole"}, {Name: "tower", Hears: 0.9}, {Name: "quay", Talker: "BS", Hears: 0.3}, {Name: "pilot", Hears: 0.8}},
	})
	if err != nil {
		return traffic.Report{}, err
	}
	d.say("traffic flows for %s: 60 ships, 4 receivers, about %.0f lines/s over %s, %s, %s and %s", d.duration, d.rate, d.names[0], d.names[1], d.names[2], d.names[3])
	return traffic.Play(ctx, h, d.outputs, traffic.Options{Paced: true, Until: start.Add(d.duration).UnixMicro()})
}

// downFor is how long a killed child stays dead.
const downFor = 700 * time.Millisecond

func (d *demo) killAfter(ctx context.Context, c *child.Child, after time.Duration) error {
	if !cli.Pause(ctx, after) {
		return nil
	}
	c.Kill()
	d.say("killed %s (SIGKILL) with records in flight", c.Name)
	if !cli.Pause(ctx, downFor) {
		return nil
	}
	if err := c.Start(); err != nil {
		return err
	}
	d.say("started %s again, process %d", c.Name, c.Process())
	return nil
}

// drain waits until the gateways have forwarded all, then stops each child,
// which leaves everything committed and published.
func (d *demo) drain(ctx context.Context) error {
	for _, c := range []*child.Child{d.north, d.pilot} {
		if err := child.Await(ctx, c, waitLimit, "runs", func(*agent.Status) bool { return true }); err != nil {
			return err
		}
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	d.say("gateways drained and stopped")
	err := child.Await(ctx, d.engine, waitLimit, "has committed everything", func(s *server.Status) bool {
		for _, t := range s.Tasks {
			if t.Behind != 0 || t.State != server.TaskRunning {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := d.engine.Stop(ctx); err != nil {
		return err
	}
	d.say("engine committed, published and stopped")
	return nil
}

// path gives a name in the demo's directory.
func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}
