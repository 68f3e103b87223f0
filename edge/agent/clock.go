package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"landfall/edge/capture"
	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
)

// certificateTime is the time by which certificates are judged (clock.Report
// says which), and never one before this program was written, or a gateway without a
// battery would never connect.
func (a *Agent) certificateTime() time.Time {
	at, _ := a.judgedAt()
	return at
}

// certificateTimeWeak tells whether that rests on strangers alone.
func (a *Agent) certificateTimeWeak() bool {
	_, weak := a.judgedAt()
	return weak
}

func (a *Agent) judgedAt() (at time.Time, weak bool) {
	wall, mono := a.opt.Clock.Now()
	var r clock.Report
	if a.live != nil {
		r = a.live.Clock()
	}
	utc, weak := r.CertificateTime(wall, mono, clock.Floor)
	return time.UnixMicro(int64(utc)), weak
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
		Kind: clock.KindCloud, Observer: clock.Local, UTC: cloud, Trusted: a.proves(time.UnixMicro(int64(cloud))),
		Mono: mono - now.Sub(before).Microseconds(), Before: mono - now.Sub(after).Microseconds(),
	})
}

// proves tells whether a time in an answer is authenticated: it came over TLS that
// was verified, and the gateway's own certificate, which the engine took, is valid
// then. So an engine whose clock is years wrong raises no floor.
func (a *Agent) proves(at time.Time) bool {
	if !strings.HasPrefix(a.cfg.Forward.URL, "https:") {
		return false
	}
	if a.certs == nil {
		return true
	}
	own := a.certs.Own()
	return own == nil || own.Leaf == nil || !at.Before(own.Leaf.NotBefore) && !at.After(own.Leaf.NotAfter)
}

// forgetFile says, by being there, that an operator wants what is known of the time
// to be forgotten.
func (c *Config) forgetFile() string { return filepath.Join(c.DataDir, "clock.forget") }

// ForgetClock notes, durable on return, that what is known of the time is to be
// forgotten: by the running gateway within seconds, else when it starts. It may run
// beside the daemon, and again.
func (c *Config) ForgetClock(fsys durable.FS) error {
	file, err := fsys.Create(c.forgetFile())
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("note that the clock is to be forgotten: %w", err)
	}
	if err := fsys.SyncDir(c.DataDir); err != nil {
		return fmt.Errorf("note that the clock is to be forgotten: %w", err)
	}
	return nil
}

// forgetting lets capture forget the clock when there is the note, and remove it
// when that is durable.
func (a *Agent) forgetting(to *capture.LiveConfig) {
	note := a.cfg.forgetFile()
	to.ForgetClock = func() bool {
		_, err := a.opt.FS.Stat(note)
		return err == nil
	}
	to.ClockForgotten = func() error {
		if err := a.opt.FS.Remove(note); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the note that the clock is to be forgotten: %w", err)
		}
		return a.opt.FS.SyncDir(a.cfg.DataDir)
	}
}
