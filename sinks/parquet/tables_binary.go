package parquet

import (
	"landfall/decoders/ais"
	"landfall/engine/table"
)

// A message holds one application at most, so most of these columns are NULL
// throughout most files, where they cost a few bytes.

type binaryCols struct {
	headCols
	inlandCols
	weatherCols
	monitorCols
	tailCols
	dest, sequence, dac, fid, bits, comm ints[int32]
	retransmit                           bools
	data                                 blobs
}

func (c *binaryCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.int32(&c.dest, "dest_mmsi", "", true, "addressee; NULL: broadcast")
	d.int32(&c.sequence, "sequence", "", true, "sequence number 0..3 (type 6); NULL: the type has none")
	d.bool(&c.retransmit, "retransmit", true, "sent again (type 6); NULL: the type has none")
	d.int32(&c.dac, "dac", "", true, "designated area code; NULL: unstructured")
	d.int32(&c.fid, "fid", "", true, "function identifier; NULL: unstructured")
	d.blob(&c.data, "data", Blob, false, "the application's bits, first bit highest, last byte filled with zeros")
	d.int32(&c.bits, "data_bits", "bit", false, "length of data")
	d.int32(&c.comm, "comm_state", "", true, "communication state, 20 bits with its selector first (type 26); see below ais_position; NULL: the type has none")
	c.inlandCols.declare(d)
	c.weatherCols.declare(d)
	c.monitorCols.declare(d)
	c.tailCols.declare(d)
}

func (c *binaryCols) add(r *table.BinaryRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	addOpt(&c.dest, r.DestMMSI)
	addOpt(&c.sequence, r.Sequence)
	c.retransmit.addOpt(r.Retransmit)
	addOpt(&c.dac, r.DAC)
	addOpt(&c.fid, r.FID)
	c.data.add(r.Data)
	c.bits.add(int32(r.DataBits))
	addOpt(&c.comm, r.CommState)
	c.inlandCols.add(&r.Inland)
	c.weatherCols.add(&r.Weather)
	c.monitorCols.add(&r.Monitor)
	c.tailCols.add(&r.Reception)
}

// inlandCols are ais.Inland.
type inlandCols struct {
	eni                                         strs
	length, beam, draught                       floats
	shipType, hazard, loaded                    ints[int32]
	speedQuality, courseQuality, headingQuality bools
}

func (c *inlandCols) declare(d *declaration) {
	d.string(&c.eni, "inland_eni", true, "European vessel identification number (8/200/10); NULL: not available")
	d.float(&c.length, "inland_length", "m", "length of ship or convoy; NULL: not available")
	d.float(&c.beam, "inland_beam", "m", "beam of ship or convoy; NULL: not available")
	d.int32(&c.shipType, "inland_ship_type", "", true, "ERI code of ship or convoy; NULL: not available")
	d.int32(&c.hazard, "inland_hazard", "", true, "blue cones 0..3, 4 B flag; NULL: unknown (5)")
	d.float(&c.draught, "inland_draught", "m", "draught; NULL: not available")
	d.int32(&c.loaded, "inland_loaded", "", true, "1 loaded, 2 unloaded; NULL: not available")
	d.bool(&c.speedQuality, "inland_speed_quality", true, "speed from a sensor better than the GNSS; NULL: not available")
	d.bool(&c.courseQuality, "inland_course_quality", true, "course likewise; NULL: not available")
	d.bool(&c.headingQuality, "inland_heading_quality", true, "heading likewise; NULL: not available")
}

func (c *inlandCols) add(r *ais.Inland) {
	addOptString(&c.eni, r.InlandENI)
	c.length.addOpt(r.InlandLength)
	c.beam.addOpt(r.InlandBeam)
	addOpt(&c.shipType, r.InlandShipType)
	addOpt(&c.hazard, r.InlandHazard)
	c.draught.addOpt(r.InlandDraught)
	addOpt(&c.loaded, r.InlandLoaded)
	c.speedQuality.addOpt(r.InlandSpeedQuality)
	c.courseQuality.addOpt(r.InlandCourseQuality)
	c.headingQuality.addOpt(r.InlandHeadingQuality)
}

// weatherCols are ais.Weather.
type weatherCols struct {
	lat, lon                                                                                             doubles
	accuracy, visibilityGreater                                                                          bools
	day, hour, minute, windSpeed, windGust, windDirection, gustDirection                                 ints[int32]
	humidity, pressure, pressureTendency, levelTrend, currentDirection, currentDirection2, currentDepth2 ints[int32]
	currentDirection3, currentDepth3, wavePeriod, waveDirection, swellPeriod, swellDirection, seaState   ints[int32]
	precipitation, ice                                                                                   ints[int32]
	airTemperature, dewPoint, visibility, waterLevel, currentSpeed, currentSpeed2, currentSpeed3         floats
	waveHeight, swellHeight, waterTemperature, salinity                                                  floats
}

