package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"landfall/decoders/aissim"
)

// start is when simulated traffic begins, microseconds since 1970 UTC.
const start = 1_780_000_000_000_000

// replaying measures a recorded file to published Parquet, in a process of its
// own, against writing and syncing the bytes that come out.
func replaying(ctx context.Context, cfg Config) ([]row, error) {
	path := filepath.Join(cfg.Dir, "harbour.nmea")
	n, err := simulate(path, cfg.Sentences)
	if err != nil {
		return nil, err
	}
	var ours, limit, ratio, memory []float64
	for range max(3, cfg.Rounds/2) {
		lake := filepath.Join(cfg.Dir, "lake")
		_, used, err := run(ctx, append(cfg.Engine, "replay", path, "--lake", lake, "--gateway", "bench"))
		if err != nil {
			return nil, err
		}
		bytes, err := treeBytes(lake)
		if err != nil {
			return nil, err
		}
		bare, err := writeAndSync(filepath.Join(cfg.Dir, "bytes"), bytes)
		if err := errors.Join(err, os.RemoveAll(lake)); err != nil {
			return nil, err
		}
		a, b := float64(n)/used.elapsed.Seconds(), float64(n)/bare.Seconds()
		ours, limit, ratio, memory = append(ours, a), append(limit, b), append(ratio, a/b), append(memory, used.memory)
	}
	rows := []row{
		{
			what: fmt.Sprintf("replay of %d simulated sentences to published Parquet", n), ours: rate(median(ours), "sentences"),
			limit: rate(median(limit), "sentences") + " writing and syncing the lake's bytes", ratio: fmt.Sprintf("%.0f%%", 100*median(ratio)), aim: "500 k/s",
		},
		{what: "the same, memory at most", ours: fmt.Sprintf("%.0f MiB", median(memory)), aim: "512 MiB"},
	}
	return rows, nil
}

// simulate writes about n sentences of a harbour with two receivers.
func simulate(path string, n int) (int, error) {
	h, err := aissim.New(aissim.Config{
		Seed: 1, Start: start, Ships: 400, Rate: 500, Tag: aissim.TagMillis,
		Receivers: []aissim.Receiver{{}, {Hears: 0.7}}, Noise: 0.001, LostFragments: 0.01, Disorder: 0.01,
	})
	if err != nil {
		return 0, fmt.Errorf("simulate traffic: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("simulate traffic: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	written := 0
	for written < n {
		if l := h.Next(); l.Kind != aissim.KindLost {
			_, _ = w.Write(l.Text) // Flush tells
			_ = w.WriteByte('\n')
			written++
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return 0, fmt.Errorf("simulate traffic: %w", err)
	}
	return written, nil
}

// treeBytes adds up the files below a folder.
func treeBytes(dir string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// writeAndSync writes so many bytes to one file and syncs them.
func writeAndSync(path string, n int64) (time.Duration, error) {
	p := make([]byte, 1<<20)
	begin := time.Now()
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	for left := n; left > 0; left -= int64(len(p)) {
		if _, err := f.Write(p[:min(left, int64(len(p)))]); err != nil {
			return 0, errors.Join(err, f.Close())
		}
	}
	err = errors.Join(f.Sync(), f.Close())
	return time.Since(begin), errors.Join(err, os.Remove(path))
}
