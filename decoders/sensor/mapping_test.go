package sensor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
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
	r := Report{Address: "a", Payload: []byte(`{"a":0` + manyFields(MaxFields-1) + `}`)}
	if m.Read(&r); len(r.Readings) != MaxReadings+1 {
		t.Errorf("%d readings", len(r.Readings))
	}
	var got Report
	if err := got.Decode(r.Append(nil), nil); err != nil || got.Reason != RejectTooManyReadings {
		t.Errorf("%q, %v", got.Reason, err)
	}
}

// TestFieldsAreBounded: more fields than are read are a reason, whatever is mapped, and so
// are those of inner objects; those in lists do not count.
func TestFieldsAreBounded(t *testing.T) {
	one := Mapping{Format: FormatJSON, Metrics: []Metric{{Field: "a"}}}
	for payload, want := range map[string]string{
		`{"a":0` + manyFields(MaxFields-1) + `}`:                          "/a=0",
		`{"a":0` + manyFields(MaxFields) + `}`:                            "! too_many_fields",
		`{"a":0,"o":{"b":0` + manyFields(MaxFields-2) + `}}`:              "! too_many_fields",
		`{"a":0,"o":[{"b":0` + manyFields(MaxFields) + `}]}`:              "/a=0",
		`{"a":0` + strings.Repeat(`,"b":0`, MaxFields) + `}`:              "! too_many_fields",
		strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999):   "/a=" + fmt.Sprintf("%q", "") + " bad_value",
		strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001): "! no_json",
	} {
		r := Report{Address: "a", Payload: []byte(payload)}
		if one.Read(&r); shown(&r) != want && !strings.HasPrefix(payload, `{"a":{`) ||
			strings.HasPrefix(want, "!") != (r.Reason != "") {
			t.Errorf("%.40s: %.40s, want %s", payload, shown(&r), want)
		}
	}
}

// TestReadsWhatEncodingJSONDoes compares the fields with those that encoding/json reads.
func TestReadsWhatEncodingJSONDoes(t *testing.T) {
	for _, payload := range []string{
		`{}`, ` { } `, `{"a":1,"a":{"b":[]},"a":2}`, `{"a":{"b":1},"a":{"c":2}}`,
		"{\"\\u0061\\n\":\"\\ud800x\",\"\xff\":\"\xfe\"}",
		`{"a":[{"]":"\\\"]"},[[]]],"b":-1.5e-7 ,"c":null,"d":true,"e":false,"":""}`,
		`{"a":[1,{"b":[2]}],"o":{"l":[3]}}`,
		`{"a":1}x`, `{"a":01}`, `{"a":tru}`, `[{}]`, `"a"`, `1`, ``, `{"a" : "\u2028<>&" , "b" : [ ] }`,
	} {
		compareWithJSON(t, []byte(payload))
	}
}

func compareWithJSON(t *testing.T, payload []byte) {
	t.Helper()
	var want map[string]any
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	err := dec.Decode(&want)
	valid := err == nil && want != nil && len(bytes.TrimSpace(payload[dec.InputOffset():])) == 0
	got, reason := object(payload)
	if valid != (reason == "") && reason != RejectTooManyFields {
		t.Fatalf("%q: reason %q, want valid %v", payload, reason, valid)
	}
	if reason != "" {
		return
	}
	read, ok := whole(got)
	if a, b := fmt.Sprintf("%#v", read), fmt.Sprintf("%#v", want); ok && a != b {
		t.Fatalf("%q:\n got %s\nwant %s", payload, a, b)
	}
}

