package parquet

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/record"
	"landfall/engine/table"
)

// harbour makes n records of traffic as a harbour gives it, with their typed
// rows: some ships under way, many moored, three receivers, some duplicates,
// some NULLs, now and then every other table.
func harbour(seed uint64, n int) *table.Batch {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := new(table.Batch)
	log := fmt.Sprintf("%032x", seed)
	sources := []string{"serial0", "tcp-roof", "udp"}
	raw := []byte("!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*23")
	at := record.Micros(1_700_000_000_000_000)
	for i := range n {
		at += record.Micros(rng.IntN(20_000))
		ship := rng.IntN(400)
		for j := 14; j < 40; j++ {
			raw[j] = byte('0' + rng.IntN(40))
		}
		line := table.Lineage{Gateway: "gw-harbour", Log: log, Offset: record.Offset(i), Rows: 1}
		times := table.Times{EventTime: at - record.Micros(rng.IntN(60_000)), TimeSource: record.TimeReceipt, TimeQuality: record.QualityUnsynchronised, ReceivedAt: at}
		b.Records = append(b.Records, table.RecordRow{Lineage: line, Times: times, LandedAt: at + 3e6, Kind: record.KindAIS, Source: sources[i%3],
			BootID: log, Monotonic: int64(i) * 1000, Raw: append([]byte{}, raw...)})
		rec := table.Reception{Channel: "AB"[i%2], Talker: "AI", Source: sources[i%3]}
		if rng.IntN(10) == 0 {
			rec.IsDuplicate, rec.DupLog, rec.DupOffset = true, log, record.Offset(i/2)
		}
		head := ais.Header{MsgType: uint8(1 + i%3), MMSI: uint32(211_000_000 + ship*37)}
		b.Positions = append(b.Positions, table.PositionRow{Lineage: line, Times: times, Reception: rec, Position: position(rng, head, ship)})
		if i%50 == 0 {
			addOthers(b, line, times, rec, head)
		}
	}
	return b
}

func position(rng *rand.Rand, head ais.Header, ship int) ais.Position {
	p := ais.Position{Header: head, NavStatus: ais.Some(uint8(ship % 16)), UTCSecond: ais.Some(uint8(rng.IntN(60))), CommState: ais.Some(rng.Uint32N(1 << 19)),
		RAIM: ais.Some(ship%2 == 0), PositionAccuracy: ship%3 == 0}
	lat, lon := 32_100_000+ship*700+rng.IntN(30), 5_940_000+ship*900+rng.IntN(30)
	if ship%4 == 0 { // under way
		lat, lon = lat+rng.IntN(60_000), lon+rng.IntN(60_000)
		p.ROT, p.ROTRaw = ais.Some(float64(rng.IntN(20))), ais.Some(int8(rng.IntN(20)))
		p.SOG, p.COG = ais.Some(float64(rng.IntN(200))/10), ais.Some(float64(rng.IntN(3600))/10)
	} else {
		p.SOG, p.ROTRaw = ais.Some(float64(rng.IntN(3))/10), ais.Some(int8(-128))
	}
	if ship%5 != 0 {
		p.TrueHeading = ais.Some(uint16(rng.IntN(360)))
	}
	switch ship % 7 {
	case 0:
		p.Maneuver = ais.Some(uint8(1 + rng.IntN(2)))
	case 1:
		for _, o := range []*ais.Opt[bool]{&p.Assigned, &p.ClassBCS, &p.ClassBDisplay, &p.ClassBDSC, &p.ClassBBand, &p.ClassBMsg22, &p.DTEReady, &p.AltitudeBarometric, &p.PositionStale} {
			*o = ais.Some(rng.IntN(2) == 0)
		}
	}
	if ship != 399 {
		p.Lat, p.Lon = ais.Some(float64(lat)/600_000), ais.Some(float64(lon)/600_000)
	}
	return p
}

