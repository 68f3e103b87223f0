package repair

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
)

// memory is a task's keyed state, made again.
type memory struct {
	object []byte
	note   string
}

// planState finds or makes what a task has to remember, where its state or its
// manifest is lost. What cannot be is told.
func (r *run) planState(ctx context.Context, t *taskState) error {
	if t.stateLost == nil && t.lost == nil || !t.readable || t.unable {
		return nil
	}
	name, was := t.id.String()+"/state", t.stateLost
	if was == nil {
		was = t.lost
	}
	if t.lost != nil {
		if why := r.mayBeNeeded(t); why != "" {
			t.unable = true
			r.left(t.id.String(), "", t.id.String()+"/HEAD", "%v; no new manifest is made: %s", was, why)
			return nil
		}
		var chain []checkpoint.StateObject
		if t.rebuilt == nil { // what is there is of the older checkpoint
			var err error
			if chain, err = r.findChain(ctx, t); err != nil {
				return err
			}
		}
		if t.manifest.State = chain; chain != nil {
			var err error
			if t.manifest.Hold, err = task.HoldOf(checkpoint.StateOf(ctx, r.Store, &t.manifest)); err != nil {
				return err
			}
			return r.fillWatermarks(ctx, t)
		}
	}
	why, err := r.remember(ctx, t)
	if err == nil && why != "" {
		t.unable = true
		r.left(t.id.String(), "", name, "%v; what the task has to remember cannot be made again: %s", was, why)
	}
	return err
}

// ends returns where the ledger says that each log is, by its id.
func (r *run) ends(ctx context.Context, t *taskState) (map[string]ledger.Log, error) {
	ends := map[string]ledger.Log{}
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), *t.manifest.Ledger) {
		if err != nil {
			return nil, err
		}
		for _, l := range one.Logs {
			if _, known := ends[l.Log]; !known {
				ends[l.Log] = l
			}
		}
	}
	return ends, nil
}

