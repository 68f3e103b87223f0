package capture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"landfall/edge/clock"
	"landfall/edge/record"
)

// hostileLine is a line of a radio that says anything: all types of AIS message with all
// times, parts of messages that never come, TAG blocks and groups, other sentences.
func hostileLine(rng *rand.Rand) string {
	payload := func(most int) string {
		p := make([]byte, 1+rng.IntN(most))
		for i := range p {
			p[i] = "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVW`abcdefghijklmnopqrstuvw"[rng.IntN(64)]
		}
		return string(p)
	}
	line := ""
	switch rng.IntN(8) {
	case 0, 1: // any type
		line = sentence(fmt.Sprintf("AIVDM,1,1,,%c,%s,%d", "AB"[rng.IntN(2)], payload(80), rng.IntN(6)))
	case 2: // a base station's date: type 4 is '4', 11 is ';'
		line = sentence(fmt.Sprintf("AIVDM,1,1,,A,%c%s,0", "4;"[rng.IntN(2)], payload(28)+strings.Repeat("0", 27)))
	case 3: // a part
		total := 2 + rng.IntN(8)
		line = sentence(fmt.Sprintf("AIVDM,%d,%d,%d,A,%s,0", total, rng.IntN(total+2), rng.IntN(11), payload(60)))
	case 4:
		line = sentence([]string{"GPRMC,", "GPZDA,", "GPGGA,", "AIVDO,1,1,,A,", "WIMWV,"}[rng.IntN(5)] + payload(40))
	case 5:
		line = sentence(fmt.Sprintf("GPZDA,%02d%02d%02d.00,%02d,%02d,%04d,00,00", rng.IntN(30), rng.IntN(70), rng.IntN(70), rng.IntN(40), rng.IntN(15), rng.IntN(10_000)))
	case 6:
		line = "$PGHP,1," + strings.Repeat(fmt.Sprintf("%d,", rng.IntN(70)), rng.IntN(12))
	default:
		p := make([]byte, 1+rng.IntN(100))
		for i := range p {
			p[i] = byte(1 + rng.IntN(255))
		}
		line = string(p)
	}
	if rng.IntN(3) == 0 {
		body := []string{
			fmt.Sprintf("c:%d", rng.Int64()>>rng.IntN(63)), fmt.Sprintf("g:%d-%d-%d", rng.IntN(4), rng.IntN(5), rng.IntN(1<<20)), "s:" + payload(20), payload(30),
		}[rng.IntN(4)]
		sum := byte(0)
		for _, b := range []byte(body) {
			sum ^= b
		}
		line = fmt.Sprintf(`\%s*%02X\%s`, body, sum, line)
	}
	return strings.NewReplacer("\r", "r", "\n", "n").Replace(line)
}

// hostileRadio plays a radio that says anything, under ever new names, beside an honest
// one: of both each line is there once, the honest one's are whole, and what is kept is
// bounded.
func hostileRadio(t testing.TB, seed uint64, turns int) {
	rng := rand.New(rand.NewPCG(seed, 11))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var honest []string
	records, hostile := 0, map[string]int{}
	c := New(Config{Clock: clock.NewEstimator(clock.EstimatorConfig{}), Emit: func(r *record.Record) {
		if records++; r.Source == 0 {
			honest = append(honest, string(r.Raw))
			return
		}
		for part := range strings.SplitSeq(string(r.Raw), "\n") {
			hostile[part]--
		}
	}, OnPanic: func(_ uint32, line []byte, what any) { t.Errorf("%q: %v", line, what) }})
	var want []string
	mono := int64(1)
	for i := range turns {
		mono += rng.Int64N(200_000)
		at := Receipt{At: record.Micros(1_700_000_000_000_000 + mono), Monotonic: mono}
		if i%5 == 0 {
			want = append(want, sentence(fmt.Sprintf("AIVDM,1,1,,A,15M%05d,0", i)))
			c.Feed(c.Stream(0, "honest"), []byte(want[len(want)-1]), false, at)
			two := []string{sentence(fmt.Sprintf("AIVDM,2,1,%d,A,55%04d,0", i/5%10, i)), sentence(fmt.Sprintf("AIVDM,2,2,%d,A,88,2", i/5%10))}
			for _, l := range two {
				c.Feed(c.Stream(0, "honest"), []byte(l), false, at)
			}
			want = append(want, strings.Join(two, "\n"))
		}
		line := hostileLine(rng)
		pieces(hostile, line)
		// A host takes any name, and any number of them.
		s := c.Stream(1+uint32(rng.IntN(3)), fmt.Sprint("host", rng.IntN(1+i%7*2000)))
		c.Feed(s, []byte(line), rng.IntN(50) == 0, at)
		if c.waitingSize() > maxWaitingBytes || len(c.streams) > maxStreams+c.live.Open()+c.resent.Open() {
			t.Fatalf("turn %d: %d bytes wait, of %d streams", i, c.waitingSize(), len(c.streams))
		}
	}
	c.Flush()
	if !slices.Equal(honest, want) {
		t.Fatalf("%d honest messages, want %d", len(honest), len(want))
	}
	for line, n := range hostile {
		if n != 0 {
			t.Fatalf("%q is there %d times too few", line, n)
		}
	}
	runtime.GC()
	if runtime.ReadMemStats(&after); after.HeapAlloc > before.HeapAlloc+16<<20 {
		t.Errorf("%d MiB are held, %d before", after.HeapAlloc>>20, before.HeapAlloc>>20)
	}
	runtime.KeepAlive(c)
}

// TestHostileRadio: see hostileRadio.
func TestHostileRadio(t *testing.T) {
	seeds := uint64(3)
	if os.Getenv("LANDFALL_SOAK") == "1" {
		seeds = 100
	}
	for seed := range seeds {
		hostileRadio(t, seed, 3000)
	}
}

// FuzzHostileRadio plays seeds.
func FuzzHostileRadio(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { hostileRadio(t, seed, 300) })
}
