package ingest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"

	"landfall/edge/certs"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

func readAll(t testing.TB, l interface {
	landing.Log
	Behind(int, stream.Position) (int64, error)
}, partition int) []landing.Landed {
	t.Helper()
	r, err := l.Reader(partition, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	var out []landing.Landed
	for {
		b, _, err := r.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
}

func encode(t testing.TB, blocks ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := wire.NewEncoder(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if err := e.WriteBlock(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// post hands a request to a handler and gives the answer, which must be one.
func post(t testing.TB, h http.Handler, head wire.RequestHeader, body []byte, change ...func(*http.Request)) wire.Answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, wire.Path, bytes.NewReader(body))
	head.Write(r.Header, len(body) > 0)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	sent := head
	sent.Gateway = r.Header.Get(wire.HeaderGateway)
	a, err := wire.DecodeAnswer(w.Code, w.Header().Get("Content-Type"), w.Body.Bytes(), sent)
	if err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return a
}

func TestRefusals(t *testing.T) {
	log := record.LogID{1}
	chain := func() *landingtest.Chain { return &landingtest.Chain{Gateway: "mv-ada", Log: log} }
	first := chain().Block(3, 40).Block
	other := (&landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{2}}).Block(3, 40).Block
	late := (&landingtest.Chain{Gateway: "mv-ada", Log: log, Next: 7}).Block(1, 1).Block
	damaged := bytes.Clone(first)
	damaged[90] ^= 1
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	set := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for name, c := range map[string]struct {
		body   []byte
		change func(*http.Request)
		want   wire.Code
		landed int
	}{
		"too large":        {z.EncodeAll([]byte{0, 0, 0, 1}, nil), nil, wire.CodeTooLarge, 0},
		"not zstd":         {[]byte("!AIVDM,1,1,,A,nobody,0*00"), nil, wire.CodeNotZstd, 0},
		"gzip":             {encode(t, first), set("Content-Encoding", "gzip"), wire.CodeNotZstd, 0},
		"type":             {encode(t, first), set("Content-Type", "text/plain"), wire.CodeMalformed, 0},
		"bomb":             {z.EncodeAll(bytes.Repeat([]byte{0, 0, 16, 0}, 4<<20), nil), nil, wire.CodeCorrupt, 0},
		"many blocks":      {encode(t, manyBlocks(log, 64)...), nil, wire.CodeBomb, -1},
		"out of order":     {encode(t, late), nil, wire.CodeOutOfOrder, 0},
		"hole inside":      {encode(t, first, late), nil, wire.CodeOutOfOrder, 1},
		"another gateway":  {encode(t, first), set("X-Gateway", "mv-grace"), wire.CodeForbidden, 0},
		"another log":      {encode(t, other), nil, wire.CodeMalformed, 0},
		"newer protocol":   {encode(t, first), set(wire.HeaderProtocol, "9"), wire.CodeVersion, 0},
		"no protocol":      {encode(t, first), set(wire.HeaderProtocol, ""), wire.CodeMalformed, 0},
		"damaged":          {encode(t, damaged), nil, wire.CodeCorrupt, 0},
		"cut":              {encode(t, first)[:20], nil, wire.CodeTruncated, 0},
		"good then broken": {append(encode(t, first), 1, 2, 3, 4, 5, 6, 7), nil, wire.CodeNotZstd, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := landingtest.NewMemory("mem", 1)
			h := newIngest(t, ingest.Config{
				Log: m, MaxRequestBytes: 8 << 20,
				Identity: ingest.Identity{TrustedHeader: "X-Gateway", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			})
			change := []func(*http.Request){set("X-Gateway", "mv-ada")}
			if c.change != nil {
				change = append(change, c.change)
			}
			a := post(t, h, wire.RequestHeader{Gateway: "mv-ada", Log: log, Request: wire.RequestID{1}}, c.body, change...)
			if a.Code != c.want {
				t.Fatalf("%q (%s), want %q", a.Code, a.Detail, c.want)
			}
			if n := h.Stats().Refused[c.want]; n != 1 {
				t.Errorf("counted %d times", n)
			}
			acked := judge(t, m.Landed(0)).next[log]
			if c.landed >= 0 && len(m.Landed(0)) != c.landed || a.Known && a.Acked != acked || !a.Known && acked != 0 {
				t.Errorf("%d blocks landed to %d, acknowledged %v to %d", len(m.Landed(0)), acked, a.Known, a.Acked)
			}
		})
	}
}

func manyBlocks(log record.LogID, n int) [][]byte {
	c := &landingtest.Chain{Gateway: "mv-ada", Log: log}
	var out [][]byte
	for range n {
		out = append(out, c.Block(1, 256<<10).Block)
	}
	return out
}

// TestATrustedHeaderStandsOnce: a proxy that adds its own beside the client's does not
// have the client choose, in whichever order they come.
func TestATrustedHeaderStandsOnce(t *testing.T) {
	proxy := ingest.Identity{TrustedHeader: "X-Gateway", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	h := newIngest(t, ingest.Config{Identity: proxy})
	for i, names := range [][]string{{"mv-ada", "mv-grace"}, {"mv-grace", "mv-ada"}, {"mv-ada", "mv-ada"},
		{"mv-ada, mv-grace"}, {"mv-ada,"}, {" mv-ada"}, {""}, nil} {
		a := post(t, h, wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}, nil,
			func(r *http.Request) { r.Header["X-Gateway"] = names })
		if a.Code != wire.CodeForbidden || h.Stats().Unproven[certs.WrongName] != uint64(i+1) {
			t.Errorf("%v: %+v", names, a)
		}
	}
}

// TestACertificateGoesBeforeAHeader: beside certificates a trusted header counts for
// those only who show none.
func TestACertificateGoesBeforeAHeader(t *testing.T) {
	h := newIngest(t, ingest.Config{Identity: ingest.Identity{ClientCertificate: true, TrustedHeader: "X-Gateway",
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}})
	shows := func(name string) func(*http.Request) {
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		return func(r *http.Request) {
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		change []func(*http.Request)
		want   wire.Code
	}{
		"the proxy's header":                     {[]func(*http.Request){set("X-Gateway", "mv-ada")}, wire.CodeNone},
		"a certificate":                          {[]func(*http.Request){shows("mv-ada")}, wire.CodeNone},
		"a certificate and another's header":     {[]func(*http.Request){shows("mv-ada"), set("X-Gateway", "mv-grace")}, wire.CodeNone},
		"another's certificate and the header":   {[]func(*http.Request){shows("mv-grace"), set("X-Gateway", "mv-ada")}, wire.CodeForbidden},
		"the proxy's certificate and the header": {[]func(*http.Request){shows("proxy"), set("X-Gateway", "mv-ada")}, wire.CodeForbidden},
		"neither":                                {nil, wire.CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, h, wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}, nil, c.change...)
			if a.Code != c.want {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestUntrustedHeaderIsNotBelieved(t *testing.T) {
	h := newIngest(t, ingest.Config{Identity: ingest.Identity{TrustedHeader: "X-Gateway", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
	a := post(t, h, wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}, nil,
		func(r *http.Request) { r.Header.Set("X-Gateway", "mv-ada") })
	if a.Code != wire.CodeForbidden {
		t.Fatalf("%+v", a)
	}
	if _, err := ingest.New(ingest.Config{Log: landingtest.NewMemory("m", 1), Identity: ingest.Identity{TrustedHeader: "X"}}); err == nil {
		t.Error("a trusted header without trusted proxies was taken")
	}
	if _, err := ingest.New(ingest.Config{Log: landingtest.NewMemory("m", 1)}); err == nil {
		t.Error("no identity was taken")
	}
}

// TestRepeatedAndContradictory is the judgement of copies: the same bytes are
// passed over, others are kept once as a conflict and never acknowledged.
func TestRepeatedAndContradictory(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	clone := *c
	head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Request: wire.RequestID{1}}
	b1, b2, b3 := c.Block(3, 40).Block, c.Block(3, 40).Block, c.Block(3, 40).Block
	check := func(what string, a wire.Answer, code wire.Code, acked record.Offset, landed, conflicts int) {
		t.Helper()
		got := judge(t, m.Landed(0))
		if a.Code != code || !a.Known || a.Acked != acked || len(m.Landed(0)) != landed || got.conflicts != conflicts {
			t.Fatalf("%s: %+v; %d landed, %d conflicts", what, a, len(m.Landed(0)), got.conflicts)
		}
	}
	check("sent", post(t, h, head, encode(t, b1, b2)), wire.CodeNone, 6, 2, 0)
	check("repeated with more", post(t, h, head, encode(t, b1, b2, b3)), wire.CodeNone, 9, 3, 0)
	if st := h.Stats(); st.Duplicates != 2 {
		t.Fatalf("%d duplicates", st.Duplicates)
	}
	x1, x2 := clone.Block(3, 41).Block, clone.Block(3, 41).Block
	check("other bytes below", post(t, h, head, encode(t, x1)), wire.CodeConflict, 9, 4, 1)
	check("the same again", post(t, h, head, encode(t, x1)), wire.CodeConflict, 9, 4, 1)
	at6 := head
	at6.Offset = 3
	check("others behind it", post(t, h, at6, encode(t, x2)), wire.CodeConflict, 9, 5, 2)
	fork := &landingtest.Chain{Gateway: "mv-ada", Log: c.Log, Next: 9, Prev: record.Hash{7}}
	at9 := head
	at9.Offset = 9
	check("another chain", post(t, h, at9, encode(t, fork.Block(2, 5).Block)), wire.CodeConflict, 9, 6, 3)
	across := &landingtest.Chain{Gateway: "mv-ada", Log: c.Log, Next: 6, Prev: record.HashBlock(b2)}
	at6.Offset = 6
	check("across the end", post(t, h, at6, encode(t, across.Block(5, 5).Block)), wire.CodeConflict, 9, 7, 4)
	check("and on", post(t, h, at9, encode(t, c.Block(1, 1).Block)), wire.CodeNone, 10, 8, 4)
	// Another ingest has no memory of boundaries: it tells where to go on.
	h2 := newIngest(t, ingest.Config{Log: m})
	check("at another ingest", post(t, h2, head, encode(t, b1)), wire.CodeOutOfOrder, 10, 8, 4)
}

// TestLossBreaksTheChain: after a declared loss the next block's Prev names
// what nobody has.
func TestLossBreaksTheChain(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Request: wire.RequestID{1}}
	b1 := c.Block(3, 40).Block
	loss := record.SealLoss(c.Log, c.Next, 100, c.Prev, "shed", nil)
	c.Next, c.Prev = c.Next+100, record.Hash{9}
	b2 := c.Block(1, 1).Block
	if a := post(t, h, head, encode(t, b1, loss, b2)); a.Code != wire.CodeNone || a.Acked != 104 {
		t.Fatalf("%+v", a)
	}
	if a := judge(t, m.Landed(0)); a.lost != 100 || a.records != 4 {
		t.Fatalf("%+v", a)
	}
}

// turns sends a block of each of a gateway's logs, one after the other; "1" a new
// one, "1<" all that came of it once more, and "1?" asks.
func turns(t *testing.T, h *ingest.Handler, steps string) {
	t.Helper()
	chains, came := map[byte]*landingtest.Chain{}, map[byte][][]byte{}
	for _, step := range strings.Fields(steps) {
		n := step[0]
		c := chains[n]
		if c == nil {
			c = &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{n}}
			chains[n] = c
		}
		head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Offset: c.Next, Request: wire.RequestID{1}}
		var body []byte
		switch step[1:] {
		case "<":
			head.Offset, body = 0, encode(t, came[n]...)
		case "":
			block := c.Block(2, 5).Block
			came[n], body = append(came[n], block), encode(t, block)
		}
		if a := post(t, h, head, body); a.Code != wire.CodeNone {
			t.Fatalf("%s: %+v", step, a)
		}
	}
}

func TestTwoMachinesUnderOneName(t *testing.T) {
	for steps, want := range map[string]int{
		"1 2 3 2 3 2":          2, // an older log may be sent again once
		"1 1 2 1 1 2 1":        2,
		"1 2 1< 2 1< 1? 2 2":   0, // it is sent again from below what came of it
		"2 1 1 2 1? 2 1< 2":    0, // it came first to an ingest that had seen the newer one only
		"2 1 2 1 1":            1,
		"4 1 2 3 4 1< 2< 3< 4": 0,
		"1? 2? 1? 2? 1?":       0, // nothing came
	} {
		var book bytes.Buffer
		h := newIngest(t, ingest.Config{Logger: slog.New(slog.NewTextHandler(&book, nil))})
		turns(t, h, steps)
		if at := h.Gateways()["mv-ada"].AlternatedAt; (at != 0) != (want != 0) {
			t.Errorf("%s: the gateway's status says %d", steps, at)
		}
		if n := h.Stats().Alternations; n != uint64(want) {
			t.Errorf("%s: %d alternations, want %d", steps, n, want)
		}
		if n := strings.Count(book.String(), "level=ERROR msg=\"a log came back after another one: two machines under one gateway name?\" gateway=mv-ada"); n != want {
			t.Errorf("%s: said %d times in the log:\n%s", steps, n, &book)
		}
	}
}

// TestNewerRequestEndsTheOlder: the older one lands what has arrived, and the
// newer one's answer covers it.
func TestNewerRequestEndsTheOlder(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, CutGrace: time.Millisecond})
	url := serve(t, h)
	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Request: wire.RequestID{1}}
	feed, older := send(t, url, c)
	e, err := wire.NewEncoder(feed)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := e.WriteBlock(c.Block(2, 20).Block); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "blocks land while the request goes on", func() bool { return len(m.Landed(0)) == 3 })
	ask := head
	ask.Request = wire.RequestID{2}
	req2, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+wire.Path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ask.Write(req2.Header, false)
	resp, err := http.DefaultClient.Do(req2)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, ask)
	if err != nil || a.Acked != 6 {
		t.Fatalf("%+v, %v", a, err)
	}
	if old, ok := <-older; ok && (old.Code != wire.CodeSuperseded || old.Acked != 6) {
		t.Fatalf("the older one: %+v", old)
	}
	_ = feed.Close()
}

