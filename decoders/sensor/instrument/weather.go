package instrument

import (
	"math"

	"github.com/adrianmo/go-nmea"
)

// windUnits are the units of MWV.
var windUnits = map[string]string{nmea.UnitKMHMWV: "km/h", nmea.UnitMSMWV: "m/s", nmea.UnitKnotsMWV: "kn", nmea.UnitSMilesHMWV: "mi/h"}

// wind takes MWV, MWD, VWR, VWT and MDA. Apparent is relative to the moving
// ship, true relative to the water or the ground; angles are from the bow,
// clockwise, directions from north, whence it blows.
func (r *rows) wind(s nmea.Sentence) bool {
	switch s := s.(type) {
	case nmea.MWV:
		kind := "apparent"
		if s.Reference == nmea.TheoreticalMWV {
			kind = "true"
		}
		r.valid(s.StatusValid)
		r.number(0, "wind_angle_"+kind, "deg", s.WindAngle)
		r.number(2, "wind_speed_"+kind, windUnits[s.WindSpeedUnit], s.WindSpeed)
	case nmea.MWD:
		r.number(0, "wind_direction_true", "deg", s.WindDirectionTrue)
		r.number(2, "wind_direction_magnetic", "deg", s.WindDirectionMagnetic)
		r.windSpeed("wind_speed_true", 4, s.WindSpeedKnots, 6, s.WindSpeedMeters)
	case nmea.VWR:
		r.number(0, "wind_angle_apparent", "deg", fromBow(s.MeasuredAngle, s.MeasuredDirectionBow))
		r.windSpeed("wind_speed_apparent", 2, s.SpeedKnots, 4, s.SpeedMPS)
	case nmea.VWT:
		r.number(0, "wind_angle_true", "deg", fromBow(s.TrueAngle, s.TrueDirectionBow))
		r.windSpeed("wind_speed_true", 2, s.SpeedKnots, 4, s.SpeedMPS)
	case nmea.MDA:
		r.number(2, "air_pressure", "bar", s.PressureBar)
		r.number(4, "air_temperature", "Cel", s.AirTemp)
		r.number(6, "water_temperature", "Cel", s.WaterTemp)
		r.number(8, "relative_humidity", "%", s.RelativeHum)
		r.number(10, "dew_point", "Cel", s.DewPoint)
		r.number(12, "wind_direction_true", "deg", s.WindDirectionTrue)
		r.number(14, "wind_direction_magnetic", "deg", s.WindDirectionMagnetic)
		r.windSpeed("wind_speed_true", 16, s.WindSpeedKnots, 18, s.WindSpeedMeters)
	default:
		return false
	}
	return true
}

// windSpeed adds one speed of a sentence that states it twice: the knots, or
// the metres per second where there are none.
func (r *rows) windSpeed(metric string, knotsField int, knots float64, metresField int, metres float64) {
	if r.has(knotsField) {
		r.number(knotsField, metric, "kn", knots)
		return
	}
	r.number(metresField, metric, "m/s", metres)
}

// fromBow makes of an angle to the left or right of the bow one that runs
// clockwise to 360.
func fromBow(angle float64, side string) float64 {
	if side == nmea.Left {
		return math.Mod(360-angle, 360)
	}
	return angle
}

const metresPerFoot = 0.3048

// water takes DBT, DBS, DBK, DPT, MTW, VHW, VBW and VLW.
func (r *rows) water(s nmea.Sentence) bool {
	switch s := s.(type) {
	case nmea.DBT:
		r.depth("depth_below_transducer", s.DepthMeters, s.DepthFeet)
	case nmea.DBS:
		r.depth("depth_below_surface", s.DepthMeters, s.DepthFeet)
	case nmea.DBK:
		r.depth("depth_below_keel", s.DepthMeters, s.DepthFeet)
	case nmea.DPT:
		r.number(0, "depth_below_transducer", "m", s.Depth)
		r.number(1, "transducer_offset", "m", s.Offset)
	case nmea.MTW:
		r.number(0, "water_temperature", "Cel", s.Temperature)
	case nmea.VHW:
		r.number(0, "heading_true", "deg", s.TrueHeading)
		r.number(2, "heading_magnetic", "deg", s.MagneticHeading)
		r.number(4, "speed_through_water", "kn", s.SpeedThroughWaterKnots)
	case nmea.VBW:
		r.valid(s.WaterSpeedStatusValid)
		r.number(0, "speed_through_water_longitudinal", "kn", s.LongitudinalWaterSpeedKnots)
		r.number(1, "speed_through_water_transverse", "kn", s.TransverseWaterSpeedKnots)
		r.valid(s.GroundSpeedStatusValid)
		r.number(3, "speed_over_ground_longitudinal", "kn", s.LongitudinalGroundSpeedKnots)
		r.number(4, "speed_over_ground_transverse", "kn", s.TransverseGroundSpeedKnots)
	case nmea.VLW:
		r.number(0, "distance_through_water", "nmi", s.TotalInWater)
		r.number(2, "distance_through_water_trip", "nmi", s.SinceResetInWater)
		r.number(4, "distance_over_ground", "nmi", s.TotalOnGround)
		r.number(6, "distance_over_ground_trip", "nmi", s.SinceResetOnGround)
	default:
		return false
	}
	return true
}

// depth adds one depth of a sentence that states it in feet, metres and
// fathoms.
func (r *rows) depth(metric string, metres, feet float64) {
	if r.has(2) {
		r.number(2, metric, "m", metres)
		return
	}
	r.number(0, metric, "m", feet*metresPerFoot)
}