// TestNamesAreNotBuiltBeyondTheirBound: a long key over many fields, at one level or
// nested, long topics in names, and sensors named by what is no name take no more memory
// than a few times the payload, and each is rejected with its reason.
func TestNamesAreNotBuiltBeyondTheirBound(t *testing.T) {
	every := Mapping{Format: FormatJSON}
	long := strings.Repeat("k", 100<<10)
	var topics []Metric
	for i := range 2000 {
		topics = append(topics, Metric{Field: "a", Name: fmt.Sprintf("%s{1}%d", strings.Repeat("{topic}", 100), i)})
	}
	nested := `{"` + strings.Repeat("n", 90) + `":`
	for name, tt := range map[string]struct {
		mapping        Mapping
		topic, payload string
		want           string
	}{
		"a long key over 4,000 fields": {every, "t", `{"` + long + `":{"a":0` + manyFields(4000) + `}}`,
			RejectNameTooLong},
		"a long key over 13,000 fields": {every, "t", `{"` + long + `":{"a":0` + manyFields(13_000) + `}}`,
			RejectNameTooLong},
		"a long key over 13,000 objects": {every, "t",
			`{"` + long + `":{"a":{}` + strings.ReplaceAll(manyFields(13_000), ":0", ":{}") + `}}`, RejectNoField},
		"a long key over 13,000 lists": {every, "t",
			`{"` + long + `":{"a":[]` + strings.ReplaceAll(manyFields(13_000), ":0", ":[]") + `}}`, RejectNoField},
		"nested as deep as it goes": {every, "t",
			strings.Repeat(nested, 9999) + "1" + strings.Repeat("}", 9999), RejectNameTooLong},
		"a digit a byte": {every, "t", `{"a":` + strings.Repeat("9", 1<<20) + `}`,
			RejectNameTooLong},
		"a list of objects": {every, "t", `{"a":[` + strings.Repeat(`{"":0},`, 150_000) + `0]}`,
			RejectNoField},
		"many fields of which one is taken": {Mapping{Format: FormatJSON, Metrics: []Metric{{Field: "a"}}}, "t",
			`{"a":0` + manyFields(120_000) + `}`, RejectTooManyFields},
		"a long topic in each name": {Mapping{Format: FormatJSON, Metrics: topics}, long[:60<<10], `{"a":0}`,
			RejectNameTooLong},
		"a sensor named by a list": {Mapping{Format: FormatJSON, SensorField: "s"}, "t",
			`{"a":0,"s":[` + strings.Repeat(`{"":0},`, 150_000) + `0]}`, RejectNameTooLong},
		"a sensor named by a text": {Mapping{Format: FormatJSON, SensorField: "s"}, "t",
			`{"s":"` + strings.Repeat("s", 1<<20) + `"` + manyFields(4000) + `}`, RejectNameTooLong},
		"many lists where a value is mapped": {Mapping{Format: FormatJSON, Metrics: []Metric{{Field: "o"}}}, "t",
			`{"o":{"l":[0]` + manyLists(8) + `}}`, ""},
		"a list where a value is mapped": {Mapping{Format: FormatJSON, Metrics: []Metric{{Field: "l"}}}, "t",
			`{"l":[` + strings.Repeat(`{"":0},`, 150_000) + `0]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := Report{Address: tt.topic, Payload: []byte(tt.payload)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tt.mapping.Read(&r)
			written := r.Append(nil)
			runtime.ReadMemStats(&after)
			took := int(after.TotalAlloc - before.TotalAlloc)
			t.Logf("%d KiB for a payload of %d KiB", took>>10, len(tt.payload)>>10)
			// All that was ever allocated, whether it was given back or not.
			if most := 8*len(tt.payload) + 16<<20; took > most {
				t.Errorf("it took %d KiB", took>>10)
			}
			var got Report
			if err := got.Decode(written, nil); err != nil || got.Reason != tt.want {
				t.Errorf("reason %q, %v; want %q", got.Reason, err, tt.want)
			}
		})
	}
}

func manyLists(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"l%d":[%s0]`, i, strings.Repeat(`{"":0},`, 17_000))
	}
	return b.String()
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
		compareWithJSON(t, payload)
		if (r.Reason == "") != (len(r.Readings) > 0) {
			t.Errorf("%q: reason %q, %d readings", payload, r.Reason, len(r.Readings))
		}
		var got Report
		if err := got.Decode(r.Append(nil), nil); err != nil {
			t.Errorf("%q: %v", payload, err)
		}
	})
}
