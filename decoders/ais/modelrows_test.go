package ais_test

import (
	"fmt"
	"math"
	"strings"
	"time"

	goais "github.com/BertoldVdb/go-ais"

	"landfall/decoders/ais"
)

// The model of the types that are read by hand: rows made of go-ais's raw
// integers, in the most obvious way.

// fullLength is the length in bits that go-ais wants of a type.
var fullLength = [28]int{1: 168, 2: 168, 3: 168, 5: 424, 10: 72, 16: 96, 20: 72, 21: 272, 22: 168, 23: 160, 24: 168, 27: 96}

// wanted is what the model says; what it does not know of is nil.
type wanted struct {
	position *ais.Position
	static   *ais.Static
	base     *ais.BaseStation
	aton     *ais.AtoN
	binary   *ais.Binary
	data     []byte
	fields   *string
}

func unless[T comparable](v, sentinel T) ais.Opt[T] {
	if v == sentinel {
		return ais.Opt[T]{}
	}
	return ais.Some(v)
}

func scaled(raw, sentinel, unit float64) ais.Opt[float64] {
	if raw == sentinel {
		return ais.Opt[float64]{}
	}
	return ais.Some(raw / unit)
}

func name(s string) ais.Opt[string] {
	s, _, _ = strings.Cut(s, "@")
	return unless(strings.TrimRight(s, " "), "")
}

func fineLon(f goais.FieldLatLonFine) ais.Opt[float64] {
	return scaled(float64(f), 181*600_000, 600_000)
}
func fineLat(f goais.FieldLatLonFine) ais.Opt[float64] {
	return scaled(float64(f), 91*600_000, 600_000)
}

func hull(d goais.FieldDimension) (bow, stern, port, starboard ais.Opt[uint16]) {
	if d.A == 0 && d.B == 0 && d.C == 0 && d.D == 0 {
		return
	}
	return ais.Some(d.A), ais.Some(d.B), ais.Some(uint16(d.C)), ais.Some(uint16(d.D))
}

func itdma(s goais.CommunicationStateItdma) uint32 {
	if s.CommunicationStateIsItdma {
		return s.CommunicationState | 1<<19
	}
	return s.CommunicationState
}

// modelRows makes rows of a packet that was decoded from bits, or from bits
// filled up with zeros.
func modelRows(packet goais.Packet, bits []byte) wanted {
	h := packet.GetHeader()
	head := ais.Header{MsgType: h.MessageID, RepeatIndicator: h.RepeatIndicator, MMSI: h.UserID}
	n := len(bits)
	switch m := packet.(type) {
	case goais.PositionReport:
		return wanted{position: modelClassA(head, &m, n)}
	case goais.StandardClassBPositionReport:
		return wanted{position: modelClassB(head, &m)}
	case goais.StandardSearchAndRescueAircraftReport:
		return wanted{position: modelAircraft(head, &m)}
	case goais.LongRangeAisBroadcastMessage:
		return wanted{position: &ais.Position{
			Header: head, NavStatus: ais.Some(m.NavigationalStatus), PositionAccuracy: m.PositionAccuracy,
			Lon: scaled(float64(m.Longitude), 181*600, 600), Lat: scaled(float64(m.Latitude), 91*600, 600),
			SOG: scaled(float64(m.Sog), 63, 1), COG: scaled(float64(m.Cog), 511, 1), RAIM: ais.Some(m.Raim),
			PositionStale: ais.Some(m.PositionLatency),
		}}
	case goais.ExtendedClassBPositionReport:
		return modelExtended(head, &m)
	case goais.ShipStaticData:
		return wanted{static: modelStatic(head, &m, n)}
	case goais.StaticDataReport:
		return wanted{static: modelPart(head, &m, bits)}
	case goais.BaseStationReport:
		return wanted{base: modelBase(head, &m)}
	case goais.AidsToNavigationReport:
		return wanted{aton: modelAtoN(head, &m)}
	case goais.AddressedBinaryMessage:
		id := m.ApplicationID
		return wanted{data: packed(m.BinaryData), binary: modelApplication(bits, 88, ais.Binary{
			Header: head, DestMMSI: ais.Some(m.DestinationID), Sequence: ais.Some(m.SequenceNumber), Retransmit: ais.Some(m.Retransmission),
			DAC: ais.Some(id.DesignatedAreaCode), FID: ais.Some(id.FunctionIdentifier), DataBits: len(m.BinaryData),
		})}
	case goais.BinaryBroadcastMessage:
		id := m.ApplicationID
		return wanted{data: packed(m.BinaryData), binary: modelApplication(bits, 56, ais.Binary{
			Header: head, DAC: ais.Some(id.DesignatedAreaCode), FID: ais.Some(id.FunctionIdentifier), DataBits: len(m.BinaryData),
		})}
	case goais.DataLinkManagementMessage:
		return wanted{fields: modelLink(&m, n)}
	}
	return wanted{}
}

