package tampertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/enginecli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/audit"
	"landfall/engine/ledger"
	"landfall/engine/repair"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// repaired is what landfall-engine repair printed.
type repaired struct {
	repair.Result
	Audit *audit.Result `json:"audit"`
}

// kinds counts the actions of each kind.
func (r *repaired) kinds() map[repair.Kind]int {
	n := map[repair.Kind]int{}
	for _, a := range r.Actions {
		n[a.Kind]++
	}
	return n
}

// from are the logs that a repair is given.
type from string

const (
	fromNothing from = ""
	fromEdge    from = "edge"
	fromLanding from = "landing"
	fromOther   from = "other" // gateways' logs with the same ids and other records
)

// repairs runs the verb on a copy of a lake.
func (b *Bench) repairs(with from, more ...string) (int, *repaired) {
	b.Helper()
	args := append([]string{"repair", "--lake", b.Dir, "--allowed-lateness", Windows().AllowedLateness.String(), "--json"}, more...)
	switch with {
	case fromEdge:
		for _, g := range Gateways() {
			args = append(args, "--edge-log", b.EdgeLogs[g])
		}
	case fromOther:
		for _, g := range Gateways() {
			args = append(args, "--edge-log", b.Others[g])
		}
	case fromLanding:
		args = append(args, "--landing", b.Kept)
	}
	code, out, errs := engine(b, args...)
	r := new(repaired)
	if err := json.Unmarshal([]byte(out), r); err != nil {
		b.Fatalf("exit code %d, output %q, errors %q: %v", code, out, errs, err)
	}
	return code, r
}

func engine(t testing.TB, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), enginecli.Command("landfall-engine", "test"), args, &out, &errs)
	return code, out.String(), errs.String()
}

// damage is a damage and what a repair makes of it.
type damage struct {
	name string
	of   string // the lake: good, shed
	do   func(b *Bench)
	with from
	want map[repair.Kind]int // exact numbers; nil: any
	left int                 // files or objects that cannot be repaired
	same bool                // every file has the bytes again that it had
}

func remove(t table.Name) func(b *Bench) {
	return func(b *Bench) { b.Remove(middle(b, t)) }
}

// middle is a file in the middle of a table.
func middle(b *Bench, t table.Name) string {
	all := b.Table(t)
	return all[len(all)/2]
}

// flip changes one bit in the middle of a file.
func flip(t table.Name) func(b *Bench) {
	return func(b *Bench) {
		name := middle(b, t)
		data, err := os.ReadFile(b.Path(name))
		must(b, err)
		data = bytes.Clone(data)
		data[len(data)/2] ^= 8
		Write(b, b.Path(name), data)
	}
}

// forgeRaw changes a record and makes the ledger say that it was always so.
func forgeRaw(b *Bench) { b.ForgeFile(b.SetValue(table.Record, "raw", flipLast).File) }

func forgeChain(b *Bench, e *ledger.Entry) {
	for i := range e.Logs {
		if e.Logs[i].Chain != "" {
			e.Logs[i].Chain = strings.Repeat("0", 32)
		}
	}
}

// headBit changes the first byte after some text in HEAD.
func headBit(after string, bit byte) func(b *Bench) {
	return func(b *Bench) {
		name := b.Path("_checkpoint/" + Task(0).String() + "/HEAD")
		data, err := os.ReadFile(name)
		must(b, err)
		at := bytes.Index(data, []byte(after))
		if at < 0 {
			b.Fatalf("no %s in %s", after, data)
		}
		data[at+len(after)] ^= bit
		Write(b, name, data)
	}
}

