package agent

import (
	"fmt"
	"slices"
	"time"

	"landfall/edge/care"
	"landfall/edge/config"
	"landfall/edge/forward"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/edge/tap"
)

// Status is the gateway at one moment, for people and programs. Times are RFC
// 3339 in UTC, empty when there is none; counters count since the start of the
// process.
type Status struct {
	Gateway   string   `json:"gateway"`
	Version   string   `json:"version"`
	Time      string   `json:"time"`
	StartedAt string   `json:"started_at"`
	Healthy   bool     `json:"healthy"`
	Reasons   []string `json:"reasons"` // why it is not healthy

	Sources []SourceStatus `json:"sources"`
	Capture CaptureStatus  `json:"capture"`
	Log     LogStatus      `json:"log"`
	Forward ForwardStatus  `json:"forward"`
	Clock   ClockStatus    `json:"clock"`
	DataDir DataDirStatus  `json:"data_dir"`
	Care    CareStatus     `json:"care"`
	Certs   *CertsStatus   `json:"certs,omitempty"`
	Page    page.Counts    `json:"page"` // requests to the status page that were not answered
	Memory  memory.Status  `json:"memory"`
}

// SourceStatus is one source.
type SourceStatus struct {
	Name        string       `json:"name"`
	Kind        string       `json:"kind"`
	Resends     bool         `json:"resends"`
	State       source.State `json:"state"`
	Detail      string       `json:"detail,omitempty"`
	Since       string       `json:"since"`
	LastReceipt string       `json:"last_receipt_at"`
	SilentFor   string       `json:"silent_for,omitempty"` // since the last receipt
	Silent      bool         `json:"silent"`               // for longer than silent_after
	Watermark   string       `json:"watermark"`
	Idle        bool         `json:"idle"`
	Open        int          `json:"open"`
	Records     uint64       `json:"records"`
	Flagged     uint64       `json:"flagged"`
	Crowded     uint64       `json:"crowded"`         // fragments given up early: too many of their sender waited
	Certs       *CertsStatus `json:"certs,omitempty"` // of the link to its broker
	// Gaps counts the intervals in which lines of a file may be missing, over all
	// starts; LastGap says the last. They are acknowledged by landfall-edge
	// acknowledge.
	Gaps             uint64 `json:"gaps"`
	LastGap          string `json:"last_gap,omitempty"`
	GapsAcknowledged bool   `json:"gaps_acknowledged"`
	// LastRefused says which client was refused last and why, LastRefusedAt when.
	LastRefused   string `json:"last_refused,omitempty"`
	LastRefusedAt string `json:"last_refused_at,omitempty"`
	// LastTakeoverAt is when takeovers counted last.
	LastTakeoverAt string `json:"last_takeover_at,omitempty"`
	SourceCounters
}

// CaptureStatus is what capture did.
type CaptureStatus struct {
	Lines        uint64 `json:"lines"`
	Records      uint64 `json:"records"`
	Flagged      uint64 `json:"flagged"`
	Waiting      int    `json:"waiting_fragments"`
	Groups       uint64 `json:"groups"`
	BlockBytes   uint64 `json:"block_bytes"`
	CommitAt     string `json:"commit_at"`
	Watermark    string `json:"watermark"`
	Blocked      string `json:"blocked,omitempty"` // why the log takes nothing
	BlockedSince string `json:"blocked_since,omitempty"`
	AppendErrors uint64 `json:"append_errors"`
}

// DataDirStatus is what the data directory does not know of what the cloud has: it was
// lost, is an older copy or another one, or another machine has the gateway's name.
// That is acknowledged by landfall-edge acknowledge --data-dir.
type DataDirStatus struct {
	UnknownLogs  uint64 `json:"unknown_logs"` // found, over all starts
	LastUnknown  string `json:"last_unknown,omitempty"`
	Acknowledged bool   `json:"acknowledged"`
}

// CareStatus says what the gateway does against messages of which it dies.
type CareStatus struct {
	Noting  bool          `json:"noting"`            // it had not ended by itself: which message is in hand is noted
	Refused []CareRefused `json:"refused"`           // messages that are refused, the newest last
	Address *CareRefused  `json:"address,omitempty"` // a topic, device or node that is refused for an hour
}

