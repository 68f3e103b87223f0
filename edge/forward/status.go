package forward

import (
	"maps"
	"sort"
	"time"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// Status is a picture of forwarding, for status, metrics and the daemon's
// health.
type Status struct {
	Gateway string
	State   string // idle, asking, sending, waiting (backoff), red (nothing can be sent)
	Logs    []LogStatus
	Reds    []Red
	// Pending is how many durable records are not acknowledged, of all logs.
	Pending uint64
	// OldestUnacked is about when the oldest of them was received;
	// record.NoTime when none is pending or it is not known.
	OldestUnacked  record.Micros
	LastError      string // "" after a request that ended well
	LastErrorAt    time.Time
	NextTryAt      time.Time // during a backoff: when it ends
	LastTransferAt time.Time // when the cloud last answered
	BytesPerSecond float64   // of blocks, smoothed; 0: not known
	RoundTrip      time.Duration
	Counters       Counters

	// TwoEngines says that engines which share no landing log answer by turns; "":
	// that is not known. It is told for an hour after it was last seen.
	TwoEngines string

	// Release is what is waited for before records are let go; Telling is whether
	// the cloud tells what is published.
	Release Release
	// Lake is the beginning of the identity of the lake to which records go; "": not
	// known yet.
	Lake string
	// OtherLake is the beginning of the identity of another lake, which the engine feeds
	// that answered last: nothing is sent to it; "": it is none such.
	OtherLake string
	Telling   Telling
	// Unpublished is how many records have landed and are not known to be
	// published, of all logs; 0 while the cloud has never told.
	Unpublished uint64
	// UnpublishedSince is since when nothing of the log was published that waits
	// longest, since the start of the process; zero: none waits.
	UnpublishedSince time.Time
	// KeptBytes is about how many bytes of the store are kept only because they are
	// not published.
	KeptBytes int64
	// AgainIn is how long the cloud said that publishing takes; 0: it did not say.
	AgainIn time.Duration
}

// LogStatus is one log with something to tell.
type LogStatus struct {
	Log     record.LogID
	Acked   record.Offset // landed
	Durable record.Offset
	Closed  bool
	// Published is the first offset that is not known to be published. Settled is
	// the one below which records are released.
	Published, Settled record.Offset
	// Sent and Resent are bytes of blocks since the start of the process; Resent
	// is the part of Sent that had been sent before, unacknowledged.
	Sent, Resent int64
}

// Counters count since the start of the process.
type Counters struct {
	Requests     uint64 // with blocks
	Questions    uint64 // without
	Failures     uint64 // ended without an answer
	NotAnswers   uint64 // of these: answers of somebody else, as a captive portal's
	Refusals     uint64 // answers with an error
	BlockBytes   uint64 // bytes of blocks handed to the link
	ResentBytes  uint64 // of these: sent before, unacknowledged
	WireBytes    uint64 // compressed bytes handed to the link
	AckedRecords uint64 // records acknowledged: landed
	Resyncs      uint64 // times that less had landed of a log than before, so that it is sent again
	// LandingReturns are answers with a landing log that had answered before, and
	// another one in between.
	LandingReturns uint64
	LossBlocks     uint64 // declarations of loss handed to the link
	StateDamaged   uint64 // state files that could not be read
	// StateFailures are attempts to write the state file that failed.
	StateFailures uint64
}

// SettledOffsets returns Core.Settled of each log. It may be called from any
// goroutine.
func (s *Session) SettledOffsets() map[record.LogID]record.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.settled)
}

// Status gives a picture of now. It may be called from any goroutine.
func (s *Session) Status() Status {
	logs := s.cfg.Store.Logs()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Gateway, st.OldestUnacked, st.Release = s.cfg.Gateway, record.NoTime, s.cfg.Release
	st.Reds = append([]Red(nil), s.status.Reds...)
	st.TwoEngines = s.engines.problem(s.cfg.Now())
	for _, l := range logs {
		acked := max(s.acked[l.ID].Next, l.First)
		if acked < l.End {
			if st.Pending == 0 {
				st.OldestUnacked = s.oldestUnacked(l.ID, acked, l.FirstAt)
			}
			st.Pending += uint64(l.End - acked)
		}
		st.Logs = append(st.Logs, LogStatus{
			Log: l.ID, Acked: acked, Durable: l.End, Closed: l.Closed,
			Published: s.acked[l.ID].Published, Settled: s.settled[l.ID],
			Sent: s.bytes[l.ID].sent, Resent: s.bytes[l.ID].resent,
		})
		s.unpublished(&st, &l)
	}
	if st.Pending > 0 && len(st.Reds) > 0 && st.State == stateIdle {
		st.State = stateRed
	}
	sort.Slice(st.Reds, func(i, j int) bool { return st.Reds[i].Log.String() < st.Reds[j].Log.String() })
	return st
}

// unpublished adds to st what of a log has landed and is not published. The caller
// holds mu.
func (s *Session) unpublished(st *Status, l *seglog.LogInfo) {
	m := s.acked[l.ID]
	if published := max(m.Published, l.First); st.Telling.Told && published < m.Next {
		st.Unpublished += uint64(m.Next - published)
		if since := s.stands[l.ID]; st.UnpublishedSince.IsZero() || since.Before(st.UnpublishedSince) {
			st.UnpublishedSince = since
		}
	}
	if from, landed := max(s.settled[l.ID], l.First), min(m.Next, l.End); from < landed {
		st.KeptBytes += s.cfg.Store.BlockBytes(l.ID, from, landed)
	}
}

// tellBehind is from which age of the oldest record that waits on the ingest is
// told how far this gateway is behind: one that keeps up pays no byte for it.
const tellBehind = 10 * time.Second

// behind gives what the ingest is told of the backlog.
func (s *Session) behind() wire.Behind {
	st := s.Status()
	if st.OldestUnacked == record.NoTime {
		return wire.Behind{}
	}
	age := s.cfg.Now().Sub(time.UnixMicro(int64(st.OldestUnacked))).Truncate(time.Second)
	if age < tellBehind {
		return wire.Behind{}
	}
	return wire.Behind{Records: st.Pending, Age: age}
}

// oldestUnacked is about when the record at the acknowledged offset of a log was
// received: what waits came after the newest block that was acknowledged, and
// after firstAt, when the oldest that is kept came. The caller holds mu.
func (s *Session) oldestUnacked(log record.LogID, acked record.Offset, firstAt record.Micros) record.Micros {
	if s.last.log != log {
		return firstAt
	}
	if s.last.next == acked && s.last.at != record.NoTime {
		return s.last.at
	}
	at := firstAt
	for _, b := range s.last.sent {
		if b.end <= acked {
			at = max(at, b.at)
		}
	}
	return at
}

// Acked tells whether the cloud holds a log up to an offset. A log that the store
// has no more was acknowledged to its end, or given up. It may be called from any
// goroutine.
func (s *Session) Acked(log record.LogID, end record.Offset) bool {
	logs := s.cfg.Store.Logs()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range logs {
		if l.ID == log {
			return max(s.acked[log].Next, l.First) >= end
		}
	}
	return true
}

const (
	stateIdle    = "idle"
	stateAsking  = "asking"
	stateSending = "sending"
	stateWaiting = "waiting"
	stateRed     = "red"
)
