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

// StaticHorizon is how long before the gateway's watermark a half of type 24 is
// remembered, in microseconds of event time. Class B sends both halves every
// six minutes (ITU-R M.1371-5, annex 1, table 1), often hours out of range.
const StaticHorizon = 24 * 3_600_000_000

// Bounds of what is remembered of ships that send type 24, some 400 bytes each.
const (
	// MaxShips is how many ships of one gateway are remembered. Beyond it the gateway's
	// oldest are forgotten: their next half is not filled with the other one.
	MaxShips = 1 << 16
	// MaxAllShips is the same of all gateways of a task together; whichever gateway has
	// the most then forgets its oldest.
	MaxAllShips = 1 << 17
)

// halfKey is one ship as heard through one gateway.
type halfKey struct {
	Gateway string
	MMSI    uint32
}

// compareHalves orders keys by gateway and ship.
func compareHalves(a, b halfKey) int {
	return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.MMSI, b.MMSI))
}

// halves is what is known of a ship's two halves of type 24.
type halves struct {
	SeenAt record.Micros // event time of the newest half
	Name   ais.Opt[string]
	B      partB
	HasB   bool
}

// partB is what half B says.
type partB struct {
	Callsign                            ais.Opt[string]
	ShipType, EPFD                      ais.Opt[uint8]
	ToBow, ToStern, ToPort, ToStarboard ais.Opt[uint16]
	MothershipMMSI                      ais.Opt[uint32]
	VendorID                            ais.Opt[string]
	UnitModel                           ais.Opt[uint8]
	UnitSerial                          ais.Opt[uint32]
}

// Static fills each half of type 24 with what is known of the other half. A
// half is a row of its own whether or not the other was ever heard.
type Static struct {
	ships    *state.Table[halfKey, halves]
	expiry   *expiry[halfKey]
	gateways interner
}

// NewStatic registers the operator's state. Call it before the state is
// restored, and Restored after. over is told how many ships of a gateway were forgotten
// because it, or the task, had too many; nil: nobody is.
func NewStatic(s *state.State, over func(gateway string, ships int)) (*Static, error) {
	ships, err := state.Register(s, "static", halvesCodec{names: interner{}})
	if err != nil {
		return nil, err
	}
	return &Static{
		ships: ships, gateways: interner{},
		expiry: newExpiry(StaticHorizon, bound{MaxShips, MaxAllShips}, keyed[halfKey]{
			seenAt:  func(k halfKey) (record.Micros, bool) { v, ok := ships.Get(k); return v.SeenAt, ok },
			forget:  ships.Delete,
			compare: compareHalves,
		}, over),
	}, nil
}

// Restored builds the index over the restored state; see Dedupe.Restored.
func (s *Static) Restored(names Names) {
	rename(s.ships, names, func(k *halfKey) *string { return &k.Gateway })
	s.expiry.restored(func(yield func(string, record.Micros, halfKey)) {
		for k, v := range s.ships.All() {
			yield(k.Gateway, v.SeenAt, k)
		}
	})
}

// HandOver passes each ship to the operator that of returns for the gateway through
// which it was heard; see Dedupe.HandOver.
func (s *Static) HandOver(names Names, of func(gateway string) *Static) {
	for k, v := range s.ships.All() {
		if gateway, known := names.of(k.Gateway); known {
			of(gateway).ships.Put(halfKey{Gateway: gateway, MMSI: k.MMSI}, v)
		}
	}
}

// fill completes one half and remembers it. A half whose event time does not
// lie within the horizon is neither: it could not be forgotten in time.
func (s *Static) fill(c *Context, t table.Times, row *ais.Static) {
	if row.Part != 'A' && row.Part != 'B' || !c.remembers(t.EventTime, StaticHorizon) {
		return
	}
	key := halfKey{Gateway: s.gateways.same(c.Gateway), MMSI: row.MMSI}
	known, ok := s.ships.Get(key)
	now := halves{SeenAt: max(known.SeenAt, t.EventTime), Name: known.Name, B: known.B, HasB: known.HasB}
	if !ok {
		now.SeenAt = t.EventTime
	}
	if row.Part == 'A' {
		now.Name = row.Shipname
		if known.HasB {
			known.B.write(row)
		}
	} else {
		now.B, now.HasB = readPartB(row), true
		row.Shipname = known.Name
	}
	if ok && now == known {
		return
	}
	s.ships.Put(key, now)
	if !ok || int64(now.SeenAt)/expiryStep != int64(known.SeenAt)/expiryStep {
		s.expiry.add(key.Gateway, now.SeenAt, key, !ok)
	}
}

// Held returns how many ships of a gateway are remembered.
func (s *Static) Held(gateway string) int { return s.expiry.held(gateway) }

// Advance tells that the gateway's watermark moved, and forgets ships beyond
// the horizon.
func (s *Static) Advance(gateway string, watermark record.Micros) { s.expiry.due(gateway, watermark) }

// RemembersHalf tells whether a half of an event time may be remembered at a
// watermark.
func RemembersHalf(watermark, at record.Micros) bool {
	c := Context{Watermark: watermark}
	return c.remembers(at, StaticHorizon)
}

