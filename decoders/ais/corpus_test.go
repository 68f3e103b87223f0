package ais_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
)

// corpusDir is where the recorded sentences and their expected decodes lie.
func corpusDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "ais")
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no corpus: %v", err)
		}
		t.Skipf("no corpus of recorded AIS data (set LANDFALL_CORPUS): %v", err)
	}
	return dir
}

// content returns a file's bytes, unpacked when its name ends in .gz.
func content(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fact is what is compared of a message: its raw integers as gpsdecode -u writes
// them, as text. Two decoders agree when they find the same facts equally often.
type fact string

// bag counts facts.
type bag map[fact]int

func (b bag) minus(other bag) (n int, example fact) {
	for f, c := range b {
		if d := c - other[f]; d > 0 {
			n += d
			if example == "" || f < example {
				example = f
			}
		}
	}
	return n, example
}

// ours decodes a whole file and returns the facts of each type, how many
// payloads were refused by reason, and how many sentences were no part of a
// whole message.
func ours(t *testing.T, data []byte) (facts map[int]bag, refused map[string]int, orphans int) {
	t.Helper()
	facts, refused = map[int]bag{}, map[string]int{}
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	var rows ais.Rows
	take := func(groups []nmea.Group) {
		for i := range groups {
			if !groups[i].Complete {
				orphans++
				continue
			}
			if err := ais.Decode(groups[i].Payload, groups[i].Fill, &rows); err != nil {
				refused[err.Error()]++
				continue
			}
			m := int(rows.Header.MsgType)
			if facts[m] == nil {
				facts[m] = bag{}
			}
			facts[m][rowFact(&rows)]++
		}
	}
	var pieces []nmea.Sentence
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for scanner.Scan() {
		pieces = nmea.Split(scanner.Bytes(), pieces[:0])
		for i := range pieces {
			s := &pieces[i]
			if s.Kind != nmea.KindVDM {
				continue
			}
			if s.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) != 0 {
				refused["checksum"]++
				continue
			}
			v, err := nmea.ParseVDM(s.Body)
			if err != nil {
				refused[err.Error()]++
				continue
			}
			take(a.Add(0, s, v, 0))
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	take(a.Flush())
	return facts, refused, orphans
}

// rowFact turns a row back into raw integers. Coordinates are exact: they are
// the nearest double to raw/600000, which rounds back to raw.
func rowFact(r *ais.Rows) fact {
	h := r.Header
	head := fmt.Sprintf("type=%d mmsi=%d repeat=%d", h.MsgType, h.MMSI, h.RepeatIndicator)
	switch {
	case r.HasPosition:
		p := &r.Position
		return fact(head + motion(p.MsgType, p.Lat, p.Lon, p.SOG, p.COG, p.TrueHeading) + aircraft(p))
	case r.HasStatic:
		s := &r.Static
		f := fmt.Sprintf("%s name=%q shiptype=%d callsign=%q dest=%q", head,
			s.Shipname.Value, s.ShipType.Value, s.Callsign.Value, s.Destination.Value)
		if h.MsgType == 5 {
			f += fmt.Sprintf(" imo=%d draught=%.0f bow=%d stern=%d port=%d starboard=%d epfd=%d", s.IMO.Value,
				s.Draught.Value*10, s.ToBow.Value, s.ToStern.Value, s.ToPort.Value, s.ToStarboard.Value, s.EPFD.Value)
		}
		return fact(f)
	case r.HasBaseStation:
		b := &r.BaseStation
		return fact(head + motion(h.MsgType, b.Lat, b.Lon, ais.Opt[float64]{}, ais.Opt[float64]{}, ais.Opt[uint16]{}))
	case r.HasAtoN:
		a := &r.AtoN
		return fact(head + motion(h.MsgType, a.Lat, a.Lon, ais.Opt[float64]{}, ais.Opt[float64]{}, ais.Opt[uint16]{}) +
			fmt.Sprintf(" name=%q", a.Name.Value))
	case r.HasBinary && h.MsgType < 25: // gpsd reads the application id of 25 and 26 two bits too early
		b := &r.Binary
		return fact(fmt.Sprintf("%s dac=%d fid=%d", head, b.DAC.Value, b.FID.Value))
	case r.HasSafety:
		return fact(fmt.Sprintf("%s text=%q", head, r.Safety.Text.Value))
	}
	return fact(head)
}

func aircraft(p *ais.Position) string {
	if p.MsgType != 9 {
		return ""
	}
	return fmt.Sprintf(" alt=%d", orElse(p.Altitude, 4095))
}

func orElse[T any](o ais.Opt[T], sentinel T) T {
	if o.Valid {
		return o.Value
	}
	return sentinel
}

// motion writes raw position values with the type's own sentinels.
func motion(msgType uint8, lat, lon, sog, cog ais.Opt[float64], heading ais.Opt[uint16]) string {
	scale, speed, noSpeed, course, noCourse := 600_000.0, 10.0, 1023.0, 10.0, 3600.0
	switch msgType {
	case 27:
		scale, speed, noSpeed, course, noCourse = 600, 1, 63, 1, 511
	case 9:
		speed = 1
	}
	f := fmt.Sprintf(" lat=%.0f lon=%.0f", orElse(lat, 91)*scale, orElse(lon, 181)*scale)
	switch msgType {
	case 4, 11, 21:
		return f
	}
	f += fmt.Sprintf(" sog=%.0f cog=%.0f", orElse(sog, noSpeed/speed)*speed, orElse(cog, noCourse/course)*course)
	if msgType != 27 && msgType != 9 {
		f += fmt.Sprintf(" heading=%d", orElse(heading, 511))
	}
	return f
}

// gpsd reads the facts of gpsdecode's unscaled output. It writes the B half of a
// type 24 with the A half's name merged in when it had that.
func gpsd(t *testing.T, data []byte) map[int]bag {
	t.Helper()
	facts := map[int]bag{}
	d := json.NewDecoder(bytes.NewReader(data))
	for d.More() {
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		m := int(o["type"].(float64))
		if m == 24 && o["part"] != "A" {
			o["shipname"] = ""
		}
		if facts[m] == nil {
			facts[m] = bag{}
		}
		facts[m][gpsdFact(uint8(m), o)]++
	}
	return facts
}

func gpsdFact(m uint8, o map[string]any) fact {
	num := func(k string) int64 { f, _ := o[k].(float64); return int64(f) }
	str := func(k string) string { s, _ := o[k].(string); return strings.TrimRight(s, " ") }
	f := fmt.Sprintf("type=%d mmsi=%d repeat=%d", m, num("mmsi"), num("repeat"))
	at := fmt.Sprintf(" lat=%d lon=%d", num("lat"), num("lon"))
	switch m {
	case 1, 2, 3, 18, 19:
		return fact(f + at + fmt.Sprintf(" sog=%d cog=%d heading=%d", num("speed"), num("course"), num("heading")))
	case 27:
		return fact(f + at + fmt.Sprintf(" sog=%d cog=%d", num("speed"), num("course")))
	case 9:
		return fact(f + at + fmt.Sprintf(" sog=%d cog=%d alt=%d", num("speed"), num("course"), num("alt")))
	case 4, 11:
		return fact(f + at)
	case 21:
		return fact(f + at + fmt.Sprintf(" name=%q", str("name")))
	case 5:
		return fact(fmt.Sprintf("%s name=%q shiptype=%d callsign=%q dest=%q imo=%d draught=%d bow=%d stern=%d port=%d starboard=%d epfd=%d",
			f, str("shipname"), num("shiptype"), str("callsign"), str("destination"), num("imo"), num("draught"),
			num("to_bow"), num("to_stern"), num("to_port"), num("to_starboard"), num("epfd")))
	case 24:
		return fact(fmt.Sprintf("%s name=%q shiptype=%d callsign=%q dest=%q", f, str("shipname"), num("shiptype"), str("callsign"), ""))
	case 6, 8:
		return fact(fmt.Sprintf("%s dac=%d fid=%d", f, num("dac"), num("fid")))
	case 12, 14:
		return fact(fmt.Sprintf("%s text=%q", f, str("text")))
	}
	return fact(f)
}

// catcherCounts counts AIS-catcher's messages by type.
func catcherCounts(t *testing.T, data []byte) map[int]int {
	t.Helper()
	counts := map[int]int{}
	d := json.NewDecoder(bytes.NewReader(data))
	for d.More() {
		var o struct{ Type int }
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		counts[o.Type]++
	}
	return counts
}

func total(b bag) (n int) {
	for _, c := range b {
		n += c
	}
	return n
}

// TestCorpus compares every recorded file with gpsdecode, fact by fact, and with
// AIS-catcher, by counts. The table shows each difference; docs of the corpus
// name the oracles' own faults.
func TestCorpus(t *testing.T) {
	dir := corpusDir(t)
	oracles, err := filepath.Glob(filepath.Join(dir, "*.gpsdecode-unscaled.jsonl.gz"))
	if err != nil || len(oracles) == 0 {
		t.Fatalf("no expected decodes in %s: %v", dir, err)
	}
	// What gpsd has and we do not: in that aggregated feed two senders use one
	// sequence id eight lines apart, one of the four halves with another id.
	// gpsd ignores ids and joins all; the assembler joins none.
	known := map[string]int{"gpsd-contrib-ais-nmea-sample.log": 2}
	var messages, missing int
	for _, oracle := range oracles {
		base := strings.TrimSuffix(oracle, ".gpsdecode-unscaled.jsonl.gz")
		input := base
		if _, err := os.Stat(input); err != nil {
			input += ".gz"
		}
		facts, refused, orphans := ours(t, content(t, input))
		theirs := gpsd(t, content(t, oracle))
		catcher := catcherCounts(t, content(t, base+".aiscatcher.jsonl.gz"))
		types := map[int]bool{}
		for m := range facts {
			types[m] = true
			messages += total(facts[m])
		}
		for m := range theirs {
			types[m] = true
		}
		order := make([]int, 0, len(types))
		for m := range types {
			order = append(order, m)
		}
		sort.Ints(order)
		var table strings.Builder
		lacking := 0
		for _, m := range order {
			onlyOurs, a := facts[m].minus(theirs[m])
			onlyTheirs, b := theirs[m].minus(facts[m])
			lacking += onlyTheirs
			if n := total(facts[m]); n > total(theirs[m]) && n > catcher[m] {
				t.Errorf("%s type %d: %d messages, more than either oracle", filepath.Base(base), m, n)
			}
			if onlyOurs+onlyTheirs == 0 && total(facts[m]) == catcher[m] {
				continue
			}
			fmt.Fprintf(&table, "\n  type %2d: ours %5d gpsd %5d catcher %5d; only ours %d %s; only gpsd %d %s",
				m, total(facts[m]), total(theirs[m]), catcher[m], onlyOurs, a, onlyTheirs, b)
		}
		missing += lacking
		if want := known[filepath.Base(base)]; lacking != want {
			t.Errorf("%s: %d facts of gpsd's are missing, want %d", filepath.Base(base), lacking, want)
		}
		t.Logf("%s: refused %v, orphans %d%s", filepath.Base(base), refused, orphans, table.String())
	}
	t.Logf("%d messages; gpsd facts we lack: %d", messages, missing)
	if messages < 100_000 {
		t.Errorf("only %d messages: is the corpus whole?", messages)
	}
}
