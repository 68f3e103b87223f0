package forward

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// lakeCloud is a cloud that names its lake, and publishes what has landed when it is
// told to.
func lakeCloud(t *testing.T, lake string) *cloud {
	t.Helper()
	c, _ := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	c.answer = func(a *wire.Answer) {
		a.Lake, a.Published.Ledger = lake, wire.LedgerTip{Task: "task-of-" + lake, Number: 1, SHA256: strings.Repeat("0a", 32)}
	}
	return c
}

// publish has everything published that has landed.
func (c *cloud) publish() {
	c.tell(func() {
		for log, next := range c.next {
			c.published[log] = next
		}
	})
}

// TestAnotherLakeIsNotBelieved: an engine of another lake takes the place of the right
// one, takes blocks and says that all is published: nothing is let go, the gateway says
// so, after a restart too, and goes on by itself once the right one is back. When the
// configuration says that the other lake is right, it is sent all that is kept.
func TestAnotherLakeIsNotBelieved(t *testing.T) {
	right, wrong := lakeCloud(t, "aaaaaaaaaaaaaaaa"), lakeCloud(t, "bbbbbbbbbbbbbbbb")
	var at atomic.Pointer[cloud]
	at.Store(right)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { at.Load().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
	capture(t, s, 12, 6<<10)
	var anchors []string
	cfg := Config{
		URL: srv.URL, Store: s, StatePath: filepath.Join(t.TempDir(), "forward"),
		Anchored: func(tip wire.LedgerTip) { anchors = append(anchors, tip.Task) },
	}
	f, stop := start(t, cfg)
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	until(t, "the lake is known", func() bool { return f.Status().Lake == "aaaaaaaaaaaaaaaa" })

	at.Store(wrong)
	wrong.tell(func() { wrong.next[s.Logs()[0].ID] = 0 })
	for _, again := range []bool{false, true} {
		if again {
			stop()
			f, stop = start(t, cfg)
		}
		capture(t, s, 2, 6<<10)
		until(t, "the gateway says that it is another lake", func() bool {
			wrong.publish()
			reds := f.Status().Reds
			return len(reds) > 0 && strings.Contains(reds[0].Reason, "feeds the lake bbbbbbbbbbbbbbbb") && strings.Contains(reds[0].Reason, "forward.lake: bbbbbbbbbbbbbbbb")
		})
		if l := s.Logs()[0]; l.First != 0 {
			t.Errorf("again %v: let go of what lies below %d", again, l.First)
		}
		if st := f.Status(); st.Lake != "aaaaaaaaaaaaaaaa" || st.OtherLake != "bbbbbbbbbbbbbbbb" {
			t.Errorf("again %v: the records go to lake %s, and lake %q answers", again, st.Lake, st.OtherLake)
		}
	}

	at.Store(right)
	until(t, "all is published", func() bool {
		right.publish()
		st := f.Status()
		return st.Pending == 0 && st.Unpublished == 0 && len(st.Reds) == 0 && st.OtherLake == ""
	})
	capture(t, s, 2, 10)
	until(t, "more has landed, and is not published", func() bool { st := f.Status(); return st.Pending == 0 && st.Unpublished == 2 })
	stop()
	if !slices.Contains(anchors, "task-of-aaaaaaaaaaaaaaaa") || slices.Contains(anchors, "task-of-bbbbbbbbbbbbbbbb") {
		t.Errorf("anchors of %v", anchors)
	}

	at.Store(wrong)
	wrong.tell(func() { clear(wrong.next); clear(wrong.published) }) // it never had anything of the logs
	cfg.Lake = "bbbbbbbbbbbbbbbb"
	id, kept := end(s)
	f, stop = start(t, cfg)
	capture(t, s, 2, 10)
	_, newest := end(s)
	until(t, "the chosen lake is sent all that is kept", func() bool {
		have := wrong.boundaries(id)
		return slices.Contains(have, kept) && slices.Contains(have, newest)
	})
	until(t, "all of it is published", func() bool {
		wrong.publish()
		st := f.Status()
		return st.Pending == 0 && st.Unpublished == 0 && len(st.Reds) == 0
	})
	stop()
	if s, err := loadState(f.cfg.FS, cfg.StatePath); err != nil || s.lake != "bbbbbbbbbbbbbbbb" {
		t.Errorf("the state is of lake %q, %v", s.lake, err)
	}
}
