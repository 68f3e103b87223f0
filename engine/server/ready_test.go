package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// TestNotReadyWhileASinkRefuses: what lands has no way out, and both lights name
// the partition and the sink's own words.
func TestNotReadyWhileASinkRefuses(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Status = ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) { return nil, errors.New("the sink refuses") }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for _, path := range []string{"/readyz", "/healthz"} {
		for said := ""; !strings.HasPrefix(said, "503 ") || !strings.Contains(said, "partition 0 is retrying: the sink refuses"); {
			select {
			case <-tick.C:
				said = ask(t, "http://"+c.Status+path)
			case <-limit:
				t.Fatalf("%s says %q", path, said)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// ask gives a code and what is said with it; nothing while nobody answers.
func ask(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3] + " " + string(body)
}

// TestAConflictTurnsHealthRed, and names the table to look into, and whose blocks they are.
func TestAConflictTurnsHealthRed(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, c.CheckpointDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) { return nil, errors.New("no sinks here") }})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); !st.Healthy {
		t.Errorf("before: %q", st.Reasons)
	}
	s.tasks[0].counters.Contradictions.Add("mallory", 1)
	s.tasks[0].counters.Contradictions.Add("mallory", 2)
	if st := s.Status(); st.Healthy || !strings.Contains(strings.Join(st.Reasons, "\n"), "partition 0: 2 blocks contradict a log; see the table conflict: gateway mallory") {
		t.Errorf("healthy %v: %q", st.Healthy, st.Reasons)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ended); err != nil {
		t.Error(err)
	}
}
