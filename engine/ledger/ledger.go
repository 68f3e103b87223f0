// Package ledger is the list of everything that ever became true in one task's
// part of a lake: what each epoch published and how far it took each log, one
// immutable entry after the other, chained by hash.
//
// In:  engine/checkpoint appends an entry with each epoch, before HEAD moves to
// the manifest that names it.
// Out: engine/audit and the repair of a lake walk it from the newest entry back.
//
// Invariants
//
//  1. An entry counts when it is reached from the manifest that HEAD names, and
//     only then. Numbers are dense, from 1.
//  2. Each entry holds the SHA-256 of the bytes of the one before it, so the
//     hash of the newest vouches for all of them.
//  3. Entries are never changed and never collected. They are folded: a
//     thousand of them become one object, with the same bytes in the same order.
//  4. An entry whose bytes were read is bounded and checked before it is used.
//
// Names, below the folder of the task:
//
//	ledger/<number, 20 digits>-<claim>.json         one entry
//	ledger/fold-<first number, 20 digits>.jsonl     the entries first … first+999
//
// A reader takes a fold for as many entries as it has lines.
//
// An entry is one line of JSON, format 2, with exactly the fields of Entry. A
// fold is its entries' lines, one after the other.
//
// Everything here but Walk is pure.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/edge/record"
	"landfall/engine/stream"
)

// Format is the version of entries that this package writes; it reads all up
// to it. 2 added what a position stands on.
const Format = 2

// The bounds of what is read.
const (
	// MaxEntryBytes bounds one entry.
	MaxEntryBytes = 64 << 20
	// FoldEntries is how many entries become one object; it never changes.
	FoldEntries = 1000
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrVersion says that a newer program wrote the entry.
	ErrVersion = errors.New("ledger entry written by a newer version")
	// ErrCorrupt says that an entry is not what was written.
	ErrCorrupt = errors.New("corrupt ledger")
	// ErrMissing says that an entry that another one names is not there.
	ErrMissing = errors.New("ledger entry is missing")
)

// Kind says what an entry stands for.
type Kind string

// The kinds of entries.
const (
	// KindEpoch is a committed epoch: what it published and which offsets it took.
	KindEpoch Kind = "epoch"
	// KindAdopted are the first entries of a task that was begun by a version
	// without a ledger: everything it had published, hashed as it was found. Only
	// entries of this kind come before one; the last of them has the logs.
	KindAdopted Kind = "adopted"
	// KindRepair is a repair: the files in Removed are replaced by those in Files.
	KindRepair Kind = "repair"
	// KindMoved are the first entries of a task whose lake was moved to another
	// landing log: its logs were taken that far by the tasks in Came. They publish
	// nothing. Only entries of this kind come before one. Since format 2.
	KindMoved Kind = "moved"
)

// Entry is one entry.
type Entry struct {
	Format   int    `json:"format"`
	Kind     Kind   `json:"kind"`
	Number   uint64 `json:"number"`   // dense, from 1
	Previous string `json:"previous"` // SHA-256 of the entry before, hexadecimal; empty in the first
	Task     string `json:"task"`
	// Epoch is the epoch of a KindEpoch, else the newest one at the time.
	Epoch stream.Epoch   `json:"epoch"`
	Claim stream.ClaimID `json:"claim"`
	// Position is the next landed record to read after Epoch.
	Position stream.Position `json:"position"`
	Schema   int             `json:"schema"`  // version of the tables
	Decoder  string          `json:"decoder"` // version of what made rows of records
	Final    bool            `json:"final"`   // a bounded landing log ended with this epoch
	Note     string          `json:"note,omitempty"`
	Files    []File          `json:"files"` // that the entry adds
	Removed  []File          `json:"removed,omitempty"`
	// Logs are those that the entry advanced, opened or closed, sorted by gateway
	// and log; of a KindMoved those that the task takes on, From where they are.
	Logs []Log `json:"logs"`
	// Came names the newest entries of the tasks of the landing log before, of a
	// KindMoved: all that the lake was, up to the move, is reached from there.
	Came []Tip `json:"came,omitempty"`
}

