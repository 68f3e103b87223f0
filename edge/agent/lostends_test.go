package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// cutLog cuts the newest segment of a gateway's log off behind its header.
func cutLog(t *testing.T, c *Config) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.LogDir(), "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("segments %q, %v", names, err)
	}
	if err := os.Truncate(slices.Max(names), 4096+400); err != nil {
		t.Fatal(err)
	}
}

// runAgent runs a gateway until it ends by itself.
func runAgent(t *testing.T, c Config) Status {
	t.Helper()
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a.Status()
}

// heldAgent runs a gateway until its file waits for an operator, and what is to be sent
// is sent: nothing of the file is read.
func heldAgent(t *testing.T, c Config) Status {
	t.Helper()
	a, stop := running(t, c)
	waitFor(t, func() bool {
		s := a.Status()
		return s.Sources[0].State == "absent" && strings.Contains(s.Sources[0].Detail, "(--log)") && s.Forward.Pending == 0
	})
	s := a.Status()
	stop()
	if s.Capture.Records != 0 {
		t.Errorf("%d records were read again before anybody acknowledged", s.Capture.Records)
	}
	return s
}

// TestALostEndTurnsHealthRed: the end of the log that the disk lost turns health red with
// its number, over restarts too, until it is acknowledged; what the cloud had not got is
// declared to it as lost, and nothing else. So also where the cloud had all of it.
func TestALostEndTurnsHealthRed(t *testing.T) {
	for _, landed := range []bool{false, true} {
		c := fileGateway(t, 50, cloud(t))
		if landed {
			if s := runAgent(t, c); s.Log.LostEnds != 0 || !s.Log.LostEndsAcknowledged || s.Log.TailMarks == 0 {
				t.Fatalf("%+v", s.Log)
			}
		} else {
			capture := c
			capture.Forward.URL = "http://" + freeAddress(t) // nobody answers
			a, err := New(capture, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			waitFor(t, func() bool { return a.Status().Forward.Pending == 51 })
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		cutLog(t, &c)
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := os.ReadFile(c.LostEndsFile()); err != nil || !strings.Contains(string(list), `"count":1`) {
			t.Errorf("landed %t: not written down before a record is taken: %q, %v", landed, list, err)
		}
		if err := a.store.Close(); err != nil { // it is killed
			t.Fatal(err)
		}
		for start := range 2 {
			s := heldAgent(t, c)
			said := slices.ContainsFunc(s.Reasons, func(r string) bool {
				return strings.Contains(r, "the end of a log 1 time, ") && strings.Contains(r, "acknowledge --log")
			})
			if !said || start == 1 && len(s.Reasons) != 2 || s.Log.LostEnds != 1 || s.Log.LostEndsAcknowledged {
				t.Errorf("landed %t, start %d: reasons %q, %+v", landed, start, s.Reasons, s.Log)
			}
			if start == 0 && s.Log.TailLostOffsets == 0 {
				t.Errorf("landed %t: not counted: %+v", landed, s.Log)
			}
			if last := s.Log.LastLostEnd; !strings.Contains(last, " to 50 of log") || strings.Contains(last, "had all of them") != landed {
				t.Errorf("landed %t: %q", landed, last)
			}
			if n := s.Forward.LossBlocks; start == 0 && (n > 0) == landed || s.Forward.Pending > 0 {
				t.Errorf("landed %t: %d losses declared, %d pending", landed, n, s.Forward.Pending)
			}
		}
		if err := c.AcknowledgeLostEnds(durable.OS{}, 1, heldAgent(t, c).Log.LastLostEnd); err != nil {
			t.Fatal(err)
		}
		if s := runAgent(t, c); !s.Healthy || s.Log.LostEnds != 1 || !s.Log.LostEndsAcknowledged || s.Capture.Records == 0 {
			t.Errorf("landed %t: acknowledged, and %q, %+v", landed, s.Reasons, s.Log)
		}
	}
}

// TestWhatLandedIsTheLeast: a log that ends below what the cloud has acknowledged turns
// health red without any marker: the state of forwarding knows better.
func TestWhatLandedIsTheLeast(t *testing.T) {
	c := fileGateway(t, 50, cloud(t))
	if s := runAgent(t, c); !s.Healthy {
		t.Fatalf("%q", s.Reasons)
	}
	for _, name := range []string{seglog.TailMarkerName(c.LogDir()), c.TipsFile()} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	notes, _ := filepath.Glob(filepath.Join(c.LogDir(), "*.last"))
	for _, name := range notes {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	cutLog(t, &c)
	if s := heldAgent(t, c); s.Healthy || !strings.Contains(s.Log.LastLostEnd, "had all of them") {
		t.Errorf("%q, %+v", s.Reasons, s.Log)
	}
}

// TestTheCloudHasMore: an answer that shows a log longer than it is here is a lost end.
func TestTheCloudHasMore(t *testing.T) {
	a, err := New(fileGateway(t, 1, "http://127.0.0.1:1"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.store.Close() }()
	for range 2 {
		a.lost.ahead(record.LogID{1}, 90, 100)
	}
	a.lost.ahead(record.LogID{1}, 90, 101)
	if n, last := a.lost.told(); n != 1 || !strings.Contains(last, "11 offsets, 90 to 100 of log 01") || !strings.Contains(last, "had all of them") {
		t.Errorf("%d lost ends, the last %q", n, last)
	}
}

// TestLostEndsAreKept: the list is written before anything else can forget the loss, its
// length is bounded and its count is not, and a damaged one is red again though it was
// acknowledged.
func TestLostEndsAreKept(t *testing.T) {
	fsys := faultfs.New()
	c := Config{DataDir: "/data"}
	open := func() (*lostEnds, error) {
		opt := Options{FS: fsys}
		if err := opt.setDefaults(); err != nil {
			t.Fatal(err)
		}
		s, err := seglog.Open(c.storeConfig(fsys, opt.Logger))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return openLostEnds(&c, &opt, s, nil)
	}
	c.Log.SegmentSize, c.Log.WhenFull = 1<<20, "block"
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		l.add(seglog.TailLoss{Log: record.LogID{byte(i + 1)}, From: 1, To: 2}, 0)
	}
	l.flush()
	fsys.Crash(faultfs.LoseAll, 1)
	if l, err = open(); err != nil {
		t.Fatal(err)
	}
	if n, last := l.told(); n != 40 || len(l.list.Ends) != lostKept || !strings.Contains(last, "1 of log 28") {
		t.Fatalf("%d kept, %d, the last %q", len(l.list.Ends), n, last)
	}
	_, last := l.told()
	if err := c.AcknowledgeLostEnds(fsys, 40, last); err != nil {
		t.Fatal(err)
	}
	p, err := durable.ReadFile(fsys, c.LostEndsFile())
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)/2] ^= 1
	if err := durable.WriteFileAtomic(fsys, c.LostEndsFile(), p); err != nil {
		t.Fatal(err)
	}
	if l, err = open(); err != nil {
		t.Fatal(err)
	}
	if n, last := l.told(); n != 41 || acknowledged(fsys, c.LostEndsFile(), n, last) || !strings.Contains(last, "damaged") {
		t.Errorf("after damage: %d, %q", n, last)
	}
	newer := strings.Replace(string(p), " 1 ", " 2 ", 1)
	if err := durable.WriteFileAtomic(fsys, c.LostEndsFile(), []byte(newer)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	fsys.Script(faultfs.Fault{On: faultfs.OpCreate, N: 1, Mode: faultfs.NoSpace})
	l.add(seglog.TailLoss{Log: record.LogID{99}, From: 1, To: 2}, 0)
	if l.flush(); !l.dirty {
		t.Error("it was written, without room")
	}
	if l.flush(); l.dirty {
		t.Error("it was not tried again")
	}
}

// TestFrozenLostEnds: the list of version 1 is written and read as it stands on disks.
func TestFrozenLostEnds(t *testing.T) {
	const frozen = "landfall-lost 1 53b6ab85\n" +
		`{"count":3,"ends":[{"log":"","from":0,"to":0,"landed":0,"at":"2026-11-30T00:00:00Z"},{"log":"0102","from":5,"to":9,"landed":7,"at":""}]}` + "\n"
	l := lostList{Count: 3, Ends: []lostEnd{{At: "2026-11-30T00:00:00Z"}, {Log: "0102", From: 5, To: 9, Landed: 7}}}
	if p, err := l.encode(); err != nil || string(p) != frozen {
		t.Errorf("%q, %v", p, err)
	}
	if got, err := decodeLost([]byte(frozen)); err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{frozen[:len(frozen)-1], strings.Replace(frozen, "count\":3", "count\":4", 1)} {
		if got, err := decodeLost([]byte(bad)); !errors.Is(err, record.ErrCorrupt) || got.Count != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	more := lostList{Count: 1, Ends: l.Ends}
	if p, err := more.encode(); err != nil {
		t.Error(err)
	} else if _, err := decodeLost(p); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("more ends than there were: %v", err)
	}
	if _, err := decodeLost([]byte(strings.Replace(frozen, "lost 1", "lost 2", 1))); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}
