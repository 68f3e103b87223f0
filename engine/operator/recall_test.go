package operator

import (
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// TestHalvesAreRecalled: of the newest published row of a ship, whichever half it
// is, the state knows what it knew.
func TestHalvesAreRecalled(t *testing.T) {
	const at = 1_000_000 * second
	times := table.Times{EventTime: at, TimeSource: record.TimeTag}
	a := ais.Static{Header: ais.Header{MMSI: 200000001, MsgType: 24}, Part: 'A', Shipname: ais.Some("SIM ONE")}
	b := ais.Static{Header: a.Header, Part: 'B', Callsign: ais.Some("SIM1"), UnitSerial: ais.Some[uint32](9), MothershipMMSI: ais.Some[uint32](5)}
	for name, heard := range map[string][]ais.Static{"A": {a}, "B": {b}, "A and B": {a, b}, "B and A": {b, a}} {
		t.Run(name, func(t *testing.T) {
			was, now := newOperators(t), newOperators(t)
			c := &Context{Gateway: "g", Watermark: record.NoTime}
			var published ais.Static
			for _, row := range heard {
				was.static.fill(c, times, &row)
				published = row
			}
			now.static.Recall("g", at, &published)
			key := halfKey{Gateway: "g", MMSI: a.MMSI}
			want, _ := was.static.ships.Get(key)
			if got, ok := now.static.ships.Get(key); !ok || got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			now.static.Advance("g", at+StaticHorizon+2*expiryStep)
			if now.static.ships.Len() != 0 {
				t.Error("it is remembered beyond the horizon")
			}
		})
	}
	if RemembersHalf(at+StaticHorizon+1, at) || !RemembersHalf(at+StaticHorizon, at) || RemembersHalf(at-maxAhead-1, at) || !RemembersHalf(record.NoTime, at) {
		t.Error("what is remembered is not what the operator remembers")
	}
}

// TestWindowsAreRecalled: readings go into the windows that have not closed,
// whatever the watermark is, and into no other.
func TestWindowsAreRecalled(t *testing.T) {
	w := newWindowed(t, WindowConfig{Size: 60 * 1e9})
	w.ClosedUpTo("g", int64(windowStart+60*second))
	w.ClosedUpTo("g", int64(windowStart))
	for _, at := range []record.Micros{windowStart + 59*second, windowStart + 60*second, windowStart + 61*second, windowStart + 120*second} {
		r := reading("g", at, 1)
		w.Recall(&Context{Gateway: "g", Watermark: windowStart + 3600*second, LandedAt: windowStart + 3600*second}, &r)
	}
	if got := w.closing("g", windowStart+3600*second); got != "60+60: 2;120+60: 1;" {
		t.Errorf("closed %s", got)
	}
}
