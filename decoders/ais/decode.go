package ais

import goais "github.com/BertoldVdb/go-ais"

// The lengths, in bits, below which a type is refused although go-ais would
// want more, because real equipment sends them (both gpsd and AIS-catcher take
// them): type 1 of 163 bits, type 5 of 420 and 422, type 24B of 160 and 162.
const (
	minPositionA = 163
	minPositionB = 168
	minStaticA   = 420
	minStatic24  = 160
)

// Decode reads the armoured payload of one whole message into dst. fill is how
// many bits at its end do not count. On an error, of type Error, dst has no
// rows. dst may be used again and again; see Rows about what it owns.
func Decode(payload []byte, fill int, dst *Rows) error {
	dst.HasPosition, dst.HasStatic, dst.HasBaseStation, dst.HasAtoN = false, false, false, false
	dst.HasBinary, dst.HasSafety, dst.HasOther = false, false, false
	dst.Header = Header{}
	b := &dst.bits
	if err := b.load(payload, fill); err != nil {
		return err
	}
	if b.n < 6 {
		return ErrShort
	}
	msgType := b.uint(0, 6)
	if msgType < 1 || msgType > 27 {
		return ErrType
	}
	if b.n < 38 {
		return ErrShort
	}
	dst.Header = Header{MsgType: uint8(msgType), RepeatIndicator: uint8(b.uint(6, 2)), MMSI: b.uint(8, 30)}
	switch msgType {
	case 1, 2, 3:
		return dst.positionA(b)
	case 18:
		return dst.positionB(b)
	case 5:
		return dst.decodeRest(b, minStaticA, 424)
	case 24:
		if b.n >= 40 && b.uint(38, 2) > 1 {
			return ErrPart
		}
		return dst.decodeRest(b, minStatic24, 168)
	default:
		return dst.decodeRest(b, 0, 0)
	}
}

// positionA reads types 1, 2, 3.
func (r *Rows) positionA(b *bits) error {
	if b.n < minPositionA {
		return ErrShort
	}
	p := &r.Position
	p.Header = r.Header
	p.NavStatus = Some(uint8(b.uint(38, 4)))
	p.ROTRaw = Some(int8(b.int(42, 8)))
	p.ROT = rateOfTurn(p.ROTRaw.Value)
	p.setMotion(b, 50)
	p.Altitude = Opt[uint16]{}
	p.RAIM = Some(b.flag(148))
	p.CommState = optional(b.uint(149, 19), b.n >= 168)
	r.HasPosition = true
	return nil
}

// positionB reads type 18.
func (r *Rows) positionB(b *bits) error {
	if b.n < minPositionB {
		return ErrShort
	}
	p := &r.Position
	p.Header = r.Header
	p.NavStatus = Opt[uint8]{}
	p.ROTRaw, p.ROT = Opt[int8]{}, Opt[float64]{}
	p.setMotion(b, 46)
	p.Altitude = Opt[uint16]{}
	p.RAIM = Some(b.flag(147))
	p.CommState = Some(b.uint(148, 20))
	r.HasPosition = true
	return nil
}

// setMotion reads the block that types 1, 2, 3, 18 and 19 share, from offset:
// SOG 10, accuracy 1, longitude 28, latitude 27, COG 12, heading 9, second 6.
func (p *Position) setMotion(b *bits, offset int) {
	p.SOG = speed(b.uint(offset, 10))
	p.PositionAccuracy = b.flag(offset + 10)
	p.Lon = longitude(b.int(offset+11, 28))
	p.Lat = latitude(b.int(offset+39, 27))
	p.COG = course(b.uint(offset+66, 12))
	p.TrueHeading = heading(b.uint(offset+78, 9))
	p.UTCSecond = utcSecond(b.uint(offset+87, 6))
}

// decoder holds what decoding with go-ais needs. go-ais takes one byte a bit.
type decoder struct {
	codec *goais.Codec
	bits  []byte
}

// decodeRest decodes with go-ais. A message of at least floor bits is filled up
// with zeros to full, for types that real equipment sends short.
func (r *Rows) decodeRest(b *bits, floor, full int) error {
	if b.n < floor {
		return ErrShort
	}
	if r.dec == nil {
		codec := goais.CodecNewFast(false, false, true)
		codec.FloatWithoutConversion = true // sentinels are compared as integers
		r.dec = &decoder{codec: codec}
	}
	d := r.dec
	d.bits = d.bits[:0]
	for i := range b.end {
		c := b.buf[i]
		d.bits = append(d.bits, c>>7, c>>6&1, c>>5&1, c>>4&1, c>>3&1, c>>2&1, c>>1&1, c&1)
	}
	d.bits = d.bits[:b.n]
	for len(d.bits) < full {
		d.bits = append(d.bits, 0)
	}
	packet := d.codec.DecodePacket(d.bits)
	if packet == nil {
		return ErrShort
	}
	r.fill(packet, b)
	return nil
}

// fill sets the row or rows of a packet.
func (r *Rows) fill(packet goais.Packet, b *bits) {
	switch m := packet.(type) {
	case goais.StandardSearchAndRescueAircraftReport:
		r.aircraft(&m, b)
	case goais.ExtendedClassBPositionReport:
		r.extendedB(&m)
	case goais.LongRangeAisBroadcastMessage:
		r.longRange(&m)
	case goais.ShipStaticData:
		r.shipStatic(&m)
	case goais.StaticDataReport:
		r.staticHalf(&m, b)
	case goais.BaseStationReport:
		r.baseStation(&m)
	case goais.AidsToNavigationReport:
		r.aton(&m)
	case goais.AddressedBinaryMessage:
		r.addressedBinary(&m)
	case goais.BinaryBroadcastMessage:
		r.broadcastBinary(&m)
	case goais.SingleSlotBinaryMessage:
		r.singleSlot(&m)
	case goais.MultiSlotBinaryMessage:
		r.multiSlot(&m)
	case goais.AddessedSafetyMessage:
		r.addressedSafety(&m)
	case goais.SafetyBroadcastMessage:
		r.safety(&m)
	default:
		r.other(packet)
	}
}