func damages() []damage {
	type kinds = map[repair.Kind]int
	restored, replaced := kinds{repair.Restored: 1}, kinds{repair.Replaced: 1}
	all := []damage{{name: "none", of: "good", do: func(*Bench) {}, same: true}}
	for _, t := range append(table.TypedNames(), table.Window, table.Late, table.Log) {
		all = append(all, damage{string(t) + " gone", "good", remove(t), fromEdge, restored, 0, true})
	}
	mixed := func(names ...string) func(b *Bench) {
		return func(b *Bench) {
			for _, name := range names {
				b.Remove(name)
			}
		}
	}
	return append(append(all, checkpointDamages()...), []damage{
		{"a bit of ais_position", "good", flip(table.AISPosition), fromEdge, kinds{repair.Restored: 1, repair.Aside: 1}, 0, true},
		{"a bit of record", "good", flip(table.Record), fromLanding, kinds{repair.Restored: 1, repair.Aside: 1}, 0, true},
		{"typed rows without the logs", "good", mixed("ais_position"), fromNothing, nil, 0, false},
		{"log without the logs", "good", remove(table.Log), fromNothing, replaced, 0, false},
		{"window without the logs", "good", remove(table.Window), fromNothing, nil, 1, false},
		{"record gone, from the gateways", "good", func(b *Bench) {
			b.Remove(b.Large(table.Record)) // of several blocks: when each of them landed nobody knows any more
		}, fromEdge, replaced, 0, false},
		{"record gone, from the landing log", "good", remove(table.Record), fromLanding, restored, 0, true},
		{"record gone, from the logs of another history", "good", remove(table.Record), fromOther, nil, 1, false},
		{"record gone, from nothing", "good", remove(table.Record), fromNothing, nil, 1, false},
		{"a typed table gone", "good", mixed("ais_static"), fromEdge, nil, 0, true},
		{"the table record gone", "good", mixed("record"), fromLanding, nil, 0, true},
		{"everything gone", "good", func(b *Bench) {
			for _, t := range table.Names() {
				b.Remove(string(t))
			}
		}, fromLanding, nil, 0, true},
		{"a gateway gone, from its own log", "good", func(b *Bench) {
			for _, t := range table.Names() {
				for _, name := range b.Table(t) {
					if taskOf(name) == Task(1).String() {
						b.Remove(name)
					}
				}
			}
		}, fromEdge, nil, 0, false},
		{"loss gone, from the landing log", "shed", remove(table.Loss), fromLanding, restored, 0, true},
		{"loss gone, from the gateways", "shed", remove(table.Loss), fromEdge, nil, 1, false},
		{"two files exchanged", "good", func(b *Bench) {
			x, y := neighbours(b.Table(table.AISPosition))
			b.Move(x, "kept")
			b.Move(y, x)
			b.Move("kept", y)
		}, fromNothing, kinds{repair.Restored: 2, repair.Aside: 2}, 0, true},
		{"a file under another day", "good", func(b *Bench) {
			name := middle(b, table.Record)
			b.Move(name, path.Join("record", "dt=2020-01-01", path.Base(name)))
		}, fromNothing, kinds{repair.Restored: 1, repair.Aside: 1}, 0, true},
		{"a foreign file and a doubled one", "good", func(b *Bench) {
			data, err := os.ReadFile(b.Path(middle(b, table.Record)))
			must(b, err)
			Write(b, b.Path("record/dt=2026-06-02/of somebody.parquet"), data)
			Write(b, b.Path(strings.Replace(middle(b, table.Record), "-0.parquet", "-1.parquet", 1)), data)
		}, fromNothing, kinds{repair.Aside: 2}, 0, true},
		{"a foreign folder", "good", func(b *Bench) {
			Write(b, b.Path("record/_delta_log/00000000000000000000.json"), []byte("{}"))
		}, fromNothing, nil, 0, true},
		{"a Parquet file in a foreign folder", "good", func(b *Bench) {
			Write(b, b.Path("record/_delta_log/00000000000000000000.checkpoint.parquet"), []byte("of another program"))
		}, fromNothing, map[repair.Kind]int{}, 1, false},
		{"raw changed and the ledger forged, from the gateways", "good", forgeRaw, fromEdge, kinds{repair.Replaced: 1, repair.Aside: 1}, 0, true},
		{"raw changed and the ledger forged, from the landing log", "good", forgeRaw, fromLanding, kinds{repair.Replaced: 1, repair.Aside: 1}, 0, true},
		{"raw, chain and the ledger forged, from the gateways", "good", func(b *Bench) {
			forgeRaw(b)
			b.Forge(Task(0), func(e *ledger.Entry) { forgeChain(b, e) })
			b.Forge(Task(1), func(e *ledger.Entry) { forgeChain(b, e) })
		}, fromEdge, nil, 2, false},
		{"the digest in the ledger forged, from the gateways", "good", func(b *Bench) {
			b.Forge(Task(1), func(e *ledger.Entry) {
				if e.Epoch == 3 {
					i := slices.IndexFunc(e.Logs, func(l ledger.Log) bool { return l.Next > l.From })
					e.Logs[i].Digest = "7"
				}
			})
		}, fromEdge, nil, 5, false},
		{"HEAD gone", "good", mixed("_checkpoint/" + Task(0).String() + "/HEAD"), fromNothing, kinds{repair.Head: 1}, 0, true},
		{"HEAD damaged", "good", func(b *Bench) {
			Write(b, b.Path("_checkpoint/"+Task(0).String()+"/HEAD"), []byte("{"))
		}, fromNothing, kinds{repair.Head: 1}, 0, true},
		{"a bit of the name in HEAD", "good", headBit(`"manifest":"`, 1), fromNothing, kinds{repair.Head: 1}, 0, true},
		{"a bit of the claim in HEAD", "good", headBit(`"claim":"`, 1), fromNothing, kinds{repair.Head: 1}, 0, true},
		{"a bit of the format in HEAD", "good", headBit(`"format":`, 2), fromNothing, nil, 1, false},
	}...)
}

