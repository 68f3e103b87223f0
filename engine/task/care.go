package task

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Lane is shared by the tasks of one process. One that has a suspect block before it is
// alone in it until that block's rows are sealed, so that nobody else's block ends the
// process then. The zero Lane may be used.
type Lane struct{ mu sync.RWMutex }

// noteTimeout is how long the note at the end of a task may take.
const noteTimeout = 2 * time.Second

// care is what a claim knows of how its process may die.
type care struct {
	note    attempt
	version checkpoint.Version
	alone   bool // the Lane is this task's alone
	blocks  int  // of the open epoch
}

// beginCare reads how the last attempt ended, notes that this claim has begun, and sets
// a block aside of which processes have died. Steps, and what a crash after each one
// leaves:
//
//  1. read the note, and compare it with the checkpoint; nothing.
//  2. write the note of this claim; the next claim takes this one for the attempt that
//     failed: without care it takes more care, with care the note says that no epoch
//     was being made, and nothing is counted.
//  3. where maxDeaths processes died of one block, commit an epoch without blocks whose
//     state says that it is set aside; a crash before that decides again, and after it
//     nothing has to be counted any more.
//  4. the epoch that comes upon the block puts it to conflict, and takes the log beyond
//     it (processor.setAside), as often as it is made again; a crash before it is
//     committed leaves the state of step 3.
//
// A death counts for a block only when the task of another process, or one that panicked,
// had begun an epoch of that block alone, and neither sealed its rows nor came to an end
// by itself. So a stop, a deploy, an upgrade and a store that fails count nothing: the
// task says that it ended, or its rows were made. A kill, and another engine that takes
// the partition over, count if they strike in the milliseconds in which the one block is
// made; they would have to three times in a row on one block, after an epoch of any size,
// one of 64 blocks and one of 8 had been struck in the same way.
func (l *loop) beginCare(ctx context.Context) error {
	found := l.committer.Manifest().Epoch
	last, err := l.readNote(ctx)
	if err != nil {
		return err
	}
	l.care.note = last.resume(l.cfg.Process, found)
	if n := &l.care.note; last.died(l.cfg.Process, found) {
		l.cfg.Counters.Deaths.Add(1)
		l.cfg.Logger.Warn("a process died while it made an epoch of this partition: it is tried again with fewer blocks",
			"partition", l.cfg.Partition, "epoch", found+1, "blocks", n.Blocks, "deaths_of_one_block", n.Deaths)
	}
	l.tellCare()
	if err := l.note(ctx, l.care.note.Blocks == 0); err != nil {
		if l.care.note.Blocks > 0 || errors.Is(err, stream.ErrFenced) {
			return err
		}
		l.cfg.Logger.Warn("the beginning of a claim could not be noted: should the process die of a block, that is "+
			"noticed one start later", "partition", l.cfg.Partition, "error", err)
	}
	if n := &l.care.note; n.Suspect != nil && n.Deaths >= maxDeaths {
		return l.decideAside(ctx)
	}
	return nil
}

// decideAside is step 3 of beginCare.
func (l *loop) decideAside(ctx context.Context) error {
	s, deaths := l.care.note.Suspect, l.care.note.Deaths
	if !l.processor.decide(s, deaths, record.Micros(time.Now().UnixMicro())) {
		l.cfg.Logger.Error("processes die of one more block, and no more is set aside: so many are no fault of blocks; "+
			"see docs/operator.md", "partition", l.cfg.Partition, "gateway", s.Gateway, "log", s.Log, "offset", s.From)
		return nil
	}
	l.cfg.Logger.Error("processes died of one block each time they had it alone: it is set aside, whole, in the table "+
		"conflict with reason poison, and none of its records is in record: please report it",
		"partition", l.cfg.Partition, "gateway", s.Gateway, "log", s.Log, "from", s.From, "end", s.End, "deaths", deaths)
	patient, cancel := l.patient(ctx)
	defer cancel()
	failpoint.Hit("poison.before-decision")
	if err := l.commit(patient, false); err != nil {
		return err
	}
	failpoint.Hit("poison.after-decision")
	return nil
}

// beginAttempt notes that an epoch begins with a block, where care is taken. From then
// on until its rows are staged the task is alone in the Lane if it has that one block.
func (l *loop) beginAttempt(ctx context.Context, first *landing.Landed) error {
	l.care.blocks = 0
	n := &l.care.note
	if n.Blocks == 0 {
		return nil
	}
	if n.Blocks == 1 {
		if n.suspects(suspectOf(first)); n.Deaths > 0 {
			if err := l.waitForSuspect(ctx); err != nil {
				return err
			}
		}
		l.cfg.Lane.mu.Lock()
		l.care.alone = true
	} else {
		n.Suspect, n.Deaths = nil, 0
	}
	if err := l.note(ctx, true); err != nil {
		return err
	}
	failpoint.Hit("attempt.after-note")
	return nil
}

