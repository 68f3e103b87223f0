package forward

import (
	"path/filepath"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// TestAgeOfWhatWaits: between two requests the oldest that waits is as old as the
// newest block that was acknowledged, not as the segment that it lies in.
func TestAgeOfWhatWaits(t *testing.T) {
	var s Session
	log, other := record.LogID{1}, record.LogID{2}
	s.last.log, s.last.next, s.last.at = log, 100, 5000
	s.last.sent = []boundary{{end: 110, at: 5000}, {end: 120, at: record.NoTime}, {end: 130, at: 7000}}
	for _, c := range []struct {
		log   record.LogID
		acked record.Offset
		want  record.Micros
	}{
		{log, 100, 5000},   // nothing of the request was taken
		{log, 110, 5000},   // its first block was
		{log, 120, 5000},   // and a loss, which has no time
		{log, 130, 7000},   // and all of it
		{other, 130, 1000}, // another log: as old as what is kept of it
	} {
		if got := s.oldestUnacked(c.log, c.acked, 1000); got != c.want {
			t.Errorf("acknowledged %d: %d, want %d", c.acked, got, c.want)
		}
	}
	s.last.at = record.NoTime // the request read no block
	if got := s.oldestUnacked(log, 100, 1000); got != 1000 {
		t.Errorf("got %d", got)
	}
}

// TestTheIngestIsToldOfABacklog: once the oldest record that waits is older than
// a few seconds, and not before.
func TestTheIngestIsToldOfABacklog(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration // of the first record at the first request
		want wire.Behind
	}{{9 * time.Second, wire.Behind{}}, {3 * time.Hour, wire.Behind{Records: 5, Age: 3 * time.Hour}}} {
		store := newStore(t, seglog.Config{})
		capture(t, store, 4, 10) // from 1 ms after 1970 on, behind the opening of the log
		s, err := New(Config{
			Gateway: "mv-ada", URL: "http://127.0.0.1:1", Store: store, StatePath: filepath.Join(t.TempDir(), "forward"),
			Now: func() time.Time { return time.UnixMicro(1000).Add(c.age) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.behind(); got != c.want {
			t.Errorf("after %v: %+v, want %+v", c.age, got, c.want)
		}
	}
}
