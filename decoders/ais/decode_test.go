package ais_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	goais "github.com/BertoldVdb/go-ais"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
	"landfall/decoders/nmea"
)

// encode makes a payload of a packet in go-ais's raw integers.
func encode(t *testing.T, packet goais.Packet) (payload []byte, fill int) {
	t.Helper()
	c := goais.CodecNew(false, false)
	c.FloatWithoutConversion = true
	bits := c.EncodePacket(packet)
	if bits == nil {
		t.Fatalf("go-ais does not encode %+v", packet)
	}
	return armour(bits)
}

func decode(t *testing.T, packet goais.Packet) *ais.Rows {
	t.Helper()
	rows := new(ais.Rows)
	payload, fill := encode(t, packet)
	if err := ais.Decode(payload, fill, rows); err != nil {
		t.Fatalf("%+v: %v", packet, err)
	}
	return rows
}

func head(msgType uint8) goais.Header { return goais.Header{MessageID: msgType, UserID: 200_000_001} }

// TestNothingAvailable: every type's sentinels become nothing.
func TestNothingAvailable(t *testing.T) {
	positions := []goais.Packet{
		goais.PositionReport{
			Header: head(1), Valid: true, RateOfTurn: -128, Sog: 1023, Longitude: 181 * 600000,
			Latitude: 91 * 600000, Cog: 3600, TrueHeading: 511, Timestamp: 60,
		},
		goais.StandardClassBPositionReport{
			Header: head(18), Valid: true, Sog: 1023, Longitude: 181 * 600000, Latitude: 91 * 600000,
			Cog: 3600, TrueHeading: 511, Timestamp: 60,
		},
		goais.ExtendedClassBPositionReport{
			Header: head(19), Valid: true, Sog: 1023, Longitude: 181 * 600000, Latitude: 91 * 600000,
			Cog: 3600, TrueHeading: 511, Timestamp: 60,
		},
		goais.StandardSearchAndRescueAircraftReport{
			Header: head(9), Valid: true, Altitude: 4095, Sog: 1023, Longitude: 181 * 600000,
			Latitude: 91 * 600000, Cog: 3600, Timestamp: 60,
		},
		goais.LongRangeAisBroadcastMessage{
			Header: head(27), Valid: true, Longitude: 181 * 600, Latitude: 91 * 600, Sog: 63, Cog: 511,
		},
	}
	for _, packet := range positions {
		r := decode(t, packet)
		p := r.Position
		if !r.HasPosition || p.Lat.Valid || p.Lon.Valid || p.SOG.Valid || p.COG.Valid || p.TrueHeading.Valid ||
			p.ROT.Valid || p.Altitude.Valid || p.UTCSecond.Valid {
			t.Errorf("type %d: %+v", r.Header.MsgType, p)
		}
	}
	for _, raw := range []int16{-128, -127, 127} {
		p := decode(t, goais.PositionReport{Header: head(3), Valid: true, RateOfTurn: raw}).Position
		if p.ROT.Valid || p.ROTRaw != ais.Some(int8(raw)) {
			t.Errorf("rot %d: %+v", raw, p)
		}
	}
	s := decode(t, goais.ShipStaticData{
		Header: head(5), Valid: true, Eta: goais.FieldETA{Hour: 24, Minute: 60},
	}).Static
	if s != (ais.Static{
		Header: ais.Header{MsgType: 5, MMSI: 200_000_001}, EPFD: ais.Some(uint8(0)), AISVersion: ais.Some(uint8(0)), DTEReady: ais.Some(true),
	}) {
		t.Errorf("type 5: %+v", s)
	}
	b := decode(t, goais.BaseStationReport{
		Header: head(4), Valid: true, UtcHour: 24, UtcMinute: 60, UtcSecond: 60, Longitude: 181 * 600000, Latitude: 91 * 600000,
	}).BaseStation
	if b.UTC.Valid || b.Year.Valid || b.Month.Valid || b.Day.Valid || b.Hour.Valid || b.Minute.Valid ||
		b.Second.Valid || b.Lat.Valid || b.Lon.Valid {
		t.Errorf("type 4: %+v", b)
	}
}

