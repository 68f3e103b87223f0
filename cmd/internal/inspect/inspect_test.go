package inspect

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/sensor"
	"landfall/edge/durable"
	"landfall/edge/record"
)

func file(t *testing.T, parts ...[]byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func block(t *testing.T, first record.Offset, raw string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset()
	if err := b.Add(&record.Record{Kind: record.KindAIS, Raw: []byte(raw), EventTime: record.NoTime}); err != nil {
		t.Fatal(err)
	}
	if err := b.Annotate(record.Watermark{Source: "roof", At: 5}.Annotation()); err != nil {
		t.Fatal(err)
	}
	b.SetDigest(77)
	return bytes.Clone(b.Seal(record.LogID{1}, first, record.Hash{}))
}

func TestPrintsGoodBlocksAndCountsTheRest(t *testing.T) {
	bad := block(t, 1, "damaged")
	bad[90] ^= 1
	name := file(t, []byte("header"), block(t, 0, "first"), bad, record.SealLoss(record.LogID{1}, 2, 7, record.Hash{}, "shed", nil),
		bytes.Repeat([]byte{0}, window), block(t, 9, "last"))
	var out bytes.Buffer
	if err := File(durable.OS{}, name, &out, Options{Records: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[0, 1)", `"first"`, "given up: shed", "loss log 01", "[2, 9)", `"last"`, "watermark of roof", "digest of the log up to here: 77", "3 blocks, 1 places"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "damaged\"") {
		t.Error("a damaged block was shown")
	}
	out.Reset()
	if err := File(durable.OS{}, name, &out, Options{JSON: true}); err != nil || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("JSON: %v\n%s", err, out.String())
	}
}

func TestReportsAreShown(t *testing.T) {
	report := sensor.Report{Origin: sensor.OriginMQTT, Address: "plant/7", Payload: []byte("21.5"), Cut: true, Readings: []sensor.Reading{
		{Sensor: "pump", Metric: "temperature", Unit: "Cel", Kind: sensor.Number, Number: 21.5, Quality: sensor.QualityGood, HasTime: true, Time: 1, Historical: true},
		{Sensor: "pump", Metric: "state", Kind: sensor.Text, Text: "on"},
	}}
	shown := describeReport(report.Append(nil))
	for _, want := range []string{`mqtt "plant/7" payload "21.5" (cut)`, "pump temperature 21.5 Cel (good) at 1970-01-01", " historical", `pump state "on" (unknown)`} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in %s", want, shown)
		}
	}
	rejected := sensor.Report{Reason: "no_json"}
	if got := describeReport(rejected.Append(nil)); !strings.Contains(got, "rejected: no_json") {
		t.Error(got)
	}
	if got := describeReport([]byte("noise")); !strings.Contains(got, `"noise"`) {
		t.Error(got)
	}
}

// TestAFileThatIsNoLogFails: it is told from a segment without blocks, and from one
// in which every block is damaged.
func TestAFileThatIsNoLogFails(t *testing.T) {
	bad := block(t, 1, "damaged")
	bad[90] ^= 1
	for name, tt := range map[string]struct {
		data []byte
		log  bool
	}{
		"empty": {nil, false}, "text": {[]byte("AIVDM is not a log"), false}, "short": {[]byte("LF"), false},
		"a segment without a block": {[]byte("LFS\x01 and its header"), true}, "damage": {bad, true},
	} {
		var out bytes.Buffer
		if err := File(durable.OS{}, file(t, tt.data), &out, Options{}); errors.Is(err, ErrNoLog) == tt.log || tt.log && err != nil {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}
