package audit

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/table"
)

// headers are what a message's headers say.
type headers struct {
	table, gateway, log, task string
	offset, epoch             uint64
	row, rows                 int32
}

// parseHeaders reads them; those that a table has not are zero.
func parseHeaders(r *kgo.Record) (headers, error) {
	var h headers
	found := 0
	for _, one := range r.Headers {
		var n uint64
		var err error
		value := string(one.Value)
		switch one.Key {
		case "_table":
			h.table = value
		case "_gateway":
			h.gateway = value
		case "_log":
			h.log = value
		case "_task":
			h.task = value
		case "_offset":
			h.offset, err = strconv.ParseUint(value, 10, 64)
		case "_epoch":
			h.epoch, err = strconv.ParseUint(value, 10, 64)
		case "_row":
			n, err = strconv.ParseUint(value, 10, 31)
			h.row = int32(n)
			found--
		case "_rows":
			n, err = strconv.ParseUint(value, 10, 31)
			h.rows = int32(n)
			found--
		default:
			continue
		}
		if err != nil {
			return h, fmt.Errorf("header %s: %w", one.Key, err)
		}
		found++
	}
	want := 6
	if h.table == string(table.Log) {
		want-- // its rows are of no offset
	}
	if found != want {
		return h, fmt.Errorf("%d of the headers _table, _gateway, _log, _offset, _task and _epoch", found)
	}
	return h, nil
}

// recordRow takes one message of record.
func (a *topicAudit) recordRow(l *logState, h headers, r *kgo.Record) {
	var v struct {
		Kind         string  `json:"kind"`
		Raw          *[]byte `json:"raw"` // nil: left out
		RejectReason *string `json:"reject_reason"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		a.wrong("offset %d of log %s of %s is no JSON: %v", h.offset, h.log, h.gateway, err)
	}
	if v.Raw == nil {
		v.Raw, l.lostUnknown = new([]byte), true
	}
	a.digested(l, h.offset, *v.Raw)
	c := l.chunk(h.offset)
	c.record(h.offset % chunkSize)
	l.recorded++
	l.end = max(l.end, h.offset+1)
	if v.RejectReason != nil {
		l.rejected++
	}
	if h.rows > maxRows {
		a.wrong("a row of record at offset %d declares %d typed rows", h.offset, h.rows)
		return
	}
	for i := range h.rows {
		c.expected.add(a.key.row(h.offset, i, h.rows))
	}
	if h.offset != 0 || v.Kind != record.KindLogOpen.String() {
		return
	}
	o, err := record.DecodeOpening(*v.Raw)
	if err != nil {
		a.wrong("the opening of log %s of %s cannot be read: %v", h.log, h.gateway, err)
		return
	}
	l.opening = &o
}

// lossRow takes one message of loss.
func (a *topicAudit) lossRow(l *logState, h headers, r *kgo.Record) {
	var v struct {
		Count  uint64  `json:"count"`
		Digest *string `json:"digest"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil || h.offset+v.Count < h.offset {
		a.wrong("a loss at offset %d of log %s of %s cannot be read: %v", h.offset, h.log, h.gateway, err)
		return
	}
	if v.Digest == nil {
		l.lostUnknown = true
	} else if d, err := record.ParseDigest(*v.Digest); err != nil {
		a.wrong("the digest of a loss at offset %d of log %s of %s cannot be read: %v", h.offset, h.log, h.gateway, err)
	} else {
		l.lost += d
	}
	l.lossRows++
	l.loss = append(l.loss, span{h.offset, h.offset + v.Count})
	if len(l.loss)%1024 == 0 {
		l.loss = merge(l.loss)
	}
	l.end = max(l.end, h.offset+v.Count)
}

// conflictRow takes one message of conflict. The records of a block that was set aside
// count as what the log has at its offsets, as they do in a lake.
func (a *topicAudit) conflictRow(l *logState, h headers, r *kgo.Record) {
	l.conflicts++
	var v struct {
		Count  uint64  `json:"count"`
		Reason string  `json:"reason"`
		Block  *[]byte `json:"block"` // nil: left out
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		a.wrong("a block in conflict at offset %d of log %s of %s is no JSON: %v", h.offset, h.log, h.gateway, err)
		return
	}
	if v.Reason != reasonPoison {
		return
	}
	if h.offset+v.Count < h.offset {
		a.wrong("a block that was set aside at offset %d of log %s of %s names offsets beyond all numbers", h.offset, h.log, h.gateway)
		return
	}
	l.asideRows++
	l.setAside(h.offset, v.Count)
	if v.Block == nil {
		l.lostUnknown = true
		return
	}
	if err := a.asideRecords(l, h.offset, v.Count, *v.Block); err != nil {
		a.wrong("what is said to be a block that was set aside, of offsets %s of log %s of %s, is not that block: %v",
			offsets(h.offset, h.offset+v.Count), h.log, h.gateway, err)
	}
}

// asideByLake takes from the lake beside what is set aside, where conflict does not go
// to Kafka.
func (a *topicAudit) asideByLake() {
	if a.config.Topics[table.Conflict] != "" || a.config.Lake == nil {
		return
	}
	for k, spans := range a.config.Lake.aside {
		l := a.logs[k]
		if l == nil {
			continue // nothing of the log is here
		}
		for _, s := range spans {
			l.conflicts, l.asideRows, l.lostUnknown = l.conflicts+1, l.asideRows+1, true
			l.setAside(s.from, s.to-s.from)
		}
	}
}

// logRow takes one message of log.
func (a *topicAudit) logRow(l *logState, h headers, r *kgo.Record) {
	var v struct {
		Next        uint64  `json:"next_offset"`
		Digest      *string `json:"digest"`
		Chain       string  `json:"chain"`
		Previous    string  `json:"previous_log"`
		PreviousEnd uint64  `json:"previous_end"`
	}
	err := json.Unmarshal(r.Value, &v)
	row := logRow{next: v.Next, epoch: h.epoch, chain: v.Chain, previous: v.Previous, previousEnd: v.PreviousEnd}
	if err == nil && v.Digest != nil {
		row.known = true
		row.digest, err = record.ParseDigest(*v.Digest)
	}
	if err != nil {
		a.wrong("the end of log %s of %s in epoch %d cannot be read: %v", h.log, h.gateway, h.epoch, err)
		return
	}
	if l.newestRow == nil || row.next >= l.newestRow.next {
		l.newestRow = &row
	}
}

// anchorByRows takes what the topic log says for what has to be there.
func (a *topicAudit) anchorByRows() {
	for _, l := range a.logs {
		r := l.newestRow
		if r == nil {
			continue
		}
		l.claimed, l.next, l.chain = true, r.next, chainOf(r.chain)
		if r.known && !l.lostUnknown && l.sum+l.lost == r.digest {
			l.at, l.atDigest, l.atKnown = r.next, r.digest, true
		}
	}
}