// TestValues: units and signs, one example a family.
func TestValues(t *testing.T) {
	p := decode(t, goais.PositionReport{
		Header: head(1), Valid: true, RateOfTurn: -10, Sog: 123, Longitude: -600000, Latitude: -300000,
		Cog: 3599, TrueHeading: 359, Timestamp: 59, NavigationalStatus: 5, PositionAccuracy: true, Raim: true,
	}).Position
	want := -(10 / 4.733) * (10 / 4.733)
	if math.Abs(p.ROT.Value-want) > 1e-9 || p.SOG.Value != 12.3 || p.Lon.Value != -1 || p.Lat.Value != -0.5 ||
		p.COG.Value != 359.9 || p.TrueHeading.Value != 359 || p.UTCSecond.Value != 59 || p.NavStatus.Value != 5 ||
		!p.PositionAccuracy || !p.RAIM.Value {
		t.Errorf("type 1: %+v", p)
	}
	p = decode(t, goais.StandardSearchAndRescueAircraftReport{
		Header: head(9), Valid: true, Altitude: 300, Sog: 120, Cog: 10,
		CommunicationStateItdma: goais.CommunicationStateItdma{CommunicationStateIsItdma: true, CommunicationState: 5},
	}).Position
	if p.SOG.Value != 120 || p.Altitude.Value != 300 || p.COG.Value != 1 || p.CommState.Value != 1<<19|5 {
		t.Errorf("type 9: %+v", p)
	}
	p = decode(t, goais.LongRangeAisBroadcastMessage{
		Header: head(27), Valid: true, Longitude: -600, Latitude: 300, Sog: 62, Cog: 359, NavigationalStatus: 1,
	}).Position
	if p.Lon.Value != -1 || p.Lat.Value != 0.5 || p.SOG.Value != 62 || p.COG.Value != 359 || p.NavStatus.Value != 1 {
		t.Errorf("type 27: %+v", p)
	}
	s := decode(t, goais.ShipStaticData{
		Header: head(5), Valid: true, ImoNumber: 9_000_000, CallSign: "SIM1", Name: "SIM ONE@@ X", Type: 70,
		Dimension: goais.FieldDimension{A: 100, B: 20}, FixType: 1, Eta: goais.FieldETA{Month: 12, Day: 31, Hour: 23, Minute: 59},
		MaximumStaticDraught: 75, Destination: "SIM PORT   ",
	}).Static
	if s.IMO.Value != 9_000_000 || s.Callsign.Value != "SIM1" || s.Shipname.Value != "SIM ONE" || s.ShipType.Value != 70 ||
		s.ToBow.Value != 100 || s.ToStern.Value != 20 || !s.ToPort.Valid || s.ToPort.Value != 0 || s.Draught.Value != 7.5 ||
		s.Destination.Value != "SIM PORT" || s.ETAMonth.Value != 12 || s.ETAMinute.Value != 59 || s.Part != 0 {
		t.Errorf("type 5: %+v", s)
	}
	b := decode(t, goais.BaseStationReport{
		Header: head(11), Valid: true, UtcYear: 2026, UtcMonth: 2, UtcDay: 28, UtcHour: 1, UtcMinute: 2, UtcSecond: 3,
	}).BaseStation
	if b.UTC != ais.Some(int64(1_772_240_523_000_000)) || b.Hour.Value != 1 {
		t.Errorf("type 11: %+v", b)
	}
	b = decode(t, goais.BaseStationReport{Header: head(4), Valid: true, UtcYear: 2026, UtcMonth: 2, UtcDay: 30}).BaseStation
	if b.UTC.Valid || b.Day.Value != 30 {
		t.Errorf("30 February: %+v", b)
	}
	a := decode(t, goais.AidsToNavigationReport{
		Header: head(21), Valid: true, Type: 3, Name: "SIM FAIRWAY LIGHT NO", NameExtension: "RTH 7", Longitude: 600000,
		OffPosition: true, VirtualAtoN: true, AtoN: 0xA5,
	}).AtoN
	if a.Name.Value != "SIM FAIRWAY LIGHT NORTH 7" || a.AidType != 3 || a.Lon.Value != 1 || !a.OffPosition || !a.Virtual || a.Status != 0xA5 {
		t.Errorf("type 21: %+v", a)
	}
}

