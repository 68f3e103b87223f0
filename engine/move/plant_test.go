package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/checkpoint"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/kafka"
	"landfall/engine/published"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// unsynced is the real file system without waiting for the disk: no test on it cuts
// the power.
type unsynced struct{ durable.OS }

type unsyncedFile struct{ durable.File }

func (unsyncedFile) Sync() error     { return nil }
func (unsyncedFile) SyncData() error { return nil }

func unsyncedOf(f durable.File, err error) (durable.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (u unsynced) Open(name string) (durable.File, error)   { return unsyncedOf(u.OS.Open(name)) }
func (u unsynced) Create(name string) (durable.File, error) { return unsyncedOf(u.OS.Create(name)) }
func (u unsynced) OpenWrite(name string) (durable.File, error) {
	return unsyncedOf(u.OS.OpenWrite(name))
}
func (unsynced) SyncDir(string) error { return nil }

// plant is a gateway with a log on disk and its link, a lake of Parquet files, and
// engines that feed it, of which parts are stopped and damaged.
type plant struct {
	t     *testing.T
	rng   *rand.Rand
	dir   string
	store checkpoint.Store
	held  atomic.Bool // nothing is published
	is    Landing     // what feeds the lake
	kafka []string    // brokers; nil: the landing log is a directory

	server *httptest.Server
	up     atomic.Pointer[ingest.Handler] // nil: no engine answers
	owner  atomic.Pointer[plantEngine]    // whose tasks were started last: it alone claims again

	edge  *seglog.Store
	link  *forward.Session
	unset func() // ends the link; nil: there is none
	ends  map[record.LogID]record.Offset
	sent  [][3]string // log, offset and raw bytes in hexadecimal of every record that was captured
}

func newPlant(t *testing.T, dir string, rng *rand.Rand, brokers []string) *plant {
	t.Helper()
	store, err := object.OpenDir(unsynced{}, filepath.Join(dir, "lake", "_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{t: t, rng: rng, dir: dir, store: store, kafka: brokers, ends: map[record.LogID]record.Offset{}}
	p.is = Landing{Kind: Embedded, ID: "log-a", Partitions: 1 + rng.IntN(2), Place: filepath.Join(dir, "log-a")}
	if brokers != nil {
		p.is = Landing{Kind: Kafka, Partitions: 1 + rng.IntN(2), Place: "landing-a"}
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := p.up.Load(); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "down", http.StatusServiceUnavailable)
	}))
	t.Cleanup(p.server.Close)
	p.openEdge()
	t.Cleanup(p.closeEdge)
	return p
}

