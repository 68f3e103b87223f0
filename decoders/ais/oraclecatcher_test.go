package ais_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/decoders/ais"
)

// catcherOmits lists what AIS-catcher gives and no column holds, by name, or by
// type and name.
var catcherOmits = map[string]string{
	"channel": "of the first sentence", "nmea": "the match itself", "error": "its own verdict",
	"timestamp": "compared by its parts", "eta": "compared by its parts", "turn": "rounded; turn_unscaled is compared",
	"1 power": "a spare bit", "2 power": "a spare bit", "3 power": "a spare bit", "18 power": "a spare bit", "sync_state": "in radio", "slot_timeout": "in radio", "slot_number": "in radio", "received_stations": "in radio",
	"slot_offset": "in radio", "utc_hour": "in radio", "utc_minute": "in radio", "slot_increment": "in radio", "slots_to_allocate": "in radio",
	"keep_flag": "in radio", "vdes_capabilities": "a spare bit", "18 reserved": "spare bits", "19 reserved": "spare bits", "18 regional": "spare bits",
}

// keptAsBits tells whether a message's application is not read into columns.
func keptAsBits(r *ais.Rows) bool {
	b := &r.Binary
	return r.HasBinary && !b.InlandSpeedQuality.Valid && !b.MonitorAlarm.Valid && !(b.MsgType == 8 && b.DAC.Value == 1 && (b.FID.Value == 31 || b.FID.Value == 11))
}

// catcherHeader is what every binary message is compared by.
var catcherHeader = map[string]bool{
	"type": true, "repeat": true, "mmsi": true, "dac": true, "fid": true, "seqno": true, "dest_mmsi": true, "retransmit": true,
	"addressed": true, "radio": true, "data": true,
}

// catcherMessage is one of AIS-catcher's objects.
type catcherMessage struct {
	nmea   []string
	fields fields
}

// catcherMessages reads AIS-catcher's objects; those without a type are
// sentences it has no message for.
func catcherMessages(t testing.TB, data []byte) []catcherMessage {
	t.Helper()
	var all []catcherMessage
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for d.More() {
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if o["type"] == nil {
			continue
		}
		m := catcherMessage{fields: fields{}}
		for _, s := range o["nmea"].([]any) {
			m.nmea = append(m.nmea, s.(string))
		}
		for k, v := range o {
			if !strings.HasSuffix(k, "_text") && catcherOmits[k] == "" && catcherOmits[fmt.Sprint(o["type"], " ", k)] == "" {
				m.fields[k] = fmt.Sprint(v)
			}
		}
		if d, ok := m.fields["data"]; ok {
			m.fields["data"] = wholeBits(d)
		}
		all = append(all, m)
	}
	return all
}

// absent are the values that stand for "not available" and that AIS-catcher
// writes in some types and leaves out in others. Where we have nothing, it may
// have such a value; where it has nothing, we have nothing.
var absent = map[string][]string{
	"": {"0", ""}, "turn_unscaled": {"-128", "127", "-127"}, "heading": {"511"}, "speed": {"102.3", "1023", "63"}, "course": {"360", "511"},
	"second": {"60"}, "alt": {"4095"}, "hazard": {"5"}, "seastate": {"13", "15"}, "hour": {"24", "31"}, "minute": {"60", "63"}, "day": {"0", "31"},
	"lat": {"91", "139.810112"}, "lon": {"181", "279.620239"}, "salinity": {"51", "51.1"}, "preciptype": {"7"}, "ice": {"3"}, "visgreater": {"false"},
	"ne_lat": {"91"}, "sw_lat": {"91"}, "ne_lon": {"181"}, "sw_lon": {"181"},
}

// disagree compares one message with ours and names the fields that differ.
func (m *catcherMessage) disagree(own fields) []string {
	var bad []string
	_, bitsOnly := own["data"]
	bitsOnly = bitsOnly && (own["type"] == "6" || own["type"] == "8")
	for k, v := range m.fields {
		if bitsOnly && !catcherHeader[k] {
			continue // of an application we keep as bits
		}
		if !agree(k, own[k], v) {
			bad = append(bad, k)
		}
	}
	for k, v := range own {
		if _, ok := m.fields[k]; !ok && v != "" && !catcherLeavesOut(k) {
			bad = append(bad, k)
		}
	}
	slices.Sort(bad)
	return bad
}

// catcherLeavesOut tells of fields that AIS-catcher 0.70 does not always give:
// the bits of applications it reads and of unstructured messages, the light of
// an aid, a visibility that is as far as the sensor sees.
func catcherLeavesOut(key string) bool { return key == "data" || key == "light" || key == "visibility" }

