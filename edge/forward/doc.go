// Package forward brings a gateway's logs to the cloud over a link that is
// thin, slow, cut at any moment and paid by the byte.
//
// In:  the gateway's log store (edge/seglog), read below DurableOffset only;
// the answers of the cloud.
// Out: requests of edge/wire; what the cloud has, persisted, and Release of it (C3).
//
// Two offsets of a log come back from the cloud. Below AckedOffset it has landed:
// that need not be sent again while the cloud keeps it, and it may lose it. Below
// the published offset it is in the lake, verified and in the lake's ledger. A log
// is settled below the published one, and below AckedOffset where the configuration
// or an ingest that does not tell what is published leave no other (Core.Settled).
//
// Core decides what happens next and does nothing else: no I/O, no clock, no
// randomness. Session carries it out: one request at a time.
//
// Invariants
//
//  1. Every request starts at AckedOffset of its log, so that a byte which has
//     landed crosses the link again only when the cloud lost it. Where AckedOffset
//     is not known, and after an end that leaves open what was landed, the session
//     asks before it sends.
//  2. Logs are sent in opening order, one at a time; a log is left before its
//     end only when it is red.
//  3. Nothing is released that is not settled, and it is durable that it is settled
//     before it is released (C3). An answer below what is settled makes the log red,
//     and nothing of it is sent again or called lost. One that may only be older, of an
//     ingest that has not heard yet what another one told, changes nothing; it makes
//     the log red when only such answers have come for a while (olderPatience). An
//     answer below AckedOffset and not below that is no contradiction: the log is
//     sent again from there. What is settled goes back in one case: when an ingest
//     tells what is published, and none had told, or none for a day. What was released
//     before stays released.
//  4. Only a range that the store itself returns as a Gap becomes a loss block. It
//     says the digest of the log at its end, where that is known.
//  5. Each offset that an answer states anew, landed or published, is compared with
//     this gateway's own log: another hash, or no block that ends there, makes the
//     log red. Where the answer states no hash, or the store no longer has the
//     block, there is nothing to compare, and it is believed up to the end of the
//     log.
//  6. A gateway with logs that are not settled is not renamed.
//  7. The state file is written when more may be released, when a closed log has
//     landed whole, at the beginning and the end of Run, and again each second when
//     it could not be written: as often as records are published, not as often as
//     they land.
//
// A red log stays on disk, is asked about again at intervals, and holds up no
// other. Session.Run belongs to one goroutine; Status may be called from any.
package forward

import "errors"

// Errors of this package, to be tested with errors.Is.
var (
	// ErrRenamed says that logs of another gateway name wait to be forwarded.
	ErrRenamed = errors.New("gateway was renamed while logs wait to be forwarded")
	// ErrState says that the file that holds what the cloud has cannot be read.
	ErrState = errors.New("forwarding state is damaged")
)
