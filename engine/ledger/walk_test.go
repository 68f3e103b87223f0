package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"landfall/engine/stream"
)

// shelf is a Reader of what is in a map.
type shelf struct {
	objects map[string][]byte
	reads   int
	before  func(name string) // called ahead of each Read; nil: nothing
}

func (s *shelf) Read(_ context.Context, name string) ([]byte, error) {
	if s.before != nil {
		s.before(name)
	}
	s.reads++
	data, ok := s.objects[name]
	if ok && data == nil {
		return nil, fmt.Errorf("read %s: %w: it is no object", name, ErrCorrupt)
	}
	if !ok {
		return nil, fmt.Errorf("read %s: %w", name, ErrMissing)
	}
	return data, nil
}

func (s *shelf) List(_ context.Context, prefix string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names, nil
}

// chain is a ledger of n entries, and its tip.
func chain(t *testing.T, n uint64) (*shelf, Tip) {
	t.Helper()
	s, tip := &shelf{objects: map[string][]byte{}}, Tip{}
	for number := uint64(1); number <= n; number++ {
		e := first()
		e.Number, e.Previous, e.Epoch = number, tip.SHA256, stream.Epoch(number)
		line := encoded(t, e)
		tip = Tip{Name: EntryName(e.Task, number, claimA), Number: number, SHA256: Hash(line)}
		s.objects[tip.Name] = line
	}
	return s, tip
}

// fold makes the fold of the entries from one to another.
func (s *shelf) fold(from, to uint64, keep bool) {
	var data []byte
	for number := from; number <= to; number++ {
		name := EntryName("a-0000", number, claimA)
		data = append(data, s.objects[name]...)
		if !keep {
			delete(s.objects, name)
		}
	}
	s.objects[FoldName("a-0000", from)] = data
}

// walk lists the numbers that a walk comes by, and its error.
func (s *shelf) walk(t *testing.T, tip Tip) ([]uint64, error) {
	t.Helper()
	var numbers []uint64
	for one, err := range Walk(t.Context(), s, "a-0000", tip) {
		if err != nil {
			return numbers, err
		}
		if one.SHA256 != Hash(one.Line) || !bytes.Equal(encoded(t, one.Entry), one.Line) || s.objects[one.Object] == nil {
			t.Errorf("entry %d: %+v", one.Number, one)
		}
		numbers = append(numbers, one.Number)
	}
	return numbers, nil
}

var backwards = []uint64{8, 7, 6, 5, 4, 3, 2, 1}

