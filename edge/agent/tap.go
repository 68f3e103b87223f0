package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// Tapped is one captured record as tap shows it. Times are RFC 3339 in UTC.
type Tapped struct {
	Gateway    string `json:"gateway"`
	Log        string `json:"log"`
	Offset     uint64 `json:"offset"`
	Kind       string `json:"kind"`
	Source     string `json:"source"`
	ReceivedAt string `json:"received_at"`
	EventTime  string `json:"event_time"`
	TimeSource string `json:"time_source"`
	Flags      string `json:"flags,omitempty"`  // joined by '|'
	Reject     string `json:"reject,omitempty"` // why the engine will give it no typed row
	Raw        string `json:"raw"`
}

// tap streams records from C1 on, a JSON object a line, as long as the client
// listens: what it shows is what will be forwarded.
type tap struct{ a *Agent }

// tapPatience bounds how long one line may take to be written.
const tapPatience = 5 * time.Second

// ServeHTTP implements http.Handler. It begins with the next record, or with
// the oldest that is held when the query says from=oldest.
func (t tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(tapPatience)) // the page's own is for short answers
	_ = control.Flush()
	logs := t.a.store.Logs()
	var seen record.LogID
	var next record.Offset
	if n := len(logs); n > 0 && r.URL.Query().Get("from") != "oldest" {
		seen, next = logs[n-1].ID, logs[n-1].End
	} else if n > 0 {
		seen, next = logs[0].ID, logs[0].First
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	out := tapped{
		show: func(x *Tapped) error {
			_ = control.SetWriteDeadline(time.Now().Add(tapPatience))
			return enc.Encode(x)
		},
		flush: control.Flush,
	}
	for err := error(nil); err == nil; {
		seen, next, err = t.pass(r.Context(), seen, next, out)
	}
}

// tapped is where records are shown.
type tapped struct {
	show  func(*Tapped) error
	flush func() error // what was shown is on its way
}

// pass shows what log holds from next on, and waits for more; it gives where to
// go on, which is the following log when this one is closed.
func (t tap) pass(ctx context.Context, log record.LogID, next record.Offset, out tapped) (record.LogID, record.Offset, error) {
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
			if err := out.flush(); err != nil {
				return log, next, err
			}
			return log, next, t.a.store.Wait(ctx, log, next)
		case errors.Is(err, io.EOF):
			if err := out.flush(); err != nil {
				return log, next, err
			}
			log, next, err = t.follow(ctx, log)
			return log, next, err
		case err != nil:
			return log, next, err
		case item.IsGap():
			next = item.Gap.To
			continue
		}
		if err := t.block(&item.Block, next, out.show); err != nil {
			return log, next, err
		}
		next = item.Block.End()
	}
}

// follow waits for the log after one that is closed or gone.
func (t tap) follow(ctx context.Context, log record.LogID) (record.LogID, record.Offset, error) {
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

func (t tap) block(b *record.Block, from record.Offset, show func(*Tapped) error) error {
	names := map[uint32]string{}
	for ann := range b.Annotations {
		if ann.Type != record.AnnSource {
			continue
		}
		if s, err := ann.SourceName(); err == nil {
			names[s.Source] = s.Name
		}
	}
	var r record.Record
	for off, payload := range b.Payloads {
		if off < from || b.DecodeRecord(payload, &r) != nil || r.Kind == record.KindLogOpen {
			continue
		}
		if err := show(&Tapped{
			Gateway: t.a.cfg.Gateway, Log: b.Log.String(), Offset: uint64(off), Kind: r.Kind.String(), Source: names[r.Source],
			ReceivedAt: text(r.ReceivedAt), EventTime: text(r.EventTime), TimeSource: r.TimeSource.String(),
			Flags: r.Flags.String(), Reject: reject(&r), Raw: string(r.Raw),
		}); err != nil {
			return err
		}
	}
	return nil
}

// reject says why a record will give no typed row, as the engine would: the
// decoders are the same. Empty: it will, or the gateway cannot tell.
func reject(r *record.Record) string {
	switch r.Kind {
	case record.KindText:
		return "no_sentence"
	case record.KindFragment:
		return "incomplete"
	case record.KindAIS:
	default:
		return ""
	}
	var m nmea.Message
	err := m.Parse(r.Raw)
	switch {
	case err != nil:
	case m.Flags&nmea.FlagBadChecksum != 0:
		return "bad_checksum"
	case m.Flags&nmea.FlagNoChecksum != 0:
		return "no_checksum"
	default:
		var rows ais.Rows
		err = ais.Decode(m.Payload, m.Fill, &rows)
	}
	var why interface{ Reason() string }
	if errors.As(err, &why) {
		return why.Reason()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
