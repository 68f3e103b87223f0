package enginecli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/repair"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

const (
	// scratchRoot is the folder below a lake in which repairs work; readers of tables
	// never look into it.
	scratchRoot = "_repair"
	// scratchLock ends the name of the file that a repair holds locked while it works in
	// the folder with the rest of the name.
	scratchLock = ".lock"
)

// scratch is a lake of its own on the local disk.
type scratch struct {
	dir   string
	lock  io.Closer // nil: none is needed
	files *object.Lake
}

// newScratch makes one for a repair of a lake. What is made again may be as large as the
// tables are, and the system's temporary folder may lie in memory: so a repair of a lake
// in a directory works below that. A dry run writes nothing there, and a bucket is no
// place to work in: these have the system's temporary folder.
func newScratch(lake string, dryRun bool) (*scratch, error) {
	if dryRun || server.IsBucket(lake) {
		dir, err := os.MkdirTemp("", "landfall-repair-")
		if err != nil {
			return nil, fmt.Errorf("make a folder to work in: %w", err)
		}
		return openScratch(dir, nil)
	}
	root := filepath.Join(lake, scratchRoot)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	removeDead(root)
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	dir := filepath.Join(root, hex.EncodeToString(id[:]))
	lock, err := durable.OS{}.Lock(dir + scratchLock)
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	return openScratch(dir, lock)
}

// openScratch makes the lake in a folder that remove removes.
func openScratch(dir string, lock io.Closer) (*scratch, error) {
	s := &scratch{dir: dir, lock: lock}
	var err error
	if s.files, err = object.OpenLake(durable.OS{}, dir); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// removeDead removes what repairs left that were killed: nobody holds their locks. What
// cannot be removed takes room and does no other harm.
func removeDead(root string) {
	locks, _ := filepath.Glob(filepath.Join(root, "*"+scratchLock))
	for _, name := range locks {
		lock, err := durable.OS{}.Lock(name)
		if err != nil {
			continue // it lives
		}
		_ = errors.Join(os.RemoveAll(strings.TrimSuffix(name, scratchLock)), os.Remove(name), lock.Close())
	}
}

// remove removes the folder, and that of all repairs if no other is in it.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.dir)
	if s.lock == nil {
		return err
	}
	err = errors.Join(err, os.Remove(s.dir+scratchLock), s.lock.Close())
	_ = os.Remove(filepath.Dir(s.dir)) // another repair may work in it
	return err
}

// Sink implements repair.Scratch.
func (s *scratch) Sink(undated record.Micros, everyDate bool) (stream.Sink, error) {
	return parquet.New(parquet.Config{Files: s.files, Undated: undated, EveryDate: everyDate})
}

// Open implements repair.Scratch.
func (s *scratch) Open(ctx context.Context, name string) (repair.File, error) {
	return s.files.Open(ctx, name)
}
