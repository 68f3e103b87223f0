package task

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// writtenLog is a log as its gateway writes it: an opening, then texts, with a
// digest in each block.
type writtenLog struct {
	t      testing.TB
	id     record.LogID
	next   record.Offset
	prev   record.Hash
	digest record.Digest
	silent bool // the blocks carry no digest, as those of older gateways
}

func writeLog(t testing.TB, id byte) *writtenLog { return &writtenLog{t: t, id: record.LogID{id}} }

// open returns the log's first block, with nothing but its opening.
func (w *writtenLog) open(o record.Opening) []byte {
	return w.block(record.Record{Kind: record.KindLogOpen, ReceivedAt: o.OpenedAt, EventTime: record.NoTime, Raw: o.Encode()})
}

// texts returns a block of n lines of text.
func (w *writtenLog) texts(n int) []byte {
	var all []record.Record
	for i := range n {
		all = append(all, record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%s %d", w.id, int(w.next)+i)})
	}
	return w.block(all...)
}

func (w *writtenLog) block(records ...record.Record) []byte {
	w.t.Helper()
	var b record.Builder
	for i := range records {
		if err := b.Add(&records[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	d := record.NewDigester(w.id)
	w.digest += b.DigestAt(&d, w.next)
	if !w.silent {
		b.SetDigest(w.digest)
	}
	block := slices.Clone(b.Seal(w.id, w.next, w.prev))
	w.next, w.prev = w.next+record.Offset(len(records)), record.HashBlock(block)
	return block
}

// lose returns the loss of what was written since an offset; said: with the
// digest of the log at its end.
func (w *writtenLog) lose(from record.Offset, said bool) []byte {
	var digest *record.Digest
	if said {
		digest = &w.digest
	}
	w.prev = record.Hash{}
	return record.SealLoss(w.id, from, uint32(w.next-from), record.Hash{}, "shed", digest)
}

// feeder lands blocks one after the other on a processor.
type feeder struct {
	t   testing.TB
	p   *processor
	at  int64
	out table.Batch
}

func newFeeder(t testing.TB) *feeder {
	t.Helper()
	p, err := newProcessor(new(Counters), operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return &feeder{t: t, p: p}
}

// land lands blocks, each a microsecond after the one before.
func (f *feeder) land(gateway string, blocks ...[]byte) {
	f.t.Helper()
	for _, b := range blocks {
		f.at++
		if err := f.p.block(&landing.Landed{Gateway: gateway, LandedAt: record.Micros(f.at), Block: b}, stream.Position{Offset: f.at}, &f.out); err != nil {
			f.t.Fatal(err)
		}
	}
}

// end ends the epoch and returns its rows of log.
func (f *feeder) end(epoch stream.Epoch) ([]table.LogRow, []ledger.Log) {
	var out table.Batch
	logs := f.p.endEpoch(epoch, &out)
	return out.Logs, logs
}

var unknown ais.Opt[record.Digest]

// TestDigestOfALogIsCopied: it is what the newest block says of the whole log,
// and not known where that block says nothing; a loss has the difference.
func TestDigestOfALogIsCopied(t *testing.T) {
	type loss struct {
		offset, count int
		digest        ais.Opt[record.Digest]
	}
	tests := []struct {
		name   string
		blocks func(w *writtenLog) ([][]byte, []loss)
		known  bool // the log's digest at the end
	}{
		{"every block says it", func(w *writtenLog) ([][]byte, []loss) {
			return [][]byte{w.texts(3), w.texts(2)}, nil
		}, true},
		{"an older gateway", func(w *writtenLog) ([][]byte, []loss) {
			w.silent = true
			return [][]byte{w.texts(3), w.texts(2)}, nil
		}, false},
		{"known again after a block that says nothing", func(w *writtenLog) ([][]byte, []loss) {
			w.silent = true
			first := w.texts(3)
			w.silent = false
			return [][]byte{first, w.texts(2)}, nil
		}, true},
		{"a loss with its digest", func(w *writtenLog) ([][]byte, []loss) {
			first, from := w.texts(3), w.digest
			w.texts(4)
			lost := w.lose(3, true)
			return [][]byte{first, lost}, []loss{{3, 4, ais.Some(w.digest - from)}}
		}, true},
		{"a loss from the first offset on", func(w *writtenLog) ([][]byte, []loss) {
			w.texts(4)
			return [][]byte{w.lose(0, true)}, []loss{{0, 4, ais.Some(w.digest)}}
		}, true},
		{"a loss that begins in what was taken", func(w *writtenLog) ([][]byte, []loss) {
			first, from := w.texts(3), w.digest
			w.texts(4)
			return [][]byte{first, w.lose(1, true)}, []loss{{3, 4, ais.Some(w.digest - from)}}
		}, true},
		{"a loss without its digest", func(w *writtenLog) ([][]byte, []loss) {
			first := w.texts(3)
			w.texts(4)
			return [][]byte{first, w.lose(3, false)}, []loss{{3, 4, unknown}}
		}, false},
		{"known again after such a loss", func(w *writtenLog) ([][]byte, []loss) {
			first := w.texts(3)
			w.texts(4)
			lost := w.lose(3, false)
			return [][]byte{first, lost, w.texts(1)}, []loss{{3, 4, unknown}}
		}, true},
		{"a loss after a block that says nothing", func(w *writtenLog) ([][]byte, []loss) {
			w.silent = true
			first := w.texts(3)
			w.silent = false
			w.texts(4)
			return [][]byte{first, w.lose(3, true)}, []loss{{3, 4, unknown}}
		}, true},
		{"two losses, the first of unknown digest", func(w *writtenLog) ([][]byte, []loss) {
			first := w.texts(3)
			w.texts(4)
			one := w.lose(3, false)
			w.texts(2)
			two := w.lose(7, true)
			w.texts(1)
			three, last := w.lose(9, true), w.digest
			return [][]byte{first, one, two, three}, []loss{{3, 4, unknown}, {7, 2, unknown}, {9, 1, ais.Some(last - w.digestAt(9))}}
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, w := newFeeder(t), writeLog(t, 7)
			blocks, losses := tt.blocks(w)
			f.land("g", blocks...)
			if len(f.out.Losses) != len(losses) || len(f.out.Conflicts) != 0 {
				t.Fatalf("%d losses, %d conflicts", len(f.out.Losses), len(f.out.Conflicts))
			}
			for i, want := range losses {
				if got := f.out.Losses[i]; int(got.Offset) != want.offset || int(got.Count) != want.count || got.Digest != want.digest {
					t.Errorf("loss %d: %+v, want %+v", i, got, want)
				}
			}
			rows, _ := f.end(1)
			want := ais.Opt[record.Digest]{}
			if tt.known {
				want = ais.Some(w.digest)
			}
			if len(rows) != 1 || rows[0].NextOffset != w.next || rows[0].Digest != want {
				t.Fatalf("rows %+v, want digest %+v at %s", rows, want, w.next)
			}
			checkSum(t, f, rows[0])
		})
	}
}

// digestAt is the digest of the texts that a log of nothing but texts holds
// below an offset.
func (w *writtenLog) digestAt(end record.Offset) (sum record.Digest) {
	d := record.NewDigester(w.id)
	for i := range end {
		sum += d.Record(i, fmt.Appendf(nil, "%s %d", w.id, int(i)))
	}
	return sum
}

// checkSum sums up what a reader of the tables would: records and losses must be
// what the log's row says, where all of them are known.
func checkSum(t *testing.T, f *feeder, row table.LogRow) {
	t.Helper()
	id, err := record.ParseLogID(row.Log)
	if err != nil {
		t.Fatal(err)
	}
	d := record.NewDigester(id)
	known, sum := row.Digest.Valid, record.Digest(0)
	for _, r := range f.out.Records {
		sum += d.Record(r.Offset, r.Raw)
	}
	for _, l := range f.out.Losses {
		known = known && l.Digest.Valid
		sum += l.Digest.Value
	}
	if known && sum != row.Digest.Value {
		t.Errorf("record and loss sum up to %s, log says %s", sum, row.Digest.Value)
	}
}

// TestEachEpochHasARowForEachLogItTook: opened, advanced and closed logs have
// one row, with what their openings say; conflicts and duplicates none; the
// ledger is told the same.
func TestEachEpochHasARowForEachLogItTook(t *testing.T) {
	f, a, b, other := newFeeder(t), writeLog(t, 1), writeLog(t, 2), writeLog(t, 9)
	first := a.open(record.Opening{OpenedAt: 100, PrevLastAt: record.NoTime})
	f.land("g", first, a.texts(3))
	f.land("h", other.texts(2))
	rows, logs := f.end(4)
	rowA := table.LogRow{Gateway: "g", Log: a.id.String(), NextOffset: 4, OpenedAt: 100, Digest: ais.Some(a.digest), Chain: a.prev, Watermark: record.NoTime, Epoch: 4, LandedAt: 2}
	rowH := table.LogRow{Gateway: "h", Log: other.id.String(), NextOffset: 2, OpenedAt: record.NoTime, Digest: ais.Some(other.digest), Chain: other.prev, Watermark: record.NoTime, Epoch: 4, LandedAt: 3}
	sameLogRows(t, rows, rowA, rowH)
	sameLogs(t, logs,
		ledger.Log{Gateway: "g", Log: rowA.Log, Next: 4, Digest: a.digest.String(), Chain: a.prev.String(), OpenedAt: 100},
		ledger.Log{Gateway: "h", Log: rowH.Log, Next: 2, Digest: other.digest.String(), Chain: other.prev.String()})

	f.land("g", first)                   // a duplicate
	f.land("g", writeLog(t, 1).texts(1)) // a contradiction
	f.land("h", writeLog(t, 9).texts(5)) // one that reaches beyond what is held
	if rows, logs := f.end(5); len(rows)+len(logs) != 0 {
		t.Errorf("nothing was taken, and there are rows %+v and logs %+v", rows, logs)
	}

	// A newer log closes the one that it names, which did not advance.
	f.land("g", b.open(record.Opening{Prev: a.id, PrevEnd: 4, PrevLastAt: 5, OpenedAt: 200}))
	rows, logs = f.end(6)
	rowA.Closed, rowA.Epoch, rowA.LandedAt = true, 6, 7
	rowB := table.LogRow{Gateway: "g", Log: b.id.String(), NextOffset: 1, Previous: a.id.String(), PreviousEnd: 4, OpenedAt: 200, Digest: ais.Some(b.digest), Chain: b.prev,
		Watermark: record.NoTime, Epoch: 6, LandedAt: 7}
	sameLogRows(t, rows, rowA, rowB)
	sameLogs(t, logs,
		ledger.Log{Gateway: "g", Log: rowA.Log, From: 4, Next: 4, Digest: a.digest.String(), Chain: a.prev.String(), Closed: true},
		ledger.Log{Gateway: "g", Log: rowB.Log, Next: 1, Digest: b.digest.String(), Chain: b.prev.String(), Previous: rowB.Previous, PreviousEnd: 4, OpenedAt: 200})

	// Later rows say again what opened the log and that it is closed; a loss has
	// no hash.
	b.texts(2)
	f.land("g", b.lose(1, true), a.texts(1))
	rows, logs = f.end(7)
	rowA.NextOffset, rowA.Digest, rowA.Chain, rowA.Epoch, rowA.LandedAt = 5, ais.Some(a.digest), a.prev, 7, 9
	rowB.NextOffset, rowB.Digest, rowB.Chain, rowB.Epoch, rowB.LandedAt = 3, ais.Some(b.digest), record.Hash{}, 7, 8
	sameLogRows(t, rows, rowA, rowB)
	sameLogs(t, logs,
		ledger.Log{Gateway: "g", Log: rowA.Log, From: 4, Next: 5, Digest: a.digest.String(), Chain: a.prev.String(), Closed: true},
		ledger.Log{Gateway: "g", Log: rowB.Log, From: 1, Next: 3, Digest: b.digest.String()})

	// Taken over as a whole, every log begins at 0 and says what opened it.
	sameLogs(t, f.p.allLogs(),
		ledger.Log{Gateway: "g", Log: rowA.Log, Next: 5, Digest: a.digest.String(), Chain: a.prev.String(), OpenedAt: 100, Closed: true},
		ledger.Log{Gateway: "g", Log: rowB.Log, Next: 3, Digest: b.digest.String(), Previous: rowB.Previous, PreviousEnd: 4, OpenedAt: 200},
		ledger.Log{Gateway: "h", Log: rowH.Log, Next: 2, Digest: other.digest.String(), Chain: other.prev.String()})
}

func sameLogRows(t *testing.T, got []table.LogRow, want ...table.LogRow) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rows of log\n%+v, want\n%+v", got, want)
	}
}

func sameLogs(t *testing.T, got []ledger.Log, want ...ledger.Log) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("logs for the ledger\n%+v, want\n%+v", got, want)
	}
}

// TestAnOpeningClosesItsOwnGatewaysLogOnly, and one that is unreadable closes
// nothing; a log whose first record comes after the log that names it begins
// closed.
func TestAnOpeningClosesItsOwnGatewaysLogOnly(t *testing.T) {
	f, a, b, c := newFeeder(t), writeLog(t, 1), writeLog(t, 2), writeLog(t, 3)
	f.land("g", a.texts(1))
	f.land("h", b.open(record.Opening{Prev: a.id, PrevEnd: 1, OpenedAt: 9}))
	f.land("i", c.block(record.Record{Kind: record.KindLogOpen, ReceivedAt: 1, EventTime: record.NoTime, Raw: []byte{9, 9}}))
	rows, _ := f.end(1)
	if len(rows) != 3 || rows[0].Closed || rows[1].Closed || rows[2].Previous != "" || rows[2].OpenedAt != record.NoTime {
		t.Errorf("rows %+v", rows)
	}
	late, newer := writeLog(t, 4), writeLog(t, 5)
	f.land("k", newer.open(record.Opening{Prev: late.id, PrevEnd: 2, OpenedAt: 9}), late.texts(2))
	if rows, _ := f.end(2); len(rows) != 2 || !rows[0].Closed || rows[1].Closed {
		t.Errorf("rows %+v", rows)
	}
}

// TestARenamedGatewayClosesItsLog: an opening of another gateway that knows the hash of
// the last block of a log closes it. One that knows another hash, or says another end,
// or that it is not known, closes nothing; nor does any after a loss, which has no hash.
func TestARenamedGatewayClosesItsLog(t *testing.T) {
	for name, c := range map[string]struct {
		says   func(o *record.Opening)
		loses  bool
		closed bool
	}{
		"it knows the last block": {says: func(*record.Opening) {}, closed: true},
		"another hash":            {says: func(o *record.Opening) { o.PrevChain[15] ^= 1 }},
		"no hash":                 {says: func(o *record.Opening) { o.PrevChain = record.Hash{} }},
		"another end":             {says: func(o *record.Opening) { o.PrevEnd-- }},
		"an end that is unproven": {says: func(o *record.Opening) { o.PrevEndUnproven = true }},
		"a loss at the end":       {says: func(o *record.Opening) { o.PrevChain = record.Hash{} }, loses: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, a, b := newFeeder(t), writeLog(t, 1), writeLog(t, 2)
			f.land("was", a.open(record.Opening{OpenedAt: 1, PrevLastAt: record.NoTime}), a.texts(3))
			o := record.Opening{Prev: a.id, PrevEnd: 4, PrevChain: a.prev, OpenedAt: 9}
			if c.loses {
				a.texts(2)
				f.land("was", a.lose(4, true))
				o.PrevEnd = 6
			}
			f.end(1)
			c.says(&o)
			f.land("is", b.open(o))
			rows, logs := f.end(2)
			st, _ := f.p.logs.Get(a.id)
			if st.Closed != c.closed || len(rows) != len(logs) || len(rows) > 1 != c.closed {
				t.Fatalf("closed %v, rows %+v", st.Closed, rows)
			}
			if c.closed && (rows[1].Gateway != "was" || !rows[1].Closed || rows[1].NextOffset != 4 || logs[1].From != 4 || st.End != 4) {
				t.Errorf("rows %+v, logs %+v", rows, logs)
			}
			if short := f.p.shortLogs(); len(short) > 0 {
				t.Errorf("short: %+v", short)
			}
		})
	}
}

