package source

import (
	"sync"
	"time"
)

// acknowledger sends acknowledgements of messages that have become durable, in
// their order, from a goroutine of its own: sending may wait for the network,
// and whoever brings messages to C1 must not.
type acknowledger struct {
	mu      sync.Mutex
	changed sync.Cond
	due     [][]func() // durable, to be sent; guarded by mu
	waiting int        // groups that are not durable or not sent yet; guarded by mu
	closed  bool       // guarded by mu
}

func newAcknowledger() *acknowledger {
	a := &acknowledger{}
	a.changed.L = &a.mu
	return a
}

// after gives what is to be called when messages are durable; nil when none of
// them waits for an acknowledgement.
func (a *acknowledger) after(messages []message) func() {
	var acks []func()
	for i := range messages {
		if messages[i].qos > 0 {
			acks = append(acks, messages[i].ack)
		}
	}
	if len(acks) == 0 {
		return nil
	}
	a.mu.Lock()
	a.waiting++
	a.mu.Unlock()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.due = append(a.due, acks)
		a.changed.Broadcast()
	}
}

// run sends until close.
func (a *acknowledger) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.closed {
		if len(a.due) == 0 {
			a.changed.Wait()
			continue
		}
		due := a.due
		a.due = nil
		a.mu.Unlock()
		for _, acks := range due {
			for _, ack := range acks {
				ack() // of a connection that is gone it does nothing: the message comes again
			}
		}
		a.mu.Lock()
		a.waiting -= len(due)
		a.changed.Broadcast()
	}
}

// settle waits until everything taken is acknowledged, or for d.
func (a *acknowledger) settle(d time.Duration) {
	expired := false
	defer time.AfterFunc(d, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		expired = true
		a.changed.Broadcast()
	}).Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.waiting > 0 && !expired {
		a.changed.Wait()
	}
}

// close ends run.
func (a *acknowledger) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.changed.Broadcast()
}