// File is one output, as it is published.
type File struct {
	Sink   string `json:"sink"` // the sink's name in manifests; "parquet" are the files of the lake
	Table  string `json:"table"`
	Name   string `json:"name"` // relative to the sink's root, with '/'
	Rows   int64  `json:"rows"` // -1: not known
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Log is how far an entry takes one log.
type Log struct {
	Gateway string        `json:"gateway"`
	Log     string        `json:"log"`  // record.LogID.String
	From    record.Offset `json:"from"` // the next offset before this entry
	Next    record.Offset `json:"next"` // and after it
	// Digest is that of the log below Next, in decimal; empty: not known, for
	// the gateway kept none or lost something without knowing its digest.
	Digest string `json:"digest,omitempty"`
	// Chain is the hash of the block that ends at Next, 32 hexadecimal digits;
	// empty: after a loss.
	Chain string `json:"chain,omitempty"`
	// Previous is the log before this one, empty for a gateway's first; it and
	// PreviousEnd stand in the entry that opens the log.
	Previous    string        `json:"previous,omitempty"`
	PreviousEnd record.Offset `json:"previous_end,omitempty"`
	OpenedAt    record.Micros `json:"opened_at,omitempty"`
	// Closed says that the gateway has opened a newer log, which names this one.
	Closed bool `json:"closed,omitempty"`
}

// Tip names the newest entry of a ledger.
type Tip struct {
	Name   string `json:"name"` // of its object, with the task's folder
	Number uint64 `json:"number"`
	SHA256 string `json:"sha256"`
}

// Task returns the name of the task whose ledger it is.
func (t Tip) Task() string {
	task, _, _ := strings.Cut(t.Name, "/")
	return task
}

// Hash returns the SHA-256 of an entry's bytes, hexadecimal.
func Hash(entry []byte) string {
	sum := sha256.Sum256(entry)
	return hex.EncodeToString(sum[:])
}

// Encode returns the entry's line. Equal entries have equal bytes.
func (e *Entry) Encode() ([]byte, error) {
	full := *e // lists that are empty are written as [], never as null
	full.Files = append([]File{}, e.Files...)
	full.Logs = append([]Log{}, e.Logs...)
	if err := full.check(); err != nil {
		return nil, fmt.Errorf("encode ledger entry %d: %w", e.Number, err)
	}
	data, err := json.Marshal(&full)
	if err != nil {
		return nil, fmt.Errorf("encode ledger entry %d: %w", e.Number, err)
	}
	if len(data) >= MaxEntryBytes {
		return nil, fmt.Errorf("encode ledger entry %d of %d bytes: %w", e.Number, len(data), record.ErrTooLarge)
	}
	return append(data, '\n'), nil
}

// Decode reads an entry's line. Errors: ErrVersion, ErrCorrupt.
func Decode(line []byte) (Entry, error) {
	if len(line) == 0 || len(line) > MaxEntryBytes || line[len(line)-1] != '\n' {
		return Entry{}, fmt.Errorf("decode ledger entry of %d bytes: %w", len(line), ErrCorrupt)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(line, &version); err != nil {
		return Entry{}, fmt.Errorf("decode ledger entry: %w: %w", ErrCorrupt, err)
	}
	if version.Format > Format {
		return Entry{}, fmt.Errorf("decode ledger entry of format %d, known up to %d: %w", version.Format, Format, ErrVersion)
	}
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("decode ledger entry: %w: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, fmt.Errorf("decode ledger entry: %w: bytes after the end", ErrCorrupt)
	}
	if err := e.check(); err != nil {
		return Entry{}, fmt.Errorf("decode ledger entry: %w: %w", ErrCorrupt, err)
	}
	return e, nil
}

// check finds what no program of this format writes.
func (e *Entry) check() error {
	switch {
	case e.Format < 1 || e.Format > Format:
		return fmt.Errorf("format %d", e.Format)
	case e.Kind != KindEpoch && e.Kind != KindAdopted && e.Kind != KindRepair && e.Kind != KindMoved:
		return fmt.Errorf("kind %q", e.Kind)
	case e.Kind == KindMoved && (e.Format < 2 || len(e.Files) > 0):
		return fmt.Errorf("an entry of a move in format %d with %d files", e.Format, len(e.Files))
	case e.Number == 0:
		return errors.New("number 0")
	case e.Number == 1 && e.Previous != "", e.Number > 1 && !isHex(e.Previous, 64):
		return fmt.Errorf("entry %d follows %q", e.Number, e.Previous)
	case e.Task == "" || strings.ContainsAny(e.Task, "/\n"):
		return fmt.Errorf("task %q", e.Task)
	case !isHex(string(e.Claim), 32):
		return fmt.Errorf("claim %q", e.Claim)
	case e.Position.Check() != nil:
		return e.Position.Check()
	case e.Format < 2 && (e.Position.Hash != "" || e.Position.Leader != 0):
		return fmt.Errorf("position %s with what format %d does not have", e.Position, e.Format)
	case len(e.Removed) > 0 && e.Kind != KindRepair:
		return fmt.Errorf("an entry of kind %s removes files", e.Kind)
	}
	if err := e.checkCame(); err != nil {
		return err
	}
	for _, list := range [][]File{e.Files, e.Removed} {
		names := make(map[[2]string]bool, len(list))
		for i := range list {
			f := &list[i]
			if f.Sink == "" || f.Name == "" || f.Rows < -1 || f.Bytes < 0 || !isHex(f.SHA256, 64) || names[[2]string{f.Sink, f.Name}] {
				return fmt.Errorf("file %q of sink %q", f.Name, f.Sink)
			}
			names[[2]string{f.Sink, f.Name}] = true
		}
	}
	for i := range e.Logs {
		if err := e.Logs[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// checkCame holds that only a move names the ledgers of others, and each once.
func (e *Entry) checkCame() error {
	if len(e.Came) > 0 && e.Kind != KindMoved {
		return fmt.Errorf("an entry of kind %s names where the task came from", e.Kind)
	}
	tasks := map[string]bool{e.Task: true}
	for _, t := range e.Came {
		number, fold, ok := ParseName(t.Name)
		task := t.Task()
		if !ok || fold || number != t.Number || !isHex(t.SHA256, 64) || tasks[task] {
			return fmt.Errorf("it came from %q, entry %d", t.Name, t.Number)
		}
		tasks[task] = true
	}
	return nil
}

func (l *Log) check() error {
	if _, err := record.ParseLogID(l.Log); err != nil {
		return err
	}
	if _, err := record.ParseDigest(l.Digest); l.Digest != "" && err != nil {
		return err
	}
	if l.Next < l.From || l.Chain != "" && !isHex(l.Chain, 32) || l.Previous != "" && !isHex(l.Previous, 32) {
		return fmt.Errorf("log %s of %s from %s to %s", l.Log, l.Gateway, l.From, l.Next)
	}
	return nil
}

// isHex tells whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
