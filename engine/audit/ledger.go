package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// entry is what the audit keeps of one entry of a ledger.
type entry struct {
	number  uint64
	kind    ledger.Kind
	epoch   stream.Epoch
	schema  int
	decoder string // one shared string a version
	sha256  [32]byte
	claims  []claim
}

// blank tells an entry that adopts a lake without saying how far its logs came.
func (e *entry) blank() bool { return e.kind == ledger.KindAdopted && len(e.claims) == 0 }

// blank tells a ledger that begins with the take-over of a lake and does not say
// how far its logs came. A take-over of many files takes several entries, and the
// last of them has the logs.
func (t *taskState) blank() bool {
	n := 0
	for n < len(t.entries) && t.entries[n].kind == ledger.KindAdopted {
		n++
	}
	return n > 0 && t.entries[n-1].blank()
}

// claim is how far an entry says that it took one log.
type claim struct {
	log        *logState
	from, next uint64
	digest     record.Digest // at next
	known      bool          // the digest is
	chain      record.Hash   // at next; zero: none
	closed     bool
}

// expectedFile is a file that a ledger names.
type expectedFile struct {
	task   *taskState
	table  table.Name
	epoch  stream.Epoch // by its entry; of an adopted one, the newest at the time
	kind   ledger.Kind
	schema int
	// decoder is the version of what made its rows.
	decoder string
	rows    int64 // -1: not known
	bytes   int64
	sha256  [32]byte
	seen    bool
}

// walk takes the ledger of a task, from the newest entry that is wholly
// published back to the first.
func (a *audit) walk(ctx context.Context, t *taskState) error {
	w := walk{audit: a, task: t, removed: make(map[string]int), tables: make(map[string]string)}
	tip := *t.manifest.Ledger
	since := a.sinceOf(t.name)
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(a.Checkpoints), t.name, tip) {
		if err != nil && !isDamage(err) {
			return err
		}
		if err != nil {
			if !t.since { // else the earlier audit says what is before it
				a.anchored = false
				w.cut = true
			}
			at := tip.Number - uint64(w.walked)
			a.find(Finding{Kind: KindLedger, Task: t.name, File: ledger.Folder(t.name),
				Detail: fmt.Sprintf("the ledger of task %s cannot be read at entry %d; what it and the %d entries before it published is not known: %v", t.name, at, at-1, err)})
			break
		}
		more := w.meet(&one)
		w.walked++
		if !t.since {
			w.agree(&one)
		}
		switch {
		case t.since: // only what tips name counts
		case since != nil && one.Number <= since.Ledger.Number:
			w.reach(&one, since)
		default:
			w.take(&one)
		}
		if t.since && !more {
			break
		}
	}
	t.ledgered, t.cut = true, w.cut
	a.inheritAnchors(t)
	slices.Reverse(t.entries)
	t.byState = t.blank()
	return nil
}

// walk is one walk along a ledger.
type walk struct {
	*audit
	task    *taskState
	walked  int
	agreed  bool              // an entry was met that says what the manifest has to
	cut     bool              // it ended at an entry that cannot be read
	removed map[string]int    // files that a later repair took out, by name and hash
	tables  map[string]string // shared strings
}

// take takes one entry, newer ones first.
func (w *walk) take(one *ledger.Walked) {
	t := w.task
	if w.walked == 1 && one.Epoch != t.manifest.Epoch {
		w.find(Finding{Kind: KindLedger, Task: t.name, Epoch: uint64(one.Epoch), File: one.Object,
			Detail: fmt.Sprintf("the newest entry of the ledger of %s is of epoch %s, the manifest of epoch %s", t.name, one.Epoch, t.manifest.Epoch)})
	}
	if one.Kind == ledger.KindEpoch && one.Epoch > t.upTo {
		for i := range one.Files { // not wholly published yet
			w.unpublished[one.Files[i].Name] = true
		}
		return
	}
	beyond := one.Kind == ledger.KindRepair && one.Epoch > t.upTo // its files count, and an audit that goes on takes it again
	if one.IsRebuilt() {
		t.rebuilt++
	}
	e := entry{number: one.Number, kind: one.Kind, epoch: one.Epoch, schema: one.Schema, decoder: w.shared(one.Decoder)}
	_, _ = hex.Decode(e.sha256[:], []byte(one.SHA256))
	if t.tip == nil && !beyond {
		t.tip = &ledger.Tip{Name: one.Object, Number: one.Number, SHA256: one.SHA256}
	}
	for i := range one.Removed {
		w.removed[one.Removed[i].Name+" "+one.Removed[i].SHA256]++
	}
	for i := range one.Files {
		w.file(&e, &one.Files[i])
	}
	if beyond {
		return
	}
	if one.Kind == ledger.KindAdopted && one.Epoch > t.upTo {
		one.Logs = nil // how far they came is not published yet
	}
	for i := range one.Logs {
		e.claims = append(e.claims, w.claim(&one.Logs[i]))
	}
	t.came = append(t.came, one.Came...)
	t.entries = append(t.entries, e)
}

