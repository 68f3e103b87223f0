package repair

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// material is what an epoch's files are made of.
type material struct {
	source  string // in words
	decoder string // that made the rows, as the ledger says; empty: not known
	groups  []*group
	from    stream.Epoch // the first epoch whose records matter for its state
	logs    []table.LogRow
	final   bool
}

// material gathers what an epoch is made of; nil: it is not there, and why.
func (r *run) material(ctx context.Context, t *taskState, epoch stream.Epoch, wrong []*wrongFile) (*material, string, error) {
	m := &material{source: "record"}
	groups, whole, err := r.groupsOf(ctx, t, epoch)
	if err != nil {
		return nil, "", err
	}
	m.groups = groups
	if !whole {
		m.source = "the blocks of the landing log or of the gateways"
		why := ""
		if m.groups, why, err = r.proved(ctx, t, epoch, groups); err != nil || why != "" {
			return nil, why, err
		}
	}
	if len(m.groups) == 0 && t.epochs[epoch] == nil {
		return nil, "the ledger has no entry of its epoch, and record no row", nil
	}
	marks, err := r.watermarks(ctx, t)
	if err != nil {
		return nil, "", err
	}
	r.mark(m.groups)
	m.logs = t.logRows(epoch, m.groups, marks[epoch])
	if e := t.epochs[epoch]; e != nil {
		m.decoder, m.final = e.Decoder, e.Final
		for i := range e.Logs {
			for _, row := range r.blocks.losses(&e.Logs[i]) {
				m.groups = append(m.groups, &group{gateway: row.Gateway, landedAt: row.LandedAt, after: record.NoTime, loss: &row})
			}
		}
	}
	m.from = t.warmFrom(epoch, wrong)
	return m, "", nil
}

// mark sets the watermarks of groups that their blocks said, where blocks are
// there.
func (r *run) mark(groups []*group) {
	for _, g := range groups {
		if len(g.records) == 0 || g.after != record.NoTime {
			continue
		}
		ref, ok := r.blocks.around(g.log.String(), g.records[len(g.records)-1].offset)
		if ok && !operator.Ahead(g.landedAt, ref.watermark) {
			g.after = ref.watermark
		}
	}
}

// proved reads the blocks of what an epoch took. left are the rows of record that are
// left: of logs of which all are there no block is needed, and of others they say when a
// block landed.
func (r *run) proved(ctx context.Context, t *taskState, epoch stream.Epoch, left []*group) (groups []*group, why string, err error) {
	entry := t.epochs[epoch]
	if entry == nil {
		return nil, "not every file of record of its epoch is there, and the ledger does not say what the epoch took", nil
	}
	aside, err := r.asideIn(ctx, t, epoch)
	if err != nil {
		return nil, "", err
	}
	for _, l := range entry.Logs {
		if l.From == l.Next {
			continue
		}
		if covered(&l, left, aside) {
			groups = append(groups, ofLog(&l, left)...)
			continue
		}
		known := append(slices.Clone(left), t.landed[epoch]...)
		blocks, why, err := r.provedBlocks(ctx, t, &l, known)
		switch found := ofLog(&l, t.landed[epoch]); {
		case err != nil:
			return nil, "", err
		case why == "":
			groups = append(groups, blocks...)
		case covered(&l, found, aside): // the file is made again for rows of another log
			groups = append(groups, found...)
		default:
			return nil, "not every file of record of its epoch is right, and " + why, nil
		}
	}
	groups = withoutAside(groups, aside) // after their digest was compared
	t.sort(groups)
	return groups, "", nil
}

// provedBlocks returns what the blocks hold of what an epoch took of a log, where the chain
// that the ledger holds proves them, and their records have the digest that the ledger
// names; why: they are not to be had, or have not. Where the gateway itself stated that
// digest in these blocks, it is the gateway's word that is false, and not the blocks: the
// chain alone proves them then, and the log is told. known says when they landed.
func (r *run) provedBlocks(ctx context.Context, t *taskState, l *ledger.Log, known []*group) (groups []*group, why string, err error) {
	refs := r.blocks.prove(*l)
	if refs == nil {
		return nil, fmt.Sprintf("no log that was named (--edge-log, --landing) holds the offsets %s to %s of log %s of %s with the hashes that the ledger names",
			l.From, l.Next-1, l.Log, l.Gateway), nil
	}
	for i := range refs {
		g, err := refs[i].group(l.Gateway, known)
		if err != nil {
			return nil, "", err
		}
		groups = append(groups, g)
	}
	if why = proveDigest(t, *l, groups); why != "" {
		if before, _ := t.digestAt(l.Log, l.From); r.blocks.state(l, before, refs) {
			r.contradict(l)
			why = ""
		}
	}
	return groups, why, nil
}

