package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"landfall/engine/table"
)

// Kind says what a Finding is about. The words are stable.
type Kind string

// The kinds of findings.
const (
	// Of the counts of a log.
	KindMissing   Kind = "missing"    // offsets that are neither in record nor in loss
	KindDuplicate Kind = "duplicate"  // offsets that stand in record more than once
	KindTyped     Kind = "typed"      // typed rows that are not those that records declare
	KindLoss      Kind = "loss"       // offsets that were given up
	KindConflict  Kind = "conflict"   // blocks that contradict
	KindSetAside  Kind = "set_aside"  // offsets in conflict that contradict nothing: processes died of them
	KindDigest    Kind = "digest"     // records that are not those that were captured
	KindLogEnd    Kind = "log_end"    // what is said of the end of a log contradicts
	KindLogRow    Kind = "log_row"    // the table log says something else than the ledger
	KindUnknown   Kind = "unknown"    // a log, a task or an epoch that nothing vouches for
	KindRange     Kind = "range"      // rows that are not in the epoch that took their records
	KindRow       Kind = "row"        // a row that no program writes
	KindDerived   Kind = "derived"    // rows of window or late of records that are not there
	KindValue     Kind = "value"      // a value that is not what the record says
	KindEdge      Kind = "edge"       // the gateway's own log says something else
	KindTips      Kind = "tips"       // the gateway's tips say something else
	KindTopic     Kind = "topic"      // topics say something else than the lake
	KindEmpty     Kind = "empty"      // there is nothing to prove
	KindNoAnchor  Kind = "no_anchor"  // nothing says what has to be there
	KindSince     Kind = "since"      // the earlier audit does not fit
	KindLevel     Kind = "level"      // the level that was asked for cannot be reached
	KindFileGone  Kind = "file_gone"  // a file that was published is not there
	KindFileStray Kind = "file_stray" // a file that nothing published
	KindFile      Kind = "file"       // a file that is not as it was published
	KindHead      Kind = "head"       // HEAD, or the manifest that it names
	KindState     Kind = "state"      // the objects with the state of a task
	KindLedger    Kind = "ledger"     // the ledger of a task
)

// Finding is one thing that stands against a lake. What is not known is empty.
type Finding struct {
	Kind    Kind       `json:"kind"`
	Task    string     `json:"task,omitempty"`
	Epoch   uint64     `json:"epoch,omitempty"`
	Table   table.Name `json:"table,omitempty"`
	File    string     `json:"file,omitempty"` // relative to the lake; of a checkpoint, to its place; several are joined by ", "
	Gateway string     `json:"gateway,omitempty"`
	Log     string     `json:"log,omitempty"`
	Offsets string     `json:"offsets,omitempty"` // "7", or "7-9" with both included; several are joined by ", "
	Column  string     `json:"column,omitempty"`
	Detail  string     `json:"detail"` // one sentence
}

// OnlyDeclares tells whether the findings are no more than what the lake's own tables say:
// what was given up (loss), what contradicts a log (conflict), and what was set aside there.
// Such a lake is not exact, and as whole as it was published: nothing can be repaired in
// it. True where there is no finding.
func (r *Result) OnlyDeclares() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Kind != KindLoss && f.Kind != KindConflict && f.Kind != KindSetAside
	})
}

// offsets writes a range [from, to).
func offsets(from, to uint64) string {
	if to <= from+1 {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d-%d", from, to-1)
}

// maxFindings bounds the findings of one kind that are kept one by one; of each gateway
// firstFindings are kept however many others have.
const (
	maxFindings   = 100
	firstFindings = 3
)

// findings collects what was found.
type findings struct {
	all    []Finding
	kept   map[Kind]int
	owners map[owner]*tally
}

// owner is of whom findings of a kind are.
type owner struct {
	kind    Kind
	gateway string
}

// tally counts the findings of an owner: those kept one by one, and the others.
type tally struct{ kept, more int }

// add takes a finding, and tells whether it is kept one by one.
func (f *findings) add(one Finding) bool {
	one.Detail = oneLine(one.Detail)
	if f.kept == nil {
		f.kept, f.owners = map[Kind]int{}, map[owner]*tally{}
	}
	of := owner{one.Kind, one.Gateway}
	t := f.owners[of]
	if t == nil {
		t = new(tally)
		f.owners[of] = t
	}
	if f.kept[one.Kind] >= maxFindings && t.kept >= firstFindings {
		t.more++
		return false
	}
	f.kept[one.Kind]++
	t.kept++
	f.all = append(f.all, one)
	return true
}

// close adds findings for those that were only counted, one for each owner.
func (f *findings) close() {
	var more []Finding
	for of, t := range f.owners {
		if t.more == 0 {
			continue
		}
		whose := ""
		if of.gateway != "" {
			whose = " of " + of.gateway
		}
		more = append(more, Finding{Kind: of.kind, Gateway: of.gateway,
			Detail: oneLine(fmt.Sprintf("%d more findings of the kind %s%s are not listed", t.more, of.kind, whose))})
		t.more = 0
	}
	slices.SortFunc(more, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Gateway, b.Gateway))
	})
	f.all = append(f.all, more...)
}

// of returns a finding about a log.
func (k logKey) of(kind Kind, format string, args ...any) Finding {
	return Finding{Kind: kind, Gateway: k.gateway, Log: k.log, Detail: fmt.Sprintf(format, args...)}
}

// quoteName writes a name as it stands in sentences: with quotes unless it is a plain
// one, so that none ends a sentence or a line.
func quoteName(name string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=-:+@~"
	if name != "" && strings.Trim(name, plain) == "" {
		return name
	}
	return strconv.Quote(name)
}

// oneLine writes what cannot be printed as Go does in a string: no text from a
// lake ends a line or steers a terminal.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[:n])
		} else {
			quoted := strconv.Quote(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// find takes a finding that is a sentence of its own.
func (a *audit) find(f Finding) {
	if a.found.add(f) {
		a.result.Problems = append(a.result.Problems, oneLine(f.Detail))
	}
}

// note takes what the reader should know and does not make the lake inexact.
func (a *audit) note(format string, args ...any) {
	a.result.Notes = append(a.result.Notes, oneLine(fmt.Sprintf(format, args...)))
}

// several joins the first few of a list of names.
func several(names []string) string {
	const most = 5
	var all []string
	for _, n := range names[:min(len(names), most)] {
		all = append(all, quoteName(n))
	}
	if len(names) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all, ", "), len(names)-most)
}
