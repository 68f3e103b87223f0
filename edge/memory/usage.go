package memory

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"

	"landfall/edge/page"
)

// Status is a bound and what the process takes of it, bytes, as it stands in the status
// of a daemon.
type Status struct {
	Limit  int64  `json:"limit_bytes"`
	From   string `json:"limit_from"`
	Needed int64  `json:"needed_bytes"` // what the settings add up to
	Heap   int64  `json:"heap_bytes"`   // objects of the heap, with those not cleared up yet
	Peak   int64  `json:"peak_bytes"`   // the most that the process ever had; 0: the system does not say
}

// Status returns the bound with what the process takes now.
func (b Bound) Status() Status {
	return Status{Limit: b.Bytes, From: string(b.From), Needed: b.Needed, Heap: heap(), Peak: peakOf(os.ReadFile)}
}

// Metrics passes the status on as metrics.
func (s Status) Metrics(m *page.Metrics) {
	m.Gauge("memory_limit_bytes", "Memory that the program may have: the bound that it states.", float64(s.Limit))
	m.Gauge("memory_needed_bytes", "What all that its settings allow at the same time adds up to.", float64(s.Needed))
	m.Gauge("memory_heap_bytes", "Objects of its heap, with those not cleared up yet.", float64(s.Heap))
	m.Gauge("memory_peak_bytes", "The most memory that the process ever had; 0 where the system does not say.", float64(s.Peak))
}

// Text returns the status in a line, for people.
func (s Status) Text() string {
	return "at most " + Size(s.Limit) + " (" + s.From + "); heap " + Size(s.Heap) + ", peak " + Size(s.Peak)
}

// heap returns the bytes of objects of the heap, living and dead.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

// peakOf returns VmHWM of the process, bytes; 0: it is not known.
func peakOf(read func(string) ([]byte, error)) int64 {
	text, err := read("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, "VmHWM:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}
