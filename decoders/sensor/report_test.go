package sensor

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// sample has every field of every kind.
func sample() Report {
	return Report{
		Origin: OriginMQTT, Address: "plant/pump/7", Payload: []byte(`{"t":21.5,"state":"run"}`),
		Readings: []Reading{
			{Sensor: "pump 7", Metric: "temperature", Unit: "Cel", Kind: Number, Number: 21.5, Quality: QualityGood, HasTime: true, Time: 1_780_000_000_123_456},
			{Sensor: "pump 7", Metric: "state", Kind: Text, Text: "run", Quality: QualityUncertain, Historical: true, HasTime: true, Time: -1},
			{Sensor: "pump 8", Metric: "pressure", Unit: "kPa", Quality: QualityBadTimeout},
			{Sensor: "pump 8", Metric: "name", Kind: Text, Text: ""},
			{Sensor: "", Metric: "", Kind: Number, Number: math.Copysign(0, -1)},
		},
	}
}

func samples() map[string]Report {
	return map[string]Report{
		"report-v1.bin":          sample(),
		"report-v1-rejected.bin": {Origin: OriginModbus, Address: "3/holding/0", Payload: []byte{0, 1, 255}, Cut: true, Reason: "no_json"},
		"report-v1-empty.bin":    {Origin: OriginNode},
	}
}

func TestReportsComeBack(t *testing.T) {
	for name, want := range samples() {
		var got Report
		if err := got.Decode(want.Append([]byte("before"))[len("before"):], nil); err != nil || !same(&got, &want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// same compares reports; an empty payload is no payload.
func same(a, b *Report) bool {
	x, y := *a, *b
	x.Payload, y.Payload = nil, nil
	if len(x.Readings) == 0 && len(y.Readings) == 0 {
		x.Readings, y.Readings = nil, nil
	}
	return bytes.Equal(a.Payload, b.Payload) && reflect.DeepEqual(x, y) && fmt.Sprint(x) == fmt.Sprint(y)
}

// TestFrozenReports: every later version reads these files.
func TestFrozenReports(t *testing.T) {
	for name, want := range samples() {
		path := filepath.Join("testdata", "formats", name)
		written := want.Append(nil)
		frozen, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeFormats {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			frozen, err = written, os.WriteFile(path, written, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, written) {
			t.Errorf("%s: this version writes other bytes than the frozen file", name)
		}
		var got Report
		if err := got.Decode(frozen, nil); err != nil || !same(&got, &want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestDamageIsNoticed cuts a report at every byte and adds one.
func TestDamageIsNoticed(t *testing.T) {
	r := sample()
	whole := r.Append(nil)
	for n := range whole {
		var got Report
		if err := got.Decode(whole[:n], nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	if err := new(Report).Decode(append(bytes.Clone(whole), 0), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	for version, want := range map[byte]error{0: ErrCorrupt, 2: ErrVersion} {
		whole[0] = version
		if err := new(Report).Decode(whole, nil); !errors.Is(err, want) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestBoundsGiveReasons: what exceeds a bound is captured without its readings,
// or with less payload, and says so.
func TestBoundsGiveReasons(t *testing.T) {
	many := make([]Reading, MaxReadings+1)
	large := make([]Reading, 20)
	for i := range large {
		large[i] = Reading{Kind: Text, Text: strings.Repeat("x", MaxTextBytes)}
	}
	long := strings.Repeat("n", MaxNameBytes+1)
	for reason, readings := range map[string][]Reading{
		RejectTooManyReadings:       many,
		RejectTooManyReadings + " ": large,
		RejectNameTooLong:           {{Sensor: long}},
		RejectNameTooLong + " ":     {{Metric: long}},
		RejectNameTooLong + "  ":    {{Unit: long}},
		RejectNameTooLong + "   ":   {{Kind: Text, Text: strings.Repeat("x", MaxTextBytes+1)}},
	} {
		r := Report{Origin: OriginMQTT, Address: "a", Payload: []byte("p"), Readings: readings}
		var got Report
		if err := got.Decode(r.Append(nil), nil); err != nil || got.Reason != strings.TrimSpace(reason) || len(got.Readings) > 0 || string(got.Payload) != "p" {
			t.Errorf("%s: reason %q, %d readings, payload %q, %v", reason, got.Reason, len(got.Readings), got.Payload, err)
		}
	}
	r := Report{Address: long, Payload: make([]byte, MaxPayloadBytes+1), Readings: many[:MaxReadings]}
	raw := r.Append(nil)
	var got Report
	if err := got.Decode(raw, nil); err != nil || !got.Cut || len(got.Payload) != MaxPayloadBytes || len(got.Address) != MaxNameBytes || len(got.Readings) != MaxReadings || len(raw) > MaxReportBytes {
		t.Errorf("cut %v, payload %d, address %d, %d readings, %v", got.Cut, len(got.Payload), len(got.Address), len(got.Readings), err)
	}
}

// TestNoNumberIsText: NaN and infinity are no values to reckon with.
func TestNoNumberIsText(t *testing.T) {
	r := Report{Readings: []Reading{
		{Kind: Number, Number: math.NaN(), Quality: QualityGood},
		{Kind: Number, Number: math.Inf(-1), Quality: QualityBadStale},
	}}
	var got Report
	if err := got.Decode(r.Append(nil), nil); err != nil {
		t.Fatal(err)
	}
	want := []Reading{{Kind: Text, Text: "NaN", Quality: QualityBadValue}, {Kind: Text, Text: "-Inf", Quality: QualityBadStale}}
	if !reflect.DeepEqual(got.Readings, want) {
		t.Errorf("got %+v", got.Readings)
	}
}

func TestNames(t *testing.T) {
	for q := QualityUnknown; q <= QualityBadStale; q++ {
		if q.Usable() == strings.HasPrefix(q.String(), "bad") {
			t.Errorf("quality %s: usable %v", q, q.Usable())
		}
	}
	if got := fmt.Sprint(OriginModbus, Origin(0), Origin(200), Quality(200)); got != "modbus origin_0 origin_200 quality_200" {
		t.Error(got)
	}
}

// FuzzDecode: no input panics, and what decodes is written the same again.
func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		var r, again Report
		if r.Decode(p, nil) != nil {
			return
		}
		if err := again.Decode(r.Append(nil), nil); err != nil || !same(&r, &again) {
			t.Errorf("%q: %+v, then %+v, %v", p, r, again, err)
		}
	})
}
