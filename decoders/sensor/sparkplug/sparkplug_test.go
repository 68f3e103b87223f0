package sparkplug

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/sensor"
)

// shown is what a message gave, as text.
func shown(r *sensor.Report, v Verdict) string {
	var all []string
	if r.Reason != "" {
		all = append(all, "! "+r.Reason)
	}
	for _, g := range r.Readings {
		s := g.Sensor + " " + g.Metric
		switch g.Kind {
		case sensor.Number:
			s += fmt.Sprint(" ", g.Number)
		case sensor.Text:
			s += fmt.Sprintf(" %q", g.Text)
		}
		s = strings.TrimSpace(s + " " + g.Unit)
		if g.HasTime {
			s += fmt.Sprint(" @", (g.Time-1_700_000_000_123_000)/1000)
		}
		if g.Quality != sensor.QualityUnknown {
			s += " " + g.Quality.String()
		}
		if g.Historical {
			s += " historical"
		}
		all = append(all, s)
	}
	if v.Lost > 0 {
		all = append(all, fmt.Sprint("lost ", v.Lost))
	}
	if v.Rebirth != "" {
		all = append(all, "rebirth "+v.Rebirth)
	}
	return strings.Join(all, "; ")
}

// TestForeignEncoder reads a session that the npm package sparkplug-payload
// encoded: birth, aliases, signs, null, history, a gap, an unknown alias,
// deaths of this session and of an earlier one.
func TestForeignEncoder(t *testing.T) {
	want := []string{
		`plant/gw7 uptime 4e+09 @0; plant/gw7 load 0.75 % @0 good`,
		`plant/gw7/pump temperature 21.5 Cel @0; plant/gw7/pump offset -300 @0; plant/gw7/pump running 1 @0; plant/gw7/pump state "auto" @0; plant/gw7/pump serviced "2020-09-13T12:26:40.000Z" @0; plant/gw7/pump total -5 @0`,
		`plant/gw7/pump temperature 22.5 Cel @1000; plant/gw7/pump offset -301 @500 historical; plant/gw7/pump state @1000`,
		`plant/gw7 load 0.5 % @2000; lost 3; rebirth plant/gw7`,
		`plant/gw7/pump alias:99 1 @2000; rebirth plant/gw7`,
		`plant/gw7/pump offset @3000 bad_stale; plant/gw7/pump running @3000 bad_stale; plant/gw7/pump serviced @3000 bad_stale; plant/gw7/pump state @3000 bad_stale; plant/gw7/pump temperature Cel @3000 bad_stale; plant/gw7/pump total @3000 bad_stale`,
		`! sparkplug_no_birth; rebirth plant/gw7`,
		`! sparkplug_old_death`,
		`plant/gw7 load % @4000 bad_stale; plant/gw7 uptime @4000 bad_stale`,
		`! sparkplug_no_birth; rebirth plant/gw7`,
	}
	h := NewHost()
	lines := bufio.NewScanner(bytes.NewReader(foreign(t)))
	n := 0
	for ; lines.Scan(); n++ {
		topic, text, _ := strings.Cut(lines.Text(), " ")
		payload, err := hex.DecodeString(text)
		if err != nil || n >= len(want) {
			t.Fatalf("line %d: %q, %v", n, lines.Text(), err)
		}
		r := sensor.Report{Address: topic, Payload: payload}
		if got := shown(&r, h.Read(&r)); got != want[n] {
			t.Errorf("%s:\n got %s\nwant %s", topic, got, want[n])
		}
	}
	if n != len(want) {
		t.Errorf("%d messages, want %d", n, len(want))
	}
}

// foreign runs the foreign encoder.
func foreign(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/encode.cjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "encode.cjs"), script, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, args := range [][]string{{"npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "sparkplug-payload@1.0.3"}, {"node", "encode.cjs"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if out, err = cmd.Output(); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%v: %v\n%s", args, err, stderr.String())
			}
			t.Skipf("a foreign encoder: %v: %v %s", args, err, stderr.String())
		}
	}
	return out
}

// encode makes a payload of metrics that were encoded.
func encode(seq uint64, metrics ...[]byte) []byte {
	p := binary.AppendUvarint(nil, 1<<3)
	p = binary.AppendUvarint(p, 1_700_000_000_123)
	for _, m := range metrics {
		p = append(binary.AppendUvarint(append(p, 2<<3|2), uint64(len(m))), m...)
	}
	return binary.AppendUvarint(append(p, 3<<3), seq)
}

