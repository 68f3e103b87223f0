package forward

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// TestTheNewestLogIsHeardFirst: what the cloud says of its newest log is handed over
// before anything is sent; while it cannot be noted nothing is, and what the engine of
// another lake says is not handed over.
func TestTheNewestLogIsHeardFirst(t *testing.T) {
	held := wire.HeldLog{Log: record.LogID{7}, Next: 130}
	c, url := newCloud(t)
	lake := "aaaaaaaaaaaaaaaa"
	c.published = map[record.LogID]record.Offset{}
	c.answer = func(a *wire.Answer) { a.Lake, a.Newest = lake, held }
	s := newStore(t, seglog.Config{})
	capture(t, s, 3, 10)
	var mu sync.Mutex
	var got []wire.HeldLog
	refuse, sent := true, false
	cfg := Config{
		URL: url, Store: s,
		Newest: func(h wire.HeldLog) error {
			mu.Lock()
			defer mu.Unlock()
			if got = append(got, h); refuse {
				return errors.New("no room")
			}
			return nil
		},
		Introduced: func(err error) {
			c.tell(func() { sent = len(c.next) > 0 })
			if err == nil || sent {
				t.Errorf("introduced: %v, sent %v", err, sent)
			}
		},
	}
	f, stop := start(t, cfg)
	until(t, "it was asked again and again", func() bool { return f.Status().Counters.Questions > 4 })
	if st := f.Status(); st.Counters.Requests > 0 {
		t.Errorf("sent: %+v", st.Counters)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
	if len(got) == 0 || slices.ContainsFunc(got, func(h wire.HeldLog) bool { return h != held }) {
		t.Errorf("heard %v", got)
	}

	got = nil
	c.tell(func() { lake = "bbbbbbbbbbbbbbbb" })
	cfg.StatePath, cfg.Lake, cfg.Introduced = "", "aaaaaaaaaaaaaaaa", nil
	f, stop = start(t, cfg)
	until(t, "it was asked", func() bool { return f.Status().Counters.Questions > 1 })
	stop()
	if len(got) > 0 {
		t.Errorf("heard of another lake: %v", got)
	}
}
