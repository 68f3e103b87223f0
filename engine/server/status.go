package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"landfall/edge/certs"
	"landfall/edge/memory"
	"landfall/edge/page"
	"landfall/edge/record"
	"landfall/edge/tap"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// secure puts TLS before a listener, when there is any.
func secure(l net.Listener, c *tls.Config) net.Listener {
	if c == nil {
		return l
	}
	c.NextProtos = []string{"http/1.1"}
	return tls.NewListener(l, c)
}

// Status is the engine at one moment. Times are RFC 3339 in UTC, empty when
// there is none; counters count since the start of the process.
type Status struct {
	Version   string   `json:"version"`
	Time      string   `json:"time"`
	StartedAt string   `json:"started_at"`
	Healthy   bool     `json:"healthy"`
	Reasons   []string `json:"reasons"` // why it is not healthy

	Landing string `json:"landing"`        // identity of the landing log
	Lake    string `json:"lake,omitempty"` // identity of the lake that it feeds; empty: not known, or none
	// Published says whether gateways are told what is published: Tells, TellsNobody;
	// empty: no gateway comes to this engine.
	Published string          `json:"published,omitempty"`
	Group     *GroupStatus    `json:"group,omitempty"` // of the engines that share it, where it is on Kafka
	Gateways  []GatewayStatus `json:"gateways"`
	Complete  CompleteStatus  `json:"complete_through"`
	Ingest    IngestStatus    `json:"ingest"`
	Tasks     []TaskStatus    `json:"tasks"`
	Store     LandingStats    `json:"landing_stats"`
	Certs     *CertsStatus    `json:"certs,omitempty"`
	Sinks     []SinkStatus    `json:"sinks,omitempty"` // beside the lake
	Page      page.Counts     `json:"page"`            // requests to the status page that were not answered
	Memory    memory.Status   `json:"memory"`
}

// GroupStatus is this engine's place among those that share a topic.
type GroupStatus struct {
	Topic      string `json:"topic"`
	Group      string `json:"group"`
	Partitions int    `json:"partitions"` // of the topic
	Mine       []int  `json:"mine"`       // that this engine works on; Tasks has each with what is behind
	Member     bool   `json:"member"`     // false: an ingest only
	Error      string `json:"error,omitempty"`
	// Problems are of the topic: of its settings, of what it is and whose.
	Problems []string `json:"problems,omitempty"`
}

// GatewayStatus is what ingest last saw of a gateway.
type GatewayStatus struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"` // empty: it was refused before anything of a log came
	Acked   uint64 `json:"acked"`
	// Published is how far the log is in the lake, verified; absent: not known.
	Published *uint64 `json:"published,omitempty"`
	SeenAt    string  `json:"seen_at"`
	// Watermark: no event of the gateway older than this is expected after what
	// is committed; empty: none yet.
	Watermark string `json:"watermark"`
	// BehindRecords is what its last request left waiting on the gateway, and
	// BehindSeconds how old the oldest was when it began; absent: it keeps up.
	BehindRecords uint64  `json:"behind_records,omitempty"`
	BehindSeconds float64 `json:"behind_seconds,omitempty"`
	// LastError is why its last request was refused; empty: it was not.
	LastError string `json:"last_error,omitempty"`
}

// IngestStatus counts what ingest did.
type IngestStatus struct {
	Sessions   int    `json:"sessions"`
	Requests   uint64 `json:"requests"`
	Questions  uint64 `json:"questions"`
	Blocks     uint64 `json:"blocks"`
	Records    uint64 `json:"records"`
	BlockBytes uint64 `json:"block_bytes"`
	WireBytes  uint64 `json:"wire_bytes"`
	Duplicates uint64 `json:"duplicates"`
	Conflicts  uint64 `json:"conflicts"`
	// Alternations is how often a log came back after another of its gateway: two
	// machines under one name.
	Alternations uint64 `json:"alternations"`
	// UnknownLogs counts requests whose start could not be compared with what is
	// known to have landed, and Resends how often a gateway was told to send a log
	// again from below what had landed, because the landing log lacked it.
	UnknownLogs uint64 `json:"unknown_logs"`
	Resends     uint64 `json:"resends"`
	// Displaced counts requests that were ended because others waited for their places:
	// they stood still, or their client had more places.
	Displaced uint64 `json:"displaced"`
	BodyBytes int64  `json:"body_bytes"` // of memory that bodies of requests hold
	// PacedLogs counts requests that were refused because their gateway had brought too
	// many logs that were new.
	PacedLogs uint64 `json:"paced_logs"`
	// HeldBack counts requests that were ended because their gateway had its share of what
	// has landed and its task had not read, and RefusedGateways those that were refused
	// because too many gateways are known.
	HeldBack        uint64 `json:"held_back"`
	RefusedGateways uint64 `json:"refused_gateways"`
	// Connections are there now; ConnectionsEnded counts those that were closed to make
	// room, ConnectionsRefused those for which there was none.
	Connections        int                  `json:"connections"`
	ConnectionsEnded   uint64               `json:"connections_ended"`
	ConnectionsRefused uint64               `json:"connections_refused"`
	Refused            map[wire.Code]uint64 `json:"refused"`
	// Unproven is why, of the refused, a gateway's name was not proved.
	Unproven map[certs.Reason]uint64 `json:"unproven"`
}

