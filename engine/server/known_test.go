package server

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// TestRefusedGatewaysTurnHealthRed: for an hour, with the key that says how many there may be.
func TestRefusedGatewaysTurnHealthRed(t *testing.T) {
	h, err := ingest.New(ingest.Config{Log: landingtest.NewMemory("m", 1), MaxGateways: 1, BusyHold: time.Millisecond,
		Identity: ingest.Identity{AllowUnauthenticated: true}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{ingest: h, cfg: Config{Limits: LimitsConfig{Gateways: 1}}}
	for i, name := range []string{"a", "b"} {
		if why := s.gatewayReasons(time.Now()); len(why) != 0 {
			t.Errorf("before %s: %q", name, why)
		}
		c := &landingtest.Chain{Gateway: name, Log: record.LogID{byte(i + 1)}}
		var body bytes.Buffer
		e, err := wire.NewEncoder(&body)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.WriteBlock(c.Block(1, 10).Block), e.Close()); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, wire.Path, &body)
		wire.RequestHeader{Gateway: name, Log: c.Log, Request: wire.RequestID{1}}.Write(r.Header, true)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if why := s.gatewayReasons(time.Now()); len(why) != 1 || !strings.Contains(why[0], "1 gateways are known, as many as limits.gateways allows") {
		t.Errorf("%q", why)
	}
	if why := s.gatewayReasons(time.Now().Add(time.Hour)); len(why) != 0 {
		t.Errorf("an hour later: %q", why)
	}
}
