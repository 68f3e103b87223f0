package nmea_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/decoders/nmea"
)

func TestMetadata(t *testing.T) {
	at := func(text string) int64 {
		u, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return u.UnixMicro()
	}
	for _, c := range []struct {
		suffix string
		want   string
	}{
		{"", "none"},
		{",r003669987,1152921693", fmt.Sprint(at("2006-07-15T00:01:33Z"), " 003669987")},
		{",rB0003160049,1152921694", fmt.Sprint(at("2006-07-15T00:01:34Z"), " B0003160049")},
		{",rs003669982,1152921695\r", fmt.Sprint(at("2006-07-15T00:01:35Z"), " s003669982")},
		{",1327992119157", fmt.Sprint(at("2012-01-31T06:41:59.157Z"))},
		{",1357134218.25", fmt.Sprint(at("2013-01-02T13:43:38.25Z"))},
		{",1daasd4218,,1357134222", fmt.Sprint(at("2013-01-02T13:43:42Z"))},
		{ // the time of arrival lies before the Unix time, in the minute before
			",d-109,S2105,t050056.00,T56.13718694,r003669946,1325394060,1325394001",
			fmt.Sprint(at("2012-01-01T05:00:56.137186Z"), " 003669946 slot 2105 -109 dBm"),
		},
		{",T00.5,1325394059", fmt.Sprint(at("2012-01-01T05:01:00.5Z"))},
		{",T60.5,1325394059", fmt.Sprint(at("2012-01-01T05:00:59Z"))},
		{",T5,r1", "1"},
		{",S2250,d", "none"},
		{",S0007,d12", "slot 7 12 dBm"},
		{",12345678", "none"},
		{",123456789012345678901234567890", "none"},
		{",x,y,rr", "r"},
	} {
		m := sentence(vdm(one) + c.suffix).Metadata()
		var got []string
		if m.HasTime {
			got = append(got, fmt.Sprint(m.Time))
		}
		if m.Station != nil {
			got = append(got, string(m.Station))
		}
		if m.HasSlot {
			got = append(got, fmt.Sprint("slot ", m.Slot))
		}
		if m.HasSignal {
			got = append(got, fmt.Sprint(m.Signal, " dBm"))
		}
		if got == nil {
			got = []string{"none"}
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%q: %s, want %s", c.suffix, g, c.want)
		}
	}
}

func TestPrefixTime(t *testing.T) {
	for _, c := range []struct {
		prefix string
		want   int64
		ok     bool
	}{
		{"1452468552.938 ", 1_452_468_552_938_000, true},
		{"1452468552 ", 1_452_468_552_000_000, true},
		{"1452468552938: ", 1_452_468_552_938_000, true},
		{"UdPbC\x00 1452468552,", 1_452_468_552_000_000, true},
		{"14524685 ", 0, false},
		{"# 1452468552 ", 0, false},
		{"$GPGGA 1452468552 ", 0, false},
		{"", 0, false},
	} {
		if got, ok := sentence(c.prefix + vdm(one)).PrefixTime(); got != c.want || ok != c.ok {
			t.Errorf("%q: %d %t, want %d %t", c.prefix, got, ok, c.want, c.ok)
		}
	}
}

// proprietary gives a sentence with its checksum.
func proprietary(body string) string { return "$" + vdm(body)[1:] }

func TestPGHP(t *testing.T) {
	at := time.Date(2010, 6, 11, 11, 46, 11, 390e6, time.UTC).UnixMicro()
	for _, c := range []struct {
		line    string
		station string
		sum     int
		ok      bool
	}{
		{"$PGHP,1,2010,6,11,11,46,11,390,231,45,992190934,1,2B*5B", "992190934", 0x2B, true},
		{proprietary("PGHP,1,2010,6,11,11,46,11,390,244,0,,1,72"), "", 0x72, true},
		{proprietary("PGHP,1,2010,6,11,11,46,11,390,316,2,316000002,1AIS_S,51"), "316000002", 0x51, true},
		{proprietary("PGHP,1,2010,6,11,11,46,11,390,244,,,1,"), "", -1, true},
		{proprietary("PGHP,1,2010,6,11,11,46,11,390"), "", -1, true},
		{"$PGHP,1,2010,6,11,11,46,11,390,231,45,992190934,1,2B*5C", "", -1, false}, // checksum
		{proprietary("PGHP,1,2010,6,11,11,46,11"), "", -1, false},
		{proprietary("PGHP,2,2010,6,11,11,46,11,390,231,45,992190934,1,2B"), "", -1, false},
		{proprietary("PGHP,1,2010,6,31,11,46,11,390,231,45,992190934,1,2B"), "", -1, false},
		{proprietary("PGHP,1,2010,6,11,24,46,11,390,231,45,992190934,1,2B"), "", -1, false},
		{proprietary("PGHP,1,2010,6,11,11,46,60,390,231,45,992190934,1,2B"), "", -1, false},
		{proprietary("PGHP,1,2010,x,11,11,46,11,390,231,45,992190934,1,2B"), "", -1, false},
		{proprietary("PGHQ,1,2010,6,11,11,46,11,390,231,45,992190934,1,2B"), "", -1, false},
		{vdm(one), "", -1, false},
	} {
		p, ok := sentence(c.line).PGHP()
		sum := -1
		if p.HasSum {
			sum = int(p.Sum)
		}
		if ok != c.ok || ok && p.Time != at || string(p.Station) != c.station || sum != c.sum {
			t.Errorf("%s: %+v %t", c.line, p, ok)
		}
	}
}

