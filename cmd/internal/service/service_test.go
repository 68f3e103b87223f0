package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/config"
	"landfall/edge/pulse"
)

// settings are a configuration that a test makes up.
type settings struct {
	Value string `yaml:"value"`
}

// system is a service manager and a disk with one configuration.
type system struct {
	mu     sync.Mutex
	text   string   // of the file
	said   []string // to the service manager
	ran    []string // "+value" at a start, "-value cause" at an end
	warned []string
	hangup chan os.Signal
	work   pulse.Pulse
}

var errTakeover = errors.New("takeover")

func (s *system) note(list *[]string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, text)
}

func (s *system) config() Config[settings] {
	return Config[settings]{
		File: "f.yaml", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Hangup: s.hangup, Takeover: errTakeover,
		Notify: func(text string) { s.note(&s.said, strings.SplitN(text, "\n", 2)[0]) },
		Load: func(name string) (*settings, *config.File, error) {
			var c settings
			f, err := config.Parse(name, []byte(s.text), &c)
			return &c, f, err
		},
		New: func(_ context.Context, c *settings) (Daemon, error) {
			if c.Value == "impossible" {
				return nil, &config.FieldError{Key: "value", Got: c.Value, Want: "something else"}
			}
			return &fake{s, c.Value}, nil
		},
	}
}

// fake is a daemon that does nothing.
type fake struct {
	s     *system
	value string
}

func (d *fake) Run(ctx context.Context, ready func()) error {
	if d.value == "stillborn" {
		return errors.New("the port is taken")
	}
	d.s.note(&d.s.ran, "+"+d.value)
	ready()
	<-ctx.Done()
	d.s.note(&d.s.ran, "-"+d.value+" "+context.Cause(ctx).Error())
	return nil
}

func (d *fake) Pulses() []pulse.Named { return []pulse.Named{{Name: "work", Pulse: &d.s.work}} }

func (d *fake) Refresh() error {
	d.s.note(&d.s.ran, "refresh "+d.value)
	if d.value == "expired" {
		return errors.New("bad certificate")
	}
	return nil
}

func (d *fake) Warn(text string) { d.s.note(&d.s.warned, text) }

// begin runs a service until the function it gives is called.
func begin(t *testing.T, text string) (*system, func() error) {
	s := &system{text: text, hangup: make(chan os.Signal)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.config()) }()
	synctest.Wait()
	return s, func() error {
		cancel()
		return <-ended
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	for _, c := range []struct {
		name, to string
		ran      []string // after the first start
		warned   string   // what the status complains of at last
	}{
		{"another value", "value: b", []string{"-a takeover", "+b"}, ""},
		{"the same", "# a comment\nvalue: a", []string{"refresh a"}, ""},
		{"a key that is unknown", "valeu: b", nil, "f.yaml:1: valeu"},
		{"what cannot be made", "value: impossible", []string{"-a takeover", "+a"}, "f.yaml:1: value: got impossible"},
		{"what does not come up", "value: stillborn", []string{"-a takeover", "+a"}, "the port is taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, stop := begin(t, "value: a")
				s.text = c.to
				s.hangup <- syscall.SIGHUP
				synctest.Wait()
				ran, said := slices.Clone(s.ran), slices.Clone(s.said)
				if err := stop(); err != nil {
					t.Errorf("stop: %v", err)
				}
				if !slices.Equal(ran, append([]string{"+a"}, c.ran...)) {
					t.Errorf("ran %q", ran)
				}
				if !slices.Equal(said, []string{"READY=1", "RELOADING=1", "READY=1"}) {
					t.Errorf("said %q", said)
				}
				last := ""
				if len(s.warned) > 0 {
					last = s.warned[len(s.warned)-1]
				}
				if c.warned == "" && last != "" || !strings.Contains(last, c.warned) {
					t.Errorf("status complains %q", last)
				}
				if s.said[len(s.said)-1] != "STOPPING=1" {
					t.Errorf("said %q at the end", s.said)
				}
			})
		})
	}
}

func TestCertificatesThatCannotBeUsedAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := begin(t, "value: expired")
		s.hangup <- syscall.SIGHUP
		synctest.Wait()
		if err := stop(); err != nil || len(s.warned) != 1 || !strings.Contains(s.warned[0], "bad certificate") {
			t.Errorf("%v, status complains %q", err, s.warned)
		}
	})
}

func TestAConfigurationThatCannotBeUsedEndsTheStart(t *testing.T) {
	for _, text := range []string{"valeu: a", "value: impossible"} {
		s := &system{text: text, hangup: make(chan os.Signal)}
		if err := Run(t.Context(), s.config()); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), "f.yaml:1") || len(s.said) > 0 {
			t.Errorf("%s: %v, said %q", text, err, s.said)
		}
	}
}

// TestTheWatchdogStarvesWithoutProgress: a hung loop gets no food, one that
// comes on or rests does.
func TestTheWatchdogStarvesWithoutProgress(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "8000000")
	synctest.Test(t, func(t *testing.T) {
		s, stop := begin(t, "value: a")
		fed := func() (n int) {
			time.Sleep(8 * time.Second)
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, text := range s.said {
				if text == "WATCHDOG=1" {
					n++
				}
			}
			s.said = nil
			return n
		}
		if n := fed(); n != looks {
			t.Errorf("at rest it is fed %d times", n)
		}
		s.work.Begin()
		if n := fed(); n != 1 { // the look that sees it begin
			t.Errorf("while it hangs it is fed %d times", n)
		}
		if n := fed(); n != 0 {
			t.Errorf("while it hangs on it is fed %d times", n)
		}
		s.work.Beat()
		if n := fed(); n != 1 {
			t.Errorf("after one turn it is fed %d times", n)
		}
		s.work.End()
		if n := fed(); n != looks {
			t.Errorf("at rest again it is fed %d times", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
