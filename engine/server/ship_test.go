package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// ship is a gateway's log and its session, which forwards to whichever engine stands
// behind one address at the time.
type ship struct {
	t       *testing.T
	engine  atomic.Pointer[Server]
	log     *seglog.Store
	session *forward.Session
	end     record.Offset // captured so far
}

func newShip(t *testing.T) *ship {
	t.Helper()
	p := &ship{t: t, end: 1} // the log's opening
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := p.engine.Load(); s != nil {
			s.ingest.ServeHTTP(w, r)
			return
		}
		http.Error(w, "no engine runs", http.StatusBadGateway)
	}))
	t.Cleanup(web.Close)
	dir := t.TempDir()
	log, err := seglog.Open(seglog.Config{Dir: filepath.Join(dir, "edge"), SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	p.log = log
	p.session, err = forward.New(forward.Config{
		URL: web.URL, Gateway: "mv-ada", Store: log, StatePath: filepath.Join(dir, "forward"), Release: forward.ReleasePublished,
		Tuning: forward.Tuning{Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond, RedRetry: 20 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	forwarded := make(chan error, 1)
	go func() { forwarded <- p.session.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-forwarded
	})
	return p
}

// capture appends blocks of ten records each.
func (p *ship) capture(blocks int) {
	p.t.Helper()
	var b record.Builder
	for range blocks {
		b.Reset()
		for i := range 10 {
			r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%d %d", p.end, i)}
			if err := b.Add(&r); err != nil {
				p.t.Fatal(err)
			}
		}
		if _, err := p.log.Append(&b); err != nil {
			p.t.Fatal(err)
		}
		p.end += 10
	}
}

// start runs an engine whose landing log and checkpoints lie in a directory, behind
// the address, until the function that it returns is called.
func (p *ship) start(dir string, sinks func() ([]stream.Sink, error)) (*Server, func()) {
	p.t.Helper()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}", "lake}", "lake}\nepoch: {interval: 100ms}").Replace(good))
	if err != nil {
		p.t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := New(p.t.Context(), c, Options{Store: store, Sinks: sinks})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, task := range s.tasks {
		task.cfg.HeadInterval = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p.engine.Store(s)
	return s, func() {
		p.engine.Store(nil)
		cancel()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
}

// lakeIn returns what makes the sink of a lake in a directory.
func lakeIn(t *testing.T, dir string) func() ([]stream.Sink, error) {
	t.Helper()
	files, err := object.OpenLake(durable.OS{}, filepath.Join(dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	return func() ([]stream.Sink, error) {
		sink, err := parquet.New(parquet.Config{Files: files})
		return []stream.Sink{sink}, err
	}
}

// untilPublished waits until everything that was captured is in an engine's lake.
func (p *ship) untilPublished(s *Server) {
	p.t.Helper()
	until(p.t, "all is published", func() bool {
		at, ok := s.published.Of("mv-ada", p.log.Logs()[0].ID)
		return ok && at.Next == p.end
	})
}

// TestAnotherLakeBehindTheAddress: an engine of another lake takes the place of the
// right one. The gateway lets nothing go for it, says so, and goes on when the right
// one is back: everything is in the right lake, once.
func TestAnotherLakeBehindTheAddress(t *testing.T) {
	p := newShip(t)
	right, wrong := t.TempDir(), t.TempDir()
	s, stop := p.start(right, lakeIn(t, right))
	p.capture(5)
	p.untilPublished(s)
	stop()
	_, stop = p.start(wrong, lakeIn(t, wrong))
	p.capture(40)
	until(t, "it is said to be another lake", func() bool {
		reds := p.session.Status().Reds
		return len(reds) > 0 && strings.Contains(reds[0].Reason, "feeds the lake ")
	})
	if l := p.log.Logs()[0]; l.First > 51 || p.session.Status().Pending == 0 {
		t.Errorf("released below %d, %+v", l.First, p.session.Status())
	}
	stop()
	s, stop = p.start(right, lakeIn(t, right))
	p.untilPublished(s)
	until(t, "nothing is said any more", func() bool { return len(p.session.Status().Reds) == 0 })
	if task := s.Status().Tasks[0]; task.Conflicts != 0 || task.Records != uint64(p.end)-51 {
		t.Errorf("%+v", task)
	}
	stop()
}

// TestWhatIsReadIsTold: what a task has read of a gateway is not unread any more, and its
// cost is told.
func TestWhatIsReadIsTold(t *testing.T) {
	p := newShip(t)
	dir := t.TempDir()
	s, stop := p.start(dir, lakeIn(t, dir))
	p.capture(5)
	p.untilPublished(s)
	until(t, "nothing is unread", func() bool { return s.unread.All(0) == 0 && s.unread.Of("mv-ada") == 0 })
	st := s.Status().Tasks[0]
	if len(st.Costs) != 1 || st.Costs[0].Gateway != "mv-ada" || st.Costs[0].Hour.Rows == 0 || st.Costs[0].Hour.Seconds == 0 || st.Gateways != 1 || st.Logs != 1 {
		t.Errorf("%+v", st)
	}
	stop()
}
