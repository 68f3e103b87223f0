package audit

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/table"
)

// Result is what an audit found. Its JSON form is stable.
type Result struct {
	// Exact says that nothing stands against the lake at Level: every captured
	// offset below each log's proven end is recorded exactly once with all its
	// rows, nothing was lost, and nothing contradicts.
	Exact bool   `json:"exact"`
	Lake  string `json:"lake"`
	// Level is what was checked; empty for topics.
	Level Level  `json:"level,omitempty"`
	Files int    `json:"files"` // read; of topics, messages
	Tasks []Task `json:"tasks"`
	Logs  []Log  `json:"logs"` // by gateway, then in opening order where known
	// Findings are everything that stands against the lake, at most a hundred of
	// each kind one by one.
	Findings []Finding `json:"findings"`
	// Problems are the findings beside the logs' own counts, as sentences.
	Problems []string `json:"problems"`
	// NotChecked is what the level, or what is not known, leaves out.
	NotChecked []string `json:"not_checked"`
	// Topics is what an audit of Kafka topics beside the lake found.
	Topics *Result `json:"topics,omitempty"`
	// DeclaredGaps are the intervals in which lines of files may be missing that gateways
	// declared, by gateway and source; of a lake only. A note says each.
	DeclaredGaps []DeclaredGaps `json:"declared_gaps"`
	// Notes are what the reader should know and does not make it inexact.
	Notes []string `json:"notes"`

	untold []string          // names of counts that topics cannot tell: their tables do not go there
	aside  map[logKey][]span // what is set aside, for an audit of topics to which conflict does not go
}

// Task is how far one task's part of the lake was judged.
type Task struct {
	Task string `json:"task"`
	// Epoch is the last one judged: wholly published.
	Epoch uint64 `json:"epoch"`
	// Pending are committed epochs that are not wholly published yet; their
	// files were left out.
	Pending int `json:"pending"`
	// Ledger names the newest entry that was judged; absent without a ledger.
	Ledger *ledger.Tip `json:"ledger,omitempty"`
	// Tipped is the newest entry that the tips name and that the ledger holds: they
	// vouch for the ledger up to it. Absent: they name none.
	Tipped *Tipped `json:"tipped,omitempty"`
}

// Tails of a log.
const (
	TailProven   = "proven"   // the next log, the edge's own log or the end of a bounded input tells the end
	TailUnproven = "unproven" // the log may go on after its last record
	TailPending  = "pending"  // the edge's log holds more, not in the lake yet
)

