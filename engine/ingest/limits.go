package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"landfall/edge/record"
	"landfall/engine/published"
)

// MinGatewayBytes is the least that GatewayBytes may be: a block a second
// comes through whatever its size.
const MinGatewayBytes = record.MaxBlockBytes

// wireRatio is how many bytes a body may bring for a byte of blocks. Blocks that
// do not compress bring one and a little; frames that decode to nothing bring
// any number, and cost their reading.
const wireRatio = 2

// A task never forgets a log, or a copy of an old block would be taken once more: some
// 500 bytes each. So logs that are new to the engine are paced. Each start of a gateway
// opens one, and those of an outage come one after the other.
const (
	// maxNewLogs is how many of one gateway may come at once.
	maxNewLogs = 1024
	// newLogEvery is when the next one may come after that.
	newLogEvery = 10 * time.Second
	// maxLogs is how many logs of one gateway the lake may have before one may come in
	// scarceLogEvery only. No number of starts ends what an honest gateway delivers.
	maxLogs = 1 << 16
	// maxAllLogs is the same of all gateways of a partition together: those that have an
	// equal share of these, or more, then have to wait.
	maxAllLogs     = 1 << 18
	scarceLogEvery = time.Hour
)

// limits bound one gateway.
type limits struct {
	bytes    *rate.Limiter // of blocks before compression
	wire     *rate.Limiter // of bodies as they arrive
	requests *rate.Limiter
	logs     *rate.Limiter // that are new
	scarce   *rate.Limiter // of these, beyond maxLogs or maxAllLogs
}

func newLimits(c *Config) limits {
	none := rate.NewLimiter(rate.Inf, 0)
	l := limits{bytes: none, wire: none, requests: none, logs: rate.NewLimiter(rate.Every(newLogEvery), maxNewLogs),
		scarce: rate.NewLimiter(rate.Every(scarceLogEvery), 1)}
	if c.GatewayBytes > 0 {
		l.bytes = rate.NewLimiter(rate.Limit(c.GatewayBytes), int(c.GatewayBytes))
		l.wire = rate.NewLimiter(wireRatio*rate.Limit(c.GatewayBytes), int(wireRatio*c.GatewayBytes))
	}
	if c.GatewayRequests > 0 {
		l.requests = rate.NewLimiter(rate.Limit(c.GatewayRequests), 2*c.GatewayRequests)
	}
	return l
}

// bounded says why one more request is too much. The caller holds mu.
func (g *gateway) bounded(c *Config) error {
	if c.GatewaySessions > 0 && g.users >= c.GatewaySessions {
		return fmt.Errorf("%d requests of this gateway run or wait", g.users)
	}
	if !g.limits.requests.Allow() {
		return fmt.Errorf("more than %d requests of this gateway a second", c.GatewayRequests)
	}
	return nil
}

// hasOpened tells whether a log that was new was let in lately.
func (g *gateway) hasOpened(log record.LogID) bool { return slices.Contains(g.opened, log) }

// mayOpen says why a log that is new, of a gateway that may be, is not taken now.
func (s *session) mayOpen() error {
	var n published.Count
	if p := s.h.cfg.Published; p != nil {
		n = p.Count(s.head.Gateway)
	}
	if s.first && n.Logs == 0 && !s.h.letIn(s.head.Gateway, n.Gateways) {
		s.h.tooMany.Add(1)
		s.h.tooManyAt.Store(int64(s.h.cfg.Now()))
		return fmt.Errorf("%d gateways are known, and no more are let in (limits.gateways)", s.h.cfg.MaxGateways)
	}
	g := s.gw
	full := n.Logs >= maxLogs || n.AllLogs >= maxAllLogs && n.Logs >= maxAllLogs/max(1, n.Sharing)
	if full && !g.limits.scarce.Allow() {
		s.h.paced.Add(1)
		return fmt.Errorf("the lake has %d logs of this gateway, and keeps each for ever: of a new one nothing is taken now, one may come every %s", n.Logs, scarceLogEvery)
	}
	if !g.limits.logs.Allow() {
		s.h.paced.Add(1)
		return fmt.Errorf("the gateway brought %d new logs at once, or one every %s for long: this one has to wait", maxNewLogs, newLogEvery)
	}
	if len(g.opened) == keptLogs {
		g.opened = slices.Delete(g.opened, 0, 1)
	}
	g.opened = append(g.opened, s.head.Log)
	return nil
}

// letIn tells whether a gateway of which nothing is known may deliver. There are known of
// them in the lake; those that were let in before and are not there yet count too.
func (h *Handler) letIn(gateway string, known int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg.MaxGateways == 0 || h.letInNow[gateway] {
		return true
	}
	if known+len(h.letInNow) >= h.cfg.MaxGateways && h.cfg.Published != nil {
		for name := range h.letInNow {
			if h.cfg.Published.Count(name).Logs > 0 {
				delete(h.letInNow, name)
			}
		}
	}
	if known+len(h.letInNow) >= h.cfg.MaxGateways {
		return false
	}
	h.letInNow[gateway] = true
	return true
}

// hold keeps a refused request waiting, or until it is given up: whoever asks
// again at once, on however many connections, is answered once a hold on each.
func (h *Handler) hold(ctx context.Context) {
	h.mu.Lock()
	if h.held >= h.cfg.MaxSessions {
		h.mu.Unlock()
		return
	}
	h.held++
	h.mu.Unlock()
	t := time.NewTimer(h.cfg.BusyHold)
	select {
	case <-t.C:
	case <-ctx.Done():
		t.Stop()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held--
}

// pace waits until the gateway may bring so many bytes. It does not end with
// the connection: what has arrived is landed.
func (g *gateway) pace(ctx context.Context, bytes int) {
	_ = g.limits.bytes.WaitN(context.WithoutCancel(ctx), bytes) // a block is never larger than the burst
}

// pacedBody holds a body's bytes back to what the gateway may bring of them.
type pacedBody struct {
	*requestBody
	g *gateway
}

// Read implements io.Reader. What was read is given on after the wait, whatever
// has become of the connection.
func (b pacedBody) Read(p []byte) (int, error) {
	n, err := b.requestBody.Read(p[:min(len(p), MinGatewayBytes)]) // never more than the burst
	_ = b.g.limits.wire.WaitN(context.Background(), n)
	return n, err
}
