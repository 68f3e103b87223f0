package capture

import (
	"bytes"
	"testing"

	"landfall/decoders/aistime"
	"landfall/decoders/nmea"
	"landfall/edge/care"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/source"
)

// TestAPanicOfADecoderIsARecord: a line whose decoder panics, whichever that is, is a
// record with its bytes, once, and what comes after it is captured.
func TestAPanicOfADecoderIsARecord(t *testing.T) {
	poison := "\\c:1700000000*5F\\" + sentence("AIVDM,1,1,,A,402M3hQvDickN1PI7lRFmQ700<1:,0")
	for name, broken := range map[string]decoders{
		"split": {split: func(line []byte, dst []nmea.Sentence) []nmea.Sentence {
			if bytes.Contains(line, []byte("402M3h")) {
				panic("split")
			}
			return nmea.Split(line, dst)
		}},
		"parse": {parse: func([]byte) (nmea.VDM, error) { panic("parse") }},
		"heard": {heard: func([]byte, int) aistime.Heard { panic("heard") }},
	} {
		t.Run(name, func(t *testing.T) {
			var out []kept
			panics := 0
			c := New(Config{Emit: keep(&out), OnPanic: func(_ uint32, line []byte, what any) {
				if panics++; string(line) != poison || what != name {
					t.Errorf("told of %q, %v", line, what)
				}
			}})
			whole := c.decoders
			if broken.split != nil {
				c.decoders.split = broken.split
			}
			if broken.parse != nil {
				c.decoders.parse = broken.parse
			}
			if broken.heard != nil {
				c.decoders.heard = broken.heard
			}
			s := c.Stream(0, "a")
			c.Feed(s, []byte("\\c:1700000000*00\\"+"text"), false, Receipt{At: 1, Monotonic: 1})
			c.Feed(s, []byte(poison), false, Receipt{At: 1_700_000_000_000_000, Monotonic: 1})
			c.decoders = whole
			c.Feed(s, []byte(poison), false, Receipt{At: 1_700_000_000_000_000, Monotonic: 1})
			if len(out) != 3 || panics != 1 || out[1].raw != poison || out[2].raw != poison {
				t.Fatalf("%d panics, records %+v", panics, out)
			}
			if flagged := out[1].Flags&record.FlagMalformed != 0; flagged != (name != "split") || out[2].Flags != 0 || out[2].Kind != record.KindAIS {
				t.Errorf("records %+v", out)
			}
		})
	}
}

// TestALineThatKillsIsARecord: a line of which the gateway died is captured as it is, with
// its flag, and acknowledged; those beside it are read.
func TestALineThatKillsIsARecord(t *testing.T) {
	cfg := care.Config{FS: durable.OS{}, Dir: t.TempDir(), Boot: [16]byte{1}, SuspectWait: 1, Now: func() record.Micros { return 1 }}
	line := sentence("AIVDM,1,1,,A,402M3hQvDickN1PI7lRFmQ700<1:,0")
	for range 4 {
		c, err := care.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			c.Guard("radio").Read("", []byte(line), func() { panic("it dies") })
		}()
	}
	c, err := care.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var out []kept
	g := &group{guards: []*care.Guard{c.Guard("radio"), c.Guard("other")}, capturer: New(Config{Emit: keep(&out)})}
	feed := func(i uint32, text string, truncated bool) {
		g.feed(g.capturer.Stream(i, "a"), &source.Line{Data: []byte(text), Truncated: truncated}, Receipt{At: 1, Monotonic: 1})
	}
	feed(0, "text", false)
	feed(0, line, true)
	feed(1, line, false)
	if len(out) != 3 || out[1].raw != line || out[1].Kind != record.KindText || out[1].Flags != record.FlagKills|record.FlagTruncated ||
		out[2].Kind != record.KindAIS || out[2].Flags != 0 || out[0].Flags != 0 {
		t.Errorf("%+v", out)
	}
	if n := c.Guard("radio").Refused(); n != 1 || c.Guard("other").Refused() != 0 {
		t.Errorf("%d are counted", n)
	}
}
