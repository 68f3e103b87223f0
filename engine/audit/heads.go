package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// taskHead is what HEAD of a task said.
type taskHead struct {
	id       stream.TaskID
	manifest checkpoint.Manifest
	err      error // why the manifest is not known
}

// isDamage tells an object that is not as it was written from a place that
// cannot be read.
func isDamage(err error) bool {
	for _, one := range []error{checkpoint.ErrCorrupt, checkpoint.ErrVersion, checkpoint.ErrNotExist, ledger.ErrCorrupt, ledger.ErrVersion, ledger.ErrMissing} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// heads reads the tasks' current manifests; none without a store.
func (a *audit) heads(ctx context.Context) (map[string]taskHead, error) {
	if a.Checkpoints == nil {
		return nil, nil
	}
	tasks, err := checkpoint.Tasks(ctx, a.Checkpoints)
	if err != nil {
		return nil, err
	}
	heads := make(map[string]taskHead)
	for _, id := range tasks {
		m, err := checkpoint.Load(ctx, a.Checkpoints, id)
		if err != nil && !isDamage(err) {
			return nil, err
		}
		heads[id.String()] = taskHead{id, m, err}
	}
	return heads, nil
}

// objects lists what lies where the checkpoints are, by task.
func (a *audit) objects(ctx context.Context) (map[string][]string, error) {
	if a.Checkpoints == nil {
		return nil, nil
	}
	names, err := a.Checkpoints.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	all := make(map[string][]string)
	for _, name := range names {
		if task, _, ok := strings.Cut(name, "/"); ok {
			all[task] = append(all[task], name)
		}
	}
	return all, nil
}

// taskState is what is known of one task.
type taskState struct {
	name     string
	manifest *checkpoint.Manifest // at the first look; nil: it cannot be read
	last     stream.Epoch         // committed at the second look
	upTo     stream.Epoch         // wholly published at the first look
	pending  int                  // epochs beyond it
	final    bool                 // its landing log has ended and is wholly published
	byState  bool                 // the ledger does not say how far the logs came; take it from the state
	// ledgered says that entries are what the task published, from the first
	// epoch of entries on; without it nothing says which files those are.
	ledgered bool
	entries  []entry // oldest first, up to upTo
	tip      *ledger.Tip
	rebuilt  int          // entries that a repair rebuilt
	below    stream.Epoch // epochs up to this one are not in entries; 0: all are
	since    bool         // they are not, because an earlier audit read them
	// changed are files that entries beyond the newest anchor of the task change.
	changed []changedLater
	// remembers is how far the newest entries took each log, published or not, by its
	// id: what the state has to say of it.
	remembers map[string]stateLog
	cut       bool // they are not, because the ledger cannot be read so far back
	// generation counts the landing logs that the lake had before this task's, and came
	// are the ledgers from which the task says that it goes on.
	generation int
	came       []ledger.Tip
}

// inOrder lists tasks by the landing logs that the lake had, the first one's first,
// then by name: in this order logs fill up from their beginning.
func (a *audit) inOrder() []*taskState {
	return slices.SortedFunc(maps.Values(a.tasks), func(x, y *taskState) int {
		return cmp.Or(cmp.Compare(x.generation, y.generation), cmp.Compare(x.name, y.name))
	})
}

// anchor learns from the checkpoints how far each task is published and what
// has to be there. What was published before the first look is in the list of
// files; what is newer than the second look nobody committed. Between them the
// engine may go on.
func (a *audit) anchor(ctx context.Context, files []lakeFile, objects map[string][]string, first, second map[string]taskHead) error {
	a.anchored = len(first) > 0
	there := make(map[string]bool, len(files))
	for i := range files {
		there[files[i].name] = true
	}
	// The newest generation first: what it says of a log is what has to be there.
	newest := slices.SortedFunc(maps.Keys(first), func(x, y string) int {
		return cmp.Or(cmp.Compare(first[y].manifest.Generation, first[x].manifest.Generation), cmp.Compare(x, y))
	})
	for _, name := range newest {
		h := first[name]
		t := &taskState{name: name, last: second[name].manifest.Epoch, generation: h.manifest.Generation, remembers: make(map[string]stateLog)}
		a.tasks[name] = t
		if h.err != nil {
			a.anchored = false
			a.find(Finding{Kind: KindHead, Task: name, File: name + "/HEAD", Detail: fmt.Sprintf("the checkpoint of task %s cannot be used: %v", name, h.err)})
			continue
		}
		t.manifest = &h.manifest
		if again := second[name]; again.err != nil {
			a.find(Finding{Kind: KindHead, Task: name, File: name + "/HEAD", Detail: fmt.Sprintf("the checkpoint of task %s cannot be used any more: %v", name, again.err)})
		}
		a.checkPublished(ctx, t, there)
		if err := a.anchorTask(ctx, t, objects[name], second[name]); err != nil {
			return err
		}
		if m := t.manifest; len(m.Params) > 0 && !m.Final { // only a bounded input has settings of its own
			a.note("task %s has not come to the end of its input", name)
		}
	}
	a.checkLedgers()
	if err := a.checkFeeding(ctx, first); err != nil {
		return err
	}
	a.everyPartition(objects, first, second)
	if err := a.everyReplay(ctx, objects, first, second); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if _, known := first[name]; !known && isTaskName(name) && second[name].err == nil && second[name].manifest.Format == 0 {
			a.find(Finding{Kind: KindHead, Task: name, File: name + "/HEAD", Detail: fmt.Sprintf("task %s has %d objects and no HEAD", name, len(objects[name]))})
		}
	}
	return nil
}

