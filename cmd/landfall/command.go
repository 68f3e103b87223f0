package main

import (
	"github.com/spf13/cobra"

	"landfall/cmd/internal/edgecli"
	"landfall/cmd/internal/enginecli"
)

// version is set by the linker.
var version = "dev"

// The hidden verbs by which this binary runs the daemons as its own children,
// so that demo and bench need no other program.
const (
	edgeVerb   = "internal-edge"
	engineVerb = "internal-engine"
)

func command() *cobra.Command {
	root := &cobra.Command{Use: "landfall", Short: "Tries Landfall out on one machine", Version: version}
	edge, engine := edgecli.Command(edgeVerb, version), enginecli.Command(engineVerb, version)
	edge.Hidden, engine.Hidden = true, true
	root.AddCommand(demoCommand(), simulateCommand(), benchCommand(), certCommand(), edge, engine)
	return root
}
