package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/state"
)

// recovering measures how long a start takes: opening an edge log of 1 GiB,
// and restoring a task's state of a million keys.
func recovering(ctx context.Context, cfg Config) ([]row, error) {
	dir := filepath.Join(cfg.Dir, "log")
	records, err := fillLog(ctx, dir, 1<<30)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	s, err := seglog.Open(seglog.Config{FS: durable.OS{}, Dir: dir})
	if err != nil {
		return nil, fmt.Errorf("measure opening: %w", err)
	}
	opened := time.Since(begin)
	end := s.Logs()[0].End
	if err := s.Close(); err != nil {
		return nil, fmt.Errorf("measure opening: %w", err)
	}
	if end != record.Offset(records)+1 {
		return nil, fmt.Errorf("measure opening: %d records after opening, %d before", end, records+1)
	}
	restored, bytes, err := restoreState(1_000_000)
	if err != nil {
		return nil, err
	}
	return []row{
		{what: fmt.Sprintf("opening an edge log of 1 GiB (%d records)", records), ours: fmt.Sprintf("%.3f s", opened.Seconds()), aim: "1 s"},
		{what: "restoring a task's state of 1 M keys", ours: fmt.Sprintf("%.2f s", restored.Seconds()), limit: fmt.Sprintf("%d MiB of objects", bytes>>20), aim: "3 s"},
	}, nil
}

// fillLog appends groups of 1,000 records until the log has so many bytes.
func fillLog(ctx context.Context, dir string, size int64) (int, error) {
	s, err := seglog.Open(seglog.Config{FS: durable.OS{}, Dir: dir, SegmentBytes: 16 << 20})
	if err != nil {
		return 0, fmt.Errorf("fill a log: %w", err)
	}
	raw := bytes.Repeat([]byte{'x'}, recordBytes)
	var b record.Builder
	total := 0
	for written := int64(0); written < size; written += int64(b.Size()) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b.Reset()
		for range 10_000 {
			r := record.Record{Kind: record.KindAIS, ReceivedAt: 1, TimeSource: record.TimeReceipt, EventTime: 1, Raw: raw}
			if err := b.Add(&r); err != nil {
				return 0, fmt.Errorf("fill a log: %w", err)
			}
			total++
		}
		if _, err := s.Append(&b); err != nil {
			return 0, fmt.Errorf("fill a log: %w", err)
		}
	}
	return total, s.Close()
}

// wide is the size of the reception dedupe's entries, the largest state there
// is.
type wide struct{ a, b, c, d uint64 }

type wideCodec struct{}

func (wideCodec) Version() uint16 { return 1 }
func (wideCodec) AppendKey(dst []byte, k [3]uint64) []byte {
	for _, v := range k {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}
func (wideCodec) AppendValue(dst []byte, v wide) []byte {
	for _, n := range []uint64{v.a, v.b, v.c, v.d} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}
func (wideCodec) DecodeKey(_ uint16, p []byte) (k [3]uint64, err error) {
	for i := range k {
		k[i] = binary.BigEndian.Uint64(p[8*i:])
	}
	return k, nil
}
func (wideCodec) DecodeValue(_ uint16, p []byte) (wide, error) {
	u := binary.BigEndian.Uint64
	return wide{u(p), u(p[8:]), u(p[16:]), u(p[24:])}, nil
}

// restoreState snapshots n keys in ten objects and restores them.
func restoreState(n int) (time.Duration, int, error) {
	s := state.New()
	t, err := state.Register(s, "wide", wideCodec{})
	if err != nil {
		return 0, 0, fmt.Errorf("measure restoring: %w", err)
	}
	var objects [][]byte
	for i := range n {
		k := uint64(i)
		t.Put([3]uint64{k * 0x9E3779B97F4A7C15, k, ^k}, wide{k, k, k, k})
		if (i+1)%(n/10) == 0 {
			object, keep := s.Snapshot()
			objects = append(objects[len(objects)-keep:], object)
		}
	}
	total := 0
	for _, o := range objects {
		total += len(o)
	}
	begin := time.Now()
	fresh := state.New()
	back, err := state.Register(fresh, "wide", wideCodec{})
	if err == nil {
		err = fresh.Restore(func(yield func([]byte, error) bool) {
			for _, o := range objects {
				if !yield(o, nil) {
					return
				}
			}
		})
	}
	if err != nil {
		return 0, 0, fmt.Errorf("measure restoring: %w", err)
	}
	if back.Len() != n {
		return 0, 0, fmt.Errorf("measure restoring: %d keys of %d came back", back.Len(), n)
	}
	return time.Since(begin), total, nil
}
