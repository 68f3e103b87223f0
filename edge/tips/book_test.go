package tips

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"landfall/edge/record"
)

func logNumber(n int) string { return fmt.Sprintf("%032x", n+1) }

// closedLog is a log that the cloud has whole.
func closedLog(n int) Tip {
	t := Tip{Log: logNumber(n), End: record.Offset(n + 10), Digest: fmt.Sprint(n), Chain: idOf("c"), Closed: true, Acked: record.Offset(n + 10)}
	if n > 0 {
		t.Previous = logNumber(n - 1)
	}
	return t
}

// TestATipIsNeverLowered: what was known of a log stays, and what is new of it is
// added.
func TestATipIsNeverLowered(t *testing.T) {
	was := Tip{Log: idOf("a"), Previous: idOf("9"), End: 100, Digest: "7", Chain: idOf("c"), Closed: true, Acked: 50}
	for name, c := range map[string]struct{ had, found, want Tip }{
		"the same":               {was, was, was},
		"an earlier end":         {was, Tip{Log: was.Log, End: 90, Digest: "6", Chain: idOf("b"), Acked: 90}, with(was, func(t *Tip) { t.Acked = 90 })},
		"less acknowledged":      {was, with(was, func(t *Tip) { t.Acked = 40 }), was},
		"open again":             {was, with(was, func(t *Tip) { t.Closed = false }), was},
		"another digest":         {was, with(was, func(t *Tip) { t.Digest, t.Chain = "8", idOf("d") }), was},
		"nothing known any more": {was, with(was, func(t *Tip) { t.Digest, t.Chain = "", "" }), was},
		"a later end":            {was, Tip{Log: was.Log, End: 101, Digest: "9", Chain: idOf("d")}, with(was, func(t *Tip) { t.End, t.Digest, t.Chain = 101, "9", idOf("d") })},
		"a later end, no digest": {was, Tip{Log: was.Log, End: 101}, with(was, func(t *Tip) { t.End, t.Digest, t.Chain = 101, "", "" })},
		"its digest":             {with(was, func(t *Tip) { t.Digest = "" }), was, was},
		"its chain":              {with(was, func(t *Tip) { t.Chain = "" }), was, was},
		"closed":                 {with(was, func(t *Tip) { t.Closed = false }), was, was},
	} {
		t.Run(name, func(t *testing.T) {
			var b Book
			b.Learn("g", []Tip{c.had})
			if news := b.Learn("g", []Tip{c.found}); news != (c.had != c.want) {
				t.Errorf("news: %v", news)
			}
			if got := b.Body("g", 0).Logs; !reflect.DeepEqual(got, []Tip{c.want}) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func with(t Tip, change func(*Tip)) Tip {
	change(&t)
	return t
}

// TestNoTipIsForgotten: beyond MaxLogs the oldest are merged, in order, when the
// cloud has them whole, and every log is counted once, also after the store shows
// merged ones again.
func TestNoTipIsForgotten(t *testing.T) {
	const logs = MaxLogs + 40
	var b Book
	want := Merged{}
	for n := range logs {
		if !b.Learn("g", []Tip{closedLog(n)}) {
			t.Fatalf("log %d is no news", n)
		}
		if n < 40 {
			want = want.Merge(closedLog(n))
		}
	}
	check := func(when string) {
		t.Helper()
		body := b.Body("g", 0)
		if body.Merged != want || len(body.Logs) != MaxLogs || body.Logs[0] != closedLog(40) || body.Logs[MaxLogs-1] != closedLog(logs-1) {
			t.Errorf("%s: merged %+v, want %+v; %d logs from %+v", when, body.Merged, want, len(body.Logs), body.Logs[0])
		}
	}
	check("filled")
	b.Learn("g", []Tip{closedLog(38), closedLog(39)})
	b.Learn("g", []Tip{closedLog(20), closedLog(50)})
	check("merged logs seen again")
}

// TestUnacknowledgedTipsAreNotMerged, nor those after them, before there are far
// too many.
func TestUnacknowledgedTipsAreNotMerged(t *testing.T) {
	for name, change := range map[string]func(*Tip){
		"not acknowledged": func(t *Tip) { t.Acked-- },
		"not closed":       func(t *Tip) { t.Closed = false },
	} {
		t.Run(name, func(t *testing.T) {
			var b Book
			found := []Tip{with(closedLog(0), change)}
			for n := 1; n < MaxLogs+10; n++ {
				found = append(found, closedLog(n))
			}
			b.Learn("g", found)
			if body := b.Body("g", 0); body.Merged.Count != 0 || len(body.Logs) != MaxLogs+10 {
				t.Errorf("%d merged, %d logs", body.Merged.Count, len(body.Logs))
			}
			b.Learn("g", []Tip{closedLog(0)})
			if body := b.Body("g", 0); body.Merged.Count != 10 || len(body.Logs) != MaxLogs {
				t.Errorf("once it is: %d merged, %d logs", body.Merged.Count, len(body.Logs))
			}
		})
	}
	var b Book
	for n := range maxUnacked + 5 {
		b.Learn("g", []Tip{with(closedLog(n), func(t *Tip) { t.Acked = 0 })})
	}
	if body := b.Body("g", 0); body.Merged.Count != 5 || len(body.Logs) != maxUnacked {
		t.Errorf("%d merged, %d logs", body.Merged.Count, len(body.Logs))
	}
}

func TestAcked(t *testing.T) {
	var b Book
	b.Learn("g", []Tip{with(closedLog(0), func(t *Tip) { t.Acked = 3 })})
	for _, c := range []struct {
		log   string
		below record.Offset
		news  bool
		want  record.Offset
	}{{logNumber(0), 3, false, 3}, {logNumber(0), 2, false, 3}, {logNumber(7), 9, false, 3}, {logNumber(0), 10, true, 10}} {
		if news := b.Acked(c.log, c.below); news != c.news || b.Body("g", 0).Logs[0].Acked != c.want {
			t.Errorf("%s below %d: news %v, %+v", c.log, c.below, news, b.Body("g", 0).Logs[0])
		}
	}
}

// TestRenamedGateway: each name has the logs of its time.
func TestRenamedGateway(t *testing.T) {
	var b Book
	b.Learn("old", []Tip{closedLog(0), closedLog(1)})
	b.Learn("new", []Tip{closedLog(1), closedLog(2)})
	p, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeBook(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := back.Body("old", 0).Logs; !reflect.DeepEqual(got, []Tip{closedLog(0), closedLog(1)}) {
		t.Errorf("old: %+v", got)
	}
	if got := back.Body("new", 0).Logs; !reflect.DeepEqual(got, []Tip{closedLog(2)}) {
		t.Errorf("new: %+v", got)
	}
	if got := back.Names(); !reflect.DeepEqual(got, []string{"old", "new"}) || len(back.Body("other", 0).Logs) != 0 {
		t.Errorf("names %q", got)
	}
}

func TestBooksThatAreNone(t *testing.T) {
	b := sampleBook()
	p, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		book string
		want error
	}{
		"empty":   {"", record.ErrCorrupt},
		"cut":     {string(p[:len(p)-5]), record.ErrCorrupt},
		"newer":   {"landfall-tip-book 3 00000000\n", record.ErrVersion},
		"bit":     {string(append(append([]byte{}, p[:60]...), append([]byte{p[60] ^ 1}, p[61:]...)...)), record.ErrCorrupt},
		"other":   {"landfall-forward 1 00000000\n", record.ErrCorrupt},
		"content": {summed("{\"names\":[{\"gateway\":\"\"}]}\n"), record.ErrCorrupt},
		"a list":  {summed("[]\n"), record.ErrCorrupt},
		"anchor":  {summed("{\"names\":[],\"anchors\":[{\"task\":\"a-0000\",\"number\":0}]}\n"), record.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeBook([]byte(c.book)); !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func sampleBook() *Book {
	b := new(Book)
	b.names = []remembered{{Gateway: "mv-old", Logs: []Tip{closedLog(0)}}, {Gateway: sampleBody().Gateway, Merged: sampleBody().Merged, Logs: sampleBody().Logs}}
	b.anchors = sampleAnchors()
	return b
}

// FuzzBook: no file takes the reader down, and what it takes reads the same when
// it is written again.
func FuzzBook(f *testing.F) {
	p, err := sampleBook().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte(summed("{}\n")))
	v1, err := os.ReadFile(filepath.Join("testdata", "formats", "book-v1.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v1)
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := DecodeBook(p)
		if err != nil {
			return
		}
		again, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeBook(again)
		if err != nil || !reflect.DeepEqual(back.Names(), b.Names()) {
			t.Errorf("written again: %v", err)
		}
	})
}

// TestInOrder: logs stand in the order in which they were opened, also where a gateway
// got an earlier name again, and where what a log says of the one before leads nowhere.
func TestInOrder(t *testing.T) {
	var b Book
	b.Learn("old", []Tip{closedLog(0), closedLog(1)})
	b.Learn("new", []Tip{closedLog(1), closedLog(2), closedLog(3)})
	b.Learn("old", []Tip{closedLog(3), closedLog(4)})
	var got []string
	for _, k := range b.InOrder() {
		got = append(got, k.Gateway+k.Log)
	}
	var want []string
	for n, name := range []string{"old", "old", "new", "new", "old"} {
		want = append(want, name+logNumber(n))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	ring := Book{names: []remembered{{Logs: []Tip{{Log: "a", Previous: "b"}, {Log: "b", Previous: "a"}, {Log: "c", Previous: "gone"}}}}}
	if n := len(ring.InOrder()); n != 3 {
		t.Errorf("%d of 3 logs in a ring", n)
	}
}
