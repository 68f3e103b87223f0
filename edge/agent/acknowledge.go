package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"landfall/edge/durable"
)

// gapsFile says, by being there, that an operator has acknowledged the first n gaps
// of a source. Its name is all it says: who acknowledges may be another user than
// the daemon, who could not read what is in it.
func (c *Config) gapsFile(source string, n uint64) string {
	return filepath.Join(c.DataDir, fmt.Sprintf("%s.gaps-%d", source, n))
}

// gapsAcknowledged tells whether the first n gaps of a source are acknowledged.
func (c *Config) gapsAcknowledged(fsys durable.FS, source string, n uint64) bool {
	if n == 0 {
		return true
	}
	_, err := fsys.Stat(c.gapsFile(source, n))
	return err == nil
}

// AcknowledgeGaps notes, durable on return, that an operator knows of the first n
// gaps of a source, which has to be one of the configuration. It may run beside the
// daemon, and again. Steps, and what a crash after each leaves: the note is made
// (it is there or not), its name is made durable (it is there), older notes are
// removed (some are left and say nothing).
func (c *Config) AcknowledgeGaps(fsys durable.FS, source string, n uint64) error {
	file, err := fsys.Create(c.gapsFile(source, n))
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("acknowledge gaps of source %s: %w", source, err)
	}
	if err := fsys.SyncDir(c.DataDir); err != nil {
		return fmt.Errorf("acknowledge gaps of source %s: %w", source, err)
	}
	all, err := fsys.ReadDir(c.DataDir)
	if err != nil {
		return fmt.Errorf("look for older notes of source %s: %w", source, err)
	}
	for _, e := range all {
		number, ok := strings.CutPrefix(e.Name(), source+".gaps-")
		if !ok || number == fmt.Sprint(n) || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if err := fsys.Remove(filepath.Join(c.DataDir, e.Name())); err != nil {
			return fmt.Errorf("remove an older note of source %s: %w", source, err)
		}
	}
	return nil
}
