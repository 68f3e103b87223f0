package ingest

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/edge/turns"
	"landfall/edge/wire"
)

// keptGateways bounds what is remembered of gateways that are not connected.
const keptGateways = 16 << 10

// keptEntries bounds the ends, contradictions and repeats that are remembered of all
// gateways that are not connected, together with those of the ones that are.
const keptEntries = 1 << 18

// GatewaysMemory is what is remembered of gateways at most, bytes.
const GatewaysMemory = keptGateways*(2<<10) + keptEntries*96

// Handler serves wire.Path.
type Handler struct {
	cfg    Config
	bodies *bodies
	now    func() time.Time // time.Now; tests: another clock

	mu       sync.Mutex
	gateways map[string]*gateway
	sessions map[*session]bool // that have a place
	waiting  []*session        // for a place, in the order in which they came
	turns    turns.List        // clients that ask for a place in vain
	places   map[string]int    // by client: requests that have or wait for a place, less those that give way
	held     int               // refused as busy, not yet answered
	// remembered is the sum of gateway.counted.
	remembered int
	refused    map[wire.Code]uint64
	nobody     map[certs.Reason]uint64 // of refused: why the name was not proved
	letInNow   map[string]bool         // gateways of which nothing was known, and nothing may be in the lake yet

	requests, questions, blocks, records         atomic.Uint64
	blockBytes, wireBytes                        atomic.Uint64
	duplicates, conflicts, alternations, unknown atomic.Uint64
	resends, displaced, paced, heldBack, tooMany atomic.Uint64
	tooManyAt                                    atomic.Int64 // a record.Micros; 0: never
}

// New makes a handler. Errors: Validate's.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Handler{
		cfg: cfg, bodies: newBodies(cfg.MaxBodies), gateways: map[string]*gateway{}, sessions: map[*session]bool{}, places: map[string]int{},
		now:     time.Now,
		refused: map[wire.Code]uint64{}, nobody: map[certs.Reason]uint64{}, letInNow: map[string]bool{},
	}, nil
}

// Stats counts what a Handler did.
type Stats struct {
	Sessions         int           // requests being served
	Requests         uint64        // with blocks
	Questions        uint64        // without
	Blocks           uint64        // landed, contradictions not counted
	Records          uint64        // in them
	BlockBytes       uint64        // of them, before compression
	WireBytes        uint64        // compressed bytes received
	Duplicates       uint64        // blocks passed over because they are landed
	Conflicts        uint64        // blocks that contradict what is landed
	Alternations     uint64        // times a log came back after another of its gateway: two machines under one name?
	UnknownLogs      uint64        // requests whose start could not be checked against a tail
	Resends          uint64        // times a gateway was told to send a log again from below what had landed
	Displaced        uint64        // requests that were ended because others waited for their places
	BodyBytes        int64         // of memory that bodies hold
	PacedLogs        uint64        // requests refused because their gateway had opened too many logs
	HeldBack         uint64        // requests ended because their gateway's task had not read what landed before
	RefusedGateways  uint64        // requests refused because too many gateways are known
	RefusedGatewayAt record.Micros // when that was last; 0: never
	Refused          map[wire.Code]uint64
	Unproven         map[certs.Reason]uint64 // of Refused: why the gateway's name was not proved
}

// Stats gives the counters. It may be called from any goroutine.
func (h *Handler) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := Stats{
		Sessions: len(h.sessions), Requests: h.requests.Load(), Questions: h.questions.Load(),
		Blocks: h.blocks.Load(), Records: h.records.Load(), BlockBytes: h.blockBytes.Load(), WireBytes: h.wireBytes.Load(),
		Duplicates: h.duplicates.Load(), Conflicts: h.conflicts.Load(), Alternations: h.alternations.Load(),
		UnknownLogs: h.unknown.Load(), Resends: h.resends.Load(), Displaced: h.displaced.Load(), PacedLogs: h.paced.Load(),
		HeldBack: h.heldBack.Load(), RefusedGateways: h.tooMany.Load(), RefusedGatewayAt: record.Micros(h.tooManyAt.Load()),
		BodyBytes: h.bodies.held(), Refused: map[wire.Code]uint64{}, Unproven: map[certs.Reason]uint64{},
	}
	for _, r := range certs.Reasons() {
		st.Unproven[r] = h.nobody[r]
	}
	for _, c := range wire.Refusals() {
		st.Refused[c] = h.refused[c]
	}
	return st
}

