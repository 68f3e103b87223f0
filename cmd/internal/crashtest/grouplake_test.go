//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/sinktest"
)

// groupLake is where the engines of a group bring rows.
type groupLake struct {
	config   string                           // in the configuration of the engines
	interval time.Duration                    // of epochs
	store    checkpoint.Store                 // of the manifests
	audit    []string                         // arguments that say where it lies
	fetch    func() string                    // gives a folder where a foreign reader finds the tables
	topics   func(r *auditResult, sent int64) // judges the topics too; nil: there are none
}

func lakeOnDisk(t *testing.T, dir string) groupLake {
	t.Helper()
	lake := filepath.Join(dir, "lake")
	store, err := object.OpenDir(durable.OS{}, filepath.Join(lake, "_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return groupLake{
		config: fmt.Sprintf("lake: {dir: %s}", lake), interval: 500 * time.Millisecond, store: store,
		audit: []string{"--lake", lake}, fetch: func() string { return lake },
	}
}

// TestEnginesShareABucketAndTopics is TestEnginesShareALog with the lake in a
// real S3 store that answers 500 after success, cuts connections and does not
// answer, and with every row in topics of the same three brokers, which hold
// three replicas. The audit counts lake and topics, DuckDB what another client
// fetched from the bucket, kcat the topics as a reader of committed messages.
func TestEnginesShareABucketAndTopics(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no foreign reader of Kafka: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, brokers := workdir(t), kafkatest.New(t, 3)
	newGroup(t, dir, brokers, lakeInBucket(t, dir, brokers, kcat)).run()
}

// groupSink brings the rows to topics that the first engine makes.
const groupSink = `sinks:
  kafka: {brokers: [%s], prefix: fleet., partitions: %d, replication: 3, tables: [record, ais_position]}
`

func lakeInBucket(t *testing.T, dir string, brokers *kafkatest.Cluster, kcat string) groupLake {
	t.Helper()
	s3test.Known(t)
	server, script := s3test.NewIn(t, filepath.Join(dir, "store")), &s3test.Script{}
	t.Cleanup(server.Kill)
	server.Restart(t)
	script.Chance(rand.New(rand.NewPCG(seed(t), 1)), faultyRequests)
	at := s3test.At("some/lake/_checkpoint")
	store, err := s3.OpenStore(t.Context(), s3test.Config(server.URL), at)
	if err != nil {
		t.Fatal(err)
	}
	sink := fmt.Sprintf(groupSink, strings.Join(brokers.Addrs(), ", "), groupPartitions)
	l := groupLake{
		config:   fmt.Sprintf("lake: {dir: %q, s3: {endpoint: %q, request_timeout: 1s}}\n%s", "s3://"+bucketPrefix, server.Proxy(t, script), sink),
		interval: time.Second, store: store,
		audit: []string{"--lake", "s3://" + bucketPrefix, "--s3-endpoint", server.URL, "--kafka-config", filepath.Join(dir, "engine-0", "engine.yaml")},
	}
	l.fetch = func() string {
		fmt.Printf("  requests to the store by what they met: %v\n", script.Met())
		fetched := filepath.Join(dir, "fetched")
		n, err := strconv.Atoi(sinktest.Python(t, fetchScript, server.URL[len("http://"):], s3test.AccessKey, s3test.SecretKey, bucketPrefix, fetched))
		if err != nil || n == 0 {
			t.Fatalf("fetched %d files: %v", n, err)
		}
		fmt.Printf("  %d files fetched from the bucket\n", n)
		return fetched
	}
	l.topics = func(r *auditResult, sent int64) {
		if r.Topics == nil || !r.Topics.Exact || r.Topics.recorded() != sent {
			t.Errorf("audit of the topics, %d records sent: %s", sent, r.String())
		}
		rows, distinct := countWithKcat(t, kcat, brokers.Addrs()[0], "fleet."+string(table.Record))
		if int64(rows) != sent || int64(distinct) != sent {
			t.Errorf("kcat reads %d messages of record, %d of them different; sent %d", rows, distinct, sent)
		}
		fmt.Printf("  %d records in the topics, %d different, by kcat with read_committed\n", rows, distinct)
	}
	return l
}
