package ais_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"landfall/decoders/ais"
)

// gpsdView is a message in gpsdecode's unscaled words, made back from our
// columns: the raw integers, sentinels included.
type gpsdView = fields

// gpsdOmits lists what gpsd gives and no column holds.
var gpsdOmits = map[string]string{
	"class": "constant", "device": "constant", "scaled": "constant",
	"9 regional": "spare bits", "18 reserved": "spare bits", "18 regional": "spare bits",
	"19 reserved": "spare bits", "19 regional": "spare bits",
	"24 part": "told by its fields",
}

// gpsdOmitted tells whether a field of a gpsd object is not compared: words for
// a code that is compared, constants, spare bits.
func gpsdOmitted(msgType int, key string) bool {
	return strings.HasSuffix(key, "_text") || gpsdOmits[key] != "" || gpsdOmits[fmt.Sprint(msgType, " ", key)] != ""
}

// readByGpsd tells whether gpsd may have read the application of a message that
// we keep as bits.
func (f fields) readByGpsd() bool {
	return f["data"] != "" && gpsdApplications[f["type"]+" "+f["dac"]+" "+f["fid"]]
}

// gpsdApplications are the applications whose fields gpsd gives and we keep as
// bits: type, dac, fid.
var gpsdApplications = map[string]bool{
	"6 1 12": true, "6 1 14": true, "6 1 15": true, "6 1 16": true, "6 1 18": true, "6 1 20": true, "6 1 25": true, "6 1 28": true, "6 1 30": true,
	"6 1 32": true, "6 200 21": true, "6 200 22": true, "6 200 55": true,
	"8 1 13": true, "8 1 15": true, "8 1 16": true, "8 1 17": true, "8 1 19": true, "8 1 27": true, "8 1 29": true,
	"8 200 23": true, "8 200 24": true, "8 200 40": true,
}

// gpsdMessages reads gpsdecode's objects.
func gpsdMessages(t testing.TB, data []byte) []fields {
	t.Helper()
	var all []fields
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for d.More() {
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		all = append(all, gpsdFields(o))
	}
	return all
}

// gpsdFields keeps what is compared of one object.
func gpsdFields(o map[string]any) fields {
	number := func(k string) int { n, _ := o[k].(json.Number); i, _ := n.Int64(); return int(i) }
	msgType := number("type")
	f := fields{}
	for k, v := range o {
		if !gpsdOmitted(msgType, k) {
			f[k] = fmt.Sprint(v)
		}
	}
	for _, k := range []string{"name", "shipname", "callsign", "destination", "text", "vendorid", "vin"} {
		if s, ok := f[k]; ok {
			f[k] = strings.TrimRight(s, " ")
		}
	}
	if v, ok := f["vendorid"]; ok { // seven letters: the vendor's three, then the bits of model and serial
		f["vendorid"] = strings.TrimRight(v[:min(3, len(v))], " ")
	}
	_, named := o["shipname"]
	_, typed := o["shiptype"]
	if msgType == 24 && named && typed {
		delete(f, "shipname") // of the other half, from gpsd's memory
	}
	_, data := o["data"]
	if id := fmt.Sprint(msgType, " ", number("dac"), " ", number("fid")); gpsdApplications[id] && !data {
		return f.header()
	}
	if d, ok := f["data"]; ok {
		f["data"] = wholeBits(d)
	}
	if msgType == 8 && f["dac"] == "1" {
		f.oneCode()
	}
	return f
}

// oneCode writes the one code that our view writes where the weather
// applications have two for "not available".
func (f fields) oneCode() {
	for _, c := range [...]struct{ fid, key, code, same string }{
		{"31", "salinity", "511", "510"}, {"11", "seastate", "13", "15"}, {"11", "lat", "5460000", "8388607"}, {"11", "lon", "10860000", "16777215"},
	} {
		if f["fid"] == c.fid && f[c.key] == c.code {
			f[c.key] = c.same
		}
	}
	if rest, ok := strings.CutPrefix(f["timestamp"], "00T"); ok && f["fid"] == "11" {
		f["timestamp"] = "31T" + rest
	}
}

