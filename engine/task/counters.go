package task

import "sync/atomic"

// Counters count what a task saw since it started. They may be read from any
// goroutine; each counts offsets unless it says otherwise.
type Counters struct {
	Records        atomic.Uint64 // taken
	Duplicates     atomic.Uint64 // taken before and dropped
	Unchecked      atomic.Uint64 // of Duplicates: too old to be compared
	Lost           atomic.Uint64 // given up by gateways
	Conflicts      atomic.Uint64 // blocks kept in conflict
	Foreign        atomic.Uint64 // openings that name a log of another gateway as the one before
	Gaps           atomic.Uint64 // of Conflicts: blocks beyond the next expected offset
	PassedOver     atomic.Uint64 // left to be sent again, because what comes before is missing; again each time they are read
	Asked          atomic.Uint64 // times a gateway was asked to send a log again
	Rewinds        atomic.Uint64 // times the landing log was found cut and read again from its beginning
	Alternations   atomic.Uint64 // blocks of an older log after a newer one was opened
	BadAnnotations atomic.Uint64 // annotations that could not be read
	Ahead          atomic.Uint64 // watermarks not taken: far beyond the time of landing
	Withdrawn      atomic.Uint64 // gateways' watermarks forgotten because they lay in the future
	WindowsFull    atomic.Uint64 // readings in late because too many windows of their gateway were open
	// Forgotten counts receptions and ships that were forgotten before their time because
	// their gateway had more than its share.
	Forgotten atomic.Uint64
	// FarDates counts rows that went under the date on which they landed, because too many
	// dates of their gateway, or of all, were open in the epoch.
	FarDates atomic.Uint64
	Panics   atomic.Uint64 // records on which a decoder panicked
	// Implausible counts records with a time that no clock can have said.
	Implausible atomic.Uint64
	Epochs      atomic.Uint64 // epochs committed
	// Deaths counts claims that found that the process before them had died in the middle
	// of an epoch.
	Deaths  atomic.Uint64
	Damaged atomic.Uint64 // outputs found damaged before the landing log let go of them
	Remade  atomic.Uint64 // epochs made again because of that
	Rows    atomic.Uint64 // rows staged, all tables
	// Recovered is what Config.Unreadable returned when nothing was missing last of what
	// the landing log had promised: whatever could not be read by then has come again.
	Recovered atomic.Uint64
	// CareBlocks is how many blocks an epoch may have because processes have died, 0: as
	// many as come; SuspectDeaths how many had the one block alone that is next.
	CareBlocks    atomic.Int64
	SuspectDeaths atomic.Int64
	// LastPanic says what the newest one of Panics was, with its stack.
	LastPanic atomic.Pointer[string]
	// AlternatedAt is when the newest block that Alternations counts landed, a
	// record.Micros; 0: there is none.
	AlternatedAt atomic.Int64
	// Alternating are gateways of Alternations.
	Alternating Names
	// Contradictions are what Conflicts and wrong claims of Foreign come to, by gateway,
	// over restarts.
	Contradictions Contradictions
	// Oldest is when the oldest block that is read and not committed landed, a
	// record.Micros; 0: there is none.
	Oldest atomic.Int64
}
