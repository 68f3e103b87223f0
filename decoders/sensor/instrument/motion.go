package instrument

import (
	"fmt"

	"github.com/adrianmo/go-nmea"

	"landfall/decoders/sensor"
)

// heading takes HDT, HDM, HDG, THS and ROT.
func (r *rows) heading(s nmea.Sentence) bool {
	switch s := s.(type) {
	case nmea.HDT:
		r.number(0, "heading_true", "deg", s.Heading)
	case nmea.HDM:
		r.number(0, "heading_magnetic", "deg", s.Heading)
	case nmea.HDG:
		r.number(0, "heading_magnetic", "deg", s.Heading)
		r.number(1, "magnetic_deviation", "deg", eastward(s.Deviation, s.DeviationDirection))
		r.number(3, "magnetic_variation", "deg", eastward(s.Variation, s.VariationDirection))
	case nmea.THS:
		r.mode(s.Status)
		r.number(0, "heading_true", "deg", s.Heading)
	case nmea.ROT:
		r.valid(s.Valid)
		r.number(0, "rate_of_turn", "deg/min", s.RateOfTurn)
	default:
		return false
	}
	return true
}

// eastward makes west negative.
func eastward(v float64, side string) float64 {
	if side == nmea.West {
		return -v
	}
	return v
}

// machinery takes RPM, RSA and XDR.
func (r *rows) machinery(s nmea.Sentence) bool {
	switch s := s.(type) {
	case nmea.RPM:
		kind := "engine"
		if s.Source == nmea.SourceShaftRPM {
			kind = "shaft"
		}
		r.sensor = fmt.Sprintf("%s/%s%d", r.sensor, kind, s.EngineNumber)
		r.valid(s.Status == nmea.StatusValid)
		r.number(2, "rotation", "1/min", s.SpeedRPM)
		r.number(3, "propeller_pitch", "%", s.PitchPercent)
	case nmea.RSA:
		r.valid(s.StarboardRudderAngleStatus == nmea.StatusValid)
		r.number(0, "rudder_angle_starboard", "deg", s.StarboardRudderAngle)
		r.valid(s.PortRudderAngleStatus == nmea.StatusValid)
		r.number(2, "rudder_angle_port", "deg", s.PortRudderAngle)
	case nmea.XDR:
		r.transducers(s)
	default:
		return false
	}
	return true
}

// transducer is a type of XDR: its metric, and the unit of each letter.
type transducer struct {
	metric string
	units  map[string]string
}

// transducers of IEC 61162-1 (8.3, XDR). A letter means another unit with
// another type: M is metres of depth and cubic metres of volume.
var transducers = map[string]transducer{
	nmea.TransducerAngularDisplacementXDR: {"angle", map[string]string{"D": "deg"}},
	nmea.TransducerTemperatureXDR:         {"temperature", map[string]string{"C": "Cel", "K": "K"}},
	nmea.TransducerDepthXDR:               {"displacement", map[string]string{"M": "m"}},
	nmea.TransducerFrequencyXDR:           {"frequency", map[string]string{"H": "Hz"}},
	nmea.TransducerHumidityXDR:            {"relative_humidity", map[string]string{"P": "%"}},
	nmea.TransducerForceXDR:               {"force", map[string]string{"N": "N"}},
	nmea.TransducerPressureXDR:            {"pressure", map[string]string{"B": "bar", "P": "Pa"}},
	nmea.TransducerFlowXDR:                {"flow", map[string]string{"I": "L/s"}},
	nmea.TransducerAbsoluteHumidityXDR:    {"absolute_humidity", map[string]string{"K": "kg/m3"}},
	nmea.TransducerGenericXDR:             {"value", nil},
	nmea.TransducerCurrentXDR:             {"current", map[string]string{"A": "A"}},
	nmea.TransducerSalinityXDR:            {"salinity", map[string]string{"S": "1/1000"}},
	nmea.TransducerSwitchValveXDR:         {"switch", nil},
	nmea.TransducerTachometerXDR:          {"rotation", map[string]string{"R": "1/min"}},
	nmea.TransducerVoltageXDR:             {"voltage", map[string]string{"V": "V"}},
	nmea.TransducerVolumeXDR:              {"volume", map[string]string{"M": "m3"}},
}

