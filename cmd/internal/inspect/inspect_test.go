package inspect

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	return bytes.Clone(b.Seal(record.LogID{1}, first, record.Hash{}))
}

func TestPrintsGoodBlocksAndCountsTheRest(t *testing.T) {
	bad := block(t, 1, "damaged")
	bad[90] ^= 1
	name := file(t, []byte("header"), block(t, 0, "first"), bad, record.SealLoss(record.LogID{1}, 2, 7, record.Hash{}, "shed"),
		bytes.Repeat([]byte{0}, window), block(t, 9, "last"))
	var out bytes.Buffer
	if err := File(durable.OS{}, name, &out, Options{Records: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[0, 1)", `"first"`, "given up: shed", "loss log 01", "[2, 9)", `"last"`, "watermark of roof", "3 blocks, 1 places"} {
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
