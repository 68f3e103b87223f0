package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"landfall/edge/record"
)

var testHeader = RequestHeader{Gateway: "mv-ada", Log: record.LogID{1, 2}, Offset: 7, Request: RequestID{9}}

// testBlocks gives n chained blocks of a log, of sizes that vary.
func testBlocks(t testing.TB, n int) [][]byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	var b record.Builder
	var prev record.Hash
	var first record.Offset
	var blocks [][]byte
	for range n {
		b.Reset()
		for range 1 + rnd.IntN(20) {
			raw := make([]byte, 10+rnd.IntN(90))
			for i := range raw {
				raw[i] = byte(rnd.Uint32())
			}
			if err := b.Add(&record.Record{Kind: record.KindText, Raw: raw}); err != nil {
				t.Fatal(err)
			}
		}
		block := bytes.Clone(b.Seal(testHeader.Log, first, prev))
		first += record.Offset(b.Count())
		prev = record.HashBlock(block)
		blocks = append(blocks, block)
	}
	return blocks
}

func encode(t testing.TB, blocks ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := NewEncoder(&out)
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

// decodeAll gives every block before the first error; io.EOF counts as none.
func decodeAll(t testing.TB, body io.Reader, limit int64) ([][]byte, error) {
	t.Helper()
	d := NewDecoder(body, limit)
	defer d.Close()
	var blocks [][]byte
	for {
		b, err := d.Next()
		if err == io.EOF {
			return blocks, nil
		}
		if err != nil {
			return blocks, err
		}
		blocks = append(blocks, b)
	}
}

func TestBodyRoundTrip(t *testing.T) {
	want := testBlocks(t, 30)
	got, err := decodeAll(t, bytes.NewReader(encode(t, want...)), 1<<20)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d blocks of %d, %v", len(got), len(want), err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("block %d differs", i)
		}
	}
}

func TestEmptyBodyIsAQuestion(t *testing.T) {
	for _, body := range [][]byte{nil, encode(t)} {
		if got, err := decodeAll(t, bytes.NewReader(body), 1<<20); err != nil || len(got) != 0 {
			t.Fatalf("%d blocks, %v", len(got), err)
		}
	}
}

// TestBlockArrivesBeforeTheNext holds the link's promise that a cut request
// keeps what it brought: each block is readable before another is written.
func TestBlockArrivesBeforeTheNext(t *testing.T) {
	r, w := io.Pipe()
	want := testBlocks(t, 5)
	next := make(chan struct{})
	go func() {
		e, err := NewEncoder(w)
		if err != nil {
			w.CloseWithError(err)
			return
		}
		for _, b := range want {
			if err := e.WriteBlock(b); err != nil {
				w.CloseWithError(err)
				return
			}
			<-next
		}
		w.CloseWithError(errors.New("cut"))
	}()
	d := NewDecoder(r, 1<<20)
	defer d.Close()
	for i := range want {
		got, err := d.Next()
		if err != nil || !bytes.Equal(got, want[i]) {
			t.Fatalf("block %d: %v", i, err)
		}
		next <- struct{}{}
	}
	if _, err := d.Next(); !errors.Is(err, ErrTruncated) {
		t.Fatalf("after the cut: %v", err)
	}
}

func TestCutAnywhereGivesAPrefix(t *testing.T) {
	want := testBlocks(t, 6)
	body := encode(t, want...)
	for n := 1; n < len(body); n++ {
		got, err := decodeAll(t, bytes.NewReader(body[:n]), 1<<20)
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d of %d: %v", n, len(body), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("cut at %d: block %d differs", n, i)
			}
		}
	}
}

