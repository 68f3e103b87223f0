package ingest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing/landingtest"
)

// TestWhichBodyGivesWay: one that stands still, else of the client that holds more than
// the one that waits would; and nobody where all hold as little.
func TestWhichBodyGivesWay(t *testing.T) {
	now := time.Now()
	type body struct {
		client string
		holds  int64
		still  time.Duration
	}
	for name, c := range map[string]struct {
		bodies []body // the last is the one that waits
		want   int    // which gives way; -1: none
	}{
		"of who holds the most":      {[]body{{"a", 30, 0}, {"b", 22, 0}, {"b", 20, 0}, {"c", 1, 0}}, 1},
		"the larger of its two":      {[]body{{"b", 20, 0}, {"b", 25, 0}, {"c", 1, 0}}, 1},
		"who stands still":           {[]body{{"a", 30, 0}, {"b", 2, 2 * time.Second}, {"b", 2, 3 * time.Second}, {"c", 1, 0}}, 2},
		"a short while is no still":  {[]body{{"a", 2, time.Second / 2}, {"c", 1, 0}}, -1},
		"who holds as little":        {[]body{{"a", 11, 0}, {"b", 11, 0}, {"c", 1, 0}}, -1},
		"its own that holds more":    {[]body{{"c", 30, 0}, {"c", 12, 0}, {"c", 1, 0}}, 0},
		"not its own that is small":  {[]body{{"c", 11, 0}, {"c", 1, 0}}, -1},
		"nobody for the largest one": {[]body{{"a", 11, 0}, {"b", 11, 0}, {"c", 60, 0}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBodies(100)
			var all []*session
			for _, x := range c.bodies {
				s := &session{client: x.client, body: &requestBody{}}
				if x.still > 0 {
					s.body.began = now.Add(-x.still)
				}
				b.of[s] = x.holds
				b.clients[x.client] += x.holds
				all = append(all, s)
			}
			out, _ := b.givesWay(all[len(all)-1], 10, now)
			var want *session
			if c.want >= 0 {
				want = all[c.want]
			}
			if out != want {
				t.Errorf("it is %+v", out)
			}
		})
	}
}

// TestWhatIsRememberedOfAllGatewaysIsBounded: of gateways that are not connected no more
// is remembered together than the bound, whatever each brought.
func TestWhatIsRememberedOfAllGatewaysIsBounded(t *testing.T) {
	h, err := New(Config{Log: landingtest.NewMemory("mem", 1), Identity: Identity{AllowUnauthenticated: true}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * keptEntries / keptConflicts {
		s := &session{h: h, r: httptest.NewRequest(http.MethodPost, wire.Path, nil), head: wire.RequestHeader{Gateway: fmt.Sprintf("name-%d", i)}, body: &requestBody{}}
		g, err := h.admit(s)
		if err != nil {
			t.Fatal(err)
		}
		for k := range keptConflicts {
			g.contradicts(record.Hash{byte(k), byte(k >> 8), 1})
		}
		h.dismiss(s, g)
	}
	sum := 0
	for _, g := range h.gateways {
		if sum += g.entries(); g.entries() != g.counted {
			t.Errorf("%d entries, %d are counted", g.entries(), g.counted)
		}
	}
	if sum != h.remembered || sum > keptEntries || sum < keptEntries/2 {
		t.Errorf("%d entries of %d gateways are remembered, %d are counted", sum, len(h.gateways), h.remembered)
	}
}

// TestABodyThatWaitsIsRefused: where all hold as little as it would, it is told so.
func TestABodyThatWaitsIsRefused(t *testing.T) {
	h, err := New(Config{Log: landingtest.NewMemory("mem", 1), Identity: Identity{AllowUnauthenticated: true}})
	if err != nil {
		t.Fatal(err)
	}
	b := newBodies(10)
	session := func(name string) *session {
		return &session{h: h, client: name, r: httptest.NewRequest(http.MethodPost, wire.Path, nil), body: &requestBody{}}
	}
	one, two := session("one"), session("two")
	if err := b.take(h, one, 10); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := b.take(h, two, 10); codeOf(err) != wire.CodeBusy || time.Since(began) < bodyWait || !strings.Contains(err.Error(), "none gave way") {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	two.body.superseded = true // it has to end for another reason
	if err := b.take(h, two, 10); codeOf(err) != wire.CodeBusy {
		t.Error(err)
	}
	b.give(one, 10)
	if err := b.take(h, two, 10); err != nil || b.held() != 10 {
		t.Errorf("%v, %d held", err, b.held())
	}
	if b.give(two, 10); b.held() != 0 || len(b.of)+len(b.clients) != 0 {
		t.Errorf("%d held, of %d", b.held(), len(b.of))
	}
}
