package bench

import (
	"path/filepath"
	"testing"

	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// TestFiguresOfCheckpoints measures one round.
func TestFiguresOfCheckpoints(t *testing.T) {
	log, err := landTraffic(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	d, err := checkpointsIn(t.Context(), log, filepath.Join(t.TempDir(), "lake"), 2, 0)
	if err != nil || median(d.commits) <= 0 {
		t.Errorf("%+v %v", d, err)
	}
}

// BenchmarkCheckpoint tells how long a checkpoint and its publishing take in a
// directory and in a real S3 store on the same machine.
func BenchmarkCheckpoint(b *testing.B) {
	log, err := landTraffic(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	tell := func(b *testing.B, d *durations, err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(1e3*median(d.commits), "ms/checkpoint")
		b.ReportMetric(1e3*median(d.publishes), "ms/publish")
	}
	b.Run("directory", func(b *testing.B) {
		for b.Loop() {
			d, err := checkpointsIn(b.Context(), log, filepath.Join(b.TempDir(), "lake"), 1, 0)
			tell(b, d, err)
		}
	})
	b.Run("bucket", func(b *testing.B) {
		server := s3test.Start(b)
		for b.Loop() {
			at := s3test.At(filepath.Base(b.TempDir()))
			files, err := s3.OpenLake(b.Context(), s3test.Config(server.URL), at)
			if err != nil {
				b.Fatal(err)
			}
			at.Prefix += "/_checkpoint"
			store, err := s3.OpenStore(b.Context(), s3test.Config(server.URL), at)
			if err == nil {
				err = object.SelfTest(b.Context(), store)
			}
			if err != nil {
				b.Fatal(err)
			}
			d, err := checkpoints(b.Context(), log, store, files, 1, 0)
			tell(b, d, err)
		}
	})
}