// wholeBits writes "count:hex" with as many digits as the count needs and zeros
// behind it.
func wholeBits(s string) string {
	count, digits, _ := strings.Cut(s, ":")
	n, _ := strconv.Atoi(count)
	var out strings.Builder
	for i := 0; i < n && i/4 < len(digits); i += 4 {
		v, _ := strconv.ParseUint(digits[i/4:i/4+1], 16, 8)
		if n-i < 4 {
			v &^= 0xF >> (n - i)
		}
		fmt.Fprintf(&out, "%x", v)
	}
	return count + ":" + out.String()
}

// header is what is compared of an application that gpsd reads and we keep as
// bits.
func (f fields) header() fields {
	h := fields{"fields": "not compared"}
	for _, k := range []string{"type", "repeat", "mmsi", "dac", "fid", "seqno", "dest_mmsi", "retransmit"} {
		if v, ok := f[k]; ok {
			h[k] = v
		}
	}
	return h
}

// viewAsGpsd gives a message of n bits in gpsd's words.
func viewAsGpsd(r *ais.Rows, n int) gpsdView {
	h := r.Header
	f := fields{"type": fmt.Sprint(h.MsgType), "repeat": fmt.Sprint(h.RepeatIndicator), "mmsi": fmt.Sprint(h.MMSI)}
	switch {
	case r.HasPosition && r.HasStatic:
		f.position(&r.Position)
		f.static(&r.Static)
		delete(f, "raim")
		f["raim"] = truth(r.Position.RAIM)
	case r.HasPosition:
		f.position(&r.Position)
	case r.HasStatic && h.MsgType == 5:
		f.static(&r.Static)
		f.voyage(&r.Static)
	case r.HasStatic:
		f.part(&r.Static)
	case r.HasBaseStation:
		f.station(&r.BaseStation)
	case r.HasAtoN:
		f.aid(&r.AtoN)
	case r.HasBinary:
		f.binary(&r.Binary, n)
	case r.HasSafety:
		f["text"] = r.Safety.Text.Value
		if h.MsgType == 12 {
			f["seqno"], f["dest_mmsi"], f["retransmit"] = number(r.Safety.Sequence, 0), number(r.Safety.DestMMSI, 0), truth(r.Safety.Retransmit)
		}
	case r.HasOther:
		f.other(&r.Other)
	}
	return f
}

func (f fields) position(p *ais.Position) {
	scale, knot, noSpeed, degree, noCourse := 600_000.0, 10.0, 1023.0, 10.0, 3600.0
	switch p.MsgType {
	case 27:
		scale, knot, noSpeed, degree, noCourse = 600, 1, 63, 1, 511
	case 9:
		knot = 1
	}
	f["lat"], f["lon"] = raw(p.Lat, 91*scale, scale), raw(p.Lon, 181*scale, scale)
	f["speed"], f["course"] = raw(p.SOG, noSpeed, knot), raw(p.COG, noCourse, degree)
	f["accuracy"], f["raim"] = fmt.Sprint(p.PositionAccuracy), truth(p.RAIM)
	if p.MsgType != 27 {
		f["second"] = number(p.UTCSecond, 60)
	}
	switch p.MsgType {
	case 1, 2, 3:
		f["status"], f["turn"], f["maneuver"] = number(p.NavStatus, 0), number(p.ROTRaw, 0), number(p.Maneuver, 0)
		f["heading"], f["radio"] = number(p.TrueHeading, 511), number(p.CommState, 0)
	case 9:
		f["alt"], f["dte"], f["radio"] = number(p.Altitude, 4095), bit(!p.DTEReady.Value), number(p.CommState, 0)
	case 18:
		f["heading"], f["radio"] = number(p.TrueHeading, 511), number(p.CommState, 0)
		f["cs"], f["display"], f["dsc"] = truth(p.ClassBCS), truth(p.ClassBDisplay), truth(p.ClassBDSC)
		f["band"], f["msg22"] = truth(p.ClassBBand), truth(p.ClassBMsg22)
	case 19:
		f["heading"], f["assigned"], f["dte"] = number(p.TrueHeading, 511), truth(p.Assigned), bit(!p.DTEReady.Value)
	case 27:
		f["status"], f["gnss"] = number(p.NavStatus, 0), truth(p.PositionStale)
	}
}

func (f fields) static(s *ais.Static) {
	f["shipname"], f["shiptype"], f["epfd"] = s.Shipname.Value, number(s.ShipType, 0), number(s.EPFD, 0)
	f.hull(s.ToBow, s.ToStern, s.ToPort, s.ToStarboard)
}