// named encodes a metric of a double with name and alias; alias 0: none.
func named(name string, alias uint64, v float64) []byte {
	var p []byte
	if name != "" {
		p = append(append(p, 1<<3|2, byte(len(name))), name...)
	}
	if alias > 0 {
		p = binary.AppendUvarint(append(p, 2<<3), alias)
	}
	p = append(p, 4<<3, 10, 13<<3|1)
	return binary.LittleEndian.AppendUint64(p, math.Float64bits(v))
}

func TestSessions(t *testing.T) {
	h := NewHost()
	for _, tt := range []struct {
		topic   string
		payload []byte
		want    string
	}{
		{"spBv1.0/g/NDATA/n", encode(7, named("", 1, 2)), "! sparkplug_no_birth; rebirth g/n"},
		{"spBv1.0/g/NBIRTH/n", encode(255, named("a", 1, 1)), "g/n a 1 @0"},
		{"spBv1.0/g/NDATA/n", encode(0, named("", 1, 2)), "g/n a 2 @0"},
		{"spBv1.0/g/DBIRTH/n/d", encode(1, named("a", 2, 3)), "g/n/d a 3 @0"},
		{"spBv1.0/g/NBIRTH/n", encode(0, named("b", 1, 1)), "g/n b 1 @0"},
		{"spBv1.0/g/DDATA/n/d", encode(1, named("", 2, 4)), "! sparkplug_no_birth; rebirth g/n"},
		{"spBv1.0/g/NDATA/n", encode(1, named("", 1, 2)), "g/n b 2 @0; lost 255; rebirth g/n"},
		{"spBv1.0/g/NDATA/n", encode(2, named("c", 0, 5)), "g/n c 5 @0; rebirth g/n"},
		{"spBv1.0/g/NDATA/n", encode(3), "! sparkplug_no_values"},
		{"spBv1.0/g/NBIRTH/n", encode(0), "! sparkplug_no_values"},
		{"spBv1.0/g/NCMD/n", encode(0), "! sparkplug_control"}, {"spBv1.0/STATE/host", []byte("{}"), "! sparkplug_control"}, {"STATE/host", []byte("ONLINE"), "! sparkplug_control"},
		{"spBv1.0/g/NDATA/n", []byte{0xff}, "! sparkplug_payload"}, {"spBv1.0/g/NDATA", nil, "! sparkplug_topic"}, {"spBv1.0/g/DDATA/n", nil, "! sparkplug_topic"}, {"spAv1.0/g/NDATA/n", nil, "! sparkplug_topic"},
	} {
		r := sensor.Report{Address: tt.topic, Payload: tt.payload}
		if got := shown(&r, h.Read(&r)); got != tt.want {
			t.Errorf("%s %x:\n got %s\nwant %s", tt.topic, tt.payload, got, tt.want)
		}
	}
	if got := h.Nodes(); len(got) != 1 || got[0] != "g/n" {
		t.Errorf("nodes %q", got)
	}
	p, err := decode(Rebirth(1_700_000_000_000))
	if err != nil || len(p.metrics) != 1 || p.metrics[0].name != "Node Control/Rebirth" || p.metrics[0].number != 1 || p.metrics[0].datatype != typeBoolean || p.timestamp != 1_700_000_000_000 {
		t.Errorf("rebirth: %+v, %v", p, err)
	}
}

// TestDeaths: an earlier session's is old; that of a session whose birth was missed
// is not; and the number turns over.
func TestDeaths(t *testing.T) {
	counter := func(v byte) []byte {
		return append([]byte{1<<3 | 2, 5}, "bdSeq\x20\x04\x58"+string(binary.AppendUvarint(nil, uint64(v)))...)
	}
	for _, tt := range []struct {
		birth, death byte
		want         string
	}{
		{3, 3, "g/n a @0 bad_stale"}, {3, 2, "! sparkplug_old_death"}, {3, 4, "g/n a @0 bad_stale"},
		{0, 255, "! sparkplug_old_death"}, {255, 0, "g/n a @0 bad_stale"},
	} {
		h := NewHost()
		birth := sensor.Report{Address: "spBv1.0/g/NBIRTH/n", Payload: encode(0, counter(tt.birth), named("a", 1, 1))}
		h.Read(&birth)
		r := sensor.Report{Address: "spBv1.0/g/NDEATH/n", Payload: encode(0, counter(tt.death))}
		if got := shown(&r, h.Read(&r)); got != tt.want {
			t.Errorf("born %d, died %d: %s, want %s", tt.birth, tt.death, got, tt.want)
		}
	}
}

