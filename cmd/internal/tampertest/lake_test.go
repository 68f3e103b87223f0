package tampertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	"landfall/engine/move"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// Gateways are the names of the gateways of a lake. With two partitions each
// has one of its own.
func Gateways() []string { return []string{"alpha", "gamma"} }

// LogsPerGateway is how many logs each gateway opens; the last stays open.
const LogsPerGateway = 3

const (
	partitions   = 2
	blockRecords = 250
	// epochsPerTask is about how many epochs each of the tasks commits.
	epochsPerTask = 10
	landingID     = "tamper"
)

// Config says what lake to make.
type Config struct {
	// Records of all gateways together, about. Required.
	Records int
	// Shed makes the second gateway give up three ranges of its second log.
	Shed bool
	// Change may change a record before it is landed, in the gateway's own log
	// it stays as it was. The digests that the blocks carry stay too, unless
	// Forge is set. Nil: none is changed.
	Change func(gateway string, log int, offset record.Offset, r *record.Record)
	// Forge computes the digests of changed blocks again.
	Forge bool
	// Unfinished leaves the last tenth of each gateway's records for Lake.GoOn.
	Unfinished bool
}

// Lake is a lake with what its gateways keep.
type Lake struct {
	Dir     string // of the tables; the checkpoints are in _checkpoint below it
	Earlier string // the same lake when nine tenths of the records had come
	Landing string // the landing log, which has let go of what is published
	Kept    string // a landing log that has let go of nothing
	// EdgeLogs are the gateways' own log directories, by name.
	EdgeLogs map[string]string
	// Others are log directories of another history, where a test needs them.
	Others map[string]string
	// Tips are the gateways' documents about where their logs end and which ledger
	// entry the cloud told last.
	Tips []audit.TipsFile
	// rest are the blocks that have not landed, by gateway.
	rest         map[string][][]byte
	epochRecords int
}

// Checkpoints is the directory of manifests, state and ledger.
func (l *Lake) Checkpoints() string { return filepath.Join(l.Dir, "_checkpoint") }

// Make makes a lake below dir.
func Make(t testing.TB, dir string, c Config) *Lake {
	t.Helper()
	l := &Lake{
		Dir: filepath.Join(dir, "lake"), Earlier: filepath.Join(dir, "earlier"), Landing: filepath.Join(dir, "landing"),
		Kept: filepath.Join(dir, "kept"), EdgeLogs: map[string]string{}, epochRecords: c.Records / len(Gateways()) / epochsPerTask,
	}
	landed, bodies := map[string][][]byte{}, map[string]tips.Body{}
	for i, name := range Gateways() {
		l.EdgeLogs[name] = filepath.Join(dir, "edge-"+name)
		landed[name], bodies[name] = c.capture(t, l.EdgeLogs[name], name, i)
	}
	w := l.open(t)
	defer w.close(t)
	// The last tenth is two epochs, whatever the number of records: the newest manifests
	// then name late rows too, and are two entries of the ledger ahead of the earlier lake.
	for _, part := range []struct{ from, to, epoch int }{{0, 9, l.epochRecords}, {9, 10, l.epochRecords * 6 / 10}} {
		for name, blocks := range landed {
			w.land(t, name, blocks[len(blocks)*part.from/10:len(blocks)*part.to/10], len(blocks)*part.from/10)
		}
		for p := range partitions {
			w.run(t, p, part.epoch)
		}
		if part.to < 10 {
			Copy(t, l.Dir, l.Earlier)
		}
		if c.Unfinished {
			break
		}
	}
	l.rest = map[string][][]byte{}
	for name, blocks := range landed {
		l.rest[name] = blocks[len(blocks)*9/10:]
	}
	for _, name := range Gateways() {
		body := bodies[name]
		body.Anchors = l.told(t, name)
		doc, err := tips.Encode(body, nil, nil)
		must(t, err)
		l.Tips = append(l.Tips, audit.TipsFile{Name: name + ".tips", Data: doc})
	}
	return l
}

// told returns what the book of a gateway keeps of the ledger entries that the
// cloud tells it as they are published: those of the task that its blocks go to.
func (l *Lake) told(t testing.TB, gateway string) []tips.Anchor {
	t.Helper()
	var book tips.Book
	for p := range partitions {
		all := l.Ledger(t, Task(p))
		if !slices.ContainsFunc(all, func(e ledger.Walked) bool {
			return slices.ContainsFunc(e.Logs, func(l ledger.Log) bool { return l.Gateway == gateway })
		}) {
			continue
		}
		for _, e := range all {
			book.Anchor(e.Task, e.Number, e.SHA256, logBegin(LogsPerGateway)+record.Micros(e.Number)*1_000_000)
		}
	}
	return book.Anchors()
}

