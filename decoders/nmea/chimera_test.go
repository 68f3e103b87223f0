package nmea_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/decoders/nmea"
)

// heard is a line of a simulated feed with its truth. Its text ends in a suffix
// that names it, so that no two are equal and the assembler cannot tell.
type heard struct {
	aissim.Line
	source   uint32
	sentence nmea.Sentence
	vdm      nmea.VDM
}

// feed is what n lines of a harbour with three receivers look like. shared
// makes them one source with one talker, as a feed put together from several
// receivers looks.
func feed(t *testing.T, cfg aissim.Config, n int, shared bool) []heard {
	t.Helper()
	cfg.Start = 1_767_225_600_000_000
	cfg.Receivers = []aissim.Receiver{
		{Name: "a"}, {Name: "b", Latency: 35 * time.Millisecond}, {Name: "c", Latency: 90 * time.Millisecond, Hears: 0.7},
	}
	h, err := aissim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]heard, 0, n)
	for len(lines) < n {
		l := heard{Line: h.Next()}
		if l.Kind != aissim.KindSentence {
			continue
		}
		if !shared {
			l.source = uint32(l.Receiver)
		}
		text := append(l.Text[:len(l.Text):len(l.Text)], fmt.Sprintf(",r%d,%d", l.Receiver, len(lines))...)
		l.sentence = nmea.Split(text, nil)[0]
		if l.vdm, err = nmea.ParseVDM(l.sentence.Body); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// tally is what came of a feed: whole messages, and orphans.
type tally struct{ whole, orphans int }

// assemble runs a feed without the lines in drop through an assembler. It fails
// the test for a chimera and for a fragment not handed back exactly once.
// frozen gives the assembler a clock that stands still, as a file without any
// times does.
func assemble(t *testing.T, lines []heard, drop map[int]bool, frozen bool) tally {
	t.Helper()
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	var sum tally
	back := make([]bool, len(lines))
	take := func(groups []nmea.Group) {
		for i := range groups {
			g := &groups[i]
			if g.Complete {
				sum.whole++
			} else {
				sum.orphans++
			}
			var first *heard
			for p := range g.Parts {
				s := &g.Parts[p].Sentence
				n, err := strconv.Atoi(string(s.Suffix[len(",r0,"):]))
				if err != nil {
					t.Fatal(err)
				}
				if back[n] {
					t.Fatalf("fragment %d handed back twice", n)
				}
				back[n] = true
				l := &lines[n]
				if first == nil {
					first = l
				}
				if l.Message != first.Message || string(l.sentence.Raw) != string(s.Raw) {
					t.Fatalf("chimera: message %d of %d and %d of %d; dropped %v",
						first.Message, first.MMSI, l.Message, l.MMSI, drop)
				}
			}
			if g.Complete {
				checkWhole(t, g, first)
			}
		}
	}
	for i := range lines {
		l := &lines[i]
		if drop[i] {
			back[i] = true
			continue
		}
		now := l.At
		if frozen {
			now = 0
		}
		take(a.Add(l.source, &l.sentence, l.vdm, now))
	}
	take(a.Flush())
	for i := range back {
		if !back[i] {
			t.Fatalf("fragment %d was not handed back; dropped %v", i, drop)
		}
	}
	return sum
}

// checkWhole: the payload is what was sent, also when read back from the lines
// as they are kept.
func checkWhole(t *testing.T, g *nmea.Group, sent *heard) {
	t.Helper()
	var raw []byte
	for i := range g.Parts {
		if i > 0 {
			raw = append(raw, '\n')
		}
		raw = append(raw, g.Parts[i].Sentence.Raw...)
	}
	var m nmea.Message
	if err := m.Parse(raw); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if string(g.Payload) != string(sent.Payload) || g.Fill != sent.Fill ||
		string(m.Payload) != string(sent.Payload) || m.Fill != sent.Fill || m.Flags != g.Flags() {
		t.Fatalf("payload %s/%d, from the lines %s/%d, sent %s/%d",
			g.Payload, g.Fill, m.Payload, m.Fill, sent.Payload, sent.Fill)
	}
}

// TestNoChimera drops every single fragment in turn from interleaved feeds of
// several receivers. No two ships' halves may ever be joined, and where each
// receiver is a source of its own only the message of the lost fragment is
// lost.
func TestNoChimera(t *testing.T) {
	const n = 1500
	for _, c := range []struct {
		name   string
		cfg    aissim.Config
		shared bool
	}{
		{"a source each", aissim.Config{Seed: 1, Rate: 300}, false},
		{"a source each, in a hurry", aissim.Config{Seed: 2, Rate: 20_000}, false},
		{"a source each, in disorder", aissim.Config{Seed: 3, Rate: 300, Disorder: 0.1}, false},
		{"one source", aissim.Config{Seed: 4, Rate: 300}, true},
		{"one source, in a hurry", aissim.Config{Seed: 5, Rate: 20_000}, true},
		{"one source, TAG groups", aissim.Config{Seed: 6, Rate: 300, Tag: aissim.TagMillis, Groups: true}, true},
		{"one source, TAG sources", aissim.Config{Seed: 7, Rate: 300, Tag: aissim.TagSeconds}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := feed(t, c.cfg, n, c.shared)
			for _, frozen := range []bool{false, true} {
				all := assemble(t, lines, nil, frozen)
				fragments := 0
				for i := range lines {
					if lines[i].Total == 1 {
						continue
					}
					fragments++
					got := assemble(t, lines, map[int]bool{i: true}, frozen)
					strict := !c.shared && c.cfg.Disorder == 0
					if strict && (all.orphans > 2 || got.whole < all.whole-1 || got.orphans > all.orphans+lines[i].Total-1) {
						t.Errorf("without fragment %d: %+v, with it %+v", i, got, all)
					}
				}
				if fragments < 50 {
					t.Errorf("only %d fragments", fragments)
				}
				t.Logf("frozen clock %v: %d fragments dropped in turn; nothing dropped: %+v", frozen, fragments, all)
			}
		})
	}
}