// FuzzHost: no message panics, each gives readings or a reason, whatever came
// before it.
func FuzzHost(f *testing.F) {
	f.Add("spBv1.0/g/NDATA/n", encode(1, named("", 1, 2), named("x", 0, 3)))
	f.Add("spBv1.0/g/NDEATH/n", encode(1))
	f.Add("spBv1.0/g/DBIRTH/n/d", encode(1, named("x", 9, 3)))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		h := NewHost()
		birth := sensor.Report{Address: "spBv1.0/g/NBIRTH/n", Payload: encode(0, named("a", 1, 1), named("b", 2, 1))}
		h.Read(&birth)
		for range 2 {
			r := sensor.Report{Address: topic, Payload: payload}
			h.Read(&r)
			if (r.Reason == "") == (len(r.Readings) == 0) {
				t.Errorf("%s %x: reason %q, %d readings", topic, payload, r.Reason, len(r.Readings))
			}
		}
	})
}

// TestBirthsAreBoundedInBytes: nodes whose births take the most are forgotten, an honest
// one among them is not, and what is counted is what is kept.
func TestBirthsAreBoundedInBytes(t *testing.T) {
	h := NewHost()
	read := func(topic string, payload []byte) (sensor.Report, Verdict) {
		r := sensor.Report{Address: topic, Payload: payload}
		v := h.Read(&r)
		return r, v
	}
	read("spBv1.0/g/NBIRTH/honest", encode(0, named("load", 1, 0.5)))
	var metrics [][]byte
	for i := range 2000 {
		metrics = append(metrics, named(fmt.Sprintf("%0100d", i), uint64(i), 1))
	}
	large := encode(0, metrics...)
	for i := range 200 {
		read(fmt.Sprintf("spBv1.0/g/NBIRTH/flood%d", i), large)
		for range 3 { // of the same device: only the last counts
			read(fmt.Sprintf("spBv1.0/g/DBIRTH/flood%d/d", i), encode(1, named("x", 1, 1)))
		}
		sum := 0
		for _, n := range h.nodes {
			sum += n.bytes
		}
		if sum != h.bytes || sum > MaxBytes {
			t.Fatalf("%d nodes of %d bytes, counted %d", len(h.nodes), sum, h.bytes)
		}
	}
	if len(h.nodes) < 20 || len(h.nodes) > 100 {
		t.Errorf("%d nodes are known", len(h.nodes))
	}
	if r, v := read("spBv1.0/g/NDATA/honest", encode(1, named("load", 1, 0.6))); r.Reason != "" || v.Rebirth != "" {
		t.Errorf("the honest node was forgotten: %+v, %+v", r, v)
	}
}

// TestANodeThatSpeaksIsKnownBesideAFlood: nodes beyond the bound take the place of the one
// that spoke the longest ago, and of no other.
func TestANodeThatSpeaksIsKnownBesideAFlood(t *testing.T) {
	h := NewHost()
	birth := sensor.Report{Address: "spBv1.0/g/NBIRTH/honest", Payload: encode(0, named("load", 1, 0.5))}
	h.Read(&birth)
	other := encode(0, named("x", 1, 1))
	for i := range 3 * maxNodes {
		r := sensor.Report{Address: fmt.Sprintf("spBv1.0/g/NBIRTH/flood%d", i), Payload: other}
		h.Read(&r)
		if i%1000 != 0 {
			continue
		}
		said := sensor.Report{Address: "spBv1.0/g/NDATA/honest", Payload: encode(uint64(i/1000+1), named("", 1, 0.5))}
		if v := h.Read(&said); said.Reason != "" || v != (Verdict{}) || said.Readings[0].Metric != "load" {
			t.Fatalf("after %d others: %q, %+v", i, said.Reason, v)
		}
	}
	if len(h.nodes) != maxNodes {
		t.Errorf("%d nodes", len(h.nodes))
	}
	sum := 0
	for _, n := range h.nodes {
		sum += n.bytes
	}
	if sum != h.bytes {
		t.Errorf("%d bytes, counted %d", sum, h.bytes)
	}
}

// TestReadingsOfOneMessageAreBounded: no more are gathered than show that there are too
// many.
func TestReadingsOfOneMessageAreBounded(t *testing.T) {
	h := NewHost()
	metrics := make([][]byte, 10_000)
	for i := range metrics {
		metrics[i] = named("m", uint64(i), 1)
	}
	r := sensor.Report{Address: "spBv1.0/g/NBIRTH/n", Payload: encode(0, metrics...)}
	if h.Read(&r); len(r.Readings) != sensor.MaxReadings+1 {
		t.Errorf("%d readings", len(r.Readings))
	}
	var got sensor.Report
	if err := got.Decode(r.Append(nil), nil); err != nil || got.Reason != sensor.RejectTooManyReadings {
		t.Errorf("%q, %v", got.Reason, err)
	}
}