// TestWalkFindsEachEntry: single, folded, both, and beside those of attempts that
// came to nothing.
func TestWalkFindsEachEntry(t *testing.T) {
	for name, change := range map[string]func(s *shelf){
		"single":     func(*shelf) {},
		"folded":     func(s *shelf) { s.fold(1, 3, false); s.fold(4, 6, false) },
		"both":       func(s *shelf) { s.fold(1, 3, true) },
		"half gone":  func(s *shelf) { s.fold(1, 3, true); delete(s.objects, EntryName("a-0000", 2, claimA)) },
		"other size": func(s *shelf) { s.fold(1, 5, false) },
		"beside others": func(s *shelf) {
			for _, number := range []uint64{2, 5, 8, 9} {
				e := first()
				e.Number, e.Previous, e.Note = number, hashA, "an attempt"
				e.Claim = stream.ClaimID(strings.Repeat("0", 32)) // it is listed first
				s.objects[EntryName("a-0000", number, e.Claim)] = encoded(t, e)
			}
			s.objects["a-0000/ledger/README"] = []byte("x")
		},
		"a damaged fold beside its entries": func(s *shelf) {
			s.fold(1, 3, true)
			s.objects[FoldName("a-0000", 1)][5] ^= 1
		},
		"folded meanwhile": func(s *shelf) {
			s.before = func(name string) {
				if strings.Contains(name, "05-") {
					s.before = nil
					s.fold(1, 6, false)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, tip := chain(t, 8)
			change(s)
			if got, err := s.walk(t, tip); err != nil || !slices.Equal(got, backwards) {
				t.Errorf("walked %v, %v", got, err)
			}
		})
	}
}

// TestWalkSaysWhatIsWrong: with the number of the entry.
func TestWalkSaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *shelf, tip *Tip)
		want   error
		part   string
		walked int
	}{
		"missing":        {func(s *shelf, _ *Tip) { delete(s.objects, EntryName("a-0000", 5, claimA)) }, ErrMissing, "entry 5", 3},
		"damaged":        {func(s *shelf, _ *Tip) { s.objects[EntryName("a-0000", 5, claimA)][9] ^= 1 }, ErrCorrupt, "entry 5", 3},
		"another tip":    {func(_ *shelf, tip *Tip) { tip.SHA256 = hashA }, ErrCorrupt, "entry 8", 0},
		"no such tip":    {func(_ *shelf, tip *Tip) { tip.Number = 9 }, ErrMissing, "entry 9", 0},
		"fold too short": {func(s *shelf, _ *Tip) { s.fold(1, 3, false); cut(s, 1) }, ErrMissing, "entry 3", 5},
		"fold damaged":   {func(s *shelf, _ *Tip) { s.fold(1, 3, false); s.objects[FoldName("a-0000", 1)][9] ^= 1 }, ErrCorrupt, "entry 1", 7},
		"fold reordered": {func(s *shelf, _ *Tip) { s.fold(1, 3, false); swap(s, 1) }, ErrCorrupt, "entry 2", 6},
		"of another task": {func(s *shelf, tip *Tip) {
			e := first()
			e.Number, e.Previous, e.Task = 8, hashA, "b-0000"
			line := encoded(t, e)
			s.objects[tip.Name], tip.SHA256 = line, Hash(line)
		}, ErrCorrupt, "entry 8", 0},
		"of another number": {func(s *shelf, tip *Tip) {
			e := first()
			e.Number, e.Previous = 7, hashA
			line := encoded(t, e)
			s.objects[tip.Name], tip.SHA256 = line, Hash(line)
		}, ErrCorrupt, "entry 8", 0},
		"no entry": {func(s *shelf, tip *Tip) { s.objects[tip.Name], tip.SHA256 = []byte("x\n"), Hash([]byte("x\n")) }, ErrCorrupt, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, tip := chain(t, 8)
			test.change(s, &tip)
			got, err := s.walk(t, tip)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.part) || len(got) != test.walked {
				t.Errorf("walked %v, %v", got, err)
			}
		})
	}
}

// cut takes the last line off a fold.
func cut(s *shelf, first uint64) {
	data := s.objects[FoldName("a-0000", first)]
	at := bytes.LastIndexByte(data[:len(data)-1], '\n')
	s.objects[FoldName("a-0000", first)] = data[:at+1]
}

// swap exchanges the first two lines of a fold of three.
func swap(s *shelf, first uint64) {
	lines := bytes.SplitAfter(s.objects[FoldName("a-0000", first)], []byte("\n"))
	s.objects[FoldName("a-0000", first)] = bytes.Join([][]byte{lines[1], lines[0], lines[2]}, nil)
}

// TestWalkReadsAFoldOnce: and none of the entries that it holds.
func TestWalkReadsAFoldOnce(t *testing.T) {
	s, tip := chain(t, 8)
	s.fold(1, 3, true)
	s.fold(4, 6, false)
	if _, err := s.walk(t, tip); err != nil || s.reads != 4 {
		t.Errorf("%d reads, %v", s.reads, err)
	}
}

// TestWalkEndsWhenItIsTold: and with no ledger at all it comes by nothing.
func TestWalkEndsWhenItIsTold(t *testing.T) {
	s, tip := chain(t, 8)
	for one := range Walk(t.Context(), s, "a-0000", tip) {
		if one.Number == 7 {
			break
		}
	}
	if s.reads != 2 {
		t.Errorf("%d reads", s.reads)
	}
	if got, err := s.walk(t, Tip{}); err != nil || len(got) != 0 {
		t.Errorf("walked %v, %v", got, err)
	}
}

// TestWalkPassesWhatIsNoObject: something that is no object and has the name of a
// second entry of a number, or of a fold, hides nothing; in the place of an entry it is
// that entry damaged.
func TestWalkPassesWhatIsNoObject(t *testing.T) {
	s, tip := chain(t, 3)
	task, _, _ := strings.Cut(tip.Name, "/")
	s.objects[EntryName(task, 2, "00000000000000000000000000000000")] = nil
	s.objects[FoldName(task, 1)] = nil
	n := 0
	for _, err := range Walk(t.Context(), s, task, tip) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 3 {
		t.Errorf("%d entries", n)
	}
	s.objects[tip.Name] = nil
	for _, err := range Walk(t.Context(), s, task, tip) {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("in its place: %v", err)
		}
	}
}
