package aissim

import (
	"math"
	"math/rand/v2"

	goais "github.com/BertoldVdb/go-ais"
)

// rareTypes is the order in which the less frequent messages take turns. The
// more common of them stand in it more often. Types 7, 11 and 13 follow the 6,
// 10 and 12 they answer.
var rareTypes = [...]uint8{
	8, 9, 17, 20, 6, 7, 9, 8, 2, 27, 20, 16, 9, 8, 19, 17, 10, 11, 9, 8, 12, 13, 20, 14, 9, 8, 2, 15,
	17, 27, 9, 22, 8, 23, 19, 25, 9, 8, 26, 20,
}

// rareMessage builds a message of a less frequent type, to be encoded by go-ais.
// ship and other are two class A ships, boat is class B; base is a base station
// and sar the aircraft. second is the UTC second of the position fixes.
type rareMessage struct {
	ship, other, boat, base, sar *station
	second                       uint8
	state                        uint32
	rand                         *rand.Rand
}

// build returns the message of the type, nil for one it does not know.
func (x *rareMessage) build(msgType uint8) goais.Packet {
	switch msgType {
	case 6, 7, 8, 12, 13, 14, 25, 26:
		return x.data(msgType)
	case 9, 19, 27:
		return x.position(msgType)
	case 10, 15, 16, 17, 20, 22, 23:
		return x.management(msgType)
	}
	return nil
}

func (x *rareMessage) position(msgType uint8) goais.Packet {
	switch msgType {
	case 9:
		return goais.StandardSearchAndRescueAircraftReport{
			Header: header(9, x.sar), Valid: true, Altitude: uint16(150 + x.rand.IntN(300)),
			Sog: uint16(x.sar.speed), PositionAccuracy: true, Longitude: fine(x.sar.lon),
			Latitude: fine(x.sar.lat), Cog: goais.Field10(float64(x.sar.cog())), Timestamp: x.second,
			CommunicationStateItdma: goais.CommunicationStateItdma{CommunicationState: x.state},
		}
	case 19:
		b := x.boat
		return goais.ExtendedClassBPositionReport{
			Header: header(19, b), Valid: true, Sog: goais.Field10(math.Round(b.speed * 10)),
			PositionAccuracy: true, Longitude: fine(b.lon), Latitude: fine(b.lat),
			Cog: goais.Field10(float64(b.cog())), TrueHeading: 511, Timestamp: x.second,
			Name: b.name, Type: b.shipType, Dimension: dimension(b), FixType: 1, Dte: true,
		}
	default:
		s := x.ship
		return goais.LongRangeAisBroadcastMessage{
			Header: header(27, s), Valid: true, PositionAccuracy: true, NavigationalStatus: s.status,
			Longitude: coarse(s.lon), Latitude: coarse(s.lat), Sog: uint8(min(62, math.Round(s.speed))),
			Cog: uint16(s.course) % 360,
		}
	}
}

func (x *rareMessage) data(msgType uint8) goais.Packet {
	switch msgType {
	case 6:
		return goais.AddressedBinaryMessage{
			Header: header(6, x.ship), Valid: true, SequenceNumber: uint8(x.rand.IntN(4)),
			DestinationID: x.other.mmsi, ApplicationID: application(1, 16), BinaryData: x.bits(16),
		}
	case 7, 13:
		return goais.BinaryAcknowledge{
			Header: header(msgType, x.other), Valid: true,
			Destinations: [4]goais.BinaryAcknowledgeData{
				{Valid: true, DestinationID: x.ship.mmsi, SequenceNumber: uint8(x.rand.IntN(4))},
			},
		}
	case 8:
		return goais.BinaryBroadcastMessage{
			Header: header(8, x.base), Valid: true, ApplicationID: application(1, 31),
			BinaryData: x.bits(304),
		}
	case 12:
		return goais.AddessedSafetyMessage{
			Header: header(12, x.ship), Valid: true, SequenceNumber: uint8(x.rand.IntN(4)),
			DestinationID: x.other.mmsi, Text: "SIM PASS PORT TO PORT",
		}
	case 14:
		return goais.SafetyBroadcastMessage{
			Header: header(14, x.base), Valid: true, Text: "SIM GALE WARNING, SW 8",
		}
	case 25:
		return goais.SingleSlotBinaryMessage{
			Header: header(25, x.ship), Valid: true, DestinationIDValid: true,
			ApplicationIDValid: true, DestinationID: x.other.mmsi,
			ApplicationID: application(1, 0), Payload: x.bits(48),
		}
	default:
		return goais.MultiSlotBinaryMessage{
			Header: header(26, x.ship), Valid: true, ApplicationIDValid: true,
			ApplicationID: application(1, 0), Payload: x.bits(256),
			CommunicationStateItdma: goais.CommunicationStateItdma{CommunicationState: x.state},
		}
	}
}

