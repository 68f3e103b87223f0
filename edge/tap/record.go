package tap

import (
	"encoding/base64"
	"errors"
	"time"
	"unicode/utf8"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// Record is one record as tap shows it. Times are RFC 3339 in UTC, empty where
// there is none.
type Record struct {
	Stage      string `json:"stage"`
	Gateway    string `json:"gateway"`
	Log        string `json:"log,omitempty"` // none before it is captured
	Offset     uint64 `json:"offset"`
	Kind       string `json:"kind"`
	Source     string `json:"source"`
	ReceivedAt string `json:"received_at"`
	EventTime  string `json:"event_time"`
	TimeSource string `json:"time_source"`
	LandedAt   string `json:"landed_at,omitempty"`
	Flags      string `json:"flags,omitempty"`    // joined by '|'
	Reject     string `json:"reject,omitempty"`   // why it gives no typed row
	Rows       *int32 `json:"rows,omitempty"`     // typed rows it gave, where that is known
	Conflict   string `json:"conflict,omitempty"` // why its block contradicts its log
	Count      uint64 `json:"count,omitempty"`    // of kind loss and conflict: offsets from Offset on
	Raw        string `json:"raw"`
	RawBase64  string `json:"raw_base64,omitempty"` // the bytes, where Raw cannot hold them
}

// SetRaw takes the bytes of a record.
func (r *Record) SetRaw(raw []byte) {
	r.Raw, r.RawBase64 = string(raw), ""
	if !utf8.Valid(raw) {
		r.RawBase64 = base64.StdEncoding.EncodeToString(raw)
	}
}

// Block shows the records of a captured block from an offset on, but for the
// opening of the log; of a declared loss it shows one of kind loss. The first
// error of show ends it.
func Block(like Record, b *record.Block, from record.Offset, show func(*Record) error) error {
	like.Log = b.Log.String()
	if b.Kind == record.BlockLoss {
		like.Kind, like.Offset, like.Count, like.Reject = "loss", uint64(b.First), uint64(b.Count), lossReason(b)
		return show(&like)
	}
	names := sourceNames(b)
	var r record.Record
	for off, payload := range b.Payloads {
		if off < from || b.DecodeRecord(payload, &r) != nil || r.Kind == record.KindLogOpen {
			continue
		}
		one := like
		one.Offset, one.Kind, one.Source = uint64(off), r.Kind.String(), names[r.Source]
		one.ReceivedAt, one.EventTime, one.TimeSource = Time(r.ReceivedAt), Time(r.EventTime), r.TimeSource.String()
		one.Flags, one.Reject = r.Flags.String(), Reject(&r)
		one.SetRaw(r.Raw)
		if err := show(&one); err != nil {
			return err
		}
	}
	return nil
}

func sourceNames(b *record.Block) map[uint32]string {
	names := map[uint32]string{}
	for ann := range b.Annotations {
		if ann.Type != record.AnnSource {
			continue
		}
		if s, err := ann.SourceName(); err == nil {
			names[s.Source] = s.Name
		}
	}
	return names
}

func lossReason(b *record.Block) string {
	for ann := range b.Annotations {
		if ann.Type == record.AnnLoss {
			return string(ann.Body)
		}
	}
	return "lost"
}

// Reject says why a record will give no typed row, as the engine would: the
// decoders are the same. Empty: it will, or this end cannot tell.
func Reject(r *record.Record) string {
	if r.Flags&record.FlagKills != 0 {
		return "kills"
	}
	switch r.Kind {
	case record.KindText:
		return "no_sentence"
	case record.KindFragment:
		return rejectFragment(r.Flags)
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

// Time gives a time in UTC, empty for none.
func Time(at record.Micros) string {
	if at == record.NoTime {
		return ""
	}
	return time.UnixMicro(int64(at)).UTC().Format("2006-01-02T15:04:05.000000Z")
}

// rejectFragment says why a fragment found no partners.
func rejectFragment(f record.Flags) string {
	switch {
	case f&record.FlagBadChecksum != 0:
		return "bad_checksum"
	case f&record.FlagNoChecksum != 0:
		return "no_checksum"
	case f&record.FlagCrowded != 0:
		return "crowded"
	}
	return "incomplete"
}
