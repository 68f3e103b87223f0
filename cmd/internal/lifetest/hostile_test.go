//go:build linux

package lifetest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/ca"
	"landfall/decoders/sensor"
	"landfall/edge/certs"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
)

// hostile is a gateway with a certificate of its own that speaks the protocol and lies:
// in its blocks, their annotations, watermarks, times and logs, and in its headers. What
// it sends follows from its seed and from the answers.
type hostile struct {
	t      *testing.T
	rng    *rand.Rand
	client *http.Client
	url    string
	logs   []*hostileLog // the newest last
	now    record.Micros // when it began
	victim record.LogID  // a log of the honest neighbour
	codes  map[wire.Code]int
	sent   int
}

// hostileLog is where a log of it stands, by the answers.
type hostileLog struct {
	id   record.LogID
	next record.Offset
	prev record.Hash
}

// pick chooses one of some values.
func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// one is true once in n times.
func (h *hostile) one(n int) bool { return h.rng.IntN(n) == 0 }

func (h *hostile) bytes(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(h.rng.Uint32())
	}
	return p
}

// micros is a time: mostly now, and else anything.
func (h *hostile) micros() record.Micros {
	now := h.now
	day := record.Micros(86_400_000_000)
	switch h.rng.IntN(12) {
	case 0:
		return pick(h.rng, record.NoTime, record.NoTime+1, math.MaxInt64, math.MaxInt64-1, 0, -1, 1)
	case 1:
		return record.Micros(h.rng.Int64() - h.rng.Int64())
	case 2:
		return now + record.Micros(h.rng.Int64N(40_000))*day
	case 3:
		return now - record.Micros(h.rng.Int64N(40_000))*day
	case 4:
		return now + record.Micros(h.rng.Int64N(int64(day)))
	}
	return now - record.Micros(h.rng.Int64N(60_000_000))
}

// number is an integer of any size.
func (h *hostile) number() uint64 { return h.rng.Uint64() >> h.rng.UintN(64) }

// line is a sentence or what is left of one.
func (h *hostile) line() []byte {
	p := []byte(pick(h.rng,
		"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D", "!AIVDM,1,1,,A,15MvlfP000G?n@@K>OW`4?vN0<0=,0*5A",
		"\\s:r003669945,c:1120959341*51\\!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D",
		"!AIVDM,2,1,3,B,55P5TL01VIaAL@7WKO@mBplU@<PDhh000000001S;AJ::4A80?4i@E53,0*3E\n!AIVDM,2,2,3,B,1@0000000000000,2*55",
		"$GPRMC,235959.99,A,4807.038,N,01131.000,E,022.4,084.4,311299,003.1,W*6A", "$GPZDA,201530.00,04,07,2002,00,00*60",
		"$WIMWV,214.8,R,0.1,K,A*28", "{\"t\":1,\"v\":[1,2]}", ""))
	for range h.rng.IntN(3) {
		if len(p) == 0 || h.one(2) {
			continue
		}
		switch i := h.rng.IntN(len(p)); h.rng.IntN(4) {
		case 0:
			p[i] = byte(h.rng.Uint32())
		case 1:
			p = p[:i]
		case 2:
			p = append(p[:i:i], append(h.bytes(h.rng.IntN(20)), p[i:]...)...)
		case 3:
			p = append(p, p[:i]...)
		}
	}
	return p
}

// report is a sensor report, sometimes damaged.
func (h *hostile) report() []byte {
	name := func() string {
		return pick(h.rng, "pump", "temp", "", "\x1b]0;x\x07", strings.Repeat("n", h.rng.IntN(1100)), string(h.bytes(h.rng.IntN(40))), fmt.Sprint(h.rng.Uint64()))
	}
	r := sensor.Report{Origin: sensor.Origin(h.rng.IntN(8)), Address: name(), Payload: h.bytes(h.rng.IntN(100)), Reason: pick(h.rng, "", "no_json", name())}
	n := h.rng.IntN(6)
	if h.one(40) {
		n = sensor.MaxReadings
	}
	for range n {
		r.Readings = append(r.Readings, sensor.Reading{
			Sensor: name(), Metric: name(), Unit: name(), Kind: sensor.ValueKind(h.rng.IntN(6)), Quality: sensor.Quality(h.rng.IntN(8)),
			Number: pick(h.rng, 1.5, math.NaN(), math.Inf(1), math.Copysign(0, -1), math.MaxFloat64, h.rng.Float64()), Text: name(), HasTime: h.one(2), Time: int64(h.micros()), Historical: h.one(4),
		})
	}
	p := r.Append(nil)
	if h.one(4) && len(p) > 0 {
		p[h.rng.IntN(len(p))] ^= 1 << h.rng.IntN(8)
	}
	if h.one(8) {
		p = p[:h.rng.IntN(len(p)+1)]
	}
	return p
}

