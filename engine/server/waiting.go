package server

import (
	"time"

	"landfall/edge/page"
)

// MetricsPrefix begins the names of the engine's metrics.
const MetricsPrefix = "landfall_engine_"

// Waiting is the Status of an engine that cannot start yet and tries again.
func Waiting(version string, since time.Time, why string) Status {
	return Status{
		Version: version, Time: time.Now().UTC().Format(time.RFC3339Nano), StartedAt: since.UTC().Format(time.RFC3339),
		Reasons: []string{why}, Gateways: []GatewayStatus{}, Tasks: []TaskStatus{},
		Complete: CompleteStatus{Gateways: []string{}, LeftOut: []LeftOut{}},
	}
}

// WaitingMetrics puts out the metrics of an engine that cannot start yet.
func WaitingMetrics(m *page.Metrics, version string) {
	m.Gauge("build_info", "1, with the version that runs.", 1, "version", version)
	m.Flag("healthy", "1 when nothing is complained of.", false)
	m.Flag("ready", "1 while blocks are landed and committed.", false)
}
