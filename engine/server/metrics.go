package server

import (
	"strconv"

	"landfall/edge/page"
)

// metrics gives Status as metrics; each name begins with landfall_engine_. What
// each means stands, word for word, in docs/metrics.md.
func (s *Server) metrics(m *page.Metrics) {
	st := s.Status()
	m.Gauge("build_info", "1, with the version that runs.", 1, "version", st.Version)
	m.Flag("healthy", "1 when nothing is complained of.", st.Healthy)
	m.Flag("ready", "1 while blocks are landed and committed.", len(s.unready()) == 0)
	st.Page.Metrics(m)
	st.Memory.Metrics(m)
	ingestMetrics(m, &st.Ingest)
	for i := range st.Gateways {
		g := &st.Gateways[i]
		m.Stamp("gateway_seen_timestamp_seconds", "When the gateway was last heard.", g.SeenAt, "gateway", g.Gateway)
		m.Stamp("gateway_watermark_timestamp_seconds", "Event time that the tables are complete through for the gateway.", g.Watermark, "gateway", g.Gateway)
		m.Gauge("gateway_behind_records", "Records that its last request left waiting on the gateway; 0 while it keeps up.", float64(g.BehindRecords), "gateway", g.Gateway)
		m.Gauge("gateway_behind_seconds", "How old the oldest record was that waited on the gateway at its last request; 0 while it keeps up.", g.BehindSeconds, "gateway", g.Gateway)
		if g.Published != nil {
			m.Gauge("gateway_unpublished_records", "Offsets of the gateway's newest log that have landed and are not published yet.", float64(g.Acked-min(g.Acked, *g.Published)), "gateway", g.Gateway)
		}
	}
	m.Count("landing_commits_total", "Commits of the landing log (C2).", st.Store.Commits)
	m.Count("landing_full_total", "Blocks refused because free space is under the reserve.", st.Store.Full)
	m.Count("landing_failed_total", "Blocks the landing log could not write.", st.Store.Failed)
	m.Count("landing_damaged_total", "Landed blocks that could not be read back.", st.Store.DamagedOffsets)
	if st.Group != nil {
		m.Gauge("landing_topic_problems", "Things wrong with the landing topic as a whole: settings that promise less, another topic, another lake's, no answer.", float64(len(st.Group.Problems)))
	}
	for i := range st.Tasks {
		taskMetrics(m, &st.Tasks[i])
	}
	for i := range st.Sinks {
		sinkMetrics(m, &st.Sinks[i])
	}
	if s.certs != nil {
		s.certs.Status().Metrics(m)
	}
	for _, l := range s.links {
		l.Certs.Status().Metrics(m, "link", l.Name)
	}
}

func ingestMetrics(m *page.Metrics, in *IngestStatus) {
	m.Gauge("ingest_sessions", "Requests being served.", float64(in.Sessions))
	m.Gauge("ingest_connections", "Connections of gateways.", float64(in.Connections))
	m.Count("ingest_connections_ended_total", "Connections closed to make room for those of other hosts.", in.ConnectionsEnded)
	m.Count("ingest_connections_refused_total", "Connections closed at once because there was no room.", in.ConnectionsRefused)
	m.Gauge("ingest_body_bytes", "Bytes of memory that bodies of requests hold.", float64(in.BodyBytes))
	m.Count("ingest_requests_total", "Requests with blocks.", in.Requests)
	m.Count("ingest_questions_total", "Requests without blocks.", in.Questions)
	m.Count("ingest_blocks_total", "Blocks landed (C2).", in.Blocks)
	m.Count("ingest_records_total", "Records landed.", in.Records)
	m.Count("ingest_block_bytes_total", "Bytes landed, before compression.", in.BlockBytes)
	m.Count("ingest_wire_bytes_total", "Compressed bytes received.", in.WireBytes)
	m.Count("ingest_duplicates_total", "Blocks passed over because they are landed.", in.Duplicates)
	m.Count("ingest_conflicts_total", "Blocks that contradict what is landed.", in.Conflicts)
	m.Count("ingest_alternations_total", "Times a log came back after another of its gateway: two machines under one name.", in.Alternations)
	m.Count("ingest_unknown_logs_total", "Requests whose start could not be compared with what is known to have landed.", in.UnknownLogs)
	m.Count("ingest_displaced_total", "Requests that were ended because others waited for their places: they stood still, or their client had more places.", in.Displaced)
	m.Count("ingest_paced_logs_total", "Requests refused because their gateway had brought too many logs that were new.", in.PacedLogs)
	m.Count("ingest_held_back_total", "Requests ended because their gateway had its share of what has landed and its task had not read.", in.HeldBack)
	m.Count("ingest_refused_gateways_total", "Requests refused because too many gateways are known.", in.RefusedGateways)
	m.Count("ingest_resends_total", "Times a gateway was told to send a log again because the landing log lacked something.", in.Resends)
	for code, n := range in.Refused {
		m.Count("ingest_refused_total", "Requests refused, by code.", n, "code", string(code))
	}
	for reason, n := range in.Unproven {
		m.Count("ingest_unproven_total", "Requests refused because the gateway's name was not proved, by reason.", n, "reason", string(reason))
	}
}

func sinkMetrics(m *page.Metrics, k *SinkStatus) {
	m.Count("sink_epochs_total", "Epochs published by a sink beside the lake.", k.Epochs, "sink", k.Sink)
	m.Count("sink_rows_total", "Rows of these.", k.Rows, "sink", k.Sink)
	m.Count("sink_bytes_total", "Bytes of these, keys and values, before compression.", k.Bytes, "sink", k.Sink)
	m.Count("sink_found_total", "Epochs that the sink found published already.", k.Found, "sink", k.Sink)
	m.Count("sink_failures_total", "Transactions without a known end; what became of them is read.", k.Failures, "sink", k.Sink)
	m.Count("sink_fenced_total", "Of these, ended by another writer of the task.", k.Fenced, "sink", k.Sink)
	m.Gauge("sink_topic_problems", "Settings of the sink's topics under which rows or markers would be lost.", float64(len(k.Problems)), "sink", k.Sink)
	m.Count("sink_omitted_total", "Rows too large for a message, sent without their largest fields.", k.Omitted, "sink", k.Sink)
}

