package capture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"landfall/decoders/nmea"
	"landfall/edge/record"
	"landfall/edge/source"
)

// kept is a record with memory of its own.
type kept struct {
	record.Record
	raw string
}

func keep(into *[]kept) func(*record.Record) {
	return func(r *record.Record) {
		k := kept{*r, string(r.Raw)}
		k.Raw = nil
		*into = append(*into, k)
	}
}

// pieces is the multiset of the sentences of lines, by the framing itself.
func pieces(into map[string]int, line string) {
	if line == "" {
		return
	}
	for _, p := range nmea.Split([]byte(line), nil) {
		into[string(p.Raw)]++
	}
}

func recorded(records []kept) map[string]int {
	n := map[string]int{}
	for _, r := range records {
		for _, l := range strings.Split(r.raw, "\n") {
			n[l]++
		}
	}
	return n
}

// dirtyLines is a feed with fragments that interleave, lose partners and repeat.
func dirtyLines(rng *rand.Rand, n int) (lines []string) {
	for len(lines) < n {
		seq, ch := rng.IntN(10), "AB"[rng.IntN(2)]
		switch rng.IntN(9) {
		case 8:
			l := sentence(fmt.Sprintf("AIVDM,1,1,,%c,15M%05d,0", ch, rng.IntN(1e5)))
			lines = append(lines, pghp(rng.IntN(60), l[len(l)-2:]), l)
		case 0:
			lines = append(lines, "noise "+string([]byte{byte(1 + rng.IntN(9)), 0xff}))
		case 1:
			lines = append(lines, strings.Replace(sentence(fmt.Sprintf("GPGGA,%06d,,,", rng.IntN(1e6))), "!", "$", 1))
		case 2:
			lines = append(lines, fmt.Sprintf(`\c:%d*00\`, 1_700_000_000+rng.IntN(1000))+sentence(fmt.Sprintf("AIVDM,1,1,,%c,15M%05d,0", ch, rng.IntN(1e5))))
		case 3:
			lines = append(lines, sentence("AIVDM,9,x,y")+sentence("BSVDM,1,1,,A,1,0"))
		default:
			total := 2 + rng.IntN(2)
			for i := 1; i <= total; i++ {
				if rng.IntN(6) > 0 {
					lines = append(lines, sentence(fmt.Sprintf("AIVDM,%d,%d,%d,%c,5%06d,0", total, i, seq, ch, rng.IntN(1e6))))
				}
				if rng.IntN(12) == 0 && len(lines) > 0 {
					lines = append(lines, lines[len(lines)-1])
				}
			}
			if k := len(lines); k > 3 && rng.IntN(3) == 0 {
				lines[k-1], lines[k-2-rng.IntN(2)] = lines[k-2], lines[k-1]
			}
		}
	}
	return lines
}

// pghp announces an AIS sentence with the given checksum, received in the given
// second of 2020.
func pghp(second int, sum string) string {
	return "$" + sentence(fmt.Sprintf("PGHP,1,2020,1,1,0,0,%d,250,219,,2190074,1,%s", second, sum))[1:]
}

// TestTimeThatCameWithALine: which of the times around a sentence is its event
// time.
func TestTimeThatCameWithALine(t *testing.T) {
	vdm := sentence("AIVDM,1,1,,A,15M00001,0")
	sum := vdm[len(vdm)-2:]
	two := sentence("AIVDM,2,1,1,A,55,0") + "\n" + sentence("AIVDM,2,2,1,A,66,0")
	const announced = 1_577_836_807_250_000
	for _, c := range []struct {
		name   string
		lines  string
		at     record.Micros // of the last record; 0: receipt
		source record.TimeSource
	}{
		{"nothing", vdm, 0, record.TimeReceipt},
		{"TAG", `\c:1700000000*5f\` + vdm + ",1600000000", 1_700_000_000_000_000, record.TimeTag},
		{"TAG of 1970", `\c:17*00\` + vdm, 0, record.TimeReceipt},
		{"suffix", vdm + ",rST,1600000000", 1_600_000_000_000_000, record.TimeEnvelope},
		{"prefix", "1600000000.5 " + vdm, 1_600_000_000_500_000, record.TimeEnvelope},
		{"suffix before prefix", "1500000000 " + vdm + ",1600000000", 1_600_000_000_000_000, record.TimeEnvelope},
		{"$PGHP", pghp(7, sum) + "\n" + vdm, announced, record.TimeEnvelope},
		{"$PGHP before suffix", pghp(7, sum) + "\n" + vdm + ",1600000000", announced, record.TimeEnvelope},
		{"$PGHP itself", pghp(7, sum), announced, record.TimeEnvelope},
		{"$PGHP of another", pghp(7, "00") + "\n" + vdm, 0, record.TimeReceipt},
		{"$PGHP used up", pghp(7, sum) + "\n" + vdm + "\n" + vdm, 0, record.TimeReceipt},
		{"$PGHP, another, and it", pghp(7, sum) + "\n" + sentence("AIVDM,1,1,,A,15M00002,0") + "\n" + vdm, 0, record.TimeReceipt},
		{"$PGHP, text between", pghp(7, sum) + "\n\\si:IALA*25\\\n" + vdm, announced, record.TimeEnvelope},
		{"$PGHP of a message of two", pghp(7, "99") + "\n" + two, announced, record.TimeEnvelope},
		{"suffix of the second part only", two + ",1600000000", 1_600_000_000_000_000, record.TimeEnvelope},
	} {
		var out []kept
		capturer := New(Config{Emit: keep(&out)})
		for _, l := range strings.Split(c.lines, "\n") {
			capturer.Feed(capturer.Stream(0, "s"), []byte(l), false, Receipt{At: 7e15, Monotonic: 9})
		}
		if c.at == 0 {
			c.at = 7e15
		}
		if r := out[len(out)-1]; r.EventTime != c.at || r.TimeSource != c.source {
			t.Errorf("%s: %d from %s, want %d from %s", c.name, r.EventTime, r.TimeSource, c.at, c.source)
		}
	}
}

// TestEveryLineOnce: with several streams, losses and expiry, the multiset of
// sentences in is the multiset of lines in records.
func TestEveryLineOnce(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var out []kept
		c := New(Config{Emit: keep(&out), Replay: seed%2 == 0, BaseTime: record.NoTime})
		want, mono := map[string]int{}, int64(0)
		for _, l := range dirtyLines(rng, 300) {
			mono += rng.Int64N(300_000)
			pieces(want, l)
			c.Feed(c.Stream(uint32(rng.IntN(2)), fmt.Sprint(rng.IntN(3))), []byte(l), false, Receipt{At: 5, Monotonic: mono})
			if rng.IntN(20) == 0 {
				c.Expire(mono)
			}
		}
		c.Flush()
		if got := recorded(out); !maps.Equal(got, want) {
			t.Fatalf("seed %d: records hold %d distinct sentences, want %d", seed, len(got), len(want))
		}
		if c.Waiting() != 0 || len(c.holders) != 0 || c.waitingBytes != 0 {
			t.Fatalf("seed %d: %d still waiting", seed, c.Waiting())
		}
		if n := c.Counts(); n.Records != uint64(len(out)) || n.Messages+n.Fragments+n.Sentences+n.Texts != n.Records || n.Fragments == 0 || n.Messages == 0 {
			t.Fatalf("seed %d: counts %+v for %d records", seed, n, len(out))
		}
	}
}

func FuzzCapture(f *testing.F) {
	f.Add([]byte(sentence("AIVDM,2,1,1,A,55,0")+"\r\n"+sentence("AIVDM,2,2,1,A,88,2")+"\n$X*\n"), uint64(1))
	f.Add([]byte("\x00\r\\g:1-2-3*11\\"+sentence("AIVDM,3,2,1,,,0")+sentence("AIVDM,3,2,1,,,0")), uint64(2))
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 5))
		want := map[string]int{}
		var whole source.Splitter
		count := func(l []byte, _ bool) { pieces(want, string(l)) }
		whole.Feed(p, count)
		whole.Flush(true, count)

		var out []kept
		c := New(Config{Emit: keep(&out)})
		var split source.Splitter
		mono := int64(0)
		feed := func(l []byte, cut bool) { c.Feed(c.Stream(0, "s"), l, cut, Receipt{Monotonic: mono}) }
		for len(p) > 0 {
			n := min(1+rng.IntN(50), len(p))
			mono += rng.Int64N(1_000_000)
			split.Feed(p[:n], feed)
			p = p[n:]
		}
		split.Flush(true, feed)
		c.Flush()
		if got := recorded(out); !maps.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestKindsFlagsAndTimes(t *testing.T) {
	single, bad := sentence("AIVDM,1,1,,A,15M,0"), "!AIVDM,1,1,,A,15M,0*00"
	two := []string{sentence("AIVDM,2,1,3,A,55,0"), sentence("AIVDM,2,2,3,A,88,2")}
	tagged := func(c, s string) string {
		body := "c:" + c
		var sum byte
		for _, b := range []byte(body) {
			sum ^= b
		}
		return fmt.Sprintf(`\%s*%02X\%s`, body, sum, s)
	}
	receipt := func(r record.Record) record.Record {
		r.ReceivedAt, r.EventTime, r.TimeSource, r.TimeQuality, r.Monotonic = 7e15, 7e15, record.TimeReceipt, record.QualityUnsynchronised, 9
		return r
	}
	tag := func(r record.Record, at record.Micros) record.Record {
		r = receipt(r)
		r.EventTime, r.TimeSource, r.TimeQuality = at, record.TimeTag, record.QualityAsserted
		return r
	}
	for name, c := range map[string]struct {
		lines []string
		want  []kept
	}{
		"single":         {[]string{single}, []kept{{receipt(record.Record{Kind: record.KindAIS}), single}}},
		"checksum":       {[]string{bad}, []kept{{receipt(record.Record{Kind: record.KindAIS, Flags: record.FlagBadChecksum}), bad}}},
		"prefix, suffix": {[]string{"x " + single + ",y"}, []kept{{receipt(record.Record{Kind: record.KindAIS, Flags: record.FlagPrefix | record.FlagSuffix}), "x " + single + ",y"}}},
		"fields":         {[]string{sentence("AIVDM,1,1")}, []kept{{receipt(record.Record{Kind: record.KindAIS, Flags: record.FlagMalformed}), sentence("AIVDM,1,1")}}},
		"sentence":       {[]string{"$GPZDA,1"}, []kept{{receipt(record.Record{Kind: record.KindSentence, Flags: record.FlagNoChecksum}), "$GPZDA,1"}}},
		"text":           {[]string{"# hello"}, []kept{{receipt(record.Record{Kind: record.KindText}), "# hello"}}},
		"seconds":        {[]string{tagged("1700000000", single)}, []kept{{tag(record.Record{Kind: record.KindAIS}, 1_700_000_000_000_000), tagged("1700000000", single)}}},
		"float":          {[]string{tagged("1700000000.25", single)}, []kept{{tag(record.Record{Kind: record.KindAIS}, 1_700_000_000_250_000), tagged("1700000000.25", single)}}},
		"insane":         {[]string{tagged("12", single)}, []kept{{receipt(record.Record{Kind: record.KindAIS}), tagged("12", single)}}},
		"two":            {two, []kept{{receipt(record.Record{Kind: record.KindAIS}), two[0] + "\n" + two[1]}}},
		"two, reversed":  {[]string{two[1], two[0]}, []kept{{receipt(record.Record{Kind: record.KindAIS}), two[0] + "\n" + two[1]}}},
		"orphan":         {two[1:], []kept{{receipt(record.Record{Kind: record.KindFragment}), two[1]}}},
		"time of first":  {[]string{tagged("1700000000", two[0]), two[1]}, []kept{{tag(record.Record{Kind: record.KindAIS}, 1_700_000_000_000_000), tagged("1700000000", two[0]) + "\n" + two[1]}}},
	} {
		t.Run(name, func(t *testing.T) {
			var out []kept
			capturer := New(Config{Emit: keep(&out)})
			for _, l := range c.lines {
				capturer.Feed(capturer.Stream(0, "s"), []byte(l), false, Receipt{At: 7e15, Monotonic: 9})
			}
			capturer.Flush()
			if fmt.Sprint(out) != fmt.Sprint(c.want) {
				t.Fatalf("got  %+v\nwant %+v", out, c.want)
			}
		})
	}
}

// TestReplayTimes: a replay knows no clock: the last TAG time, before it the
// base time, before that none.
func TestReplayTimes(t *testing.T) {
	line := sentence("AIVDM,1,1,,A,15M,0")
	for _, base := range []record.Micros{record.NoTime, 1_600_000_000_000_000} {
		var out []kept
		c := New(Config{Emit: keep(&out), Replay: true, BaseTime: base})
		for _, l := range []string{line, `\c:1700000000*00\` + line, line} {
			c.Feed(c.Stream(0, "s"), []byte(l), false, Receipt{})
		}
		first, tagged, after := out[0], out[1], out[2]
		wantFirst := record.TimeBase
		if base == record.NoTime {
			wantFirst = record.TimeNone
		}
		if first.TimeSource != wantFirst || first.EventTime != base || first.ReceivedAt != base ||
			tagged.TimeSource != record.TimeTag || tagged.EventTime != 1_700_000_000_000_000 ||
			after.TimeSource != record.TimeBase || after.EventTime != 1_700_000_000_000_000 || after.Monotonic != 0 {
			t.Errorf("base %d: %+v", base, out)
		}
	}
}

// TestReplayAfterAWrongDate: a line without a time has that of the one before,
// but not of one dated 2038 among others; where all that follow are days later,
// the recording has a gap.
func TestReplayAfterAWrongDate(t *testing.T) {
	line := sentence("AIVDM,1,1,,A,15M,0")
	var out []kept
	c := New(Config{Emit: keep(&out), Replay: true, BaseTime: record.NoTime})
	for _, at := range []int64{1_700_000_000, 1_700_000_001, 2_147_483_647, 0, 1_700_000_002, 0, 1_700_900_000, 1_700_900_001, 0} {
		l := line
		if at != 0 {
			l = fmt.Sprintf(`\c:%d*00\`, at) + line
		}
		c.Feed(c.Stream(0, "s"), []byte(l), false, Receipt{})
	}
	for i, want := range map[int]record.Micros{3: 1_700_000_001_000_000, 5: 1_700_000_002_000_000, 8: 1_700_900_001_000_000} {
		if out[i].EventTime != want || out[i].ReceivedAt != want {
			t.Errorf("record %d: %+v, want %d", i, out[i], want)
		}
	}
}

// TestDamagedCopyContestsNothing: a fragment whose checksum is wrong or missing
// is kept by itself, and the good ones around it are joined all the same.
func TestDamagedCopyContestsNothing(t *testing.T) {
	first, second := sentence("AIVDM,2,1,3,A,5500000000000000000000000000000000000000000000000000000000,0"), sentence("AIVDM,2,2,3,A,00000000000,2")
	for name, damaged := range map[string]string{
		"bad checksum":                 strings.Replace(first, "50", "51", 1),
		"no checksum":                  first[:len(first)-3],
		"second part, bad checksum":    strings.Replace(second, ",0", ",1", 1),
		"second part, without its end": second[:len(second)-6],
	} {
		var out []kept
		c := New(Config{Emit: keep(&out)})
		s := c.Stream(0, "s")
		for i, l := range []string{first, damaged, second} {
			c.Feed(s, []byte(l), false, Receipt{At: record.Micros(i), Monotonic: int64(i)})
		}
		c.Flush()
		if len(out) != 2 || out[0].raw != damaged || out[1].Kind != record.KindAIS || out[1].raw != first+"\n"+second {
			t.Errorf("%s: %+v", name, out)
		}
	}
}
