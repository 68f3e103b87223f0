package nmea_test

import (
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/nmea"
)

// step gives the assembler one line and writes what came out: the payload of a
// whole message, or "-" and the payload of an orphan.
func step(t *testing.T, a *nmea.Assembler, source uint32, line string, now int64) string {
	t.Helper()
	s := sentence(line)
	v, err := nmea.ParseVDM(s.Body)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return showGroups(a.Add(source, s, v, now))
}

func showGroups(groups []nmea.Group) string {
	var out []string
	for _, g := range groups {
		mark := "-"
		if g.Complete {
			mark = ""
		}
		out = append(out, fmt.Sprintf("%s%s/%d", mark, g.Payload, g.Fill))
	}
	return strings.Join(out, " ")
}

// frag is fragment number of total with a payload, channel A.
func frag(total, number, seq int, payload string) string {
	return vdm(fmt.Sprintf("AIVDM,%d,%d,%d,A,%s,0", total, number, seq, payload))
}

func TestAssemble(t *testing.T) {
	filler := make([]string, 0, 20)
	for range 20 {
		filler = append(filler, vdm("AIVDM,1,1,,A,1,0"))
	}
	quiet := func(lines ...string) []string { return lines }
	for _, c := range []struct {
		name  string
		lines []string
		want  string // of all steps but those of filler, and of Flush
	}{
		{"one sentence", quiet(vdm("AIVDM,1,1,,A,15,2")), "15/2"},
		{"two", quiet(frag(2, 1, 3, "5a"), frag(2, 2, 3, "5b")), "5a5b/0"},
		{"backwards", quiet(frag(2, 2, 3, "5b"), frag(2, 1, 3, "5a")), "5a5b/0"},
		{"three in disorder", quiet(frag(3, 3, 3, "5c"), frag(3, 1, 3, "5a"), frag(3, 2, 3, "5b")), "5a5b5c/0"},
		{"interleaved", quiet(frag(2, 1, 3, "5a"), frag(2, 1, 4, "8a"), frag(2, 2, 3, "5b"), frag(2, 2, 4, "8b")), "5a5b/0 8a8b/0"},
		{"first lost", quiet(frag(2, 2, 3, "5b")), "-5b/0"},
		{"other total", quiet(frag(2, 1, 3, "5a"), frag(3, 2, 3, "5b")), "-5a/0 -5b/0"},
		{"other channel", quiet(frag(2, 1, 3, "5a"), vdm("AIVDM,2,2,3,B,5b,0")), "-5a/0 -5b/0"},
		{"empty channel is not taken over", quiet(frag(2, 1, 3, "5a"), vdm("AIVDM,2,2,3,,5b,0")), "-5a/0 -5b/0"},
		{"other talker", quiet(frag(2, 1, 3, "5a"), vdm("BSVDM,2,2,3,A,5b,0")), "-5a/0 -5b/0"},
		{"own ship", quiet(frag(2, 1, 3, "5a"), vdm("AIVDO,2,2,3,A,5b,0")), "-5a/0 -5b/0"},
		{"no sequence id", quiet(vdm("AIVDM,2,1,,A,5a,0"), vdm("AIVDM,2,2,,A,5b,0")), "5a5b/0"},
		{
			"one id, two senders at once: nothing can be told",
			quiet(frag(2, 1, 3, "5a"), frag(2, 1, 3, "5x"), frag(2, 2, 3, "5b"), frag(2, 2, 3, "5y")),
			"-5a/0 -5x/0 -5b/0 -5y/0",
		},
		{
			"backwards, but the younger half's partner is another",
			quiet(frag(2, 2, 3, "5b"), frag(2, 1, 3, "8a"), frag(2, 2, 3, "8b")), "-8a/0 -5b/0 -8b/0",
		},
		{
			"backwards, held, then sure",
			append(quiet(frag(2, 2, 3, "5b"), frag(2, 1, 3, "5a")), filler...), "5a5b/0 1/0",
		},
		{
			"backwards, then the second half again",
			quiet(frag(2, 2, 3, "5b"), frag(2, 1, 3, "5a"), frag(2, 2, 3, "5b")), "-5b/0 5a5b/0",
		},
		{"the same line twice", quiet(frag(2, 1, 3, "5a"), frag(2, 1, 3, "5a"), frag(2, 2, 3, "5b")), "-5a/0 5a5b/0"},
		{
			"second half lost, id used again",
			append(append(quiet(frag(2, 1, 3, "5a")), filler...), frag(2, 1, 3, "8a"), frag(2, 2, 3, "8b")),
			"-5a/0 8a8b/0",
		},
		{
			"contest forgotten",
			append(append(quiet(frag(2, 1, 3, "5a"), frag(2, 1, 3, "5x")), filler...), frag(2, 1, 3, "8a"), frag(2, 2, 3, "8b")),
			"-5a/0 -5x/0 8a8b/0",
		},
		{
			"id comes round",
			quiet(frag(2, 2, 3, "5b"), frag(2, 1, 4, "a"), frag(2, 1, 5, "b"), frag(2, 1, 6, "c"), frag(2, 1, 7, "d"),
				frag(2, 1, 8, "e"), frag(2, 1, 9, "f"), frag(2, 1, 0, "g"), frag(2, 1, 1, "h"), frag(2, 1, 2, "i"), frag(2, 1, 3, "8a")),
			"-5b/0 -a/0 -b/0 -c/0 -d/0 -e/0 -f/0 -g/0 -h/0 -i/0 -8a/0",
		},
		{
			"TAG groups keep equal ids apart",
			quiet(tag("g:1-2-10")+frag(2, 1, 3, "5a"), tag("g:1-2-11")+frag(2, 1, 3, "8a"),
				tag("g:2-2-10")+frag(2, 2, 3, "5b"), tag("2G2:0011")+frag(2, 2, 3, "8b")),
			"5a5b/0 8a8b/0",
		},
		{
			"TAG sources keep equal ids apart",
			quiet(tag("s:x")+frag(2, 1, 3, "5a"), tag("s:y")+frag(2, 1, 3, "8a"),
				tag("s:y")+frag(2, 2, 3, "8b"), tag("s:x")+frag(2, 2, 3, "5b")),
			"8a8b/0 5a5b/0",
		},
		{
			"TAG source on the first sentence only",
			quiet(tag("s:x")+frag(2, 1, 3, "5a"), frag(2, 2, 3, "5b"), tag("s:y")+frag(3, 1, 3, "8a"), frag(3, 2, 3, "8b"), frag(3, 3, 3, "8c")),
			"5a5b/0 8a8b8c/0",
		},
		{
			"TAG source on the first sentence only, another in between",
			quiet(tag("s:x")+frag(2, 1, 3, "5a"), tag("s:y")+frag(2, 1, 4, "8a"), frag(2, 2, 3, "5b")),
			"-5a/0 -8a/0 -5b/0",
		},
		{
			"TAG times far apart, one group id for all",
			append(append(quiet(tag("g:1-2-9,c:1700000000")+frag(2, 1, 3, "5a")), filler...),
				tag("g:2-2-9,c:1700000060")+frag(2, 2, 3, "8b")),
			"-5a/0 -8b/0",
		},
		{"fill bits in the middle", quiet(vdm("AIVDM,2,1,3,A,w0,2"), vdm("AIVDM,2,2,3,A,w0,0")), "w3t0/2"},
		{"a foreign character after them stays", quiet(vdm("AIVDM,2,1,3,A,w0,2"), vdm("AIVDM,2,2,3,A,wX,0")), "w3Xt/2"},
	} {
		a := nmea.NewAssembler(nmea.AssemblerConfig{})
		var got []string
		for i, line := range c.lines {
			out := step(t, a, 1, line, int64(i)*1000)
			if out != "" && out != "1/0" {
				got = append(got, out)
			}
		}
		if out := showGroups(a.Flush()); out != "" {
			got = append(got, out)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: %s, want %s", c.name, g, c.want)
		}
		if a.Open() != 0 {
			t.Errorf("%s: %d open after Flush", c.name, a.Open())
		}
	}
}

