package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/edge/tips"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// anchorOf is a ledger entry that a gateway's tips name. The ledger has to lead
// back to it: then every entry up to it is what the cloud told the gateway, and so
// are the hashes of the files that these entries name.
type anchorOf struct {
	tips.Anchor
	gateway, file string // whose tips name it, and where they stand
	// through is the task of a later landing log whose entry in the tips leads to this
	// one, which the tips do not name themselves; empty: they do.
	through string
	met     bool // the ledger has an entry of this number
	holds   bool // and it is this one
	epoch   stream.Epoch
}

// changedLater is a file of an epoch that an entry after the newest anchor
// replaced, added or took out.
type changedLater struct {
	file  lakeFile
	entry uint64
	kind  ledger.Kind
}

// addAnchors takes the ledger entries that a document names.
func (a *audit) addAnchors(g *gatewayTips) {
	for _, one := range g.body.Anchors {
		a.anchors[one.Task] = append(a.anchors[one.Task], &anchorOf{Anchor: one, gateway: g.body.Gateway, file: g.file})
		if f := one.Fork; f != nil {
			a.find(Finding{Kind: KindTips, Task: one.Task, Gateway: g.body.Gateway, File: g.file,
				Detail: fmt.Sprintf("the cloud told %s two entries %d of the ledger of task %s, with the SHA-256 %s and, at %s, %s: its history was written again, or there are two",
					g.body.Gateway, f.Number, one.Task, f.SHA256, timeText(f.ToldAt), f.Other)})
		}
	}
	for _, all := range a.anchors {
		newestFirst(all)
	}
}

func newestFirst(all []*anchorOf) {
	slices.SortStableFunc(all, func(a, b *anchorOf) int { return cmp.Compare(b.Number, a.Number) })
}

// inheritAnchors has tips that name an entry of a task vouch for the tasks of the
// landing log before too: the first entry of a task says with which entries those
// ended when the lake moved. Tasks of later landing logs are walked first.
func (a *audit) inheritAnchors(t *taskState) {
	held := a.anchorHeld(t.name)
	if held == nil {
		return
	}
	for _, tip := range t.came {
		task := tip.Task()
		a.anchors[task] = append(a.anchors[task], &anchorOf{
			Anchor:  tips.Anchor{Task: task, Number: tip.Number, SHA256: tip.SHA256, ToldAt: held.ToldAt},
			gateway: held.gateway, file: held.file, through: t.name,
		})
		newestFirst(a.anchors[task])
	}
}

// timeText writes a time of a gateway's clock.
func timeText(at record.Micros) string {
	if at == record.NoTime {
		return "an unknown time"
	}
	return time.UnixMicro(int64(at)).UTC().Format(time.RFC3339)
}

// meet compares an entry of a ledger with those that tips name, and tells whether
// any of these comes before it.
func (w *walk) meet(one *ledger.Walked) (more bool) {
	t := w.task
	all := w.anchors[t.name]
	if len(all) > 0 && one.Number > all[0].Number && one.Kind != ledger.KindEpoch {
		w.noteChanged(one)
	}
	for _, a := range all {
		if more = more || a.Number < one.Number; a.Number != one.Number {
			continue
		}
		a.met, a.holds, a.epoch = true, a.SHA256 == one.SHA256, one.Epoch
		if !a.holds && a.through == "" { // else checkCame finds it
			w.find(Finding{Kind: KindTips, Task: t.name, Epoch: uint64(one.Epoch), Gateway: a.gateway, File: one.Object,
				Detail: fmt.Sprintf("entry %d of the ledger of task %s has the SHA-256 %s, and the cloud told %s %s (%s): the history up to it was written again since",
					a.Number, t.name, one.SHA256, a.gateway, a.SHA256, quoteName(a.file))})
		}
	}
	return more
}

// noteChanged keeps the files that an entry beyond the newest anchor changes.
func (w *walk) noteChanged(one *ledger.Walked) {
	seen := make(map[string]bool)
	for _, files := range [][]ledger.File{one.Removed, one.Files} {
		for i := range files {
			if f := &files[i]; f.Sink == lakeSink && !seen[f.Name] {
				seen[f.Name] = true
				w.task.changed = append(w.task.changed, changedLater{nameFile(table.Name(w.shared(f.Table)), f.Name), one.Number, one.Kind})
			}
		}
	}
}

// compareAnchors finds the entries that tips name and that no ledger leads back to,
// and what was changed behind them.
func (a *audit) compareAnchors() {
	for _, task := range slices.Sorted(maps.Keys(a.anchors)) {
		t := a.tasks[task]
		for _, one := range a.anchors[task] {
			if one.holds && one.through == "" && one.epoch > t.upTo {
				a.find(Finding{Kind: KindTips, Task: task, Epoch: uint64(one.epoch), Gateway: one.gateway, File: one.file,
					Detail: fmt.Sprintf("the cloud told %s entry %d of the ledger of task %s at %s, as it does when an epoch is published and verified, and epoch %s is not wholly published",
						one.gateway, one.Number, task, timeText(one.ToldAt), t.upTo+1)})
			}
			if why := t.unmet(one); !one.met && one.through == "" {
				a.find(Finding{Kind: KindTips, Task: task, Gateway: one.gateway, File: one.file,
					Detail: fmt.Sprintf("the cloud told %s entry %d of the ledger of task %s, with the SHA-256 %s, at %s: %s", one.gateway, one.Number, task, one.SHA256, timeText(one.ToldAt), why)})
			}
		}
		if newest := a.anchorHeld(task); newest != nil && newest == a.anchors[task][0] {
			a.changedBehind(t, newest)
		}
	}
}

