package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// markPage is what a write of some bytes and its sync cost a disk at least: a page of the
// file system.
const markPage = 4 << 10

// marking measures what a gateway's tail marker writes, at some rates of lines and while
// none come, beside the groups that it marks. Both are counted in pages: a sync of a few
// bytes writes one. It captures as a gateway does, with a group each 250 ms.
func marking(ctx context.Context, cfg Config) ([]row, error) {
	var rows []row
	for _, rate := range []int{0, 1, 100} {
		st, took, err := markAt(ctx, filepath.Join(cfg.Dir, fmt.Sprint("mark-", rate), "log"), rate, cfg.IdleSeconds)
		if err != nil {
			return nil, fmt.Errorf("measure the tail marker at %d lines/s: %w", rate, err)
		}
		marks, groups := float64(st.TailMarks)/took.Seconds(), float64(st.Appends)/took.Seconds()
		r := row{
			what: fmt.Sprintf("tail marker at %d lines/s, flash written a day", rate), ours: fmt.Sprintf("%.0f MiB, %.2f writes/s", pagesADay(marks), marks),
			limit: fmt.Sprintf("%.0f MiB the log's groups, %.2f/s", pagesADay(groups), groups),
		}
		if groups > 0 {
			r.ratio = fmt.Sprintf("%.0f%%", 100*marks/groups)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// pagesADay is how many MiB so many pages a second are in a day.
func pagesADay(pages float64) float64 { return pages * markPage * 24 * 60 * 60 / (1 << 20) }

// markAt captures lines at a rate, and returns what the log counted between the first
// group, which opens it, and the end.
func markAt(ctx context.Context, dir string, rate, seconds int) (st seglog.Stats, took time.Duration, err error) {
	s, err := seglog.Open(seglog.Config{FS: durable.OS{}, Dir: dir, SegmentBytes: 1 << 20, CapturedRecords: true, TailMarker: true})
	if err != nil {
		return st, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := captureLines(s, 1); err != nil {
		return st, 0, err
	}
	const groups = 4 // a second
	tick := time.NewTicker(time.Second / groups)
	defer tick.Stop()
	select { // the first marker is written
	case <-time.After(1100 * time.Millisecond):
	case <-ctx.Done():
		return st, 0, ctx.Err()
	}
	before, begin := s.Stats(), time.Now()
	for i := range seconds * groups {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return st, 0, ctx.Err()
		}
		if n := (i+1)*rate/groups - i*rate/groups; n > 0 {
			if err := captureLines(s, n); err != nil {
				return st, 0, err
			}
		}
	}
	st, took = s.Stats(), time.Since(begin)
	st.TailMarks -= before.TailMarks
	st.Appends -= before.Appends
	return st, took, nil
}

// captureLines makes a group of so many lines durable.
func captureLines(s *seglog.Store, n int) error {
	var b record.Builder
	b.Reset()
	raw := make([]byte, recordBytes)
	for range n {
		if err := b.Add(&record.Record{Kind: record.KindText, ReceivedAt: record.Micros(time.Now().UnixMicro()), Raw: raw}); err != nil {
			return err
		}
	}
	_, err := s.Append(&b)
	return err
}