// TaskStatus is one partition.
type TaskStatus struct {
	Partition int       `json:"partition"`
	State     TaskState `json:"state"`
	Error     string    `json:"error,omitempty"`
	Restarts  uint64    `json:"restarts"`
	Epoch     uint64    `json:"epoch"`     // newest committed (C4)
	Published uint64    `json:"published"` // newest wholly visible (C5)
	CommitAt  string    `json:"commit_at"`
	Behind    int64     `json:"behind"` // landed blocks not committed yet; -1: not known, as before the first claim
	// OldestLandedAt is when the oldest of these that was read landed.
	OldestLandedAt string `json:"oldest_landed_at"`
	// OldestUnpublishedAt is when the oldest epoch that is not wholly visible was
	// committed, and PublishError why the last attempt at it failed.
	OldestUnpublishedAt string `json:"oldest_unpublished_at"`
	PublishError        string `json:"publish_error,omitempty"`
	Records             uint64 `json:"records"`
	Rows                uint64 `json:"rows"`
	Duplicates          uint64 `json:"duplicates"`
	Lost                uint64 `json:"lost"`
	Conflicts           uint64 `json:"conflicts"`
	// Contradictions counts what contradicts a log over restarts, as far as the state of
	// the task remembers, and Acknowledged how many of these an operator has acknowledged.
	Contradictions uint64 `json:"contradictions"`
	Acknowledged   uint64 `json:"acknowledged"`
	// Contradicting names the gateways of those that are not acknowledged, the eight that
	// contradicted last.
	Contradicting string `json:"contradicting,omitempty"`
	// ContradictingGateways are the gateways of those that are not acknowledged, newest
	// first, maxContradicting at most.
	ContradictingGateways []ContradictingGateway `json:"contradicting_gateways,omitempty"`
	// ForeignOpenings counts openings of logs that name a log of another gateway as the
	// one before.
	ForeignOpenings uint64 `json:"foreign_openings"`
	Gaps            uint64 `json:"gaps"`
	// WindowsFull counts readings that are in late because too many windows of their
	// gateway were open.
	WindowsFull uint64 `json:"windows_full"`
	// Forgotten counts receptions and ships that were forgotten before their time because
	// their gateway had more than its share.
	Forgotten uint64 `json:"forgotten"`
	// FarDates counts rows under the date on which they landed because too many dates
	// were open.
	FarDates uint64 `json:"far_dates"`
	// OverShare are the gateways that had more of something than their share since the
	// claim.
	OverShare []OverStatus `json:"over_share,omitempty"`
	// Gateways and Logs are how many the state of the task knows.
	Gateways int `json:"gateways"`
	Logs     int `json:"logs"`
	// Unread is what has landed through this engine and the task has not read yet.
	Unread int64 `json:"unread_bytes"`
	// LastHour is the work of all gateways, and Costs what those cost the task that cost
	// the most, 64 at most; CostsMore is how many gateways there are besides.
	LastHour  WorkStatus   `json:"last_hour"`
	Costs     []CostStatus `json:"costs,omitempty"`
	CostsMore int          `json:"costs_more,omitempty"`
	// ImplausibleTimes counts records with a time that no clock can have said.
	ImplausibleTimes uint64 `json:"implausible_times"`
	// Panics counts records on which a decoder panicked.
	Panics uint64 `json:"panics"`
	// WatermarksRefused counts watermarks that were not taken, for they lay far beyond
	// the time of landing, and WatermarksWithdrawn gateways whose watermark did.
	WatermarksRefused   uint64 `json:"watermarks_refused"`
	WatermarksWithdrawn uint64 `json:"watermarks_withdrawn"`
	StateBytes          int64  `json:"state_bytes"`
	// Ledger is the number of the newest entry of the task's ledger.
	Ledger uint64 `json:"ledger"`
	// Damaged counts outputs that were found damaged before the landing log let go
	// of what they were made of, and Remade the epochs made again because of that.
	Damaged uint64 `json:"damaged"`
	Remade  uint64 `json:"remade"`
	// Rewinds is how often the landing log was found cut, and what it held was read
	// again from its beginning; Asked how often a gateway was asked to send a log
	// again; PassedOver counts offsets that were left to come again with that.
	Rewinds    uint64 `json:"rewinds"`
	Asked      uint64 `json:"asked"`
	PassedOver uint64 `json:"passed_over"`
	// Holes are the logs of which the landing log lacks something now, and HeldBlocks
	// is how many landed blocks it keeps because of that, published or not.
	Holes      []HoleStatus `json:"holes,omitempty"`
	HeldBlocks int64        `json:"held_blocks,omitempty"`
	// SetAside are the newest blocks that were set aside because processes died of
	// them, and SetAsideBlocks counts those that are remembered, 256 at most.
	SetAside       []AsideStatus `json:"set_aside,omitempty"`
	SetAsideBlocks int           `json:"set_aside_blocks"`
	// Deaths counts claims that found that the process before them had died in the
	// middle of an epoch; CareBlocks is how many blocks an epoch has at most because of
	// that, 0: as many as come; SuspectDeaths is how many processes have died of the one
	// block that is next.
	Deaths        uint64 `json:"deaths"`
	CareBlocks    int64  `json:"care_blocks,omitempty"`
	SuspectDeaths int64  `json:"suspect_deaths,omitempty"`
	// Short are the logs whose ends were lost after their gateways had let go of them.
	Short []ShortStatus `json:"short,omitempty"`
}

