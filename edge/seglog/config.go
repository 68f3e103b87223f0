package seglog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrFull says that quota, reserve or disk leave no room for another segment
	// and the policy gives nothing up. Nothing changed; the same Append may be
	// tried again.
	ErrFull = errors.New("log store is full")
	// ErrCaughtUp says that a Reader stands at DurableOffset of a log that may
	// still grow.
	ErrCaughtUp = errors.New("caught up")
	// ErrUnknownLog says that the Store holds nothing of a log.
	ErrUnknownLog = errors.New("unknown log")
	// ErrBeyondEnd says that a Reader was asked for an offset after the end.
	ErrBeyondEnd = errors.New("offset beyond the end of the log")
	// ErrEmpty says that a group without records was appended.
	ErrEmpty = errors.New("empty group")
	// ErrClosed says that the Store was closed.
	ErrClosed = errors.New("log store is closed")
)

// Policy says what happens when there is no room for another segment.
type Policy uint8

// The policies.
const (
	Block      Policy = iota // Append returns ErrFull until there is room
	ShedOldest               // the oldest segment is given up, counted, and read as a Gap
)

// String gives the word of the configuration file.
func (p Policy) String() string {
	switch p {
	case Block:
		return "block"
	case ShedOldest:
		return "shed-oldest"
	}
	return fmt.Sprintf("policy_%d", uint8(p))
}

// ParsePolicy reads what String wrote.
func ParsePolicy(s string) (Policy, error) {
	for _, p := range []Policy{Block, ShedOldest} {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("parse policy %q: want block or shed-oldest", s)
}

const (
	// DefaultSegmentBytes is the size of a segment when Config names none.
	DefaultSegmentBytes = 8 << 20
	// MinSegmentBytes is the smallest size of a segment: a header and a little.
	MinSegmentBytes = 2 * headerAlign
)

// Config says where and how a Store keeps its logs.
type Config struct {
	FS  durable.FS // nil: durable.OS
	Dir string     // made if absent; held by one Store at a time

	SegmentBytes int64 // bytes of a segment's file; 0: DefaultSegmentBytes. A larger group gets a larger file.
	// QuotaBytes is what all segments, spare ones, files of marks, set aside or not, copies in
	// quarantine, files that could not be removed and what BesideBytes says may take; 0: no
	// quota.
	QuotaBytes int64
	// BesideBytes returns the bytes of files elsewhere that count in the quota, 0 where
	// that is not known; nil: there are none. It is called whenever room is looked for, from
	// several goroutines.
	BesideBytes  func() int64
	ReserveBytes int64  // bytes of the file system that a new segment must leave free; 0: none
	Policy       Policy // what happens when there is no room

	// CapturedRecords says that the payloads are records of record.Builder.Add.
	// Every block of the log then carries the digest of its log (record.Digest).
	CapturedRecords bool

	// TailMarker says that the Store keeps a tail marker beside Dir (TailMarkerName),
	// which tells at the next Open when the end of the newest log is gone. One that is
	// there is read in any case.
	TailMarker bool
	// Known is what is kept elsewhere of logs, in the order in which they were opened. A
	// log ends no earlier than it says, and one that is not there is missed at Open.
	Known []KnownLog
	// MarkOwner returns the source that a mark belongs to, "" for a mark of the
	// gateway itself; Owners are the sources that there are. Marks of another source
	// are set aside at Open, and taken back at the Open at which it is one of Owners
	// again. nil: no mark is set aside or taken back.
	MarkOwner func(mark string) string
	Owners    []string

	Now      func() record.Micros // wall clock; nil: time.Now
	NewLogID func() record.LogID  // nil: crypto/rand
	Logger   *slog.Logger         // nil: silence

	inlineMarks, markPart int // tests: other bounds than maxInlineMarks and markPartBytes

	inlineSpares bool // tests: make spare segments on the append path, so that operations are numbered alike in each run
}

// Validate checks the fields and changes nothing.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("seglog: Dir is empty")
	case c.SegmentBytes != 0 && c.SegmentBytes < MinSegmentBytes:
		return fmt.Errorf("seglog: SegmentBytes %d is less than %d", c.SegmentBytes, MinSegmentBytes)
	case c.QuotaBytes < 0 || c.QuotaBytes > 0 && c.QuotaBytes < 2*c.segmentBytes():
		return fmt.Errorf("seglog: QuotaBytes %d is less than two segments of %d", c.QuotaBytes, c.segmentBytes())
	case c.ReserveBytes < 0:
		return fmt.Errorf("seglog: ReserveBytes %d is negative", c.ReserveBytes)
	case c.Policy > ShedOldest:
		return fmt.Errorf("seglog: unknown Policy %d", c.Policy)
	}
	return nil
}

func (c Config) segmentBytes() int64 {
	if c.SegmentBytes == 0 {
		return DefaultSegmentBytes
	}
	return c.SegmentBytes
}

func (c Config) withDefaults() Config {
	c.SegmentBytes = c.segmentBytes()
	if c.inlineMarks == 0 {
		c.inlineMarks = maxInlineMarks
	}
	if c.markPart == 0 {
		c.markPart = markPartBytes
	}
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	if c.Now == nil {
		c.Now = func() record.Micros { return record.Micros(time.Now().UnixMicro()) }
	}
	if c.NewLogID == nil {
		c.NewLogID = randomLogID
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func randomLogID() record.LogID {
	var id record.LogID
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}