// Log is the account of one log.
type Log struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"`
	Closed  bool   `json:"closed"`
	Tail    string `json:"tail"`
	// Captured is the number of offsets accounted for: the end of a closed
	// log, else what is after the last offset in the lake.
	Captured   uint64 `json:"captured"`
	Recorded   uint64 `json:"recorded"`   // rows of record, duplicates included
	Rejected   uint64 `json:"rejected"`   // of these with a reject reason
	InLoss     uint64 `json:"in_loss"`    // offsets given up and never landed
	Missing    uint64 `json:"missing"`    // neither recorded nor given up
	Duplicated uint64 `json:"duplicated"` // rows of record beyond an offset's first
	// TypedExpected is what the records declare, TypedFound what is there.
	TypedExpected uint64 `json:"typed_expected"`
	TypedFound    uint64 `json:"typed_found"`
	// TypedWrong counts stretches of 16,384 offsets whose typed rows are not
	// exactly those that their records declare.
	TypedWrong uint64 `json:"typed_wrong"`
	Conflicts  uint64 `json:"conflicts"` // blocks in conflict
	// SetAside counts offsets that are in conflict, with their bytes, because the
	// engine's processes died of them, and in no other table.
	SetAside uint64 `json:"set_aside,omitempty"`
	// Compared and Differing count offsets against the edge's log; Differing
	// is by stretches of 16,384.
	Compared  uint64 `json:"compared,omitempty"`
	Differing uint64 `json:"differing,omitempty"`
	// Uncompared counts offsets whose bytes the edge cannot read any more.
	Uncompared uint64 `json:"uncompared,omitempty"`
	// Pending is how many offsets the edge holds beyond the lake's last.
	Pending uint64 `json:"pending,omitempty"`
	// Where are the first few ranges that are missing, "from-to", both
	// included.
	Where []string `json:"where,omitempty"`
	// Next is the offset up to which the checkpoints say that the log is there;
	// Anchored is false where none says so.
	Next     uint64 `json:"next"`
	Task     string `json:"task,omitempty"` // whose checkpoints say so
	Anchored bool   `json:"anchored"`
	// Digest is that of the log below Next, in decimal, as it was found; empty
	// where it is not known or was not checked.
	Digest string `json:"digest,omitempty"`
	// Since is the offset up to which an earlier audit read the log; the counts are
	// of what is beyond it.
	Since uint64 `json:"since,omitempty"`
	// Previous is the log before this one, which ended at PreviousEnd; empty: none.
	// PreviousChain is the hash of its last block, as this one's gateway knows it; empty:
	// that does not say.
	Previous      string `json:"previous,omitempty"`
	PreviousEnd   uint64 `json:"previous_end,omitempty"`
	PreviousChain string `json:"previous_chain,omitempty"`
	// Chain is the hash of the block that ends at Next; empty: not known.
	Chain string `json:"chain,omitempty"`
	// Tipped is the offset up to which the gateway's tips say what the log holds.
	Tipped uint64 `json:"tipped,omitempty"`
	// Untipped counts offsets below it of which they tell no digest, or which the
	// level does not compare with it.
	Untipped uint64 `json:"untipped,omitempty"`
}

// maxWhere is how many missing ranges a Log names.
const maxWhere = 10

// conclude turns what was read into the Result.
func (a *audit) conclude() {
	order := a.close()
	r := a.result
	keys := slices.SortedFunc(maps.Keys(a.logs), func(a, b logKey) int {
		return cmp.Or(strings.Compare(a.gateway, b.gateway), cmp.Compare(order[a], order[b]), strings.Compare(a.log, b.log))
	})
	if !slices.ContainsFunc(keys, func(k logKey) bool { return a.logs[k].end > 0 || a.logs[k].claimed }) { // tips name logs too
		a.find(Finding{Kind: KindEmpty, Detail: "no captured offset is published here: there is nothing to prove"})
	}
	for _, k := range keys {
		a.vouch(k, a.logs[k])
	}
	a.compareTips()
	a.compareAnchors()
	r.Logs = []Log{} // in JSON an empty list, never null
	r.aside = make(map[logKey][]span)
	for _, k := range keys {
		if l := a.logs[k]; l.asideRows > 0 {
			r.aside[k] = merge(l.aside)
		}
		one := a.logs[k].account(k)
		if !a.digests() {
			one.Digest = ""
		}
		a.countFindings(&one, a.logs[k])
		r.Logs = append(r.Logs, one)
	}
	for _, name := range slices.Sorted(maps.Keys(a.tasks)) {
		t := a.tasks[name]
		if t.manifest != nil {
			r.Tasks = append(r.Tasks, Task{Task: name, Epoch: uint64(t.upTo), Pending: t.pending, Ledger: t.tip, Tipped: a.tippedOf(name)})
		}
	}
	a.declaredGaps()
	a.notChecked()
	a.found.close()
	r.Exact = len(a.found.all) == 0
	r.Findings = append([]Finding{}, a.found.all...)
	r.Tasks, r.NotChecked = append([]Task{}, r.Tasks...), append([]string{}, r.NotChecked...)
	r.Problems, r.Notes = append([]string{}, r.Problems...), append([]string{}, r.Notes...)
}

