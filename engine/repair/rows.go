package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// one is a captured record with what its row says besides.
type one struct {
	offset  record.Offset
	record  record.Record
	corrupt bool // its own bytes could not be read: it has no rows
	// rejected says that its row has a reject reason.
	rejected bool
}

// group is a run of records that landed together.
type group struct {
	gateway  string
	log      record.LogID
	landedAt record.Micros
	boot     string
	sources  []string
	after    record.Micros  // the gateway's watermark after it; record.NoTime: not known
	before   record.Micros  // and before it, as far as other rows show it; 0: they were not asked
	anchor   *record.Anchor // of a block; rows of record have their times already
	records  []one
	loss     *table.LossRow
}

func (g *group) first() record.Offset {
	if len(g.records) == 0 {
		return 0
	}
	return g.records[0].offset
}

// recordRow is a row of record in a file.
type recordRow struct {
	Gateway     string  `parquet:"_gateway"`
	Log         string  `parquet:"_log"`
	Offset      int64   `parquet:"_offset"`
	Kind        string  `parquet:"kind"`
	Source      *string `parquet:"source,optional"`
	EventTime   *int64  `parquet:"event_time,optional"`
	TimeSource  string  `parquet:"time_source"`
	TimeQuality string  `parquet:"time_quality"`
	ReceivedAt  *int64  `parquet:"received_at,optional"`
	LandedAt    *int64  `parquet:"landed_at,optional"`
	BootID      *string `parquet:"boot_id,optional"`
	Monotonic   int64   `parquet:"monotonic"`
	Raw         []byte  `parquet:"raw"`
	Flags       string  `parquet:"flags"`
	Reject      *string `parquet:"reject_reason,optional"`
}

// rowReaders bounds how many rows are read at a time.
const rowsAtOnce = 1024

