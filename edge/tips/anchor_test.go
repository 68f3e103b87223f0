package tips

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/record"
)

// entryHash is the hash of a ledger entry.
func entryHash(digit string) string { return strings.Repeat(digit, 64) }

// sampleAnchors are those of frozen files.
func sampleAnchors() []Anchor {
	return []Anchor{
		{Task: "0f3a-0002", Number: 7, SHA256: entryHash("a"), ToldAt: 1_780_000_000_000_000},
		{Task: strings.Repeat("z", 195) + "-0000", Number: 1 << 63, SHA256: entryHash("b"), ToldAt: 1_790_000_000_000_000,
			Fork: &Fork{Number: 5, SHA256: entryHash("c"), Other: entryHash("d"), ToldAt: 1_785_000_000_000_000}},
	}
}

// TestAnchor: an anchor moves forward only, each contradiction is told, the first one
// is kept, and it stays when the anchor moves on.
func TestAnchor(t *testing.T) {
	const task = "0f3a-0002"
	at := func(number uint64, digit string, when record.Micros) Anchor {
		return Anchor{Task: task, Number: number, SHA256: entryHash(digit), ToldAt: when}
	}
	forked := at(7, "a", 10)
	forked.Fork = &Fork{Number: 7, SHA256: entryHash("a"), Other: entryHash("b"), ToldAt: 20}
	moved := at(8, "e", 20)
	moved.Fork = forked.Fork
	for name, c := range map[string]struct {
		had, told  Anchor
		want       Anchor
		news, fork bool
	}{
		"the same again":             {had: at(7, "a", 10), told: at(7, "a", 20), want: at(7, "a", 10)},
		"a later entry":              {had: at(7, "a", 10), told: at(9, "b", 20), want: at(9, "b", 20), news: true},
		"an earlier entry":           {had: at(7, "a", 10), told: at(6, "b", 20), want: at(7, "a", 10)},
		"another entry":              {had: at(7, "a", 10), told: at(7, "b", 20), want: forked, news: true, fork: true},
		"a second contradiction":     {had: forked, told: at(7, "c", 30), want: forked, fork: true},
		"a contradiction again":      {had: forked, told: at(7, "b", 30), want: forked, fork: true},
		"what was told first":        {had: forked, told: at(7, "a", 30), want: forked},
		"a later one, contradicted":  {had: forked, told: at(8, "e", 20), want: moved, news: true},
		"an earlier one, contradict": {had: moved, told: at(7, "b", 30), want: moved},
		"no number":                  {had: at(7, "a", 10), told: at(0, "b", 20), want: at(7, "a", 10)},
		"no hash":                    {had: at(7, "a", 10), told: at(8, "z", 20), want: at(7, "a", 10)},
		"a task with a slash":        {had: at(7, "a", 10), told: Anchor{Task: "a/b", Number: 1, SHA256: entryHash("a")}, want: at(7, "a", 10)},
		"a task too long":            {had: at(7, "a", 10), told: Anchor{Task: strings.Repeat("a", 201), Number: 1, SHA256: entryHash("a")}, want: at(7, "a", 10)},
		"no task":                    {had: at(7, "a", 10), told: Anchor{Number: 1, SHA256: entryHash("a")}, want: at(7, "a", 10)},
	} {
		t.Run(name, func(t *testing.T) {
			b := Book{anchors: []Anchor{c.had}}
			news, fork := b.Anchor(c.told.Task, c.told.Number, c.told.SHA256, c.told.ToldAt)
			if news != c.news || fork != c.fork || !reflect.DeepEqual(b.Anchors(), []Anchor{c.want}) {
				t.Errorf("news %v, fork %v, %+v", news, fork, b.Anchors())
			}
		})
	}
}

