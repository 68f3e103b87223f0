package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/s3/s3test"
)

// TestInventory: the files of one task up to an epoch, each hashed as it is, and
// nothing else.
func TestInventory(t *testing.T) {
	dir := t.TempDir()
	task := stream.TaskID{Landing: "land", Partition: 2}
	name := func(epoch stream.Epoch) string { return fmt.Sprintf("%s-%s-0.parquet", task, epoch.Padded()) }
	var want []string
	for path, mine := range map[string]bool{
		"record/dt=2026-01-01/" + name(1):                      true,
		"record/dt=2026-01-02/" + name(2):                      true,
		"log/dt=2026-01-01/" + name(2):                         true,
		"record/dt=2026-01-01/" + name(3):                      false, // of a later epoch
		"record/dt=2026-01-01/" + name(2) + ".tmp":             false,
		"record/dt=2026-01-01/x" + name(2):                     false,
		"record/dt=2026-01-01/land-0002-" + name(2):            false, // of a landing log with a longer name
		"record/dt=2026-01-01/land-0003-" + name(2)[10:]:       false,
		"record/dt=2026-01-01/part-0.parquet":                  false,
		"track/dt=2026-01-01/" + name(1):                       false, // no table of ours
		"_staging/land-0002/c/" + name(1):                      false,
		"record/dt=2026-01-01/land-0002-2-0.parquet":           false,
		"record/dt=2026-01-01/land-0002-" + "x" + name(2)[11:]: false,
	} {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(path), 0o644); err != nil {
			t.Fatal(err)
		}
		if mine {
			table, _, _ := strings.Cut(path, "/")
			sum := sha256.Sum256([]byte(path))
			want = append(want, fmt.Sprintln("parquet", table, path, -1, len(path), hex.EncodeToString(sum[:])))
		}
	}
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := New(Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = sink.Published(t.Context(), task, 2, func(s stream.Staged) error {
		got = append(got, fmt.Sprintln(s.Sink, s.Table, s.Target, s.Rows, s.Bytes, s.SHA256))
		return nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	enough := errors.New("enough")
	calls := 0
	err = sink.Published(t.Context(), task, 2, func(stream.Staged) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sink.Published(ended, task, 2, func(stream.Staged) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestInventoryOfABucket: the same where published files are objects.
func TestInventoryOfABucket(t *testing.T) {
	w := &faultBucket{server: s3test.Start(t), prefix: "inventory"}
	files := w.direct(t)
	task := stream.TaskID{Landing: "land"}
	want := map[string]string{}
	for epoch := range stream.Epoch(3) {
		data := fmt.Sprint("epoch ", epoch+1)
		sum := sha256.Sum256([]byte(data))
		staged := stream.Staged{
			Sink: Name, Table: "record", Name: fmt.Sprintf("_staging/%s/c/%s", task, (epoch + 1).Padded()), SHA256: hex.EncodeToString(sum[:]),
			Target: fmt.Sprintf("record/dt=2026-01-01/%s-%s-0.parquet", task, (epoch + 1).Padded()), Bytes: int64(len(data)),
		}
		f, err := files.Create(t.Context(), staged.Name, staged.Target)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte(data))
		if err = errors.Join(err, f.Sync()); err != nil {
			t.Fatal(err)
		}
		f.Place(&staged)
		if err := errors.Join(f.Close(), files.Publish(t.Context(), staged)); err != nil {
			t.Fatal(err)
		}
		if epoch+1 <= 2 {
			want[staged.Target] = staged.SHA256
		}
	}
	sink, err := New(Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = sink.Published(t.Context(), task, 2, func(s stream.Staged) error { got[s.Target] = s.SHA256; return nil })
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v\n%v\nwant\n%v", err, got, want)
	}
}
