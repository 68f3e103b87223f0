package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// update writes the frozen files of the present versions; an existing one is
// never changed, a new version gets a file of its own.
const update = false

// rowsOf makes n records, each with a position and a reading.
func rowsOf(from, n int) *table.Batch {
	b := new(table.Batch)
	for i := from; i < from+n; i++ {
		line := table.Lineage{Gateway: "gw", Log: strings.Repeat("0", 29) + "abc", Offset: record.Offset(i), Rows: 2}
		times := table.Times{EventTime: record.Micros(1_700_000_000_000_000 + i), ReceivedAt: record.Micros(1_700_000_001_000_000 + i)}
		b.Records = append(b.Records, table.RecordRow{Lineage: line, Times: times, Kind: record.KindAIS, Source: "udp", Raw: fmt.Appendf(nil, "!AIVDM,%d", i)})
		p := table.PositionRow{Lineage: line, Times: times}
		p.MMSI, p.MsgType, p.Lat, p.SOG, p.RAIM = uint32(211_000_000+i), 1, ais.Some(53.5+float64(i)/8), ais.Some(float64(i)/10), ais.Some(true)
		b.Positions = append(b.Positions, p)
		line.Row = 1
		b.Readings = append(b.Readings, table.ReadingRow{Lineage: line, Times: times, Source: "mqtt", Sensor: "pump \"7\"", Metric: "temp", Value: ais.Some(float64(i)), Unit: "°C", Quality: sensor.QualityGood})
	}
	return b
}

// logsOf makes n rows of the table log, with digests on both sides of 2^63 and one
// that is not known.
func logsOf(n int) *table.Batch {
	b := new(table.Batch)
	for i := range n {
		r := table.LogRow{Gateway: "gw", Log: strings.Repeat("0", 29) + "abc", NextOffset: record.Offset(i), OpenedAt: 1_700_000_000_000_000, Digest: ais.Some(record.Digest(i)<<63 + 1),
			Chain: record.Hash{0xab}, Watermark: record.NoTime, Epoch: 7, LandedAt: 1_700_000_001_000_000}
		if i == 2 {
			r.Previous, r.PreviousEnd, r.Digest.Valid, r.Chain, r.Closed = r.Log, 4, false, record.Hash{}, true
		}
		b.Logs = append(b.Logs, r)
	}
	return b
}