// agree compares one field: numbers with the noise of 32-bit floats.
func agree(key, own, theirs string) bool {
	if own == theirs || own == "true" && theirs == "1" || own == "false" && theirs == "0" {
		return true
	}
	if own == "" {
		for _, v := range append(absent[key], absent[""]...) {
			if sameNumber(theirs, v) || theirs == v {
				return true
			}
		}
		return false
	}
	return sameNumber(own, theirs)
}

func sameNumber(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= 5e-6+math.Abs(x)*1.2e-7
}

// viewAsCatcher gives a message in AIS-catcher's words; "" is NULL.
func viewAsCatcher(r *ais.Rows) fields {
	f := viewAsGpsd(r, 1<<20)
	set := func(k string, v any, valid bool) {
		delete(f, k)
		if valid {
			f[k] = fmt.Sprint(v)
		} else {
			f[k] = ""
		}
	}
	place := func(lat, lon ais.Opt[float64]) {
		set("lat", lat.Value, lat.Valid)
		set("lon", lon.Value, lon.Valid)
	}
	hull := func(bow, stern, port, starboard ais.Opt[uint16]) {
		set("to_bow", bow.Value, bow.Valid)
		set("to_stern", stern.Value, stern.Valid)
		set("to_port", port.Value, port.Valid)
		set("to_starboard", starboard.Value, starboard.Valid)
	}
	if p := &r.Position; r.HasPosition {
		place(p.Lat, p.Lon)
		set("speed", p.SOG.Value, p.SOG.Valid)
		set("course", p.COG.Value, p.COG.Valid)
		set("heading", p.TrueHeading.Value, p.TrueHeading.Valid)
		if p.MsgType != 27 {
			set("second", p.UTCSecond.Value, p.UTCSecond.Valid)
		}
		set("radio", p.CommState.Value, p.CommState.Valid)
		set("alt", p.Altitude.Value, p.Altitude.Valid)
		set("assigned", p.Assigned.Value, p.Assigned.Valid)
		set("dte", !p.DTEReady.Value, p.DTEReady.Valid)
		set("alt_sensor", p.AltitudeBarometric.Value, p.AltitudeBarometric.Valid)
		f["turn_unscaled"] = f["turn"]
		delete(f, "turn")
	}
	if s := &r.Static; r.HasStatic {
		hull(s.ToBow, s.ToStern, s.ToPort, s.ToStarboard)
		set("shiptype", s.ShipType.Value, s.ShipType.Valid)
		if r.Header.MsgType == 5 {
			set("imo", s.IMO.Value, s.IMO.Valid)
			set("month", s.ETAMonth.Value, s.ETAMonth.Valid)
			set("day", s.ETADay.Value, s.ETADay.Valid)
			set("hour", s.ETAHour.Value, s.ETAHour.Valid)
			set("minute", s.ETAMinute.Value, s.ETAMinute.Valid)
			set("draught", s.Draught.Value, s.Draught.Valid)
			delete(f, "eta")
		}
		if r.Header.MsgType != 24 {
			set("dte", !s.DTEReady.Value, s.DTEReady.Valid)
		} else {
			f["partno"] = map[byte]string{'A': "0", 'B': "1", '2': "2", '3': "3"}[s.Part]
			set("epfd", s.EPFD.Value, s.EPFD.Valid)
		}
	}
	if b := &r.BaseStation; r.HasBaseStation {
		place(b.Lat, b.Lon)
		set("year", b.Year.Value, b.Year.Valid)
		set("month", b.Month.Value, b.Month.Valid)
		set("day", b.Day.Value, b.Day.Valid)
		set("hour", b.Hour.Value, b.Hour.Valid)
		set("minute", b.Minute.Value, b.Minute.Valid)
		set("second", b.Second.Value, b.Second.Valid)
		f["transmission_control"] = fmt.Sprint(b.LongRangeControl)
		delete(f, "timestamp")
	}
	if a := &r.AtoN; r.HasAtoN {
		place(a.Lat, a.Lon)
		hull(a.ToBow, a.ToStern, a.ToPort, a.ToStarboard)
		set("second", a.UTCSecond.Value, a.UTCSecond.Valid)
		f["aton_status"], f["assigned"] = f["regional"], fmt.Sprint(a.Assigned)
		delete(f, "regional")
	}
	if r.HasBinary {
		catcherBinary(f, &r.Binary, set, place)
		if keptAsBits(r) {
			f["data"] = wholeBits(fmt.Sprintf("%d:%x", r.Binary.DataBits, r.Binary.Data))
		}
	}
	if r.HasOther {
		catcherOther(f, &r.Other)
	}
	return f
}

