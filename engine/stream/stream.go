// Package stream is the engine's vocabulary: the numbers that name a place in
// the flow, and the interfaces of the parts that cmd joins together. It has no
// behaviour of its own.
//
// In:  nothing.
// Out: types used by engine/landing, engine/task, engine/checkpoint and the
// sinks.
package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"landfall/edge/record"
	"landfall/engine/table"
)

// ErrFenced says that another claim holds the partition: whoever gets it stops
// and touches nothing more.
var ErrFenced = errors.New("fenced by another claim")

// ErrContent says that an output of an epoch is visible already with other
// content: two histories of one task. The task stops and a person must look.
var ErrContent = errors.New("visible with other content")

// ErrDamaged says that the bytes of an output are not those that its manifest
// names: something changed them after they were sealed. Such bytes are not made
// visible where they are found before that; Verify, and a bucket that completes an
// upload unread, find them when they are visible. DamagedError says which output.
var ErrDamaged = errors.New("output is damaged")

// DamagedError names an output that is not what its manifest names. It is
// ErrDamaged.
type DamagedError struct {
	Staged Staged
	Where  string // the name under which it was read
	Detail string // what is wrong with it
	// SHA256 is the hash of the bytes that were found, hexadecimal; empty where
	// there are none.
	SHA256 string
}

// Error names the file and what is wrong.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: %s, which is to be %s: %s", ErrDamaged, e.Where, e.Staged.Target, e.Detail)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// Epoch is the number of one checkpoint of one task, from 1; 0 is before the
// first.
type Epoch uint64

// String gives the decimal number.
func (e Epoch) String() string { return strconv.FormatUint(uint64(e), 10) }

// Padded gives twenty decimal digits, for names that sort.
func (e Epoch) Padded() string { return fmt.Sprintf("%020d", uint64(e)) }

// MaxBacklog bounds the epochs of one task that are committed and may not be
// published yet. A claim publishes all of them again, the oldest first, also
// those that were published before it: a sink that remembers what it published
// remembers at least the MaxBacklog newest epochs.
const MaxBacklog = 100

// TaskID names one partition of one landing log, in file names too.
type TaskID struct {
	Landing   string // identity of the landing log: lower-case letters, digits and '-'
	Partition int
}

// String gives "<landing>-<partition, four digits>".
func (t TaskID) String() string { return fmt.Sprintf("%s-%04d", t.Landing, t.Partition) }

// ClaimID is the random identity of one claim of a task: 32 hexadecimal digits.
type ClaimID string

// Position is a place in one partition of a landing log: the next record to
// read, and what it stands on. The zero Position is the partition's beginning.
type Position struct {
	Log    string `json:"log"`    // link of the landing log's chain; Kafka: topic id
	Offset int64  `json:"offset"` // within that link
	// Hash identifies the landed block before it, 32 hexadecimal digits; empty: not
	// known. A landing log that holds another block there was cut or rewritten.
	Hash string `json:"hash,omitempty"`
	// Leader is the leader epoch under which Kafka has the record before it, plus 1;
	// 0: not known, or not on Kafka.
	Leader int32 `json:"leader,omitempty"`
}

// Same tells whether two positions are one place, whatever they stand on.
func (p Position) Same(o Position) bool { return p.Log == o.Log && p.Offset == o.Offset }

// String returns the place, and not what it stands on.
func (p Position) String() string { return fmt.Sprintf("%s+%d", p.Log, p.Offset) }

// Check finds what no landing log gives out: a negative number, or a hash that is
// none.
func (p Position) Check() error {
	hash := p.Hash == "" || len(p.Hash) == 32 && strings.Trim(p.Hash, "0123456789abcdef") == ""
	if p.Offset < 0 || p.Leader < 0 || !hash {
		return fmt.Errorf("position %s, hash %q, leader %d", p, p.Hash, p.Leader)
	}
	return nil
}

// Watermark says of one gateway that no event older than At is expected.
type Watermark struct {
	Gateway string
	At      record.Micros
}

