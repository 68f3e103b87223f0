package ingest_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
)

// behind makes requests of proved gateways: a proxy on this machine names them.
func behind() ingest.Identity {
	return ingest.Identity{TrustedHeader: "X-Gateway", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}}
}

// TestBodiesShareTheirMemory: bodies that ask for the largest windows and hold most of a
// block that cost nothing to send take all memory there is for bodies, and no more. A
// gateway that needs little is served, for one of theirs gives way, and is told so.
func TestBodiesShareTheirMemory(t *testing.T) {
	const most = 3 * ingest.MinMaxBodies
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m, Identity: behind(), MaxBodies: most, CutGrace: time.Millisecond})
	url := serve(t, h)
	begin := func(name string) (feed *io.PipeWriter) {
		body, feed := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+wire.Path, body)
		if err != nil {
			t.Fatal(err)
		}
		head := wire.RequestHeader{Gateway: name, Log: record.LogID{byte(len(name))}, Request: wire.RequestID{1}}
		head.Write(req.Header, true)
		req.Header.Set("X-Gateway", name)
		go func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		z, err := zstd.NewWriter(feed, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(append(binary.LittleEndian.AppendUint32(nil, wire.MaxBlockBytes), make([]byte, wire.MaxBlockBytes-1000)...)); err != nil {
			t.Fatal(err)
		}
		if err := z.Flush(); err != nil {
			t.Fatal(err)
		}
		return feed
	}
	for i := range 3 {
		feed := begin("mallory" + strings.Repeat("y", i))
		defer func() { _ = feed.Close() }()
	}
	until(t, "they hold what they can", func() bool { return h.Stats().BodyBytes > 3*(16<<20) })
	for i := range 4 {
		c := &landingtest.Chain{Gateway: fmt.Sprint("honest", i), Log: record.LogID{100, byte(i)}}
		a := post(t, h, wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Request: wire.RequestID{1}}, encode(t, c.Block(2, 20).Block, c.Block(3, 20).Block),
			func(r *http.Request) { r.Header.Set("X-Gateway", c.Gateway) })
		if a.Code != wire.CodeNone || a.Acked != 5 {
			t.Errorf("%s is told %+v", c.Gateway, a)
		}
	}
	// Two more of the large ones: somebody has to give way, and what is held stays bounded.
	for i := range 2 {
		feed := begin("trudy" + strings.Repeat("y", i))
		defer func() { _ = feed.Close() }()
	}
	until(t, "one gave way", func() bool { return h.Stats().Displaced > 0 })
	if st := h.Stats(); st.BodyBytes > most {
		t.Errorf("%d bytes are held, of %d", st.BodyBytes, most)
	}
}

// TestABlockOfTooManyRecordsIsRefused: one of more records than a block of whole ones
// could have; one of as many has landed.
func TestABlockOfTooManyRecordsIsRefused(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	for n, want := range map[int]wire.Code{record.MaxRecords: wire.CodeNone, record.MaxRecords + 1: wire.CodeMalformed} {
		var b record.Builder
		for range n {
			if err := b.AddPayload(nil); err != nil {
				t.Fatal(err)
			}
		}
		log := record.LogID{1, byte(n)}
		a := post(t, h, wire.RequestHeader{Gateway: "mallory", Log: log, Request: wire.RequestID{1}}, encode(t, b.Seal(log, 0, record.Hash{})))
		if a.Code != want {
			t.Errorf("of %d records: %+v", n, a)
		}
	}
	if n := len(m.Landed(0)); n != 1 {
		t.Errorf("%d blocks have landed", n)
	}
}

// TestALaterFrameAsksForMore: a stream whose first frame asks for little memory, and a
// later one for more, is cut off before that one; the request that begins with it is
// served.
func TestALaterFrameAsksForMore(t *testing.T) {
	m := landingtest.NewMemory("mem", 1)
	h := newIngest(t, ingest.Config{Log: m})
	c := &landingtest.Chain{Gateway: "ada", Log: record.LogID{1}}
	frame := func(window int, block []byte) []byte {
		var out strings.Builder
		z, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{binary.LittleEndian.AppendUint32(nil, uint32(len(block))), block} {
			if _, err := z.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := z.Flush(); err != nil { // else it is known to be small
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return []byte(out.String())
	}
	first, second := c.Block(2, 20).Block, c.Block(3, 20).Block
	a := post(t, h, wire.RequestHeader{Gateway: "ada", Log: c.Log, Request: wire.RequestID{1}}, append(frame(1<<20, first), frame(8<<20, second)...))
	if a.Code != wire.CodeTruncated || a.Acked != 2 {
		t.Errorf("of the first: %+v", a)
	}
	a = post(t, h, wire.RequestHeader{Gateway: "ada", Log: c.Log, Offset: 2, Request: wire.RequestID{2}}, frame(8<<20, second))
	if a.Code != wire.CodeNone || a.Acked != 5 {
		t.Errorf("of the second: %+v", a)
	}
	if st := h.Stats(); st.BodyBytes != 0 {
		t.Errorf("%d bytes are held by nobody", st.BodyBytes)
	}
}
