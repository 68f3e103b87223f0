package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
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
	return acknowledged(fsys, c.gapsFile(source, n), n)
}

// AcknowledgeGaps notes, durable on return, that an operator knows of the first n
// gaps of a source, which has to be one of the configuration. It may run beside the
// daemon, and again.
func (c *Config) AcknowledgeGaps(fsys durable.FS, source string, n uint64) error {
	if err := acknowledge(fsys, c.gapsFile(source, n), n); err != nil {
		return fmt.Errorf("acknowledge gaps of source %s: %w", source, err)
	}
	return nil
}

// acknowledged tells whether there is the note of n.
func acknowledged(fsys durable.FS, note string, n uint64) bool {
	if n == 0 {
		return true
	}
	_, err := fsys.Stat(note)
	return err == nil
}

// acknowledge makes the note of n, whose name ends with the number. Steps, and what a
// crash after each leaves: the note is made (it is there or not), its name is made
// durable (it is there), older notes are removed (some are left and say nothing).
func acknowledge(fsys durable.FS, note string, n uint64) error {
	file, err := fsys.Create(note)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir := filepath.Dir(note)
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	notes, err := notesOf(fsys, note)
	if err != nil {
		return fmt.Errorf("look for older notes: %w", err)
	}
	for number, name := range notes {
		if number == n {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove an older note: %w", err)
		}
	}
	return nil
}

// notesOf returns the names of the notes that differ from one in their number alone, by
// that number.
func notesOf(fsys durable.FS, note string) (map[uint64]string, error) {
	all, err := fsys.ReadDir(filepath.Dir(note))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(note)
	base, notes := base[:strings.LastIndexByte(base, '-')+1], make(map[uint64]string)
	for _, e := range all {
		digits, ok := strings.CutPrefix(e.Name(), base)
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && digits == fmt.Sprint(n) {
			notes[n] = e.Name()
		}
	}
	return notes, nil
}
