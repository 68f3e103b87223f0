package ingest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing/landingtest"
)

// TestGatewaysRememberedAreBounded: of ever new names no more are remembered than the
// bound, and one whose request runs is never forgotten.
func TestGatewaysRememberedAreBounded(t *testing.T) {
	h, err := New(Config{Log: landingtest.NewMemory("mem", 1), Identity: Identity{AllowUnauthenticated: true}, MaxSessions: 2 * keptGateways})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(name string) (*session, *gateway) {
		r := httptest.NewRequest(http.MethodPost, wire.Path, nil)
		s := &session{h: h, r: r, head: wire.RequestHeader{Gateway: name}, body: &requestBody{}}
		g, err := h.admit(s)
		if err != nil {
			t.Fatal(err)
		}
		return s, g
	}
	running := map[string]*gateway{}
	for i := range keptGateways - 1 {
		name := fmt.Sprintf("running-%d", i)
		_, running[name] = admit(name)
	}
	for i := range 100 {
		h.dismiss(admit(fmt.Sprintf("name-%d", i)))
	}
	if n := len(h.gateways); n != keptGateways {
		t.Errorf("%d gateways are remembered", n)
	}
	for name, g := range running {
		if h.gateways[name] != g {
			t.Errorf("%s is forgotten while its request runs", name)
		}
	}
}

// TestWhatIsRememberedOfAGatewayIsBounded: ends of blocks, contradictions, logs and
// repeats, as many as it brings; the newest ends are among those kept.
func TestWhatIsRememberedOfAGatewayIsBounded(t *testing.T) {
	cfg := Config{}.withDefaults()
	g := newGateway(&cfg)
	for i := range 3 * keptBoundaries {
		var hash record.Hash
		hash[0], hash[1] = byte(i), byte(i>>8)
		log := record.LogID{byte(i), byte(i >> 8), 1}
		g.see(log, 0)
		g.contradicts(hash)
		g.resend(log, &resend{})
		g.landed(record.LogID{7}, boundary{end: record.Offset(i + 1), hash: hash})
		if _, ok := g.hashAt(record.LogID{7}, record.Offset(i+1)); !ok {
			t.Fatalf("the end that came last, %d, is not remembered", i+1)
		}
		if len(g.ends) > keptBoundaries || len(g.conflicts) > keptConflicts || len(g.before) > keptLogs ||
			len(g.resends) > keptResends {
			t.Fatalf("%d ends, %d contradictions, %d logs, %d repeats", len(g.ends), len(g.conflicts), len(g.before), len(g.resends))
		}
	}
}

// TestWhatIsToldOfAnErrorIsBounded: what a stranger put into a header is neither
// remembered nor told whole.
func TestWhatIsToldOfAnErrorIsBounded(t *testing.T) {
	h, err := New(Config{Log: landingtest.NewMemory("mem", 1), BusyHold: time.Millisecond,
		Identity: Identity{TrustedHeader: "X-Gateway", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 30_000)
	for _, name := range []string{"Content-Type", "Content-Encoding", "X-Gateway"} {
		r := httptest.NewRequest(http.MethodPost, wire.Path, strings.NewReader("body"))
		head := wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}
		head.Write(r.Header, true)
		r.Header.Set("X-Gateway", "mv-ada")
		r.Header.Set(name, long)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if n := w.Body.Len(); w.Code == http.StatusOK || n > 1000 {
			t.Errorf("%s: answered %d with %d bytes", name, w.Code, n)
		}
		if n := len(h.Gateways()["mv-ada"].LastError); n > maxErrorBytes {
			t.Errorf("%s: %d bytes are remembered", name, n)
		}
	}
	s := &session{h: h, gw: h.gateways["mv-ada"]}
	s.end(errors.New(long))
	if n := len(h.Gateways()["mv-ada"].LastError); n != maxErrorBytes {
		t.Errorf("%d bytes are remembered of a long error", n)
	}
}