// CareRefused is one message of which the gateway died three times, or whose address
// has such messages.
type CareRefused struct {
	Source  string `json:"source"`
	Address string `json:"address"` // topic, device or node; empty: it is a line
	At      string `json:"at"`      // when that was decided
}

// LogStatus is the log store.
type LogStatus struct {
	Active string `json:"active"` // LogID; empty before the first record
	// DurableOffset is behind the last record of Active that is durable (C1). As
	// forward.acked_offset is of the same log, the two can be compared.
	DurableOffset uint64 `json:"durable_offset"`
	Logs          int    `json:"logs"`
	StoreStats
	// AsideSources are those that are configured no more and whose marks are set aside, or
	// whose list of filters is there; they
	// are forgotten by landfall-edge forget.
	AsideSources []string `json:"aside_sources,omitempty"`
	// LostEnds counts ends of logs that the disk has lost, over all starts, and LastLostEnd
	// says the last one.
	LostEnds             uint64 `json:"lost_ends"`
	LastLostEnd          string `json:"last_lost_end,omitempty"`
	LostEndsAcknowledged bool   `json:"lost_ends_acknowledged"`
	// WrittenPerCaptured is bytes handed to the disk per byte of blocks.
	WrittenPerCaptured float64 `json:"written_per_captured"`
	// BytesPerDay is the rate of blocks since the start, over RateSeconds; 0: not known
	// yet, nothing was captured.
	BytesPerDay float64 `json:"bytes_per_day"`
	RateSeconds float64 `json:"rate_seconds"`
	// RoomBytes is what the log may still take, of its quota and of the disk; -1:
	// not known.
	RoomBytes int64 `json:"room_bytes"`
	// OutageDays is how long nothing may be released at this rate until the log is
	// full; 0: not known (no rate, or no room_bytes), or no room.
	OutageDays float64 `json:"outage_days"`
}

// ForwardStatus is the link.
type ForwardStatus struct {
	State          string   `json:"state"`
	Pending        uint64   `json:"pending"`      // records captured and not acknowledged
	AckedOffset    uint64   `json:"acked_offset"` // of log.active: behind what the cloud has acknowledged (C2)
	OldestPending  string   `json:"oldest_pending_at"`
	OldestAge      string   `json:"oldest_pending_age,omitempty"`
	LastTransfer   string   `json:"last_transfer_at"`
	LastError      string   `json:"last_error,omitempty"` // of the last request; the engine may be back since
	LastErrorAt    string   `json:"last_error_at,omitempty"`
	NextTry        string   `json:"next_try_at,omitempty"` // while the link rests after an error
	BytesPerSecond float64  `json:"bytes_per_second"`
	RoundTripMS    float64  `json:"round_trip_ms"`
	Reds           []string `json:"reds"`

	Release        string `json:"release"`              // published or landed, as configured
	Lake           string `json:"lake,omitempty"`       // to which records go, the beginning of its identity; empty: not known yet
	OtherLake      string `json:"other_lake,omitempty"` // that of the engine that answered last, where it is another one: nothing is sent to that
	TellsPublished bool   `json:"tells_published"`      // the engine does
	// ReleaseNote says why records are not released as configured, or which ingest
	// that depends on.
	ReleaseNote      string  `json:"release_note,omitempty"`
	Unpublished      uint64  `json:"unpublished"` // records landed and not published
	UnpublishedSince string  `json:"unpublished_since"`
	KeptBytes        int64   `json:"kept_bytes"` // of blocks, about: only because they are not published
	KeptDays         float64 `json:"kept_days"`  // the same at the log's rate; 0: not known yet
	ForwardCounters
}

// Status gives a picture of now. It may be called from any goroutine.
func (a *Agent) Status() Status {
	wall, _ := a.opt.Clock.Now()
	s := Status{
		Gateway: a.cfg.Gateway, Version: a.opt.Version, Time: text(wall), StartedAt: a.started.UTC().Format(time.RFC3339),
		Reasons: []string{}, Sources: []SourceStatus{},
	}
	a.captured(&s, wall)
	a.logged(&s)
	a.forwarded(&s, wall)
	a.room(&s)
	s.Clock, s.Page, s.Memory = a.clockStatus(), a.access.Counts(), a.opt.Memory.Status()
	if s.Clock.Split {
		s.red("the engine's clock and the machine's, which NTP or PTP keeps, contradict each other: until they agree the earlier is believed and times are asserted only; landfall-edge clock shows both")
	}
	a.certified(&s)
	a.dataDir(&s)
	a.careful(&s, wall)
	for _, why := range a.tips.forked() {
		s.red("%s", why)
	}
	if w := a.warning.Load(); w != nil && *w != "" {
		s.red("%s", *w)
	}
	s.Healthy = len(s.Reasons) == 0
	return s
}