func TestTimeLimit(t *testing.T) {
	const limit = 1_000_000
	a := nmea.NewAssembler(nmea.AssemblerConfig{TimeoutMicros: limit})
	step(t, a, 1, frag(2, 1, 3, "5a"), 0)
	if got := showGroups(a.Expire(limit)); got != "" {
		t.Errorf("at the limit: %s", got)
	}
	if got := showGroups(a.Expire(limit + 1)); got != "-5a/0" {
		t.Errorf("after the limit: %q", got)
	}
	step(t, a, 1, frag(2, 1, 3, "5a"), 0)
	if got := step(t, a, 1, frag(2, 2, 3, "8b"), limit+1); got != "-5a/0" {
		t.Errorf("late fragment: %q", got)
	}
	if got := step(t, a, 1, frag(2, 1, 3, "8a"), -limit); got != "-8b/0" {
		t.Errorf("clock set back: %q", got)
	}
}

func TestMaxOpen(t *testing.T) {
	a := nmea.NewAssembler(nmea.AssemblerConfig{MaxOpen: 3})
	orphans := 0
	for i := range 10 {
		out := step(t, a, uint32(i), frag(2, 1, 3, "5a"), 0)
		if i >= 3 && out != "-5a/0" || i < 3 && out != "" {
			t.Errorf("source %d: %q", i, out)
		}
		orphans += len(out) / 5
		if a.Open() > 3 {
			t.Fatalf("%d open", a.Open())
		}
	}
	if got := showGroups(a.Flush()); got != "-5a/0 -5a/0 -5a/0" {
		t.Errorf("flush %q", got)
	}
}

