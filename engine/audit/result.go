package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"landfall/edge/record"
)

// Result is what an audit found. Its JSON form is stable.
type Result struct {
	// Exact says that every captured offset below each log's proven end is
	// recorded exactly once with all its rows, that nothing was lost and that
	// nothing contradicts.
	Exact bool   `json:"exact"`
	Lake  string `json:"lake"`
	Files int    `json:"files"` // read; of topics, messages
	Tasks []Task `json:"tasks"`
	Logs  []Log  `json:"logs"` // by gateway, then in opening order where known
	// Problems are what makes the lake inexact beside the logs' own counts.
	Problems []string `json:"problems"`
	// Topics is what an audit of Kafka topics beside the lake found.
	Topics *Result `json:"topics,omitempty"`
	// Notes are what the reader should know and does not make it inexact.
	Notes []string `json:"notes"`

	untold []string // names of counts that topics cannot tell: their tables do not go there
}

// Task is how far one task's part of the lake was judged.
type Task struct {
	Task string `json:"task"`
	// Epoch is the last one judged: wholly published.
	Epoch uint64 `json:"epoch"`
	// Pending are committed epochs that are not wholly published yet; their
	// files were left out.
	Pending int `json:"pending"`
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
	// Compared and Differing count offsets against the edge's log; Differing
	// is by stretches of 16,384.
	Compared  uint64 `json:"compared,omitempty"`
	Differing uint64 `json:"differing,omitempty"`
	// Pending is how many offsets the edge holds beyond the lake's last.
	Pending uint64 `json:"pending,omitempty"`
	// Where are the first few ranges that are missing, "from-to", both
	// included.
	Where []string `json:"where,omitempty"`

	ordinal int
}

// exact says that nothing stands against the log.
func (l *Log) exact() bool {
	return l.Missing == 0 && l.Duplicated == 0 && l.InLoss == 0 && l.TypedWrong == 0 && l.Conflicts == 0 && l.Differing == 0
}

// maxWhere is how many missing ranges a Log names.
const maxWhere = 10

// conclude turns what was read into the Result.
func (a *audit) conclude() {
	order := a.close()
	r := a.result
	r.Tasks, r.Logs = append([]Task{}, r.Tasks...), []Log{} // in JSON an empty list, never null
	r.Problems, r.Notes = append([]string{}, r.Problems...), append([]string{}, r.Notes...)
	if len(a.logs) == 0 {
		a.problem("no captured offset is published here: there is nothing to prove")
	}
	var nameless []string
	for k, l := range a.logs {
		if n := l.underived(); n > 0 {
			nameless = append(nameless, fmt.Sprintf("rows of window or late name %d offsets of log %s of %s that are not in record", n, k.log, k.gateway))
		}
	}
	slices.Sort(nameless)
	r.Problems = append(r.Problems, nameless...)
	r.Exact = len(r.Problems) == 0
	for k, l := range a.logs {
		one := l.account(k)
		one.ordinal = order[k]
		r.Exact = r.Exact && one.exact()
		r.Logs = append(r.Logs, one)
	}
	slices.SortFunc(r.Logs, func(a, b Log) int {
		if c := strings.Compare(a.Gateway, b.Gateway); c != 0 {
			return c
		}
		if a.ordinal != b.ordinal {
			return a.ordinal - b.ordinal
		}
		return strings.Compare(a.Log, b.Log)
	})
}