// Staged is one output of one epoch, durable but unseen. It stands in the
// epoch's manifest until it is known published, as JSON.
type Staged struct {
	Sink   string     `json:"sink"`
	Table  table.Name `json:"table"`
	Name   string     `json:"name"`   // where it lies staged, relative to the sink's root
	Target string     `json:"target"` // where it is to be visible, relative to the sink's root
	Rows   int64      `json:"rows"`
	Bytes  int64      `json:"bytes"`
	SHA256 string     `json:"sha256"` // of the whole object, hexadecimal
	// Parts is what a store needs besides to publish the object: of a multipart
	// upload the ETags of its parts, in order, with spaces between. Empty where
	// the staged name says all.
	Parts string `json:"parts,omitempty"`
}

// Sink takes rows, stages them, and makes what a manifest names visible.
//
// Every method may be called again after a crash by another process with the
// same arguments. One task calls a Sink from one goroutine, except Publish and
// Verify, and Begin with a Stage for an epoch that is made again, which may run
// beside the next epoch's staging. A Sink that is an io.Closer is
// closed when its task is done with it.
type Sink interface {
	// Name is the sink's name in manifests; it never changes.
	Name() string
	// Begin starts staging one epoch under a claim. Nothing staged is seen by
	// readers.
	Begin(task TaskID, claim ClaimID, epoch Epoch) (Stage, error)
	// Publish makes staged outputs visible, all of them, each time it is
	// called: what is visible already with the same hash is done. Durable on
	// return. An output that is neither staged nor published is an error;
	// published with another hash it is ErrContent, and the task stops. Staged
	// bytes are compared with the manifest's hash before they become visible:
	// other bytes are a DamagedError, and stay unseen.
	Publish(ctx context.Context, staged []Staged) error
	// Verify reads back what Publish made visible and compares it with the
	// manifest's hash: a DamagedError when it is not there as committed. It is
	// called before the landing log lets go of what the outputs were made of.
	Verify(ctx context.Context, staged []Staged) error
	// Collect removes what the task's earlier claims and abandoned epochs left
	// staged. Nothing that keep names (Staged.Name) is touched, nor anything
	// of another task. alive is asked after listing and before every removal;
	// when it returns an error nothing more is removed.
	Collect(ctx context.Context, task TaskID, keep map[string]bool, alive func() error) error
}

// Replacer is a Sink that can put an output that Verify found damaged right
// again.
type Replacer interface {
	// Replace makes a staged output visible in the place of what is there with
	// the hash damaged (DamagedError.SHA256 of Verify), or where nothing is
	// there. What is visible with the output's own hash is done; anything else
	// is ErrContent and is not touched. Staged bytes that are not the manifest's
	// are a DamagedError and replace nothing. Readers see the old bytes or the
	// new ones, nothing between. Durable on return, and repeatable.
	Replace(ctx context.Context, staged Staged, damaged string) error
}

// Inventory is a Sink that can list what a task has published, which a task
// needs that was begun before there was a ledger.
type Inventory interface {
	// Published calls yield with every published output of the task of an epoch
	// up to one, hashed as it is found, Rows -1 where they are not known. The
	// first error of yield ends it.
	Published(ctx context.Context, task TaskID, upTo Epoch, yield func(Staged) error) error
}

// Ahead is a Sink that can tell, with few requests, whether it shows anything that a
// task published after an epoch. Outputs are published only after a checkpoint names
// them, so an output of a later epoch proves that the checkpoint was set back.
type Ahead interface {
	// PublishedAfter returns the name of a published output of the task of an epoch
	// after one, and that epoch; an empty name: it found none. near are targets of
	// outputs of that epoch, or of one not long before; the sink need not look at
	// what it files under days before those. Empty: not known, it looks at all days.
	PublishedAfter(ctx context.Context, task TaskID, epoch Epoch, near []string) (name string, of Epoch, err error)
}

// Stage is one epoch being staged. It belongs to one goroutine.
type Stage interface {
	// Write adds rows. It copies what it keeps: the batch and the bytes it
	// aliases belong to the caller again on return.
	Write(rows *table.Batch) error
	// Seal makes all rows durable and verified (reopened and counted), in
	// table.Names order, and ends the stage. No rows: no outputs.
	Seal(ctx context.Context) ([]Staged, error)
	// Abandon drops the stage; what it leaves is collected later.
	Abandon()
	// Rows and Bytes tell the size so far (bytes of memory, roughly).
	Rows() int
	Bytes() int64
}
