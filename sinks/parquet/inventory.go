package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"landfall/engine/stream"
	"landfall/engine/table"
)

var (
	_ stream.Inventory = (*Sink)(nil)
	_ stream.Ahead     = (*Sink)(nil)
)

// Published implements stream.Inventory: every file of the task below the
// folders of the tables, by its name, table by table. Rows are not known.
func (s *Sink) Published(ctx context.Context, task stream.TaskID, upTo stream.Epoch, yield func(stream.Staged) error) error {
	for _, name := range table.Names() {
		files, err := s.files.List(ctx, string(name)+"/")
		if err != nil {
			return fmt.Errorf("list table %s: %w", name, err)
		}
		for _, file := range files {
			if epoch, ok := epochOf(path.Base(file), task); !ok || epoch > upTo {
				continue
			}
			f := stream.Staged{Sink: Name, Table: name, Target: file, Rows: -1}
			if err := s.sum(ctx, &f); err != nil {
				return fmt.Errorf("hash %s: %w", file, err)
			}
			if err := yield(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// PublishedAfter implements stream.Ahead: by the names in the tables. An epoch that
// takes a log further writes into log and record, which are looked at first; one that
// sets aside what it takes nothing of writes into conflict alone, and of one whose
// publishing was interrupted any other table may have files alone. Rows of log and
// conflict go under the day they landed, in the order of which a task reads them, so
// that folders before the day before that of near need not be looked at; the one day
// is for clocks that disagree. It asks for three names at most in each folder,
// whatever is in it.
func (s *Sink) PublishedAfter(ctx context.Context, task stream.TaskID, epoch stream.Epoch, near []string) (string, stream.Epoch, error) {
	first := firstDay(near)
	tables := table.Names()
	slices.Reverse(tables) // record and log are the last
	for _, name := range tables {
		folder := string(name) + "/"
		for after := folder + first; ; {
			file, err := s.files.Next(ctx, folder, after)
			if err != nil {
				return "", 0, fmt.Errorf("look at table %s: %w", name, err)
			}
			if file == "" {
				break
			}
			if of, ok := epochOf(path.Base(file), task); ok && of > epoch {
				return file, of, nil
			}
			after = file
			if day := path.Dir(file) + "/"; day != folder {
				after = max(after, day+task.String()+"-"+epoch.Padded()+lastName)
				if after == file {
					after = max(after, day+lastName)
				}
			}
		}
	}
	return "", 0, nil
}

// lastName comes after every character of a file's name.
const lastName = "~"

// firstDay returns the folder of the day before the first one under which a file of
// log or conflict lies; empty: none does.
func firstDay(targets []string) string {
	first := ""
	for _, target := range targets {
		date, ok := strings.CutPrefix(path.Dir(target), string(table.Log)+"/dt=")
		if !ok {
			date, ok = strings.CutPrefix(path.Dir(target), string(table.Conflict)+"/dt=")
		}
		if day, err := time.Parse(time.DateOnly, date); ok && err == nil {
			if before := "dt=" + day.AddDate(0, 0, -1).Format(time.DateOnly) + "/"; first == "" || before < first {
				first = before
			}
		}
	}
	return first
}

// sum reads a published file and fills in its size and hash.
func (s *Sink) sum(ctx context.Context, f *stream.Staged) error {
	r, err := s.files.Open(ctx, f.Target)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	h := sha256.New()
	f.Bytes, err = io.CopyBuffer(h, io.NewSectionReader(r, 0, r.Size()), make([]byte, 256<<10))
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return err
}

// epochOf reads the epoch out of the name of a task's published file, as
// Stage.name makes it.
func epochOf(base string, task stream.TaskID) (stream.Epoch, bool) {
	rest, ok := strings.CutPrefix(base, task.String()+"-")
	if !ok || len(rest) < 20 || !strings.HasPrefix(rest[20:], "-") || !strings.HasSuffix(rest, ".parquet") {
		return 0, false
	}
	epoch, err := strconv.ParseUint(rest[:20], 10, 64)
	return stream.Epoch(epoch), err == nil
}