// GoOn lands what an unfinished lake has not seen, and works it through.
func (l *Lake) GoOn(t testing.TB) {
	t.Helper()
	w := l.open(t)
	defer w.close(t)
	for name, blocks := range l.rest {
		w.land(t, name, blocks, 9*len(blocks))
	}
	for p := range partitions {
		w.run(t, p, l.epochRecords)
	}
}

// capture makes one gateway's logs and returns the blocks that land of them, and
// what the gateway says of their ends.
func (c Config) capture(t testing.TB, dir, name string, index int) (landed [][]byte, body tips.Body) {
	t.Helper()
	body = tips.Body{Gateway: name, MadeAt: logBegin(LogsPerGateway)}
	for k := range LogsPerGateway {
		id := record.LogID{0x10 * byte(index+1), byte(k + 1)}
		begin := logBegin(k)
		store, err := seglog.Open(seglog.Config{
			Dir: dir, SegmentBytes: 1 << 20, CapturedRecords: true, Now: func() record.Micros { return begin }, NewLogID: func() record.LogID { return id },
		})
		must(t, err)
		captureLog(t, store, index, k, c.Records/len(Gateways())/LogsPerGateway)
		blocks := blocksOf(t, store, id)
		end, err := store.Tip(id)
		must(t, err)
		tip := tips.Tip{
			Log: id.String(), End: end.End, Digest: end.Digest.String(), Chain: end.Chain.String(), Closed: k < LogsPerGateway-1, Acked: end.End,
		}
		if k > 0 {
			tip.Previous = body.Logs[k-1].Log
		}
		body.Logs = append(body.Logs, tip)
		must(t, store.Close())
		landed = append(landed, c.landedBlocks(t, blocks, name, index, k)...)
	}
	return landed, body
}

// logBegin is when the k-th log of a gateway is opened: ten minutes before
// midnight, a day later each.
func logBegin(k int) record.Micros {
	return record.Micros(time.Date(2026, 6, 1+k, 23, 50, 0, 0, time.UTC).UnixMicro())
}

// blocksOf reads a log as a forwarder would.
func blocksOf(t testing.TB, store *seglog.Store, id record.LogID) (blocks [][]byte) {
	t.Helper()
	r, err := store.Reader(id, 0)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, seglog.ErrCaughtUp) {
			return blocks
		}
		must(t, err)
		blocks = append(blocks, bytes.Clone(item.Block.Bytes))
	}
}

// landedBlocks makes of a log's blocks what lands of them: some are given up,
// some are changed.
func (c Config) landedBlocks(t testing.TB, blocks [][]byte, name string, index, log int) (landed [][]byte) {
	t.Helper()
	prev, drift := record.Hash{}, record.Digest(0)
	for i, p := range blocks {
		b, err := record.Parse(p)
		must(t, err)
		if c.Shed && index == 1 && log == 1 && i%4 == 2 && i < 12 {
			var digest *record.Digest
			if d, ok := b.Digest(); ok {
				digest = &d
			}
			landed, prev = append(landed, record.SealLoss(b.Log, b.First, b.Count, prev, "shed", digest)), record.Hash{}
			continue
		}
		if c.Change != nil {
			p = c.changed(t, &b, name, log, prev, &drift)
		}
		landed, prev = append(landed, p), record.HashBlock(p)
	}
	return landed
}

// changed seals a block again with Change applied to its records; drift is by
// how much the log's digest has changed.
func (c Config) changed(t testing.TB, b *record.Block, name string, log int, prev record.Hash, drift *record.Digest) []byte {
	t.Helper()
	var out record.Builder
	out.Reset()
	d := record.NewDigester(b.Log)
	for offset, payload := range b.Payloads {
		var r record.Record
		must(t, b.DecodeRecord(payload, &r))
		*drift -= d.Record(offset, r.Raw)
		c.Change(name, log, offset, &r)
		*drift += d.Record(offset, r.Raw)
		must(t, out.Add(&r))
	}
	for a := range b.Annotations {
		if a.Type != record.AnnDigest {
			must(t, out.Annotate(a))
		}
	}
	if digest, ok := b.Digest(); ok {
		if c.Forge {
			digest += *drift
		}
		out.SetDigest(digest)
	}
	return bytes.Clone(out.Seal(b.Log, b.First, prev))
}

