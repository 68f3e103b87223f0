package operator

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/state"
	"landfall/engine/table"
)

// Reception dedupe: one message that a gateway brings more than once, because
// several of its receivers heard it, because a feed repeats it, or because a
// station on the way repeated it.
//
// Two receptions are of one message when they come through the same gateway,
// their payloads are equal bit for bit but for the repeat indicator, and their
// event times lie within DedupeWindow of the first reception's.
//
// The source is not compared, nor the station in the TAG block: feeds that join
// several receivers bring most repetitions through one source and under one
// station (in one recording 4,266 of 4,304 copies). A ship does not send the same
// bits again within the window: its reports hold the UTC second or the state of
// its slots, and those that hold neither come minutes apart. The radio channel is not compared either: one feed
// labels the same transmission with either channel. Time is: a moored ship sends
// the same type 5 every six minutes (ITU-R M.1371-5, annex 1, table 1).
const (
	// DedupeWindow is how far the event times of two receptions of one
	// transmission may lie apart, in microseconds: receivers that stamp whole
	// seconds, and networks that deliver seconds late.
	DedupeWindow = 10_000_000
	// DedupeHorizon is how long before the gateway's watermark a reception is
	// remembered, in microseconds of event time. What a reception older than
	// that might repeat is forgotten: is_duplicate is false.
	DedupeHorizon = 120_000_000
	// MaxReceptions is how many receptions of one gateway are remembered: what a feed of
	// 1,000 messages a second brings within the horizon. They take some 200 bytes each.
	// Beyond it the gateway's oldest are forgotten: what repeats them is no duplicate.
	MaxReceptions = 1 << 17
	// MaxAllReceptions is the same of all gateways of a task together; whichever gateway
	// has the most then forgets its oldest.
	MaxAllReceptions = 1 << 18
)

// receptionKey is a message's content and the gateway it came through.
type receptionKey struct {
	Gateway string
	Content ais.Key
}

// reception is the first reception of a message.
type reception struct {
	EventTime record.Micros
	Log       record.LogID
	Offset    record.Offset
}

// compareReceptions orders keys by gateway and content.
func compareReceptions(a, b receptionKey) int {
	return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Content.Hi, b.Content.Hi), cmp.Compare(a.Content.Lo, b.Content.Lo))
}

// receptionCodec writes version 2. Key: uvarint length of the gateway's name, the name,
// 16 bytes content, big-endian. Value: varint event time, 16 bytes log, uvarint offset.
// Version 1 had 8 bytes, big-endian, in place of the name (Names).
type receptionCodec struct{ names interner }

// Version implements state.Codec.
func (receptionCodec) Version() uint16 { return 2 }

// AppendKey implements state.Codec.
func (receptionCodec) AppendKey(dst []byte, k receptionKey) []byte {
	dst = appendGateway(dst, k.Gateway)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, k.Content.Hi), k.Content.Lo)
}

// AppendValue implements state.Codec.
func (receptionCodec) AppendValue(dst []byte, v reception) []byte {
	dst = append(binary.AppendVarint(dst, int64(v.EventTime)), v.Log[:]...)
	return binary.AppendUvarint(dst, uint64(v.Offset))
}

