package agent

// SourceCounters are source.Counters as they stand in a Status.
type SourceCounters struct {
	Bytes       uint64 `json:"bytes"`
	Lines       uint64 `json:"lines"`
	Truncated   uint64 `json:"truncated"`
	Connects    uint64 `json:"connects"`
	Disconnects uint64 `json:"disconnects"`
	Errors      uint64 `json:"errors"`
	Duplicates  uint64 `json:"duplicates"`
	Conflicts   uint64 `json:"conflicts"`
	Rotations   uint64 `json:"rotations"`
	Refused     uint64 `json:"refused"`
	Idled       uint64 `json:"idled"`
	Lost        uint64 `json:"lost"`
	LineErrors  uint64 `json:"line_errors"`
	Unserved    uint64 `json:"unserved"`
	Rejected    uint64 `json:"rejected"`
	Downgraded  uint64 `json:"downgraded"`
	Forgotten   uint64 `json:"forgotten"`
	// What explain calls at least once seen; source.Counters says what each is.
	Unidentified  uint64 `json:"unidentified"`
	PossiblyTwice uint64 `json:"possibly_twice"`
	Moved         uint64 `json:"moved"`

	Oversized uint64 `json:"oversized"`
	Discarded uint64 `json:"discarded_bytes"`
	Kills     uint64 `json:"kills"`
	Takeovers uint64 `json:"takeovers"`
	Copies    uint64 `json:"copies"`
}

// StoreStats are seglog.Stats as they stand in a Status.
type StoreStats struct {
	Bytes             int64  `json:"bytes"`
	Segments          int    `json:"segments"`
	Spares            int    `json:"spares"`
	Strays            int    `json:"strays"`
	StrayBytes        int64  `json:"stray_bytes"`
	QuarantineBytes   int64  `json:"quarantine_bytes"`
	Marks             int    `json:"marks"`
	MarkBytes         int64  `json:"mark_bytes"`
	MarkFileBytes     int64  `json:"mark_file_bytes"`
	MarkBytesWritten  uint64 `json:"mark_bytes_written"`
	MarksAside        int    `json:"marks_aside"`
	MarkAsideBytes    int64  `json:"mark_aside_bytes"`
	Appends           uint64 `json:"appends"`
	Records           uint64 `json:"records"`
	AppendedBytes     uint64 `json:"appended_bytes"`
	WrittenBytes      uint64 `json:"written_bytes"`
	Syncs             uint64 `json:"syncs"`
	FailedSegments    uint64 `json:"failed_segments"`
	CorruptBlocks     uint64 `json:"corrupt_blocks"`
	CorruptBytes      uint64 `json:"corrupt_bytes"`
	CorruptOffsets    uint64 `json:"corrupt_offsets"`
	CutTails          uint64 `json:"cut_tails"`
	CutTailBytes      uint64 `json:"cut_tail_bytes"`
	Quarantined       uint64 `json:"quarantined"`
	QuarantineDropped uint64 `json:"quarantine_dropped"`
	Truncated         uint64 `json:"truncated"`
	Beheaded          uint64 `json:"beheaded"`
	UnreadableMeta    uint64 `json:"unreadable_meta"`
	Orphans           uint64 `json:"orphans"`
	TailMarks         uint64 `json:"tail_marks"`
	TailLosses        uint64 `json:"tail_losses"`
	TailLostOffsets   uint64 `json:"tail_lost_offsets"`
	ShedSegments      uint64 `json:"shed_segments"`
	ShedOffsets       uint64 `json:"shed_offsets"`
	ReleasedSegments  uint64 `json:"released_segments"`
	FailedRemovals    uint64 `json:"failed_removals"`
	Recycled          uint64 `json:"recycled"`
}

// ForwardCounters are forward.Counters as they stand in a Status.
type ForwardCounters struct {
	Requests     uint64 `json:"requests"`
	Questions    uint64 `json:"questions"`
	Failures     uint64 `json:"failures"`
	NotAnswers   uint64 `json:"not_answers"`
	Refusals     uint64 `json:"refusals"`
	BlockBytes   uint64 `json:"block_bytes"`
	ResentBytes  uint64 `json:"resent_bytes"`
	WireBytes    uint64 `json:"wire_bytes"`
	AckedRecords uint64 `json:"acked_records"`
	Resyncs      uint64 `json:"resyncs"`
	// LandingReturns: two engines without a common landing log answer by turns.
	LandingReturns uint64 `json:"landing_returns"`
	LossBlocks     uint64 `json:"loss_blocks"`
	StateDamaged   uint64 `json:"state_damaged"`
	StateFailures  uint64 `json:"state_failures"`
}