// ShortStatus is a log of which the end was lost.
type ShortStatus struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"`
	From    uint64 `json:"from"`  // the first offset that never came
	End     uint64 `json:"end"`   // where its gateway says that it ended
	Since   string `json:"since"` // when that was found; empty: before this start, by a version that did not keep it
}

// shortMemory is how long a lost end of a log keeps health red after it was found: nobody
// can bring it, so that it does not stay so for ever. Where a version before took what
// shows it, nothing says when that was, and it is told for as long after each start.
const shortMemory = 24 * time.Hour

// shortReasons says which logs lost their ends not long ago.
func shortReasons(now, started time.Time, tasks []TaskStatus) []string {
	var out []string
	for i := range tasks {
		for n, l := range tasks[i].Short {
			since, err := time.Parse(time.RFC3339Nano, l.Since)
			if err != nil {
				since = started
			}
			switch {
			case now.Sub(since) >= shortMemory:
			case n >= toldHoles:
				var names task.Names
				for _, l := range tasks[i].Short[n:] {
					names.Add(l.Gateway)
				}
				out = append(out, fmt.Sprintf("partition %d: more logs lost their ends, of %s; see its status",
					tasks[i].Partition, &names))
			default:
				out = append(out, fmt.Sprintf("partition %d: log %s of gateway %s: offsets from %d to %d are lost: "+
					"they never came from the landing log, and the gateway keeps nothing of them; see "+
					"landfall-engine audit",
					tasks[i].Partition, l.Log, l.Gateway, l.From, l.End))
			}
			if n >= toldHoles {
				break
			}
		}
	}
	return out
}

// HoleStatus is a log of which the landing log lacks something.
type HoleStatus struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"`
	From    uint64 `json:"from"` // the first offset that is missing
	// Since is when that was found; empty: not known yet, or just now.
	Since string `json:"since,omitempty"`
}

// toldHoles is how many holes of a partition the reasons name.
const toldHoles = 3

