package parquet

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/durable"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// BenchmarkReaders reads what the audit reads of record, with parquet-go and with
// engine/parquetfile.
func BenchmarkReaders(b *testing.B) {
	dir := b.TempDir()
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Files: files})
	if err != nil {
		b.Fatal(err)
	}
	const rows = 200_000
	staged := land(b, s, 1, harbour(1, rows))
	i := slices.IndexFunc(staged, func(f stream.Staged) bool { return f.Table == table.Record })
	data, err := os.ReadFile(filepath.Join(dir, staged[i].Target))
	if err != nil {
		b.Fatal(err)
	}
	columns := []string{"_gateway", "_log", "_offset", "_rows", "_row", "reject_reason", "raw"}
	perRow := func(b *testing.B, read func(*testing.B)) {
		for b.Loop() {
			read(b)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	}
	b.Run("parquet-go", func(b *testing.B) {
		perRow(b, func(b *testing.B) {
			f, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)), pq.SkipPageIndex(true))
			if err != nil {
				b.Fatal(err)
			}
			vals := make([]pq.Value, 1024)
			for _, g := range f.RowGroups() {
				for _, name := range columns {
					leaf, _ := g.Schema().Lookup(name)
					pages := g.ColumnChunks()[leaf.ColumnIndex].Pages()
					for {
						p, err := pages.ReadPage()
						if err != nil {
							break
						}
						for r := p.Values(); ; {
							if _, err := r.ReadValues(vals); err != nil {
								break
							}
						}
					}
					_ = pages.Close()
				}
			}
		})
	})
	b.Run("parquetfile", func(b *testing.B) {
		perRow(b, func(b *testing.B) {
			f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				b.Fatal(err)
			}
			vals := make([]parquetfile.Value, 1024)
			for _, g := range f.Groups() {
				for _, name := range columns {
					at, _ := f.Lookup(name)
					c, err := g.Column(at)
					if err != nil {
						b.Fatal(err)
					}
					for left := g.NumRows(); left > 0; {
						n := min(left, int64(len(vals)))
						if err := c.Fill(vals[:n]); err != nil {
							b.Fatal(err)
						}
						left -= n
					}
				}
			}
		})
	})
	b.Run("parquetfile, CRC alone", func(b *testing.B) {
		perRow(b, func(b *testing.B) {
			f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				b.Fatal(err)
			}
			for _, g := range f.Groups() {
				for at := range f.Columns() {
					c, err := g.Column(at)
					if err == nil {
						err = c.Check()
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	})
}
