package ais_test

import (
	"reflect"
	"strings"

	"landfall/decoders/ais"
)

// The model of the applications within types 6 and 8: tables of field widths in
// the order of the documents, read one bit a byte.

// layout is one field: the column, its width in bits, negative for a signed
// one, what is added to the raw value, what it is then divided by, and the raw
// values that are not available. A column "" is left out; "text" in letters of
// six bits.
type layout struct {
	column      string
	width       int
	add, divide float64
	none        []int64
}

var inlandLayout = []layout{
	{"InlandENI", 48, 0, 0, nil},
	{"InlandLength", 13, 0, 10, []int64{0}},
	{"InlandBeam", 10, 0, 10, []int64{0}},
	{"InlandShipType", 14, 0, 0, []int64{0}},
	{"InlandHazard", 3, 0, 0, []int64{5}},
	{"InlandDraught", 11, 0, 100, []int64{0}},
	{"InlandLoaded", 2, 0, 0, []int64{0}},
	{"InlandSpeedQuality", 1, 0, 0, nil},
	{"InlandCourseQuality", 1, 0, 0, nil},
	{"InlandHeadingQuality", 1, 0, 0, nil},
}

var monitorLayout = []layout{
	{"MonitorSupplyVoltage", 10, 0, 20, []int64{0}},
	{"MonitorVoltage1", 10, 0, 20, []int64{0}},
	{"MonitorVoltage2", 10, 0, 20, []int64{0}},
	{"MonitorRacon", 2, 0, 0, nil},
	{"MonitorLight", 2, 0, 0, nil},
	{"MonitorAlarm", 1, 0, 0, nil},
	{"MonitorInputs", 8, 0, 0, nil},
	{"MonitorOffPosition", 1, 0, 0, nil},
}

// waterLayout is what 1/31 and 1/11 have alike; none is no direction.
func waterLayout(none int64) []layout {
	return []layout{
		{"MetLevelTrend", 2, 0, 0, []int64{3}},
		{"MetCurrentSpeed", 8, 0, 10, []int64{255}},
		{"MetCurrentDirection", 9, 0, 0, []int64{none}},
		{"MetCurrentSpeed2", 8, 0, 10, []int64{255}},
		{"MetCurrentDirection2", 9, 0, 0, []int64{none}},
		{"MetCurrentDepth2", 5, 0, 0, []int64{31}},
		{"MetCurrentSpeed3", 8, 0, 10, []int64{255}},
		{"MetCurrentDirection3", 9, 0, 0, []int64{none}},
		{"MetCurrentDepth3", 5, 0, 0, []int64{31}},
		{"MetWaveHeight", 8, 0, 10, []int64{255}},
		{"MetWavePeriod", 6, 0, 0, []int64{63}},
		{"MetWaveDirection", 9, 0, 0, []int64{none}},
		{"MetSwellHeight", 8, 0, 10, []int64{255}},
		{"MetSwellPeriod", 6, 0, 0, []int64{63}},
		{"MetSwellDirection", 9, 0, 0, []int64{none}},
	}
}

func join(parts ...[]layout) (all []layout) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var layout289 = join([]layout{
	{"MetLon", -25, 0, 60_000, []int64{181 * 60_000}},
	{"MetLat", -24, 0, 60_000, []int64{91 * 60_000}},
	{"MetAccuracy", 1, 0, 0, nil},
	{"MetDay", 5, 0, 0, []int64{0}},
	{"MetHour", 5, 0, 0, []int64{24}},
	{"MetMinute", 6, 0, 0, []int64{60}},
	{"MetWindSpeed", 7, 0, 0, []int64{127}},
	{"MetWindGust", 7, 0, 0, []int64{127}},
	{"MetWindDirection", 9, 0, 0, []int64{360}},
	{"MetGustDirection", 9, 0, 0, []int64{360}},
	{"MetAirTemperature", -11, 0, 10, []int64{-1024}},
	{"MetHumidity", 7, 0, 0, []int64{101}},
	{"MetDewPoint", -10, 0, 10, []int64{501}},
	{"MetPressure", 9, 799, 0, []int64{511}},
	{"MetPressureTendency", 2, 0, 0, []int64{3}},
	{"MetVisibilityGreater", 1, 0, 0, nil},
	{"MetVisibility", 7, 0, 10, []int64{127}},
	{"MetWaterLevel", 12, -1000, 100, []int64{4001}},
}, waterLayout(360), []layout{
	{"MetSeaState", 4, 0, 0, []int64{13}},
	{"MetWaterTemperature", -10, 0, 10, []int64{501}},
	{"MetPrecipitation", 3, 0, 0, []int64{7}},
	{"MetSalinity", 9, 0, 10, []int64{510, 511}},
	{"MetIce", 2, 0, 0, []int64{3}},
})

