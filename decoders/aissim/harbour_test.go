package aissim

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
)

const start = 1_767_225_600_000_000 // 2026-01-01

func run(t testing.TB, cfg Config, n int) []Line {
	t.Helper()
	if cfg.Start == 0 {
		cfg.Start = start
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]Line, n)
	for i := range lines {
		lines[i] = h.Next()
	}
	return lines
}

// busy has everything switched on.
func busy() Config {
	return Config{
		Seed: 7, Rate: 200, Tag: TagMillis, Groups: true, Unique: true,
		Noise: 0.05, LostFragments: 0.1, Disorder: 0.05,
		Receivers: []Receiver{
			{Name: "north", Talker: "AB", Latency: 30 * time.Millisecond, Loss: 0.02},
			{Name: "south", Hears: 0.8},
			{},
		},
	}
}

func TestSameSeedSameLines(t *testing.T) {
	a, b := run(t, busy(), 5000), run(t, busy(), 5000)
	for i := range a {
		if !bytes.Equal(a[i].Text, b[i].Text) || a[i].At != b[i].At || a[i].Kind != b[i].Kind {
			t.Fatalf("line %d differs:\n%s\n%s", i, a[i].Text, b[i].Text)
		}
	}
	other := busy()
	other.Seed++
	c := run(t, other, 5000)
	same := 0
	for i := range a {
		if bytes.Equal(a[i].Text, c[i].Text) {
			same++
		}
	}
	if same > 50 {
		t.Errorf("another seed gives %d of 5000 equal lines", same)
	}
}

// TestRoundTrip decodes every line and compares with the truth.
func TestRoundTrip(t *testing.T) {
	types := map[uint8]int{}
	var rows ais.Rows
	var pieces []nmea.Sentence
	for _, l := range run(t, Config{Seed: 1, Rate: 100}, 40_000) {
		if l.Kind != KindSentence {
			t.Fatalf("kind %d without noise and loss", l.Kind)
		}
		pieces = nmea.Split(l.Text, pieces[:0])
		if len(pieces) != 1 || pieces[0].Flags != 0 || pieces[0].Kind != nmea.KindVDM {
			t.Fatalf("%s: %d pieces, flags %v", l.Text, len(pieces), pieces[0].Flags)
		}
		v, err := nmea.ParseVDM(pieces[0].Body)
		if err != nil || v.Total != l.Total || v.Number != l.Fragment || v.Channel != l.Channel {
			t.Fatalf("%s: %+v, %v", l.Text, v, err)
		}
		if last := v.Number == v.Total; last && v.Fill != l.Fill || !last && v.Fill != 0 ||
			!bytes.Contains(l.Payload, v.Payload) {
			t.Fatalf("%s: fill bits of %s/%d", l.Text, l.Payload, l.Fill)
		}
		if len(l.Text) > 80 {
			t.Errorf("%s: %d characters, a sentence has at most 80 before CR LF", l.Text, len(l.Text))
		}
		if err := ais.Decode(l.Payload, l.Fill, &rows); err != nil {
			t.Fatalf("type %d %s: %v", l.MsgType, l.Payload, err)
		}
		if rows.Header.MMSI != l.MMSI || rows.Header.MsgType != l.MsgType || rows.Count() == 0 {
			t.Fatalf("%s: %+v, want type %d of %d", l.Text, rows.Header, l.MsgType, l.MMSI)
		}
		checkRows(t, &rows, &l)
		if l.Fragment == 1 {
			types[l.MsgType]++
		}
	}
	for m := uint8(1); m <= 27; m++ {
		if types[m] == 0 {
			t.Errorf("no type %d in 40,000 lines", m)
		}
	}
	t.Logf("messages by type: %v", types)
}

func checkRows(t *testing.T, rows *ais.Rows, l *Line) {
	t.Helper()
	if p := &rows.Position; rows.HasPosition {
		inside := math.Abs(p.Lat.Value-harbourLat) < 2*halfHeight && math.Abs(p.Lon.Value-harbourLon) < 2*halfWidth
		if !inside || !p.SOG.Valid || !p.COG.Valid || p.SOG.Value > 130 || p.COG.Value >= 360 {
			t.Fatalf("implausible %+v", p)
		}
		if p.UTCSecond.Valid {
			age := (l.Sent/1_000_000 - int64(p.UTCSecond.Value) + 60) % 60
			if age > 1 {
				t.Fatalf("type %d: fix %d s before transmission", l.MsgType, age)
			}
		}
	}
	if b := &rows.BaseStation; rows.HasBaseStation {
		if !b.UTC.Valid || b.UTC.Value != l.Sent/1_000_000*1_000_000 {
			t.Fatalf("base station time %v, sent %d", b.UTC, l.Sent)
		}
	}
}

