package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"

	"landfall/edge/durable"
)

// A note says, by being there, that an operator has acknowledged the first n of what is
// told under a name, like the gaps of a source. Its name is all it says: who acknowledges
// may be another user than the daemon, who could not read what is in it.
//
//	<base>-<n>-<first 16 hexadecimal digits of the SHA-256 of the n-th in words>
//
// With the n-th itself in its name a note is of nothing else when the number starts
// again, as it does with a log that is lost or put back. Notes of before this had no
// hash; they are made again at a start where the number is theirs (renewNotes), and else
// removed. So the words of what is acknowledged are part of the format.

// note returns the path of a note.
func note(base string, n uint64, last string) string {
	sum := sha256.Sum256([]byte(last))
	return fmt.Sprintf("%s-%d-%s", base, n, hex.EncodeToString(sum[:noteHash/2]))
}

const noteHash = 16 // digits

// gapsBase is where the notes of a source's gaps are.
func (c *Config) gapsBase(source string) string { return filepath.Join(c.DataDir, source+".gaps") }

// gapsAcknowledged tells whether the first n gaps of a source are acknowledged, the last
// of which is given in words.
func (c *Config) gapsAcknowledged(fsys durable.FS, source string, n uint64, last string) bool {
	return acknowledged(fsys, c.gapsBase(source), n, last)
}

// AcknowledgeGaps notes, durable on return, that an operator knows of the first n gaps of
// a source, which has to be one of the configuration; last is the n-th as its status says
// it. It may run beside the daemon, and again.
func (c *Config) AcknowledgeGaps(fsys durable.FS, source string, n uint64, last string) error {
	if err := acknowledge(fsys, c.gapsBase(source), n, last); err != nil {
		return fmt.Errorf("acknowledge gaps of source %s: %w", source, err)
	}
	return nil
}

// acknowledged tells whether there is the note of n, the last of which is given.
func acknowledged(fsys durable.FS, base string, n uint64, last string) bool {
	if n == 0 {
		return true
	}
	_, err := fsys.Stat(note(base, n, last))
	return err == nil
}

// acknowledge makes the note of n. Steps, and what a crash after each leaves: the note is
// made (it is there or not), its name is made durable (it is there), other notes are
// removed (some are left and are of nothing that is told now).
func acknowledge(fsys durable.FS, base string, n uint64, last string) error {
	made := note(base, n, last)
	file, err := fsys.Create(made)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir := filepath.Dir(made)
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	notes, err := notesOf(fsys, base)
	if err != nil {
		return fmt.Errorf("look for older notes: %w", err)
	}
	for name := range notes {
		if name == filepath.Base(made) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove an older note: %w", err)
		}
	}
	return nil
}

// notesOf returns the names of the notes under a base with their numbers, those of before
// included.
func notesOf(fsys durable.FS, base string) (map[string]uint64, error) {
	all, err := fsys.ReadDir(filepath.Dir(base))
	if err != nil {
		return nil, err
	}
	notes := make(map[string]uint64)
	for _, e := range all {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(base)+"-")
		digits, hash, hashed := strings.Cut(rest, "-")
		n, err := strconv.ParseUint(digits, 10, 64)
		if _, errHash := hex.DecodeString(hash); ok && err == nil && digits == fmt.Sprint(n) && errHash == nil && (!hashed || len(hash) == noteHash) {
			notes[e.Name()] = n
		}
	}
	return notes, nil
}

// renewNotes makes the note of before, which has no hash, again with that of what n and
// last tell at this start, if it is of that number, and removes it. It is called before
// anything can be added to what is told, so that a note cannot come to be of something
// else. What fails is tried again at the next start; a note without a hash counts for
// nothing.
func renewNotes(fsys durable.FS, logger *slog.Logger, base string, n uint64, last string) {
	notes, err := notesOf(fsys, base)
	for name, number := range notes {
		old := filepath.Join(filepath.Dir(base), name)
		if old != fmt.Sprintf("%s-%d", base, number) {
			continue
		}
		if number == n {
			err = errors.Join(err, acknowledge(fsys, base, n, last)) // removes it, too
			continue
		}
		if errOld := fsys.Remove(old); !errors.Is(errOld, fs.ErrNotExist) {
			err = errors.Join(err, errOld)
		}
	}
	if err != nil {
		logger.Warn("notes of what was acknowledged are not made again", "base", base, "error", err)
	}
}
