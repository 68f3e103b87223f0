// Command landfall-edge is the gateway: it captures AIS and sensor data into a
// durable log and forwards it to the cloud.
package main

import (
	"os"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/edgecli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(cli.Main(edgecli.Command("landfall-edge", version))) }
