package ais

// Opt is a value that may be missing: a nullable column.
type Opt[T any] struct {
	Value T
	Valid bool
}

// Some returns a value that is there.
func Some[T any](v T) Opt[T] { return Opt[T]{v, true} }

// optional returns v, or nothing when there is none.
func optional[T any](v T, valid bool) Opt[T] {
	if !valid {
		return Opt[T]{}
	}
	return Opt[T]{v, true}
}

// Header is what every message begins with.
type Header struct {
	// MsgType is the message type, 1..27.
	MsgType uint8
	// RepeatIndicator is how often the message was repeated, 0..3.
	RepeatIndicator uint8
	// MMSI is the sending station.
	MMSI uint32
}

// Position is a row of ais_position: types 1, 2, 3, 9, 18, 19, 27.
type Position struct {
	Header
	// NavStatus is the navigational status code 0..15 (1, 2, 3, 27).
	NavStatus Opt[uint8]
	// Lat and Lon are WGS 84 degrees, north and east positive.
	Lat, Lon Opt[float64]
	// PositionAccuracy is true for better than 10 m.
	PositionAccuracy bool
	// SOG is the speed over ground in knots.
	SOG Opt[float64]
	// COG is the course over ground in degrees from true north.
	COG Opt[float64]
	// TrueHeading is in degrees.
	TrueHeading Opt[uint16]
	// ROT is the rate of turn in degrees per minute, right positive:
	// (ROTRaw/4.733)² with ROTRaw's sign (1, 2, 3).
	ROT Opt[float64]
	// ROTRaw is the coded rate of turn, -128..127, codes for "none" and "more
	// than 5° in 30 s" included (1, 2, 3).
	ROTRaw Opt[int8]
	// Altitude is in metres; 4094 is that or more (9).
	Altitude Opt[uint16]
	// AltitudeBarometric is true for a barometric altitude, false for GNSS (9).
	AltitudeBarometric Opt[bool]
	// UTCSecond is the second of the fix, 0..59; 61 manual input, 62 dead
	// reckoning, 63 positioning inoperative.
	UTCSecond Opt[uint8]
	// Maneuver is 1 not engaged in, 2 engaged in a special manoeuvre (1, 2, 3).
	Maneuver Opt[uint8]
	// PositionStale is true for a position older than five seconds (27).
	PositionStale Opt[bool]
	// ClassBCS … are what a class B unit is: carrier sense rather than SOTDMA,
	// with a display, with DSC, over the whole marine band, obeying message 22
	// (18).
	ClassBCS, ClassBDisplay, ClassBDSC, ClassBBand, ClassBMsg22 Opt[bool]
	// Assigned is true in assigned mode, false in autonomous (9, 18, 19).
	Assigned Opt[bool]
	// DTEReady is true when the data terminal is ready: the flag in the message
	// is 0 (9, 19).
	DTEReady Opt[bool]
	// RAIM tells whether receiver autonomous integrity monitoring is in use.
	RAIM Opt[bool]
	// CommState is the communication state: 19 bits (1, 2, 3), or 20 with the
	// selector flag first (9, 18).
	CommState Opt[uint32]
}

// Static is a row of ais_static: types 5 and 19, and each part of type 24.
type Static struct {
	Header
	// Part is 'A', 'B', or '2' or '3', which are not defined, for type 24, else 0.
	Part byte
	// AISVersion is the edition of ITU-R M.1371 the station complies with: 0 is
	// edition 1, 1 is 3, 2 is 5, 3 is a later one (5).
	AISVersion Opt[uint8]
	// IMO is the IMO ship number (5).
	IMO Opt[uint32]
	// Callsign is the radio call sign (5, 24B).
	Callsign Opt[string]
	// Shipname is the ship's name (5, 19, 24A).
	Shipname Opt[string]
	// ShipType is the type of ship and cargo code (5, 19, 24B).
	ShipType Opt[uint8]
	// ToBow … ToStarboard are metres from the reference point of the position
	// (5, 19, 24B except an auxiliary craft's).
	ToBow, ToStern, ToPort, ToStarboard Opt[uint16]
	// EPFD is the code of the positioning device; 0 is undefined (5, 19, 24B).
	EPFD Opt[uint8]
	// VendorID is the manufacturer's three letters, UnitModel and UnitSerial its
	// unit's model code and serial number (24B). Units made before ITU-R
	// M.1371-4 have seven letters in the bits of all three.
	VendorID   Opt[string]
	UnitModel  Opt[uint8]
	UnitSerial Opt[uint32]
	// Draught is the maximum present static draught in metres (5).
	Draught Opt[float64]
	// Destination is free text (5).
	Destination Opt[string]
	// ETAMonth … ETAMinute are the estimated time of arrival, UTC (5).
	ETAMonth, ETADay, ETAHour, ETAMinute Opt[uint8]
	// DTEReady is as in Position (5, 19).
	DTEReady Opt[bool]
	// MothershipMMSI is set instead of dimensions in type 24B of an auxiliary
	// craft (MMSI 98xxxxxxx).
	MothershipMMSI Opt[uint32]
}

