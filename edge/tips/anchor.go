package tips

import (
	"fmt"
	"slices"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// MaxAnchors is how many tasks the book keeps an anchor of. When one more comes,
// the task goes of which no new entry was heard for the longest time; one whose ledger
// was contradicted only when all were.
const MaxAnchors = 64

// Anchor is the newest entry of one task's ledger that the cloud told the gateway:
// it was published and verified then. Each entry holds the hash of the one before
// it and those of its files, so an anchor vouches for the whole ledger up to it,
// and for every file that it names.
type Anchor struct {
	Task   string `json:"task"`   // at most wire.MaxTaskBytes of a-z, 0-9 and '-'
	Number uint64 `json:"number"` // of the entry, from 1
	SHA256 string `json:"sha256"` // of the entry's bytes, 64 hexadecimal digits
	// ToldAt is when the gateway was first told of this entry, by its own clock.
	ToldAt record.Micros `json:"told_at"`
	// Fork is the first contradiction that the cloud told of this task; nil: none.
	// It stays when the anchor moves on.
	Fork *Fork `json:"fork,omitempty"`
}

// Fork is two entries of one number: somebody keeps two ledgers under one task, or
// wrote one of them again.
type Fork struct {
	Number uint64        `json:"number"`
	SHA256 string        `json:"sha256"` // told first
	Other  string        `json:"other"`  // told later
	ToldAt record.Micros `json:"told_at"`
}

// Anchor takes the newest ledger entry that the cloud told, at a time of the
// gateway's clock. news says that the book changed; fork, that this contradicts what
// the cloud told before, of which the book keeps the first. An anchor never goes back:
// an entry before the one that is known is passed over. So is what has not the form of
// an entry.
func (b *Book) Anchor(task string, number uint64, sha256 string, at record.Micros) (news, fork bool) {
	told := Anchor{Task: task, Number: number, SHA256: sha256, ToldAt: at}
	if told.check() != nil {
		return false, false
	}
	i := slices.IndexFunc(b.anchors, func(a Anchor) bool { return a.Task == task })
	if i < 0 {
		if len(b.anchors) >= MaxAnchors {
			oldest := max(0, slices.IndexFunc(b.anchors, func(a Anchor) bool { return a.Fork == nil }))
			b.anchors = slices.Delete(b.anchors, oldest, oldest+1)
		}
		b.anchors = append(b.anchors, told)
		return true, false
	}
	known := b.anchors[i]
	switch {
	case number < known.Number:
		return false, false
	case number == known.Number && sha256 == known.SHA256:
		return false, false
	case number == known.Number && known.Fork != nil:
		return false, true
	case number == known.Number:
		known.Fork, fork = &Fork{Number: number, SHA256: known.SHA256, Other: sha256, ToldAt: at}, true
	default:
		told.Fork = known.Fork
		known = told
	}
	b.anchors = append(slices.Delete(b.anchors, i, i+1), known) // the newest is last
	return true, fork
}

// Anchors returns the anchors, the one that was heard of last at the end.
func (b *Book) Anchors() []Anchor { return slices.Clone(b.anchors) }

// checkAnchors says whether anchors have the form of a book's. Error:
// record.ErrCorrupt.
func checkAnchors(anchors []Anchor) error {
	if len(anchors) > MaxAnchors {
		return fmt.Errorf("%d anchors: %w", len(anchors), record.ErrCorrupt)
	}
	known := make(map[string]bool, len(anchors))
	for i := range anchors {
		a := &anchors[i]
		if err := a.check(); err != nil {
			return err
		}
		if known[a.Task] {
			return fmt.Errorf("two anchors of task %s: %w", a.Task, record.ErrCorrupt)
		}
		known[a.Task] = true
	}
	return nil
}

func (a *Anchor) check() error {
	if !isTask(a.Task) || a.Number == 0 || !isEntryHash(a.SHA256) {
		return fmt.Errorf("anchor of task %.40q: %w", a.Task, record.ErrCorrupt)
	}
	if f := a.Fork; f != nil && (f.Number == 0 || f.Number > a.Number || !isEntryHash(f.SHA256) || !isEntryHash(f.Other) || f.SHA256 == f.Other) {
		return fmt.Errorf("fork of the ledger of task %s: %w", a.Task, record.ErrCorrupt)
	}
	return nil
}

func isTask(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= wire.MaxTaskBytes
}

func isEntryHash(s string) bool { return len(s) == 64 && isHex(s) }