func TestStaticHalves(t *testing.T) {
	s := decode(t, goais.StaticDataReport{
		Header: head(24), Valid: true, ReportA: goais.StaticDataReportA{Valid: true, Name: "SIM TWO"},
	}).Static
	if s.Part != 'A' || s.Shipname.Value != "SIM TWO" || s.Callsign.Valid || s.ShipType.Valid {
		t.Errorf("24A: %+v", s)
	}
	half := goais.StaticDataReport{
		Header: head(24), Valid: true, PartNumber: true,
		ReportB: goais.StaticDataReportB{
			Valid: true, ShipType: 37, CallSign: "SIM2", FixType: 1, VendorIDName: "SIM",
			Dimension: goais.FieldDimension{A: 1, B: 2, C: 3, D: 4},
		},
	}
	s = decode(t, half).Static
	if s.Part != 'B' || s.Shipname.Valid || s.Callsign.Value != "SIM2" || s.ShipType.Value != 37 ||
		s.ToBow.Value != 1 || s.ToStarboard.Value != 4 || s.MothershipMMSI.Valid || s.EPFD.Value != 1 {
		t.Errorf("24B: %+v", s)
	}
	half.UserID = 982_000_001
	s = decode(t, half).Static
	if s.ToBow.Valid || s.MothershipMMSI.Value != 1<<21|2<<12|3<<6|4 {
		t.Errorf("24B of an auxiliary craft: %+v", s)
	}
	for n, whole := range map[int]bool{160: false, 162: true} {
		payload, fill := armour(bitsOf(encode(t, half))[:n])
		var rows ais.Rows
		if err := ais.Decode(payload, fill, &rows); err != nil || rows.Static.MothershipMMSI.Valid != whole || rows.Static.EPFD.Valid {
			t.Errorf("24B of an auxiliary craft, %d bits: %v, %+v", n, err, rows.Static)
		}
	}
	half.UserID = 200_000_001
	payload, fill := armour(bitsOf(encode(t, half))[:160])
	var rows ais.Rows
	if err := ais.Decode(payload, fill, &rows); err != nil || rows.Static.ToStarboard.Valid || rows.Static.ToPort.Value != 3 {
		t.Errorf("24B of 160 bits: %v, %+v", err, rows.Static)
	}
	bits := bitsOf(encode(t, half))
	bits[38] = 1
	payload, fill = armour(bits)
	want := ais.Static{Header: ais.Header{MsgType: 24, MMSI: 200_000_001}, Part: '3'}
	if err := ais.Decode(payload, fill, &rows); err != nil || !rows.HasStatic || rows.Static != want {
		t.Errorf("part 3: %v, %+v", err, rows.Static)
	}
}

