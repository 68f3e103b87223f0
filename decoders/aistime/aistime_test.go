package aistime

import (
	"testing"
	"time"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
)

// TestAgainstDecoder compares with the decoder of all fields and with the truth
// of simulated traffic.
func TestAgainstDecoder(t *testing.T) {
	h, err := aissim.New(aissim.Config{Seed: 3, Start: 1_760_000_000_000_000, Ships: 60, BaseStations: 3, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	var rows ais.Rows
	slots, minutes := 0, 0
	for range 40_000 {
		l := h.Next()
		if l.Fragment != 1 {
			continue
		}
		got := Read(l.Payload, l.Fill)
		if got.Type != l.MsgType || got.MMSI != l.MMSI {
			t.Fatalf("%s: %+v, want type %d of %d", l.Payload, got, l.MsgType, l.MMSI)
		}
		if err := ais.Decode(l.Payload, l.Fill, &rows); err != nil {
			t.Fatal(err)
		}
		second := Absent
		if u := rows.Position.UTCSecond; rows.HasPosition && u.Valid && u.Value < 60 && l.MsgType != 19 {
			second = int(u.Value)
		}
		if got.Second != second {
			t.Fatalf("type %d: second %d, want %d", l.MsgType, got.Second, second)
		}
		if rows.HasBaseStation && got.UTC != rows.BaseStation.UTC.Value {
			t.Fatalf("base station %d, want %d", got.UTC, rows.BaseStation.UTC.Value)
		}
		if got.Slot != Absent {
			slots++
			if at := Start(got.Slot, l.At); at != l.Sent {
				t.Fatalf("type %d: slot %d begins at %d, sent %d", l.MsgType, got.Slot, at, l.Sent)
			}
		}
		if got.Minutes != Absent {
			minutes++
			if sent := time.UnixMicro(l.Sent).UTC(); got.Minutes != 60*sent.Hour()+sent.Minute() {
				t.Fatalf("%d minutes, sent %v", got.Minutes, sent)
			}
		}
	}
	if slots < 1000 || minutes < 300 {
		t.Fatalf("%d slots, %d minutes", slots, minutes)
	}
}

// pack armours fields of value and width.
func pack(fields ...[2]uint64) []byte {
	var all []byte
	for _, f := range fields {
		for i := int(f[1]) - 1; i >= 0; i-- {
			all = append(all, byte(f[0]>>i&1))
		}
	}
	var out []byte
	for len(all) > 0 {
		v := byte(0)
		for i := range 6 {
			v = v << 1
			if i < len(all) {
				v |= all[i]
			}
		}
		all = all[min(6, len(all)):]
		if v += '0'; v > 'W' {
			v += 8
		}
		out = append(out, v)
	}
	return out
}

// report is a message of a type with repeat indicator, selector and state.
func report(kind, repeat, selector, sync, timeout, sub uint64) Heard {
	return Read(pack([2]uint64{kind, 6}, [2]uint64{repeat, 2}, [2]uint64{200_000_001, 30}, [2]uint64{0, 55}, [2]uint64{0, 55},
		[2]uint64{selector, 1}, [2]uint64{sync, 2}, [2]uint64{timeout, 3}, [2]uint64{sub, 14}), 0)
}

func TestWhichStatesCount(t *testing.T) {
	for _, c := range []struct {
		name                                       string
		kind, repeat, selector, sync, timeout, sub uint64
		slot, minutes                              int
	}{
		{"type 1", 1, 0, 0, 0, 4, 1234, 1234, Absent},
		{"type 2", 2, 0, 0, 0, 2, 2249, 2249, Absent},
		{"type 4", 4, 0, 0, 0, 6, 0, 0, Absent},
		{"type 11", 11, 0, 0, 0, 6, 7, 7, Absent},
		{"type 9, SOTDMA", 9, 0, 0, 0, 6, 7, 7, Absent},
		{"type 18, SOTDMA", 18, 0, 0, 0, 6, 7, 7, Absent},
		{"type 9, ITDMA", 9, 0, 1, 0, 6, 7, Absent, Absent},
		{"type 18, ITDMA", 18, 0, 1, 0, 6, 7, Absent, Absent},
		{"type 3 has ITDMA", 3, 0, 0, 0, 6, 7, Absent, Absent},
		{"another type", 19, 0, 0, 0, 6, 7, Absent, Absent},
		{"slot too high", 1, 0, 0, 0, 2, 2250, Absent, Absent},
		{"repeated", 1, 1, 0, 0, 2, 7, Absent, Absent},
		{"synchronised to another station", 1, 0, 0, 1, 2, 7, Absent, Absent},
		{"received stations", 1, 0, 0, 0, 5, 7, Absent, Absent},
		{"slot offset", 1, 0, 0, 0, 0, 7, Absent, Absent},
		{"hour and minute", 1, 0, 0, 0, 1, 23<<9 | 59<<2, Absent, 23*60 + 59},
		{"no hour", 1, 0, 0, 0, 1, 24<<9 | 60<<2, Absent, Absent},
	} {
		if h := report(c.kind, c.repeat, c.selector, c.sync, c.timeout, c.sub); h.Slot != c.slot || h.Minutes != c.minutes {
			t.Errorf("%s: slot %d, minutes %d", c.name, h.Slot, h.Minutes)
		}
	}
}

func TestDates(t *testing.T) {
	date := func(y, mo, d, h, mi, s uint64) int64 {
		return Read(pack([2]uint64{4, 6}, [2]uint64{0, 2}, [2]uint64{2_000_001, 30}, [2]uint64{y, 14}, [2]uint64{mo, 4}, [2]uint64{d, 5},
			[2]uint64{h, 5}, [2]uint64{mi, 6}, [2]uint64{s, 6}, [2]uint64{0, 45}, [2]uint64{0, 45}), 0).UTC
	}
	if got := date(2024, 2, 29, 23, 59, 59); got != time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC).UnixMicro() {
		t.Errorf("leap day: %d", got)
	}
	for _, c := range [][6]uint64{{0, 0, 0, 24, 60, 60}, {2023, 2, 29, 0, 0, 0}, {2024, 13, 1, 0, 0, 0}, {2024, 1, 1, 24, 0, 0}, {2024, 1, 1, 0, 60, 0}, {2024, 1, 1, 0, 0, 60}, {2024, 1, 0, 0, 0, 0}} {
		if got := date(c[0], c[1], c[2], c[3], c[4], c[5]); got != 0 {
			t.Errorf("%v: %d", c, got)
		}
	}
}

func TestStart(t *testing.T) {
	for _, c := range []struct {
		slot         int
		before, want int64
	}{
		{0, 0, 0}, {0, 59_999_999, 0}, {0, 60_000_000, 60_000_000}, {1, 26_665, 26_666 - 60_000_000},
		{1, 26_666, 26_666}, {2249, 120_000_000, 119_973_333}, {3, -1, -59_920_000},
	} {
		if got := Start(c.slot, c.before); got != c.want {
			t.Errorf("slot %d before %d: %d, want %d", c.slot, c.before, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("12vg21h024PktHNQ2Jka3G>@2L0i"), 0)
	f.Add([]byte("X"), 6)
	f.Fuzz(func(t *testing.T, p []byte, fill int) {
		h := Read(p, fill)
		if h.Slot >= SlotsPerMinute || h.Minutes >= 1440 || h.Second > 59 {
			t.Fatalf("%+v", h)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	p := []byte("12vg24002gPm3WtPqina@WJ>2L0i")
	for b.Loop() {
		Read(p, 0)
	}
}
