package agent

import (
	"time"

	"landfall/edge/clock"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/source"
)

// metrics gives Status as metrics; each name begins with landfall_edge_. What
// each means stands, word for word, in docs/metrics.md.
func (a *Agent) metrics(m *page.Metrics) {
	s := a.Status()
	m.Gauge("build_info", "1, with the version that runs.", 1, "version", s.Version)
	m.Flag("healthy", "1 when nothing is complained of.", s.Healthy)
	m.Flag("ready", "1 while data flows.", len(a.unready()) == 0)
	for i := range s.Sources {
		sourceMetrics(m, &s.Sources[i])
	}
	captureMetrics(m, &s)
	logMetrics(m, &s.Log)
	a.forwardMetrics(m, &s)
	clockMetrics(m, &s.Clock)
	m.Gauge("data_dir_unknown_logs", "How often the cloud was found to have records of this gateway that its data directory does not know, over all starts.", float64(s.DataDir.UnknownLogs))
	m.Flag("data_dir_acknowledged", "1 when an operator has acknowledged all of them, or there are none.", s.DataDir.Acknowledged)
	s.Page.Metrics(m)
	s.Memory.Metrics(m)
	if a.certs != nil {
		a.certs.Status().Metrics(m)
	}
	for _, b := range a.brokers {
		b.keeper.Status().Metrics(m, "source", b.source)
	}
}

func sourceMetrics(m *page.Metrics, src *SourceStatus) {
	m.Flag("source_up", "1 while the source is open, or has given all it had.", src.State == source.StateOpen || src.State == source.StateFinished, "source", src.Name)
	m.Flag("source_silent", "1 while the source is open and has said nothing for longer than its silent_after.", src.Silent, "source", src.Name)
	m.Gauge("source_open", "Connections or senders now.", float64(src.Open), "source", src.Name)
	m.Stamp("source_last_receipt_timestamp_seconds", "When the last byte came, by the gateway's clock.", src.LastReceipt, "source", src.Name)
	m.Stamp("source_watermark_timestamp_seconds", "Event time that the source is complete through.", src.Watermark, "source", src.Name)
	m.Count("source_lines_total", "Lines received.", src.Lines, "source", src.Name)
	m.Count("source_received_bytes_total", "Bytes received.", src.Bytes, "source", src.Name)
	m.Count("source_records_total", "Records captured and durable (C1).", src.Records, "source", src.Name)
	m.Count("source_flagged_total", "Records captured with a flag.", src.Flagged, "source", src.Name)
	m.Count("source_crowded_total", "Fragments given up early because too many of their sender waited; each is a record of its own.", src.Crowded, "source", src.Name)
	m.Count("source_truncated_total", "Lines that were cut: too long, or the stream ended inside them.", src.Truncated, "source", src.Name)
	m.Count("source_lost_total", "Datagrams the kernel had no room for, characters a port overran, readings a node had no room for, and messages missing by their numbers.", src.Lost, "source", src.Name)
	m.Count("source_refused_total", "Clients and senders beyond the bound.", src.Refused, "source", src.Name)
	m.Count("source_idled_total", "Clients ended because they were silent for long, or to make room for another.", src.Idled, "source", src.Name)
	m.Count("source_errors_total", "Errors of the transport.", src.Errors, "source", src.Name)
	m.Count("source_connects_total", "Opens, connections or accepted clients.", src.Connects, "source", src.Name)
	m.Count("source_duplicates_total", "Lines, readings or messages sent again although they were taken.", src.Duplicates, "source", src.Name)
	m.Count("source_line_errors_total", "Characters with a framing or parity error, and breaks, where the serial driver counts them.", src.LineErrors, "source", src.Name)
	m.Count("source_unserved_total", "Lines that clients of serve missed because they did not keep up.", src.Unserved, "source", src.Name)
	m.Count("source_rejected_total", "Reports in which no reading was found; the payload is kept.", src.Rejected, "source", src.Name)
	m.Count("source_downgraded_total", "Messages at QoS 0 where more was asked for: their publisher's own, sent once.", src.Downgraded, "source", src.Name)
	m.Count("source_forgotten_total", "Connections to a broker that no longer knew the session; what came meanwhile is lost.", src.Forgotten, "source", src.Name)
	m.Count("source_unidentified_total", "Messages taken without a usable time or number of their own, where QoS is 1 or 2; one that is sent again is taken twice.", src.Unidentified, "source", src.Name)
	m.Count("source_possibly_twice_total", "Messages sent again without one, and readings that another gateway may have taken too: they may be there twice.", src.PossiblyTwice, "source", src.Name)
	m.Count("source_moved_total", "Nodes and senders that began with numbers which another gateway took, or this one before it lost its data.", src.Moved, "source", src.Name)
	m.Count("source_oversized_total", "Messages larger than max_payload; the beginning of each is kept as a rejected record.", src.Oversized, "source", src.Name)
	m.Count("source_discarded_bytes_total", "Bytes of messages beyond max_payload.", src.Discarded, "source", src.Name)
	m.Count("source_kills_total", "Messages and lines captured unread, with the reason kills, because the gateway died of them three times.", src.Kills, "source", src.Name)
	m.Count("source_takeovers_total", "Connections that the broker ended and took the next of at once: another client has the client_id, or something between cuts connections.", src.Takeovers, "source", src.Name)
	m.Count("source_copies_total", "Files beside a followed one that were not read, because one that is read has all that they have: copies.", src.Copies, "source", src.Name)
	m.Gauge("source_gaps", "Intervals in which lines of a file may be missing, over all starts; each is a row of the table sensor_reading.", float64(src.Gaps), "source", src.Name)
	m.Flag("source_gaps_acknowledged", "1 when an operator has acknowledged all of them, or there are none.", src.GapsAcknowledged, "source", src.Name)
	m.Count("source_conflicts_total", "Readings, or lines of the acknowledged protocol, that contradict what was taken under their numbers.", src.Conflicts, "source", src.Name)
}