// TestRefusalDoesNotWaitForTheBody: 409 comes although the body never ends.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	h := newIngest(t, ingest.Config{})
	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Request: wire.RequestID{1}}
	if a := post(t, h, head, encode(t, c.Block(1, 1).Block)); a.Code != wire.CodeNone {
		t.Fatalf("%+v", a)
	}
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	head.Offset = 77
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t, h)+wire.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	head.Write(req.Header, true)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
	if err != nil || a.Code != wire.CodeOutOfOrder || a.Acked != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestTooManySessions(t *testing.T) {
	h := newIngest(t, ingest.Config{MaxSessions: 1})
	body, feed := io.Pipe()
	r := httptest.NewRequest(http.MethodPost, wire.Path, body)
	head := wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}
	head.Write(r.Header, true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	until(t, "one is served", func() bool { return h.Stats().Sessions == 1 })
	head.Gateway = "mv-grace"
	if a := post(t, h, head, nil); a.Code != wire.CodeBusy {
		t.Fatalf("%+v", a)
	}
	_ = feed.Close()
	<-done
	if a := post(t, h, head, nil); a.Code != wire.CodeNone || h.Stats().Sessions != 0 {
		t.Fatalf("%+v", a)
	}
}

// TestSessionsOfAGatewayAreBounded: its requests that run or wait, and no others.
func TestSessionsOfAGatewayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newIngest(t, ingest.Config{GatewaySessions: 1})
		body, feed := io.Pipe()
		r := httptest.NewRequest(http.MethodPost, wire.Path, body)
		head := wire.RequestHeader{Gateway: "flood", Log: record.LogID{1}, Request: wire.RequestID{1}}
		head.Write(r.Header, true)
		var first sync.WaitGroup
		first.Go(func() { h.ServeHTTP(httptest.NewRecorder(), r) })
		synctest.Wait()
		if a := post(t, h, head, nil); a.Code != wire.CodeBusy {
			t.Errorf("a second one: %q", a.Code)
		}
		other := head
		other.Gateway = "quiet"
		if a := post(t, h, other, nil); a.Code != wire.CodeNone {
			t.Errorf("another gateway: %q", a.Code)
		}
		_ = feed.Close()
		first.Wait()
		if a := post(t, h, head, nil); a.Code != wire.CodeNone {
			t.Errorf("after the first: %q", a.Code)
		}
	})
}

