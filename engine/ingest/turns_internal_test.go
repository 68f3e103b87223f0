package ingest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"landfall/edge/turns"
	"landfall/edge/wire"
	"landfall/engine/landing/landingtest"
)

// crowd is an ingest whose clock is moved by hand, and clients of it.
type crowd struct {
	t   *testing.T
	h   *Handler
	at  time.Time
	has map[string]*session
}

func newCrowd(t *testing.T, places int) *crowd {
	t.Helper()
	h, err := New(Config{Log: landingtest.NewMemory("mem", 1), Identity: Identity{AllowUnauthenticated: true}, MaxSessions: places})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{t: t, h: h, at: time.Unix(1_700_000_000, 0), has: map[string]*session{}}
	h.now = func() time.Time { return c.at }
	return c
}

// ask has a client ask for a place, and tells whether it gets one. Who has to give way
// for it ends at once.
func (c *crowd) ask(client string) bool {
	c.t.Helper()
	control := http.NewResponseController(httptest.NewRecorder())
	s := &session{h: c.h, head: wire.RequestHeader{Gateway: client}, client: client, body: &requestBody{control: control}}
	_, turn, err := c.h.place(s)
	if err != nil {
		return false
	}
	for name, o := range c.has {
		if _, why := o.body.ended(); why != "" {
			c.end(name)
		}
	}
	if turn != nil {
		select {
		case <-turn:
		default:
			c.t.Fatal("the place is not handed over")
		}
	}
	c.has[client] = s
	return true
}

func (c *crowd) end(client string) {
	c.h.dismiss(c.has[client], c.h.gateways[client])
	delete(c.has, client)
}

// TestAFreePlaceIsKeptForWhoWaits: a place that became free is not had by one that comes
// new, but by the one that waits for longest.
func TestAFreePlaceIsKeptForWhoWaits(t *testing.T) {
	c := newCrowd(t, 1)
	if !c.ask("first") || c.ask("waits") {
		t.Fatal("there is one place")
	}
	c.at = c.at.Add(turns.StarvedAfter)
	c.end("first")
	if c.ask("new") || !c.ask("waits") || c.ask("new") {
		t.Error("the one that came new is served first")
	}
	if c.h.turns.Len() != 1 {
		t.Errorf("%d wait", c.h.turns.Len())
	}
}

// TestTheLongestWaitIsBounded: more clients ask than there are places, each faster than
// an honest one, which asks once a minute. However long they keep their places, and
// however often they ask, it waits for no longer than the bound.
func TestTheLongestWaitIsBounded(t *testing.T) {
	const places, others = 4, 14
	bound := turns.LongestWait(others, places, defaultSlice)
	if bound > 15*time.Minute {
		t.Fatalf("the bound is %s", bound)
	}
	for name, tt := range map[string]struct {
		keep time.Duration // how long one keeps its place; 0: until it has to give way
		ask  time.Duration // between two tries of one
	}{
		"they keep their places":          {0, time.Second},
		"they come again and again":       {5 * time.Second, time.Second},
		"they let their turns wait":       {0, turns.Kept - time.Second},
		"they go before anybody may":      {defaultSlice - time.Second, time.Second},
		"they have turns and do not come": {0, turns.Kept + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, places)
			began, asks := c.at, 0
			for second := 0; ; second++ {
				c.at = began.Add(time.Duration(second) * time.Second)
				for i := range others {
					who := fmt.Sprint("other-", i)
					s := c.has[who]
					switch {
					case s != nil && tt.keep > 0 && c.at.Sub(s.since) >= tt.keep:
						c.end(who)
						c.ask(who) // before anybody else
					case s == nil && second%int(tt.ask/time.Second) == i%int(tt.ask/time.Second):
						c.ask(who)
					}
				}
				if second < 600 || second%60 != 0 { // they have settled
					continue
				}
				asks++
				if c.ask("honest") {
					t.Logf("after %d tries", asks)
					return
				}
				if waited := time.Duration(second-600) * time.Second; waited > bound {
					t.Fatalf("it waits for %s, the bound is %s", waited, bound)
				}
			}
		})
	}
}
