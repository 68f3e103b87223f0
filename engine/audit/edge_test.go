package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/table"
)

// edgeAndLake captures n records with a real seglog in each of two runs, and
// makes the lake's rows of what it holds.
func edgeAndLake(t *testing.T, n int) (dir string, logs []record.LogID, batch *table.Batch) {
	t.Helper()
	dir, batch = t.TempDir(), new(table.Batch)
	for run := range 2 {
		s, err := seglog.Open(seglog.Config{Dir: dir, SegmentBytes: seglog.MinSegmentBytes})
		check(t, err)
		var b record.Builder
		for i := 0; i < n; i += 10 {
			b.Reset()
			for k := range 10 {
				check(t, b.Add(&record.Record{Kind: record.KindAIS, EventTime: record.NoTime, ReceivedAt: record.Micros(i + k), Raw: []byte(strings.Repeat("x", i+k+run))}))
			}
			_, err := s.Append(&b)
			check(t, err)
		}
		id, _ := s.Active()
		logs = append(logs, id)
		r, err := s.Reader(id, 0)
		check(t, err)
		for {
			item, err := r.Next()
			if err != nil {
				break
			}
			var rec record.Record
			for off, payload := range item.Block.Payloads {
				check(t, item.Block.DecodeRecord(payload, &rec))
				batch.Records = append(batch.Records, table.RecordRow{Lineage: table.Lineage{Gateway: "gw", Log: id.String(), Offset: off},
					Kind: rec.Kind, Raw: append([]byte{}, rec.Raw...), Times: table.Times{EventTime: rec.ReceivedAt, ReceivedAt: rec.ReceivedAt}})
			}
		}
		check(t, r.Close())
		check(t, s.Close())
	}
	return dir, logs, batch
}

func TestEdgeLogIsComparedByteByByte(t *testing.T) {
	dir, logs, batch := edgeAndLake(t, 200)
	lake, _ := writeLake(t, batch)
	before := listing(t, dir)
	r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}})
	if !r.Exact || len(r.Logs) != 2 {
		t.Fatalf("exact %v: %+v %v", r.Exact, r.Logs, r.Problems)
	}
	for i, l := range r.Logs {
		if l.Log != logs[i].String() || l.Compared != 201 || l.Tail != TailProven {
			t.Errorf("log %d: %+v", i, l)
		}
	}
	if after := listing(t, dir); after != before {
		t.Errorf("the edge's directory changed:\n%s\n%s", before, after)
	}

	batch.Records[300].Raw[0] ^= 1
	lake, _ = writeLake(t, batch)
	if r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}}); r.Exact || r.Logs[1].Differing != 1 || r.Logs[0].Differing != 0 ||
		!slices.ContainsFunc(r.Findings, Finding{Kind: KindEdge, Table: table.Record, Log: logs[1].String(), Offsets: batch.Records[300].Offset.String(), File: "record/dt=1970-01-01/test-0000-00000000000000000001-0.parquet"}.within) {
		t.Errorf("one flipped bit: %+v %s", r.Logs, listFindings(r))
	}
	if r := runAudit(t, Config{Lake: lake}); !r.Exact {
		t.Errorf("without the edge's log bytes are not judged: %+v", r)
	}
	batch.Records[300].Raw[0] ^= 1
	batch.Records[310].Raw, batch.Records[311].Raw = batch.Records[311].Raw, batch.Records[310].Raw
	lake, _ = writeLake(t, batch)
	if r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}}); r.Exact {
		t.Error("two records exchanged their bytes")
	}
}

func TestEdgeLogTellsWhatIsNotYetThere(t *testing.T) {
	dir, logs, batch := edgeAndLake(t, 50)
	batch.Records = batch.Records[:len(batch.Records)-7]
	lake, _ := writeLake(t, batch)
	r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}})
	if l := r.Logs[1]; l.Log != logs[1].String() || l.Tail != TailPending || l.Pending != 7 {
		t.Errorf("%+v", l)
	}
	batch.Records = batch.Records[:51]
	lake, _ = writeLake(t, batch)
	if r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}}); len(r.Notes) == 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "not in the lake yet") {
		t.Errorf("a log that is only at the edge: %v", r.Notes)
	}
}

func TestEdgeLogThatCannotBeRead(t *testing.T) {
	lake, _ := writeLake(t, twoLogs()...)
	if _, err := Run(context.Background(), Config{Lake: lake, EdgeLogs: []string{filepath.Join(lake, "none")}}); err == nil {
		t.Error("no edge log and no error")
	}
}

// TestEdgeLogThatIsNone: comparing with nothing proves nothing.
func TestEdgeLogThatIsNone(t *testing.T) {
	dir, _, batch := edgeAndLake(t, 50)
	lake, _ := writeLake(t, batch)
	data := t.TempDir()
	check(t, os.Rename(dir, filepath.Join(data, "log")))
	for name, want := range map[string]string{t.TempDir(): "there is no log of a gateway in ", data: "did you mean " + filepath.Join(data, "log") + "?"} {
		if r, err := Run(context.Background(), Config{Lake: lake, EdgeLogs: []string{name}}); !errors.Is(err, ErrNoLog) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want %q", name, r, err, want)
		}
	}
}

