package nmea_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/nmea"
)

// crowd gives lines of a few receivers that lose, repeat, damage and interleave
// fragments and count ids so fast that every doubt of the assembler comes up.
func crowd(rng *rand.Rand, n int) (lines []string) {
	var pending [][]string
	seq := map[string]int{}
	for len(lines) < n {
		talker := []string{"AI", "BS"}[rng.IntN(2)]
		if rng.IntN(3) == 0 {
			lines = append(lines, vdm(talker+fmt.Sprintf("VDM,1,1,,A,1%d,0", rng.IntN(1000))))
			continue
		}
		station := []string{"", "", `\s:r1*1e\`, `\s:r2*1d\`}[rng.IntN(4)]
		seq[talker+station] = (seq[talker+station] + 1) % 4
		total := 2 + rng.IntN(2)
		var message []string
		for number := 1; number <= total; number++ {
			if rng.IntN(5) > 0 {
				payload := fmt.Sprintf("%c%d", 'a'+byte(number), rng.IntN(1000))
				message = append(message, station+vdm(fmt.Sprintf("%sVDM,%d,%d,%d,%c,%s,0", talker, total, number, seq[talker+station], "AB"[rng.IntN(20)/19], payload)))
			}
		}
		if rng.IntN(4) == 0 {
			rng.Shuffle(len(message), func(i, j int) { message[i], message[j] = message[j], message[i] })
		}
		pending = append(pending, message)
		for len(pending) > rng.IntN(4) {
			i := rng.IntN(len(pending))
			if len(pending[i]) > 0 {
				lines = append(lines, pending[i][0])
				if rng.IntN(12) == 0 {
					lines = append(lines, pending[i][0])
				}
				pending[i] = pending[i][1:]
			}
			if len(pending[i]) == 0 {
				pending = slices.Delete(pending, i, i+1)
			}
		}
	}
	return lines
}

// restored gives a fresh Assembler what a remembers, with the clock moved.
func restored(t *testing.T, a *nmea.Assembler, now, moved int64) *nmea.Assembler {
	t.Helper()
	b := nmea.NewAssembler(nmea.AssemblerConfig{})
	for s := range a.Saved(now) {
		c := *s
		c.Parts = nil
		for _, p := range s.Parts {
			raw := append([]byte(nil), p.Sentence.Raw...)
			part := nmea.Part{Sentence: nmea.Split(raw, nil)[0], At: p.At + moved}
			part.Sentence.Flags = p.Sentence.Flags
			c.Parts = append(c.Parts, part)
		}
		if !b.Restore(&c, now+moved) {
			t.Fatalf("not restored: %+v", c)
		}
	}
	if a.Open() != b.Open() {
		t.Fatalf("%d open, want %d", b.Open(), a.Open())
	}
	return b
}

// TestRestoredJudgesAlike: an Assembler that is exchanged for a restored one
// after any line gives, from there on, exactly what the first would have given.
func TestRestoredJudgesAlike(t *testing.T) {
	saved := map[string]int{}
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(7, seed))
		lines := crowd(rng, 250)
		times := make([]int64, len(lines))
		for i := 1; i < len(times); i++ {
			times[i] = times[i-1] + rng.Int64N(60_000)
			if rng.IntN(60) == 0 {
				times[i] += 1_900_000
			}
		}
		run := func(a *nmea.Assembler, from int, moved int64) string {
			var out strings.Builder
			for i := from; i < len(lines); i++ {
				fmt.Fprintln(&out, step(t, a, 1, lines[i], times[i]+moved))
			}
			return out.String() + showGroups(a.Flush())
		}
		for cut := 1; cut < len(lines); cut++ {
			a := nmea.NewAssembler(nmea.AssemblerConfig{})
			for i := range cut {
				step(t, a, 1, lines[i], times[i])
			}
			for s := range a.Saved(times[cut-1]) {
				saved[fmt.Sprintf("contested=%t backwards=%t parts=%d/%d", s.Contested, s.Backwards, len(s.Parts), s.Total)]++
			}
			const moved = -1 << 40
			b := restored(t, a, times[cut-1], moved)
			if want, got := run(a, cut, 0), run(b, cut, moved); got != want {
				t.Fatalf("seed %d, cut after line %d:\n%s\nwant:\n%s", seed, cut, got, want)
			}
		}
	}
	for _, s := range []string{"contested=true backwards=false parts=0/2", "contested=false backwards=true parts=2/2", "contested=false backwards=false parts=2/3"} {
		if saved[s] == 0 {
			t.Errorf("never saved: %s; %v", s, saved)
		}
	}
	t.Log(saved)
}

// TestRestoreRefuses: what no Assembler gave changes nothing.
func TestRestoreRefuses(t *testing.T) {
	part := func(line string) nmea.Part { return nmea.Part{Sentence: *sentence(line)} }
	good := nmea.Saved{Talker: [2]byte{'A', 'I'}, Channel: 'A', Seq: 3, Total: 2, Parts: []nmea.Part{part(frag(2, 1, 3, "5a"))}}
	for name, change := range map[string]func(*nmea.Saved){
		"one sentence":          func(s *nmea.Saved) { s.Total = 1 },
		"ten sentences":         func(s *nmea.Saved) { s.Total = 10 },
		"other total":           func(s *nmea.Saved) { s.Total = 3 },
		"other id":              func(s *nmea.Saved) { s.Seq = 4 },
		"id out of range":       func(s *nmea.Saved) { s.Seq = 100 },
		"other channel":         func(s *nmea.Saved) { s.Channel = 0 },
		"other talker":          func(s *nmea.Saved) { s.Talker[0] = 'B' },
		"own ship":              func(s *nmea.Saved) { s.Own = true },
		"contested, with parts": func(s *nmea.Saved) { s.Contested = true },
		"no parts":              func(s *nmea.Saved) { s.Parts = nil },
		"no sentence":           func(s *nmea.Saved) { s.Parts = []nmea.Part{part("# text")} },
		"twice the same":        func(s *nmea.Saved) { s.Parts = append(s.Parts, s.Parts[0]) },
		"whole, not backwards":  func(s *nmea.Saved) { s.Parts = append(s.Parts, part(frag(2, 2, 3, "5b"))) },
		"whole, in a TAG group": func(s *nmea.Saved) {
			s.Parts, s.Backwards, s.Grouped = append(s.Parts, part(frag(2, 2, 3, "5b"))), true, true
		},
	} {
		s := good
		s.Parts = slices.Clone(good.Parts)
		change(&s)
		a := nmea.NewAssembler(nmea.AssemblerConfig{})
		if a.Restore(&s, 0) || a.Open() != 0 {
			t.Errorf("%s: taken", name)
		}
	}
	a := nmea.NewAssembler(nmea.AssemblerConfig{MaxOpen: 1})
	if !a.Restore(&good, 0) || a.Restore(&good, 0) {
		t.Error("a good one is taken once")
	}
	other := good
	other.Source = 2
	if a.Restore(&other, 0) {
		t.Error("taken, though there is no room")
	}
}