func catcherBinary(f fields, b *ais.Binary, set func(string, any, bool), place func(lat, lon ais.Opt[float64])) {
	switch {
	case b.InlandSpeedQuality.Valid:
		set("length", b.InlandLength.Value, b.InlandLength.Valid)
		set("beam", b.InlandBeam.Value, b.InlandBeam.Valid)
		set("draught", b.InlandDraught.Value, b.InlandDraught.Valid)
	case b.MonitorAlarm.Valid:
		set("ana_int", b.MonitorSupplyVoltage.Value, b.MonitorSupplyVoltage.Valid)
		set("ana_ext1", b.MonitorVoltage1.Value, b.MonitorVoltage1.Valid)
		set("ana_ext2", b.MonitorVoltage2.Value, b.MonitorVoltage2.Valid)
		f["health"], f["off_position"] = bit(b.MonitorAlarm.Value), f["off_pos"]
		delete(f, "alarm")
		delete(f, "off_pos")
	case b.MsgType == 8 && b.DAC.Value == 1 && (b.FID.Value == 31 || b.FID.Value == 11):
		catcherWeather(set, place, &b.Weather)
		delete(f, "timestamp")
		if b.FID.Value == 31 {
			f["accuracy"] = truth(b.MetAccuracy)
			set("visgreater", b.MetVisibilityGreater.Value, b.MetVisibilityGreater.Valid)
		}
	}
	if b.MsgType == 26 {
		set("radio", b.CommState.Value&(1<<19-1), b.CommState.Valid) // without its selector
	}
	if b.MsgType > 8 {
		f["ai_available"] = f["structured"]
		delete(f, "structured")
		delete(f, "app_id")
		set("dac", b.DAC.Value, b.DAC.Valid)
		set("fid", b.FID.Value, b.FID.Valid)
	}
}

func catcherWeather(set func(string, any, bool), place func(lat, lon ais.Opt[float64]), w *ais.Weather) {
	place(w.MetLat, w.MetLon)
	for k, o := range map[string]ais.Opt[float64]{
		"airtemp": w.MetAirTemperature, "dewpoint": w.MetDewPoint, "visibility": w.MetVisibility, "waterlevel": w.MetWaterLevel,
		"cspeed": w.MetCurrentSpeed, "cspeed2": w.MetCurrentSpeed2, "cspeed3": w.MetCurrentSpeed3, "waveheight": w.MetWaveHeight,
		"swellheight": w.MetSwellHeight, "watertemp": w.MetWaterTemperature, "salinity": w.MetSalinity,
	} {
		set(k, o.Value, o.Valid)
	}
	for k, o := range map[string]ais.Opt[uint16]{
		"wdir": w.MetWindDirection, "wgustdir": w.MetGustDirection, "pressure": w.MetPressure, "cdir": w.MetCurrentDirection,
		"cdir2": w.MetCurrentDirection2, "cdir3": w.MetCurrentDirection3, "wavedir": w.MetWaveDirection, "swelldir": w.MetSwellDirection,
	} {
		set(k, o.Value, o.Valid)
	}
	for k, o := range map[string]ais.Opt[uint8]{
		"day": w.MetDay, "hour": w.MetHour, "minute": w.MetMinute, "wspeed": w.MetWindSpeed, "wgust": w.MetWindGust, "humidity": w.MetHumidity,
		"pressuretend": w.MetPressureTendency, "leveltrend": w.MetLevelTrend, "cdepth2": w.MetCurrentDepth2, "cdepth3": w.MetCurrentDepth3,
		"waveperiod": w.MetWavePeriod, "swellperiod": w.MetSwellPeriod, "seastate": w.MetSeaState, "preciptype": w.MetPrecipitation, "ice": w.MetIce,
	} {
		set(k, o.Value, o.Valid)
	}
}

// catcherOther turns gpsd's words of the rarer types into AIS-catcher's.
func catcherOther(f fields, o *ais.Other) {
	var own map[string]any
	d := json.NewDecoder(strings.NewReader(o.Fields))
	d.UseNumber()
	if err := d.Decode(&own); err != nil {
		panic(err)
	}
	for k := range f {
		if k != "type" && k != "repeat" && k != "mmsi" && k != "dest_mmsi" {
			delete(f, k)
		}
	}
	names := map[string]string{
		"seqno1": "mmsiseq1", "seqno2": "mmsiseq2", "seqno3": "mmsiseq3", "seqno4": "mmsiseq4", "stationtype": "station_type",
	}
	if own["addressed"] == true {
		names["mmsi1"], names["mmsi2"] = "dest1", "dest2"
	}
	for k, v := range own {
		if n, ok := names[k]; ok {
			k = n
		}
		f[k] = fmt.Sprint(v)
		if k == "data" {
			f[k] = wholeBits(f[k])
		}
	}
}
