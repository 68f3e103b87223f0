package operator

import (
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/table"
)

// TestAPanicIsARow: a record on which a decoder panics, after rows of it were made, is
// one row of record with its bytes and no other; those around it have theirs.
func TestAPanicIsARow(t *testing.T) {
	o := newOperators(t)
	var said []string
	good := NewDecode(o.dedupe, o.static, o.window, nil)
	broken := NewDecode(o.dedupe, o.static, nil, func(what string) { said = append(said, what) })
	c := &Context{Gateway: "g", LogName: "l", LandedAt: 9, Watermark: record.NoTime}
	line := func(body string) record.Record {
		return record.Record{Kind: record.KindSentence, EventTime: 5, TimeSource: record.TimeTag, ReceivedAt: 5, Raw: []byte("$" + sentence(body)[1:])}
	}
	depth := line("SDDPT,1.0,")
	var out table.Batch
	good.Record(c, 0, &depth, &out)
	broken.Record(c, 1, &depth, &out)
	good.Record(c, 2, &depth, &out)
	if len(out.Records) != 3 || len(out.Readings) != 2 || out.Readings[1].Offset != 2 {
		t.Fatalf("%d rows of record, readings %+v", len(out.Records), out.Readings)
	}
	if r := out.Records[1]; r.RejectReason != RejectPanic || r.Rows != 0 || string(r.Raw) != string(depth.Raw) {
		t.Errorf("%+v", r)
	}
	if len(said) != 1 || !strings.Contains(said[0], "nil pointer") || !strings.Contains(said[0], "readings.go") {
		t.Errorf("said %q", said)
	}
}

// TestALineThatKillsIsNotDecoded: of a line of which its gateway died nothing is read here
// either, whatever its kind: the reason is in record.
func TestALineThatKillsIsNotDecoded(t *testing.T) {
	o := newOperators(t)
	d := NewDecode(o.dedupe, o.static, o.window, nil)
	c := &Context{Gateway: "g", LogName: "l", LandedAt: 9, Watermark: record.NoTime}
	var out table.Batch
	for i, kind := range []record.Kind{record.KindText, record.KindSentence, record.KindAIS} {
		r := record.Record{Kind: kind, Flags: record.FlagKills, EventTime: 5, ReceivedAt: 5, Raw: []byte("$" + sentence("SDDPT,1.0,")[1:])}
		d.Record(c, record.Offset(i), &r, &out)
		if got := out.Records[i]; got.RejectReason != RejectKills || got.Rows != 0 || got.Flags.String() != "kills" {
			t.Errorf("%+v", got)
		}
	}
	if empty := new(table.Batch); out.Typed() != empty.Typed() {
		t.Errorf("%+v", out)
	}
}