func (c *weatherCols) declare(d *declaration) {
	d.double(&c.lat, "met_lat", "deg", "WGS 84 latitude of the measurement, north positive (8/1/31, 8/1/11); NULL: not available")
	d.double(&c.lon, "met_lon", "deg", "longitude, east positive; NULL: not available")
	d.bool(&c.accuracy, "met_accuracy", true, "true: position better than 10 m (1/31); NULL: not available")
	d.int32(&c.day, "met_day", "", true, "UTC day of the measurement, 1..31; NULL: not available")
	d.int32(&c.hour, "met_hour", "h", true, "UTC hour, 0..23; NULL: not available")
	d.int32(&c.minute, "met_minute", "min", true, "UTC minute, 0..59; NULL: not available")
	d.int32(&c.windSpeed, "met_wind_speed", "kn", true, "ten-minute average; 1/31: 126 is that or more; NULL: not available")
	d.int32(&c.windGust, "met_wind_gust", "kn", true, "ten-minute maximum; 1/31: 126 is that or more; NULL: not available")
	d.int32(&c.windDirection, "met_wind_direction", "deg", true, "from where the wind blows; NULL: not available")
	d.int32(&c.gustDirection, "met_gust_direction", "deg", true, "from where the gust blows; NULL: not available")
	d.float(&c.airTemperature, "met_air_temperature", "Cel", "air temperature; NULL: not available")
	d.int32(&c.humidity, "met_humidity", "%", true, "relative humidity; NULL: not available")
	d.float(&c.dewPoint, "met_dew_point", "Cel", "dew point; NULL: not available")
	d.int32(&c.pressure, "met_pressure", "hPa", true, "air pressure; 1/31: 799 is that or less, 1201 that or more; NULL: not available")
	d.int32(&c.pressureTendency, "met_pressure_tendency", "", true, "0 steady, 1 decreasing, 2 increasing; NULL: not available")
	d.float(&c.visibility, "met_visibility", "nmi", "horizontal visibility; NULL: not available")
	d.bool(&c.visibilityGreater, "met_visibility_greater", true, "visibility is that or more (1/31); NULL: not available")
	d.float(&c.waterLevel, "met_water_level", "m", "deviation from the chart datum, tide included; NULL: not available")
	d.int32(&c.levelTrend, "met_level_trend", "", true, "0 steady, 1 decreasing, 2 increasing; NULL: not available")
	d.float(&c.currentSpeed, "met_current_speed", "kn", "surface current; 1/31: 25.1 is that or more; NULL: not available")
	d.int32(&c.currentDirection, "met_current_direction", "deg", true, "to where it flows; NULL: not available")
	d.float(&c.currentSpeed2, "met_current_speed_2", "kn", "current at the second depth; NULL: not available")
	d.int32(&c.currentDirection2, "met_current_direction_2", "deg", true, "to where it flows; NULL: not available")
	d.int32(&c.currentDepth2, "met_current_depth_2", "m", true, "second depth; NULL: not available")
	d.float(&c.currentSpeed3, "met_current_speed_3", "kn", "current at the third depth; NULL: not available")
	d.int32(&c.currentDirection3, "met_current_direction_3", "deg", true, "to where it flows; NULL: not available")
	d.int32(&c.currentDepth3, "met_current_depth_3", "m", true, "third depth; NULL: not available")
	d.float(&c.waveHeight, "met_wave_height", "m", "significant wave height; 1/31: 25.1 is that or more; NULL: not available")
	d.int32(&c.wavePeriod, "met_wave_period", "s", true, "wave period; NULL: not available")
	d.int32(&c.waveDirection, "met_wave_direction", "deg", true, "from where the waves come; NULL: not available")
	d.float(&c.swellHeight, "met_swell_height", "m", "swell height; 1/31: 25.1 is that or more; NULL: not available")
	d.int32(&c.swellPeriod, "met_swell_period", "s", true, "swell period; NULL: not available")
	d.int32(&c.swellDirection, "met_swell_direction", "deg", true, "from where the swell comes; NULL: not available")
	d.int32(&c.seaState, "met_sea_state", "", true, "Beaufort scale 0..12; NULL: not available")
	d.float(&c.waterTemperature, "met_water_temperature", "Cel", "water temperature; NULL: not available")
	d.int32(&c.precipitation, "met_precipitation", "", true, "1 rain, 2 thunderstorm, 3 freezing rain, 4 mixed or ice, 5 snow; NULL: not available")
	d.float(&c.salinity, "met_salinity", "1/1000", "salinity; NULL: not available")
	d.int32(&c.ice, "met_ice", "", true, "0 no, 1 yes; NULL: not available")
}