// unmet says why a ledger does not lead to an anchor; t is nil where there is no
// checkpoint of the task.
func (t *taskState) unmet(one *anchorOf) string {
	switch {
	case t == nil:
		return "no checkpoint of this task is here, so its ledger is gone, or these are the tips of another lake's gateway"
	case t.manifest == nil:
		return "HEAD of the task cannot be used, so its ledger cannot be compared"
	case t.manifest.Ledger == nil:
		return "the task has no ledger"
	case t.manifest.Ledger.Number < one.Number:
		return fmt.Sprintf("HEAD names entry %d, so the task was set back", t.manifest.Ledger.Number)
	}
	return "the ledger cannot be followed back to it"
}

// anchorHeld returns the newest anchor of a task that its ledger holds; nil: none.
func (a *audit) anchorHeld(task string) *anchorOf {
	for _, one := range a.anchors[task] {
		if one.holds {
			return one
		}
	}
	return nil
}

// changedBehind finds files that were published by an anchor's entry or before it,
// and changed by a later one: the ledger says so openly, and no tips vouch for it.
func (a *audit) changedBehind(t *taskState, anchor *anchorOf) {
	for _, c := range t.changed {
		if c.file.epoch > anchor.epoch {
			continue
		}
		a.find(Finding{Kind: KindTips, Task: t.name, Epoch: uint64(c.file.epoch), Table: c.file.table, File: c.file.name, Gateway: anchor.gateway,
			Detail: fmt.Sprintf("%s is of an epoch that the tips of %s vouch for, and entry %d of the ledger, of kind %s, changed it later: if that was a repair of yours, newer tips vouch for what is there now",
				quoteName(c.file.name), anchor.gateway, c.entry, c.kind)})
	}
}

// Tipped is a ledger entry that a gateway's tips name and that the ledger holds.
type Tipped struct {
	Number uint64 `json:"number"`
	SHA256 string `json:"sha256"`
	// Epoch is the newest one up to the entry.
	Epoch   uint64 `json:"epoch"`
	Gateway string `json:"gateway"`
	// ToldAt is when the cloud told the gateway, by the gateway's clock.
	ToldAt record.Micros `json:"told_at"`
	// Through is the task of a later landing log of which the gateway was told: its
	// ledger goes on from this entry. Empty: the gateway was told of this one.
	Through string `json:"through,omitempty"`
}

// tippedOf returns what Task.Tipped says of a task; nil: nothing.
func (a *audit) tippedOf(task string) *Tipped {
	one := a.anchorHeld(task)
	if one == nil {
		return nil
	}
	return &Tipped{Number: one.Number, SHA256: one.SHA256, Epoch: uint64(one.epoch), Gateway: one.gateway, ToldAt: one.ToldAt, Through: one.through}
}

// beyondTips lists what the ledger entries in the tips do not vouch for, and tells
// whether they vouch for every byte that was judged. They do not while a gateway in
// the lake has no tips: the ledger that others vouch for has its records as the cloud
// says that they came.
func (a *audit) beyondTips() (notChecked []string, everything bool) {
	everything = a.level.reaches(LevelBytes) && a.Since == nil && len(a.result.Tasks) > 0
	if len(a.tipsOf) == 0 {
		return nil, false
	}
	if without := a.gatewaysWithoutTips(); len(without) > 0 {
		everything = false
		notChecked = append(notChecked, fmt.Sprintf("the logs of %s, of which no tips were given: nothing outside the lake says that there is such a gateway, or what it captured", several(without)))
	}
	for i := range a.result.Tasks {
		switch t := &a.result.Tasks[i]; {
		case t.Tipped == nil:
			everything = false
			notChecked = append(notChecked, fmt.Sprintf("the ledger of task %s, of which the tips name no entry that is here: they speak of their gateways' logs alone", t.Task))
		case t.Epoch > t.Tipped.Epoch:
			everything = false
			notChecked = append(notChecked, fmt.Sprintf("the ledger of task %s in epochs %s, which came after the newest entry that the tips name: they speak of their gateways' logs alone", t.Task, offsets(t.Tipped.Epoch+1, t.Epoch+1)))
		}
	}
	return notChecked, everything
}

// vouched says in words what an anchor vouches for at a level.
func (l Level) vouched() string {
	switch l {
	case LevelOffsets:
		return "how far the logs had come is as it was; the files that it and those before it published were not compared with it (files, bytes)"
	case LevelFiles:
		return "the files that it and those before it published are there, with their names, sizes and rows; their bytes were not compared with it (bytes)"
	}
	return "every file that it and those before it published is as it was, byte for byte"
}

// tippedWords says what tips vouch for in a task.
func (r *Result) tippedWords(b *lines, t *Task, since bool) {
	if t.Tipped == nil {
		return
	}
	what := r.Level.vouched()
	if since {
		what = "what the earlier audit read was not compared with it; of the rest " + what
	}
	if !r.Exact {
		what += ", but for the problems below"
	}
	told := "is the one that the cloud told " + t.Tipped.Gateway
	if t.Tipped.Through != "" {
		told = fmt.Sprintf("is the one that task %s goes on from, of which the cloud told %s", t.Tipped.Through, t.Tipped.Gateway)
	}
	b.add("task %s: entry %d of its ledger, up to epoch %d, %s at %s: %s", t.Task, t.Tipped.Number, t.Tipped.Epoch, told, timeText(t.Tipped.ToldAt), what)
}
