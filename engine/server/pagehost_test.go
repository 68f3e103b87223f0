package server

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// TestNoWebPageReadsTheTap: a browser that reaches the engine's page under a
// stranger's name reads neither status nor tap, and status says that it tried.
func TestNoWebPageReadsTheTap(t *testing.T) {
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}").Replace(good))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Status, c.StatusHosts = ln.Addr().String(), []string{"engine.example"}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.log.Close() }()
	listener, local, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	defer func() { _ = local.Close() }()
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "engine.example": http.StatusOK, "localhost:1": http.StatusOK, c.Status: http.StatusOK,
	} {
		for _, path := range []string{"/status", "/tap?stage=landed"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Status+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s of %s: %d, want %d", path, host, resp.StatusCode, want)
			}
		}
	}
	if n := s.Status().Page.RefusedHosts; n != 2 {
		t.Errorf("status counts %d", n)
	}
}
