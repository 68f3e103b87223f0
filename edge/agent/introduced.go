package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/edge/wire"
)

const (
	// introductionWait is for how long files wait at a start until the cloud has said
	// which log of this gateway it has newest. Without a link they are read then.
	introductionWait = 5 * time.Second
	// noteEvery is how often is looked whether an operator has acknowledged.
	noteEvery = time.Second
)

// Held begins what a source of files says that waits for an operator.
const Held = "not read before you acknowledge"

// introduced is a source of files. It waits until the cloud has said that the data
// directory knows the gateway's newest log; where it does not, and where the disk has
// lost the end of the log, with which the positions in files are of an earlier time,
// until an operator has acknowledged that: a file can wait, and what is read twice comes
// twice.
type introduced struct {
	part
	a *Agent
}

// Run implements part.
func (s introduced) Run(ctx context.Context, sink source.Sink) error {
	if !s.a.awaitIntroduction(ctx) {
		return nil
	}
	return s.part.Run(ctx, sink)
}

// Status describes the source; while it is held, why.
func (s introduced) Status() source.Status {
	st := s.part.Status()
	if why := s.a.held(); why != "" && st.State == source.StateStarting {
		st.State, st.Detail = source.StateAbsent, why
	}
	return st
}

// held says why files are not read; "" when they may be.
func (a *Agent) held() string {
	if n, last, held := a.unknown.found(); held && !a.cfg.unknownAcknowledged(a.opt.FS, n, last) {
		if a.unknown.isRename() {
			return Held + " (--data-dir) that " + last
		}
		return Held + " (--data-dir) that the data directory does not know " + last
	}
	if n, last := a.lost.told(); !acknowledged(a.opt.FS, a.cfg.LostEndsFile(), n, last) {
		return Held + " (--log) that the disk has lost " + last +
			"; it is read again then from where the rest of the log knows it, and what the cloud had of that comes twice"
	}
	return ""
}

// awaitIntroduction waits until files may be read; false: ctx ended.
func (a *Agent) awaitIntroduction(ctx context.Context) bool {
	limit := time.NewTimer(introductionWait)
	defer limit.Stop()
	select {
	case <-a.introduction:
	case <-limit.C:
	case <-ctx.Done():
		return false
	}
	look := time.NewTicker(noteEvery)
	defer look.Stop()
	for a.held() != "" {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	a.unknown.readFiles()
	return true
}

// heardNewest is told that the cloud has said which log it has newest, or why not.
func (a *Agent) heardNewest(err error) {
	if err != nil {
		a.opt.Logger.Warn("it is not known which log of this gateway the cloud has newest: files are read all the same", "error", err)
	}
	close(a.introduction)
}

// heardWas is told which log the cloud has newest under the name that this gateway had: if
// the directory knows that, the gateway was only renamed.
func (a *Agent) heardWas(newest wire.HeldLog) {
	if end, known := a.knownEnd(newest.Log); known && newest.Next <= end {
		a.unknown.vouch(&a.cfg, a.opt.FS)
		return
	}
	if err := a.unknown.hear(newest); err != nil {
		a.opt.Logger.Error("a log of the cloud under an earlier name is not noted", "log", newest.Log, "error", err)
	}
}

// readsFiles tells whether any source reads files.
func (c *Config) readsFiles() bool {
	for i := range c.Sources {
		if c.Sources[i].File != nil {
			return true
		}
	}
	return false
}

// knownEnd returns up to where the data directory knows a log; false: not at all. The
// book of tips vouches for a log only where one of the directory comes after it: else the
// log is gone, and the positions in files with it.
func (a *Agent) knownEnd(log record.LogID) (end record.Offset, known bool) {
	ends := map[record.LogID]record.Offset{}
	for _, l := range a.store.Logs() {
		ends[l.Prev] = max(ends[l.Prev], l.PrevEnd)
		ends[l.ID] = max(ends[l.ID], l.End)
	}
	if end, known = ends[log]; known {
		return end, true
	}
	return a.tips.endBefore(log, func(l record.LogID) bool { _, ok := ends[l]; return ok })
}

// handOn lets a source of files that has no position go on where one stood that is
// configured no more, if that was in the same file: a source that was only renamed would
// read it again. The position goes with it: under the old name it is not read on.
func (a *Agent) handOn(marks map[string][]byte, f *source.File) error {
	if marks[f.Name()] != nil {
		return nil
	}
	aside, err := a.store.Aside()
	if err != nil {
		return err
	}
	for _, was := range slices.Sorted(maps.Keys(aside)) {
		if !f.IsAt(aside[was]) {
			continue
		}
		a.opt.Logger.Warn("a source without a position goes on in its file where one stood that is configured no more", "source", f.Name(), "was", was)
		return a.store.HandOn(was, f.Name())
	}
	return nil
}

// keepApart lets no source of files read one in which another stood, which is configured
// with another file now or no more, unless its position was handed on.
func (a *Agent) keepApart(files []*source.File) error {
	if len(files) == 0 {
		return nil
	}
	positions, err := a.store.Aside()
	if err != nil {
		return err
	}
	marks := a.store.Marks()
	for _, f := range files {
		delete(positions, f.Name())
		if mark := marks[f.Name()]; mark != nil {
			positions[f.Name()] = mark
		}
	}
	source.KeepApart(files, positions)
	return nil
}

// fileOf is the File behind a source that is configured as one.
func fileOf(s part) *source.File {
	if r, ok := s.(served); ok {
		s = r.part
	}
	f, _ := s.(*source.File)
	return f
}