// holeReasons says what is missing in the landing log. What has not come for as long as
// the landing log holds back what follows it is asked for still, and told in the status
// alone: its gateway may never come back, and nobody else can bring it.
func (t *TaskStatus) holeReasons(now time.Time, hold time.Duration) []string {
	var out []string
	holes := slices.DeleteFunc(slices.Clone(t.Holes), func(h HoleStatus) bool {
		since, err := time.Parse(time.RFC3339Nano, h.Since)
		return err == nil && now.Sub(since) >= hold
	})
	for i, h := range holes {
		if i == toldHoles {
			var names task.Names
			for _, h := range holes[i:] {
				names.Add(h.Gateway)
			}
			out = append(out, fmt.Sprintf("partition %d: %d more logs lack offsets in the landing log, of %s", t.Partition,
				len(holes)-i, &names))
			break
		}
		out = append(out, fmt.Sprintf("partition %d: log %s of gateway %s: offsets from %d are missing in the "+
			"landing log; the gateway is asked to send them again",
			t.Partition, h.Log, h.Gateway, h.From))
	}
	if t.HeldBlocks > 0 {
		why := fmt.Sprintf("partition %d: the landing log keeps %d blocks until what is missing before them has come",
			t.Partition, t.HeldBlocks)
		var names task.Names
		for _, h := range t.Holes {
			names.Add(h.Gateway)
		}
		if of := names.String(); of != "" {
			why += " from " + of
		}
		out = append(out, why)
	}
	return out
}

// reasons says why the partition is not healthy.
func (t *TaskStatus) reasons(now time.Time, hold time.Duration) []string {
	var out []string
	switch {
	case t.State == TaskRed || t.State == TaskRetrying:
		out = append(out, fmt.Sprintf("partition %d is %s: %s", t.Partition, t.State, t.Error))
	case t.State == TaskRunning && t.Error != "": // it has not committed since
		out = append(out, fmt.Sprintf("partition %d is started again after: %s", t.Partition, t.Error))
	case t.State == TaskRunning && t.PublishError != "":
		out = append(out, fmt.Sprintf("partition %d: what is committed is not visible: %s", t.Partition, t.PublishError))
	}
	if n := t.unacknowledged(); n > 0 {
		why := fmt.Sprintf("partition %d: %d blocks contradict a log; see the table conflict", t.Partition, n)
		if t.Contradicting != "" {
			why += ": " + t.Contradicting
		}
		out = append(out, why)
	}
	return append(append(out, t.suspectReasons()...), t.holeReasons(now, hold)...)
}

// alternationMemory is how long health stays red after two machines under one
// name were last seen: they alternate, so that in between all looks well.
const alternationMemory = time.Hour

// alternationReasons says which gateways have two machines under one name, by
// what ingest saw; where another engine's ingest saw it, by the partitions here.
func alternationReasons(now time.Time, gateways map[string]ingest.GatewayStatus, tasks []*supervisor) []string {
	recent := func(at record.Micros) bool {
		return at != 0 && now.Sub(time.UnixMicro(int64(at))) < alternationMemory
	}
	var out []string
	for name, g := range gateways {
		if recent(g.AlternatedAt) {
			out = append(out, fmt.Sprintf("gateway %s: a log came back after another one at %s: two machines under one name", name, text(g.AlternatedAt)))
		}
	}
	slices.Sort(out)
	if len(out) > 0 {
		return out
	}
	for _, t := range tasks {
		if at := record.Micros(t.counters.AlternatedAt.Load()); recent(at) {
			out = append(out, fmt.Sprintf("partition %d: a log came back after a newer one of its gateway at %s: two machines under one name: %s",
				t.partition, text(at), &t.counters.Alternating))
		}
	}
	return out
}

