package task

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// capturedLog makes a log of captured text records.
func capturedLog(t testing.TB, id byte, blocks, records int) testLog {
	t.Helper()
	l := testLog{id: record.LogID{id}}
	var b record.Builder
	var prev record.Hash
	d := record.NewDigester(l.id)
	for i := range blocks {
		b.Reset()
		for k := range records {
			r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%d %d %d", id, i, k)}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		mark := record.Watermark{At: record.Micros(1000 * i)}
		if err := b.Annotate(mark.Annotation()); err != nil {
			t.Fatal(err)
		}
		l.digest += b.DigestAt(&d, record.Offset(i*records))
		b.SetDigest(l.digest)
		block := slices.Clone(b.Seal(l.id, record.Offset(i*records), prev))
		l.blocks, prev = append(l.blocks, block), record.HashBlock(block)
	}
	return l
}

// rig is one partition with what survives a restart of its task.
type rig struct {
	log   *landingtest.Memory
	store checkpoint.Store
	sink  *memorySink

	windows operator.WindowConfig
}

func newRig(t testing.TB) *rig {
	t.Helper()
	store, err := object.OpenDir(durable.OS{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &rig{log: landingtest.NewMemory("m", 1), store: store, sink: newMemorySink()}
}

func (r *rig) config(c *Counters) Config {
	return Config{Log: r.log, Store: r.store, Sinks: []stream.Sink{r.sink}, Counters: c, Windows: r.windows}
}

func (r *rig) land(t testing.TB, gateway string, blocks ...[]byte) {
	t.Helper()
	for _, b := range blocks {
		if err := r.log.Append(t.Context(), landing.Landed{Gateway: gateway, LandedAt: 1, Block: b}); err != nil {
			t.Fatal(err)
		}
	}
}

// want is the rows that n records of a log give.
func want(gateway string, l testLog, n int) []string {
	var rows []string
	for i := range n {
		rows = append(rows, rowName(gateway, l.id.String(), record.Offset(i), "record"))
	}
	return rows
}

func sameRows(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%d rows published, want %d\ngot  %s\nwant %s", len(got), len(want), strings.Join(got, "; "), strings.Join(want, "; "))
	}
}

// TestIdleStreamIsVisibleWithinTheInterval: rows of a stream that fell silent
// are published one interval after their first block came, and not before; an
// epoch without blocks commits nothing.
func TestIdleStreamIsVisibleWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := capturedLog(t, 1, 3, 4)
		ctx, cancel := context.WithCancel(t.Context())
		var c Counters
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, r.config(&c)) }()
		<-time.After(time.Hour)
		if c.Epochs.Load() != 0 {
			t.Errorf("%d epochs without a block", c.Epochs.Load())
		}
		r.land(t, "g", l.blocks...)
		<-time.After(DefaultEpochInterval - time.Second)
		synctest.Wait()
		if n := len(r.sink.rows()); n != 0 {
			t.Errorf("%d rows visible before the epoch was due", n)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		sameRows(t, r.sink.rows(), want("g", l, 12))
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
}

// TestStopCommitsWhatWasRead: a task that is told to stop leaves nothing to
// recover.
func TestStopCommitsWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := capturedLog(t, 1, 5, 2)
		r.land(t, "g", l.blocks...)
		ctx, cancel := context.WithCancel(t.Context())
		var c Counters
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, r.config(&c)) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), want("g", l, 10))
		m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"})
		if err != nil || m.Position.Offset != 5 || len(m.Watermarks) != 1 || m.Watermarks[0].At != 4000 {
			t.Errorf("manifest: position %+v, watermarks %+v, %v", m.Position, m.Watermarks, err)
		}
	})
}

// TestStopDuringACommit: an epoch that is being committed when the stop comes is
// committed and published, and nothing is left to the next start.
func TestStopDuringACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := capturedLog(t, 1, 5, 2)
		r.land(t, "g", l.blocks...)
		ctx, cancel := context.WithCancel(t.Context())
		r.sink.sealing = cancel
		var c Counters
		cfg := r.config(&c)
		if err := Run(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), want("g", l, 10))
	})
}