func (c *weatherCols) add(r *ais.Weather) {
	c.lat.addOpt(r.MetLat)
	c.lon.addOpt(r.MetLon)
	c.accuracy.addOpt(r.MetAccuracy)
	addOpt(&c.day, r.MetDay)
	addOpt(&c.hour, r.MetHour)
	addOpt(&c.minute, r.MetMinute)
	addOpt(&c.windSpeed, r.MetWindSpeed)
	addOpt(&c.windGust, r.MetWindGust)
	addOpt(&c.windDirection, r.MetWindDirection)
	addOpt(&c.gustDirection, r.MetGustDirection)
	c.airTemperature.addOpt(r.MetAirTemperature)
	addOpt(&c.humidity, r.MetHumidity)
	c.dewPoint.addOpt(r.MetDewPoint)
	addOpt(&c.pressure, r.MetPressure)
	addOpt(&c.pressureTendency, r.MetPressureTendency)
	c.visibility.addOpt(r.MetVisibility)
	c.visibilityGreater.addOpt(r.MetVisibilityGreater)
	c.waterLevel.addOpt(r.MetWaterLevel)
	addOpt(&c.levelTrend, r.MetLevelTrend)
	c.currentSpeed.addOpt(r.MetCurrentSpeed)
	addOpt(&c.currentDirection, r.MetCurrentDirection)
	c.currentSpeed2.addOpt(r.MetCurrentSpeed2)
	addOpt(&c.currentDirection2, r.MetCurrentDirection2)
	addOpt(&c.currentDepth2, r.MetCurrentDepth2)
	c.currentSpeed3.addOpt(r.MetCurrentSpeed3)
	addOpt(&c.currentDirection3, r.MetCurrentDirection3)
	addOpt(&c.currentDepth3, r.MetCurrentDepth3)
	c.waveHeight.addOpt(r.MetWaveHeight)
	addOpt(&c.wavePeriod, r.MetWavePeriod)
	addOpt(&c.waveDirection, r.MetWaveDirection)
	c.swellHeight.addOpt(r.MetSwellHeight)
	addOpt(&c.swellPeriod, r.MetSwellPeriod)
	addOpt(&c.swellDirection, r.MetSwellDirection)
	addOpt(&c.seaState, r.MetSeaState)
	c.waterTemperature.addOpt(r.MetWaterTemperature)
	addOpt(&c.precipitation, r.MetPrecipitation)
	c.salinity.addOpt(r.MetSalinity)
	addOpt(&c.ice, r.MetIce)
}

// monitorCols are ais.Monitor.
type monitorCols struct {
	supplyVoltage, voltage1, voltage2 floats
	racon, light, inputs              ints[int32]
	alarm, offPosition                bools
}

func (c *monitorCols) declare(d *declaration) {
	d.float(&c.supplyVoltage, "monitor_supply_voltage", "V", "the AIS unit's supply (6/235/10, 6/250/10); NULL: not available")
	d.float(&c.voltage1, "monitor_voltage_1", "V", "first external analogue input; NULL: not available")
	d.float(&c.voltage2, "monitor_voltage_2", "V", "second external analogue input; NULL: not available")
	d.int32(&c.racon, "monitor_racon", "", true, "0 none, 1 not monitored, 2 operational, 3 in error; NULL: not available")
	d.int32(&c.light, "monitor_light", "", true, "0 none or not monitored, 1 on, 2 off, 3 in error; NULL: not available")
	d.bool(&c.alarm, "monitor_alarm", true, "bad health; NULL: not available")
	d.int32(&c.inputs, "monitor_inputs", "", true, "eight digital inputs, input 7 highest; NULL: not available")
	d.bool(&c.offPosition, "monitor_off_position", true, "the aid has left its place; NULL: not available")
}

func (c *monitorCols) add(r *ais.Monitor) {
	c.supplyVoltage.addOpt(r.MonitorSupplyVoltage)
	c.voltage1.addOpt(r.MonitorVoltage1)
	c.voltage2.addOpt(r.MonitorVoltage2)
	addOpt(&c.racon, r.MonitorRacon)
	addOpt(&c.light, r.MonitorLight)
	c.alarm.addOpt(r.MonitorAlarm)
	addOpt(&c.inputs, r.MonitorInputs)
	c.offPosition.addOpt(r.MonitorOffPosition)
}
