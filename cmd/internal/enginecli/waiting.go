package enginecli

import (
	"sync/atomic"
	"time"

	"landfall/edge/page"
	"landfall/engine/server"
)

// waitingPage is the status page of an engine that cannot start yet: health is red
// and says why, in the words of whoever refuses. The zero value shows nothing. It
// belongs to one goroutine.
type waitingPage struct {
	page *page.Page // nil: there is none
	why  atomic.Pointer[string]
}

// say shows, and once logs, why the engine waits. That the page cannot be shown is
// no reason not to wait: the engine will say so when it starts.
func (w *waitingPage) say(cfg *server.Config, o *server.Options, err error) {
	why := "waiting to start: " + err.Error()
	last := w.why.Swap(&why)
	if last == nil || *last != why {
		o.Logger.Warn("waiting to start", "error", err)
	}
	if last != nil {
		return
	}
	began := time.Now()
	reasons := func() []string { return []string{*w.why.Load()} }
	w.page, _ = page.Serve(page.Config{
		Address: cfg.Status, Access: page.NewAccess(cfg.Status, cfg.StatusHosts...), Prefix: server.MetricsPrefix, Reasons: reasons,
		Status:  func() any { return server.Waiting(o.Version, began, *w.why.Load()) },
		Metrics: func(m *page.Metrics) { server.WaitingMetrics(m, o.Version) },
	})
}

// close ends the page.
func (w *waitingPage) close() {
	if w.page != nil {
		_ = w.page.Close() // nothing durable is left to it
	}
}
