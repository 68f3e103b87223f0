package agent

import "landfall/edge/page"

// metrics gives Status as metrics; each name begins with landfall_edge_.
func (a *Agent) metrics(m *page.Metrics) {
	s := a.Status()
	healthy := 0.0
	if s.Healthy {
		healthy = 1
	}
	m.Gauge("healthy", "1 when data flows as it should.", healthy)
	for _, src := range s.Sources {
		m.Count("source_lines_total", "Lines received.", src.Lines, "source", src.Name)
		m.Count("source_bytes_total", "Bytes received.", src.Bytes, "source", src.Name)
		m.Count("source_records_total", "Records captured.", src.Records, "source", src.Name)
		m.Count("source_flagged_total", "Records captured with a flag.", src.Flagged, "source", src.Name)
		m.Count("source_lost_total", "Datagrams the kernel had no room for, readings a node had none for, and messages missing by their numbers.", src.Lost, "source", src.Name)
		m.Count("source_errors_total", "Errors of the transport.", src.Errors, "source", src.Name)
		m.Count("source_duplicates_total", "Lines, readings or messages sent again although they were taken.", src.Duplicates, "source", src.Name)
		m.Count("source_rejected_total", "Reports in which no reading was found; the payload is kept.", src.Rejected, "source", src.Name)
		m.Count("source_conflicts_total", "Readings that contradict what was taken under their numbers.", src.Conflicts, "source", src.Name)
		m.Gauge("source_open", "Connections or senders now.", float64(src.Open), "source", src.Name)
	}
	m.Count("capture_groups_total", "Groups made durable (C1).", s.Capture.Groups)
	m.Count("capture_append_errors_total", "Groups the log refused; each is tried again.", s.Capture.AppendErrors)
	m.Gauge("log_bytes", "Bytes of the log's files.", float64(s.Log.Bytes))
	m.Count("log_appended_bytes_total", "Bytes of blocks made durable.", s.Log.AppendedBytes)
	m.Count("log_written_bytes_total", "Bytes handed to the file system.", s.Log.WrittenBytes)
	m.Count("log_syncs_total", "fsyncs of groups.", s.Log.Syncs)
	m.Count("log_corrupt_blocks_total", "Damaged places met.", s.Log.CorruptBlocks)
	m.Count("log_corrupt_bytes_total", "Bytes of damaged places.", s.Log.CorruptBytes)
	m.Count("log_beheaded_total", "Logs whose newest segment was not there at the start.", s.Log.Beheaded)
	m.Count("log_shed_offsets_total", "Records given up by the policy.", s.Log.ShedOffsets)
	m.Gauge("forward_pending_records", "Records captured and not acknowledged.", float64(s.Forward.Pending))
	m.Count("forward_requests_total", "Requests with blocks.", s.Forward.Requests)
	m.Count("forward_failures_total", "Requests that ended without an answer.", s.Forward.Failures)
	m.Count("forward_refusals_total", "Answers with an error.", s.Forward.Refusals)
	m.Count("forward_block_bytes_total", "Bytes of blocks handed to the link.", s.Forward.BlockBytes)
	m.Count("forward_resent_bytes_total", "Of these, bytes sent before.", s.Forward.ResentBytes)
	m.Count("forward_wire_bytes_total", "Compressed bytes handed to the link.", s.Forward.WireBytes)
	m.Count("forward_acked_records_total", "Records acknowledged by the cloud.", s.Forward.AckedRecords)
}