// waitForSuspect waits for a random part of SuspectWait. Errors: that of ctx, and
// the Committer's.
func (l *loop) waitForSuspect(ctx context.Context) error {
	wait := rand.N(l.cfg.SuspectWait)
	l.cfg.Logger.Warn("a process died of one block, or was killed with it: it is tried again after a while, so that "+
		"a kill is not taken for its fault", "partition", l.cfg.Partition, "after", wait, "deaths_of_one_block",
		l.care.note.Deaths)
	select {
	case <-time.After(wait):
		return nil
	case <-l.committer.Failed():
		return l.committer.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// suspectOf names a block.
func suspectOf(l *landing.Landed) suspect {
	s := suspect{Hash: record.HashBlock(l.Block).String(), Gateway: l.Gateway}
	if h, err := record.ParseHeader(l.Block); err == nil {
		s.Log, s.From, s.End = h.Log.String(), h.First, h.End()
	}
	return s
}

// leaveLane lets the others go on.
func (l *loop) leaveLane() {
	if l.care.alone {
		l.care.alone = false
		l.cfg.Lane.mu.Unlock()
	}
}

// sealed notes that the rows of an epoch are made: should the process die from here on,
// no block is to blame. That ends the suspicion of a block that is made at last.
func (l *loop) sealed(ctx context.Context) error {
	defer l.leaveLane()
	n := &l.care.note
	if n.Blocks == 0 || !n.Open {
		return nil
	}
	n.Deaths = 0
	return l.note(ctx, false)
}

// cameThrough notes, without writing it, that an epoch was committed.
func (l *loop) cameThrough(ctx context.Context) {
	n := &l.care.note
	if n.Blocks == 0 {
		return
	}
	if n.came() {
		l.cfg.Logger.Info("no process has died for many epochs: no more care is taken", "partition", l.cfg.Partition)
		if err := l.note(ctx, true); err != nil {
			l.cfg.Logger.Warn("the end of care could not be noted", "partition", l.cfg.Partition, "error", err)
		}
	}
	l.tellCare()
}

// endCare notes how a claim ended, as long as nobody else has the partition.
func (l *loop) endCare(ctx context.Context, err error) {
	l.leaveLane()
	if errors.Is(err, stream.ErrFenced) || l.care.version == "" {
		return
	}
	n := &l.care.note
	n.Panicked = errors.Is(err, stream.ErrPanic)
	n.Ended = !n.Panicked
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := l.note(ctx, n.Open); err != nil && !errors.Is(err, stream.ErrFenced) {
		l.cfg.Logger.Warn("the end of a task could not be noted: the next start takes it for a death, of which one "+
			"counts for nothing", "partition", l.cfg.Partition, "error", err)
	}
}

// tellCare puts what is shown of the care into the counters.
func (l *loop) tellCare() {
	l.cfg.Counters.CareBlocks.Store(int64(l.care.note.Blocks))
	l.cfg.Counters.SuspectDeaths.Store(int64(l.care.note.Deaths))
}

// readNote reads the last note; one that cannot be read says nothing.
func (l *loop) readNote(ctx context.Context) (attempt, error) {
	data, version, err := l.cfg.Store.Read(ctx, checkpoint.AttemptName(l.cfg.id()))
	if errors.Is(err, checkpoint.ErrNotExist) {
		return attempt{}, nil
	}
	if err != nil {
		return attempt{}, fmt.Errorf("read the note of the last attempt: %w", err)
	}
	l.care.version = version
	a, err := decodeAttempt(data)
	if err != nil {
		l.cfg.Logger.Warn("the note of the last attempt is not used", "partition", l.cfg.Partition, "error", err)
		return attempt{}, nil
	}
	return a, nil
}

// note writes the note, durable on return. It is swapped from what was there when this
// claim read or wrote it last; where that has changed, HEAD says whose the partition is:
// ErrFenced, or it is written over.
func (l *loop) note(ctx context.Context, open bool) error {
	n := &l.care.note
	n.Claim, n.Process, n.Epoch, n.Open = l.committer.ClaimID(), l.cfg.Process, l.committer.Manifest().Epoch, open
	data, err := n.encode()
	if err != nil {
		return err
	}
	name := checkpoint.AttemptName(l.cfg.id())
	version, err := l.cfg.Store.Swap(ctx, name, l.care.version, data)
	if errors.Is(err, checkpoint.ErrChanged) {
		if err := l.committer.CheckHead(ctx); err != nil {
			return fmt.Errorf("note an attempt: %w", err)
		}
		var now checkpoint.Version
		if _, now, err = l.cfg.Store.Read(ctx, name); err == nil || errors.Is(err, checkpoint.ErrNotExist) {
			version, err = l.cfg.Store.Swap(ctx, name, now, data)
		}
	}
	if err != nil {
		return fmt.Errorf("note an attempt: %w", err)
	}
	l.care.version = version
	return nil
}
