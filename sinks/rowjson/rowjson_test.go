package rowjson

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
	"landfall/sinks/parquet"
)

// TestARowOfEachKind: NULL is left out, and each storage has its form.
func TestARowOfEachKind(t *testing.T) {
	lineage := table.Lineage{Gateway: "g", Log: "00", Offset: 3, Row: 1, Rows: 2}
	g := parquet.NewGatherer([]table.Name{table.AISPosition, table.Record, table.Loss})
	g.Add(&table.Batch{
		Positions: []table.PositionRow{{Lineage: lineage, Times: table.Times{EventTime: 1, ReceivedAt: record.NoTime},
			Position: ais.Position{Header: ais.Header{MMSI: 211000003, MsgType: 1}, Lat: ais.Opt[float64]{Value: 53.5, Valid: true}}}},
		Records: []table.RecordRow{{Lineage: lineage, Kind: record.KindAIS, Source: "udp", Raw: []byte{0xff}, RejectReason: "a \"b\""}},
		Losses:  []table.LossRow{{Gateway: "g", Log: "00", Offset: 3, Count: 2, Reason: "shed", Digest: ais.Some(^record.Digest(0))}},
	})
	tables := g.Tables()
	for i, want := range []string{
		`{"_gateway":"g","_log":"00","_offset":3,"_row":1,"_rows":2,"event_time":"1970-01-01T00:00:00.000001Z","time_source":"none","time_quality":"unknown",` +
			`"mmsi":211000003,"msg_type":1,"repeat_indicator":0,"own_ship":false,"lat":53.5,"position_accuracy":false,"source":"","is_duplicate":false,"is_late":false}`,
		`{"_gateway":"g","_log":"00","_offset":3,"count":2,"reason":"shed","landed_at":"1970-01-01T00:00:00.000000Z","digest":"18446744073709551615"}`,
		`{"_gateway":"g","_log":"00","_offset":3,"_row":1,"_rows":2,"kind":"ais","source":"udp","event_time":"1970-01-01T00:00:00.000000Z","time_source":"none","time_quality":"unknown",` +
			`"received_at":"1970-01-01T00:00:00.000000Z","landed_at":"1970-01-01T00:00:00.000000Z","monotonic":0,"raw":"/w==","flags":"","reject_reason":"a \"b\"","rows":2}`,
	} {
		if got := string(AppendRow(nil, tables[i], 0)); got != want {
			t.Errorf("%s is\n%s, want\n%s", tables[i].Table, got, want)
		}
	}
}

// TestFloatsReadBack: as the same number, and what is no number as null.
func TestFloatsReadBack(t *testing.T) {
	for _, f := range []float64{0, 0.1, -53.875, 1e-7, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		text := AppendFloat(nil, f)
		if got, err := strconv.ParseFloat(string(text), 64); err != nil || got != f || !json.Valid(text) {
			t.Errorf("%v became %s", f, text)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := string(AppendFloat(nil, f)); got != "null" {
			t.Errorf("%v became %s", f, got)
		}
	}
}

// FuzzStrings compares the strings that are encoded without encoding/json with
// it.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "abc", "a\"b", "a\\b", "a\nb", "å", "\xff", "\u2028", "<&>", "\x7f", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back, want string
		ours := AppendString(nil, s)
		if err := json.Unmarshal(ours, &back); err != nil {
			t.Fatalf("%q became %s: %v", s, ours, err)
		}
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(std, &want); err != nil || back != want {
			t.Fatalf("%q reads back as %q, want %q (%v)", s, back, want, err)
		}
	})
}