func (f fields) hull(bow, stern, port, starboard ais.Opt[uint16]) {
	f["to_bow"], f["to_stern"], f["to_port"], f["to_starboard"] = number(bow, 0), number(stern, 0), number(port, 0), number(starboard, 0)
}

func (f fields) voyage(s *ais.Static) {
	f["imo"], f["ais_version"], f["callsign"], f["destination"] = number(s.IMO, 0), number(s.AISVersion, 0), s.Callsign.Value, s.Destination.Value
	f["eta"] = fmt.Sprintf("%02d-%02dT%02d:%02dZ", orElse(s.ETAMonth, 0), orElse(s.ETADay, 0), orElse(s.ETAHour, 24), orElse(s.ETAMinute, 60))
	f["draught"], f["dte"] = raw(s.Draught, 0, 10), bit(!s.DTEReady.Value)
	if !s.DTEReady.Valid {
		f["dte"] = "0" // what gpsd makes of a message that ends before
	}
}

// part is a part of type 24.
func (f fields) part(s *ais.Static) {
	switch s.Part {
	case 'A':
		f["shipname"] = s.Shipname.Value
	case 'B':
		f["shiptype"], f["callsign"] = number(s.ShipType, 0), s.Callsign.Value
		f["vendorid"], f["model"], f["serial"] = s.VendorID.Value, number(s.UnitModel, 0), number(s.UnitSerial, 0)
		if s.MothershipMMSI.Valid || s.MMSI/10_000_000 == 98 {
			f["mothership_mmsi"] = number(s.MothershipMMSI, 0)
			return
		}
		f.hull(s.ToBow, s.ToStern, s.ToPort, s.ToStarboard)
	}
}

func (f fields) station(b *ais.BaseStation) {
	f["timestamp"] = fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", orElse(b.Year, 0), orElse(b.Month, 0), orElse(b.Day, 0),
		orElse(b.Hour, 24), orElse(b.Minute, 60), orElse(b.Second, 60))
	f["accuracy"], f["raim"], f["epfd"], f["radio"] = fmt.Sprint(b.PositionAccuracy), fmt.Sprint(b.RAIM), number(b.EPFD, 0), number(b.CommState, 0)
	f["lat"], f["lon"] = raw(b.Lat, 91*600_000, 600_000), raw(b.Lon, 181*600_000, 600_000)
}

func (f fields) aid(a *ais.AtoN) {
	f["aid_type"], f["name"], f["epfd"], f["second"] = fmt.Sprint(a.AidType), a.Name.Value, number(a.EPFD, 0), number(a.UTCSecond, 60)
	f["accuracy"], f["raim"], f["off_position"] = fmt.Sprint(a.PositionAccuracy), fmt.Sprint(a.RAIM), fmt.Sprint(a.OffPosition)
	f["virtual_aid"], f["regional"] = fmt.Sprint(a.Virtual), fmt.Sprint(a.Status)
	f["lat"], f["lon"] = raw(a.Lat, 91*600_000, 600_000), raw(a.Lon, 181*600_000, 600_000)
	f.hull(a.ToBow, a.ToStern, a.ToPort, a.ToStarboard)
}

func (f fields) binary(b *ais.Binary, n int) {
	switch b.MsgType {
	case 6:
		f["seqno"], f["dest_mmsi"], f["retransmit"] = number(b.Sequence, 0), number(b.DestMMSI, 0), truth(b.Retransmit)
		f["dac"], f["fid"] = number(b.DAC, 0), number(b.FID, 0)
	case 8:
		f["dac"], f["fid"] = number(b.DAC, 0), number(b.FID, 0)
	case 25, 26:
		f["addressed"], f["structured"] = fmt.Sprint(b.DestMMSI.Valid), fmt.Sprint(b.DAC.Valid)
		if b.DestMMSI.Valid {
			f["dest_mmsi"] = number(b.DestMMSI, 0)
		}
		if b.DAC.Valid {
			f["app_id"] = fmt.Sprint(int(b.DAC.Value)<<6 | int(b.FID.Value))
		}
		if b.MsgType == 26 {
			f["radio"] = number(b.CommState, 0)
		}
	}
	id := fmt.Sprint(b.MsgType, " ", b.DAC.Value, " ", b.FID.Value)
	switch {
	case b.InlandSpeedQuality.Valid:
		f.inland(&b.Inland)
	case b.MonitorAlarm.Valid:
		f.monitor(&b.Monitor)
	case id == "8 1 31" && n >= 348:
		f.weather(&b.Weather, weather289)
	case id == "8 1 11" && n >= 344:
		f.weather(&b.Weather, weather236)
		delete(f, "visgreater")
		delete(f, "accuracy")
	default:
		f["data"] = wholeBits(fmt.Sprintf("%d:%x", b.DataBits, b.Data))
	}
}

