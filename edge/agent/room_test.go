package agent

import (
	"strings"
	"testing"
	"time"

	"landfall/edge/forward"
)

// TestWhatIsSaidOfRelease: health is red where nothing is published for long, where
// an engine stops telling, and where the log is full of what is not published; and
// only there. Status always says why records are released otherwise than configured.
func TestWhatIsSaidOfRelease(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	told, quiet := forward.Telling{Told: true}, forward.Telling{Told: true, QuietSince: 1_790_000_000_000_000}
	gaveUp := forward.Telling{Told: true, QuietSince: 1_790_000_000_000_000, GaveUp: true}
	for name, c := range map[string]struct {
		f       forward.Status
		blocked string
		note    string // of Status; "" is none
		reason  string // of health; "" is none
	}{
		"told":                             {f: forward.Status{Telling: told}},
		"not asked yet":                    {},
		"never told":                       {f: forward.Status{LastTransferAt: now}, note: "does not tell what is published"},
		"never told, and landed is enough": {f: forward.Status{LastTransferAt: now, Release: forward.ReleaseLanded}},
		"quiet":                            {f: forward.Status{Telling: quiet}, note: "no longer tells", reason: "until it tells again, or a day is over"},
		"quiet, and landed is enough":      {f: forward.Status{Telling: quiet, Release: forward.ReleaseLanded}, note: "no longer tells", reason: "since 2026-09-21"},
		"quiet for more than a day":        {f: forward.Status{Telling: gaveUp}, note: "released when they have landed"},
		"waits a while":                    {f: forward.Status{Telling: told, Unpublished: 7, UnpublishedSince: now.Add(-59 * time.Minute)}},
		"waits for long":                   {f: forward.Status{Telling: told, Unpublished: 7, UnpublishedSince: now.Add(-61 * time.Minute)}, reason: "7 records have landed, and nothing of their log was published for 1h1m0s"},
		"waits as told":                    {f: forward.Status{Telling: told, Unpublished: 7, UnpublishedSince: now.Add(-2 * time.Hour), AgainIn: 41 * time.Minute}},
		"waits longer than told":           {f: forward.Status{Telling: told, Unpublished: 7, UnpublishedSince: now.Add(-2 * time.Hour), AgainIn: 39 * time.Minute}, reason: "nothing of their log was published for 2h"},
		"full of it":                       {f: forward.Status{Telling: told, KeptBytes: 8 << 20}, blocked: "log store is full", reason: "8MiB of the log are kept only because"},
		"full of something else":           {f: forward.Status{Telling: told}, blocked: "log store is full"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Status{Capture: CaptureStatus{Blocked: c.blocked}}
			published(&s, &c.f, now)
			if got := s.Forward.ReleaseNote; !strings.Contains(got, c.note) || (got == "") != (c.note == "") {
				t.Errorf("note %q, want %q", got, c.note)
			}
			if got := strings.Join(s.Reasons, "; "); !strings.Contains(got, c.reason) || (got == "") != (c.reason == "") {
				t.Errorf("reasons %q, want %q", got, c.reason)
			}
			if want := c.f.Telling == told; s.Forward.TellsPublished != want || s.Forward.Unpublished != c.f.Unpublished || s.Forward.KeptBytes != c.f.KeptBytes {
				t.Errorf("%+v", s.Forward)
			}
		})
	}
}

// TestRoomIsSaidInDays: what the log still takes is bounded by its quota and by the
// disk, and stands an outage as long as its rate says.
func TestRoomIsSaidInDays(t *testing.T) {
	c := fileGateway(t, 10, "http://127.0.0.1:1")
	c.Log.Quota, c.Log.Reserve, c.Log.SegmentSize = 100<<20, 0, 1<<20
	a := start(t, c, Options{})
	status := func(ran time.Duration, appended uint64, held int64) Status {
		a.started = time.Now().Add(-ran)
		s := Status{}
		s.Log.AppendedBytes, s.Log.Bytes, s.Log.Spares, s.Forward.KeptBytes = appended, held, 2, 1<<20
		a.room(&s)
		return s
	}
	if s := status(time.Hour, 0, 22<<20); s.Log.BytesPerDay != 0 || s.Log.RateSeconds != 0 || s.Log.OutageDays != 0 || s.Log.RoomBytes != 80<<20 || s.Log.Rated() {
		t.Errorf("nothing was captured: %+v", s.Log)
	}
	if s := status(30*time.Second, 1<<20, 22<<20); s.Log.RateSeconds < 30 || s.Log.OutageDays < 80*30/86400.0 || s.Log.OutageDays > 0.1 || s.Log.Rated() {
		t.Errorf("in the first minute: %+v", s.Log) // about 80 times 30 s, with what the test itself takes
	}
	if s := status(0, 1<<20, 22<<20); s.Log.RateSeconds < 1 {
		t.Errorf("in the first second: %+v", s.Log)
	}
	s := status(24*time.Hour, 10<<20, 22<<20)
	if got := s.Log.OutageDays; !s.Log.Rated() || got < 7.99 || got > 8.01 {
		t.Errorf("%.3f days for 80 MiB at 10 MiB a day: %+v", got, s.Log)
	}
	if got := s.Forward.KeptDays; got < 0.099 || got > 0.101 {
		t.Errorf("%.3f days kept of 1 MiB at 10 MiB a day", got)
	}
	if s := status(24*time.Hour, 10<<20, 300<<20); s.Log.RoomBytes != 0 || s.Log.OutageDays != 0 {
		t.Errorf("beyond the quota: %+v", s.Log)
	}
	a.cfg.Log.Quota, a.cfg.Log.Reserve = 0, 1<<40
	if s := status(24*time.Hour, 10<<20, 22<<20); s.Log.RoomBytes > 1<<40 {
		t.Errorf("without a quota: %+v", s.Log)
	}
}
