package instrument

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/sensor"
)

// shown is readings as text: sensor metric value unit, and the quality where it
// is not good.
func shown(readings []sensor.Reading) string {
	var all []string
	for _, g := range readings {
		v := fmt.Sprintf("%.6g", g.Number)
		if g.Kind == sensor.Text {
			v = g.Text
		}
		s := strings.TrimSpace(fmt.Sprintf("%s %s %s %s", g.Sensor, g.Metric, v, g.Unit))
		if g.Quality != sensor.QualityGood {
			s += " " + g.Quality.String()
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

// TestSentences: values by hand from the sentences' definitions (IEC 61162-1).
func TestSentences(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{"$WIMWV,297.6,R,5.6,N,A", "WI wind_angle_apparent 297.6 deg; WI wind_speed_apparent 5.6 kn"},
		{"$WIMWV,010.0,T,5.6,M,A", "WI wind_angle_true 10 deg; WI wind_speed_true 5.6 m/s"},
		{"$WIMWV,010.0,R,,K,V", "WI wind_angle_apparent 10 deg bad"},
		{"$WIMWD,181.0,T,180.4,M,5.2,N,2.7,M", "WI wind_direction_true 181 deg; WI wind_direction_magnetic 180.4 deg; WI wind_speed_true 5.2 kn"},
		{"$WIMWD,,T,,M,,N,2.7,M", "WI wind_speed_true 2.7 m/s"},
		{"$IIVWR,045.0,L,12.6,N,6.5,M,23.3,K", "II wind_angle_apparent 315 deg; II wind_speed_apparent 12.6 kn"},
		{"$IIVWR,000.0,L,,N,6.5,M,23.3,K", "II wind_angle_apparent 0 deg; II wind_speed_apparent 6.5 m/s"},
		{"$IIVWT,030.,R,10.1,N,05.2,M,018.7,K", "II wind_angle_true 30 deg; II wind_speed_true 10.1 kn"},
		{"$WIMDA,29.9,I,1.013,B,21.5,C,,C,60.1,,13.4,C,181.0,T,,M,5.2,N,2.7,M", "WI air_pressure 1.013 bar; WI air_temperature 21.5 Cel; WI relative_humidity 60.1 %; WI dew_point 13.4 Cel; WI wind_direction_true 181 deg; WI wind_speed_true 5.2 kn"},
		{"$SDDBT,7.8,f,2.4,M,1.3,F", "SD depth_below_transducer 2.4 m"},
		{"$SDDBT,10.0,f,,M,,F", "SD depth_below_transducer 3.048 m"},
		{"$SDDBS,10.0,f,3.1,M,,F", "SD depth_below_surface 3.1 m"},
		{"$SDDBK,10.0,f,3.2,M,,F", "SD depth_below_keel 3.2 m"},
		{"$SDDPT,0.5,-1.5,", "SD depth_below_transducer 0.5 m; SD transducer_offset -1.5 m"},
		{"$SDMTW,12.6,C", "SD water_temperature 12.6 Cel"},
		{"$VWVHW,45.0,T,43.0,M,3.5,N,6.4,K", "VW heading_true 45 deg; VW heading_magnetic 43 deg; VW speed_through_water 3.5 kn"},
		{"$VWVHW,,T,,M,0.0,N,0.0,K", "VW speed_through_water 0 kn"},
		{"$VDVBW,12.3,-0.1,A,11.8,,V", "VD speed_through_water_longitudinal 12.3 kn; VD speed_through_water_transverse -0.1 kn; VD speed_over_ground_longitudinal 11.8 kn bad"},
		{"$SDVLW,322.0,N,2328.9,N", "SD distance_through_water 322 nmi; SD distance_through_water_trip 2328.9 nmi"},
		{"$HEHDT,274.07,T", "HE heading_true 274.07 deg"},
		{"$HCHDM,238.5,M", "HC heading_magnetic 238.5 deg"},
		{"$SDHDG,181.7,1.0,W,0.6,E", "SD heading_magnetic 181.7 deg; SD magnetic_deviation -1 deg; SD magnetic_variation 0.6 deg"},
		{"$HETHS,271.2,E", "HE heading_true 271.2 deg uncertain"},
		{"$HETHS,271.2,V", "HE heading_true 271.2 deg bad"},
		{"$TIROT,-3.5,A", "TI rate_of_turn -3.5 deg/min"},
		{"$TIROT,-3.5,V", "TI rate_of_turn -3.5 deg/min bad"},
		{"$ERRPM,E,1,1418.2,10.5,A", "ER/engine1 rotation 1418.2 1/min; ER/engine1 propeller_pitch 10.5 %"},
		{"$ERRPM,S,2,80.1,,V", "ER/shaft2 rotation 80.1 1/min bad"},
		{"$AGRSA,10.5,A,-9.0,V", "AG rudder_angle_starboard 10.5 deg; AG rudder_angle_port -9 deg bad"},
		{"$ERXDR,P,456000,P,OIL,C,87.5,C,COOLANT,T,1418,R,ENGINE#0,G,12,,", "ER/OIL pressure 456000 Pa; ER/COOLANT temperature 87.5 Cel; ER/ENGINE#0 rotation 1418 1/min; ER value 12"},
		{"$ERXDR,V,0.5,M,FUEL#0,D,0.5,M,LIFT,H,40,P,HOLD,C,,C,DEAD", "ER/FUEL#0 volume 0.5 m3; ER/LIFT displacement 0.5 m; ER/HOLD relative_humidity 40 %"},
		{"$GPRMC,213950.00,A,5250.53669,N,00542.34920,E,0.020,,070420,1.5,W,A", "GP latitude 52.8423 deg; GP longitude 5.70582 deg; GP speed_over_ground 0.02 kn; GP magnetic_variation -1.5 deg"},
		{"$GPRMC,213950.00,V,,,,,,,070420,,,N", ""},
		{"$GPRMC,213950.00,V,5250.5,S,00542.3,W,,,070420,,,N", "GP latitude -52.8417 deg bad; GP longitude -5.705 deg bad"},
		{"$GPRMC,213950.00,A,5250.5,S,00542.3,W,,,070420,,,E", "GP latitude -52.8417 deg uncertain; GP longitude -5.705 deg uncertain"},
		{"$GPGGA,213950.00,5250.53669,N,00542.34920,E,1,09,1.03,-6.0,M,45.8,M,,", "GP latitude 52.8423 deg; GP longitude 5.70582 deg; GP altitude -6 m; GP geoid_separation 45.8 m; GP hdop 1.03; GP satellites_used 9"},
		{"$GPGGA,213950.00,,,,,0,00,99.99,,,,,,", "GP hdop 99.99 bad; GP satellites_used 0"},
		{"$GPGGA,213950.00,5250.5,N,00542.3,E,8,09,,,,,,,", "GP latitude 52.8417 deg uncertain; GP longitude 5.705 deg uncertain; GP satellites_used 9"},
		{"$GPGLL,5250.5,N,00542.3,E,213950.00,A,S", "GP latitude 52.8417 deg uncertain; GP longitude 5.705 deg uncertain"},
		{"$GNGNS,213950.00,5250.5,N,00542.3,E,NA,15,1.2,40.1,45.2,,", "GN latitude 52.8417 deg; GN longitude 5.705 deg; GN altitude 40.1 m; GN geoid_separation 45.2 m; GN hdop 1.2; GN satellites_used 15"},
		{"$GNGNS,213950.00,,,,,NN,00,,,,,", "GN satellites_used 0"},
		{"$GPVTG,360.0,T,348.7,M,000.0,N,000.0,K,D", "GP course_over_ground_true 360 deg; GP course_over_ground_magnetic 348.7 deg; GP speed_over_ground 0 kn"},
		{"$GPGSA,A,1,,,,,,,,,,,,,9.9,9.8,9.7", "GP pdop 9.9 bad; GP hdop 9.8 bad; GP vdop 9.7 bad"},
		{"$GPGSV,3,1,11,03,03,111,00", "GP satellites_in_view 11"},
		{"$WIMWV,nan,R,5.6,N,A", "WI wind_angle_apparent nan deg bad_value; WI wind_speed_apparent 5.6 kn"},
	} {
		var d Decoder
		got, err := d.Decode([]byte(tt.body), nil)
		if shown(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s\n got %s (%v)\nwant %s", tt.body, shown(got), err, tt.want)
		}
	}
}

func TestWhyThereAreNone(t *testing.T) {
	before := []sensor.Reading{{Sensor: "before"}}
	for body, want := range map[string]*Error{
		"$GPZDA,201530.00,04,07,2002,00,00": ErrUnknown, "$XXQQQ,1": ErrUnknown, "$PABCD,1": ErrUnknown,
		"$SDDPT,x,1,": ErrFields, "$SDDPT": ErrFields, "$IIXDR,C,1,C": ErrFields, "$": ErrFields, "": ErrFields,
		"$GPRMC,213950.00,A,5290.5,X,,,0,,070420,,,A": ErrFields,
		"$VWVHW,,T,,M,,N,,K":                          ErrEmpty,
		"$GPGSV,3,2,11,03,03,111,00":                  ErrEmpty,
	} {
		var d Decoder
		got, err := d.Decode([]byte(body), before)
		if !errors.Is(err, want) || len(got) != 1 {
			t.Errorf("%q: %v, %d readings, want %v", body, err, len(got), want)
		}
	}
}

// FuzzDecode: no input panics, and what was there before stays.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"$WIMWV,297.6,R,5.6,N,A", "$ERXDR,P,456000,P,OIL,C,87.5,C,X", "$GPRMC,213950.00,A,5250.53669,N,00542.34920,E,0.020,,070420,1.5,W,A",
		"$GPGSA,A,1,,,,,,,,,,,,,9.9,9.8,9.7", "$GNGNS,213950.00,,,,,NN,00,,,,,", "$GPGSV,3,1,11,03,03,111,00", "$FRALR,x", "$ALC", "$PGRME,1", "$IITLL,1", "!AIVDM,1,1,,A,1,0", `\s:x*00\$SDDPT,1,1,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var d Decoder
		got, err := d.Decode([]byte(body), []sensor.Reading{{Sensor: "before"}})
		if len(got) < 1 || got[0].Sensor != "before" || (len(got) > 1) != (err == nil) {
			t.Errorf("%q: %v, %+v", body, err, got)
		}
	})
}