// transducers adds the measurements of XDR. A unit that its type does not have
// stays the letter that was sent.
func (r *rows) transducers(s nmea.XDR) {
	talker := r.sensor
	for i := range s.Measurements {
		m := &s.Measurements[i]
		t, known := transducers[m.TransducerType]
		if !known {
			t.metric = "value"
		}
		unit, known := t.units[m.Unit]
		if !known {
			unit = m.Unit
		}
		r.sensor = talker
		if m.TransducerName != "" {
			r.sensor = talker + "/" + m.TransducerName
		}
		r.number(4*i+1, t.metric, unit, m.Value)
	}
}

// gnss takes RMC, GGA, GLL, GNS, VTG, GSA and GSV.
func (r *rows) gnss(s nmea.Sentence) bool {
	switch s := s.(type) {
	case nmea.RMC:
		r.valid(s.Validity == nmea.ValidRMC)
		r.mode(s.FFAMode)
		r.position(2, s.Latitude, s.Longitude)
		r.number(6, "speed_over_ground", "kn", s.Speed)
		r.number(7, "course_over_ground_true", "deg", s.Course)
		r.number(9, "magnetic_variation", "deg", s.Variation)
	case nmea.GGA:
		r.valid(s.FixQuality != nmea.Invalid)
		if s.FixQuality == nmea.EST {
			r.quality = sensor.QualityUncertain
		}
		r.position(1, s.Latitude, s.Longitude)
		r.number(8, "altitude", "m", s.Altitude)
		r.number(10, "geoid_separation", "m", s.Separation)
		r.number(7, "hdop", "", s.HDOP)
		r.valid(true) // what follows says how good the fix is, and holds without one
		r.number(6, "satellites_used", "", float64(s.NumSatellites))
	case nmea.GLL:
		r.valid(s.Validity == nmea.ValidGLL)
		r.mode(s.FFAMode)
		r.position(0, s.Latitude, s.Longitude)
	case nmea.GNS:
		r.gnsMode(s.Mode)
		r.position(1, s.Latitude, s.Longitude)
		r.number(8, "altitude", "m", s.Altitude)
		r.number(9, "geoid_separation", "m", s.Separation)
		r.number(7, "hdop", "", s.HDOP)
		r.valid(true)
		r.number(6, "satellites_used", "", float64(s.SVs))
	case nmea.VTG:
		r.mode(s.FFAMode)
		r.number(0, "course_over_ground_true", "deg", s.TrueTrack)
		r.number(2, "course_over_ground_magnetic", "deg", s.MagneticTrack)
		r.number(4, "speed_over_ground", "kn", s.GroundSpeedKnots)
	case nmea.GSA:
		r.valid(s.FixType != nmea.FixNone)
		r.number(14, "pdop", "", s.PDOP)
		r.number(15, "hdop", "", s.HDOP)
		r.number(16, "vdop", "", s.VDOP)
	case nmea.GSV:
		if s.MessageNumber == 1 { // each message of a group repeats it
			r.number(2, "satellites_in_view", "", float64(s.NumberSVsInView))
		}
	default:
		return false
	}
	return true
}

func (r *rows) position(field int, lat, lon float64) {
	r.number(field, "latitude", "deg", lat)
	r.number(field+2, "longitude", "deg", lon)
}

// gnsMode takes the modes of GNS, one a system: the best of them counts.
func (r *rows) gnsMode(modes []string) {
	best := sensor.QualityBad
	for _, m := range modes {
		r.valid(true)
		if r.mode(m); r.quality < best {
			best = r.quality
		}
	}
	r.quality = best
}
