package server

import (
	"strconv"

	"landfall/edge/page"
)

// metrics gives Status as metrics; each name begins with landfall_engine_.
func (s *Server) metrics(m *page.Metrics) {
	st := s.Status()
	healthy := 0.0
	if st.Healthy {
		healthy = 1
	}
	m.Gauge("healthy", "1 when data flows as it should.", healthy)
	m.Gauge("ingest_sessions", "Requests being served.", float64(st.Ingest.Sessions))
	m.Count("ingest_requests_total", "Requests with blocks.", st.Ingest.Requests)
	m.Count("ingest_questions_total", "Requests without blocks.", st.Ingest.Questions)
	m.Count("ingest_blocks_total", "Blocks landed (C2).", st.Ingest.Blocks)
	m.Count("ingest_records_total", "Records landed.", st.Ingest.Records)
	m.Count("ingest_block_bytes_total", "Bytes landed, before compression.", st.Ingest.BlockBytes)
	m.Count("ingest_wire_bytes_total", "Compressed bytes received.", st.Ingest.WireBytes)
	m.Count("ingest_duplicates_total", "Blocks passed over because they are landed.", st.Ingest.Duplicates)
	m.Count("ingest_conflicts_total", "Blocks that contradict what is landed.", st.Ingest.Conflicts)
	for code, n := range st.Ingest.Refused {
		m.Count("ingest_refused_total", "Requests refused, by code.", n, "code", string(code))
	}
	for _, t := range st.Tasks {
		p := strconv.Itoa(t.Partition)
		running := 0.0
		if t.State == TaskRunning {
			running = 1
		}
		m.Gauge("task_running", "1 while the partition's task runs.", running, "partition", p)
		m.Gauge("task_epoch", "Newest committed epoch (C4).", float64(t.Epoch), "partition", p)
		m.Gauge("task_behind_blocks", "Landed blocks not committed yet.", float64(t.Behind), "partition", p)
		m.Gauge("task_state_bytes", "Bytes of keyed state in the checkpoint.", float64(t.StateBytes), "partition", p)
		m.Count("task_restarts_total", "Runs of the task that failed.", t.Restarts, "partition", p)
		m.Count("task_records_total", "Records taken.", t.Records, "partition", p)
		m.Count("task_rows_total", "Rows staged, all tables.", t.Rows, "partition", p)
		m.Count("task_duplicates_total", "Offsets taken before and dropped.", t.Duplicates, "partition", p)
		m.Count("task_lost_total", "Offsets given up by gateways.", t.Lost, "partition", p)
		m.Count("task_conflicts_total", "Blocks kept in conflict.", t.Conflicts, "partition", p)
	}
}