// close gives closed logs the end that their successor declares, and says how
// many logs of its chain stand before each.
func (a *audit) close() map[logKey]int {
	next := make(map[logKey]logKey)
	for k, l := range a.logs {
		if l.opening == nil || l.opening.Prev.IsZero() {
			continue
		}
		prev := logKey{k.gateway, l.opening.Prev.String()}
		next[prev] = k
	}
	for prev, k := range next {
		end := a.logs[k].opening.PrevEnd
		l := a.log(prev)
		if l.closedAt != nil && *l.closedAt != end {
			a.problem("log %s of %s is said to end at %s and at %s", prev.log, prev.gateway, *l.closedAt, end)
		}
		l.closedAt = &end
		if a.logs[k].opening.PrevEndUnproven {
			a.problem("log %s of %s lost its newest segment on the gateway's disk: it ended at %s or after it", prev.log, prev.gateway, end)
		} else if l.end > uint64(end) {
			a.problem("log %s of %s has offset %d beyond its end %s", prev.log, prev.gateway, l.end-1, end)
		}
	}
	depth := make(map[logKey]int)
	for k := range a.logs {
		seen := 0
		for at := a.logs[k]; at.opening != nil && !at.opening.Prev.IsZero() && seen <= len(a.logs); seen++ {
			p, ok := a.logs[logKey{k.gateway, at.opening.Prev.String()}]
			if !ok {
				break
			}
			at = p
		}
		depth[k] = seen
	}
	return depth
}

// account adds one log up.
func (l *logState) account(k logKey) Log {
	one := Log{Gateway: k.gateway, Log: k.log, Tail: TailUnproven, Captured: l.end, Recorded: l.recorded, Rejected: l.rejected, Conflicts: l.conflicts}
	if l.bounded {
		one.Tail = TailProven
	}
	if l.closedAt != nil {
		one.Closed, one.Tail = true, TailProven
		one.Captured = max(l.end, uint64(*l.closedAt))
	}
	if e := l.edge; e != nil {
		one.Compared, one.Differing = e.compared, e.differing
		if !one.Closed {
			one.Tail = TailProven
			if end := uint64(e.end); end > l.end {
				one.Tail, one.Pending = TailPending, end-l.end
			}
		}
	}
	lost := merge(l.loss)
	for _, s := range lost {
		one.InLoss += s.to - s.from - l.count(s)
	}
	first, total := l.missing(one.Captured, lost, maxWhere)
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
		fmt.Fprintf(t, "%s\t%.8s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", l.Gateway, l.Log, tail, l.Captured, l.Recorded,
			l.Rejected, l.InLoss, l.Missing, l.Duplicated, l.TypedFound, l.TypedExpected, l.Conflicts)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := io.WriteString(w, r.words()); err != nil || r.Topics == nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", r.Topics.Lake); err != nil {
		return err
	}
	return r.Topics.WriteText(w)
}

// words are the lines below the table.
func (r *Result) words() string {
	var b strings.Builder
	for _, l := range r.Logs {
		if len(l.Where) > 0 {
			fmt.Fprintf(&b, "missing in %.8s of %s: %s\n", l.Log, l.Gateway, strings.Join(l.Where, ", "))
		}
		if l.TypedWrong > 0 {
			fmt.Fprintf(&b, "typed rows of %.8s of %s are not those that its records declare\n", l.Log, l.Gateway)
		}
		if l.Differing > 0 {
			fmt.Fprintf(&b, "bytes of %.8s of %s differ from the edge's log\n", l.Log, l.Gateway)
		} else if l.Compared > 0 {
			fmt.Fprintf(&b, "bytes of %.8s of %s equal the edge's log at %d offsets\n", l.Log, l.Gateway, l.Compared)
		}
		switch l.Tail {
		case TailUnproven:
			fmt.Fprintf(&b, "%.8s of %s is open: what was captured after offset %s is not proven without --edge-log\n", l.Log, l.Gateway, last(l.Captured))
		case TailPending:
			fmt.Fprintf(&b, "%.8s of %s: %d offsets at the edge are not in the lake yet\n", l.Log, l.Gateway, l.Pending)
		}
	}
	for _, t := range r.Tasks {
		fmt.Fprintf(&b, "task %s judged up to epoch %d", t.Task, t.Epoch)
		if t.Pending > 0 {
			fmt.Fprintf(&b, "; %d later epochs are not wholly published", t.Pending)
		}
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem: %s\n", p)
	}
	if r.Exact {
		b.WriteString("EXACT: every offset is there exactly once, with all its rows\n")
	} else {
		b.WriteString("NOT EXACT\n")
	}
	return b.String()
}

func last(captured uint64) record.Offset {
	if captured == 0 {
		return 0
	}
	return record.Offset(captured - 1)
}
