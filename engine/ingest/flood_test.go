package ingest_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/published"
)

// question asks what is landed, as a gateway, and gives the HTTP status.
func question(ctx context.Context, url, gateway string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+wire.Path, http.NoBody)
	if err != nil {
		return 0, err
	}
	wire.RequestHeader{Gateway: gateway, Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(req.Header, false)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func floodable(t *testing.T, cfg ingest.Config) (*ingest.Handler, string) {
	t.Helper()
	cfg.Identity = ingest.Identity{AllowUnauthenticated: true}
	h, err := ingest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(wire.Path, h)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return h, srv.URL
}

func TestAFloodIsRefusedAndOthersAreNot(t *testing.T) {
	h, url := floodable(t, ingest.Config{Log: landingtest.NewMemory("m", 1), GatewayRequests: 1, GatewaySessions: 8, BusyHold: time.Millisecond})
	var taken, busy int
	for range 50 {
		code, err := question(t.Context(), url, "flood")
		switch {
		case err != nil:
			t.Fatal(err)
		case code == http.StatusOK:
			taken++
		case code == http.StatusTooManyRequests:
			busy++
		default:
			t.Errorf("status %d", code)
		}
	}
	if taken < 2 || busy == 0 || h.Stats().Refused[wire.CodeBusy] != uint64(busy) {
		t.Errorf("%d taken, %d busy, %d counted", taken, busy, h.Stats().Refused[wire.CodeBusy])
	}
	if code, err := question(t.Context(), url, "other"); code != http.StatusOK || err != nil {
		t.Errorf("another gateway: %d %v", code, err)
	}
}

func TestLimitsThatCannotHoldAreRefused(t *testing.T) {
	for _, c := range []ingest.Config{{GatewayBytes: 1}, {GatewayRequests: -1}, {GatewaySessions: -1}} {
		c.Log, c.Identity = landingtest.NewMemory("m", 1), ingest.Identity{AllowUnauthenticated: true}
		if _, err := ingest.New(c); err == nil {
			t.Errorf("taken: %+v", c)
		}
	}
}

// TestPacing: with fake time. A second's worth comes at once, the rest at its
// rate, whether it lands or not; another gateway waits for nothing.
func TestPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newIngest(t, ingest.Config{GatewayBytes: ingest.MinGatewayBytes})
		chain := &landingtest.Chain{Gateway: "flood", Log: record.LogID{1}}
		var blocks [][]byte
		bytes := 0
		for range 24 {
			b := chain.Block(1, 512<<10).Block
			blocks, bytes = append(blocks, b), bytes+len(b)
		}
		rest := func(n int) time.Duration {
			return time.Duration(float64(n) / ingest.MinGatewayBytes * float64(time.Second)).Round(time.Millisecond)
		}
		head := wire.RequestHeader{Gateway: "flood", Log: chain.Log, Request: wire.RequestID{1}}
		began := time.Now()
		took := func() time.Duration { return time.Since(began).Round(time.Millisecond) }
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Millisecond) // while the flood is held back
			quiet := &landingtest.Chain{Gateway: "quiet", Log: record.LogID{2}}
			a := post(t, h, wire.RequestHeader{Gateway: "quiet", Log: quiet.Log, Request: wire.RequestID{2}}, encode(t, quiet.Block(3, 40).Block))
			if a.Code != wire.CodeNone || took() != time.Millisecond {
				t.Errorf("another gateway: %q after %v", a.Code, took())
			}
		})
		if a := post(t, h, head, encode(t, blocks...)); a.Code != wire.CodeNone || a.Acked != chain.Next {
			t.Errorf("%+v", a)
		}
		if want := rest(bytes - ingest.MinGatewayBytes); took() != want {
			t.Errorf("%d bytes took %v, want %v", bytes, took(), want)
		}
		other.Wait()
		// The newest again: nothing of it lands, and it is paced all the same.
		began, head.Offset = time.Now(), chain.Next-1
		last := blocks[len(blocks)-1]
		if a := post(t, h, head, encode(t, last, last)); a.Code != wire.CodeOutOfOrder {
			t.Errorf("%+v", a)
		}
		if want := rest(2 * len(last)); took() != want {
			t.Errorf("what was landed before took %v, want %v", took(), want)
		}
	})
}

// TestNewLogsArePaced: with fake time. Whoever brings ever new logs has to wait; another
// gateway, and more of a log that is known, do not. It is the same where it is known what
// is in the lake: nothing of a log that is new.
func TestNewLogsArePaced(t *testing.T) {
	t.Run("without a lake", func(t *testing.T) { newLogsArePaced(t, nil) })
	t.Run("beside a lake", func(t *testing.T) {
		registry := published.New(published.Config{Landing: "mem", Partitions: 1, AgainIn: 5 * time.Minute})
		registry.Claimed(adaTask, nil, nil)
		newLogsArePaced(t, registry)
	})
}

