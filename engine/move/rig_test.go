package move

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// rig is a lake on disk, with the gateways that feed it.
type rig struct {
	t        *testing.T
	dir      string
	store    checkpoint.Store
	gateways []*gateway
}

// gateway writes one log.
type gateway struct {
	name   string
	id     record.LogID
	next   record.Offset
	prev   record.Hash
	digest record.Digest
	blocks [][]byte
}

func newRig(t *testing.T, gateways int) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.open()
	for i := range gateways {
		r.gateways = append(r.gateways, &gateway{name: fmt.Sprint("gateway-", i), id: record.LogID{byte(i + 1), 1}})
	}
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.store, err = object.OpenDir(durable.OS{}, filepath.Join(r.dir, "lake", "_checkpoint")); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) sinks() ([]stream.Sink, error) {
	files, err := object.OpenLake(durable.OS{}, filepath.Join(r.dir, "lake"))
	if err != nil {
		return nil, err
	}
	lake, err := parquet.New(parquet.Config{Files: files, Writers: 1})
	return []stream.Sink{lake}, err
}

// block writes a gateway's next block of n records.
func (g *gateway) block(t *testing.T, n int) []byte {
	t.Helper()
	var b record.Builder
	if g.next == 0 {
		o := record.Opening{OpenedAt: 1, PrevLastAt: record.NoTime}
		if err := b.Add(&record.Record{Kind: record.KindLogOpen, ReceivedAt: 1, EventTime: record.NoTime, Raw: o.Encode()}); err != nil {
			t.Fatal(err)
		}
		n--
	}
	for i := range n {
		r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%s %d %d", g.name, g.next, i)}
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Annotate(record.Watermark{At: record.Micros(1000 + g.next)}.Annotation()); err != nil {
		t.Fatal(err)
	}
	d := record.NewDigester(g.id)
	g.digest += b.DigestAt(&d, g.next)
	b.SetDigest(g.digest)
	block := slices.Clone(b.Seal(g.id, g.next, g.prev))
	h, err := record.ParseHeader(block)
	if err != nil {
		t.Fatal(err)
	}
	g.next, g.prev = h.End(), record.HashBlock(block)
	g.blocks = append(g.blocks, block)
	return block
}

// landing opens a landing log, or makes it.
func (r *rig) landing(name string, partitions int) *embedded.Log {
	r.t.Helper()
	l, err := embedded.Open(embedded.Config{Dir: filepath.Join(r.dir, name), Partitions: partitions, ID: landing.ID(name)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = l.Close() })
	return l
}

// is names a landing log of this rig.
func (r *rig) is(name string, partitions int) Landing {
	return Landing{Kind: Embedded, ID: landing.ID(name), Partitions: partitions, Place: filepath.Join(r.dir, name)}
}

// land lands a block of each gateway.
func (r *rig) land(l landing.Log) {
	r.t.Helper()
	for _, g := range r.gateways {
		r.append(l, g.name, g.block(r.t, 3))
	}
}

func (r *rig) append(l landing.Log, gateway string, block []byte) {
	r.t.Helper()
	if err := l.Append(r.t.Context(), landing.Landed{Gateway: gateway, LandedAt: 7, Keeps: true, Block: block}); err != nil {
		r.t.Fatal(err)
	}
}

// task is how the tasks of a landing log work.
func (r *rig) task(l landing.Log, partition int) task.Config {
	r.t.Helper()
	sinks, err := r.sinks()
	if err != nil {
		r.t.Fatal(err)
	}
	return task.Config{Log: l, Partition: partition, Store: r.store, Sinks: sinks, EpochInterval: time.Hour}
}

// run publishes what is landed, as an engine that starts does.
func (r *rig) run(l landing.Log, is Landing) {
	r.t.Helper()
	if err := Bind(r.t.Context(), r.store, is); err != nil {
		r.t.Fatal(err)
	}
	for p := range l.Partitions() {
		if err := drain(r.t.Context(), r.task(l, p)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// replace moves the lake.
func (r *rig) replace(old, to landing.Log, is Landing) (*Result, error) {
	return Replace(r.t.Context(), Config{Store: r.store, Sinks: r.sinks, To: is, New: to, Old: old, Lost: old == nil})
}

// exact audits the lake, which has to hold all that the gateways wrote, and returns
// the result.
func (r *rig) exact(level audit.Level) *audit.Result {
	r.t.Helper()
	result := r.audit(audit.Config{Level: level})
	if !result.Exact || len(result.Logs) != len(r.gateways) {
		r.t.Fatalf("exact %v, %d logs, %q", result.Exact, len(result.Logs), result.Problems)
	}
	for i, l := range result.Logs {
		g := r.gateways[slices.IndexFunc(r.gateways, func(g *gateway) bool { return g.name == l.Gateway })]
		if l.Next != uint64(g.next) || !l.Anchored || l.Conflicts != 0 || l.Missing != 0 {
			r.t.Errorf("log %d: %+v, and the gateway wrote %s", i, l, g.next)
		}
		if level != audit.LevelOffsets && l.Digest != g.digest.String() {
			r.t.Errorf("log of %s: digest %s, want %s", l.Gateway, l.Digest, g.digest)
		}
	}
	return result
}

func (r *rig) audit(c audit.Config) *audit.Result {
	r.t.Helper()
	c.Lake, c.Checkpoints = filepath.Join(r.dir, "lake"), r.store
	result, err := audit.Run(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}
