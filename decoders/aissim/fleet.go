package aissim

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// The harbour: a bay of about 30 by 30 nautical miles, invented, at a latitude
// where a degree of longitude is clearly shorter than one of latitude.
const (
	harbourLat = 57.6
	harbourLon = 11.4
	halfHeight = 0.25 // degrees of latitude
	halfWidth  = 0.45 // degrees of longitude
)

type stationKind uint8

const (
	classA stationKind = iota
	classB
	baseStation
	atoN
	aircraft
)

// station is anything that transmits, and how it moves.
type station struct {
	kind     stationKind
	mmsi     uint32
	lat, lon float64 // degrees, at the time moved
	moved    int64   // microseconds
	course   float64 // degrees
	speed    float64 // knots; 0 at berth
	rot      float64 // degrees per minute
	wpLat    float64 // where it is heading
	wpLon    float64
	status   uint8 // navigational status
	timeout  uint8 // SOTDMA slot time-out

	imo                       uint32
	name, callsign            string
	destination               string
	shipType                  uint8
	bow, stern, port, starb   uint32
	draught                   uint32 // 1/10 m
	etaMonth, etaDay, etaHour uint32
	mothership                uint32 // of an auxiliary craft
}

var names = [...]string{
	"ASTER", "BRANT", "CORAL", "DRIFT", "EIDER", "FJORD", "GANNET", "HERON", "ISLAY", "JUNIPER",
	"KELP", "LARK", "MARLIN", "NEREID", "OSPREY", "PLOVER", "QUAY", "RAZORBILL", "SKUA", "TERN",
}

var destinations = [...]string{"SIM OUTER PORT", "SIM QUAY 4", "SIM ROADS", "SIM BAY", "SIM LOCK NORTH"}

// newFleet makes the stations of cfg: ships, base stations, aids, an aircraft.
func newFleet(cfg Config, r *rand.Rand) []station {
	fleet := make([]station, 0, cfg.Ships+cfg.BaseStations+cfg.AtoNs+1)
	for i := range cfg.Ships {
		fleet = append(fleet, newShip(i, cfg.Start, r))
	}
	for i := range cfg.BaseStations {
		s := station{kind: baseStation, mmsi: 2_000_001 + uint32(i), moved: cfg.Start}
		s.place(r)
		fleet = append(fleet, s)
	}
	for i := range cfg.AtoNs {
		s := station{
			kind: atoN, mmsi: 992_000_001 + uint32(i), moved: cfg.Start,
			name: fmt.Sprintf("SIM BUOY %d", i+1), shipType: uint8(1 + i%31),
		}
		if i%3 == 2 {
			s.name = fmt.Sprintf("SIM FAIRWAY LIGHT %05d", i+1) // longer than 20: has an extension
		}
		s.place(r)
		fleet = append(fleet, s)
	}
	s := station{
		kind: aircraft, mmsi: 111_200_001, moved: cfg.Start, speed: 120, name: "SIM RESCUE 1",
	}
	s.place(r)
	s.aim(r)
	return append(fleet, s)
}

func newShip(i int, start int64, r *rand.Rand) station {
	s := station{
		kind:     classA,
		mmsi:     200_000_001 + uint32(i),
		moved:    start,
		name:     fmt.Sprintf("SIM %s %d", names[i%len(names)], i),
		callsign: fmt.Sprintf("S%06d", i%1_000_000),
		shipType: [...]uint8{70, 80, 60, 52, 30, 37}[i%6],
		bow:      uint32(5 + r.IntN(150)),
		stern:    uint32(5 + r.IntN(40)),
		port:     uint32(2 + r.IntN(15)),
		starb:    uint32(2 + r.IntN(15)),
	}
	s.place(r)
	s.aim(r)
	s.course = bearing(&s)
	if i%3 == 2 {
		s.kind = classB
		s.speed = 2 + 8*r.Float64()
		s.bow, s.stern, s.port, s.starb = s.bow%12+1, s.stern%6+1, 1, 2
		if i%30 == 29 {
			s.mmsi = 982_000_001 + uint32(i)
			s.mothership = 200_000_001
		}
		return s
	}
	s.imo = 9_000_000 + uint32(i)%1_000_000
	s.draught = uint32(20 + r.IntN(120))
	s.destination = destinations[r.IntN(len(destinations))]
	s.etaMonth, s.etaDay, s.etaHour = uint32(1+r.IntN(12)), uint32(1+r.IntN(28)), uint32(r.IntN(24))
	if i%4 == 1 {
		s.status = 5 // moored
		return s
	}
	s.speed = 4 + 18*r.Float64()
	return s
}

// place puts the station somewhere in the harbour.
func (s *station) place(r *rand.Rand) {
	s.lat = harbourLat + halfHeight*(2*r.Float64()-1)
	s.lon = harbourLon + halfWidth*(2*r.Float64()-1)
}

// aim chooses the next waypoint.
func (s *station) aim(r *rand.Rand) {
	s.wpLat = harbourLat + halfHeight*(2*r.Float64()-1)
	s.wpLon = harbourLon + halfWidth*(2*r.Float64()-1)
}

// move sails the station on to the time now: ahead on its course, turning
// towards its waypoint by at most 30 degrees a minute.
func (s *station) move(now int64, r *rand.Rand) {
	dt := float64(now-s.moved) / 1e6 // seconds
	s.moved = now
	if s.speed == 0 || dt <= 0 {
		s.rot = 0
		return
	}
	want := bearing(s)
	turn := math.Mod(want-s.course+540, 360) - 180
	limit := 0.5 * dt
	turn = max(-limit, min(limit, turn))
	s.course = math.Mod(s.course+turn+360, 360)
	s.rot = turn / dt * 60
	sin, cos := math.Sincos(s.course * math.Pi / 180)
	run := s.speed * dt / 3600 / 60 // degrees of latitude
	s.lat += run * cos
	s.lon += run * sin / cosHarbour
	if math.Abs(s.wpLat-s.lat) < 0.01 && math.Abs(s.wpLon-s.lon) < 0.02 {
		s.aim(r)
	}
}

// cosHarbour is the cosine of harbourLat.
const cosHarbour = 0.53582679

// bearing is the direction from the station to its waypoint, degrees.
func bearing(s *station) float64 {
	d := math.Atan2((s.wpLon-s.lon)*cosHarbour, s.wpLat-s.lat) * (180 / math.Pi)
	return math.Mod(d+360, 360)
}
