// Package faultobject is the faulty twin of sinks/object: it wraps any
// checkpoint.Store and object.Files, fails calls on script, and calls a hook
// around every one, so that a test can wake a second writer there.
//
// In:  the calls of a task under test, and a Script.
// Out: the same calls on what is wrapped, unless the script says otherwise.
//
// Invariants
//
//  1. Calls of a Store and of Files that share a Script are numbered together
//     from 1; the same calls give the same numbers.
//  2. A call that meets NotDone, CrashBefore or Unkept has no effect; one that meets
//     AnswerLost or CrashAfter has its whole effect.
//  3. After a crash no call has any effect: each gives ErrCrashed.
//  4. Damaged changes one bit: of what a Write writes, an object a Store reads or
//     creates, or of every piece that a file opened by that call reads. Other
//     calls work as if nothing were.
//
// It says nothing of what power loss leaves: put it over a directory in
// edge/durable/faultfs for that. A Script may be used from many goroutines; the
// numbers of calls then depend on their order.
package faultobject

import (
	"errors"
	"fmt"
	"sync"
)

// Errors that the wrapped calls give, to be tested with errors.Is.
var (
	// ErrInjected is the answer of a call that the script made fail.
	ErrInjected = errors.New("injected fault")
	// ErrCrashed is the answer of every call after a crash.
	ErrCrashed = errors.New("crashed")
)

// Outcome is what becomes of one call.
type Outcome uint8

// The outcomes.
const (
	Works       Outcome = iota
	NotDone             // an error, without effect
	AnswerLost          // an error, though it was done
	CrashBefore         // the process ends before the call
	CrashAfter          // the process ends when the call is done
	Damaged             // done, with one bit changed in what is written or read
	Unkept              // success, without effect: of Create and Swap of a Store
)

// Outcomes lists the ones that fail, for tests that try each; Damaged and Unkept do
// not.
func Outcomes() []Outcome { return []Outcome{NotDone, AnswerLost, CrashBefore, CrashAfter} }

var outcomeNames = []string{"works", "not-done", "answer-lost", "crash-before", "crash-after", "damaged", "unkept"}

// String gives the name used in tables.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome_%d", uint8(o))
}

// Call is one call of a wrapped method.
type Call struct {
	N    int    // from 1
	Op   string // the method's name, of a staged file "Write", "Sync", "Close"
	Name string // the object's
}

// String gives number, method and name.
func (c Call) String() string { return fmt.Sprintf("%d %s %s", c.N, c.Op, c.Name) }

// Script says what becomes of each call. The zero Script lets all work.
type Script struct {
	// Before and After, if set, are called around every call, without a lock
	// held; what they do with the same objects they do through what is wrapped.
	// Set them before the first call.
	Before, After func(Call)

	mu      sync.Mutex
	plan    map[int]Outcome
	calls   []Call
	crashed bool
}

// Fail makes call n meet an outcome.
func (s *Script) Fail(n int, o Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan == nil {
		s.plan = make(map[int]Outcome)
	}
	s.plan[n] = o
}

// damages tells whether the call that comes next is to be Damaged.
func (s *Script) damages() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan[len(s.calls)+1] == Damaged
}

// changed returns data with one bit changed.
func changed(data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	data = append([]byte(nil), data...)
	data[len(data)/2] ^= 1
	return data
}

// Calls lists the calls so far.
func (s *Script) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Crashed tells whether a crash was met.
func (s *Script) Crashed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crashed
}

// do carries out one call as the script wants.
func (s *Script) do(op, name string, effect func() error) error {
	s.mu.Lock()
	if s.crashed {
		s.mu.Unlock()
		return ErrCrashed
	}
	call := Call{N: len(s.calls) + 1, Op: op, Name: name}
	s.calls = append(s.calls, call)
	outcome := s.plan[call.N]
	s.crashed = outcome == CrashBefore
	s.mu.Unlock()
	if s.Before != nil {
		s.Before(call)
	}
	err := s.apply(outcome, effect)
	if s.After != nil {
		s.After(call)
	}
	if err != nil && errors.Is(err, ErrInjected) {
		return fmt.Errorf("%s: %w", call, err)
	}
	return err
}

func (s *Script) apply(outcome Outcome, effect func() error) error {
	switch outcome {
	case Unkept:
		return nil
	case NotDone:
		return fmt.Errorf("%w: %s", ErrInjected, outcome)
	case CrashBefore:
		return ErrCrashed
	case AnswerLost:
		if err := effect(); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s", ErrInjected, outcome)
	case CrashAfter:
		_ = effect() // nobody hears of it
		s.mu.Lock()
		s.crashed = true
		s.mu.Unlock()
		return ErrCrashed
	}
	return effect()
}