// dataDir says what the data directory does not know.
func (a *Agent) dataDir(s *Status) {
	n, last, _ := a.unknown.found()
	if s.DataDir.Acknowledged = a.cfg.unknownAcknowledged(a.opt.FS, n, last); n == 0 {
		return
	}
	s.DataDir.UnknownLogs, s.DataDir.LastUnknown = n, last
	if !s.DataDir.Acknowledged && a.unknown.isRename() {
		s.red("%s: it was renamed, or this is a copy of another one's directory, and then what files, brokers and senders "+
			"give again may come twice; when you have looked: landfall-edge acknowledge --data-dir", last)
		return
	}
	if !s.DataDir.Acknowledged {
		s.red("the cloud has records of this gateway that its data directory does not know (%s, the last: %s): the directory was lost, put back from an older copy or is another one, "+
			"or another machine has this name. What files, brokers and senders give again may come twice; when you have looked: landfall-edge acknowledge --data-dir", config.Count(n, "time"), last)
	}
}

// killsFor is how long health says that a message was refused because the gateway died
// of it.
const killsFor = 24 * time.Hour

// careful says which messages are refused.
func (a *Agent) careful(s *Status, wall record.Micros) {
	c := a.care.Status()
	of := func(r *care.Refused) CareRefused { return CareRefused{r.Source, r.Address, text(r.At)} }
	s.Care = CareStatus{Noting: c.Careful, Refused: []CareRefused{}}
	for i := range c.Refused {
		s.Care.Refused = append(s.Care.Refused, of(&c.Refused[i]))
	}
	if n := len(c.Refused); n > 0 && time.Duration(wall-c.Refused[n-1].At)*time.Microsecond < killsFor {
		r := of(&c.Refused[n-1])
		s.red("source %s: the gateway died three times of one message%s: it is in record, unread, with the reason kills; please report it", r.Source, from(r.Address))
	}
	if c.Address != nil {
		r := of(c.Address)
		s.Care.Address = &r
		s.red("source %s: the gateway died three times of messages%s: for an hour they go to record unread, with the reason kills; please report it", r.Source, from(r.Address))
	}
}

// from names an address, empty for none.
func from(address string) string {
	if address == "" {
		return ""
	}
	return fmt.Sprintf(" from %q", address)
}

func (s *Status) red(format string, args ...any) {
	s.Reasons = append(s.Reasons, fmt.Sprintf(format, args...))
}

