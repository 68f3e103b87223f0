package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Reader is what Walk reads; checkpoint.Store is one, seen through an adapter.
type Reader interface {
	// Read returns an object whole; an error that is ErrMissing when it is not
	// there.
	Read(ctx context.Context, name string) ([]byte, error)
	// List returns the names that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Walked is one entry as Walk found it.
type Walked struct {
	Entry
	Object string // that holds it: its own, or a fold
	SHA256 string // of its bytes
	Line   []byte // its bytes
}

// Walk returns the entries from tip back to the first one, newest first, each
// checked against the hash that the one after it names. The first error ends
// it: ErrMissing, ErrCorrupt, ErrVersion, or that of the store. Folds are read
// once each; memory is bounded by the largest fold.
func Walk(ctx context.Context, r Reader, task string, tip Tip) iter.Seq2[Walked, error] {
	return func(yield func(Walked, error) bool) {
		w := walker{reader: r, task: task}
		number, want := tip.Number, tip.SHA256
		for number > 0 {
			one, err := w.entry(ctx, number, want)
			if !yield(one, err) || err != nil {
				return
			}
			number, want = number-1, one.Previous
		}
	}
}

// walker finds entries in their objects.
type walker struct {
	reader Reader
	task   string
	names  map[uint64][]string // objects that may hold an entry, by number; nil: not listed yet
	folds  map[uint64]bool     // that are there, by first number
	fold   [][]byte            // the lines of the fold read last
	first  uint64              // its first number; 0: none
}

// entry returns the entry of a number with a hash.
func (w *walker) entry(ctx context.Context, number uint64, want string) (Walked, error) {
	if err := w.list(ctx); err != nil {
		return Walked{}, err
	}
	var seen string // an object that holds something else under this number
	for _, name := range w.names[number] {
		line, err := w.reader.Read(ctx, name)
		if errors.Is(err, ErrMissing) {
			continue // folded meanwhile
		}
		if err != nil {
			return Walked{}, fmt.Errorf("read %s: %w", name, err)
		}
		if Hash(line) == want {
			return w.found(number, name, line)
		}
		seen = name
	}
	if first := FoldOf(number); w.folds[first] || seen == "" {
		line, err := w.folded(ctx, first, number)
		if err != nil && !errors.Is(err, ErrMissing) {
			return Walked{}, err
		}
		if err == nil && Hash(line) == want {
			return w.found(number, FoldName(w.task, first), line)
		}
		if err == nil {
			seen = FoldName(w.task, first)
		}
	}
	if seen != "" {
		return Walked{}, fmt.Errorf("%w: entry %d of %s in %s has not the hash that the entry after it names", ErrCorrupt, number, w.task, seen)
	}
	return Walked{}, fmt.Errorf("%w: entry %d of %s", ErrMissing, number, w.task)
}

func (w *walker) found(number uint64, name string, line []byte) (Walked, error) {
	e, err := Decode(line)
	if err != nil {
		return Walked{}, fmt.Errorf("%s: %w", name, err)
	}
	if e.Number != number || e.Task != w.task {
		return Walked{}, fmt.Errorf("%w: entry %d of %s in %s says that it is %d of %s", ErrCorrupt, number, w.task, name, e.Number, e.Task)
	}
	return Walked{Entry: e, Object: name, SHA256: Hash(line), Line: line}, nil
}

// list finds the objects, once.
func (w *walker) list(ctx context.Context) error {
	if w.names != nil {
		return nil
	}
	names, err := w.reader.List(ctx, Folder(w.task))
	if err != nil {
		return fmt.Errorf("list the ledger of %s: %w", w.task, err)
	}
	w.names, w.folds = make(map[uint64][]string), make(map[uint64]bool)
	for _, name := range names {
		switch number, fold, ok := ParseName(name); {
		case !ok:
		case fold:
			w.folds[number] = true
		default:
			w.names[number] = append(w.names[number], name)
		}
	}
	return nil
}

// folded returns an entry's line from its fold.
func (w *walker) folded(ctx context.Context, first, number uint64) ([]byte, error) {
	if w.first != first {
		data, err := w.reader.Read(ctx, FoldName(w.task, first))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", FoldName(w.task, first), err)
		}
		w.first, w.fold = first, slices.Collect(bytes.Lines(data))
	}
	if i := number - first; i < uint64(len(w.fold)) {
		return w.fold[i], nil
	}
	return nil, fmt.Errorf("%w: entry %d of %s is not in its fold", ErrMissing, number, w.task)
}