// TestWhatTheCloudAcknowledged: forward.state beside a gateway's log says what has
// to be in the lake.
func TestWhatTheCloudAcknowledged(t *testing.T) {
	dir, logs, batch := edgeAndLake(t, 50)
	data := t.TempDir()
	check(t, os.Rename(dir, filepath.Join(data, "log")))
	batch.Records = batch.Records[:len(batch.Records)-7]
	lake, _ := writeLake(t, batch)
	acknowledge := func(first, second int) *Result {
		body := fmt.Sprintf("{\"gateway\":\"gw\",\"logs\":[{\"log\":%q,\"next\":%d,\"hash\":\"\"},{\"log\":%q,\"next\":%d,\"hash\":\"\"}]}\n", logs[0], first, logs[1], second)
		head := fmt.Sprintf("landfall-forward 1 %08x\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)))
		check(t, os.WriteFile(filepath.Join(data, "forward.state"), []byte(head+body), 0o644))
		return runAudit(t, Config{Lake: lake, EdgeLogs: []string{filepath.Join(data, "log") + "/"}})
	}
	if r := acknowledge(51, 44); !r.Exact || len(r.Notes) > 0 || r.Logs[1].Pending != 7 {
		t.Errorf("all that is acknowledged is there: %s%q%+v", listFindings(r), r.Notes, r.Logs)
	}
	if r := acknowledge(51, 48); r.Exact || !slices.ContainsFunc(r.Findings, Finding{Kind: KindEdge, Gateway: "gw", Log: logs[1].String(), Offsets: "44-47"}.within) {
		t.Errorf("four that are acknowledged are not: %s", listFindings(r))
	}
	check(t, os.WriteFile(filepath.Join(data, "forward.state"), []byte("landfall-forward 1 00000000\n{}\n"), 0o644))
	if r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{filepath.Join(data, "log")}}); len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "not known") {
		t.Errorf("damaged: %q", r.Notes)
	}
}

// TestForwardStatesOfEachVersion reads what gateways froze.
func TestForwardStatesOfEachVersion(t *testing.T) {
	one, two := record.LogID{1}.String(), record.LogID{2}.String()
	for name, want := range map[string][]ackedLog{
		"state-v1.txt": {{gateway: "mv-ada", log: one, landed: 150, settled: 150}, {gateway: "mv-ada", log: two, landed: 7, settled: 7}},
		"state-v2.txt": {{gateway: "mv-ada", log: one, landed: 150, settled: 150}, {gateway: "mv-ada", log: two, landed: 7, settled: 7}},
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "edge", "forward", "testdata", "formats", name))
		check(t, err)
		if all, err := decodeAcked("", data); err != nil || !slices.Equal(all, want) {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
	}
	for _, c := range []struct {
		fields  string
		settled uint64
	}{
		{`"release":"published","told":true,"quiet_since":0`, 100}, {`"release":"published","told":true,"quiet_since":9`, 100},
		{`"release":"published","told":false,"quiet_since":0`, 150},
		{`"release":"landed","told":true,"quiet_since":0`, 100}, {`"release":"landed","told":true,"quiet_since":9`, 150},
	} {
		body := fmt.Sprintf("{\"gateway\":\"g\",%s,\"logs\":[{\"log\":\"x\",\"next\":150,\"published\":100,\"kept\":160}]}\n", c.fields)
		all, err := decodeAcked("", fmt.Appendf(nil, "landfall-forward 2 %08x\n%s", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body))
		if err != nil || len(all) != 1 || all[0].settled != c.settled {
			t.Errorf("%s: %+v, %v", c.fields, all, err)
		}
	}
	if _, err := decodeAcked("", []byte("landfall-forward 3 00000000\n{}\n")); !errors.Is(err, record.ErrVersion) {
		t.Error(err)
	}
}

// FuzzAcked: no file takes the reader down.
func FuzzAcked(f *testing.F) {
	f.Add([]byte("landfall-forward 1 00000000\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := decodeAcked("x", data)
		if err != nil && len(all) > 0 {
			t.Errorf("%v and %v", all, err)
		}
	})
}

// TestEdgeLogIsNotTouched audits beside an edge that holds the directory, and
// asks the read-only view for every change.
func TestEdgeLogIsNotTouched(t *testing.T) {
	dir, _, batch := edgeAndLake(t, 50)
	lake, _ := writeLake(t, batch)
	s, err := seglog.Open(seglog.Config{Dir: dir})
	check(t, err)
	if r := runAudit(t, Config{Lake: lake, EdgeLogs: []string{dir}}); !r.Exact {
		t.Errorf("beside a running edge: %+v", r)
	}
	check(t, s.Close())
	ro, name := durable.ReadOnly(durable.OS{}), filepath.Join(dir, "lock")
	f, err := ro.OpenWrite(name)
	check(t, err)
	defer func() { _ = f.Close() }()
	_, errCreate := ro.Create(filepath.Join(dir, "new"))
	_, errWrite := f.Write([]byte("x"))
	_, errWriteAt := f.WriteAt([]byte("x"), 0)
	for op, err := range map[string]error{"Create": errCreate, "Write": errWrite, "WriteAt": errWriteAt, "Truncate": f.Truncate(0),
		"Rename": ro.Rename(name, name+"2"), "Link": ro.Link(name, name+"2"), "Mkdir": ro.Mkdir(name + "3")} {
		if err == nil {
			t.Errorf("%s was allowed", op)
		}
	}
	check(t, ro.Remove(name))
	if _, err := os.Stat(name); err != nil {
		t.Errorf("Remove removed: %v", err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all.WriteString(path + " ")
			all.WriteString(record.HashBlock(data).String() + "\n")
		}
		return nil
	}))
	return all.String()
}