// BaseStation is a row of ais_base_station: types 4 and 11.
type BaseStation struct {
	Header
	// UTC is the station's time in microseconds since 1970, when all of its
	// parts are there and form a date.
	UTC Opt[int64]
	// Year … Second are the parts of the station's UTC time.
	Year                             Opt[uint16]
	Month, Day, Hour, Minute, Second Opt[uint8]
	// Lat and Lon are WGS 84 degrees.
	Lat, Lon Opt[float64]
	// PositionAccuracy is true for better than 10 m.
	PositionAccuracy bool
	// EPFD is the code of the positioning device; 0 is undefined.
	EPFD Opt[uint8]
	// LongRangeControl is true when the station asks class A ships for message
	// 27 within its coverage.
	LongRangeControl bool
	// RAIM tells whether integrity monitoring is in use.
	RAIM bool
	// CommState is the 19-bit SOTDMA communication state.
	CommState Opt[uint32]
}

// AtoN is a row of ais_aton: type 21, an aid to navigation.
type AtoN struct {
	Header
	// AidType is the code of the kind of aid; 0 is not specified.
	AidType uint8
	// Name is the name with its extension.
	Name Opt[string]
	// Lat and Lon are WGS 84 degrees.
	Lat, Lon Opt[float64]
	// PositionAccuracy is true for better than 10 m.
	PositionAccuracy bool
	// ToBow … ToStarboard are metres from the reference point.
	ToBow, ToStern, ToPort, ToStarboard Opt[uint16]
	// EPFD is the code of the positioning device; 7 is surveyed.
	EPFD Opt[uint8]
	// UTCSecond is as in Position.
	UTCSecond Opt[uint8]
	// OffPosition is true when a floating aid has left its place; it means
	// something only when UTCSecond is 0..59.
	OffPosition bool
	// Status is the aid's status bits, national use.
	Status uint8
	// RAIM tells whether integrity monitoring is in use.
	RAIM bool
	// Virtual is true when there is no physical aid.
	Virtual bool
	// Assigned is true in assigned mode.
	Assigned bool
}

// Binary is a row of ais_binary: types 6, 8, 25, 26.
type Binary struct {
	Header
	// DestMMSI is the addressee (6; 25 and 26 when addressed).
	DestMMSI Opt[uint32]
	// Sequence is the sequence number 0..3 (6).
	Sequence Opt[uint8]
	// Retransmit tells whether the message is a retransmission (6).
	Retransmit Opt[bool]
	// DAC and FID name the application (6, 8; 25 and 26 when structured).
	DAC Opt[uint16]
	FID Opt[uint8]
	// Data is the application's bits, first bit highest, the last byte filled
	// with zeros. It belongs to the Rows and is valid until its next Decode.
	Data []byte
	// DataBits is the count of bits in Data.
	DataBits int
	// CommState is the 20-bit communication state with its selector (26).
	CommState Opt[uint32]
	// The fields of the applications that are read; all nothing for others, and
	// for a message too short for its application.
	Inland
	Weather
	Monitor
}

// Safety is a row of ais_safety: types 12 and 14.
type Safety struct {
	Header
	// DestMMSI is the addressee (12).
	DestMMSI Opt[uint32]
	// Sequence is the sequence number 0..3 (12).
	Sequence Opt[uint8]
	// Retransmit tells whether the message is a retransmission (12).
	Retransmit Opt[bool]
	// Text is the safety related text.
	Text Opt[string]
}

// Other is a row of ais_other: types 7, 10, 13, 15, 16, 17, 20, 22, 23.
type Other struct {
	Header
	// DestMMSI are the addressed stations, in the message's order.
	DestMMSI [4]Opt[uint32]
	// Fields is a JSON object of the type's own fields.
	Fields string
}

// Rows is what one message gives. Decode sets exactly the Has flags of the rows
// it filled; the other rows hold stale values.
type Rows struct {
	// Header is set by every Decode without error, and by one with an error
	// when the payload reached that far (else zero).
	Header Header

	Position    Position
	Static      Static
	BaseStation BaseStation
	AtoN        AtoN
	Binary      Binary
	Safety      Safety
	Other       Other

	has

	dec   *decoder // of the types go-ais decodes, made at first use
	bits  bits     // backs Binary.Data of types 6 and 8
	data  []byte   // backs Binary.Data of types 25 and 26
	names names
}

// has tells which rows the last Decode filled.
type has struct {
	HasPosition, HasStatic, HasBaseStation, HasAtoN, HasBinary, HasSafety, HasOther bool
}

// Count returns how many typed rows the last Decode gave.
func (r *Rows) Count() int {
	n := 0
	for _, has := range [...]bool{
		r.HasPosition, r.HasStatic, r.HasBaseStation, r.HasAtoN, r.HasBinary, r.HasSafety, r.HasOther,
	} {
		if has {
			n++
		}
	}
	return n
}

// Error is why a payload gave no row. Its text is one short stable word, fit
// for the column record.reject_reason.
type Error string

// The errors of Decode.
const (
	ErrEmpty  Error = "payload_empty"  // no payload at all, as receivers without a signal send
	ErrShort  Error = "payload_short"  // fewer bits than the type needs
	ErrLong   Error = "payload_long"   // more than MaxPayload characters
	ErrArmour Error = "payload_armour" // a character outside the alphabet
	ErrFill   Error = "payload_fill"   // fill bits not 0..6
	ErrType   Error = "type_unknown"   // message type 0 or above 27
)

// Error returns the reason.
func (e Error) Error() string { return string(e) }

// Reason returns the stable word for record.reject_reason.
func (e Error) Reason() string { return string(e) }