func (h *hostile) raw() []byte {
	switch h.rng.IntN(8) {
	case 0:
		return h.bytes(h.rng.IntN(300))
	case 1:
		return bytes.Repeat([]byte{byte(h.rng.Uint32())}, h.rng.IntN(1<<pick(h.rng, 3, 10, 16, 20)))
	case 2, 3:
		return h.report()
	}
	return h.line()
}

// annotation is one that says something, or nothing that anybody knows.
func (h *hostile) annotation() record.Annotation {
	name := pick(h.rng, "", "radio", "evil\"]\n", strings.Repeat("s", h.rng.IntN(3000)), string(h.bytes(h.rng.IntN(30))))
	a := pick(h.rng,
		record.SourceName{Source: uint32(h.number()), Name: name}.Annotation(),
		record.SourceName{Source: uint32(h.rng.IntN(4)), Name: name}.Annotation(),
		record.Watermark{Source: name, At: h.micros(), Idle: h.one(2)}.Annotation(),
		record.Watermark{At: h.micros()}.Annotation(),
		record.Mark{Name: name, Value: h.bytes(h.rng.IntN(200))}.Annotation(),
		record.Annotation{Type: record.AnnBoot, Body: h.bytes(pick(h.rng, 16, 16, h.rng.IntN(40)))},
		record.Annotation{Type: record.AnnLoss, Body: []byte(name)},
		record.DigestAnnotation(record.Digest(h.number())),
		record.Annotation{Type: record.AnnType(h.rng.Uint32()), Body: h.bytes(h.rng.IntN(100))},
	)
	if h.one(6) && len(a.Body) > 0 {
		a.Body = a.Body[:h.rng.IntN(len(a.Body))]
	}
	return a
}

// block is the next one of a log, or what passes for it.
func (h *hostile) block(l *hostileLog) []byte {
	log, first, prev := l.id, l.next, l.prev
	switch h.rng.IntN(30) {
	case 0:
		prev = record.Hash(h.bytes(16))
	case 1:
		first = record.Offset(h.number())
	case 2:
		log = h.victim
	case 3:
		return record.SealLoss(log, first, uint32(h.number()), pick(h.rng, prev, record.Hash{}), pick(h.rng, "shed", "corrupt", "\x1b[2J", strings.Repeat("r", h.rng.IntN(5000))), nil)
	}
	var b record.Builder
	if first == 0 && !h.one(4) {
		open := record.Record{Kind: record.KindLogOpen, ReceivedAt: h.micros(), Raw: h.bytes(h.rng.IntN(80))}
		if !h.one(3) {
			open.Raw = record.Opening{Prev: h.logs[h.rng.IntN(len(h.logs))].id, PrevEnd: record.Offset(h.number())}.Encode()
		}
		_ = b.Add(&open)
	}
	n := 1 + h.rng.IntN(8)
	if h.one(30) {
		n = 2000
	}
	for range n {
		r := record.Record{
			Kind: record.Kind(h.rng.IntN(8)), Flags: record.Flags(h.number()), Source: uint32(h.number()), ReceivedAt: h.micros(), EventTime: h.micros(),
			TimeSource: record.TimeSource(h.rng.IntN(10)), TimeQuality: record.TimeQuality(h.rng.IntN(6)), Monotonic: int64(h.number()), Raw: h.raw(),
		}
		if h.one(2) {
			r.Kind, r.Source = pick(h.rng, record.KindAIS, record.KindSentence, record.KindReading), uint32(h.rng.IntN(4))
		}
		if len(r.Raw) > record.MaxRawBytes || b.Size() > 3<<20 {
			break
		}
		if h.one(20) {
			_ = b.AddPayload(h.bytes(h.rng.IntN(60)))
		} else {
			_ = b.Add(&r)
		}
	}
	for range h.rng.IntN(5) {
		_ = b.Annotate(h.annotation())
	}
	return bytes.Clone(b.Seal(log, first, prev))
}