// TestAContradictionIsNotPushedOut by anchors of other tasks, while one of these can go.
func TestAContradictionIsNotPushedOut(t *testing.T) {
	var b Book
	b.Anchor("forked", 1, entryHash("a"), 0)
	b.Anchor("forked", 1, entryHash("b"), 0)
	for n := range 2 * MaxAnchors {
		b.Anchor(fmt.Sprintf("task-%04d", n), 1, entryHash("a"), 0)
	}
	if all := b.Anchors(); len(all) != MaxAnchors || all[0].Task != "forked" || all[1].Task != fmt.Sprintf("task-%04d", MaxAnchors+1) {
		t.Fatalf("%d anchors: %+v", len(all), all)
	}
	for n := range 2 * MaxAnchors {
		b.Anchor(fmt.Sprintf("task-%04d", n), 2, entryHash("a"), 0)
		b.Anchor(fmt.Sprintf("task-%04d", n), 2, entryHash("b"), 0)
	}
	if all := b.Anchors(); len(all) != MaxAnchors || all[0].Task == "forked" {
		t.Errorf("%d anchors, all of them contradicted: %+v", len(all), all[0])
	}
}

// TestAnchorsAreBounded: the task goes that was heard of longest ago.
func TestAnchorsAreBounded(t *testing.T) {
	var b Book
	tell := func(n int, number uint64) { b.Anchor(fmt.Sprintf("task-%04d", n), number, entryHash("a"), 0) }
	for n := range MaxAnchors {
		tell(n, 1)
	}
	tell(0, 2)
	tell(MaxAnchors, 1)
	all := b.Anchors()
	if len(all) != MaxAnchors || all[0].Task != "task-0002" || all[MaxAnchors-2].Task != "task-0000" || all[MaxAnchors-1].Task != fmt.Sprintf("task-%04d", MaxAnchors) {
		t.Errorf("%d anchors: %+v", len(all), all)
	}
	p, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeBook(p); err != nil || !reflect.DeepEqual(back.Anchors(), all) {
		t.Errorf("read as %+v, %v", back, err)
	}
}

// TestAnchorsThatAreNone are in no book and in no document.
func TestAnchorsThatAreNone(t *testing.T) {
	good := sampleAnchors()[1]
	with := func(change func(a *Anchor, f *Fork)) []Anchor {
		a, f := good, *good.Fork
		a.Fork = &f
		change(&a, &f)
		return []Anchor{a}
	}
	many := make([]Anchor, MaxAnchors+1)
	for i := range many {
		many[i] = Anchor{Task: fmt.Sprintf("task-%04d", i), Number: 1, SHA256: entryHash("a")}
	}
	for name, anchors := range map[string][]Anchor{
		"no task":                  with(func(a *Anchor, _ *Fork) { a.Task = "" }),
		"capitals":                 with(func(a *Anchor, _ *Fork) { a.Task = "A-0000" }),
		"entry 0":                  with(func(a *Anchor, _ *Fork) { a.Number, a.Fork = 0, nil }),
		"a hash of 63":             with(func(a *Anchor, _ *Fork) { a.SHA256 = a.SHA256[1:] }),
		"a hash in capitals":       with(func(a *Anchor, _ *Fork) { a.SHA256 = strings.ToUpper(a.SHA256) }),
		"a fork of entry 0":        with(func(_ *Anchor, f *Fork) { f.Number = 0 }),
		"a fork beyond the anchor": with(func(a *Anchor, f *Fork) { f.Number = a.Number + 1 }),
		"a fork of one entry":      with(func(_ *Anchor, f *Fork) { f.Other = f.SHA256 }),
		"a fork without a hash":    with(func(_ *Anchor, f *Fork) { f.SHA256 = "" }),
		"a fork without another":   with(func(_ *Anchor, f *Fork) { f.Other = "" }),
		"a task twice":             {good, good},
		"too many":                 many,
	} {
		t.Run(name, func(t *testing.T) {
			body := sampleBody()
			body.Anchors = anchors
			doc, err := Encode(body, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := Decode(doc); !errors.Is(err, record.ErrCorrupt) {
				t.Errorf("document: %v", err)
			}
			p, err := (&Book{anchors: anchors}).Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeBook(p); !errors.Is(err, record.ErrCorrupt) {
				t.Errorf("book: %v", err)
			}
		})
	}
}
