package sensor

import (
	"fmt"
	"strings"
	"testing"
)

// shown is a report's readings as text.
func shown(r *Report) string {
	if r.Reason != "" {
		return "! " + r.Reason
	}
	var all []string
	for _, g := range r.Readings {
		s := g.Sensor + "/" + g.Metric + "="
		switch g.Kind {
		case Number:
			s += fmt.Sprint(g.Number)
		case Text:
			s += fmt.Sprintf("%q", g.Text)
		}
		s += g.Unit
		if g.HasTime {
			s += fmt.Sprintf("@%d", g.Time)
		}
		if g.Quality != QualityUnknown {
			s += " " + g.Quality.String()
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// TestManyFieldsAreNotGathered: of more fields than a report holds no more are gathered
// than show that.
func TestManyFieldsAreNotGathered(t *testing.T) {
	m := Mapping{Format: FormatJSON}
	r := Report{Address: "a", Payload: []byte(`{"a":0` + manyFields(100_000) + `}`)}
	if m.Read(&r); len(r.Readings) != MaxReadings+1 {
		t.Errorf("%d readings", len(r.Readings))
	}
	var got Report
	if err := got.Decode(r.Append(nil), nil); err != nil || got.Reason != RejectTooManyReadings {
		t.Errorf("%q, %v", got.Reason, err)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":0`, i)
	}
	return b.String()
}

func TestMappings(t *testing.T) {
	every := Mapping{Format: FormatJSON, Sensor: "{2}", TimeField: "ts", TimeUnit: TimeMillis, SequenceField: "n"}
	value := Mapping{Format: FormatValue, Sensor: "{1}-{2}"}
	for _, tt := range []struct {
		name     string
		mapping  Mapping
		topic    string
		payload  string
		want     string
		identity bool
	}{
		{"every field", every, "plant/pump7/state", `{"b":{"c":1.5,"d":null},"a":true,"s":"on","ts":1700000000123,"n":5,"list":[1]}`,
			`pump7/a=1@1700000000123000 pump7/b.c=1.5@1700000000123000 pump7/b.d=@1700000000123000 pump7/s="on"@1700000000123000`, true},
		{"number alone is an identity", every, "plant/p/x", `{"a":1,"n":0}`, `p/a=1`, true},
		{"neither", every, "plant/p/x", `{"a":1}`, `p/a=1`, false},
		{"null is no number", every, "plant/p/x", `{"a":1,"n":null}`, `p/a=1`, false},
		{"a time that cannot be", every, "plant/p/x", `{"a":1,"ts":12}`, `p/a=1`, false},
		{"only number and time", every, "plant/p/x", `{"ts":1700000000123,"n":1}`, `! no_field`, true},
		{"two values", every, "plant/p/x", `{"a":1}{"a":2}`, `! no_json`, false},
		{"a list", every, "plant/p/x", `[1]`, `! no_json`, false},
		{"null", every, "plant/p/x", `null`, `! no_json`, false},
		{"broken", every, "plant/p/x", `{"a":`, `! no_json`, false},
		{"nothing", every, "plant/p/x", ``, `! empty`, false},
		{"huge number", every, "plant/p/x", `{"a":1e999}`, `p/a="1e999" bad_value`, false},
		{"mapped", Mapping{Format: FormatJSON, Sensor: "x", SensorField: "id", TimeField: "t", TimeUnit: TimeRFC3339, Metrics: []Metric{
			{Field: "temp.raw", Name: "temperature {1}", Unit: "Cel", Scale: 0.1, Offset: -40}, {Field: "gone"}, {Field: "o"}}},
			"hall", `{"id":17,"temp":{"raw":650},"o":{"a":[1]},"t":"2023-11-14T22:13:20.5Z"}`,
			`17/temperature hall=25Cel@1700000000500000 17/o="{\"a\":[1]}"@1700000000500000 bad_value`, true},
		{"nothing mapped is there", Mapping{Format: FormatJSON, Metrics: []Metric{{Field: "z"}}}, "t", `{"a":1}`, `! no_field`, false},
		{"name with dots", Mapping{Format: FormatJSON, Sensor: "s", Metrics: []Metric{{Field: "a.b"}, {Field: "c.d.e"}}}, "t", `{"a.b":1,"c.d":{"e":2}}`, `s/a.b=1 s/c.d.e=2`, false},
		{"bare number", value, "hall/3/temp", " 21.5\n", "hall-3/temp=21.5", false},
		{"bare bool", value, "hall/3/on", "false", "hall-3/on=0", false},
		{"bare text", value, "hall/3/state", "run ning", `hall-3/state="run ning"`, false},
		{"hexadecimal is text", value, "hall/3/state", "0x10", `hall-3/state="0x10"`, false},
		{"bare binary", value, "hall/3/state", "\xff\xfe", `! no_text`, false},
		{"bare and named", Mapping{Format: FormatValue, Sensor: "{topic}", Metrics: []Metric{{Name: "t", Unit: "K", Scale: 2}}}, "a/b", "3", "a/b/t=6K", false},
		{"levels that are not there", Mapping{Format: FormatValue, Sensor: "{9}{x}{"}, "a/b", "3", "{x}{/b=3", false},
	} {
		r := Report{Address: tt.topic, Payload: []byte(tt.payload)}
		if identity := tt.mapping.Read(&r); shown(&r) != tt.want || identity != tt.identity {
			t.Errorf("%s:\n got %s, identity %v\nwant %s, identity %v", tt.name, shown(&r), identity, tt.want, tt.identity)
		}
	}
}

func TestTimeUnits(t *testing.T) {
	for _, tt := range []struct {
		unit TimeUnit
		text string
		want int64
	}{
		{TimeSeconds, `1700000000`, 1_700_000_000_000_000}, {TimeSeconds, `1700000000.25`, 1_700_000_000_250_000}, {TimeSeconds, `"1700000000"`, 1_700_000_000_000_000},
		{TimeMicros, `1700000000000001`, 1_700_000_000_000_001}, {TimeNanos, `1700000000000001999`, 1_700_000_000_000_001}, {TimeNanos, `1.7e18`, 1_700_000_000_000_000},
		{TimeSeconds, `9223372036854775807`, 0}, {TimeSeconds, `-1`, 0}, {TimeSeconds, `1e300`, 0}, {TimeSeconds, `true`, 0}, {TimeRFC3339, `5`, 0}, {TimeRFC3339, `"yesterday"`, 0},
	} {
		m := Mapping{Format: FormatJSON, TimeField: "t", TimeUnit: tt.unit}
		r := Report{Payload: []byte(`{"a":1,"t":` + tt.text + `}`)}
		m.Read(&r)
		if got := r.ReadingTime(); got != tt.want {
			t.Errorf("%s of %s: %d, want %d", tt.text, tt.unit, got, tt.want)
		}
	}
}

// FuzzMapping: no payload panics, and each gives readings or a reason.
func FuzzMapping(f *testing.F) {
	f.Add(true, "a/b", []byte(`{"b":{"c":1.5,"d":null},"a":true,"s":"on","ts":1700000000123,"n":5}`))
	f.Add(false, "a/b", []byte("1e5"))
	f.Fuzz(func(t *testing.T, isJSON bool, topic string, payload []byte) {
		m := Mapping{Format: FormatValue, Sensor: "{2}{topic}"}
		if isJSON {
			m = Mapping{Format: FormatJSON, Sensor: "{1}", TimeField: "ts", TimeUnit: TimeSeconds, SequenceField: "n"}
		}
		r := Report{Address: topic, Payload: payload}
		m.Read(&r)
		if (r.Reason == "") != (len(r.Readings) > 0) {
			t.Errorf("%q: reason %q, %d readings", payload, r.Reason, len(r.Readings))
		}
		var got Report
		if err := got.Decode(r.Append(nil), nil); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	})
}
