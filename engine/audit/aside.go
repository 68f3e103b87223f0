package audit

import (
	"fmt"
	"slices"

	"landfall/edge/record"
	"landfall/engine/parquetfile"
)

// reasonPoison is the reason of a row of conflict whose block contradicts nothing: the
// engine's processes died of it, so it was set aside with all its records. It is
// task.ReasonPoison, which the audit does not import.
const reasonPoison = "poison"

// conflict takes one row of conflict; its block is read from level files on.
func (a *audit) conflict(l *logState, row []parquetfile.Value) {
	l.conflicts++
	if string(row[4].ByteArray()) != reasonPoison {
		return
	}
	from, n := row[2].Uint64(), row[3].Uint64()
	if from+n < from {
		a.wrongFile(KindRow, "names offsets beyond all numbers in a row of conflict")
		return
	}
	a.inRange(l, a.join(l), from, from+n)
	l.asideRows++
	if from < l.base {
		return
	}
	l.setAside(from, n)
	if len(row) <= 5 {
		return
	}
	if err := a.asideRecords(l, from, n, row[5].ByteArray()); err != nil {
		a.wrongFile(KindRow, "has a block that was set aside, of offsets %s of log %s of %s, which is not that block: %v",
			offsets(from, from+n), l.key.log, l.key.gateway, err)
	}
}

// setAside notes that n offsets from one on are set aside.
func (l *logState) setAside(from, n uint64) {
	l.aside = append(l.aside, span{from, from + n})
	if len(l.aside)%1024 == 0 {
		l.aside = merge(l.aside)
	}
	l.end = max(l.end, from+n)
}

// asideRecords adds the records of a block that was set aside to the digest of its log,
// and compares them with the gateway's, as if each were a row of record: what the engine
// could not bear is there, and is what was captured.
func (a *audit) asideRecords(l *logState, from, n uint64, block []byte) error {
	b, err := record.Parse(block)
	if err != nil {
		return err
	}
	if b.Log.String() != l.key.log || uint64(b.First) != from || uint64(b.Count) != n {
		return fmt.Errorf("it is offsets %s of log %s", offsets(uint64(b.First), uint64(b.End())), b.Log)
	}
	var r record.Record
	for offset, payload := range b.Payloads {
		raw := payload
		if err := b.DecodeRecord(payload, &r); err == nil {
			raw = r.Raw
		} else {
			r = record.Record{}
		}
		a.digested(l, uint64(offset), raw)
		if l.edge != nil && l.edge.holds(uint64(offset)) {
			l.chunk(uint64(offset)).lake.add(a.key.bytes(uint64(offset), raw))
		}
		if offset == 0 {
			if l.first = true; r.Kind != record.KindLogOpen {
				continue
			}
			if o, err := record.DecodeOpening(r.Raw); err == nil {
				l.opening = &o
			} else {
				l.first = false
			}
		}
	}
	return nil
}

// countAside counts the offsets of a log that are set aside and nowhere else.
func (l *logState) countAside() (n uint64) {
	for _, s := range merge(l.aside) {
		n += s.to - s.from - l.count(s)
	}
	return n
}

// isAside tells whether an offset is set aside.
func (l *logState) isAside(offset uint64) bool {
	return slices.ContainsFunc(l.aside, func(s span) bool { return s.from <= offset && offset < s.to })
}

// elsewhere are the ranges of a log that are not looked for in record.
func (l *logState) elsewhere() []span {
	return merge(append(merge(l.loss), l.aside...))
}
