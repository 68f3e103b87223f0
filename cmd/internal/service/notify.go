package service

import (
	"fmt"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"landfall/edge/pulse"
)

// notify tells systemd; without it nobody listens, and that is no error.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// reloading is what systemd wants to hear before a reload, with the time that
// lets it tell this READY=1 from an earlier one (sd_notify(3)).
func reloading() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000)
}

// looks is how often the loops are looked at within the watchdog's time.
const looks = 4

// watch feeds systemd's watchdog, when there is one, until the function it
// gives is called.
func (r *runner[C]) watch() func() {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return func() {}
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		look := time.NewTicker(interval / looks)
		defer look.Stop()
		var w pulse.Watcher
		for {
			select {
			case <-stop:
				return
			case <-look.C:
				r.feed(&w)
			}
		}
	})
	return func() {
		close(stop)
		done.Wait()
	}
}

// feed tells the watchdog that every loop that is at work came on.
func (r *runner[C]) feed(w *pulse.Watcher) {
	var pulses []pulse.Named
	if p := r.pulses.Load(); p != nil {
		pulses = *p
	}
	if stuck := w.Stuck(pulses); len(stuck) > 0 {
		r.Logger.Error("no progress: the watchdog is not fed", "loops", stuck)
		return
	}
	r.Notify("WATCHDOG=1")
}