// TestHTTP2 lands blocks and refuses early over HTTP/2 too, as a balancer may
// speak it to us.
func TestHTTP2(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	srv := httptest.NewUnstartedServer(newIngest(t, ingest.Config{Log: m}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Request: wire.RequestID{1}}
	do := func(body io.Reader) wire.Answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+wire.Path, body)
		if err != nil {
			t.Fatal(err)
		}
		head.Write(req.Header, true)
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 {
			t.Fatalf("spoken: %s", resp.Proto)
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		a, err := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := do(bytes.NewReader(encode(t, c.Block(3, 9).Block, c.Block(2, 9).Block))); a.Code != wire.CodeNone || a.Acked != 5 {
		t.Fatalf("%+v", a)
	}
	head.Offset = 77
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	if a := do(body); a.Code != wire.CodeOutOfOrder || a.Acked != 5 {
		t.Fatalf("%+v", a)
	}
}

// TestATailThatOthersHavePassed: in a shared log a request may begin beyond the
// tail that this ingest knows, and what this ingest knows still refutes. A log
// that nobody else appends to refuses the hole.
func TestATailThatOthersHavePassed(t *testing.T) {
	mem := landingtest.NewMemory("mem", 1)
	here, there := mem.View(), mem.View()
	h, other := newIngest(t, ingest.Config{Log: here}), newIngest(t, ingest.Config{Log: there})
	c := landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	var blocks [][]byte
	for range 4 {
		blocks = append(blocks, c.Block(2, 10).Block)
	}
	head := func(at record.Offset) wire.RequestHeader {
		return wire.RequestHeader{Gateway: "mv-ada", Log: c.Log, Offset: at, Request: wire.RequestID{byte(at + 1)}}
	}
	for _, step := range []struct {
		h     *ingest.Handler
		block int
	}{{h, 0}, {other, 1}, {other, 2}, {h, 3}} {
		at := record.Offset(2 * step.block)
		if a := post(t, step.h, head(at), encode(t, blocks[step.block])); a.Code != wire.CodeNone || !a.Known || a.Acked != at+2 {
			t.Fatalf("block %d: %+v", step.block, a)
		}
	}
	if a := post(t, other, head(0), encode(t, blocks...)); a.Code != wire.CodeOutOfOrder {
		t.Fatalf("a late copy: %+v", a)
	}
	forged := (&landingtest.Chain{Gateway: "mv-ada", Log: c.Log, Next: 6, Prev: record.Hash{9}}).Block(1, 10)
	if a := post(t, other, head(6), encode(t, forged.Block)); a.Code != wire.CodeConflict {
		t.Fatalf("another block at a place that is landed: %+v", a)
	}
	if a := judge(t, mem.Landed(0)); a.next[c.Log] != 8 || a.conflicts != 1 {
		t.Fatalf("%+v", a)
	}
	alone := newIngest(t, ingest.Config{Log: landingtest.NewMemory("alone", 1)})
	post(t, alone, head(0), encode(t, blocks[0]))
	if a := post(t, alone, head(6), encode(t, blocks[3])); a.Code != wire.CodeOutOfOrder {
		t.Fatalf("a hole in a log of one's own: %+v", a)
	}
}

// TestAGatewaysBacklogAndRefusal: what a gateway told to wait, without what landed
// of it, and why its last request was refused.
func TestAGatewaysBacklogAndRefusal(t *testing.T) { synctest.Test(t, backlogAndRefusal) }

func backlogAndRefusal(t *testing.T) {
	h := newIngest(t, ingest.Config{GatewayRequests: 2})
	chain := &landingtest.Chain{Gateway: "mv-ada", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "mv-ada", Log: chain.Log, Request: wire.RequestID{1}, Behind: wire.Behind{Records: 100, Age: time.Hour}}
	stands := func(records uint64, refusal string) {
		t.Helper()
		g := h.Gateways()["mv-ada"]
		if g.Behind.Records != records || (g.Behind.Age == time.Hour) != (records > 0) || refusal == "" && g.LastError != "" || !strings.HasPrefix(g.LastError, refusal) {
			t.Errorf("%+v, want %d records behind and %q", g, records, refusal)
		}
	}
	if a := post(t, h, head, encode(t, chain.Block(3, 40).Block)); a.Code != wire.CodeNone {
		t.Fatalf("%+v", a)
	}
	stands(97, "")
	head.Offset = 3
	if a := post(t, h, head, []byte("no zstd")); a.Code != wire.CodeNotZstd {
		t.Fatalf("%+v", a)
	}
	stands(100, "not_zstd: ")
	head.Behind = wire.Behind{}
	for _, want := range []wire.Code{wire.CodeNone, wire.CodeNone, wire.CodeBusy} { // two more, then the limit
		if a := post(t, h, head, nil); a.Code != want {
			t.Fatalf("%+v, want %q", a, want)
		}
		if want == wire.CodeBusy {
			stands(0, "busy: more than 2 requests")
		} else {
			stands(0, "")
		}
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestAStrangersBodyIsNotRead: whatever does not prove the gateway's name is
// refused by the head of the request, and each reason has its own counter.
func TestAStrangersBodyIsNotRead(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	var why certs.Reason
	h := newIngest(t, ingest.Config{Log: m, Identity: ingest.Identity{ClientCertificate: true, VerifyClient: func([]*x509.Certificate) error {
		if why == certs.WrongName {
			return nil // and the name is compared
		}
		return &certs.Refusal{Reason: why, Err: errors.New("it is not taken")}
	}}})
	for _, why = range certs.Reasons() {
		r := httptest.NewRequest(http.MethodPost, wire.Path, unread{t})
		wire.RequestHeader{Gateway: "mv-ada", Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(r.Header, true)
		r.TLS = &tls.ConnectionState{}
		if why != certs.Unauthenticated {
			r.TLS.PeerCertificates = []*x509.Certificate{{Subject: pkix.Name{CommonName: "mv-grace"}}}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || h.Stats().Unproven[why] != 1 {
			t.Errorf("%s: status %d, counted %v", why, w.Code, h.Stats().Unproven)
		}
	}
	if n := len(m.Landed(0)); n != 0 {
		t.Errorf("%d blocks landed", n)
	}
}