// TestNoChimeraInStorm loses many fragments at once.
func TestNoChimeraInStorm(t *testing.T) {
	for seed := range uint64(20) {
		cfg := aissim.Config{Seed: seed, Rate: 500, LostFragments: 0.3, Disorder: 0.05}
		assemble(t, feed(t, cfg, 3000, false), nil, seed%2 == 0)
	}
}

// FuzzAssembler gives fragments in any order, with losses and repetitions: each
// comes back once, whole messages are whole and in order, and no more than
// MaxOpen wait.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3})
	f.Add([]byte{0, 2, 1, 3, 0x80, 0, 3})
	f.Add([]byte{3, 3, 2, 1, 0xff, 0, 4, 5, 6, 7, 64, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		a := nmea.NewAssembler(nmea.AssemblerConfig{MaxOpen: 5})
		now, given, back := int64(0), 0, 0
		count := func(groups []nmea.Group) {
			for _, g := range groups {
				back += len(g.Parts)
				if g.Complete && len(g.Parts) != g.Parts[0].VDM.Total || !g.Complete && len(g.Parts) != 1 {
					t.Fatalf("%d parts, complete %v", len(g.Parts), g.Complete)
				}
				joined := ""
				for i, p := range g.Parts {
					if g.Complete && p.VDM.Number != i+1 {
						t.Fatalf("part %d has number %d", i, p.VDM.Number)
					}
					joined += string(p.VDM.Payload)
				}
				if string(g.Payload) != joined {
					t.Fatalf("payload %q of parts %q", g.Payload, joined)
				}
			}
		}
		for _, op := range script {
			now += int64(op) << (op >> 5)
			total := 1 + int(op>>4&3)
			number := 1 + int(op&3)%total
			payload := fmt.Sprintf("%d", op)
			s := sentence(frag(total, number, int(op>>2&1), payload))
			v, err := nmea.ParseVDM(s.Body)
			if err != nil {
				t.Fatal(err)
			}
			given++
			count(a.Add(uint32(op>>7), s, v, now))
			if a.Open() > 5 {
				t.Fatalf("%d open", a.Open())
			}
		}
		count(a.Flush())
		if given != back {
			t.Fatalf("%d given, %d handed back", given, back)
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	h, err := aissim.New(aissim.Config{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	lines := make([]heard, 10_000)
	for i := range lines {
		l := &lines[i]
		l.Line = h.Next()
		l.sentence = nmea.Split(l.Text, nil)[0]
		if l.vdm, err = nmea.ParseVDM(l.sentence.Body); err != nil {
			b.Fatal(err)
		}
	}
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l := &lines[i%len(lines)]
		a.Add(1, &l.sentence, l.vdm, l.At)
		i++
	}
}

// TestNoChimeraSoak drops every fragment in turn from many more feeds.
func TestNoChimeraSoak(t *testing.T) {
	if os.Getenv("LANDFALL_SOAK") != "1" {
		t.Skip("set LANDFALL_SOAK=1 for 400 feeds")
	}
	for seed := range uint64(400) {
		cfg := aissim.Config{Seed: 100 + seed, Rate: []float64{300, 20_000}[seed%2]}
		lines := feed(t, cfg, 2000, seed%4 < 2)
		for i := range lines {
			if lines[i].Total > 1 {
				assemble(t, lines, map[int]bool{i: true}, seed%8 < 4)
			}
		}
	}
}
