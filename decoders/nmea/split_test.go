package nmea_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/nmea"
)

// sum appends the checksum to a body or to the inside of a TAG block.
func sum(s string) string {
	var x byte
	for i := range len(s) {
		x ^= s[i]
	}
	return fmt.Sprintf("%s*%02X", s, x)
}

func vdm(body string) string { return "!" + sum(body) }
func tag(in string) string   { return `\` + sum(in) + `\` }

// two is a whole message, three lines a GNSS sentence and a fragment.
const (
	one = "AIVDM,1,1,,A,100000P000000000000000000000,0"
	two = "ABVDM,2,1,3,B,500000P000000000000000000000,0"
)

// show writes the pieces of a line for comparison.
func show(pieces []nmea.Sentence) string {
	var b strings.Builder
	for _, s := range pieces {
		kind := [...]string{"text", "vdm", "other"}[s.Kind]
		fmt.Fprintf(&b, "%s raw=%q prefix=%q tag=%q body=%q suffix=%q %s+%s [%v]\n",
			kind, s.Raw, s.Prefix, s.Tag, s.Body, s.Suffix, s.Talker, s.Formatter, s.Flags)
	}
	return b.String()
}

func TestSplit(t *testing.T) {
	a, b := vdm(one), vdm(two)
	tg := tag("s:rx,c:1700000000")
	badSum := a[:len(a)-2] + "00"
	cut := "!" + one[:20]
	for _, c := range []struct {
		name, line string
		want       []string // one a piece: kind|prefix|tag|body|suffix|flags
	}{
		{"plain", a, []string{"vdm|||!" + one + "||"}},
		{"empty", "", []string{"text|||||"}},
		{"comment", "# nothing here! $5, no", []string{"text|||||"}},
		{"tag", tg + a, []string{"vdm||" + tg + "|!" + one + "||"}},
		{"two tags", tg + tag("x:1") + a, []string{"vdm||" + tg + tag("x:1") + "|!" + one + "||"}},
		{"tag alone", tg, []string{"text||" + tg + "|||"}},
		{"tag checksum", `\s:rx*00\` + a, []string{`vdm||\s:rx*00\|!` + one + "||bad_tag_checksum"}},
		{"tag without checksum", `\s:rx\` + a, []string{`vdm||\s:rx\|!` + one + "||bad_tag_checksum"}},
		{"tag cut", `\s:rx*00` + a, []string{`vdm|\s:rx*00||!` + one + "||prefix"}},
		{"time before", "1700000000.123 " + a, []string{"vdm|1700000000.123 ||!" + one + "||prefix"}},
		{"blank before", " " + a + " ", []string{"vdm| ||!" + one + "| |"}},
		{"time between tag and body", tg + "12 " + a, []string{"vdm|12 |" + tg + "|!" + one + "||prefix"}},
		{"suffix", a + ",rSTATION,1700000000", []string{"vdm|||!" + one + "|,rSTATION,1700000000|suffix"}},
		{"two", a + b, []string{"vdm|||!" + one + "||", "vdm|||!" + two + "||"}},
		{"two with suffixes", a + ",r1,17" + b + ",r2", []string{"vdm|||!" + one + "|,r1,17|suffix", "vdm|||!" + two + "|,r2|suffix"}},
		{"suffix then tag", a + ",r1" + tg + b, []string{"vdm|||!" + one + "|,r1|suffix", "vdm||" + tg + "|!" + two + "||"}},
		{"text between", a + " 17.5 " + b, []string{"vdm|||!" + one + "||", "vdm| 17.5 ||!" + two + "||prefix"}},
		{"tag between", a + tg + b, []string{"vdm|||!" + one + "||", "vdm||" + tg + "|!" + two + "||"}},
		{"udpbc", "UdPbC\x00" + tg + a, []string{"vdm|UdPbC\x00|" + tg + "|!" + one + "||udpbc"}},
		{"no checksum", "!" + one, []string{"vdm|||!" + one + "||no_checksum"}},
		{"bad checksum", badSum, []string{"vdm|||!" + one + "||bad_checksum"}},
		{"half checksum", a[:len(a)-1], []string{"vdm|||!" + one + "|" + a[len(a)-2:len(a)-1] + "|bad_checksum|suffix"}},
		{"cut off by another", cut + b, []string{"vdm|||" + cut + "||no_checksum|truncated", "vdm|||!" + two + "||"}},
		{"cut off by a tag", cut + tg + b, []string{"vdm|||" + cut + "||no_checksum|truncated", "vdm||" + tg + "|!" + two + "||"}},
		{"unknown talker", vdm("XYVDM,1,1,,A,1,0"), []string{"vdm|||!XYVDM,1,1,,A,1,0||unknown_talker"}},
		{"own ship", vdm("AIVDO,1,1,,,1,0"), []string{"vdm|||!AIVDO,1,1,,,1,0||"}},
		{"gnss", "$" + sum("GPGGA,1"), []string{"other|||$GPGGA,1||"}},
		{"proprietary", "$" + sum("PGHP,1,2010"), []string{"other|||$PGHP,1,2010||"}},
		{"long address", "$" + sum("GPGGAX,1"), []string{"other|||$GPGGAX,1||malformed"}},
		{"escape after the sentence", a + `\x0d\x0a`, []string{"vdm|||!" + one + `|\x0d\x0a|suffix`}},
		{"lone exclamation", "$" + sum("PSTT,lost! link"), []string{"other|||$PSTT,lost! link||"}},
	} {
		var got []string
		for _, s := range nmea.Split([]byte(c.line), nil) {
			kind := [...]string{"text", "vdm", "other"}[s.Kind]
			got = append(got, fmt.Sprintf("%s|%s|%s|%s|%s|%v", kind, s.Prefix, s.Tag, s.Body, s.Suffix, s.Flags))
		}
		if g, w := strings.Join(got, "\n"), strings.Join(c.want, "\n"); g != w {
			t.Errorf("%s: %q gives\n%q\nwant\n%q", c.name, c.line, g, w)
		}
	}
}

func equal(a, b *nmea.Sentence) bool {
	return a.Kind == b.Kind && a.Flags == b.Flags && bytes.Equal(a.Raw, b.Raw) && bytes.Equal(a.Prefix, b.Prefix) &&
		bytes.Equal(a.Tag, b.Tag) && bytes.Equal(a.Body, b.Body) && bytes.Equal(a.Suffix, b.Suffix) &&
		bytes.Equal(a.Talker, b.Talker) && bytes.Equal(a.Formatter, b.Formatter)
}

// checkSplit checks invariants 1 and 3 on any line.
func checkSplit(t *testing.T, line []byte) {
	t.Helper()
	pieces := nmea.Split(line, nil)
	if len(pieces) == 0 {
		t.Fatalf("%q gives no piece", line)
	}
	var joined []byte
	for i := range pieces {
		s := &pieces[i]
		joined = append(joined, s.Raw...)
		for _, part := range [][]byte{s.Prefix, s.Tag, s.Body, s.Suffix} {
			if !bytes.Contains(s.Raw, part) {
				t.Fatalf("%q: part %q is not in its piece %q", line, part, s.Raw)
			}
		}
		again := nmea.Split(s.Raw, nil)
		if len(again) != 1 {
			t.Fatalf("%q: piece %q gives %d pieces", line, s.Raw, len(again))
		}
		again[0].Flags |= s.Flags & nmea.FlagTruncated
		if !equal(&again[0], s) {
			t.Fatalf("%q: piece again:\n%swas\n%s", line, show(again), show(pieces[i:i+1]))
		}
		if s.Kind == nmea.KindVDM {
			if v, err := nmea.ParseVDM(s.Body); err == nil && (v.Number < 1 || v.Number > v.Total || v.Fill > 6) {
				t.Fatalf("%q: %+v", s.Body, v)
			}
		}
		s.TagTime()
		s.Group()
		s.Station()
	}
	var m nmea.Message
	if err := m.Parse(line); err == nil && m.First.Number != 1 {
		t.Fatalf("%q: message %+v", line, m)
	}
	if !bytes.Equal(joined, line) {
		t.Fatalf("pieces %q of %q", joined, line)
	}
}

func FuzzSplit(f *testing.F) {
	tg := tag("g:1-2-7,s:rx,n:1,c:1700000000")
	for _, line := range []string{
		"", vdm(one), tg + vdm(two), "UdPbC\x00" + tg + vdm(two), vdm(one) + ",r1,17" + vdm(two),
		"17.2 " + vdm(one) + " x " + tg + "y" + vdm(two), "!" + one + vdm(two), `\s:a\` + `\!AIVDM,`,
		vdm(one) + "UdPbC\x00" + vdm(two), `\a:\ \b:\ !AIVDM,1*`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) { checkSplit(t, line) })
}

func TestParseVDM(t *testing.T) {
	for _, c := range []struct {
		body string
		err  error
	}{
		{"!" + one, nil},
		{"!AIVDM,1,1,1,,13aI8e?P00,0,0", nil}, // one field too many
		{"!AIVDM,1,1,,B,,0", nil},             // no payload
		{"!AIVDM,2,1,9,A,1,6", nil},           // six fill bits
		{"!AIVDO,9,9,12,1,1,5", nil},
		{"$GPGGA,1", nmea.ErrNotVDM},
		{"!AIVDX,1,1,,A,1,0", nmea.ErrNotVDM},
		{"!AIVD", nmea.ErrNotVDM},
		{"!AIVDM,1,1,,A,1", nmea.ErrFields},
		{"!AIVDM,1,1,,A,1,0,0,0", nmea.ErrFields},
		{"!AIVDM,0,1,,A,1,0", nmea.ErrTotal},
		{"!AIVDM,10,1,,A,1,0", nmea.ErrTotal},
		{"!AIVDM,,1,,A,1,0", nmea.ErrTotal},
		{"!AIVDM,2,0,,A,1,0", nmea.ErrNumber},
		{"!AIVDM,2,3,,A,1,0", nmea.ErrNumber},
		{"!AIVDM,1,1,x,A,1,0", nmea.ErrSeq},
		{"!AIVDM,1,1,,AB,1,0", nmea.ErrChannel},
		{"!AIVDM,1,1,,A,1,7", nmea.ErrFill},
		{"!AIVDM,1,1,,A,1,013", nmea.ErrFill},
	} {
		if _, err := nmea.ParseVDM([]byte(c.body)); err != c.err {
			t.Errorf("%s: %v, want %v", c.body, err, c.err)
		}
	}
	v, err := nmea.ParseVDM([]byte("!BSVDO,3,2,,,ab,2"))
	if err != nil || !v.Own || v.Talker != [2]byte{'B', 'S'} || v.Total != 3 || v.Number != 2 ||
		v.Seq != -1 || v.Channel != 0 || string(v.Payload) != "ab" || v.Fill != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	if r := nmea.ErrFill.Reason(); r != "vdm_fill" {
		t.Errorf("reason %q", r)
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, c := range []struct{ name, line string }{
		{"plain", vdm(one)}, {"tagged", tag("s:station,n:123456,c:1700000000123") + vdm(one)},
	} {
		b.Run(c.name, func(b *testing.B) {
			line := []byte(c.line)
			var pieces []nmea.Sentence
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				pieces = nmea.Split(line, pieces[:0])
				if _, err := nmea.ParseVDM(pieces[0].Body); err != nil {
					b.Fatal(err)
				}
				pieces[0].TagTime()
			}
		})
	}
}

func TestSplitDoesNotAllocate(t *testing.T) {
	line := []byte(tag("g:1-2-77,s:rx,c:1700000000.25") + vdm(two) + ",r1,17" + vdm(one))
	pieces := make([]nmea.Sentence, 0, 4)
	n := testing.AllocsPerRun(100, func() {
		pieces = nmea.Split(line, pieces[:0])
		for i := range pieces {
			pieces[i].TagTime()
			pieces[i].Group()
			if _, err := nmea.ParseVDM(pieces[i].Body); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n != 0 || len(pieces) != 2 {
		t.Errorf("%v allocations, %d pieces", n, len(pieces))
	}
}