// world is an open lake with the parts of an engine.
type world struct {
	log   *embedded.Log
	kept  *embedded.Log
	store *object.Dir
	lake  *object.Lake

	checkpoints string // the directory of store
	until       string // the gateway whose last block ends a run; empty: that of any
}

func (l *Lake) open(t testing.TB) *world {
	t.Helper()
	log, err := embedded.Open(embedded.Config{Dir: l.Landing, Partitions: partitions, ID: landingID, SegmentBytes: 1 << 20})
	must(t, err)
	kept, err := embedded.Open(embedded.Config{Dir: l.Kept, Partitions: partitions, ID: landingID, SegmentBytes: 1 << 20})
	must(t, err)
	store, err := object.OpenDir(durable.OS{}, l.Checkpoints())
	must(t, err)
	lake, err := object.OpenLake(durable.OS{}, l.Dir)
	must(t, err)
	is := move.Landing{Kind: move.Embedded, ID: landingID, Partitions: partitions, Place: l.Landing}
	must(t, move.Bind(t.Context(), store, is)) // as an engine does when it starts
	return &world{log: log, kept: kept, store: store, lake: lake, checkpoints: l.Checkpoints()}
}

func (w *world) close(t testing.TB) {
	t.Helper()
	must(t, w.log.Close())
	must(t, w.kept.Close())
}

// land appends blocks of a gateway, a second between two of them.
func (w *world) land(t testing.TB, gateway string, blocks [][]byte, from int) {
	t.Helper()
	for i, b := range blocks {
		at := logBegin(LogsPerGateway) + record.Micros(from+i)*1_000_000
		landed := landing.Landed{Gateway: gateway, LandedAt: at, Block: b}
		must(t, w.log.Append(t.Context(), landed))
		must(t, w.kept.Append(t.Context(), landed))
	}
}

// run works through everything that is landed in a partition.
func (w *world) run(t testing.TB, partition, epochRecords int) {
	t.Helper()
	must(t, w.work(t, partition, epochRecords, func() {}))
}

// work is run that calls first before its first block. Each epoch is published before
// the next one begins, so a manifest names no files but those of its own epoch,
// however fast the disk is: what the audit finds at level offsets depends on that.
func (w *world) work(t testing.TB, partition, epochRecords int, first func()) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink, err := parquet.New(parquet.Config{Files: w.lake})
	must(t, err)
	var stats func() checkpoint.Stats
	return task.Run(ctx, task.Config{
		Log: w.log, Partition: partition, Store: w.store, Sinks: []stream.Sink{sink}, EpochRecords: epochRecords,
		EpochInterval: time.Hour, Windows: Windows(), Writer: "tampertest",
		Claimed:  func(_ task.Status, s func() checkpoint.Stats) { stats = s },
		Progress: func(s task.Status) { waitPublished(t, stats, s.Epoch) },
		Look: func(l *landing.Landed, _ *table.Batch) {
			first()
			first = func() {}
			if w.newest(l) {
				cancel() // what was read is committed
			}
		},
	})
}

// waitPublished waits until an epoch is published, or publishing has failed.
func waitPublished(t testing.TB, stats func() checkpoint.Stats, epoch stream.Epoch) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for s := stats(); s.Published < epoch && s.PublishError == ""; s = stats() {
		select {
		case <-look.C:
		case <-t.Context().Done():
			return
		}
	}
}

// newest tells whether a landed block is the last one of its gateway, which ends a run.
func (w *world) newest(l *landing.Landed) bool {
	h, err := record.ParseHeader(l.Block)
	tail, known := w.log.Tail(l.Gateway)
	return err == nil && known && tail.Log == h.Log && tail.Next == h.End() && (w.until == "" || w.until == l.Gateway)
}

// Windows is how the lake's readings are summed up.
func Windows() operator.WindowConfig {
	return operator.WindowConfig{Size: time.Minute, AllowedLateness: 10 * time.Second}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sourceNames are the sources of a gateway, by number.
func sourceNames() []string { return []string{"north", "south", "bus", "meter"} }

func sourceName(i int) string { return sourceNames()[i] }

// sentence adds the checksum of a sentence or TAG block.
func sentence(begin, body string) string {
	sum := byte(0)
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("%s%s*%02X", begin, body, sum)
}
