package sensor

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Format says how a message's payload is read.
type Format string

// The formats.
const (
	FormatJSON  Format = "json"  // a JSON object with fields
	FormatValue Format = "value" // one bare value: a number, true, false or a text
)

// TimeUnit says how a payload's time is written.
type TimeUnit string

// The units of a payload's time.
const (
	TimeSeconds TimeUnit = "s" // Unix time, with a fraction where there is one
	TimeMillis  TimeUnit = "ms"
	TimeMicros  TimeUnit = "us"
	TimeNanos   TimeUnit = "ns"
	TimeRFC3339 TimeUnit = "rfc3339"
)

// Metric maps one field to a metric.
type Metric struct {
	Field  string  // path of the field, its names joined by '.'; of FormatValue: empty
	Name   string  // empty: Field
	Unit   string  // may be empty
	Scale  float64 // a number is multiplied by it; 0: 1
	Offset float64 // and then this is added
}

// Mapping says which readings a message holds. Names may contain {topic}, the
// whole topic, and {1}, {2}, …, its levels.
type Mapping struct {
	Format Format
	// Sensor names the sensor, unless SensorField names a field that does.
	Sensor      string
	SensorField string
	// Metrics lists what is read. None: of JSON every field that is a number, a
	// bool or a text, but for those named below; of a bare value the value, named
	// by the topic's last level.
	Metrics []Metric
	// TimeField names the field with the sample's own time; empty: it has none.
	TimeField string
	TimeUnit  TimeUnit
	// SequenceField names the field with the message's own number; empty: none.
	SequenceField string
}

// Reasons why a message gives no readings.
const (
	RejectNoJSON    = "no_json"    // the payload is no JSON object
	RejectNoField   = "no_field"   // none of the fields that are mapped is there
	RejectNoText    = "no_text"    // a bare value that is no UTF-8
	RejectEmpty     = "empty"      // a message without payload
	RejectNoMapping = "no_mapping" // no filter takes the topic
	RejectTooLarge  = "too_large"  // the payload is larger than its source takes; its beginning is kept

	RejectPanic         = "panic"           // the payload made its decoder panic
	RejectKills         = "kills"           // the gateway died of it: its decoder was not asked again
	RejectTooManyFields = "too_many_fields" // a JSON payload with more than MaxFields
)

// Read fills r with what the mapping finds in r.Payload of the topic r.Address.
// It says whether the payload has an identity of its own, a time or a number
// that is there, with which a message sent again is told from another with the
// same values.
func (m *Mapping) Read(r *Report) (identity bool) {
	levels := strings.Split(r.Address, "/")
	r.Readings = r.Readings[:0]
	if len(r.Payload) == 0 {
		r.Reason = RejectEmpty
		return false
	}
	if m.Format == FormatValue {
		m.readValue(r, levels)
		return false
	}
	return m.readJSON(r, levels)
}

// readValue takes the payload as one value.
func (m *Mapping) readValue(r *Report, levels []string) {
	if !utf8.Valid(r.Payload) {
		r.Reason = RejectNoText
		return
	}
	metric := Metric{Name: levels[len(levels)-1]}
	if len(m.Metrics) > 0 {
		metric = m.Metrics[0]
	}
	g := Reading{Sensor: expand(m.Sensor, r.Address, levels), Metric: expand(metric.Name, r.Address, levels), Unit: metric.Unit}
	text := strings.TrimSpace(string(r.Payload))
	switch v, err := strconv.ParseFloat(text, 64); {
	case err == nil && !strings.ContainsAny(text, "xXpP_"):
		g.set(v, &metric)
	case text == "true", text == "false":
		g.set(truth(text == "true"), &metric)
	default:
		g.Kind, g.Text = Text, string(r.Payload)
	}
	r.Readings = append(r.Readings, g)
}

// readJSON takes the fields of a JSON object.
func (m *Mapping) readJSON(r *Report, levels []string) (identity bool) {
	object, reason := object(r.Payload)
	if reason != "" {
		r.Reason = reason
		return false
	}
	base := Reading{Sensor: expand(m.Sensor, r.Address, levels)}
	if v, ok := field(object, m.SensorField); ok && m.SensorField != "" {
		base.Sensor = nameOf(v)
	}
	if v, ok := field(object, m.TimeField); ok && m.TimeField != "" {
		base.Time, base.HasTime = m.TimeUnit.micros(v)
		identity = base.HasTime
	}
	if v, ok := field(object, m.SequenceField); ok && m.SequenceField != "" && v != nil {
		identity = true
	}
	if len(m.Metrics) == 0 {
		m.everyField(r, base, "", object)
	}
	for i := range m.Metrics {
		if v, ok := field(object, m.Metrics[i].Field); ok {
			r.add(base, &m.Metrics[i], expand(m.Metrics[i].name(), r.Address, levels), v)
		}
	}
	if len(r.Readings) == 0 {
		r.Reason = RejectNoField
	}
	return identity
}

func (m *Metric) name() string {
	if m.Name == "" {
		return m.Field
	}
	return m.Name
}

