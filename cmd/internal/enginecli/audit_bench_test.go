package enginecli

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/sinks/object"
)

// BenchmarkAudit audits a lake of simulated traffic at each level: rows of all
// tables a second, on one core, and the memory that is taken.
func BenchmarkAudit(b *testing.B) {
	dir := b.TempDir()
	in := filepath.Join(dir, "in.nmea")
	if err := os.WriteFile(in, []byte(simulate(b, 150_000)), 0o600); err != nil {
		b.Fatal(err)
	}
	lake := filepath.Join(dir, "lake")
	if code, out, errs := run(b.Context(), Command("landfall-engine", "test"), "replay", "--lake", lake, "--quiet", "--epoch-records", "20000", in); code != 0 {
		b.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(lake, "_checkpoint"))
	if err != nil {
		b.Fatal(err)
	}
	for _, level := range audit.Levels() {
		b.Run(string(level), func(b *testing.B) {
			b.ReportAllocs()
			rows := uint64(0)
			for b.Loop() {
				r, err := audit.Run(context.Background(), audit.Config{Lake: lake, Checkpoints: store, Level: level, Decode: NewDecoder()})
				if err != nil || !r.Exact {
					b.Fatalf("%+v, %v", r, err)
				}
				rows = 0
				for _, l := range r.Logs {
					rows += l.Recorded + l.TypedFound
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
