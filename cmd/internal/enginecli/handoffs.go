package enginecli

import (
	"fmt"

	"landfall/cmd/internal/explain"
	"landfall/engine/server"
)

// Explain explains an engine with the embedded landing log and the Parquet sink
// on a local file system.
func Explain(c *server.Config) []explain.Handoff {
	land := explain.Handoff{
		From: "edge log", To: fmt.Sprintf("landing log (%s)", c.Landing.Dir), Commit: "C2", Guarantee: explain.ExactlyOnce,
		Why: "A block is acknowledged after its fsync. A request starts where the landing log of that gateway stands and ends at its first block that cannot be landed, " +
			"so a partition always holds a prefix of each log; the task checks every offset all the same.",
		Limits: []string{"the embedded landing log is one disk: what it loses before it is published, gateways have already released."},
	}
	if c.Identity.Unauthenticated {
		land.Limits = append(land.Limits, "identity.unauthenticated: a sender is whoever it says; two of one name contradict each other and show in conflict.")
	}
	commit := explain.Handoff{
		From: "landing log", To: fmt.Sprintf("checkpoint (%s)", c.CheckpointDir()), Commit: "C4", Guarantee: explain.ExactlyOnce,
		Why: "Landing position, state and staged files stand in one manifest, and HEAD moves to it by compare-and-swap from the one the epoch began with: all of it happened or none. " +
			"A second writer loses the swap and stops.",
		Limits: []string{fmt.Sprintf("rows become visible after %s, %d records or %s of rows, whichever comes first.", c.Epoch.Interval, c.Epoch.Records, c.Epoch.Size)},
	}
	publish := explain.Handoff{
		From: "staged files", To: fmt.Sprintf("Parquet tables (%s)", c.Lake.Dir), Commit: "C5", Guarantee: explain.ExactlyOnce,
		Why: "A file's name comes from task, epoch and table; publishing gives the file that name, and is repeated until done: a file that is there with the same hash is done, with another hash the task stops. " +
			"Every file of an epoch that is not known published stands in each later manifest.",
		Limits: []string{
			"the files of an epoch get their names one after the other: a reader that lists folders may see part of an epoch for a moment.",
			"in a table, (_gateway, _log, _offset, _row) is unique; audit proves it.",
		},
	}
	rest := explain.Handoff{
		From: "every captured offset", To: "a row of record, or a range of loss", Commit: "C4", Guarantee: explain.ExactlyOnce,
		Why: "What cannot be decoded keeps its bytes and a reject reason; what a gateway gave up becomes a range with its reason; what contradicts a log is kept raw in conflict. " +
			"A late row is kept and marked is_late, judged by its own gateway's watermark: a gateway without a link is not late.",
	}
	return []explain.Handoff{land, commit, publish, rest}
}
