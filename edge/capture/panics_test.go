package capture

import (
	"bytes"
	"testing"

	"landfall/decoders/aistime"
	"landfall/decoders/nmea"
	"landfall/edge/record"
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