func (x *rareMessage) management(msgType uint8) goais.Packet {
	west, east := coarse(harbourLon-halfWidth), coarse(harbourLon+halfWidth)
	south, north := coarse(harbourLat-halfHeight), coarse(harbourLat+halfHeight)
	switch msgType {
	case 10:
		return goais.CoordinatedUTCInquiry{Header: header(10, x.ship), Valid: true, DestinationID: x.base.mmsi}
	case 15:
		return goais.Interrogation{
			Header: header(15, x.base), Valid: true,
			Station1Msg1: goais.InterrogationStation1Message1{Valid: true, StationID: x.ship.mmsi, MessageID: 5},
		}
	case 16:
		return goais.AssignedModeCommand{
			Header: header(16, x.base), Valid: true,
			Commands: [2]goais.AssignedModeCommandData{
				{Valid: true, DestinationID: x.ship.mmsi, Offset: 200, Increment: 750},
			},
		}
	case 17:
		return goais.GnssBroadcastBinaryMessage{
			Header: header(17, x.base), Valid: true, Longitude: coarse(x.base.lon),
			Latitude: coarse(x.base.lat), Data: x.bits(120),
		}
	case 20:
		return goais.DataLinkManagementMessage{
			Header: header(20, x.base), Valid: true,
			Data: [4]goais.DataLinkManagementMessageData{
				{Valid: true, Offset: 125, NumberOfSlots: 1, TimeOut: 7, Increment: 750},
				{Valid: true, Offset: 200, NumberOfSlots: 2, TimeOut: 7, Increment: 1125},
			},
		}
	case 22:
		return goais.ChannelManagement{
			Header: header(22, x.base), Valid: true, ChannelA: 2087, ChannelB: 2088,
			Area: goais.ChannelManagementBroadcastData{
				Longitude1: east, Latitude1: north, Longitude2: west, Latitude2: south,
			},
			TransitionalZoneSize: 4,
		}
	default:
		return goais.GroupAssignmentCommand{
			Header: header(23, x.base), Valid: true, Longitude1: east, Latitude1: north,
			Longitude2: west, Latitude2: south, StationType: 5, ShipType: 30, ReportingInterval: 8,
		}
	}
}

func header(msgType uint8, s *station) goais.Header {
	return goais.Header{MessageID: msgType, UserID: s.mmsi}
}

func application(dac uint16, fid uint8) goais.FieldApplicationIdentifier {
	return goais.FieldApplicationIdentifier{Valid: true, DesignatedAreaCode: dac, FunctionIdentifier: fid}
}

func dimension(s *station) goais.FieldDimension {
	return goais.FieldDimension{A: uint16(s.bow), B: uint16(s.stern), C: uint8(s.port), D: uint8(s.starb)}
}

// fine and coarse give raw integers: the codec runs without conversion.
func fine(degrees float64) goais.FieldLatLonFine {
	return goais.FieldLatLonFine(math.Round(degrees * 600_000))
}

func coarse(degrees float64) goais.FieldLatLonCoarse {
	return goais.FieldLatLonCoarse(math.Round(degrees * 600))
}

// bits returns n random bits, one a byte.
func (x *rareMessage) bits(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(x.rand.Uint32() & 1)
	}
	return b
}
