package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/traffic"
	"landfall/decoders/aissim"
	"landfall/edge/durable"
)

// simulateFlags are simulate's settings.
type simulateFlags struct {
	to, start, tag, truth string
	rate                  float64
	seed, lines           uint64
	duration              time.Duration
	ships, receivers      int
	noise, lost           float64
	unique, asJSON        bool
}

func simulateCommand() *cobra.Command {
	c := &cobra.Command{Use: "simulate", Short: "Sends simulated harbour traffic to a file, TCP or UDP", Args: cli.NoArgs,
		Long: "The same seed and start give the same lines. To a file they come as fast as they can; over TCP and UDP at their own pace,\n" +
			"which is --rate lines a second."}
	var f simulateFlags
	c.Flags().StringVar(&f.to, "to", "-", "`WHERE`: - for stdout, a path, tcp://host:port, udp://host:port, or acked://host:port/id")
	c.Flags().Float64Var(&f.rate, "rate", 0, "lines a second, about; 0: as the standard has ships report")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "makes everything random")
	c.Flags().Uint64Var(&f.lines, "lines", 0, "end after this many; 0: by --duration")
	c.Flags().DurationVar(&f.duration, "duration", 0, "end after this much simulated time; 0: by --lines, else 1m to a file and never over a network")
	c.Flags().StringVar(&f.start, "start", "", "simulated time of the beginning (RFC 3339); default: 2026-01-01 to a file, now over a network")
	c.Flags().StringVar(&f.tag, "tag", "ms", "TAG blocks: none, s or ms")
	cli.Choices(c, "tag", "none", "s", "ms")
	c.Flags().StringVar(&f.truth, "truth", "", "write what became of every line to this `FILE`, a JSON object a line")
	c.Flags().IntVar(&f.ships, "ships", 40, "how many ships")
	c.Flags().IntVar(&f.receivers, "receivers", 2, "how many receivers hear them")
	c.Flags().Float64Var(&f.noise, "noise", 0.005, "probability that noise follows a line")
	c.Flags().Float64Var(&f.lost, "lost", 0.01, "probability that a fragment is lost")
	c.Flags().BoolVar(&f.unique, "unique", false, "number every line, so that no two are equal")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print what was sent as JSON; not with --to -")
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) }
	return c
}

func (f *simulateFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.asJSON && f.to == "-" {
		return cli.Fail(cli.ExitUsage, errors.New("--json: the lines go to stdout; --to names a file or a network"))
	}
	network := strings.Contains(f.to, "://")
	cfg, err := f.harbour(network)
	if err != nil {
		return cli.Fail(cli.ExitUsage, err)
	}
	h, err := aissim.New(cfg)
	if err != nil {
		return cli.Fail(cli.ExitUsage, err)
	}
	out, err := f.output(stdout)
	if err != nil {
		return err
	}
	o := traffic.Options{Lines: f.lines, Paced: network}
	if f.duration == 0 && f.lines == 0 && !network {
		f.duration = time.Minute
	}
	if f.duration > 0 {
		o.Until = cfg.Start + f.duration.Microseconds()
	}
	closeTruth := func() error { return nil }
	if f.truth != "" {
		if o.Observe, closeTruth, err = truthFile(f.truth); err != nil {
			return errors.Join(err, out.Close(ctx))
		}
	}
	report, err := traffic.Play(ctx, h, []traffic.Output{out}, o)
	err = errors.Join(err, out.Close(ctx), closeTruth())
	if f.asJSON {
		return errors.Join(err, cli.JSON(stdout, report))
	}
	_, _ = fmt.Fprintf(stderr, "sent %d lines, %d bytes; %d lost on the air, %d dropped\n", report.Sent, report.Bytes, report.Lost, report.Dropped)
	return err
}

func (f *simulateFlags) harbour(network bool) (aissim.Config, error) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if network {
		start = time.Now()
	}
	if f.start != "" {
		at, err := time.Parse(time.RFC3339Nano, f.start)
		if err != nil {
			return aissim.Config{}, fmt.Errorf("--start: %w", err)
		}
		if network {
			return aissim.Config{}, errors.New("--start: over a network traffic begins now")
		}
		start = at
	}
	if f.ships < 1 || f.receivers < 1 || f.receivers > 64 {
		return aissim.Config{}, errors.New("--ships and --receivers: want 1 or more, at most 64 receivers")
	}
	tags := map[string]aissim.TagMode{"none": aissim.TagNone, "s": aissim.TagSeconds, "ms": aissim.TagMillis}
	tag, ok := tags[f.tag]
	if !ok {
		return aissim.Config{}, fmt.Errorf("--tag %q: want none, s or ms", f.tag)
	}
	return aissim.Config{
		Seed: f.seed, Start: start.UnixMicro(), Ships: f.ships, BaseStations: 2, AtoNs: 6, Receivers: make([]aissim.Receiver, f.receivers),
		Rate: f.rate, Tag: tag, Unique: f.unique, Noise: f.noise, LostFragments: f.lost,
	}, nil
}

func (f *simulateFlags) output(stdout io.Writer) (traffic.Output, error) {
	scheme, rest, network := strings.Cut(f.to, "://")
	switch {
	case f.to == "-":
		return traffic.Writer(buffered(stdout, func() error { return nil })), nil
	case !network:
		file, err := durable.OS{}.Create(f.to)
		if err != nil {
			return nil, fmt.Errorf("simulate: %w", err)
		}
		return traffic.Writer(buffered(file, file.Close)), nil
	case scheme == "tcp":
		return traffic.DialTCP(rest), nil
	case scheme == "udp":
		return traffic.DialUDP(rest)
	case scheme == "acked":
		address, id, ok := strings.Cut(rest, "/")
		if ok && id != "" {
			return traffic.DialAcked(address, id), nil
		}
	}
	return nil, cli.Fail(cli.ExitUsage, fmt.Errorf("--to %q: want -, a path, tcp://host:port, udp://host:port or acked://host:port/id", f.to))
}

// bufferedCloser writes through a buffer and flushes it at the end.
type bufferedCloser struct {
	*bufio.Writer
	end func() error
}

func buffered(w io.Writer, end func() error) io.WriteCloser {
	return bufferedCloser{bufio.NewWriterSize(w, 256<<10), end}
}

// Close flushes and closes what lies below.
func (b bufferedCloser) Close() error { return errors.Join(b.Flush(), b.end()) }

// truth is a line of the file of --truth.
type truth struct {
	Line     uint64       `json:"line"` // from 1
	At       int64        `json:"at"`   // microseconds since 1970
	Receiver int          `json:"receiver"`
	Fate     traffic.Fate `json:"fate"`
	Noise    bool         `json:"noise"`
	Message  uint64       `json:"message"`
	Fragment int          `json:"fragment"`
	Total    int          `json:"total"`
	Text     string       `json:"text"` // bytes above 0x7f as the JSON encoder has them
}

func truthFile(name string) (func(*aissim.Line, traffic.Fate) error, func() error, error) {
	file, err := durable.OS{}.Create(name)
	if err != nil {
		return nil, nil, fmt.Errorf("simulate: %w", err)
	}
	w := buffered(file, file.Close)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	n := uint64(0)
	return func(l *aissim.Line, fate traffic.Fate) error {
		n++
		return enc.Encode(truth{n, l.At, l.Receiver, fate, l.Kind == aissim.KindNoise, l.Message, l.Fragment, l.Total, string(l.Text)})
	}, w.Close, nil
}