// openEdge starts the gateway, which opens a log of its own.
func (p *plant) openEdge() {
	p.t.Helper()
	var err error
	p.edge, err = seglog.Open(seglog.Config{FS: unsynced{}, Dir: filepath.Join(p.dir, "edge"), SegmentBytes: 32 << 10, CapturedRecords: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.openLink()
}

func (p *plant) closeEdge() {
	p.closeLink()
	_ = p.edge.Close()
}

// openLink lets the gateway send.
func (p *plant) openLink() {
	p.t.Helper()
	s, err := forward.New(forward.Config{
		FS: unsynced{}, Gateway: "g", URL: p.server.URL, Store: p.edge, StatePath: filepath.Join(p.dir, "forward.state"),
		Tuning: forward.Tuning{
			Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, RedRetry: 20 * time.Millisecond,
			// A question that no engine answers is asked again after HearMin, a minute else,
			// and a gateway that is silent has no other reason to come.
			HearMin: 20 * time.Millisecond, HearMax: time.Second,
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p.link, p.unset = s, func() { cancel(); <-ended }
}

func (p *plant) closeLink() {
	if p.unset != nil {
		p.unset()
		p.unset = nil
	}
}

// opening stands for the bytes of the record that opens a log, which is the store's.
const opening = "log_open"

// capture appends groups of records to the gateway's log.
func (p *plant) capture(groups int) {
	p.t.Helper()
	var b record.Builder
	for range groups {
		b.Reset()
		var raws []string
		for range 1 + p.rng.IntN(4) {
			raw := fmt.Sprintf("%d %0*d", len(p.sent)+len(raws), 100+p.rng.IntN(500), 0)
			r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: []byte(raw)}
			if err := b.Add(&r); err != nil {
				p.t.Fatal(err)
			}
			raws = append(raws, raw)
		}
		first, err := p.edge.Append(&b)
		if err != nil {
			p.t.Fatal(err)
		}
		log, _ := p.edge.Active()
		if p.ends[log] == 0 && first == 1 {
			p.sent = append(p.sent, [3]string{log.String(), "0", opening})
		}
		for i, raw := range raws {
			p.sent = append(p.sent, [3]string{log.String(), (first + record.Offset(i)).String(), fmt.Sprintf("%X", raw)})
		}
		p.ends[log] = first + record.Offset(len(raws))
	}
}

// untilPatience ends a test that waits in vain.
const untilPatience = time.Minute

// until waits for a condition.
func (p *plant) until(what string, ok func() bool, about func() string) {
	p.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(untilPatience)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			p.t.Fatalf("waited in vain until %s; %s; the gateway: %+v", what, about(), p.link.Status())
		}
	}
}

// maxPartitions is how many a plant's landing logs have at most.
const maxPartitions = 3

// plantEngine is an engine of a plant: a landing log, an ingest and tasks.
type plantEngine struct {
	p   *plant
	dir string // of an embedded landing log
	log interface {
		landing.Log
		io.Closer
	}
	registry *published.Registry
	handler  *ingest.Handler
	sink     stream.Sink
	counters task.Counters

	claimed [maxPartitions]atomic.Bool // since it was started last
	cancel  context.CancelFunc         // of its tasks; nil: they do not run
	ended   chan struct{}              // closed when its tasks have ended
}

// heldSink publishes nothing as long as the plant says so.
type heldSink struct {
	*parquet.Sink
	held *atomic.Bool
}

var errHeld = errors.New("no space")

func (h heldSink) Publish(ctx context.Context, staged []stream.Staged) error {
	if h.held.Load() {
		return errHeld
	}
	return h.Sink.Publish(ctx, staged)
}

// sinks makes the sink of one task, or of several.
func (p *plant) sinks() ([]stream.Sink, error) {
	files, err := object.OpenLake(unsynced{}, filepath.Join(p.dir, "lake"))
	if err != nil {
		return nil, err
	}
	lake, err := parquet.New(parquet.Config{Files: files, Writers: 1})
	return []stream.Sink{heldSink{lake, &p.held}}, err
}

// openLog opens a landing log: of a directory, or the topic that is names.
func (p *plant) openLog(is Landing, dir string) (interface {
	landing.Log
	io.Closer
}, error) {
	if p.kafka == nil {
		return embedded.Open(embedded.Config{FS: unsynced{}, Dir: dir, ID: is.ID, Partitions: is.Partitions, SegmentBytes: 32 << 10})
	}
	return kafka.Open(p.t.Context(), kafka.Config{
		Brokers: p.kafka, Topic: is.Place, Partitions: is.Partitions, Replication: 1, Lake: kafka.Lake{ID: fmt.Sprintf("%032d", 7), Place: p.dir},
		Client: []kgo.Opt{kgo.MetadataMinAge(10 * time.Millisecond)},
	})
}

// open opens an engine on the landing log that feeds the lake; its tasks do not run.
// dir is where it lies; a topic lies where it is.
func (p *plant) open(dir string) *plantEngine {
	p.t.Helper()
	log, err := p.openLog(p.is, dir)
	if err != nil {
		p.t.Fatal(err)
	}
	e := &plantEngine{p: p, dir: dir, log: log}
	p.t.Cleanup(e.close)
	p.is.ID = log.ID()
	if err := Bind(p.t.Context(), p.store, p.is); err != nil {
		p.t.Fatal(err)
	}
	e.registry = published.New(published.Config{Landing: log.ID(), Partitions: log.Partitions(), AgainIn: time.Second})
	e.handler, err = ingest.New(ingest.Config{Log: log, Identity: ingest.Identity{AllowUnauthenticated: true}, Published: e.registry})
	if err != nil {
		p.t.Fatal(err)
	}
	sinks, err := p.sinks()
	if err != nil {
		p.t.Fatal(err)
	}
	e.sink = sinks[0]
	return e
}

// answer lets the gateway in.
func (e *plantEngine) answer() { e.p.up.Store(e.handler) }

// start runs the tasks, until they are stopped, or fenced after they had their
// partition, or end with an error when another engine's were started since: engines of a
// group do not claim what is not theirs.
func (e *plantEngine) start() {
	e.p.owner.Store(e)
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.ended = cancel, make(chan struct{})
	var tasks sync.WaitGroup
	for n := range e.log.Partitions() {
		cfg := task.Config{
			Log: e.log, Partition: n, Store: e.p.store, Sinks: []stream.Sink{e.sink}, Published: e.registry, Counters: &e.counters,
			EpochInterval: 20 * time.Millisecond, HeadInterval: 20 * time.Millisecond, CommitTimeout: 200 * time.Millisecond,
		}
		e.claimed[n].Store(false)
		cfg.Claimed = func(task.Status, func() checkpoint.Stats) { e.claimed[n].Store(true) }
		tasks.Go(func() {
			for {
				err := task.Run(ctx, cfg)
				if err == nil || ctx.Err() != nil || e.p.owner.Load() != e || errors.Is(err, stream.ErrFenced) && e.claimed[n].Load() {
					return
				}
				e.p.t.Logf("a task is started again after: %v", err)
			}
		})
	}
	go func() { tasks.Wait(); close(e.ended) }()
}

func (e *plantEngine) stop() {
	if e.cancel != nil {
		e.cancel()
		<-e.ended
		e.cancel = nil
	}
}

func (e *plantEngine) close() {
	e.p.up.CompareAndSwap(e.handler, nil)
	e.stop()
	if e.log != nil {
		_ = e.log.Close()
		e.log = nil
	}
}

// about is what an engine knows, for a test that waits in vain.
func (e *plantEngine) about() string {
	var holes []published.Hole
	for n := range e.p.is.Partitions {
		holes = append(holes, e.registry.Holes(e.p.is.taskOf(n))...)
	}
	return fmt.Sprintf("holes %+v, published %v of %v", holes, e.reached(), e.p.ends)
}

// reached is how far the lake has come with each log of the gateway.
func (e *plantEngine) reached() map[record.LogID]record.Offset {
	at := map[record.LogID]record.Offset{}
	for log := range e.p.ends {
		if known, ok := e.registry.Of("g", log); ok {
			at[log] = known.Next
		}
	}
	return at
}

// untilClaimed waits until every partition is this engine's.
func (e *plantEngine) untilClaimed() {
	e.p.t.Helper()
	e.p.until("the partitions are claimed", func() bool {
		_, known := e.registry.Of("g", record.LogID{})
		for n := range e.p.is.Partitions {
			known = known && e.claimed[n].Load()
		}
		return known
	}, e.about)
}

// untilLanded waits until the landing log says to hold everything that was captured.
func (e *plantEngine) untilLanded() {
	e.p.t.Helper()
	e.p.until("everything has landed", func() bool {
		tail, _ := e.log.Tail("g")
		newest, _ := e.p.edge.Active()
		return tail.Log == newest && tail.Next == e.p.ends[newest]
	}, e.about)
}

// untilPublished waits until everything that was captured is in the lake, and nothing
// is asked for any more.
func (e *plantEngine) untilPublished() {
	e.p.t.Helper()
	e.p.until("everything is published", func() bool {
		at := e.reached()
		for log, end := range e.p.ends {
			if at[log] < end {
				return false
			}
		}
		for n := range e.p.is.Partitions {
			if len(e.registry.Holes(e.p.is.taskOf(n))) > 0 {
				return false
			}
		}
		return true
	}, e.about)
}

// copyDir copies a directory that somebody may be writing.
func (p *plant) copyDir(to, from string) {
	p.t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		p.t.Fatal(err)
	}
}
