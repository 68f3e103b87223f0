package agent

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	told "landfall/engine/published"
)

// entryOf is an entry of a ledger as the cloud tells it; the same number has the
// same hash.
func entryOf(number uint64) wire.LedgerTip {
	return wire.LedgerTip{Task: "0f3a-0000", Number: number, SHA256: strings.Repeat(string('a'+rune(number%6)), 64)}
}

// anchorIn returns the number of the anchor in a book's file; 0: it has none.
func anchorIn(t *testing.T, fsys durable.FS, path string) uint64 {
	t.Helper()
	book, err := loadTips(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	all := book.Anchors()
	if len(all) == 0 {
		return 0
	}
	if want := entryOf(all[0].Number); len(all) > 1 || all[0].Task != want.Task || all[0].SHA256 != want.SHA256 {
		t.Fatalf("%+v", all)
	}
	return all[0].Number
}

// TestAnchorsAreWrittenSeldom: the first at once, then one in ten minutes, and what
// is not written yet with whatever else is written.
func TestAnchorsAreWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		store, err := seglog.Open(seglog.Config{FS: fsys, Dir: "/data/log", SegmentBytes: seglog.MinSegmentBytes})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		c := &Config{Gateway: "ship", DataDir: "/data"}
		book, err := openTips(c, &Options{FS: fsys, Clock: clock.NewSystem(clock.BootID{}), Logger: slog.New(slog.DiscardHandler)}, store, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			wait time.Duration
			tell uint64
			want uint64 // in the file
		}{
			{0, 1, 1}, {0, 2, 1}, {anchorsEvery - 1, 3, 1}, {1, 3, 3}, {anchorsEvery, 2, 3}, {0, 3, 3}, {0, 9, 9}, {time.Second, 10, 9},
		} {
			time.Sleep(step.wait)
			book.anchored(entryOf(step.tell))
			if got := anchorIn(t, fsys, c.TipsFile()); got != step.want {
				t.Errorf("%s later, told entry %d: entry %d is in the file, want %d", step.wait, step.tell, got, step.want)
			}
		}
		book.addEnded("ship", store, nil)
		if got := anchorIn(t, fsys, c.TipsFile()); got != 10 {
			t.Errorf("after a stop entry %d is in the file", got)
		}
	})
}

// TestAnAnchorThatCannotBeWritten is tried again, and costs no anchor.
func TestAnAnchorThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New()
		if err := durable.MkdirAllSync(fsys, "/data"); err != nil {
			t.Fatal(err)
		}
		book := &tipBook{fs: fsys, path: "/data/tips", clock: clock.NewSystem(clock.BootID{}), logger: slog.New(slog.DiscardHandler), book: new(tips.Book)}
		fsys.Script(faultfs.Fault{On: faultfs.OpSync, N: 1, Mode: faultfs.FailNotStored})
		book.anchored(entryOf(1))
		if got := anchorIn(t, fsys, "/data/tips"); got != 0 {
			t.Fatalf("entry %d was written", got)
		}
		time.Sleep(anchorsEvery)
		book.anchored(entryOf(1)) // no news, and not in the file yet
		if got := anchorIn(t, fsys, "/data/tips"); got != 1 {
			t.Errorf("entry %d is in the file", got)
		}
	})
}

// allPublished says that whatever has landed is published, with entry 7.
type allPublished struct{ *embedded.Log }

func (a allPublished) Of(gateway string, id record.LogID) (told.Log, bool) {
	l := told.Log{Gateway: gateway, Task: entryOf(7).Task, Ledger: ledger.Tip{Number: 7, SHA256: entryOf(7).SHA256}}
	if tail, ok := a.Tail(gateway); ok && tail.Log == id {
		l.Next, l.Hash = tail.Next, tail.Hash
	}
	return l, true
}

func (allPublished) Wanted(string, record.LogID) (record.Offset, bool) { return 0, false }

func (allPublished) Newest(string) (record.LogID, record.Offset, bool) {
	return record.LogID{}, 0, false
}

func (allPublished) Count(string) told.Count { return told.Count{} }

func (allPublished) AgainIn() time.Duration { return 0 }

func (allPublished) Lake() string { return "" }

// TestWhatTheCloudTellsOfItsLedger is in the gateway's book and in its document.
func TestWhatTheCloudTellsOfItsLedger(t *testing.T) {
	c := fileGateway(t, 100, cloudOf(t, func(l *embedded.Log) ingest.Published { return allPublished{l} }))
	runOnce(t, c)
	if got := anchorIn(t, durable.OS{}, c.TipsFile()); got != 7 {
		t.Errorf("the book's anchor is entry %d", got)
	}
	body, err := c.Tips(t.Context(), durable.OS{}, "", time.Now())
	if err != nil || len(body.Anchors) != 1 || body.Anchors[0].Number != 7 || body.Anchors[0].ToldAt == 0 {
		t.Errorf("%+v, %v", body.Anchors, err)
	}
}

// TestAForkedLedgerIsRed: two entries of one number are shown, and are in the
// document, with the anchor.
func TestAForkedLedgerIsRed(t *testing.T) {
	c := fileGateway(t, 1, "http://"+freeAddress(t))
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.store.Close() }()
	a.tips.anchored(entryOf(7))
	if s := a.Status(); strings.Contains(strings.Join(s.Reasons, "\n"), "ledger") {
		t.Errorf("%q", s.Reasons)
	}
	other := entryOf(7)
	other.SHA256 = strings.Repeat("0", 64)
	for range 2 { // the second is no news
		a.tips.anchored(other)
	}
	if book, err := loadTips(durable.OS{}, c.TipsFile()); err != nil || len(book.Anchors()) != 1 || book.Anchors()[0].Fork == nil {
		t.Errorf("a crash would have forgotten it: %+v, %v", book, err)
	}
	if s := a.Status(); s.Healthy || strings.Count(strings.Join(s.Reasons, "\n"), "two different entries 7 of the ledger of task 0f3a-0000") != 1 {
		t.Errorf("%q", s.Reasons)
	}
	a.tips.forks = nil // as a restart does
	a.tips.anchored(other)
	if s := a.Status(); s.Healthy || !strings.Contains(strings.Join(s.Reasons, "\n"), "two different entries 7") {
		t.Errorf("told again after a restart: %q", s.Reasons)
	}
	a.tips.addEnded(c.Gateway, a.store, nil)
	body, err := c.Tips(t.Context(), durable.OS{}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(body.Anchors) != 1 || body.Anchors[0].Number != 7 || body.Anchors[0].Fork == nil || body.Anchors[0].Fork.Other != other.SHA256 {
		t.Errorf("%+v", body.Anchors)
	}
}
