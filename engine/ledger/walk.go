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
	// there, ErrCorrupt when what has the name is none.
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
	listed bool
	names  map[uint64][]string // objects of one entry each, by number
	folds  []uint64            // first numbers of the folds that are there, ascending
	fold   [][]byte            // the lines of the fold read last
	first  uint64              // its first number; 0: none
}

// entry returns the entry of a number with a hash. Entries are folded while
// others walk: what is not found is looked for once more under a new list.
func (w *walker) entry(ctx context.Context, number uint64, want string) (Walked, error) {
	if w.listed {
		if one, err := w.find(ctx, number, want); !errors.Is(err, ErrMissing) && !errors.Is(err, ErrCorrupt) {
			return one, err
		}
	}
	if err := w.list(ctx); err != nil {
		return Walked{}, err
	}
	return w.find(ctx, number, want)
}

// find looks where the list says.
func (w *walker) find(ctx context.Context, number uint64, want string) (Walked, error) {
	var objects []string // the fold first: it is read already, or saves reading others
	at, exact := slices.BinarySearch(w.folds, number)
	if !exact {
		at--
	}
	if at >= 0 {
		objects = append(objects, FoldName(w.task, w.folds[at]))
	}
	objects = append(objects, w.names[number]...)
	var seen string // an object that holds something else under this number
	for _, name := range objects {
		line, err := w.read(ctx, name, number)
		switch {
		case errors.Is(err, ErrMissing):
		case errors.Is(err, ErrCorrupt): // no object; another one may hold the entry
			seen = name
		case err != nil:
			return Walked{}, err
		case Hash(line) == want:
			return w.found(number, name, line)
		default:
			seen = name
		}
	}
	if seen != "" {
		return Walked{}, fmt.Errorf("%w: entry %d of %s in %s does not have the hash that the entry after it names", ErrCorrupt, number, w.task, seen)
	}
	return Walked{}, fmt.Errorf("%w: entry %d of %s", ErrMissing, number, w.task)
}

// read returns the line of an entry from its own object or from a fold.
func (w *walker) read(ctx context.Context, name string, number uint64) ([]byte, error) {
	first, fold, _ := ParseName(name)
	if fold {
		return w.folded(ctx, first, number)
	}
	line, err := w.reader.Read(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return line, nil
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

// list finds the objects.
func (w *walker) list(ctx context.Context) error {
	names, err := w.reader.List(ctx, Folder(w.task))
	if err != nil {
		return fmt.Errorf("list the ledger of %s: %w", w.task, err)
	}
	w.listed, w.names, w.folds, w.first = true, make(map[uint64][]string), nil, 0
	for _, name := range names {
		switch number, fold, ok := ParseName(name); {
		case !ok:
		case fold:
			w.folds = append(w.folds, number)
		default:
			w.names[number] = append(w.names[number], name)
		}
	}
	slices.Sort(w.folds)
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