// everyPartition finds the tasks that are not there, though the manifests of
// others say that their landing log has a partition for them, or that the lake moved
// to one that has, or the lake says that it is fed from one that has: engines make a
// HEAD for each when they start, and a move does.
func (a *audit) everyPartition(objects map[string][]string, first, second map[string]taskHead) {
	partitions := make(map[string]int) // of each landing log
	if a.fed != nil && len(first) > 0 {
		partitions[a.fed.ID] = a.fed.Partitions
	}
	for _, h := range first {
		partitions[h.id.Landing] = max(partitions[h.id.Landing], h.manifest.Partitions)
		if m := h.manifest.Moved; m != nil { // its tasks were made before any engine knew of them
			partitions[m.Landing] = max(partitions[m.Landing], m.Partitions)
		}
	}
	for _, landing := range slices.Sorted(maps.Keys(partitions)) {
		for p := range partitions[landing] {
			name := stream.TaskID{Landing: landing, Partition: p}.String()
			_, known := first[name]
			if _, made := second[name]; known || made || len(objects[name]) > 0 { // with objects and no HEAD it is found elsewhere
				continue
			}
			a.find(Finding{Kind: KindHead, Task: name, File: name + "/HEAD",
				Detail: fmt.Sprintf("task %s has no HEAD, and its landing log has %d partitions: no engine has taken this one on yet, or the checkpoints of this one, and with them its files, were removed",
					name, partitions[landing])})
		}
	}
}

// isTaskName tells whether a folder is named as that of a task.
func isTaskName(s string) bool {
	cut := strings.LastIndexByte(s, '-')
	return cut > 0 && len(s)-cut == 5 && strings.Trim(s[cut+1:], "0123456789") == ""
}

// checkPublished says how far a task is published: up to its first epoch of which a
// file is not visible. A committed file that is neither visible nor staged is
// lost.
func (a *audit) checkPublished(ctx context.Context, t *taskState, there map[string]bool) {
	m := t.manifest
	t.upTo = m.Epoch
	for _, p := range m.Pending() {
		whole := true
		for _, s := range p.Staged {
			if s.Sink != lakeSink || !isTable(s.Table) || there[s.Target] {
				continue
			}
			f := Finding{Kind: KindFileGone, Task: t.name, Epoch: uint64(p.Epoch), Table: s.Table, File: s.Target}
			// It may have been published since the lake was listed.
			switch held, err := a.Files.Holds(ctx, s); {
			case err != nil:
				f.Detail = fmt.Sprintf("%s was committed in epoch %s of %s, and where it is cannot be told: %v", s.Target, p.Epoch, t.name, err)
				a.find(f)
			case held:
				whole = false
			default:
				f.Detail = fmt.Sprintf("%s was committed in epoch %s of %s and is neither published nor staged", s.Target, p.Epoch, t.name)
				a.gone[s.Target] = true
				a.find(f)
			}
		}
		if !whole {
			t.pending++
			t.upTo = min(t.upTo, p.Epoch-1)
		}
	}
	t.final = m.Final && t.pending == 0
}

// anchorTask reads the ledger of a task, or the state of one that has none.
func (a *audit) anchorTask(ctx context.Context, t *taskState, objects []string, now taskHead) error {
	newest := uint64(0)
	for _, name := range objects {
		if number, fold, ok := ledger.ParseName(name); ok && !fold {
			newest = max(newest, number)
		}
	}
	switch m := t.manifest; {
	case m.Ledger != nil:
		if now.err == nil && (now.manifest.Ledger == nil || newest > now.manifest.Ledger.Number+1) {
			a.find(Finding{Kind: KindHead, Task: t.name, File: t.name + "/HEAD",
				Detail: fmt.Sprintf("HEAD of %s names a ledger that ends before entry %d, which is there: HEAD is of an earlier time", t.name, newest)})
		}
		if err := a.walk(ctx, t); err != nil {
			return err
		}
	case m.Epoch == 0:
		t.ledgered = true
	case m.Format >= ledgerFormat || newest > 0 && !a.takingOver(ctx, t, objects):
		a.anchored = false
		a.find(Finding{Kind: KindLedger, Task: t.name, File: t.name + "/HEAD",
			Detail: fmt.Sprintf("the manifest of task %s names no ledger, though the program that wrote it kept one", t.name)})
	case a.Level.reaches(LevelFiles): // asked for
		a.find(Finding{Kind: KindLevel, Task: t.name,
			Detail: fmt.Sprintf("task %s has no ledger, so which files and bytes it published is not known: start an engine of this version on it once, or ask for level offsets", t.name)})
	default:
		a.level = LevelOffsets
		a.note("task %s was written by a version without a ledger: no more than level offsets can be checked until an engine of this version has taken it over", t.name)
	}
	return a.checkState(ctx, t)
}

// takingOver tells whether the objects of a ledger that no manifest names are those
// of a take-over that is on its way, or that crashed before HEAD moved. Any other
// entry was named by a manifest, and HEAD was set back.
func (a *audit) takingOver(ctx context.Context, t *taskState, objects []string) bool {
	for _, name := range objects {
		_, fold, ok := ledger.ParseName(name)
		if !ok {
			continue
		}
		if fold {
			return false
		}
		line, err := checkpoint.LedgerOf(a.Checkpoints).Read(ctx, name)
		if err != nil {
			return false
		}
		e, err := ledger.Decode(line)
		if err != nil || e.Kind != ledger.KindAdopted || e.Epoch != t.manifest.Epoch {
			return false
		}
	}
	return true
}

// ledgerFormat is the first format of manifests that name a ledger.
const ledgerFormat = 3
