package repair

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/operator"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// scratchClaim stages in the scratch place, which is nobody else's.
const scratchClaim stream.ClaimID = "00000000000000000000000000000000"

// everyClaim is the same for files of every date.
const everyClaim stream.ClaimID = "00000000000000000000000000000001"

// maker is the operators of a task with the state that the records before gave
// them.
type maker struct {
	dedupe     *operator.Dedupe
	static     *operator.Static
	window     *operator.Window
	decode     *operator.Decode
	context    operator.Context
	watermarks map[string]record.Micros
	next       stream.Epoch // the first epoch that it has not seen
}

func newMaker(windows operator.WindowConfig) (*maker, error) {
	s := state.New()
	window, err := operator.NewWindow(s, windows, nil)
	if err != nil {
		return nil, err
	}
	return newMakerIn(s, window)
}

// newMakerIn registers operators in a state; window may be of another one.
func newMakerIn(s *state.State, window *operator.Window) (*maker, error) {
	m := &maker{window: window, watermarks: map[string]record.Micros{}}
	var err error
	if m.dedupe, err = operator.NewDedupe(s, nil); err != nil {
		return nil, err
	}
	if m.static, err = operator.NewStatic(s, nil); err != nil {
		return nil, err
	}
	m.decode = operator.NewDecode(m.dedupe, m.static, m.window, nil)
	return m, nil
}

// stages are what an epoch is made in again: as a task makes it and, where the epoch has
// more dates than a task may open now, besides as one made it before there was a bound.
type stages []stream.Stage

// begin begins the stages of an epoch.
func (r *run) begin(t *taskState, epoch stream.Epoch) (all stages, err error) {
	dates := map[string]bool{}
	for name := range t.files {
		if epochOf(name) == epoch {
			dates[dayOf(name)] = true
		}
	}
	claims := []stream.ClaimID{scratchClaim}
	if len(dates) > stream.MaxFarDates {
		claims = append(claims, everyClaim)
	}
	for _, claim := range claims {
		sink, err := r.Scratch.Sink(t.landedDay(epoch), claim == everyClaim)
		if err == nil {
			var stage stream.Stage
			if stage, err = sink.Begin(t.id, claim, epoch); err == nil {
				all = append(all, stage)
			}
		}
		if err != nil {
			all.abandon()
			return nil, err
		}
	}
	return all, nil
}