// Recall remembers, in a state that is made again, what the row of a half says of
// its ship: its own half, and the other one as far as it was known then. Of several
// rows of a ship the one that landed last counts; seenAt is the newest event time
// among them.
func (s *Static) Recall(gateway string, seenAt record.Micros, row *ais.Static) {
	key := halfKey{Gateway: s.gateways.same(gateway), MMSI: row.MMSI}
	now := halves{SeenAt: seenAt, Name: row.Shipname, B: readPartB(row)}
	now.HasB = row.Part == 'B' || now.B != partB{}
	_, known := s.ships.Get(key)
	s.ships.Put(key, now)
	s.expiry.add(key.Gateway, seenAt, key, !known)
}

func readPartB(row *ais.Static) partB {
	return partB{
		Callsign: row.Callsign, ShipType: row.ShipType, EPFD: row.EPFD,
		ToBow: row.ToBow, ToStern: row.ToStern, ToPort: row.ToPort, ToStarboard: row.ToStarboard,
		MothershipMMSI: row.MothershipMMSI,
		VendorID:       row.VendorID, UnitModel: row.UnitModel, UnitSerial: row.UnitSerial,
	}
}

func (b *partB) write(row *ais.Static) {
	row.Callsign, row.ShipType, row.EPFD = b.Callsign, b.ShipType, b.EPFD
	row.ToBow, row.ToStern, row.ToPort, row.ToStarboard = b.ToBow, b.ToStern, b.ToPort, b.ToStarboard
	row.MothershipMMSI = b.MothershipMMSI
	row.VendorID, row.UnitModel, row.UnitSerial = b.VendorID, b.UnitModel, b.UnitSerial
}

// halvesCodec writes version 3. Key: uvarint length of the gateway's name, the name, 4
// bytes MMSI, big-endian. Value: varint event time, then name, callsign (each: 0, or
// 1, uvarint length, bytes), then ship type, EPFD, the four dimensions and the
// mothership (each: 0, or 1 and a uvarint), then 1 if half B was heard. Behind
// that, since version 2: vendor (as name), model, serial number (as ship type). Before
// version 3 the key had 8 bytes, big-endian, in place of the name (Names).
type halvesCodec struct{ names interner }

// Version implements state.Codec.
func (halvesCodec) Version() uint16 { return 3 }

// AppendKey implements state.Codec.
func (halvesCodec) AppendKey(dst []byte, k halfKey) []byte {
	return binary.BigEndian.AppendUint32(appendGateway(dst, k.Gateway), k.MMSI)
}

// DecodeKey implements state.Codec.
func (c halvesCodec) DecodeKey(version uint16, p []byte) (halfKey, error) {
	gateway, rest, err := cutGateway(c.names, version, 3, p)
	if err != nil || len(rest) != 4 {
		return halfKey{}, fmt.Errorf("decode static key of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return halfKey{Gateway: gateway, MMSI: binary.BigEndian.Uint32(rest)}, nil
}

// AppendValue implements state.Codec.
func (halvesCodec) AppendValue(dst []byte, v halves) []byte {
	dst = binary.AppendVarint(dst, int64(v.SeenAt))
	dst = appendText(appendText(dst, v.Name), v.B.Callsign)
	dst = appendNumber(appendNumber(dst, v.B.ShipType), v.B.EPFD)
	dst = appendNumber(appendNumber(dst, v.B.ToBow), v.B.ToStern)
	dst = appendNumber(appendNumber(dst, v.B.ToPort), v.B.ToStarboard)
	dst = appendNumber(dst, v.B.MothershipMMSI)
	hasB := byte(0)
	if v.HasB {
		hasB = 1
	}
	dst = appendText(append(dst, hasB), v.B.VendorID)
	return appendNumber(appendNumber(dst, v.B.UnitModel), v.B.UnitSerial)
}

// DecodeValue implements state.Codec.
func (halvesCodec) DecodeValue(version uint16, p []byte) (halves, error) {
	f := record.NewFields(p)
	v := halves{SeenAt: record.Micros(f.Varint()), Name: text(&f)}
	v.B.Callsign = text(&f)
	v.B.ShipType, v.B.EPFD = number[uint8](&f), number[uint8](&f)
	v.B.ToBow, v.B.ToStern = number[uint16](&f), number[uint16](&f)
	v.B.ToPort, v.B.ToStarboard = number[uint16](&f), number[uint16](&f)
	v.B.MothershipMMSI = number[uint32](&f)
	v.HasB = f.Byte() == 1
	if version >= 2 {
		v.B.VendorID = text(&f)
		v.B.UnitModel, v.B.UnitSerial = number[uint8](&f), number[uint32](&f)
	}
	if f.Bad() || len(f.Rest()) > 0 {
		return halves{}, fmt.Errorf("decode static of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return v, nil
}

func appendText(dst []byte, o ais.Opt[string]) []byte {
	if !o.Valid {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(append(dst, 1), uint64(len(o.Value)))
	return append(dst, o.Value...)
}

func appendNumber[T uint8 | uint16 | uint32](dst []byte, o ais.Opt[T]) []byte {
	if !o.Valid {
		return append(dst, 0)
	}
	return binary.AppendUvarint(append(dst, 1), uint64(o.Value))
}

func text(f *record.Fields) ais.Opt[string] {
	if f.Byte() == 0 {
		return ais.Opt[string]{}
	}
	return ais.Some(string(f.Bytes()))
}

func number[T uint8 | uint16 | uint32](f *record.Fields) ais.Opt[T] {
	if f.Byte() == 0 {
		return ais.Opt[T]{}
	}
	return ais.Some(T(f.Uvarint()))
}