// ofLog returns the groups of a log.
func ofLog(l *ledger.Log, groups []*group) []*group {
	return slices.DeleteFunc(slices.Clone(groups), func(g *group) bool { return g.log.String() != l.Log })
}

// proveDigest compares what an epoch took of a log with what the ledger says
// that it adds to the log's digest.
func proveDigest(t *taskState, l ledger.Log, groups []*group) (why string) {
	before, known := t.digestAt(l.Log, l.From)
	if l.Digest == "" || !known {
		return ""
	}
	want, err := record.ParseDigest(l.Digest)
	if err != nil {
		return err.Error()
	}
	if before+sumOf(ofLog(&l, groups)) != want {
		return fmt.Sprintf("the blocks of log %s of %s have not the digest that the ledger names at offset %s", l.Log, l.Gateway, l.Next)
	}
	return ""
}

// sumOf is what the records of groups add to the digests of their logs.
func sumOf(groups []*group) (sum record.Digest) {
	for _, g := range groups {
		d := record.NewDigester(g.log)
		for i := range g.records {
			sum += d.Record(g.records[i].offset, g.records[i].record.Raw)
		}
	}
	return sum
}

// digestAt returns the digest of a log at an offset at which an epoch ended.
func (t *taskState) digestAt(log string, at record.Offset) (record.Digest, bool) {
	if at == 0 {
		return 0, true
	}
	if t.digests == nil {
		t.digests = map[string]map[record.Offset]record.Digest{}
		for _, e := range t.epochs {
			for i := range e.Logs {
				l := &e.Logs[i]
				if t.digests[l.Log] == nil {
					t.digests[l.Log] = map[record.Offset]record.Digest{}
				}
				if d, err := record.ParseDigest(l.Digest); l.Digest != "" && err == nil {
					t.digests[l.Log][l.Next] = d
				}
			}
		}
	}
	d, known := t.digests[log][at]
	return d, known
}

// group reads a block as the task does.
func (ref *blockRef) group(gateway string, known []*group) (*group, error) {
	l, err := ref.read()
	if err != nil {
		return nil, err
	}
	if record.HashBlock(l.Block) != ref.hash {
		return nil, fmt.Errorf("block at offset %s: %w", ref.first, record.ErrCorrupt)
	}
	b, err := record.Parse(l.Block)
	if err != nil {
		return nil, err
	}
	g := groupOf(&l, &b, gateway)
	if g.after = ref.watermark; g.landedAt == record.NoTime {
		g.landedAt = landedAt(g, known)
	}
	return g, nil
}

// groupOf returns the records of a block, which is that of l, as the task reads them; the
// watermark after it is not known.
func groupOf(l *landing.Landed, b *record.Block, gateway string) *group {
	g := &group{gateway: gateway, log: b.Log, landedAt: l.LandedAt, after: record.NoTime}
	for a := range b.Annotations {
		switch a.Type {
		case record.AnnSource:
			if s, err := a.SourceName(); err == nil && s.Source < 1<<12 {
				for len(g.sources) <= int(s.Source) {
					g.sources = append(g.sources, "")
				}
				g.sources[s.Source] = s.Name
			}
		case record.AnnBoot:
			if g.boot = hex.EncodeToString(a.Body); len(a.Body) != 16 {
				g.boot = ""
			}
		}
	}
	g.anchor = anchorOf(l, g.boot)
	for offset, payload := range b.Payloads {
		x := one{offset: offset}
		if err := b.DecodeRecord(payload, &x.record); err != nil {
			x.corrupt = true
			x.record = record.Record{ReceivedAt: b.BaseTime, EventTime: record.NoTime, Raw: payload}
		}
		g.records = append(g.records, x)
	}
	return g
}

