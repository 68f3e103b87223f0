package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"landfall/engine/stream"
	"landfall/engine/table"
)

var _ stream.Inventory = (*Sink)(nil)

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
