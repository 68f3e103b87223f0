package nmea_test

import (
	"testing"

	"landfall/decoders/nmea"
)

func TestMessageParse(t *testing.T) {
	first := tag("g:1-2-5,s:rx") + frag(2, 1, 3, "5a")
	second := tag("g:2-2-5") + vdm("AIVDM,2,2,3,A,5b,2") + ",r1"
	for _, c := range []struct {
		name, raw string
		err       error
	}{
		{"one", vdm(one), nil},
		{"two", first + "\n" + second, nil},
		{"half", first, nmea.ErrNumber},
		{"other half", second, nmea.ErrNumber},
		{"backwards", second + "\n" + first, nmea.ErrNumber},
		{"one too many", first + "\n" + second + "\n" + second, nmea.ErrNumber},
		{"two in a line", vdm(one) + vdm(one), nmea.ErrNotVDM},
		{"text", "# nothing", nmea.ErrNotVDM},
		{"empty", "", nmea.ErrNotVDM},
		{"line after", vdm(one) + "\n", nmea.ErrNotVDM},
	} {
		var m nmea.Message
		if err := m.Parse([]byte(c.raw)); err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	var m nmea.Message
	for range 2 { // used again
		if err := m.Parse([]byte(first + "\n" + second)); err != nil {
			t.Fatal(err)
		}
		if string(m.Payload) != "5a5b" || m.Fill != 2 || m.First.Seq != 3 || string(m.Station) != "rx" ||
			m.Flags != nmea.FlagSuffix {
			t.Errorf("%+v", m)
		}
	}
}
