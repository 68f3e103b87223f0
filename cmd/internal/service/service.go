// Package service runs a daemon as the system's service manager expects it:
// told when it is ready, its watchdog fed by progress, reloaded by SIGHUP.
//
// In:  what reads the configuration and makes the daemon from it; SIGHUP;
// NOTIFY_SOCKET and WATCHDOG_USEC of systemd.
// Out: the daemon's error, when it ends; sd_notify messages.
//
// Invariants
//
//  1. READY=1 is said when the daemon works, not when it was started.
//  2. WATCHDOG=1 is said only when every loop that is at work has come on
//     since it was said last.
//  3. A reload is all or nothing: a configuration that cannot be read, checked
//     or started leaves the old one running, and the status says why. Where
//     both are the same nothing is stopped: certificates are read again at once.
//
// Run belongs to one goroutine; the daemon runs in another, which it joins.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"sync/atomic"
	"syscall"

	"landfall/edge/config"
	"landfall/edge/pulse"
)

// Daemon is one life of a daemon, with one configuration.
type Daemon interface {
	// Run works until ctx ends and gives back all it holds. It calls ready once
	// it works.
	Run(ctx context.Context, ready func()) error
	// Pulses names its loops.
	Pulses() []pulse.Named
	// Refresh reads anew the files that the configuration names.
	Refresh() error
	// Warn puts a text that stays into what the status complains of.
	Warn(text string)
}

// Config says how a daemon is made.
type Config[C any] struct {
	File string // the configuration's
	// Load reads and checks it, and touches nothing else.
	Load func(name string) (*C, *config.File, error)
	// New makes the daemon; it may wait while the disk is full. Nil without an
	// error when ctx ended meanwhile.
	New    func(ctx context.Context, c *C) (Daemon, error)
	Logger *slog.Logger
	// Replaces says why a reload may not put is in the place of was; nil: it always
	// may.
	Replaces func(was, is *C) error

	// Takeover is the cause of the context's end when another configuration
	// takes over.
	Takeover error

	// Hangup asks for a reload; nil: SIGHUP.
	Hangup <-chan os.Signal
	// Notify tells the service manager; nil: sd_notify.
	Notify func(state string)
}

// life is a daemon that runs.
type life[C any] struct {
	daemon Daemon
	cfg    *C
	file   *config.File
	stop   context.CancelCauseFunc
	ready  chan struct{}
	ended  chan error
}

// runner is what Run keeps.
type runner[C any] struct {
	Config[C]
	pulses atomic.Pointer[[]pulse.Named]
}

// Run runs the daemon until ctx ends or it does by itself.
func Run[C any](ctx context.Context, c Config[C]) error {
	if c.Notify == nil {
		c.Notify = notify
	}
	if c.Hangup == nil {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		c.Hangup = hangup
	}
	r := &runner[C]{Config: c}
	defer r.watch()()
	cfg, file, err := r.Load(r.File)
	if err != nil {
		return err
	}
	l, err := r.start(ctx, cfg, file, "")
	if err != nil || l == nil {
		return err
	}
	r.Notify("READY=1")
	for {
		select {
		case err := <-l.ended:
			return file.Locate(err)
		case <-ctx.Done():
			r.Notify("STOPPING=1")
			return file.Locate(r.end(l, context.Canceled))
		case <-r.Hangup:
			r.Notify(reloading())
			if l, err = r.reload(ctx, l); err != nil || l == nil {
				return err
			}
			file = l.file
			r.Notify("READY=1")
		}
	}
}

// start makes a daemon and waits until it works. Nil without an error when ctx
// ended before that.
func (r *runner[C]) start(ctx context.Context, cfg *C, file *config.File, warning string) (*life[C], error) {
	d, err := r.New(ctx, cfg)
	if err != nil || d == nil {
		return nil, file.Locate(err)
	}
	if warning != "" {
		d.Warn(warning)
	}
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	l := &life[C]{daemon: d, cfg: cfg, file: file, stop: stop, ready: make(chan struct{}), ended: make(chan error, 1)}
	pulses := d.Pulses()
	r.pulses.Store(&pulses)
	go func() { l.ended <- d.Run(running, func() { close(l.ready) }) }()
	select {
	case <-l.ready:
		return l, nil
	case err := <-l.ended:
		r.pulses.Store(nil)
		return nil, file.Locate(err)
	case <-ctx.Done():
		return nil, file.Locate(r.end(l, context.Canceled))
	}
}

func (r *runner[C]) end(l *life[C], cause error) error {
	l.stop(cause)
	err := <-l.ended
	r.pulses.Store(nil)
	return err
}

// reload takes up the configuration as it now is. Steps, and what an error of
// each leaves: it is read and checked (the old one runs on, untouched); the
// old daemon ends; the new one starts (the old configuration starts again).
// Nil without an error when ctx ended meanwhile.
func (r *runner[C]) reload(ctx context.Context, old *life[C]) (*life[C], error) {
	cfg, file, err := r.Load(r.File)
	if err == nil && r.Replaces != nil {
		err = file.Locate(r.Replaces(old.cfg, cfg))
	}
	if err == nil && reflect.DeepEqual(cfg, old.cfg) {
		err = file.Locate(old.daemon.Refresh())
		if err == nil {
			r.Logger.Info("reloaded: the same configuration; certificates were read anew")
			old.daemon.Warn("")
			return old, nil
		}
	}
	if err != nil {
		r.refused(old.daemon, err)
		return old, nil
	}
	if err := r.end(old, r.Takeover); err != nil {
		r.Logger.Warn("the old configuration did not end in order", "error", err)
	}
	l, err := r.start(ctx, cfg, file, "")
	if err == nil {
		if l != nil {
			r.Logger.Info("reloaded: the new configuration runs")
		}
		return l, nil
	}
	if l, back := r.start(ctx, old.cfg, old.file, refusal(err)); back == nil {
		r.Logger.Error("reload refused: the old configuration runs on", "error", err)
		return l, nil
	} else {
		return nil, fmt.Errorf("neither the new configuration nor the old one starts: %w", errors.Join(err, back))
	}
}

func (r *runner[C]) refused(d Daemon, err error) {
	r.Logger.Error("reload refused: the old configuration runs on", "error", err)
	d.Warn(refusal(err))
}

func refusal(err error) string {
	return fmt.Sprintf("reload refused, the old configuration runs: %v", err)
}
