package enginecli

import (
	"bytes"
	"strings"
	"testing"

	"landfall/cmd/internal/explain"
	"landfall/engine/server"
)

// TestEachHandoffHasItsLagAndError: what a person reads of an engine that is
// behind at every handoff, and of one where nothing waits.
func TestEachHandoffHasItsLagAndError(t *testing.T) {
	s := &server.Status{
		Time: "2026-01-01T00:01:40Z",
		Gateways: []server.GatewayStatus{
			{Gateway: "a", Acked: 7, Watermark: "2026-01-01T00:00:00Z", BehindRecords: 90, BehindSeconds: 3600, LastError: "full: no room"},
			{Gateway: "b", Acked: 3},
		},
		Tasks: []server.TaskStatus{
			{Partition: 0, Epoch: 9, Published: 8, Behind: 5, OldestLandedAt: "2026-01-01T00:01:00Z", OldestUnpublishedAt: "2026-01-01T00:01:10Z", PublishError: "sink parquet: no answer"},
			{Partition: 1, Epoch: 2, Published: 2, Error: "claim: fenced"},
		},
	}
	var b bytes.Buffer
	if err := explain.ProgressText(&b, progress(s)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{
		"HANDOFF AT OFFSET WATERMARK LAG OLDEST UNACKED GUARANTEE LAST ERROR",
		"a -> landing log C2 7 2026-01-01T00:00:00Z 90 records 1h0m0s exactly once full: no room",
		"b -> landing log C2 3 - 0 records - exactly once -",
		"landing log 0 -> checkpoint C4 9 - 5 blocks 40s exactly once -",
		"staged files 0 -> tables C5 8 - 1 epochs 30s exactly once sink parquet: no answer",
		"landing log 1 -> checkpoint C4 2 - 0 blocks - exactly once claim: fenced",
		"staged files 1 -> tables C5 2 - 0 epochs - exactly once claim: fenced",
	} {
		if i >= len(lines) || strings.Join(strings.Fields(lines[i]), " ") != want {
			t.Fatalf("line %d, want %s:\n%s", i, want, b.String())
		}
	}
}

// TestAGatewayThatWasRefusedHasNoLog: nothing of a log has come, and no zeros are shown
// for one, of an engine of an earlier version neither.
func TestAGatewayThatWasRefusedHasNoLog(t *testing.T) {
	for log, want := range map[string]string{"": "-", strings.Repeat("0", 32): "-",
		"1000" + strings.Repeat("0", 28): "10000000", "ab": "ab"} {
		var b bytes.Buffer
		if err := printStatus(&b, &standing{Status: &server.Status{Gateways: []server.GatewayStatus{{Gateway: "a",
			Log: log}}}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "WATERMARK a "+want+" 0") {
			t.Errorf("%q:\n%s", log, b.String())
		}
	}
}
