package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/source"
)

// heardAt is a bare sentence and the time at which its envelope says it was
// heard.
type heardAt struct {
	text []byte
	at   int64
}

// envelopes gives the AIS sentences of a recording without what stands around
// them.
func envelopes(t *testing.T, name string, suffix bool) []heardAt {
	t.Helper()
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = "../../../shared/data/ais"
	}
	f, err := source.OpenRecorded(durable.OS{}, filepath.Join(dir, name))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no recorded file: %v", err)
	}
	var out []heardAt
	c := New(Config{Emit: func(*record.Record) {}})
	s := c.Stream(0, name)
	var split source.Splitter
	take := func(line []byte, _ bool) {
		for _, p := range nmea.Split(line, nil) {
			if p.Kind == nmea.KindText {
				continue
			}
			if !suffix && p.Flags&nmea.FlagSuffix != 0 {
				p.Flags &^= nmea.FlagSuffix
			}
			own := c.ownTime(s, &p)
			if p.Kind == nmea.KindVDM && own.is() && p.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) == 0 {
				sum, _ := p.Sum()
				out = append(out, heardAt{fmt.Appendf(nil, "%s*%02X", p.Body, sum), int64(own.at)})
			}
		}
	}
	buf := make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = f.Read(buf)
		split.Feed(buf[:n], take)
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRecordedFilesCorrectedFromTheRadio takes the time in the envelope of
// recorded sentences, shifted and drifted, for the gateway's clock, lets capture
// correct it from the bare sentences, and compares.
func TestRecordedFilesCorrectedFromTheRadio(t *testing.T) {
	files := []struct {
		name       string
		resolution int64 // of the envelope
		dated      bool  // base stations are heard
		bias       int64 // of the envelope against its own base stations
		lock       int64 // after so many seconds the day is known at the latest; 0: not bounded
	}{
		{"aislib-stream_example.txt.gz", 1_000, true, 0, 13},
		{"simpleais-sample.ais.gz", 1_000, true, 0, 13},
		{"aisab-538004030_drift_1.ais.gz", 1_000, false, 0, 0},
		{"risky-exact-earth-augmented.txt.gz", 1_000, true, 80_000_000, 0},
		{"noaadata-test.ais.gz", 1_000_000, true, 0, 0},
		{"kystverket-Ais1000Lines.nm4.gz", 1_000_000, false, 0, 0},
	}
	shifts := []struct {
		name  string
		by    int64
		dated bool // only a date mends it
	}{{"+5 s", 5_000_000, false}, {"-3 days", -3 * 86_400_000_000, true}, {"+10 years", 315_576_000_000_000, true}}
	t.Logf("%-36s %-10s %6s %6s %6s %6s | %s", "file, gateway clock 50 ppm fast", "shifted", "sent.", "known", "conf.", "lock s", "event time - envelope, ms: median, 90%, worst, 99% of the absolute")
	for _, f := range files {
		heard := envelopes(t, f.name, f.resolution > 1_000)
		for _, shift := range shifts {
			first := heard[0].at
			clockOf := func(at int64) int64 { return at + shift.by + (at-first)/20_000 }
			est := clock.NewEstimator(clock.EstimatorConfig{})
			est.AddObserver("radio", true)
			truth, known, confirmed, wrongDay, lock := int64(0), 0, 0, 0, int64(-1)
			var diffs []int64
			c := New(Config{Clock: est, Emit: func(r *record.Record) {
				if r.Kind == record.KindAIS && r.TimeSource != record.TimeReceipt {
					known++
					d := int64(r.EventTime) - truth - f.bias
					if r.TimeQuality >= record.QualityAsserted {
						if confirmed++; lock < 0 {
							lock = (truth - first) / 1_000_000
						}
						if max(d, -d) > 3_600_000_000 {
							wrongDay++
						}
					}
					diffs = append(diffs, d)
				}
			}})
			s := c.Stream(0, "")
			for _, h := range heard {
				wall := clockOf(h.at)
				mono := wall - clockOf(first) + simBoot
				est.Update(mono, record.Micros(wall))
				truth = h.at
				c.Feed(s, h.text, false, Receipt{At: record.Micros(wall), Monotonic: mono})
			}
			if len(diffs) == 0 {
				diffs = []int64{0}
			}
			t.Logf("%-36s %-10s %6d %6d %6d %6d | %s %12.1f", f.name, shift.name, len(heard), known, confirmed, lock, quantiles(diffs), p99(diffs))
			if wrongDay > 0 {
				t.Errorf("%s, %s: %d confirmed times are hours off", f.name, shift.name, wrongDay)
			}
			if shift.dated && !f.dated {
				continue // nothing in the file tells the day
			}
			if f.lock > 0 && (lock < 0 || lock > f.lock) {
				t.Errorf("%s, %s: the day is known after %d s, want at most %d", f.name, shift.name, lock, f.lock)
			}
			limit := max(f.resolution, 100_000)
			if f.bias != 0 {
				limit = 3_000_000 // its base stations differ among themselves by more
			}
			if m := median(diffs); m > limit || known < len(heard)/4 {
				t.Errorf("%s, %s: median %d us of %d, want at most %d", f.name, shift.name, m, known, limit)
			}
		}
	}
}

// p99 is the quantile of absolute values that one in a hundred exceeds, in milliseconds.
func p99(all []int64) float64 {
	s := make([]int64, len(all))
	for i, v := range all {
		s[i] = max(v, -v)
	}
	slices.Sort(s)
	return float64(s[len(s)*99/100]) / 1000
}