func (a *Agent) captured(s *Status, wall record.Micros) {
	live := a.live.Status()
	s.Capture = CaptureStatus{
		Lines: live.Captured.Lines, Records: live.Captured.Records, Flagged: live.Captured.Flagged, Waiting: live.Waiting,
		Groups: live.Groups, BlockBytes: live.Bytes, CommitAt: text(live.CommitAt), Watermark: text(live.Watermark.At),
		Blocked: live.BlockedBy, BlockedSince: text(live.BlockedSince), AppendErrors: live.AppendErrors,
	}
	if live.BlockedBy != "" {
		s.red("the log takes nothing: %s", live.BlockedBy)
	}
	for i, src := range live.Sources {
		silence, silent := silentTooLong(&a.cfg.Sources[i], &src.Status, wall)
		s.Sources = append(s.Sources, SourceStatus{
			Name: src.Name, Kind: src.Kind, Resends: src.Resend, State: src.State, Detail: src.Detail, Since: text(src.Since),
			LastReceipt: text(src.LastReceiptAt), SilentFor: age(src.LastReceiptAt, wall), Silent: silent,
			Watermark: text(src.Watermark.At), Idle: src.Watermark.Idle, Open: src.Open,
			Records: src.Captured.Records, Flagged: src.Captured.Flagged, Crowded: src.Captured.Crowded, SourceCounters: SourceCounters(src.Counters),
			LastRefused: src.LastRefused, LastRefusedAt: text(src.LastRefusedAt), LastTakeoverAt: text(src.LastTakeoverAt),
			Gaps: src.Gaps, LastGap: src.LastGap, GapsAcknowledged: a.cfg.gapsAcknowledged(a.opt.FS, src.Name, src.Gaps, src.LastGap),
		})
		if st := &s.Sources[i]; !st.GapsAcknowledged {
			s.red("source %s: lines may be missing in %s, the last: %s; when you have looked: landfall-edge acknowledge %s", src.Name, config.Count(src.Gaps, "interval"), src.LastGap, src.Name)
		}
		if src.State == source.StateAbsent || src.State == source.StateFailed {
			s.red("source %s is %s: %s", src.Name, src.State, src.Detail)
		}
		if at := src.LastRefusedAt; at != record.NoTime && time.Duration(wall-at)*time.Microsecond < refusedFor {
			s.red("source %s refuses clients, last at %s %s", src.Name, text(at), src.LastRefused)
		}
		if at := src.LastTakeoverAt; src.Takeovers > 1 && time.Duration(wall-at)*time.Microsecond < refusedFor {
			s.red("source %s: the broker ended %d connections and took the next at once, the last at %s: another client has its client_id, and what that acknowledges never comes here, "+
				"or something between cuts connections", src.Name, src.Takeovers, text(at))
		}
		if silent {
			s.red("source %s is open and silent for %s", src.Name, silence)
		}
		if src.Conflicts > 0 {
			s.red("source %s: %s", src.Name, contradict(src.Kind, src.Conflicts))
		}
		if src.Forgotten > 0 {
			s.red("source %s: the broker had forgotten the session %s; what came meanwhile is lost", src.Name, config.Count(src.Forgotten, "time"))
		}
		if src.PossiblyTwice > 0 && a.cfg.Sources[i].Identified() {
			s.red("source %s: %s", src.Name, twice(src.Kind, src.PossiblyTwice))
		}
		if src.Kind == "node" && src.Lost > 0 {
			s.red("source %s: %s lost at the node before they could be taken", src.Name, config.Count(src.Lost, "reading"))
		}
	}
}

// contradict says what contradicts what was taken.
func contradict(kind string, n uint64) string {
	if kind == "acked" {
		return fmt.Sprintf("%d times a sender sent other bytes under a number that was passed; it was answered ERR and has its line, and should begin a new epoch", n)
	}
	return fmt.Sprintf("%d readings contradict what was taken under their numbers", n)
}

// twice says what may be there twice although it ought not to be.
func twice(kind string, n uint64) string {
	if kind == "node" {
		return fmt.Sprintf("%d readings of a node that came from another gateway may be there twice, once of each", n)
	}
	return fmt.Sprintf("%d messages were sent again without a usable time or number: they may be there twice", n)
}

// refusedFor is how long health says that a client was refused.
const refusedFor = 10 * time.Minute

// silentTooLong tells for how long an open source has said nothing, since it was
// opened or since the last byte, and whether that is more than it may.
func silentTooLong(c *SourceConfig, st *source.Status, wall record.Micros) (time.Duration, bool) {
	since := max(st.LastReceiptAt, st.Since)
	limit := c.silentAfter()
	if limit == 0 || st.State != source.StateOpen || since == record.NoTime {
		return 0, false
	}
	silence := time.Duration(wall-since) * time.Microsecond
	return silence.Round(time.Second), silence > limit
}