// reach ends the walk at the entry with which an earlier audit ended.
func (w *walk) reach(one *ledger.Walked, since *Task) {
	t := w.task
	t.since, t.below = true, stream.Epoch(since.Epoch)
	if t.tip == nil {
		t.tip = since.Ledger
	}
	if one.Number != since.Ledger.Number || one.SHA256 != since.Ledger.SHA256 {
		w.find(Finding{Kind: KindSince, Task: t.name, Epoch: since.Epoch, File: one.Object,
			Detail: fmt.Sprintf("entry %d of the ledger of task %s is not the one that the earlier audit read: the history before it is another", since.Ledger.Number, t.name)})
	}
}

func (w *walk) shared(s string) string {
	if known, ok := w.tables[s]; ok {
		return known
	}
	w.tables[s] = s
	return s
}

// file expects one file of the lake.
func (w *walk) file(e *entry, f *ledger.File) {
	if f.Sink != lakeSink {
		return
	}
	if key := f.Name + " " + f.SHA256; w.removed[key] > 0 {
		w.removed[key]--
		return
	}
	if e.kind != ledger.KindEpoch && nameFile(table.Name(f.Table), f.Name).epoch > w.task.upTo {
		w.unpublished[f.Name] = true // of an epoch that is not wholly published, or in place of a file of it
		return
	}
	if w.expected[f.Name] != nil {
		w.find(Finding{Kind: KindLedger, Task: w.task.name, Epoch: uint64(e.epoch), Table: table.Name(f.Table), File: f.Name,
			Detail: fmt.Sprintf("the ledger of %s publishes %s twice", w.task.name, f.Name)})
		return
	}
	x := &expectedFile{task: w.task, table: table.Name(w.shared(f.Table)), epoch: e.epoch, kind: e.kind, schema: e.schema, decoder: e.decoder, rows: f.Rows, bytes: f.Bytes}
	_, _ = hex.Decode(x.sha256[:], []byte(f.SHA256))
	w.expected[f.Name] = x
}

// claim reads what an entry says of one log.
func (w *walk) claim(l *ledger.Log) claim {
	k := logKey{l.Gateway, l.Log}
	state := w.log(k)
	c := claim{log: state, from: uint64(l.From), next: uint64(l.Next), closed: l.Closed}
	if l.Digest != "" {
		d, err := record.ParseDigest(l.Digest)
		c.digest, c.known = d, err == nil
	}
	if l.Chain != "" {
		_, _ = hex.Decode(c.chain[:], []byte(l.Chain))
	}
	if !state.claimed { // the newest entry that names it comes first
		state.task, state.claimed, state.next, state.digest, state.digestKnown, state.chain = w.task.name, true, c.next, c.digest, c.known, c.chain
	}
	state.claimedClosed = state.claimedClosed || l.Closed
	for _, m := range state.marks {
		if m.end == c.next && c.chain != (record.Hash{}) {
			m.chain, m.hasChain = c.chain, true
		}
	}
	return c
}

// checkLedgers finds what contradicts within the ledgers: entries and logs go on
// where the ones before them ended, also those of a task that goes on from tasks of
// another landing log.
func (a *audit) checkLedgers() {
	reached := make(map[*logState]uint64) // by tasks of the generations before
	at := make(map[*logState]uint64)      // and by those of this one
	if a.Since != nil {
		for i := range a.Since.Logs {
			l := &a.Since.Logs[i]
			if t := a.tasks[l.Task]; t != nil && t.since {
				reached[a.log(logKey{l.Gateway, l.Log})] = l.Next
			}
		}
	}
	generation := 0
	for _, t := range a.inOrder() {
		if t.generation != generation {
			generation = t.generation
			maps.Copy(reached, at)
			clear(at)
		}
		a.checkLedger(t, reached, at)
	}
}

// checkLedger checks one task's entries. reached is where the generations before it
// have taken the logs; where the task takes them goes to at.
func (a *audit) checkLedger(t *taskState, reached, at map[*logState]uint64) {
	wrong := func(e *entry, format string, args ...any) {
		a.find(Finding{Kind: KindLedger, Task: t.name, Epoch: uint64(e.epoch), File: ledger.Folder(t.name),
			Detail: fmt.Sprintf("entry %d of the ledger of %s: ", e.number, t.name) + fmt.Sprintf(format, args...)})
	}
	last := stream.Epoch(0)
	if t.since {
		last = t.below
	} else if len(t.entries) > 0 && t.cut {
		t.below = t.entries[0].epoch - 1
		if t.entries[0].kind != ledger.KindEpoch {
			t.below = t.entries[0].epoch
		}
		last = t.below
	}
	a.checkCame(t)
	for i := range t.entries {
		e := &t.entries[i]
		want := last
		if e.kind == ledger.KindEpoch {
			want++
		}
		if e.epoch != want && e.kind != ledger.KindAdopted {
			wrong(e, "it is of epoch %s, and %s was to come", e.epoch, want)
		}
		last = e.epoch
		for _, c := range e.claims {
			before, known := at[c.log]
			if !known {
				before, known = reached[c.log]
			}
			if known && c.from != before || !known && c.from != 0 && !t.cut && !t.blank() {
				wrong(e, "it takes log %s of %s on from offset %d, and the entry before ended at %d", c.log.key.log, c.log.key.gateway, c.from, before)
			}
			at[c.log] = c.next
		}
	}
}

