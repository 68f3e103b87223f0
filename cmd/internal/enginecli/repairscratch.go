package enginecli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/repair"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// scratch is a lake of its own on the local disk.
type scratch struct {
	dir   string
	files *object.Lake
}

// newScratch makes it in a folder that remove removes.
func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp("", "landfall-repair-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	s := &scratch{dir: dir}
	if s.files, err = object.OpenLake(durable.OS{}, dir); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *scratch) remove() error { return os.RemoveAll(s.dir) }

// Sink implements repair.Scratch.
func (s *scratch) Sink(undated record.Micros, everyDate bool) (stream.Sink, error) {
	return parquet.New(parquet.Config{Files: s.files, Undated: undated, EveryDate: everyDate})
}

// Open implements repair.Scratch.
func (s *scratch) Open(ctx context.Context, name string) (repair.File, error) {
	return s.files.Open(ctx, name)
}
