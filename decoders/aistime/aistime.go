// Package aistime reads what an AIS message says of time: when it was sent, by
// the slot it states, and what the clock of its station showed.
//
// In:  the armoured payload of a message of one sentence (decoders/nmea).
// Out: a Heard; Start turns a slot into an instant.
//
// Tables and sections are those of ITU-R M.1371-5. A frame is one minute of UTC
// and has 2,250 slots, so a slot is 60/2250 s (annex 2, section 3.1.3); slot 0
// begins with the UTC minute. Everything here is pure and allocates nothing.
package aistime

import "time"

// Absent stands for what a message does not say.
const Absent = -1

// SlotsPerMinute is the number of slots of a frame.
const SlotsPerMinute = 2250

// Slot is the length of one slot, rounded down to a microsecond: 60/2250 s.
const Slot = 26_666 * time.Microsecond

// minute is a frame, in microseconds.
const minute = 60_000_000

// Heard is what one message says of time. Numbers are Absent where it says
// nothing, UTC is 0.
type Heard struct {
	// Type is the message type; 0: the payload cannot be read, and all else is
	// absent.
	Type uint8
	MMSI uint32
	// Slots is how many slots the transmission took.
	Slots int
	// Slot is the slot that the transmission began in, by its own word: the
	// SOTDMA communication state with slot time-out 2, 4 or 6 (annex 2, section
	// 3.3.7.2.2, table 19), of a station that is synchronised to UTC directly
	// (sync state 0) and whose message was not repeated.
	Slot int
	// Minutes is the UTC hour and minute, as minutes of the day, from the same
	// state with slot time-out 1.
	Minutes int
	// Second is the UTC second of the position fix, which comes before the
	// transmission (types 1, 2, 3, 9, 18).
	Second int
	// UTC is the date and time of types 4 and 11, whole seconds, in
	// microseconds since 1970.
	UTC int64
}

// The communication state takes bits 149 to 167 of the types that have one in a
// message of one slot.
const (
	stateAt    = 149
	selectorAt = 148
	oneSlot    = 168
)

// Read reads a payload with that many fill bits.
func Read(payload []byte, fill int) Heard {
	h := Heard{Slot: Absent, Minutes: Absent, Second: Absent}
	p := bits(payload)
	length := 6*len(payload) - fill
	kind, ok := p.at(0, 6)
	if !ok || length < 38 || kind == 0 || kind > 27 {
		return h
	}
	mmsi, _ := p.at(8, 30)
	h.Type, h.MMSI, h.Slots = uint8(kind), uint32(mmsi), Slots(length)
	if length < oneSlot {
		return h
	}
	switch kind {
	case 1, 2, 3:
		h.second(p, 137)
	case 9:
		h.second(p, 128)
	case 18:
		h.second(p, 133)
	case 4, 11:
		h.date(p)
	default:
		return h
	}
	selector, _ := p.at(selectorAt, 1)
	if kind != 3 && (kind != 9 && kind != 18 || selector == 0) {
		h.state(p)
	}
	return h
}

// Slots gives how many slots a message of that many bits takes: 168 in the
// first, 256 in each further one (annex 2, section 3.2.2.11).
func Slots(length int) int { return 1 + max(0, length-oneSlot+255)/256 }

// second reads the UTC second; 60 to 63 are none.
func (h *Heard) second(p bits, at int) {
	if s, ok := p.at(at, 6); ok && s < 60 {
		h.Second = int(s)
	}
}

// state reads the SOTDMA communication state: 2 bits sync state, 3 bits slot
// time-out, 14 bits sub message. That of type 3 is ITDMA's and has no slot.
func (h *Heard) state(p bits) {
	repeat, _ := p.at(6, 2)
	state, ok := p.at(stateAt, 19)
	if !ok || repeat != 0 || state>>17 != 0 {
		return
	}
	sub := int(state & 0x3FFF)
	switch state >> 14 & 7 {
	case 2, 4, 6:
		if sub < SlotsPerMinute {
			h.Slot = sub
		}
	case 1: // 5 bits hour, 7 bits minute, 2 bits unused
		if hour, min := sub>>9, sub>>2&0x7F; hour < 24 && min < 60 {
			h.Minutes = 60*hour + min
		}
	}
}

// date reads the date and time of a base station, table 50; stations without
// one send year 0.
func (h *Heard) date(p bits) {
	v, ok := p.at(38, 40)
	year, month, day := int(v>>26), int(v>>22&15), int(v>>17&31)
	hour, min, sec := int(v>>12&31), int(v>>6&63), int(v&63)
	if !ok || year == 0 || month < 1 || month > 12 || day < 1 || hour > 23 || min > 59 || sec > 59 {
		return
	}
	t := time.Date(year, time.Month(month), day, hour, min, sec, 0, time.UTC)
	if t.Day() == day { // no 30 February
		h.UTC = t.UnixMicro()
	}
}

// Start gives the last instant at or before a time at which that slot begins.
// Both are microseconds since 1970 UTC; the instant is rounded down.
func Start(slot int, before int64) int64 {
	begin := int64(slot) * minute / SlotsPerMinute
	into := (before - begin) % minute
	if into < 0 {
		into += minute
	}
	return before - into
}

// bits are an armoured payload: six bits a character (IEC 61162-1, VDM).
type bits []byte

// at reads n bits, 1 to 58, from bit i; false where they end or a character is
// none of the armour's.
func (p bits) at(i, n int) (uint64, bool) {
	var v uint64
	first, last := i/6, (i+n-1)/6
	if last >= len(p) {
		return 0, false
	}
	for _, c := range p[first : last+1] {
		c -= '0'
		if c >= 48 {
			c -= 8
		} else if c >= 40 {
			return 0, false
		}
		if c > 63 {
			return 0, false
		}
		v = v<<6 | uint64(c)
	}
	return v >> (6*last + 5 - (i + n - 1)) & (1<<n - 1), true
}
