package task

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// busyLog is what one gateway captures of a harbour with two receivers, and of a
// sounder: blocks in turn, each with its watermark.
func busyLog(t *testing.T, id byte, blocks int) [][]byte {
	t.Helper()
	h, err := aissim.New(aissim.Config{Seed: uint64(id), Start: windowsBegin, Ships: 30, BaseStations: 1, AtoNs: 1, Rate: 30, Receivers: []aissim.Receiver{{}, {Latency: 2 * time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	w := writeLog(t, id)
	all := [][]byte{w.open(record.Opening{OpenedAt: 1, PrevLastAt: record.NoTime})}
	for range blocks {
		var b record.Builder
		at := record.Micros(0)
		n := record.Offset(0)
		add := func(kind record.Kind, raw string) {
			n++
			r := record.Record{
				Kind: kind, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised, EventTime: at, ReceivedAt: at, Raw: []byte(raw),
			}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		for n < 40 {
			line := h.Next()
			at = max(at, record.Micros(line.At))
			if line.Total == 1 {
				add(record.KindAIS, string(line.Text))
			}
		}
		body := fmt.Sprintf("SDDPT,%d.5,", n%7+record.Offset(id))
		sum := byte(0)
		for _, c := range []byte(body) {
			sum ^= c
		}
		add(record.KindSentence, fmt.Sprintf("$%s*%02X", body, sum))
		if err := b.Annotate(record.Watermark{At: at - 5_000_000}.Annotation()); err != nil {
			t.Fatal(err)
		}
		d := record.NewDigester(w.id)
		w.digest += b.DigestAt(&d, w.next)
		b.SetDigest(w.digest)
		block := slices.Clone(b.Seal(w.id, w.next, w.prev))
		w.next, w.prev = w.next+n, record.HashBlock(block)
		all = append(all, block)
	}
	return all
}

// rowsOf lists a batch's rows, but for what says in which landing log they came.
func rowsOf(b *table.Batch) (rows []string) {
	v := reflect.ValueOf(b).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Name != "Logs" {
			for k := range v.Field(i).Len() {
				rows = append(rows, fmt.Sprintf("%s %+v", f.Name, v.Field(i).Index(k).Interface()))
			}
		}
	}
	return rows
}

// held is a processor with the objects of its last checkpoint.
type held struct {
	*processor
	chain [][]byte
}

// handedOver moves what processors know to as many as there are new partitions.
func handedOver(t *testing.T, old []held, partitions int, windows operator.WindowConfig) []held {
	t.Helper()
	h, err := NewHandover(partitions)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range old {
		object, keep := p.state.Snapshot()
		chain := append(p.chain[len(p.chain)-keep:], object)
		if err := h.Take(t.Context(), stream.TaskID{Landing: "old", Partition: i}, objects(chain...)); err != nil {
			t.Fatal(err)
		}
	}
	var parts []held
	for i := range partitions {
		p, err := newProcessor(new(Counters), windows)
		if err != nil {
			t.Fatal(err)
		}
		part := h.Part(i)
		if err := p.restoreFrom(objects(part.State)); err != nil {
			t.Fatal(err)
		}
		one := held{processor: p}
		if part.State != nil {
			one.chain = [][]byte{part.State}
		}
		parts = append(parts, one)
	}
	return parts
}

func objects(all ...[]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, object := range all {
			if object != nil && !yield(object, nil) {
				return
			}
		}
	}
}

// TestRowsAreTheSameAfterAHandover: from 4 partitions to 16, to 3, every gateway's
// rows are those that it has without any: duplicates, halves of type 24, windows,
// the judgement of each block, the watermark.
func TestRowsAreTheSameAfterAHandover(t *testing.T) {
	windows := operator.WindowConfig{Size: 20 * time.Second, AllowedLateness: 5 * time.Second}
	const gateways, perStage = 12, 10
	logs := make(map[string][][]byte)
	for i := range gateways {
		logs[fmt.Sprint("gateway-", i)] = busyLog(t, byte(i+1), 3*perStage)
	}
	run := func(stages ...int) (rows []string) {
		var parts []held
		for range stages[0] {
			p, err := newProcessor(new(Counters), windows)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, held{processor: p})
		}
		for stage, n := range stages {
			if stage > 0 && n != stages[stage-1] {
				parts = handedOver(t, parts, n, windows)
			}
			for name, blocks := range logs {
				p := parts[landing.Partition(name, n)]
				var out table.Batch
				first, last := stage*perStage, min(len(blocks), (stage+1)*perStage)
				if stage == len(stages)-1 {
					last = len(blocks)
				}
				for _, b := range blocks[max(0, first-2):last] { // two of them once more
					if err := p.block(&landing.Landed{Gateway: name, LandedAt: record.Micros(windowsBegin) * 2, Block: b}, stream.Position{}, &out); err != nil {
						t.Fatal(err)
					}
				}
				rows = append(rows, rowsOf(&out)...)
			}
		}
		slices.Sort(rows)
		return rows
	}
	want, got := run(4, 4, 4), run(4, 16, 3)
	for i := range min(len(want), len(got)) {
		if got[i] != want[i] {
			t.Fatalf("row %d is\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	text := strings.Join(want, "\n")
	for _, needed := range []string{"IsDuplicate:true", "Windows ", "Part:66"} {
		if !strings.Contains(text, needed) {
			t.Errorf("nothing has %s: the test shows nothing of it", needed)
		}
	}
}

// TestAPartSaysWhatItTakesOn: every log once, in the partition of its gateway, from
// where it is.
func TestAPartSaysWhatItTakesOn(t *testing.T) {
	f := newFeeder(t)
	for i := range 9 {
		w := writeLog(t, byte(i+1))
		f.land(fmt.Sprint("gateway-", i), w.open(record.Opening{OpenedAt: 1, PrevLastAt: record.NoTime}), w.texts(i+1))
	}
	h, err := NewHandover(4)
	if err != nil {
		t.Fatal(err)
	}
	object, _ := f.p.state.Snapshot()
	if err := h.Take(t.Context(), stream.TaskID{Landing: "old"}, objects(object)); err != nil {
		t.Fatal(err)
	}
	seen, gateways := make(map[string]bool), 0
	for p := range 4 {
		part := h.Part(p)
		gateways += part.Gateways
		if len(part.Watermarks) != part.Gateways {
			t.Errorf("%d watermarks of %d gateways", len(part.Watermarks), part.Gateways)
		}
		for _, l := range part.Logs {
			if landing.Partition(l.Gateway, 4) != p || l.From != l.Next || l.Next == 0 || l.Digest == "" || l.Chain == "" || seen[l.Log] {
				t.Errorf("partition %d: %+v", p, l)
			}
			seen[l.Log] = true
		}
	}
	if len(seen) != 9 || gateways != 9 || len(h.Doubts()) != 0 {
		t.Errorf("%d logs, %d gateways, %q", len(seen), gateways, h.Doubts())
	}
}

// TestOneLogOfTwoGateways that come into one partition: the one that is further
// keeps it, and that is said.
func TestOneLogOfTwoGateways(t *testing.T) {
	h, err := NewHandover(1)
	if err != nil {
		t.Fatal(err)
	}
	for i, gateway := range []string{"original", "copy", "third"} {
		f, w := newFeeder(t), writeLog(t, 7)
		f.land(gateway, w.texts([]int{5, 9, 2}[i]))
		object, _ := f.p.state.Snapshot()
		if err := h.Take(t.Context(), stream.TaskID{Landing: "old", Partition: i}, objects(object)); err != nil {
			t.Fatal(err)
		}
	}
	logs := h.Part(0).Logs
	if len(logs) != 1 || logs[0].Gateway != "copy" || logs[0].Next != 9 {
		t.Errorf("%+v", logs)
	}
	doubts := strings.Join(h.Doubts(), "\n")
	if len(h.Doubts()) != 2 || !strings.Contains(doubts, "what original sends of it is a conflict") || !strings.Contains(doubts, "what third sends") {
		t.Errorf("%s", doubts)
	}
}
