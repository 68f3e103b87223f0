package cli

import (
	"bytes"
	"context"
	"time"

	"github.com/spf13/cobra"
)

// clearScreen moves a terminal's cursor home and clears what is there.
const clearScreen = "\x1b[H\x1b[2J"

// Top makes a verb that prints the report again and again, until the context
// ends. Its error is shown in its place when nobody answers: what is looked at
// may be restarting.
func (r Report[C, V]) Top(short string) *cobra.Command {
	c := &cobra.Command{Use: "top", Short: short, Args: NoArgs}
	every := c.Flags().Duration("interval", time.Second, "time between two looks")
	count := c.Flags().Int("count", 0, "end after so many; 0: when interrupted")
	name := ConfigFlag(c, r.Config)
	c.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		for n := 1; ; n++ {
			var b bytes.Buffer
			if IsTerminal(out) {
				b.WriteString(clearScreen)
			}
			if err := r.print(c.Context(), &b, *name, false); err != nil {
				if Code(err) != ExitUnavailable {
					return err
				}
				b.WriteString(err.Error() + "\n")
			}
			if _, err := out.Write(b.Bytes()); err != nil {
				return err
			}
			if n == *count || !Pause(c.Context(), *every) {
				return nil
			}
		}
	}
	return c
}

// Pause waits and tells whether ctx is still alive.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
