package capture

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

var testNames = []string{"file", "radio"}

func nameOf(i uint32) string   { return testNames[i] }
func numberOf(n string) uint32 { return uint32(slices.Index(testNames, n)) }
func firstResends(i uint32) bool {
	return i == 0
}

// texts is what records hold, in their order.
func texts(records []kept) (all []string) {
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %s %s %d %q", r.Kind, r.Flags, r.TimeSource, r.EventTime, r.raw))
	}
	return all
}

// timed gives dirty lines the times at which a gateway that never stops would
// receive them; no silence is longer than the steady clock's step.
func timed(rng *rand.Rand, n int) (lines []string, at []int64) {
	lines = dirtyLines(rng, n)
	now := int64(0)
	for range lines {
		if now += rng.Int64N(40_000); rng.IntN(40) == 0 {
			now += 450_000
		}
		at = append(at, now)
	}
	return lines, at
}

// TestResentAsIfNeverStopped: a source that resends gives, whatever line the
// process ends after, however often, how long it is gone and whether the machine
// starts anew, the records of a run without an end: the same ones, in order.
func TestResentAsIfNeverStopped(t *testing.T) {
	joined := 0
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 9))
		lines, at := timed(rng, 150)
		run := func(cuts map[int]int64) []string {
			var out []kept
			cfg := Config{Emit: keep(&out), Resends: firstResends}
			c, moved, boot := New(cfg), int64(0), clock.BootID{1}
			for i, l := range lines {
				if gone, ok := cuts[i]; ok {
					snapshot := c.Snapshot(boot, nameOf)
					boot[0]++
					last := int64(0)
					if i > 0 {
						last = at[i-1]
					}
					moved = gone
					next := New(cfg)
					if err := next.Restore(snapshot, boot, last+moved, numberOf); err != nil || next.Waiting() != c.Waiting() {
						t.Fatalf("cut %d: %d waiting, want %d; %v", i, next.Waiting(), c.Waiting(), err)
					}
					c = next
				}
				c.Feed(c.Stream(0, fmt.Sprint(i%2)), []byte(l), false, Receipt{At: record.Micros(i), Monotonic: at[i] + moved})
			}
			c.Flush()
			for _, r := range out {
				if strings.Contains(r.raw, "\n") {
					joined++
				}
			}
			return texts(out)
		}
		want := run(nil)
		for cut := range lines {
			gone := []int64{-at[max(cut-1, 0)], 0, 1_000_000, 3_600_000_000}[cut%4]
			for name, cuts := range map[string]map[int]int64{
				"once": {cut: gone}, "twice in a row": {cut: gone, cut + 1: 2 * gone}, "again later": {cut: gone, cut + 9: 5e9},
			} {
				if got := run(cuts); !slices.Equal(got, want) {
					for i := range want {
						if i >= len(got) || got[i] != want[i] {
							t.Fatalf("seed %d, %s, ended before line %d: record %d is %s, want %s", seed, name, cut, i, got[i:min(i+1, len(got))], want[i])
						}
					}
					t.Fatalf("seed %d, %s, ended before line %d: %d records, want %d", seed, name, cut, len(got), len(want))
				}
			}
		}
	}
	if joined == 0 {
		t.Error("nothing was joined")
	}
}

// TestHeardOnceIsGivenUp: of a source that does not resend, what waited becomes
// records at the restart, each sentence once, and joins nothing that comes later.
func TestHeardOnceIsGivenUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	lines := dirtyLines(rng, 150)
	want := map[string]int{}
	for _, l := range lines {
		pieces(want, l)
	}
	boot := clock.BootID{1}
	for cut := range len(lines) + 1 {
		var out []kept
		feed := func(c *Capturer, from, to int) {
			for i := from; i < to; i++ {
				c.Feed(c.Stream(1, "s"), []byte(lines[i]), false, Receipt{At: record.Micros(i), Monotonic: int64(i)})
			}
		}
		first := New(Config{Emit: keep(&out), Resends: firstResends})
		feed(first, 0, cut)
		second := New(Config{Emit: keep(&out), Resends: firstResends})
		before := len(out)
		if err := second.Restore(first.Snapshot(boot, nameOf), boot, int64(cut), numberOf); err != nil || second.Remembers() {
			t.Fatalf("cut %d: %d waiting; %v", cut, second.Waiting(), err)
		}
		if n := len(out) - before; n != first.Waiting() {
			t.Fatalf("cut %d: %d records of %d that waited", cut, n, first.Waiting())
		}
		feed(second, cut, len(lines))
		second.Flush()
		if !maps.Equal(recorded(out), want) {
			t.Fatalf("cut %d: not every sentence once", cut)
		}
	}
}

