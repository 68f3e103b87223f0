package audit

import "fmt"

// Level says how much an audit checks. Each level checks all of the one before.
type Level string

// The levels.
const (
	// LevelOffsets counts: each captured offset has its row of record or stands in
	// loss, and each record has its typed rows, up to where the checkpoints say.
	LevelOffsets Level = "offsets"
	// LevelFiles holds the lake against the ledger: every file is there, with its
	// size, its rows and its name, none is there besides, and the digest of what
	// record holds is that of what the gateways captured.
	LevelFiles Level = "files"
	// LevelBytes compares the SHA-256 of every file.
	LevelBytes Level = "bytes"
	// LevelValues decodes every record again and compares what was made of it.
	LevelValues Level = "values"
)

// Levels lists the levels, the least first.
func Levels() []Level { return []Level{LevelOffsets, LevelFiles, LevelBytes, LevelValues} }

// ParseLevel reads a level's name.
func ParseLevel(s string) (Level, error) {
	for _, l := range Levels() {
		if string(l) == s {
			return l, nil
		}
	}
	return "", fmt.Errorf("level %q: want offsets, files, bytes or values", s)
}

// number returns the place of a level among Levels.
func (l Level) number() int {
	for i, one := range Levels() {
		if one == l {
			return i
		}
	}
	return -1
}

// reaches tells whether a level checks what another one does.
func (l Level) reaches(other Level) bool { return l.number() >= other.number() }

// proven says in words what holds at a level; of topics it is empty.
func (l Level) proven() string {
	switch l {
	case LevelOffsets:
		return "with as many typed rows as its record declares; no bytes were compared"
	case LevelFiles:
		return "with the bytes that were captured and as many typed rows as its record declares, in the files that were published"
	case LevelBytes:
		return "with the bytes that were captured and as many typed rows as its record declares, in the files that were published, byte for byte"
	case LevelValues:
		return "with the bytes that were captured and with typed rows that say what its record says, in the files that were published, byte for byte"
	}
	return "as far as the topics tell"
}

// unchecked lists what a level leaves out.
func (l Level) unchecked() []string {
	var all []string
	if !l.reaches(LevelFiles) {
		all = append(all, "files that are missing or too many, and the bytes of the records (files)")
	}
	if !l.reaches(LevelBytes) {
		all = append(all, "the other bytes of the files (bytes)")
	}
	if !l.reaches(LevelValues) {
		all = append(all, "that the typed rows are what their records say (values)")
	}
	return all
}
