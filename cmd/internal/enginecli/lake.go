package enginecli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/table"
)

// oneFileSystem makes sure that a file can be renamed from the staging folder
// of a lake into each table: publishing gives a file another name.
func oneFileSystem(fsys durable.FS, lake string) error {
	staging := filepath.Join(lake, "_staging")
	for _, name := range table.Names() {
		folder := filepath.Join(lake, string(name))
		if _, err := fsys.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			continue // it will be made on the lake's own file system
		}
		if err := renames(fsys, staging, folder); err != nil {
			return &config.FieldError{Key: "lake.dir", Got: fmt.Sprintf("%s: %v", folder, err), Want: "staging and tables on one file system, so that publishing moves no bytes"}
		}
	}
	return nil
}

func renames(fsys durable.FS, from, to string) error {
	if err := durable.MkdirAllSync(fsys, from); err != nil {
		return err
	}
	name := config.ProbeName()
	probe := filepath.Join(from, name)
	if err := durable.WriteFileAtomic(fsys, probe, nil); err != nil {
		if errors.Is(err, durable.ErrNoSpace) {
			return nil // a full disk is a state, not a mistake
		}
		return err
	}
	moved := filepath.Join(to, name)
	if err := fsys.Rename(probe, moved); err != nil {
		return errors.Join(err, fsys.Remove(probe))
	}
	return fsys.Remove(moved)
}
