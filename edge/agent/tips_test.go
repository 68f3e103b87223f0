package agent

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
)

// bookOf reads the book of a gateway's data directory.
func bookOf(t *testing.T, c Config) *tips.Book {
	t.Helper()
	p, err := os.ReadFile(c.TipsFile())
	if err != nil {
		t.Fatal(err)
	}
	b, err := tips.DecodeBook(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oneTip is the only tip under the gateway's name.
func oneTip(t *testing.T, c Config) tips.Tip {
	t.Helper()
	body := bookOf(t, c).Body(c.Gateway, 0)
	if len(body.Logs) != 1 || body.Merged.Count != 0 {
		t.Fatalf("%+v", body)
	}
	return body.Logs[0]
}

// runOnce runs a gateway until its file is forwarded.
func runOnce(t *testing.T, c Config) {
	t.Helper()
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// running runs a gateway until it is stopped.
func running(t *testing.T, c Config) (a *Agent, stop func()) {
	t.Helper()
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// stopped runs a gateway without a cloud until it has captured its file, and stops
// it.
func stopped(t *testing.T, c Config, records uint64) {
	t.Helper()
	a, stop := running(t, c)
	waitFor(t, func() bool { return a.Status().Forward.Pending == records })
	stop()
}

// restarted makes an Agent on a directory and closes it again: what a start does.
func restarted(t *testing.T, c Config, opt Options) {
	t.Helper()
	a, err := New(c, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// onDisk is the tip of the only log of a gateway, read from its segments.
func onDisk(t *testing.T, c Config) (tip tips.Tip) {
	t.Helper()
	s, err := seglog.Open(seglog.Config{FS: durable.ReadOnly(durable.OS{}), Dir: c.LogDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	log := s.Logs()[0]
	r, err := s.Reader(log.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var digest record.Digest
	for {
		item, err := r.Next()
		if err != nil || item.IsGap() {
			break
		}
		digest += item.Block.DigestRecords()
		tip = tips.Tip{Log: log.ID.String(), End: item.Block.End(), Digest: digest.String(), Chain: record.HashBlock(item.Block.Bytes).String()}
	}
	return tip
}

// TestTipAtAStop: the end of a log is in the book when it is closed, with what the
// cloud has of it, and what it has later.
func TestTipAtAStop(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t)) // nobody answers
	stopped(t, c, 101)
	want := onDisk(t, c)
	want.Closed = true
	if got := oneTip(t, c); got != want || got.End != 101 {
		t.Errorf("without a cloud: %+v, want %+v", got, want)
	}
	c.Forward.URL = cloud(t)
	runOnce(t, c)
	want.Acked = 101
	if got := oneTip(t, c); got != want {
		t.Errorf("with a cloud: %+v, want %+v", got, want)
	}
}

// TestTipOfALogThatIsAcknowledgedLater is noted before its segments may go, not
// only at a stop.
func TestTipOfALogThatIsAcknowledgedLater(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	stopped(t, c, 101)
	c.Forward.URL, c.Sources[0].File.Follow = cloud(t), true
	a, stop := running(t, c)
	defer stop()
	waitFor(t, func() bool { return a.Status().Forward.Pending == 0 })
	waitFor(t, func() bool { return oneTip(t, c).Acked == 101 })
}

// TestTipAfterAKill: the next start reads the end of a log that did not end in
// order, also in a directory of a program that kept no book.
func TestTipAfterAKill(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	c.Sources[0].File.Follow = true
	a, stop := running(t, c)
	waitFor(t, func() bool { return a.Status().Forward.Pending == 101 })
	killed := c
	waitFor(t, func() bool { // files that are being replaced come and go
		killed.DataDir = filepath.Join(t.TempDir(), "data")
		return os.CopyFS(killed.DataDir, os.DirFS(c.DataDir)) == nil
	})
	stop()
	if len(bookless(t, killed)) > 0 {
		t.Fatal("the running log is in the book already")
	}
	for _, c := range []Config{killed, killed} { // and stays as it is
		restarted(t, c, Options{})
		want := onDisk(t, c)
		want.Closed = true
		if got := oneTip(t, c); got != want || got.End != 101 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// bookless lists what the book of a directory has, which may have none.
func bookless(t *testing.T, c Config) []tips.Tip {
	t.Helper()
	b, err := loadTips(durable.OS{}, c.TipsFile())
	if err != nil {
		t.Fatal(err)
	}
	return b.Body(c.Gateway, 0).Logs
}

// TestTheBookIsEvidence: a log that ends earlier than it did ends where its tip says,
// over any number of starts, without a note and a marker of its own; and the loss at its
// end says the digest that is known.
func TestTheBookIsEvidence(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	stopped(t, c, 101)
	was := oneTip(t, c)
	names, err := filepath.Glob(c.LogDir() + "/*.seg")
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	p, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	clear(p[bytes.LastIndex(p, []byte("line 99"))-100:]) // the last block
	if err := os.WriteFile(names[0], p, 0o600); err != nil {
		t.Fatal(err)
	}
	notes, err := filepath.Glob(c.LogDir() + "/*.last")
	if err != nil || len(notes) != 1 || os.Remove(notes[0]) != nil || os.Remove(seglog.TailMarkerName(c.LogDir())) != nil {
		t.Fatalf("%v, %v", notes, err)
	}
	for range 2 {
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		log := a.store.Logs()[0]
		if log.End != was.End || a.store.Stats().TailLosses != 1 {
			t.Fatalf("the log ends at %d, want %d, and its end missed: %+v", log.End, was.End, a.store.Stats())
		}
		if d, ok := a.digestAt(log.ID, was.End); !ok || d.String() != was.Digest {
			t.Errorf("D(%d) is said to be %s, %v, want %s", was.End, d, ok, was.Digest)
		}
		if d, ok := a.digestAt(log.ID, was.End+1); ok {
			t.Errorf("D(%d) is said to be %s", was.End+1, d)
		}
		if err := a.store.Close(); err != nil {
			t.Fatal(err)
		}
		if got := oneTip(t, c); got != was {
			t.Errorf("%+v, was %+v", got, was)
		}
	}
}

// TestDamagedBook is set aside as it is, and begun again with what is on disk.
func TestDamagedBook(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	stopped(t, c, 101)
	was := oneTip(t, c)
	p, err := os.ReadFile(c.TipsFile())
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)/2] ^= 1
	if err := os.WriteFile(c.TipsFile(), p, 0o600); err != nil {
		t.Fatal(err)
	}
	restarted(t, c, Options{})
	if got := oneTip(t, c); got != was {
		t.Errorf("begun again with %+v, was %+v", got, was)
	}
	aside, err := filepath.Glob(c.TipsFile() + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("%v, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, p) {
		t.Errorf("set aside as %q, %v", kept, err)
	}
}

func TestNewerBookIsRefused(t *testing.T) {
	c := fileGateway(t, 1, "http://"+freeAddress(t))
	if err := errors.Join(os.MkdirAll(c.DataDir, 0o700), os.WriteFile(c.TipsFile(), []byte("landfall-tip-book 3 00000000\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, Options{}); !errors.Is(err, record.ErrVersion) {
		t.Errorf("%v", err)
	}
}

// TestTipsOfARenamedGateway: logs stay under the name under which they landed.
func TestTipsOfARenamedGateway(t *testing.T) {
	c := fileGateway(t, 100, cloud(t))
	runOnce(t, c)
	if err := os.Remove(c.TipsFile()); err != nil { // of a program that kept no book
		t.Fatal(err)
	}
	renamed := c
	renamed.Gateway = "other"
	for range 2 {
		runOnce(t, renamed)
		b := bookOf(t, c)
		if got := b.Body("ship", 0).Logs; len(got) != 1 || got[0].End != 101 || got[0].Acked != 101 {
			t.Errorf("under the old name: %+v", got)
		}
		if got := b.Body("other", 0).Logs; len(got) != 0 {
			t.Errorf("under the new name: %+v", got)
		}
	}
}

// TestARenamedGatewayKnowsItsLastBlock: the first log under the new name says with which
// block the last one under the old name ended, as its tips know it.
func TestARenamedGatewayKnowsItsLastBlock(t *testing.T) {
	c := fileGateway(t, 100, cloud(t))
	ended(t, c)
	was := bookOf(t, c).Body("ship", 0).Logs
	c.Gateway = "other"
	appendLines(t, &c, "one more line\r\n")
	ended(t, c)
	store, err := seglog.Open(seglog.Config{Dir: c.LogDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	logs := store.Logs()
	r, err := store.Reader(logs[len(logs)-1].ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	item, err := r.Next()
	if err != nil || item.IsGap() {
		t.Fatal(err, item.Gap)
	}
	for _, payload := range item.Block.Payloads {
		var first record.Record
		if err := item.Block.DecodeRecord(payload, &first); err != nil {
			t.Fatal(err)
		}
		o, err := record.DecodeOpening(first.Raw)
		if err != nil || len(was) != 1 || o.Prev.String() != was[0].Log || o.PrevEnd != was[0].End || o.PrevChain.String() != was[0].Chain {
			t.Errorf("opening %+v, %v; the tip before: %+v", o, err, was)
		}
		break
	}
}

// TestTipsOfAnUpgradedGateway: a gateway that kept no book for some time knows the
// logs that are on its disk and all that come after; its document names the log
// before the first one that it knows, so that an audit can tell which are older.
func TestTipsOfAnUpgradedGateway(t *testing.T) {
	c := fileGateway(t, 100, cloud(t))
	var opened []string
	run := func() {
		t.Helper()
		f, err := os.OpenFile(c.Sources[0].File.Path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("one more line\r\n"); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		logs := a.store.Logs()
		opened = append(opened, logs[len(logs)-1].ID.String())
	}
	for range 4 {
		run()
		if err := os.Remove(c.TipsFile()); err != nil { // of a program that kept no book
			t.Fatal(err)
		}
	}
	for range 2 {
		run()
	}
	body, err := c.Tips(t.Context(), durable.OS{}, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	older := len(opened) - len(body.Logs)
	if older < 1 || len(body.Logs) < 2 || body.Merged.Count != 0 {
		t.Fatalf("%d logs opened, the document: %+v", len(opened), body)
	}
	for i, l := range body.Logs {
		if l.Log != opened[older+i] || l.Previous != opened[older+i-1] {
			t.Errorf("log %d of the document is %s after %s, opened were %q", i, l.Log, l.Previous, opened)
		}
	}
}

// fullForTips is a disk without room for the book.
type fullForTips struct {
	durable.FS
	full bool
}

func (f *fullForTips) Create(name string) (durable.File, error) {
	if f.full && strings.Contains(name, "/tips") {
		return nil, durable.ErrNoSpace
	}
	return f.FS.Create(name)
}

// TestABookThatCannotBeWritten stops nothing, and is written as soon as it can be.
func TestABookThatCannotBeWritten(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	stopped(t, c, 101)
	if err := os.Remove(c.TipsFile()); err != nil {
		t.Fatal(err)
	}
	full := &fullForTips{FS: durable.OS{}, full: true}
	a, err := New(c, Options{FS: full})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.store.Close() }()
	if _, err := os.Stat(c.TipsFile()); err == nil {
		t.Fatal("there is a file")
	}
	full.full = false
	a.tips.acked(record.LogID{}, 0) // whatever is settled next
	if got := oneTip(t, c); got.End != 101 {
		t.Errorf("%+v", got)
	}
}
