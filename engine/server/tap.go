package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"landfall/edge/record"
	"landfall/edge/tap"
	"landfall/engine/landing"
	"landfall/engine/table"
)

// The stages of an engine that tap shows.
const (
	StageLanded = "landed" // records behind C2, as they came
	StageRecord = "record" // what the task made of each: its reject reason, its number of rows
	StageTyped  = "typed"  // the typed rows themselves, as they will stand in the tables
)

// taps are the feeds of an engine, one a stage.
type taps struct{ landed, records, typed tap.Feed }

// TypedRow is a row of a table as tap shows it.
type TypedRow struct {
	Stage   string          `json:"stage"`
	Table   table.Name      `json:"table"`
	Gateway string          `json:"gateway"`
	Source  string          `json:"source"`
	Row     json.RawMessage `json:"row"` // its columns, without those that are NULL
}

// ServeHTTP implements http.Handler: the query names the stage, none: record. It
// begins with what passes next, and takes gateway, source, reject and table as
// conditions.
func (t *taps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("stage") {
	case StageLanded:
		t.landed.ServeHTTP(w, r)
	case "", StageRecord:
		t.records.ServeHTTP(w, r)
	case StageTyped:
		t.typed.ServeHTTP(w, r)
	default:
		http.Error(w, "stage: want landed, record or typed", http.StatusBadRequest)
	}
}

// wanted tells whether a listener asked for a value under a key, or for any.
func wanted(q url.Values, key, value string) bool {
	want := q.Get(key)
	return want == "" || want == value
}

// passing tells whether a record of a source is one that a listener asked for;
// why is its reject reason, or what it contradicts.
func passing(q url.Values, source, why string) bool {
	return wanted(q, "source", source) && (q.Get("reject") == "" || why != "")
}

// tapped is a landing log whose appends are shown.
type tapped struct {
	landing.Log
	feed *tap.Feed
}

// Append implements landing.Log.
func (t tapped) Append(ctx context.Context, l landing.Landed) error {
	err := t.Log.Append(ctx, l)
	if err != nil || !t.feed.Wanted() {
		return err
	}
	b, perr := record.Parse(l.Block)
	if perr != nil {
		return nil // ingest parsed it before; the task says what is wrong with it
	}
	t.feed.Offer(func(q url.Values, emit func(func() any)) {
		if !wanted(q, "gateway", l.Gateway) {
			return
		}
		like := tap.Record{Stage: StageLanded, Gateway: l.Gateway, LandedAt: text(l.LandedAt)}
		if l.Conflict {
			like.Conflict = "ingest"
		}
		_ = tap.Block(like, &b, 0, func(r *tap.Record) error { // show gives no error
			if one := *r; passing(q, one.Source, one.Reject+one.Conflict) {
				emit(func() any { return &one })
			}
			return nil
		})
	})
	return nil
}

// show shows what a task made of one landed block, before it is staged.
func (t *taps) show(l *landing.Landed, rows *table.Batch) {
	t.records.Offer(func(q url.Values, emit func(func() any)) {
		if !wanted(q, "gateway", l.Gateway) {
			return
		}
		for i := range rows.Records {
			if r := &rows.Records[i]; passing(q, r.Source, r.RejectReason) {
				emit(func() any { return tapRecord(r) })
			}
		}
		for i := range rows.Losses {
			emit(func() any { return tapLoss(&rows.Losses[i]) })
		}
		for i := range rows.Conflicts {
			emit(func() any { return tapConflict(&rows.Conflicts[i]) })
		}
	})
}

func tapRecord(r *table.RecordRow) *tap.Record {
	rows := r.Rows // the row's memory is used again
	t := &tap.Record{
		Stage: StageRecord, Gateway: r.Gateway, Log: r.Log, Offset: uint64(r.Offset), Kind: r.Kind.String(), Source: r.Source,
		ReceivedAt: text(r.ReceivedAt), EventTime: text(r.EventTime), TimeSource: r.TimeSource.String(), LandedAt: text(r.LandedAt),
		Flags: r.Flags.String(), Reject: r.RejectReason, Rows: &rows,
	}
	t.SetRaw(r.Raw)
	return t
}

func tapLoss(r *table.LossRow) *tap.Record {
	return &tap.Record{
		Stage: StageRecord, Gateway: r.Gateway, Log: r.Log, Offset: uint64(r.Offset), Kind: "loss", Count: r.Count, Reject: r.Reason, LandedAt: text(r.LandedAt),
	}
}

func tapConflict(r *table.ConflictRow) *tap.Record {
	return &tap.Record{
		Stage: StageRecord, Gateway: r.Gateway, Log: r.Log, Offset: uint64(r.Offset), Kind: "conflict", Count: r.Count, Conflict: r.Reason, LandedAt: text(r.LandedAt),
	}
}

// show is what tasks call for each block.
func (s *Server) show(l *landing.Landed, rows *table.Batch) {
	if s.taps.records.Wanted() {
		s.taps.show(l, rows)
	}
	if s.taps.typed.Wanted() && s.opt.TypedRows != nil {
		s.taps.showTyped(l.Gateway, s.opt.TypedRows(rows))
	}
}

// showTyped shows rows, which belong to the feed from then on.
func (t *taps) showTyped(gateway string, rows []TypedRow) {
	for i := range rows {
		rows[i].Stage, rows[i].Gateway = StageTyped, gateway
	}
	t.typed.Offer(func(q url.Values, emit func(func() any)) {
		for i := range rows {
			r := &rows[i]
			if wanted(q, "gateway", gateway) && wanted(q, "table", string(r.Table)) && wanted(q, "source", r.Source) {
				emit(func() any { return r })
			}
		}
	})
}
