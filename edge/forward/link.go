package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"landfall/edge/wire"
)

// errStalled says that a link made no progress for too long.
var errStalled = errors.New("link made no progress")

// link sends requests over HTTP/1.1, one at a time: with one request in flight
// HTTP/2 brings nothing, and with HTTP/1.1 a request that is given up takes its
// connection with it, so that a dead connection is never used again.
type link struct {
	url     string
	client  *http.Client
	patient time.Duration // without progress
}

func newLink(cfg Config) *link {
	dialer := &net.Dialer{
		Timeout:         cfg.StallTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: cfg.StallTimeout / 2, Interval: cfg.StallTimeout / 6, Count: 3},
		Control:         control(cfg.StallTimeout),
	}
	transport := &http.Transport{
		Proxy: cfg.Proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetWriteBuffer(cfg.SendBuffer) // a wish: the kernel may give another
			}
			return c, err
		},
		TLSClientConfig:     cfg.TLS.Clone(),
		TLSHandshakeTimeout: cfg.StallTimeout,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		DisableCompression:  true,
		MaxIdleConns:        1,
		IdleConnTimeout:     5 * time.Minute,
		WriteBufferSize:     32 << 10,
	}
	return &link{
		url: strings.TrimSuffix(cfg.URL, "/") + wire.Path,
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		patient: cfg.StallTimeout + time.Duration(float64(2*cfg.SendBuffer)/float64(cfg.MinRate)*float64(time.Second)),
	}
}

// exchange sends one request and gives the answer, checked. blocks is nil for a
// question. Any error leaves open what was landed. Error: wire.ErrNotAnswer for
// an answer of somebody else, errStalled, the network's.
func (l *link) exchange(ctx context.Context, h wire.RequestHeader, w *watchdog, blocks io.ReadCloser) (wire.Answer, error) {
	var send io.Reader = http.NoBody
	if blocks != nil {
		send = blocks
	}
	req, err := http.NewRequestWithContext(w.watch(ctx), http.MethodPost, l.url, send)
	if err != nil {
		return wire.Answer{}, fmt.Errorf("make request: %w", err)
	}
	h.Write(req.Header, blocks != nil)
	answer, err := l.roundTrip(req, h, w)
	if err == nil {
		return answer, nil
	}
	l.client.CloseIdleConnections()
	if cause := context.Cause(req.Context()); errors.Is(cause, errStalled) {
		return wire.Answer{}, fmt.Errorf("forward to %s: %w for %s", l.url, cause, l.patient)
	}
	return wire.Answer{}, fmt.Errorf("forward to %s: %w", l.url, err)
}

func (l *link) roundTrip(req *http.Request, h wire.RequestHeader, w *watchdog) (wire.Answer, error) {
	resp, err := l.client.Do(req)
	if err != nil {
		return wire.Answer{}, err
	}
	w.touch()
	text, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxAnswerBytes+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return wire.Answer{}, err
	}
	return wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, h)
}

// watchdog cancels a request that makes no progress.
type watchdog struct {
	patient time.Duration

	mu    sync.Mutex
	timer *time.Timer
	stop  context.CancelCauseFunc
}

// watch gives a context that ends when touch is not called for too long.
func (w *watchdog) watch(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop = cancel
	w.timer = time.AfterFunc(w.patient, func() { cancel(errStalled) })
	return ctx
}

// touch says that there was progress.
func (w *watchdog) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(w.patient)
	}
}

// end lets go of the timer and the context.
func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
		w.stop(nil)
	}
}