// vouch finds what nothing vouches for, and what is said of a log beside its
// counts.
func (a *audit) vouch(k logKey, l *logState) {
	if n := l.underived(); n > 0 {
		a.find(k.of(KindDerived, "rows of window or late name %d offsets of log %s of %s that are not in record", n, k.log, k.gateway))
	}
	if !l.isLog && (l.recorded > 0 || l.lossRows > 0) {
		a.find(k.of(KindRow, "rows are of log %q of %s, and a log has 32 hexadecimal digits", k.log, k.gateway))
	}
	switch {
	case l.claimed && a.anchored && l.end > l.next:
		f := k.of(KindUnknown, "log %s of %s has offsets up to %d, and the checkpoints say that it was taken up to %d", k.log, k.gateway, l.end-1, l.next)
		f.Offsets = offsets(l.next, l.end)
		a.find(f)
	case !l.claimed && a.anchored && l.end > 0:
		f := k.of(KindUnknown, "log %s of %s has %d records, and no checkpoint knows it", k.log, k.gateway, l.recorded)
		f.Offsets = offsets(0, l.end)
		a.find(f)
	}
	if r, o := l.newestRow, l.opening; r != nil && o != nil && !l.lineage && r.previous != "" && (r.previous != o.Prev.String() || r.previousEnd != uint64(o.PrevEnd)) {
		f := k.of(KindLogRow, "table log says that log %s of %s follows log %s, which ended at %d; its first record says log %s and %s", k.log, k.gateway, r.previous, r.previousEnd, o.Prev, o.PrevEnd)
		f.Table, f.File = table.Log, r.file
		a.find(f)
	}
	if r := l.newestRow; r != nil && r.known && r.next == l.found() && !l.lostUnknown && !l.differs && l.unsummed == 0 && l.sum+l.lost != r.digest && a.digests() {
		f := k.of(KindDigest, "the records of log %s of %s are not those that the gateway captured: their digest is %s, and table log says %s", k.log, k.gateway, l.sum+l.lost, r.digest)
		f.Table, f.File, f.Offsets = table.Log, r.file, offsets(0, r.next)
		a.find(f)
	}
}

// countFindings makes findings of the counts of a log.
func (a *audit) countFindings(one *Log, l *logState) {
	k := l.key
	count := func(kind Kind, where, format string, args ...any) {
		f := k.of(kind, format, args...)
		f.Offsets = where
		a.found.add(f)
	}
	if one.Missing > 0 {
		spans, _ := l.missing(one.Captured, l.elsewhere(), maxWhere)
		where := rangeList(spans)
		count(KindMissing, where, "%d offsets of log %s of %s are neither in record nor in loss: %s", one.Missing, k.log, k.gateway, where)
	}
	if one.InLoss > 0 {
		count(KindLoss, "", "%d offsets of log %s of %s were given up", one.InLoss, k.log, k.gateway)
	}
	if n := one.Conflicts - l.asideRows; n > 0 {
		count(KindConflict, "", "%d blocks contradict log %s of %s", n, k.log, k.gateway)
	}
	if l.asideRows > 0 {
		where := rangeList(merge(l.aside))
		count(KindSetAside, where, "%d offsets of log %s of %s were set aside, for processes died of them: %s are in the "+
			"table conflict with their bytes (reason poison), and not in record", one.SetAside, k.log, k.gateway, where)
	}
	for _, no := range l.numbers() {
		a.chunkFindings(l, no)
	}
}

// digests tells whether digests were summed up.
func (a *audit) digests() bool { return a.level.reaches(LevelFiles) }

