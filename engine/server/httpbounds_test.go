package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/wire"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// aServer makes an engine that believes every name, and does not run it.
func aServer(t *testing.T) *Server {
	t.Helper()
	dir := t.TempDir()
	c, err := read(strings.NewReplacer("/var/lib/landfall", dir, "/landing}", "/landing, reserve: 0B}").Replace(good))
	if err != nil {
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
	t.Cleanup(func() { _ = s.log.Close() })
	return s
}

// TestHeadersTogetherAreBounded: many headers, each small, are not read beyond the bound,
// and the ingest hears nothing of their request.
func TestHeadersTogetherAreBounded(t *testing.T) {
	s := aServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web, _ := s.serve(listener)
	defer func() { _ = web.Close() }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	w := bufio.NewWriter(conn)
	_, _ = fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\n", wire.Path)
	for i := 0; i*64 < wire.MaxHeaderBytes+8<<10; i++ {
		_, _ = fmt.Fprintf(w, "X-%04d: %055d\r\n", i, i)
	}
	_, _ = fmt.Fprint(w, "\r\n")
	_ = w.Flush() // it may be cut off before all is read
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v, %v", resp, err)
	}
	if st := s.Status().Ingest; st.Questions != 0 {
		t.Errorf("%d questions came to the ingest", st.Questions)
	}
}
