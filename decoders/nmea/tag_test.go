package nmea_test

import (
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/nmea"
)

func sentence(line string) *nmea.Sentence {
	return &nmea.Split([]byte(line), nil)[0]
}

func TestTagFields(t *testing.T) {
	s := sentence(tag("g:1-2-77,s:b:2,i:|a=1:2|,T:2030-01-01 00.00.01,q:,,x:9") + tag("n:5") + vdm(one))
	var got []string
	for it := s.TagFields(); it.Next(); {
		got = append(got, fmt.Sprintf("%s=%s", it.Key(), it.Value()))
	}
	want := "g=1-2-77 s=b:2 i=|a=1:2| T=2030-01-01 00.00.01 q= = x=9 n=5"
	if g := strings.Join(got, " "); g != want {
		t.Errorf("fields\n%s\nwant\n%s", g, want)
	}
	if string(s.Station()) != "b:2" || s.Flags != 0 {
		t.Errorf("station %q, flags %v", s.Station(), s.Flags)
	}
	if v, ok := s.TagField('z'); ok || v != nil {
		t.Errorf("field z: %q", v)
	}
}

func TestTagTime(t *testing.T) {
	for _, c := range []struct {
		value string
		want  int64
		ok    bool
	}{
		{"1700000000", 1_700_000_000_000_000, true},
		{"1700000000.5", 1_700_000_000_500_000, true},
		{"1700000000.1234567", 1_700_000_000_123_456, true},
		{"1700000000.", 1_700_000_000_000_000, true},
		{"1700000000123", 1_700_000_000_123_000, true},
		{"1700000000123.25", 1_700_000_000_123_250, true},
		{"1700000000123456", 1_700_000_000_123_456, true},
		{"99999999999", 99_999_999_999_000_000, true},
		{"100000000000", 100_000_000_000_000, true},
		{"99999999999999", 99_999_999_999_999_000, true},
		{"100000000000000", 100_000_000_000_000, true},
		{"0", 0, true},
		{"", 0, false},
		{".5", 0, false},
		{"-1", 0, false},
		{"17x", 0, false},
		{"17.x", 0, false},
		{strings.Repeat("9", 40), 0, false},
	} {
		got, ok := sentence(tag("c:"+c.value) + vdm(one)).TagTime()
		if got != c.want || ok != c.ok {
			t.Errorf("c:%s: %d %v, want %d %v", c.value, got, ok, c.want, c.ok)
		}
	}
	if _, ok := sentence(vdm(one)).TagTime(); ok {
		t.Error("time without a TAG block")
	}
}

func TestGroup(t *testing.T) {
	for _, c := range []struct {
		fields string
		want   nmea.TagGroup
		ok     bool
	}{
		{"g:1-2-77", nmea.TagGroup{Number: 1, Total: 2, ID: 77}, true},
		{"s:x,2G3:0125", nmea.TagGroup{Number: 2, Total: 3, ID: 125}, true},
		{"g:1-2", nmea.TagGroup{}, false},
		{"g:x-2-7", nmea.TagGroup{}, false},
		{"s:1-2-7", nmea.TagGroup{}, false},
	} {
		got, ok := sentence(tag(c.fields) + vdm(one)).Group()
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v, want %+v %v", c.fields, got, ok, c.want, c.ok)
		}
	}
	a, _ := sentence(tag("g:1-2-7a") + vdm(one)).Group()
	b, _ := sentence(tag("g:1-2-7b") + vdm(one)).Group()
	if a.ID == b.ID {
		t.Error("ids 7a and 7b are one group")
	}
}

// FuzzTag gives the inside of a TAG block to everything that reads it.
func FuzzTag(f *testing.F) {
	for _, s := range []string{"g:1-2-77,s:rx,c:1700000000", "2G3:0125", "c:1.5*", ":,:", `a\b:`, "i:|a=1:2|,x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		line := tag(in) + vdm(one)
		checkSplit(t, []byte(line))
		s := sentence(line)
		var joined []string
		for it := s.TagFields(); it.Next(); {
			if strings.Contains(string(it.Key()), ":") || strings.Contains(string(it.Key())+string(it.Value()), ",") {
				t.Fatalf("%q: key %q value %q", in, it.Key(), it.Value())
			}
			joined = append(joined, string(it.Key())+":"+string(it.Value()))
		}
		if len(joined) > len(in)+1 {
			t.Fatalf("%q gives %d fields", in, len(joined))
		}
	})
}

func TestFlagsString(t *testing.T) {
	all := nmea.Flags(1<<9 - 1)
	want := "no_checksum|bad_checksum|bad_tag_checksum|prefix|suffix|unknown_talker|truncated|malformed|udpbc"
	if all.String() != want || nmea.Flags(0).String() != "" || nmea.FlagUdPbC.String() != "udpbc" {
		t.Errorf("%v", all)
	}
}