func taskMetrics(m *page.Metrics, t *TaskStatus) {
	p := strconv.Itoa(t.Partition)
	m.Flag("task_running", "1 while the partition's task runs.", t.State == TaskRunning, "partition", p)
	m.Gauge("task_epoch", "Newest committed epoch (C4).", float64(t.Epoch), "partition", p)
	m.Gauge("task_published_epoch", "Newest epoch that is wholly visible (C5).", float64(t.Published), "partition", p)
	m.Stamp("task_commit_timestamp_seconds", "When the newest epoch was committed.", t.CommitAt, "partition", p)
	m.Gauge("task_behind_blocks", "Landed blocks not committed yet; -1 while it is not known.", float64(t.Behind), "partition", p)
	m.Gauge("task_state_bytes", "Bytes of keyed state in the checkpoint.", float64(t.StateBytes), "partition", p)
	m.Count("task_restarts_total", "Runs of the task that failed.", t.Restarts, "partition", p)
	m.Count("task_records_total", "Records taken.", t.Records, "partition", p)
	m.Count("task_rows_total", "Rows staged, all tables.", t.Rows, "partition", p)
	m.Count("task_duplicates_total", "Offsets taken before and dropped.", t.Duplicates, "partition", p)
	m.Count("task_lost_total", "Offsets given up by gateways.", t.Lost, "partition", p)
	m.Count("task_conflicts_total", "Blocks kept in conflict.", t.Conflicts, "partition", p)
	m.Gauge("task_unacknowledged_contradictions", "Of blocks in conflict, and of what else contradicts a log, those that no operator has acknowledged, over restarts.", float64(t.unacknowledged()), "partition", p)
	m.Count("task_foreign_openings_total", "Openings of logs that name a log of another gateway as the one before.", t.ForeignOpenings, "partition", p)
	m.Gauge("task_gateways", "Gateways that the state knows.", float64(t.Gateways), "partition", p)
	m.Gauge("task_logs", "Logs that the state knows.", float64(t.Logs), "partition", p)
	m.Gauge("task_unread_bytes", "Bytes that have landed through this engine and were not read by the task.", float64(t.Unread), "partition", p)
	m.Gauge("task_hour_seconds", "Time in which rows of the last hour were made and staged, of all gateways.", t.LastHour.Seconds, "partition", p)
	m.Gauge("task_costliest_hour_seconds", "Of that, the time for the gateway that took the most.", t.costliest(), "partition", p)
	m.Count("task_gaps_total", "Of the blocks in conflict, those beyond the next expected offset.", t.Gaps, "partition", p)
	m.Count("task_windows_full_total", "Readings in late because too many windows were open, of their gateway or of the task.", t.WindowsFull, "partition", p)
	m.Count("task_forgotten_total", "Receptions and ships forgotten before their time, because their gateway had more than its share.", t.Forgotten, "partition", p)
	m.Count("task_far_dates_total", "Rows under the date on which they landed, because too many dates of their gateway, or of all, were open.", t.FarDates, "partition", p)
	m.Count("task_implausible_times_total", "Records with a time that no clock can have said: their event_time is NULL.", t.ImplausibleTimes, "partition", p)
	m.Count("task_panics_total", "Records on which a decoder panicked: they are in record alone, with reject_reason panic.", t.Panics, "partition", p)
	m.Count("task_watermarks_refused_total", "Watermarks not taken, for they lay over 5 minutes beyond the time of landing.", t.WatermarksRefused, "partition", p)
	m.Count("task_watermarks_withdrawn_total", "Gateways whose watermark was forgotten, for it lay that far in the future.", t.WatermarksWithdrawn, "partition", p)
	m.Gauge("task_ledger_entry", "Newest entry of the task's ledger.", float64(t.Ledger), "partition", p)
	m.Count("task_damaged_outputs_total", "Outputs found damaged, staged or when they were read back.", t.Damaged, "partition", p)
	m.Count("task_remade_epochs_total", "Epochs made again from the landing log because of that.", t.Remade, "partition", p)
	m.Count("task_rewinds_total", "Times the landing log was found cut, and what it held was read again from its beginning.", t.Rewinds, "partition", p)
	m.Count("task_asked_total", "Times a gateway was asked to send a log again, because the landing log lacks offsets.", t.Asked, "partition", p)
	m.Count("task_passed_over_offsets_total", "Offsets left to come again with what is missing before them.", t.PassedOver, "partition", p)
	m.Gauge("task_holes", "Logs of which the landing log lacks something.", float64(len(t.Holes)), "partition", p)
	m.Gauge("task_short_logs", "Logs whose ends were lost after their gateways had let go of them.", float64(len(t.Short)), "partition", p)
	m.Gauge("task_set_aside_blocks", "Blocks in conflict with reason poison, because processes died of them; the newest 256 are counted.", float64(t.SetAsideBlocks), "partition", p)
	m.Count("task_deaths_total", "Claims that found that the process before them had died in the middle of an epoch.", t.Deaths, "partition", p)
	m.Gauge("task_care_blocks", "Blocks that an epoch has at most because processes have died; 0: as many as come.", float64(t.CareBlocks), "partition", p)
	m.Gauge("task_held_blocks", "Landed blocks kept until what is missing before them has come.", float64(t.HeldBlocks), "partition", p)
}
