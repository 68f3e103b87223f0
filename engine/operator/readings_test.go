package operator

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/record"
	"landfall/engine/table"
)

func readingRecord(raw []byte) record.Record {
	return record.Record{Kind: record.KindReading, Source: 1, EventTime: 1_700_000_000_000_000, TimeSource: record.TimeReceipt,
		TimeQuality: record.QualityUnsynchronised, ReceivedAt: 1_700_000_000_000_000, Raw: raw}
}

// TestReadingsBecomeRows: one row a reading, each with its own time where that
// can be one, and late by itself.
func TestReadingsBecomeRows(t *testing.T) {
	const own = 1_699_999_000_000_000
	report := sensor.Report{Origin: sensor.OriginMQTT, Address: "t", Payload: []byte("{}"), Readings: []sensor.Reading{
		{Sensor: "a", Metric: "x", Unit: "bar", Kind: sensor.Number, Number: 1.5, Quality: sensor.QualityGood},
		{Sensor: "b", Metric: "y", Kind: sensor.Text, Text: "on", Historical: true, HasTime: true, Time: own},
		{Sensor: "b", Metric: "z", Quality: sensor.QualityBadTimeout, HasTime: true, Time: 12},
	}}
	r := readingRecord(report.Append(nil))
	c := &Context{Gateway: "g", LogName: "l", Sources: []string{"radio", "mqtt"}, Watermark: own + 1}
	var out table.Batch
	newOperators(t).decode.Record(c, 9, &r, &out)
	typedRows(t, &out)
	if len(out.Records) != 1 || out.Records[0].Rows != 3 || out.Records[0].RejectReason != "" {
		t.Fatalf("record rows %+v", out.Records)
	}
	line := func(row int32) table.Lineage {
		return table.Lineage{Gateway: "g", Log: "l", Offset: 9, Row: row, Rows: 3}
	}
	receipt := table.Times{EventTime: r.EventTime, TimeSource: r.TimeSource, TimeQuality: r.TimeQuality, ReceivedAt: r.ReceivedAt}
	stated := table.Times{EventTime: own, TimeSource: record.TimePayload, TimeQuality: record.QualityAsserted, ReceivedAt: r.ReceivedAt}
	want := []table.ReadingRow{
		{Lineage: line(0), Times: receipt, Source: "mqtt", Sensor: "a", Metric: "x", Unit: "bar", Value: ais.Some(1.5), Quality: sensor.QualityGood},
		{Lineage: line(1), Times: stated, Source: "mqtt", Sensor: "b", Metric: "y", ValueText: ais.Some("on"), IsHistorical: true, IsLate: true},
		{Lineage: line(2), Times: receipt, Source: "mqtt", Sensor: "b", Metric: "z", Quality: sensor.QualityBadTimeout},
	}
	if !reflect.DeepEqual(out.Readings, want) {
		t.Errorf("got  %+v\nwant %+v", out.Readings, want)
	}
}

func TestReportsWithoutRowsSayWhy(t *testing.T) {
	rejected := sensor.Report{Origin: sensor.OriginMQTT, Address: "t", Payload: []byte("?"), Reason: "no_json"}
	empty := sensor.Report{Origin: sensor.OriginMQTT}
	newer := empty.Append(nil)
	newer[0]++
	// Bytes of a report in which a number is none.
	nan := sensor.Report{Readings: []sensor.Reading{{Kind: sensor.Number, Number: 1}}}
	raw := []byte(strings.Replace(string(nan.Append(nil)), string([]byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}), string([]byte{1, 0, 0, 0, 0, 0, 0xf8, 0x7f}), 1))
	for reason, raw := range map[string][]byte{
		"no_json": rejected.Append(nil), RejectNoReadings: empty.Append(nil), RejectReportVersion: newer, RejectReportCorrupt: raw,
	} {
		r := readingRecord(raw)
		var out table.Batch
		newOperators(t).decode.Record(&Context{Gateway: "g", Watermark: record.NoTime}, 0, &r, &out)
		if len(out.Readings) > 0 || len(out.Records) != 1 || out.Records[0].Rows != 0 || out.Records[0].RejectReason != reason || string(out.Records[0].Raw) != string(raw) {
			t.Errorf("%s: %+v, %d readings", reason, out.Records, len(out.Readings))
		}
	}
	var out table.Batch
	row := record.Record{EventTime: record.NoTime}
	newOperators(t).decode.appendReadings(&Context{}, table.Lineage{}, table.Times{}, &row, []sensor.Reading{{Kind: sensor.Number, Number: math.Inf(1)}}, &out)
	if out.Readings[0].Value.Valid {
		t.Error("infinity became a value")
	}
}

// TestInstrumentSentenceBecomesRows: the sentence stays raw, and its text
// around it does not matter.
func TestInstrumentSentenceBecomesRows(t *testing.T) {
	r := record.Record{Kind: record.KindSentence, EventTime: 5, Raw: []byte(`\s:bus,c:1700000000*00\$SDDPT,0.5,-1.5,*57`)}
	c := &Context{Gateway: "g", LogName: "l", Sources: []string{"bus"}, Watermark: record.NoTime}
	var out table.Batch
	newOperators(t).decode.Record(c, 3, &r, &out)
	typedRows(t, &out)
	if len(out.Readings) != 2 || out.Records[0].Rows != 2 || string(out.Records[0].Raw) != string(r.Raw) {
		t.Fatalf("%+v", out.Records)
	}
	g := out.Readings[1]
	if g.Sensor != "SD" || g.Metric != "transducer_offset" || g.Value != ais.Some(-1.5) || g.Unit != "m" || g.Source != "bus" || g.EventTime != 5 {
		t.Errorf("%+v", g)
	}
}