// repairRecords is of how many records the lakes are that are repaired: with fewer no
// reading is late.
const repairRecords = 6_000

// TestRepair: what was damaged is right again, with the bytes that it had where
// they can be reached; an audit at the level bytes is exact, DuckDB reads what it
// read before, and repairing again finds nothing to do. What cannot be repaired
// is told.
func TestRepair(t *testing.T) {
	for _, one := range damages() {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			good := shared.like(t, Config{Records: repairRecords, Shed: one.of == "shed"})
			b := NewBench(t, good)
			if one.with == fromOther {
				b.Others = shared.like(t, Config{Records: repairRecords * 3 / 2}).EdgeLogs
			}
			one.do(b)
			dry := tree(t, b.Dir)
			code, dryly := b.repairs(one.with, "--dry-run")
			if (code == 0) != (len(dryly.Actions)+len(dryly.Left) == 0) || dryly.Audit == nil || tree(t, b.Dir) != dry {
				t.Errorf("a dry run: exit code %d, changed: %v", code, tree(t, b.Dir) != dry)
			}
			code, r := b.repairs(one.with)
			if fmt.Sprint(r.kinds()) != fmt.Sprint(dryly.kinds()) {
				t.Errorf("a dry run: %v, and then %v", dryly.kinds(), r.kinds())
			}
			if one.want != nil && fmt.Sprint(r.kinds()) != fmt.Sprint(one.want) || len(r.Left) != one.left {
				t.Errorf("%v, want %v and %d left: %+v %+v", r.kinds(), one.want, one.left, r.Actions, r.Left)
			}
			if one.left > 0 {
				if code != cli.ExitData {
					t.Errorf("exit code %d", code)
				}
				return
			}
			lossy := one.of == "shed" // which is not exact, repaired or not, for a declared loss
			if code != 0 || r.Audit.Exact == lossy {
				t.Errorf("exit code %d, audit %+v", code, r.Audit.Findings)
			}
			if missing := differing(t, good.Dir, b.Dir); one.same && len(missing) > 0 {
				t.Errorf("other bytes than before: %v", missing)
			}
			if !one.same {
				sameValues(t, good.Dir, b.Dir)
			}
			if _, again := b.repairs(one.with); len(again.Actions)+len(again.Left) > 0 {
				t.Errorf("again: %+v %+v", again.Actions, again.Left)
			}
		})
	}
}

// TestRepairEndsWithWhatTheAuditFinds: a record and the ledger were forged together, and no
// log is named: the repair finds every file as the ledger says, and ends with what the audit
// finds.
func TestRepairEndsWithWhatTheAuditFinds(t *testing.T) {
	b := NewBench(t, shared.good(t, 3_000))
	forgeRaw(b)
	code, r := b.repairs(fromNothing)
	if code != cli.ExitData || len(r.Actions)+len(r.Left) > 0 || !slices.ContainsFunc(r.Audit.Findings, func(f audit.Finding) bool { return f.Kind == audit.KindDigest }) {
		t.Errorf("exit code %d: %+v, %+v", code, r.Result, r.Audit.Findings)
	}
}

