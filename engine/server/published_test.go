package server

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// until asks until an answer is as wanted.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// send hands a request to the engine's ingest.
func send(t *testing.T, s *Server, head wire.RequestHeader, blocks ...[]byte) wire.Answer {
	t.Helper()
	var body bytes.Buffer
	if len(blocks) > 0 {
		e, err := wire.NewEncoder(&body)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			if err := e.WriteBlock(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, wire.Path, &body)
	head.Write(r.Header, len(blocks) > 0)
	w := httptest.NewRecorder()
	s.ingest.ServeHTTP(w, r)
	a, err := wire.DecodeAnswer(w.Code, w.Header().Get("Content-Type"), w.Body.Bytes(), head)
	if err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return a
}

// TestAnEngineTellsWhatIsPublished: from landing to the lake, in answers and in
// the status.
func TestAnEngineTellsWhatIsPublished(t *testing.T) {
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
	s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) {
		sink, err := parquet.New(parquet.Config{Files: files})
		return []stream.Sink{sink}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	chain := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: chain.Log, Request: wire.RequestID{1}, Keeps: true}
	if a := send(t, s, head); !a.Publishes || a.PublishedKnown || a.AgainIn != 10*time.Second {
		t.Errorf("before the engine runs: %+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	until(t, "the partition is claimed", func() bool { return send(t, s, head).PublishedKnown })
	if a := send(t, s, head, chain.Block(3, 20).Block, chain.Block(2, 20).Block); a.Acked != 5 {
		t.Errorf("%+v", a)
	}
	head.Offset = 5
	var a wire.Answer
	until(t, "all is published", func() bool {
		a = send(t, s, head)
		return a.Published.Next == 5
	})
	if a.Published.Hash != chain.Prev || a.Published.Ledger.Number == 0 || a.Published.Ledger.Task != string(s.log.ID())+"-0000" {
		t.Errorf("%+v", a)
	}
	st := s.Status()
	if g := st.Gateways[0]; g.Published == nil || *g.Published != 5 || g.Acked != 5 || g.Log != chain.Log.String() {
		t.Errorf("%+v", g)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if g := s.Status().Gateways[0]; g.Published != nil {
		t.Errorf("when it has ended: %+v", g)
	}
}
