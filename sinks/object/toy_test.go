package object_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// The toy: a landing log of toyRecords numbered records; each gives one row
// that says how many records of its key came before, out of keyed state.
const (
	toyRecords = 9
	toyEpoch   = 3 // records an epoch
	toyKeys    = 5
	toyFold    = 2 // entries of the ledger in one object
)

var toyTask = stream.TaskID{Landing: "toy"}

// toySink stages two outputs an epoch through Files, by parity of the record.
type toySink struct{ files object.Files }

func (s *toySink) Name() string { return "toy" }

func (s *toySink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return &toyStage{sink: s, task: task, claim: claim, epoch: epoch}, nil
}

func (s *toySink) Publish(ctx context.Context, staged []stream.Staged) error {
	for _, o := range staged {
		if err := s.files.Publish(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *toySink) Verify(ctx context.Context, staged []stream.Staged) error {
	for _, o := range staged {
		if err := s.files.Verify(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Replace implements stream.Replacer.
func (s *toySink) Replace(ctx context.Context, staged stream.Staged, damaged string) error {
	return s.files.Replace(ctx, staged, damaged)
}

func (s *toySink) Collect(ctx context.Context, task stream.TaskID, keep map[string]bool, alive func() error) error {
	folder := "_staging/" + task.String() + "/"
	names, err := s.files.List(ctx, folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if keep[name] {
			continue
		}
		if err := alive(); err != nil {
			return err
		}
		if err := s.files.Remove(ctx, name); err != nil {
			return err
		}
	}
	if err := alive(); err != nil {
		return err
	}
	return s.files.Sweep(ctx, folder)
}

type toyStage struct {
	sink  *toySink
	task  stream.TaskID
	claim stream.ClaimID
	epoch stream.Epoch
	lines [2]bytes.Buffer
}

func (s *toyStage) Write(rows *table.Batch) error {
	for _, r := range rows.Records {
		s.lines[r.Offset%2].Write(append(r.Raw, '\n'))
	}
	return nil
}

func (s *toyStage) Seal(ctx context.Context) ([]stream.Staged, error) {
	var all []stream.Staged
	for i := range s.lines {
		if s.lines[i].Len() == 0 {
			continue
		}
		o, err := s.seal(ctx, i)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func (s *toyStage) seal(ctx context.Context, i int) (stream.Staged, error) {
	data := s.lines[i].Bytes()
	h := sha256.Sum256(data)
	o := stream.Staged{
		Sink: "toy", Table: table.Record,
		Name:   fmt.Sprintf("_staging/%s/%s/%s-%d", s.task, s.claim, s.epoch.Padded(), i),
		Target: fmt.Sprintf("out/dt=%d/%s-%s-%d", i, s.task, s.epoch.Padded(), i),
		Rows:   int64(bytes.Count(data, []byte("\n"))), Bytes: int64(len(data)), SHA256: hex.EncodeToString(h[:]),
	}
	f, err := s.sink.files.Create(ctx, o.Name, o.Target)
	if err != nil {
		return o, err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		f.Place(&o)
	}
	return o, errors.Join(err, f.Close())
}

func (s *toyStage) Abandon()     {}
func (s *toyStage) Rows() int    { return 0 }
func (s *toyStage) Bytes() int64 { return 0 }

type counts struct{}

func (counts) Version() uint16 { return 1 }
func (counts) AppendKey(dst []byte, k int) []byte {
	return binary.AppendUvarint(dst, uint64(k))
}
func (counts) AppendValue(dst []byte, v int) []byte { return binary.AppendUvarint(dst, uint64(v)) }
func (counts) DecodeKey(_ uint16, src []byte) (int, error) {
	k, _ := binary.Uvarint(src)
	return int(k), nil
}
func (c counts) DecodeValue(v uint16, src []byte) (int, error) { return c.DecodeKey(v, src) }

// world is the disk, and every manifest that HEAD on it ever named.
type world struct {
	fsys  *faultfs.FS // nil: in a bucket
	again func() (checkpoint.Store, object.Files, error)
	store checkpoint.Store // unspoilt
	files object.Files

	backlog  int // 1: nothing runs beside anything
	watch    sync.Mutex
	mu       sync.Mutex
	history  []checkpoint.Manifest
	released int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldOn(t, faultfs.New())
}

// copied returns a world with the same disk and the same past.
func (w *world) copied(t testing.TB) *world {
	t.Helper()
	c := worldOn(t, w.fsys.Clone())
	c.history, c.released = slices.Clone(w.history), w.released
	return c
}

// worldOn starts a process on a disk.
func worldOn(t testing.TB, disk *faultfs.FS) *world {
	t.Helper()
	w := &world{fsys: disk, backlog: 2}
	w.again = func() (checkpoint.Store, object.Files, error) {
		store, err := object.OpenDir(w.fsys, "/lake/_checkpoint")
		if err != nil {
			return nil, nil, err
		}
		files, err := object.OpenLake(w.fsys, "/lake")
		return store, files, err
	}
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	return w
}

// open is a process that starts.
func (w *world) open() error {
	store, files, err := w.again()
	w.store, w.files = watched{store, w}, files
	return err
}

// observe notes what HEAD names, if that is new.
func (w *world) observe() {
	m, err := checkpoint.Load(context.Background(), w.store, toyTask)
	if err != nil {
		return // absent, or the power is off: the next one sees it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.history); n == 0 || w.history[n-1].Claim != m.Claim || w.history[n-1].Epoch != m.Epoch {
		w.history = append(w.history, m)
	}
}

// watched notes HEAD after every swap.
type watched struct {
	checkpoint.Store
	w *world
}

func (s watched) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	s.w.watch.Lock() // nothing moves HEAD before it is noted
	defer s.w.watch.Unlock()
	v, err := s.Store.Swap(ctx, name, old, data)
	s.w.observe()
	return v, err
}

// toy is one process with the task.
type toy struct {
	c     *checkpoint.Committer
	count *state.Table[int, int]
	state *state.State
	next  int64
}

func (w *world) claim(store checkpoint.Store, files object.Files) (*toy, error) {
	c, err := checkpoint.Claim(context.Background(), checkpoint.Config{
		Store: store, Sinks: []stream.Sink{&toySink{files}}, Task: toyTask, Partitions: 1, Schema: 1,
		Params: map[string]string{"gateway": "toy"}, Release: w.release,
		Remake: toyRemake, PublishBacklog: w.backlog, FoldEntries: toyFold, Attempts: 3, Backoff: time.Nanosecond,
	})
	if err != nil {
		return nil, err
	}
	t := &toy{c: c, state: state.New(), next: c.Manifest().Position.Offset}
	if t.count, err = state.Register(t.state, "count", counts{}); err == nil {
		err = t.state.Restore(c.State(context.Background()))
	}
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// release checks that nothing is given up that is not visible.
func (w *world) release(_ context.Context, below stream.Position) error {
	rows, err := w.published()
	if err == nil && int64(len(rows)) < below.Offset {
		return fmt.Errorf("%w: released below %d with %d rows visible", checkpoint.ErrCorrupt, below.Offset, len(rows))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = max(w.released, below.Offset)
	return nil
}

func (t *toy) close() error { return t.c.Close(context.Background()) }

// toyRows takes records: rows out of the records and of the state, which goes on.
func toyRows(count *state.Table[int, int], from, to int64) table.Batch {
	var batch table.Batch
	for i := from; i < to; i++ {
		n, _ := count.Get(int(i % toyKeys))
		count.Put(int(i%toyKeys), n+1)
		row := table.RecordRow{Raw: fmt.Appendf(nil, "record %d, %d of its key before", i, n)}
		row.Offset = record.Offset(i)
		batch.Records = append(batch.Records, row)
	}
	return batch
}

// toyRemake makes an epoch again.
func toyRemake(_ context.Context, r checkpoint.Remaking) error {
	st := state.New()
	count, err := state.Register(st, "count", counts{})
	if err == nil {
		err = st.Restore(r.State)
	}
	if err != nil {
		return err
	}
	batch := toyRows(count, r.From.Offset, r.To.Offset)
	return r.Stage.Write(&batch)
}

// epoch does one epoch; false at the end of the landing log.
func (t *toy) epoch() (bool, error) {
	if t.next >= toyRecords {
		return false, nil
	}
	stages, err := t.c.Begin()
	if err != nil {
		return false, err
	}
	batch := toyRows(t.count, t.next, t.next+toyEpoch)
	t.next += toyEpoch
	if err := stages[0].Write(&batch); err != nil {
		return false, err
	}
	return true, t.c.Commit(context.Background(), checkpoint.Cut{
		Position: stream.Position{Log: "toy", Offset: t.next}, Stages: stages, Snapshot: t.state.Snapshot,
		Watermarks: []stream.Watermark{{Gateway: "g", At: 1}}, Final: t.next >= toyRecords,
	})
}

// run claims and does all that is left.
func (w *world) run(store checkpoint.Store, files object.Files) error {
	t, err := w.claim(store, files)
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = t.epoch()
	}
	return errors.Join(err, t.close())
}

func expected() []string {
	var rows []string
	for i := range toyRecords {
		rows = append(rows, fmt.Sprintf("record %d, %d of its key before", i, i/toyKeys))
	}
	slices.Sort(rows)
	return rows
}

// published gives the visible rows, sorted.
func (w *world) published() ([]string, error) {
	names, err := w.files.List(context.Background(), "out/")
	if err != nil {
		return nil, err
	}
	var rows []string
	for _, name := range names {
		f, err := w.files.Open(context.Background(), name)
		if err != nil {
			return nil, err
		}
		data := make([]byte, f.Size())
		if _, err := f.ReadAt(data, 0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		rows = append(rows, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	slices.Sort(rows)
	return rows, nil
}

// verdict judges the world after a last claim has done what was left.
func (w *world) verdict() error {
	for range 2 { // the second one collects what the first one left
		w.observe()
		if err := w.run(w.store, w.files); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	rows, err := w.published()
	if err != nil {
		return err
	}
	if !slices.Equal(rows, expected()) {
		return fmt.Errorf("visible are %d rows:\n%s", len(rows), strings.Join(rows, "\n"))
	}
	if err := checkpoint.CheckHistory(w.history); err != nil {
		return err
	}
	if err := checkpoint.CheckLedger(context.Background(), w.store, w.history); err != nil {
		return err
	}
	return w.nothingLeft()
}

// nothingLeft holds that everything there is is reached from HEAD or visible.
func (w *world) nothingLeft() error {
	ctx := context.Background()
	m, err := checkpoint.Load(ctx, w.store, toyTask)
	if err != nil {
		return err
	}
	objects, err := w.store.List(ctx, "")
	if err != nil {
		return err
	}
	const entries = toyRecords / toyEpoch
	if want := 2 + len(m.State) + (entries-1)/toyFold + 1 + (entries-1)%toyFold; len(objects) != want {
		return fmt.Errorf("%d state objects, but there are %v", len(m.State), objects)
	}
	staged, err := w.files.List(ctx, "_staging/"+toyTask.String()+"/")
	if err != nil || len(staged) > 0 {
		return fmt.Errorf("left staged: %v, %w", staged, err)
	}
	if w.fsys == nil {
		return nil
	}
	return w.walk("/lake", func(path string) error {
		if strings.Contains(path, "_staging/") || strings.Contains(path, ".tmp-") {
			return fmt.Errorf("left behind: %s", path)
		}
		return nil
	})
}

func (w *world) walk(dir string, visit func(path string) error) error {
	entries, err := w.fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if !e.IsDir() {
			err = visit(path)
		} else {
			err = w.walk(path, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestToyWithoutFaults(t *testing.T) {
	w := newWorld(t)
	if err := w.verdict(); err != nil {
		t.Fatal(err)
	}
	if w.released != toyRecords {
		t.Fatalf("released up to %d of %d", w.released, toyRecords)
	}
}
