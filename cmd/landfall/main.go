//go:build !docs

// Command landfall shows and exercises the whole chain on one machine: demo,
// simulate, bench; and cert, a small private certificate authority.
package main

import (
	"os"

	"landfall/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(command())) }
