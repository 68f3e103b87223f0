package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// recordBytes is the size of a captured record's raw bytes: an AIS sentence
// with its line end is 48 to 82.
const recordBytes = 80

// capturing measures C1 against the same bytes written over a preallocated file
// and synced: the least that any log must do. With a link, what was forwarded is
// released and its segments are written over; without, the log grows, and each
// new segment is written full of zeros before it is used.
func capturing(ctx context.Context, cfg Config) ([]row, error) {
	var rows []row
	for _, c := range []struct {
		group   int
		growing bool
		what    string
		aim     string
	}{{1, false, "", ""}, {100, false, "", "85%"}, {1000, false, "", "60%"}, {1000, true, ", no link", ""}} {
		var ours, bare, ratio []float64
		for range cfg.Rounds {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			a, err := appendRate(filepath.Join(cfg.Dir, "log"), c.group, c.growing)
			if err != nil {
				return nil, err
			}
			b, err := bareRate(filepath.Join(cfg.Dir, "bare"), c.group)
			if err != nil {
				return nil, err
			}
			ours, bare, ratio = append(ours, a), append(bare, b), append(ratio, a/b)
		}
		rows = append(rows, row{
			what: fmt.Sprintf("capture to C1, groups of %d records of %d bytes%s", c.group, recordBytes, c.what),
			ours: rate(median(ours), "records"), limit: rate(median(bare), "records") + " overwrite+fdatasync",
			ratio: fmt.Sprintf("%.0f%%", 100*median(ratio)), aim: c.aim,
		})
	}
	return rows, nil
}

// roundTime is how long one measurement of one side lasts.
const roundTime = 600 * time.Millisecond

func appendRate(dir string, group int, growing bool) (float64, error) {
	s, err := seglog.Open(seglog.Config{FS: durable.OS{}, Dir: dir, CapturedRecords: true})
	if err != nil {
		return 0, fmt.Errorf("measure capture: %w", err)
	}
	raw := bytes.Repeat([]byte{'x'}, recordBytes)
	var b record.Builder
	unreleased := 0
	one := func() error {
		b.Reset()
		for range group {
			r := record.Record{Kind: record.KindAIS, ReceivedAt: 1, TimeSource: record.TimeReceipt, EventTime: 1, Raw: raw}
			if err := b.Add(&r); err != nil {
				return err
			}
		}
		first, err := s.Append(&b)
		if unreleased += group * recordBytes; err == nil && !growing && unreleased > seglog.DefaultSegmentBytes/2 {
			unreleased = 0
			log, _ := s.Active()
			err = s.Release(log, first)
		}
		return err
	}
	n, elapsed, err := repeat(one)
	if err == nil {
		err = s.Close()
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return 0, fmt.Errorf("measure capture: %w", err)
	}
	return float64(n*group) / elapsed.Seconds(), nil
}

func bareRate(path string, group int) (float64, error) {
	const size = 8 << 20
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	file, err := durable.OS{}.OpenWrite(path)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	p := bytes.Repeat([]byte{'y'}, group*recordBytes)
	at := int64(0)
	n, elapsed, err := repeat(func() error {
		if at+int64(len(p)) > size {
			at = 0
		}
		if _, err := file.WriteAt(p, at); err != nil {
			return err
		}
		at += int64(len(p))
		return file.SyncData()
	})
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	return float64(n*group) / elapsed.Seconds(), nil
}

// repeat calls one for about roundTime, after a few calls that do not count.
func repeat(one func() error) (n int, elapsed time.Duration, err error) {
	for range 20 {
		if err := one(); err != nil {
			return 0, 0, err
		}
	}
	start := time.Now()
	for ; elapsed < roundTime; elapsed = time.Since(start) {
		if err := one(); err != nil {
			return 0, 0, err
		}
		n++
	}
	return n, elapsed, nil
}