func captureMetrics(m *page.Metrics, s *Status) {
	m.Count("capture_groups_total", "Groups made durable (C1).", s.Capture.Groups)
	m.Count("capture_append_errors_total", "Groups the log refused; each is tried again.", s.Capture.AppendErrors)
	m.Flag("capture_blocked", "1 while the log takes nothing and the sources wait.", s.Capture.Blocked != "")
	m.Gauge("capture_waiting_fragments", "Fragments that wait for their partners.", float64(s.Capture.Waiting))
	m.Stamp("capture_watermark_timestamp_seconds", "Event time that the gateway is complete through.", s.Capture.Watermark)
}

func clockMetrics(m *page.Metrics, c *ClockStatus) {
	for _, why := range clock.Refusals() {
		m.Count("clock_refused_total", "Dates that were not believed, by reason: each one before the floor, of the others the judgements (one a second at most).", c.Refusals[why.String()], "reason", why.String())
	}
	m.Flag("clock_authenticated", "1 while the time rests on the engine's proven word or on a machine's clock that NTP or PTP keeps.", c.RestsOn == record.BasisEngine.String() || c.RestsOn == record.BasisHost.String())
	m.Flag("clock_authorities_disagree", "1 while these two contradict each other.", c.Split)
	m.Gauge("clock_uncertainty_seconds", "How uncertain the time is; 0: it is not known.", c.Uncertainty)
}

