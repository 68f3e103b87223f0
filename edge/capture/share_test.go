package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// flood says which lines of one kind a sender that means no good sends between
// the halves of honest messages.
type flood struct {
	name   string
	source uint32
	line   func(i int) (stream, line string)
	client string // the host, where the stream does not say it
}

func floods() []flood {
	return []flood{
		{"long fragments from one port", 1, func(i int) (string, string) {
			return "10.0.0.9:1", fmt.Sprintf(`\g:1-2-%d*00\`, i) + sentence("AIVDM,2,1,1,A,"+strings.Repeat("5", 3900)+",0")
		}, ""},
		{"long fragments, each from another port", 1, func(i int) (string, string) {
			return fmt.Sprintf("10.0.0.9:%d", 1+i), sentence("AIVDM,2,1,1,A," + strings.Repeat("5", 3900) + ",0")
		}, ""},
		{"short fragments from many ports", 1, func(i int) (string, string) {
			return fmt.Sprintf("10.0.0.9:%d", 1+i), sentence("AIVDM,2,1,1,A,5,0")
		}, ""},
		{"contested keys from many ports", 1, func(i int) (string, string) {
			return fmt.Sprintf("[fe80::9]:%d", 1+i/2), sentence(fmt.Sprintf("AIVDM,2,1,1,A,5%d,0", i%2))
		}, ""},
		{"short fragments under many names", 2, func(i int) (string, string) {
			return fmt.Sprintf("id%d", i), sentence("AIVDM,2,1,1,A,5,0")
		}, "10.0.0.9"},
		{"contested keys under many names", 2, func(i int) (string, string) {
			return fmt.Sprintf("id%d", i/2), sentence(fmt.Sprintf("AIVDM,2,1,1,A,5%d,0", i%2))
		}, "10.0.0.9"},
	}
}

// honest are senders with several messages under way at once: a file and an
// acknowledged sender, which are read again, and a port and a host beside it,
// which are heard once.
var honest = []struct {
	source uint32
	stream string
}{{0, "file"}, {2, "tug"}, {3, "/dev/ttyUSB0"}, {1, "10.0.0.1:10110"}}

// TestNobodyPaysForAFlood: while one sender leaves any number of messages
// incomplete, those of the others are joined as ever. What the flood has too much
// of becomes records that say so, each once, and is counted with its source.
func TestNobodyPaysForAFlood(t *testing.T) {
	for _, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			var out []kept
			c := New(Config{Emit: keep(&out), Resends: func(i uint32) bool { return i == 0 || i == 2 }})
			now := int64(0)
			sent := map[string]int{}
			feed := func(source uint32, stream, client, line string) {
				sent[line]++
				now++
				s := c.Stream(source, stream)
				s.From(client)
				c.Feed(s, []byte(line), false, Receipt{At: record.Micros(now), Monotonic: now})
			}
			want := map[string]bool{}
			for _, h := range honest {
				for seq := range 5 {
					feed(h.source, h.stream, "", sentence(fmt.Sprintf("AIVDM,2,1,%d,B,8%d%d,0", seq, h.source, seq)))
				}
			}
			for i := range 2000 {
				stream, line := f.line(i)
				feed(f.source, stream, f.client, line)
				if n := len(c.Snapshot(clock.BootID{}, func(uint32) string { return "a source" })); n > 2*maxWaitingBytes {
					t.Fatalf("a snapshot of %d bytes rides in each block", n)
				}
			}
			for _, h := range honest {
				for seq := range 5 {
					first := sentence(fmt.Sprintf("AIVDM,2,1,%d,B,8%d%d,0", seq, h.source, seq))
					second := sentence(fmt.Sprintf("AIVDM,2,2,%d,B,9%d%d,0", seq, h.source, seq))
					feed(h.source, h.stream, "", second)
					want[first+"\n"+second] = true
				}
			}
			c.Flush()
			crowded := uint64(0)
			for _, r := range out {
				if r.Kind == record.KindAIS {
					delete(want, r.raw)
				}
				if r.Flags&record.FlagCrowded != 0 {
					crowded++
					if r.Source != f.source || r.Kind != record.KindFragment || strings.Contains(r.raw, ",B,8") {
						t.Errorf("given up: %s of source %d: %.60q", r.Kind, r.Source, r.raw)
					}
				}
			}
			if len(want) > 0 {
				t.Errorf("%d of %d messages of others were not joined, as %.80q", len(want), 5*len(honest), slices.Collect(keysOf(want))[0])
			}
			if n := c.Counts().Crowded; n != crowded || n == 0 && !strings.Contains(f.name, "contested") {
				t.Errorf("counted %d of %d records that were given up early", n, crowded)
			}
			got := recorded(out)
			for line, n := range sent {
				if got[line] != n {
					t.Fatalf("%.60q is in %d records, was sent %d times", line, got[line], n)
				}
			}
		})
	}
}

func keysOf(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestEqualSharesAreGivenUpInOrder: the same lines give the same records, also
// where several senders take equally much.
func TestEqualSharesAreGivenUpInOrder(t *testing.T) {
	var first []string
	for range 5 {
		var out []kept
		c := New(Config{Emit: keep(&out)})
		for i := range 3000 {
			line := sentence(fmt.Sprintf("AIVDM,2,1,1,A,5%04d,0", i))
			c.Feed(c.Stream(uint32(i%7), fmt.Sprintf("10.0.0.%d:%d", i%13, i)), []byte(line), false, Receipt{Monotonic: int64(i)})
		}
		c.Flush()
		if all := texts(out); first == nil {
			first = all
		} else if !slices.Equal(all, first) {
			t.Fatal("the records of two runs differ")
		}
	}
}

// TestNewStreamsForgetTheirOwn: a sender with ever new ports has its source forget
// streams, not what other sources' streams have learned.
func TestNewStreamsForgetTheirOwn(t *testing.T) {
	c := New(Config{Emit: func(*record.Record) {}})
	other := c.Stream(0, "serial")
	for i := range 3 * maxStreams {
		c.Stream(1, fmt.Sprintf("10.0.0.9:%d", i))
	}
	if c.Stream(0, "serial") != other || len(c.streams) > maxStreams {
		t.Errorf("the other source's stream is forgotten, or nothing is: %d streams", len(c.streams))
	}
	held := c.Stream(1, "10.0.0.9:contested")
	for i := range 2 {
		c.Feed(held, []byte(sentence(fmt.Sprintf("AIVDM,2,1,1,A,5%d,0", i))), false, Receipt{})
	}
	for i := range 2 * maxStreams {
		c.Stream(1, fmt.Sprintf("10.0.0.8:%d", i))
	}
	if c.byID[held.id] != held {
		t.Error("a stream is forgotten whose key is contested")
	}
}

// TestASenderIsItsHost: ports cost nothing.
func TestASenderIsItsHost(t *testing.T) {
	for stream, want := range map[string]string{
		"10.0.0.1:5": "10.0.0.1", "[::ffff:10.0.0.1]:5": "10.0.0.1", "[fe80::1%eth0]:7": "fe80::1%eth0",
		"tug": "tug", "/dev/ttyUSB0": "/dev/ttyUSB0", "ais.example:4001": "ais.example:4001", "": "",
	} {
		if got := senderOf(stream); got != want {
			t.Errorf("%q: %q, want %q", stream, got, want)
		}
	}
}

// BenchmarkFlood: what a fragment beyond the bound costs.
func BenchmarkFlood(b *testing.B) {
	c := New(Config{Emit: func(*record.Record) {}, Assembler: nmea.AssemblerConfig{TimeoutMicros: 1 << 50}})
	line := []byte(sentence("AIVDM,2,1,1,A,5,0"))
	for i := 0; b.Loop(); i++ {
		c.Feed(c.Stream(0, fmt.Sprintf("10.%d.%d.%d:1", i>>16&255, i>>8&255, i&255)), line, false, Receipt{Monotonic: int64(i)})
	}
}
