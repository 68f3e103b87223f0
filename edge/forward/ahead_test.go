package forward

import (
	"sync/atomic"
	"testing"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// TestTheCloudIsAhead: an answer that has more of a log than this gateway, which appends
// to another one now, shows that its disk lost the end. Of the log that grows it is a
// contradiction, and told as such.
func TestTheCloudIsAhead(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, seglog.Config{Dir: dir})
	capture(t, s, 3, 10)
	old, all := end(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, seglog.Config{Dir: dir})
	capture(t, s, 3, 10)
	c, url := newCloud(t)
	c.answer = func(a *wire.Answer) {
		if a.Log == old && a.Known {
			a.Acked, a.Hash = all+7, record.Hash{1}
		}
	}
	var told atomic.Int64
	f, stop := start(t, Config{URL: url, Store: s, OnAhead: func(log record.LogID, end, landed record.Offset) {
		if log != old || end != all || landed != all+7 {
			t.Errorf("log %s ends at %d, and the cloud has it up to %d", log, end, landed)
		}
		told.Add(1)
	}})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
	if told.Load() == 0 {
		t.Error("it was not told")
	}
}