func modelClassA(head ais.Header, m *goais.PositionReport, n int) *ais.Position {
	p := ais.Position{
		Header: head, NavStatus: ais.Some(m.NavigationalStatus), ROTRaw: ais.Some(int8(m.RateOfTurn)),
		SOG: scaled(float64(m.Sog), 1023, 10), PositionAccuracy: m.PositionAccuracy, Lon: fineLon(m.Longitude), Lat: fineLat(m.Latitude),
		COG: scaled(float64(m.Cog), 3600, 10), TrueHeading: unless(m.TrueHeading, 511), UTCSecond: unless(m.Timestamp, 60),
		Maneuver: unless(m.SpecialManoeuvreIndicator, 0), RAIM: ais.Some(m.Raim),
	}
	if n >= 168 {
		p.CommState = ais.Some(m.CommunicationState)
	}
	if rot := float64(m.RateOfTurn); rot > -127 && rot < 127 {
		p.ROT = ais.Some(math.Copysign((rot/4.733)*(rot/4.733), rot))
	}
	return &p
}

func modelClassB(head ais.Header, m *goais.StandardClassBPositionReport) *ais.Position {
	return &ais.Position{
		Header: head, SOG: scaled(float64(m.Sog), 1023, 10), PositionAccuracy: m.PositionAccuracy, Lon: fineLon(m.Longitude),
		Lat: fineLat(m.Latitude), COG: scaled(float64(m.Cog), 3600, 10), TrueHeading: unless(m.TrueHeading, 511),
		UTCSecond: unless(m.Timestamp, 60), ClassBCS: ais.Some(m.ClassBUnit), ClassBDisplay: ais.Some(m.ClassBDisplay),
		ClassBDSC: ais.Some(m.ClassBDsc), ClassBBand: ais.Some(m.ClassBBand), ClassBMsg22: ais.Some(m.ClassBMsg22),
		Assigned: ais.Some(m.AssignedMode), RAIM: ais.Some(m.Raim), CommState: ais.Some(itdma(m.CommunicationStateItdma)),
	}
}

func modelAircraft(head ais.Header, m *goais.StandardSearchAndRescueAircraftReport) *ais.Position {
	return &ais.Position{
		Header: head, Altitude: unless(m.Altitude, 4095), SOG: scaled(float64(m.Sog), 1023, 1), PositionAccuracy: m.PositionAccuracy,
		Lon: fineLon(m.Longitude), Lat: fineLat(m.Latitude), COG: scaled(float64(m.Cog), 3600, 10), UTCSecond: unless(m.Timestamp, 60),
		AltitudeBarometric: ais.Some(m.AltFromBaro), DTEReady: ais.Some(!m.Dte), Assigned: ais.Some(m.AssignedMode),
		RAIM: ais.Some(m.Raim), CommState: ais.Some(itdma(m.CommunicationStateItdma)),
	}
}

func modelExtended(head ais.Header, m *goais.ExtendedClassBPositionReport) wanted {
	s := ais.Static{
		Header: head, Shipname: name(m.Name), ShipType: unless(m.Type, 0), EPFD: ais.Some(m.FixType), DTEReady: ais.Some(!m.Dte),
	}
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = hull(m.Dimension)
	return wanted{static: &s, position: &ais.Position{
		Header: head, SOG: scaled(float64(m.Sog), 1023, 10), PositionAccuracy: m.PositionAccuracy, Lon: fineLon(m.Longitude),
		Lat: fineLat(m.Latitude), COG: scaled(float64(m.Cog), 3600, 10), TrueHeading: unless(m.TrueHeading, 511),
		UTCSecond: unless(m.Timestamp, 60), Assigned: ais.Some(m.AssignedMode), DTEReady: ais.Some(!m.Dte), RAIM: ais.Some(m.Raim),
	}}
}

func modelStatic(head ais.Header, m *goais.ShipStaticData, n int) *ais.Static {
	s := ais.Static{
		Header: head, AISVersion: ais.Some(m.AisVersion), IMO: unless(m.ImoNumber, 0), Callsign: name(m.CallSign), Shipname: name(m.Name),
		ShipType: unless(m.Type, 0), EPFD: ais.Some(m.FixType), ETAMonth: unless(m.Eta.Month, 0), ETADay: unless(m.Eta.Day, 0),
		ETAHour: unless(m.Eta.Hour, 24), ETAMinute: unless(m.Eta.Minute, 60),
		Draught: scaled(float64(m.MaximumStaticDraught), 0, 10), Destination: name(m.Destination),
	}
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = hull(m.Dimension)
	if n >= 423 {
		s.DTEReady = ais.Some(!m.Dte)
	}
	return &s
}

