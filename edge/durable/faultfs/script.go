package faultfs

import (
	"fmt"
	"slices"
	"strings"

	"landfall/edge/durable"
)

// Kind is a set of kinds of operations.
type Kind uint32

// The kinds of operations.
const (
	OpOpen Kind = 1 << iota
	OpCreate
	OpOpenWrite
	OpRename
	OpLink
	OpRemove
	OpMkdir
	OpReadDir
	OpStat
	OpSyncDir
	OpFree
	OpLock
	OpRead
	OpWrite
	OpSync
	OpSyncData
	OpTruncate

	// OpMutating is every operation that changes files, names or what is durable.
	OpMutating = OpCreate | OpRename | OpLink | OpRemove | OpMkdir | OpSyncDir | OpWrite | OpSync | OpSyncData | OpTruncate
	// OpAny is every operation.
	OpAny = 1<<iota - 1
)

var kindNames = []string{
	"open", "create", "openwrite", "rename", "link", "remove", "mkdir", "readdir", "stat", "syncdir", "free",
	"lock", "read", "write", "sync", "syncdata", "truncate",
}

// String gives the names of the kinds in the set, joined by '|'.
func (k Kind) String() string {
	var names []string
	for i, n := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, "|")
}

// Mode says what a fault does.
type Mode uint8

// The modes. For Sync and SyncData, "not stored" means that the pages are clean
// and not written back (see the package's invariant 2).
const (
	FailNotStored Mode = iota // an error, without effect
	FailStored                // an error, though it took effect
	FailPartly                // an error; of a write the first half took effect, of anything else nothing
	SyncDrop                  // an error; the pages show the durable bytes again (a sync), else as FailNotStored
	NoSpace                   // durable.ErrNoSpace, without effect
	MediaError                // durable.ErrMedia, without effect
	CrashBefore               // the power goes before the operation
	CrashAfter                // the power goes when the operation has taken effect
)

// Modes lists all modes, for tests that try each.
func Modes() []Mode {
	return []Mode{FailNotStored, FailStored, FailPartly, SyncDrop, NoSpace, MediaError, CrashBefore, CrashAfter}
}

var modeNames = []string{"fail-not-stored", "fail-stored", "fail-partly", "sync-drop", "no-space", "media-error", "crash-before", "crash-after"}

// String gives the name used in tables.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode_%d", uint8(m))
}

// Fault is one line of a script: operation number N, from 1, of those in On,
// counted since Script, meets Mode. With Repeat it and all later ones do.
type Fault struct {
	On     Kind
	N      int
	Mode   Mode
	Repeat bool
}

type fault struct {
	Fault
	seen int
}

// Op is one operation that was called.
type Op struct {
	Kind Kind
	Name string
}

// Script replaces the faults and clears the list of operations.
func (f *FS) Script(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.ops, f.matched, f.pauses = nil, nil, 0, nil
	for _, ft := range faults {
		f.faults = append(f.faults, &fault{Fault: ft})
	}
}

type pause struct {
	on   Kind
	left int
	do   func()
}

// Pause makes operation number n of the kinds in on, counted from now, call do
// before it does anything, once, on its caller's goroutine and without a lock
// held: do may use the same files. Script takes all pauses away.
func (f *FS) Pause(on Kind, n int, do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pauses = append(f.pauses, &pause{on: on, left: n, do: do})
}

// paused calls what is to be called before an operation of kind.
func (f *FS) paused(kind Kind) {
	f.mu.Lock()
	var due []func()
	for _, p := range f.pauses {
		if p.on&kind == 0 {
			continue
		}
		if p.left--; p.left == 0 {
			due = append(due, p.do)
		}
	}
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
}

// Ops lists the operations since Script.
func (f *FS) Ops() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ops)
}

// Count tells how many operations of the kinds in k there were since Script.
func (f *FS) Count(k Kind) int {
	n := 0
	for _, op := range f.Ops() {
		if op.Kind&k != 0 {
			n++
		}
	}
	return n
}

// Hits tells how many faults of the script were met.
func (f *FS) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.matched
}

// Crashed tells whether the power is off.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// due gives the fault that meets the next operation of kind. Caller holds mu.
func (f *FS) due(kind Kind) *fault {
	var hit *fault
	for _, ft := range f.faults {
		if ft.On&kind == 0 {
			continue
		}
		ft.seen++
		if hit == nil && (ft.seen == ft.N || ft.Repeat && ft.seen > ft.N) {
			hit = ft
		}
	}
	return hit
}

// parts is what an operation does when it succeeds, when it is cut in half, and
// when it is a sync that fails. half and drop may be nil.
type parts struct {
	effect func() error
	half   func()
	drop   func(forget bool)
}

// run carries out one operation as the script wants. Caller holds mu.
func (f *FS) run(kind Kind, name string, op parts) error {
	if f.crashed {
		return ErrCrashed
	}
	f.ops = append(f.ops, Op{kind, name})
	hit := f.due(kind)
	if hit == nil {
		return op.effect()
	}
	f.matched++
	err := fmt.Errorf("%s: %w", hit.Mode, ErrInjected)
	switch hit.Mode {
	case FailStored:
		if err := op.effect(); err != nil {
			return err
		}
		return err
	case FailPartly:
		if op.half != nil {
			op.half()
			return err
		}
	case CrashBefore:
		f.crashed = true
		return ErrCrashed
	case CrashAfter:
		_ = op.effect() // nobody hears of it
		f.crashed = true
		return ErrCrashed
	case NoSpace:
		err = durable.ErrNoSpace
	case MediaError:
		err = durable.ErrMedia
	}
	if op.drop != nil {
		op.drop(hit.Mode == SyncDrop)
	}
	return err
}