// TestGroupParts: what a group tells about its sentences, in order of number,
// from the assembler's own copy.
func TestGroupParts(t *testing.T) {
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	add := func(line string, now int64) []nmea.Group {
		buf := []byte(line)
		s := nmea.Split(buf, nil)[0]
		v, err := nmea.ParseVDM(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		out := a.Add(7, &s, v, now)
		if len(out) == 0 {
			clear(buf) // the caller's buffer is used again
		}
		return out
	}
	second := tag("g:2-2-5") + vdm("AIVDM,2,2,3,A,5b,2") + ",r1"
	first := tag("g:1-2-5,s:rx,c:1700000000") + vdm("AIVDM,2,1,3,A,5a,0")
	if out := add(second, 10); len(out) != 0 {
		t.Fatalf("%+v", out)
	}
	out := add(first, 20)
	if len(out) != 1 || !out[0].Complete || out[0].Source != 7 || len(out[0].Parts) != 2 {
		t.Fatalf("%+v", out)
	}
	g := &out[0]
	micros, ok := g.TagTime()
	if string(g.Parts[0].Sentence.Raw) != first || string(g.Parts[1].Sentence.Raw) != second ||
		g.Parts[0].At != 20 || g.Parts[1].At != 10 || g.First().Number != 1 || g.Fill != 2 ||
		!ok || micros != 1_700_000_000_000_000 || string(g.Station()) != "rx" || g.Flags() != nmea.FlagSuffix {
		t.Errorf("%+v", g)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	var all []nmea.Sentence
	var vdms []nmea.VDM
	for _, l := range []string{vdm("AIVDM,1,1,,A,15,0"), frag(2, 1, 3, "5a"), frag(2, 2, 3, "5b")} {
		s := sentence(l)
		v, _ := nmea.ParseVDM(s.Body)
		all, vdms = append(all, *s), append(vdms, v)
	}
	now := int64(0)
	n := testing.AllocsPerRun(100, func() {
		for i := range all {
			now += 10
			a.Add(1, &all[i], vdms[i], now)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for three sentences", n)
	}
}