// nameOf makes a name of a field's value; what is too long for one is one byte longer
// than a name may be.
func nameOf(v any) string {
	v, ok := whole(v)
	if !ok {
		return strings.Repeat("…", MaxNameBytes)
	}
	return bounded(fmt.Sprint(v))
}

// bounded cuts a name that is too long to one byte more than a name may have, by which
// it is known.
func bounded(name string) string { return name[:min(len(name), MaxNameBytes+1)] }

// everyField adds all scalars of an object, in the order of their names. A name is not
// built beyond what it may have: the first that is too long ends it, and Append says so.
func (m *Mapping) everyField(r *Report, base Reading, path string, object map[string]any) (ok bool) {
	for _, k := range sortedNames(object) {
		if len(r.Readings) > MaxReadings {
			return false // too many already: Append says so
		}
		name := path[:min(len(path), MaxNameBytes+1)]
		name += k[:min(len(k), MaxNameBytes+1-len(name))]
		if name == m.SensorField || name == m.TimeField || name == m.SequenceField {
			continue
		}
		switch v := object[k].(type) {
		case map[string]any:
			if !m.everyField(r, base, name+".", v) {
				return false
			}
		case list:
		default:
			r.add(base, &Metric{}, name, v)
			if len(name) > MaxNameBytes {
				return false
			}
		}
	}
	return true
}

// add adds the reading of one field: null is a value that was not measured,
// objects and lists are no such value.
func (r *Report) add(base Reading, m *Metric, name string, v any) {
	g := base
	g.Metric, g.Unit = name, m.Unit
	switch v := v.(type) {
	case nil:
	case json.Number:
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			g.Kind, g.Text, g.Quality = Text, v.String(), QualityBadValue
			break
		}
		g.set(f, m)
	case bool:
		g.set(truth(v), m)
	case string:
		g.Kind, g.Text = Text, v
	default:
		if v, ok := whole(v); ok {
			if text, err := json.Marshal(v); err == nil && len(text) <= MaxTextBytes {
				g.Kind, g.Text = Text, string(text)
			}
		}
		g.Quality = QualityBadValue
	}
	r.Readings = append(r.Readings, g)
}

// set gives a reading a number, scaled.
func (g *Reading) set(v float64, m *Metric) {
	scale := m.Scale
	if scale == 0 {
		scale = 1
	}
	g.Kind, g.Number = Number, v*scale+m.Offset
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// field finds a field by its path: the whole path as one name first, then name
// by name.
func field(object map[string]any, path string) (any, bool) {
	if v, ok := object[path]; ok {
		return v, true
	}
	for at := strings.IndexByte(path, '.'); at >= 0; {
		if inner, ok := object[path[:at]].(map[string]any); ok {
			if v, ok := field(inner, path[at+1:]); ok {
				return v, true
			}
		}
		next := strings.IndexByte(path[at+1:], '.')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return nil, false
}

func sortedNames(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for k := range object {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// micros reads a time; false where it cannot be one.
func (u TimeUnit) micros(v any) (int64, bool) {
	if u == TimeRFC3339 {
		s, _ := v.(string)
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return 0, false
		}
		return believe(t.UnixMicro())
	}
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	perUnit := map[TimeUnit]float64{TimeSeconds: 1e6, TimeMillis: 1e3, TimeMicros: 1, TimeNanos: 1e-3}[u]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil { // exact
		if u == TimeNanos {
			return believe(n / 1000)
		}
		if n > math.MaxInt64/int64(perUnit) {
			return 0, false
		}
		return believe(n * int64(perUnit))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f*perUnit >= latest {
		return 0, false
	}
	return believe(int64(math.Round(f * perUnit)))
}

func believe(micros int64) (int64, bool) {
	if !Believable(micros) {
		return 0, false
	}
	return micros, true
}

// expand puts the topic and its levels into a name.
func expand(name, topic string, levels []string) string {
	if !strings.Contains(name, "{") {
		return name
	}
	var b strings.Builder
	for name != "" && b.Len() <= MaxNameBytes {
		open := strings.IndexByte(name, '{')
		end := strings.IndexByte(name[max(open, 0):], '}')
		if open < 0 || end < 0 {
			break
		}
		b.WriteString(name[:open])
		inside := name[open+1 : open+end]
		switch n, err := strconv.Atoi(inside); {
		case inside == "topic":
			b.WriteString(bounded(topic))
		case err == nil && n >= 1 && n <= len(levels):
			b.WriteString(bounded(levels[n-1]))
		case err != nil:
			b.WriteString(name[open : open+end+1])
		}
		name = name[open+end+1:]
	}
	return bounded(b.String() + name)
}

// ReadingTime gives the time of the first reading that has one, for the record;
// 0: none has.
func (r *Report) ReadingTime() int64 {
	if r.Reason != "" {
		return 0
	}
	for i := range r.Readings {
		if r.Readings[i].HasTime {
			return r.Readings[i].Time
		}
	}
	return 0
}
