package ais_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
)

// The reasons why an oracle may differ from us. Each is a rule about the
// sentences themselves, tested on every message it is given for; none knows a
// file or a number.
const (
	whyChecksum   = "checksum"
	whyContested  = "contested id"
	whyChimera    = "joined across ids"
	whyPastEnd    = "past the end"
	whyRadio      = "cut communication state"
	whyPart       = "undefined part"
	whyEarly      = "no spare bits after the addressee"
	whyMode       = "shorter than its mode"
	whyTail26     = "data to the end"
	whyExtension  = "no name extension"
	whyMidnight   = "midnight not available"
	whyLength     = "application of another length"
	whyChannel    = "channel"
	whyDisturbed  = "one slot a channel"
	whyGpsdLength = "length refused"
	whyFill       = "six fill bits"
	whyField      = "one field too many"
	whyNotInInput = "not in the oracle's input"
	whyTalker     = "talker"
	whyLong       = "longer than five slots"
	whyFifteen    = "fifteen characters of extension"
	whyUnread     = "application not read"
	whyOther      = "the other oracle has it"
)

// reasons says each rule in words: what the oracle does, and how the test knows.
var reasons = []struct{ name, fault, evidence string }{
	{whyChecksum, "takes a sentence whose checksum is wrong", "the checksum of one of the message's sentences does not match"},
	{whyContested, "joins halves although two first or two second halves with one key were on their way", "another sentence of the same talker, channel, total, sequence id and number lies within 16 sentences of the talker; we join none of them"},
	{whyChimera, "joins sentences of different sequence ids, talkers or channels", "two sentences that differ in one of these, joined, decode to exactly what it says"},
	{whyPastEnd, "reads fields that lie wholly or partly behind the message's last bit", "the message filled up with zeros decodes to exactly what it says; we have NULL there"},
	{whyRadio, "gives a communication state of fewer bits than it has", "the message ends within the state, and the bits that are there are what it says; we have NULL"},
	{whyPart, "reads parts 2 and 3 of type 24, which ITU-R M.1371 does not define, as part B", "the part number; our row has the part and nothing else"},
	{whyEarly, "has no two spare bits between addressee and data of types 25 and 26, and no selector in 26", "the fields read two bits early are exactly what it says (ITU-R M.1371-5, annex 8, tables 78 and 81)"},
	{whyMode, "reads fields over each other in a type 25 or 26 that is too short for what it announces", "the message's length; we keep its bits"},
	{whyTail26, "counts the last 24 bits of type 26, spare bits and communication state, as data", "our data is the beginning of its data"},
	{whyExtension, "leaves out the extension of an aid's name", "its name is the first 20 characters of ours"},
	{whyMidnight, "takes hour 0 or minute 0 of an arrival for not available", "our value is 0"},
	{whyLength, "reads a message that is longer than the application's 168 or 136 bits", "the message's length; we keep its bits"},
	{whyChannel, "refuses sentences of a channel other than A, B, 1, 2 or none", "the channel of one of the message's sentences"},
	{whyDisturbed, "keeps one message a channel and loses it when another begins, or when sentences come out of order", "another multi-sentence message's sentence of that channel lies between, or the numbers do not rise"},
	{whyGpsdLength, "refuses this length of this type", "the message's length against the limits of gpsd 3.22's driver_ais.c"},
	{whyFill, "refuses six fill bits", "the sentence says 6"},
	{whyField, "refuses a sentence with a field after the fill bits", "the sentence has eight fields"},
	{whyNotInInput, "was not given the sentence: the expression that cut the sentences out does not find it", "the expression in the corpus's README"},
	{whyTalker, "does not know the talker", "the talker of one of the message's sentences"},
	{whyLong, "refuses a message of more than 1,024 bits", "the message's length"},
	{whyFifteen, "reads more of an aid's name than the 34 characters there are, and writes what is too much over the accuracy and the longitude", "the message is longer than the standard's 360 bits, and read on they give its name, its accuracy and its longitude"},
	{whyUnread, "keeps the bits of an application that is not of the usual 168 or 136 bits, or of an inland ship with six or seven blue cones", "its data are the message's bits; the message's length or cones"},
	{whyOther, "has not the message, and no rule says why", "the other oracle has it, field by field"},
}

