package ingest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// drips sends requests under a name until ctx ends, one after the other, each with a
// body that never ends and brings 512 bytes again and again, of which no block comes.
func drips(ctx context.Context, client *http.Client, url, name string) {
	frame := make([]byte, 512) // of zstd, to be passed over
	copy(frame, []byte{0x50, 0x2A, 0x4D, 0x18, 0xF8, 0x01, 0, 0})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		body, feed := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+wire.Path, body)
		if err != nil {
			return
		}
		wire.RequestHeader{Gateway: name, Log: record.LogID{9}, Request: wire.RequestID{1}}.Write(req.Header, true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
			_ = body.CloseWithError(errors.New("it was answered"))
		}()
		for {
			if _, err := feed.Write(frame); err != nil {
				break
			}
			<-tick.C
		}
		<-done
	}
}

// all runs drips for names, and ends them with the test.
func all(t *testing.T, clients []*http.Client, url string, names []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, name := range names {
		running.Go(func() { drips(ctx, clients[i%len(clients)], url, name) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// TestCertificatesAloneUseUpNoPlaces: as many certificates as there are places, each of
// which brings just enough not to stand still, and comes again at once when it has to
// give way. A gateway with one certificate delivers all that it has.
func TestCertificatesAloneUseUpNoPlaces(t *testing.T) {
	const places = 4
	names := []string{"mv-ada"}
	for i := range places {
		names = append(names, fmt.Sprintf("stolen-%d", i))
	}
	roots, server, leaves := certificatesOf(t, names...)
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, Identity: ingest.Identity{ClientCertificate: true}, MaxSessions: places,
		Slice: 100 * time.Millisecond, CutGrace: time.Millisecond})
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: roots, ClientAuth: tls.VerifyClientCertIfGiven}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	clientOf := func(leaf tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{leaf}}
	}
	var clients []*http.Client
	for _, leaf := range leaves[1:] {
		clients = append(clients, &http.Client{Transport: &http.Transport{TLSClientConfig: clientOf(leaf), DisableKeepAlives: true}})
	}
	all(t, clients, srv.URL, names[1:])
	until(t, "all places are taken", func() bool { return h.Stats().Sessions == places })

	s := newStore(t, t.TempDir())
	capture(t, s, 20, 20)
	f, stop := start(t, forward.Config{URL: srv.URL, Store: s, TLS: clientOf(leaves[0])})
	until(t, "all is acknowledged", drained(f))
	stop()
	judge(t, m.Landed(0)).whole(t, s)
	if h.Stats().Displaced == 0 {
		t.Error("nobody gave way")
	}
	until(t, "the others have all places again", func() bool { return h.Stats().Sessions == places })
}

// TestNamesOfOneHostShareItsPlaces: where names are only believed, all of one host have
// all places as long as nobody else wants one, and one of another host is served at once.
func TestNamesOfOneHostShareItsPlaces(t *testing.T) {
	const places = 4
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, MaxSessions: places, Slice: time.Hour, BusyHold: time.Hour, CutGrace: time.Millisecond})
	url := serve(t, h)
	var names []string
	for i := range places {
		names = append(names, fmt.Sprintf("fleet-%d", i))
	}
	all(t, []*http.Client{{Transport: &http.Transport{DisableKeepAlives: true}}}, url, names)
	until(t, "all have a place", func() bool { return h.Stats().Sessions == places })
	if n := h.Stats().Displaced; n != 0 {
		t.Errorf("%d gave way although places were free", n)
	}

	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+wire.Path, strings.NewReader(string(encode(t, c.Block(3, 20).Block))))
	if err != nil {
		t.Fatal(err)
	}
	head := wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Request: wire.RequestID{1}}
	head.Write(req.Header, true)
	dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other := &http.Client{Transport: &http.Transport{DialContext: dial.DialContext, DisableKeepAlives: true}}
	resp, err := other.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
	if err != nil || a.Code != wire.CodeNone || a.Acked != 3 || h.Stats().Displaced == 0 {
		t.Errorf("%+v, %v, %d gave way", a, err, h.Stats().Displaced)
	}
}