// TestLogStateVersions: the frozen bytes of each version are read, and the
// newest is written. Version 1 knew neither digests nor openings.
func TestLogStateVersions(t *testing.T) {
	hash := record.Hash{1, 2, 3, 15: 0xff}
	want := logState{Gateway: "north-pier", Next: 70_000, Hash: hash, Gaps: 2, OpenedAt: record.NoTime,
		Recent: []boundary{{First: 69_000, Count: 600, Hash: record.Hash{9}}, {First: 69_600, Count: 400, Hash: hash}}}
	for version := uint16(1); version <= (logCodec{}).Version(); version++ {
		if version == 2 {
			want.Digest, want.Closed = ais.Some(record.Digest(7143166726811136250)), true
			want.Previous, want.PreviousEnd, want.OpenedAt = record.LogID{0xab, 15: 1}, 4711, 1_780_000_000_000_000
		}
		if version == 3 {
			want.End = 70_003
			want.Hole = hole{At: stream.Position{Log: "00ff", Offset: 4711}, Since: 1_780_000_000_000_001, Order: 2, From: 70_000, End: 71_000, Blocks: 3, GivenUp: true}
		}
		if version == 4 {
			want.ShownAt = 1_780_000_000_000_002
		}
		frozen, err := os.ReadFile(fmt.Sprintf("testdata/formats/log-v%d.hex", version))
		if err != nil {
			t.Fatal(err)
		}
		p, err := hex.DecodeString(strings.TrimSpace(string(frozen)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (logCodec{}).DecodeValue(version, p); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: got %+v, %v", version, got, err)
		}
		if newest := (logCodec{}).AppendValue(nil, want); version == (logCodec{}).Version() && !bytes.Equal(newest, p) {
			t.Errorf("version %d writes %x", version, newest)
		}
	}
}