// TestCorpusEnvelopes counts the times and stations that shore networks wrote
// around the sentences of the recordings.
func TestCorpusEnvelopes(t *testing.T) {
	type tally struct{ pghp, matched, suffix, stations, prefix, tag int }
	want := map[string]tally{
		"aisab-538004030_drift_1.ais.gz":      {5297, 5024, 122, 0, 0, 52},
		"aislib-stream_example.txt.gz":        {4051, 3455, 2, 0, 0, 0},
		"noaadata-test.ais.gz":                {0, 0, 985, 985, 0, 0},
		"risky-exact-earth-augmented.txt.gz":  {3188, 281, 3972, 0, 0, 0},
		"simpleais-sample.ais.gz":             {0, 0, 0, 0, 10000, 0},
		"libais-typeexamples.nmea":            {0, 0, 26, 26, 0, 0},
		"kystverket-Ais1000Lines.nm4.gz":      {0, 0, 0, 0, 0, 1000},
		"gpsd-contrib-ais-nmea-sample.log.gz": {},
		"gpsd-daemon-ais_unpack_sixbit.log":   {},
		"nmea_plus-aivdm_message_samples.txt": {},
		"gpsd-daemon-ait250.log":              {},
		"signalk-gofree-merrimac.log.gz":      {},
		"aislib-replay_dump.txt":              {57, 48, 0, 0, 0, 0},
	}
	dir := corpusDir(t)
	for name, w := range want {
		var got tally
		var sum byte
		var pending bool
		for _, line := range bytes.Split(unpacked(t, filepath.Join(dir, name)), []byte("\n")) {
			for _, s := range nmea.Split(bytes.TrimSuffix(line, []byte("\r")), nil) {
				if p, ok := s.PGHP(); ok {
					got.pghp++
					sum, pending = p.Sum, p.HasSum
				}
				if s.Kind != nmea.KindVDM {
					continue
				}
				if have, ok := s.Sum(); ok && pending && have == sum {
					got.matched++
				}
				pending = false
				m := s.Metadata()
				if m.HasTime {
					got.suffix++
				}
				if m.Station != nil {
					got.stations++
				}
				if _, ok := s.PrefixTime(); ok {
					got.prefix++
				}
				if _, ok := s.TagTime(); ok {
					got.tag++
				}
			}
		}
		if got != w {
			t.Errorf("%s: %+v, want %+v", name, got, w)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(vdm(one) + ",d-109,S2105,t050056.00,T56.13718694,r003669946,1325394060,1325394001"))
	f.Add([]byte("1452468552.938 " + vdm(one)))
	f.Add([]byte("*00")) // text that looks like a checksum
	f.Add([]byte("$PGHP,1,2010,6,11,11,46,11,390,231,45,992190934,1,2B*5B"))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, s := range nmea.Split(line, nil) {
			m := s.Metadata()
			if m.HasSlot && (m.Slot < 0 || m.Slot > 2249) || len(m.Station) > len(line) {
				t.Errorf("%+v", m)
			}
			if p, ok := s.PGHP(); ok && p.Time == 0 {
				t.Errorf("%+v", p)
			}
			if sum, ok := s.Sum(); ok && s.Flags&nmea.FlagBadChecksum == 0 {
				x := byte(0)
				for _, c := range s.Body[1:] {
					x ^= c
				}
				if x != sum {
					t.Errorf("checksum %02X stated, %02X is right, and no flag", sum, x)
				}
			}
			s.PrefixTime()
		}
	})
}

func TestEnvelopeAllocatesNothing(t *testing.T) {
	lines := []*nmea.Sentence{
		sentence(vdm(one) + ",d-109,S2105,t050056.00,T56.13718694,r003669946,1325394060,1325394001"),
		sentence("1452468552.938 " + vdm(one)), sentence("$PGHP,1,2010,6,11,11,46,11,390,231,45,992190934,1,2B*5B"),
		sentence(tag("s:a,c:1700000000,g:1-2-7") + vdm(one)),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, s := range lines {
			s.Metadata()
			s.PrefixTime()
			s.PGHP()
			s.TagTime()
			s.Group()
			s.Sum()
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
