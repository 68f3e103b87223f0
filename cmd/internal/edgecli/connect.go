package edgecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/source"
)

// tryAll tries every source at once and prints, in their order, what each saw.
// Its error says that one could not be used.
func tryAll(ctx context.Context, out *cli.Checklist, c *agent.Config, d time.Duration) error {
	seen, errs := make([]*agent.Seen, len(c.Sources)), make([]error, len(c.Sources))
	var all sync.WaitGroup
	for i := range c.Sources {
		all.Go(func() { seen[i], errs[i] = c.Probe(ctx, i, durable.OS{}, clock.NewSystem(clock.BootID{}), d) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	failed, quiet := 0, out.Seen(seen)
	for _, s := range seen {
		if !s.OK {
			failed++
		}
		if quiet {
			continue
		}
		if err := printSeen(out, s); err != nil {
			return err
		}
	}
	if failed > 0 {
		return cli.Fail(cli.ExitUnavailable, fmt.Errorf("%d of %d sources cannot be used as they are", failed, len(seen)))
	}
	return nil
}

func printSeen(out io.Writer, s *agent.Seen) error {
	what := fmt.Sprintf("%s, %d lines, %d bytes", s.State, s.Lines, s.Bytes)
	switch {
	case s.State != source.StateOpen && s.State != source.StateFinished:
		what = fmt.Sprintf("%s: %s", s.State, s.Detail)
	case s.Kind == "acked":
		what = s.Detail
	case s.Lines == 0 && s.Bytes == 0:
		what += ": nothing came; a wrong rate or a quiet sender?"
	}
	if _, err := fmt.Fprintf(out, "%s (%s %s): %s\n", s.Source, s.Kind, s.Where, what); err != nil {
		return err
	}
	for _, line := range s.Sample {
		if _, err := fmt.Fprintf(out, "    %s\n", line); err != nil {
			return err
		}
	}
	return nil
}