// TestNewerBlockStopsTheTask: what this version cannot read is never passed
// over.
func TestNewerBlockStopsTheTask(t *testing.T) {
	r := newRig(t)
	l := capturedLog(t, 1, 2, 1)
	r.land(t, "g", l.blocks...)
	newer := slices.Clone(l.blocks[1])
	newer[3]++
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(newer[4:], crc32.Update(crc32.Checksum(newer[3:4], castagnoli), castagnoli, newer[8:])) // see record.JudgeVersion
	var c Counters
	p, err := newProcessor(&c, operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w := startWriter(nil, new([2]table.Batch), nil)
	batch := w.next()
	err = p.block(&landing.Landed{Gateway: "g", Block: newer}, stream.Position{Offset: 1}, batch)
	if !errors.Is(err, record.ErrVersion) {
		t.Errorf("a block of a newer format: %v", err)
	}
	damaged := slices.Clone(l.blocks[1])
	binary.LittleEndian.PutUint32(damaged[4:], 0)
	if err := p.block(&landing.Landed{Gateway: "g", Block: damaged}, stream.Position{Offset: 1}, batch); err != nil {
		t.Errorf("a damaged block stopped the task: %v", err)
	}
	if len(batch.Conflicts) != 1 || batch.Conflicts[0].Reason != "corrupt" {
		t.Errorf("a damaged block is not kept: %+v", batch.Conflicts)
	}
	if _, err := w.finish(); err != nil {
		t.Error(err)
	}
}

// TestSlowSinkBoundsTheBacklog: publishing may lag, by a bound, and never
// blocks reading before it.
func TestSlowSinkBoundsTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.sink.block = make(chan struct{})
		l := capturedLog(t, 1, 20, 1)
		r.land(t, "g", l.blocks...)
		ctx, cancel := context.WithCancel(t.Context())
		var c Counters
		cfg := r.config(&c)
		cfg.EpochRecords, cfg.PublishBacklog = 1, 3
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, cfg) }()
		synctest.Wait()
		if n := c.Epochs.Load(); n != 3 {
			t.Errorf("%d epochs committed while nothing could be published, want 3", n)
		}
		close(r.sink.block)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), want("g", l, 20))
	})
}

// crashingStore fails from its n-th call on: some of the calls are done all the
// same.
type crashingStore struct {
	checkpoint.Store
	left atomic.Int64 // publishing reads HEAD beside the epoch
	done bool
}

var errCrash = errors.New("crashed")

func (s *crashingStore) Create(ctx context.Context, name string, data []byte) error {
	left := s.left.Add(-1)
	if left > 0 {
		return s.Store.Create(ctx, name, data)
	}
	if left == 0 && s.done {
		_ = s.Store.Create(ctx, name, data)
	}
	return errCrash
}

func (s *crashingStore) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	left := s.left.Add(-1)
	if left > 0 {
		return s.Store.Swap(ctx, name, old, data)
	}
	if left == 0 && s.done {
		_, _ = s.Store.Swap(ctx, name, old, data)
	}
	return "", errCrash
}

func (s *crashingStore) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if s.left.Load() <= 0 {
		return nil, "", errCrash
	}
	return s.Store.Read(ctx, name)
}

