package cli

import (
	"bytes"
	"context"
	"encoding/json"
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
	asJSON := c.Flags().Bool("json", false, "print a JSON object a look, each a line; one with the key error when nobody answers")
	c.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		for n := 1; ; n++ {
			var b bytes.Buffer
			if err := r.look(c.Context(), &b, *name, *asJSON); err != nil {
				return err
			}
			if !*asJSON {
				Draw(out, clearScreen)
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

// look prints one look of top. That nobody answers is what it shows, not an error.
func (r Report[C, V]) look(ctx context.Context, b *bytes.Buffer, name string, asJSON bool) error {
	var shown bytes.Buffer
	err := r.print(ctx, &shown, name, asJSON)
	switch {
	case err != nil && Code(err) != ExitUnavailable:
		return err
	case err == nil && asJSON:
		err = json.Compact(b, shown.Bytes())
		b.WriteByte('\n')
		return err
	case asJSON:
		return json.NewEncoder(b).Encode(map[string]string{"error": err.Error()})
	case err != nil:
		b.WriteString(err.Error() + "\n")
		return nil
	}
	_, err = shown.WriteTo(b)
	return err
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
