package agent

import (
	"strings"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
)

// certificateTime is the time by which certificates are judged: the corrected
// clock, and never one before this program was written, or a gateway without a
// battery would never connect.
func (a *Agent) certificateTime() time.Time {
	wall, mono := a.opt.Clock.Now()
	if a.live == nil {
		return time.UnixMicro(int64(max(wall, clock.Floor)))
	}
	if at, ok := a.live.CorrectedTime(mono); ok {
		return at
	}
	return time.UnixMicro(int64(max(wall, clock.Floor)))
}

// anchorsFor gives what goes along with the blocks of a log: what is known of
// the time of its boots, when some of its records may need it.
func (a *Agent) anchorsFor(log record.LogID) []byte {
	if active, ok := a.store.Active(); ok && active == log && a.live.Untimed() == 0 {
		return nil
	}
	all := a.live.Anchors()
	if len(all) == 0 {
		return nil
	}
	return record.EncodeAnchors(all)
}

// told makes evidence of the cloud's time in an answer. The times are of the Go
// runtime's monotonic clock, which does not step.
func (a *Agent) told(cloud record.Micros, after, before time.Time) {
	_, mono := a.opt.Clock.Now()
	now := time.Now()
	a.live.Tell(clock.Evidence{
		Kind: clock.KindCloud, Observer: clock.Local, UTC: cloud, Trusted: strings.HasPrefix(a.cfg.Forward.URL, "https:"),
		Mono: mono - now.Sub(before).Microseconds(), Before: mono - now.Sub(after).Microseconds(),
	})
}
