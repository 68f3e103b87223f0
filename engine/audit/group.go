package audit

import (
	"fmt"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/table"
)

// group is what one entry of a ledger published, while it is read. Files that
// no entry names are in a group without one.
type group struct {
	no      uint64 // 1, 2, 3 …
	task    *taskState
	entry   *entry
	logs    []*logState // that have rows in the group
	records []string    // its files of record
}

// groupLog is what a group holds of one log.
type groupLog struct {
	claim       *claim
	from, to    uint64 // offsets that rows may name
	sum         record.Digest
	records     uint64 // that are in sum
	lost        record.Digest
	lostUnknown bool // a row of loss has no digest
	outside     uint64
	where       Finding // the first row outside
	rows        []logRow
}

// logRow is one row of the table log.
type logRow struct {
	file        string
	next, epoch uint64
	digest      record.Digest
	known       bool
	chain       string
	closed      bool
	previous    string // empty: NULL
	previousEnd uint64
	openedAt    record.Micros
}

// begin opens a group.
func (a *audit) begin(t *taskState, e *entry) {
	if e != nil && e.blank() {
		e = nil
	}
	a.group = &group{no: a.group.no + 1, task: t, entry: e}
	if e == nil {
		return
	}
	for i := range e.claims {
		a.join(e.claims[i].log).claim = &e.claims[i]
	}
	for _, l := range a.group.logs {
		g := l.inGroup
		g.from, g.to = g.claim.from, g.claim.next
	}
}

// join returns what the open group holds of a log.
func (a *audit) join(l *logState) *groupLog {
	if l.inGroup == nil || l.groupNo != a.group.no {
		l.groupNo, l.inGroup = a.group.no, &groupLog{}
		if a.group.entry == nil {
			l.inGroup.to = 1<<64 - 1
		}
		a.group.logs = append(a.group.logs, l)
	}
	return l.inGroup
}

// inRange notes a row that names a record which the epoch did not take.
func (a *audit) inRange(l *logState, g *groupLog, from, to uint64) {
	if from >= g.from && to <= g.to {
		return
	}
	if g.outside++; g.outside > 1 {
		return
	}
	e := a.group.entry
	f := l.key.of(KindRange, "%s holds a row of offset %d of log %s of %s, and its epoch took none of it", quoteName(a.file.name), from, l.key.log, l.key.gateway)
	if g.claim != nil {
		f = l.key.of(KindRange, "%s holds a row of offset %d of log %s of %s, and its epoch took offsets %s", quoteName(a.file.name), from, l.key.log, l.key.gateway, offsets(g.from, g.to))
	}
	f.Task, f.Epoch, f.Table, f.File, f.Offsets = a.group.task.name, uint64(e.epoch), a.file.table, a.file.name, offsets(from, to)
	g.where = f
}

// end compares what a group holds with what its entry says.
func (a *audit) end() {
	for _, l := range a.group.logs {
		g := l.inGroup
		if a.group.entry != nil {
			a.endLog(l, g)
		} else {
			l.unsummed += g.records // nothing says what their digest is
		}
		l.inGroup = nil
	}
}

func (a *audit) endLog(l *logState, g *groupLog) {
	e := a.group.entry
	if g.outside > 0 {
		if g.outside > 1 {
			g.where.Detail += fmt.Sprintf("; %d rows more", g.outside-1)
		}
		a.find(g.where)
	}
	c := g.claim
	if c == nil {
		for i := range g.rows {
			f := l.key.of(KindLogRow, "table log has a row of log %s of %s in epoch %s, which took nothing of it", l.key.log, l.key.gateway, e.epoch)
			f.Task, f.Epoch, f.Table, f.File = a.group.task.name, uint64(e.epoch), table.Log, g.rows[i].file
			a.find(f)
		}
		return
	}
	if a.level.reaches(LevelFiles) {
		a.compareLogRows(l, g)
		a.compareDigest(l, g)
	}
	l.atDigest, l.atKnown, l.at = c.digest, c.known, c.next
}