// notChecked lists what the level and what is not known leave out.
func (a *audit) notChecked() {
	r := a.result
	if a.topics {
		return
	}
	r.Level = a.level
	r.NotChecked = append(r.NotChecked, a.level.unchecked()...)
	if a.ledgerless() && a.digests() {
		r.Level = LevelOffsets
		r.NotChecked = append(r.NotChecked, "which files and bytes were published, as there is no ledger: the records were compared with the gateways' tips alone")
	}
	if a.Since != nil {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("the files of the earlier audit, which it read at level %s, and files that came since under the names of its epochs", a.Since.Level))
	}
	if a.level.reaches(LevelValues) {
		r.NotChecked = append(r.NotChecked, append(a.undecodedWords(), a.Decode.Underived())...)
		if a.corrupt > 0 {
			r.NotChecked = append(r.NotChecked, fmt.Sprintf("%d records whose bytes are said to be no record (reject_reason %s)", a.corrupt, rejectRecordCorrupt))
		}
	}
	for _, t := range r.Tasks {
		if t.Pending > 0 {
			r.NotChecked = append(r.NotChecked, fmt.Sprintf("%d epochs of task %s that are not wholly published yet", t.Pending, t.Task))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.tasks)) {
		if n := a.tasks[name].rebuilt; n > 0 {
			r.NotChecked = append(r.NotChecked, fmt.Sprintf("that %d epochs of task %s have the files that they had: a repair rebuilt their "+
				"ledger from the lake, over an older checkpoint; that rows of window, late and conflict of these epochs are all there", n, name))
		}
	}
	unsummed, logs := uint64(0), 0
	for _, l := range a.logs {
		if l.unsummed > 0 {
			unsummed, logs = unsummed+l.unsummed, logs+1
		}
	}
	if unsummed > 0 && !a.ledgerless() {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("the bytes of %d records in %d logs, whose digests their gateways or losses do not tell", unsummed, logs))
	}
	untipped, older := uint64(0), 0
	for _, l := range a.logs {
		untipped += l.untipped
		if l.beforeTips {
			older++
		}
	}
	if older > 0 {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("%d logs against the tips: they come before the first log that their gateway's tips know", older))
	}
	if untipped > 0 {
		r.NotChecked = append(r.NotChecked, fmt.Sprintf("the bytes of %d records against the tips, which tell no digest of them or which need level files: only that their offsets are there", untipped))
	}
	for _, k := range slices.SortedFunc(maps.Keys(a.logs), compareKeys) {
		l := a.logs[k]
		if l.edge == nil {
			continue
		}
		uncompared := uint64(0)
		gaps := merge(l.edge.gaps)
		for _, g := range gaps {
			uncompared += l.count(g)
		}
		if uncompared > 0 {
			r.NotChecked = append(r.NotChecked, fmt.Sprintf("the bytes of %d records of log %s of %s against the gateway's log, which cannot be read at offsets %s", uncompared, k.log, k.gateway, rangeList(gaps)))
		}
	}
	r.NotChecked = append(r.NotChecked, a.unproven...)
	beyond, vouched := a.beyondTips()
	if r.NotChecked = append(r.NotChecked, beyond...); a.digests() && !vouched {
		r.NotChecked = append(r.NotChecked, "that nobody set out to forge it: digests are sums of 64 bits, for which other records can be computed")
	}
	switch {
	case !a.ledgerless():
	case !a.tipsCover():
		a.find(Finding{Kind: KindNoAnchor, Detail: "there is no checkpoint: nothing says which logs and files have to be here"})
	case a.Level.reaches(LevelFiles): // asked for
		a.find(Finding{Kind: KindLevel, Detail: fmt.Sprintf("level %s was asked for, and there is no checkpoint, so which files and bytes were published is not known: tips say no more than level offsets and digests", a.Level)})
	}
}

// ledgerless tells a lake of which no task says anything: tips alone can say what
// has to be there.
func (a *audit) ledgerless() bool { return a.Checkpoints == nil || len(a.tasks) == 0 }

