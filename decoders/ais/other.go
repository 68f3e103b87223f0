package ais

import (
	"encoding/hex"
	"strconv"

	goais "github.com/BertoldVdb/go-ais"
)

// other: types 7, 10, 13, 15, 16, 17, 22, 23. The names of the JSON fields
// follow gpsd's; positions are degrees, absent when not available.
func (r *Rows) other(packet goais.Packet) {
	r.Other = Other{Header: r.Header}
	r.HasOther = true
	var o object
	switch m := packet.(type) {
	case goais.BinaryAcknowledge:
		r.Other.acknowledge(&m, &o)
	case goais.CoordinatedUTCInquiry:
		r.Other.DestMMSI[0] = Some(m.DestinationID)
	case goais.Interrogation:
		r.Other.interrogation(&m, &o)
	case goais.AssignedModeCommand:
		r.Other.assignment(&m, &o)
	case goais.GnssBroadcastBinaryMessage:
		o.corner("lon", longitudeCoarse(int32(m.Longitude)))
		o.corner("lat", latitudeCoarse(int32(m.Latitude)))
		o.data(m.Data)
	case goais.ChannelManagement:
		r.Other.channels(&m, &o)
	case goais.GroupAssignmentCommand:
		o.corner("ne_lon", longitudeCoarse(int32(m.Longitude1)))
		o.corner("ne_lat", latitudeCoarse(int32(m.Latitude1)))
		o.corner("sw_lon", longitudeCoarse(int32(m.Longitude2)))
		o.corner("sw_lat", latitudeCoarse(int32(m.Latitude2)))
		o.int("stationtype", uint32(m.StationType))
		o.int("shiptype", uint32(m.ShipType))
		o.int("txrx", uint32(m.TxRxMode))
		o.int("interval", uint32(m.ReportingInterval))
		o.int("quiet", uint32(m.QuietTime))
	}
	r.Other.Fields = o.close()
}

// acknowledge: types 7 and 13.
func (x *Other) acknowledge(m *goais.BinaryAcknowledge, o *object) {
	for i, d := range m.Destinations {
		if d.Valid {
			n := strconv.Itoa(i + 1)
			x.DestMMSI[i] = Some(d.DestinationID)
			o.int("mmsi"+n, d.DestinationID)
			o.int("seqno"+n, uint32(d.SequenceNumber))
		}
	}
}

// interrogation: type 15.
func (x *Other) interrogation(m *goais.Interrogation, o *object) {
	x.DestMMSI[0] = Some(m.Station1Msg1.StationID)
	o.int("mmsi1", m.Station1Msg1.StationID)
	o.int("type1_1", uint32(m.Station1Msg1.MessageID))
	o.int("offset1_1", uint32(m.Station1Msg1.SlotOffset))
	if m.Station1Msg2.Valid {
		o.int("type1_2", uint32(m.Station1Msg2.MessageID))
		o.int("offset1_2", uint32(m.Station1Msg2.SlotOffset))
	}
	if m.Station2.Valid {
		x.DestMMSI[1] = Some(m.Station2.StationID)
		o.int("mmsi2", m.Station2.StationID)
		o.int("type2_1", uint32(m.Station2.MessageID))
		o.int("offset2_1", uint32(m.Station2.SlotOffset))
	}
}

// assignment: type 16.
func (x *Other) assignment(m *goais.AssignedModeCommand, o *object) {
	for i, c := range m.Commands {
		if c.Valid {
			n := strconv.Itoa(i + 1)
			x.DestMMSI[i] = Some(c.DestinationID)
			o.int("mmsi"+n, c.DestinationID)
			o.int("offset"+n, uint32(c.Offset))
			o.int("increment"+n, uint32(c.Increment))
		}
	}
}

// dataLink: type 20, up to four reservations of which one is there when all of
// it is.
func (r *Rows) dataLink(b *bits) {
	r.Other = Other{Header: r.Header}
	r.HasOther = true
	var o object
	for i, n := range [...]string{"1", "2", "3", "4"} {
		at := 40 + 30*i
		if b.n < at+30 {
			break
		}
		o.int("offset"+n, b.uint(at, 12))
		o.int("number"+n, b.uint(at+12, 4))
		o.int("timeout"+n, b.uint(at+16, 3))
		o.int("increment"+n, b.uint(at+19, 11))
	}
	r.Other.Fields = o.close()
}

// channels: type 22.
func (x *Other) channels(m *goais.ChannelManagement, o *object) {
	o.int("channel_a", uint32(m.ChannelA))
	o.int("channel_b", uint32(m.ChannelB))
	o.int("txrx", uint32(m.TxRxMode))
	o.bool("power", m.LowPower)
	o.bool("addressed", m.IsAddressed)
	if m.IsAddressed {
		x.DestMMSI[0] = Some(m.Unicast.AddressStation1)
		x.DestMMSI[1] = Some(m.Unicast.AddressStation2)
		o.int("mmsi1", m.Unicast.AddressStation1)
		o.int("mmsi2", m.Unicast.AddressStation2)
	} else {
		o.corner("ne_lon", longitudeCoarse(int32(m.Area.Longitude1)))
		o.corner("ne_lat", latitudeCoarse(int32(m.Area.Latitude1)))
		o.corner("sw_lon", longitudeCoarse(int32(m.Area.Longitude2)))
		o.corner("sw_lat", latitudeCoarse(int32(m.Area.Latitude2)))
	}
	o.bool("band_a", m.BwA)
	o.bool("band_b", m.BwB)
	o.int("zonesize", uint32(m.TransitionalZoneSize))
}

// object builds a compact JSON object. Keys and values need no escaping.
type object struct{ buf []byte }

func (o *object) key(k string) {
	if len(o.buf) == 0 {
		o.buf = append(o.buf, '{')
	} else {
		o.buf = append(o.buf, ',')
	}
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, k...)
	o.buf = append(o.buf, '"', ':')
}

func (o *object) int(k string, v uint32) {
	o.key(k)
	o.buf = strconv.AppendUint(o.buf, uint64(v), 10)
}

func (o *object) bool(k string, v bool) {
	o.key(k)
	o.buf = strconv.AppendBool(o.buf, v)
}

// corner writes degrees; 1/10 minute is 0.00167 degrees, so six decimals do.
func (o *object) corner(k string, v Opt[float64]) {
	if v.Valid {
		o.key(k)
		o.buf = strconv.AppendFloat(o.buf, v.Value, 'f', 6, 64)
	}
}

// data writes bits as "count:hex", the last digits filled with zeros.
func (o *object) data(bits []byte) {
	o.key("data")
	o.buf = append(o.buf, '"')
	o.buf = strconv.AppendInt(o.buf, int64(len(bits)), 10)
	o.buf = append(o.buf, ':')
	o.buf = hex.AppendEncode(o.buf, pack(nil, bits))
	o.buf = append(o.buf, '"')
}

func (o *object) close() string {
	if len(o.buf) == 0 {
		return "{}"
	}
	return string(append(o.buf, '}'))
}