// modelPart is a part of type 24. What part B holds as dimensions is an
// auxiliary craft's mother ship.
func modelPart(head ais.Header, m *goais.StaticDataReport, bits []byte) *ais.Static {
	s := ais.Static{Header: head}
	b := m.ReportB
	switch part := 2*bits[38] + bits[39]; part {
	case 0:
		s.Part, s.Shipname = 'A', name(m.ReportA.Name)
	case 1:
		s.Part, s.ShipType, s.VendorID, s.Callsign = 'B', unless(b.ShipType, 0), name(b.VendorIDName), name(b.CallSign)
		s.UnitModel, s.UnitSerial = ais.Some(b.VenderIDModel), ais.Some(b.VenderIDSerial)
		if len(bits) >= 166 {
			s.EPFD = ais.Some(b.FixType)
		}
		d := b.Dimension
		if head.MMSI >= 980_000_000 && head.MMSI < 990_000_000 {
			if len(bits) >= 162 {
				s.MothershipMMSI = unless(uint32(d.A)<<21|uint32(d.B)<<12|uint32(d.C)<<6|uint32(d.D), 0)
			}
			break
		}
		s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = hull(d)
		if len(bits) < 162 {
			s.ToStarboard = ais.Opt[uint16]{}
		}
	default:
		s.Part = '0' + part
	}
	return &s
}

func modelBase(head ais.Header, m *goais.BaseStationReport) *ais.BaseStation {
	b := ais.BaseStation{
		Header: head, Year: unless(m.UtcYear, 0), Month: unless(m.UtcMonth, 0), Day: unless(m.UtcDay, 0), Hour: unless(m.UtcHour, 24),
		Minute: unless(m.UtcMinute, 60), Second: unless(m.UtcSecond, 60), PositionAccuracy: m.PositionAccuracy, Lon: fineLon(m.Longitude),
		Lat: fineLat(m.Latitude), EPFD: ais.Some(m.FixType), LongRangeControl: m.LongRangeEnable, RAIM: m.Raim,
		CommState: ais.Some(m.CommunicationState),
	}
	text := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", m.UtcYear, m.UtcMonth, m.UtcDay, m.UtcHour, m.UtcMinute, m.UtcSecond)
	if utc, err := time.Parse(time.RFC3339, text); err == nil && m.UtcYear > 0 {
		b.UTC = ais.Some(utc.UnixMicro())
	} else if m.UtcYear > 9999 { // more digits than that layout has
		b.UTC = modelFarUTC(m)
	}
	return &b
}

func modelFarUTC(m *goais.BaseStationReport) ais.Opt[int64] {
	utc := time.Date(int(m.UtcYear), time.Month(m.UtcMonth), int(m.UtcDay), int(m.UtcHour), int(m.UtcMinute), int(m.UtcSecond), 0, time.UTC)
	same := utc.Month() == time.Month(m.UtcMonth) && utc.Day() == int(m.UtcDay) && utc.Hour() == int(m.UtcHour) &&
		utc.Minute() == int(m.UtcMinute) && utc.Second() == int(m.UtcSecond)
	if !same {
		return ais.Opt[int64]{}
	}
	return ais.Some(utc.UnixMicro())
}

func modelAtoN(head ais.Header, m *goais.AidsToNavigationReport) *ais.AtoN {
	a := ais.AtoN{
		Header: head, AidType: m.Type, Name: name(m.Name), PositionAccuracy: m.PositionAccuracy, Lon: fineLon(m.Longitude),
		Lat: fineLat(m.Latitude), EPFD: ais.Some(m.Fixtype), UTCSecond: unless(m.Timestamp, 60), OffPosition: m.OffPosition,
		Status: m.AtoN, RAIM: m.Raim, Virtual: m.VirtualAtoN, Assigned: m.AssignedMode,
	}
	if len(m.Name) == 20 && !strings.Contains(m.Name, "@") {
		a.Name = name(m.Name + m.NameExtension[:min(14, len(m.NameExtension))])
	}
	a.ToBow, a.ToStern, a.ToPort, a.ToStarboard = hull(m.Dimension)
	return &a
}

func modelLink(m *goais.DataLinkManagementMessage, n int) *string {
	var f []string
	for i, d := range m.Data {
		if n >= 70+30*i {
			f = append(f, fmt.Sprintf(`"offset%d":%d,"number%d":%d,"timeout%d":%d,"increment%d":%d`,
				i+1, d.Offset, i+1, d.NumberOfSlots, i+1, d.TimeOut, i+1, d.Increment))
		}
	}
	s := "{" + strings.Join(f, ",") + "}"
	return &s
}

func packed(bits []byte) []byte {
	var out []byte
	for i, bit := range bits {
		if i%8 == 0 {
			out = append(out, 0)
		}
		out[i/8] |= bit << (7 - i%8)
	}
	return out
}