// Status gives a picture of now. It may be called from any goroutine.
func (s *Server) Status() Status {
	out := Status{
		Version: s.opt.Version, Time: time.Now().UTC().Format(time.RFC3339Nano), StartedAt: s.started.UTC().Format(time.RFC3339),
		Reasons: []string{}, Landing: string(s.log.ID()), Gateways: []GatewayStatus{}, Tasks: []TaskStatus{}, Store: LandingStats(s.log.Stats()),
		Page: s.access.Counts(), Memory: s.opt.Memory.Status(),
	}
	marks := map[string]record.Micros{}
	for _, t := range s.tasks {
		if !t.ours() && s.topic != nil {
			continue // another engine's
		}
		out.Tasks = append(out.Tasks, t.status(s.log, marks))
	}
	for i := range out.Tasks {
		out.Reasons = append(out.Reasons, out.Tasks[i].reasons(time.Now(), s.cfg.Landing.Hold)...)
	}
	out.Reasons = append(out.Reasons, shortReasons(time.Now(), s.started, out.Tasks)...)
	out.Reasons = append(out.Reasons, asideReasons(time.Now(), s.started, out.Tasks)...)
	out.Reasons = append(out.Reasons, alternationReasons(time.Now(), s.gateways(), s.tasks)...)
	out.Reasons = append(out.Reasons, s.gatewayReasons(time.Now())...)
	out.Reasons = append(out.Reasons, s.diskReasons()...)
	out.Reasons = append(out.Reasons, damageReasons(&out.Store, s.tasks)...)
	out.Reasons = append(out.Reasons, s.landingReasons()...)
	out.Reasons = append(out.Reasons, s.fileReasons()...)
	out.Reasons = append(out.Reasons, s.followReasons()...)
	out.Published, out.Lake = s.telling(), s.published.Lake()
	out.Group = s.groupStatus()
	for name, g := range s.gateways() {
		one := GatewayStatus{Gateway: name, Log: logText(g.Log), Acked: uint64(g.Next), SeenAt: text(g.SeenAt),
			BehindRecords: g.Behind.Records, BehindSeconds: g.Behind.Age.Seconds(), LastError: g.LastError}
		if p := s.tells(); p != nil {
			if at, ok := p.Of(name, g.Log); ok {
				next := uint64(at.Next)
				one.Published = &next
			}
		}
		if at, ok := marks[name]; ok {
			one.Watermark = text(at)
		}
		out.Gateways = append(out.Gateways, one)
	}
	slices.SortFunc(out.Gateways, func(a, b GatewayStatus) int { return strings.Compare(a.Gateway, b.Gateway) })
	out.Complete = completeThrough(marks, seenAt(s.gateways()), record.Micros(time.Now().UnixMicro()), s.cfg.Window.GatewayTimeout)
	if s.ingest != nil {
		out.Ingest = ingestStatus(s.ingest.Stats())
		out.Ingest.Connections, out.Ingest.ConnectionsEnded, out.Ingest.ConnectionsRefused = s.conns.counts()
	}
	s.certified(&out)
	if s.opt.SinkStatus != nil {
		out.Sinks = s.opt.SinkStatus()
	}
	for _, k := range out.Sinks {
		for _, p := range k.Problems {
			out.Reasons = append(out.Reasons, fmt.Sprintf("sink %s: %s", k.Sink, p))
		}
	}
	if w := s.warning.Load(); w != nil && *w != "" {
		out.Reasons = append(out.Reasons, *w)
	}
	out.Healthy = len(out.Reasons) == 0
	return out
}

// gateways gives what ingest last saw of each; none where there is no ingest.
func (s *Server) gateways() map[string]ingest.GatewayStatus {
	if s.ingest == nil {
		return nil
	}
	return s.ingest.Gateways()
}

// diskReasons says what is wrong with the disks.
func (s *Server) diskReasons() []string {
	var out []string
	for _, dir := range []string{s.cfg.Landing.Dir, s.lakeDir()} {
		if dir == "" {
			continue
		}
		free, err := s.opt.FS.Free(dir)
		switch {
		case err != nil:
			out = append(out, err.Error())
		case free < uint64(s.cfg.Landing.Reserve):
			out = append(out, fmt.Sprintf("%d bytes free in %s, under the reserve: nothing is landed", free, dir))
		}
	}
	return out
}

// damageReasons says how much could not be read back of the landing log and is not known
// to have come again. Where a tail could not be read either, the landing log does not know
// what it had promised.
func damageReasons(st *LandingStats, tasks []*supervisor) []string {
	recovered := st.DamagedOffsets
	for _, t := range tasks {
		recovered = min(recovered, t.counters.Recovered.Load())
	}
	if st.BadMarks > 0 || len(tasks) == 0 {
		recovered = 0
	}
	if st.DamagedOffsets == recovered {
		return nil
	}
	return []string{fmt.Sprintf("%d landed blocks could not be read back", st.DamagedOffsets-recovered)}
}

func ingestStatus(st ingest.Stats) IngestStatus {
	return IngestStatus{
		Sessions: st.Sessions, Requests: st.Requests, Questions: st.Questions, Blocks: st.Blocks, Records: st.Records,
		BlockBytes: st.BlockBytes, WireBytes: st.WireBytes, Duplicates: st.Duplicates, Conflicts: st.Conflicts, Alternations: st.Alternations, Refused: st.Refused, Unproven: st.Unproven,
		UnknownLogs: st.UnknownLogs, Resends: st.Resends, Displaced: st.Displaced, BodyBytes: st.BodyBytes, PacedLogs: st.PacedLogs,
		HeldBack: st.HeldBack, RefusedGateways: st.RefusedGateways,
	}
}

