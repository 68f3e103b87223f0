package ais

// Weather is meteorological and hydrographic data: applications 1/31 (IMO
// SN.1/Circ.289, annex, table 1.1) and 1/11 (IMO SN/Circ.236, annex 2, the one
// before it) of type 8. Columns met_*.
type Weather struct {
	// MetLat and MetLon are WGS 84 degrees, to 1/1000 minute.
	MetLat, MetLon Opt[float64]
	// MetAccuracy is true for a position better than 10 m (1/31).
	MetAccuracy Opt[bool]
	// MetDay, MetHour and MetMinute are the UTC time of the measurement.
	MetDay, MetHour, MetMinute Opt[uint8]
	// MetWindSpeed and MetWindGust are the ten-minute average and maximum in
	// knots; in 1/31 126 is that or more.
	MetWindSpeed, MetWindGust Opt[uint8]
	// MetWindDirection and MetGustDirection are degrees from true north, from
	// where it blows.
	MetWindDirection, MetGustDirection Opt[uint16]
	// MetAirTemperature and MetDewPoint are degrees Celsius.
	MetAirTemperature, MetDewPoint Opt[float64]
	// MetHumidity is the relative humidity in percent.
	MetHumidity Opt[uint8]
	// MetPressure is in hPa; in 1/31 799 is that or less, 1201 that or more.
	MetPressure Opt[uint16]
	// MetPressureTendency and MetLevelTrend are 0 steady, 1 decreasing, 2
	// increasing.
	MetPressureTendency Opt[uint8]
	// MetVisibility is horizontal, in nautical miles.
	MetVisibility Opt[float64]
	// MetVisibilityGreater is true when MetVisibility is as far as the sensor
	// sees (1/31); it is as sent without a visibility too.
	MetVisibilityGreater Opt[bool]
	// MetWaterLevel is the deviation from the chart datum in metres, tide
	// included.
	MetWaterLevel Opt[float64]
	MetLevelTrend Opt[uint8]
	// MetCurrentSpeed is the surface current in knots, 25.1 is that or more in
	// 1/31; MetCurrentSpeed2 and 3 those at MetCurrentDepth2 and 3 metres.
	MetCurrentSpeed, MetCurrentSpeed2, MetCurrentSpeed3 Opt[float64]
	// MetCurrentDirection … are degrees from true north, to where it flows.
	MetCurrentDirection, MetCurrentDirection2, MetCurrentDirection3 Opt[uint16]
	MetCurrentDepth2, MetCurrentDepth3                              Opt[uint8]
	// MetWaveHeight and MetSwellHeight are metres, 25.1 is that or more in 1/31;
	// the periods are seconds, the directions degrees from where they come.
	MetWaveHeight, MetSwellHeight       Opt[float64]
	MetWavePeriod, MetSwellPeriod       Opt[uint8]
	MetWaveDirection, MetSwellDirection Opt[uint16]
	// MetSeaState is on the Beaufort scale, 0..12.
	MetSeaState Opt[uint8]
	// MetWaterTemperature is degrees Celsius.
	MetWaterTemperature Opt[float64]
	// MetPrecipitation is 1 rain, 2 thunderstorm, 3 freezing rain, 4 mixed or
	// ice, 5 snow (WMO 306, table 4.201).
	MetPrecipitation Opt[uint8]
	// MetSalinity is per mille.
	MetSalinity Opt[float64]
	// MetIce is 0 no, 1 yes.
	MetIce Opt[uint8]
}

// The shortest messages taken, in bits: up to the salinity. Some stations cut at
// a whole byte and lose the ice; spare bits follow it.
const (
	min289 = 348
	min236 = 344
)

// read289 reads application 1/31.
func (w *Weather) read289(b *bits) {
	if b.n < min289 {
		return
	}
	pressure, level, visibility := b.uint(182, 9), b.uint(201, 12), b.uint(194, 7)
	air, dew, water := b.int(154, 11), b.int(172, 10), b.int(326, 10)
	*w = Weather{
		MetLon:               thousandths(b.int(56, 25), 181*60_000),
		MetLat:               thousandths(b.int(81, 24), 91*60_000),
		MetAccuracy:          Some(b.flag(105)),
		MetDay:               code8(b.uint(106, 5), 0),
		MetHour:              code8(b.uint(111, 5), 24),
		MetMinute:            code8(b.uint(116, 6), 60),
		MetAirTemperature:    optional(float64(air)/10, air != -1024),
		MetHumidity:          code8(b.uint(165, 7), 101),
		MetDewPoint:          optional(float64(dew)/10, dew != 501),
		MetPressure:          optional(uint16(pressure+799), pressure != 511),
		MetPressureTendency:  code8(b.uint(191, 2), 3),
		MetVisibility:        tenths(visibility, 127),
		MetVisibilityGreater: Some(b.flag(193)),
		MetWaterLevel:        optional(float64(int32(level)-1000)/100, level != 4001),
		MetWaterTemperature:  optional(float64(water)/10, water != 501),
	}
	w.setWind(b, 122, 360)
	w.setWater(b, 213, 360)
	w.MetSeaState = code8(b.uint(322, 4), 13)
	salinity := b.uint(339, 9)
	w.MetSalinity = optional(float64(salinity)/10, salinity != 510 && salinity != 511)
	w.setEnd(b, 336, 348)
}

