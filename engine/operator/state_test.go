package operator

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

const second = record.Micros(1_000_000)

// heard is one reception given to the dedupe.
type heard struct {
	gateway string
	content uint64
	at      record.Micros
}

func (o operators) hear(h heard, offset record.Offset, watermark record.Micros) table.Reception {
	c := Context{Gateway: h.gateway, Log: record.LogID{1}, Watermark: watermark}
	var rc table.Reception
	o.dedupe.mark(&c, offset, table.Times{EventTime: h.at, TimeSource: record.TimeTag}, ais.Key{Lo: h.content}, &rc)
	return rc
}

func TestDedupe(t *testing.T) {
	const t0 = 1_000_000 * second
	const yes, no = true, false
	tests := []struct {
		name      string
		first     heard
		second    heard
		watermark record.Micros
		want      bool
	}{
		{"another receiver", heard{"g", 1, t0}, heard{"g", 1, t0 + second}, record.NoTime, yes},
		{"its clock is behind", heard{"g", 1, t0}, heard{"g", 1, t0 - 3*second}, record.NoTime, yes},
		{"other content", heard{"g", 1, t0}, heard{"g", 2, t0}, record.NoTime, no},
		{"another gateway", heard{"g", 1, t0}, heard{"h", 1, t0}, record.NoTime, no},
		{"sent again after six minutes", heard{"g", 1, t0}, heard{"g", 1, t0 + 360*second}, record.NoTime, no},
		{"just within the window", heard{"g", 1, t0}, heard{"g", 1, t0 + DedupeWindow}, record.NoTime, yes},
		{"just beyond the window", heard{"g", 1, t0}, heard{"g", 1, t0 + DedupeWindow + 1}, record.NoTime, no},
		{"beyond the horizon", heard{"g", 1, t0}, heard{"g", 1, t0}, t0 + DedupeHorizon + 1, no},
		{"from the far future", heard{"g", 1, t0 + 2*maxAhead}, heard{"g", 1, t0 + 2*maxAhead}, t0, no},
		{"without a time", heard{"g", 1, t0}, heard{"g", 1, record.NoTime}, record.NoTime, no},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOperators(t)
			if got := o.hear(tt.first, 1, record.NoTime); got.IsDuplicate {
				t.Fatalf("first reception: %+v", got.IsDuplicate)
			}
			got := o.hear(tt.second, 2, tt.watermark)
			if got.IsDuplicate != tt.want {
				t.Errorf("is_duplicate %+v, want %+v", got.IsDuplicate, tt.want)
			}
			if tt.want == yes && (got.DupLog != record.LogID{1}.String() || got.DupOffset != 1) {
				t.Errorf("duplicate of %s+%d", got.DupLog, got.DupOffset)
			}
		})
	}
}