// close sets the end of closed logs as the logs of the same gateway after them declare
// it, and says how many logs of its chain stand before each. What a gateway says of a
// log of another one closes nothing.
func (a *audit) close() map[logKey]int {
	next, foreign := make(map[logKey][]logKey), make(map[logKey][]logKey)
	for k, l := range a.logs {
		if l.opening == nil || l.opening.Prev.IsZero() {
			continue
		}
		prev := a.keyOf(k.gateway, l.opening.Prev.String())
		if prev.gateway != k.gateway {
			foreign[prev] = append(foreign[prev], k)
			continue
		}
		next[prev] = append(next[prev], k)
	}
	for _, prev := range slices.SortedFunc(maps.Keys(next), func(a, b logKey) int {
		return cmp.Or(strings.Compare(a.gateway, b.gateway), strings.Compare(a.log, b.log))
	}) {
		successors := next[prev]
		slices.SortFunc(successors, func(a, b logKey) int { return strings.Compare(a.log, b.log) })
		a.closeLog(prev, successors)
	}
	for _, prev := range slices.SortedFunc(maps.Keys(foreign), compareKeys) {
		claims := foreign[prev]
		slices.SortFunc(claims, compareKeys)
		a.foreignEnds(prev, claims, len(next[prev]) > 0)
	}
	depth := make(map[logKey]int)
	for k := range a.logs {
		seen := 0
		for at := a.logs[k]; at.opening != nil && !at.opening.Prev.IsZero() && seen <= len(a.logs); seen++ {
			p, ok := a.logs[a.keyOf(at.key.gateway, at.opening.Prev.String())]
			if !ok {
				break
			}
			at = p
		}
		depth[k] = seen
	}
	return depth
}

// keyOf finds a log that another one of a gateway follows: under the name of that
// gateway, or, where the gateway was renamed since, under the one it had.
func (a *audit) keyOf(gateway, log string) logKey {
	k := logKey{gateway, log}
	if a.logs[k] != nil {
		return k
	}
	if a.gatewayOf == nil {
		a.gatewayOf = make(map[string]string)
		for _, known := range slices.SortedFunc(maps.Keys(a.logs), compareKeys) {
			if _, ok := a.gatewayOf[known.log]; !ok || a.logs[known].found() > 0 { // else there are blocks in conflict alone
				a.gatewayOf[known.log] = known.gateway
			}
		}
	}
	if known, ok := a.gatewayOf[log]; ok {
		return logKey{known, log}
	}
	return k
}

// closeLog takes the end of one log from those that name it as the one before
// them. There can be only one: more are two histories of one gateway.
func (a *audit) closeLog(prev logKey, successors []logKey) {
	l := a.log(prev)
	for i, k := range successors {
		o := a.logs[k].opening
		end := uint64(o.PrevEnd)
		if i > 0 {
			a.find(k.of(KindLogEnd, "logs %s and %s of %s both follow log %s, which they say ends at %s and at %s: two gateways under one name, or a restored disk",
				successors[0].log, k.log, k.gateway, prev.log, a.logs[successors[0]].opening.PrevEnd, o.PrevEnd))
		}
		if l.closedAt == nil || *l.closedAt < o.PrevEnd {
			l.closedAt = &o.PrevEnd
		}
		f := prev.of(KindLogEnd, "log %s of %s has offset %d beyond its end %d", prev.log, prev.gateway, l.end-1, end)
		switch {
		case o.PrevEndUnproven:
			f.Detail = fmt.Sprintf("log %s of %s lost its end on the gateway's disk: it ended at %d or after it", prev.log, prev.gateway, end)
		case l.end > end:
			f.Offsets = offsets(end, l.end)
		default:
			continue
		}
		a.find(f)
	}
}

