package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"landfall/edge/config"
)

// page is the local status page.
type page struct{ server *http.Server }

// pageTimeout bounds a request to the page, and its closing.
const pageTimeout = 5 * time.Second

// servePage listens on loopback: /status (JSON), /healthz and /metrics. It is
// nothing when no address is configured.
func (a *Agent) servePage() (*page, error) {
	if a.cfg.Status == "" {
		return &page{}, nil
	}
	ln, err := net.Listen("tcp", a.cfg.Status)
	if err != nil {
		return nil, &config.FieldError{Key: "status", Got: err.Error(), Want: "a free address on loopback"}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{a})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.Status()) // a reader that went away asks again
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s := a.Status()
		if s.Healthy {
			_, _ = fmt.Fprintln(w, "ok")
			return
		}
		http.Error(w, strings.Join(s.Reasons, "\n"), http.StatusServiceUnavailable)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	p := &page{&http.Server{Handler: mux, ReadHeaderTimeout: pageTimeout, WriteTimeout: pageTimeout}}
	go func() { _ = p.server.Serve(ln) }() // ends with close
	return p, nil
}

// close ends the page.
func (p *page) close() {
	if p.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	if p.server.Shutdown(ctx) != nil {
		_ = p.server.Close()
	}
}

// collector gives Status as metrics, read anew for each scrape.
type collector struct{ a *Agent }

// Describe implements prometheus.Collector: the metrics are not described
// before, because each source brings its own.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.a.Status()
	put := func(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("landfall_edge_"+name, help, names, nil), kind, value, values...)
	}
	count := func(name, help string, value uint64, labels ...string) {
		put(prometheus.CounterValue, name, help, float64(value), labels...)
	}
	gauge := func(name, help string, value float64, labels ...string) {
		put(prometheus.GaugeValue, name, help, value, labels...)
	}
	healthy := 0.0
	if s.Healthy {
		healthy = 1
	}
	gauge("healthy", "1 when data flows as it should.", healthy)
	for _, src := range s.Sources {
		count("source_lines_total", "Lines received.", src.Lines, "source", src.Name)
		count("source_bytes_total", "Bytes received.", src.Bytes, "source", src.Name)
		count("source_records_total", "Records captured.", src.Records, "source", src.Name)
		count("source_flagged_total", "Records captured with a flag.", src.Flagged, "source", src.Name)
		count("source_lost_total", "Datagrams the kernel had no room for.", src.Lost, "source", src.Name)
		count("source_errors_total", "Errors of the transport.", src.Errors, "source", src.Name)
		count("source_duplicates_total", "Lines a sender repeated although they were taken.", src.Duplicates, "source", src.Name)
		gauge("source_open", "Connections or senders now.", float64(src.Open), "source", src.Name)
	}
	count("capture_groups_total", "Groups made durable (C1).", s.Capture.Groups)
	count("capture_append_errors_total", "Groups the log refused; each is tried again.", s.Capture.AppendErrors)
	gauge("log_bytes", "Bytes of the log's files.", float64(s.Log.Bytes))
	count("log_appended_bytes_total", "Bytes of blocks made durable.", s.Log.AppendedBytes)
	count("log_written_bytes_total", "Bytes handed to the file system.", s.Log.WrittenBytes)
	count("log_syncs_total", "fsyncs of groups.", s.Log.Syncs)
	count("log_corrupt_blocks_total", "Damaged places met.", s.Log.CorruptBlocks)
	count("log_corrupt_bytes_total", "Bytes of damaged places.", s.Log.CorruptBytes)
	count("log_shed_offsets_total", "Records given up by the policy.", s.Log.ShedOffsets)
	gauge("forward_pending_records", "Records captured and not acknowledged.", float64(s.Forward.Pending))
	count("forward_requests_total", "Requests with blocks.", s.Forward.Requests)
	count("forward_failures_total", "Requests that ended without an answer.", s.Forward.Failures)
	count("forward_refusals_total", "Answers with an error.", s.Forward.Refusals)
	count("forward_block_bytes_total", "Bytes of blocks handed to the link.", s.Forward.BlockBytes)
	count("forward_resent_bytes_total", "Of these, bytes sent before.", s.Forward.ResentBytes)
	count("forward_wire_bytes_total", "Compressed bytes handed to the link.", s.Forward.WireBytes)
	count("forward_acked_records_total", "Records acknowledged by the cloud.", s.Forward.AckedRecords)
}
