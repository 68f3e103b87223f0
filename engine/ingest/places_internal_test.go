package ingest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"landfall/edge/wire"
	"landfall/engine/landing/landingtest"
)

// TestWhoAClientIs: of a name that is proved the gateway, else the host, of IPv6 its
// network.
func TestWhoAClientIs(t *testing.T) {
	for _, c := range []struct {
		remote string
		proved bool
		want   string
	}{
		{"192.0.2.7:99", true, "gateway ada"},
		{"192.0.2.7:99", false, "host 192.0.2.7"},
		{"[::ffff:192.0.2.7]:99", false, "host 192.0.2.7"},
		{"[2001:db8:1:2:3:4:5:6]:99", false, "host 2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff:ffff:ffff:ffff]:1", false, "host 2001:db8:1:2::/64"},
		{"[2001:db8:1:3::1]:99", false, "host 2001:db8:1:3::/64"},
		{"[fe80::1%eth0]:99", false, "host fe80::/64"},
		{"@", false, "host "},
	} {
		r := httptest.NewRequest(http.MethodPost, wire.Path, nil)
		r.RemoteAddr = c.remote
		if got := clientOf(r, "ada", c.proved); got != c.want {
			t.Errorf("%s, proved %v: %q, want %q", c.remote, c.proved, got, c.want)
		}
	}
}

// TestWhoGivesWay: all places are taken, and one more comes.
func TestWhoGivesWay(t *testing.T) {
	const second, slice = time.Second, 10 * time.Second
	type held struct {
		client      string
		still, held time.Duration
		ends        bool // it has to end already
	}
	for name, c := range map[string]struct {
		places []held
		comes  string
		want   int // index of who gives way; -1: nobody
	}{
		"one that stands still":              {[]held{{"a", 0, 1, false}, {"b", 2 * second, 1, false}, {"c", second, 1, false}}, "d", 1},
		"not one that stood still too short": {[]held{{"a", 0, 1, false}, {"b", second - 1, 1, false}, {"c", 0, 1, false}}, "d", -1},
		"still before many":                  {[]held{{"a", 0, 1, false}, {"a", 0, 1, false}, {"a", 0, 1, false}, {"b", second, 1, false}}, "c", 3},
		"not one that stands still of a client with no more than the one that comes": {
			[]held{{"a", 0, 1, false}, {"a", 0, 1, false}, {"b", 9 * second, 1, false}}, "a", -1},
		"its own that stands still": {[]held{{"a", second, 1, false}, {"a", 0, 1, false}, {"b", 9 * second, 1, false}}, "a", 0},
		"of whom has most, the one that had it longest": {
			[]held{{"a", 0, 3, false}, {"b", 0, 5, false}, {"b", 0, 9, false}, {"b", 0, 7, false}, {"a", 0, 99, false}}, "c", 2},
		"not of whom has one more":                 {[]held{{"a", 0, 9 * second, false}, {"b", 0, 9 * second, false}}, "c", -1},
		"after a slice of whom has one more":       {[]held{{"a", 0, slice, false}, {"b", 0, slice + 1, false}}, "c", 1},
		"never of whom has as many":                {[]held{{"a", 0, 9 * slice, false}, {"b", 0, 1, false}}, "b", -1},
		"after a slice of its own":                 {[]held{{"a", 0, 9 * slice, false}, {"b", 0, slice, false}}, "b", 1},
		"many before long":                         {[]held{{"a", 0, 9 * slice, false}, {"b", 0, 1, false}, {"b", 0, 2, false}}, "c", 2},
		"nobody twice":                             {[]held{{"a", 0, 1, true}, {"a", 0, 1, false}}, "b", 1},
		"one that is ended counts until it ends":   {[]held{{"a", 9 * second, 1, true}, {"b", 0, 1, false}}, "c", -1},
		"the others of a host have places already": {[]held{{"host", 0, 1, false}, {"host", 0, 1, false}}, "host", -1},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := New(Config{Log: landingtest.NewMemory("mem", 1), Identity: Identity{AllowUnauthenticated: true}, MaxSessions: len(c.places)})
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			var all []*session
			for _, p := range c.places {
				body := &requestBody{superseded: p.ends, control: http.NewResponseController(httptest.NewRecorder())}
				if p.still > 0 {
					body.began, body.waited = now, p.still
				}
				s := &session{h: h, client: p.client, body: body, since: now.Add(-p.held)}
				all = append(all, s)
				h.sessions[s] = true
				h.places[p.client]++
			}
			if got := h.makeRoom(c.comes, now, false); got != (c.want >= 0) {
				t.Errorf("one gives way: %v", got)
			}
			for i, s := range all {
				_, why := s.body.ended()
				if (why != "") != (i == c.want) || s.gone != (i == c.want) {
					t.Errorf("place %d of %s: %q", i, s.client, why)
				}
			}
			if c.want >= 0 {
				h.leaves(all[c.want]) // who gave way counts no less when it ends
			}
			n := 0
			for _, places := range h.places {
				n += places
			}
			if want := len(c.places) - map[bool]int{true: 1}[c.want >= 0]; n != want {
				t.Errorf("%d places are counted, want %d", n, want)
			}
		})
	}
}
