//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// armedFor is how long a life may go on without reaching the failpoint it is
// armed with, before it is killed where it stands.
const armedFor = 4 * time.Second

// armedInABucket is armedFor where each step is some ten requests to a store that
// fails, is slow, and is killed itself: a claim alone can take seconds there.
const armedInABucket = 3 * armedFor

// maxTries is how often a failpoint that was not reached is armed again.
const maxTries = 4

// maxMissed is how many failpoints in a row a daemon at work may not reach.
const maxMissed = 10

// death is one kill that happened.
type death struct {
	daemon   string
	point    string // empty: at a random moment
	second   bool
	inFlight bool
	at       time.Time
	uptime   time.Duration
}

// supervisor keeps one daemon running through its plan and then on, until it is
// stopped. Its fields but stop belong to run until finished is closed.
type supervisor struct {
	program  program
	role     string
	plan     []life
	want     int // hits of each of the role's failpoints with records in flight
	toppedUp int
	missed   int         // failpoints not reached, in a row
	inFlight func() bool // something sent is not visible yet
	damage   func()      // changes every staged file; nil: there are none
	armedFor time.Duration

	stop     chan struct{} // closed by the test: SIGTERM the last life
	planDone chan struct{} // closed when the plan is carried out
	finished chan struct{} // closed when run has returned
	deaths   []death
	err      error
}

func newSupervisor(p program, role string, plan []life, inFlight func() bool) *supervisor {
	return &supervisor{
		program: p, role: role, plan: plan, inFlight: inFlight, armedFor: armedFor,
		stop: make(chan struct{}), planDone: make(chan struct{}), finished: make(chan struct{}),
	}
}

// run is the supervisor's goroutine.
func (s *supervisor) run() {
	defer close(s.finished)
	for i := 0; len(s.plan) > 0 || s.topUp(); i++ {
		l := s.plan[0]
		s.plan = s.plan[1:]
		again, err := s.live(l, i)
		if err != nil {
			s.err = err
			return
		}
		if again {
			s.retry(l)
		}
	}
	close(s.planDone)
	s.err = s.last()
}

// retry puts a life whose failpoint was not reached back, armed for its first
// hit.
func (s *supervisor) retry(l life) {
	if l.second || l.tries >= maxTries {
		return // the histogram shows whether it is missed
	}
	l.tries++
	l.count = 1
	s.plan = append(s.plan, l)
}

// topUp plans another life for a failpoint that was reached too seldom with
// records in flight; false when there is none, or it was tried often enough.
func (s *supervisor) topUp() bool {
	hits := map[string]int{}
	for _, d := range s.deaths {
		if d.inFlight {
			hits[d.point]++
		}
	}
	own, _ := points(s.role)
	for _, name := range own {
		if hits[name] < s.want && s.toppedUp < 3*len(own) {
			s.toppedUp++
			s.plan = append(s.plan, life{point: name, count: 1 + s.toppedUp%2, tries: maxTries})
			return true
		}
	}
	return false
}

// live carries out one life and tells whether its failpoint was missed.
func (s *supervisor) live(l life, number int) (again bool, err error) {
	if needsDamage(l.point) && s.damage != nil {
		before := life{point: "c4.after-swap", count: 1, second: l.second} // an epoch is committed, and nothing of it visible
		p, err := s.armed(before, number)
		if err == nil && p.killed() {
			_, err = s.died(p, before, number)
		}
		if err != nil {
			return false, err
		}
		s.damage()
	}
	p, err := s.armed(l, number)
	if err != nil {
		return false, err
	}
	if !p.killed() {
		return false, fmt.Errorf("%s ended by itself (%v) in a life planned as %+v:\n%s", s.program.name, p.state, l, p.lifeLog())
	}
	d, err := s.died(p, l, number)
	again = l.point != "" && d.point == ""
	switch {
	case l.point == "":
	case !again:
		s.missed = 0
	default:
		if s.missed++; s.missed >= maxMissed {
			err = errors.Join(err, fmt.Errorf("%s reached none of its last %d failpoints; it seems to do nothing:\n%s", s.program.name, s.missed, p.lifeLog()))
		}
	}
	return again, err
}

// bounded carries out one life of a program that may end by itself, with code
// 0; it tells whether it did.
func (s *supervisor) bounded(l life, number int) (ended bool, err error) {
	p, err := s.armed(l, number)
	if err != nil {
		return false, err
	}
	if p.state.Success() {
		return true, nil
	}
	if !p.killed() {
		return false, fmt.Errorf("%s failed (%v) in a life planned as %+v:\n%s", s.program.name, p.state, l, p.lifeLog())
	}
	_, err = s.died(p, l, number)
	return false, err
}

// note is the file in which life number says that it reached its failpoint.
func (s *supervisor) note(number int) string {
	return filepath.Join(s.program.dir, fmt.Sprintf("%s-%d.hit", s.program.name, number))
}

// armed starts a life and waits for its end, at the latest by a kill.
func (s *supervisor) armed(l life, number int) (*process, error) {
	var env []string
	limit := l.after
	if l.point != "" {
		env = []string{fmt.Sprintf("LANDFALL_FAILPOINT=%s=%d", l.point, l.count), "LANDFALL_FAILPOINT_LOG=" + s.note(number)}
		limit = s.armedFor
	}
	p, err := s.program.start(env...)
	if err != nil {
		return nil, err
	}
	if l.paused > 0 && pause(p.done, limit) {
		p.signal(syscall.SIGSTOP)
		pause(p.done, l.paused)
		p.signal(syscall.SIGCONT)
	}
	if pause(p.done, limit) {
		if l.moment != nil {
			await(l.moment, p.done, s.armedFor)
			pause(p.done, l.later)
		}
		p.ours = true
		p.kill()
	}
	return p, nil
}

// died notes a death by SIGKILL, which must be the plan's.
func (s *supervisor) died(p *process, l life, number int) (death, error) {
	d := death{daemon: s.program.name, second: l.second, inFlight: s.inFlight(), at: p.ended, uptime: p.ended.Sub(p.started)}
	if l.point != "" {
		data, _ := os.ReadFile(s.note(number)) // absent: not reached
		d.point = strings.TrimSpace(string(data))
		_ = os.Remove(s.note(number))
	}
	if !p.ours && d.point == "" {
		return d, fmt.Errorf("%s was killed by somebody else in a life planned as %+v:\n%s", s.program.name, l, p.lifeLog())
	}
	s.deaths = append(s.deaths, d)
	return d, nil
}

// last is the life after the plan; it ends by SIGTERM.
func (s *supervisor) last() error {
	p, err := s.program.start()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself (%v) when nothing killed it:\n%s", s.program.name, p.state, p.lifeLog())
	case <-s.stop:
	}
	code, err := p.terminate(30 * time.Second)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with code %d after SIGTERM", s.program.name, code)
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, p.lifeLog())
	}
	return nil
}