// checkCame holds a task of a landing log that the lake moved to against the tasks
// that it goes on from: its ledger begins with the move, and the entries that this
// names are in their ledgers.
func (a *audit) checkCame(t *taskState) {
	wrong := func(format string, args ...any) {
		a.find(Finding{Kind: KindLedger, Task: t.name, File: ledger.Folder(t.name), Detail: fmt.Sprintf(format, args...)})
	}
	if t.manifest == nil || t.since || t.cut {
		return // it was read before, or is a finding already
	}
	moved := len(t.entries) > 0 && t.entries[0].kind == ledger.KindMoved
	switch {
	case t.generation > 0 && !moved:
		wrong("the lake moved to the landing log of task %s, and its ledger does not begin with that", t.name)
	case t.generation == 0 && moved:
		wrong("the ledger of task %s begins with a move of the lake, and its manifest does not know of one", t.name)
	}
	for i := 1; i < len(t.entries); i++ {
		if t.entries[i].kind == ledger.KindMoved && t.entries[i-1].kind != ledger.KindMoved {
			wrong("entry %d of the ledger of %s is of a move, which only begins a ledger", t.entries[i].number, t.name)
		}
	}
	for _, tip := range t.came {
		old := a.tasks[tip.Task()]
		switch {
		case old == nil:
			wrong("task %s goes on from entry %d of the ledger of task %s, and there is no task with a checkpoint of this name", t.name, tip.Number, tip.Task())
		case old.manifest != nil && !old.has(tip):
			wrong("task %s goes on from entry %d of the ledger of task %s, and that is not in it", t.name, tip.Number, tip.Task())
		}
	}
}

// has tells whether an entry is in the ledger of a task, as far as it was read.
func (t *taskState) has(tip ledger.Tip) bool {
	for i := range t.entries {
		if e := &t.entries[i]; e.number == tip.Number {
			return hex.EncodeToString(e.sha256[:]) == tip.SHA256
		}
	}
	first := uint64(1) // that was read
	if len(t.entries) > 0 {
		first = t.entries[0].number
	} else if t.tip != nil {
		first = t.tip.Number + 1
	}
	return (t.since || t.cut) && tip.Number < first
}

// entryOf returns the number among entries of the one that an epoch's files
// belong to.
func (t *taskState) entryOf(epoch stream.Epoch) (int, bool) {
	i, found := slices.BinarySearchFunc(t.entries, epoch, func(e entry, epoch stream.Epoch) int {
		switch {
		case e.kind == ledger.KindAdopted && epoch <= e.epoch:
			return 0
		case e.epoch < epoch:
			return -1
		case e.epoch > epoch:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false
	}
	if t.entries[i].kind == ledger.KindAdopted {
		for i+1 < len(t.entries) && t.entries[i+1].kind == ledger.KindAdopted {
			i++ // the last entry of a take-over has its logs
		}
		return i, true
	}
	for i > 0 && t.entries[i-1].epoch == epoch {
		i--
	}
	// A repair is of the epoch before it; the epoch itself has the claims.
	for ; i < len(t.entries) && t.entries[i].epoch == epoch; i++ {
		if t.entries[i].kind != ledger.KindRepair {
			return i, true
		}
	}
	return 0, false
}

// missingFiles finds the files that ledgers name and that are not there.
func (a *audit) missingFiles(ctx context.Context, listed map[string]bool) error {
	var names []string
	for name, x := range a.expected {
		if !x.seen && !a.gone[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	more := make(map[string]bool) // in folders that this version has no table for
	for _, name := range names {
		folder, _, _ := strings.Cut(name, "/")
		if listed[folder] {
			continue
		}
		all, err := a.Files.List(ctx, folder+"/")
		if err != nil {
			return err
		}
		for _, one := range all {
			more[one] = true
		}
		listed[folder] = true
	}
	for _, name := range names {
		x := a.expected[name]
		if more[name] {
			a.note("%s is of a table that this version does not know: nothing but its presence was checked", path.Dir(path.Dir(name)))
			continue
		}
		a.find(Finding{Kind: KindFileGone, Task: x.task.name, Epoch: uint64(x.epoch), Table: x.table, File: name,
			Detail: fmt.Sprintf("%s was published by task %s in epoch %s and is not there", name, x.task.name, x.epoch)})
	}
	return nil
}
