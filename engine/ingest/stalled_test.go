package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// send begins a request of a gateway whose body is what is written to the feed. Its
// answer comes through the channel, none where the connection broke.
func send(t *testing.T, url string, c *landingtest.Chain) (feed *io.PipeWriter, answer <-chan wire.Answer) {
	t.Helper()
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+wire.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	head := wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Request: wire.RequestID{1}}
	head.Write(req.Header, true)
	got := make(chan wire.Answer, 1)
	go func() {
		defer close(got)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err == nil {
			a, _ := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
			got <- a
		}
	}()
	return feed, got
}

// TestAStalledBodyGivesWay: every place is taken by a body that brings nothing any more.
// A gateway that comes then is served: the one that has stood still longest gives way,
// what had come of it has landed, and it is told why. The others keep their places.
func TestAStalledBodyGivesWay(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, MaxSessions: 2, CutGrace: time.Millisecond, BusyHold: time.Hour})
	url := serve(t, h)
	first := &landingtest.Chain{Gateway: "first", Log: record.LogID{1}}
	feed, answer := send(t, url, first)
	defer func() { _ = feed.Close() }()
	e, err := wire.NewEncoder(feed)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.WriteBlock(first.Block(3, 20).Block); err != nil {
		t.Fatal(err)
	}
	until(t, "its block has landed", func() bool { return len(m.Landed(0)) == 1 })
	other, _ := send(t, url, &landingtest.Chain{Gateway: "second", Log: record.LogID{2}})
	defer func() { _ = other.Close() }()
	until(t, "all places are taken", func() bool { return h.Stats().Sessions == 2 })

	honest := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{3}}
	body := encode(t, honest.Block(2, 20).Block)
	still := time.Now()
	until(t, "they have stood still for a second", func() bool { return time.Since(still) > 1100*time.Millisecond })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a := post(t, h, wire.RequestHeader{Gateway: "mv-ada", Log: honest.Log, Request: wire.RequestID{1}}, body,
		func(r *http.Request) { *r = *r.WithContext(ctx) })
	if a.Code != wire.CodeNone || a.Acked != 2 || ctx.Err() != nil {
		t.Errorf("the one that waits is told %+v, %v", a, ctx.Err())
	}
	if st := h.Stats(); st.Displaced != 1 || st.Sessions != 1 {
		t.Errorf("%d gave way, %d have places", st.Displaced, st.Sessions)
	}
	if a, ok := <-answer; ok && (a.Code != wire.CodeBusy || a.Acked != 3 || !strings.Contains(a.Detail, "another request waited for its place")) {
		t.Errorf("the one that gave way was told %+v", a)
	}
	until(t, "it stands in its status", func() bool {
		return strings.HasPrefix(h.Gateways()["first"].LastError, "busy: ended because another request waited")
	})
}

// TestNobodyGivesWayToWhoIsOverItsBound: a gateway that may have no further request does
// not end those of others by asking.
func TestNobodyGivesWayToWhoIsOverItsBound(t *testing.T) {
	h := newIngest(t, ingest.Config{MaxSessions: 2, GatewaySessions: 1, BusyHold: time.Millisecond, CutGrace: time.Millisecond})
	url := serve(t, h)
	for i, name := range []string{"thin", "flood"} {
		feed, _ := send(t, url, &landingtest.Chain{Gateway: name, Log: record.LogID{byte(i + 1)}})
		defer func() { _ = feed.Close() }()
	}
	until(t, "all places are taken", func() bool { return h.Stats().Sessions == 2 })
	still := time.Now()
	until(t, "they have stood still for a second", func() bool { return time.Since(still) > 1100*time.Millisecond })
	for range 3 {
		a := post(t, h, wire.RequestHeader{Gateway: "flood", Log: record.LogID{2}, Request: wire.RequestID{1}}, nil)
		if st := h.Stats(); a.Code != wire.CodeBusy || st.Displaced != 0 || st.Sessions != 2 {
			t.Errorf("%q, %d gave way, %d have places", a.Code, st.Displaced, st.Sessions)
		}
	}
}

// TestABodyThatDripsIsEnded: a byte now and then is no progress.
func TestABodyThatDripsIsEnded(t *testing.T) {
	h := newIngest(t, ingest.Config{StallTimeout: 300 * time.Millisecond})
	feed, answer := send(t, serve(t, h), &landingtest.Chain{Gateway: "drip", Log: record.LogID{1}})
	ended := make(chan struct{})
	defer func() {
		_ = feed.CloseWithError(errors.New("the test has ended"))
		<-ended
	}()
	go func() {
		defer close(ended)
		frame := []byte{0x50, 0x2A, 0x4D, 0x18, 248, 0, 0, 0} // of zstd, to be passed over, of 248 bytes
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			b := byte(0)
			if i%256 < len(frame) {
				b = frame[i%256]
			}
			if _, err := feed.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	}()
	until(t, "its place is taken, and free again", func() bool { st := h.Stats(); return st.Requests == 1 && st.Sessions == 0 })
	if a, ok := <-answer; ok && a.Code != wire.CodeTruncated {
		t.Errorf("answered %+v", a)
	}
}

// TestARefusedBodyIsNotWaitedFor: whoever is refused and goes on sending a byte now and
// then does not keep the connection, however many bytes would be read to its end.
func TestARefusedBodyIsNotWaitedFor(t *testing.T) {
	h := newIngest(t, ingest.Config{StallTimeout: 100 * time.Millisecond, Identity: ingest.Identity{ClientCertificate: true}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t, h), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: engine\r\nTransfer-Encoding: chunked\r\n%s: ada\r\n\r\n1\r\nx\r\n", wire.Path, wire.HeaderGateway); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn) // the answer, and then its end
	}()
	until(t, "the connection ends", func() bool {
		_, _ = fmt.Fprint(conn, "1\r\nx\r\n") // until it takes no more
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
}
