package server

import (
	"fmt"

	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/tap"
	"landfall/engine/ingest"
	"landfall/engine/operator"
	"landfall/engine/task"
)

// What an engine takes, bytes. cmd/internal/lifetest takes real engines to some of it at
// once, tests beside the constants to each.
const (
	// programMemory is of the program itself: its pages, the runtime, and what an engine
	// of a few quiet gateways takes.
	programMemory = 48 << 20
	// connectionMemory is of a connection whose request has the longest headers, with TLS.
	connectionMemory = 80 << 10
	// landingMemory is of a partition of the landing log: what is written and read at a time.
	landingMemory = 2 * record.MaxBlockBytes
)

// connectionsOf is how many connections the ingest of so many sessions has at a time.
func connectionsOf(sessions int) int {
	return min(maxConnections, max(leastConnections, connectionsEach*sessions))
}

// MemoryItems returns what takes memory in an engine of this configuration, each at its
// bound: what strangers may make it hold is all in one of them.
func (c *Config) MemoryItems() []memory.Item {
	all := []memory.Item{{What: "the program", Bytes: programMemory}}
	add := func(bytes int64, format string, of ...any) {
		all = append(all, memory.Item{What: fmt.Sprintf(format, of...), Bytes: bytes})
	}
	if c.Status != "" {
		add(page.Memory+page.MaxTaps*tap.Memory, "the status page")
	}
	partitions := c.Landing.Partitions
	if c.Landing.Kafka.Used() {
		partitions = c.Landing.Kafka.Partitions
	}
	if c.Runs(RoleIngest) {
		n := connectionsOf(c.Limits.Sessions)
		add(int64(n)*connectionMemory, "%d connections (of limits.sessions)", n)
		add(int64(c.Limits.Bodies), "bodies (limits.bodies)")
		add(ingest.GatewaysMemory, "what is remembered of gateways")
	}
	add(int64(partitions)*landingMemory, "landing log, %d partitions", partitions)
	if c.Runs(RoleTasks) {
		// Any engine may have to work on all of them.
		add(int64(partitions)*operator.StateMemory, "state, %d partitions", partitions)
		add(int64(partitions)*task.EpochMemory(int64(c.Epoch.Size)), "rows (epoch.size), %d partitions", partitions)
	}
	return all
}

// WantedMemory is what the bound of an engine of this configuration follows from.
func (c *Config) WantedMemory() memory.Wanted {
	return memory.Wanted{Own: int64(c.Memory), Needed: memory.Sum(c.MemoryItems())}
}
