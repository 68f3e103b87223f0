package task

import (
	"cmp"
	"slices"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// touch is what the open epoch did to one log so far.
type touch struct {
	From     record.Offset // its next offset before
	LandedAt record.Micros // of the newest block that advanced or closed it
}

// touch notes that a block advances or closes a log; next is the log's next
// offset before that.
func (p *processor) touch(id record.LogID, next record.Offset, at record.Micros) {
	t, ok := p.touched[id]
	if !ok {
		t.From = next
	}
	t.LandedAt = at
	p.touched[id] = t
}

// opened takes what the first block of a log says of it, and closes the log that
// it names as the one before: of its own gateway, or of another one, where it knows
// the hash of that log's last block, for then the gateway was renamed. A gateway sends
// one log after the other; where a newer log was opened all the same before anything
// of this one came, this one begins closed.
func (p *processor) opened(l *landing.Landed, after stream.Position, b *record.Block, st *logState, out *table.Batch) {
	g, _ := p.gateways.Get(l.Gateway)
	heard := !g.Log.IsZero()
	if heard {
		newest, known := p.logs.Get(g.Log)
		if known && newest.Gateway == l.Gateway && newest.Previous == b.Log {
			st.Closed, st.End = true, newest.PreviousEnd
		}
	}
	o, ok := opening(b)
	if !ok {
		return
	}
	st.open(&o)
	st.ShownAt = max(l.LandedAt, 0)
	old, known := p.logs.Get(o.Prev)
	if heard && !o.Prev.IsZero() && !old.begun() && !l.Keeps {
		p.endsAt(l.Gateway, o.Prev, &old, o.PrevEnd, l.LandedAt)
	}
	p.follows(l, after, &b.Header, &o, &old, out)
	renamed := old.Gateway != l.Gateway
	if !known || !old.begun() || old.Closed || renamed && !o.Proves(old.Next, old.Hash) {
		return
	}
	old.Closed, old.End = true, o.PrevEnd
	p.goesBeyond(o.Prev, &old, l.LandedAt)
	switch {
	case renamed: // nothing of it is missing
	case l.Keeps && old.Next < o.PrevEnd:
		p.lacks(o.Prev, &old, o.PrevEnd, l.LandedAt)
	default:
		p.endsAt(l.Gateway, o.Prev, &old, o.PrevEnd, l.LandedAt)
	}
	p.touch(o.Prev, old.Next, l.LandedAt)
	p.logs.Put(o.Prev, old)
}

// opening reads the opening in the first record of a log's first block; false:
// that is no opening, or one that cannot be read.
func opening(b *record.Block) (record.Opening, bool) {
	for _, payload := range b.Payloads {
		var r record.Record
		if err := b.DecodeRecord(payload, &r); err != nil || r.Kind != record.KindLogOpen {
			return record.Opening{}, false
		}
		o, err := record.DecodeOpening(r.Raw)
		return o, err == nil
	}
	return record.Opening{}, false
}

// end appends to out the rows that the end of an epoch makes; final says that the
// landing log ended, so that nothing more will come to any window.
func (p *processor) end(epoch stream.Epoch, final bool, out *table.Batch) []ledger.Log {
	if final {
		p.window.Finish(out)
	}
	return p.endEpoch(epoch, out)
}

// endEpoch ends the open epoch's account of logs: it appends to out the rows of
// the table log, one for each log that the epoch advanced, opened or closed, and
// returns the same for the ledger; both are sorted by gateway and log. Conflicts
// advance no log.
func (p *processor) endEpoch(epoch stream.Epoch, out *table.Batch) []ledger.Log {
	var logs []ledger.Log
	for id, t := range p.touched {
		st, _ := p.logs.Get(id)
		logs = append(logs, ledgerLog(id, &st, t.From))
		out.Logs = append(out.Logs, p.logRow(id, &st, t.LandedAt, epoch))
	}
	clear(p.touched)
	slices.SortFunc(out.Logs, func(a, b table.LogRow) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Log, b.Log))
	})
	sortLogs(logs)
	return logs
}

// allLogs returns how far every log is, as if one epoch had taken them all.
func (p *processor) allLogs() []ledger.Log {
	var logs []ledger.Log
	for id, st := range p.logs.All() {
		if st.begun() {
			logs = append(logs, ledgerLog(id, &st, 0))
		}
	}
	sortLogs(logs)
	return logs
}

func sortLogs(logs []ledger.Log) {
	slices.SortFunc(logs, func(a, b ledger.Log) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Log, b.Log))
	})
}

// logRow is the row of the table log of one log as it stands.
func (p *processor) logRow(id record.LogID, st *logState, landed record.Micros, epoch stream.Epoch) table.LogRow {
	row := table.LogRow{
		Gateway: st.Gateway, Log: id.String(), NextOffset: st.Next, PreviousEnd: st.PreviousEnd, OpenedAt: st.OpenedAt,
		Digest: st.Digest, Chain: st.Hash, Closed: st.Closed, Watermark: record.NoTime, Epoch: uint64(epoch), LandedAt: landed,
	}
	if !st.Previous.IsZero() {
		row.Previous = st.Previous.String()
	}
	if g, ok := p.gateways.Get(st.Gateway); ok {
		row.Watermark = g.Watermark
	}
	return row
}

// ledgerLog is what an entry of the ledger says of a log that it takes from an
// offset to where it stands. What opened the log stands in the entry that did.
func ledgerLog(id record.LogID, st *logState, from record.Offset) ledger.Log {
	l := ledger.Log{Gateway: st.Gateway, Log: id.String(), From: from, Next: st.Next, Closed: st.Closed}
	if st.Digest.Valid {
		l.Digest = st.Digest.Value.String()
	}
	if st.Hash != (record.Hash{}) {
		l.Chain = st.Hash.String()
	}
	if from == 0 && !st.Previous.IsZero() {
		l.Previous, l.PreviousEnd = st.Previous.String(), st.PreviousEnd
	}
	if from == 0 && st.OpenedAt != record.NoTime {
		l.OpenedAt = st.OpenedAt
	}
	return l
}
