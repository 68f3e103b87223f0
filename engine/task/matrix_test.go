package task

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
	"landfall/engine/published"
	"landfall/engine/stream"
)

// plant is a gateway with a log on disk and its link, and an engine with an embedded
// landing log, an ingest and a task, of which parts are stopped and damaged.
type plant struct {
	t     *testing.T
	rig   *rig // its store and sink
	dir   string
	edge  *seglog.Store
	ends  map[record.LogID]record.Offset // of every log of the gateway
	unset func()                         // ends the link

	up       atomic.Pointer[ingest.Handler] // nil: the engine is down
	server   *httptest.Server
	landing  *embedded.Log
	registry *published.Registry
	counters Counters
	stop     func() error // ends the task; nil: it does not run
}

func newPlant(t *testing.T) *plant {
	p := &plant{t: t, rig: newRig(t), dir: t.TempDir(), ends: map[record.LogID]record.Offset{}}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := p.up.Load(); h != nil {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "down", http.StatusServiceUnavailable)
	}))
	t.Cleanup(p.server.Close)
	p.openEdge()
	p.openEngine()
	t.Cleanup(func() {
		p.closeEdge()
		p.closeEngine()
	})
	return p
}

func (p *plant) landingDir() string { return filepath.Join(p.dir, "landing") }