// findChain finds the objects that restore the state of a manifest that is lost:
// whole ones by their own checksums that belong together, and say of every log what
// the ledger says of it; nil: there are none.
func (r *run) findChain(ctx context.Context, t *taskState) ([]checkpoint.StateObject, error) {
	names, err := r.Store.List(ctx, t.id.String()+"/state/")
	if err != nil {
		return nil, err
	}
	ends, err := r.ends(ctx, t)
	if err != nil {
		return nil, err
	}
	type object struct {
		checkpoint.StateObject
		seq, first uint64
		data       []byte
	}
	var all []object
	for _, name := range names {
		data, _, err := r.Store.Read(ctx, name)
		if isDamage(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if d, err := state.Describe(data); err == nil {
			all = append(all, object{checkpoint.StateObject{Name: name, SHA256: ledger.Hash(data), Bytes: int64(len(data))}, d.Sequence, d.Needs, data})
		}
	}
	slices.SortFunc(all, func(a, b object) int { return cmp.Or(cmp.Compare(b.seq, a.seq), cmp.Compare(a.Name, b.Name)) })
	var found [][]checkpoint.StateObject
	for _, newest := range all {
		chain := []object{newest}
		for seq := newest.seq; seq > newest.first && chain != nil; seq-- {
			i := slices.IndexFunc(all, func(o object) bool { return o.seq == seq-1 })
			j := slices.IndexFunc(all[i+1:], func(o object) bool { return o.seq == seq-1 })
			if i < 0 || j >= 0 {
				chain = nil // gone, or more than one may be it
				break
			}
			chain = append(chain, all[i])
		}
		slices.Reverse(chain)
		logs, err := task.LogsOf(func(yield func([]byte, error) bool) {
			for _, o := range chain {
				if !yield(o.data, nil) {
					return
				}
			}
		})
		if err != nil || chain == nil || !agree(logs, ends) {
			continue
		}
		var objects []checkpoint.StateObject
		for _, o := range chain {
			objects = append(objects, o.StateObject)
		}
		found = append(found, objects)
	}
	if len(found) != 1 {
		return nil, nil
	}
	return found[0], nil
}

// agree tells whether a state says of every log what the ledger does.
func agree(logs []ledger.Log, ends map[string]ledger.Log) bool {
	if len(logs) != len(ends) {
		return false
	}
	for _, l := range logs {
		e, ok := ends[l.Log]
		if !ok || e.Gateway != l.Gateway || e.Next != l.Next || e.Digest != l.Digest || e.Chain != l.Chain || e.Closed != l.Closed {
			return false
		}
	}
	return true
}

// known returns what the ledger and the table log know of the logs and gateways.
func (r *run) known(ctx context.Context, t *taskState) (logs []task.KnownLog, gateways []task.KnownGateway, err error) {
	ends, err := r.ends(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	marks, err := r.newestMarks(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	byName := map[string]*task.KnownGateway{}
	inOrder := slices.SortedFunc(maps.Keys(ends), func(a, b string) int { return cmp.Or(t.order[a]-t.order[b], cmp.Compare(a, b)) })
	for _, id := range inOrder {
		l, opened := ends[id], t.opened[id]
		k := task.KnownLog{Gateway: l.Gateway, Next: l.Next, Closed: l.Closed, PreviousEnd: opened.PreviousEnd, OpenedAt: record.NoTime}
		if k.ID, err = record.ParseLogID(id); err != nil {
			return nil, nil, err
		}
		if d, err := record.ParseDigest(l.Digest); l.Digest != "" && err == nil {
			k.Digest = ais.Some(d)
		}
		if h, err := hex.DecodeString(l.Chain); err == nil && len(h) == len(k.Chain) {
			k.Chain = record.Hash(h)
		}
		if opened.Previous != "" {
			if k.Previous, err = record.ParseLogID(opened.Previous); err != nil {
				return nil, nil, err
			}
		}
		if opened.OpenedAt != 0 {
			k.OpenedAt = opened.OpenedAt
		}
		logs = append(logs, k)
		g := byName[l.Gateway]
		if g == nil {
			g = &task.KnownGateway{Name: l.Gateway, Watermark: record.NoTime}
			if at, ok := marks[l.Gateway]; ok {
				g.Watermark = at
			}
			byName[l.Gateway] = g
		}
		if named := t.opened[g.Log.String()].Previous; g.Log.IsZero() || named != id {
			g.Log = k.ID // opened later, and not the one that the newest so far names
		}
	}
	for _, name := range sortedKeys(byName) {
		gateways = append(gateways, *byName[name])
	}
	return logs, gateways, nil
}

// newestMarks returns the gateways' watermarks at the end of the newest epoch.
func (r *run) newestMarks(ctx context.Context, t *taskState) (map[string]record.Micros, error) {
	marks := map[string]record.Micros{}
	for _, w := range t.manifest.Watermarks {
		marks[w.Gateway] = w.At
	}
	byEpoch, err := r.watermarks(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, epoch := range byEpoch {
		for gateway, at := range epoch { // they never go back
			if have, ok := marks[gateway]; !ok || at > have {
				marks[gateway] = at
			}
		}
	}
	return marks, nil
}

// fillWatermarks puts every gateway's watermark into the manifest.
func (r *run) fillWatermarks(ctx context.Context, t *taskState) error {
	_, gateways, err := r.known(ctx, t)
	t.manifest.Watermarks = nil
	for _, g := range gateways {
		t.manifest.Watermarks = append(t.manifest.Watermarks, checkpoint.Watermark{Gateway: g.Name, At: g.Watermark})
	}
	return err
}

// remember makes the keyed state again of what lies in the lake. What a task
// remembers of a log and of a gateway is in the ledger and in the table log; of
// receptions, of halves of type 24 and of open windows what the records of the last
// days of event time give when they pass the same operators again:
//
//   - receptions, for as long as they are remembered behind the watermark;
//   - halves of type 24 by the newest row of each ship, which holds both;
//   - windows by the readings whose window has no row yet, and that are not in late.
//
// why says that it cannot be.
func (r *run) remember(ctx context.Context, t *taskState) (why string, err error) {
	if t.came {
		return "its logs came from another landing log, and what was remembered of them is in the epochs of other tasks", nil
	}
	logs, gateways, err := r.known(ctx, t)
	if err != nil {
		return "", err
	}
	s := state.New()
	if err := task.KeepKnown(s, logs, gateways); err != nil {
		return "", err
	}
	size, err := r.newestWindow(ctx, t)
	if err != nil {
		return "", err
	}
	window, err := operator.NewWindow(s, operator.WindowConfig{Size: size, AllowedLateness: r.Windows.AllowedLateness}, nil)
	if err != nil {
		return "", err
	}
	none, err := operator.NewWindow(state.New(), operator.WindowConfig{}, nil) // readings go to window one by one
	if err != nil {
		return "", err
	}
	k, err := newMakerIn(s, none)
	if err != nil {
		return "", err
	}
	from := t.rememberFrom(gateways)
	for _, name := range sortedKeys(t.files) {
		tbl := table.Name(t.files[name].Table)
		if epochOf(name) < from || tbl != table.Record && tbl != table.AISStatic && tbl != table.Late && tbl != table.Window && tbl != table.Log {
			continue
		}
		if f, err := r.openRight(ctx, t, name); err != nil {
			return "", err
		} else if f == nil {
			return fmt.Sprintf("%s, of which it would be made, cannot be made again either", name), nil
		} else if err := f.Close(); err != nil {
			return "", err
		}
	}
	rows, err := r.rowsThatTell(ctx, t, from, gateways)
	if err != nil {
		return "", err
	}
	for gateway, end := range rows.closed {
		window.ClosedUpTo(gateway, end)
	}
	doubt, err := r.replay(ctx, t, k, window, rows, from)
	if err != nil {
		return "", err
	}
	for _, h := range rows.halves {
		k.static.Recall(h.gateway, h.seenAt, &h.row)
	}
	for _, g := range gateways { // what lies beyond the horizon is forgotten
		if g.Watermark != record.NoTime {
			k.static.Advance(g.Name, g.Watermark)
			k.dedupe.Advance(g.Name, g.Watermark)
		}
	}
	object, _ := s.Snapshot()
	t.memory = &memory{object: object, note: fmt.Sprintf("state made again of the ledger and of the rows of epochs %s to %s, with decoder %d: %s; copies of blocks that were taken before are dropped without being compared",
		from, t.manifest.Epoch, operator.DecoderVersion, doubt)}
	return "", r.fillWatermarks(ctx, t)
}

// rememberFrom is the first epoch with records that a task may remember anything of.
func (t *taskState) rememberFrom(gateways []task.KnownGateway) stream.Epoch {
	least := time.Now()
	for _, g := range gateways {
		if g.Watermark == record.NoTime {
			return 1
		}
		if at := time.UnixMicro(int64(g.Watermark)); at.Before(least) {
			least = at
		}
	}
	limit, from := least.UTC().Add(-remembered).Format(time.DateOnly), t.manifest.Epoch
	for name, f := range t.files {
		if tbl := table.Name(f.Table); (tbl == table.Record || tbl == table.SensorReading) && dayOf(name) >= limit {
			from = min(from, epochOf(name))
		}
	}
	return max(from, 1)
}

// newestWindow returns how long windows are: as the newest rows show, else as
// configured.
func (r *run) newestWindow(ctx context.Context, t *taskState) (time.Duration, error) {
	names := slices.SortedFunc(maps.Keys(t.files), func(a, b string) int { return cmp.Or(cmp.Compare(epochOf(b), epochOf(a)), cmp.Compare(b, a)) })
	size, err := r.windowSize(ctx, t, slices.Values(names))
	if size == 0 {
		size = r.Windows.Size
	}
	return size, err
}

// recordKey names a record.
type recordKey struct {
	log    string
	offset record.Offset
}

// readingKey names a reading of a record.
type readingKey struct {
	recordKey
	row int32
}

// half is the newest row of a ship's halves of type 24.
type half struct {
	gateway string
	seenAt  record.Micros
	at      place
	row     ais.Static
}

// place is where a record stands in the order of landing, as far as the order of
// its log says.
type place struct {
	epoch  stream.Epoch
	log    int
	offset record.Offset
}

func (p place) before(q place) bool {
	return cmp.Or(cmp.Compare(p.epoch, q.epoch), cmp.Compare(p.log, q.log), cmp.Compare(p.offset, q.offset)) < 0
}

// telling is what published rows tell of the state that made them.
type telling struct {
	closed map[string]int64        // by gateway: how far its windows have closed
	late   map[readingKey]bool     // readings that came too late for their window
	isLate map[recordKey]bool      // receptions that were behind the watermark
	dups   map[recordKey]bool      // receptions that repeated another
	halves map[string]half         // by gateway and ship
	behind map[recordKey]watermark // what rows of late say that the watermark was
	marks  map[string]watermark    // of the gateways, at the end
}

type watermark = record.Micros

// replay passes the records of epochs through the operators of a new state. doubt
// says how far what came out is what was published.
func (r *run) replay(ctx context.Context, t *taskState, k *maker, window *operator.Window, rows *telling, from stream.Epoch) (doubt string, err error) {
	marks, err := r.watermarks(ctx, t)
	if err != nil {
		return "", err
	}
	for epoch, at := range marks {
		for gateway, w := range at {
			if have, ok := k.watermarks[gateway]; epoch < from && (!ok || w > have) {
				k.watermarks[gateway] = w
			}
		}
	}
	var batch table.Batch
	compared, differ := 0, 0
	for epoch := from; epoch <= t.manifest.Epoch; epoch++ {
		groups, _, err := r.groupsOf(ctx, t, epoch)
		if err != nil {
			return "", err
		}
		r.mark(groups)
		k.settle(groups, rows, marks[epoch])
		for _, g := range groups {
			batch.Reset()
			k.feed(g, &batch)
			for i := range batch.Readings {
				row := &batch.Readings[i]
				if !rows.late[readingKey{recordKey{row.Log, row.Offset}, row.Row}] {
					window.Recall(&k.context, row)
				}
			}
			n, d := rows.compare(&batch)
			compared, differ = compared+n, differ+d
		}
		for gateway, at := range marks[epoch] {
			batch.Reset()
			k.advance(gateway, at, &batch)
		}
	}
	if differ > 0 {
		return fmt.Sprintf("of %d receptions %d came out with another is_duplicate than was published, so that is_duplicate of the next two minutes of event time may differ for as many", compared, differ), nil
	}
	return fmt.Sprintf("all %d receptions came out with the is_duplicate that was published", compared), nil
}

// settle says where the watermark stood before each group of an epoch, where blocks
// do not: as far as published rows show it, between where it stood at the epoch's
// begin and at its end. A reception that is late was behind it, one that is not was
// not; and a gateway's watermark is never beyond what it has heard.
func (k *maker) settle(groups []*group, rows *telling, ends map[string]record.Micros) {
	byGateway := map[string][]*group{}
	for _, g := range groups {
		byGateway[g.gateway] = append(byGateway[g.gateway], g)
	}
	for gateway, all := range byGateway {
		if !slices.ContainsFunc(all, func(g *group) bool { return g.after == record.NoTime && g.loss == nil }) {
			continue // the blocks say it
		}
		begin, ok := k.watermarks[gateway]
		if !ok {
			begin = record.NoTime
		}
		end, ok := ends[gateway]
		if !ok {
			end = begin
		}
		most := make([]record.Micros, len(all)) // of what was not late from each group on
		for i := len(all) - 1; i >= 0; i-- {
			if most[i] = end; i+1 < len(all) {
				most[i] = most[i+1]
			}
			for j := range all[i].records {
				if x := &all[i].records[j]; x.dated() && !rows.isLate[all[i].key(j)] {
					most[i] = min(most[i], x.record.EventTime)
				}
			}
		}
		at, heard := begin, begin
		for i, g := range all {
			at = max(at, min(most[i], heard))
			for j := range g.records {
				x := &g.records[j]
				if w, ok := rows.behind[g.key(j)]; ok {
					at = max(at, w)
				}
				if x.dated() {
					if heard = max(heard, x.record.EventTime); rows.isLate[g.key(j)] {
						at = max(at, x.record.EventTime+1)
					}
				}
			}
			g.before = at
		}
	}
}

// key names a record of a group.
func (g *group) key(i int) recordKey { return recordKey{g.log.String(), g.records[i].offset} }

// dated tells a reception of which the published rows say whether it was late.
func (x *one) dated() bool {
	r := &x.record
	return r.Kind == record.KindAIS && !x.rejected && r.EventTime != record.NoTime && r.TimeQuality != record.QualityUnsynchronised
}

// compare counts the receptions of a batch, and those that repeat another where the
// published row does not, or the other way round.
func (t *telling) compare(b *table.Batch) (n, differ int) {
	one := func(l *table.Lineage, rc *table.Reception) {
		if n++; t.dups[recordKey{l.Log, l.Offset}] != rc.IsDuplicate {
			differ++
		}
	}
	for i := range b.Positions {
		one(&b.Positions[i].Lineage, &b.Positions[i].Reception)
	}
	for i := range b.Statics {
		one(&b.Statics[i].Lineage, &b.Statics[i].Reception)
	}
	for i := range b.BaseStations {
		one(&b.BaseStations[i].Lineage, &b.BaseStations[i].Reception)
	}
	for i := range b.AtoNs {
		one(&b.AtoNs[i].Lineage, &b.AtoNs[i].Reception)
	}
	for i := range b.Binaries {
		one(&b.Binaries[i].Lineage, &b.Binaries[i].Reception)
	}
	for i := range b.Safeties {
		one(&b.Safeties[i].Lineage, &b.Safeties[i].Reception)
	}
	for i := range b.Others {
		one(&b.Others[i].Lineage, &b.Others[i].Reception)
	}
	return n, differ
}

// receptionFileRow is a row of an AIS table in a file, as far as it is needed.
type receptionFileRow struct {
	Log         string `parquet:"_log"`
	Offset      int64  `parquet:"_offset"`
	IsDuplicate bool   `parquet:"is_duplicate"`
	IsLate      bool   `parquet:"is_late"`
}

// staticFileRow is a row of ais_static in a file, as far as it is needed.
type staticFileRow struct {
	Gateway        string  `parquet:"_gateway"`
	Log            string  `parquet:"_log"`
	Offset         int64   `parquet:"_offset"`
	EventTime      *int64  `parquet:"event_time,optional"`
	MMSI           int32   `parquet:"mmsi"`
	Part           *string `parquet:"part,optional"`
	Shipname       *string `parquet:"shipname,optional"`
	Callsign       *string `parquet:"callsign,optional"`
	ShipType       *int32  `parquet:"ship_type,optional"`
	EPFD           *int32  `parquet:"epfd,optional"`
	ToBow          *int32  `parquet:"to_bow,optional"`
	ToStern        *int32  `parquet:"to_stern,optional"`
	ToPort         *int32  `parquet:"to_port,optional"`
	ToStarboard    *int32  `parquet:"to_starboard,optional"`
	MothershipMMSI *int32  `parquet:"mothership_mmsi,optional"`
	VendorID       *string `parquet:"vendor_id,optional"`
	UnitModel      *int32  `parquet:"unit_model,optional"`
	UnitSerial     *int32  `parquet:"unit_serial,optional"`
}

// lateFileRow is a row of late in a file, as far as it is needed.
type lateFileRow struct {
	Log       string `parquet:"_log"`
	Offset    int64  `parquet:"_offset"`
	Row       int32  `parquet:"_row"`
	Watermark *int64 `parquet:"watermark,optional"`
}

// closedFileRow is a row of window in a file, as far as it is needed.
type closedFileRow struct {
	Gateway string `parquet:"_gateway"`
	End     *int64 `parquet:"window_end,optional"`
}

// rowsThatTell reads what the published rows of the epochs from one on tell; of
// windows those of all epochs.
func (r *run) rowsThatTell(ctx context.Context, t *taskState, from stream.Epoch, gateways []task.KnownGateway) (*telling, error) {
	rows := &telling{
		closed: map[string]int64{}, late: map[readingKey]bool{}, isLate: map[recordKey]bool{}, dups: map[recordKey]bool{}, halves: map[string]half{},
		behind: map[recordKey]watermark{}, marks: map[string]watermark{},
	}
	for _, g := range gateways {
		rows.marks[g.Name] = g.Watermark
	}
	for _, name := range sortedKeys(t.files) {
		tbl := table.Name(t.files[name].Table)
		if epochOf(name) < from && tbl != table.Window {
			continue
		}
		var err error
		switch {
		case tbl == table.Window:
			err = eachRow(ctx, r, t, name, func(row *closedFileRow) error {
				if row.End != nil {
					gateway := strings.Clone(row.Gateway)
					rows.closed[gateway] = max(rows.closed[gateway], *row.End)
				}
				return nil
			})
		case tbl == table.Late:
			err = eachRow(ctx, r, t, name, func(row *lateFileRow) error {
				key := recordKey{strings.Clone(row.Log), record.Offset(row.Offset)}
				rows.late[readingKey{key, row.Row}] = true
				if row.Watermark != nil {
					rows.behind[key] = record.Micros(*row.Watermark)
				}
				return nil
			})
		case strings.HasPrefix(string(tbl), "ais_"):
			err = eachRow(ctx, r, t, name, func(row *receptionFileRow) error {
				if row.IsDuplicate || row.IsLate {
					key := recordKey{strings.Clone(row.Log), record.Offset(row.Offset)}
					rows.dups[key], rows.isLate[key] = row.IsDuplicate, row.IsLate
				}
				return nil
			})
			if tbl == table.AISStatic && err == nil {
				err = eachRow(ctx, r, t, name, func(row *staticFileRow) error {
					rows.half(t, epochOf(name), row)
					return nil
				})
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// half notes a half of type 24.
func (t *telling) half(of *taskState, epoch stream.Epoch, row *staticFileRow) {
	if row.Part == nil || *row.Part != "A" && *row.Part != "B" || row.EventTime == nil {
		return
	}
	if at := t.marks[row.Gateway]; at != record.NoTime && !operator.RemembersHalf(at, record.Micros(*row.EventTime)) {
		return
	}
	h := half{
		gateway: strings.Clone(row.Gateway), seenAt: record.Micros(*row.EventTime), at: place{epoch, of.order[row.Log], record.Offset(row.Offset)},
		row: ais.Static{
			Shipname: optText(row.Shipname), Callsign: optText(row.Callsign), ShipType: opt[uint8](row.ShipType), EPFD: opt[uint8](row.EPFD),
			ToBow: opt[uint16](row.ToBow), ToStern: opt[uint16](row.ToStern), ToPort: opt[uint16](row.ToPort), ToStarboard: opt[uint16](row.ToStarboard),
			MothershipMMSI: opt[uint32](row.MothershipMMSI), VendorID: optText(row.VendorID), UnitModel: opt[uint8](row.UnitModel), UnitSerial: opt[uint32](row.UnitSerial),
		},
	}
	h.row.MMSI, h.row.Part = uint32(row.MMSI), (*row.Part)[0]
	key := fmt.Sprint(h.gateway, " ", row.MMSI)
	if have, ok := t.halves[key]; ok {
		h.seenAt = max(h.seenAt, have.seenAt)
		if h.at.before(have.at) {
			have.seenAt = h.seenAt
			h = have
		}
	}
	t.halves[key] = h
}

func optText(s *string) ais.Opt[string] {
	if s == nil {
		return ais.Opt[string]{}
	}
	return ais.Some(strings.Clone(*s))
}

func opt[T uint8 | uint16 | uint32](v *int32) ais.Opt[T] {
	if v == nil {
		return ais.Opt[T]{}
	}
	return ais.Some(T(*v))
}

// eachRow reads the rows of a file that is right, or will be.
func eachRow[R any](ctx context.Context, r *run, t *taskState, name string, take func(*R) error) error {
	f, err := r.openRight(ctx, t, name)
	if err != nil || f == nil {
		return err
	}
	if err := errors.Join(readRows(f, take), f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