// anchorOf finds what a gateway knew of a boot's time when it sent a block.
func anchorOf(l *landing.Landed, boot string) *record.Anchor {
	all, err := record.DecodeAnchors(l.Clock)
	if err != nil || len(l.Clock) == 0 || boot == "" {
		return nil
	}
	i := slices.IndexFunc(all, func(a record.Anchor) bool { return hex.EncodeToString(a.Boot[:]) == boot })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// landedAt finds when a block landed in the rows of record that are left of it.
func landedAt(g *group, known []*group) record.Micros {
	first, last := g.records[0].offset, g.records[len(g.records)-1].offset
	for _, k := range known {
		if k.log == g.log && len(k.records) > 0 && k.records[0].offset <= last && k.records[len(k.records)-1].offset >= first {
			return k.landedAt
		}
	}
	return record.NoTime
}

// logRows returns the rows of the table log that an epoch wrote.
func (t *taskState) logRows(epoch stream.Epoch, groups []*group, marks map[string]record.Micros) []table.LogRow {
	var rows []table.LogRow
	for _, l := range t.ranges(epoch) {
		opened := t.opened[l.Log]
		row := table.LogRow{
			Gateway: l.Gateway, Log: l.Log, NextOffset: l.Next, Previous: opened.Previous, PreviousEnd: opened.PreviousEnd, OpenedAt: opened.OpenedAt,
			Closed: l.Closed, Watermark: record.NoTime, Epoch: uint64(epoch), LandedAt: record.NoTime,
		}
		if opened.OpenedAt == 0 {
			row.OpenedAt = record.NoTime
		}
		if d, err := record.ParseDigest(l.Digest); err == nil {
			row.Digest = ais.Some(d)
		}
		if h, err := hex.DecodeString(l.Chain); err == nil && len(h) == len(row.Chain) {
			row.Chain = record.Hash(h)
		}
		if at, ok := marks[l.Gateway]; ok {
			row.Watermark = at
		}
		for _, g := range groups {
			if g.gateway != l.Gateway {
				continue
			}
			row.Watermark = max(row.Watermark, g.after)
			if closes := t.opened[g.log.String()].Previous == l.Log && g.first() == 0; g.log.String() == l.Log || closes {
				row.LandedAt = max(row.LandedAt, g.landedAt)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// logFileRow is a row of log in a file, as far as it is needed.
type logFileRow struct {
	Gateway   string `parquet:"_gateway"`
	Epoch     int64  `parquet:"epoch"`
	Watermark *int64 `parquet:"watermark,optional"`
}

// watermarks reads where the gateways' watermarks stood at the end of each
// epoch, as far as the table log says.
func (r *run) watermarks(ctx context.Context, t *taskState) (map[stream.Epoch]map[string]record.Micros, error) {
	if t.marks != nil {
		return t.marks, nil
	}
	t.marks = map[stream.Epoch]map[string]record.Micros{}
	for _, name := range sortedKeys(t.files) {
		if t.files[name].Table != string(table.Log) {
			continue
		}
		f, err := r.openRight(ctx, t, name)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		err = readRows(f, func(row *logFileRow) error {
			if row.Watermark == nil {
				return nil
			}
			e := stream.Epoch(row.Epoch)
			if t.marks[e] == nil {
				t.marks[e] = map[string]record.Micros{}
			}
			t.marks[e][row.Gateway] = record.Micros(*row.Watermark)
			return nil
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return t.marks, nil
}

// remembered is how far back in event time records matter for those after them:
// a half of type 24 is remembered for a day.
const remembered = 2 * 24 * time.Hour

// warmFrom is the first epoch of which something may be remembered in the rows
// of an epoch.
func (t *taskState) warmFrom(epoch stream.Epoch, wrong []*wrongFile) stream.Epoch {
	oldest := dayOf(wrong[0].Name)
	newest := map[stream.Epoch]string{} // day of record files of earlier epochs
	for name, f := range t.files {
		switch e := epochOf(name); {
		case f.Table != string(table.Record) || e > epoch:
		case e == epoch:
			oldest = min(oldest, dayOf(name))
		default:
			newest[e] = max(newest[e], dayOf(name))
		}
	}
	day, err := time.Parse(time.DateOnly, oldest)
	if err != nil {
		day = time.Unix(0, 0) // a folder without a date: everything before counts
	}
	limit, from := day.Add(-remembered).Format(time.DateOnly), epoch
	for e, newest := range newest {
		if newest >= limit {
			from = min(from, e)
		}
	}
	return from
}
