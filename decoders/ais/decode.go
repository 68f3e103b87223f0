package ais

// minBits is the shortest message of each type that is taken, in bits: up to
// the last field without which a row says nothing. Real equipment sends types
// 1 to 3 without their communication state, type 5 two or four bits short, and
// others without their spare bits; gpsd and AIS-catcher take some of them each.
var minBits = [28]uint16{
	1: 149, 2: 149, 3: 149, 4: 168, 5: 418, 6: 88, 7: 40, 8: 56, 9: 168, 10: 70, 11: 168, 12: 72, 13: 40, 14: 40,
	15: 88, 16: 92, 17: 80, 18: 168, 19: 312, 20: 70, 21: 271, 22: 145, 23: 154, 24: 160, 25: 40, 26: 60, 27: 95,
}

// Decode reads the armoured payload of one whole message into dst. fill is how
// many bits at its end do not count. On an error, of type Error, dst has no
// rows. dst may be used again and again; see Rows about what it owns.
func Decode(payload []byte, fill int, dst *Rows) error {
	dst.has, dst.Header = has{}, Header{}
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
	if b.n < int(minBits[msgType]) {
		return ErrShort
	}
	switch msgType {
	case 1, 2, 3:
		dst.positionA(b)
	case 4, 11:
		dst.baseStation(b)
	case 5:
		dst.shipStatic(b)
	case 6:
		dst.addressedBinary(b)
	case 8:
		dst.broadcastBinary(b)
	case 9:
		dst.aircraft(b)
	case 18:
		dst.positionB(b)
	case 19:
		dst.extendedB(b)
	case 20:
		dst.dataLink(b)
	case 21:
		dst.aidToNavigation(b)
	case 24:
		dst.staticPart(b)
	case 27:
		dst.longRange(b)
	default:
		return dst.decodeRest(b)
	}
	return nil
}
