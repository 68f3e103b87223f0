// Command landfall-engine is the cloud's end: it lands what gateways send and
// turns it into Parquet tables, exactly once.
package main

import (
	"os"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/enginecli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(cli.Main(enginecli.Command("landfall-engine", version))) }
