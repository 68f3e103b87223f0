package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
	"landfall/edge/tap"
)

// The stages of a gateway that tap shows.
const (
	StageReceived = "received" // lines as sources read them, before any fsync
	StageCaptured = "captured" // records behind C1: what will be forwarded
	StageAcked    = "acked"    // records behind C2: what the cloud holds
)

// tapHandler streams a stage, a JSON object a line, as long as the client
// listens.
type tapHandler struct{ a *Agent }

// ServeHTTP implements http.Handler. The query names the stage; none: captured.
// It begins with the next record, or, where records lie on the disk, with the
// oldest that is held when the query says from=oldest.
func (t tapHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch stage := r.URL.Query().Get("stage"); stage {
	case StageReceived:
		t.a.received.ServeHTTP(w, r)
	case "", StageCaptured, StageAcked:
		l := logTap{a: t.a, acked: stage == StageAcked}
		l.serve(w, r)
	default:
		http.Error(w, "stage: want received, captured or acked", http.StatusBadRequest)
	}
}

// show offers what a source read to who listens.
func (a *Agent) show(name string, b *source.Batch) {
	if !a.received.Wanted() {
		return
	}
	a.received.Offer(func(_ url.Values, emit func(func() any)) {
		for i := range b.Lines {
			l := &b.Lines[i]
			emit(func() any {
				r := tap.Record{Stage: StageReceived, Gateway: a.cfg.Gateway, Kind: "line", Source: name, ReceivedAt: tap.Time(b.ReceivedAt)}
				if l.Reading {
					r.Kind = "reading"
				}
				if l.Truncated {
					r.Flags = "truncated"
				}
				r.SetRaw(l.Data)
				return &r
			})
		}
	})
}

// logTap reads the log's files from C1 on.
type logTap struct {
	a     *Agent
	acked bool // not before the cloud has acknowledged it
	out   *tap.Stream
}

func (t *logTap) serve(w http.ResponseWriter, r *http.Request) {
	logs := t.a.store.Logs()
	var seen record.LogID
	var next record.Offset
	if n := len(logs); n > 0 && r.URL.Query().Get("from") != "oldest" {
		seen, next = logs[n-1].ID, logs[n-1].End
	} else if n > 0 {
		seen, next = logs[0].ID, 0 // what is acknowledged may still be there
	}
	t.out = tap.NewStream(w)
	for err := error(nil); err == nil; {
		seen, next, err = t.pass(r.Context(), seen, next)
	}
}

// pass shows what log holds from next on, and waits for more; it gives where to
// go on, which is the following log when this one is closed.
func (t *logTap) pass(ctx context.Context, log record.LogID, next record.Offset) (record.LogID, record.Offset, error) {
	reader, err := t.a.store.Reader(log, next)
	if errors.Is(err, seglog.ErrUnknownLog) {
		log, next, err = t.follow(ctx, log)
		return log, next, err
	}
	if err != nil {
		return log, next, err
	}
	defer func() { _ = reader.Close() }() // read only
	for {
		item, err := reader.Next()
		switch {
		case errors.Is(err, seglog.ErrCaughtUp):
			if err := t.out.Flush(); err != nil {
				return log, next, err
			}
			return log, next, t.a.store.Wait(ctx, log, next)
		case errors.Is(err, io.EOF):
			if err := t.out.Flush(); err != nil {
				return log, next, err
			}
			log, next, err = t.follow(ctx, log)
			return log, next, err
		case err != nil:
			return log, next, err
		case item.IsGap() && next == 0: // released before anybody looked
			next = item.Gap.To
			continue
		case item.IsGap(): // damaged, shed, or acknowledged and released meanwhile
			if err := t.out.Show(tap.Missed{Missed: uint64(item.Gap.To - next)}); err != nil {
				return log, next, err
			}
			next = item.Gap.To
			continue
		}
		like := tap.Record{Stage: StageCaptured, Gateway: t.a.cfg.Gateway}
		if t.acked {
			like.Stage = StageAcked
			if err := t.landed(ctx, log, item.Block.End()); err != nil {
				return log, next, err
			}
		}
		if err := tap.Block(like, &item.Block, next, func(r *tap.Record) error { return t.out.Show(r) }); err != nil {
			return log, next, err
		}
		next = item.Block.End()
	}
}

// landed waits until the cloud has acknowledged a log up to an offset.
func (t *logTap) landed(ctx context.Context, log record.LogID, end record.Offset) error {
	flushed := false
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for !t.a.session.Acked(log, end) {
		if !flushed {
			if err := t.out.Flush(); err != nil {
				return err
			}
			flushed = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
	return nil
}

// follow waits for the log after one that is closed or gone.
func (t *logTap) follow(ctx context.Context, log record.LogID) (record.LogID, record.Offset, error) {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for {
		logs := t.a.store.Logs()
		for i, l := range logs {
			if l.ID == log && i+1 < len(logs) {
				return logs[i+1].ID, logs[i+1].First, nil
			}
		}
		if n := len(logs); n > 0 && logs[n-1].ID != log {
			return logs[n-1].ID, logs[n-1].First, nil
		}
		select {
		case <-ctx.Done():
			return log, 0, ctx.Err()
		case <-poll.C:
		}
	}
}