// TestARepetitionIsMarkedFromWhicheverSource: the copies that several receivers
// bring, and those that one feed brings, also under one station, are marked; what
// cannot be told is not.
func TestARepetitionIsMarkedFromWhicheverSource(t *testing.T) {
	const radio, roof = 0, 1
	line := sentence("AIVDM,1,1,,A,10000E0P0000000000000000000:,0")
	tests := []struct {
		name   string
		source [2]uint32
		raw    [2]string
		time   record.TimeSource
		want   bool
	}{
		{"two receivers", [2]uint32{radio, roof}, [2]string{line, line}, record.TimeReceipt, true},
		{"one source", [2]uint32{radio, radio}, [2]string{line, line}, record.TimeReceipt, true},
		{"one source, two stations", [2]uint32{radio, radio}, [2]string{`\s:north*12\` + line, `\s:south*1A\` + line}, record.TimeReceipt, true},
		{"two radio channels", [2]uint32{radio, radio}, [2]string{line, sentence("AIVDM,1,1,,B,10000E0P0000000000000000000:,0")}, record.TimeReceipt, true},
		{"the ship's next report", [2]uint32{radio, radio}, [2]string{line, sentence("AIVDM,1,1,,A,10000E0P0000000000000000002:,0")}, record.TimeReceipt, false},
		{"a recording without times", [2]uint32{radio, radio}, [2]string{line, line}, record.TimeNone, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOperators(t)
			c := &Context{Gateway: "g", LogName: "l", Sources: []string{"radio", "roof"}, Watermark: record.NoTime}
			var b table.Batch
			for i := range 2 {
				at := 1_700_000_000*second + 2*second*record.Micros(i)
				r := record.Record{Kind: record.KindAIS, Source: tt.source[i], TimeSource: tt.time, EventTime: at, ReceivedAt: at, Raw: []byte(tt.raw[i])}
				if tt.time == record.TimeNone {
					r.EventTime = record.NoTime
				}
				o.decode.Record(c, record.Offset(i), &r, &b)
			}
			if len(b.Positions) != 2 {
				t.Fatalf("%d positions of %+v", len(b.Positions), b.Records)
			}
			if a, b := b.Positions[0], b.Positions[1]; a.IsDuplicate || b.IsDuplicate != tt.want || (b.DupLog != "") != tt.want {
				t.Errorf("is_duplicate %v and %v of %s+%d, want false and %v", a.IsDuplicate, b.IsDuplicate, b.DupLog, b.DupOffset, tt.want)
			}
		})
	}
}

func TestDedupeSaysNothingWithoutAStatedTime(t *testing.T) {
	o := newOperators(t)
	var rc table.Reception
	times := table.Times{EventTime: 5, TimeSource: record.TimeBase}
	for range 2 {
		o.dedupe.mark(&Context{Gateway: "g", Watermark: record.NoTime}, 1, times, ais.Key{Lo: 1}, &rc)
	}
	if rc.IsDuplicate || rc.DupLog != "" {
		t.Error("receptions at the base time were compared")
	}
}

// TestDedupeAgainstModel: a slow model that forgets nothing gives the same
// answers, whenever the operator expires, snapshots and restarts; and the state
// stays within the horizon.
func TestDedupeAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		o := newOperators(t)
		var objects [][]byte
		model := map[string]heard{}
		marks := map[string]record.Micros{"g": record.NoTime, "h": record.NoTime}
		now := 1_000_000 * second
		for i := range 4000 {
			now += record.Micros(rng.Int64N(int64(second)))
			h := heard{"g", rng.Uint64N(300), now - record.Micros(rng.Int64N(int64(20*second)))}
			if rng.IntN(3) == 0 {
				h.gateway = "h"
			}
			if rng.IntN(50) == 0 {
				h.at -= record.Micros(rng.Int64N(int64(400 * second)))
			}
			wm := marks[h.gateway]
			got := o.hear(h, record.Offset(i), wm)
			if want := modelHear(model, h, wm); got.IsDuplicate != want {
				t.Fatalf("seed %d, reception %d: got %+v, want %+v", seed, i, got.IsDuplicate, want)
			}
			if rng.IntN(20) == 0 {
				marks[h.gateway] = max(marks[h.gateway], now-30*second)
				o.dedupe.Advance(h.gateway, marks[h.gateway])
			}
			if rng.IntN(200) == 0 {
				object, keep := o.state.Snapshot()
				objects = objects[len(objects)-keep:]
				if object != nil {
					objects = append(objects, object)
				}
				o = o.restart(t, objects)
			}
		}
		for k, v := range o.dedupe.seen.All() {
			for name, at := range marks {
				if k.Gateway == name && v.EventTime < at-DedupeHorizon-DedupeWindow-2*expiryStep {
					t.Fatalf("seed %d: a reception %d s behind the watermark of %s is still remembered", seed, (at-v.EventTime)/second, name)
				}
			}
		}
	}
}

func modelHear(model map[string]heard, h heard, watermark record.Micros) bool {
	if watermark != record.NoTime && (h.at < watermark-DedupeHorizon || h.at > watermark+maxAhead) {
		return false
	}
	key := fmt.Sprint(h.gateway, h.content)
	first, ok := model[key]
	if ok && max(first.at-h.at, h.at-first.at) <= DedupeWindow {
		return true
	}
	if !ok || h.at >= first.at {
		model[key] = h
	}
	return false
}

func TestStaticFillsTheOtherHalf(t *testing.T) {
	o := newOperators(t)
	c := &Context{Gateway: "g", Watermark: record.NoTime}
	at := table.Times{EventTime: 1_000_000 * second, TimeSource: record.TimeTag}
	fill := func(row ais.Static) ais.Static {
		o.static.fill(c, at, &row)
		return row
	}
	a := ais.Static{Header: ais.Header{MMSI: 200000001, MsgType: 24}, Part: 'A', Shipname: ais.Some("SIM ONE")}
	b := ais.Static{Header: a.Header, Part: 'B', Callsign: ais.Some("SIM1"), ShipType: ais.Some[uint8](37), ToBow: ais.Some[uint16](9)}
	if got := fill(a); got.Callsign.Valid {
		t.Errorf("half A knew the call sign before half B was heard: %+v", got)
	}
	if got := fill(b); got.Shipname != a.Shipname || got.Callsign != b.Callsign {
		t.Errorf("half B: %+v", got)
	}
	object, _ := o.state.Snapshot()
	o = o.restart(t, [][]byte{object})
	if got := fill(a); got.Callsign != b.Callsign || got.ShipType != b.ShipType || got.ToBow != b.ToBow {
		t.Errorf("half A after a restart: %+v", got)
	}
	other := a
	other.MMSI++
	if got := fill(other); got.Callsign.Valid {
		t.Errorf("another ship got the call sign: %+v", got)
	}
	o.static.Advance("g", at.EventTime+StaticHorizon+2*expiryStep)
	if n := o.static.ships.Len(); n != 0 {
		t.Errorf("%d ships remembered beyond the horizon", n)
	}
}

func TestCodecsRoundTrip(t *testing.T) {
	h := halves{SeenAt: -5, Name: ais.Some("A"), HasB: true, B: partB{
		Callsign: ais.Some(""), ShipType: ais.Some[uint8](255), ToPort: ais.Some[uint16](63), MothershipMMSI: ais.Some[uint32](999999999),
		VendorID: ais.Some("SRT"), UnitModel: ais.Some[uint8](15), UnitSerial: ais.Some[uint32](1<<20 - 1),
	}}
	got, err := halvesCodec{}.DecodeValue(3, halvesCodec{}.AppendValue(nil, h))
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("halves: got %+v, %v", got, err)
	}
	r := reception{EventTime: -9, Log: record.LogID{1, 2}, Offset: 1 << 60}
	gotR, err := receptionCodec{}.DecodeValue(2, receptionCodec{}.AppendValue(nil, r))
	if err != nil || gotR != r {
		t.Errorf("reception: got %+v, %v", gotR, err)
	}
	for n := range receptionCodec.AppendValue(receptionCodec{}, nil, r) {
		if _, err := (receptionCodec{}).DecodeValue(2, receptionCodec{}.AppendValue(nil, r)[:n]); err == nil {
			t.Errorf("%d bytes of a reception were read", n)
		}
	}
}

// TestStaticValueVersions: the frozen bytes of each version are read, and the
// newest is written. Version 1 knew nothing of the unit's maker.
func TestStaticValueVersions(t *testing.T) {
	want := halves{SeenAt: 1_780_000_000_000_000, Name: ais.Some("SIM ONE"), HasB: true, B: partB{
		Callsign: ais.Some("SIM1"), ShipType: ais.Some[uint8](37), EPFD: ais.Some[uint8](1),
		ToBow: ais.Some[uint16](300), ToStern: ais.Some[uint16](9), ToPort: ais.Some[uint16](0), ToStarboard: ais.Some[uint16](63),
	}}
	for version := uint16(1); version <= (halvesCodec{}).Version(); version++ {
		if version >= 2 {
			want.B.VendorID, want.B.UnitModel, want.B.UnitSerial = ais.Some("SRT"), ais.Some[uint8](3), ais.Some[uint32](70_000)
		}
		frozen, err := os.ReadFile(fmt.Sprintf("testdata/formats/static-v%d.hex", version))
		if err != nil {
			t.Fatal(err)
		}
		p, err := hex.DecodeString(strings.TrimSpace(string(frozen)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (halvesCodec{}).DecodeValue(version, p); err != nil || got != want {
			t.Errorf("version %d: got %+v, %v", version, got, err)
		}
		if newest := (halvesCodec{}).AppendValue(nil, want); version == (halvesCodec{}).Version() && !bytes.Equal(newest, p) {
			t.Errorf("version %d writes %x", version, newest)
		}
	}
}

// FuzzStaticValue: no bytes make decoding panic; what is read is written back
// in a form that reads the same.
func FuzzStaticValue(f *testing.F) {
	f.Add(halvesCodec{}.AppendValue(nil, halves{Name: ais.Some("X"), HasB: true}))
	f.Fuzz(func(t *testing.T, p []byte) {
		for version := range halvesCodec.Version(halvesCodec{}) {
			_, _ = halvesCodec{}.DecodeValue(version, p)
		}
		v, err := halvesCodec{}.DecodeValue(3, p)
		if err != nil {
			return
		}
		again, err := halvesCodec{}.DecodeValue(3, halvesCodec{}.AppendValue(nil, v))
		if err != nil || again != v {
			t.Fatalf("%+v became %+v, %v", v, again, err)
		}
	})
}
