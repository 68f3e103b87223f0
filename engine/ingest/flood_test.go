package ingest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
	"landfall/engine/landing/landingtest"
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
	h, url := floodable(t, ingest.Config{Log: landingtest.NewMemory("m", 1), GatewayRequests: 1, GatewaySessions: 8})
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

// TestAFloodSlowsOthersLittle measures, for people, how long another gateway's
// questions take beside a flood of one. Run with LANDFALL_SOAK=1; no bound is
// asserted, for a time that is measured says as much of the machine.
func TestAFloodSlowsOthersLittle(t *testing.T) {
	if os.Getenv("LANDFALL_SOAK") != "1" {
		t.Skip("a measurement: LANDFALL_SOAK=1")
	}
	log, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, url := floodable(t, ingest.Config{Log: log, GatewayBytes: 32 << 20, GatewayRequests: 100, GatewaySessions: 4})
	rate := func() float64 {
		begin, n := time.Now(), 0
		for time.Since(begin) < 5*time.Second {
			if code, err := question(t.Context(), url, "quiet"); err != nil {
				t.Fatal(err)
			} else if code == http.StatusOK {
				n++
			}
			<-time.After(15 * time.Millisecond) // as a gateway does: one at a time, below its bound
		}
		return float64(n) / time.Since(begin).Seconds()
	}
	alone := rate()
	ctx, stop := context.WithCancel(t.Context())
	var flooders sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		flooders.Go(func() {
			for ctx.Err() == nil {
				if _, err := question(ctx, url, "flood"); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	beside := rate()
	stop()
	flooders.Wait()
	t.Logf("alone %.1f requests/s, beside a flood of %d/s %.1f requests/s: %.0f%%", alone, asked.Load()/5, beside, 100*beside/alone)
}