func TestRefusedBodies(t *testing.T) {
	compress := func(p []byte, opts ...zstd.EOption) []byte {
		z, err := zstd.NewWriter(nil, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return z.EncodeAll(p, nil)
	}
	var wide bytes.Buffer
	z, err := zstd.NewWriter(&wide, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for range 80 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte{0, 0, 16, 0}, 1<<20) // frames of 1 MiB, for ever
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"plain text":        {[]byte("!AIVDM,1,1,,A,,0*26\r\n"), ErrNotZstd},
		"gzip":              {[]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}, ErrNotZstd},
		"bomb":              {compress(big), ErrBomb},
		"wide window":       {wide.Bytes(), ErrBomb},
		"block too large":   {compress([]byte{0, 0, 0, 1, 9, 9}), record.ErrTooLarge},
		"length of a dwarf": {compress([]byte{3, 0, 0, 0, 1, 2, 3}), ErrMalformed},
		"length without":    {compress([]byte{200, 0, 0, 0, 1, 2, 3}), ErrTruncated},
		"flipped":           {flip(encode(t, testBlocks(t, 3)...)), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeAll(t, bytes.NewReader(c.body), 4<<20); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

func flip(p []byte) []byte {
	p[len(p)-1] ^= 1 // in the stream's checksum
	return p
}

func TestEncoderRefusesHugeBlock(t *testing.T) {
	e, err := NewEncoder(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.WriteBlock(make([]byte, MaxBlockBytes+1)); !errors.Is(err, record.ErrTooLarge) {
		t.Fatal(err)
	}
}

func TestRequestHeader(t *testing.T) {
	h := http.Header{}
	testHeader.Write(h, true)
	got, err := ParseRequestHeader(h)
	if err != nil || !reflect.DeepEqual(got, testHeader) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := CheckContent(h); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header, value string
		want          error
	}{
		"no protocol":     {HeaderProtocol, "", ErrMalformed},
		"newer protocol":  {HeaderProtocol, "2", record.ErrVersion},
		"no gateway":      {HeaderGateway, "", ErrMalformed},
		"gateway's path":  {HeaderGateway, "../x", ErrMalformed},
		"long gateway":    {HeaderGateway, strings.Repeat("x", MaxGatewayBytes+1), ErrMalformed},
		"log of zeros":    {HeaderLog, record.LogID{}.String(), ErrMalformed},
		"short log":       {HeaderLog, "12", ErrMalformed},
		"negative offset": {HeaderOffset, "-1", ErrMalformed},
		"no request":      {HeaderRequest, "", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			testHeader.Write(h, false)
			h.Set(c.header, c.value)
			if _, err := ParseRequestHeader(h); !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestHeadersAreBounded: of what a stranger sends at most 64 bytes are told again, no
// name is kept that is none, and no header stands twice.
func TestHeadersAreBounded(t *testing.T) {
	names := []string{HeaderProtocol, HeaderGateway, HeaderLog, HeaderOffset, HeaderRequest, HeaderClock}
	for _, name := range names {
		h := http.Header{}
		testHeader.Write(h, false)
		h.Set(name, strings.Repeat("x", 900_000))
		got, err := ParseRequestHeader(h)
		if err == nil || len(err.Error()) > 300 || len(got.Gateway) > MaxGatewayBytes {
			t.Errorf("%s: an error of %d bytes, a name of %d", name, len(fmt.Sprint(err)), len(got.Gateway))
		}
		testHeader.Write(h, false)
		if h.Add(name, h.Get(name)); name == HeaderClock {
			h[name] = []string{"", ""}
		}
		if _, err := ParseRequestHeader(h); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), name+`" stands 2 times`) {
			t.Errorf("%s twice: %v", name, err)
		}
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	for _, a := range []Answer{
		{Known: true, Acked: 12, Hash: record.Hash{5}, LandedAt: 99},
		{Known: true, Acked: 1<<64 - 1, Code: CodeOutOfOrder, Detail: "starts at 9"},
		{Code: CodeFull},
		{Known: true, Code: CodeConflict, Conflict: true},
	} {
		a.Gateway, a.Log, a.Request = testHeader.Gateway, testHeader.Log, testHeader.Request
		got, err := DecodeAnswer(a.Code.Status(), AnswerType+"; charset=utf-8", a.Encode(), testHeader)
		if err != nil || got != a {
			t.Errorf("%+v, %v, want %+v", got, err, a)
		}
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	good := Answer{Gateway: testHeader.Gateway, Log: testHeader.Log, Request: testHeader.Request, Known: true, Acked: 12}
	body := string(good.Encode())
	if _, err := DecodeAnswer(200, AnswerType, []byte(body), testHeader); err != nil {
		t.Fatal(err)
	}
	other := func(change func(*Answer)) string {
		a := good
		change(&a)
		return string(a.Encode())
	}
	for name, c := range map[string]struct {
		status int
		typ    string
		body   string
	}{
		"captive portal":         {200, "text/html", "<html>Please sign in</html>"},
		"portal's JSON":          {200, "application/json", body},
		"empty":                  {200, AnswerType, ""},
		"null":                   {200, AnswerType, "null"},
		"empty object":           {200, AnswerType, "{}"},
		"cut":                    {200, AnswerType, body[:len(body)-3]},
		"two":                    {200, AnswerType, body + body},
		"other request":          {200, AnswerType, other(func(a *Answer) { a.Request = RequestID{8} })},
		"other gateway":          {200, AnswerType, other(func(a *Answer) { a.Gateway = "x" })},
		"other log":              {200, AnswerType, other(func(a *Answer) { a.Log = record.LogID{3} })},
		"error with 200":         {200, AnswerType, other(func(a *Answer) { a.Code = CodeFull })},
		"no error with 503":      {503, AnswerType, body},
		"unknown error with 200": {200, AnswerType, other(func(a *Answer) { a.Code = "new" })},
		"conflict without error": {200, AnswerType, other(func(a *Answer) { a.Conflict = true })},
		"newer protocol":         {200, AnswerType, strings.Replace(body, `"protocol":1`, `"protocol":2`, 1)},
		"negative acked":         {200, AnswerType, strings.Replace(body, `"acked":12`, `"acked":-1`, 1)},
		"without landed_at":      {200, AnswerType, strings.Replace(body, `"landed_at":0,`, ``, 1)},
		"bad hash":               {200, AnswerType, strings.Replace(body, `"hash":""`, `"hash":"zz"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := DecodeAnswer(c.status, c.typ, []byte(c.body), testHeader); !errors.Is(err, ErrNotAnswer) || a != (Answer{}) {
				t.Fatalf("%+v, %v", a, err)
			}
		})
	}
}

func TestEveryRefusalHasAnErrorStatus(t *testing.T) {
	if len(Refusals()) != len(statuses)-1 {
		t.Fatalf("%d refusals of %d codes", len(Refusals()), len(statuses)-1)
	}
	for _, c := range Refusals() {
		if c.Status() < 400 {
			t.Errorf("%s: status %d", c, c.Status())
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(encode(f, testBlocks(f, 3)...))
	f.Add([]byte("!AIVDM"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 1 << 20
		blocks, _ := decodeAll(t, bytes.NewReader(body), limit)
		total := 0
		for _, b := range blocks {
			total += len(b)
		}
		if total > limit {
			t.Fatalf("%d bytes decoded, limit %d", total, limit)
		}
		if len(blocks) == 0 {
			return
		}
		again, err := decodeAll(t, bytes.NewReader(encode(t, blocks...)), limit+1<<10)
		if err != nil || len(again) != len(blocks) {
			t.Fatalf("%d blocks again of %d, %v", len(again), len(blocks), err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	a := Answer{Gateway: testHeader.Gateway, Log: testHeader.Log, Request: testHeader.Request, Known: true, Acked: 12, Hash: record.Hash{1}}
	f.Add(200, a.Encode())
	f.Add(200, []byte("<html>"))
	a.Code, a.Conflict = CodeConflict, true
	f.Add(409, a.Encode())
	for _, a := range tellings() {
		f.Add(a.Code.Status(), a.Encode())
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := DecodeAnswer(status, AnswerType, body, testHeader)
		if err != nil {
			if a != (Answer{}) {
				t.Fatalf("%+v with %v", a, err)
			}
			return
		}
		b, err := DecodeAnswer(status, AnswerType, a.Encode(), testHeader)
		if len(a.Encode()) <= MaxAnswerBytes && (err != nil || a != b) {
			t.Fatalf("%+v, then %+v, %v", a, b, err)
		}
	})
}

// TestBehindIsForPeople: how far a gateway is behind comes through, and what
// cannot be read of it refuses nothing.
func TestBehindIsForPeople(t *testing.T) {
	for _, c := range []struct {
		text string
		want Behind
	}{
		{"123 45", Behind{Records: 123, Age: 45 * time.Second}},
		{"1 0", Behind{Records: 1}},
		{"", Behind{}}, {"12", Behind{}}, {"-1 2", Behind{}}, {"1 2 3", Behind{}}, {"1 99999999999", Behind{}}, {"x y", Behind{}},
	} {
		header := http.Header{}
		testHeader.Write(header, true)
		if header.Get(HeaderBehind) != "" {
			t.Fatal("a gateway that keeps up says something")
		}
		header.Set(HeaderBehind, c.text)
		got, err := ParseRequestHeader(header)
		if err != nil || got.Behind != c.want {
			t.Errorf("%q: %+v, %v", c.text, got.Behind, err)
		}
	}
	h, header := testHeader, http.Header{}
	h.Behind = Behind{Records: 7, Age: 90*time.Second + time.Millisecond}
	h.Write(header, false)
	if got, err := ParseRequestHeader(header); err != nil || got.Behind != (Behind{Records: 7, Age: 90 * time.Second}) {
		t.Errorf("%+v, %v", got.Behind, err)
	}
}

// endless gives zstd frames that decode to nothing (RFC 8878, section 3.1.2), 64
// MiB of them, and counts its bytes.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n >= 64<<20 {
		return 0, io.EOF
	}
	frame := []byte{0x50, 0x2A, 0x4D, 0x18, 248, 0, 0, 0} // skippable, 248 bytes long: 256 in all
	for i := range p {
		p[i] = 0
		if at := (e.n + int64(i)) % 256; at < 8 {
			p[i] = frame[at]
		}
	}
	e.n += int64(len(p))
	return len(p), nil
}

// TestTheBoundLeavesBlocksAlone: the smallest blocks, which nothing compresses,
// come through up to the limit.
func TestTheBoundLeavesBlocksAlone(t *testing.T) {
	const limit = 1 << 20
	var body bytes.Buffer
	e, err := NewEncoder(&body)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	block := make([]byte, record.BlockHeaderBytes)
	sent := 0
	for ; (sent+1)*(len(block)+frameHeaderBytes) <= limit; sent++ {
		for i := range block {
			block[i] = byte(rng.Uint32())
		}
		if err := e.WriteBlock(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d blocks of %d bytes became %.2f times as many bytes", sent, len(block), float64(body.Len())/limit)
	for _, most := range []int64{limit, math.MaxInt64} {
		d := NewDecoder(bytes.NewReader(body.Bytes()), most)
		for range sent {
			if _, err := d.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Next(); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
		d.Close()
	}
}

// TestFramesOfNothingAreBounded: a body that never gives a block is not read for
// ever.
func TestFramesOfNothingAreBounded(t *testing.T) {
	const limit = 1 << 20
	body := new(endless)
	d := NewDecoder(body, limit)
	defer d.Close()
	if _, err := d.Next(); !errors.Is(err, ErrBomb) || errors.Is(err, ErrTruncated) {
		t.Errorf("frames of nothing: %v", err)
	}
	if body.n > 2*limit+overhead {
		t.Errorf("%d bytes were read", body.n)
	}
}
