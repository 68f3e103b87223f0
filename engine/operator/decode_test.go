package operator

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/record"
	"landfall/engine/state"
	"landfall/engine/table"
)

// operators is a task's chain of operators over one state.
type operators struct {
	state  *state.State
	dedupe *Dedupe
	static *Static
	window *Window
	decode *Decode
}

func newOperators(t testing.TB) operators {
	t.Helper()
	s := state.New()
	dedupe, err := NewDedupe(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	static, err := NewStatic(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	window, err := NewWindow(s, WindowConfig{Size: time.Minute, AllowedLateness: 10 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return operators{state: s, dedupe: dedupe, static: static, window: window, decode: NewDecode(dedupe, static, window, nil)}
}

// restart gives the operators as another process would have them.
func (o operators) restart(t testing.TB, objects [][]byte) operators {
	t.Helper()
	n := newOperators(t)
	err := n.state.Restore(func(yield func([]byte, error) bool) {
		for _, p := range objects {
			if !yield(p, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	n.dedupe.Restored(nil)
	n.static.Restored(nil)
	n.window.Restored()
	return n
}

func aisRecord(at record.Micros, lines ...string) record.Record {
	var raw []byte
	for i, l := range lines {
		if i > 0 {
			raw = append(raw, '\n')
		}
		raw = append(raw, l...)
	}
	return record.Record{Kind: record.KindAIS, EventTime: at, TimeSource: record.TimeTag, ReceivedAt: at, Raw: raw}
}

// sentence adds the checksum (IEC 61162-1, 7.2).
func sentence(body string) string {
	var sum byte
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("!%s*%02X", body, sum)
}

func TestEveryRecordIsOneRow(t *testing.T) {
	good := sentence("AIVDM,1,1,,A,10000E0P0000000000000000000:,0")
	bad := good[:len(good)-2] + "00"
	tests := []struct {
		name   string
		record record.Record
		reason string
		rows   int32
	}{
		{"position", aisRecord(1, good), "", 1},
		{"bad checksum", aisRecord(1, bad), RejectBadChecksum, 0},
		{"no checksum", aisRecord(1, good[:len(good)-3]), RejectNoChecksum, 0},
		{"too short", aisRecord(1, sentence("AIVDM,1,1,,A,1000,0")), "payload_short", 0},
		{"no payload", aisRecord(1, sentence("AIVDM,1,1,,A,,0")), "payload_empty", 0},
		{"unknown type", aisRecord(1, sentence("AIVDM,1,1,,A,w0000E0P0000000000000000000:,0")), "type_unknown", 0},
		{"too few fields", aisRecord(1, sentence("AIVDM,1,1")), "vdm_fields", 0},
		{"fragment", record.Record{Kind: record.KindFragment, Raw: []byte("x")}, RejectIncomplete, 0},
		{"crowded fragment", record.Record{Kind: record.KindFragment, Flags: record.FlagCrowded, Raw: []byte("x")}, RejectCrowded, 0},
		{"damaged fragment", record.Record{Kind: record.KindFragment, Flags: record.FlagBadChecksum, Raw: []byte("x")}, RejectBadChecksum, 0},
		{"text", record.Record{Kind: record.KindText, Raw: []byte("# noise")}, RejectNoSentence, 0},
		{"other sentence", record.Record{Kind: record.KindSentence, Raw: []byte("$GPZDA,201530.00,04,07,2002,00,00*60")}, RejectNoDecoder, 0},
		{"sentence without checksum", record.Record{Kind: record.KindSentence, Raw: []byte("$SDDPT,0.5,0.5,")}, RejectNoChecksum, 0},
		{"damaged sentence", record.Record{Kind: record.KindSentence, Raw: []byte("$SDDPT,0.5,0.6,*7B")}, RejectBadChecksum, 0},
		{"sentence with bad fields", record.Record{Kind: record.KindSentence, Raw: []byte("$SDDPT,x,0.5,*28")}, "instrument_fields", 0},
		{"two sentences", record.Record{Kind: record.KindSentence, Raw: []byte("$SDDPT,0.5,0.5,*7B$SDDPT,0.5,0.5,*7B")}, RejectNoDecoder, 0},
		{"log opening", record.Record{Kind: record.KindLogOpen}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOperators(t)
			var out table.Batch
			o.decode.Record(&Context{Gateway: "g", Watermark: record.NoTime}, 7, &tt.record, &out)
			if len(out.Records) != 1 {
				t.Fatalf("%d record rows", len(out.Records))
			}
			r := out.Records[0]
			if r.RejectReason != tt.reason || r.Rows != tt.rows || r.Offset != 7 || !bytes.Equal(r.Raw, tt.record.Raw) {
				t.Errorf("got reason %q, %d rows, offset %d, raw %q", r.RejectReason, r.Rows, r.Offset, r.Raw)
			}
			if len(out.Positions) != int(tt.rows) {
				t.Errorf("%d typed rows, want %d", len(out.Positions), tt.rows)
			}
		})
	}
}

// typedRows counts the rows of all typed tables and checks their numbering.
func typedRows(t *testing.T, b *table.Batch) int {
	t.Helper()
	seen := map[record.Offset][]int32{}
	want := map[record.Offset]int32{}
	total := 0
	note := func(l *table.Lineage) {
		seen[l.Offset] = append(seen[l.Offset], l.Row)
		want[l.Offset] = l.Rows
		total++
	}
	for i := range b.Positions {
		note(&b.Positions[i].Lineage)
	}
	for i := range b.Statics {
		note(&b.Statics[i].Lineage)
	}
	for i := range b.BaseStations {
		note(&b.BaseStations[i].Lineage)
	}
	for i := range b.AtoNs {
		note(&b.AtoNs[i].Lineage)
	}
	for i := range b.Binaries {
		note(&b.Binaries[i].Lineage)
	}
	for i := range b.Safeties {
		note(&b.Safeties[i].Lineage)
	}
	for i := range b.Others {
		note(&b.Others[i].Lineage)
	}
	for i := range b.Readings {
		note(&b.Readings[i].Lineage)
	}
	for _, r := range b.Records {
		rows := seen[r.Offset]
		slices.Sort(rows)
		if len(rows) != int(r.Rows) || r.Rows > 0 && want[r.Offset] != r.Rows {
			t.Fatalf("offset %d: record says %d rows, there are %v", r.Offset, r.Rows, rows)
		}
		for i, row := range rows {
			if row != int32(i) {
				t.Fatalf("offset %d: rows numbered %v", r.Offset, rows)
			}
		}
	}
	return total
}

// TestEveryTypeReachesItsTable runs all 27 types of the simulator through.
func TestEveryTypeReachesItsTable(t *testing.T) {
	h, err := aissim.New(aissim.Config{Seed: 3, Start: 1_780_000_000_000_000, Ships: 60, BaseStations: 3, AtoNs: 4, Tag: aissim.TagMillis, Rate: 500})
	if err != nil {
		t.Fatal(err)
	}
	o := newOperators(t)
	var out table.Batch
	parts := map[uint64][]string{}
	for offset := range record.Offset(60_000) {
		l := h.Next()
		if l.Kind != aissim.KindSentence {
			continue
		}
		id := l.Message
		parts[id] = append(parts[id], string(l.Text))
		if len(parts[id]) < l.Total {
			continue
		}
		r := aisRecord(record.Micros(l.At), parts[id]...)
		delete(parts, id)
		o.decode.Record(&Context{Gateway: "g", Watermark: record.NoTime}, offset, &r, &out)
	}
	if n := typedRows(t, &out); n < len(out.Records) {
		t.Errorf("%d typed rows of %d records", n, len(out.Records))
	}
	for _, r := range out.Records {
		if r.RejectReason != "" {
			t.Fatalf("rejected %q: %s", r.RejectReason, r.Raw)
		}
	}
	for name, n := range map[table.Name]int{
		table.AISPosition: len(out.Positions), table.AISStatic: len(out.Statics), table.AISBaseStation: len(out.BaseStations),
		table.AISAtoN: len(out.AtoNs), table.AISBinary: len(out.Binaries), table.AISSafety: len(out.Safeties), table.AISOther: len(out.Others),
	} {
		if n == 0 {
			t.Errorf("no row in %s", name)
		}
	}
}
