// Package clock tells the gateway's time and how far the event time of its
// sources has come.
//
// In:  the system's clocks; what sources, the ingest and the host say of the time
// (Evidence); the event time of each record (Observe).
// Out: the wall clock, microseconds since boot and the boot id, which stand in
// each record and block; an Estimate of the true time, and Anchors that let the
// cloud correct records of a boot whose time was learned later; watermarks per
// source and for the gateway, which ride in block annotations.
//
// Invariants
//
//  1. A watermark never regresses, neither a source's nor the gateway's, but when an
//     operator has the clock forgotten.
//  2. A time beyond the receipt clock plus the tolerance moves no watermark.
//  3. The gateway's watermark is the minimum over sources that are not idle;
//     one that has no event time yet holds it where it is.
//  4. A source is idle after IdleTimeout of silence, in monotonic time: steps
//     of the wall clock make nobody idle. A source that wakes counts again
//     before its backlog is read.
//
// The wall clock is a suspect, not a reference: nothing here orders by it.
//
// Watermarks and Estimator are pure and belong to one goroutine each; time comes
// in as an argument. System may be used from any goroutine.
package clock

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// BootID tells one boot of the machine from another. Zero: unknown.
type BootID [16]byte

// Clock tells the time of receipt.
type Clock interface {
	// Now gives the wall clock, uncorrected, and the microseconds since the
	// boot that Boot names. The latter never goes back.
	Now() (wall record.Micros, monotonic int64)
	// Boot names what the monotonic time counts from.
	Boot() BootID
}

// System is the machine's clock.
type System struct{ boot BootID }

// NewSystem gives the machine's clock. The boot id may be zero where there is
// none to read.
func NewSystem(boot BootID) *System { return &System{boot} }

// Now implements Clock.
func (s *System) Now() (record.Micros, int64) {
	return record.Micros(time.Now().UnixMicro()), sinceBoot()
}

// Boot implements Clock.
func (s *System) Boot() BootID { return s.boot }

// bootIDFile is where Linux tells the id of this boot, a UUID in text.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// ReadBootID reads the id of this boot.
func ReadBootID(fs durable.FS) (id BootID, err error) {
	f, err := fs.Open(bootIDFile)
	if err != nil {
		return id, fmt.Errorf("read boot id: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return id, fmt.Errorf("read boot id: %w", err)
	}
	digits := strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
	if n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))])); err != nil || n != len(id) || len(digits) != 2*len(id) {
		return BootID{}, fmt.Errorf("read boot id %q: want a UUID", text)
	}
	return id, nil
}
