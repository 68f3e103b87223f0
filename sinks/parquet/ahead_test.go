package parquet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/object/s3/s3test"
)

// TestPublishedAfter: an output of a later epoch is found by its name, in a directory
// and in a bucket, under the day of the epoch, the one before and any later one;
// other tasks' outputs and other programs' files are not taken for it. The requests do
// not grow with what is in the folders, nor with days that lie before.
func TestPublishedAfter(t *testing.T) {
	server := s3test.Start(t)
	script := &s3test.Script{}
	w := &faultBucket{server: server, prefix: "ahead", proxy: server.Proxy(t, script)}
	bucket, err := w.lake(t, w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := object.OpenLake(durable.OS{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for kind, files := range map[string]object.Files{"directory": dir, "bucket": bucket} {
		t.Run(kind, func(t *testing.T) { publishedAfter(t, files, func() int { return len(script.Requests()) }) })
	}
}

func publishedAfter(t *testing.T, files object.Files, requests func() int) {
	task, other := stream.TaskID{Landing: "land", Partition: 1}, stream.TaskID{Landing: "land", Partition: 2}
	n := 0
	put := func(target string) string {
		n++
		owner := regexp.MustCompile(`^(land-\d{4}|[^-]+)-`).FindStringSubmatch(path.Base(target))[1]
		sum := sha256.Sum256([]byte(target))
		staged := stream.Staged{Sink: Name, Name: fmt.Sprintf("_staging/%s/c/%d", owner, n), Target: target, Bytes: int64(len(target)), SHA256: hex.EncodeToString(sum[:])}
		f, err := files.Create(t.Context(), staged.Name, staged.Target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(target)); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		f.Place(&staged)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := files.Publish(t.Context(), staged); err != nil {
			t.Fatal(err)
		}
		return target
	}
	name := func(folder, day string, task stream.TaskID, epoch stream.Epoch) string {
		return fmt.Sprintf("%s/dt=%s/%s-%s-0.parquet", folder, day, task, epoch.Padded())
	}
	for epoch := range stream.Epoch(5) {
		put(name("log", fmt.Sprintf("2026-01-%02d", 1+epoch), task, epoch+1))
		put(name("log", fmt.Sprintf("2026-01-%02d", 1+epoch), other, epoch+70))
	}
	for epoch := range stream.Epoch(10) {
		put(name("log", "2026-01-05", other, epoch+90))
	}
	put("log/0-notes")
	put("log/dt=2026-01-05/a-note")
	put("record/dt=2026-01-05/" + task.String() + "-x")
	sink, err := New(Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	after := func(epoch stream.Epoch, near []string, want string, wantEpoch stream.Epoch) {
		t.Helper()
		got, of, err := sink.PublishedAfter(t.Context(), task, epoch, near)
		if err != nil || got != want || of != wantEpoch {
			t.Errorf("after epoch %s, near %v: %q of epoch %s, %v; want %q", epoch, near, got, of, err, want)
		}
	}
	near := []string{name("record", "2020-01-01", task, 5), name("log", "2026-01-05", task, 5)}
	before := requests()
	after(5, near, "", 0)
	if n := requests() - before; n > 2+3*2+2+len(table.Names())-2 {
		t.Errorf("%d requests for two days of log, one of record and the tables without a file", n)
	}
	after(5, nil, "", 0)
	after(3, []string{name("log", "2026-01-03", task, 3)}, name("log", "2026-01-04", task, 4), 4)
	after(1, nil, name("log", "2026-01-02", task, 2), 2)
	last := put(name("record", "2026-02-01", task, 6))
	after(5, near, last, 6)
	after(6, near, "", 0)
	clock := put(name("log", "2026-01-04", task, 7)) // of a clock behind
	after(6, near, clock, 7)

	// An epoch of which only one table has a file, whichever it is.
	for i, only := range table.Names() {
		epoch := stream.Epoch(10 + i)
		put(name(string(only), "2026-01-03", task, epoch)) // near need not look there
		last := put(name(string(only), "2026-02-02", task, epoch))
		after(epoch-1, near, last, epoch)
		after(epoch, near, "", 0)
	}
	near = []string{name("conflict", "2026-02-02", task, 99)}
	before = requests()
	after(98, near, "", 0)
	if n := requests() - before; n > 3*len(table.Names())+3 { // one day of each table, and two of record
		t.Errorf("%d requests after an epoch with conflicts alone: it looked at days before", n)
	}
}