// TestTruth checks what the truth says about itself: order, uniqueness, and
// that each receiver's message has all its fragments.
func TestTruth(t *testing.T) {
	type reception struct {
		message  uint64
		receiver int
	}
	lines := run(t, busy(), 30_000)
	seen := map[string]bool{}
	fragments := map[reception][]int{}
	kinds := map[Kind]int{}
	for i, l := range lines {
		if i > 0 && l.At < lines[i-1].At {
			t.Fatalf("line %d arrives before line %d", i, i-1)
		}
		if seen[string(l.Text)] {
			t.Fatalf("line twice: %q", l.Text)
		}
		seen[string(l.Text)] = true
		kinds[l.Kind]++
		if l.Kind == KindNoise {
			if l.Message != 0 {
				t.Fatalf("noise with a message: %+v", l)
			}
			continue
		}
		if l.At <= l.Sent || l.At > l.Sent+2_000_000 {
			t.Fatalf("sent %d, arrives %d", l.Sent, l.At)
		}
		r := reception{l.Message, l.Receiver}
		fragments[r] = append(fragments[r], l.Fragment)
	}
	complete := lines[len(lines)-1].Message - 1000 // younger ones may be under way
	for r, f := range fragments {
		if r.message > complete {
			continue
		}
		slices.Sort(f)
		for i := range f {
			if f[i] != i+1 {
				t.Fatalf("message %d at receiver %d: fragments %v", r.message, r.receiver, f)
			}
		}
	}
	if kinds[KindNoise] < 1000 || kinds[KindLost] < 200 {
		t.Errorf("kinds %v: too little noise or loss", kinds)
	}
}

func TestRate(t *testing.T) {
	for _, rate := range []float64{10, 1000, 50_000} {
		lines := run(t, Config{Seed: 3, Rate: rate, Receivers: busy().Receivers}, 20_000)
		seconds := float64(lines[len(lines)-1].At-start) / 1e6
		if got := float64(len(lines)) / seconds; got < 0.8*rate || got > 1.25*rate {
			t.Errorf("rate %v gives %.0f lines a second", rate, got)
		}
	}
}

// TestLines: iterating in two parts gives what Next gives.
func TestLines(t *testing.T) {
	cfg := busy()
	cfg.Start = start
	want := run(t, cfg, 1000)
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []Line
	for _, end := range []int64{want[300].At, want[300].At, want[999].At} {
		for l := range h.Lines(end) {
			if l.At >= end {
				t.Fatalf("line at %d, end %d", l.At, end)
			}
			got = append(got, l)
		}
	}
	if len(got) < 990 {
		t.Fatalf("%d lines", len(got))
	}
	for i := range got {
		if !bytes.Equal(got[i].Text, want[i].Text) {
			t.Fatalf("line %d: %q, want %q", i, got[i].Text, want[i].Text)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{
		{Ships: -1}, {Rate: -1}, {Noise: 1.5}, {Noise: math.NaN()}, {LostFragments: -0.1},
		{Receivers: []Receiver{{Talker: "X"}}}, {Receivers: []Receiver{{Loss: 2}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
	if _, err := New(Config{BaseStations: 1}); err != nil {
		t.Error(err)
	}
}

// TestLonely: a harbour without ships still gives every type.
func TestLonely(t *testing.T) {
	types := map[uint8]bool{}
	for _, l := range run(t, Config{AtoNs: 1, Rate: 10}, 3000) {
		types[l.MsgType] = true
	}
	if !types[21] || !types[6] || !types[20] || !types[19] {
		t.Errorf("types %v", types)
	}
}

func BenchmarkLines(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"one receiver", Config{Seed: 1, Start: start, Ships: 1000, Rate: 1000}},
		{"three, tagged, noisy", func() Config { c := busy(); c.Start = start; c.Ships = 1000; c.Rate = 1000; return c }()},
		{"100,000 ships, half a million lines/s", func() Config {
			c := busy()
			c.Start, c.Ships, c.BaseStations, c.AtoNs, c.Rate = start, 100_000, 20, 100, 500_000
			return c
		}()},
	} {
		b.Run(c.name, func(b *testing.B) {
			h, err := New(c.cfg)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Next()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
