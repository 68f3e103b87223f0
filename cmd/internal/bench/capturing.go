package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
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
//
// Groups of 1,000 do not reach the aim of 60% of the disk since the log has a
// digest: a SHA-256 a record, which takes as long as the disk takes for the
// record's bytes. It is the least there can be of it, so a second row has it on
// the limit's side, too. Sharing the hashes out between cores was not worth it: a
// gateway captures a thousandth of this, and has other work for its cores.
func capturing(ctx context.Context, cfg Config) ([]row, error) {
	var rows []row
	for _, c := range []struct {
		group         int
		growing, hash bool
		what, aim     string
	}{
		{1, false, false, "", ""}, {100, false, false, "", "85%"}, {1000, false, false, "", "60%"},
		{1000, false, true, ", beside the digest's hashes too", "60%"}, {1000, true, false, ", no link", ""},
	} {
		limit := "overwrite+fdatasync"
		if c.hash {
			limit = "overwrite+fdatasync and a SHA-256 each"
		}
		var ours, bare, ratio []float64
		for range cfg.Rounds {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n, elapsed, err := appendRecords(filepath.Join(cfg.Dir, "log"), c.group, c.growing, true)
			if err != nil {
				return nil, err
			}
			a := float64(n) / elapsed.Seconds()
			b, err := bareRate(filepath.Join(cfg.Dir, "bare"), c.group, c.hash)
			if err != nil {
				return nil, err
			}
			ours, bare, ratio = append(ours, a), append(bare, b), append(ratio, a/b)
		}
		rows = append(rows, row{
			what: fmt.Sprintf("capture to C1, groups of %d records of %d bytes%s", c.group, recordBytes, c.what),
			ours: rate(median(ours), "records"), limit: rate(median(bare), "records") + " " + limit,
			ratio: fmt.Sprintf("%.0f%%", 100*median(ratio)), aim: c.aim,
		})
	}
	digest, err := digestCost(ctx, cfg)
	return append(rows, digest), err
}

// digestCost measures what the digest of the log adds to a record, in CPU time:
// the same groups appended with and without it, in turn.
func digestCost(ctx context.Context, cfg Config) (row, error) {
	const group = 1000
	var with, without, more []float64
	for range cfg.Rounds {
		if err := ctx.Err(); err != nil {
			return row{}, err
		}
		a, err := appendCPU(filepath.Join(cfg.Dir, "log"), group, true)
		if err != nil {
			return row{}, err
		}
		b, err := appendCPU(filepath.Join(cfg.Dir, "log"), group, false)
		if err != nil {
			return row{}, err
		}
		with, without, more = append(with, a), append(without, b), append(more, a-b)
	}
	return row{
		what: fmt.Sprintf("the digest of the log, CPU time a record of %d bytes", recordBytes), ours: fmt.Sprintf("%.2f µs", 1e6*median(more)),
		limit: fmt.Sprintf("%.2f µs a record to C1 without", 1e6*median(without)), ratio: fmt.Sprintf("%.2f x", median(with)/median(without)), aim: "0.3 µs",
	}, nil
}

// appendCPU returns the CPU time of this process a record appended, in seconds.
func appendCPU(dir string, group int, digest bool) (float64, error) {
	before := ownCPU()
	n, _, err := appendRecords(dir, group, false, digest)
	if err != nil {
		return 0, err
	}
	return (ownCPU() - before).Seconds() / float64(n), nil
}

// ownCPU is the CPU time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// roundTime is how long one measurement of one side lasts.
const roundTime = 600 * time.Millisecond

// appendRecords appends groups of records for about roundTime and returns how
// many, and how long it took.
func appendRecords(dir string, group int, growing, digest bool) (n int, elapsed time.Duration, err error) {
	s, err := seglog.Open(seglog.Config{FS: durable.OS{}, Dir: dir, CapturedRecords: digest})
	if err != nil {
		return 0, 0, fmt.Errorf("measure capture: %w", err)
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
	n, elapsed, err = repeat(one)
	if err == nil {
		err = s.Close()
	}
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("measure capture: %w", err)
	}
	return n * group, elapsed, nil
}

// hashedBytes is what the digest hashes of a record: itself, the log's name and
// its offset.
const hashedBytes = recordBytes + 2*len(record.LogID{}) + len(":1000000:")

// bareRate writes groups of records over a file and syncs it, hash: after their
// SHA-256 is computed. It returns records a second.
func bareRate(path string, group int, hash bool) (float64, error) {
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
	p, hashed := bytes.Repeat([]byte{'y'}, group*recordBytes), bytes.Repeat([]byte{'z'}, hashedBytes)
	at := int64(0)
	n, elapsed, err := repeat(func() error {
		for i := 0; hash && i < group; i++ {
			sum := sha256.Sum256(hashed)
			copy(hashed, sum[:1]) // so that each is computed
		}
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