// padded is a message filled up with zeros.
func (m *message) padded() *message {
	var rows ais.Rows
	payload := append(bytes.Clone(m.payload), bytes.Repeat([]byte("0"), 70)...)
	payload[len(m.payload)-1] = clearFill(payload[len(m.payload)-1], m.fill)
	return decodeMessage(&rows, m.parts, payload, 0)
}

// clearFill zeroes the fill bits of a payload's last character.
func clearFill(c byte, fill int) byte {
	v := c - 48
	if v > 40 {
		v -= 8
	}
	return armourChar(v &^ (1<<fill - 1) & 63)
}

// bitsText gives bits of a message as a number.
func (m *message) number(offset, width int) uint64 {
	v := uint64(0)
	for _, b := range bitsOf(m.payload, m.fill)[offset : offset+width] {
		v = v<<1 | uint64(b)
	}
	return v
}

// cutRadio tells whether a communication state is what is there of a message
// that ends within it.
func (m *message) cutRadio(radio string) bool {
	n := m.bits()
	return m.header.MsgType <= 3 && n > 149 && n < 168 && fmt.Sprint(m.number(149, n-149)) == radio
}

// gpsdQuirks are the ways in which gpsd reads a message's bits otherwise, each
// with what it would say of this one.
func gpsdQuirks(m *message) map[string]fields {
	quirks := map[string]fields{}
	if p := m.padded(); p.err == nil && m.header.MsgType != 8 && m.header.MsgType != 6 {
		quirks[whyPastEnd] = p.view
	}
	if id := m.view["dac"] + "/" + m.view["fid"]; m.header.MsgType == 8 && (id == "1/11" || id == "1/31") {
		quirks[whyPastEnd] = m.padded().view
	}
	n := m.bits()
	if m.header.MsgType <= 3 && n > 149 && n < 168 {
		quirks[whyRadio] = m.view.with("radio", fmt.Sprint(m.number(149, n-149)))
	}
	if m.header.MsgType == 21 && n >= 272+15*6 {
		quirks[whyFifteen] = m.overlongName()
	}
	if _, inland := m.view["vin"]; inland && (n != 168 || m.view["hazard"] > "5") || m.view["ana_int"] != "" && n != 136 {
		from := map[uint8]int{6: 88, 8: 56}[m.header.MsgType]
		v := m.view.header().with("data", wholeBits(fmt.Sprintf("%d:%x", n-from, packed(bitsOf(m.payload, m.fill)[from:]))))
		delete(v, "fields")
		quirks[whyUnread] = v
	}
	if m.header.MsgType == 25 || m.header.MsgType == 26 {
		quirks[whyEarly] = m.early()
	}
	return quirks
}

// overlongName is an aid whose name gpsd reads on past the 34 characters that
// its memory has room for, onto the accuracy and the longitude behind it.
func (m *message) overlongName() fields {
	bits := bitsOf(m.payload, m.fill)
	more, _, _ := strings.Cut(letters(bits[272:272+(len(bits)-272)/6*6]), "@")
	more = strings.TrimRight(more, " ")
	name, _, _ := strings.Cut(letters(bits[43:163])+more, "@")
	f := m.view.with("name", strings.TrimRight(name, " "))
	if len(more) >= 15 {
		f["accuracy"] = fmt.Sprint(len(more) > 15) // the fifteenth's end, or the sixteenth
	}
	if len(more) > 15 {
		var lon int32
		_, _ = fmt.Sscan(f["lon"], &lon)
		f["lon"] = fmt.Sprint(lon &^ 0xFF) // the sixteenth's end
	}
	return f
}

func (f fields) with(key, value string) fields {
	c := fields{}
	for k, v := range f {
		c[k] = v
	}
	c[key] = value
	return c
}

// early is a type 25 or 26 as gpsd reads it: everything behind the addressee
// two bits early, no communication state.
func (m *message) early() fields {
	f := fields{"type": fmt.Sprint(m.header.MsgType), "repeat": fmt.Sprint(m.header.RepeatIndicator), "mmsi": fmt.Sprint(m.header.MMSI)}
	addressed, structured := m.number(38, 1) == 1, m.number(39, 1) == 1
	f["addressed"], f["structured"] = fmt.Sprint(addressed), fmt.Sprint(structured)
	f["dest_mmsi"], f["app_id"] = "0", "0"
	at, end := 40, m.bits()
	if m.header.MsgType == 26 {
		end -= 20
		f["radio"] = "0"
	}
	if addressed && at+30 <= end {
		f["dest_mmsi"] = fmt.Sprint(m.number(at, 30))
		at += 30
	}
	if structured && at+16 <= end {
		f["app_id"] = fmt.Sprint(m.number(at, 16))
		at += 16
	}
	f["data"] = fmt.Sprintf("%d:%x", max(end-at, 0), packed(bitsOf(m.payload, m.fill)[at:max(end, at)]))
	f["data"] = wholeBits(f["data"])
	return f
}