// TestShort: the lengths real equipment sends are taken, shorter ones are not,
// and what is missing is nothing.
func TestShort(t *testing.T) {
	for _, c := range []struct {
		packet goais.Packet
		ok     []int
		bad    []int
	}{
		{goais.PositionReport{Header: head(1), Valid: true}, []int{149, 163, 164, 167, 168}, []int{148, 100, 38, 37, 6}},
		{goais.StandardClassBPositionReport{Header: head(18), Valid: true}, []int{168}, []int{167, 38}},
		{goais.ShipStaticData{Header: head(5), Valid: true}, []int{418, 420, 422, 424}, []int{417, 168}},
		{
			goais.StaticDataReport{Header: head(24), Valid: true, PartNumber: true, ReportB: goais.StaticDataReportB{Valid: true}},
			[]int{160, 162, 168}, []int{159, 40, 39},
		},
		{goais.StaticDataReport{Header: head(24), Valid: true, ReportA: goais.StaticDataReportA{Valid: true}}, []int{160}, []int{159}},
		{goais.BaseStationReport{Header: head(4), Valid: true}, []int{168}, []int{167}},
		{goais.CoordinatedUTCInquiry{Header: head(10), Valid: true}, []int{70, 72}, []int{69}},
		{goais.AssignedModeCommand{Header: head(16), Valid: true, Commands: [2]goais.AssignedModeCommandData{{Valid: true}}}, []int{92, 96}, []int{91}},
		{goais.DataLinkManagementMessage{Header: head(20), Valid: true, Data: [4]goais.DataLinkManagementMessageData{{Valid: true}}}, []int{70, 72}, []int{69}},
		{goais.AidsToNavigationReport{Header: head(21), Valid: true}, []int{271, 272}, []int{270}},
		{goais.ChannelManagement{Header: head(22), Valid: true}, []int{145, 168}, []int{144}},
		{goais.GroupAssignmentCommand{Header: head(23), Valid: true}, []int{154, 160}, []int{153}},
		{goais.LongRangeAisBroadcastMessage{Header: head(27), Valid: true}, []int{95, 96}, []int{94}},
	} {
		bits := bitsOf(encode(t, c.packet))
		var rows ais.Rows
		for _, n := range append(c.ok, c.bad...) {
			payload, fill := armour(bits[:min(n, len(bits))])
			err := ais.Decode(payload, fill, &rows)
			want := error(nil)
			for _, b := range c.bad {
				if n == b {
					want = ais.ErrShort
				}
			}
			if err != want {
				t.Errorf("type %d of %d bits: %v, want %v", c.packet.GetHeader().MessageID, n, err, want)
			}
			if h := rows.Header; n >= 38 && h.MMSI != 200_000_001 || n < 38 && h.MMSI != 0 {
				t.Errorf("header %+v of %d bits", h, n)
			}
			if rows.HasPosition && rows.Position.CommState.Valid != (n == 168) {
				t.Errorf("communication state %+v of %d bits", rows.Position.CommState, n)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		payload string
		fill    int
		want    ais.Error
	}{
		{"", 0, ais.ErrEmpty},
		{strings.Repeat("1", ais.MaxPayload+1), 0, ais.ErrLong},
		{strings.Repeat("1", ais.MaxPayload), 0, ""},
		{strings.Repeat("1", 28), 7, ais.ErrFill},
		{strings.Repeat("1", 28), -1, ais.ErrFill},
		{strings.Repeat("1", 29), 6, ""},
		{"1", 1, ais.ErrShort},
		{strings.Repeat("0", 28), 0, ais.ErrType},
		{strings.Repeat("w", 28), 0, ais.ErrType},
		{"1111111111111111111111111X11", 0, ais.ErrArmour},
		{"1111111111111111111111111111 ", 0, ais.ErrArmour},
		{"x111111111111111111111111111", 0, ais.ErrArmour},
	} {
		err := ais.Decode([]byte(c.payload), c.fill, new(ais.Rows))
		if c.want == "" && err != nil || c.want != "" && err != c.want {
			t.Errorf("%q fill %d: %v, want %v", c.payload, c.fill, err, c.want)
		}
	}
}

func TestBinaryAndSafety(t *testing.T) {
	data := []byte{1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1}
	b := decode(t, goais.AddressedBinaryMessage{
		Header: head(6), Valid: true, SequenceNumber: 2, DestinationID: 200_000_002, Retransmission: true,
		ApplicationID: goais.FieldApplicationIdentifier{Valid: true, DesignatedAreaCode: 1, FunctionIdentifier: 31},
		BinaryData:    append(append([]byte(nil), data...), 0, 0, 0, 0),
	}).Binary
	if b.DAC.Value != 1 || b.FID.Value != 31 || b.DestMMSI.Value != 200_000_002 || b.Sequence.Value != 2 ||
		!b.Retransmit.Value || b.DataBits != 16 || !bytes.Equal(b.Data, []byte{0b10110010, 0b11110000}) {
		t.Errorf("type 6: %+v", b)
	}
	b = decode(t, goais.SingleSlotBinaryMessage{Header: head(25), Valid: true, Payload: append(data, 0, 0, 0, 0)}).Binary
	if b.DAC.Valid || b.FID.Valid || b.DestMMSI.Valid || b.DataBits != 16 || b.CommState.Valid {
		t.Errorf("type 25: %+v", b)
	}
	s := decode(t, goais.SafetyBroadcastMessage{Header: head(14), Valid: true, Text: "SIM, ALL WELL @@"}).Safety
	if s.Text.Value != "SIM, ALL WELL" || s.DestMMSI.Valid {
		t.Errorf("type 14: %+v", s)
	}
	s = decode(t, goais.AddessedSafetyMessage{Header: head(12), Valid: true, DestinationID: 7, Text: "@X"}).Safety
	if s.Text.Valid || s.DestMMSI.Value != 7 {
		t.Errorf("type 12: %+v", s)
	}
}

func TestOtherFields(t *testing.T) {
	for _, c := range []struct {
		packet goais.Packet
		fields string
		dest   []uint32
	}{
		{
			goais.BinaryAcknowledge{Header: head(7), Valid: true, Destinations: [4]goais.BinaryAcknowledgeData{
				{Valid: true, DestinationID: 5, SequenceNumber: 1}, {Valid: true, DestinationID: 6, SequenceNumber: 2},
			}},
			`{"mmsi1":5,"seqno1":1,"mmsi2":6,"seqno2":2}`, []uint32{5, 6},
		},
		{goais.CoordinatedUTCInquiry{Header: head(10), Valid: true, DestinationID: 9}, `{}`, []uint32{9}},
		{
			goais.Interrogation{
				Header: head(15), Valid: true,
				Station1Msg1: goais.InterrogationStation1Message1{Valid: true, StationID: 5, MessageID: 3, SlotOffset: 1},
				Station2:     goais.InterrogationStation2{Valid: true, StationID: 6, MessageID: 5},
			},
			`{"mmsi1":5,"type1_1":3,"offset1_1":1,"mmsi2":6,"type2_1":5,"offset2_1":0}`, []uint32{5, 6},
		},
		{
			goais.ChannelManagement{
				Header: head(22), Valid: true, ChannelA: 2087, ChannelB: 2088, IsAddressed: true,
				Unicast: goais.ChannelManagementUnicastData{AddressStation1: 5, AddressStation2: 6}, TransitionalZoneSize: 4,
			},
			`{"channel_a":2087,"channel_b":2088,"txrx":0,"power":false,"addressed":true,"mmsi1":5,"mmsi2":6,"band_a":false,"band_b":false,"zonesize":4}`,
			[]uint32{5, 6},
		},
		{
			goais.GroupAssignmentCommand{
				Header: head(23), Valid: true, Longitude1: 600, Latitude1: 91 * 600, Longitude2: -600, Latitude2: 300,
			},
			`{"ne_lon":1.000000,"sw_lon":-1.000000,"sw_lat":0.500000,"stationtype":0,"shiptype":0,"txrx":0,"interval":0,"quiet":0}`, nil,
		},
		{
			goais.GnssBroadcastBinaryMessage{Header: head(17), Valid: true, Longitude: 60, Latitude: 0, Data: []byte{1, 1, 1, 1, 0, 0, 0, 1}},
			`{"lon":0.100000,"lat":0.000000,"data":"8:f1"}`, nil,
		},
	} {
		o := decode(t, c.packet).Other
		if o.Fields != c.fields || !json.Valid([]byte(o.Fields)) {
			t.Errorf("type %d: %s\nwant %s", o.MsgType, o.Fields, c.fields)
		}
		for i, d := range o.DestMMSI {
			if i < len(c.dest) && d != ais.Some(c.dest[i]) || i >= len(c.dest) && d.Valid {
				t.Errorf("type %d: destinations %+v, want %v", o.MsgType, o.DestMMSI, c.dest)
			}
		}
	}
}

// TestHotTypesDoNotAllocate: types 1, 2, 3 and 18, from the line to the row.
func TestHotTypesDoNotAllocate(t *testing.T) {
	h, err := aissim.New(aissim.Config{Seed: 2, Start: 1_767_225_600_000_000})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[uint8][]byte{}
	for len(lines) < 4 {
		switch l := h.Next(); l.MsgType {
		case 1, 2, 3, 18:
			lines[l.MsgType] = l.Text
		}
	}
	var rows ais.Rows
	pieces := make([]nmea.Sentence, 0, 4)
	for msgType, line := range lines {
		n := testing.AllocsPerRun(100, func() {
			pieces = nmea.Split(line, pieces[:0])
			v, err := nmea.ParseVDM(pieces[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := ais.Decode(v.Payload, v.Fill, &rows); err != nil || rows.Header.MsgType != msgType {
				t.Fatal(err, rows.Header)
			}
			rows.Key()
		})
		if n != 0 {
			t.Errorf("type %d: %v allocations", msgType, n)
		}
	}
}