var layout236 = join([]layout{
	{"MetLat", -24, 0, 60_000, []int64{0x7FFFFF, 91 * 60_000}},
	{"MetLon", -25, 0, 60_000, []int64{0xFFFFFF, 181 * 60_000}},
	{"MetDay", 5, 0, 0, []int64{0}},
	{"MetHour", 5, 0, 0, []int64{31}},
	{"MetMinute", 6, 0, 0, []int64{63}},
	{"MetWindSpeed", 7, 0, 0, []int64{127}},
	{"MetWindGust", 7, 0, 0, []int64{127}},
	{"MetWindDirection", 9, 0, 0, []int64{511}},
	{"MetGustDirection", 9, 0, 0, []int64{511}},
	{"MetAirTemperature", 11, -600, 10, []int64{2047}},
	{"MetHumidity", 7, 0, 0, []int64{127}},
	{"MetDewPoint", 10, -200, 10, []int64{1023}},
	{"MetPressure", 9, 800, 0, []int64{511}},
	{"MetPressureTendency", 2, 0, 0, []int64{3}},
	{"MetVisibility", 8, 0, 10, []int64{255}},
	{"MetWaterLevel", 9, -100, 10, []int64{511}},
}, waterLayout(511), []layout{
	{"MetSeaState", 4, 0, 0, []int64{13, 15}},
	{"MetWaterTemperature", 10, -100, 10, []int64{1023}},
	{"MetPrecipitation", 3, 0, 0, []int64{7}},
	{"MetSalinity", 9, 0, 10, []int64{511}},
	{"MetIce", 2, 0, 0, []int64{3}},
})

// modelApplication sets the columns of the application in bits from offset.
func modelApplication(bits []byte, offset int, x ais.Binary) *ais.Binary {
	var fields []layout
	n := len(bits)
	dac, fid := x.DAC.Value, x.FID.Value
	switch {
	case x.MsgType == 8 && dac == 200 && fid == 10 && n >= 160 && n <= 168:
		fields = inlandLayout
	case x.MsgType == 8 && dac == 1 && fid == 31 && n >= 348:
		fields = layout289
	case x.MsgType == 8 && dac == 1 && fid == 11 && n >= 344:
		fields = layout236
	case x.MsgType == 6 && (dac == 235 || dac == 250) && fid == 10 && n >= 132 && n <= 136:
		fields = monitorLayout
	}
	for _, f := range fields {
		if offset+max(f.width, -f.width) > n {
			break // the ice
		}
		f.set(&x, bits[offset:offset+max(f.width, -f.width)])
		offset += max(f.width, -f.width)
	}
	if fid == 11 && x.MetDay.Value == 31 && !x.MetHour.Valid && !x.MetMinute.Valid {
		x.MetDay = ais.Opt[uint8]{}
	}
	return &x
}

// set stores one field in its column.
func (f layout) set(x *ais.Binary, bits []byte) {
	column := reflect.ValueOf(x).Elem().FieldByName(f.column)
	if f.width == 48 {
		column.Set(reflect.ValueOf(name(letters(bits))))
		return
	}
	raw := int64(0)
	for _, b := range bits {
		raw = raw<<1 | int64(b)
	}
	if f.width < 0 && bits[0] == 1 {
		raw -= 1 << -f.width
	}
	for _, none := range f.none {
		if raw == none {
			return
		}
	}
	column.Field(1).SetBool(true)
	switch v := column.Field(0); v.Kind() {
	case reflect.Bool:
		v.SetBool(raw == 1)
	case reflect.Float64:
		v.SetFloat((float64(raw) + f.add) / f.divide)
	default:
		v.SetUint(uint64(float64(raw) + f.add))
	}
}

// letters reads six-bit ASCII.
func letters(bits []byte) string {
	const alphabet = `@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_ !"#$%&'()*+,-./0123456789:;<=>?`
	var s strings.Builder
	for i := 0; i+6 <= len(bits); i += 6 {
		v := 0
		for _, b := range bits[i : i+6] {
			v = 2*v + int(b)
		}
		s.WriteByte(alphabet[v])
	}
	return s.String()
}