// openEdge starts the gateway, which opens a log of its own.
func (p *plant) openEdge() {
	p.t.Helper()
	store, err := seglog.Open(seglog.Config{Dir: filepath.Join(p.dir, "edge"), SegmentBytes: 64 << 10, CapturedRecords: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.edge = store
	s, err := forward.New(forward.Config{
		Gateway: "g", URL: p.server.URL, Store: store, StatePath: filepath.Join(p.dir, "forward.state"),
		Tuning: forward.Tuning{Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, RedRetry: 20 * time.Millisecond},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p.unset = func() { cancel(); <-ended }
}

func (p *plant) closeEdge() {
	p.unset()
	_ = p.edge.Close()
}

// capture appends groups of records to the gateway's log.
func (p *plant) capture(groups int) {
	p.t.Helper()
	var b record.Builder
	for range groups {
		b.Reset()
		for i := range 3 {
			r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%d %0400d", len(p.ends), i)}
			if err := b.Add(&r); err != nil {
				p.t.Fatal(err)
			}
		}
		if _, err := p.edge.Append(&b); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, l := range p.edge.Logs() {
		p.ends[l.ID] = max(p.ends[l.ID], l.End)
	}
}

// openEngine opens the landing log and lets the gateway in; the task does not run.
func (p *plant) openEngine() {
	p.t.Helper()
	log, err := embedded.Open(embedded.Config{Dir: p.landingDir(), ID: "m", SegmentBytes: 64 << 10})
	if err != nil {
		p.t.Fatal(err)
	}
	p.landing = log
	p.registry = published.New(published.Config{Landing: log.ID(), Partitions: 1, AgainIn: time.Second})
	h, err := ingest.New(ingest.Config{Log: log, Identity: ingest.Identity{AllowUnauthenticated: true}, Published: p.registry})
	if err != nil {
		p.t.Fatal(err)
	}
	p.up.Store(h)
}

func (p *plant) closeEngine() {
	p.up.Store(nil)
	p.stopTask()
	_ = p.landing.Close()
}

func (p *plant) startTask() {
	cfg := p.rig.config(&p.counters)
	cfg.Log, cfg.Published, cfg.EpochInterval, cfg.HeadInterval = p.landing, p.registry, 20*time.Millisecond, 20*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for {
			err := Run(ctx, cfg)
			if err == nil || ctx.Err() != nil || errors.Is(err, stream.ErrFenced) {
				ended <- err
				return
			}
			p.t.Logf("the task is started again after: %v", err)
		}
	}()
	p.stop = func() error { cancel(); return <-ended }
}

func (p *plant) stopTask() {
	if p.stop != nil {
		_ = p.stop()
		p.stop = nil
	}
}

func (p *plant) until(what string, ok func() bool) {
	p.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			p.t.Fatalf("waited in vain until %s; holes %v, %d rows", what, p.registry.Holes(stream.TaskID{Landing: "m"}), len(p.rig.sink.rows()))
		}
	}
}

// untilLanded waits until the landing log says to hold everything that was captured.
func (p *plant) untilLanded() {
	p.t.Helper()
	p.until("everything has landed", func() bool {
		tail, _ := p.landing.Tail("g")
		newest, _ := p.edge.Active()
		return tail.Log == newest && tail.Next == p.ends[newest]
	})
}

// wanted is every record that the gateway has captured.
func (p *plant) wanted() []string {
	var rows []string
	for log, end := range p.ends {
		for o := range end {
			rows = append(rows, rowName("g", log.String(), o, "record"))
		}
	}
	return rows
}

// segments lists the landing log's segments, oldest first.
func (p *plant) segments() []string {
	p.t.Helper()
	names, err := filepath.Glob(filepath.Join(p.landingDir(), "p0000", "*.seg"))
	if err != nil || len(names) == 0 {
		p.t.Fatalf("no segments in %s: %v", p.landingDir(), err)
	}
	slices.Sort(names)
	return names
}

// change rewrites a file in place.
func (p *plant) change(name string, change func(data []byte) []byte) {
	p.t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	end := len(data)
	for end > 0 && data[end-1] == 0 { // room that was made beforehand
		end--
	}
	changed := change(data[:end:end])
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = f.WriteAt(changed, 0)
	if len(changed) < end {
		err = errors.Join(err, f.Truncate(int64(len(changed))))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// harm is what happens to a landing directory; older is an earlier copy of it.
type harm struct {
	name string
	do   func(p *plant, older string)
	down bool // the engine cannot run meanwhile
}

func flip(at func(size int) int) func(p *plant, _ string) {
	return func(p *plant, _ string) {
		names := p.segments()
		p.change(names[len(names)-1], func(data []byte) []byte { data[at(len(data))] ^= 1; return data })
	}
}

func harms() []harm {
	remove := func(names ...string) error {
		var errs []error
		for _, name := range names {
			errs = append(errs, os.RemoveAll(name))
		}
		return errors.Join(errs...)
	}
	must := func(p *plant, err error) {
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return []harm{
		{"a bit in the middle", flip(func(size int) int { return size / 2 }), false},
		{"a bit in the last block", flip(func(size int) int { return size - 200 }), false},
		{"a page of zeros", func(p *plant, _ string) {
			names := p.segments()
			p.change(names[0], func(data []byte) []byte { clear(data[len(data)/2 : min(len(data), len(data)/2+4096)]); return data })
		}, false},
		{"a segment cut", func(p *plant, _ string) {
			names := p.segments()
			p.change(names[len(names)-1], func(data []byte) []byte { return data[:len(data)*2/3] })
		}, true},
		{"the first segment gone", func(p *plant, _ string) { must(p, remove(p.segments()[0])) }, true},
		{"the newest segment gone", func(p *plant, _ string) {
			names := p.segments()
			must(p, remove(names[len(names)-1]))
		}, true},
		{"the partition gone", func(p *plant, _ string) { must(p, remove(filepath.Join(p.landingDir(), "p0000"))) }, true},
		{"the directory gone", func(p *plant, _ string) { must(p, remove(p.landingDir())) }, true},
		{"an older copy put back", func(p *plant, older string) {
			must(p, errors.Join(remove(p.landingDir()), os.CopyFS(p.landingDir(), os.DirFS(older))))
		}, true},
	}
}

// TestDamagedLandingIsFilledAgain: an embedded landing log is damaged before its
// records are read (C4), before they are published (C5) or after that, while the
// engine runs or is down, and the gateway goes on, is restarted, or has nothing more to
// send. In the end every record is published once and nothing is in conflict.
func TestDamagedLandingIsFilledAgain(t *testing.T) {
	for i, h := range harms() {
		for at, when := range []string{"before C4", "before C5", "after C5"} {
			for k, gateway := range []string{"goes on", "is restarted", "is silent"} {
				if os.Getenv("LANDFALL_SOAK") != "1" && (i+at)%3 != k {
					continue // each harm at each moment, and each with each gateway
				}
				t.Run(h.name+", "+when+", the gateway "+gateway, func(t *testing.T) {
					t.Parallel()
					damagedLanding(t, h, at, gateway)
				})
			}
		}
	}
}

func damagedLanding(t *testing.T, h harm, at int, gateway string) {
	p := newPlant(t)
	p.startTask()
	p.until("the partition is claimed", func() bool {
		_, known := p.registry.Of("g", record.LogID{})
		return known
	})
	p.stopTask()
	p.capture(120)
	p.untilLanded()
	older := filepath.Join(p.dir, "older")
	if err := os.CopyFS(older, os.DirFS(p.landingDir())); err != nil {
		t.Fatal(err)
	}
	if at > 0 {
		if at == 1 {
			p.rig.sink.fail(errors.New("no space"))
		}
		p.startTask()
		p.until("an epoch is committed", func() bool { return p.counters.Epochs.Load() > 0 })
		if at == 2 {
			p.until("it is published", func() bool { return len(p.rig.sink.rows()) > 0 })
		}
		p.stopTask()
		p.rig.sink.fail(nil)
	}
	p.capture(120)
	p.untilLanded()
	if h.down {
		p.closeEngine()
	}
	h.do(p, older)
	if h.down {
		p.openEngine()
	}
	if gateway == "is restarted" {
		p.closeEdge()
		p.openEdge()
	}
	p.startTask()
	if gateway != "is silent" {
		p.capture(40)
	}
	want := p.wanted()
	p.until("everything is published", func() bool { return len(p.rig.sink.rows()) >= len(want) })
	p.until("nothing is missing", func() bool { return len(p.registry.Holes(stream.TaskID{Landing: "m"})) == 0 })
	p.stopTask()
	sameRows(t, p.rig.sink.rows(), want)
	if n := p.counters.Alternations.Load(); n != 0 {
		t.Errorf("%d times two machines under one name", n)
	}
}