// foreignEnds compares what logs of other gateways say of the end of one that they name
// as the one before them. A gateway that was renamed says so truly, with everything of
// its log forwarded under the old name. It closes the log where the opening knows the
// hash of the log's last block, which nobody but its gateway and the cloud has. Anybody
// can say the rest: it is a note where the log ends there and its gateway opened no
// other after it (goesOn), and else a Finding of the one who says it.
func (a *audit) foreignEnds(prev logKey, claims []logKey, goesOn bool) {
	l := a.logs[prev]
	end := max(l.end, l.found())
	proven := slices.IndexFunc(claims, func(k logKey) bool { return l.next == end && a.logs[k].opening.Proves(record.Offset(end), l.chain) })
	for i, k := range claims {
		o := a.logs[k].opening
		why := ""
		switch {
		case i == proven && !goesOn:
			l.closedAt = &o.PrevEnd
			a.note("log %.8s of %s knows the hash of the last block of log %.8s of %s: %s was renamed, and that log ended at %d",
				k.log, k.gateway, prev.log, prev.gateway, prev.gateway, end)
			continue
		case proven >= 0 && !goesOn:
			why = fmt.Sprintf("log %s of %s, which knows the hash of its last block, follows it", claims[proven].log, claims[proven].gateway)
		case i > 0 && claims[i-1].gateway == k.gateway:
			why = fmt.Sprintf("so does its log %s", claims[i-1].log)
		case goesOn:
			why = "that one opened another log after it"
		case o.PrevEndUnproven:
			why = "it says that the end was lost on the disk"
		case uint64(o.PrevEnd) != end:
			why = fmt.Sprintf("the lake has it up to %d", end)
		default:
			a.note("log %.8s of %s says that it follows log %.8s of %s, and that this ended at %d: so it is where %s was renamed, and nobody else says it, so the end of that log is not taken from there",
				k.log, k.gateway, prev.log, prev.gateway, end, prev.gateway)
			continue
		}
		a.find(k.of(KindLogEnd, "log %s of %s says that it follows log %s of another gateway, which ended at %s: %s; nothing is taken from there",
			k.log, k.gateway, prev.log, o.PrevEnd, why))
	}
}

// chainText writes a hash; empty: it is not known.
func chainText(h record.Hash) string {
	if h == (record.Hash{}) {
		return ""
	}
	return h.String()
}

// account adds one log up.
func (l *logState) account(k logKey) Log {
	one := Log{Gateway: k.gateway, Log: k.log, Tail: TailUnproven, Captured: l.end, Recorded: l.recorded, Rejected: l.rejected, Conflicts: l.conflicts}
	if l.bounded {
		one.Tail = TailProven
	}
	if l.claimed {
		one.Next, one.Anchored, one.Task = l.next, true, l.task
		one.Captured = max(one.Captured, l.next)
	}
	one.Tipped, one.Untipped, one.Since = l.tipped, l.untipped, l.base
	if l.opening != nil && !l.opening.Prev.IsZero() {
		one.Previous, one.PreviousEnd = l.opening.Prev.String(), uint64(l.opening.PrevEnd)
		one.PreviousChain = chainText(l.opening.PrevChain)
	}
	one.Chain = chainText(l.chain)
	if l.closedAt != nil {
		one.Closed, one.Tail = true, TailProven
		one.Captured = max(one.Captured, uint64(*l.closedAt))
	}
	if l.tipClosed {
		one.Tail = TailProven
	}
	if l.claimed && l.atKnown && l.at == l.next && l.unsummed == 0 && !l.differs {
		one.Digest = l.atDigest.String()
	}
	if e := l.edge; e != nil {
		one.Compared, one.Differing = e.compared, e.differing
		for _, g := range merge(e.gaps) {
			one.Uncompared += l.count(g)
		}
		if end := uint64(e.end); !one.Closed && end > l.end {
			one.Tail, one.Pending = TailPending, end-l.end
		} else if !one.Closed && end == l.end && e.whole {
			one.Tail = TailProven
		}
	}
	lost := merge(l.loss)
	for _, s := range lost {
		one.InLoss += s.to - s.from - l.count(s)
	}
	one.SetAside = l.countAside()
	first, total := l.missing(one.Captured, l.elsewhere(), maxWhere)
	one.Missing = total
	for _, s := range first {
		one.Where = append(one.Where, fmt.Sprintf("%d-%d", s.from, s.to-1))
	}
	for _, c := range l.chunks {
		one.Duplicated += c.dups
		one.TypedExpected += c.expected.n
		one.TypedFound += c.found.n
		if c.expected != c.found {
			one.TypedWrong++
		}
	}
	return one
}