// bend changes some bytes of a block; fair is that its CRC fits all the same.
func (h *hostile) bend(p []byte) []byte {
	for range 1 + h.rng.IntN(4) {
		i := h.rng.IntN(len(p))
		if h.one(2) {
			i = h.rng.IntN(min(len(p), record.BlockHeaderBytes))
		}
		p[i] = byte(h.rng.Uint32())
	}
	if !h.one(4) {
		binary.LittleEndian.PutUint32(p[8:], uint32(len(p)))
		binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return p
}

// log is one that goes on, or a new one.
func (h *hostile) log() *hostileLog {
	if len(h.logs) == 0 || h.one(12) {
		h.logs = append(h.logs, &hostileLog{id: record.LogID(h.bytes(16))})
		if len(h.logs) > 50 {
			h.logs = h.logs[1:]
		}
	}
	if h.one(8) {
		return pick(h.rng, h.logs...)
	}
	return h.logs[len(h.logs)-1]
}

// clock is what it says of its boots.
func (h *hostile) clock() []byte {
	var all []record.Anchor
	for range h.rng.IntN(record.MaxAnchors + 1) {
		all = append(all, record.Anchor{Boot: [16]byte(h.bytes(16)), Begin: int64(h.number()), Mono: int64(h.number()), UTC: h.micros(),
			Uncertainty: int64(h.number() >> 1), Quality: record.TimeQuality(h.rng.IntN(6)), Radio: h.one(2)})
	}
	p := record.EncodeAnchors(all)
	if h.one(4) {
		p[h.rng.IntN(len(p))] ^= 1 << h.rng.IntN(8)
	}
	return p
}

// round sends one request.
func (h *hostile) round() {
	l := h.log()
	h.sent++
	head := wire.RequestHeader{Gateway: "mallory", Log: l.id, Offset: l.next, Request: wire.RequestID(h.bytes(16)), Keeps: h.one(3)}
	if h.one(3) {
		head.Clock = h.clock()
	}
	if h.one(4) {
		head.Behind = wire.Behind{Records: h.number(), Age: time.Duration(h.number() >> 1)}
	}
	if h.one(40) {
		head.Offset = record.Offset(h.number())
	}
	var body bytes.Buffer
	e, err := wire.NewEncoder(&body)
	if err != nil {
		h.t.Fatal(err)
	}
	at := *l
	for range 1 + h.rng.IntN(3) {
		p := h.block(&at)
		if h.one(10) {
			p = h.bend(p)
		}
		if err := e.WriteBlock(p); err != nil {
			break
		}
		if b, err := record.ParseHeader(p); err == nil {
			at.next, at.prev = b.End(), record.HashBlock(p)
		}
	}
	if err := e.Close(); err != nil {
		h.t.Fatal(err)
	}
	p := body.Bytes()
	if h.one(20) {
		p = p[:h.rng.IntN(len(p))]
	}
	if h.one(20) {
		if len(p) > 0 {
			p[h.rng.IntN(len(p))] ^= 1
		}
	}
	h.send(l, head, p)
}

// send posts a request and goes on where the answer says.
func (h *hostile) send(l *hostileLog, head wire.RequestHeader, body []byte) {
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+wire.Path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	head.Write(req.Header, true)
	switch h.rng.IntN(40) {
	case 0:
		req.Header.Add(pick(h.rng, wire.HeaderGateway, wire.HeaderLog, wire.HeaderClock), "ada")
	case 1:
		req.Header.Set(wire.HeaderGateway, pick(h.rng, "ada", "", "mallory ", strings.Repeat("m", 5000)))
	case 2:
		req.Header.Set(pick(h.rng, wire.HeaderOffset, wire.HeaderLog, wire.HeaderRequest, wire.HeaderProtocol, wire.HeaderBehind, "Content-Type"),
			pick(h.rng, "", "-1", "99999999999999999999999", url.QueryEscape(string(h.bytes(30))), strings.Repeat("9", 9000)))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		h.codes["no answer"]++
		return
	}
	text, err := io.ReadAll(resp.Body)
	if errors.Join(err, resp.Body.Close()) != nil {
		h.codes["no answer"]++
		return
	}
	a, err := wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
	if err != nil {
		h.codes["another's answer"]++
		return
	}
	if h.codes[a.Code]++; a.Known {
		l.next, l.prev = a.Acked, a.Hash
	}
}

// hostileView is what is read of the engine's status here.
type hostileView struct {
	Healthy  bool     `json:"healthy"`
	Reasons  []string `json:"reasons"`
	Gateways []struct {
		Gateway   string `json:"gateway"`
		Log       string `json:"log"`
		LastError string `json:"last_error"`
		Watermark string `json:"watermark"`
	} `json:"gateways"`
	Tasks []struct {
		State     string `json:"state"`
		Error     string `json:"error"`
		Restarts  uint64 `json:"restarts"`
		Epoch     uint64 `json:"epoch"`
		Published uint64 `json:"published"`
		Behind    int64  `json:"behind"`
		Conflicts uint64 `json:"conflicts"`
		Panics    uint64 `json:"panics"`
	} `json:"tasks"`
}

func (d *daemon) hostileView() (s hostileView) {
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

// codesSeen tells how often each answer came, for people.
func (h *hostile) codesSeen() string {
	var all []string
	for code, n := range h.codes {
		if code == wire.CodeNone {
			code = "taken"
		}
		all = append(all, fmt.Sprintf("%s %d", code, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// hostileMemory is the most that the engine may ever take under these rounds.
const hostileMemory = 512 << 20

// hostileEnv returns a number of the environment, for a longer run by hand.
func hostileEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAHostileGatewayHarmsNobody: a gateway with a certificate of its own sends what it
// likes, hundreds of requests, while an honest one delivers. The engine lives and works
// on, in bounded memory; all rows of the honest one are published and exact to the byte;
// whatever is red names the hostile one, and the honest one nowhere.
//
// By hand, as long as one likes:
//
//	LANDFALL_HOSTILE_EPOCHS=10000 LANDFALL_HOSTILE_SEED=7 go test -timeout 0 -run Hostile -v ./cmd/internal/lifetest
func TestAHostileGatewayHarmsNobody(t *testing.T) {
	seed := hostileEnv(t, "LANDFALL_HOSTILE_SEED", 1)
	epochs := hostileEnv(t, "LANDFALL_HOSTILE_EPOCHS", 0) // 0: so many requests
	const requests = 250
	dir, work, listen := authority(t), t.TempDir(), freePort(t)
	a, err := ca.Open(durable.OS{}, dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]ca.Role{"127.0.0.1": ca.Engine, "ada": ca.Gateway, "mallory": ca.Gateway} {
		if _, err := a.Sign(role, 90*24*time.Hour, name); err != nil { // so long that nobody says it ends soon
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	engine := run(t, "landfall-engine", fmt.Sprintf(`listen: %s
status: STATUS
tls: {cert_file: %[2]s/127.0.0.1.pem, key_file: %[2]s/127.0.0.1.key, client_ca_file: %[2]s/ca.pem}
landing: {dir: %[3]s/landing, reserve: 0B}
lake: {dir: %[3]s/lake}
epoch: {interval: 100ms, records: 30}
limits: {gateway_requests: 0, gateway_bytes: 0B}
`, listen, dir, work))
	put(t, work+"/in.nmea", "")
	ada := run(t, "landfall-edge", fmt.Sprintf(`gateway: ada
data_dir: %[1]s/ada
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - {name: file, file: {path: %[1]s/in.nmea, follow: true}}
forward:
  url: https://%[2]s/
  linger: 0s
  retry_max: 500ms
  ca_file: %[3]s/ca.pem
  cert_file: %[3]s/ada.pem
  key_file: %[3]s/ada.key
`, work, listen, dir))
	k, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: dir + "/ca.pem", CertFile: dir + "/mallory.pem", KeyFile: dir + "/mallory.key"})
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{
		t: t, rng: rand.New(rand.NewPCG(seed, 20)), url: "https://" + listen, now: record.Micros(time.Now().UnixMicro()), codes: map[wire.Code]int{},
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: k.Client("", "127.0.0.1")}},
	}
	appendLine(t, work+"/in.nmea")
	until(t, "the honest one has a log", func() bool {
		for _, g := range engine.hostileView().Gateways {
			if id, err := record.ParseLogID(g.Log); err == nil && g.Gateway == "ada" {
				h.victim = id
			}
		}
		return h.victim != record.LogID{}
	})
	began := time.Now()
	for n := 0; ; n++ {
		h.round()
		appendLine(t, work+"/in.nmea")
		if n%50 != 0 {
			continue
		}
		v := engine.hostileView()
		h.judge(engine, ada, v)
		if epochs > 0 && n%1000 == 0 {
			t.Logf("%s: %d requests, epoch %d, %d MiB at most; %s", time.Since(began).Round(time.Second), h.sent, v.epoch(), engine.peak()>>20, h.codesSeen())
		}
		if epochs == 0 && n >= requests || epochs > 0 && v.epoch() >= epochs || t.Failed() {
			break
		}
	}
	appendLine(t, work+"/in.nmea")
	until(t, "all of the honest one is published", func() bool {
		e := ada.edge()
		return e.Forward.Pending == 0 && e.Forward.Acked > uint64(h.sent) && e.Forward.Error == "" && strings.Contains(ada.ask("/metrics"), "landfall_edge_forward_unpublished_records 0\n")
	})
	h.judge(engine, ada, engine.hostileView())
	t.Logf("seed %d: %d requests in %s, epoch %d, %d MiB at most; answers: %s", seed, h.sent, time.Since(began).Round(time.Second),
		engine.hostileView().epoch(), engine.peak()>>20, h.codesSeen())
	t.Logf("reasons: %q", engine.hostileView().Reasons)
	if code := ada.stop(); code != 0 {
		t.Errorf("the honest one ended with %d", code)
	}
	if code := engine.stop(); code != 0 {
		t.Errorf("the engine ended with %d", code)
	}
	h.audit(work)
}

// epoch is the newest one that is published.
func (v hostileView) epoch() (n uint64) {
	for _, task := range v.Tasks {
		n = max(n, task.Published)
	}
	return n
}

// judge says what is wrong now.
func (h *hostile) judge(engine, ada *daemon, v hostileView) {
	h.t.Helper()
	select {
	case <-engine.ended:
		h.t.Fatal("the engine has ended")
	case <-ada.ended:
		h.t.Fatal("the honest gateway has ended")
	default:
	}
	for _, reason := range v.Reasons {
		if !strings.Contains(reason, "mallory") || strings.Contains(reason, "ada") {
			h.t.Errorf("after %d requests the engine says: %s", h.sent, reason)
		}
	}
	for _, task := range v.Tasks {
		if task.Restarts != 0 || task.Error != "" {
			h.t.Errorf("after %d requests: %d restarts, %s", h.sent, task.Restarts, task.Error)
		}
		if task.Panics != 0 {
			h.t.Errorf("after %d requests a decoder panicked", h.sent)
		}
	}
	for _, g := range v.Gateways {
		if g.Gateway == "ada" && g.LastError != "" {
			h.t.Errorf("after %d requests the honest one was told %s", h.sent, g.LastError)
		}
		if g.Gateway != "ada" && g.Gateway != "mallory" {
			h.t.Errorf("a gateway %q is there", g.Gateway)
		}
	}
	if used := engine.peak(); used > hostileMemory {
		h.t.Errorf("after %d requests the engine took %d MiB", h.sent, used>>20)
	}
	if said := ada.edge().Reasons; len(said) > 0 {
		h.t.Errorf("after %d requests the honest gateway says %q", h.sent, said)
	}
}

// audit reads the whole lake: of the honest gateway nothing is missing, twice, lost or
// otherwise, and nothing that stands against the lake names it.
func (h *hostile) audit(work string) {
	said, err := tool(h.t, "landfall-engine", "audit", "--lake", work+"/lake", "--edge-log", work+"/ada/log", "--level", "values", "--quiet", "--json")
	var result struct {
		Logs []struct {
			Gateway       string
			Recorded      uint64
			Missing       uint64
			Duplicated    uint64
			InLoss        uint64 `json:"in_loss"`
			Conflicts     uint64
			TypedExpected uint64 `json:"typed_expected"`
			TypedFound    uint64 `json:"typed_found"`
			TypedWrong    uint64 `json:"typed_wrong"`
			Compared      uint64
			Differing     uint64
			Pending       uint64
			Tail          string
		}
		Problems []string
		Findings []struct {
			Gateway, Kind, Table, File, Log, Offsets, Column, Detail string
		}
	}
	if bad := json.NewDecoder(strings.NewReader(said)).Decode(&result); bad != nil { // what it says of its exit follows
		h.t.Fatalf("%v, %v: %s", err, bad, said[:min(len(said), 3000)])
	}
	found := 0
	for _, l := range result.Logs {
		if l.Gateway != "ada" {
			continue
		}
		found++
		if l.Missing+l.Duplicated+l.InLoss+l.Conflicts+l.TypedWrong+l.Differing+l.Pending != 0 || l.TypedExpected != l.TypedFound ||
			l.Recorded == 0 || l.Compared != l.Recorded || l.Tail != "proven" {
			h.t.Errorf("the honest one's log: %+v", l)
		}
		h.t.Logf("of the honest one %d records, all compared", l.Recorded)
	}
	if found != 1 {
		h.t.Errorf("%d logs of the honest one", found)
	}
	for _, f := range result.Findings {
		if f.Gateway != "mallory" {
			h.t.Errorf("a finding: %+v", f)
		}
	}
	for _, p := range result.Problems {
		if !strings.Contains(p, "mallory") {
			h.t.Errorf("a problem: %s", p)
		}
	}
}
