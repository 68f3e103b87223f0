package cli

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// clearScreen moves a terminal's cursor home and clears what is there.
const clearScreen = "\x1b[H\x1b[2J"

// TopCommand makes a verb that prints again and again what show gives, until
// the context ends. An error of show is shown in its place: what is looked at
// may be restarting.
func TopCommand(short string, prepare func(c *cobra.Command) func(ctx context.Context, w io.Writer) error) *cobra.Command {
	c := &cobra.Command{Use: "top", Short: short, Args: NoArgs}
	every := c.Flags().Duration("interval", time.Second, "time between two looks")
	count := c.Flags().Int("count", 0, "end after so many; 0: when interrupted")
	show := prepare(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		for n := 1; ; n++ {
			var b bytes.Buffer
			if IsTerminal(out) {
				b.WriteString(clearScreen)
			}
			if err := show(c.Context(), &b); err != nil {
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