func TestWaitingIsBounded(t *testing.T) {
	c := New(Config{Emit: func(*record.Record) {}, Assembler: nmea.AssemblerConfig{MaxOpen: 1 << 20, TimeoutMicros: 1 << 50}, Resends: firstResends})
	for i := range 3000 {
		c.Feed(c.Stream(uint32(i%2), fmt.Sprint(i%6000)), []byte(sentence("AIVDM,2,1,1,A,"+strings.Repeat("5", 100)+",0")), false, Receipt{})
		if n := len(c.Snapshot(clock.BootID{}, nameOf)); n > 2*maxWaitingBytes {
			t.Fatalf("snapshot of %d bytes", n)
		}
	}
	if len(c.streams) > maxStreams {
		t.Errorf("%d streams remembered", len(c.streams))
	}
}

// waitingOfAllKinds is a Capturer that remembers one entry of each kind.
func waitingOfAllKinds() *Capturer {
	c := New(Config{Emit: func(*record.Record) {}, Resends: firstResends})
	for i, l := range []string{
		sentence("AIVDM,2,1,1,A,55,0"), `\s:st,c:1700000000*00\` + sentence("BSVDM,3,1,4,A,88,0"),
		sentence("AIVDM,2,2,2,B,77,2"), sentence("AIVDM,2,1,2,B,7,0"), // whole, backwards
		sentence("AIVDM,2,1,3,A,55,0"), sentence("AIVDM,2,1,3,A,66,0"), // contested
		`\g:1-2-77*00\` + sentence("AIVDO,2,1,5,,99,0"), pghp(7, "14"),
	} {
		for source := range uint32(2) {
			c.Feed(c.Stream(source, "s"), []byte(l), i == 1, Receipt{At: record.Micros(1e15 + i), Monotonic: int64(5e6 + 100*i)})
		}
	}
	return c
}

// TestFrozenSnapshots: what was frozen is still read, and version 2 written.
func TestFrozenSnapshots(t *testing.T) {
	boot := clock.BootID{1, 2}
	v2 := waitingOfAllKinds().Snapshot(boot, nameOf)
	const name = "testdata/formats/waiting-v2.bin"
	if _, err := os.Stat(name); os.IsNotExist(err) && *writeFormats {
		if err := os.WriteFile(name, v2, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for version, want := range map[int]struct {
		waiting int      // of the source that resends
		emitted []string // of the other
	}{
		1: {2, []string{sentence("AIVDM,2,2,2,B,77,2")}},
		2: {5, []string{
			sentence("AIVDM,2,1,1,A,55,0"), `\s:st,c:1700000000*00\` + sentence("BSVDM,3,1,4,A,88,0"),
			sentence("AIVDM,2,2,2,B,77,2"), sentence("AIVDM,2,1,2,B,7,0"), `\g:1-2-77*00\` + sentence("AIVDO,2,1,5,,99,0"),
		}},
	} {
		frozen, err := os.ReadFile(fmt.Sprintf("testdata/formats/waiting-v%d.bin", version))
		if err != nil {
			t.Fatal(err)
		}
		if version == snapshotVersion && !bytes.Equal(frozen, v2) {
			t.Errorf("version %d is written as %x, frozen is %x", version, v2, frozen)
		}
		var out []kept
		c := New(Config{Emit: keep(&out), Resends: firstResends})
		if err := c.Restore(frozen, boot, 9e6, numberOf); err != nil {
			t.Fatal(err)
		}
		waiting := c.Waiting()
		var emitted []string
		for _, r := range out {
			emitted = append(emitted, r.raw)
			if r.Kind != record.KindFragment || r.ReceivedAt < 1e15 || r.Monotonic < 5e6 || r.Monotonic >= 6e6 {
				t.Errorf("version %d: %+v", version, r)
			}
		}
		c.Feed(c.Stream(0, "s"), []byte(sentence("AIVDM,2,1,7,A,55,0")), false, Receipt{At: 9e15, Monotonic: 9e6})
		c.Flush()
		if last := out[len(out)-1]; version > 1 && (last.EventTime != 1_577_836_807_250_000 || last.TimeSource != record.TimeEnvelope) {
			t.Errorf("version %d: the announcement is forgotten: %+v", version, last)
		}
		if waiting != want.waiting || !slices.Equal(emitted, want.emitted) {
			t.Errorf("version %d: %d waiting, want %d; emitted %q, want %q", version, waiting, want.waiting, emitted, want.emitted)
		}
		if err := c.Restore(append([]byte{9}, frozen[1:]...), boot, 0, numberOf); !errors.Is(err, record.ErrVersion) {
			t.Errorf("version 9: %v", err)
		}
	}
}

// TestDamagedSnapshot: cut anywhere, every fragment that stands whole before the
// damage is kept, once.
func TestDamagedSnapshot(t *testing.T) {
	whole := waitingOfAllKinds().Snapshot(clock.BootID{1}, nameOf)
	held := 0
	for n := 1; n < len(whole); n++ {
		var out []kept
		c := New(Config{Emit: keep(&out), Resends: firstResends})
		_ = c.Restore(whole[:n], clock.BootID{1}, 1, numberOf)
		c.Flush()
		got := 0
		for l, times := range recorded(out) {
			if got++; times > 2 || !bytes.Contains(whole, []byte(l)) {
				t.Fatalf("cut at %d: %q %d times", n, l, times)
			}
		}
		if got < held {
			t.Fatalf("cut at %d: %d sentences, cut before: %d", n, got, held)
		}
		held = got
	}
	if held < 5 {
		t.Errorf("only %d sentences", held)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(waitingOfAllKinds().Snapshot(clock.BootID{1}, nameOf))
	if v1, err := os.ReadFile("testdata/formats/waiting-v1.bin"); err == nil {
		f.Add(v1)
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, p []byte) {
		var out []kept
		c := New(Config{Emit: keep(&out), Resends: firstResends})
		_ = c.Restore(p, clock.BootID{1}, 1, func(n string) uint32 { return uint32(len(n) % 2) })
		c.Flush()
		lines := 0
		for _, n := range recorded(out) {
			lines += n
		}
		if n := c.Counts(); n.Lines > uint64(lines) || c.Waiting() != 0 || c.Remembers() {
			t.Fatalf("counts %+v, %d lines in records", n, lines)
		}
	})
}

// resending is a scripted source that resends.
type resending struct{ scripted }

func (resending) Resend() bool { return true }

// TestStopBetweenFragments: a source that resends is stopped between two
// fragments of a message, with nothing else to commit; the next run, which reads
// on from the position that is durable, joins them.
func TestStopBetweenFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{marks: map[string][]byte{}}
		lines := []string{sentence("AIVDM,1,1,,A,15,0"), sentence("AIVDM,2,1,1,A,55,0"), sentence("AIVDM,2,2,1,A,66,0")}
		read := 0
		for _, until := range []int{1, 2, 3} {
			in := make(chan *source.Batch)
			_, stop := live(t, log, resending{scripted{"file", func(ctx context.Context, sink source.Sink) error {
				if p := sink.Position("file"); p != nil {
					read = int(p[0])
				} else {
					read = 0
				}
				for ; read < until; read++ {
					b := batch(lines[read])
					b.Mark, b.Position = "file", []byte{byte(read + 1)}
					if err := sink.Deliver(b); err != nil {
						return err
					}
				}
				close(in)
				<-ctx.Done()
				return nil
			}}})
			<-in
			if until != 2 {
				pass(time.Second)
			} else {
				synctest.Wait()
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			pass(time.Hour)
		}
		var all []kept
		for _, b := range log.all() {
			all = append(all, decode(t, &b)...)
		}
		if len(all) != 2 || all[1].Kind != record.KindAIS || all[1].raw != lines[1]+"\n"+lines[2] {
			t.Errorf("records %q", texts(all))
		}
	})
}

// TestStallSeparatesNothing: while the log takes nothing, for an hour, a source
// that resends stands between two fragments; they are joined when it goes on.
func TestStallSeparatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, resending{feeder("file", in)})
		in <- batch(sentence("AIVDM,2,1,1,A,55,0"), "text")
		log.refuseWith(errors.New("full"))
		pass(time.Hour)
		log.refuseWith(nil)
		in <- batch(sentence("AIVDM,2,2,1,A,66,0"))
		pass(10 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if n := log.lines(t); len(n) != 3 {
			t.Fatalf("%v", n)
		}
		for _, b := range log.all() {
			for _, r := range decode(t, &b) {
				if r.Kind == record.KindFragment {
					t.Errorf("%q was not joined", r.raw)
				}
			}
		}
	})
}
