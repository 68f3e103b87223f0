package parquet

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/sinktest"
)

var testTask = stream.TaskID{Landing: "test", Partition: 0}

// lake makes an empty lake and its sink.
func lake(t testing.TB) (string, *Sink) {
	t.Helper()
	dir := t.TempDir()
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// seal stages the batches as one epoch.
func seal(t testing.TB, s *Sink, epoch stream.Epoch, batches ...*table.Batch) []stream.Staged {
	t.Helper()
	stage, err := s.Begin(testTask, "0123456789abcdef0123456789abcdef", epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := stage.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := stage.Seal(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return staged
}

// land stages and publishes.
func land(t testing.TB, s *Sink, epoch stream.Epoch, batches ...*table.Batch) []stream.Staged {
	t.Helper()
	staged := seal(t, s, epoch, batches...)
	if err := s.Publish(context.Background(), staged); err != nil {
		t.Fatal(err)
	}
	return staged
}

func TestForeignReadersSeeTheSame(t *testing.T) {
	dir, s := lake(t)
	a, b := harbour(1, 30_000), harbour(2, 300_000)
	land(t, s, 1, a)
	staged := land(t, s, 2, b)
	for _, f := range staged {
		fmt.Println(f.Target, f.Rows, f.Bytes)
	}
	for _, name := range table.Names() {
		glob := filepath.Join(dir, string(name), "dt=*", "*.parquet")
		fmt.Println(name, sinktest.DuckDB(t, fmt.Sprintf("SELECT count(*), sum(_offset) FROM read_parquet('%s')", glob)))
	}
	fmt.Println(sinktest.DuckDB(t, fmt.Sprintf("SELECT * FROM read_parquet('%s/ais_position/*/*.parquet') LIMIT 3", dir)))
}