func (f fields) inland(x *ais.Inland) {
	f["vin"], f["shiptype"] = x.InlandENI.Value, number(x.InlandShipType, 0)
	f["length"], f["beam"], f["draught"] = raw(x.InlandLength, 0, 10), raw(x.InlandBeam, 0, 10), raw(x.InlandDraught, 0, 100)
	f["hazard"], f["loaded"] = number(x.InlandHazard, 5), number(x.InlandLoaded, 0)
	f["speed_q"], f["course_q"], f["heading_q"] = truth(x.InlandSpeedQuality), truth(x.InlandCourseQuality), truth(x.InlandHeadingQuality)
}

func (f fields) monitor(x *ais.Monitor) {
	f["ana_int"], f["ana_ext1"], f["ana_ext2"] = raw(x.MonitorSupplyVoltage, 0, 20), raw(x.MonitorVoltage1, 0, 20), raw(x.MonitorVoltage2, 0, 20)
	f["racon"], f["light"], f["alarm"] = number(x.MonitorRacon, 0), number(x.MonitorLight, 0), truth(x.MonitorAlarm)
	f["stat_ext"], f["off_pos"] = number(x.MonitorInputs, 0), truth(x.MonitorOffPosition)
}

// weatherCodes are the raw integers of the two weather applications where they
// differ: offsets and "not available".
type weatherCodes struct {
	lat, lon                                                  float64
	day, hour, minute, direction                              int
	airAdd, air, dewAdd, dew, levelScale, levelAdd, level     float64
	waterAdd, water, pressureAdd, visibility, state, salinity float64
	humidity                                                  uint8
}

var weather289 = weatherCodes{
	lat: 91 * 60_000, lon: 181 * 60_000, day: 0, hour: 24, minute: 60, direction: 360, air: -1024, dew: 501, levelScale: 100, levelAdd: 1000,
	level: 4001, water: 501, pressureAdd: 799, visibility: 127, state: 13, salinity: 510, humidity: 101,
}

var weather236 = weatherCodes{
	lat: 0x7FFFFF, lon: 0xFFFFFF, day: 31, hour: 31, minute: 63, direction: 511, airAdd: 600, air: 2047, dewAdd: 200, dew: 1023, levelScale: 10,
	levelAdd: 100, level: 511, waterAdd: 100, water: 1023, pressureAdd: 800, visibility: 255, state: 15, salinity: 511, humidity: 127,
}

// offset is a column as the integer it was sent as, with something added.
func offset(o ais.Opt[float64], sentinel, unit, add float64) string {
	if !o.Valid {
		return fmt.Sprintf("%.0f", sentinel)
	}
	return fmt.Sprintf("%.0f", math.Round(o.Value*unit)+add)
}

