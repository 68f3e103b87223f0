// Package aissim simulates the AIS traffic of a harbour: ships that sail, lie at
// berth and report as ITU-R M.1371-5 asks, base stations, aids to navigation, a
// rescue aircraft, and the receivers that hear them. It serves the demo, load
// generators and tests.
//
// Way in: a Config with a seed and a start time. Way out: Lines in order of
// arrival, each with the truth about it: which transmission it belongs to, when
// that was sent, what it said, and whether it was lost on the way. All 27
// message types appear, types 1, 3 and 18 most.
//
// The ships are invented: their MMSI carry the country code 200, which nobody
// has, and their names begin with SIM.
//
// Invariants:
//
//  1. The same Config gives the same Lines (on one processor architecture: the
//     last digit of a sine may differ between two).
//  2. No I/O and no clock: simulated time begins at Config.Start.
//  3. Lines come in order of At. A Line's slices are never written again.
//  4. Every transmission heard by a receiver appears whole, in as many Lines as
//     it has fragments; those lost have KindLost.
//
// A Harbour belongs to one goroutine.
package aissim