func (s stages) write(b *table.Batch) error {
	for _, stage := range s {
		if err := stage.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (s stages) abandon() {
	for _, stage := range s {
		stage.Abandon()
	}
}

// seal returns the files of all stages, those of the first first.
func (s stages) seal(ctx context.Context) (made []stream.Staged, err error) {
	defer s.abandon()
	for _, stage := range s {
		more, err := stage.Seal(ctx)
		if err != nil {
			return nil, err
		}
		made = append(made, more...)
	}
	return made, nil
}

// make makes the files of an epoch in the scratch place.
func (r *run) make(ctx context.Context, t *taskState, epoch stream.Epoch, m *material) (staged []stream.Staged, err error) {
	k, err := r.warm(ctx, t, epoch, m.from)
	if err != nil {
		return nil, err
	}
	stage, err := r.begin(t, epoch)
	if err != nil {
		return nil, err
	}
	var batch table.Batch
	for _, g := range m.groups {
		batch.Reset()
		k.feed(g, &batch)
		if err := stage.write(&batch); err != nil {
			stage.abandon()
			return nil, err
		}
	}
	batch.Reset()
	if m.final {
		k.window.Finish(&batch)
	}
	batch.Logs = append(batch.Logs, m.logs...)
	if err := stage.write(&batch); err != nil {
		stage.abandon()
		return nil, err
	}
	return stage.seal(ctx)
}

// warm returns operators that have seen the records of the epochs before one,
// from another on. Those that made an earlier epoch go on.
func (r *run) warm(ctx context.Context, t *taskState, epoch, from stream.Epoch) (*maker, error) {
	marks, err := r.watermarks(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.maker == nil {
		windows, err := r.windows(ctx)
		if err != nil {
			return nil, err
		}
		if t.maker, err = newMaker(windows); err != nil {
			return nil, err
		}
		t.maker.next = from
	}
	k := t.maker
	var batch table.Batch
	for ; k.next < epoch; k.next++ {
		groups, _, err := r.groupsOf(ctx, t, k.next)
		if err != nil {
			return nil, err
		}
		r.mark(groups)
		for _, g := range groups {
			batch.Reset()
			k.feed(g, &batch)
		}
		for gateway, at := range marks[k.next] {
			batch.Reset()
			k.advance(gateway, at, &batch)
		}
	}
	k.next = epoch + 1 // its caller feeds it
	return k, nil
}

// landedDay is the day on which an epoch landed, as the name of its file of log
// says; record.NoTime: it does not.
func (t *taskState) landedDay(epoch stream.Epoch) record.Micros {
	at := record.NoTime
	for name, f := range t.files {
		if f.Table != string(table.Log) || epochOf(name) != epoch {
			continue
		}
		day, err := time.Parse(time.DateOnly, dayOf(name))
		if err != nil || at != record.NoTime {
			return record.NoTime
		}
		at = record.Micros(day.UnixMicro())
	}
	return at
}

// feed passes a group to the operators and appends its rows.
func (k *maker) feed(g *group, out *table.Batch) {
	if g.loss != nil {
		out.Losses = append(out.Losses, *g.loss)
		return
	}
	at, ok := k.watermarks[g.gateway]
	if !ok {
		at = record.NoTime
	}
	if g.before != 0 && g.before > at {
		at = g.before
		k.watermarks[g.gateway] = at
	}
	k.context = operator.Context{
		Gateway: g.gateway, Log: g.log, LogName: g.log.String(), LandedAt: g.landedAt, BootID: g.boot, Anchor: g.anchor, Sources: g.sources, Watermark: at,
	}
	for i := range g.records {
		x := &g.records[i]
		if x.corrupt {
			out.Records = append(out.Records, table.RecordRow{
				Lineage:  table.Lineage{Gateway: g.gateway, Log: k.context.LogName, Offset: x.offset},
				Times:    table.Times{EventTime: record.NoTime, ReceivedAt: x.record.ReceivedAt},
				LandedAt: g.landedAt, Raw: x.record.Raw, RejectReason: rejectCorrupt,
			})
			continue
		}
		k.decode.Record(&k.context, x.offset, &x.record, out)
	}
	k.advance(g.gateway, g.after, out)
}

// advance moves a gateway's watermark, never back.
func (k *maker) advance(gateway string, to record.Micros, out *table.Batch) {
	at, ok := k.watermarks[gateway]
	if ok {
		to = max(to, at)
	}
	if to == record.NoTime {
		return
	}
	k.watermarks[gateway] = to
	k.dedupe.Advance(gateway, to)
	k.static.Advance(gateway, to)
	k.window.Advance(gateway, to, out)
}

// windowFileRow is a row of window in a file, as far as it is needed.
type windowFileRow struct {
	Start *int64 `parquet:"window_start,optional"`
	End   *int64 `parquet:"window_end,optional"`
}

// windows says how readings were summed up: in windows as long as the rows that
// are there show, else as configured.
func (r *run) windows(ctx context.Context) (operator.WindowConfig, error) {
	for _, t := range r.tasks {
		size, err := r.windowSize(ctx, t, slices.Values(sortedKeys(t.files)))
		if err != nil {
			return r.Windows, err
		}
		if size != 0 {
			return operator.WindowConfig{Size: size, AllowedLateness: r.Windows.AllowedLateness}, nil
		}
	}
	return r.Windows, nil
}

// windowSize returns how long the windows in the first of some files are that has a
// row; 0: none has.
func (r *run) windowSize(ctx context.Context, t *taskState, names iter.Seq[string]) (size time.Duration, err error) {
	enough := errors.New("enough")
	for name := range names {
		if t.files[name].Table != string(table.Window) || size != 0 {
			continue
		}
		err := eachRow(ctx, r, t, name, func(row *windowFileRow) error {
			if row.Start == nil || row.End == nil {
				return nil
			}
			size = time.Duration(*row.End-*row.Start) * time.Microsecond
			return enough
		})
		if err != nil && !errors.Is(err, enough) && !errors.Is(err, checkpoint.ErrNotExist) {
			return 0, err
		}
	}
	return size, nil
}