// status describes the task and adds its gateways' watermarks to marks.
func (s *supervisor) status(log landingLog, marks map[string]record.Micros) TaskStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := TaskStatus{
		Partition: s.partition, State: s.state, Restarts: s.restarts,
		Epoch: uint64(s.last.Epoch), Published: uint64(s.last.Checkpoint.Published), StateBytes: s.last.Checkpoint.StateBytes,
		Records: s.counters.Records.Load(), Rows: s.counters.Rows.Load(), Duplicates: s.counters.Duplicates.Load(),
		Lost: s.counters.Lost.Load(), Conflicts: s.counters.Conflicts.Load(), ForeignOpenings: s.counters.Foreign.Load(), Gaps: s.counters.Gaps.Load(), Behind: -1,
		Damaged: s.counters.Damaged.Load(), Remade: s.counters.Remade.Load(),
		WindowsFull: s.counters.WindowsFull.Load(), Forgotten: s.counters.Forgotten.Load(), FarDates: s.counters.FarDates.Load(), OverShare: overStatus(s.last.Over),
		Panics: s.counters.Panics.Load(), ImplausibleTimes: s.counters.Implausible.Load(), WatermarksRefused: s.counters.Ahead.Load(), WatermarksWithdrawn: s.counters.Withdrawn.Load(),
		Rewinds: s.counters.Rewinds.Load(), Asked: s.counters.Asked.Load(), PassedOver: s.counters.PassedOver.Load(),
	}
	s.holes(log, &out)
	s.aside(&out)
	s.contradictions(&out)
	s.costs(&out)
	for _, l := range s.last.Short {
		out.Short = append(out.Short, ShortStatus{Gateway: l.Gateway, Log: l.Log.String(), From: uint64(l.From),
			End: uint64(l.End), Since: text(l.Since)})
	}
	if !s.commitAt.IsZero() {
		out.CommitAt = s.commitAt.UTC().Format(time.RFC3339Nano)
	}
	if s.stats != nil { // before the first claim it has no position, which would read as the log's beginning
		if n, err := log.Behind(s.partition, s.last.Position); err == nil {
			out.Behind = n
		}
	}
	if at := s.counters.Oldest.Load(); at != 0 {
		out.OldestLandedAt = text(record.Micros(at))
	}
	if s.stats != nil {
		s.publishing(&out)
	}
	if s.holds && out.Behind == 0 && out.PublishError == "" && out.OldestUnpublishedAt == "" {
		s.err = nil // there is nothing to do on which the task could fail again
	}
	if s.err != nil {
		out.Error = s.err.Error()
	}
	for _, w := range s.last.Watermarks {
		marks[w.Gateway] = w.At
	}
	return out
}

// holes tells what the landing log lacks. The caller holds mu.
func (s *supervisor) holes(log landingLog, out *TaskStatus) {
	if s.cfg.Published == nil {
		return
	}
	for _, h := range s.cfg.Published.Holes(stream.TaskID{Landing: string(log.ID()), Partition: s.partition}) {
		told := HoleStatus{Gateway: h.Gateway, Log: h.Log.String(), From: uint64(h.From)}
		if since, ok := s.last.Lacking[h.Log]; ok {
			told.Since = text(since)
		}
		out.Holes = append(out.Holes, told)
	}
	if s.last.Hold == nil {
		return
	}
	held, err := log.Behind(s.partition, *s.last.Hold)
	if behind, err2 := log.Behind(s.partition, s.last.Position); err == nil && err2 == nil {
		out.HeldBlocks = max(0, held-behind)
	}
}

// publishing tells how publishing stands now: it goes on beside the next epoch.
// The caller holds mu.
func (s *supervisor) publishing(out *TaskStatus) {
	st := s.stats()
	out.Published, out.PublishError, out.Ledger = uint64(st.Published), st.PublishError, st.LedgerNumber
	if !st.OldestPending.IsZero() {
		out.OldestUnpublishedAt = st.OldestPending.UTC().Format(time.RFC3339Nano)
	}
}

// logText is a log's name; empty: nothing of a gateway has come that names one.
func logText(id record.LogID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// text gives a time in UTC, empty for none.
func text(at record.Micros) string { return tap.Time(at) }
