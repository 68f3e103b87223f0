package edgecli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/clock"
	"landfall/edge/durable"
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
	trials := make([]*Trial, len(seen))
	for i, s := range seen {
		trials[i] = judge(&c.Sources[i], s)
	}
	failed, quiet := 0, out.Seen(trials)
	for _, t := range trials {
		if !t.OK {
			failed++
		}
		if quiet {
			continue
		}
		if err := t.print(out); err != nil {
			return err
		}
	}
	if failed > 0 {
		return cli.Fail(cli.ExitUnavailable, fmt.Errorf("%d of %d sources cannot be used as they are", failed, len(seen)))
	}
	return nil
}
