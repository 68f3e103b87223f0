package parquet

import (
	"landfall/edge/record"
	"landfall/engine/stream"
)

// farDates decides under which date a stage files a row whose event time is not near its
// landing. Each date costs a file a table, memory and time at the end of the epoch, and
// event times are what whoever sends them likes: so a gateway has a share of them.
//
// What it decides follows from the rows in the order in which they come, and when they
// landed: an epoch that is made again has the same files.
type farDates struct {
	every     bool // no bound: Config.EveryDate
	of        map[string]map[day]bool
	all       map[day]bool
	elsewhere map[string]uint64
	many      bool
}

// nearDays is how many days an event may lie before or after the date on which it landed
// without counting.
const nearDays = 1

// file returns the date of a row of a gateway. at is its event time, as far as it has
// one that counts; landed the date on which it landed.
func (f *farDates) file(gateway string, at record.Micros, landed day) day {
	d, ok := dayOf(at)
	switch {
	case !ok:
		return landed
	case d >= landed-nearDays && d <= landed+nearDays, f.every || f.of[gateway][d]:
		return d
	case len(f.of[gateway]) >= stream.MaxFarDates, len(f.all) >= stream.MaxAllFarDates && !f.all[d]:
		if f.elsewhere == nil {
			f.elsewhere = map[string]uint64{}
		}
		f.elsewhere[gateway]++
		return landed
	}
	f.open(gateway, d)
	return d
}

func (f *farDates) open(gateway string, d day) {
	if f.of == nil {
		f.of, f.all = map[string]map[day]bool{}, map[day]bool{}
	}
	if f.of[gateway] == nil {
		f.of[gateway] = map[day]bool{}
	}
	f.of[gateway][d], f.all[d] = true, true
	f.many = f.many || len(f.of[gateway]) >= stream.MaxFarDates/2 || len(f.all) >= stream.MaxAllFarDates/2
}

// ManyDates implements stream.Dated.
func (s *Stage) ManyDates() bool { return s.far.many }

// Dates implements stream.Dated.
func (s *Stage) Dates() map[string]int {
	n := make(map[string]int, len(s.far.of))
	for gateway, days := range s.far.of {
		n[gateway] = len(days)
	}
	return n
}

// Elsewhere implements stream.Dated.
func (s *Stage) Elsewhere() map[string]uint64 { return s.far.elsewhere }