// DecodeKey implements state.Codec.
func (c receptionCodec) DecodeKey(version uint16, p []byte) (receptionKey, error) {
	gateway, rest, err := cutGateway(c.names, version, 2, p)
	if err != nil || len(rest) != 16 {
		return receptionKey{}, fmt.Errorf("decode reception key of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	content := ais.Key{Hi: binary.BigEndian.Uint64(rest), Lo: binary.BigEndian.Uint64(rest[8:])}
	return receptionKey{Gateway: gateway, Content: content}, nil
}

// DecodeValue implements state.Codec.
func (receptionCodec) DecodeValue(_ uint16, p []byte) (reception, error) {
	f := record.NewFields(p)
	v := reception{EventTime: record.Micros(f.Varint())}
	copy(v.Log[:], f.Take(uint64(len(v.Log))))
	v.Offset = record.Offset(f.Uvarint())
	if f.Bad() || len(f.Rest()) > 0 {
		return reception{}, fmt.Errorf("decode reception of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return v, nil
}

// Dedupe marks receptions of a message that the same gateway brought before. It
// never drops one.
type Dedupe struct {
	seen     *state.Table[receptionKey, reception]
	expiry   *expiry[receptionKey]
	gateways interner
	names    logNames
}

// NewDedupe registers the dedupe's state. Call it before the state is restored,
// and Restored after. over is told how many receptions of a gateway were forgotten
// because it, or the task, had too many; nil: nobody is.
func NewDedupe(s *state.State, over func(gateway string, receptions int)) (*Dedupe, error) {
	seen, err := state.Register(s, "dedupe", receptionCodec{names: interner{}})
	if err != nil {
		return nil, err
	}
	return &Dedupe{
		seen: seen, gateways: interner{}, names: logNames{},
		expiry: newExpiry(DedupeHorizon+DedupeWindow, bound{MaxReceptions, MaxAllReceptions}, keyed[receptionKey]{
			seenAt:  func(k receptionKey) (record.Micros, bool) { v, ok := seen.Get(k); return v.EventTime, ok },
			forget:  seen.Delete,
			compare: compareReceptions,
		}, over),
	}, nil
}

// Restored builds the index over the restored state, and gives the keys of state of an
// older version their gateways' names.
func (d *Dedupe) Restored(names Names) {
	rename(d.seen, names, func(k *receptionKey) *string { return &k.Gateway })
	d.expiry.restored(func(yield func(string, record.Micros, receptionKey)) {
		for k, v := range d.seen.All() {
			yield(k.Gateway, v.EventTime, k)
		}
	})
}

// HandOver passes each reception to the dedupe that of returns for its gateway. Both are
// restored, or new; Restored builds their indexes. What nobody knows the gateway of stays
// behind.
func (d *Dedupe) HandOver(names Names, of func(gateway string) *Dedupe) {
	for k, v := range d.seen.All() {
		if gateway, known := names.of(k.Gateway); known {
			of(gateway).seen.Put(receptionKey{Gateway: gateway, Content: k.Content}, v)
		}
	}
}

// mark sets the duplicate columns of one reception. A time that nobody stated
// (TimeBase) says nothing of which transmission it was: it repeats none.
func (d *Dedupe) mark(c *Context, offset record.Offset, t table.Times, content ais.Key, out *table.Reception) {
	if t.TimeSource == record.TimeBase {
		return
	}
	if !c.remembers(t.EventTime, DedupeHorizon) {
		return
	}
	key := receptionKey{Gateway: d.gateways.same(c.Gateway), Content: content}
	first, ok := d.seen.Get(key)
	if ok && first.EventTime-DedupeWindow <= t.EventTime && t.EventTime <= first.EventTime+DedupeWindow {
		out.IsDuplicate = true
		out.DupLog, out.DupOffset = d.names.of(first.Log), first.Offset
		return
	}
	if ok && first.EventTime > t.EventTime {
		return // an older transmission, come late: the newer one stays remembered
	}
	d.seen.Put(key, reception{EventTime: t.EventTime, Log: c.Log, Offset: offset})
	d.expiry.add(key.Gateway, t.EventTime, key, !ok)
}

// Held returns how many receptions of a gateway are remembered.
func (d *Dedupe) Held(gateway string) int { return d.expiry.held(gateway) }

// Advance tells that the gateway's watermark moved, and forgets receptions
// beyond the horizon.
func (d *Dedupe) Advance(gateway string, watermark record.Micros) { d.expiry.due(gateway, watermark) }

// logNames keeps one string a log. Gateways choose LogIDs, so it forgets
// everything when it has grown past maxInterned.
type logNames map[record.LogID]string

func (n logNames) of(id record.LogID) string {
	s, ok := n[id]
	if !ok {
		if len(n) >= maxInterned {
			clear(n)
		}
		s = id.String()
		n[id] = s
	}
	return s
}