// GatewayStatus is what this ingest last saw of a gateway.
type GatewayStatus struct {
	Log    record.LogID
	Next   record.Offset // acknowledged of it
	SeenAt record.Micros
	// Behind is what its last request told to wait on the gateway.
	Behind wire.Behind
	// AlternatedAt is when a log of the gateway last came back after another of it;
	// 0: never, as far as this ingest remembers.
	AlternatedAt record.Micros
	// LastError is why its last request was refused; empty: it was not. A name
	// that was not proved leaves nothing here.
	LastError string
}

// Gateways tells of the gateways this ingest remembers.
func (h *Handler) Gateways() map[string]GatewayStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]GatewayStatus, len(h.gateways))
	for name, g := range h.gateways {
		g.mu.Lock()
		if g.seen != 0 {
			out[name] = GatewayStatus{Log: g.log, Next: g.next, SeenAt: g.seen, Behind: g.behind, LastError: g.lastError, AlternatedAt: g.alternatedAt}
		}
		g.mu.Unlock()
	}
	return out
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "blocks are sent with POST", http.StatusMethodNotAllowed)
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // so that a refusal does not wait for the body; HTTP/2 always is
	s := &session{h: h, r: r, body: &requestBody{r: r.Body, control: control, stall: h.cfg.StallTimeout}}
	answer := s.serve()
	if !s.drained { // the server reads on for a while, so that the answer arrives
		_ = control.SetReadDeadline(time.Now().Add(h.cfg.StallTimeout))
	}
	h.answer(w, answer, s.drained)
}

// answer writes the answer at once and whole.
func (h *Handler) answer(w http.ResponseWriter, a wire.Answer, drained bool) {
	if a.Code != wire.CodeNone {
		h.mu.Lock()
		h.refused[a.Code]++
		h.mu.Unlock()
		h.cfg.Logger.Warn("request refused", "gateway", a.Gateway, "log", a.Log, "code", a.Code, "detail", a.Detail)
	}
	text := a.Encode()
	w.Header().Set("Content-Type", wire.AnswerType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Cache-Control", "no-store")
	if !drained {
		w.Header().Set("Connection", "close")
	}
	failpoint.Hit("c2.before-answer")
	w.WriteHeader(a.Code.Status())
	_, _ = w.Write(text) // an answer that does not arrive is asked for again
}

// refusal is an error that has a code.
type refusal struct {
	code wire.Code
	err  error
}

// Error implements error.
func (r refusal) Error() string { return r.err.Error() }

// Unwrap gives the cause.
func (r refusal) Unwrap() error { return r.err }

// codeOf gives the code of an error of reading a request.
func codeOf(err error) wire.Code {
	var r refusal
	switch {
	case err == nil:
		return wire.CodeNone
	case errors.As(err, &r):
		return r.code
	case errors.Is(err, wire.ErrNotZstd):
		return wire.CodeNotZstd
	case errors.Is(err, wire.ErrBomb):
		return wire.CodeBomb
	case errors.Is(err, record.ErrTooLarge):
		return wire.CodeTooLarge
	case errors.Is(err, record.ErrVersion):
		return wire.CodeVersion
	case errors.Is(err, record.ErrCorrupt):
		return wire.CodeCorrupt
	case errors.Is(err, wire.ErrTruncated):
		return wire.CodeTruncated
	}
	return wire.CodeMalformed
}

// unproven counts a request whose gateway's name was not proved.
func (h *Handler) unproven(r certs.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nobody[r]++
}

// evict forgets some gateway that is not connected when there are too many.
// The caller holds mu.
func (h *Handler) evict() {
	if len(h.gateways) < keptGateways {
		return
	}
	for name, g := range h.gateways {
		g.mu.Lock()
		idle := g.users == 0
		g.mu.Unlock()
		if idle {
			h.remembered -= g.counted
			delete(h.gateways, name)
			return
		}
	}
}