func (a *Agent) logged(s *Status) {
	st := a.store.Stats()
	filtered, bytes := a.cfg.removedFilters(a.opt.FS)
	st.MarkAsideBytes += bytes
	aside := append(a.store.AsideSources(), filtered...)
	slices.Sort(aside)
	s.Log = LogStatus{Logs: len(a.store.Logs()), StoreStats: StoreStats(st), AsideSources: slices.Compact(aside)}
	if id, ok := a.store.Active(); ok {
		s.Log.Active = id.String()
		for _, l := range a.store.Logs() {
			if l.ID == id {
				s.Log.DurableOffset = uint64(l.End)
			}
		}
	}
	if st.AppendedBytes > 0 {
		s.Log.WrittenPerCaptured = float64(st.WrittenBytes) / float64(st.AppendedBytes)
	}
	if st.CorruptBlocks > 0 {
		s.red("%s in the log, %d bytes", config.Count(st.CorruptBlocks, "damaged place"), st.CorruptBytes)
	}
	s.Log.LostEnds, s.Log.LastLostEnd = a.lost.told()
	s.Log.LostEndsAcknowledged = acknowledged(a.opt.FS, a.cfg.LostEndsFile(), s.Log.LostEnds, s.Log.LastLostEnd)
	if !s.Log.LostEndsAcknowledged {
		s.red("the disk has lost the end of a log %s, the last: %s; when you have looked: landfall-edge acknowledge --log", config.Count(s.Log.LostEnds, "time"), s.Log.LastLostEnd)
	}
	if st.FailedSegments > 0 {
		s.red("%s given up after a failed write", config.Count(st.FailedSegments, "segment"))
	}
	if st.Strays > 0 {
		s.red("%d files of the log that nobody needs cannot be removed, %d bytes", st.Strays, st.StrayBytes)
	}
	if s.Capture.Blocked != "" && st.MarkAsideBytes > 0 {
		s.red("%d bytes of the log are marks of sources that are configured no more: landfall-edge forget, if they do not come back", st.MarkAsideBytes)
	}
	if st.ShedOffsets > 0 {
		s.red("%s shed because the log was full", config.Count(st.ShedOffsets, "record"))
	}
}

func (a *Agent) forwarded(s *Status, wall record.Micros) {
	f := a.session.Status()
	s.Forward = ForwardStatus{
		State: f.State, Pending: f.Pending, OldestPending: text(f.OldestUnacked), OldestAge: age(f.OldestUnacked, wall),
		LastError: f.LastError, BytesPerSecond: f.BytesPerSecond, RoundTripMS: float64(f.RoundTrip) / 1e6,
		Reds: []string{}, ForwardCounters: ForwardCounters(f.Counters),
	}
	for _, l := range f.Logs {
		if l.Log.String() == s.Log.Active {
			s.Forward.AckedOffset = min(uint64(l.Acked), s.Log.DurableOffset)
		}
	}
	if f.LastError != "" {
		s.Forward.LastErrorAt = f.LastErrorAt.UTC().Format(time.RFC3339Nano)
		if !f.NextTryAt.IsZero() {
			s.Forward.NextTry = f.NextTryAt.UTC().Format(time.RFC3339Nano)
		}
	}
	if !f.LastTransferAt.IsZero() {
		s.Forward.LastTransfer = f.LastTransferAt.UTC().Format(time.RFC3339Nano)
	}
	linkReasons(s, &f, time.Now())
	published(s, &f, time.Now())
}

// linkReasons says what is wrong between here and the cloud.
func linkReasons(s *Status, f *forward.Status, now time.Time) {
	for _, r := range f.Reds {
		why := fmt.Sprintf("log %s: %s", r.Log, r.Reason)
		s.Forward.Reds = append(s.Forward.Reds, why)
		s.red("forwarding stopped for %s", why)
	}
	if f.TwoEngines != "" {
		s.red("forwarding: %s", f.TwoEngines)
	}
	if f.LastError != "" {
		s.red("forwarding: %s", LastError(f.LastError, f.LastErrorAt, f.NextTryAt, now))
	}
}

// LastError says when the last request failed, how, and when the next one is sent: what
// it says may be over since, and nobody has looked. Zero times are left out.
func LastError(what string, at, next, now time.Time) string {
	if at.IsZero() {
		return what
	}
	told := "last error, at " + at.UTC().Format(time.RFC3339) + ": " + what
	switch rest := next.Sub(now); {
	case next.IsZero():
		return told
	case rest <= 0:
		return told + "; tried again now"
	default:
		return fmt.Sprintf("%s; next try in %s", told, max(rest.Round(time.Second), time.Second))
	}
}

// text gives a time in UTC, empty for none.
func text(at record.Micros) string { return tap.Time(at) }

// age gives how long at is before now, empty for no time.
func age(at, now record.Micros) string {
	if at == record.NoTime {
		return ""
	}
	return (time.Duration(now-at) * time.Microsecond).Round(time.Millisecond).String()
}