// WriteText writes the result as a table for people.
func (r *Result) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GATEWAY\tLOG\tTAIL\tCAPTURED\tRECORDED\tREJECTED\tLOSS\tMISSING\tDUPLICATE\tTYPED\tOF\tCONFLICT")
	for _, l := range r.Logs {
		tail := l.Tail
		if l.Closed {
			tail = "closed"
		}
		fmt.Fprintf(t, "%s\t%.8s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", oneLine(l.Gateway), oneLine(l.Log), tail, l.Captured, l.Recorded,
			l.Rejected, l.InLoss, l.Missing, l.Duplicated, l.TypedFound, l.TypedExpected, l.Conflicts)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := io.WriteString(w, r.words()); err != nil || r.Topics == nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", oneLine(r.Topics.Lake)); err != nil {
		return err
	}
	return r.Topics.WriteText(w)
}

// lines are text, one line for each call of add.
type lines struct{ strings.Builder }

func (b *lines) add(format string, args ...any) {
	b.WriteString(oneLine(fmt.Sprintf(format, args...)) + "\n")
}

// words are the lines below the table.
func (r *Result) words() string {
	var b lines
	for i := range r.Logs {
		r.Logs[i].words(&b)
	}
	since := slices.ContainsFunc(r.Logs, func(l Log) bool { return l.Since > 0 })
	for _, t := range r.Tasks {
		later := ""
		if t.Pending > 0 {
			later = fmt.Sprintf("; %d later epochs are not wholly published", t.Pending)
		}
		b.add("task %s judged up to epoch %d%s", t.Task, t.Epoch, later)
		r.tippedWords(&b, &t, since)
	}
	for _, n := range r.Notes {
		b.add("note: %s", n)
	}
	for _, f := range r.Findings {
		where := ""
		if f.File != "" && !strings.Contains(f.Detail, f.File) && !strings.Contains(f.Detail, quoteName(f.File)) {
			where = fmt.Sprintf(" (%s)", f.File)
		}
		b.add("problem: %s%s", f.Detail, where)
	}
	if len(r.NotChecked) > 0 {
		b.add("not checked: %s", strings.Join(r.NotChecked, "; "))
	}
	at := ""
	if r.Level != "" {
		at = fmt.Sprintf(" at level %s", r.Level)
	}
	switch {
	case r.Exact && since:
		b.add("EXACT%s, since the earlier audit: every offset that came after it is there exactly once, %s", at, r.Level.proven())
	case r.Exact:
		b.add("EXACT%s: every offset is there exactly once, %s", at, r.Level.proven())
	default:
		b.add("NOT EXACT%s", at)
	}
	return b.String()
}

// words are the lines about one log.
func (l *Log) words(b *lines) {
	switch {
	case l.Differing > 0: // a finding
	case l.Compared > 0 && l.Compared < l.Recorded:
		b.add("bytes of %.8s of %s equal the edge's log at %d of %d offsets", l.Log, l.Gateway, l.Compared, l.Recorded)
	case l.Compared > 0:
		b.add("bytes of %.8s of %s equal the edge's log at %d offsets", l.Log, l.Gateway, l.Compared)
	case l.Uncompared > 0:
		b.add("no byte of %.8s of %s could be compared with the edge's log", l.Log, l.Gateway)
	}
	switch {
	case l.Tail == TailPending:
		b.add("%.8s of %s: %d offsets at the edge are not in the lake yet", l.Log, l.Gateway, l.Pending)
	case l.Tail == TailUnproven && l.Tipped > 0 && l.Untipped > 0:
		b.add("%.8s of %s is open: its tips say that it came to offset %s, and not with which bytes; what was captured later is not proven without newer ones or --edge-log", l.Log, l.Gateway, last(l.Tipped))
	case l.Tail == TailUnproven && l.Tipped > 0:
		b.add("%.8s of %s is open: its tips vouch for it up to offset %s; what was captured later is not proven without newer ones or --edge-log", l.Log, l.Gateway, last(l.Tipped))
	case l.Tail == TailUnproven:
		b.add("%.8s of %s is open: what was captured after offset %s is not proven without --edge-log or --tips", l.Log, l.Gateway, last(l.Captured))
	}
}

func last(captured uint64) record.Offset {
	if captured == 0 {
		return 0
	}
	return record.Offset(captured - 1)
}