func logMetrics(m *page.Metrics, l *LogStatus) {
	m.Gauge("log_bytes", "Bytes of the log's files.", float64(l.Bytes))
	m.Count("log_appended_bytes_total", "Bytes of blocks made durable.", l.AppendedBytes)
	m.Count("log_written_bytes_total", "Bytes handed to the file system; the device gets more, whole blocks at each sync.", l.WrittenBytes)
	m.Count("log_syncs_total", "Syncs of groups to the disk.", l.Syncs)
	m.Count("log_failed_segments_total", "Segments given up after a failed write; what was in them was written anew.", l.FailedSegments)
	m.Count("log_failed_removals_total", "Files of the log that nobody needed and that could not be removed at once.", l.FailedRemovals)
	m.Gauge("log_stray_bytes", "Bytes of such files that are still there; they count against the quota.", float64(l.StrayBytes))
	m.Gauge("log_quarantine_bytes", "Bytes of copies of damaged places; they count against the quota and give way to records.", float64(l.QuarantineBytes))
	m.Count("log_quarantine_dropped_total", "Copies of damaged places given up to make room for records.", l.QuarantineDropped)
	m.Count("log_corrupt_blocks_total", "Damaged places met.", l.CorruptBlocks)
	m.Count("log_corrupt_bytes_total", "Bytes of damaged places.", l.CorruptBytes)
	m.Count("log_beheaded_total", "Logs whose newest segment was not there at the start.", l.Beheaded)
	m.Gauge("log_lost_ends", "Ends of logs that the disk has lost, over all starts; what the cloud had not is in the table loss.", float64(l.LostEnds))
	m.Flag("log_lost_ends_acknowledged", "1 when an operator has acknowledged all of them, or there are none.", l.LostEndsAcknowledged)
	m.Count("log_tail_lost_offsets_total", "Records missed at the ends of logs at the start, also those that the cloud has.", l.TailLostOffsets)
	m.Count("log_tail_marks_total", "Times that the tail marker was written.", l.TailMarks)
	m.Gauge("log_mark_bytes", "Bytes of the marks of all sources: where each stands, and what it knows when it is sent again.", float64(l.MarkBytes))
	m.Count("log_mark_written_bytes_total", "Bytes written for marks beside the blocks: in headers, and in files of their own.", l.MarkBytesWritten)
	m.Gauge("log_mark_sources_aside", "Sources that are configured no more and whose marks are set aside.", float64(l.MarksAside))
	m.Gauge("log_mark_aside_bytes", "Bytes of these marks, and of the lists of filters of sources that are configured no more; they count against the quota until landfall-edge forget.", float64(l.MarkAsideBytes))
	m.Gauge("log_room_bytes", "Bytes that the log may still take; -1: not known.", float64(l.RoomBytes))
	outage := 0.0
	if l.Rated() {
		outage = l.OutageDays * secondsADay
	}
	m.Gauge("log_outage_seconds", "How long nothing may be released at the present rate until the log is full; 0: not known yet, or no room.", outage)
	m.Count("log_shed_offsets_total", "Records given up by the policy.", l.ShedOffsets)
}

func (a *Agent) forwardMetrics(m *page.Metrics, s *Status) {
	f := &s.Forward
	m.Gauge("forward_pending_records", "Records captured and not acknowledged.", float64(f.Pending))
	oldest := 0.0
	if d, err := time.ParseDuration(f.OldestAge); err == nil {
		oldest = d.Seconds()
	}
	m.Gauge("forward_oldest_pending_seconds", "Age of the oldest record that is not acknowledged; 0: none waits.", oldest)
	m.Stamp("forward_last_transfer_timestamp_seconds", "When the cloud last answered.", f.LastTransfer)
	m.Gauge("forward_stopped_logs", "Logs that are not forwarded until a person has looked.", float64(len(f.Reds)))
	m.Gauge("forward_round_trip_seconds", "Time of a small request and its answer, smoothed.", f.RoundTripMS/1e3)
	m.Count("forward_requests_total", "Requests with blocks.", f.Requests)
	m.Count("forward_failures_total", "Requests that ended without an answer.", f.Failures)
	m.Count("forward_refusals_total", "Answers with an error.", f.Refusals)
	m.Count("forward_block_bytes_total", "Bytes of blocks handed to the link.", f.BlockBytes)
	m.Count("forward_resent_bytes_total", "Of these, bytes sent before.", f.ResentBytes)
	m.Count("forward_wire_bytes_total", "Compressed bytes handed to the link.", f.WireBytes)
	m.Flag("forward_tells_published", "1 while the engine tells what is published.", f.TellsPublished)
	m.Gauge("forward_unpublished_records", "Records landed and not published; they are kept.", float64(f.Unpublished))
	m.Stamp("forward_unpublished_since_timestamp_seconds", "Since when nothing of the log was published that waits longest, since the start of the process.", f.UnpublishedSince)
	m.Gauge("forward_kept_bytes", "Bytes of the log, about, that are kept only because they are not published.", float64(f.KeptBytes))
	m.Count("forward_landing_returns_total", "Answers of a landing log that had answered before, with another one in between: two engines under one address.", f.LandingReturns)
	m.Count("forward_resyncs_total", "Times that the cloud had lost what had landed of a log, and it was sent again.", f.Resyncs)
	m.Count("forward_acked_records_total", "Records acknowledged by the cloud.", f.AckedRecords)
}