func addOthers(b *table.Batch, line table.Lineage, times table.Times, rec table.Reception, head ais.Header) {
	b.Statics = append(b.Statics, table.StaticRow{Lineage: line, Times: times, Reception: rec, Static: ais.Static{Header: head, Part: 'A', IMO: ais.Some(uint32(9_000_000)),
		Shipname: ais.Some(fmt.Sprint("SHIP ", head.MMSI)), Draught: ais.Some(7.5), ToBow: ais.Some(uint16(120)), ETAMonth: ais.Some(uint8(7)), DTEReady: ais.Some(line.Offset%100 == 0), VendorID: ais.Some("SRT"),
		AISVersion: ais.Some(uint8(line.Offset % 3)), UnitModel: ais.Some(uint8(3)), UnitSerial: ais.Some(uint32(line.Offset))}})
	b.BaseStations = append(b.BaseStations, table.BaseStationRow{Lineage: line, Times: times, Reception: rec, BaseStation: ais.BaseStation{Header: head, UTC: ais.Some(int64(1_700_000_000_000_000)), Year: ais.Some(uint16(2023)), LongRangeControl: line.Offset%100 == 0}})
	b.AtoNs = append(b.AtoNs, table.AtoNRow{Lineage: line, Times: times, Reception: rec, AtoN: ais.AtoN{Header: head, Name: ais.Some("BUOY \"7\""), Virtual: true, Status: 3}})
	binary := ais.Binary{Header: head, DAC: ais.Some(uint16(200)), FID: ais.Some(uint8(10)), Data: []byte{1, 2, byte(line.Offset)}, DataBits: 23}
	fillEvery(reflect.ValueOf(&binary.Inland).Elem(), uint64(line.Offset))
	fillEvery(reflect.ValueOf(&binary.Weather).Elem(), uint64(line.Offset)+1)
	fillEvery(reflect.ValueOf(&binary.Monitor).Elem(), uint64(line.Offset)+2)
	b.Binaries = append(b.Binaries, table.BinaryRow{Lineage: line, Times: times, Reception: rec, Binary: binary})
	b.Safeties = append(b.Safeties, table.SafetyRow{Lineage: line, Times: times, Reception: rec, Safety: ais.Safety{Header: head, Text: ais.Some("GOOD WATCH")}})
	b.Others = append(b.Others, table.OtherRow{Lineage: line, Times: times, Reception: rec, Other: ais.Other{Header: head, DestMMSI: [4]ais.Opt[uint32]{ais.Some(uint32(2_190_000))}, Fields: fmt.Sprintf(`{"ack":%d}`, line.Offset)}})
	addReadings(b, line, times)
	b.Losses = append(b.Losses, table.LossRow{Gateway: line.Gateway, Log: line.Log, Offset: line.Offset, Count: 3, Reason: "shed", LandedAt: times.ReceivedAt, Digest: digestOf(line.Offset)})
	b.Conflicts = append(b.Conflicts, table.ConflictRow{Gateway: line.Gateway, Log: line.Log, Offset: line.Offset, Count: 3, Reason: "hash", Block: []byte("block"), LandedAt: times.ReceivedAt, LandingOffset: int64(line.Offset)})
	b.Logs = append(b.Logs, logRow(line, times))
}

// digestOf makes digests on both sides of 2^63, and none for some offsets.
func digestOf(o record.Offset) ais.Opt[record.Digest] {
	return ais.Opt[record.Digest]{Value: record.Digest(o+1) * 0x9e3779b97f4a7c15, Valid: o%150 != 100}
}

func logRow(line table.Lineage, times table.Times) table.LogRow {
	r := table.LogRow{Gateway: line.Gateway, Log: line.Log, NextOffset: line.Offset, OpenedAt: times.ReceivedAt, Digest: digestOf(line.Offset), Chain: record.Hash{1, byte(line.Offset)},
		Closed: line.Offset%100 == 0, Watermark: times.EventTime, Epoch: uint64(line.Offset) + 1, LandedAt: times.ReceivedAt}
	switch line.Offset / 50 % 3 {
	case 0:
		r.Previous, r.PreviousEnd = line.Log, line.Offset/2
	case 1:
		r.OpenedAt, r.Watermark, r.Chain = record.NoTime, record.NoTime, record.Hash{}
	}
	return r
}

// addReadings adds three readings of one record: numbers, texts, and none.
func addReadings(b *table.Batch, line table.Lineage, times table.Times) {
	line.Rows = 3
	number := table.ReadingRow{Lineage: line, Times: times, Source: "mqtt", Sensor: fmt.Sprint("pump ", line.Offset%7), Metric: "temperature",
		Value: ais.Some(float64(line.Offset) / 8), Unit: "Cel", Quality: sensor.QualityGood}
	text, none := number, number
	text.Row, text.Metric, text.Value, text.ValueText, text.Unit = 1, "state", ais.Opt[float64]{}, ais.Some(fmt.Sprint("run ", line.Offset)), ""
	text.IsHistorical, text.Sensor = true, "Å pump"
	none.Row, none.Metric, none.Value, none.Quality, none.IsLate, none.EventTime = 2, "pressure", ais.Opt[float64]{}, sensor.QualityBadTimeout, true, record.NoTime
	b.Readings = append(b.Readings, number, text, none)
	start := times.EventTime / 60_000_000 * 60_000_000
	b.Windows = append(b.Windows, table.WindowRow{
		Gateway: line.Gateway, Log: line.Log, Offset: line.Offset, Row: 1, Source: "mqtt", Sensor: number.Sensor, Metric: "temperature", Unit: number.Unit,
		WindowStart: start, WindowEnd: start + 60_000_000, Count: uint64(line.Offset) + 1, Min: -1, Max: 8.5, Mean: 1.0 / 3, Last: number.Value.Value, LastAt: times.EventTime,
	})
	b.Lates = append(b.Lates, table.LateRow{ReadingRow: number, Watermark: times.EventTime + 7, WindowStart: start})
}

// fillEvery sets all optional fields of a struct but every fifth, to values that
// differ from field to field and from seed to seed.
func fillEvery(v reflect.Value, seed uint64) {
	for i := range v.NumField() {
		seed = seed*6364136223846793005 + 1442695040888963407
		if seed>>33%5 == 0 {
			continue
		}
		v.Field(i).FieldByName("Valid").SetBool(true)
		switch o := v.Field(i).FieldByName("Value"); o.Kind() {
		case reflect.Bool:
			o.SetBool(seed>>40%2 == 0)
		case reflect.Float64:
			o.SetFloat(float64(seed>>50) / 10)
		case reflect.String:
			o.SetString(fmt.Sprint(seed >> 50))
		default:
			o.SetUint(seed >> 40 % 255)
		}
	}
}