// compareDigest holds the records of one log in one epoch against what the
// gateway captured.
func (a *audit) compareDigest(l *logState, g *groupLog) {
	c, e := g.claim, a.group.entry
	before, known := l.atDigest, l.atKnown && l.at == c.from || c.from == 0
	if c.from == 0 {
		before = 0
	}
	if !known || !c.known {
		l.unsummed += c.next - c.from
		return
	}
	if g.lostUnknown {
		f := l.key.of(KindDigest, "a loss of log %s of %s in epoch %s has no digest, and the ledger knows that of the log", l.key.log, l.key.gateway, e.epoch)
		f.Task, f.Epoch, f.Table, f.Offsets = a.group.task.name, uint64(e.epoch), table.Loss, offsets(c.from, c.next)
		a.find(f)
		return
	}
	if before+g.sum+g.lost == c.digest {
		return
	}
	l.differs = true
	f := l.key.of(KindDigest, "the records of log %s of %s at offsets %s, which epoch %s of %s took, are not those that the gateway captured: their digest is %s, not %s",
		l.key.log, l.key.gateway, offsets(c.from, c.next), e.epoch, a.group.task.name, g.sum+g.lost, c.digest-before)
	f.Task, f.Epoch, f.Table, f.File, f.Offsets = a.group.task.name, uint64(e.epoch), table.Record, several(a.group.records), offsets(c.from, c.next)
	a.find(f)
}

// logSchema is the first version of the tables that has the table log.
const logSchema = 5

// compareLogRows holds the rows of table log against the ledger.
func (a *audit) compareLogRows(l *logState, g *groupLog) {
	c, e := g.claim, a.group.entry
	wrong := func(file, format string, args ...any) {
		f := l.key.of(KindLogRow, "table log, epoch %s, log %s of %s: %s", e.epoch, l.key.log, l.key.gateway, fmt.Sprintf(format, args...))
		f.Task, f.Epoch, f.Table, f.File = a.group.task.name, uint64(e.epoch), table.Log, file
		a.find(f)
	}
	l.tabled = l.tabled || c.from == 0 && e.schema >= logSchema && e.kind == ledger.KindEpoch
	if len(g.rows) != 1 {
		if len(g.rows) > 1 || e.schema >= logSchema && e.kind == ledger.KindEpoch {
			wrong("", "%d rows, and the epoch has one", len(g.rows))
		}
		return
	}
	r := &g.rows[0]
	chain := ""
	if c.chain != (record.Hash{}) {
		chain = c.chain.String()
	}
	switch {
	case r.epoch != uint64(e.epoch):
		wrong(r.file, "it is of epoch %d", r.epoch)
	case r.next != c.next:
		wrong(r.file, "next_offset is %d, and the ledger says %d", r.next, c.next)
	case r.known != c.known || r.digest != c.digest:
		wrong(r.file, "digest is %s, and the ledger says %s", digestText(r.digest, r.known), digestText(c.digest, c.known))
	case r.chain != chain:
		wrong(r.file, "chain is %q, and the ledger says %q", r.chain, chain)
	case r.closed != c.closed:
		wrong(r.file, "closed is %t, and the ledger says %t", r.closed, c.closed)
	}
	if !l.first || !l.tabled {
		return
	}
	l.lineage = true
	o := record.Opening{OpenedAt: record.NoTime}
	if l.opening != nil {
		o = *l.opening
	}
	switch previous := idText(o.Prev); {
	case r.previous != previous:
		wrong(r.file, "previous_log is %q, and its first record says %q", r.previous, previous)
	case previous != "" && r.previousEnd != uint64(o.PrevEnd):
		wrong(r.file, "previous_end is %d, and its first record says %s", r.previousEnd, o.PrevEnd)
	case r.openedAt != o.OpenedAt:
		wrong(r.file, "opened_at is %d us, and its first record says %d us", r.openedAt, o.OpenedAt)
	}
}

func digestText(d record.Digest, known bool) string {
	if !known {
		return "not known"
	}
	return d.String()
}
