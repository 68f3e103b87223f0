package agent

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
)

// older is a log that the store of the fault matrix has no more: only the book
// knows it.
var older = tips.Tip{Log: strings.Repeat("a", 32), End: 500, Digest: "5", Chain: strings.Repeat("c", 32), Closed: true, Acked: 500}

// TestBookFaultMatrix: every operation on the book's file fails in each way, and
// the power goes after it. What the book knew it still knows, or the file that
// could not be read is set aside; and the next start knows every log.
func TestBookFaultMatrix(t *testing.T) {
	store, err := seglog.Open(seglog.Config{FS: faultfs.New(), Dir: "/log", SegmentBytes: seglog.MinSegmentBytes, CapturedRecords: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var b record.Builder
	b.Reset()
	if err := b.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(&b); err != nil {
		t.Fatal(err)
	}
	ops := bookLife(t, store, faultfs.Fault{}, faultfs.KeepAll)
	if ops < 10 {
		t.Fatalf("only %d operations", ops)
	}
	for _, mode := range faultfs.Modes() {
		for _, loss := range faultfs.Losses() {
			t.Run(fmt.Sprintf("%s/%s", mode, loss), func(t *testing.T) {
				for n := range ops {
					bookLife(t, store, faultfs.Fault{On: faultfs.OpAny, N: n + 1, Mode: mode}, loss)
				}
			})
		}
	}
}

// bookLife opens a book, hears of a ledger entry and of an acknowledgement, stops,
// loses power and starts again. It returns the number of operations before the loss.
func bookLife(t *testing.T, store *seglog.Store, fault faultfs.Fault, loss faultfs.Loss) (ops int) {
	t.Helper()
	fsys := faultfs.New()
	c := &Config{Gateway: "ship", DataDir: "/data"}
	if err := durable.MkdirAllSync(fsys, c.DataDir); err != nil {
		t.Fatal(err)
	}
	before := new(tips.Book)
	before.Learn("ship", []tips.Tip{older})
	p, err := before.Encode()
	if err == nil {
		err = durable.WriteFileAtomic(fsys, c.TipsFile(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	fsys.Script(fault)
	opt := &Options{FS: fsys, Clock: clock.NewSystem(clock.BootID{}), Logger: slog.New(slog.DiscardHandler)}
	log := store.Logs()[0]
	if book, err := openTips(c, opt, store, "", nil); err == nil {
		book.anchored(entryOf(1))
		book.acked(log.ID, log.End)
		book.anchored(entryOf(2))
		book.addEnded("ship", store, map[record.LogID]record.Offset{log.ID: log.End})
	}
	ops = len(fsys.Ops())
	fsys.Crash(loss, 1)

	book, err := openTips(c, opt, store, "", map[record.LogID]record.Offset{log.ID: log.End})
	if err != nil {
		t.Fatalf("%v: the next start: %v", fault, err)
	}
	if got, ok := book.book.Find(record.LogID([]byte(strings.Repeat("\xaa", 16)))); (!ok || got != older) && (fault.Mode != faultfs.MediaError || !setAside(t, fsys)) {
		t.Errorf("%v: the older log is known as %+v, %v", fault, got, ok)
	}
	kept, err := loadTips(fsys, c.TipsFile())
	if err != nil {
		t.Fatalf("%v: %v", fault, err)
	}
	if got, ok := kept.Find(log.ID); !ok || got.End != log.End || got.Acked != log.End || !got.Closed {
		t.Errorf("%v: the log is known as %+v, %v", fault, got, ok)
	}
	if got := anchorIn(t, fsys, c.TipsFile()); got > 2 || got < 2 && fault == (faultfs.Fault{}) {
		t.Errorf("%v: the anchor is entry %d", fault, got)
	}
	return ops
}

func setAside(t *testing.T, fsys durable.FS) bool {
	t.Helper()
	entries, err := fsys.ReadDir("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "tips.damaged-") {
			return true
		}
	}
	return false
}
