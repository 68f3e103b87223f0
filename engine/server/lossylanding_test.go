package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
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

// TestADamagedLandingLogIsFilledAgain: records have landed and none is published; in
// the landing log a block is damaged, in its middle or at its end. The gateway sends
// again what is missing: everything is published, each record is taken once, nothing is
// in conflict, and the engine is healthy again.
func TestADamagedLandingLogIsFilledAgain(t *testing.T) {
	for _, part := range []string{"in the middle", "at the end"} {
		t.Run(part, func(t *testing.T) { damagedLanding(t, part == "at the end") })
	}
}

func damagedLanding(t *testing.T, atEnd bool) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}", "lake}", "lake}\nepoch: {interval: 100ms}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := object.OpenLake(durable.OS{}, c.Lake.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var engine atomic.Pointer[Server]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := engine.Load(); s != nil {
			s.ingest.ServeHTTP(w, r)
			return
		}
		http.Error(w, "no engine runs", http.StatusBadGateway)
	}))
	t.Cleanup(web.Close)
	run := func(sinks func() ([]stream.Sink, error)) (*Server, func()) {
		s, err := New(t.Context(), c, Options{Store: store, Sinks: sinks})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range s.tasks {
			task.cfg.HeadInterval = 50 * time.Millisecond
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		engine.Store(s)
		return s, func() {
			engine.Store(nil)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	log, err := seglog.Open(seglog.Config{Dir: filepath.Join(dir, "edge")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	end := record.Offset(1) // the log's opening
	capture := func(groups int) {
		var b record.Builder
		for range groups {
			b.Reset()
			for i := range 10 {
				r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: fmt.Appendf(nil, "%d %d", end, i)}
				if err := b.Add(&r); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := log.Append(&b); err != nil {
				t.Fatal(err)
			}
			end += 10
		}
	}
	session, err := forward.New(forward.Config{
		URL: web.URL, Gateway: "mv-ada", Store: log, StatePath: filepath.Join(dir, "forward"), Release: forward.ReleasePublished,
		Tuning: forward.Tuning{Linger: -1, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	forwarded := make(chan error, 1)
	go func() { forwarded <- session.Run(ctx) }()
	defer func() {
		cancel()
		<-forwarded
	}()

	first, stop := run(func() ([]stream.Sink, error) { return nil, errors.New("the lake's disk is away") })
	for range 20 {
		capture(1)
		until(t, "it has landed", func() bool { g := first.Status().Gateways; return len(g) == 1 && g[0].Acked == uint64(end) })
	}
	stop()
	flip(t, filepath.Join(dir, "landing", "p0000"), atEnd)

	second, stop := run(func() ([]stream.Sink, error) {
		sink, err := parquet.New(parquet.Config{Files: files})
		return []stream.Sink{sink}, err
	})
	defer stop()
	log0 := log.Logs()[0].ID
	capture(1)
	if !atEnd { // there the landing log itself says where it ends now
		until(t, "the task lacks something", func() bool { _, ok := second.published.Wanted("mv-ada", log0); return ok })
		capture(1) // a gateway with nothing to send asks later
	}
	until(t, "all is published", func() bool {
		at, ok := second.published.Of("mv-ada", log0)
		return ok && at.Next == end
	})
	st := second.Status()
	if task := st.Tasks[0]; task.Conflicts != 0 || task.Records != uint64(end) || (st.Ingest.Resends == 0) != atEnd || st.Store.DamagedOffsets == 0 {
		t.Errorf("%+v\n%+v\n%+v", task, st.Ingest, st.Store)
	}
	until(t, "the engine is healthy", func() bool { return second.Status().Healthy })
}

// flip changes one byte in a landing log's only segment.
func flip(t *testing.T, dir string, atEnd bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v: %v", names, err)
	}
	data, err := os.ReadFile(names[len(names)-1])
	if err != nil {
		t.Fatal(err)
	}
	used := len(data)
	for used > 0 && data[used-1] == 0 {
		used--
	}
	at := used / 2
	if atEnd {
		at = used - 40
	}
	data[at] ^= 1
	if err := os.WriteFile(names[len(names)-1], data, 0o600); err != nil {
		t.Fatal(err)
	}
}
