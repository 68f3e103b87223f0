package task

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// How a task goes on after its process died while it made an epoch. An epoch without
// care has as many blocks as come; then it has firstCare of them at most, and after each
// further death a careStep-th, down to one. One block that is on its own when the process
// dies maxDeaths times is set aside. Whatever comes through makes epochs larger again:
// after calmEpochs of one size they may be growStep times as large, and beyond mostCare
// nothing is noted any more.
//
// A process may also be killed by somebody, again and again at the same moment after its
// start, which is when it makes its first epoch. So a block of which one has died already
// is tried after a random part of suspectWait: a killer that knows nothing of the block
// strikes while it waits then, and what he struck before counts no more.
const (
	firstCare  = 64
	careStep   = 8
	maxDeaths  = 3
	calmEpochs = 16
	growStep   = 4
	mostCare   = 1024
)

// attempt is a note of what a task is about to do, beside its HEAD
// (checkpoint.AttemptName), as JSON of format 1:
//
//	{"format": 1, "claim": "32 hex digits", "process": "…", "epoch": 7, "blocks": 1, "calm": 0,
//	 "open": true, "suspect": {"hash": "…", "gateway": "…", "log": "…", "from": 10, "end": 20}, "deaths": 2}
//
// It decides how large epochs are, and which block is set aside once the task's state
// says so too; never what rows a block makes. Without it a task begins without care.
type attempt struct {
	Format  int            `json:"format"`
	Claim   stream.ClaimID `json:"claim"`
	Process string         `json:"process"` // Config.Process of the writer
	Epoch   stream.Epoch   `json:"epoch"`   // the newest committed one when it was written
	Blocks  int            `json:"blocks"`  // most blocks of an epoch; 0: as many as come
	Calm    int            `json:"calm"`    // epochs of that size that came through
	// Open says that an epoch is being made. Without care it is so from the claim on,
	// for then no epoch is noted on its own.
	Open bool `json:"open"`
	// Ended says that the task came to an end by itself, whatever its error, and
	// Panicked that a panic ended it.
	Ended    bool `json:"ended,omitempty"`
	Panicked bool `json:"panicked,omitempty"`
	// Suspect is the one block of the epoch, and Deaths counts how often a process
	// died that had that block before it alone, before this attempt.
	Suspect *suspect `json:"suspect,omitempty"`
	Deaths  int      `json:"deaths"`
}

// suspect is one landed block.
type suspect struct {
	Hash    string        `json:"hash"` // record.HashBlock in hexadecimal
	Gateway string        `json:"gateway"`
	Log     string        `json:"log"`
	From    record.Offset `json:"from"`
	End     record.Offset `json:"end"`
}

// hash is Hash as bytes.
func (s *suspect) hash() (h record.Hash, err error) {
	b, err := hex.DecodeString(s.Hash)
	if err == nil && len(b) != len(h) {
		err = fmt.Errorf("hash of %d bytes", len(b))
	}
	copy(h[:], b)
	return h, err
}

// attemptFormat is the version of attempt.
const attemptFormat = 1

// encode returns the note's JSON.
func (a attempt) encode() ([]byte, error) {
	a.Format = attemptFormat
	data, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode the note of an attempt: %w", err)
	}
	return append(data, '\n'), nil
}

// decodeAttempt reads what encode gave. Errors: checkpoint.ErrVersion, ErrCorrupt.
func decodeAttempt(data []byte) (attempt, error) {
	var a attempt
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return attempt{}, fmt.Errorf("decode the note of an attempt: %w: %w", checkpoint.ErrCorrupt, err)
	}
	if version.Format > attemptFormat {
		return attempt{}, fmt.Errorf("decode the note of an attempt: %w: format %d", checkpoint.ErrVersion, version.Format)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&a)
	if err == nil && a.Suspect != nil {
		_, err = a.Suspect.hash()
	}
	if err == nil && (a.Blocks < 0 || a.Blocks > mostCare || a.Deaths < 0 || a.Calm < 0) {
		err = fmt.Errorf("%d blocks, %d deaths, %d calm epochs", a.Blocks, a.Deaths, a.Calm)
	}
	if err != nil {
		return attempt{}, fmt.Errorf("decode the note of an attempt: %w: %w", checkpoint.ErrCorrupt, err)
	}
	return a, nil
}

// struck says that the process that wrote the note was killed while it took care and no
// epoch was being made: somebody else kills processes here, and what they had before them
// proves nothing.
func (a *attempt) struck(process string) bool {
	return a.Blocks > 0 && !a.Open && !a.Ended && (process == "" || a.Process != process)
}

// died says that the process that wrote the note died while it made an epoch of which
// nothing was committed; found is the newest committed epoch, process whoever asks. A
// panic that a task survived is such a death too. A stop, an error, an epoch that was
// committed after the note, and a task that this process itself has ended are none.
func (a *attempt) died(process string, found stream.Epoch) bool {
	if !a.Open || a.Ended || a.Epoch != found {
		return false
	}
	return a.Panicked || process == "" || a.Process != process
}

// resume returns with what care the next claim begins.
func (a *attempt) resume(process string, found stream.Epoch) attempt {
	next := attempt{Blocks: a.Blocks, Calm: a.Calm, Suspect: a.Suspect, Deaths: a.Deaths}
	if a.Epoch != found || a.struck(process) {
		// The suspect came through, or another checkpoint was put in place, or somebody kills.
		next.Suspect, next.Deaths = nil, 0
	}
	if !a.died(process, found) {
		return next
	}
	next.Calm = 0
	switch {
	case a.Blocks == 0:
		next.Blocks = firstCare
	case a.Blocks > 1:
		next.Blocks = max(1, a.Blocks/careStep)
	case a.Suspect != nil:
		next.Deaths++
	}
	return next
}

// suspects notes the one block that the next epoch is made of.
func (a *attempt) suspects(s suspect) {
	if a.Suspect == nil || a.Suspect.Hash != s.Hash {
		a.Deaths = 0
	}
	a.Suspect = &s
}

// came notes that an epoch was committed. It says true when no care is needed any more.
func (a *attempt) came() (over bool) {
	if a.Blocks == 0 {
		return false
	}
	a.Suspect, a.Deaths = nil, 0
	if a.Calm++; a.Calm < calmEpochs {
		return false
	}
	a.Blocks, a.Calm = a.Blocks*growStep, 0
	if a.Blocks > mostCare {
		a.Blocks = 0
	}
	return a.Blocks == 0
}
