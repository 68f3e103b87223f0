package source

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// vectors reads a file of firmware/testdata: lines of words, comments left out.
func vectors(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open("../../firmware/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) > 1 && words[0] != "#" {
			all = append(all, words)
		}
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bodies reads what frames are in bytes, given in pieces of n.
func bodies(p []byte, n int) (all [][]byte, noise int) {
	var r nodeReader
	for c := range slices.Chunk(p, n) {
		r.feed(c, func(b []byte) { all = append(all, bytes.Clone(b)) })
	}
	return all, r.noise
}

// TestNodeFrameVectors holds the codec to the vectors that the firmware's tests
// read too. A body shorter than type and tag is a good frame there, and none that
// the gateway could use.
func TestNodeFrameVectors(t *testing.T) {
	good, bad := 0, 0
	for _, v := range vectors(t, "frames.txt") {
		switch v[0] {
		case "frame":
			body, wire := unhex(t, v[1]), unhex(t, v[2])
			if got := appendNodeFrame(nil, body); !bytes.Equal(got, wire) {
				t.Errorf("encoded %x as %x, want %x", body, got, wire)
			}
			if len(body) < nodeFrameHead {
				continue
			}
			for _, n := range []int{1, 7, len(wire)} {
				if got, noise := bodies(wire, n); len(got) != 1 || !bytes.Equal(got[0], body) || noise != 0 {
					t.Errorf("decoded %x as %x", wire, got)
				}
			}
			good++
		case "bad":
			if got, noise := bodies(unhex(t, v[1]), 5); len(got) != 0 || noise != 1 {
				t.Errorf("took %s as %x, noise %d", v[1], got, noise)
			}
			bad++
		}
	}
	if good < 5 || bad < 5 {
		t.Errorf("%d good and %d bad vectors", good, bad)
	}
}

// TestNodeSessionTranscript understands every frame that the firmware says in the
// transcript which its own tests hold it to.
func TestNodeSessionTranscript(t *testing.T) {
	id := nodeID{node: 7, format: 0x1122334455667788}
	kinds := map[byte]int{}
	var readings []uint64
	for _, v := range vectors(t, "session.txt") {
		all, noise := bodies(unhex(t, v[1]), 1000)
		if noise != 0 || len(all) == 0 {
			t.Fatalf("no frames in %v", v)
		}
		for _, b := range all {
			kinds[b[0]]++
			switch b[0] {
			case frameHello:
				h, err := parseHello(b)
				if err != nil || h.id != id || h.version != nodeVersion || h.boot != 1 || h.last != 1 || h.acked != 0 || h.first != 1 {
					t.Errorf("hello %+v, %v", h, err)
				}
			case frameSchema:
				m, err := parseSchema(b[7:])
				if want := []nodeMetric{{"temperature", "Cel", -3}, {"supply", "V", -3}}; err != nil || !reflect.DeepEqual(m, want) || schemaID(b[7:]) != 0xce25 {
					t.Errorf("schema %+v, %04x, %v", m, schemaID(b[7:]), err)
				}
			case frameReading:
				r, err := parseReading(b)
				if err != nil || r.boot != 1 || r.schema != 0xce25 || len(r.values) != 2 || r.values[1] != noNodeValue || r.time() == 0 {
					t.Errorf("reading %+v, %v", r, err)
				}
				if r.sequence == 1 && (r.values[0] != 20123 || r.time() != 1_700_000_000_000_000-3000) {
					t.Errorf("reading 1 is %+v, at %d", r, r.time())
				}
				readings = append(readings, r.sequence)
			case frameWelcome:
				if got := welcomeFrame(id.tag(), false, 0, 1_700_000_000_000_000); !bytes.Equal(got, unhex(t, v[1])) {
					t.Errorf("welcome %x, want %s", got, v[1])
				}
			case frameTime:
				if got := timeFrame(id.tag(), 1_700_000_001_000_000); !bytes.Equal(got[1:], unhex(t, v[1])[len(unhex(t, v[1]))-len(got)+1:]) {
					t.Errorf("time %x, want the end of %s", got, v[1])
				}
			case frameNak:
				if got := numberFrame(frameNak, id.tag(), 2); !bytes.Equal(got, unhex(t, v[1])) {
					t.Errorf("nak %x, want %s", got, v[1])
				}
			case frameWho:
				if !bytes.Equal(whoFrame(), unhex(t, v[1])) {
					t.Errorf("who %x, want %s", whoFrame(), v[1])
				}
			}
		}
	}
	for _, kind := range []byte{frameHello, frameSchema, frameReading, frameLost, frameStart, frameWho, frameWelcome, frameAck, frameNak, frameTime} {
		if kinds[kind] == 0 {
			t.Errorf("no frame of type %#x in the transcript", kind)
		}
	}
	if want := []uint64{1, 2, 2}; len(readings) < 10 || !slices.Equal(readings[:3], want) {
		t.Errorf("readings %v", readings)
	}
}

func TestNodeHistory(t *testing.T) {
	var h nodeHistory
	for n := uint64(1); n <= 100; n++ {
		if h.judge(n, uint32(n)) != nodeNew {
			t.Fatalf("%d is not new", n)
		}
	}
	back, err := decodeNodeHistory(h.encode())
	if err != nil || !reflect.DeepEqual(back, h) {
		t.Fatalf("%+v, %v, want %+v", back, err, h)
	}
	for n, want := range map[uint64]nodeFate{100: nodeRepeat, 100 - nodeRecent + 1: nodeRepeat, 100 - nodeRecent: nodeConflict, 101: nodeNew} {
		again := nodeHistory{h.high, slices.Clone(h.recent)}
		if got := again.judge(n, uint32(n)); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
	if h.judge(99, 1) != nodeConflict || h.judge(99, 1) != nodeRepeat || h.judge(99, 99) != nodeRepeat || h.high != 100 {
		t.Error("a contradiction is not taken once")
	}
	p := h.encode()
	for n := 1; n < len(p); n++ {
		if _, err := decodeNodeHistory(p[:n]); err == nil {
			t.Errorf("%d of %d bytes decode", n, len(p))
		}
	}
	p[0]++
	if _, err := decodeNodeHistory(p); err == nil {
		t.Error("a newer version decodes")
	}
	if h, err := decodeNodeHistory(nil); err != nil || h.high != 0 {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestNodeMarkIsFrozen: every later version must read the mark of this one.
func TestNodeMarkIsFrozen(t *testing.T) {
	frozen, err := os.ReadFile("testdata/formats/nodemark-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	want := nodeHistory{high: 1_000_000, recent: []nodeContent{{999_998, 0xdeadbeef}, {1_000_000, 7}, {3, 0}}}
	if got, err := decodeNodeHistory(frozen); err != nil || !reflect.DeepEqual(got, want) || !bytes.Equal(want.encode(), frozen) {
		t.Errorf("%+v, %v, want %+v, written as %x", got, err, want, want.encode())
	}
}

// FuzzNodeLine feeds anything to a session: no panic, and nothing is acknowledged
// that did not come.
func FuzzNodeLine(f *testing.F) {
	for _, v := range vectors(f, "session.txt") {
		f.Add(unhex(f, v[1]))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s := newTestSession(nil)
		var r nodeReader
		r.feed(p, func(b []byte) { s.take(b, 1, 1) })
		// The same bodies with a CRC that fits get further in.
		for part := range bytes.SplitSeq(p, []byte{0}) {
			if len(part) >= nodeFrameHead && len(part) <= maxNodeBody {
				wire := appendNodeFrame(nil, part)
				r.feed(wire, func(b []byte) { s.take(b, 1, 1) })
			}
		}
		if _, err := decodeNodeHistory(p); err == nil && len(p) > 0 && p[0] != nodeMarkVersion {
			t.Error("a mark of no version decodes")
		}
	})
}

// newTestSession makes a session that knows the nodes of marks.
func newTestSession(marks map[nodeID]*nodeState) *nodeSession {
	if marks == nil {
		marks = map[nodeID]*nodeState{}
	}
	return &nodeSession{decoders: ownDecoders(), open: func(id nodeID) (*nodeState, error) {
		if marks[id] == nil {
			marks[id] = &nodeState{}
		}
		return marks[id], nil
	}}
}
