package audit

import (
	"fmt"

	"landfall/edge/record"
	"landfall/engine/stream"
)

// sinceOf returns what the earlier audit says of a task; nil: nothing.
func (a *audit) sinceOf(task string) *Task {
	if a.Since == nil {
		return nil
	}
	for i := range a.Since.Tasks {
		if t := &a.Since.Tasks[i]; t.Task == task && t.Ledger != nil {
			return t
		}
	}
	return nil
}

// checkSince finds why the earlier audit cannot be built on.
func (a *audit) checkSince() {
	if a.Since == nil {
		return
	}
	if !a.Since.Exact {
		a.find(Finding{Kind: KindSince, Detail: "the earlier audit was not exact, so this one cannot be"})
	}
	any := false
	for i := range a.Since.Tasks {
		t := &a.Since.Tasks[i]
		any = any || t.Ledger != nil
		switch now := a.tasks[t.Task]; {
		case now == nil:
			a.find(Finding{Kind: KindSince, Task: t.Task, Detail: fmt.Sprintf("the earlier audit read task %s, and there is none of this name", t.Task)})
		case t.Ledger != nil && !now.since:
			a.find(Finding{Kind: KindSince, Task: t.Task,
				Detail: fmt.Sprintf("the ledger of task %s does not lead back to entry %d, which the earlier audit read", t.Task, t.Ledger.Number)})
		case t.Ledger != nil && stream.Epoch(t.Epoch) > now.upTo:
			a.find(Finding{Kind: KindSince, Task: t.Task, Epoch: t.Epoch,
				Detail: fmt.Sprintf("the earlier audit found epoch %d of task %s published, and epoch %s is not wholly published", t.Epoch, t.Task, now.upTo+1)})
		}
	}
	if !any {
		a.find(Finding{Kind: KindSince, Detail: "the earlier audit names no entry of a ledger, so there is nothing to go on from"})
	}
}

// chainOf reads what chainText wrote; zero: that is no hash.
func chainOf(s string) record.Hash {
	h, err := record.ParseLogID(s)
	if err != nil {
		return record.Hash{}
	}
	return record.Hash(h)
}

// goOn starts the logs from where the earlier audit left them.
func (a *audit) goOn() {
	if a.Since == nil {
		return
	}
	for i := range a.Since.Logs {
		was := &a.Since.Logs[i]
		t := a.tasks[was.Task]
		if !was.Anchored || t == nil || !t.since {
			continue // it is read from its beginning
		}
		l := a.log(logKey{was.Gateway, was.Log})
		l.base, l.end, l.bounded = was.Next, max(l.end, was.Next), t.final
		d, err := record.ParseDigest(was.Digest)
		l.at, l.atDigest, l.atKnown = was.Next, d, was.Digest != "" && err == nil
		l.sum = l.atDigest
		if !l.claimed {
			l.claimed, l.next, l.digest, l.digestKnown, l.task = true, was.Next, d, l.atKnown, was.Task
			l.chain = chainOf(was.Chain)
		}
		if prev, err := record.ParseLogID(was.Previous); err == nil {
			l.opening = &record.Opening{Prev: prev, PrevEnd: record.Offset(was.PreviousEnd), PrevChain: chainOf(was.PreviousChain)}
		}
		for _, m := range l.marks {
			m.sum += l.atDigest
			m.lostUnknown = m.lostUnknown || m.end < l.base || !l.atKnown
		}
	}
}