// staged stages rows on a file system in memory and gives sink and outputs.
func staged(t testing.TB, c Config, epoch stream.Epoch, batches ...*table.Batch) (*Sink, []stream.Staged) {
	t.Helper()
	if c.Files == nil {
		files, err := object.OpenLake(faultfs.New(), "/lake")
		if err != nil {
			t.Fatal(err)
		}
		c.Files = files
	}
	if len(c.Brokers) == 0 {
		c.Brokers = []string{"127.0.0.1:1"}
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, stageRows(t, s, epoch, batches...)
}

func stageRows(t testing.TB, s *Sink, epoch stream.Epoch, batches ...*table.Batch) []stream.Staged {
	t.Helper()
	st, err := s.Begin(stream.TaskID{Landing: "test", Partition: 1}, stream.ClaimID(strings.Repeat("c", 32)), epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := st.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	out, err := st.Seal(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// messages encodes staged outputs as Publish does: "topic key headers value".
func messages(t testing.TB, s *Sink, outputs []stream.Staged) []string {
	t.Helper()
	epochs, err := byEpoch(outputs)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range epochs {
		for i, f := range o.files {
			data, err := readObject(context.Background(), s.cfg.Files, f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, encoded(t, data, f.Table, o.topics[i], o, s.cfg.MaxMessageBytes)...)
		}
	}
	return all
}

func encoded(t testing.TB, data []byte, name table.Name, topic string, o *output, limit int) []string {
	t.Helper()
	var all []string
	enc := newEncoder(name, topic, o, limit)
	err := readStaged(data, name, func(batch arrow.Record) error {
		if err := enc.open(batch); err != nil {
			return err
		}
		for row := range int(batch.NumRows()) {
			r, err := enc.record(row)
			if err != nil {
				return err
			}
			var heads []string
			for _, h := range r.Headers {
				heads = append(heads, h.Key+"="+string(h.Value))
			}
			all = append(all, fmt.Sprintf("%s %s %s %s", r.Topic, r.Key, strings.Join(heads, ","), r.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMessages holds topic, key, headers and JSON of each kind of table.
func TestMessages(t *testing.T) {
	s, outputs := staged(t, Config{Prefix: "p.", Topics: map[table.Name]string{table.SensorReading: "values"}}, 7, rowsOf(3, 1), logsOf(3))
	lineage := "_gateway=gw,_log=00000000000000000000000000000abc,_offset=3,_row=%d,_rows=2,_table=%s,_task=test-0001,_epoch=7"
	logMessage := `p.log gw _gateway=gw,_log=00000000000000000000000000000abc,_table=log,_task=test-0001,_epoch=7 {"_gateway":"gw","_log":"00000000000000000000000000000abc",`
	want := []string{
		"p.ais_position 211000003 " + fmt.Sprintf(lineage, 0, "ais_position") + ` {"_gateway":"gw","_log":"00000000000000000000000000000abc","_offset":3,"_row":0,"_rows":2,` +
			`"event_time":"2023-11-14T22:13:20.000003Z","time_source":"none","time_quality":"unknown","received_at":"2023-11-14T22:13:21.000003Z",` +
			`"mmsi":211000003,"msg_type":1,"repeat_indicator":0,"own_ship":false,"lat":53.875,"position_accuracy":false,"sog":0.3,"raim":true,"source":"","is_duplicate":false,"is_late":false}`,
		`values pump "7" ` + fmt.Sprintf(lineage, 1, "sensor_reading") + ` {"_gateway":"gw","_log":"00000000000000000000000000000abc","_offset":3,"_row":1,"_rows":2,` +
			`"event_time":"2023-11-14T22:13:20.000003Z","time_source":"none","time_quality":"unknown","received_at":"2023-11-14T22:13:21.000003Z",` +
			`"source":"mqtt","sensor":"pump \"7\"","metric":"temp","value":3,"unit":"°C","quality":"good","is_historical":false,"is_late":false}`,
		logMessage + `"next_offset":0,"opened_at":"2023-11-14T22:13:20.000000Z","digest":"1","chain":"ab000000000000000000000000000000","closed":false,"epoch":7,"landed_at":"2023-11-14T22:13:21.000000Z"}`,
		logMessage + `"next_offset":1,"opened_at":"2023-11-14T22:13:20.000000Z","digest":"9223372036854775809","chain":"ab000000000000000000000000000000","closed":false,"epoch":7,"landed_at":"2023-11-14T22:13:21.000000Z"}`,
		logMessage + `"next_offset":2,"previous_log":"00000000000000000000000000000abc","previous_end":4,"opened_at":"2023-11-14T22:13:20.000000Z","closed":true,"epoch":7,"landed_at":"2023-11-14T22:13:21.000000Z"}`,
		"p.record gw " + fmt.Sprintf(lineage, 0, "record") + ` {"_gateway":"gw","_log":"00000000000000000000000000000abc","_offset":3,"_row":0,"_rows":2,"kind":"ais","source":"udp",` +
			`"event_time":"2023-11-14T22:13:20.000003Z","time_source":"none","time_quality":"unknown","received_at":"2023-11-14T22:13:21.000003Z",` +
			`"landed_at":"1970-01-01T00:00:00.000000Z","monotonic":0,"raw":"IUFJVkRNLDM=","flags":"","rows":2}`,
	}
	got := messages(t, s, outputs)
	if len(got) != len(want) {
		t.Fatalf("%d messages: %s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("message %d is\n%s\nwant\n%s", i, got[i], want[i])
		}
		value := got[i][strings.Index(got[i], " {")+1:]
		if !json.Valid([]byte(value)) {
			t.Errorf("message %d is no JSON", i)
		}
	}
}

// TestLargeRowsGoWithoutTheirLargestFields: what does not fit a message is named
// in it, and stays in the lake.
func TestLargeRowsGoWithoutTheirLargestFields(t *testing.T) {
	b := rowsOf(0, 1)
	b.Records[0].Raw = bytes.Repeat([]byte{'x'}, record.MaxRawBytes)
	s, outputs := staged(t, Config{}, 1, b)
	got := messages(t, s, outputs)
	last := got[len(got)-1]
	if !strings.HasSuffix(last, `,"flags":"","rows":2,"_omitted":["raw"]}`) || strings.Contains(last, "xxxx") || len(last) > 1000 {
		t.Errorf("a record of %d bytes became %.1000s", record.MaxRawBytes, last)
	}
	if !strings.Contains(last, "_offset=0,") {
		t.Errorf("it lost its lineage: %.1000s", last)
	}
}

// TestFrozenStaged reads what each version of this package staged: of version 1
// the positions of rowsOf(0, 3), in a schema where is_duplicate could be NULL, of
// version 2 those of logsOf(3).
func TestFrozenStaged(t *testing.T) {
	frozenStaged(t, "testdata/formats/staged-v1.arrows", table.AISPosition, rowsOf(0, 3), func(now string) string {
		return strings.Replace(now, `"is_duplicate":false,`, "", 1)
	})
	frozenStaged(t, "testdata/formats/staged-v2.arrows", table.Log, logsOf(3), func(now string) string { return now })
}

func frozenStaged(t *testing.T, name string, of table.Name, rows *table.Batch, then func(string) string) {
	t.Helper()
	if update && of == table.Log {
		s, outputs := staged(t, Config{Tables: []table.Name{of}}, 1, rows)
		data, err := readObject(t.Context(), s.cfg.Files, outputs[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	o := &output{task: "test-0001", epoch: 1}
	got := encoded(t, frozen, of, "landfall."+string(of), o, DefaultMaxMessageBytes)
	s, outputs := staged(t, Config{Tables: []table.Name{of}}, 1, rows)
	want := messages(t, s, outputs)
	for i := range want {
		want[i] = then(want[i])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s holds\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := readStaged(frozen, table.Record, func(arrow.Record) error { return nil }); !errors.Is(err, errStaged) {
		t.Errorf("read as of another table: %v", err)
	}
	for n := range len(frozen) {
		rows := int64(0)
		err := readStaged(frozen[:n], of, func(r arrow.Record) error {
			rows += int64(r.Column(offsetColumn).(*array.Int64).Len())
			return nil
		})
		if err == nil && rows == 3 && n < len(frozen)-8 {
			t.Fatalf("cut to %d of %d bytes it reads as whole", n, len(frozen))
		}
	}
}

// TestFrozenMarker reads what each version of this package wrote as marker, and
// writes the same.
func TestFrozenMarker(t *testing.T) {
	var frozen []byte
	for _, name := range []string{"testdata/formats/marker-v1.json", "testdata/formats/marker-v2.json"} {
		var err error
		if frozen, err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		m, err := decodeMarker("5f-0003", frozen)
		if err != nil {
			t.Fatal(err)
		}
		if m.Epoch != 7 || m.Rows != 4711 || len(m.Recent) != 2 || m.Recent[1].Epoch != 4 {
			t.Errorf("read %+v", m)
		}
		data, err := m.encode()
		if err != nil || string(data)+"\n" != string(frozen) {
			t.Errorf("written again: %s, %v", data, err)
		}
	}
	tooMany := strings.TrimSuffix(strings.Repeat(`{"epoch":1,"sha256":""},`, recentEpochs+1), ",")
	for _, tc := range []struct {
		change func(string) string
		want   error
	}{
		{func(s string) string { return strings.Replace(s, `"format":2`, `"format":3`, 1) }, record.ErrVersion},
		{func(s string) string { return strings.Replace(s, `"format":2`, `"format":0`, 1) }, record.ErrCorrupt},
		{func(s string) string { return s[:strings.Index(s, "[")+1] + tooMany + s[strings.Index(s, "]"):] }, record.ErrCorrupt},
		{func(s string) string { return strings.Replace(s, "5f-0003", "5f-0004", 1) }, record.ErrCorrupt},
		{func(s string) string { return strings.Replace(s, `"rows"`, `"row"`, 1) }, record.ErrCorrupt},
		{func(s string) string { return s[:len(s)/2] }, record.ErrCorrupt},
		{func(s string) string { return s + "{}" }, record.ErrCorrupt},
	} {
		if _, err := decodeMarker("5f-0003", []byte(tc.change(string(frozen)))); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.change(string(frozen)), err, tc.want)
		}
	}
}

// FuzzMarker: no bytes make the decoder panic, and what it takes it writes again.
func FuzzMarker(f *testing.F) {
	frozen, err := os.ReadFile("testdata/formats/marker-v1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frozen)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMarker("5f-0003", data)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeMarker("5f-0003", again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// TestMarkerDecides walks through what a marker says of an epoch.
func TestMarkerDecides(t *testing.T) {
	of := func(epoch stream.Epoch, content string) *output {
		return &output{markers: "m", task: "t", epoch: epoch, topics: []string{"x"}, files: []stream.Staged{{Table: table.Record, SHA256: content}}}
	}
	var m *marker
	for epoch := stream.Epoch(1); epoch <= recentEpochs+5; epoch++ {
		if done, err := m.done(of(epoch, "a")); done || err != nil {
			t.Fatalf("epoch %s before it is published: %t, %v", epoch, done, err)
		}
		m = m.next(of(epoch, "a"))
		if len(m.Recent) > recentEpochs {
			t.Fatalf("a marker names %d epochs", len(m.Recent))
		}
		for back := range min(epoch, recentEpochs) {
			if done, err := m.done(of(epoch-back, "a")); !done || err != nil {
				t.Fatalf("epoch %s at marker %s: %t, %v", epoch-back, epoch, done, err)
			}
			if _, err := m.done(of(epoch-back, "b")); !errors.Is(err, stream.ErrContent) {
				t.Fatalf("other content of epoch %s at marker %s: %v", epoch-back, epoch, err)
			}
		}
	}
	if _, err := m.done(of(1, "a")); !errors.Is(err, stream.ErrContent) {
		t.Errorf("an epoch that the marker forgot: %v", err)
	}
	largest := &marker{Task: strings.Repeat("f", 300), Epoch: math.MaxUint64, SHA256: strings.Repeat("f", 64), Rows: math.MaxInt64}
	for range 2 * recentEpochs {
		o := of(math.MaxUint64, "a")
		o.rows, o.task = math.MaxInt64, largest.Task
		largest = largest.next(o)
	}
	if data, err := largest.encode(); err != nil || len(data)+len(largest.Task) > maxMarkerBytes-256 {
		t.Errorf("the largest marker takes %d bytes of %d, %v", len(data), maxMarkerBytes, err)
	}
}

// TestTargets: what a manifest says of an output is read back, and nothing else
// is taken for it.
func TestTargets(t *testing.T) {
	want := target{"m.markers", "m.record", "5f-ab-0003", 17}
	if got, err := parseTarget(want.String()); err != nil || got != want {
		t.Errorf("read back %+v, %v", got, err)
	}
	for _, s := range []string{"", "a/b", "a/b/c", "a/b/c-1", "a/b/c-0000000000000000001x", "a//c-00000000000000000001", "a/b c/c-00000000000000000001", "record/dt=2024-01-01/x.parquet"} {
		if got, err := parseTarget(s); err == nil {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
}