// TestCrashesBetweenBlocks lands blocks of two gateways, with copies of what
// was landed before and a clone's blocks between them, and crashes the task
// again and again at a random call of its store. Every record is published
// once, every contradiction is kept.
func TestCrashesBetweenBlocks(t *testing.T) {
	conflicts := 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := newRig(t)
		logs := map[string]testLog{"g": capturedLog(t, 1, 30, 3), "h": capturedLog(t, 2, 30, 3)}
		at := map[string]int{}
		wantRows := append(want("g", logs["g"], 90), want("h", logs["h"], 90)...)
		for at["g"] < 30 || at["h"] < 30 {
			for range rng.IntN(8) {
				g := []string{"g", "h"}[rng.IntN(2)]
				i := at[g]
				if i > 0 && rng.IntN(4) == 0 {
					i = rng.IntN(i) // a late copy
				} else if i < 30 {
					at[g]++
				}
				if i == 30 {
					continue
				}
				r.land(t, g, logs[g].blocks[i])
			}
			if at["g"] > 2 && rng.IntN(5) == 0 { // somebody else's machine under this LogID
				r.land(t, "h", logs["g"].blocks[at["g"]-1])
				wantRows = append(wantRows, rowName("h", logs["g"].id.String(), record.Offset(3*(at["g"]-1)), "conflict gateway"))
				conflicts++
			}
			crash(t, r, rng)
		}
		var c Counters
		cfg := r.config(&c)
		ctx, cancel := context.WithCancel(t.Context())
		cfg.EpochInterval = time.Millisecond
		cfg.Progress = func(s Status) {
			if s.Position.Offset == r.landed(t) {
				cancel()
			}
		}
		r.land(t, "g", logs["g"].blocks[29]) // one more copy, so that there is something to read
		if err := Run(ctx, cfg); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cancel()
		sameRows(t, r.sink.rows(), wantRows)
		last := r.sink.checkLogs(t)
		for g, l := range logs {
			if row := last[l.id.String()]; row.Gateway != g || row.NextOffset != 90 || row.Digest != ais.Some(l.digest) || row.Chain != record.HashBlock(l.blocks[29]) || row.Watermark != 29_000 {
				t.Errorf("seed %d: the last row of %s is %+v", seed, l.id, row)
			}
		}
	}
	if conflicts == 0 {
		t.Fatal("no seed made a conflict")
	}
}

// landed is the offset after the newest landed block.
func (r *rig) landed(t testing.TB) int64 {
	t.Helper()
	m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"})
	if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
		t.Fatal(err)
	}
	reader, err := r.log.Reader(0, m.Position)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	end := m.Position.Offset
	for {
		_, after, err := reader.Next(ctx)
		if err != nil {
			return end
		}
		end = after.Offset
	}
}

// crash runs the task until its store fails.
func crash(t *testing.T, r *rig, rng *rand.Rand) {
	t.Helper()
	var c Counters
	cfg := r.config(&c)
	store := &crashingStore{Store: r.store, done: rng.IntN(2) == 0}
	store.left.Store(int64(1 + rng.IntN(13)))
	cfg.Store = store
	cfg.EpochRecords = 1 + rng.IntN(12)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	cfg.CommitTimeout = 50 * time.Millisecond
	err := Run(ctx, cfg)
	if err != nil && !errors.Is(err, errCrash) && ctx.Err() == nil {
		t.Fatalf("task ended with %v", err)
	}
}

// TestALossIsARow: what a gateway declares lost stands in the table loss, and
// what it has around that in record.
func TestALossIsARow(t *testing.T) {
	l := capturedLog(t, 1, 3, 2)
	var c Counters
	p, err := newProcessor(&c, operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out table.Batch
	for i, block := range [][]byte{l.blocks[0], record.SealLoss(l.id, 2, 2, record.Hash{}, "corrupt", nil), l.blocks[2]} {
		if err := p.block(&landing.Landed{Gateway: "g", LandedAt: 9, Block: block}, stream.Position{Offset: int64(i) + 1}, &out); err != nil {
			t.Fatal(err)
		}
	}
	want := table.LossRow{Gateway: "g", Log: l.id.String(), Offset: 2, Count: 2, Reason: "corrupt", LandedAt: 9}
	if len(out.Losses) != 1 || out.Losses[0] != want || len(out.Records) != 4 || len(out.Conflicts) != 0 || c.Lost.Load() != 2 {
		t.Errorf("loss %+v, want %+v; %d records, %d conflicts, %d counted", out.Losses, want, len(out.Records), len(out.Conflicts), c.Lost.Load())
	}
}

// TestTheBytesOfStateAreKnownFromTheClaimOn: after a restart too, before anything comes.
func TestTheBytesOfStateAreKnownFromTheClaimOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 2, 5)
		r.land(t, "gw", l.blocks...)
		for round, want := range []bool{false, true} {
			var claimed Status
			cfg := r.config(new(Counters))
			cfg.Claimed = func(st Status, _ func() checkpoint.Stats) { claimed = st }
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, cfg) }()
			synctest.Wait()
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if n := claimed.Checkpoint.StateBytes; n > 0 != want {
				t.Errorf("claim %d begins with %d bytes of state", round, n)
			}
		}
	})
}
