package agent

import (
	"fmt"
	"time"

	"landfall/edge/config"
	"landfall/edge/forward"
)

const (
	// rateAfter is for how long a gateway has to run until its rate is more than an
	// estimate: until then it is told to people, and nothing is decided by it.
	rateAfter = time.Minute
	// unpublishedLimit is for how long nothing of a log may be published before it
	// is complained of; longer where the cloud says that it takes longer.
	unpublishedLimit = time.Hour
	secondsADay      = 24 * 60 * 60
)

// room says what rate fills the log, and how long an outage from now on may last
// until it takes nothing more, or gives up what is oldest.
func (a *Agent) room(s *Status) {
	if s.Log.AppendedBytes > 0 {
		s.Log.RateSeconds = max(time.Since(a.started), time.Second).Seconds()
		s.Log.BytesPerDay = float64(s.Log.AppendedBytes) / s.Log.RateSeconds * secondsADay
	}
	_, filters := a.cfg.removedFilters(a.opt.FS)
	held := s.Log.Bytes - int64(s.Log.Spares)*int64(a.cfg.Log.SegmentSize) + filters // spares are room
	s.Log.RoomBytes = -1
	if free, err := a.opt.FS.Free(a.cfg.LogDir()); err == nil {
		s.Log.RoomBytes = max(0, int64(min(free, 1<<62))-int64(a.cfg.Log.Reserve)+s.Log.Bytes-held)
	}
	if quota := int64(a.cfg.Log.Quota); quota > 0 && (s.Log.RoomBytes < 0 || quota-held < s.Log.RoomBytes) {
		s.Log.RoomBytes = max(0, quota-held)
	}
	if s.Log.BytesPerDay > 0 && s.Log.RoomBytes >= 0 {
		s.Log.OutageDays = float64(s.Log.RoomBytes) / s.Log.BytesPerDay
		s.Forward.KeptDays = float64(s.Forward.KeptBytes) / s.Log.BytesPerDay
	}
}

// Rated tells whether the rate has been measured for long enough to decide by it.
func (l *LogStatus) Rated() bool { return l.RateSeconds >= rateAfter.Seconds() }

// published says how records are released, and what waits to be published.
func published(s *Status, f *forward.Status, now time.Time) {
	s.Forward.Lake, s.Forward.OtherLake = f.Lake, f.OtherLake
	s.Forward.Release, s.Forward.TellsPublished = f.Release.String(), f.Telling.Told && f.Telling.QuietSince == 0
	s.Forward.Unpublished, s.Forward.KeptBytes = f.Unpublished, f.KeptBytes
	if !f.UnpublishedSince.IsZero() {
		s.Forward.UnpublishedSince = f.UnpublishedSince.UTC().Format(time.RFC3339)
		limit := max(unpublishedLimit, 3*f.AgainIn)
		if waits := now.Sub(f.UnpublishedSince); waits > limit {
			s.red("%d records have landed, and nothing of their log was published for %s: they are kept here. What holds the lake up says landfall-engine status",
				f.Unpublished, waits.Round(time.Second))
		}
	}
	s.Forward.ReleaseNote = releaseNote(f)
	if f.Telling.QuietSince != 0 && !f.Telling.GaveUp {
		s.red("forwarding: %s", s.Forward.ReleaseNote)
	}
	if s.Capture.Blocked != "" && f.KeptBytes > 0 {
		s.red("%s of the log are kept only because they are not published: landfall-engine status says what holds the lake up; a larger log.quota or disk helps meanwhile",
			config.Bytes(f.KeptBytes))
	}
}

// releaseNote says why records are not released as the configuration says; "" when
// they are.
func releaseNote(f *forward.Status) string {
	quiet := text(f.Telling.QuietSince)
	switch {
	case f.Telling.GaveUp:
		return fmt.Sprintf("the engine told until %s what is published, and has not since: for more than a day, so records are released when they have landed", quiet)
	case f.Telling.QuietSince != 0 && f.Release == forward.ReleaseLanded:
		return fmt.Sprintf("the engine no longer tells what is published, since %s: was it replaced by an older one?", quiet)
	case f.Telling.QuietSince != 0:
		return fmt.Sprintf("the engine no longer tells what is published, since %s: was it replaced by an older one? Nothing is released until it tells again, or a day is over, or forward.release is landed", quiet)
	case !f.Telling.Told && f.Release == forward.ReleasePublished && f.LastTransferAt.IsZero():
		return "" // it has not been asked
	case !f.Telling.Told && f.Release == forward.ReleasePublished:
		return "the engine does not tell what is published (it is older, or has no lake): records are released when they have landed"
	}
	return ""
}