// TestRepairUnderAnEarlierCheckpoint: files of epochs that the checkpoint does not
// reach are taken on and not moved. The audit is exact; with tips, which vouch for the
// ledger that is gone, it is not, nor is one that goes on from an earlier audit of that.
func TestRepairUnderAnEarlierCheckpoint(t *testing.T) {
	good := shared.good(t, 3_000)
	b := NewBench(t, good)
	code, earlier, errs := engine(t, "audit", "--lake", b.Dir, "--json")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	since := filepath.Join(t.TempDir(), "earlier.json")
	must(t, os.WriteFile(since, []byte(earlier), 0o600))
	if code, out, errs := engine(t, "audit", "--lake", b.Dir, "--since", since); code != 0 {
		t.Errorf("audit since: exit code %d\n%s%s", code, out, errs)
	}
	b.Remove("_checkpoint")
	Copy(t, filepath.Join(good.Earlier, "_checkpoint"), b.Checkpoints())
	if code, r := b.repairs(fromNothing); code != cli.ExitOK || r.kinds()[repair.Aside] > 0 ||
		r.kinds()[repair.Head] != partitions {
		t.Errorf("exit code %d: %+v", code, r.Result)
	}
	if other := differing(t, good.Dir, b.Dir); len(other) > 0 {
		t.Errorf("other files than before: %v", other)
	}
	tips := filepath.Join(t.TempDir(), good.Tips[0].Name)
	must(t, os.WriteFile(tips, good.Tips[0].Data, 0o600))
	if code, out, errs := engine(t, "audit", "--lake", b.Dir, "--tips", tips); code != cli.ExitData ||
		!strings.Contains(out, "entry") {
		t.Errorf("audit with tips: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "audit", "--lake", b.Dir, "--since", since); code != cli.ExitData || !strings.Contains(out, "the history before it is another") {
		t.Errorf("audit since the earlier one: exit code %d\n%s%s", code, out, errs)
	}
}

// TestRepairBesideAnEngine: an engine that runs meanwhile is fenced, does its
// epoch again under a new claim, and everything is exact.
func TestRepairBesideAnEngine(t *testing.T) {
	b := goOnBench(t, shared.good(t, 6_000))
	l := b.Lake
	last := l.lastBlock(t)
	w := l.open(t)
	defer w.close(t)
	more := nextBlock(t, &last)
	w.land(t, Gateways()[0], [][]byte{more}, 1000)
	ours := slices.DeleteFunc(b.Table(table.AISPosition), func(name string) bool { return taskOf(name) != Task(1).String() })
	b.Remove(ours[len(ours)/2])
	err := w.work(t, 1, 10_000, func() {
		if code, r := b.repairs(fromEdge); len(r.Left) > 0 || r.kinds()[repair.Restored] != 1 {
			t.Errorf("exit code %d: %+v", code, r.Result)
		}
	})
	if !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the engine ended with %v", err)
	}
	w.run(t, 1, 10_000)
	if o := audited(t, l, audit.LevelBytes); !o.exact {
		t.Errorf("not exact: %+v", o.findings)
	}
	if _, m := l.Head(t, Task(1)); m.Ledger == nil || l.Ledger(t, Task(1))[len(l.Ledger(t, Task(1)))-1].Kind != ledger.KindEpoch {
		t.Error("the newest entry is not the epoch that was done again")
	}
}

// TestRepairBesideARunningEngine: the whole engine, idle, is fenced by a repair
// and goes on by itself, without an operator; its log says why. A second repair
// finds nothing to do.
func TestRepairBesideARunningEngine(t *testing.T) {
	b := goOnBench(t, shared.good(t, 3_000))
	l := b.Lake
	s, said := startEngine(t, l)
	tasks := func() []server.TaskStatus { return s.Status().Tasks }
	until := func(what string, good func(server.TaskStatus) bool) {
		t.Helper()
		for tick, over := time.Tick(20*time.Millisecond), time.After(time.Minute); ; {
			if one := tasks()[1]; good(one) {
				return
			}
			select {
			case <-tick:
			case <-over:
				t.Fatalf("not %s: %+v\n%s", what, tasks(), said.String())
			}
		}
	}
	until("claimed", func(k server.TaskStatus) bool { return k.State == server.TaskRunning && k.Ledger > 0 })
	ours := slices.DeleteFunc(b.Table(table.AISPosition), func(name string) bool { return taskOf(name) != Task(1).String() })
	b.Remove(ours[len(ours)/2])
	if code, r := b.repairs(fromEdge); code != 0 || r.kinds()[repair.Restored] != 1 {
		t.Fatalf("exit code %d: %+v", code, r.Result)
	}
	_, repaired := l.Head(t, Task(1))
	until("claimed again", func(k server.TaskStatus) bool {
		if k.State == server.TaskRed {
			t.Fatalf("it needs an operator: %s", k.Error)
		}
		_, m := l.Head(t, Task(1))
		return k.State == server.TaskRunning && k.Error == "" && k.Restarts == 1 && m.Claim != repaired.Claim
	})
	if st := s.Status(); !st.Healthy || st.Tasks[0].Restarts != 0 || !strings.Contains(said.String(), "a repair put files of the lake right") {
		t.Errorf("%+v\n%s", st.Reasons, said.String())
	}
	if code, r := b.repairs(fromEdge); code != 0 || len(r.Actions) > 0 {
		t.Errorf("again: exit code %d: %+v", code, r.Result)
	}
}

