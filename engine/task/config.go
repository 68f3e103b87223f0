package task

import (
	"errors"
	"log/slog"
	"time"

	"landfall/edge/durable/failpoint"
	"landfall/edge/pulse"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/published"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// What zero in the configuration means.
const (
	DefaultEpochInterval = 5 * time.Minute
	DefaultEpochRecords  = 262_144
	DefaultEpochBytes    = 128 << 20
	DefaultHeadInterval  = 10 * time.Second
	DefaultHold          = 7 * 24 * time.Hour
)

// Config says what a task reads and where its rows go.
type Config struct {
	// Log is the landing log. Required.
	Log landing.Log
	// Partition of it, 0 … P-1.
	Partition int
	// Store holds manifests, HEAD and state. Required.
	Store checkpoint.Store
	// Sinks take the rows; at least one.
	Sinks []stream.Sink
	// EpochInterval is the longest time from an epoch's first block to its
	// commit. 0: DefaultEpochInterval.
	EpochInterval time.Duration
	// EpochRecords ends an epoch once this many records were read. 0:
	// DefaultEpochRecords.
	EpochRecords int
	// EpochBytes ends an epoch once its stages hold this many bytes of memory.
	// 0: DefaultEpochBytes.
	EpochBytes int64
	// PublishBacklog is how many epochs may wait for publishing. 0: 2.
	PublishBacklog int
	// CommitTimeout bounds the last commit of a task that is told to stop, and
	// the publishing after it. 0: 30 s.
	CommitTimeout time.Duration
	// HeadInterval is how often a task that waits for its next block looks whether
	// the checkpoint is still its own, and how often a task compares what it has read
	// with what the landing log says to hold. 0: DefaultHeadInterval.
	HeadInterval time.Duration
	// Published is told how far each log is published, from the claim on, and
	// that nothing is known of the task any more when Run ends. Nil disables it.
	Published *published.Registry
	// Hold is how long the landing log is kept because blocks were passed over that wait
	// for what is missing before them; after that they go to conflict. 0: DefaultHold.
	Hold time.Duration
	// Crowded tells that the landing log had no room for something that was to come since
	// it was asked last, and that the partition may make some: nothing is held back
	// then. Nil: it has room.
	Crowded func() bool
	// Unreadable counts what could not be read back of the landing log
	// (landing.Stats.DamagedOffsets). Nil: nothing.
	Unreadable func() uint64
	// Windows says how readings are summed up. Zero: not at all.
	Windows operator.WindowConfig
	// Writer names this process in manifests, for people.
	Writer string
	// Process names this start of the program, so that a task which it ended itself is
	// not taken for one that its death ended. Empty: each Run is a process of its own.
	Process string
	// Lane is shared by all tasks of a process. Nil: this is the only one.
	Lane *Lane
	// SuspectWait is the longest time before a block is tried again of which a process
	// died; it is drawn. Default 30 s; 1 s in a build that tests kill.
	SuspectWait time.Duration
	// Params are settings on which rows depend; see checkpoint.Config.
	Params map[string]string
	// Counters is where the task counts; nil: nowhere to be seen.
	Counters *Counters
	// Pulse is of decoding, staging, committing and publishing; nil: nobody asks.
	Pulse *pulse.Pulse
	// Claimed is called when the partition is claimed and its checkpoint is
	// restored, with what tells from then on how the claim stands; nil: nobody.
	Claimed func(Status, func() checkpoint.Stats)
	// Progress is called after each epoch was committed; nil: nobody.
	Progress func(Status)
	// Look is shown each landed block with the rows it gave, before they are
	// staged. It keeps neither and does not wait; nil: nobody looks.
	Look func(*landing.Landed, *table.Batch)
	// Read is told of each landed block once it was read and its rows were made; nil
	// disables it.
	Read func(*landing.Landed)
	// Logger takes what is worth a line. Nil: discarded.
	Logger *slog.Logger
}

// Status is how a task stands after a claim or an epoch.
type Status struct {
	Task       stream.TaskID
	Epoch      stream.Epoch
	Position   stream.Position
	Watermarks []stream.Watermark
	Checkpoint checkpoint.Stats
	// Hold is where the landing log is kept from, because blocks there were passed over;
	// nil: everything below Position may go once it is published.
	Hold *stream.Position
	// Short are the logs of which the end was lost, and will not be sent again.
	Short []ShortLog
	// Over are the gateways that had more of something than their share since the claim.
	Over []Over
	// Costs are what the gateways cost, as of the newest epoch of this claim.
	Costs Costs
	// Lacking says since when what is missing of a log has been asked for.
	Lacking map[record.LogID]record.Micros
	// Aside are the blocks that were set aside because processes died of them, oldest
	// first, the newest 256 at most.
	Aside []AsideBlock
}

// Validate names the first field that is unusable and changes nothing.
func (c *Config) Validate() error {
	switch {
	case c.Log == nil:
		return errors.New("task: Log is missing")
	case c.Store == nil:
		return errors.New("task: Store is missing")
	case len(c.Sinks) == 0:
		return errors.New("task: Sinks: none")
	case c.Partition < 0 || c.Partition >= c.Log.Partitions():
		return errors.New("task: Partition is outside the landing log")
	case c.EpochInterval < 0 || c.EpochRecords < 0 || c.EpochBytes < 0 || c.CommitTimeout < 0 || c.HeadInterval < 0 ||
		c.Hold < 0:
		return errors.New("task: EpochInterval, EpochRecords, EpochBytes, CommitTimeout, HeadInterval and Hold must " +
			"not be negative")
	}
	return nil
}

// withDefaults fills in what zero means.
func (c Config) withDefaults() Config {
	if c.EpochInterval == 0 {
		c.EpochInterval = DefaultEpochInterval
	}
	if c.EpochRecords == 0 {
		c.EpochRecords = DefaultEpochRecords
	}
	if c.EpochBytes == 0 {
		c.EpochBytes = DefaultEpochBytes
	}
	if c.HeadInterval == 0 {
		c.HeadInterval = DefaultHeadInterval
	}
	if c.Hold == 0 {
		c.Hold = DefaultHold
	}
	if c.Crowded == nil {
		c.Crowded = func() bool { return false }
	}
	if c.Unreadable == nil {
		c.Unreadable = func() uint64 { return 0 }
	}
	if c.CommitTimeout == 0 {
		c.CommitTimeout = 30 * time.Second
	}
	if c.Lane == nil {
		c.Lane = new(Lane)
	}
	if c.SuspectWait == 0 {
		c.SuspectWait = time.Duration(failpoint.Often(30, 1)) * time.Second
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	if c.Published == nil {
		c.Published = published.New(published.Config{Landing: c.Log.ID(), Partitions: c.Log.Partitions()})
	}
	if c.Progress == nil {
		c.Progress = func(Status) {}
	}
	if c.Claimed == nil {
		c.Claimed = func(Status, func() checkpoint.Stats) {}
	}
	if c.Read == nil {
		c.Read = func(*landing.Landed) {}
	}
	if c.Look == nil {
		c.Look = func(*landing.Landed, *table.Batch) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// id names the task.
func (c *Config) id() stream.TaskID {
	return stream.TaskID{Landing: string(c.Log.ID()), Partition: c.Partition}
}
