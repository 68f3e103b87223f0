// Package page is the local page of a daemon: its status as JSON, its health,
// its metrics. The daemons of both ends use it.
//
// In:  functions that give a picture of now.
// Out: HTTP on one address: / for browsers, /status, /healthz, /readyz, /metrics, /tap.
//
// Invariants
//
//  1. The page only reads; nothing can be changed through it.
//  2. /healthz and /readyz are 200 while there is no reason to be red, else 503
//     with the reasons.
//  3. A request is answered only where it names a host that is the page's own, and
//     no more than MaxTaps taps are served at a time; see Access.
//  4. No more than MaxConnections are open at a time.
//
// Serve starts one goroutine, which Close joins. The functions are called from
// many goroutines.
package page

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	// pageHTML shows /status to people, and asks for it again every two seconds.
	// It is the same page for both ends: a table for each part of the status.
	//
	//go:embed page.html
	pageHTML []byte
)

// html gives the page for browsers. It may load nothing from elsewhere, and no
// other page may frame it.
func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = w.Write(pageHTML)
}

// Config says what is shown.
type Config struct {
	Address string          // host:port; empty: no page
	Status  func() any      // as JSON
	Reasons func() []string // why not healthy; none: healthy
	Unready func() []string // why not ready; nil: Reasons
	Metrics func(*Metrics)  // called for each scrape
	Prefix  string          // of metric names, with its '_'
	Tap     http.Handler    // a stream of what passes; nil: none
	Access  *Access         // nil: under loopback names and the host of Address

	connections int // at a time; 0: MaxConnections
}

// Page is a page being served. The zero value is no page.
type Page struct {
	server *http.Server
	end    context.CancelFunc // of requests that would go on for ever
	done   sync.WaitGroup
}

// timeout bounds a request to the page, and its closing.
const timeout = 5 * time.Second

// idleTimeout ends a connection on which nothing is asked any more: longer than
// browsers and Prometheus wait between two requests.
const idleTimeout = 2 * time.Minute

// Serve listens and serves. Error: of listening.
func Serve(c Config) (*Page, error) {
	if c.Address == "" {
		return &Page{}, nil
	}
	ln, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("serve status page: %w", err)
	}
	if c.Unready == nil {
		c.Unready = c.Reasons
	}
	if c.Access == nil {
		c.Access = NewAccess(c.Address)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{c})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.Status()) // a reader that went away asks again
	})
	mux.HandleFunc("GET /{$}", html)
	mux.HandleFunc("GET /healthz", light(c.Reasons))
	mux.HandleFunc("GET /readyz", light(c.Unready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if c.Tap != nil {
		mux.Handle("GET /tap", c.Access.bounded(c.Tap))
	}
	serving, end := context.WithCancel(context.Background())
	p := &Page{end: end, server: &http.Server{
		Handler: c.Access.hosts(mux), ReadHeaderTimeout: timeout, WriteTimeout: timeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return serving },
	}}
	places := newPlaces(ln, cmp.Or(c.connections, MaxConnections), &c.Access.refusedConnections)
	p.server.ConnState = places.state
	p.done.Go(func() { _ = p.server.Serve(places) }) // ends with Close
	return p, nil
}

// light is green without reasons and red with them.
func light(reasons func() []string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if why := reasons(); len(why) > 0 {
			http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// Close ends the page.
func (p *Page) Close() error {
	if p.server == nil {
		return nil
	}
	p.end() // Shutdown waits for requests, and a tap has no end of its own
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, p.server.Close())
	}
	p.done.Wait()
	return err
}

// Metrics takes the values of one scrape.
type Metrics struct {
	prefix string
	out    chan<- prometheus.Metric
}

// Count gives a counter; labels are names and values in turn.
func (m *Metrics) Count(name, help string, value uint64, labels ...string) {
	m.put(prometheus.CounterValue, name, help, float64(value), labels)
}

// Gauge gives a gauge; labels are names and values in turn.
func (m *Metrics) Gauge(name, help string, value float64, labels ...string) {
	m.put(prometheus.GaugeValue, name, help, value, labels)
}

// Flag gives a gauge that is 1 while something holds.
func (m *Metrics) Flag(name, help string, on bool, labels ...string) {
	value := 0.0
	if on {
		value = 1
	}
	m.Gauge(name, help, value, labels...)
}

// Stamp gives a time of a status, RFC 3339, as seconds since 1970; nothing for
// what is none.
func (m *Metrics) Stamp(name, help, at string, labels ...string) {
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		m.Gauge(name, help, float64(t.UnixMicro())/1e6, labels...)
	}
}

func (m *Metrics) put(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	desc := prometheus.NewDesc(m.prefix+name, help, names, nil)
	metric, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(desc, err)
	}
	m.out <- metric
}

// collector reads the metrics anew for each scrape.
type collector struct{ c Config }

// Describe implements prometheus.Collector: metrics are not described before,
// because sources and partitions bring their own.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	c.c.Metrics(&Metrics{prefix: c.c.Prefix, out: out})
}