func (f fields) weather(w *ais.Weather, c weatherCodes) {
	direction := func(o ais.Opt[uint16]) string { return number(o, uint16(c.direction)) }
	f["lat"], f["lon"], f["accuracy"] = raw(w.MetLat, c.lat, 60_000), raw(w.MetLon, c.lon, 60_000), truth(w.MetAccuracy)
	f["timestamp"] = fmt.Sprintf("%02dT%02d:%02dZ", orElse(w.MetDay, uint8(c.day)), orElse(w.MetHour, uint8(c.hour)), orElse(w.MetMinute, uint8(c.minute)))
	f["wspeed"], f["wgust"] = number(w.MetWindSpeed, 127), number(w.MetWindGust, 127)
	f["wdir"], f["wgustdir"] = direction(w.MetWindDirection), direction(w.MetGustDirection)
	f["airtemp"], f["dewpoint"] = offset(w.MetAirTemperature, c.air, 10, c.airAdd), offset(w.MetDewPoint, c.dew, 10, c.dewAdd)
	f["humidity"] = number(w.MetHumidity, c.humidity)
	f["pressure"] = fmt.Sprint(int(orElse(w.MetPressure, uint16(511+c.pressureAdd))) - int(c.pressureAdd))
	f["pressuretend"], f["leveltrend"] = number(w.MetPressureTendency, 3), number(w.MetLevelTrend, 3)
	f["visibility"], f["visgreater"] = raw(w.MetVisibility, c.visibility, 10), truth(w.MetVisibilityGreater)
	f["waterlevel"] = offset(w.MetWaterLevel, c.level, c.levelScale, c.levelAdd)
	f["cspeed"], f["cspeed2"], f["cspeed3"] = raw(w.MetCurrentSpeed, 255, 10), raw(w.MetCurrentSpeed2, 255, 10), raw(w.MetCurrentSpeed3, 255, 10)
	f["cdir"], f["cdir2"], f["cdir3"] = direction(w.MetCurrentDirection), direction(w.MetCurrentDirection2), direction(w.MetCurrentDirection3)
	f["cdepth2"], f["cdepth3"] = number(w.MetCurrentDepth2, 31), number(w.MetCurrentDepth3, 31)
	f["waveheight"], f["waveperiod"], f["wavedir"] = raw(w.MetWaveHeight, 255, 10), number(w.MetWavePeriod, 63), direction(w.MetWaveDirection)
	f["swellheight"], f["swellperiod"], f["swelldir"] = raw(w.MetSwellHeight, 255, 10), number(w.MetSwellPeriod, 63), direction(w.MetSwellDirection)
	f["seastate"], f["watertemp"] = number(w.MetSeaState, uint8(c.state)), offset(w.MetWaterTemperature, c.water, 10, c.waterAdd)
	f["preciptype"], f["salinity"], f["ice"] = number(w.MetPrecipitation, 7), raw(w.MetSalinity, c.salinity, 10), number(w.MetIce, 3)
}

// other reads the JSON of ais_other; its names are gpsd's, its positions degrees.
func (f fields) other(o *ais.Other) {
	if o.MsgType == 10 {
		f["dest_mmsi"] = number(o.DestMMSI[0], 0)
	}
	var own map[string]any
	d := json.NewDecoder(strings.NewReader(o.Fields))
	d.UseNumber()
	if err := d.Decode(&own); err != nil {
		panic(err)
	}
	for k, v := range own {
		f[k] = fmt.Sprint(v)
		if k == "data" {
			f[k] = wholeBits(f[k])
		}
		if n, ok := v.(json.Number); ok && (strings.HasSuffix(k, "lat") || strings.HasSuffix(k, "lon")) {
			degrees, _ := n.Float64()
			f[k] = fmt.Sprintf("%.0f", degrees*600)
		}
	}
	// gpsd writes what is not there as 0, and an absent position as sent.
	fill := func(value string, keys ...string) {
		for _, k := range keys {
			if _, ok := f[k]; !ok {
				f[k] = value
			}
		}
	}
	switch o.MsgType {
	case 7, 13:
		fill("0", "mmsi1", "mmsi2", "mmsi3", "mmsi4")
		for _, k := range []string{"seqno1", "seqno2", "seqno3", "seqno4"} {
			delete(f, k)
		}
	case 15:
		fill("0", "type1_2", "offset1_2", "mmsi2", "type2_1", "offset2_1")
	case 16:
		fill("0", "mmsi2", "offset2", "increment2")
	case 17:
		fill("54600", "lat")
		fill("108600", "lon")
	case 20:
		for _, n := range []string{"1", "2", "3", "4"} {
			fill("0", "offset"+n, "number"+n, "timeout"+n, "increment"+n)
		}
	case 22:
		if f["addressed"] == "true" {
			f["dest1"], f["dest2"] = f["mmsi1"], f["mmsi2"]
			delete(f, "mmsi1")
			delete(f, "mmsi2")
			break
		}
		fill("54600", "ne_lat", "sw_lat")
		fill("108600", "ne_lon", "sw_lon")
	case 23:
		fill("54600", "ne_lat", "sw_lat")
		fill("108600", "ne_lon", "sw_lon")
		delete(f, "txrx") // gpsd does not say it
	}
}