// gpsdLengths are the bits of a message that gpsd 3.22 takes, by type.
var gpsdLengths = map[uint8][2]int{
	1: {163, 1 << 20}, 2: {163, 1 << 20}, 3: {163, 1 << 20}, 4: {168, 1 << 20}, 5: {420, 1 << 20}, 6: {88, 1008}, 7: {72, 168}, 8: {56, 1008}, 9: {168, 1 << 20},
	10: {72, 1 << 20}, 11: {168, 1 << 20}, 12: {72, 1008}, 13: {72, 168}, 14: {40, 1008}, 15: {88, 168}, 16: {96, 168}, 17: {80, 816},
	18: {168, 1 << 20}, 19: {312, 1 << 20}, 20: {72, 160}, 21: {272, 368}, 22: {168, 1 << 20}, 23: {160, 1 << 20}, 24: {160, 168}, 25: {40, 168},
	26: {60, 1004}, 27: {96, 96},
}

// gpsdLacks says why gpsd has not a message of ours, or "".
func (r *recording) gpsdLacks(m *message) string {
	n := m.bits()
	limits := gpsdLengths[m.header.MsgType]
	switch {
	case m.header.MsgType == 24 && m.number(38, 2) > 1:
		return whyPart
	case n < limits[0] || n > limits[1] || m.header.MsgType == 27 && n == 168:
		return whyGpsdLength
	case m.header.MsgType == 24 && m.number(38, 2) == 1 && n < 168:
		return whyGpsdLength
	case m.header.MsgType == 25 && n < 40+16*int(m.number(39, 1))+30*int(m.number(38, 1)):
		return whyMode
	case m.header.MsgType == 26 && n < 60+16*int(m.number(39, 1))+30*int(m.number(38, 1)):
		return whyMode
	}
	for _, p := range m.parts {
		switch {
		case !inOracleInput(p.bare):
			return whyNotInInput
		case gpsdSlot(p.vdm.Channel) < 0:
			return whyChannel
		case !slices.Contains(gpsdTalkers, string(p.vdm.Talker[:])):
			return whyTalker
		}
	}
	if len(m.parts) > 1 && r.disturbed(m) {
		return whyDisturbed
	}
	return ""
}

// gpsdTalkers are the talkers gpsd's packet lexer knows.
var gpsdTalkers = []string{"AI", "AB", "AD", "AN", "AR", "AS", "AT", "AX", "BS", "SA"}

// gpsdSlot is the slot in which gpsd assembles a channel's messages, -1 none.
func gpsdSlot(channel byte) int {
	switch channel {
	case 0, 'A', '1':
		return 0
	case 'B', '2':
		return 1
	}
	return -1
}

// inOracleInput tells whether the corpus's expression finds a sentence.
func inOracleInput(bare string) bool { return oracleInput.MatchString(bare) }

// disturbed tells whether gpsd's slot was used by another message between the
// first and the last sentence of m, or these were out of order.
func (r *recording) disturbed(m *message) bool {
	own := map[*heard]bool{}
	for _, p := range m.parts {
		own[p] = true
	}
	seen, last := 0, 0
	for _, s := range r.sentences {
		if own[s] {
			if s.vdm.Number < last {
				return true
			}
			last = s.vdm.Number
			if seen++; seen == len(m.parts) {
				return false
			}
			continue
		}
		if seen > 0 && s.vdm.Total > 1 && gpsdSlot(s.vdm.Channel) == gpsdSlot(m.parts[0].vdm.Channel) {
			return true
		}
	}
	return true
}

// contestLines is how near two sentences of one key must lie for the assembler
// to doubt both.
const contestLines = 16

