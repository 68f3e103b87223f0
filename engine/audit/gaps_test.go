package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// gapRows makes the readings of every record of an epoch those of a declared gap, of one
// of some sources.
func gapRows(b *table.Batch, sources int) (gaps int) {
	for i := range b.Readings {
		r := &b.Readings[i]
		r.Source = fmt.Sprintf("file-%03d", gaps%sources)
		r.Sensor = r.Source
		switch r.Row {
		case 0:
			r.Metric, r.ValueText = "gap", ais.Some("truncated")
			gaps++
		case 1:
			r.Metric, r.Value = "gap_since", ais.Some(1.0)
		default:
			r.Sensor, r.Metric, r.ValueText = "another", "gap", ais.Some("a sensor's own")
		}
	}
	return gaps
}

// TestDeclaredGapsAreTold: what sources of files declared stands in the result, by
// gateway and source, in text and JSON, and the lake is exact all the same. What only
// looks like it does not count.
func TestDeclaredGapsAreTold(t *testing.T) {
	e := twoLogs()
	gaps := 0
	for _, b := range e {
		gaps += gapRows(b, 1)
	}
	dir, _ := writeLake(t, e...)
	r := runAudit(t, Config{Lake: dir})
	if !r.Exact || gaps == 0 || len(r.DeclaredGaps) != 1 || r.DeclaredGaps[0] != (DeclaredGaps{"gw", "file-000", uint64(gaps)}) {
		t.Errorf("exact %v, %d gaps, told %+v, problems %v", r.Exact, gaps, r.DeclaredGaps, r.Problems)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("note: source file-000 of gw declared %d gaps in what it read", gaps); !strings.Contains(text.String(), want) {
		t.Errorf("text lacks %q:\n%s", want, &text)
	}
	if p, err := json.Marshal(r); err != nil || !strings.Contains(string(p), fmt.Sprintf(`"declared_gaps":[{"gateway":"gw","source":"file-000","gaps":%d}]`, gaps)) {
		t.Errorf("JSON %s, %v", p, err)
	}
	again := runAudit(t, Config{Lake: dir, Since: r})
	if !again.Exact || len(again.DeclaredGaps) != 0 {
		t.Errorf("since then: exact %v, %+v", again.Exact, again.DeclaredGaps)
	}
	dir, _ = writeLake(t, twoLogs()...)
	if r := runAudit(t, Config{Lake: dir}); r.DeclaredGaps == nil || len(r.DeclaredGaps) > 0 || strings.Contains(strings.Join(r.Notes, " "), "declared") {
		t.Errorf("of a lake without gaps: %+v, %q", r.DeclaredGaps, r.Notes)
	}
}

// TestDeclaredGapsAreBounded: however many sources declare gaps, so many are named, and
// all gaps are counted.
func TestDeclaredGapsAreBounded(t *testing.T) {
	b := epochOf("gw", logID(1), record.LogID{}, 0, 0, 3000)
	gaps := gapRows(b, 1000)
	dir, _ := writeLake(t, b)
	r := runAudit(t, Config{Lake: dir})
	told := uint64(0)
	for _, g := range r.DeclaredGaps {
		told += g.Gaps
	}
	if len(r.DeclaredGaps) != maxGapSources+1 || told != uint64(gaps) || gaps < 2*maxGapSources {
		t.Errorf("%d gaps, told %d of %d sources", gaps, told, len(r.DeclaredGaps))
	}
	if !strings.HasPrefix(r.Notes[0], "further sources declared ") {
		t.Errorf("the rest is told as %q", r.Notes[0])
	}
}
