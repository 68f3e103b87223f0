//go:build docs

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/clidocs"
)

// With the tag docs this command writes its own man pages and completions; the
// packing of a release runs it so.
func main() {
	c := &cobra.Command{Use: "docs DIR SECONDS", Args: cobra.ExactArgs(2), RunE: func(_ *cobra.Command, args []string) error {
		s, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return clidocs.Write(command(), args[0], time.Unix(s, 0).UTC())
	}}
	if err := c.Execute(); err != nil {
		panic(fmt.Sprintf("write docs: %v", err))
	}
}