// contested tells whether sentences with one key, which an oracle joined, had a
// rival: another sentence of that key and of one of their numbers nearby.
func (r *recording) contested(bare []string) bool {
	var own []int
	for i, s := range r.sentences {
		if slices.Contains(bare, s.bare) {
			own = append(own, i)
		}
	}
	for _, i := range own {
		s := r.sentences[i]
		for step := -1; step <= 1; step += 2 {
			near := 0
			for j := i + step; j >= 0 && j < len(r.sentences) && near <= contestLines; j += step {
				o := r.sentences[j]
				if o.vdm.Talker != s.vdm.Talker {
					continue
				}
				near++
				if sameKey(&s.vdm, &o.vdm) && o.vdm.Number == s.vdm.Number && o.bare != s.bare {
					return true
				}
			}
		}
	}
	return false
}

func sameKey(a, b *nmea.VDM) bool {
	return a.Talker == b.Talker && a.Channel == b.Channel && a.Seq == b.Seq && a.Total == b.Total && a.Own == b.Own
}

// joinable is how far apart two sentences may lie that gpsd joins, in sentences.
const joinable = 200

// gpsdJoined finds two sentences that, joined, decode to what gpsd says and that
// we did not join, and says what is wrong with that.
func (r *recording) gpsdJoined(want string) string {
	for i, a := range r.sentences {
		if a.vdm.Number != 1 || a.vdm.Total != 2 {
			continue
		}
		for _, b := range r.sentences[i+1 : min(i+joinable, len(r.sentences))] {
			if b.vdm.Number != 2 || gpsdSlot(a.vdm.Channel) != gpsdSlot(b.vdm.Channel) {
				continue
			}
			m := joined(a, b)
			if m.err != nil || m.view.String() != want {
				continue
			}
			switch {
			case a.bad || b.bad:
				return whyChecksum
			case !sameKey(&a.vdm, &b.vdm):
				return whyChimera
			case r.contested([]string{a.bare, b.bare}):
				return whyContested
			}
		}
	}
	return ""
}

// catcherLacks says why AIS-catcher has not a message of ours, or "".
func catcherLacks(m *message) string {
	if m.bits() > 1024 {
		return whyLong
	}
	for _, p := range m.parts {
		switch {
		case p.vdm.Fill > 5:
			return whyFill
		case strings.Count(p.bare, ",") > 6:
			return whyField
		case !inOracleInput(p.bare):
			return whyNotInInput
		}
	}
	return ""
}

// catcherOnly says why AIS-catcher has a message that we have not, or "".
func (r *recording) catcherOnly(m *catcherMessage) string {
	var parts []*heard
	for _, bare := range m.nmea {
		for _, s := range r.sentences {
			if s.bare == bare {
				parts = append(parts, s)
				break
			}
		}
	}
	for _, p := range parts {
		switch {
		case p.bad:
			return whyChecksum
		case !sameKey(&p.vdm, &parts[0].vdm):
			return whyChimera
		}
	}
	if len(parts) == len(m.nmea) && len(parts) > 1 && r.contested(m.nmea) {
		return whyContested
	}
	return ""
}

// catcherFault says why AIS-catcher differs from us in one field, or "".
func catcherFault(m *message, c *catcherMessage, key string) string {
	own, theirs := m.scaled[key], c.fields[key]
	n := m.bits()
	switch msgType := m.header.MsgType; {
	case msgType == 24 && m.number(38, 2) > 1:
		return whyPart
	case key == "radio" && m.cutRadio(theirs):
		return whyRadio
	case key == "name" && len([]rune(theirs)) <= 20 && strings.HasPrefix(own, theirs):
		return whyExtension
	case msgType == 5 && (key == "hour" || key == "minute") && theirs == "" && own == "0":
		return whyMidnight
	case (msgType == 25 || msgType == 26) && n < 40+16*int(m.number(39, 1))+32*int(m.number(38, 1))+24*int(msgType-25):
		return whyMode
	case msgType == 26 && key == "data" && tail26(own, theirs):
		return whyTail26
	case msgType == 8 && m.view["dac"] == "200" && n > 168 || msgType == 6 && m.view["fid"] == "10" && n > 136:
		return whyLength
	}
	if p := m.padded(); p.err == nil && agree(key, p.scaled[key], theirs) {
		return whyPastEnd
	}
	return ""
}

// tail26 tells whether data has 24 bits behind our data.
func tail26(own, theirs string) bool {
	a, ours, _ := strings.Cut(own, ":")
	b, theirs, _ := strings.Cut(theirs, ":")
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return y == x+24 && strings.HasPrefix(theirs, ours[:x/4])
}