// readRows reads all rows of a file whose bytes are known to be right.
func readRows[R any](f File, take func(*R) error) (err error) {
	p, err := pq.OpenFile(f, f.Size(), pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	r := pq.NewGenericReader[R](p)
	defer func() { err = errors.Join(err, r.Close()) }()
	rows := make([]R, rowsAtOnce)
	for {
		clear(rows)
		n, err := r.Read(rows)
		for i := range rows[:n] {
			if err := take(&rows[i]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// groupsOf reads the record files of an epoch and gathers what landed together,
// in the order in which it landed. false: not every file is there and right.
func (r *run) groupsOf(ctx context.Context, t *taskState, epoch stream.Epoch) (groups []*group, whole bool, err error) {
	whole = !t.unwhole[epoch]
	var last *group
	for _, name := range sortedKeys(t.files) {
		if t.files[name].Table != string(table.Record) || epochOf(name) != epoch {
			continue
		}
		f, err := r.openRight(ctx, t, name)
		if err != nil {
			return nil, false, err
		}
		if f == nil {
			whole = false
			continue
		}
		err = readRows(f, func(row *recordRow) error {
			x, err := row.one()
			if err != nil {
				return err
			}
			if last == nil || !last.takes(row, x.offset, r.blocks) {
				if last, err = row.group(); err != nil {
					return err
				}
				groups = append(groups, last)
			}
			last.add(row, x)
			return nil
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, false, fmt.Errorf("read %s: %w", name, err)
		}
		last = nil
	}
	t.sort(groups)
	return mend(groups), whole, nil
}

// sort puts groups in the order in which they landed.
func (t *taskState) sort(groups []*group) {
	slices.SortStableFunc(groups, func(a, b *group) int {
		switch {
		case a.landedAt != b.landedAt && a.landedAt != record.NoTime && b.landedAt != record.NoTime:
			return int(min(1, max(-1, a.landedAt-b.landedAt)))
		case a.log != b.log:
			return t.order[a.log.String()] - t.order[b.log.String()]
		case a.first() != b.first():
			if a.first() < b.first() {
				return -1
			}
			return 1
		}
		return 0
	})
}

// mend joins groups that were one block whose rows lie in files of two dates.
func mend(groups []*group) []*group {
	var out []*group
	for _, g := range groups {
		if n := len(out); n > 0 && out[n-1].log == g.log && out[n-1].landedAt == g.landedAt && g.landedAt != record.NoTime {
			for _, x := range g.records {
				x.record.Source = out[n-1].source(g.sources, x.record.Source)
				out[n-1].records = append(out[n-1].records, x)
			}
			slices.SortFunc(out[n-1].records, func(a, b one) int { return int(int64(a.offset) - int64(b.offset)) })
			continue
		}
		out = append(out, g)
	}
	return out
}

// source returns the number that a source of another group has here.
func (g *group) source(names []string, i uint32) uint32 {
	if int(i) >= len(names) {
		return i
	}
	return g.number(names[i])
}

func (g *group) number(name string) uint32 {
	i := slices.Index(g.sources, name)
	if i < 0 {
		i, g.sources = len(g.sources), append(g.sources, name)
	}
	return uint32(i)
}

func (row *recordRow) group() (*group, error) {
	id, err := record.ParseLogID(row.Log)
	if err != nil {
		return nil, err
	}
	return &group{gateway: strings.Clone(row.Gateway), log: id, landedAt: micros(row.LandedAt), boot: text(row.BootID), after: record.NoTime}, nil
}

// takes tells whether a row landed together with those before it.
func (g *group) takes(row *recordRow, offset record.Offset, b *blocks) bool {
	if g.gateway != row.Gateway || g.log.String() != row.Log || g.landedAt != micros(row.LandedAt) || g.boot != text(row.BootID) {
		return false
	}
	ref, ok := b.around(row.Log, offset)
	return !ok || g.first() >= ref.first
}

func (g *group) add(row *recordRow, x one) {
	if row.Source != nil {
		x.record.Source = g.number(strings.Clone(*row.Source))
	} else {
		x.record.Source = 1 << 30
	}
	g.records = append(g.records, x)
}

// one returns the row's record.
func (row *recordRow) one() (one, error) {
	x := one{offset: record.Offset(row.Offset), corrupt: row.Reject != nil && *row.Reject == rejectCorrupt, rejected: row.Reject != nil}
	x.record = record.Record{
		ReceivedAt: micros(row.ReceivedAt), EventTime: micros(row.EventTime), Monotonic: row.Monotonic, Raw: slices.Clone(row.Raw),
	}
	var ok [4]bool
	x.record.Kind, ok[0] = named(row.Kind, func(i int) string { return record.Kind(i).String() }, record.Kind(0))
	x.record.TimeSource, ok[1] = named(row.TimeSource, func(i int) string { return record.TimeSource(i).String() }, record.TimeSource(0))
	x.record.TimeQuality, ok[2] = named(row.TimeQuality, func(i int) string { return record.TimeQuality(i).String() }, record.TimeQuality(0))
	x.record.Flags, ok[3] = flags(row.Flags)
	if !ok[0] && !x.corrupt || !ok[1] || !ok[2] || !ok[3] {
		return x, fmt.Errorf("a row of record at offset %d: kind %q, time_source %q, time_quality %q, flags %q: %w",
			row.Offset, row.Kind, row.TimeSource, row.TimeQuality, row.Flags, record.ErrVersion)
	}
	return x, nil
}

// rejectCorrupt is the reject reason of a record whose own bytes cannot be read.
const rejectCorrupt = "record_corrupt"

// named finds the number with a name. Those that nobody has given a meaning have one too
// ("kind_200"): a gateway may send any.
func named[N ~uint8](name string, nameOf func(int) string, _ N) (N, bool) {
	for i := range 1 << 8 {
		if nameOf(i) == name {
			return N(i), true
		}
	}
	return 0, false
}

// flags reads what record.Flags.String wrote.
func flags(s string) (f record.Flags, ok bool) {
	if s == "" {
		return 0, true
	}
	for part := range strings.SplitSeq(s, "|") {
		found := false
		for bit := range 32 {
			if one := record.Flags(1) << bit; one.String() == part {
				f, found = f|one, true
			}
		}
		if !found {
			return 0, false
		}
	}
	return f, true
}

func micros(v *int64) record.Micros {
	if v == nil {
		return record.NoTime
	}
	return record.Micros(*v)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return strings.Clone(*s)
}

// openRight opens a file of the lake with the bytes that the ledger names: as it
// is, as it waits to be published, or as it will be when it is repaired; nil: none
// of them can be read.
func (r *run) openRight(ctx context.Context, t *taskState, name string) (File, error) {
	i := slices.IndexFunc(t.wrong, func(w wrongFile) bool { return w.Name == name })
	switch {
	case t.waiting[name]:
		f, err := r.Lake.Open(ctx, t.staged[name])
		if errors.Is(err, checkpoint.ErrNotExist) {
			return nil, nil // in a bucket, before it is published
		}
		return f, err
	case i < 0 || t.wrong[i].right:
		return r.Lake.Open(ctx, name)
	case t.wrong[i].fix == nil:
		return nil, nil
	case t.wrong[i].fix.copyOf != "":
		return r.Lake.Open(ctx, t.wrong[i].fix.copyOf)
	}
	return r.Scratch.Open(ctx, t.wrong[i].fix.from)
}
