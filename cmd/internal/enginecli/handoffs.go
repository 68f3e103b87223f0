package enginecli

import (
	"fmt"
	"strings"

	"landfall/cmd/internal/explain"
	"landfall/engine/landing/kafka"
	"landfall/engine/server"
)

// Explain explains an engine with the embedded landing log and the Parquet sink,
// in a directory or in a bucket.
func Explain(c *server.Config) []explain.Handoff {
	land := explain.Handoff{
		From: "edge log", To: fmt.Sprintf("landing log (%s)", c.Landing.Dir), Commit: "C2", Guarantee: explain.ExactlyOnce,
		Why: "A block is acknowledged after its fsync. A request starts where the landing log of that gateway stands and ends at its first block that cannot be landed, " +
			"so a partition always holds a prefix of each log; the task checks every offset all the same.",
		Limits: []string{"the embedded landing log is one disk: what it loses or damages before it is published, gateways send again, for they keep it until it is published. One with forward.release: landed, or of an older version, has released it: behind the damage its log goes to conflict until it starts again."},
	}
	if c.Landing.Kafka.Used() {
		land = kafkaLanding(c)
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
	if c.Landing.Kafka.Used() {
		commit.Why += fmt.Sprintf(" Which engine works on which partition is the consumer group's to say (%s); a task begins where its manifest says, never at the group's offset, "+
			"and an engine that was taken for dead and is not loses the swap.", c.Landing.Kafka.GroupName())
	}
	if !c.Runs(server.RoleTasks) {
		return []explain.Handoff{land}
	}
	if server.IsBucket(c.CheckpointDir()) {
		commit.Why += " HEAD is one object: a PUT with If-Match; an answer that is lost, a 500 after success or a timeout is resolved by reading HEAD back. " +
			"The store has to pass a self-test of that at every start."
	}
	if server.IsBucket(c.Lake.Dir) {
		return append(append([]explain.Handoff{land, commit, bucketPublish(c)}, topics(&c.Sinks.Kafka)...), rest())
	}
	publish := explain.Handoff{
		From: "staged files", To: fmt.Sprintf("Parquet tables (%s)", c.Lake.Dir), Commit: "C5", Guarantee: explain.ExactlyOnce,
		Why: "A file's name comes from task, epoch and table; publishing gives the file that name, and is repeated until done: a file that is there with the same hash is done, with another hash the task stops. " +
			"Every file of an epoch that is not known published stands in each later manifest.",
		Limits: []string{
			"the files of an epoch get their names one after the other: a reader that lists folders may see part of an epoch for a moment.",
			"in a table, (_gateway, _log, _offset, _row) is unique; audit proves it, but for window and late, which are made of other rows: of them it proves that the records they name are there.",
		},
	}
	return append(append([]explain.Handoff{land, commit, publish}, topics(&c.Sinks.Kafka)...), rest())
}

// kafkaLanding explains landing on a topic.
func kafkaLanding(c *server.Config) explain.Handoff {
	k := &c.Landing.Kafka
	h := explain.Handoff{
		From: "edge log", To: fmt.Sprintf("landing log (topic %s, %d partitions)", k.Topic, k.Partitions), Commit: "C2", Guarantee: explain.ExactlyOnce,
		Why: fmt.Sprintf("A block is acknowledged when all in-sync replicas have it, %d of %d at least. It is produced only when the block before it is acknowledged, and a request starts at an acknowledged offset, "+
			"so whatever arrives late, twice or at another ingest lies behind all that it follows; the task drops the copies by offset. ", kafka.MinInsync(k.Replication), k.Replication) +
			"A topic with other settings, another topic id or another number of partitions is refused, and one that feeds another lake; settings are looked at again each minute.",
		Limits: []string{
			"Kafka answers before its disks are synced: what all in-sync replicas lose at once, as in a power cut of all brokers, gateways send again, but for those with forward.release: landed, which have released it.",
			"each ingest knows what it landed itself: a gateway whose answer was lost sends again what another ingest landed meanwhile; give a gateway the same ingest where you can.",
		},
	}
	if k.Replication < 3 {
		h.Limits = append(h.Limits, fmt.Sprintf("landing.kafka.replication is %d: one broker holds all that was acknowledged; what its disk loses is lost.", k.Replication))
	}
	return h
}

// bucketPublish explains publishing where a staged file is an upload.
func bucketPublish(c *server.Config) explain.Handoff {
	return explain.Handoff{
		From: "staged files", To: fmt.Sprintf("Parquet tables (%s)", c.Lake.Dir), Commit: "C5", Guarantee: explain.ExactlyOnce,
		Why: "A file is verified in memory and uploaded as a multipart upload of its name, which no reader sees; the manifest holds the upload and its parts. Publishing completes it, on condition that the name is free, " +
			"and is repeated until the file is seen, whatever the store answered: a name that is there with the same SHA-256 in its metadata is done, with another the task stops. Every file of an epoch that is not known published stands in each later manifest.",
		Limits: []string{
			"the files of an epoch appear one after the other: a reader that lists may see part of an epoch for a moment.",
			fmt.Sprintf("an upload that something else aborts before it is published holds that task up for good: the engine may be down for %s (lake.s3.outage) with files committed; a lifecycle rule that aborts sooner is refused.", c.Lake.S3.Outage),
			"in a table, (_gateway, _log, _offset, _row) is unique; audit proves it, but for window and late, which are made of other rows: of them it proves that the records they name are there.",
		},
	}
}

// topics explains the sink of Kafka topics, where there is one.
func topics(c *server.KafkaSinkConfig) []explain.Handoff {
	if !c.Enabled() {
		return nil
	}
	return []explain.Handoff{{
		From: "staged rows", To: fmt.Sprintf("Kafka topics (%s)", strings.Join(c.Brokers, ",")), Commit: "C5", Guarantee: explain.ExactlyOnce,
		Why: fmt.Sprintf("The rows of an epoch and a marker (task, epoch, hash of what was staged) are one transaction. Before it the task's earlier writers are fenced and the marker in %s is read up to the high watermark taken after that: "+
			"the same hash is done, another stops the task. Nothing depends on a transaction that stays open, so a crash, a lost answer or a pause of any length ends in the same reading.", c.Markers()),
		Limits: []string{
			"exactly once for readers with isolation.level=read_committed. Readers of uncommitted messages get rows of transactions that were aborted, and then those rows again: at least once for them.",
			fmt.Sprintf("whoever deletes %s, or messages from it, makes the sink forget what it published.", c.Markers()),
			"while the brokers are away, epochs are committed up to epoch.publish_backlog; then the task waits, and with it the lake.",
			"messages live as long as the topics' retention says; the lake keeps everything.",
		},
	}}
}

// rest explains what becomes of offsets that are no typed row.
func rest() explain.Handoff {
	return explain.Handoff{
		From: "every captured offset", To: "a row of record, or a range of loss", Commit: "C4", Guarantee: explain.ExactlyOnce,
		Why: "What cannot be decoded keeps its bytes and a reject reason; what a gateway gave up becomes a range with its reason; what contradicts a log is kept raw in conflict. " +
			"A late row is kept and marked is_late, judged by its own gateway's watermark: a gateway without a link is not late.",
		Limits: []string{"what a gateway lost at the very end of its log without noticing is in neither (landfall-edge explain)."},
	}
}
