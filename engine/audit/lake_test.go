package audit

import (
	"context"
	"fmt"
	"os"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

var testTask = stream.TaskID{Landing: "test", Partition: 0}

// logID makes the id of the n-th log of a test.
func logID(n int) record.LogID { return record.LogID{0xaa, byte(n)} }

// epochOf makes the rows of offsets [from, to) of one log. Offset 0 opens it;
// every seventh record is rejected, every fifth gives two rows,
// every eleventh three readings, of which one is late and
// one was the last of a window.
func epochOf(gateway string, id, prev record.LogID, prevEnd, from, to record.Offset) *table.Batch {
	b := new(table.Batch)
	for o := from; o < to; o++ {
		r := table.RecordRow{
			Lineage: table.Lineage{Gateway: gateway, Log: id.String(), Offset: o},
			Times:   table.Times{EventTime: record.Micros(o) * 1e6, TimeSource: record.TimeTag, ReceivedAt: record.Micros(o) * 1e6},
			Kind:    record.KindAIS, Source: "s", Raw: fmt.Appendf(nil, "line %d", o),
		}
		switch {
		case o == 0:
			r.Kind, r.Raw = record.KindLogOpen, record.Opening{Prev: prev, PrevEnd: prevEnd, PrevLastAt: record.NoTime}.Encode()
		case o%7 == 0:
			r.RejectReason = "payload_short"
		case o%11 == 0:
			r.Kind, r.Rows = record.KindReading, 3
		case o%5 == 0:
			r.Rows = 2
		default:
			r.Rows = 1
		}
		b.Records = append(b.Records, r)
		for i := range r.Rows {
			line := r.Lineage
			line.Row = i
			head := ais.Header{MsgType: 1, MMSI: uint32(o%13) + 200_000_000}
			if r.Kind == record.KindReading {
				reading := table.ReadingRow{Lineage: line, Times: r.Times, Sensor: "s", Metric: fmt.Sprint(i)}
				b.Readings = append(b.Readings, reading)
				if i == 0 { // made of other rows: they count for none
					b.Lates = append(b.Lates, table.LateRow{ReadingRow: reading})
					b.Windows = append(b.Windows, table.WindowRow{Gateway: gateway, Log: id.String(), Offset: o, Sensor: "s", Count: 1})
				}
			} else if i == 0 {
				b.Positions = append(b.Positions, table.PositionRow{Lineage: line, Times: r.Times, Position: ais.Position{Header: head}})
			} else {
				b.Statics = append(b.Statics, table.StaticRow{Lineage: line, Times: r.Times, Static: ais.Static{Header: head}})
			}
		}
	}
	return b
}

// writeLake publishes each batch as one epoch, with a ledger that says that it
// was to be so.
func writeLake(t testing.TB, batches ...*table.Batch) (dir string, files [][]stream.Staged) {
	t.Helper()
	addLogs(batches)
	dir, files = writeFiles(t, batches...)
	writeCheckpoint(t, dir, files, batches...)
	return dir, files
}

// writeFiles publishes each batch as one epoch, and leaves no checkpoint.
func writeFiles(t testing.TB, batches ...*table.Batch) (dir string, files [][]stream.Staged) {
	t.Helper()
	dir = t.TempDir()
	lake, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: lake})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range batches {
		stage, err := sink.Begin(testTask, "0123456789abcdef0123456789abcdef", stream.Epoch(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.Write(b); err != nil {
			t.Fatal(err)
		}
		staged, err := stage.Seal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Publish(context.Background(), staged); err != nil {
			t.Fatal(err)
		}
		files = append(files, staged)
	}
	return dir, files
}

// runAudit audits a lake, with its checkpoints where it has any.
func runAudit(t testing.TB, c Config) *Result {
	t.Helper()
	if c.Checkpoints == nil {
		if _, err := os.Stat(checkpointsOf(c.Lake)); err == nil {
			c.Checkpoints = openStore(t, checkpointsOf(c.Lake))
		}
	}
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// twoLogs are three epochs of a gateway that was restarted once: log 1 with
// 100 offsets, log 2 with 60.
func twoLogs() []*table.Batch {
	a, b := logID(1), logID(2)
	second := epochOf("gw", a, record.LogID{}, 0, 40, 100)
	add(second, epochOf("gw", b, a, 100, 0, 20))
	return []*table.Batch{epochOf("gw", a, record.LogID{}, 0, 0, 40), second, epochOf("gw", b, a, 100, 20, 60)}
}

// add appends the rows of b to a.
func add(a, b *table.Batch) {
	a.Records = append(a.Records, b.Records...)
	a.Positions = append(a.Positions, b.Positions...)
	a.Statics = append(a.Statics, b.Statics...)
	a.Readings = append(a.Readings, b.Readings...)
	a.Windows, a.Lates = append(a.Windows, b.Windows...), append(a.Lates, b.Lates...)
	a.Losses = append(a.Losses, b.Losses...)
	a.Conflicts = append(a.Conflicts, b.Conflicts...)
}