// startEngine runs the whole engine of a lake until the test ends, and returns it with
// what it logs.
func startEngine(t *testing.T, l *Lake) (*server.Server, *safeBuffer) {
	t.Helper()
	said := new(safeBuffer)
	c := server.Default()
	c.Listen, c.Identity.Unauthenticated, c.Landing.Dir, c.Landing.Partitions, c.Lake.Dir = "127.0.0.1:0", true, l.Landing, partitions, l.Dir
	c.Landing.Reserve, c.Epoch.Interval = 0, 100*time.Millisecond
	c.Window.Size, c.Window.AllowedLateness = Windows().Size, Windows().AllowedLateness
	store, err := object.OpenDir(durable.OS{}, l.Checkpoints())
	must(t, err)
	files, err := object.OpenLake(durable.OS{}, l.Dir)
	must(t, err)
	ready := make(chan struct{})
	s, err := server.New(t.Context(), c, server.Options{
		Store: store, Logger: slog.New(slog.NewTextHandler(said, nil)), Ready: func() { close(ready) },
		Sinks: func() ([]stream.Sink, error) {
			k, err := parquet.New(parquet.Config{Files: files})
			return []stream.Sink{k}, err
		},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	<-ready
	return s, said
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// lastBlock returns the newest block of the first gateway, read from a copy of its log.
func (l *Lake) lastBlock(t testing.TB) record.Block {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "edge")
	must(t, os.CopyFS(dir, os.DirFS(l.EdgeLogs[Gateways()[0]])))
	store, err := seglog.Open(seglog.Config{Dir: dir})
	must(t, err)
	blocks := blocksOf(t, store, record.LogID{0x10, LogsPerGateway})
	must(t, store.Close())
	last, err := record.Parse(blocks[len(blocks)-1])
	must(t, err)
	return last
}

// nextBlock makes a block of one text record that follows another.
func nextBlock(t testing.TB, b *record.Block) []byte {
	t.Helper()
	var next record.Builder
	next.Reset()
	must(t, next.Add(&record.Record{Kind: record.KindText, ReceivedAt: logBegin(LogsPerGateway), EventTime: record.NoTime, Raw: []byte("one more")}))
	digester := record.NewDigester(b.Log)
	digest, ok := b.Digest()
	if !ok {
		t.Fatal("the block has no digest")
	}
	next.SetDigest(digest + next.DigestAt(&digester, b.End()))
	return bytes.Clone(next.Seal(b.Log, b.End(), record.HashBlock(b.Bytes)))
}

// tree lists every file with its size and time, to see whether anything changed.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		fmt.Fprintln(&b, name, info.Size(), info.ModTime())
		return err
	}))
	return b.String()
}

// differing lists the published files that are not the same in both lakes.
func differing(t testing.TB, a, b string) (names []string) {
	t.Helper()
	for _, n := range table.Names() {
		x, y := Files(t, a, string(n)+"/*/*"), Files(t, b, string(n)+"/*/*.parquet")
		x = slices.DeleteFunc(x, func(name string) bool { return !strings.HasSuffix(name, ".parquet") })
		for _, name := range x {
			if !slices.Contains(y, name) || !same(t, filepath.Join(a, name), filepath.Join(b, name)) {
				names = append(names, name)
			}
		}
		if len(x) != len(y) {
			names = append(names, fmt.Sprintf("%d files of %s, were %d", len(y), n, len(x)))
		}
	}
	return names
}

// uncertain are the columns that a replacement may hold other values in.
func uncertain(t table.Name) string {
	switch t {
	case table.Record:
		return "landed_at"
	case table.Log:
		return "watermark, landed_at"
	case table.SensorReading:
		return "is_late"
	case table.AISStatic:
		return "is_duplicate, dup_log, dup_offset, is_late, shipname, callsign, ship_type, epfd, to_bow, to_stern, to_port, to_starboard, mothership_mmsi, vendor_id, unit_model, unit_serial"
	case table.Window, table.Late:
		return ""
	}
	return "is_duplicate, dup_log, dup_offset, is_late"
}

// sameValues compares every row in DuckDB, but for what a replacement cannot
// know.
func sameValues(t testing.TB, a, b string) {
	t.Helper()
	sameColumns(t, a, b, func(n table.Name) string {
		if u := uncertain(n); u != "" {
			return "* EXCLUDE (" + u + ")"
		}
		return "*"
	})
}