func newLogsArePaced(t *testing.T, lake *published.Registry) {
	synctest.Test(t, func(t *testing.T) {
		var cfg ingest.Config
		if lake != nil {
			cfg.Published = lake
		}
		h := newIngest(t, cfg)
		send := func(gateway string, id int, more bool) wire.Answer {
			c := &landingtest.Chain{Gateway: gateway, Log: record.LogID{byte(id), byte(id >> 8), gateway[0]}}
			blocks := [][]byte{c.Block(1, 10).Block}
			head := wire.RequestHeader{Gateway: gateway, Log: c.Log, Request: wire.RequestID{1}}
			if more {
				blocks, head.Offset = [][]byte{c.Block(1, 10).Block}, 1
			}
			return post(t, h, head, encode(t, blocks...))
		}
		took := 0
		for id := range 1100 {
			switch a := send("clone", id, false); a.Code {
			case wire.CodeNone:
				took++
			case wire.CodeBusy:
				if !strings.Contains(a.Detail, "1024 new logs at once") {
					t.Fatalf("%+v", a)
				}
			default:
				t.Fatalf("%+v", a)
			}
		}
		if n := h.Stats().PacedLogs; took != 1024 || n != 1100-1024 {
			t.Errorf("%d logs were taken, %d refused", took, n)
		}
		if a := send("honest", 1, false); a.Code != wire.CodeNone {
			t.Errorf("another gateway: %+v", a)
		}
		if a := send("clone", 1023, true); a.Code != wire.CodeNone || a.Acked != 2 {
			t.Errorf("more of the newest log: %+v", a)
		}
		time.Sleep(9 * time.Second)
		if a := send("clone", 2000, false); a.Code != wire.CodeBusy || a.Acked != 0 {
			t.Errorf("too early: %+v", a)
		}
		time.Sleep(time.Second)
		if a := send("clone", 2000, false); a.Code != wire.CodeNone || a.Acked != 1 {
			t.Errorf("in its time: %+v", a)
		}
	})
}

// TestWhatDecodesToNothingIsPaced: with fake time. Frames that give no block
// cost their reading, so they are paced as they arrive.
func TestWhatDecodesToNothingIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newIngest(t, ingest.Config{GatewayBytes: ingest.MinGatewayBytes})
		frame := make([]byte, 256) // skippable (RFC 8878, section 3.1.2)
		copy(frame, []byte{0x50, 0x2A, 0x4D, 0x18, 248})
		body := bytes.Repeat(frame, 10*ingest.MinGatewayBytes/len(frame))
		began := time.Now()
		post(t, h, wire.RequestHeader{Gateway: "flood", Log: record.LogID{1}, Request: wire.RequestID{1}}, body)
		if took := time.Since(began).Round(time.Millisecond); took != 4*time.Second {
			t.Errorf("ten seconds' worth of blocks took %v, want 4 s: two come at once, and two a second", took)
		}
	})
}

// TestARefusalIsHeldBack, so that asking again and again brings one answer a
// hold; what is held is bounded, and costs others nothing.
func TestARefusalIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newIngest(t, ingest.Config{GatewayRequests: 1, MaxSessions: 3})
		ask := func(gateway string) (wire.Code, time.Duration) {
			began := time.Now()
			a := post(t, h, wire.RequestHeader{Gateway: gateway, Log: record.LogID{1}, Request: wire.RequestID{1}}, nil)
			return a.Code, time.Since(began)
		}
		for range 2 {
			if code, took := ask("flood"); code != wire.CodeNone || took != 0 {
				t.Errorf("%q after %v", code, took)
			}
		}
		var all sync.WaitGroup
		var held, atOnce atomic.Int64
		for range 5 {
			all.Go(func() {
				switch code, took := ask("flood"); {
				case code != wire.CodeBusy:
					t.Errorf("%q", code)
				case took == time.Second:
					held.Add(1)
				case took == 0:
					atOnce.Add(1)
				}
			})
		}
		synctest.Wait()
		if code, took := ask("quiet"); code != wire.CodeNone || took != 0 {
			t.Errorf("another gateway: %q after %v", code, took)
		}
		all.Wait()
		if held.Load() != 3 || atOnce.Load() != 2 {
			t.Errorf("%d were held back, %d were not", held.Load(), atOnce.Load())
		}
	})
}