// read236 reads application 1/11. Its values are offset, not signed, and all
// ones is not available; for the position that is the largest positive value,
// and 91° and 181° are sent as well.
func (w *Weather) read236(b *bits) {
	if b.n < min236 {
		return
	}
	pressure, level := b.uint(181, 9), b.uint(200, 9)
	air, dew, water := b.uint(153, 11), b.uint(171, 10), b.uint(322, 10)
	day, hour, minute := b.uint(105, 5), b.uint(110, 5), b.uint(115, 6)
	state := b.uint(318, 4)
	*w = Weather{
		MetLat:              thousandths(b.int(56, 24), 91*60_000),
		MetLon:              thousandths(b.int(80, 25), 181*60_000),
		MetDay:              optional(uint8(day), day != 0 && (day != 31 || hour != 31 || minute != 63)),
		MetHour:             code8(hour, 31),
		MetMinute:           code8(minute, 63),
		MetAirTemperature:   optional(float64(int32(air)-600)/10, air != 2047),
		MetHumidity:         code8(b.uint(164, 7), 127),
		MetDewPoint:         optional(float64(int32(dew)-200)/10, dew != 1023),
		MetPressure:         optional(uint16(pressure+800), pressure != 511),
		MetPressureTendency: code8(b.uint(190, 2), 3),
		MetVisibility:       tenths(b.uint(192, 8), 255),
		MetWaterLevel:       optional(float64(int32(level)-100)/10, level != 511),
		MetWaterTemperature: optional(float64(int32(water)-100)/10, water != 1023),
		MetSeaState:         optional(uint8(state), state != 13 && state != 15),
		MetSalinity:         tenths(b.uint(335, 9), 511),
	}
	if b.int(56, 24) == 0x7FFFFF {
		w.MetLat = Opt[float64]{}
	}
	if b.int(80, 25) == 0xFFFFFF {
		w.MetLon = Opt[float64]{}
	}
	w.setWind(b, 121, 511)
	w.setWater(b, 209, 511)
	w.setEnd(b, 332, 344)
}

// setWind reads from offset: average 7, gust 7, their directions 9 each, of
// which none is not available.
func (w *Weather) setWind(b *bits, offset int, none uint32) {
	w.MetWindSpeed, w.MetWindGust = code8(b.uint(offset, 7), 127), code8(b.uint(offset+7, 7), 127)
	w.MetWindDirection, w.MetGustDirection = code16(b.uint(offset+14, 9), none), code16(b.uint(offset+23, 9), none)
}

// setWater reads from offset what both applications write alike, from the trend
// of the water level to the direction of the swell.
func (w *Weather) setWater(b *bits, offset int, none uint32) {
	w.MetLevelTrend = code8(b.uint(offset, 2), 3)
	w.MetCurrentSpeed, w.MetCurrentDirection = tenths(b.uint(offset+2, 8), 255), code16(b.uint(offset+10, 9), none)
	w.MetCurrentSpeed2, w.MetCurrentDirection2 = tenths(b.uint(offset+19, 8), 255), code16(b.uint(offset+27, 9), none)
	w.MetCurrentDepth2 = code8(b.uint(offset+36, 5), 31)
	w.MetCurrentSpeed3, w.MetCurrentDirection3 = tenths(b.uint(offset+41, 8), 255), code16(b.uint(offset+49, 9), none)
	w.MetCurrentDepth3 = code8(b.uint(offset+58, 5), 31)
	w.MetWaveHeight, w.MetWavePeriod = tenths(b.uint(offset+63, 8), 255), code8(b.uint(offset+71, 6), 63)
	w.MetWaveDirection = code16(b.uint(offset+77, 9), none)
	w.MetSwellHeight, w.MetSwellPeriod = tenths(b.uint(offset+86, 8), 255), code8(b.uint(offset+94, 6), 63)
	w.MetSwellDirection = code16(b.uint(offset+100, 9), none)
}

// setEnd reads the codes of precipitation and ice.
func (w *Weather) setEnd(b *bits, precipitation, ice int) {
	w.MetPrecipitation = code8(b.uint(precipitation, 3), 7)
	if b.n >= ice+2 {
		w.MetIce = code8(b.uint(ice, 2), 3)
	}
}

// thousandths: 1/1,000 minute; none is not available.
func thousandths(raw, none int32) Opt[float64] { return optional(float64(raw)/60_000, raw != none) }
