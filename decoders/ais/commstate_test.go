package ais_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
)

// sotdma takes a SOTDMA communication state apart as docs/tables.md says, into
// AIS-catcher's names.
func sotdma(s int64) map[string]int64 {
	f := map[string]int64{"sync_state": s >> 17 & 3, "slot_timeout": s >> 14 & 7}
	switch f["slot_timeout"] {
	case 3, 5, 7:
		f["received_stations"] = s & 16383
	case 2, 4, 6:
		f["slot_number"] = s & 16383
	case 1:
		f["utc_hour"], f["utc_minute"] = s>>9&31, s>>2&127
	case 0:
		f["slot_offset"] = s & 16383
	}
	return f
}

// noTime tells whether the hour and minute of a state are none.
func noTime(s int64) bool { f := sotdma(s); return f["utc_hour"] > 23 || f["utc_minute"] > 59 }

// TestCommStateAsDocumented compares what docs/tables.md says of the bits of
// comm_state with AIS-catcher's reading of them.
func TestCommStateAsDocumented(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(corpusDir(t), "*"+catcherSuffix))
	if err != nil || len(names) == 0 {
		t.Fatalf("no expected decodes: %v", err)
	}
	compared := 0
	for _, name := range names {
		d := json.NewDecoder(bytes.NewReader(content(t, name)))
		for d.More() {
			var o map[string]any
			if err := d.Decode(&o); err != nil {
				t.Fatal(err)
			}
			radio, ok := o["radio"].(float64)
			msgType, _ := o["type"].(float64)
			if _, synced := o["sync_state"]; !ok || !synced || msgType != 1 && msgType != 2 && msgType != 4 {
				continue
			}
			for k, want := range sotdma(int64(radio)) {
				got, ok := o[k].(float64)
				if _, time := o["utc_hour"]; !ok && !time && (k == "utc_hour" || k == "utc_minute") && noTime(int64(radio)) {
					continue // it leaves out what is no time
				}
				if !ok || int64(got) != want {
					t.Fatalf("%s of %v: AIS-catcher says %v, the documentation %d", k, radio, o[k], want)
				}
				compared++
			}
		}
	}
	if compared < 100_000 {
		t.Errorf("only %d values compared", compared)
	}
}
